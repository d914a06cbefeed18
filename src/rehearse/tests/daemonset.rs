//! DaemonSets (KUBERNETES.md 10: T35).

use serde_json::{Value, json};

use super::Stage;
use super::crew::workload;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

fn set(stage: &mut Stage, spec: Value) -> Key {
    let mut set = workload("agent", 0);
    set["spec"].as_object_mut().unwrap().shift_remove("replicas");
    for (field, value) in spec.as_object().unwrap() {
        set["spec"][field] = value.clone();
    }
    let key = stage.create(Kind::DaemonSet, set);
    stage.pass(10.0);
    key
}

fn on(stage: &Stage, node: &str) -> Vec<Key> {
    stage.world.cluster.store.pods_on(node).map(|pod| pod.key()).collect()
}

fn taint(key: &str, effect: &str) -> Value {
    json!({ "spec": { "taints": [{ "key": key, "effect": effect }] } })
}

#[test]
fn every_node_gets_a_pod_that_is_pinned_to_it() {
    let mut stage = Stage::crewed();
    set(&mut stage, json!({}));
    let expected = "+0.00   daemonsets shop/agent  made\n\
                    +0.01   controllerrevisions shop/agent-94b5444c5  made\n\
                    +0.01   pods shop/agent~1  made\n\
                    +0.01   pods shop/agent~2  made\n\
                    +0.01   pods shop/agent~3  made\n\
                    +0.01   daemonsets shop/agent  desiredNumberScheduled 3\n\
                    +0.02   daemonsets shop/agent  currentNumberScheduled 3\n\
                    +0.02   daemonsets shop/agent  updatedNumberScheduled 3\n\
                    +0.06   pods shop/agent~1  on n-1\n\
                    +0.06   pods shop/agent~2  on n-2\n\
                    +0.06   pods shop/agent~3  on n-3\n\
                    +2.06   pods shop/agent~1  Running\n\
                    +2.06   pods shop/agent~1  ready\n\
                    +2.06   pods shop/agent~2  Running\n\
                    +2.06   pods shop/agent~2  ready\n\
                    +2.06   pods shop/agent~3  Running\n\
                    +2.06   pods shop/agent~3  ready\n\
                    +2.07   daemonsets shop/agent  numberReady 3\n\
                    +2.07   daemonsets shop/agent  numberAvailable 3\n";
    assert_eq!(stage.tale(), expected);
    let pod = stage.get(&on(&stage, "n-2")[0]);
    let fields = json!([{ "key": "metadata.name", "operator": "In", "values": ["n-2"] }]);
    let expected = json!({ "nodeSelectorTerms": [{ "matchFields": fields }] });
    assert_eq!(pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"], expected);
    let tolerations: Vec<String> = pod["spec"]["tolerations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!("{}:{} {}", one["key"].as_str().unwrap(), one["effect"].as_str().unwrap(), one["tolerationSeconds"])
        })
        .collect();
    let expected = [
        "node.kubernetes.io/not-ready:NoExecute null",
        "node.kubernetes.io/unreachable:NoExecute null",
        "node.kubernetes.io/disk-pressure:NoSchedule null",
        "node.kubernetes.io/memory-pressure:NoSchedule null",
        "node.kubernetes.io/pid-pressure:NoSchedule null",
        "node.kubernetes.io/unschedulable:NoSchedule null",
    ];
    assert_eq!(tolerations, expected);
}

#[test]
fn t35_a_pod_evicted_from_a_cordoned_node_comes_back_there() {
    let mut stage = Stage::crewed();
    set(&mut stage, json!({}));
    let cordoned = json!({ "spec": { "unschedulable": true,
                                     "taints": [{ "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" }] } });
    stage.patch(&Key::node("n-2"), cordoned);
    stage.story();
    let pod = on(&stage, "n-2")[0].clone();
    assert_eq!(stage.evict(&pod), "201");
    stage.pass(10.0);
    let expected = "+10.00  pods shop/agent~1  DisruptionTarget EvictionByEvictionAPI\n\
                    +10.00  pods shop/agent~1  terminating, 30 s\n\
                    +13.00  pods shop/agent~1  Failed\n\
                    +13.00  pods shop/agent~1  not ready\n\
                    +13.00  pods shop/agent~1  gone\n\
                    +13.01  pods shop/agent~2  made\n\
                    +13.01  daemonsets shop/agent  currentNumberScheduled 2\n\
                    +13.01  daemonsets shop/agent  numberReady 2\n\
                    +13.01  daemonsets shop/agent  numberAvailable 2\n\
                    +13.01  daemonsets shop/agent  updatedNumberScheduled 2\n\
                    +13.02  daemonsets shop/agent  currentNumberScheduled 3\n\
                    +13.02  daemonsets shop/agent  updatedNumberScheduled 3\n\
                    +13.06  pods shop/agent~2  on n-2\n\
                    +15.06  pods shop/agent~2  Running\n\
                    +15.06  pods shop/agent~2  ready\n\
                    +15.07  daemonsets shop/agent  numberReady 3\n\
                    +15.07  daemonsets shop/agent  numberAvailable 3\n";
    assert_eq!(stage.tale(), expected);
}

