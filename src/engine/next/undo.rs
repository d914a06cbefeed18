//! Undoing a block: newest first, in each branch only back to its last commit, which counts from its intent.
//!
//! What is to be done next is asked of the state as everything else is: an undo survives the process by itself.

use crate::catalog::actions::{Class, action as declared};
use crate::engine::event::Id;
use crate::engine::locate::between;
use crate::engine::state::{ElementStatus, RolloutState, StepStatus, StoppedBlock, UNDO, is_below, is_undo};
use crate::plan::graph::{Action, Block, Node, NodeKind, Rollout};
use crate::plan::path;

use super::{Mode, Part, Ready, Status, Walk};

/// How far undoing a part of the graph has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Undoing {
    /// Nothing in it is left to undo.
    Undone,
    /// Something in it cannot be undone: what stands before it stays.
    Committed,
    /// An undo in it did not succeed: what stands before it stays.
    Stuck,
    /// Something in it is being undone, or is to be.
    Active,
    /// Something in it is to be undone, and may not begin.
    Idle,
}

impl<'s> Walk<'s> {
    /// How a block stands that was stopped.
    pub(super) fn stopped(&mut self, part: Part<'s>, prefix: &str, mode: Mode, stopped: &StoppedBlock) -> Status {
        let below = self.peek(|walk| match part {
            Part::Series(block) => walk.statements(block, prefix, Mode::Stop),
            Part::Branches(block) => walk.branches(block, prefix, None, Mode::Stop),
        });
        if below == Status::Active && !self.is_undoing_below(prefix) {
            return Status::Active;
        }
        if !stopped.undo {
            return Status::Failed;
        }
        if stopped.is_undone {
            let closed = match part {
                Part::Series(block) => self.close(block, prefix, mode),
                Part::Branches(block) => self.close_parallel(block, prefix, mode),
            };
            return match closed {
                Status::Done | Status::Failed => Status::Failed,
                other => other,
            };
        }
        let undoing = match part {
            Part::Series(block) => self.undo_block(block, prefix, mode),
            Part::Branches(block) => self.undo_branches(block, prefix, mode),
        };
        match undoing {
            Undoing::Active => Status::Active,
            Undoing::Idle => Status::Idle,
            Undoing::Undone | Undoing::Committed | Undoing::Stuck if mode == Mode::Stop => Status::Idle,
            Undoing::Undone | Undoing::Committed | Undoing::Stuck => {
                self.ready.push(Ready::Undone(prefix.to_owned()));
                Status::Active
            }
        }
    }

    /// Whether a block within was being undone already: then what is under way below is that.
    fn is_undoing_below(&self, prefix: &str) -> bool {
        let mut running = self.state.steps.iter().filter(|(id, step)| {
            is_below(id, prefix) && matches!(step.status, StepStatus::Running | StepStatus::Retrying(_))
        });
        running.all(|(id, _)| is_undo(id))
    }

    fn undo_block(&mut self, block: &'s Block, prefix: &str, mode: Mode) -> Undoing {
        for node in block.nodes.iter().rev() {
            match self.undo_node(node, prefix, mode) {
                Undoing::Undone => {}
                other => return other,
            }
        }
        Undoing::Undone
    }

    fn undo_branches(&mut self, block: &'s Block, prefix: &str, mode: Mode) -> Undoing {
        together(block.nodes.iter().map(|node| self.undo_node(node, prefix, mode)).collect())
    }

    fn undo_node(&mut self, node: &'s Node, prefix: &str, mode: Mode) -> Undoing {
        let id = path(prefix, &node.id);
        match &node.kind {
            NodeKind::Action(action) => self.undo_step(action, &id, mode),
            NodeKind::Group(group) => match &group.undo {
                Some(undo) if self.has_acted(&id) => self.undo_by(undo, &id, mode),
                Some(_) => Undoing::Undone,
                None => self.undo_block(&group.body, &id, mode),
            },
            // Branches are undone side by side, each back to its own last commit.
            NodeKind::Parallel { body, .. } => self.undo_branches(body, &id, mode),
            NodeKind::Rollout(rollout) => self.undo_rollout(rollout, &id, mode),
            NodeKind::If { .. } => match self.arm(node) {
                Some(block) => self.undo_block(block, prefix, mode),
                None => Undoing::Undone,
            },
            NodeKind::Record { .. }
            | NodeKind::Wait { .. }
            | NodeKind::WaitUntil(_)
            | NodeKind::Assert(_)
            | NodeKind::Approve { .. }
            | NodeKind::Let { .. }
            | NodeKind::Guard(_) => Undoing::Undone,
        }
    }

