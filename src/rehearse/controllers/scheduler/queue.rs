//! Who waits to be placed (scheduler/backend/queue).
//!
//! - *active*: in order of priority, then of time
//! - *backing off*: something happened that may help, but the last attempt is not long ago. As since 1.33 the real one, an idle
//!   scheduler takes from here before the time is over (SchedulerPopFromBackoffQ); only those that failed without anybody
//!   saying no wait it out: 1 s after the first failure, doubled up to 10 s, to the next whole second
//! - *unschedulable*: until something happens that may help, or for 5 minutes, looked for every 30 s
//! - *gated*: until the gates are gone

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::filters::Plugin;
use crate::rehearse::object::Key;

/// How long a pod is left alone at most, in milliseconds.
const LEFT_ALONE: i64 = 5 * 60 * 1000;
/// How often that is looked for.
const SWEEP: i64 = 30 * 1000;

/// Highest priority first, then the time at which it came, then the order.
type Turn = (Reverse<i32>, i64, u64, Key);

/// Where a pod waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Active,
    /// With the end of the whole second in which it is over, Unix milliseconds.
    BackingOff(i64),
    Failed(i64),
    Unschedulable,
    Gated,
    /// Taken out for an attempt, or assumed on a node.
    Taken,
}

/// A pod that waits.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) uid: Arc<str>,
    priority: i32,
    since: i64,
    number: u64,
    place: Place,
    /// Who said no last.
    pub(super) rejectors: BTreeSet<Plugin>,
    /// How often someone said no, and how often in a row nobody did.
    rejections: u32,
    errors: u32,
    /// The Event that told of the first failure, and how often it was told.
    pub(super) told: Option<(Key, u32)>,
    /// What preemption would have done when it was told last.
    pub(super) preemption: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pods: BTreeMap<Key, Entry>,
    active: BTreeSet<Turn>,
    backing_off: BTreeSet<(i64, Turn)>,
    failed: BTreeSet<(i64, Turn)>,
    unschedulable: BTreeSet<Key>,
    last: u64,
}

impl Waiting {
    /// Takes a pod in; a pod with gates is set aside.
    pub(super) fn add(&mut self, key: &Key, uid: Arc<str>, priority: i32, now: i64, is_gated: bool) {
        self.remove(key);
        self.last += 1;
        let entry = Entry {
            uid,
            priority,
            since: now,
            number: self.last,
            place: Place::Taken,
            rejectors: BTreeSet::new(),
            rejections: 0,
            errors: 0,
            told: None,
            preemption: None,
        };
        self.pods.insert(key.clone(), entry);
        self.put(key, if is_gated { Place::Gated } else { Place::Active });
    }

    /// Forgets a pod.
    pub(super) fn remove(&mut self, key: &Key) {
        self.put(key, Place::Taken);
        self.pods.remove(key);
    }

