//! ReplicaSets (KUBERNETES.md 10: T31).

use serde_json::json;

use super::Stage;
use super::crew::workload;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;
use crate::rehearse::write::DeleteOptions;

#[test]
fn pods_are_made_and_counted() {
    let mut stage = Stage::crewed();
    stage.create(Kind::ReplicaSet, workload("web", 2));
    stage.pass(10.0);
    let expected = "+0.00   replicasets shop/web  made\n\
                    +0.01   pods shop/web~1  made\n\
                    +0.01   pods shop/web~2  made\n\
                    +0.02   replicasets shop/web  replicas 2\n\
                    +0.06   pods shop/web~1  on n-1\n\
                    +0.06   pods shop/web~2  on n-2\n\
                    +2.06   pods shop/web~1  Running\n\
                    +2.06   pods shop/web~1  ready\n\
                    +2.06   pods shop/web~2  Running\n\
                    +2.06   pods shop/web~2  ready\n\
                    +2.07   replicasets shop/web  readyReplicas 2\n\
                    +2.07   replicasets shop/web  availableReplicas 2\n";
    assert_eq!(stage.tale(), expected);
}

#[test]
fn t31_a_pod_is_replaced_when_it_begins_to_go() {
    let mut stage = Stage::crewed();
    stage.create(Kind::ReplicaSet, workload("web", 2));
    stage.pass(10.0);
    stage.story();
    let pod = stage.pods()[0].clone();
    assert_eq!(stage.evict(&pod), "201");
    stage.pass(10.0);
    let expected = "+10.00  pods shop/web~1  DisruptionTarget EvictionByEvictionAPI\n\
                    +10.00  pods shop/web~1  terminating, 30 s\n\
                    +10.01  pods shop/web~2  made\n\
                    +10.01  replicasets shop/web  replicas 1\n\
                    +10.01  replicasets shop/web  readyReplicas 1\n\
                    +10.01  replicasets shop/web  availableReplicas 1\n\
                    +10.02  replicasets shop/web  replicas 2\n\
                    +10.06  pods shop/web~2  on n-3\n\
                    +12.06  pods shop/web~2  Running\n\
                    +12.06  pods shop/web~2  ready\n\
                    +12.07  replicasets shop/web  readyReplicas 2\n\
                    +12.07  replicasets shop/web  availableReplicas 2\n\
                    +13.00  pods shop/web~1  Failed\n\
                    +13.00  pods shop/web~1  not ready\n\
                    +13.00  pods shop/web~1  gone\n";
    assert_eq!(stage.tale(), expected);
}

#[test]
fn a_pod_that_ended_is_replaced_and_stays_to_be_seen() {
    let mut stage = Stage::crewed();
    stage.create(Kind::ReplicaSet, workload("web", 1));
    stage.pass(10.0);
    stage.story();
    let pod = stage.pods()[0].clone();
    stage.patch(&pod, json!({ "status": { "phase": "Failed", "conditions": [] } }));
    stage.pass(10.0);
    let expected = "+10.00  pods shop/web~1  Failed\n\
                    +10.00  pods shop/web~1  not ready\n\
                    +10.01  pods shop/web~2  made\n\
                    +10.01  replicasets shop/web  replicas 0\n\
                    +10.01  replicasets shop/web  readyReplicas 0\n\
                    +10.01  replicasets shop/web  availableReplicas 0\n\
                    +10.02  replicasets shop/web  replicas 1\n\
                    +10.06  pods shop/web~2  on n-2\n\
                    +12.06  pods shop/web~2  Running\n\
                    +12.06  pods shop/web~2  ready\n\
                    +12.07  replicasets shop/web  readyReplicas 1\n\
                    +12.07  replicasets shop/web  availableReplicas 1\n";
    assert_eq!(stage.tale(), expected);
}

#[test]
fn pods_are_available_after_they_were_ready_for_a_while() {
    let mut stage = Stage::crewed();
    let mut set = workload("web", 1);
    set["spec"]["minReadySeconds"] = 5.into();
    stage.create(Kind::ReplicaSet, set);
    stage.pass(20.0);
    let expected = "+0.00   replicasets shop/web  made\n\
                    +0.02   replicasets shop/web  replicas 1\n\
                    +2.07   replicasets shop/web  readyReplicas 1\n\
                    +7.00   replicasets shop/web  availableReplicas 1\n";
    assert_eq!(stage.tale_of(&["replicasets"]), expected);
}

