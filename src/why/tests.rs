use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn pod(json: Value) -> Pod {
    serde_json::from_value(json).expect("a pod")
}

fn budget(spec: Value) -> Budget {
    serde_json::from_value(json!({"metadata": {"namespace": "pay", "name": "ledger"}, "spec": spec})).expect("a budget")
}

fn covers(replicas: i64, bare: usize) -> Covered {
    let mut covered = Covered::default();
    if replicas > 0 {
        covered.add_workload("uid", "StatefulSet", replicas, None);
    }
    (0..bare).for_each(|_| covered.add_bare(&Pod::default()));
    covered
}

#[test]
fn a_budget_that_can_never_allow_an_eviction_is_told_from_one_that_can() {
    let cases = [
        (json!({"minAvailable": 3}), 3, 0, Some("minAvailable is 3 and the StatefulSet has 3 replicas")),
        (json!({"minAvailable": 4}), 3, 0, Some("minAvailable is 4 and the StatefulSet has 3 replicas")),
        (json!({"minAvailable": 1}), 1, 0, Some("minAvailable is 1 and the StatefulSet has 1 replica")),
        (json!({"minAvailable": 2}), 3, 0, None),
        (json!({"minAvailable": 0}), 1, 0, None),
        (json!({"minAvailable": "100%"}), 7, 0, Some("minAvailable is 100% and the StatefulSet has 7 replicas")),
        // Shares are rounded up: 90 % of 5 are 5, of 10 they are 9.
        (json!({"minAvailable": "90%"}), 5, 0, Some("minAvailable is 90% and the StatefulSet has 5 replicas")),
        (json!({"minAvailable": "90%"}), 10, 0, None),
        (json!({"maxUnavailable": 0}), 3, 0, Some("maxUnavailable is 0")),
        (json!({"maxUnavailable": "0%"}), 3, 0, Some("maxUnavailable is 0%")),
        (json!({"maxUnavailable": "1%"}), 3, 0, None),
        (json!({"maxUnavailable": 1}), 1, 0, None),
        // A pod without a controller is healthy, and no scale counts it.
        (json!({"maxUnavailable": 0}), 2, 1, None),
        (json!({"maxUnavailable": 1}), 0, 2, Some("it counts the replicas of controllers, and its pods have none")),
        (json!({"minAvailable": "50%"}), 0, 2, Some("it counts the replicas of controllers, and its pods have none")),
        (json!({"minAvailable": 1}), 0, 2, None),
        (json!({"minAvailable": 2}), 0, 2, Some("minAvailable is 2 and it covers 2 pods")),
        (json!({}), 3, 0, Some("it says neither minAvailable nor maxUnavailable")),
        (json!({"minAvailable": 3}), 0, 0, None),
        (json!({"minAvailable": "many"}), 3, 0, None),
    ];
    for (spec, replicas, bare, expected) in cases {
        let reason = never_allows(&budget(spec.clone()), &covers(replicas, bare));
        let expected = expected.map(|because| format!("budget `pay/ledger` never allows an eviction: {because}"));
        assert_eq!(reason.map(|reason| reason.why), expected, "{spec} of {replicas} and {bare}");
    }
}

#[test]
fn a_budget_may_allow_evictions_once_an_autoscaler_has_scaled() {
    let autoscaled = |replicas: i64, most: i64| {
        let mut covered = Covered::default();
        covered.add_workload("uid", "Deployment", replicas, Some(most));
        covered
    };
    let cases = [
        (json!({"minAvailable": 3}), 3, 6, None),
        (json!({"minAvailable": 3}), 3, 4, None),
        (json!({"minAvailable": 3}), 3, 3, Some("minAvailable is 3 and the Deployment has 3 replicas")),
        // It had been scaled by hand beyond what the autoscaler gives.
        (json!({"minAvailable": 3}), 3, 2, Some("minAvailable is 3 and the Deployment has 3 replicas")),
        (
            json!({"minAvailable": 9}),
            3,
            6,
            Some("minAvailable is 9 and the Deployment has 3 replicas, 6 at most by its autoscaler"),
        ),
        (json!({"minAvailable": "90%"}), 5, 10, None),
        (json!({"maxUnavailable": 0}), 3, 6, Some("maxUnavailable is 0")),
    ];
    for (spec, replicas, most, expected) in cases {
        let reason = never_allows(&budget(spec.clone()), &autoscaled(replicas, most));
        let expected = expected.map(|because| format!("budget `pay/ledger` never allows an eviction: {because}"));
        assert_eq!(reason.map(|reason| reason.why), expected, "{spec} of {replicas} and {most} at most");
    }
    let budget = budget(json!({"minAvailable": 3}));
    let reason = |most| needs_scaling(allows_none_now(&budget, &[], Vec::new(), 0), &budget, &autoscaled(3, most));
    assert_eq!(
        reason(6).why,
        "budget `pay/ledger` needs 0 healthy and has 0; it allows none before an autoscaler scales what it covers: the \
         Deployment has 3 replicas, 6 at most by its autoscaler"
    );
    assert!(reason(6).help.is_some_and(|help| help.ends_with(", or let its autoscaler's minReplicas be 4 meanwhile")));
    assert_eq!(reason(3).why, "budget `pay/ledger` needs 0 healthy and has 0");
}

