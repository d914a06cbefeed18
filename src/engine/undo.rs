//! Stopping a block and undoing it: what the driver does about it; what is to be undone next is asked of the state.

use crate::actions::Stop;

use super::driver::{DriveError, Driver};
use super::event::{Event, Failure, Id};
use super::state::{StepState, StepStatus, UNDO, is_below, is_undo};

/// How long one attempt to put a value back may take, in milliseconds.
const UNDO_TIMEOUT: i64 = 600_000;

impl Driver<'_> {
    /// A block that says `on failure rollback` has failed.
    pub(super) async fn stop_failed(&mut self, block: Id) -> Result<(), DriveError> {
        let failed = self.failures_below(&block);
        let failure = match failed.first() {
            Some((id, failure)) => Failure::new("E523", format!("`{id}` failed: {}", failure.message)),
            None => Failure::new("E523", "something in it failed"),
        };
        self.emit(vec![Event::BlockStopped { block: block.clone(), failure, undo: true, guard: None }]).await?;
        self.stop_below(&block).await
    }

    /// A run that was given up and is to be undone first is stopped as a whole.
    pub(super) async fn undo_for_abort(&mut self) -> Result<(), DriveError> {
        let Some(abort) = self.state.abort.as_ref().filter(|abort| abort.rollback) else { return Ok(()) };
        if self.state.stopped.get("").is_some_and(|stopped| stopped.undo) {
            return Ok(());
        }
        let failure = Failure::new("E525", format!("given up by {}", abort.by));
        self.emit(vec![Event::BlockStopped { block: String::new(), failure, undo: true, guard: None }]).await
    }

    /// Failed steps of a block, in order of their ids.
    fn failures_below(&self, block: &str) -> Vec<(Id, Failure)> {
        let steps = self.state.steps.iter().filter(|(id, _)| is_below(id, block) && !is_undo(id));
        let failed = steps.filter_map(|(id, step)| match &step.status {
            StepStatus::Failed(failure) => Some((id.clone(), failure.clone())),
            _ => None,
        });
        failed.collect()
    }

    /// Asks what is under way in a block to stop, each by its interrupt class; what only waits ends at once.
    pub(super) async fn stop_below(&mut self, block: &str) -> Result<(), DriveError> {
        for (_, one) in self.performing.iter().filter(|(id, _)| is_below(id, block) && !is_undo(id)) {
            one.stop.send_if_modified(|stop| {
                let is_more = *stop < Stop::Stop;
                *stop = (*stop).max(Stop::Stop);
                is_more
            });
        }
        self.end_gates_of(|_, id| is_below(id, block) && !is_undo(id)).await
    }

    /// Nothing of a block is left to undo.
    pub(super) async fn note_undone(&mut self, block: Id) -> Result<(), DriveError> {
        let steps = self.state.steps.iter().filter(|(id, _)| is_below(id, &block) && is_undo(id));
        let stuck = steps.filter(|(_, step)| matches!(step.status, StepStatus::Failed(_) | StepStatus::InDoubt(_)));
        let stuck: Vec<Id> = stuck.map(|(id, _)| id.clone()).collect();
        self.emit(vec![Event::BlockUndone { block, stuck }]).await
    }

    /// Puts back what a step replaced.
    pub(super) async fn begin_undo(&mut self, id: &Id) -> Result<(), DriveError> {
        let args = self.undone_step(id).map(|step| step.args.clone()).unwrap_or_default();
        let deadline = Some(self.now() + UNDO_TIMEOUT);
        self.emit(vec![self.intent(id, deadline, args, None)]).await?;
        self.perform(id).await
    }

    /// The step that an undo is of.
    pub(super) fn undone_step(&self, undo: &str) -> Option<&StepState> {
        self.state.steps.get(undo.strip_suffix(UNDO)?.strip_suffix('/')?)
    }
}
