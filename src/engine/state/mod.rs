//! The state of a run: a fold of its events, the same live, on resume and in `status`.
//!
//! [`RunState::apply`] is pure and total: no clock, no I/O; an event that cannot follow what came before is an
//! [`IllegalEvent`], which in a journal means damage. What follows from the events is never stored in them: whether a
//! block is over, which batch is on, what can begin next are asked of the state ([`super::next`]).

mod blocks;
mod rollouts;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::types::Kind;
use crate::catalog::value::{ObjectRef, Value};
use crate::plan::graph::{Graph, NodeKind};

use super::absence::hold_after;
use super::event::{Element, Event, Failure, HaltReason, Id, Process, RunOutcome};
use super::locate::{Located, locate};
use super::people::Abort;

/// A gap in a hold that is not counted, in milliseconds; a longer one begins the hold anew (LANGUAGE.md section 6).
pub const HOLD_GAP: i64 = 120_000;

/// A step that may be begun again at once, or not.
#[derive(Debug, Clone, PartialEq)]
pub enum StepStatus {
    /// To be begun: never was, was interrupted, or is open again after a failure.
    Open,
    /// Begun; a driver that starts finds it under way.
    Running,
    /// An attempt failed; the next begins at this time (Unix milliseconds).
    Retrying(i64),
    /// It did what it was to do.
    Done,
    /// Its `when` was false.
    Skipped,
    /// It failed.
    Failed(Failure),
    /// A person decides whether it happened.
    InDoubt(String),
}

/// What the events say about one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// How it stands.
    pub status: StepStatus,
    /// How often it was begun.
    pub attempt: u32,
    /// How often it was begun since it was last opened: `retry` counts these.
    pub tries: u32,
    /// When it was first begun.
    pub started: i64,
    /// When it ended, if it did.
    pub ended: Option<i64>,
    /// When the attempt has failed for being late.
    pub deadline: Option<i64>,
    /// What the first attempt found.
    pub pre_image: Option<serde_json::Value>,
    /// Whether an attempt began to act: what undo has to do something about.
    pub acted: bool,
    /// The arguments of the last attempt.
    pub args: BTreeMap<String, Value>,
    /// UIDs of the pods whose eviction was accepted.
    pub evicted: BTreeSet<String>,
    /// The process that the attempt started.
    pub process: Option<Process>,
    /// Since when its condition holds.
    pub hold: Option<i64>,
    /// What a person should know.
    pub note: Option<String>,
    /// Whether a person said that it failed: a resume does not open it again.
    pub given_up: bool,
}

/// What the events say about a block with `when`, a limit, or a failure of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum BlockState {
    /// Entered; so many branches at a time.
    Entered(Option<usize>),
    /// Its `when` was false.
    Skipped,
    /// It could not begin.
    Failed(Failure),
}

/// A block that a guard or a failure stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct StoppedBlock {
    /// Why.
    pub failure: Failure,
    /// Whether it is undone.
    pub undo: bool,
    /// Whether that is over: it is over for good.
    pub is_undone: bool,
    /// Undo steps that did not succeed.
    pub stuck: Vec<Id>,
    /// The guard that fired, if one did.
    pub guard: Option<Id>,
}

/// How an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementStatus {
    /// Its turn has not come.
    Waiting,
    /// Its body is under way.
    Active,
    /// Its body was completed.
    Done,
    /// It was gone before its turn.
    Skipped,
    /// Its body failed, or asks a person.
    Failed,
}

/// What the events say about one rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutState {
    /// In the order in which they take their turn.
    pub elements: Vec<Element>,
    /// How each stands.
    pub status: Vec<ElementStatus>,
    /// Where each batch begins; the last entry is the number of elements.
    pub bounds: Vec<usize>,
    /// The batch that is on, from 0; as many as there are when all are over.
    pub batch: usize,
    /// How many bodies run side by side.
    pub concurrency: usize,
    /// How many may fail.
    pub max_failures: usize,
    /// Carried out and not planned.
    pub joined: Vec<String>,
    /// Planned and not carried out.
    pub gone: Vec<String>,
    /// When it began.
    pub started: i64,
    /// Indices of those of the batch whose turn has not come.
    pub waiting: BTreeSet<usize>,
    /// Indices of those under way.
    pub active: BTreeSet<usize>,
    /// Indices of those that failed.
    pub failed: BTreeSet<usize>,
    by_name: BTreeMap<String, usize>,
}

