use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::evict::body;
use super::fate::{Fate, Obstacle, fate, tolerates_cordon};
use super::ledger::{Accounts, draws};
use super::options::{Jobs, Loss, Options, Unbudgeted};
use super::state::{Answer, Drain, Shown, Stage};
use crate::actions::chance::Chance;
use crate::facts::objects::{Budget, Pod};

const REFUSES: Options = Options {
    grace: None,
    emptydir: Loss::Refused,
    orphans: Loss::Refused,
    jobs: Jobs::Evicted,
    unbudgeted: Unbudgeted::Staggered,
};
const ACCEPTS: Options = Options { emptydir: Loss::Accepted, orphans: Loss::Accepted, ..REFUSES };

fn parse(json: Value) -> Pod {
    serde_json::from_value(json).expect("a pod")
}

/// A ready pod of a ReplicaSet.
fn ready(name: &str) -> Arc<Pod> {
    Arc::new(parse(json!({
        "metadata": {
            "namespace": "shop", "name": name, "uid": format!("{name}-uid"),
            "ownerReferences": [{"kind": "ReplicaSet", "name": "rs", "uid": "rs-uid", "controller": true}],
        },
        "spec": {"nodeName": "n"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })))
}

fn budget(version: u32, allowed: i64) -> Arc<Budget> {
    let json = json!({
        "metadata": {"namespace": "shop", "name": "web", "resourceVersion": version.to_string()},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 2},
    });
    Arc::new(serde_json::from_value(json).expect("a budget"))
}

fn chance() -> Chance {
    Chance::new(7, "n/drain", 1)
}

#[test]
fn which_pods_go_stay_or_stand_in_the_way() {
    let owned = |kind: &str| json!([{"kind": kind, "name": "o", "uid": "o", "controller": true}]);
    let of = |kind: &str| json!({"metadata": {"ownerReferences": owned(kind)}});
    let with = |mut pod: Value, at: &str, key: &str, value: Value| {
        pod[at][key] = value;
        pod
    };
    let scratch = json!([{"name": "scratch", "emptyDir": {}}]);
    let deleted = json!("2026-01-01T00:00:00Z");
    let refused = Fate::Refused;
    let cases = [
        ("of a ReplicaSet", of("ReplicaSet"), true, Fate::Goes, Fate::Goes),
        ("of a Job", of("Job"), true, Fate::Goes, Fate::Goes),
        ("of a DaemonSet", of("DaemonSet"), true, Fate::Stays, Fate::Stays),
        ("of a DaemonSet that is gone", of("DaemonSet"), false, refused(Obstacle::Orphan), Fate::Goes),
        ("bare", json!({}), true, refused(Obstacle::Orphan), Fate::Goes),
        ("bare and going", json!({"metadata": {"deletionTimestamp": deleted}}), true, Fate::Goes, Fate::Goes),
        (
            "with an emptyDir",
            with(of("ReplicaSet"), "spec", "volumes", scratch.clone()),
            true,
            refused(Obstacle::EmptyDir),
            Fate::Goes,
        ),
        (
            "a daemon with an emptyDir",
            with(of("DaemonSet"), "spec", "volumes", scratch),
            true,
            Fate::Stays,
            Fate::Stays,
        ),
        (
            "a mirror",
            json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}),
            true,
            Fate::Stays,
            Fate::Stays,
        ),
        ("ended well", json!({"status": {"phase": "Succeeded"}}), true, Fate::Stays, Fate::Stays),
        ("ended badly", json!({"status": {"phase": "Failed"}}), true, Fate::Stays, Fate::Stays),
        ("sprag's own", json!({"metadata": {"labels": {"sprag.dev/run": "r"}}}), true, Fate::Stays, Fate::Stays),
    ];
    for (name, pod, has_daemon_set, refusing, accepting) in cases {
        let pod = parse(pod);
        assert_eq!(fate(&pod, has_daemon_set, &REFUSES), refusing, "{name}, refusing");
        assert_eq!(fate(&pod, has_daemon_set, &ACCEPTS), accepting, "{name}, accepting");
    }
}

