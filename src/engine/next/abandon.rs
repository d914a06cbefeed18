//! What is left to run of a run that a person gave up: each `finally` of what was begun, innermost first.

use crate::engine::event::Id;
use crate::engine::locate::between;
use crate::engine::state::{BlockState, RunState};
use crate::plan::graph::{Block, Node, NodeKind, Rollout};
use crate::plan::path;

use super::{Mode, Next, Status, Walk};

impl RunState {
    /// What can begin of a run that was given up. Its status is `Done` once nothing is left.
    pub(super) fn next_of_abandoned(&self, mode: Mode) -> Next {
        let mut walk = Walk::new(self);
        let status = walk.abandon(&self.graph.root, "", mode);
        Next { status, ready: walk.ready, guards: Vec::new() }
    }

    /// How what is left of a run that was given up would stand if a driver had it.
    pub(crate) fn next_of_abandoned_by_nobody(&self) -> Status {
        self.next_of_abandoned(Mode::Go).status
    }

    /// Whether the body of a group or rollout had come to its end, well or not, before the run was given up.
    pub(crate) fn was_over(&self, id: &str) -> bool {
        let Some((mut walk, node)) = self.walk_to(id) else { return false };
        match &node.kind {
            NodeKind::Group(group) => {
                matches!(walk.block(&group.body, id, Mode::Stop), Status::Done | Status::Failed)
            }
            NodeKind::Rollout(_) => self.rollouts.get(id).is_some_and(|rollout| rollout.batch >= rollout.batches()),
            _ => false,
        }
    }

    /// Whether anything below an id was begun.
    fn is_begun(&self, id: &str) -> bool {
        let below = format!("{id}/");
        let begins = |known: Option<&Id>| known.is_some_and(|known| known.starts_with(&below));
        begins(self.steps.range(below.clone()..).next().map(|(known, _)| known))
            || begins(self.rollouts.range(below.clone()..).next().map(|(known, _)| known))
            || self.rollouts.contains_key(id)
            || self.blocks.get(id).is_some_and(BlockState::is_entered)
    }
}

impl<'s> Walk<'s> {
    /// The statements of a block up to the one that it had come to.
    fn abandon(&mut self, block: &'s Block, prefix: &str, mode: Mode) -> Status {
        for node in &block.nodes {
            match self.unasked(node, prefix) {
                Status::Done => {}
                _ => return self.abandon_node(node, prefix, mode),
            }
        }
        Status::Done
    }

    /// How a node stands, without taking what it would offer.
    fn unasked(&mut self, node: &'s Node, prefix: &str) -> Status {
        self.peek(|walk| walk.node(node, prefix, Mode::Stop))
    }

    fn abandon_node(&mut self, node: &'s Node, prefix: &str, mode: Mode) -> Status {
        let id = path(prefix, &node.id);
        let (status, finally) = match &node.kind {
            NodeKind::If { .. } => match self.arm(node) {
                Some(block) => return self.abandon(block, prefix, mode),
                None => return Status::Done,
            },
            _ if !self.state.is_begun(&id) => return Status::Done,
            NodeKind::Group(group) => (self.abandon(&group.body, &id, mode), group.finally.as_ref()),
            NodeKind::Parallel { body, .. } => (self.abandon_branches(body, &id, mode), None),
            NodeKind::Rollout(rollout) => (self.abandon_rollout(rollout, &id, mode), rollout.finally.as_ref()),
            _ => return Status::Done,
        };
        match status {
            // One that fails ends nothing: the run is over anyway.
            Status::Done => match self.finally(finally, &id, mode) {
                Status::Failed | Status::Asks => Status::Done,
                other => other,
            },
            other => other,
        }
    }

    fn abandon_branches(&mut self, body: &'s Block, id: &str, mode: Mode) -> Status {
        let mut all = Status::Done;
        for node in &body.nodes {
            if self.unasked(node, id) == Status::Done {
                continue;
            }
            match self.abandon_node(node, id, mode) {
                Status::Done => {}
                Status::Active => all = Status::Active,
                other if all == Status::Done => all = other,
                _ => {}
            }
        }
        all
    }

    fn abandon_rollout(&mut self, rollout: &'s Rollout, id: &Id, mode: Mode) -> Status {
        let Some(state) = self.state.rollouts.get(id) else { return Status::Done };
        for element in state.active.union(&state.failed) {
            let name = &state.elements[*element].name;
            self.frames.push((id.clone(), name.clone()));
            let status = self.abandon(&rollout.body, &path(id, name), mode);
            self.frames.pop();
            if status != Status::Done {
                return status;
            }
        }
        match &rollout.between {
            Some(block) => self.abandon(block, &path(id, &between(state.batch + 1)), mode),
            None => Status::Done,
        }
    }
}
