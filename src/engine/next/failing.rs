//! The failed steps that a resume begins anew.

use crate::engine::event::Id;
use crate::engine::locate::{FINALLY, between};
use crate::engine::state::StepStatus;
use crate::plan::graph::{Block, Node, NodeKind, OnFailure, Rollout};
use crate::plan::path;

use super::{Mode, Status, Walk};

impl<'s> Walk<'s> {
    pub(super) fn failed_in(&mut self, block: &'s Block, prefix: &str, failed: &mut Vec<Id>) {
        // What is undone, or is being undone, is not begun anew.
        if self.state.stopped.get(prefix).is_some_and(|stopped| stopped.undo) {
            return;
        }
        for node in &block.nodes {
            let status = self.peek(|walk| walk.node(node, prefix, Mode::Stop));
            if status == Status::Failed && block.on_failure == Some(OnFailure::Continue) {
                return;
            }
            self.failed_at(node, prefix, failed);
            if status != Status::Done {
                return;
            }
        }
    }

    pub(super) fn failed_at(&mut self, node: &'s Node, prefix: &str, failed: &mut Vec<Id>) {
        let id = path(prefix, &node.id);
        match &node.kind {
            NodeKind::If { .. } => {
                if let Some(block) = self.arm(node) {
                    self.failed_in(block, prefix, failed);
                }
            }
            NodeKind::Group(group) => {
                self.failed_in(&group.body, &id, failed);
                if let Some(finally) = &group.finally {
                    self.failed_in(finally, &path(&id, FINALLY), failed);
                }
            }
            NodeKind::Parallel { .. } if self.state.stopped.get(&id).is_some_and(|stopped| stopped.undo) => {}
            NodeKind::Parallel { body, .. } => {
                for node in &body.nodes {
                    self.failed_at(node, &id, failed);
                }
            }
            NodeKind::Rollout(rollout) => self.failed_in_rollout(rollout, &id, failed),
            kind if kind.is_step() => {
                if matches!(self.state.steps.get(&id).map(|step| &step.status), Some(StepStatus::Failed(_))) {
                    failed.push(id);
                }
            }
            _ => {}
        }
    }

    pub(super) fn failed_in_rollout(&mut self, rollout: &'s Rollout, id: &Id, failed: &mut Vec<Id>) {
        let Some(state) = self.state.rollouts.get(id) else { return };
        if state.batch < state.batches() {
            for element in state.failed.union(&state.active) {
                self.frames.push((id.clone(), state.elements[*element].name.clone()));
                self.failed_in(&rollout.body, &path(id, &state.elements[*element].name), failed);
                self.frames.pop();
            }
            if let Some(block) = &rollout.between {
                self.failed_in(block, &path(id, &between(state.batch + 1)), failed);
            }
        } else if let Some(finally) = &rollout.finally {
            self.failed_in(finally, &path(id, FINALLY), failed);
        }
    }
}