/// Where the run as a whole stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Nothing was noted yet.
    New,
    /// A driver has it.
    Running,
    /// A signal came: nothing begins any more.
    Stopping(String),
    /// The driver let go.
    Halted(HaltReason),
    /// Over for good.
    Ended(RunOutcome),
}

/// An event that cannot follow what came before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IllegalEvent(pub String);

/// The state of a run.
#[derive(Debug, Clone)]
pub struct RunState {
    /// What is carried out.
    pub graph: Arc<Graph>,
    /// Where it stands.
    pub phase: Phase,
    /// For every choice that is left to chance.
    pub seed: u64,
    /// When it began.
    pub started: i64,
    /// When the last event was noted.
    pub last: i64,
    /// When a driver last noted something: what people say of a run that nobody drives is no sign of one.
    pub last_driven: i64,
    /// How many events were noted.
    pub events: u64,
    /// How many drivers it had.
    pub driver: u32,
    /// Since when the cluster is out of reach, Unix milliseconds.
    pub out_of_reach: Option<i64>,
    /// That a person gave it up.
    pub abort: Option<Abort>,
    /// UID to hash of the pod template, of the workloads that were whole when it began.
    pub whole: BTreeMap<String, String>,
    /// By id, of every step that was begun.
    pub steps: BTreeMap<Id, StepState>,
    /// By id, of every block about which an event was noted.
    pub blocks: BTreeMap<Id, BlockState>,
    /// By prefix, of every block that stopped: of an element, a group, a parallel, the whole (empty).
    pub stopped: BTreeMap<Id, StoppedBlock>,
    /// Guards of kind `pause` that hold now, by id.
    pub paused: BTreeSet<Id>,
    /// By id, of every rollout that began.
    pub rollouts: BTreeMap<Id, RolloutState>,
    /// Recorded values: the prefix of the innermost element (empty at the top), then the slot.
    records: BTreeMap<String, BTreeMap<String, Value>>,
}

impl RunState {
    /// The state before the first event.
    pub fn new(graph: Arc<Graph>) -> Self {
        Self {
            graph,
            phase: Phase::New,
            seed: 0,
            started: 0,
            last: 0,
            last_driven: 0,
            events: 0,
            driver: 0,
            out_of_reach: None,
            abort: None,
            whole: BTreeMap::new(),
            steps: BTreeMap::new(),
            blocks: BTreeMap::new(),
            stopped: BTreeMap::new(),
            paused: BTreeSet::new(),
            rollouts: BTreeMap::new(),
            records: BTreeMap::new(),
        }
    }