#[test]
fn a_budget_that_never_allows_is_mended_by_a_command() {
    let help = |spec, replicas, bare| {
        never_allows(&budget(spec), &covers(replicas, bare)).and_then(|reason| reason.help).unwrap_or_default()
    };
    assert_eq!(
        help(json!({"minAvailable": 3}), 3, 0),
        "kubectl -n pay patch pdb ledger -p '{\"spec\":{\"minAvailable\":2}}', \
         or scale the StatefulSet to 4 for the time of the upgrade"
    );
    assert_eq!(
        help(json!({"maxUnavailable": 0}), 3, 0),
        "kubectl -n pay patch pdb ledger -p '{\"spec\":{\"maxUnavailable\":1}}'"
    );
    assert_eq!(
        help(json!({"maxUnavailable": 1}), 0, 2),
        "kubectl -n pay patch pdb ledger -p '{\"spec\":{\"maxUnavailable\":null,\"minAvailable\":1}}'"
    );
}

#[test]
fn a_budget_that_allows_none_now_names_its_pods() {
    let starting =
        pod(json!({"metadata": {"name": "l-1"}, "spec": {"nodeName": "n7"}, "status": {"phase": "Pending"}}));
    let ready = pod(json!({
        "metadata": {"name": "l-0"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    }));
    let pods = [Arc::new(ready), Arc::new(starting)];
    let mut budget = budget(json!({"minAvailable": 1}));
    budget.status.current_healthy = 1;
    budget.status.desired_healthy = 1;
    let reason = allows_none_now(&budget, &pods, vec!["pay/l-0".to_owned()], 0);
    assert_eq!(reason.code, "W102");
    assert_eq!(reason.line(0), "pay/l-0: budget `pay/ledger` needs 1 healthy and has 1; `l-1` (n7) is starting");
    budget.metadata.generation = 2;
    assert_eq!(allows_none_now(&budget, &pods, Vec::new(), 0).code, "W107");
}

#[test]
fn a_failed_sync_of_a_budget_is_told_in_its_words() {
    let mut budget = budget(json!({"maxUnavailable": 1}));
    let condition =
        json!({"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": "no scale"});
    budget.status.conditions = vec![serde_json::from_value(condition).expect("a condition")];
    let reason = allows_none_now(&budget, &[], Vec::new(), 0);
    assert_eq!(reason.why, "budget `pay/ledger` allows none: its pods cannot be counted: no scale");
}

#[test]
fn how_a_pod_stands() {
    let waiting = |reason: &str, message: &str| json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]});
    let unscheduled = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient cpu."}
    ]});
    let on_node = json!({"nodeName": "n"});
    let cases = [
        (&on_node, json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}), "is ready", None),
        (&on_node, json!({"phase": "Running"}), "is not ready", None),
        (&on_node, waiting("ContainerCreating", ""), "is starting", None),
        (&on_node, json!({"phase": "Failed"}), "has ended (Failed)", None),
        (
            &on_node,
            waiting("ImagePullBackOff", "no such tag"),
            "does not start: ImagePullBackOff: no such tag",
            Some("W106"),
        ),
        (&on_node, waiting("CrashLoopBackOff", ""), "does not start: CrashLoopBackOff", Some("W106")),
        (&json!({}), unscheduled, "has no node: 0/3 nodes are available: 3 Insufficient cpu", Some("W105")),
    ];
    for (spec, status, expected, code) in cases {
        let pod = pod(json!({"metadata": {"name": "p", "namespace": "s"}, "spec": spec, "status": status}));
        assert_eq!(standing(&pod), expected);
        assert_eq!(not_ready(&pod).map(|reason| reason.code), code, "{expected}");
    }
}

#[test]
fn why_a_pod_is_still_terminating() {
    let pod = |finalizers: Value| {
        pod(json!({"metadata": {
            "name": "p", "namespace": "s", "deletionTimestamp": "1970-01-01T00:01:00Z", "deletionGracePeriodSeconds": 30,
            "finalizers": finalizers,
        }, "spec": {"nodeName": "n"}}))
    };
    let why = |pod: &Pod, now: i64| terminating(pod, now).map(|reason| reason.line(now)).unwrap_or_default();
    assert_eq!(why(&pod(json!(null)), 40_000), "s/p: is terminating, 20s of its grace of 30s left, 10s");
    assert_eq!(why(&pod(json!(null)), 90_000), "s/p: is terminating, its grace of 30s is over, 1m");
    assert_eq!(why(&pod(json!(["a/b"])), 90_000), "s/p: is terminating and held by `a/b`, 1m");
    assert_eq!(terminating(&Pod::default(), 0), None);
}

#[test]
fn a_reason_as_details() {
    let names: Vec<String> = (1..=5).map(|at| format!("s/p-{at}")).collect();
    let reason = Reason { code: "W102", who: names, why: "waits".to_owned(), since: Some(0), help: None };
    assert_eq!(reason.line(61_500), "s/p-1, s/p-2, s/p-3 and 2 more: waits, 1m1s");
    assert_eq!(
        reason.details(61_500),
        ["who    s/p-1, s/p-2, s/p-3, s/p-4, s/p-5", "why    waits (W102)", "since  1m1s ago"]
    );
}
