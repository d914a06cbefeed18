//! What comes of an attempt: done, another attempt, failed, in doubt.

use tokio::sync::watch;

use std::collections::BTreeMap;

use crate::actions::{Attempt, Stop};
use crate::catalog::value::Value;
use crate::plan::graph::{Action, NodeKind};

use super::driver::{DriveError, Driver, Finished};
use super::event::{Event, Failure, HaltReason, Id, Outcome, Progress};
use super::gate::failed;
use super::locate::{Located, locate};

/// The pause of a `retry` that says none, in milliseconds.
const RETRY_EVERY: i64 = 10_000;

/// How many more times an undo that failed is tried before it is shown as stuck.
const UNDO_TRIES: u32 = 5;

/// What comes after an attempt that failed.
enum AfterFailure {
    /// No further attempt.
    Over(Outcome),
    /// Another one.
    Again(Progress),
}

impl Driver<'_> {
    pub(super) async fn on_finished(&mut self, finished: Finished) -> Result<(), DriveError> {
        match finished {
            Finished::Prepared { step, args, pre_image } => self.prepared(&step, args, pre_image).await,
            Finished::Confirmed { what, result } => self.on_confirmed(what, result).await,
            Finished::Performed { step, attempt } => {
                // Its effect may have been seen before: then it is over already.
                if self.performing.remove(&step).is_none() {
                    return Ok(());
                }
                self.concluded(&step, attempt).await
            }
        }
    }

    /// Writes down what came of an attempt.
    pub(super) async fn concluded(&mut self, id: &Id, attempt: Attempt) -> Result<(), DriveError> {
        self.effects.remove(id);
        let graph = self.state.graph.clone();
        let Some(located) = locate(&graph, id) else { return Ok(()) };
        let NodeKind::Action(action) = &located.node.kind else { return Ok(()) };
        let outcome = match attempt {
            Attempt::Done { value, note } => {
                let is_recorded = action.record.is_some() && !located.is_undo;
                Outcome::Done { value: value.filter(|_| is_recorded), note }
            }
            // After a second signal a step that was cut off stays open in the journal: nobody knows what came of it.
            Attempt::Interrupted if *self.stop.borrow() == Stop::Out => return Ok(()),
            Attempt::Interrupted => Outcome::Interrupted,
            Attempt::Failed(failure) if located.is_undo => match self.after_failed_undo(id, failure) {
                AfterFailure::Over(outcome) => outcome,
                AfterFailure::Again(progress) => {
                    return self.emit(vec![Event::StepProgress { step: id.clone(), progress }]).await;
                }
            },
            Attempt::Failed(failure) => match self.after_failure(id, &located, action, failure) {
                AfterFailure::Over(outcome) => outcome,
                AfterFailure::Again(progress) => {
                    return self.emit(vec![Event::StepProgress { step: id.clone(), progress }]).await;
                }
            },
            Attempt::Refused(failure) => self.halts_the_run(&failure).unwrap_or_else(|| failed(failure)),
            Attempt::InDoubt(why) => self.in_doubt(&located, action, why),
        };
        let is_done = matches!(outcome, Outcome::Done { .. });
        self.emit(vec![Event::StepEnded { step: id.clone(), outcome }]).await?;
        if is_done && !located.is_undo {
            self.tidy(id, action);
        }
        Ok(())
    }

    /// Lets an action remove what it left behind, now that its outcome is durable.
    fn tidy(&mut self, id: &Id, action: &Action) {
        let Some(step) = self.state.steps.get(id) else { return };
        let (name, args) = (action.name.clone(), step.args.clone());
        let (_, receiver) = watch::channel(i64::MAX);
        let context = self.context(id, receiver, BTreeMap::new());
        while self.tidying.try_join_next().is_some() {}
        self.tidying.spawn(async move { crate::actions::tidy(&name, &args, &context).await });
    }

    /// What comes after an attempt that failed.
    fn after_failure(&mut self, id: &Id, located: &Located<'_>, action: &Action, failure: Failure) -> AfterFailure {
        if self.effect_is_there(located, action) {
            let note = Some(format!("its effect is there, though it said: {}", failure.message));
            return AfterFailure::Over(Outcome::Done { value: None, note });
        }
        if let Some(outcome) = self.halts_the_run(&failure) {
            return AfterFailure::Over(outcome);
        }
        let (more, every) = self.retries(located, action);
        let tries = self.state.steps.get(id).map_or(1, |step| step.tries);
        if i64::from(tries) > more || *self.stop.borrow() != Stop::No {
            return AfterFailure::Over(failed(failure));
        }
        let next = self.now() + every;
        AfterFailure::Again(Progress::AttemptFailed { failure, next })
    }

    /// An undo is tried again, for as long as a cluster mostly needs to come to itself.
    fn after_failed_undo(&mut self, id: &Id, failure: Failure) -> AfterFailure {
        if let Some(outcome) = self.halts_the_run(&failure) {
            return AfterFailure::Over(outcome);
        }
        let tries = self.state.steps.get(id).map_or(1, |step| step.tries);
        if tries > UNDO_TRIES || *self.stop.borrow() != Stop::No {
            return AfterFailure::Over(failed(failure));
        }
        AfterFailure::Again(Progress::AttemptFailed { failure, next: self.now() + RETRY_EVERY })
    }

    /// A cluster out of reach, a login that ended or a right that is gone is no failure of the step: the run is halted,
    /// and the step is open.
    fn halts_the_run(&mut self, failure: &Failure) -> Option<Outcome> {
        if !OUT_OF_REACH.contains(&failure.code.as_str()) {
            return None;
        }
        self.halting.get_or_insert(HaltReason::OutOfReach { detail: failure.message.clone() });
        self.ask_to_stop(Stop::Stop);
        Some(Outcome::Interrupted)
    }

    /// A command of which nobody knows whether it ran: its effect tells, or another try is allowed, or a person decides.
    fn in_doubt(&mut self, located: &Located<'_>, action: &Action, why: String) -> Outcome {
        if self.effect_is_there(located, action) {
            let note = Some("its effect was seen after the interruption".to_owned());
            return Outcome::Done { value: None, note };
        }
        if action.done_when.is_some() || action.retry.is_some() {
            Outcome::Interrupted
        } else {
            Outcome::InDoubt { why }
        }
    }

    fn effect_is_there(&mut self, located: &Located<'_>, action: &Action) -> bool {
        match &action.done_when {
            Some(condition) => matches!(self.evaluate(located, condition), Ok(Value::Bool(true))),
            None => false,
        }
    }

    /// How many more times, and the pause between.
    fn retries(&mut self, located: &Located<'_>, action: &Action) -> (i64, i64) {
        let Some((count, every)) = &action.retry else { return (0, RETRY_EVERY) };
        let count = match self.evaluate(located, count) {
            Ok(Value::Int(count)) => count,
            _ => 0,
        };
        let every = match self.evaluate(located, every) {
            Ok(Value::Duration(ms)) => ms,
            _ => RETRY_EVERY,
        };
        (count, every)
    }
}

/// Codes of failures that are the cluster's or the login's, not the step's: out of reach, no login, a right that is gone.
const OUT_OF_REACH: &[&str] = &["E710", "E711", "E712"];
