//! What slowed a run most: budgets that held pods back, and pods that took long to be ready.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Rehearsed;
use crate::engine::event::{Event, Progress};
use crate::rehearse::object::Key;

/// How many of each are told.
const TOLD: usize = 5;
/// A start that took less is nothing to tell, in milliseconds.
const SLOW: i64 = 30_000;
/// Budgets that held less back in all are nothing to tell, in milliseconds.
const SHORT: i64 = 5_000;

/// A budget that held drains back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// `namespace/name`
    pub budget: String,
    /// For how long in all, over all drains: of each, until the last pod of the budget was let go; milliseconds, the middle
    /// of all seeds.
    pub lasted: i64,
    /// How many drains it held back.
    pub drains: usize,
}

/// A workload whose new pods took long to be ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slow {
    /// `namespace/name`
    pub workload: String,
    /// The middle of all its starts, in milliseconds.
    pub took: i64,
    /// How much of that were its init containers, in milliseconds.
    pub init: i64,
    /// How many pods were started.
    pub starts: usize,
}

pub(super) fn held(rehearsed: &[Rehearsed]) -> Vec<Held> {
    let mut all: BTreeMap<String, Vec<(i64, usize)>> = BTreeMap::new();
    for one in rehearsed {
        for (budget, sums) in held_in(one) {
            all.entry(budget).or_default().push(sums);
        }
    }
    let each = all.into_iter().map(|(budget, mut sums)| {
        sums.sort_unstable();
        let (lasted, drains) = sums[sums.len() / 2];
        Held { budget, lasted, drains }
    });
    let mut held: Vec<Held> = each.filter(|held| held.lasted >= SHORT).collect();
    held.sort_by_key(|held| std::cmp::Reverse(held.lasted));
    held.truncate(TOLD);
    held
}

/// By budget: for how long it held drains back, and how many.
fn held_in(one: &Rehearsed) -> BTreeMap<String, (i64, usize)> {
    let evictions: BTreeMap<(&str, &str), &[Key]> = one
        .pages
        .evictions
        .iter()
        .map(|eviction| ((&*eviction.pod.namespace, &*eviction.pod.name), eviction.budgets.as_slice()))
        .collect();
    let mut began: BTreeMap<&str, i64> = BTreeMap::new();
    let mut latest: BTreeMap<(&str, String), i64> = BTreeMap::new();
    for record in &one.records {
        match &record.event {
            Event::StepStarted { step, .. } => {
                began.entry(step).or_insert(record.at);
            }
            Event::StepProgress { step, progress: Progress::Evicted { pod, .. } } => {
                let lasted = record.at - began.get(step.as_str()).copied().unwrap_or(record.at);
                let budgets = evictions.get(&(pod.namespace.as_str(), pod.name.as_str())).copied().unwrap_or_default();
                for budget in budgets {
                    let known = latest.entry((step, budget.to_string())).or_default();
                    *known = (*known).max(lasted);
                }
            }
            _ => {}
        }
    }
    let mut sums: BTreeMap<String, (i64, usize)> = BTreeMap::new();
    for ((_, budget), lasted) in latest.into_iter().filter(|(_, lasted)| *lasted > 1000) {
        let sum = sums.entry(budget).or_default();
        *sum = (sum.0 + lasted, sum.1 + 1);
    }
    sums
}

pub(super) fn slow(rehearsed: &[Rehearsed]) -> Vec<Slow> {
    let mut all: BTreeMap<&Key, Vec<(i64, i64)>> = BTreeMap::new();
    for start in rehearsed.iter().flat_map(|one| &one.pages.starts) {
        if let Some(workload) = &start.workload {
            all.entry(workload).or_default().push((start.took, start.init));
        }
    }
    let each = all.into_iter().map(|(workload, mut starts)| {
        starts.sort_unstable();
        let (took, init) = starts[starts.len() / 2];
        Slow { workload: workload.to_string(), took, init, starts: starts.len() / rehearsed.len().max(1) }
    });
    let mut slow: Vec<Slow> = each.filter(|slow| slow.took >= SLOW).collect();
    slow.sort_by_key(|slow| std::cmp::Reverse(slow.took));
    slow.truncate(TOLD);
    slow
}
