//! What can begin next, and whether it is over: asked of the state, never stored in it.
//!
//! One walk over the graph from the root along what is under way. Finished elements of rollouts are not entered, so its
//! cost is that of the work under way, not of the plan.

mod abandon;
mod close;
mod failing;
mod undo;

use crate::plan::graph::{Block, Node, NodeKind, OnFailure, Rollout};
use crate::plan::path;

use super::event::Id;
use super::locate::{FINALLY, Located, between, guard_segment, locate};
use super::state::{BlockState, Phase, RolloutState, RunState, StepStatus};

/// How a part of the graph stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Something in it is under way or can begin.
    Active,
    /// It is over and good.
    Done,
    /// It is over and has failed.
    Failed,
    /// A person has to decide before it can go on.
    Asks,
    /// It is not over, and nothing in it may begin.
    Idle,
    /// It waits for a `pause` to end.
    Paused,
}

/// Something that can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// A step.
    Step(Id),
    /// A block whose `when` or limit is to be looked at.
    Block(Id),
    /// A rollout whose list is to be looked at.
    Rollout(Id),
    /// A block that says `on failure rollback` and has failed.
    Stop(Id),
    /// A block of which everything was undone that could be.
    Undone(Id),
    /// Elements that may take their turn, in order, as many as `room` of them.
    Elements {
        /// Of which rollout.
        rollout: Id,
        /// Indices.
        candidates: Vec<usize>,
        /// How many places are free.
        room: usize,
    },
}

/// What [`RunState::next`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// How the whole stands.
    pub status: Status,
    /// What can begin, in the order of the playbook.
    pub ready: Vec<Ready>,
    /// The guards that are in force.
    pub guards: Vec<Id>,
}

/// What may begin in a part of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Everything.
    Go,
    /// Settling: no statement of its own, no element; bodies under way are carried to their end.
    Settle,
    /// In a body that is carried to its end: its statements, but no element of a rollout within.
    Carry,
    /// Nothing at all.
    Stop,
}

impl Mode {
    fn statements(self) -> bool {
        matches!(self, Self::Go | Self::Carry)
    }

    /// In the bodies under way of a rollout in this mode.
    fn in_body(self) -> Self {
        match self {
            Self::Settle => Self::Carry,
            other => other,
        }
    }

    fn settled(self) -> Self {
        match self {
            Self::Go => Self::Settle,
            other => other,
        }
    }
}

impl RunState {
    /// What can begin now.
    pub fn next(&self) -> Next {
        let mode = match self.phase {
            Phase::Running => Mode::Go,
            Phase::New | Phase::Stopping(_) | Phase::Halted(_) | Phase::Ended(_) => Mode::Stop,
        };
        // One that is undone first is walked as it was: the whole of it is stopped.
        if self.abort.as_ref().is_some_and(|abort| !abort.rollback) {
            return self.next_of_abandoned(mode);
        }
        let mut walk = Walk::new(self);
        let status = walk.block(&self.graph.root, "", mode);
        Next { status, ready: walk.ready, guards: walk.guards }
    }

    /// How the whole stands if a driver had it: what a halted run would do when resumed.
    pub fn standing(&self) -> Status {
        Walk::new(self).block(&self.graph.root, "", Mode::Go)
    }

    pub(super) fn element_status(&self, rollout: &Id, element: usize) -> Status {
        let Some((walk, node)) = self.walk_to(rollout) else { return Status::Idle };
        let (NodeKind::Rollout(template), Some(state)) = (&node.kind, self.rollouts.get(rollout)) else {
            return Status::Idle;
        };
        let mut walk = walk;
        walk.element(rollout, template, state, element, Mode::Go)
    }

    pub(super) fn between_is_done(&self, rollout: &Id, batch: usize) -> bool {
        let Some((mut walk, node)) = self.walk_to(rollout) else { return false };
        match &node.kind {
            NodeKind::Rollout(template) => match &template.between {
                Some(block) => walk.block(block, &path(rollout, &between(batch)), Mode::Go) == Status::Done,
                None => true,
            },
            _ => false,
        }
    }

    /// Whether the body of a group or rollout has failed; `None` for what is neither.
    pub(super) fn body_failed(&self, id: &str) -> Option<bool> {
        let (mut walk, node) = self.walk_to(id)?;
        match &node.kind {
            NodeKind::Group(group) => Some(walk.ended_badly(&group.body, id)),
            NodeKind::Rollout(_) => {
                let state = self.rollouts.get(id)?;
                Some(state.batch < state.batches())
            }
            _ => None,
        }
    }

