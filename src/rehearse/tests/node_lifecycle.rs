//! Nodes that fall silent and come back: T38 of KUBERNETES.md 10, and the taints of cordons and conditions.

use serde_json::{Value, json};

use super::scheduler::{only, pod, remove, running, told, with};
use super::{START, Stage};
use crate::rehearse::controllers::{NodeLifecycle, Scheduler, TaintEviction};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Key, Time};

fn stage(nodes: &[(&str, &str)]) -> Stage {
    let controllers: Vec<Box<dyn crate::rehearse::cluster::Controller>> =
        vec![Box::new(Scheduler::default()), Box::new(NodeLifecycle::default()), Box::new(TaintEviction::default())];
    let mut stage = Stage::new(controllers);
    stage.has(Kind::Namespace, json!({ "metadata": { "name": "kube-node-lease" } }));
    for (name, zone) in nodes {
        stage.has_node(name, zone);
        stage.has(Kind::Lease, json!({ "metadata": { "name": name, "namespace": "kube-node-lease" }, "spec": {} }));
    }
    stage.pass(7.0);
    stage.story();
    stage
}

/// A kubelet that was last heard now.
fn falls_silent(stage: &mut Stage, node: &str) {
    let heard = Time(stage.world.cluster.now).micro();
    stage.patch(&Key::new(Kind::Lease, "kube-node-lease", node), json!({ "spec": { "renewTime": heard } }));
}

/// A kubelet that is heard again, and says that its node is ready.
fn comes_back(stage: &mut Stage, node: &str) {
    stage.patch(&Key::new(Kind::Lease, "kube-node-lease", node), json!({ "spec": { "renewTime": null } }));
    says(stage, node, "True");
}

fn says(stage: &mut Stage, node: &str, ready: &str) {
    let ready = json!([{ "type": "Ready", "status": ready, "reason": "Kubelet" }]);
    stage.patch(&Key::node(node), json!({ "status": { "conditions": ready } }));
}

fn tolerant(pod: Value) -> Value {
    let for_a_while =
        |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
    let tolerations = [for_a_while("node.kubernetes.io/not-ready"), for_a_while("node.kubernetes.io/unreachable")];
    with(pod, json!({ "tolerations": tolerations }))
}

#[test]
fn t38_a_silent_node_is_unknown_after_its_grace_and_its_pods_go_five_minutes_later() {
    let mut stage = stage(&[("n-1", "a"), ("n-2", "a"), ("n-3", "b")]);
    stage.has(Kind::Pod, tolerant(running("web-1", "1", "n-1")));
    stage.story();
    falls_silent(&mut stage, "n-1");
    stage.pass(400.0);
    comes_back(&mut stage, "n-1");
    stage.pass(10.0);
    let expected = "\
+60.00  nodes n-1  Ready=Unknown
+60.00  pods shop/web-1  not ready
+60.01  nodes n-1  +node.kubernetes.io/unreachable:NoExecute
+60.01  nodes n-1  +node.kubernetes.io/unreachable:NoSchedule
+360.02 pods shop/web-1  DisruptionTarget DeletionByTaintManager
+360.02 pods shop/web-1  terminating, 30 s
+407.00 nodes n-1  Ready=True
+407.01 nodes n-1  -node.kubernetes.io/unreachable:NoSchedule
+410.00 nodes n-1  -node.kubernetes.io/unreachable:NoExecute
";
    assert_eq!(told(&mut stage, ""), expected);
}

#[test]
fn t38_who_comes_back_in_time_keeps_its_pods() {
    let mut stage = stage(&[("n-1", "a"), ("n-2", "b")]);
    stage.has(Kind::Pod, tolerant(running("web-1", "1", "n-1")));
    stage.story();
    falls_silent(&mut stage, "n-1");
    stage.pass(120.0);
    comes_back(&mut stage, "n-1");
    stage.pass(600.0);
    let expected = "\
+60.00  nodes n-1  Ready=Unknown
+60.00  pods shop/web-1  not ready
+60.01  nodes n-1  +node.kubernetes.io/unreachable:NoExecute
+60.01  nodes n-1  +node.kubernetes.io/unreachable:NoSchedule
+127.00 nodes n-1  Ready=True
+127.01 nodes n-1  -node.kubernetes.io/unreachable:NoSchedule
+130.00 nodes n-1  -node.kubernetes.io/unreachable:NoExecute
";
    assert_eq!(told(&mut stage, ""), expected);
}

#[test]
fn a_silence_shorter_than_the_grace_is_not_noticed() {
    let mut stage = stage(&[("n-1", "a")]);
    falls_silent(&mut stage, "n-1");
    stage.pass(50.0);
    comes_back(&mut stage, "n-1");
    stage.pass(100.0);
    assert_eq!(stage.story_of("nodes"), "");
}

