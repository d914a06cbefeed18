//! Beginning steps: `when`, arguments, `done when`, the pre-image, the intent, and then the action.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::actions::{Args, Attempt, StepContext, Stop};
use crate::catalog::value::Value;
use crate::expr::{Closure, Compiled, EvalError, is_closure};
use crate::plan::graph::{Action, Code, NodeKind};

use super::absence::EVERY;
use super::driver::{DriveError, Driver, Finished, Performing};
use super::event::{Event, Failure, Id, Outcome};
use super::gate::{LiveGate, Purpose, done, failed};
use super::locate::{Located, locate};
use super::state::StepStatus;

/// What a question that a step asks came to.
pub(super) enum Answer {
    /// Yes or no.
    Known(bool),
    /// Not known; it is asked again.
    NotYet,
    /// Not known for too long, or a fault.
    Failed(Failure),
}

impl Driver<'_> {
    /// Begins a step that can begin.
    pub(super) async fn begin_step(&mut self, id: &Id) -> Result<(), DriveError> {
        if self.preparing.contains(id) || self.asked_lately(id) {
            return Ok(());
        }
        let graph = self.state.graph.clone();
        let Some(located) = locate(&graph, id) else { return Ok(()) };
        match &located.node.kind {
            NodeKind::Action(_) if located.is_undo => self.begin_undo(id).await,
            NodeKind::Action(action) => self.begin_action(id, &located, action).await,
            NodeKind::Record { value, .. } => self.begin_record(id, &located, value).await,
            NodeKind::Wait { duration } => {
                let ms = self.duration(&located, Some(duration));
                self.begin_gate(id, ms, Args::new()).await
            }
            NodeKind::WaitUntil(gate) => {
                let ms = self.duration(&located, gate.within.as_ref());
                let args = self.looks(&located, gate.every.as_ref());
                self.begin_gate(id, ms, args).await
            }
            NodeKind::Assert(gate) => {
                let args = self.looks(&located, gate.every.as_ref());
                self.begin_gate(id, Ok(None), args).await
            }
            NodeKind::Approve { question, within, by } => {
                self.begin_approve(id, &located, (question, within.as_ref(), by.as_ref())).await
            }
            _ => {
                let failure = Failure::new("E599", format!("`{id}` is of a kind that this version does not carry out"));
                self.begin_and_end(id, BTreeMap::new(), failed(failure)).await
            }
        }
    }

    async fn begin_gate(
        &mut self,
        id: &Id,
        within: Result<Option<i64>, Failure>,
        args: Args,
    ) -> Result<(), DriveError> {
        match within {
            Ok(ms) => {
                let deadline = ms.map(|ms| self.now() + ms);
                self.emit(vec![self.intent(id, deadline, args, None)]).await?;
                self.take_up_gate(id).await
            }
            Err(failure) => self.begin_and_end(id, args, failed(failure)).await,
        }
    }

    /// How often a hold is looked at, kept with its intent: it tells how long nobody may look (one that cannot be told is
    /// told of as the gate is taken up).
    fn looks(&mut self, located: &Located<'_>, every: Option<&Code>) -> Args {
        match self.duration(located, every) {
            Ok(Some(ms)) => Args::from([(EVERY.to_owned(), Value::Duration(ms))]),
            Ok(None) | Err(_) => Args::new(),
        }
    }

    async fn begin_record(&mut self, id: &Id, located: &Located<'_>, value: &Code) -> Result<(), DriveError> {
        let outcome = match self.evaluate(located, value) {
            Ok(value) => Outcome::Done { value: Some(value), note: None },
            Err(EvalError::Unknown(unknown)) => match self.is_blind(id, &unknown.why) {
                Some(failure) => failed(failure),
                None => return Ok(()),
            },
            Err(EvalError::Fault(what)) => failed(Failure::new("E599", what)),
        };
        self.blind.remove(id);
        self.begin_and_end(id, Args::new(), outcome).await
    }

    async fn begin_action(&mut self, id: &Id, located: &Located<'_>, action: &Action) -> Result<(), DriveError> {
        match self.ask(id, located, action.when.as_ref()) {
            Answer::Known(true) => {}
            Answer::Known(false) => {
                return self.emit(vec![Event::StepEnded { step: id.clone(), outcome: Outcome::Skipped }]).await;
            }
            Answer::NotYet => return Ok(()),
            Answer::Failed(failure) => return self.begin_and_end(id, Args::new(), failed(failure)).await,
        }
        let args = match self.arguments(located, action) {
            Ok(args) => args,
            Err(failure) => return self.begin_and_end(id, Args::new(), failed(failure)).await,
        };
        if action.done_when.is_some() {
            match self.ask(id, located, action.done_when.as_ref()) {
                Answer::Known(true) => {
                    let note = Some("was so already".to_owned());
                    return self.begin_and_end(id, args, Outcome::Done { value: None, note }).await;
                }
                Answer::Known(false) => {}
                Answer::NotYet => return Ok(()),
                Answer::Failed(failure) => return self.begin_and_end(id, args, failed(failure)).await,
            }
        }
        self.prepare(id, action, args);
        Ok(())
    }

    /// Captures what the step will replace, once; its intent follows when that is known.
    fn prepare(&mut self, id: &Id, action: &Action, args: Args) {
        self.preparing.insert(id.clone());
        let captured = self.state.steps.get(id).and_then(|step| step.pre_image.clone());
        let deadline = self.now() + timeout_of(&args);
        let (_, receiver) = watch::channel(deadline);
        let context = self.context(id, receiver, BTreeMap::new());
        let (name, step) = (action.name.clone(), id.clone());
        self.tasks.spawn(async move {
            let pre_image = match captured {
                Some(image) => Ok(Some(image)),
                None => crate::actions::pre_image(&name, &args, &context).await,
            };
            Finished::Prepared { step, args, pre_image }
        });
    }

    /// Writes the intent and lets the action begin.
    pub(super) async fn prepared(
        &mut self,
        id: &Id,
        args: Args,
        pre_image: Result<Option<serde_json::Value>, Attempt>,
    ) -> Result<(), DriveError> {
        self.preparing.remove(id);
        if *self.stop.borrow() != Stop::No || self.state.is_stopped(id) {
            return Ok(());
        }
        let deadline = Some(self.now() + timeout_of(&args));
        match pre_image {
            Ok(image) => {
                self.emit(vec![self.intent(id, deadline, args, image)]).await?;
                self.perform(id).await
            }
            Err(attempt) => {
                self.emit(vec![self.intent(id, deadline, args, None)]).await?;
                self.concluded(id, attempt).await
            }
        }
    }

    /// Starts the action of a step whose intent is durable; `done when` is watched beside it.
    pub(super) async fn perform(&mut self, id: &Id) -> Result<(), DriveError> {
        let graph = self.state.graph.clone();
        let (Some(located), Some(step)) = (locate(&graph, id), self.state.steps.get(id)) else { return Ok(()) };
        let NodeKind::Action(action) = &located.node.kind else { return Ok(()) };
        let is_undo = located.is_undo;
        let pre_image =
            if is_undo { self.undone_step(id).and_then(|step| step.pre_image.clone()) } else { step.pre_image.clone() };
        let args = step.args.clone();
        let (deadline, receiver) = watch::channel(step.deadline.unwrap_or(i64::MAX));
        let (stop, asked) = watch::channel(*self.stop.borrow());
        let closures = match self.closures(&located, action) {
            Ok(closures) => closures,
            Err(what) => return self.concluded(id, Attempt::Refused(Failure::new("E599", what))).await,
        };
        if let Some(condition) = action.done_when.as_ref().filter(|_| !is_undo) {
            let gate = LiveGate::new(Purpose::Effect, condition.text.clone(), None);
            if let Ok(gate) = self.bind(&located, gate, condition) {
                self.effects.insert(id.clone(), gate);
            }
        }
        let mut context = self.context(id, receiver, closures);
        context.stop = asked;
        self.performing.insert(id.clone(), Performing { deadline, stop });
        let (name, step) = (action.name.clone(), id.clone());
        self.tasks.spawn(async move {
            let attempt = if is_undo {
                crate::actions::undo(&name, &args, pre_image.as_ref(), context).await
            } else {
                crate::actions::perform(&name, &args, pre_image.as_ref(), context).await
            };
            Finished::Performed { step, attempt }
        });
        Ok(())
    }

    /// Goes on with a step that an earlier driver began: its intent is durable, what came of it is not.
    pub(super) async fn take_up(&mut self, id: &Id) -> Result<(), DriveError> {
        let graph = self.state.graph.clone();
        let Some(located) = locate(&graph, id) else { return Ok(()) };
        match &located.node.kind {
            NodeKind::Action(_) if located.is_undo => self.perform(id).await,
            NodeKind::Action(action) => {
                let seen = action
                    .done_when
                    .as_ref()
                    .is_some_and(|condition| matches!(self.evaluate(&located, condition), Ok(Value::Bool(true))));
                if seen {
                    let note = Some("its effect was seen after the interruption".to_owned());
                    let outcome = Outcome::Done { value: None, note };
                    return self.emit(vec![Event::StepEnded { step: id.clone(), outcome }]).await;
                }
                self.perform(id).await
            }
            NodeKind::Record { value, .. } => {
                let outcome = match self.evaluate(&located, value) {
                    Ok(value) => Outcome::Done { value: Some(value), note: None },
                    Err(error) => failed(Failure::new("E510", error.to_string())),
                };
                self.emit(vec![Event::StepEnded { step: id.clone(), outcome }]).await
            }
            _ => self.take_up_gate(id).await,
        }
    }

    /// The answer to `when` or `done when`; yes where none is asked.
    pub(super) fn ask(&mut self, id: &Id, located: &Located<'_>, condition: Option<&Code>) -> Answer {
        let Some(condition) = condition else { return Answer::Known(true) };
        match self.evaluate(located, condition) {
            Ok(Value::Bool(value)) => {
                self.blind.remove(id);
                Answer::Known(value)
            }
            Ok(other) => Answer::Failed(Failure::new("E599", format!("`{}` is `{other}`", condition.text))),
            Err(EvalError::Fault(what)) => Answer::Failed(Failure::new("E599", what)),
            Err(EvalError::Unknown(unknown)) => {
                if let Some(gone) = self.gone_element(id) {
                    return Answer::Failed(gone);
                }
                match self.is_blind(id, &format!("`{}`: {}", condition.text, unknown.why)) {
                    Some(failure) => Answer::Failed(failure),
                    None => Answer::NotYet,
                }
            }
        }
    }

    fn arguments(&mut self, located: &Located<'_>, action: &Action) -> Result<Args, Failure> {
        let mut args = Args::new();
        for (name, code) in action.args.iter().filter(|(_, code)| !is_closure(code)) {
            match self.evaluate(located, code) {
                Ok(value) => {
                    args.insert(name.clone(), value);
                }
                Err(error) => {
                    return Err(Failure::new("E503", format!("`{name}: {}` has no value: {error}", code.text)));
                }
            }
        }
        Ok(args)
    }

    /// The arguments that the action calls by itself.
    fn closures(&self, located: &Located<'_>, action: &Action) -> Result<BTreeMap<String, Closure>, String> {
        let closures = action.args.iter().filter(|(_, code)| is_closure(code));
        closures
            .map(|(name, code)| {
                let bind = |compiled: &Compiled| self.state.bindings(located, compiled.slots());
                Ok((name.clone(), Closure::load(code, bind)?))
            })
            .collect()
    }

    pub(super) fn context(
        &self,
        id: &Id,
        deadline: watch::Receiver<i64>,
        closures: BTreeMap<String, Closure>,
    ) -> StepContext {
        let step = self.state.steps.get(id);
        StepContext {
            requests: self.run.requests.clone(),
            facts: self.run.facts.clone(),
            outside: self.run.outside.clone(),
            run: self.run.id.clone(),
            step: id.clone(),
            attempt: step.map_or(1, |step| step.attempt.max(1)),
            seed: self.state.seed,
            own: self.run.own.clone(),
            runs: self.run.runs.clone(),
            deadline,
            stop: self.stop.subscribe(),
            notes: self.notes.clone(),
            secrets: self.secrets.clone(),
            namespace: self.run.namespace.clone(),
            environment: self.environment.clone(),
            closures: Arc::new(closures),
            stagger: self.stagger.clone(),
            accounts: self.accounts.clone(),
            process: step.filter(|step| step.status == StepStatus::Running).and_then(|step| step.process.clone()),
            has_effect: self.effects.contains_key(id),
        }
    }

    pub(super) fn intent(
        &self,
        id: &Id,
        deadline: Option<i64>,
        args: Args,
        pre_image: Option<serde_json::Value>,
    ) -> Event {
        let attempt = self.state.steps.get(id).map_or(0, |step| step.attempt) + 1;
        Event::StepStarted { step: id.clone(), attempt, deadline, args, pre_image }
    }

    /// A step that is over as it begins.
    pub(super) async fn begin_and_end(&mut self, id: &Id, args: Args, outcome: Outcome) -> Result<(), DriveError> {
        let events = vec![self.intent(id, None, args, None), Event::StepEnded { step: id.clone(), outcome }];
        self.emit(events).await
    }

    /// The effect of an action under way was seen: it is over and good. One that is never interrupted is awaited, and is
    /// good whatever it says.
    pub(super) async fn effect_seen(&mut self, id: &Id) -> Result<(), DriveError> {
        let graph = self.state.graph.clone();
        let Some(located) = locate(&graph, id) else { return Ok(()) };
        let NodeKind::Action(action) = &located.node.kind else { return Ok(()) };
        let interrupt = crate::catalog::actions::action(&action.name).map(|decl| decl.interrupt);
        if interrupt == Some(crate::catalog::actions::Interrupt::Never) {
            return Ok(());
        }
        self.performing.remove(id);
        self.emit(vec![Event::StepEnded { step: id.clone(), outcome: done() }]).await
    }
}

/// The step's `timeout:` in milliseconds; ten minutes where the action has none.
fn timeout_of(args: &Args) -> i64 {
    match args.get("timeout") {
        Some(Value::Duration(ms)) => *ms,
        _ => 600_000,
    }
}