    /// The failed steps that a resume begins anew: not those of blocks that are over for good.
    pub(super) fn failing_steps(&self) -> Vec<Id> {
        let mut failed = Vec::new();
        Walk::new(self).failed_in(&self.graph.root, "", &mut failed);
        failed
    }

    fn walk_to(&self, id: &str) -> Option<(Walk<'_>, &Node)> {
        let Located { node, frames, .. } = locate(&self.graph, id)?;
        let mut walk = Walk::new(self);
        walk.frames = frames.into_iter().map(|frame| (frame.id, frame.element)).collect();
        Some((walk, node))
    }
}

/// A block as its statements run: one after the other, or side by side.
#[derive(Clone, Copy)]
enum Part<'s> {
    Series(&'s Block),
    Branches(&'s Block),
}

pub(super) struct Walk<'s> {
    state: &'s RunState,
    ready: Vec<Ready>,
    /// Guards in force, of blocks that are not over.
    guards: Vec<Id>,
    frames: Vec<(Id, String)>,
}

impl<'s> Walk<'s> {
    fn new(state: &'s RunState) -> Self {
        Self { state, ready: Vec::new(), guards: Vec::new(), frames: Vec::new() }
    }

    fn block(&mut self, block: &'s Block, prefix: &str, mode: Mode) -> Status {
        let state = self.state;
        let is_paused = state.pauses_of(prefix).next().is_some();
        let status = match state.stopped.get(prefix) {
            Some(stopped) => self.stopped(Part::Series(block), prefix, mode, stopped),
            None => self.statements(block, prefix, if is_paused { mode.settled() } else { mode }),
        };
        match (status, block.on_failure) {
            (Status::Failed, Some(OnFailure::Continue)) => self.close(block, prefix, mode),
            (Status::Failed, Some(OnFailure::Rollback)) if !state.stopped.contains_key(prefix) => {
                self.offer_stop(prefix, mode)
            }
            (Status::Idle, _) if is_paused && mode != Mode::Stop => Status::Paused,
            (status, _) => status,
        }
    }

