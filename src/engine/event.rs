//! The one type of event: what the journal holds, what a replay folds, what screens and reports are made from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::value::{ObjectRef, Value};

use super::people::Person;

/// A step's, block's or rollout's path: `workers/ip-10-0-3-7/drain`.
pub type Id = String;

/// Something that happened in a run, in the order in which it was decided. Times are Unix milliseconds and stand in the
/// record around an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The run began; the graph and the sources lie beside the journal.
    RunStarted {
        /// The graph's digest.
        digest: String,
        /// For every choice that is left to chance.
        seed: u64,
        /// UID to hash of the pod template, of the workloads that were whole then.
        whole: BTreeMap<String, String>,
    },
    /// A driver took the run: the first, or one that resumes it. Failed steps that nobody decided about are open again.
    DriverStarted {
        /// 1, 2, …
        driver: u32,
        /// Where it runs.
        host: String,
        /// Its process.
        pid: u32,
        /// Its version.
        sprag: String,
        /// For how many milliseconds nobody was there: attended deadlines move by it.
        absent: i64,
    },
    /// A step's intent: durable before anything is done.
    StepStarted {
        /// Which step.
        step: Id,
        /// From 1.
        attempt: u32,
        /// When it has failed for being late (attended time; wall time for `wait` and `approve`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<i64>,
        /// The arguments, put together.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        args: BTreeMap<String, Value>,
        /// What the mutation replaces, captured at the first attempt and never again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pre_image: Option<serde_json::Value>,
    },
    /// Something on the way of a step.
    StepProgress {
        /// Which step.
        step: Id,
        /// What.
        progress: Progress,
    },
    /// A step is over, for this attempt.
    StepEnded {
        /// Which step.
        step: Id,
        /// How.
        outcome: Outcome,
    },
    /// A block with `when` was looked at and left out.
    BlockSkipped {
        /// Which group or rollout.
        block: Id,
    },
    /// A block with `when` or a limit was looked at and entered.
    BlockEntered {
        /// Which group, rollout or parallel.
        block: Id,
        /// How many branches run at a time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    },
    /// A block could not begin.
    BlockFailed {
        /// Which group, rollout or parallel.
        block: Id,
        /// Why.
        failure: Failure,
    },
    /// A block stops and has failed: a guard fired, or it said `on failure rollback`.
    BlockStopped {
        /// The block's prefix: an element, a group, a parallel; empty for the whole.
        block: Id,
        /// Why; of a guard, with what it saw.
        failure: Failure,
        /// Whether it is undone then.
        undo: bool,
        /// The guard that fired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guard: Option<Id>,
    },
    /// A block was undone as far as that was possible: it is over for good.
    BlockUndone {
        /// The block's prefix.
        block: Id,
        /// Undo steps that did not succeed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stuck: Vec<Id>,
    },
    /// A guard of kind `pause` holds: its block settles.
    Paused {
        /// The guard.
        guard: Id,
        /// What it saw.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        saw: Vec<String>,
    },
    /// A guard of kind `pause` holds no longer.
    Unpaused {
        /// The guard.
        guard: Id,
    },
    /// A rollout looked at its list.
    RolloutStarted {
        /// Which rollout.
        rollout: Id,
        /// Its elements in the order in which they take their turn.
        elements: Vec<Element>,
        /// How many each batch holds.
        batches: Vec<usize>,
        /// How many bodies run side by side.
        concurrency: usize,
        /// How many may fail.
        max_failures: usize,
        /// Names that are carried out and were not planned.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        joined: Vec<String>,
        /// Names that were planned and are not carried out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gone: Vec<String>,
    },
    /// An element's turn came: its body begins.
    ElementStarted {
        /// Which rollout.
        rollout: Id,
        /// Index into its elements.
        element: usize,
    },
    /// An element was gone before its turn.
    ElementSkipped {
        /// Which rollout.
        rollout: Id,
        /// Index into its elements.
        element: usize,
        /// Why.
        why: String,
    },
    /// A node took the name of an element that this run's own `delete_node` deleted: it is the element from now on.
    ElementReplaced {
        /// Which rollout.
        rollout: Id,
        /// Index into its elements.
        element: usize,
        /// The new object.
        by: ObjectRef,
    },
    /// A person decided about a step that asked, or that failed.
    Decided {
        /// Which step.
        step: Id,
        /// What.
        decision: Decision,
        /// Who.
        by: String,
    },
    /// A person said yes to what a step asks: it is done.
    Approved {
        /// Which step.
        step: Id,
        /// Who.
        by: Person,
    },
    /// A person gave the run up: it stops, what has a `finally` runs it, and the run has ended.
    AbortRequested {
        /// Who.
        by: Person,
        /// Whether what the run did is undone first.
        rollback: bool,
    },
    /// Nobody was there though the driver did not end: the machine slept, or the process was stopped. Attended deadlines
    /// move by it.
    Absent {
        /// For how many milliseconds.
        absent: i64,
    },
    /// No request has succeeded for ten seconds: nothing begins, attended clocks stand still.
    OutOfReach {
        /// Since when, Unix milliseconds.
        since: i64,
        /// What was the matter last.
        detail: String,
    },
    /// The cluster answers again: attended deadlines move by the time that it was away.
    InReach {
        /// For how many milliseconds it was away.
        away: i64,
    },
    /// A signal: waits end at once, steps end by their interrupt class, nothing begins.
    StopRequested {
        /// Such as `SIGINT`.
        signal: String,
    },
    /// The driver let go; `resume` goes on.
    RunHalted {
        /// Why.
        reason: HaltReason,
    },
    /// The run is over for good.
    RunEnded {
        /// How.
        outcome: RunOutcome,
    },
}

