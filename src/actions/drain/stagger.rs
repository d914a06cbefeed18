//! How many pods of a workload that no budget covers are out at a time, over all drains of a run: `unbudgeted: "stagger"`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::facts::objects::Pod;
use crate::facts::{Facts, SharedFacts};

/// After how many milliseconds an evicted pod no longer counts as out, whether or not another one took its place: a
/// workload that never becomes whole again does not hold a run.
const LONGEST: i64 = 300_000;

/// A workload that no budget covers, as the facts show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Crew {
    /// The workload's UID.
    pub(super) uid: String,
    /// How many pods it is to have.
    pub(super) desired: i64,
    /// UIDs of its pods, those that go among them.
    pub(super) pods: BTreeSet<String>,
    /// UIDs of those that are meant to run and are ready.
    pub(super) ready: BTreeSet<String>,
}

impl Crew {
    /// The workload whose evictions are staggered with that of the pod: one of two or more replicas, and not a
    /// DaemonSet's. The eviction of a pod that is not ready takes nothing from its workload.
    pub(super) fn of(pod: &Pod, facts: &Facts) -> Option<Self> {
        let is_daemon = pod.metadata.controller().is_none_or(|controller| controller.kind == "DaemonSet");
        if is_daemon || !pod.is_ready() || !facts.budgets_of(pod).is_empty() {
            return None;
        }
        let workload = facts.workload_of(pod)?;
        let (desired, _) = facts.replicas(&workload.uid)?;
        let pods = facts.pods_of_workload(&workload.uid);
        let uid_of = |pod: &Pod| pod.metadata.uid.clone();
        let ready = pods.iter().filter(|pod| pod.is_meant_to_run() && pod.is_ready()).map(|pod| uid_of(pod)).collect();
        let crew = Self { uid: workload.uid, desired, pods: pods.iter().map(|pod| uid_of(pod)).collect(), ready };
        (desired >= 2).then_some(crew)
    }

    /// How many of it may be out at a time.
    pub(super) fn most_out(&self) -> usize {
        usize::try_from(self.desired / 4).unwrap_or(usize::MAX).max(1)
    }
}

/// A pod that was evicted and that nothing replaces yet.
#[derive(Debug)]
struct Out {
    pod: String,
    /// Unix milliseconds of its eviction.
    at: i64,
    /// The pods that were there before: none of them takes its place.
    before: BTreeSet<String>,
}

/// What the drains of a run have out, by the workload's UID.
#[derive(Debug, Default)]
pub struct Stagger {
    out: Mutex<BTreeMap<String, Vec<Out>>>,
}

