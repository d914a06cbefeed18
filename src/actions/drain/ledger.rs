//! How many evictions a budget has left for us, between what its status shows and what we have asked of it since.
//!
//! The accounts are those of all drains of a run: a credit that one of them uses is not there for another. An eviction is
//! posted only where the cache shows a credit, since the server decides by that very status. What is checked, in case the
//! cache lies, is the cache: a read of the budgets, one for all drains together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::actions::chance::Chance;
use crate::facts::objects::{Budget, Pod};

/// For how many milliseconds a budget that holds pods has said nothing new until the cache is checked.
const QUIET: (u32, u32) = (10_000, 30_000);
/// How many milliseconds pass between two checks of a run.
const BETWEEN_CHECKS: (u32, u32) = (30_000, 60_000);

/// After how many milliseconds an eviction whose answer nobody took counts no more: its drain is gone. Longer than an
/// answer may take.
const FORGOTTEN: i64 = 30_000;

/// The budgets that the drains of a run draw on.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<Books>);

impl Accounts {
    pub(super) fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a check of the cache, if one of these budgets has held pods for so long and no other check is on its way.
    pub(super) fn begin_check<'k>(
        self: &Arc<Self>,
        held: impl IntoIterator<Item = &'k String>,
        now: i64,
    ) -> Option<Check> {
        let mut books = self.lock();
        let is_held = |key: &&String| !books.has_credit(key, now);
        let mut held = held.into_iter().filter(is_held);
        let is_due = held.any(|key| books.check_at(key).is_some_and(|at| now >= at));
        if books.is_checked || !is_due {
            return None;
        }
        books.is_checked = true;
        Some(Check { accounts: self.clone(), asked: now })
    }
}

/// What is known of the budgets.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// By namespace and name.
    ledgers: BTreeMap<String, Ledger>,
    /// Unix milliseconds before which the cache is not checked.
    next_check: i64,
    /// Whether a check is on its way.
    is_checked: bool,
}

impl Books {
    /// Takes what the watch shows of a budget.
    pub(super) fn see(&mut self, key: String, budget: &Arc<Budget>, now: i64, chance: &Chance) {
        let new = || Ledger::new(budget.clone(), now, chance);
        self.ledgers.entry(key).or_insert_with(new).see(budget, now, chance);
    }

    pub(super) fn ledger(&mut self, key: &str) -> Option<&mut Ledger> {
        self.ledgers.get_mut(key)
    }

    /// Whether one more eviction may be posted; of a budget that is not known the server tells.
    pub(super) fn has_credit(&self, key: &str, now: i64) -> bool {
        self.ledgers.get(key).is_none_or(|ledger| ledger.credit(now) > 0)
    }

    /// When the cache is to be checked for what it shows of a budget that holds pods; `None` while it is being checked.
    pub(super) fn check_at(&self, key: &str) -> Option<i64> {
        let ledger = self.ledgers.get(key).filter(|_| !self.is_checked)?;
        Some(ledger.quiet_until.max(self.next_check))
    }
}

/// A check of the cache that is on its way. Dropped before it is done, another begins.
#[derive(Debug)]
pub(super) struct Check {
    accounts: Arc<Accounts>,
    /// Unix milliseconds from which on the server is asked.
    asked: i64,
}

impl Check {
    /// The cache has what the server had.
    pub(super) fn done(self, now: i64, chance: &Chance) {
        let mut books = self.accounts.lock();
        books.next_check = now + i64::from(chance.between(BETWEEN_CHECKS.0, BETWEEN_CHECKS.1));
        for ledger in books.ledgers.values_mut() {
            ledger.checked(self.asked);
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.accounts.lock().is_checked = false;
    }
}

/// One budget.
#[derive(Debug)]
pub(super) struct Ledger {
    /// As the watch shows it.
    budget: Arc<Budget>,
    /// Evictions that are on their way: the pod's UID, and when it was posted.
    flying: BTreeMap<String, i64>,
    /// When evictions were accepted that the status shown may not count yet.
    spent: Vec<i64>,
    /// When the server said no although the status shown allows some: it is behind.
    refused: Option<i64>,
    /// Unix milliseconds until which what it shows is taken as it is.
    quiet_until: i64,
}

impl Ledger {
    fn new(budget: Arc<Budget>, now: i64, chance: &Chance) -> Self {
        let (flying, spent) = (BTreeMap::new(), Vec::new());
        Self { budget, flying, spent, refused: None, quiet_until: now + quiet(chance) }
    }

    /// Takes what the watch shows. A version that was not seen before begins a new account.
    fn see(&mut self, budget: &Arc<Budget>, now: i64, chance: &Chance) {
        if budget.metadata.resource_version != self.budget.metadata.resource_version {
            self.budget = budget.clone();
            self.spent.clear();
            self.refused = None;
            self.quiet_until = now + quiet(chance);
        }
    }

    /// What it shows is what the server had when it was asked: what we did before is in it, or took nothing from it.
    fn checked(&mut self, asked: i64) {
        self.spent.retain(|at| *at >= asked);
        self.refused = self.refused.filter(|at| *at >= asked);
    }

    fn credit(&self, now: i64) -> i64 {
        let status = &self.budget.status;
        // While it is behind its spec the server answers "still being processed".
        if self.refused.is_some() || status.observed_generation < self.budget.metadata.generation {
            return 0;
        }
        let flying = self.flying.values().filter(|posted| now - **posted < FORGOTTEN).count();
        let ours = i64::try_from(flying + self.spent.len()).unwrap_or(i64::MAX);
        status.disruptions_allowed.saturating_sub(ours)
    }

    pub(super) fn posted(&mut self, pod: &str, now: i64, chance: &Chance) {
        self.flying.insert(pod.to_owned(), now);
        self.quiet_until = now + quiet(chance);
    }

    pub(super) fn accepted(&mut self, pod: &str, now: i64) {
        self.flying.remove(pod);
        self.spent.push(now);
    }

    pub(super) fn refused(&mut self, pod: &str, now: i64) {
        self.flying.remove(pod);
        self.refused = Some(now);
    }

    /// The eviction came to nothing that the budget knows of.
    pub(super) fn returned(&mut self, pod: &str) {
        self.flying.remove(pod);
    }
}

/// How long what a budget shows is taken as it is, in milliseconds.
fn quiet(chance: &Chance) -> i64 {
    chance.between(QUIET.0, QUIET.1).into()
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