impl Event {
    /// The step, block or rollout that it is about.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::StepStarted { step, .. }
            | Self::StepProgress { step, .. }
            | Self::StepEnded { step, .. }
            | Self::Decided { step, .. }
            | Self::Approved { step, .. } => Some(step),
            Self::BlockSkipped { block }
            | Self::BlockEntered { block, .. }
            | Self::BlockFailed { block, .. }
            | Self::BlockStopped { block, .. }
            | Self::BlockUndone { block, .. } => Some(block),
            Self::Paused { guard, .. } | Self::Unpaused { guard } => Some(guard),
            Self::RolloutStarted { rollout, .. }
            | Self::ElementStarted { rollout, .. }
            | Self::ElementSkipped { rollout, .. }
            | Self::ElementReplaced { rollout, .. } => Some(rollout),
            Self::RunStarted { .. }
            | Self::DriverStarted { .. }
            | Self::AbortRequested { .. }
            | Self::Absent { .. }
            | Self::OutOfReach { .. }
            | Self::InReach { .. }
            | Self::StopRequested { .. }
            | Self::RunHalted { .. }
            | Self::RunEnded { .. } => None,
        }
    }

    /// Whether it is what a person said, which may be noted while nobody drives the run.
    pub fn is_said(&self) -> bool {
        matches!(self, Self::Decided { .. } | Self::Approved { .. } | Self::AbortRequested { .. })
    }

    /// Its name in the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::DriverStarted { .. } => "driver_started",
            Self::StepStarted { .. } => "step_started",
            Self::StepProgress { .. } => "step_progress",
            Self::StepEnded { .. } => "step_ended",
            Self::BlockSkipped { .. } => "block_skipped",
            Self::BlockEntered { .. } => "block_entered",
            Self::BlockFailed { .. } => "block_failed",
            Self::BlockStopped { .. } => "block_stopped",
            Self::BlockUndone { .. } => "block_undone",
            Self::Paused { .. } => "paused",
            Self::Unpaused { .. } => "unpaused",
            Self::RolloutStarted { .. } => "rollout_started",
            Self::ElementStarted { .. } => "element_started",
            Self::ElementSkipped { .. } => "element_skipped",
            Self::ElementReplaced { .. } => "element_replaced",
            Self::Decided { .. } => "decided",
            Self::Approved { .. } => "approved",
            Self::AbortRequested { .. } => "abort_requested",
            Self::Absent { .. } => "absent",
            Self::OutOfReach { .. } => "out_of_reach",
            Self::InReach { .. } => "in_reach",
            Self::StopRequested { .. } => "stop_requested",
            Self::RunHalted { .. } => "run_halted",
            Self::RunEnded { .. } => "run_ended",
        }
    }
}

/// One element of a rollout, with what was pinned as the rollout began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Element {
    /// Its segment in ids: the name, %-escaped.
    pub name: String,
    /// The element.
    pub value: Value,
    /// `one … at a time`: only different keys run side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Value>,
    /// `let` and pinned fields of the body, by slot.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
    /// Which arm each `if` of the body takes: choice and index, the number of arms for `else`. (Pairs, since a map with
    /// numbers as keys does not come back from within an internally tagged enum.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<(u32, usize)>,
}

/// What happens on the way of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Progress {
    /// The server accepted the eviction of this pod.
    Evicted {
        /// The pod.
        pod: ObjectRef,
        /// The UID of its workload, of a pod that no budget covers: as long as its replacement is not ready it is out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workload: Option<String>,
    },
    /// A command was started and is held until this is durable.
    Command {
        /// The process and its group.
        process: Process,
    },
    /// A hold began: the condition is true since then.
    HoldStarted,
    /// A hold broke: the condition is not true.
    HoldBroken,
    /// An attempt failed and the next one comes at `next`.
    AttemptFailed {
        /// What was the matter.
        failure: Failure,
        /// Unix milliseconds.
        next: i64,
    },
}

/// A process that a step started, told apart from another of the same number by its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The host's name.
    pub host: String,
    /// The leader of the group.
    pub pid: i32,
    /// The host's boot and the process's start in it, as one text.
    pub started: String,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it was to do.
    Done {
        /// What it recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Value>,
        /// What a person should know, such as "was cordoned by someone else".
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// `when` was false.
    Skipped,
    /// It failed; no attempt is left.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// It was stopped in a way that lets it be begun again.
    Interrupted,
    /// Nobody can tell whether it happened: a person decides.
    InDoubt {
        /// What is known.
        why: String,
    },
}

/// Why a step failed, as a person needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// `E5xx`, `E7xx` or `W…`.
    pub code: String,
    /// One line.
    pub message: String,
    /// Further lines: who, why, since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Failure {
    /// A failure with a code and a line.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), details: Vec::new(), help: None }
    }

    /// Adds a line.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// What a person can decide about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Begin it again.
    Retry,
    /// It happened.
    Done,
    /// It did not, and is not to be tried again.
    Fail,
}

/// Why a driver let a run go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum HaltReason {
    /// A step failed; exit 10.
    StepFailed,
    /// A guard fired; exit 11.
    Guard {
        /// What it said.
        detail: String,
    },
    /// A step asks, and nothing else is to be done; exit 12.
    Asks,
    /// Nothing needs watching for as long as `--park` said; exit 14.
    Parked {
        /// When something is to be looked at, Unix milliseconds; none where only people are awaited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// The cluster or the login; exit 13.
    OutOfReach {
        /// What was the matter.
        detail: String,
    },
    /// A signal; exit 14.
    Interrupted {
        /// Which.
        signal: String,
    },
}

/// How a run ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Everything was done; failures that were tolerated are in the report.
    Done,
    /// It was undone.
    RolledBack,
    /// A person gave it up.
    Aborted,
}