#[test]
fn a_node_that_says_that_it_is_not_ready_is_tainted_and_a_pod_that_comes_is_not_ready() {
    let mut stage = stage(&[("n-1", "a"), ("n-2", "b")]);
    let ready = stage.has(Kind::Pod, tolerant(running("web-1", "1", "n-1")));
    stage.story();
    says(&mut stage, "n-1", "False");
    stage.pass(1.0);
    let mut late = tolerant(running("web-2", "1", "n-1"));
    late["spec"]["nodeName"] = Value::Null;
    let key = stage.has(Kind::Pod, late);
    stage.patch(&key, json!({ "spec": { "nodeName": "n-1" } }));
    stage.pass(10.0);
    falls_silent(&mut stage, "n-1");
    stage.pass(60.0);
    assert_eq!(stage.get(&ready)["status"]["conditions"][0]["status"], "True");
    let expected = "\
+7.00   nodes n-1  Ready=False
+7.01   nodes n-1  +node.kubernetes.io/not-ready:NoSchedule
+8.00   pods shop/web-2  made
+8.00   pods shop/web-2  Running
+8.00   pods shop/web-2  ready
+8.00   pods shop/web-2  on n-1
+8.01   pods shop/web-2  not ready
+10.01  nodes n-1  +node.kubernetes.io/not-ready:NoExecute
+70.00  nodes n-1  Ready=Unknown
+70.00  nodes n-1  +node.kubernetes.io/unreachable:NoExecute
+70.00  nodes n-1  -node.kubernetes.io/not-ready:NoExecute
+70.01  nodes n-1  +node.kubernetes.io/unreachable:NoSchedule
+70.01  nodes n-1  -node.kubernetes.io/not-ready:NoSchedule
";
    assert_eq!(told(&mut stage, ""), expected);
}

#[test]
fn nodes_of_a_zone_are_tainted_one_in_ten_seconds_each_zone_by_itself() {
    let nodes: Vec<(String, &str)> =
        (1..=8).map(|index| (format!("n-{index}"), if index > 6 { "b" } else { "a" })).collect();
    let nodes: Vec<(&str, &str)> = nodes.iter().map(|(name, zone)| (name.as_str(), *zone)).collect();
    let mut stage = stage(&nodes);
    for node in ["n-1", "n-2", "n-3", "n-7"] {
        says(&mut stage, node, "False");
    }
    stage.pass(60.0);
    let tainted = only(&stage.story(), "NoExecute");
    let expected = "\
+10.01  nodes n-1  +node.kubernetes.io/not-ready:NoExecute
+10.01  nodes n-7  +node.kubernetes.io/not-ready:NoExecute
+20.10  nodes n-2  +node.kubernetes.io/not-ready:NoExecute
+30.10  nodes n-3  +node.kubernetes.io/not-ready:NoExecute
";
    assert_eq!(tainted, expected);
}

#[test]
fn where_most_of_a_small_zone_is_down_nobody_is_evicted_nor_where_all_are_until_one_is_back() {
    let mut stage = stage(&[("n-1", "a"), ("n-2", "a"), ("n-3", "a"), ("n-4", "a"), ("n-5", "b")]);
    for node in ["n-1", "n-2", "n-3"] {
        says(&mut stage, node, "False");
    }
    stage.pass(60.0);
    says(&mut stage, "n-4", "False");
    says(&mut stage, "n-5", "False");
    stage.pass(60.0);
    says(&mut stage, "n-5", "True");
    stage.pass(30.0);
    let tainted = only(&stage.story(), "NoExecute");
    let expected = "\
+140.00 nodes n-1  +node.kubernetes.io/not-ready:NoExecute
+150.00 nodes n-2  +node.kubernetes.io/not-ready:NoExecute
";
    assert_eq!(tainted, expected);
}

#[test]
fn conditions_become_taints_and_a_new_node_is_silent_after_a_minute() {
    let mut stage = stage(&[("n-1", "a")]);
    let pressed = json!([{ "type": "Ready", "status": "True" }, { "type": "DiskPressure", "status": "True" }]);
    stage.patch(&Key::node("n-1"), json!({ "status": { "conditions": pressed } }));
    stage.pass(1.0);
    says(&mut stage, "n-1", "True");
    stage.create(Kind::Node, json!({ "metadata": { "name": "n-2" }, "spec": {} }));
    stage.pass(100.0);
    let condition = &stage.get(&Key::node("n-2"))["status"]["conditions"][0];
    assert_eq!(condition["message"], "Kubelet never posted node status.");
    let expected = "\
+7.01   nodes n-1  +node.kubernetes.io/disk-pressure:NoSchedule
+8.00   nodes n-2  made
+8.01   nodes n-1  -node.kubernetes.io/disk-pressure:NoSchedule
+70.00  nodes n-2  Ready=Unknown
+70.01  nodes n-2  +node.kubernetes.io/unreachable:NoExecute
+70.01  nodes n-2  +node.kubernetes.io/unreachable:NoSchedule
";
    assert_eq!(stage.story_of("nodes"), expected);
    remove(&mut stage, &Key::node("n-2"));
    stage.create(Kind::Pod, pod("web-1", "1"));
    stage.pass(1.0);
    assert!(stage.world.cluster.now > START);
    assert_eq!(stage.get(&Key::new(Kind::Pod, "shop", "web-1"))["spec"]["nodeName"], "n-1");
}
