//! What a drain has done about each pod, and what it does next. Pure: time, facts and answers are handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fate::{Fate, Obstacle, tolerates_cordon};
use super::ledger::{Accounts, Check, draws};
use crate::actions::chance::Chance;
use crate::catalog::value::Value;
use crate::engine::observe::PodsGone;
use crate::expr::total_order;
use crate::facts::objects::{Budget, Pod};
use crate::why::{self, Reason, pod_name};

/// How long after the watch showed the cordon a list of the node's pods can be the last: until then the scheduler may
/// still bind a pod that it chose the node for before.
pub(super) const LATE_ARRIVALS: i64 = 1_000;
/// After how many milliseconds an eviction whose answer was lost, or that ran into another change, is posted again.
const AGAIN: (u32, u32) = (1_000, 3_000);
/// After how many milliseconds a pod is posted again that a webhook holds, or a budget that the watch does not show.
const LATER: (u32, u32) = (10_000, 30_000);
/// After how many milliseconds a pod that others hold back is looked at again, though no fact changed.
const LOOKS: i64 = 1_000;

/// Where a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is to be evicted, not before that time.
    Waits(i64),
    /// Its eviction is on its way.
    Posted,
    /// It goes: accepted, or terminating anyway.
    Goes,
    /// It is not there any more.
    Gone,
}

/// One pod of the node.
#[derive(Debug)]
pub(super) struct Tracked {
    /// As it was seen last.
    pub(super) pod: Arc<Pod>,
    pub(super) stage: Stage,
    /// The budgets that cover it, as the watch shows them.
    budgets: Vec<Arc<Budget>>,
    /// The key in the ledgers that its eviction on its way is counted under.
    counted: Option<String>,
    /// Whether it is not evicted, but ends by itself.
    pub(super) ends: bool,
    /// Whether somebody else evicted or deleted it, as far as that was seen: one that was on its way when it was listed
    /// first may have been evicted by an earlier attempt.
    by_others: bool,
    /// Its key by `order`, or why it is not known; `None` where nothing is ordered.
    pub(super) key: Option<Result<Value, String>>,
    /// Why it is not posted, where no budget holds it.
    pub(super) waits: Option<Reason>,
}

impl Tracked {
    fn new(pod: Arc<Pod>) -> Self {
        let stage = if pod.metadata.is_terminating() { Stage::Goes } else { Stage::Waits(0) };
        Self { pod, stage, budgets: Vec::new(), counted: None, ends: false, by_others: false, key: None, waits: None }
    }

    fn uid(&self) -> &str {
        &self.pod.metadata.uid
    }

    /// The one budget that its eviction takes from.
    fn drawn(&self) -> Option<&Arc<Budget>> {
        match self.budgets.as_slice() {
            [budget] if !self.ends && draws(&self.pod, budget) => Some(budget),
            _ => None,
        }
    }

    /// Whether a budget decides when it goes.
    pub(super) fn is_held(&self) -> bool {
        self.waits.is_none() && self.drawn().is_some()
    }

    /// Why it is not its turn; `first` is the key of those whose turn it is.
    fn out_of_turn(&self, first: Option<&Value>) -> Option<Reason> {
        match (self.key.as_ref()?, first?) {
            (Ok(key), first) if total_order(key, first).is_gt() => Some(why::not_its_turn(&self.pod)),
            (Ok(_), _) => None,
            (Err(unknown), _) => Some(why::no_turn(&self.pod, unknown)),
        }
    }

    /// The budgets that keep it from ever being evicted, because they are several.
    pub(super) fn several(&self) -> Option<&[Arc<Budget>]> {
        (!self.ends && self.budgets.len() > 1 && self.pod.status.phase != "Pending").then_some(self.budgets.as_slice())
    }
}

/// What the facts show of a pod.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// It is there, covered by these budgets.
    There(Arc<Pod>, Vec<Arc<Budget>>),
    /// It is not.
    Gone,
}

/// What came of an eviction.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::actions) enum Answer {
    /// The server accepted it.
    Accepted,
    /// No pod of that UID is there: somebody else was faster.
    Gone,
    /// The budget said no, in its words.
    Held,
    /// It goes by itself, because its namespace does.
    Leaves,
    /// It cannot be told, and the pod is there: again.
    Again,
    /// A webhook said no, or could not be asked: again after a while.
    Barred(String),
}

/// One drain.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// In order of namespace and name.
    pub(super) pods: Vec<Tracked>,
    /// Of all drains of the run.
    accounts: Arc<Accounts>,
    /// UIDs of the controllers of pods that tolerate the cordon and were evicted.
    may_return: BTreeSet<String>,
    /// Pods that came back to the cordoned node and are left.
    pub(super) returned: BTreeSet<String>,
    /// How many evictions were accepted.
    pub(super) evicted: usize,
}

impl Drain {
    /// One that knows of no pods yet.
    pub(super) fn drawing_on(accounts: Arc<Accounts>) -> Self {
        Self { accounts, ..Self::default() }
    }

