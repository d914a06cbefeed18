//! The scheduler's filters and messages: T21 to T23, T26, T27, T29 of KUBERNETES.md 10.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Stage;
use crate::rehearse::cluster::About;
use crate::rehearse::controllers::{NodeLifecycle, Scheduler};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

/// The scheduler, the node controller and some nodes of the zones a, b and c in turn.
pub(super) fn stage(nodes: &[&str]) -> Stage {
    let mut stage = Stage::new(vec![Box::new(Scheduler::default()), Box::new(NodeLifecycle::default())]);
    for (index, name) in nodes.iter().enumerate() {
        stage.has_node(name, ["a", "b", "c"][index % 3]);
    }
    stage.story();
    stage
}

/// A pod of the namespace `shop` with a label `app` and some processors.
pub(super) fn pod(name: &str, cpu: &str) -> Value {
    let app = name.split('-').next().unwrap_or_default();
    json!({
        "metadata": { "name": name, "namespace": "shop", "labels": { "app": app } },
        "spec": { "containers": [{ "name": "c", "image": "i", "resources": { "requests": { "cpu": cpu } } }] },
    })
}

/// A running pod on a node.
pub(super) fn running(name: &str, cpu: &str, node: &str) -> Value {
    let mut pod = pod(name, cpu);
    pod["spec"]["nodeName"] = node.into();
    pod["status"] = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    pod
}

/// Adds to the spec.
pub(super) fn with(mut pod: Value, fields: Value) -> Value {
    for (field, value) in fields.as_object().expect("fields") {
        pod["spec"][field] = value.clone();
    }
    pod
}

pub(super) fn cordon(stage: &mut Stage, node: &str, is_cordoned: bool) {
    let cordoned = if is_cordoned { json!(true) } else { Value::Null };
    stage.patch(&Key::node(node), json!({ "spec": { "unschedulable": cordoned } }));
}

/// Removes an object at once.
pub(super) fn remove(stage: &mut Stage, key: &Key) {
    stage.world.cluster.store.remove(key);
    stage.world.settle();
}

/// Starts the deletion of a pod.
pub(super) fn delete(stage: &mut Stage, key: &Key) {
    stage.world.cluster.delete(key, &Default::default()).expect("it is there");
    stage.world.settle();
}