impl Stagger {
    /// What an earlier driver's evictions leave out: when (Unix milliseconds), the workload's UID, the pod's.
    pub fn resumed<'e>(evicted: impl Iterator<Item = (i64, &'e str, &'e str)>, facts: &SharedFacts) -> Self {
        let mut out: BTreeMap<String, Vec<Out>> = BTreeMap::new();
        for (at, workload, pod) in evicted {
            let before = facts.read(|facts| created_before(facts, workload, at));
            out.entry(workload.to_owned()).or_default().push(Out { pod: pod.to_owned(), at, before });
        }
        Self { out: Mutex::new(out) }
    }

    /// Lets a pod go, which then counts as out; or says how many of its workload are out.
    pub(super) fn admit(&self, crew: &Crew, pod: &str, now: i64) -> Result<(), usize> {
        let mut all = self.lock();
        let out = all.entry(crew.uid.clone()).or_default();
        out.retain(|one| one.pod != pod && now - one.at < LONGEST);
        settle(out, crew);
        if out.len() >= crew.most_out() {
            return Err(out.len());
        }
        out.push(Out { pod: pod.to_owned(), at: now, before: crew.pods.clone() });
        Ok(())
    }

    /// The pod was let go and not evicted.
    pub(super) fn give_back(&self, workload: &str, pod: &str) {
        if let Some(out) = self.lock().get_mut(workload) {
            out.retain(|one| one.pod != pod);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Out>>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out what was replaced, the oldest first: each pod that became ready since stands for one.
fn settle(out: &mut Vec<Out>, crew: &Crew) {
    let leaving: BTreeSet<String> = out.iter().map(|one| one.pod.clone()).collect();
    let ready: Vec<&String> = crew.ready.difference(&leaving).collect();
    if i64::try_from(ready.len()).is_ok_and(|ready| ready >= crew.desired) {
        out.clear();
    }
    for pod in ready {
        let Some(at) = out.iter().position(|one| !one.before.contains(pod)) else { continue };
        out.remove(at);
        for one in out.iter_mut() {
            one.before.insert(pod.clone());
        }
    }
}

/// UIDs of the workload's pods that were created before that time.
fn created_before(facts: &Facts, workload: &str, at: i64) -> BTreeSet<String> {
    let pods = facts.pods_of_workload(workload).into_iter();
    let before = pods.filter(|pod| pod.metadata.creation_timestamp.is_none_or(|created| created.as_millisecond() < at));
    before.map(|pod| pod.metadata.uid.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(desired: i64, pods: &[&str], ready: &[&str]) -> Crew {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Crew { uid: "web".to_owned(), desired, pods: owned(pods), ready: owned(ready) }
    }

    #[test]
    fn one_of_four_is_out_until_another_is_ready() {
        let stagger = Stagger::default();
        let whole = crew(4, &["a", "b", "c", "d"], &["a", "b", "c", "d"]);
        assert_eq!(stagger.admit(&whole, "a", 0), Ok(()));
        assert_eq!(stagger.admit(&whole, "b", 1), Err(1), "the watch does not show that `a` goes yet");
        let starting = crew(4, &["b", "c", "d", "e"], &["b", "c", "d"]);
        assert_eq!(stagger.admit(&starting, "b", 2), Err(1));
        let replaced = crew(4, &["b", "c", "d", "e"], &["b", "c", "d", "e"]);
        assert_eq!(stagger.admit(&replaced, "b", 3), Ok(()));
    }

    #[test]
    fn two_of_eight_are_out_and_one_pod_replaces_one() {
        let stagger = Stagger::default();
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let whole = crew(8, &names, &names);
        assert_eq!([stagger.admit(&whole, "a", 0), stagger.admit(&whole, "b", 0)], [Ok(()), Ok(())]);
        assert_eq!(stagger.admit(&whole, "c", 0), Err(2));
        let one = crew(8, &["c", "d", "e", "f", "g", "h", "i", "j"], &["c", "d", "e", "f", "g", "h", "i"]);
        assert_eq!(stagger.admit(&one, "c", 1), Ok(()));
        assert_eq!(stagger.admit(&one, "d", 1), Err(2), "`i` took one place, not two");
    }

    #[test]
    fn a_pod_that_is_broken_anyway_holds_nothing_and_five_minutes_are_the_longest() {
        let stagger = Stagger::default();
        assert_eq!(stagger.admit(&crew(4, &["a", "b", "c", "x"], &["a", "b", "c"]), "a", 0), Ok(()));
        assert_eq!(stagger.admit(&crew(4, &["b", "c", "x", "d"], &["b", "c", "d"]), "b", 1), Ok(()));
        let never = crew(4, &["c", "x", "d", "e"], &["c", "d"]);
        assert_eq!(stagger.admit(&never, "c", LONGEST), Err(1));
        assert_eq!(stagger.admit(&never, "c", LONGEST + 1), Ok(()));
    }

    #[test]
    fn what_was_not_evicted_is_given_back() {
        let stagger = Stagger::default();
        let two = crew(2, &["a", "b"], &["a", "b"]);
        assert_eq!(stagger.admit(&two, "a", 0), Ok(()));
        stagger.give_back("web", "a");
        assert_eq!(stagger.admit(&two, "b", 0), Ok(()));
    }
}