    fn undo_step(&mut self, action: &'s Action, id: &Id, mode: Mode) -> Undoing {
        if !self.state.steps.get(id).is_some_and(|step| step.acted) {
            return Undoing::Undone;
        }
        if let Some(undo) = &action.undo {
            return self.undo_by(undo, id, mode);
        }
        match declared(&action.name).map(|decl| decl.class) {
            Some(Class::Neutral) => Undoing::Undone,
            Some(Class::Reversible) => self.undo_built_in(id, mode),
            Some(Class::Commit | Class::CommitUnlessUndo) | None => Undoing::Committed,
        }
    }

    /// What puts back what an action replaced.
    fn undo_built_in(&mut self, id: &Id, mode: Mode) -> Undoing {
        let undo = path(id, UNDO);
        match self.state.steps.get(&undo).map(|step| &step.status) {
            None | Some(StepStatus::Open) if mode == Mode::Stop => Undoing::Idle,
            None | Some(StepStatus::Open) => {
                self.ready.push(Ready::Step(undo));
                Undoing::Active
            }
            Some(StepStatus::Running | StepStatus::Retrying(_)) => Undoing::Active,
            Some(StepStatus::Done | StepStatus::Skipped) => Undoing::Undone,
            Some(StepStatus::Failed(_) | StepStatus::InDoubt(_)) => Undoing::Stuck,
        }
    }

    /// The `undo { … }` of a step or a task: its statements, in order.
    fn undo_by(&mut self, undo: &'s Block, id: &Id, mode: Mode) -> Undoing {
        let mode = if mode == Mode::Stop { Mode::Stop } else { Mode::Go };
        match self.block(undo, &path(id, UNDO), mode) {
            Status::Done => Undoing::Undone,
            Status::Active => Undoing::Active,
            Status::Failed | Status::Asks => Undoing::Stuck,
            Status::Idle | Status::Paused => Undoing::Idle,
        }
    }

    /// Batch after batch, the last first. An element whose body was completed is finished; one in which something was
    /// committed is a commit for what stands before its batch.
    fn undo_rollout(&mut self, rollout: &'s Rollout, id: &Id, mode: Mode) -> Undoing {
        let Some(state) = self.state.rollouts.get(id) else { return Undoing::Undone };
        for batch in (0..state.batches()).rev() {
            let behind = match &rollout.between {
                Some(block) if batch + 1 < state.batches() => {
                    self.undo_block(block, &path(id, &between(batch + 1)), mode)
                }
                _ => Undoing::Undone,
            };
            if behind != Undoing::Undone {
                return behind;
            }
            let range = state.bounds[batch]..state.bounds[batch + 1];
            let each: Vec<Undoing> =
                range.map(|element| self.undo_element(rollout, state, id, element, mode)).collect();
            match together(each) {
                Undoing::Undone => {}
                other => return other,
            }
        }
        Undoing::Undone
    }

    fn undo_element(
        &mut self,
        rollout: &'s Rollout,
        state: &'s RolloutState,
        id: &Id,
        element: usize,
        mode: Mode,
    ) -> Undoing {
        let prefix = path(id, &state.elements[element].name);
        match state.status[element] {
            ElementStatus::Waiting | ElementStatus::Skipped => Undoing::Undone,
            ElementStatus::Done if self.state.has_committed(&prefix) => Undoing::Committed,
            ElementStatus::Done => Undoing::Undone,
            ElementStatus::Active | ElementStatus::Failed => {
                self.frames.push((id.clone(), state.elements[element].name.clone()));
                let undoing = self.undo_block(&rollout.body, &prefix, mode);
                self.frames.pop();
                undoing
            }
        }
    }

    fn has_acted(&self, id: &Id) -> bool {
        let below = format!("{id}/");
        let mut steps = self.state.steps.range(below.clone()..).take_while(|(id, _)| id.starts_with(&below));
        steps.any(|(id, step)| step.acted && !is_undo(&id[below.len()..]))
    }
}

/// How parts that are undone side by side stand together: what is still under way comes first, then what is stuck.
fn together(each: Vec<Undoing>) -> Undoing {
    let has = |undoing| each.contains(&undoing).then_some(undoing);
    has(Undoing::Active)
        .or_else(|| has(Undoing::Idle))
        .or_else(|| has(Undoing::Stuck))
        .or_else(|| has(Undoing::Committed))
        .unwrap_or(Undoing::Undone)
}