    /// Asks how something stands, without taking what it would offer.
    pub(super) fn peek<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let (ready, guards) = (self.ready.len(), self.guards.len());
        let answer = ask(self);
        self.ready.truncate(ready);
        self.guards.truncate(guards);
        answer
    }

    /// The statements of a block in order, up to the first that is not done; the guards that stand before it are in force.
    fn statements(&mut self, block: &'s Block, prefix: &str, mode: Mode) -> Status {
        let known = self.guards.len();
        for (index, node) in block.nodes.iter().enumerate() {
            if matches!(node.kind, NodeKind::Guard(_)) {
                self.guards.push(path(prefix, &guard_segment(index)));
                continue;
            }
            match self.node(node, prefix, mode) {
                Status::Done => {}
                other => return other,
            }
        }
        self.guards.truncate(known);
        Status::Done
    }

    /// Whether a statement of a block failed, tolerated or not.
    fn ended_badly(&mut self, block: &'s Block, prefix: &str) -> bool {
        let mut statuses = block.nodes.iter().map(|node| self.node(node, prefix, Mode::Stop));
        statuses.find(|status| *status != Status::Done) == Some(Status::Failed)
    }

    fn node(&mut self, node: &'s Node, prefix: &str, mode: Mode) -> Status {
        let id = path(prefix, &node.id);
        match &node.kind {
            NodeKind::Let { .. } | NodeKind::Guard(_) => Status::Done,
            NodeKind::If { .. } => match self.arm(node) {
                // Its arms are part of the block around it, whose guards and `on failure` are theirs too.
                Some(block) => self.statements(block, prefix, mode),
                None => Status::Done,
            },
            NodeKind::Group(group) => {
                if let Err(status) = self.gate(&id, group.when.is_some(), mode.statements()) {
                    return status;
                }
                match self.block(&group.body, &id, mode) {
                    Status::Done => self.finally(group.finally.as_ref(), &id, mode),
                    // Over for good: what it says at its end is said, and it has failed.
                    Status::Failed if self.state.is_undone(&id) => {
                        match self.finally(group.finally.as_ref(), &id, mode) {
                            Status::Done | Status::Failed => Status::Failed,
                            other => other,
                        }
                    }
                    other => other,
                }
            }
            NodeKind::Parallel { concurrency, body } => {
                match self.gate(&id, concurrency.is_some(), mode.statements()) {
                    Ok(limit) => self.parallel(body, &id, limit, mode),
                    Err(status) => status,
                }
            }
            NodeKind::Rollout(rollout) => match self.gate(&id, rollout.when.is_some(), mode == Mode::Go) {
                Ok(_) => self.rollout(rollout, &id, mode),
                Err(status) => status,
            },
            NodeKind::Action(_)
            | NodeKind::Record { .. }
            | NodeKind::Wait { .. }
            | NodeKind::WaitUntil(_)
            | NodeKind::Assert(_)
            | NodeKind::Approve { .. } => self.step(id, mode),
        }
    }

    fn step(&mut self, id: Id, mode: Mode) -> Status {
        match self.state.steps.get(&id).map(|step| &step.status) {
            None | Some(StepStatus::Open) if mode.statements() => {
                self.ready.push(Ready::Step(id));
                Status::Active
            }
            None | Some(StepStatus::Open) => Status::Idle,
            Some(StepStatus::Running | StepStatus::Retrying(_)) => Status::Active,
            Some(StepStatus::Done | StepStatus::Skipped) => Status::Done,
            Some(StepStatus::Failed(_)) => Status::Failed,
            Some(StepStatus::InDoubt(_)) => Status::Asks,
        }
    }

    /// The limit of a block that was entered, or how one that was not stands.
    fn gate(&mut self, id: &str, is_asked: bool, may_begin: bool) -> Result<Option<usize>, Status> {
        match self.state.blocks.get(id) {
            Some(BlockState::Entered(limit)) => Ok(*limit),
            Some(BlockState::Skipped) => Err(Status::Done),
            Some(BlockState::Failed(_)) => Err(Status::Failed),
            None if !is_asked => Ok(None),
            None if may_begin => {
                self.ready.push(Ready::Block(id.to_owned()));
                Err(Status::Active)
            }
            None => Err(Status::Idle),
        }
    }

    fn arm(&self, node: &'s Node) -> Option<&'s Block> {
        let NodeKind::If { choice, arms, otherwise } = &node.kind else { return None };
        let taken = self.state.choice(&self.frames, *choice)?;
        Some(arms.get(taken).map_or(otherwise, |(_, block)| block))
    }

    fn finally(&mut self, finally: Option<&'s Block>, id: &str, mode: Mode) -> Status {
        match finally {
            Some(block) => self.block(block, &path(id, FINALLY), mode),
            None => Status::Done,
        }
    }

    fn parallel(&mut self, body: &'s Block, id: &str, limit: Option<usize>, mode: Mode) -> Status {
        let state = self.state;
        let is_paused = state.pauses_of(id).next().is_some();
        let status = match state.stopped.get(id) {
            Some(stopped) => self.stopped(Part::Branches(body), id, mode, stopped),
            None => self.branches(body, id, limit, if is_paused { mode.settled() } else { mode }),
        };
        match (status, body.on_failure) {
            (Status::Failed, Some(OnFailure::Continue)) => self.close_parallel(body, id, mode),
            (Status::Failed, Some(OnFailure::Rollback)) if !state.stopped.contains_key(id) => self.offer_stop(id, mode),
            (Status::Idle, _) if is_paused && mode != Mode::Stop => Status::Paused,
            (status, _) => status,
        }
    }

    /// A block that says `on failure rollback` and has failed is to be stopped.
    fn offer_stop(&mut self, prefix: &str, mode: Mode) -> Status {
        if mode == Mode::Stop {
            return Status::Idle;
        }
        self.ready.push(Ready::Stop(prefix.to_owned()));
        Status::Active
    }

    /// The branches of a `parallel` side by side; its guards are in force while it is not over.
    fn branches(&mut self, body: &'s Block, id: &str, limit: Option<usize>, mode: Mode) -> Status {
        let known = self.guards.len();
        let guards = body.nodes.iter().enumerate().filter(|(_, node)| matches!(node.kind, NodeKind::Guard(_)));
        self.guards.extend(guards.map(|(index, _)| path(id, &guard_segment(index))));
        let status = self.side_by_side(body, id, limit, mode);
        if status == Status::Done {
            self.guards.truncate(known);
        }
        status
    }

    fn side_by_side(&mut self, body: &'s Block, id: &str, limit: Option<usize>, mode: Mode) -> Status {
        let statuses: Vec<Status> =
            self.peek(|walk| body.nodes.iter().map(|node| walk.node(node, id, Mode::Stop)).collect());
        let failed = worst(&statuses);
        let mode = if failed.is_some() { mode.settled() } else { mode };
        let mut room = limit.unwrap_or(usize::MAX);
        let (mut active, mut paused, mut idle) = (false, false, false);
        for (node, status) in body.nodes.iter().zip(statuses) {
            if matches!(status, Status::Done | Status::Failed | Status::Asks) {
                continue;
            }
            // Branches that were begun come first in the order of the playbook, so the limit is never exceeded.
            let allowed = if room > 0 { mode } else { Mode::Stop };
            room = room.saturating_sub(1);
            match self.node(node, id, allowed) {
                Status::Active => active = true,
                Status::Paused => paused = true,
                _ => idle = true,
            }
        }
        match failed {
            _ if active => Status::Active,
            Some(status) => status,
            None if paused => Status::Paused,
            None if idle => Status::Idle,
            None => Status::Done,
        }
    }

    fn rollout(&mut self, rollout: &'s Rollout, id: &Id, mode: Mode) -> Status {
        let Some(state) = self.state.rollouts.get(id) else {
            if mode != Mode::Go {
                return Status::Idle;
            }
            self.ready.push(Ready::Rollout(id.clone()));
            return Status::Active;
        };
        let asks = self.peek(|walk| {
            state.failed.iter().any(|at| walk.element(id, rollout, state, *at, Mode::Stop) == Status::Asks)
        });
        let exceeded = state.failed.len() > state.max_failures;
        let mode = if asks || exceeded { mode.settled() } else { mode };
        let (mut active, mut paused) = (false, false);
        for element in &state.active {
            let status = self.element(id, rollout, state, *element, mode.in_body());
            active |= status == Status::Active;
            paused |= status == Status::Paused;
        }
        let begun = mode == Mode::Go && self.candidates(id, state);
        match () {
            () if active || begun => Status::Active,
            () if paused => Status::Paused,
            () if asks => Status::Asks,
            () if exceeded => Status::Failed,
            () if !state.active.is_empty() => Status::Idle,
            // Nothing is under way and none may begin: failed elements hold every place, or every key that is left.
            () if !state.waiting.is_empty() => {
                if state.failed.is_empty() {
                    Status::Idle
                } else {
                    Status::Failed
                }
            }
            () => self.after_batch(rollout, state, id, mode),
        }
    }

    /// What comes when nothing of the batch that is on is left.
    fn after_batch(&mut self, rollout: &'s Rollout, state: &'s RolloutState, id: &Id, mode: Mode) -> Status {
        if state.batch < state.batches() {
            let mode = if mode == Mode::Carry { Mode::Settle } else { mode };
            return match &rollout.between {
                Some(block) => self.block(block, &path(id, &between(state.batch + 1)), mode),
                None => Status::Idle,
            };
        }
        for element in &state.failed {
            self.frames.push((id.clone(), state.elements[*element].name.clone()));
            let status = self.close(&rollout.body, &path(id, &state.elements[*element].name), mode);
            self.frames.pop();
            if status != Status::Done {
                return status;
            }
        }
        self.finally(rollout.finally.as_ref(), id, mode)
    }

    fn element(
        &mut self,
        id: &Id,
        rollout: &'s Rollout,
        state: &'s RolloutState,
        element: usize,
        mode: Mode,
    ) -> Status {
        let name = &state.elements[element].name;
        self.frames.push((id.clone(), name.clone()));
        let status = self.block(&rollout.body, &path(id, name), mode);
        self.frames.pop();
        status
    }

    /// Offers the elements whose turn may come; says whether there are any.
    fn candidates(&mut self, id: &Id, state: &RolloutState) -> bool {
        // What was undone is out no longer.
        let is_out = |at: &&usize| !self.state.is_undone(&path(id, &state.elements[**at].name));
        let under_way = || state.active.iter().chain(state.failed.iter().filter(is_out));
        let room = state.concurrency.saturating_sub(under_way().count());
        if room == 0 || state.waiting.is_empty() {
            return false;
        }
        let taken: Vec<_> = under_way().filter_map(|at| state.elements[*at].key.as_ref()).collect();
        let free = |at: &&usize| state.elements[**at].key.as_ref().is_none_or(|key| !taken.contains(&key));
        let candidates: Vec<usize> = state.waiting.iter().filter(free).copied().collect();
        if candidates.is_empty() {
            return false;
        }
        self.ready.push(Ready::Elements { rollout: id.clone(), candidates, room });
        true
    }
}

/// `Failed` or `Asks`, whichever weighs more, if one of them is there: what a person must decide comes first.
fn worst(statuses: &[Status]) -> Option<Status> {
    let has = |status| statuses.contains(&status).then_some(status);
    has(Status::Asks).or_else(|| has(Status::Failed))
}