#[test]
fn which_pods_tolerate_a_cordon() {
    let cases = [
        (json!([]), false),
        (json!([{"operator": "Exists"}]), true),
        (json!([{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]), true),
        (json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]), true),
        (json!([{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoExecute"}]), false),
        (json!([{"key": "node.kubernetes.io/unschedulable", "value": "x"}]), false),
        (json!([{"key": "dedicated", "operator": "Exists"}]), false),
    ];
    for (tolerations, expected) in cases {
        assert_eq!(tolerates_cordon(&parse(json!({"spec": {"tolerations": tolerations}}))), expected, "{tolerations}");
    }
}

#[test]
fn which_evictions_take_from_a_budget() {
    let pod = |phase: &str, ready: &str| {
        parse(json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}}))
    };
    let budget = |policy: Option<&str>, healthy: i64, desired: i64| -> Budget {
        let spec = json!({"unhealthyPodEvictionPolicy": policy});
        let status = json!({"currentHealthy": healthy, "desiredHealthy": desired});
        serde_json::from_value(json!({"spec": spec, "status": status})).expect("a budget")
    };
    let cases = [
        ("Pending", "False", None, 0, 2, false),
        ("Running", "True", None, 3, 2, true),
        ("Running", "True", Some("AlwaysAllow"), 3, 2, true),
        ("Running", "False", None, 2, 2, false),
        ("Running", "False", None, 1, 2, true),
        ("Running", "False", Some("IfHealthyBudget"), 1, 2, true),
        // eviction.go asks for more than zero desired here.
        ("Running", "False", None, 0, 0, true),
        ("Running", "False", Some("AlwaysAllow"), 0, 2, false),
    ];
    for (phase, ready, policy, healthy, desired, expected) in cases {
        let draws = draws(&pod(phase, ready), &budget(policy, healthy, desired));
        assert_eq!(draws, expected, "{phase}, ready {ready}, {policy:?}, {healthy} of {desired}");
    }
}

#[test]
fn an_eviction_is_bound_to_the_pod() {
    let pod = ready("a");
    assert_eq!(
        body(&pod, Some(5)),
        json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": "a", "namespace": "shop"},
            "deleteOptions": {"preconditions": {"uid": "a-uid"}, "gracePeriodSeconds": 5},
        })
    );
    assert_eq!(body(&pod, None)["deleteOptions"], json!({"preconditions": {"uid": "a-uid"}}));
}

/// A drain of ready pods, and what the watch shows it.
struct Trial {
    drain: Drain,
    chance: Chance,
    shown: BTreeMap<String, Shown>,
}

impl Trial {
    fn of(pods: &[&str]) -> Self {
        Self::drawing_on(&Arc::default(), pods)
    }

    fn drawing_on(accounts: &Arc<Accounts>, pods: &[&str]) -> Self {
        let mut drain = Drain::drawing_on(accounts.clone());
        let listed = pods.iter().map(|name| (ready(name), Fate::Goes)).collect();
        assert_eq!(drain.listed(listed), []);
        Self { drain, chance: chance(), shown: BTreeMap::new() }
    }

    fn covered(mut self, budgets: &[Arc<Budget>]) -> Self {
        self.show(budgets, 0);
        self
    }

    /// Every pod that is left is there, and these budgets cover it.
    fn show(&mut self, budgets: &[Arc<Budget>], now: i64) {
        let there = |pod: &Arc<Pod>| (pod.metadata.uid.clone(), Shown::There(pod.clone(), budgets.to_vec()));
        self.shown = self.drain.left().map(|tracked| there(&tracked.pod)).collect();
        self.drain.look(&self.shown, now, &self.chance);
    }

    fn gone(&mut self, name: &str, now: i64) {
        self.shown.insert(format!("{name}-uid"), Shown::Gone);
        self.drain.look(&self.shown, now, &self.chance);
    }

    fn next(&mut self, now: i64) -> Vec<String> {
        self.drain.next(now, &self.chance, |_| Ok(())).iter().map(|pod| pod.metadata.name.clone()).collect()
    }

    fn answer(&mut self, name: &str, answer: Answer, now: i64) {
        self.drain.answered(&format!("{name}-uid"), &answer, now, &self.chance);
    }
}