    /// Takes a list of the node's pods with what is to be done about each; says what stands in the way. Pods that are
    /// listed are there, whatever the watch said before.
    pub(super) fn listed(&mut self, listed: Vec<(Arc<Pod>, Fate)>) -> Vec<(String, Obstacle)> {
        let mut obstacles = Vec::new();
        for (pod, fate) in listed {
            let known = self.pods.iter_mut().find(|tracked| tracked.uid() == pod.metadata.uid);
            match (known, fate) {
                (Some(tracked), Fate::Goes | Fate::Ends | Fate::Refused(_)) if tracked.stage == Stage::Gone => {
                    tracked.stage = Stage::Goes
                }
                (Some(_), _) | (None, Fate::Stays) => {}
                (None, Fate::Goes | Fate::Ends | Fate::Refused(_)) if has_returned(&self.may_return, &pod) => {
                    self.returned.insert(pod_name(&pod));
                }
                (None, Fate::Refused(obstacle)) => obstacles.push((pod_name(&pod), obstacle)),
                (None, Fate::Goes) => self.pods.push(Tracked::new(pod)),
                (None, Fate::Ends) => self.pods.push(Tracked { ends: true, ..Tracked::new(pod) }),
            }
        }
        self.pods.sort_by_cached_key(|tracked| pod_name(&tracked.pod));
        obstacles
    }

    /// The pods that are not gone.
    pub(super) fn left(&self) -> impl Iterator<Item = &Tracked> {
        self.pods.iter().filter(|tracked| tracked.stage != Stage::Gone)
    }

    /// Takes what the facts show of the pods that are left, by UID.
    pub(super) fn look(&mut self, shown: &BTreeMap<String, Shown>, now: i64, chance: &Chance) {
        for tracked in self.pods.iter_mut().filter(|tracked| tracked.stage != Stage::Gone) {
            match shown.get(tracked.uid()) {
                // Of an eviction on its way the answer is awaited: its budget counts it.
                Some(Shown::Gone) if tracked.stage != Stage::Posted => {
                    tracked.by_others |= matches!(tracked.stage, Stage::Waits(_)) && !tracked.ends;
                    tracked.stage = Stage::Gone;
                }
                Some(Shown::There(pod, budgets)) => {
                    tracked.pod = pod.clone();
                    tracked.budgets.clone_from(budgets);
                    if matches!(tracked.stage, Stage::Waits(_)) {
                        tracked.stage = unasked(pod, tracked.stage);
                        tracked.by_others |= tracked.stage == Stage::Goes && !tracked.ends;
                    }
                    for budget in budgets {
                        self.accounts.lock().see(key(budget), budget, now, chance);
                    }
                }
                Some(Shown::Gone) | None => {}
            }
        }
    }

    /// Takes the keys by `order` of the pods that are left. Only pods of the first key go; once they are gone, the next.
    pub(super) fn order(&mut self, mut key: impl FnMut(&Pod) -> Option<Result<Value, String>>) {
        for tracked in self.pods.iter_mut().filter(|tracked| tracked.stage != Stage::Gone) {
            // One that goes keeps the key that it had: what it reads may be gone before it is.
            if tracked.key.is_none() || matches!(tracked.stage, Stage::Waits(_)) {
                tracked.key = key(&tracked.pod);
            }
        }
    }

    /// The first key of the pods that are left and do not end by themselves.
    fn first_key(&self) -> Option<Value> {
        let keys =
            self.left().filter(|tracked| !tracked.ends).filter_map(|tracked| tracked.key.as_ref()?.as_ref().ok());
        keys.min_by(|a, b| total_order(a, b)).cloned()
    }

    /// The pods to evict now, which count as posted from here on. `admit` is asked last, and says why one has to wait.
    pub(super) fn next(
        &mut self,
        now: i64,
        chance: &Chance,
        mut admit: impl FnMut(&Pod) -> Result<(), Reason>,
    ) -> Vec<Arc<Pod>> {
        let first = self.first_key();
        let mut posts = Vec::new();
        for tracked in &mut self.pods {
            let Stage::Waits(until) = tracked.stage else { continue };
            if now < until || tracked.ends {
                continue;
            }
            tracked.waits = tracked.out_of_turn(first.as_ref());
            if tracked.waits.is_some() {
                continue;
            }
            let counted = tracked.drawn().map(|budget| key(budget));
            if !counted.as_ref().is_none_or(|key| self.accounts.lock().has_credit(key, now)) {
                continue;
            }
            tracked.waits = admit(&tracked.pod).err();
            if tracked.waits.is_some() {
                continue;
            }
            if let Some(key) = &counted
                && let Some(ledger) = self.accounts.lock().ledger(key)
            {
                ledger.posted(tracked.uid(), now, chance);
            }
            tracked.counted = counted;
            tracked.stage = Stage::Posted;
            posts.push(tracked.pod.clone());
        }
        posts
    }