    /// The state after one more event, noted at `at` (Unix milliseconds). On an error the state is as it was.
    pub fn apply(&mut self, at: i64, event: &Event) -> Result<(), IllegalEvent> {
        self.check_phase(event)?;
        match event {
            Event::RunStarted { digest, seed, whole } => self.run_started(at, digest, *seed, whole)?,
            Event::DriverStarted { driver, absent, .. } => self.driver_started(*driver, *absent)?,
            Event::StepStarted { step, attempt, deadline, args, pre_image } => {
                self.step_started(at, step, *attempt, *deadline, args, pre_image.as_ref())?;
            }
            Event::StepProgress { step, progress } => self.step_progress(at, step, progress)?,
            Event::StepEnded { step, outcome } => self.step_ended(at, step, outcome)?,
            Event::BlockSkipped { block } => self.block_event(block, BlockState::Skipped)?,
            Event::BlockEntered { block, limit } => self.block_event(block, BlockState::Entered(*limit))?,
            Event::BlockFailed { block, failure } => self.block_event(block, BlockState::Failed(failure.clone()))?,
            Event::BlockStopped { block, failure, undo, guard } => {
                self.block_stopped(block, failure, *undo, guard.as_ref())?;
            }
            Event::BlockUndone { block, stuck } => self.block_undone(block, stuck)?,
            Event::Paused { guard, .. } => self.pause(guard)?,
            Event::Unpaused { guard } => self.unpause(guard)?,
            Event::RolloutStarted { .. } => self.rollout_started(at, event)?,
            Event::ElementStarted { rollout, element } => {
                self.element_turn(rollout, *element, ElementStatus::Active)?;
            }
            Event::ElementSkipped { rollout, element, .. } => {
                self.element_turn(rollout, *element, ElementStatus::Skipped)?;
            }
            Event::ElementReplaced { rollout, element, by } => self.element_replaced(rollout, *element, by)?,
            Event::Decided { step, decision, by } => self.decided(at, step, *decision, by)?,
            Event::Approved { step, by } => self.approved(at, step, by)?,
            Event::AbortRequested { by, rollback } => self.abort_requested(by, *rollback)?,
            Event::Absent { absent } => self.absent(*absent)?,
            Event::OutOfReach { since, .. } => self.went_out_of_reach(*since)?,
            Event::InReach { away } => self.came_into_reach(*away)?,
            Event::StopRequested { signal } => self.phase = Phase::Stopping(signal.clone()),
            Event::RunHalted { reason } => self.phase = Phase::Halted(reason.clone()),
            Event::RunEnded { outcome } => self.phase = Phase::Ended(*outcome),
        }
        self.last = at;
        if !event.is_said() {
            self.last_driven = at;
        }
        self.events += 1;
        self.refresh(event);
        Ok(())
    }

    fn check_phase(&self, event: &Event) -> Result<(), IllegalEvent> {
        let fits = match (&self.phase, event) {
            (Phase::New, Event::RunStarted { .. }) => true,
            (Phase::New, _) | (Phase::Ended(_), _) | (_, Event::RunStarted { .. }) => false,
            // A driver that was killed says nothing: the next may find the run in any phase but ended.
            (_, Event::DriverStarted { .. }) => true,
            (Phase::Halted(_), event) if event.is_said() => true,
            // What was given up and has nothing left to run needs no driver to end.
            (Phase::Halted(_), Event::RunEnded { outcome: RunOutcome::Aborted }) => self.abort.is_some(),
            (Phase::Halted(_), _) => false,
            (Phase::Running | Phase::Stopping(_), _) => true,
        };
        if fits { Ok(()) } else { Err(illegal(format!("{} after {}", event.name(), self.phase.word()))) }
    }

    fn run_started(
        &mut self,
        at: i64,
        digest: &str,
        seed: u64,
        whole: &BTreeMap<String, String>,
    ) -> Result<(), IllegalEvent> {
        if digest != self.graph.digest {
            return Err(illegal("the journal is of another graph"));
        }
        self.phase = Phase::Running;
        self.started = at;
        self.seed = seed;
        self.whole = whole.clone();
        Ok(())
    }

    /// Failed steps are open again, deadlines in attended time move by the absence, holds bridge a short gap.
    fn driver_started(&mut self, driver: u32, absent: i64) -> Result<(), IllegalEvent> {
        if driver != self.driver + 1 || absent < 0 {
            return Err(illegal(format!("driver {driver} after driver {}", self.driver)));
        }
        self.driver = driver;
        self.phase = Phase::Running;
        self.out_of_reach = None;
        let reopened: Vec<Id> = if self.abort.is_some() { Vec::new() } else { self.failing_steps() };
        self.stand_still(absent);
        for id in reopened {
            if let Some(step) = self.steps.get_mut(&id)
                && !step.given_up
            {
                step.open();
            }
        }
        self.blocks.retain(|_, block| !matches!(block, BlockState::Failed(_)));
        // What is being undone goes on being undone; a block that was only halted goes on.
        self.stopped.retain(|_, stopped| stopped.undo);
        self.refresh_all();
        Ok(())
    }