    /// What is known of a pod that waits.
    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.pods.get(key)
    }

    /// The same, to note what was told of it.
    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Entry> {
        self.pods.get_mut(key)
    }

    /// Whether a pod is set aside for its gates.
    pub(super) fn is_gated(&self, key: &Key) -> bool {
        self.pods.get(key).is_some_and(|entry| entry.place == Place::Gated)
    }

    /// Whether a pod waits until something happens.
    pub(super) fn is_unschedulable(&self, key: &Key) -> bool {
        self.unschedulable.contains(key)
    }

    /// The pods that wait until something happens, in order of namespace and name.
    pub(super) fn unschedulable(&self) -> Vec<Key> {
        self.unschedulable.iter().cloned().collect()
    }

    fn put(&mut self, key: &Key, place: Place) {
        let Some(entry) = self.pods.get_mut(key) else { return };
        let turn: Turn = (Reverse(entry.priority), entry.since, entry.number, key.clone());
        match std::mem::replace(&mut entry.place, place) {
            Place::Active => drop(self.active.remove(&turn)),
            Place::BackingOff(over) => drop(self.backing_off.remove(&(over, turn.clone()))),
            Place::Failed(over) => drop(self.failed.remove(&(over, turn.clone()))),
            Place::Unschedulable => drop(self.unschedulable.remove(key)),
            Place::Gated | Place::Taken => {}
        }
        match place {
            Place::Active => drop(self.active.insert(turn)),
            Place::BackingOff(over) => drop(self.backing_off.insert((over, turn))),
            Place::Failed(over) => drop(self.failed.insert((over, turn))),
            Place::Unschedulable => drop(self.unschedulable.insert(key.clone())),
            Place::Gated | Place::Taken => {}
        }
    }

    /// Lets a pod be tried again: at once, or when its pause is over.
    pub(super) fn release(&mut self, key: &Key, now: i64) {
        let Some(entry) = self.pods.get(key) else { return };
        let over = entry.over();
        let is_over = entry.rejections.max(entry.errors) == 0 || now >= over;
        self.put(key, if is_over { Place::Active } else { Place::BackingOff(over) });
    }

    /// Takes out the pod whose turn it is; of those that back off where no other is left.
    pub(super) fn next(&mut self) -> Option<Key> {
        let first = self.active.first().map(|turn| turn.3.clone());
        let key = first.or_else(|| self.backing_off.first().map(|(_, turn)| turn.3.clone()))?;
        self.put(&key, Place::Taken);
        Some(key)
    }

    /// Whether some pod could be tried now.
    pub(super) fn is_ready(&self) -> bool {
        !self.active.is_empty() || !self.backing_off.is_empty()
    }

    /// Puts a pod back that found no node.
    pub(super) fn put_back(&mut self, key: &Key, rejectors: BTreeSet<Plugin>, now: i64) {
        self.last += 1;
        let number = self.last;
        let Some(entry) = self.pods.get_mut(key) else { return };
        (entry.since, entry.number) = (now, number);
        let has_failed = rejectors.is_empty();
        entry.errors = if has_failed { entry.errors + 1 } else { 0 };
        entry.rejections += u32::from(!has_failed);
        entry.rejectors = rejectors;
        let place = if has_failed { Place::Failed(entry.over()) } else { Place::Unschedulable };
        self.put(key, place);
    }

    /// When the next pause of one that failed is over, Unix milliseconds.
    pub(super) fn next_failed(&self) -> Option<i64> {
        self.failed.first().map(|(over, _)| *over)
    }

    /// Lets those be tried whose pause is over.
    pub(super) fn flush(&mut self, now: i64) {
        let over: Vec<Key> =
            self.failed.iter().take_while(|(over, _)| *over <= now).map(|(_, turn)| turn.3.clone()).collect();
        over.iter().for_each(|key| self.put(key, Place::Active));
    }

    /// When the next of those that nothing helped is to be tried again, Unix milliseconds.
    pub(super) fn next_sweep(&self) -> Option<i64> {
        let oldest = self.unschedulable.iter().filter_map(|key| self.pods.get(key)).map(|entry| entry.since).min()?;
        Some((oldest + LEFT_ALONE).div_euclid(SWEEP) * SWEEP + SWEEP)
    }

    /// Lets those be tried that nothing helped for 5 minutes.
    pub(super) fn sweep(&mut self, now: i64) {
        for key in self.unschedulable() {
            if self.pods.get(&key).is_some_and(|entry| now - entry.since > LEFT_ALONE) {
                self.release(&key, now);
            }
        }
    }
}

impl Entry {
    /// When its pause is over: the end of the whole second in which it ends.
    fn over(&self) -> i64 {
        let count = if self.errors > 0 { self.errors } else { self.rejections };
        let pause = 1000_i64.checked_shl(count.saturating_sub(1)).filter(|_| count <= 4).unwrap_or(10_000).min(10_000);
        (self.since + pause).div_euclid(1000) * 1000 + 1000
    }
}