#[test]
fn nodes_that_come_and_go_and_taints() {
    let mut stage = Stage::crewed();
    set(&mut stage, json!({}));
    stage.story();
    stage.has_node("n-4", "a");
    stage.pass(10.0);
    stage.patch(&Key::node("n-1"), taint("example.com/kept", "NoSchedule"));
    stage.pass(10.0);
    stage.patch(&Key::node("n-2"), taint("example.com/out", "NoExecute"));
    stage.pass(10.0);
    let expected = "+10.00  nodes n-4  made\n\
                    +10.00  nodes n-4  Ready=True\n\
                    +10.01  pods shop/agent~1  made\n\
                    +10.01  daemonsets shop/agent  desiredNumberScheduled 4\n\
                    +10.02  daemonsets shop/agent  currentNumberScheduled 4\n\
                    +10.02  daemonsets shop/agent  updatedNumberScheduled 4\n\
                    +10.06  pods shop/agent~1  on n-4\n\
                    +12.06  pods shop/agent~1  Running\n\
                    +12.06  pods shop/agent~1  ready\n\
                    +12.07  daemonsets shop/agent  numberReady 4\n\
                    +12.07  daemonsets shop/agent  numberAvailable 4\n\
                    +20.00  nodes n-1  +example.com/kept:NoSchedule\n\
                    +20.01  daemonsets shop/agent  currentNumberScheduled 3\n\
                    +20.01  daemonsets shop/agent  desiredNumberScheduled 3\n\
                    +20.01  daemonsets shop/agent  numberReady 3\n\
                    +20.01  daemonsets shop/agent  numberAvailable 3\n\
                    +20.01  daemonsets shop/agent  updatedNumberScheduled 3\n\
                    +30.00  nodes n-2  +example.com/out:NoExecute\n\
                    +30.01  pods shop/agent~2  terminating, 30 s\n\
                    +30.01  daemonsets shop/agent  currentNumberScheduled 2\n\
                    +30.01  daemonsets shop/agent  desiredNumberScheduled 2\n\
                    +30.01  daemonsets shop/agent  numberReady 2\n\
                    +30.01  daemonsets shop/agent  numberAvailable 2\n\
                    +30.01  daemonsets shop/agent  updatedNumberScheduled 2\n\
                    +33.01  pods shop/agent~2  Failed\n\
                    +33.01  pods shop/agent~2  not ready\n\
                    +33.01  pods shop/agent~2  gone\n";
    assert_eq!(stage.tale(), expected);
}

