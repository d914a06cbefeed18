//! What can begin next, and whether it is over: asked of the state, never stored in it.
//!
//! One walk over the graph from the root along what is under way. Finished elements of rollouts are not entered, so its
//! cost is that of the work under way, not of the plan.

mod abandon;

use crate::plan::graph::{Block, Node, NodeKind, OnFailure, Rollout};
use crate::plan::path;

use super::event::Id;
use super::locate::{FINALLY, Located, between, locate};
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
        if self.abort.is_some() {
            return self.next_of_abandoned(mode);
        }
        let mut walk = Walk::new(self);
        let status = walk.block(&self.graph.root, "", mode);
        Next { status, ready: walk.ready }
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

struct Walk<'s> {
    state: &'s RunState,
    ready: Vec<Ready>,
    frames: Vec<(Id, String)>,
}

impl<'s> Walk<'s> {
    fn new(state: &'s RunState) -> Self {
        Self { state, ready: Vec::new(), frames: Vec::new() }
    }

    fn block(&mut self, block: &'s Block, prefix: &str, mode: Mode) -> Status {
        for node in &block.nodes {
            let status = self.node(node, prefix, mode);
            match status {
                Status::Done => {}
                Status::Failed if block.on_failure == Some(OnFailure::Continue) => {
                    return self.close(block, prefix, mode);
                }
                other => return other,
            }
        }
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
                Some(block) => self.block(block, prefix, mode),
                None => Status::Done,
            },
            NodeKind::Group(group) => {
                if let Err(status) = self.gate(&id, group.when.is_some(), mode.statements()) {
                    return status;
                }
                match self.block(&group.body, &id, mode) {
                    Status::Done => self.finally(group.finally.as_ref(), &id, mode),
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
        let before = self.ready.len();
        let statuses: Vec<Status> = body.nodes.iter().map(|node| self.node(node, id, Mode::Stop)).collect();
        self.ready.truncate(before);
        let failed = worst(&statuses);
        let mode = if failed.is_some() { mode.settled() } else { mode };
        let mut room = limit.unwrap_or(usize::MAX);
        let (mut active, mut idle) = (false, false);
        for (node, status) in body.nodes.iter().zip(statuses) {
            if matches!(status, Status::Done | Status::Failed | Status::Asks) {
                continue;
            }
            // Branches that were begun come first in the order of the playbook, so the limit is never exceeded.
            let allowed = if room > 0 { mode } else { Mode::Stop };
            room = room.saturating_sub(1);
            match self.node(node, id, allowed) {
                Status::Active => active = true,
                _ => idle = true,
            }
        }
        match failed {
            _ if active => Status::Active,
            Some(Status::Failed) if body.on_failure == Some(OnFailure::Continue) => self.close_parallel(body, id, mode),
            Some(status) => status,
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
        let before = self.ready.len();
        let asks = state.failed.iter().any(|at| self.element(id, rollout, state, *at, Mode::Stop) == Status::Asks);
        self.ready.truncate(before);
        let exceeded = state.failed.len() > state.max_failures;
        let mode = if asks || exceeded { mode.settled() } else { mode };
        let mut active = false;
        for element in &state.active {
            active |= self.element(id, rollout, state, *element, mode.in_body()) == Status::Active;
        }
        let begun = mode == Mode::Go && self.candidates(id, state);
        match () {
            () if active || begun => Status::Active,
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
        let under_way = || state.active.iter().chain(&state.failed);
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

    /// Runs what is left to run of a block that failed and is over for good: each `finally` in it, innermost first.
    fn close(&mut self, block: &'s Block, prefix: &str, mode: Mode) -> Status {
        for node in &block.nodes {
            let before = self.ready.len();
            let status = self.node(node, prefix, Mode::Stop);
            self.ready.truncate(before);
            if status != Status::Done {
                return self.close_node(node, prefix, mode);
            }
        }
        Status::Done
    }

    fn close_node(&mut self, node: &'s Node, prefix: &str, mode: Mode) -> Status {
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

    fn close_parallel(&mut self, body: &'s Block, id: &str, mode: Mode) -> Status {
        let mut all = Status::Done;
        for node in &body.nodes {
            let before = self.ready.len();
            let status = self.node(node, id, Mode::Stop);
            self.ready.truncate(before);
            if status == Status::Failed {
                let closed = self.close_node(node, id, mode);
                if closed != Status::Done {
                    all = closed;
                }
            }
        }
        all
    }

    fn close_rollout(&mut self, rollout: &'s Rollout, id: &Id, mode: Mode) -> Status {
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

    fn failed_in(&mut self, block: &'s Block, prefix: &str, failed: &mut Vec<Id>) {
        for node in &block.nodes {
            let before = self.ready.len();
            let status = self.node(node, prefix, Mode::Stop);
            self.ready.truncate(before);
            if status == Status::Failed && block.on_failure == Some(OnFailure::Continue) {
                return;
            }
            self.failed_at(node, prefix, failed);
            if status != Status::Done {
                return;
            }
        }
    }

    fn failed_at(&mut self, node: &'s Node, prefix: &str, failed: &mut Vec<Id>) {
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

    fn failed_in_rollout(&mut self, rollout: &'s Rollout, id: &Id, failed: &mut Vec<Id>) {
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

/// `Failed` or `Asks`, whichever weighs more, if one of them is there: what a person must decide comes first.
fn worst(statuses: &[Status]) -> Option<Status> {
    let has = |status| statuses.contains(&status).then_some(status);
    has(Status::Asks).or_else(|| has(Status::Failed))
}
