//! Beginning what can begin: blocks with `when` or a limit, rollouts and their elements.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::actions::Stop;
use crate::catalog::types::Kind;
use crate::catalog::value::{ObjectRef, Value};
use crate::expr::{Bindings, EvalError, total_order};
use crate::plan::graph::{Block, Code, NodeKind, Rollout, Size};
use crate::plan::{batches_by, share_down, share_up};

use super::driver::{DriveError, Driver};
use super::event::{Element, Event, Failure, Id};
use super::locate::{Located, locate};
use super::next::Ready;
use super::step::Answer;

impl Driver<'_> {
    /// Begins everything that can begin, until nothing more can.
    pub(super) async fn advance(&mut self) -> Result<(), DriveError> {
        if self.halting.is_some() || *self.stop.borrow() != Stop::No {
            return if self.gates.is_empty() { Ok(()) } else { self.end_gates().await };
        }
        if self.state.out_of_reach.is_some() {
            return Ok(());
        }
        self.undo_for_abort().await?;
        self.take_replacements().await?;
        for id in self.due_retries() {
            self.begin_step(&id).await?;
        }
        loop {
            let before = self.state.events;
            let next = self.state.next();
            self.keep_guards(next.guards).await?;
            if self.state.events != before {
                // A guard that came into force paused or stopped what was about to begin.
                continue;
            }
            for ready in next.ready {
                match ready {
                    Ready::Step(id) => self.begin_step(&id).await?,
                    Ready::Block(id) => self.begin_block(&id).await?,
                    Ready::Rollout(id) => self.begin_rollout(&id).await?,
                    Ready::Stop(block) => self.stop_failed(block).await?,
                    Ready::Undone(block) => self.note_undone(block).await?,
                    Ready::Elements { rollout, candidates, room } => {
                        self.begin_elements(&rollout, candidates, room).await?;
                    }
                }
            }
            if self.state.events == before {
                return Ok(());
            }
        }
    }

    /// Looks at the `when` of a group or rollout, or at the limit of a `parallel`.
    async fn begin_block(&mut self, id: &Id) -> Result<(), DriveError> {
        if self.asked_lately(id) {
            return Ok(());
        }
        let graph = self.state.graph.clone();
        let Some(located) = locate(&graph, id) else { return Ok(()) };
        let block = id.clone();
        let event = match &located.node.kind {
            NodeKind::Parallel { concurrency: Some(code), .. } => match self.evaluate(&located, code) {
                Ok(Value::Int(limit)) if limit > 0 => {
                    Event::BlockEntered { block, limit: Some(usize::try_from(limit).unwrap_or(usize::MAX)) }
                }
                other => Event::BlockFailed { block, failure: not_a_size(code, &other) },
            },
            NodeKind::Group(group) => match self.ask(id, &located, group.when.as_ref()) {
                Answer::Known(true) => Event::BlockEntered { block, limit: None },
                Answer::Known(false) => Event::BlockSkipped { block },
                Answer::NotYet => return Ok(()),
                Answer::Failed(failure) => Event::BlockFailed { block, failure },
            },
            NodeKind::Rollout(rollout) => match self.ask(id, &located, rollout.when.as_ref()) {
                Answer::Known(true) => Event::BlockEntered { block, limit: None },
                Answer::Known(false) => Event::BlockSkipped { block },
                Answer::NotYet => return Ok(()),
                Answer::Failed(failure) => Event::BlockFailed { block, failure },
            },
            _ => return Ok(()),
        };
        self.emit(vec![event]).await
    }

    /// Looks at a rollout's list, and pins what its body needs of each element.
    async fn begin_rollout(&mut self, id: &Id) -> Result<(), DriveError> {
        if self.asked_lately(id) {
            return Ok(());
        }
        let graph = self.state.graph.clone();
        let Some(located) = locate(&graph, id) else { return Ok(()) };
        let NodeKind::Rollout(rollout) = &located.node.kind else { return Ok(()) };
        let event = match self.selection(id, &located, rollout) {
            Ok(event) => event,
            Err(EvalError::Unknown(unknown)) => match self.is_blind(id, &unknown.why) {
                Some(failure) => Event::BlockFailed { block: id.clone(), failure },
                None => return Ok(()),
            },
            Err(EvalError::Fault(what)) => {
                Event::BlockFailed { block: id.clone(), failure: Failure::new("E504", what) }
            }
        };
        self.blind.remove(id);
        self.emit(vec![event]).await
    }

    /// The event with which a rollout begins.
    fn selection(&mut self, id: &Id, located: &Located<'_>, rollout: &Rollout) -> Result<Event, EvalError> {
        let Value::List(items) = self.evaluate(located, &rollout.list)? else {
            return Err(EvalError::Fault(format!("`{}` is no list", rollout.list.text)));
        };
        let mut elements = Vec::new();
        for item in items.iter() {
            elements.push(self.element(located, rollout, item)?);
        }
        self.check_elements(id, located, &elements)?;
        elements.sort_by(|(a, one), (b, other)| {
            self.is_own_node(&one.value).cmp(&self.is_own_node(&other.value)).then_with(|| total_order(a, b))
        });
        let elements: Vec<Element> = elements.into_iter().map(|(_, element)| element).collect();
        let (joined, gone) = difference(rollout.planned.as_deref(), &elements);
        if self.run.settings.exact && !(joined.is_empty() && gone.is_empty()) {
            let what = format!("not what was planned: {} joined, {} gone", joined.len(), gone.len());
            return Err(EvalError::Fault(what));
        }
        let concurrency = self.size(located, &rollout.concurrency, elements.len(), Round::Down)?.max(1);
        Ok(Event::RolloutStarted {
            rollout: id.clone(),
            batches: self.batches(located, rollout, elements.len())?,
            concurrency,
            max_failures: self.size(located, &rollout.max_failures, elements.len(), Round::Down)?,
            joined,
            gone,
            elements,
        })
    }

    /// One element with the key by which it is ordered.
    fn element(
        &mut self,
        located: &Located<'_>,
        rollout: &Rollout,
        item: &Value,
    ) -> Result<(Value, Element), EvalError> {
        let name = crate::plan::segment(&item.to_string());
        let mut values: Bindings = [(rollout.slot.clone(), item.clone())].into_iter().collect();
        let order = match &rollout.order {
            Some(code) => self.evaluate_with(located, code, &values)?,
            None => Value::None,
        };
        let key = match &rollout.one {
            Some(code) => Some(self.evaluate_with(located, code, &values)?),
            None => None,
        };
        let mut choices = Vec::new();
        self.pin_block(located, &rollout.body, &mut values, &mut choices)?;
        for (slot, code) in &rollout.pins {
            // A pin of a branch that is not taken may have no value; an argument that needs it will say so.
            if let Ok(value) = self.evaluate_with(located, code, &values) {
                values.insert(slot.clone(), value);
            }
        }
        values.remove(&rollout.slot);
        Ok((order, Element { name, value: item.clone(), key, values, choices }))
    }

    /// The `let` and `if` of a body, in order, groups and branches included; a rollout within pins its own as it begins.
    fn pin_block(
        &mut self,
        located: &Located<'_>,
        block: &Block,
        values: &mut Bindings,
        choices: &mut Vec<(u32, usize)>,
    ) -> Result<(), EvalError> {
        for node in &block.nodes {
            match &node.kind {
                NodeKind::Let { slot, value } => {
                    let value = self.evaluate_with(located, value, values)?;
                    values.insert(slot.clone(), value);
                }
                NodeKind::If { choice, arms, otherwise } => {
                    let mut taken = arms.len();
                    for (index, (condition, _)) in arms.iter().enumerate() {
                        if self.evaluate_with(located, condition, values)? == Value::Bool(true) {
                            taken = index;
                            break;
                        }
                    }
                    choices.push((*choice, taken));
                    let block = arms.get(taken).map_or(otherwise, |(_, block)| block);
                    self.pin_block(located, block, values, choices)?;
                }
                NodeKind::Group(group) => {
                    self.pin_block(located, &group.body, values, choices)?;
                    if let Some(finally) = &group.finally {
                        self.pin_block(located, finally, values, choices)?;
                    }
                }
                NodeKind::Parallel { body, .. } => self.pin_block(located, body, values, choices)?,
                NodeKind::Rollout(inner) => {
                    for block in [&inner.between, &inner.finally].into_iter().flatten() {
                        self.pin_block(located, block, values, choices)?;
                    }
                }
                NodeKind::Action(_)
                | NodeKind::Record { .. }
                | NodeKind::Wait { .. }
                | NodeKind::WaitUntil(_)
                | NodeKind::Assert(_)
                | NodeKind::Approve { .. }
                | NodeKind::Guard(_) => {}
            }
        }
        Ok(())
    }

    /// Equal elements, or a node that another rollout has under way or will have, are a mistake of the playbook.
    fn check_elements(&self, id: &Id, located: &Located<'_>, elements: &[(Value, Element)]) -> Result<(), EvalError> {
        let mut names = BTreeSet::new();
        for (_, element) in elements {
            if !names.insert(&element.name) {
                return Err(EvalError::Fault(format!("`{}` is in the list twice", element.value)));
            }
        }
        let around: BTreeSet<&Id> = located.frames.iter().map(|frame| &frame.id).collect();
        for (other, rollout) in &self.state.rollouts {
            let over = rollout.batch >= rollout.batches();
            if over || other == id || around.contains(other) {
                continue;
            }
            let theirs: BTreeSet<&str> = rollout.elements.iter().filter_map(|one| node_uid(&one.value)).collect();
            if let Some((_, both)) =
                elements.iter().find(|(_, one)| node_uid(&one.value).is_some_and(|uid| theirs.contains(uid)))
            {
                let what = format!("node `{}` is in rollout `{other}` too, which is under way", both.value);
                return Err(EvalError::Fault(what));
            }
        }
        Ok(())
    }

    /// How many elements each batch holds; the last size repeats.
    fn batches(&mut self, located: &Located<'_>, rollout: &Rollout, whole: usize) -> Result<Vec<usize>, EvalError> {
        batches_by(&rollout.batches, whole, |size| self.size(located, size, whole, Round::Up))
    }

    /// A count or a share of the whole.
    fn size(&mut self, located: &Located<'_>, size: &Size, whole: usize, round: Round) -> Result<usize, EvalError> {
        let share = |percent: f64| match round {
            Round::Up => share_up(percent, whole),
            Round::Down => share_down(percent, whole),
        };
        Ok(match size {
            Size::Count(count) => usize::try_from(*count).unwrap_or(0),
            Size::Share(percent) => share(*percent),
            Size::Rest => whole,
            Size::Code(code) => match self.evaluate(located, code)? {
                Value::Int(count) => usize::try_from(count).unwrap_or(0),
                Value::Percent(percent) => share(percent),
                other => return Err(EvalError::Fault(format!("`{}` is `{other}`, not a size", code.text))),
            },
        })
    }

    /// Lets elements take their turn: as many as there is room for, each sharing no budget with those under way where
    /// there is such a one, since two half-drained nodes must not hold each other's budget.
    async fn begin_elements(&mut self, id: &Id, mut candidates: Vec<usize>, room: usize) -> Result<(), DriveError> {
        let mut room = room;
        let mut busy = self.budgets_under_way();
        let mut events = Vec::new();
        while room > 0 && !candidates.is_empty() {
            let at = candidates.iter().position(|element| {
                let is_last = candidates.len() > 1 && self.is_own_element(id, *element);
                !is_last && busy.is_disjoint(&self.budgets_of(id, *element))
            });
            let is_other = |element: &usize| !self.is_own_element(id, *element);
            let at = at.or_else(|| candidates.iter().position(is_other)).unwrap_or(0);
            let element = candidates.remove(at);
            if !self.is_confirmed(id, element) {
                // Its place and its key are kept for it.
                let elements = &self.state.rollouts[id].elements;
                if let Some(key) = &elements[element].key {
                    candidates.retain(|other| elements[*other].key.as_ref() != Some(key));
                }
                busy.extend(self.budgets_of(id, element));
                room -= 1;
                continue;
            }
            if let Some(gone) = self.gone(id, element) {
                let why = format!("{} `{gone}` was gone before its turn", gone.kind.word());
                events.push(Event::ElementSkipped { rollout: id.clone(), element, why });
                continue;
            }
            let elements = &self.state.rollouts[id].elements;
            if let Some(key) = &elements[element].key {
                candidates.retain(|other| elements[*other].key.as_ref() != Some(key));
            }
            busy.extend(self.budgets_of(id, element));
            events.push(Event::ElementStarted { rollout: id.clone(), element });
            room -= 1;
        }
        self.emit(events).await
    }

    /// Whether an element is the node that sprag itself runs on: it is taken last.
    fn is_own_element(&self, rollout: &Id, element: usize) -> bool {
        let element = self.state.rollouts.get(rollout).and_then(|rollout| rollout.elements.get(element));
        element.is_some_and(|element| self.is_own_node(&element.value))
    }

    fn is_own_node(&self, value: &Value) -> bool {
        let node = value.as_object().filter(|object| object.kind == Kind::Node);
        node.zip(self.run.own.as_ref()).is_some_and(|(node, own)| node.name == own.node)
    }

    fn gone(&self, rollout: &Id, element: usize) -> Option<Arc<ObjectRef>> {
        let object = self.state.rollouts.get(rollout)?.elements.get(element)?.value.as_object()?;
        self.run.facts.is_gone(object).then(|| object.clone())
    }

    /// The budgets that cover a pod on the element's node, by namespace and name.
    fn budgets_of(&self, rollout: &Id, element: usize) -> BTreeSet<String> {
        let value = self.state.rollouts.get(rollout).and_then(|rollout| rollout.elements.get(element));
        match value.and_then(|element| element.value.as_object()) {
            Some(object) if object.kind == Kind::Node => self.run.facts.budgets_on_node(&object.name),
            _ => BTreeSet::new(),
        }
    }

    fn budgets_under_way(&self) -> BTreeSet<String> {
        let held = self.state.held_nodes();
        held.iter().flat_map(|node| self.run.facts.budgets_on_node(node)).collect()
    }
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

fn node_uid(value: &Value) -> Option<&str> {
    value.as_object().filter(|object| object.kind == Kind::Node).map(|object| object.uid.as_str())
}

fn not_a_size(code: &Code, value: &Result<Value, EvalError>) -> Failure {
    let what = match value {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    };
    Failure::new("E503", format!("`{}` is `{what}`, not a positive number", code.text))
}

/// Names that are carried out and were not planned, and the other way round.
fn difference(planned: Option<&[Value]>, elements: &[Element]) -> (Vec<String>, Vec<String>) {
    let Some(planned) = planned else { return (Vec::new(), Vec::new()) };
    let identity = |value: &Value| match value {
        Value::Object(object) => object.uid.clone(),
        other => other.to_string(),
    };
    let before: BTreeMap<String, &Value> = planned.iter().map(|value| (identity(value), value)).collect();
    let now: BTreeMap<String, &Value> = elements.iter().map(|one| (identity(&one.value), &one.value)).collect();
    let missing = |from: &BTreeMap<String, &Value>, of: &BTreeMap<String, &Value>| {
        from.iter().filter(|(id, _)| !of.contains_key(*id)).map(|(_, value)| value.to_string()).collect()
    };
    (missing(&now, &before), missing(&before, &now))
}
