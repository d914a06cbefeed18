//! What events say about blocks: entered, skipped, failed, stopped by a guard, undone, paused.

use super::{BlockState, IllegalEvent, RunState, StoppedBlock, illegal, is_undo};
use crate::catalog::actions::{Class, action as declared};
use crate::engine::event::{Failure, Id};
use crate::engine::locate::{is_block, locate};
use crate::plan::graph::NodeKind;

impl RunState {
    pub(super) fn block_event(&mut self, id: &Id, block: BlockState) -> Result<(), IllegalEvent> {
        let located = locate(&self.graph, id).ok_or_else(|| illegal(format!("the graph has no `{id}`")))?;
        if located.node.kind.is_step() {
            return Err(illegal(format!("`{id}` is a step")));
        }
        match self.blocks.get(id) {
            None => {}
            // Entered, it may still find that it cannot begin.
            Some(BlockState::Entered(_)) if matches!(block, BlockState::Failed(_)) => {}
            Some(_) => return Err(illegal(format!("`{id}` was entered before"))),
        }
        self.blocks.insert(id.clone(), block);
        Ok(())
    }

    /// A block stops; one that was only halted may yet be undone.
    pub(super) fn block_stopped(
        &mut self,
        id: &Id,
        failure: &Failure,
        undo: bool,
        guard: Option<&Id>,
    ) -> Result<(), IllegalEvent> {
        if !is_block(&self.graph, id) {
            return Err(illegal(format!("`{id}` is no block that can stop")));
        }
        if self.stopped.get(id).is_some_and(|stopped| stopped.undo || !undo) {
            return Err(illegal(format!("`{id}` was stopped before")));
        }
        let stopped =
            StoppedBlock { failure: failure.clone(), undo, is_undone: false, stuck: Vec::new(), guard: guard.cloned() };
        self.stopped.insert(id.clone(), stopped);
        self.paused.retain(|guard| !is_guard_of(guard, id));
        Ok(())
    }

    pub(super) fn block_undone(&mut self, id: &Id, stuck: &[Id]) -> Result<(), IllegalEvent> {
        match self.stopped.get_mut(id) {
            Some(stopped) if stopped.undo && !stopped.is_undone => {
                stopped.is_undone = true;
                stopped.stuck = stuck.to_vec();
                Ok(())
            }
            _ => Err(illegal(format!("`{id}` is not being undone"))),
        }
    }

    /// Whether a step below a prefix that has acted is a point of no return: a commit counts from its intent.
    pub fn has_committed(&self, prefix: &str) -> bool {
        let below = format!("{prefix}/");
        let mut steps = self.steps.range(below.clone()..).take_while(|(id, _)| id.starts_with(&below));
        steps.any(|(id, step)| step.acted && !is_undo(id) && self.is_commit(id))
    }

    fn is_commit(&self, id: &str) -> bool {
        locate(&self.graph, id).is_some_and(|located| match &located.node.kind {
            NodeKind::Action(action) => match declared(&action.name).map(|decl| decl.class) {
                Some(Class::Commit) | None => true,
                Some(Class::CommitUnlessUndo) => action.undo.is_none(),
                Some(Class::Reversible | Class::Neutral) => false,
            },
            _ => false,
        })
    }

    pub(super) fn pause(&mut self, guard: &Id) -> Result<(), IllegalEvent> {
        if locate(&self.graph, guard).is_none() || !self.paused.insert(guard.clone()) {
            return Err(illegal(format!("`{guard}` is no guard that can begin to hold")));
        }
        Ok(())
    }

    pub(super) fn unpause(&mut self, guard: &Id) -> Result<(), IllegalEvent> {
        if self.paused.remove(guard) { Ok(()) } else { Err(illegal(format!("`{guard}` does not hold"))) }
    }

    /// The guards of kind `pause` of a block itself that hold now.
    pub fn pauses_of(&self, prefix: &str) -> impl Iterator<Item = &Id> {
        self.paused.iter().filter(move |guard| is_guard_of(guard, prefix))
    }
}

/// Whether a guard stands in that block itself.
fn is_guard_of(guard: &str, prefix: &str) -> bool {
    guard.rsplit_once('/').map_or("", |(before, _)| before) == prefix
}