#[test]
fn a_selector_keeps_pods_to_some_nodes() {
    let mut stage = Stage::crewed();
    let mut template = workload("agent", 0)["spec"]["template"].clone();
    template["spec"]["nodeSelector"] = json!({ "topology.kubernetes.io/zone": "b" });
    let key = set(&mut stage, json!({ "template": template }));
    let counts = |stage: &Stage| ["n-1", "n-2", "n-3"].map(|node| on(stage, node).len());
    assert_eq!(counts(&stage), [0, 1, 0]);
    stage.patch(&Key::node("n-3"), json!({ "metadata": { "labels": { "topology.kubernetes.io/zone": "b" } } }));
    stage.pass(10.0);
    assert_eq!(counts(&stage), [0, 1, 1]);
    let terms =
        json!([{ "matchExpressions": [{ "key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["n-3"] }] }]);
    let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } });
    stage.patch(&key, json!({ "spec": { "template": { "spec": { "affinity": { "nodeAffinity": required } } } } }));
    stage.pass(20.0);
    assert_eq!(counts(&stage), [0, 1, 0]);
}

#[test]
fn a_pod_that_failed_is_replaced_after_longer_and_longer_pauses() {
    let mut stage = Stage::crewed();
    set(&mut stage, json!({}));
    let mut ends = Vec::new();
    for _ in 0..4 {
        let pod = on(&stage, "n-1")[0].clone();
        let failed = stage.world.cluster.now;
        stage.patch(&pod, json!({ "status": { "phase": "Failed", "conditions": [] } }));
        while on(&stage, "n-1").contains(&pod) {
            stage.pass(0.01);
        }
        ends.push(stage.world.cluster.now - failed);
        stage.pass(0.1);
        let next = on(&stage, "n-1")[0].clone();
        stage.patch(&next, json!({ "status": { "phase": "Running" } }));
    }
    assert_eq!(ends, [10, 1010, 2010, 4010]);
}

#[test]
fn an_update_goes_node_by_node() {
    let mut stage = Stage::crewed();
    let key = set(&mut stage, json!({}));
    stage.story();
    stage.patch(
        &key,
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "i:2" }] } } } }),
    );
    stage.pass(30.0);
    let expected = "+10.01  daemonsets shop/agent  updatedNumberScheduled 0\n\
                    +13.02  daemonsets shop/agent  currentNumberScheduled 2\n\
                    +13.02  daemonsets shop/agent  numberReady 2\n\
                    +13.02  daemonsets shop/agent  numberAvailable 2\n\
                    +13.03  daemonsets shop/agent  currentNumberScheduled 3\n\
                    +13.03  daemonsets shop/agent  updatedNumberScheduled 1\n\
                    +15.08  daemonsets shop/agent  numberReady 3\n\
                    +15.08  daemonsets shop/agent  numberAvailable 3\n\
                    +18.09  daemonsets shop/agent  currentNumberScheduled 2\n\
                    +18.09  daemonsets shop/agent  numberReady 2\n\
                    +18.09  daemonsets shop/agent  numberAvailable 2\n\
                    +18.10  daemonsets shop/agent  currentNumberScheduled 3\n\
                    +18.10  daemonsets shop/agent  updatedNumberScheduled 2\n\
                    +20.15  daemonsets shop/agent  numberReady 3\n\
                    +20.15  daemonsets shop/agent  numberAvailable 3\n\
                    +23.16  daemonsets shop/agent  currentNumberScheduled 2\n\
                    +23.16  daemonsets shop/agent  numberReady 2\n\
                    +23.16  daemonsets shop/agent  numberAvailable 2\n\
                    +23.17  daemonsets shop/agent  currentNumberScheduled 3\n\
                    +23.17  daemonsets shop/agent  updatedNumberScheduled 3\n\
                    +25.22  daemonsets shop/agent  numberReady 3\n\
                    +25.22  daemonsets shop/agent  numberAvailable 3\n";
    assert_eq!(stage.tale_of(&["daemonsets"]), expected);
}

#[test]
fn an_update_with_a_surge_makes_the_new_pod_first() {
    let mut stage = Stage::crewed();
    let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } });
    let key = set(&mut stage, json!({ "updateStrategy": rolling }));
    stage.story();
    stage.patch(
        &key,
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "i:2" }] } } } }),
    );
    stage.pass(30.0);
    let expected = "+10.01  daemonsets shop/agent  updatedNumberScheduled 0\n\
                    +15.08  daemonsets shop/agent  updatedNumberScheduled 1\n\
                    +17.15  daemonsets shop/agent  updatedNumberScheduled 2\n\
                    +19.22  daemonsets shop/agent  updatedNumberScheduled 3\n";
    assert_eq!(stage.tale_of(&["daemonsets"]), expected);
    for node in ["n-1", "n-2", "n-3"] {
        let pods = on(&stage, node);
        assert_eq!(pods.len(), 1);
        assert_eq!(stage.get(&pods[0])["spec"]["containers"][0]["image"], "i:2");
    }
}

/// A snapshot brings no ControllerRevisions.
#[test]
fn pods_of_a_snapshot_are_not_taken_for_outdated() {
    let mut stage = Stage::crewed();
    let mut set = workload("agent", 0);
    set["metadata"]["uid"] = "agent".into();
    set["metadata"]["generation"] = 2.into();
    set["status"] = json!({ "observedGeneration": 2, "desiredNumberScheduled": 3, "currentNumberScheduled": 3,
                            "numberMisscheduled": 0, "numberReady": 3, "updatedNumberScheduled": 3, "numberAvailable": 3 });
    let owner =
        json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "agent", "controller": true });
    for node in ["n-1", "n-2", "n-3"] {
        let labels = json!({ "app": "agent", "controller-revision-hash": "5c9" });
        let metadata = json!({ "name": format!("agent-{node}"), "namespace": "shop", "labels": labels, "ownerReferences": [owner] });
        let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
        let spec = json!({ "nodeName": node, "containers": [{ "name": "c", "image": "i:1" }] });
        stage.has(Kind::Pod, json!({ "metadata": metadata, "spec": spec, "status": status }));
    }
    stage.has(Kind::DaemonSet, set);
    stage.story();
    stage.pass(30.0);
    assert_eq!(stage.story(), "+0.01   controllerrevisions shop/agent-5c9  made\n");
}