#[test]
fn pods_without_a_budget_go_side_by_side() {
    let mut trial = Trial::of(&["b", "a"]).covered(&[]);
    assert_eq!(trial.next(0), ["a", "b"]);
    assert_eq!(trial.next(0), [""; 0]);
    trial.answer("a", Answer::Accepted, 1);
    trial.answer("b", Answer::Gone, 1);
    assert_eq!(trial.drain.counted().to_string(), "1 of 2 pods gone, 1 of them by others");
    trial.gone("a", 2);
    assert!(trial.drain.is_empty());
    assert_eq!(trial.drain.evicted, 1);
}

#[test]
fn no_more_is_posted_than_a_budget_shows_allowed() {
    let mut trial = Trial::of(&["a", "b", "c"]).covered(&[budget(1, 1)]);
    assert_eq!(trial.next(0), ["a"]);
    trial.answer("a", Answer::Accepted, 10);
    // The watch still shows what was there before our eviction.
    assert_eq!(trial.next(10), [""; 0]);
    trial.show(&[budget(2, 0)], 20);
    assert_eq!(trial.next(20), [""; 0]);
    assert_eq!(trial.drain.held()[0].1, ["shop/b", "shop/c"]);
    // Its replacement is ready.
    trial.show(&[budget(3, 1)], 30);
    assert_eq!(trial.next(30), ["b"]);
    trial.answer("b", Answer::Accepted, 40);
    trial.show(&[budget(4, 2)], 50);
    assert_eq!(trial.next(50), ["c"]);
}

#[test]
fn a_credit_that_one_drain_uses_is_not_there_for_another() {
    let accounts = Arc::default();
    let mut one = Trial::drawing_on(&accounts, &["a"]).covered(&[budget(1, 1)]);
    let mut other = Trial::drawing_on(&accounts, &["b"]).covered(&[budget(1, 1)]);
    assert_eq!(one.next(0), ["a"]);
    assert_eq!(other.next(0), [""; 0]);
    one.answer("a", Answer::Accepted, 0);
    assert_eq!(other.next(0), [""; 0], "what the status shows does not count it yet");
    other.show(&[budget(2, 1)], 10);
    assert_eq!(other.next(10), ["b"]);
    // A drain that was dropped takes no answer: its eviction is forgotten.
    drop(other);
    let mut late = Trial::drawing_on(&accounts, &["c"]).covered(&[budget(2, 1)]);
    assert_eq!(late.next(20_000), [""; 0]);
    assert_eq!(late.next(40_010), ["c"]);
}

#[test]
fn a_no_is_not_asked_again_until_the_budget_has_changed() {
    let mut trial = Trial::of(&["a", "b"]).covered(&[budget(1, 1)]);
    assert_eq!(trial.next(0), ["a"]);
    trial.answer("a", Answer::Held, 5);
    trial.show(&[budget(1, 1)], 10);
    assert_eq!(trial.next(10), [""; 0]);
    trial.show(&[budget(2, 1)], 20);
    assert_eq!(trial.next(20), ["a"]);
}

#[test]
fn what_a_budget_shows_is_checked_after_10_to_30_seconds_and_then_after_30_to_60() {
    let mut trial = Trial::of(&["a", "b", "c"]).covered(&[budget(1, 0)]);
    let mut now = 0;
    for (least, most) in [(10_000, 30_000), (30_000, 60_000), (30_000, 60_000)] {
        let at = trial.drain.wakes_at(now).expect("something waits for time");
        assert!((least..most).contains(&(at - now)), "{at} after {now}");
        assert!(trial.drain.begin_check(at - 1).is_none());
        let check = trial.drain.begin_check(at).expect("a check");
        assert!(trial.drain.begin_check(at).is_none(), "it is on its way");
        check.done(at, &trial.chance);
        assert_eq!(trial.next(at), [""; 0], "the budget still shows that none is allowed");
        now = at;
    }
    trial.show(&[budget(2, 1)], now);
    assert_eq!(trial.next(now), ["a"]);
    assert!(trial.drain.begin_check(now + 9_999).is_none(), "it has just been heard of");
}

#[test]
fn the_drains_of_a_run_check_together() {
    let accounts = Arc::default();
    let one = Trial::drawing_on(&accounts, &["a"]).covered(&[budget(1, 0)]);
    let other = Trial::drawing_on(&accounts, &["b"]).covered(&[budget(1, 0)]);
    let check = one.drain.begin_check(30_000).expect("a check");
    assert!(other.drain.begin_check(30_000).is_none());
    assert_eq!(other.drain.wakes_at(30_000), Some(31_000), "the other one looks again soon");
    // Its drain is over before the answer has come.
    drop(check);
    other.drain.begin_check(31_000).expect("a check").done(31_000, &other.chance);
    assert!(one.drain.begin_check(60_999).is_none());
    assert!(one.drain.begin_check(91_000).is_some());
}

