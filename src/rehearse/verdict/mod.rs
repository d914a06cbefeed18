//! The verdict of a rehearsal: what a run would come to, over several seeds.
//!
//! - [`Rehearsed`]: what was seen in one rehearsal
//! - [`Verdict`]: all of them together: how long, what blocks and why, what becomes of the workloads, what slows it

mod elements;
mod holds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::effects::Assumed;
use super::ledger::{Pages, Room, Workload};
use super::object::Key;
use crate::engine::Ending;
use crate::engine::event::{Event, Failure, HaltReason, Outcome};
use crate::engine::locate::locate;
use crate::journal::Record;
use crate::plan::graph::{Graph, NodeKind};

pub use elements::ElementTime;
pub use holds::{Held, Slow};

/// A pod that waited longer than this for a node is told, in milliseconds.
const UNPLACED: i64 = 30_000;

/// What was seen in one rehearsal.
#[derive(Debug, Clone)]
pub struct Rehearsed {
    /// The seed.
    pub seed: u64,
    /// Every event.
    pub records: Vec<Record<Event>>,
    /// How it ended.
    pub ending: Ending,
    /// From its first to its last moment, Unix milliseconds.
    pub span: (i64, i64),
    /// The availability ledger.
    pub pages: Pages,
    /// What was assumed of commands and jobs.
    pub assumed: Assumed,
}

/// What a run would come to. Times are milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// 1: the form of its JSON.
    pub schema: u32,
    /// The playbook's name.
    pub playbook: String,
    /// The world's name.
    pub world: String,
    /// As of when the world is, Unix milliseconds.
    pub as_of: i64,
    /// How many seeds were tried.
    pub seeds: usize,
    /// Of how many of them the run went through.
    pub through: usize,
    /// The exit code that the run would end with: the worst of all seeds.
    pub exit: u8,
    /// What was assumed, and of how many steps.
    pub assumed: Assumed,
    /// How long the work took, without `waiting`.
    pub took: Spread,
    /// What of it was time that a playbook only lets pass: `wait D` and holds outside rollouts.
    pub waiting: i64,
    /// What would not go through.
    pub stuck: Vec<Stuck>,
    /// Budgets that held drains back, most first.
    pub held: Vec<Held>,
    /// Workloads whose new pods took long to be ready, longest first.
    pub slow: Vec<Slow>,
    /// The least that was left to ask for.
    pub room: Option<LeastRoom>,
    /// Pods that found no room for a while.
    pub unplaced: Vec<NoRoom>,
    /// What became of each workload that was touched, the worst of all seeds.
    pub availability: Vec<Availability>,
    /// How long each element took, in the seed whose time is the median.
    pub elements: Vec<ElementTime>,
}

/// Durations over the seeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: i64,
    /// The shortest.
    pub least: i64,
    /// The longest.
    pub most: i64,
}

impl Spread {
    /// Of some durations, in any order.
    pub fn of(mut durations: Vec<i64>) -> Self {
        durations.sort_unstable();
        let at = |index: usize| durations.get(index).copied().unwrap_or(0);
        Self { median: at(durations.len() / 2), least: at(0), most: at(durations.len().saturating_sub(1)) }
    }
}

/// A step that failed, or a run that was let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stuck {
    /// The step; empty where none failed.
    pub step: String,
    /// The code of its reason.
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// Who, which budget, why.
    pub details: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// After how long, in the first seed that it was seen in.
    pub after: i64,
    /// In how many seeds.
    pub seeds: usize,
}

/// The least room, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeastRoom {
    /// Percent of processors that were left on nodes that took pods.
    pub cpu: f64,
    /// Percent of memory.
    pub memory: f64,
    /// How many nodes took pods then.
    pub nodes: usize,
    /// After how long.
    pub after: i64,
}

/// A pod that found no room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoRoom {
    /// `namespace/name`
    pub pod: String,
    /// Its workload.
    pub workload: Option<String>,
    /// After how long it began to wait.
    pub after: i64,
    /// For how long; to the end where it found none.
    pub lasted: i64,
    /// Whether it found one.
    pub found: bool,
    /// The scheduler's words.
    pub why: String,
}