    /// Attended time stood still for so many milliseconds: what counts in it moves.
    fn stand_still(&mut self, ms: i64) {
        let graph = self.graph.clone();
        for (id, step) in &mut self.steps {
            match step.status {
                StepStatus::Running if keeps_attended_time(&graph, id) => {
                    step.deadline = step.deadline.map(|deadline| deadline + ms);
                }
                StepStatus::Retrying(next) => step.status = StepStatus::Retrying(next + ms),
                _ => {}
            }
            step.hold = hold_after(step, ms);
        }
    }

    fn absent(&mut self, ms: i64) -> Result<(), IllegalEvent> {
        if ms < 0 || self.out_of_reach.is_some() {
            return Err(illegal("an absence is counted twice"));
        }
        self.stand_still(ms);
        Ok(())
    }

    fn went_out_of_reach(&mut self, since: i64) -> Result<(), IllegalEvent> {
        if self.out_of_reach.is_some() {
            return Err(illegal("the cluster was out of reach before"));
        }
        self.out_of_reach = Some(since);
        Ok(())
    }

    fn came_into_reach(&mut self, away: i64) -> Result<(), IllegalEvent> {
        if self.out_of_reach.is_none() || away < 0 {
            return Err(illegal("the cluster was never out of reach"));
        }
        self.out_of_reach = None;
        self.stand_still(away);
        Ok(())
    }

    /// Whether this run's own `delete_node` deleted the object of an element, or does so now.
    pub(super) fn has_deleted(&self, prefix: &str, object: &ObjectRef) -> bool {
        self.steps.iter().any(|(id, step)| {
            let is_below = id.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
            let is_of_it = || step.args.get("node").and_then(Value::as_object).is_some_and(|of| of.uid == object.uid);
            is_below && is_of_it() && self.is_delete_node(id)
        })
    }

    fn is_delete_node(&self, id: &str) -> bool {
        locate(&self.graph, id).is_some_and(|located| match &located.node.kind {
            NodeKind::Action(action) => action.name == "delete_node",
            _ => false,
        })
    }

    /// The value of a slot for a step of that id: of an element around it, recorded, or of the plan.
    pub fn bindings(&self, located: &Located<'_>, slots: &BTreeSet<String>) -> BTreeMap<String, Value> {
        slots.iter().filter_map(|slot| Some((slot.clone(), self.value_of(located, slot)?))).collect()
    }

    fn value_of(&self, located: &Located<'_>, slot: &str) -> Option<Value> {
        for frame in located.frames.iter().rev() {
            if let Some(value) = self.records.get(&frame.prefix()).and_then(|records| records.get(slot)) {
                return Some(value.clone());
            }
            let Some(element) = self.rollouts.get(&frame.id).and_then(|rollout| rollout.element(&frame.element)) else {
                continue;
            };
            if slot == frame.rollout.slot {
                return Some(element.value.clone());
            }
            if let Some(value) = element.values.get(slot) {
                return Some(value.clone());
            }
        }
        let recorded = self.records.get("").and_then(|records| records.get(slot));
        recorded.or_else(|| self.graph.values.get(slot)).cloned().or_else(|| {
            (slot == OUTCOME).then(|| self.outcome_of(located.finally_of.as_deref()?)).flatten().map(Value::string)
        })
    }