    /// Takes what came of the eviction of the pod of that UID.
    pub(super) fn answered(&mut self, uid: &str, answer: &Answer, now: i64, chance: &Chance) {
        let Some(tracked) = self.pods.iter_mut().find(|tracked| tracked.uid() == uid) else { return };
        let counted = tracked.counted.take();
        let mut books = self.accounts.lock();
        let ledger = counted.and_then(|key| books.ledger(&key));
        let has_ledger = ledger.is_some();
        if let Some(ledger) = ledger {
            match answer {
                Answer::Accepted => ledger.accepted(uid, now),
                Answer::Held => ledger.refused(uid, now),
                Answer::Gone | Answer::Leaves | Answer::Again | Answer::Barred(_) => ledger.returned(uid),
            }
        }
        let later = |(least, most)| Stage::Waits(now + i64::from(chance.between(least, most)));
        tracked.stage = match answer {
            Answer::Accepted | Answer::Leaves => Stage::Goes,
            Answer::Gone => Stage::Gone,
            Answer::Again => later(AGAIN),
            Answer::Barred(_) => later(LATER),
            // A budget that the watch shows tells when; of one that it does not show yet only time does.
            Answer::Held if has_ledger => Stage::Waits(now),
            Answer::Held => later(LATER),
        };
        tracked.by_others |= matches!(answer, Answer::Gone | Answer::Leaves);
        if let Answer::Barred(said) = answer {
            tracked.waits = Some(why::admission(&tracked.pod, said));
        }
        if *answer == Answer::Accepted {
            self.evicted += 1;
            let controller = tracked.pod.metadata.controller().filter(|_| tolerates_cordon(&tracked.pod));
            self.may_return.extend(controller.map(|controller| controller.uid.clone()));
        }
    }

    /// Whether all pods that it knows of are gone.
    pub(super) fn is_empty(&self) -> bool {
        self.left().next().is_none()
    }

    /// How many pods are gone, of how many.
    pub(super) fn counted(&self) -> PodsGone {
        let gone = self.pods.iter().filter(|tracked| tracked.stage == Stage::Gone);
        let by_others = gone.clone().filter(|tracked| tracked.by_others).count();
        PodsGone { gone: gone.count(), of: self.pods.len(), by_others }
    }

    /// When something can be posted though no fact changes; `None` if nothing waits for time.
    pub(super) fn wakes_at(&self, now: i64) -> Option<i64> {
        let books = self.accounts.lock();
        let at = |tracked: &Tracked| match (tracked.stage, tracked.drawn().map(|budget| key(budget))) {
            _ if tracked.ends => None,
            (Stage::Waits(until), _) if tracked.waits.is_some() => Some(until.max(now + LOOKS)),
            // Another drain may be checking the cache.
            (Stage::Waits(_), Some(key)) if !books.has_credit(&key, now) => {
                Some(books.check_at(&key).unwrap_or(now + LOOKS))
            }
            (Stage::Waits(until), _) => Some(until),
            (Stage::Posted | Stage::Goes | Stage::Gone, _) => None,
        };
        self.pods.iter().filter_map(at).min()
    }

    /// Begins a check of the cache, if it is time for one: budgets have held pods of this drain for long.
    pub(super) fn begin_check(&self, now: i64) -> Option<Check> {
        let waits = self.pods.iter().filter(|tracked| matches!(tracked.stage, Stage::Waits(_)) && tracked.is_held());
        let held: BTreeSet<String> = waits.filter_map(|tracked| Some(key(tracked.drawn()?))).collect();
        self.accounts.begin_check(&held, now)
    }

    /// The pods that are to be evicted and are not.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Arc<Pod>> {
        let waits = self.pods.iter().filter(|tracked| matches!(tracked.stage, Stage::Waits(_)) && !tracked.ends);
        waits.map(|tracked| &tracked.pod)
    }

    /// The pods that wait, by the budget that holds them: the budget as the watch shows it, and their names.
    pub(super) fn held(&self) -> Vec<(Arc<Budget>, Vec<String>)> {
        let mut held: BTreeMap<String, (Arc<Budget>, Vec<String>)> = BTreeMap::new();
        for tracked in self.pods.iter().filter(|tracked| matches!(tracked.stage, Stage::Waits(_))) {
            if let Some(budget) = tracked.drawn().filter(|_| tracked.is_held()) {
                let (_, names) = held.entry(key(budget)).or_insert_with(|| (budget.clone(), Vec::new()));
                names.push(pod_name(&tracked.pod));
            }
        }
        held.into_values().collect()
    }
}

/// The stage of a pod that waits, with what became of it without us. One that has ended stays, as those that had ended
/// when they were listed.
fn unasked(pod: &Pod, stage: Stage) -> Stage {
    match (pod.metadata.is_terminating(), pod.is_finished()) {
        (true, _) => Stage::Goes,
        (false, true) => Stage::Gone,
        (false, false) => stage,
    }
}

/// Whether a new pod takes the place of one that tolerates the cordon and was evicted.
fn has_returned(evicted: &BTreeSet<String>, pod: &Pod) -> bool {
    let controller = pod.metadata.controller();
    tolerates_cordon(pod) && controller.is_some_and(|controller| evicted.contains(&controller.uid))
}

/// `namespace/name` of a budget.
fn key(budget: &Budget) -> String {
    format!("{}/{}", budget.metadata.namespace, budget.metadata.name)
}
