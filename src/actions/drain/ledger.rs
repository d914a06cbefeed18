//! How many evictions a budget has left for us, between what its status shows and what we have asked of it since.
//!
//! The accounts are those of all drains of a run: a credit that one of them uses is not there for another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::actions::chance::Chance;
use crate::facts::objects::{Budget, Pod};

/// After how many milliseconds one eviction is posted though the status allows none: the cache may lie.
const FALLBACK: (u32, u32) = (10_000, 30_000);

/// After how many milliseconds an eviction whose answer nobody took counts no more: its drain is gone. Longer than an
/// answer may take.
const FORGOTTEN: i64 = 30_000;

/// The budgets that the drains of a run draw on, by namespace and name.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<BTreeMap<String, Ledger>>);

impl Accounts {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Ledger>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One budget.
#[derive(Debug)]
pub(super) struct Ledger {
    /// As the watch shows it.
    budget: Arc<Budget>,
    /// Evictions that are on their way: the pod's UID, and when it was posted.
    flying: BTreeMap<String, i64>,
    /// Evictions that were accepted, and that the status shown may not count yet.
    spent: i64,
    /// Whether the server said no although the status shown allows some: it is behind.
    refused: bool,
    /// Unix milliseconds at which one is posted all the same.
    probe_at: i64,
}

impl Ledger {
    pub(super) fn new(budget: Arc<Budget>, now: i64, chance: &Chance) -> Self {
        Self { budget, flying: BTreeMap::new(), spent: 0, refused: false, probe_at: now + fallback(chance) }
    }

    /// Takes what the watch shows. A version that was not seen before begins a new account.
    pub(super) fn see(&mut self, budget: &Arc<Budget>, now: i64, chance: &Chance) {
        if budget.metadata.resource_version != self.budget.metadata.resource_version {
            self.budget = budget.clone();
            self.spent = 0;
            self.refused = false;
            self.probe_at = now + fallback(chance);
        }
    }

    /// Whether one more eviction may be posted.
    pub(super) fn has_credit(&self, now: i64) -> bool {
        self.credit(now) > 0 || (self.in_flight(now) == 0 && now >= self.probe_at)
    }

    fn in_flight(&self, now: i64) -> i64 {
        let flying = self.flying.values().filter(|posted| now - **posted < FORGOTTEN).count();
        i64::try_from(flying).unwrap_or(i64::MAX)
    }

    fn credit(&self, now: i64) -> i64 {
        let status = &self.budget.status;
        // While it is behind its spec the server answers "still being processed".
        if self.refused || status.observed_generation < self.budget.metadata.generation {
            return 0;
        }
        status.disruptions_allowed - self.in_flight(now) - self.spent
    }

    pub(super) fn posted(&mut self, pod: &str, now: i64, chance: &Chance) {
        self.flying.insert(pod.to_owned(), now);
        self.probe_at = now + fallback(chance);
    }

    pub(super) fn accepted(&mut self, pod: &str) {
        self.flying.remove(pod);
        self.spent += 1;
    }

    pub(super) fn refused(&mut self, pod: &str) {
        self.flying.remove(pod);
        self.refused = true;
    }

    /// The eviction came to nothing that the budget knows of.
    pub(super) fn returned(&mut self, pod: &str) {
        self.flying.remove(pod);
    }

    /// When one is posted though the status allows none; `None` while an answer is awaited.
    pub(super) fn wakes_at(&self, now: i64) -> Option<i64> {
        (self.in_flight(now) == 0).then_some(self.probe_at)
    }
}

/// A fallback's pause in milliseconds.
pub(super) fn fallback(chance: &Chance) -> i64 {
    chance.between(FALLBACK.0, FALLBACK.1).into()
}

/// Whether evicting the pod takes from its one budget (eviction.go, `Create`): not while it is pending, and one that is
/// not ready passes if its policy lets it.
pub(super) fn draws(pod: &Pod, budget: &Budget) -> bool {
    if pod.status.phase == "Pending" {
        return false;
    }
    let status = &budget.status;
    let is_let_pass = match budget.spec.unhealthy_pod_eviction_policy.as_deref() {
        Some("AlwaysAllow") => true,
        _ => status.current_healthy >= status.desired_healthy && status.desired_healthy > 0,
    };
    pod.is_ready() || !is_let_pass
}