    /// What `outcome` says in the `finally` of a block.
    fn outcome_of(&self, block: &str) -> Option<&'static str> {
        if self.is_undone(block) {
            return Some("rolled back");
        }
        if self.abort.is_some() && !self.was_over(block) {
            return Some("aborted");
        }
        Some(if self.body_failed(block)? { "failed" } else { "done" })
    }

    /// Names of the nodes that the run has under way: elements whose body began and did not end well.
    pub fn held_nodes(&self) -> BTreeSet<String> {
        let under_way = self.rollouts.values().flat_map(|rollout| {
            rollout.active.iter().chain(&rollout.failed).map(|element| &rollout.elements[*element].value)
        });
        let nodes = under_way.filter_map(Value::as_object).filter(|object| object.kind == Kind::Node);
        nodes.map(|node| node.name.clone()).collect()
    }

    /// Whether something around a step, or the step's own block, was stopped and is not being undone by it.
    pub fn is_stopped(&self, id: &str) -> bool {
        !is_undo(id) && self.stopped_around(id).is_some()
    }

    /// The outermost block around an id that was stopped.
    pub fn stopped_around(&self, id: &str) -> Option<(&Id, &StoppedBlock)> {
        // What was undone has stopped nothing any more: each `finally` in it is still to run.
        prefixes_of(id).filter_map(|prefix| self.stopped.get_key_value(prefix)).find(|(_, stopped)| !stopped.is_undone)
    }

    /// Whether a block around a step was undone, or is being undone.
    pub fn is_being_undone(&self, id: &str) -> bool {
        prefixes_of(id).filter_map(|prefix| self.stopped.get(prefix)).any(|stopped| stopped.undo)
    }

    /// The guard that let the run go, if one did: of the outermost block that it stopped.
    pub fn fired(&self) -> Option<HaltReason> {
        let fired = self.stopped.values().find(|stopped| stopped.guard.is_some())?;
        Some(HaltReason::Guard { detail: fired.failure.message.clone() })
    }

    /// Undo steps that did not succeed, of blocks that were undone.
    pub fn stuck(&self) -> impl Iterator<Item = &Id> {
        self.stopped.values().flat_map(|stopped| &stopped.stuck)
    }

    /// Whether a block, or one around it, was undone: it is over for good.
    pub fn is_undone(&self, id: &str) -> bool {
        let blocks = prefixes_of(id).chain([id]);
        blocks.filter_map(|prefix| self.stopped.get(prefix)).any(|stopped| stopped.is_undone)
    }

    /// The arm that an `if` of a body takes for the element around it.
    pub(super) fn choice(&self, frames: &[(Id, String)], choice: u32) -> Option<usize> {
        frames.iter().rev().find_map(|(rollout, element)| {
            let choices = &self.rollouts.get(rollout)?.element(element)?.choices;
            choices.iter().find(|(number, _)| *number == choice).map(|(_, taken)| *taken)
        })
    }
}

/// The segment under which what undoes a step or a task stands.
pub const UNDO: &str = "undo";

/// The name that `finally` blocks read.
pub const OUTCOME: &str = "outcome";

/// Whether a step's deadline stands in attended time; that of `wait D` and `approve` runs whether or not sprag does.
fn keeps_attended_time(graph: &Graph, id: &str) -> bool {
    locate(graph, id)
        .is_some_and(|located| !matches!(located.node.kind, NodeKind::Wait { .. } | NodeKind::Approve { .. }))
}

/// The prefixes of the blocks around an id, outermost first: ``, `a`, `a/b` of `a/b/c`.
fn prefixes_of(id: &str) -> impl Iterator<Item = &str> {
    std::iter::once("").chain(id.match_indices('/').map(|(at, _)| &id[..at]))
}

/// Whether an id lies below the prefix of a block; everything does below the whole.
pub fn is_below(id: &str, block: &str) -> bool {
    block.is_empty() || id.strip_prefix(block).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether an id is that of what undoes a step or a task: a segment `undo` stands in it.
pub fn is_undo(id: &str) -> bool {
    id.split('/').any(|segment| segment == UNDO)
}

fn illegal(what: impl Into<String>) -> IllegalEvent {
    IllegalEvent(what.into())
}

fn word_of(step: Option<&StepState>) -> &'static str {
    step.map_or("not begun", |step| step.status.word())
}

impl BlockState {
    /// Whether its body was entered.
    pub fn is_entered(&self) -> bool {
        matches!(self, Self::Entered(_))
    }
}

impl Phase {
    /// A few words for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::New => "not begun",
            Self::Running => "under way",
            Self::Stopping(_) => "stopping",
            Self::Halted(_) => "halted",
            Self::Ended(RunOutcome::Done) => "done",
            Self::Ended(RunOutcome::RolledBack) => "rolled back",
            Self::Ended(RunOutcome::Aborted) => "aborted",
        }
    }
}
