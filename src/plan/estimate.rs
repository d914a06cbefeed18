//! How long a plan, or the body of one element, mostly takes: a guess before anything ran, from `takes`, the catalog, holds,
//! waits, and what the facts tell of drains.
//!
//! It is taken for planning, and to decide whether an element still fits into a window: of branches the longest counts, of
//! an `if` that is not decided the longest arm, and every `when` is taken to hold.

use std::collections::{BTreeMap, HashMap};
use std::ops::Add;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::actions::action;
use crate::catalog::types::Kind;
use crate::catalog::value::Value;
use crate::expr::{Bindings, Compiled, FactSource, load};
use crate::facts::reads::Reads;

use super::graph::{Action, Block, Code, Gate, Node, NodeKind, Rollout};
use super::sizes::{at_most, batch_sizes};
use super::{path, schedule};

/// Of a condition that is awaited, the part of its `within` that is taken to go by, and its bounds in milliseconds.
const AWAITED: i64 = 10;
const SHORTEST_AWAITED: i64 = 5_000;
const LONGEST_AWAITED: i64 = 120_000;

/// How long something mostly takes, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// With something being done, or awaited that has to come about.
    pub work: i64,
    /// With time that has to pass: `wait D`, and holds.
    pub waiting: i64,
    /// Whether a rollout is in it whose elements are not known yet, and which counts as one element.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub or_more: bool,
}

impl Estimate {
    fn work(ms: i64) -> Self {
        Self { work: ms.max(0), ..Self::default() }
    }

    fn waiting(ms: i64) -> Self {
        Self { waiting: ms.max(0), ..Self::default() }
    }

    /// All of it, in milliseconds.
    pub fn total(self) -> i64 {
        self.work.saturating_add(self.waiting)
    }

    fn longer(self, other: Self) -> Self {
        let or_more = self.or_more || other.or_more;
        let longer = if other.total() > self.total() { other } else { self };
        Self { or_more, ..longer }
    }

    fn times(self, n: usize) -> Self {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        Self { work: self.work.saturating_mul(n), waiting: self.waiting.saturating_mul(n), ..self }
    }
}

impl Add for Estimate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            work: self.work.saturating_add(other.work),
            waiting: self.waiting.saturating_add(other.waiting),
            or_more: self.or_more || other.or_more,
        }
    }
}

/// What estimates a part of a graph.
pub struct Estimator<'e> {
    facts: &'e Arc<dyn FactSource>,
    /// The values of slots that are known.
    names: &'e dyn Fn(&str) -> Option<Value>,
    /// By the id of a rollout: the key of `one … at a time` of each planned element.
    keys: &'e BTreeMap<String, Vec<Value>>,
    /// What bodies bind, innermost last.
    bound: Vec<Bindings>,
    /// Which arms are taken, of the body that is estimated.
    choices: Vec<(u32, usize)>,
    drains: BTreeMap<String, Option<i64>>,
    compiled: HashMap<String, Option<Compiled>>,
}

impl<'e> Estimator<'e> {
    /// One that knows these facts, values of slots, and keys of planned elements.
    pub fn new(
        facts: &'e Arc<dyn FactSource>,
        names: &'e dyn Fn(&str) -> Option<Value>,
        keys: &'e BTreeMap<String, Vec<Value>>,
    ) -> Self {
        let (bound, choices) = (Vec::new(), Vec::new());
        Self { facts, names, keys, bound, choices, drains: BTreeMap::new(), compiled: HashMap::new() }
    }

    /// The whole body of a rollout for one element, with what is pinned for it and the arms that are chosen.
    pub fn element(&mut self, rollout: &Rollout, id: &str, pinned: Bindings, choices: &[(u32, usize)]) -> Estimate {
        self.choices = choices.to_vec();
        self.bound.push(pinned);
        let estimate = self.block(&rollout.body, id);
        self.bound.pop();
        estimate
    }

    /// A block, its statements one after the other.
    pub fn block(&mut self, block: &Block, prefix: &str) -> Estimate {
        block.nodes.iter().fold(Estimate::default(), |sum, node| sum + self.node(node, prefix))
    }

    fn node(&mut self, node: &Node, prefix: &str) -> Estimate {
        let id = path(prefix, &node.id);
        match &node.kind {
            NodeKind::Action(action) => self.action(action),
            NodeKind::Wait { duration } => Estimate::waiting(self.duration(duration).unwrap_or(0)),
            NodeKind::WaitUntil(gate) | NodeKind::Assert(gate) => self.gate(gate),
            NodeKind::Rollout(rollout) => self.rollout(rollout, &id),
            NodeKind::Parallel { concurrency, body } => {
                let branches: Vec<Estimate> = body.nodes.iter().map(|node| self.node(node, &id)).collect();
                let limit = concurrency.as_ref().and_then(|code| match self.value(code) {
                    Some(Value::Int(limit)) => usize::try_from(limit).ok(),
                    _ => None,
                });
                side_by_side(&branches, None, limit.unwrap_or(branches.len()))
            }
            NodeKind::Group(group) => {
                let finally = self.part(group.finally.as_ref(), &id);
                self.block(&group.body, &id) + finally
            }
            NodeKind::If { choice, arms, otherwise } => {
                let blocks: Vec<&Block> = arms.iter().map(|(_, block)| block).chain([otherwise]).collect();
                let taken = self.choices.iter().find(|(number, _)| number == choice).map(|(_, taken)| *taken);
                match taken.and_then(|taken| blocks.get(taken.min(arms.len()))) {
                    Some(block) => self.block(block, prefix),
                    None => blocks
                        .into_iter()
                        .map(|block| self.block(block, prefix))
                        .fold(Estimate::default(), Estimate::longer),
                }
            }
            NodeKind::Record { .. } | NodeKind::Approve { .. } | NodeKind::Let { .. } | NodeKind::Guard(_) => {
                Estimate::default()
            }
        }
    }