/// What was seen since the last call of one kind, or of all but Events, whose names are chance.
pub(super) fn told(stage: &mut Stage, plural: &str) -> String {
    if !plural.is_empty() {
        return stage.story_of(plural);
    }
    let story = stage.story();
    let lines = story.lines().filter(|line| line.split_whitespace().nth(1) != Some("events"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The lines with some words in them.
pub(super) fn only(story: &str, words: &str) -> String {
    story.lines().filter(|line| line.contains(words)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn t21_a_cordon_becomes_a_taint_and_where_all_are_cordoned_the_message_says_so() {
    let mut stage = stage(&["n-1", "n-2", "n-3"]);
    cordon(&mut stage, "n-1", true);
    cordon(&mut stage, "n-2", true);
    stage.pass(1.0);
    stage.create(Kind::Pod, pod("web-1", "1"));
    stage.pass(1.0);
    cordon(&mut stage, "n-3", true);
    stage.create(Kind::Pod, pod("web-2", "1"));
    stage.pass(1.0);
    let expected = "\
+0.00   nodes n-1  cordoned
+0.00   nodes n-2  cordoned
+0.01   nodes n-1  +node.kubernetes.io/unschedulable:NoSchedule
+0.01   nodes n-2  +node.kubernetes.io/unschedulable:NoSchedule
+1.00   pods shop/web-1  made
+1.02   pods shop/web-1  on n-3
+2.00   nodes n-3  cordoned
+2.00   pods shop/web-2  made
+2.01   nodes n-3  +node.kubernetes.io/unschedulable:NoSchedule
+2.01   pods shop/web-2  PodScheduled=False Unschedulable: 0/3 nodes are available: 3 node(s) were unschedulable. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.
";
    assert_eq!(told(&mut stage, ""), expected);
}

#[test]
fn t21_the_message_is_that_of_the_version() {
    let mut said = String::new();
    for minor in [33, 36, 37] {
        let mut stage = stage(&["n-1", "n-2"]);
        stage.world.cluster.about = Arc::new(About { version: format!("v1.{minor}.0"), minor });
        cordon(&mut stage, "n-1", true);
        let taint = json!([{ "key": "team", "value": "data", "effect": "NoSchedule" }]);
        stage.patch(&Key::node("n-2"), json!({ "spec": { "taints": taint } }));
        let key = stage.create(Kind::Pod, pod("web-1", "1"));
        stage.pass(1.0);
        let condition = stage.get(&key)["status"]["conditions"][0]["message"].clone();
        said += &format!("1.{minor} {}\n", condition.as_str().unwrap_or_default());
    }
    let expected = "\
1.33 0/2 nodes are available: 1 node(s) had untolerated taint {team: data}, 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
1.36 0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
1.37 0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
";
    assert_eq!(said, expected);
}

#[test]
fn t22_an_uncordoned_node_takes_who_waits_and_nobody_moves() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::Pod, running("web-0", "1", "n-2"));
    stage.story();
    cordon(&mut stage, "n-1", true);
    cordon(&mut stage, "n-2", true);
    stage.create(Kind::Pod, pod("web-1", "1"));
    stage.pass(60.0);
    cordon(&mut stage, "n-1", false);
    stage.pass(60.0);
    let expected = "\
+0.00   nodes n-1  cordoned
+0.00   nodes n-2  cordoned
+0.00   pods shop/web-1  made
+0.01   nodes n-1  +node.kubernetes.io/unschedulable:NoSchedule
+0.01   nodes n-2  +node.kubernetes.io/unschedulable:NoSchedule
+0.01   pods shop/web-1  PodScheduled=False Unschedulable: 0/2 nodes are available: 2 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
+60.00  nodes n-1  uncordoned
+60.01  pods shop/web-1  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
+60.01  nodes n-1  -node.kubernetes.io/unschedulable:NoSchedule
+60.03  pods shop/web-1  on n-1
";
    assert_eq!(told(&mut stage, ""), expected);
}

#[test]
fn a_pod_that_tolerates_the_cordon_goes_to_a_cordoned_node() {
    let mut stage = stage(&["n-1"]);
    cordon(&mut stage, "n-1", true);
    stage.pass(1.0);
    let toleration =
        json!([{ "key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule" }]);
    stage.create(Kind::Pod, with(pod("agent-1", "1"), json!({ "tolerations": toleration })));
    stage.pass(1.0);
    let expected = "\
+1.00   pods shop/agent-1  made
+1.02   pods shop/agent-1  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn t26_a_full_cluster_makes_a_pod_wait_until_one_that_ends_is_gone() {
    let mut stage = stage(&["n-1", "n-2"]);
    let ending = stage.has(Kind::Pod, running("web-1", "3", "n-1"));
    stage.has(Kind::Pod, running("web-2", "3", "n-2"));
    stage.story();
    delete(&mut stage, &ending);
    stage.create(Kind::Pod, pod("web-3", "2"));
    stage.pass(30.0);
    remove(&mut stage, &ending);
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/web-1  terminating, 30 s
+0.00   pods shop/web-3  made
+0.01   pods shop/web-3  PodScheduled=False Unschedulable: 0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.
+30.00  pods shop/web-1  gone
+30.02  pods shop/web-3  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn t26_a_pod_that_is_over_holds_nothing() {
    let mut stage = stage(&["n-1"]);
    let job = stage.has(Kind::Pod, running("job-1", "3", "n-1"));
    stage.story();
    stage.create(Kind::Pod, pod("web-1", "2"));
    stage.pass(1.0);
    stage.patch(&job, json!({ "status": { "phase": "Succeeded" } }));
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/web-1  made
+0.01   pods shop/web-1  PodScheduled=False Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.
+1.00   pods shop/job-1  Succeeded
+1.02   pods shop/web-1  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn all_that_is_short_is_told() {
    let mut stage = stage(&["n-1", "n-2"]);
    let two =
        json!({ "status": { "allocatable": { "cpu": "1", "memory": "1Gi", "pods": "0", "example.com/gpu": "1" } } });
    stage.patch(&Key::node("n-1"), two);
    let mut big = pod("web-1", "2");
    big["spec"]["containers"][0]["resources"]["requests"] =
        json!({ "cpu": "2", "memory": "2Gi", "ephemeral-storage": "1Gi", "example.com/gpu": "2" });
    stage.create(Kind::Pod, big);
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/web-1  made
+0.01   pods shop/web-1  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods, 2 Insufficient ephemeral-storage, 2 Insufficient example.com/gpu. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn t27_too_many_pods_and_a_port_that_is_taken() {
    let mut stage = stage(&["n-1", "n-2"]);
    let room = json!({ "status": { "allocatable": { "cpu": "4", "memory": "16Gi", "pods": "1" } } });
    stage.patch(&Key::node("n-1"), room);
    stage.has(Kind::Pod, running("web-1", "1", "n-1"));
    stage.story();
    let port = |name: &str| {
        let mut pod = pod(name, "1");
        pod["spec"]["containers"][0]["ports"] = json!([{ "containerPort": 80, "hostPort": 80 }]);
        pod
    };
    stage.create(Kind::Pod, port("edge-1"));
    stage.pass(1.0);
    stage.create(Kind::Pod, port("edge-2"));
    stage.pass(1.0);
    let other = json!({ "hostPort": 80, "hostIP": "127.0.0.1", "protocol": "UDP", "containerPort": 80 });
    let mut udp = pod("edge-3", "1");
    udp["spec"]["containers"][0]["ports"] = json!([other]);
    stage.create(Kind::Pod, udp);
    stage.pass(1.0);
    remove(&mut stage, &Key::new(Kind::Pod, "shop", "edge-1"));
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/edge-1  made
+0.02   pods shop/edge-1  on n-2
+1.00   pods shop/edge-2  made
+1.01   pods shop/edge-2  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 Too many pods, 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.
+2.00   pods shop/edge-3  made
+2.02   pods shop/edge-3  on n-2
+3.00   pods shop/edge-1  gone
+3.02   pods shop/edge-2  on n-2
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn a_pod_of_a_daemon_set_names_its_node() {
    let mut stage = stage(&["n-1", "n-2", "n-3"]);
    stage.has(Kind::Pod, running("web-1", "4", "n-2"));
    stage.story();
    let pinned = |node: &str| {
        let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
        let terms = json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
        json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": terms } } })
    };
    stage.create(Kind::Pod, with(pod("agent-1", "1"), pinned("n-1")));
    stage.create(Kind::Pod, with(pod("agent-2", "1"), pinned("n-2")));
    stage.create(Kind::Pod, with(pod("agent-9", "1"), pinned("n-9")));
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/agent-1  made
+0.00   pods shop/agent-2  made
+0.00   pods shop/agent-9  made
+0.01   pods shop/agent-2  PodScheduled=False Unschedulable: 0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.
+0.01   pods shop/agent-9  PodScheduled=False Unschedulable: 0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.
+0.02   pods shop/agent-1  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn a_node_selector_and_a_node_affinity_keep_a_pod_away() {
    let mut stage = stage(&["n-1", "n-2", "n-3"]);
    stage.patch(&Key::node("n-1"), json!({ "metadata": { "labels": { "disk": "ssd", "size": "10" } } }));
    stage.patch(&Key::node("n-2"), json!({ "metadata": { "labels": { "disk": "ssd" } } }));
    let larger = json!({ "key": "size", "operator": "Gt", "values": ["5"] });
    let terms = json!({ "nodeSelectorTerms": [{ "matchExpressions": [larger] }] });
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": terms } });
    stage.create(Kind::Pod, with(pod("db-1", "1"), json!({ "nodeSelector": { "disk": "ssd" }, "affinity": affinity })));
    stage.create(Kind::Pod, with(pod("db-2", "1"), json!({ "nodeSelector": { "disk": "nvme" } })));
    stage.pass(1.0);
    stage.patch(&Key::node("n-3"), json!({ "metadata": { "labels": { "disk": "nvme" } } }));
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/db-1  made
+0.00   pods shop/db-2  made
+0.01   pods shop/db-2  PodScheduled=False Unschedulable: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.
+0.02   pods shop/db-1  on n-1
+1.02   pods shop/db-2  on n-3
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn t29_preemption_is_told_and_not_played() {
    let mut stage = stage(&["n-1", "n-2"]);
    let low = |name: &str, node: &str| with(running(name, "3", node), json!({ "priority": -1 }));
    stage.has(Kind::Pod, low("batch-1", "n-1"));
    stage.has(Kind::Pod, low("cache-1", "n-2"));
    let budget = stage.has(
        Kind::PodDisruptionBudget,
        json!({
            "metadata": { "name": "batch", "namespace": "shop" },
            "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "batch" } } },
            "status": { "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1 },
        }),
    );
    stage.story();
    stage.create(Kind::Pod, with(pod("web-1", "2"), json!({ "priority": 100 })));
    stage.pass(1.0);
    remove(&mut stage, &budget);
    stage.create(Kind::Pod, with(pod("web-2", "2"), json!({ "priority": 100, "preemptionPolicy": "Never" })));
    stage.create(Kind::Pod, with(pod("web-3", "2"), json!({ "priority": -1 })));
    stage.create(Kind::Pod, with(pod("web-4", "5"), json!({ "priority": 100 })));
    stage.pass(1.0);
    let mut told = told(&mut stage, "pods");
    for event in stage.world.cluster.store.all(Kind::Event) {
        let word = |field: &str| event.body.get(field).and_then(Value::as_str).unwrap_or_default();
        if word("reason") == "WouldPreempt" {
            told += &format!("{}: {}\n", word("reason"), word("message"));
        }
    }
    let expected = "\
+0.00   pods shop/web-1  made
+0.01   pods shop/web-1  PodScheduled=False Unschedulable: 0/2 nodes are available: 2 Insufficient cpu. preemption: found a potential placement for pod on node n-2, preempting 1 victims
+1.00   pods shop/web-2  made
+1.00   pods shop/web-3  made
+1.00   pods shop/web-4  made
+1.01   pods shop/web-2  PodScheduled=False Unschedulable: 0/2 nodes are available: 2 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.
+1.01   pods shop/web-4  PodScheduled=False Unschedulable: 0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
+1.01   pods shop/web-3  PodScheduled=False Unschedulable: 0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.
WouldPreempt: would preempt shop/cache-1 on node n-2
";
    assert_eq!(told, expected);
}

#[test]
fn what_happened_is_told_by_events() {
    let mut stage = stage(&["n-1"]);
    cordon(&mut stage, "n-1", true);
    let key = stage.create(Kind::Pod, pod("web-1", "1"));
    stage.pass(1.0);
    stage.has_node("n-2", "b");
    stage.pass(1.0);
    let mut told = String::new();
    for event in stage.world.cluster.store.all(Kind::Event) {
        let event = event.to_value();
        assert_eq!(event["involvedObject"]["uid"], stage.get(&key)["metadata"]["uid"]);
        let fields = ["type", "reason", "action", "reportingComponent", "eventTime", "message"];
        let words: Vec<&str> = fields.iter().map(|field| event[*field].as_str().unwrap_or("-")).collect();
        told += &format!("{}\n", words.join(" "));
    }
    let expected = "\
Warning FailedScheduling Scheduling default-scheduler 2026-01-31T14:00:00.010000Z 0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
Normal Scheduled Binding default-scheduler 2026-01-31T14:00:01.020000Z Successfully assigned shop/web-1 to n-2
";
    assert_eq!(told, expected);
}
