//! The scheduler's queue: T22, T30 of KUBERNETES.md 10.

use serde_json::json;

use super::scheduler::{cordon, pod, remove, running, stage, told, with};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

#[test]
fn t30_without_an_event_a_pod_is_tried_again_after_five_minutes_at_the_next_half_minute() {
    let mut stage = stage(&["n-1"]);
    stage.has(Kind::Pod, running("web-1", "3", "n-1"));
    let waits = stage.create(Kind::Pod, pod("web-2", "2"));
    stage.pass(1.0);
    let events =
        |stage: &super::Stage| stage.world.cluster.store.all(Kind::Event).map(|one| one.to_value()).collect::<Vec<_>>();
    assert_eq!(events(&stage)[0]["series"], json!(null));
    stage.pass(328.9);
    assert_eq!(events(&stage)[0]["series"], json!(null));
    stage.pass(0.2);
    assert_eq!(events(&stage)[0]["series"]["count"], 2);
    assert_eq!(events(&stage)[0]["series"]["lastObservedTime"], "2026-01-31T14:05:30.000000Z");
    assert_eq!(stage.get(&waits)["status"]["conditions"][0]["lastTransitionTime"], "2026-01-31T14:00:00Z");
}

#[test]
fn t30_where_nobody_said_no_the_pause_doubles_up_to_ten_seconds() {
    // When a node comes tells when the pod would have been tried next: nothing wakes one that failed without anybody's no.
    let mut placed = String::new();
    for seconds in [0.5, 2.5, 5.5, 10.5, 19.5, 30.5, 41.5] {
        let mut stage = stage(&[]);
        stage.create(Kind::Pod, pod("web-1", "1"));
        stage.pass(seconds);
        stage.has_node("n-1", "a");
        stage.pass(60.0);
        let told = told(&mut stage, "pods");
        placed += told.lines().last().unwrap_or_default();
        placed += "\n";
        assert!(told.contains("PodScheduled=False Unschedulable: no nodes available to schedule pods\n"));
    }
    let expected = "\
+2.01   pods shop/web-1  on n-1
+5.01   pods shop/web-1  on n-1
+10.01  pods shop/web-1  on n-1
+19.01  pods shop/web-1  on n-1
+30.01  pods shop/web-1  on n-1
+41.01  pods shop/web-1  on n-1
+52.01  pods shop/web-1  on n-1
";
    assert_eq!(placed, expected);
}

#[test]
fn higher_priority_comes_first_then_who_came_first() {
    let mut stage = stage(&["n-1"]);
    cordon(&mut stage, "n-1", true);
    for (name, priority) in [("low-1", -5), ("web-1", 0), ("web-2", 0), ("top-1", 5)] {
        stage.create(Kind::Pod, with(pod(name, "1"), json!({ "priority": priority })));
        stage.pass(1.0);
    }
    stage.story();
    cordon(&mut stage, "n-1", false);
    stage.pass(1.0);
    let expected = "\
+4.01   pods shop/web-1  PodScheduled=False Unschedulable: 0/1 nodes are available: 1 node(s) had untolerated taint(s). preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
+4.01   pods shop/web-2  PodScheduled=False Unschedulable: 0/1 nodes are available: 1 node(s) had untolerated taint(s). preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
+4.01   pods shop/low-1  PodScheduled=False Unschedulable: 0/1 nodes are available: 1 node(s) had untolerated taint(s). preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
+4.01   pods shop/top-1  PodScheduled=False Unschedulable: 0/1 nodes are available: 1 node(s) had untolerated taint(s). preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
+4.03   pods shop/top-1  on n-1
+4.03   pods shop/web-1  on n-1
+4.03   pods shop/web-2  on n-1
+4.03   pods shop/low-1  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn a_pod_with_gates_waits_for_their_end() {
    let mut stage = stage(&["n-1"]);
    let gated = json!({ "schedulingGates": [{ "name": "example.com/quota" }] });
    let key = stage.create(Kind::Pod, with(pod("web-1", "1"), gated));
    stage.pass(400.0);
    stage.patch(&key, json!({ "spec": { "schedulingGates": null } }));
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/web-1  made
+0.00   pods shop/web-1  PodScheduled=False SchedulingGated: Scheduling is blocked due to non-empty scheduling gates
+400.02 pods shop/web-1  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn another_schedulers_pod_is_left_alone_but_counts() {
    let mut stage = stage(&["n-1"]);
    let key = stage.create(Kind::Pod, with(pod("own-1", "3"), json!({ "schedulerName": "own" })));
    stage.pass(10.0);
    stage.patch(&key, json!({ "spec": { "nodeName": "n-1" } }));
    stage.create(Kind::Pod, pod("web-1", "2"));
    stage.pass(10.0);
    let expected = "\
+0.00   pods shop/own-1  made
+10.00  pods shop/own-1  on n-1
+10.00  pods shop/web-1  made
+10.01  pods shop/web-1  PodScheduled=False Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn what_cannot_help_is_no_reason_to_try_again() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::Pod, running("web-1", "3", "n-1"));
    cordon(&mut stage, "n-2", true);
    stage.create(Kind::Pod, pod("web-2", "2"));
    stage.pass(1.0);
    let tries = |stage: &super::Stage| {
        let mut events = stage.world.cluster.store.all(Kind::Event);
        events.any(|event| event.body.contains_key("series"))
    };
    // Neither a taint nor a label nor a smaller node helps where cpu is short and a node is cordoned.
    stage.patch(&Key::node("n-1"), json!({ "metadata": { "labels": { "x": "y" } } }));
    stage.patch(&Key::node("n-2"), json!({ "spec": { "taints": [{ "key": "x", "effect": "NoSchedule" }] } }));
    stage.patch(&Key::node("n-1"), json!({ "status": { "allocatable": { "cpu": "3500m" } } }));
    stage.pass(10.0);
    assert!(!tries(&stage));
    // More of what is short does.
    stage.patch(&Key::node("n-1"), json!({ "status": { "allocatable": { "cpu": "4500m" } } }));
    stage.pass(1.0);
    assert!(tries(&stage));
}

#[test]
fn a_pod_that_goes_between_choice_and_binding_frees_its_room() {
    let mut stage = stage(&["n-1"]);
    let first = stage.create(Kind::Pod, pod("web-1", "3"));
    let second = stage.create(Kind::Pod, pod("web-2", "3"));
    stage.pass(0.015);
    remove(&mut stage, &first);
    stage.pass(1.0);
    assert_eq!(stage.get(&second)["spec"]["nodeName"], "n-1");
    let expected = "\
+0.00   pods shop/web-1  made
+0.00   pods shop/web-2  made
+0.01   pods shop/web-2  PodScheduled=False Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.
+0.01   pods shop/web-1  gone
+0.03   pods shop/web-2  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}