/// What became of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// `namespace/name`
    pub workload: String,
    /// Its kind.
    pub kind: String,
    /// How many are wanted.
    pub desired: i64,
    /// The fewest that were ready.
    pub lowest: i64,
    /// After how long.
    pub after: i64,
    /// The element that was under way then.
    pub during: Option<String>,
    /// For how long fewer than wanted were ready.
    pub below: i64,
    /// How many pods were moved twice.
    pub moved_twice: usize,
    /// Whether a budget covers it; `None` where no pod of it was evicted.
    pub has_budget: Option<bool>,
}

impl Verdict {
    /// The verdict over rehearsals of one plan, at least one.
    pub fn new(graph: &Arc<Graph>, world: &str, rehearsed: &[Rehearsed]) -> Self {
        let is_through = |one: &&Rehearsed| exit_of(one) == 0;
        let through: Vec<&Rehearsed> = rehearsed.iter().filter(is_through).collect();
        let counted: Vec<&Rehearsed> = if through.is_empty() { rehearsed.iter().collect() } else { through.clone() };
        let waiting = counted.iter().map(|one| waiting(graph, one)).max().unwrap_or(0);
        let took = |one: &&Rehearsed| one.span.1 - one.span.0 - waiting.min(one.span.1 - one.span.0);
        let spread = Spread::of(counted.iter().map(took).collect());
        let median = counted.iter().find(|one| took(one) == spread.median);
        Self {
            schema: 1,
            playbook: graph.name.clone(),
            world: world.to_owned(),
            as_of: graph.cluster.as_of,
            seeds: rehearsed.len(),
            through: through.len(),
            exit: rehearsed.iter().map(exit_of).max().unwrap_or(0),
            assumed: assumed(rehearsed),
            took: spread,
            waiting,
            stuck: stuck(rehearsed),
            held: holds::held(rehearsed),
            slow: holds::slow(rehearsed),
            room: room(rehearsed),
            unplaced: unplaced(rehearsed),
            availability: availability(rehearsed),
            elements: median.map(|one| elements::times(one)).unwrap_or_default(),
        }
    }

    /// Whether the run goes through with every seed.
    pub fn goes_through(&self) -> bool {
        self.through == self.seeds
    }
}

/// The exit code that a run ends with (LANGUAGE.md, section 8).
pub fn exit_of(one: &Rehearsed) -> u8 {
    let is_stuck =
        |record: &Record<Event>| matches!(&record.event, Event::BlockUndone { stuck, .. } if !stuck.is_empty());
    one.ending.exit_code(one.records.iter().any(is_stuck))
}

fn assumed(rehearsed: &[Rehearsed]) -> Assumed {
    let mut all = Assumed::new();
    for (what, steps) in rehearsed.iter().flat_map(|one| &one.assumed) {
        let known = all.entry(what.clone()).or_default();
        *known = (*known).max(*steps);
    }
    all
}

/// How long steps outside rollouts only let time pass.
fn waiting(graph: &Arc<Graph>, one: &Rehearsed) -> i64 {
    let only_waits = |step: &str| {
        locate(graph, step).is_some_and(|located| {
            located.frames.is_empty()
                && match &located.node.kind {
                    NodeKind::Wait { .. } => true,
                    NodeKind::Assert(gate) => gate.hold.is_some(),
                    _ => false,
                }
        })
    };
    let mut began = BTreeMap::new();
    let mut sum = 0;
    for record in &one.records {
        match &record.event {
            Event::StepStarted { step, .. } if only_waits(step) => {
                began.insert(step.clone(), record.at);
            }
            Event::StepEnded { step, .. } => sum += began.remove(step).map_or(0, |at| record.at - at),
            _ => {}
        }
    }
    sum
}