#[test]
fn a_no_stands_until_a_check_that_began_after_it() {
    let mut trial = Trial::of(&["a", "b"]).covered(&[budget(1, 1)]);
    assert!(trial.drain.begin_check(30_000).is_none(), "nothing is held");
    assert_eq!(trial.next(0), ["a"]);
    let check = trial.drain.begin_check(29_999).expect("`b` is held by the eviction on its way");
    trial.answer("a", Answer::Held, 30_000);
    check.done(30_001, &trial.chance);
    assert_eq!(trial.next(30_002), [""; 0], "the check may not have seen what the server saw");
    trial.drain.begin_check(100_000).expect("a check").done(100_000, &trial.chance);
    assert_eq!(trial.next(100_000), ["a"]);
}

#[test]
fn a_budget_that_is_behind_its_spec_is_awaited() {
    let mut behind = Budget::clone(&budget(1, 1));
    behind.metadata.generation = 2;
    let mut trial = Trial::of(&["a"]).covered(&[Arc::new(behind)]);
    assert_eq!(trial.next(0), [""; 0]);
    trial.show(&[budget(2, 1)], 10);
    assert_eq!(trial.next(10), ["a"]);
}

#[test]
fn what_cannot_be_told_is_posted_again_after_a_while() {
    let mut trial = Trial::of(&["a"]).covered(&[budget(1, 1)]);
    assert_eq!(trial.next(0), ["a"]);
    trial.answer("a", Answer::Again, 0);
    assert_eq!(trial.next(999), [""; 0]);
    assert_eq!(trial.next(3_000), ["a"]);
}

#[test]
fn pods_that_go_anyway_are_only_awaited() {
    let mut pod = Pod::clone(&ready("a"));
    pod.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH);
    let mut drain = Drain::default();
    drain.listed(vec![(Arc::new(pod), Fate::Goes)]);
    assert!(drain.next(0, &chance(), |_| Ok(())).is_empty());
    assert!(!drain.is_empty());
}

#[test]
fn what_a_list_shows_is_there() {
    let mut trial = Trial::of(&["a"]).covered(&[]);
    trial.next(0);
    trial.answer("a", Answer::Accepted, 0);
    trial.gone("a", 0);
    assert!(trial.drain.is_empty());
    trial.drain.listed(vec![(ready("a"), Fate::Goes), (ready("late"), Fate::Goes)]);
    let stages: Vec<Stage> = trial.drain.left().map(|tracked| tracked.stage).collect();
    assert_eq!(stages, [Stage::Goes, Stage::Waits(0)]);
    assert_eq!(trial.next(0), ["late"], "the first was evicted once");
}

#[test]
fn a_pod_that_tolerates_the_cordon_is_evicted_once() {
    let tolerant = |name: &str| {
        let mut pod = Pod::clone(&ready(name));
        pod.spec.tolerations = vec![serde_json::from_value(json!({"operator": "Exists"})).expect("a toleration")];
        Arc::new(pod)
    };
    let mut drain = Drain::default();
    drain.listed(vec![(tolerant("a"), Fate::Goes)]);
    assert_eq!(drain.next(0, &chance(), |_| Ok(())).len(), 1);
    drain.answered("a-uid", &Answer::Accepted, 0, &chance());
    drain.look(&BTreeMap::from([("a-uid".to_owned(), Shown::Gone)]), 0, &chance());
    drain.listed(vec![(tolerant("again"), Fate::Goes)]);
    assert!(drain.is_empty());
    assert_eq!(drain.returned.iter().collect::<Vec<_>>(), ["shop/again"]);
}

#[test]
fn several_budgets_are_seen_before_the_server_says_so() {
    let mut trial = Trial::of(&["a"]);
    trial.show(&[budget(1, 1), budget(1, 1)], 0);
    let several: Vec<usize> = trial.drain.left().filter_map(|pod| pod.several()).map(<[_]>::len).collect();
    assert_eq!(several, [2]);
}