/// Each pod is better than the one before by one of the rules.
#[test]
fn the_pods_that_are_missed_least_go_first() {
    let mut stage = Stage::new(vec![Box::<crate::rehearse::controllers::replicaset::ReplicaSets>::default()]);
    let mut set = workload("web", 9);
    set["metadata"]["uid"] = "set".into();
    let set = stage.has(Kind::ReplicaSet, set);
    let ready = |at: &str| json!([{ "type": "Ready", "status": "True", "lastTransitionTime": at }]);
    let old = "2026-01-30T00:00:00Z";
    let restarted = json!([{ "name": "c", "restartCount": 3, "ready": true }]);
    for (name, node, annotations, created, status) in [
        ("h-unbound", json!(null), json!({}), old, json!({ "phase": "Pending" })),
        ("g-pending", json!("n-1"), json!({}), old, json!({ "phase": "Pending" })),
        ("f-not-ready", json!("n-2"), json!({}), old, json!({ "phase": "Running" })),
        (
            "e-cheap",
            json!("n-3"),
            json!({ "controller.kubernetes.io/pod-deletion-cost": "-5" }),
            old,
            json!({ "phase": "Running", "conditions": ready(old) }),
        ),
        ("d-doubled", json!("n-4"), json!({}), old, json!({ "phase": "Running", "conditions": ready(old) })),
        (
            "c-fresh",
            json!("n-5"),
            json!({}),
            old,
            json!({ "phase": "Running", "conditions": ready("2026-01-31T13:59:00Z") }),
        ),
        (
            "b-restarted",
            json!("n-6"),
            json!({}),
            old,
            json!({ "phase": "Running", "conditions": ready(old), "containerStatuses": restarted }),
        ),
        (
            "a-young",
            json!("n-7"),
            json!({}),
            "2026-01-31T13:00:00Z",
            json!({ "phase": "Running", "conditions": ready(old) }),
        ),
        (
            "z-dear",
            json!("n-4"),
            json!({ "controller.kubernetes.io/pod-deletion-cost": "5" }),
            old,
            json!({ "phase": "Running", "conditions": ready(old) }),
        ),
    ] {
        let owner =
            json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true });
        let metadata = json!({ "name": name, "namespace": "shop", "labels": { "app": "web" }, "annotations": annotations,
                               "creationTimestamp": created, "ownerReferences": [owner] });
        let spec = json!({ "nodeName": node, "containers": [{ "name": "c", "image": "i" }] });
        stage.has(Kind::Pod, json!({ "metadata": metadata, "spec": spec, "status": status }));
    }
    let mut gone = Vec::new();
    for replicas in (0..9).rev() {
        stage.pass(1.0);
        stage.story();
        stage.patch(&set, json!({ "spec": { "replicas": replicas } }));
        stage.pass(1.0);
        let story = stage.story_of("pods");
        gone.extend(
            story
                .lines()
                .find(|line| line.contains("terminating"))
                .map(|line| line.split_whitespace().nth(2).unwrap().trim_start_matches("shop/").to_owned()),
        );
    }
    let expected = [
        "h-unbound",
        "g-pending",
        "f-not-ready",
        "e-cheap",
        "d-doubled",
        "c-fresh",
        "b-restarted",
        "a-young",
        "z-dear",
    ];
    assert_eq!(gone, expected);
}

#[test]
fn pods_that_cannot_be_made_are_tried_again_and_told() {
    let mut stage = Stage::crewed();
    stage.has(Kind::PriorityClass, json!({ "metadata": { "name": "low" }, "value": 10 }));
    let mut set = workload("web", 3);
    set["spec"]["template"]["spec"]["priorityClassName"] = "high".into();
    stage.create(Kind::ReplicaSet, set);
    stage.pass(1.0);
    let told = stage.tale();
    let failed = "ReplicaFailure FailedCreate";
    assert!(told.contains(failed) && !told.contains("pods"), "{told}");
    stage.has(Kind::PriorityClass, json!({ "metadata": { "name": "high" }, "value": 1000 }));
    stage.pass(10.0);
    let pods = stage.pods();
    assert_eq!(pods.len(), 3);
    assert_eq!(stage.get(&pods[0])["spec"]["priority"], 1000);
    let set = Key::new(Kind::ReplicaSet, "shop", "web");
    assert_eq!(stage.get(&set)["status"]["conditions"], json!(null));
}

#[test]
fn pods_of_a_template_share_what_admission_completed() {
    let mut stage = Stage::crewed();
    stage.create(Kind::ReplicaSet, workload("web", 2));
    stage.pass(5.0);
    let store = &stage.world.cluster.store;
    let pods: Vec<_> = store.in_namespace(Kind::Pod, "shop").map(|pod| pod.pod().unwrap().spec.clone()).collect();
    assert!(std::sync::Arc::ptr_eq(&pods[0], &pods[1]));
    let tolerations = json!([
        { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
        { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
    ]);
    let expected = json!({
        "containers": [{ "name": "c", "image": "i:1" }], "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "priority": 0,
        "preemptionPolicy": "PreemptLowerPriority", "tolerations": tolerations,
    });
    assert_eq!(json!(pods[0].raw), expected);
}

#[test]
fn nothing_is_replaced_once_the_set_is_on_its_way_out() {
    let mut stage = Stage::crewed();
    let set = stage.create(Kind::ReplicaSet, workload("web", 2));
    stage.pass(5.0);
    stage.story();
    stage.delete(&set, &DeleteOptions::default());
    stage.pass(10.0);
    let expected = "+5.00   replicasets shop/web  gone\n\
                    +5.01   pods shop/web~1  terminating, 30 s\n\
                    +5.01   pods shop/web~2  terminating, 30 s\n\
                    +8.01   pods shop/web~1  Failed\n\
                    +8.01   pods shop/web~1  not ready\n\
                    +8.01   pods shop/web~1  gone\n\
                    +8.01   pods shop/web~2  Failed\n\
                    +8.01   pods shop/web~2  not ready\n\
                    +8.01   pods shop/web~2  gone\n";
    assert_eq!(stage.tale(), expected);
}
