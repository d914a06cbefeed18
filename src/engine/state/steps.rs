//! What events say about steps.

use std::collections::{BTreeMap, BTreeSet};

use super::{IllegalEvent, RunState, StepState, StepStatus, illegal, word_of};
use crate::catalog::value::Value;
use crate::engine::event::{Decision, Failure, Id, Outcome, Progress};
use crate::engine::locate::{Frame, Located, locate};
use crate::plan::graph::NodeKind;

impl RunState {
    pub(super) fn step_started(
        &mut self,
        at: i64,
        id: &Id,
        attempt: u32,
        deadline: Option<i64>,
        args: &BTreeMap<String, Value>,
        pre_image: Option<&serde_json::Value>,
    ) -> Result<(), IllegalEvent> {
        self.step_node(id)?;
        let before = self.steps.get(id);
        let is_free = before.is_none_or(|step| matches!(step.status, StepStatus::Open | StepStatus::Retrying(_)));
        if !is_free || attempt != before.map_or(0, |step| step.attempt) + 1 {
            return Err(illegal(format!("attempt {attempt} of `{id}` begins while it is {}", word_of(before))));
        }
        let step = self.steps.entry(id.clone()).or_insert_with(|| StepState::new(at));
        step.status = StepStatus::Running;
        step.attempt = attempt;
        step.tries += 1;
        step.deadline = deadline;
        // A step that is over as it begins has no deadline, and changed nothing.
        step.acted |= deadline.is_some();
        step.args = args.clone();
        step.ended = None;
        step.process = None;
        step.hold = None;
        if step.pre_image.is_none() {
            step.pre_image = pre_image.cloned();
        }
        Ok(())
    }

    pub(super) fn step_progress(&mut self, at: i64, id: &Id, progress: &Progress) -> Result<(), IllegalEvent> {
        let step = self.running(id)?;
        match progress {
            Progress::Evicted { pod, .. } => {
                step.evicted.insert(pod.uid.clone());
            }
            Progress::Command { process } => step.process = Some(process.clone()),
            Progress::HoldStarted => step.hold = Some(at),
            Progress::HoldBroken => step.hold = None,
            Progress::AttemptFailed { next, .. } => step.status = StepStatus::Retrying(*next),
        }
        Ok(())
    }

    pub(super) fn step_ended(&mut self, at: i64, id: &Id, outcome: &Outcome) -> Result<(), IllegalEvent> {
        if let Outcome::Skipped = outcome {
            self.step_node(id)?;
            let step = self.steps.entry(id.clone()).or_insert_with(|| StepState::new(at));
            if step.status != StepStatus::Open {
                return Err(illegal(format!("`{id}` is skipped while it is {}", step.status.word())));
            }
            step.status = StepStatus::Skipped;
            step.ended = Some(at);
            return Ok(());
        }
        let step = match self.steps.get_mut(id) {
            Some(step) if matches!(step.status, StepStatus::Running | StepStatus::Retrying(_)) => step,
            other => return Err(illegal(format!("`{id}` ends while it is {}", word_of(other.as_deref())))),
        };
        step.ended = Some(at);
        match outcome {
            Outcome::Done { note, .. } => {
                step.status = StepStatus::Done;
                step.note.clone_from(note);
            }
            Outcome::Skipped => {}
            Outcome::Failed { failure } => step.status = StepStatus::Failed(failure.clone()),
            Outcome::Interrupted => step.status = StepStatus::Open,
            Outcome::InDoubt { why } => step.status = StepStatus::InDoubt(why.clone()),
        }
        if let Outcome::Done { value: Some(value), .. } = outcome {
            self.record(id, value)?;
        }
        Ok(())
    }

    pub(super) fn record(&mut self, id: &Id, value: &Value) -> Result<(), IllegalEvent> {
        let located = self.step_node(id)?;
        let slot = match &located.node.kind {
            NodeKind::Record { slot, .. } => slot.clone(),
            NodeKind::Action(action) => match &action.record {
                Some(slot) => slot.clone(),
                None => return Ok(()),
            },
            _ => return Err(illegal(format!("`{id}` records nothing"))),
        };
        let prefix = located.frames.last().map(Frame::prefix).unwrap_or_default();
        self.records.entry(prefix).or_default().insert(slot, value.clone());
        Ok(())
    }

    pub(super) fn decided(&mut self, at: i64, id: &Id, decision: Decision, by: &str) -> Result<(), IllegalEvent> {
        let step = match self.steps.get_mut(id) {
            Some(step) if matches!(step.status, StepStatus::InDoubt(_) | StepStatus::Failed(_)) => step,
            other => return Err(illegal(format!("`{id}` is {}: nothing to decide", word_of(other.as_deref())))),
        };
        step.ended = Some(at);
        step.note = Some(format!("decided by {by}"));
        match decision {
            Decision::Retry => step.open(),
            Decision::Done => step.status = StepStatus::Done,
            Decision::Fail => {
                step.given_up = true;
                step.status = StepStatus::Failed(Failure::new("E520", format!("given up by {by}")));
            }
        }
        Ok(())
    }

    pub(super) fn running(&mut self, id: &Id) -> Result<&mut StepState, IllegalEvent> {
        match self.steps.get_mut(id) {
            Some(step) if step.status == StepStatus::Running => Ok(step),
            other => Err(illegal(format!("progress of `{id}`, which is {}", word_of(other.as_deref())))),
        }
    }

    pub(super) fn step_node(&self, id: &Id) -> Result<Located<'_>, IllegalEvent> {
        let located = locate(&self.graph, id).ok_or_else(|| illegal(format!("the graph has no step `{id}`")))?;
        if located.node.kind.is_step() { Ok(located) } else { Err(illegal(format!("`{id}` is no step"))) }
    }
}

impl StepState {
    pub(super) fn new(at: i64) -> Self {
        Self {
            status: StepStatus::Open,
            attempt: 0,
            tries: 0,
            started: at,
            ended: None,
            deadline: None,
            pre_image: None,
            acted: false,
            args: BTreeMap::new(),
            evicted: BTreeSet::new(),
            process: None,
            hold: None,
            note: None,
            given_up: false,
        }
    }

    pub(super) fn open(&mut self) {
        self.status = StepStatus::Open;
        self.tries = 0;
        self.given_up = false;
        self.hold = None;
    }
}

impl StepStatus {
    /// One word or two for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "not begun",
            Self::Running => "under way",
            Self::Retrying(_) => "between two attempts",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed(_) => "failed",
            Self::InDoubt(_) => "in doubt",
        }
    }
}
