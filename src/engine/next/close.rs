//! What is left to run of blocks that failed and are over for good: their `finally`, innermost first.

use crate::engine::event::Id;
use crate::engine::state::BlockState;
use crate::plan::graph::{Block, Node, NodeKind, Rollout};
use crate::plan::path;

use super::{Mode, Status, Walk};

impl<'s> Walk<'s> {
    /// Runs what is left to run of a block that failed and is over for good: each `finally` in it, innermost first.
    pub(super) fn close(&mut self, block: &'s Block, prefix: &str, mode: Mode) -> Status {
        for node in &block.nodes {
            let status = self.peek(|walk| walk.node(node, prefix, Mode::Stop));
            if status != Status::Done {
                return self.close_node(node, prefix, mode);
            }
        }
        Status::Done
    }

    pub(super) fn close_node(&mut self, node: &'s Node, prefix: &str, mode: Mode) -> Status {
        let id = path(prefix, &node.id);
        let (status, finally) = match &node.kind {
            NodeKind::Group(group) if self.state.blocks.get(&id).is_none_or(BlockState::is_entered) => {
                (self.close(&group.body, &id, mode), group.finally.as_ref())
            }
            NodeKind::Parallel { body, .. } => (self.close_parallel(body, &id, mode), None),
            NodeKind::If { .. } => match self.arm(node) {
                Some(block) => (self.close(block, prefix, mode), None),
                None => (Status::Done, None),
            },
            NodeKind::Rollout(rollout) => (self.close_rollout(rollout, &id, mode), rollout.finally.as_ref()),
            _ => (Status::Done, None),
        };
        match status {
            // A `finally` that fails in a block whose failure is tolerated is tolerated with it.
            Status::Done => match self.finally(finally, &id, mode) {
                Status::Failed => Status::Done,
                other => other,
            },
            other => other,
        }
    }

    pub(super) fn close_parallel(&mut self, body: &'s Block, id: &str, mode: Mode) -> Status {
        let mut all = Status::Done;
        for node in &body.nodes {
            let status = self.peek(|walk| walk.node(node, id, Mode::Stop));
            if status == Status::Failed {
                let closed = self.close_node(node, id, mode);
                if closed != Status::Done {
                    all = closed;
                }
            }
        }
        all
    }

    pub(super) fn close_rollout(&mut self, rollout: &'s Rollout, id: &Id, mode: Mode) -> Status {
        let Some(state) = self.state.rollouts.get(id) else { return Status::Done };
        for element in &state.failed {
            self.frames.push((id.clone(), state.elements[*element].name.clone()));
            let status = self.close(&rollout.body, &path(id, &state.elements[*element].name), mode);
            self.frames.pop();
            if status != Status::Done {
                return status;
            }
        }
        Status::Done
    }
}