    fn part(&mut self, block: Option<&Block>, id: &str) -> Estimate {
        block.map(|block| self.block(block, id)).unwrap_or_default()
    }

    fn action(&mut self, step: &Action) -> Estimate {
        let said = step.takes.as_ref().and_then(|takes| self.duration(takes));
        let known = || action(&step.name).map_or(0, |decl| decl.estimate);
        let arg = |name: &str| step.args.iter().find(|(known, _)| known == name).map(|(_, code)| code);
        let takes = match said {
            Some(ms) => ms,
            None if step.name == "drain" => arg("node").and_then(|node| self.drain(node)).unwrap_or_else(known),
            None => known(),
        };
        let timeout = arg("timeout").and_then(|timeout| self.duration(timeout));
        Estimate::work(timeout.map_or(takes, |timeout| takes.min(timeout)))
    }

    fn drain(&mut self, node: &Code) -> Option<i64> {
        let Value::Object(node) = self.value(node)? else { return None };
        if !self.drains.contains_key(&node.name) {
            self.look_at_drains(&[&node.name]);
        }
        self.drains.get(&node.name).copied().flatten()
    }

    fn look_at_drains(&mut self, nodes: &[&str]) {
        let times = self.facts.drain_times(nodes);
        self.drains.extend(nodes.iter().map(|name| (*name).to_owned()).zip(times));
    }

    fn gate(&mut self, gate: &Gate) -> Estimate {
        let hold = gate.hold.as_ref().and_then(|hold| self.duration(hold)).unwrap_or(0);
        let within = gate.within.as_ref().and_then(|within| self.duration(within));
        let awaited =
            within.map_or(0, |within| (within / AWAITED).clamp(SHORTEST_AWAITED, LONGEST_AWAITED).min(within));
        Estimate::work(awaited) + Estimate::waiting(hold)
    }

    fn rollout(&mut self, rollout: &Rollout, id: &str) -> Estimate {
        let finally = self.part(rollout.finally.as_ref(), id);
        let Some(planned) = &rollout.planned else {
            let body = self.block(&rollout.body, id);
            return body + finally + Estimate { or_more: true, ..Estimate::default() };
        };
        let objects = planned.iter().filter_map(Value::as_object).filter(|object| object.kind == Kind::Node);
        let nodes: Vec<&str> = objects.map(|node| node.name.as_str()).collect();
        self.look_at_drains(&nodes);
        let bodies: Vec<Estimate> = planned
            .iter()
            .map(|element| {
                self.bound.push([(rollout.slot.clone(), element.clone())].into_iter().collect());
                let body = self.block(&rollout.body, id);
                self.bound.pop();
                body
            })
            .collect();
        let places = at_most(&rollout.concurrency, planned.len()).unwrap_or(1).max(1);
        let batches = batch_sizes(&rollout.batches, planned.len()).unwrap_or_else(|| vec![planned.len()]);
        let keys = self.keys.get(id);
        let between = self.part(rollout.between.as_ref(), id).times(batches.len().saturating_sub(1));
        let mut from = 0;
        let mut sum = between + finally;
        for size in batches {
            let to = (from + size).min(bodies.len());
            sum = sum + side_by_side(&bodies[from..to], keys.and_then(|keys| keys.get(from..to)), places);
            from = to;
        }
        sum
    }

    fn duration(&mut self, code: &Code) -> Option<i64> {
        match self.value(code)? {
            Value::Duration(ms) => Some(ms),
            _ => None,
        }
    }

    /// What an expression gives, as far as that is known.
    fn value(&mut self, code: &Code) -> Option<Value> {
        // What most are: durations as the plan put them, and the element.
        if let Some(ms) = code.code.strip_prefix("d(\"").and_then(|rest| rest.strip_suffix("\")")) {
            return ms.parse().ok().map(Value::Duration);
        }
        if let Some(slot) = code.code.strip_prefix("name(\"").and_then(|rest| rest.strip_suffix("\")")) {
            return self.name(slot);
        }
        let compiled = self.compiled.entry(code.code.clone()).or_insert_with(|| load(code).ok()).clone()?;
        let bindings: Bindings =
            compiled.slots().iter().filter_map(|slot| Some((slot.clone(), self.name(slot)?))).collect();
        compiled.evaluate(&bindings, self.facts, &mut Reads::default(), None).ok()
    }

    fn name(&self, slot: &str) -> Option<Value> {
        let bound = self.bound.iter().rev().find_map(|bound| bound.get(slot)).cloned();
        bound.or_else(|| (self.names)(slot))
    }
}

/// Bodies side by side in so many places, those of one key one after the other.
fn side_by_side(bodies: &[Estimate], keys: Option<&[Value]>, places: usize) -> Estimate {
    let sum = bodies.iter().copied().fold(Estimate::default(), Estimate::add);
    let lengths: Vec<i64> = bodies.iter().map(|body| body.total()).collect();
    let makespan = schedule::makespan(&lengths, keys, places);
    if sum.total() == 0 {
        return sum;
    }
    // In the same parts as the sum of all.
    let waiting = (makespan as f64 * (sum.waiting as f64 / sum.total() as f64)).round() as i64;
    Estimate { work: makespan - waiting, waiting, or_more: sum.or_more }
}