fn stuck(rehearsed: &[Rehearsed]) -> Vec<Stuck> {
    let mut all: Vec<Stuck> = Vec::new();
    for one in rehearsed {
        let mut seen = BTreeSet::new();
        for record in &one.records {
            let after = record.at - one.span.0;
            let found = match &record.event {
                Event::StepEnded { step, outcome: Outcome::Failed { failure } } => failed(step, failure, after),
                Event::StepEnded { step, outcome: Outcome::InDoubt { why } } => asks(step, why, after),
                Event::BlockFailed { block, failure } => failed(block, failure, after),
                Event::BlockStopped { block, failure, guard: Some(_), .. } => {
                    failed(if block.is_empty() { "the run" } else { block }, failure, after)
                }
                Event::RunHalted { reason: HaltReason::OutOfReach { detail } } => asks("", detail, after),
                _ => continue,
            };
            let is_same = |known: &&mut Stuck| known.step == found.step && known.code == found.code;
            if seen.insert((found.step.clone(), found.code.clone())) {
                match all.iter_mut().find(is_same) {
                    Some(known) => known.seeds += 1,
                    None => all.push(Stuck { seeds: 1, ..found }),
                }
            }
        }
    }
    all
}

fn failed(step: &str, failure: &Failure, after: i64) -> Stuck {
    let Failure { code, message, details, help } = failure.clone();
    Stuck { step: step.to_owned(), code, message, details, help, after, seeds: 0 }
}

fn asks(step: &str, why: &str, after: i64) -> Stuck {
    failed(step, &Failure::new("", why), after)
}

fn room(rehearsed: &[Rehearsed]) -> Option<LeastRoom> {
    let least = |one: &Rehearsed| one.pages.room.clone().map(|room| (room, one.span.0));
    let all = rehearsed.iter().filter_map(least);
    let (room, began) = all.min_by(|(one, _), (other, _)| one.share().total_cmp(&other.share()))?;
    let percent = |(has, asked): (i64, i64)| if has > 0 { (has - asked) as f64 * 100.0 / has as f64 } else { 0.0 };
    let Room { at, cpu, memory, nodes } = room;
    Some(LeastRoom { cpu: percent(cpu), memory: percent(memory), nodes, after: at - began })
}

/// Of the seed with the most of them.
fn unplaced(rehearsed: &[Rehearsed]) -> Vec<NoRoom> {
    let each = rehearsed.iter().map(|one| {
        let (began, ended) = one.span;
        let lasted = |pod: &super::ledger::Unplaced| pod.until.unwrap_or(ended) - pod.since;
        let long = one.pages.unplaced.iter().filter(|pod| lasted(pod) >= UNPLACED);
        let told = long.map(|pod| NoRoom {
            pod: pod.pod.to_string(),
            workload: pod.workload.as_ref().map(Key::to_string),
            after: pod.since - began,
            lasted: lasted(pod),
            found: pod.until.is_some(),
            why: pod.why.clone(),
        });
        told.collect::<Vec<_>>()
    });
    each.max_by_key(Vec::len).unwrap_or_default()
}

/// Of each workload the seed in which it came off worst.
fn availability(rehearsed: &[Rehearsed]) -> Vec<Availability> {
    let mut worst: BTreeMap<Key, (i64, Availability)> = BTreeMap::new();
    for one in rehearsed {
        for (key, workload) in one.pages.touched() {
            let short = workload.desired_then - workload.lowest;
            let told = told(key, workload, one);
            match worst.get_mut(key) {
                None => {
                    worst.insert(key.clone(), (short, told));
                }
                Some((known, row)) => {
                    let (moved, below) = (row.moved_twice.max(told.moved_twice), row.below.max(told.below));
                    if short > *known {
                        (*known, *row) = (short, told);
                    }
                    (row.moved_twice, row.below) = (moved, below);
                }
            }
        }
    }
    let mut rows: Vec<Availability> = worst.into_values().map(|(_, row)| row).collect();
    rows.sort_by(|one, other| {
        let left = |row: &Availability| (row.lowest, row.lowest - row.desired);
        left(one).cmp(&left(other)).then_with(|| one.workload.cmp(&other.workload))
    });
    rows
}

fn told(key: &Key, workload: &Workload, one: &Rehearsed) -> Availability {
    Availability {
        workload: key.to_string(),
        kind: key.kind.info().map_or("", |info| info.name).to_owned(),
        desired: if workload.desired_then > 0 { workload.desired_then } else { workload.desired },
        lowest: workload.lowest,
        after: workload.lowest_at - one.span.0,
        during: elements::under_way(one, workload.lowest_at),
        below: workload.below,
        moved_twice: workload.moved_again,
        has_budget: workload.is_touched.then_some(workload.has_budget),
    }
}
