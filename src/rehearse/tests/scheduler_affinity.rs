//! Spread, affinity and anti-affinity: T23 to T25 of KUBERNETES.md 10.

use serde_json::{Value, json};

use super::Stage;
use super::scheduler::{cordon, delete, only, pod, remove, running, stage, with};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

fn spread(topology: &str, when: &str) -> Value {
    let selector = json!({ "matchLabels": { "app": "web" } });
    json!({ "maxSkew": 1, "topologyKey": topology, "whenUnsatisfiable": when, "labelSelector": selector })
}

fn spreading(pod: Value, constraint: Value) -> Value {
    with(pod, json!({ "topologySpreadConstraints": [constraint] }))
}

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Three nodes with a pod each; the first is drained.
fn one_of_three_drained(constraint: Value) -> Stage {
    let mut stage = stage(&["n-1", "n-2", "n-3"]);
    for index in 1..=3 {
        let node = format!("n-{index}");
        stage.has(Kind::Pod, spreading(running(&format!("web-{index}"), "1", &node), constraint.clone()));
    }
    cordon(&mut stage, "n-1", true);
    stage.pass(1.0);
    stage.story();
    let evicted = Key::new(Kind::Pod, "shop", "web-1");
    delete(&mut stage, &evicted);
    stage.create(Kind::Pod, spreading(pod("web-4", "1"), constraint));
    stage.pass(1.0);
    remove(&mut stage, &evicted);
    stage.pass(1.0);
    stage
}

#[test]
fn t23_a_cordoned_node_stays_a_domain_and_the_replacement_finds_no_node() {
    let mut stage = one_of_three_drained(spread(HOST, "DoNotSchedule"));
    cordon(&mut stage, "n-1", false);
    stage.pass(1.0);
    let expected = "\
+1.00   pods shop/web-1  terminating, 30 s
+1.00   pods shop/web-4  made
+1.01   pods shop/web-4  PodScheduled=False Unschedulable: 0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.
+2.00   pods shop/web-1  gone
+3.01   pods shop/web-4  PodScheduled=False Unschedulable: 0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match pod topology spread constraints. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.
+3.03   pods shop/web-4  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn t23_with_taints_honored_it_is_no_domain() {
    let mut constraint = spread(HOST, "DoNotSchedule");
    constraint["nodeTaintsPolicy"] = "Honor".into();
    let stage = one_of_three_drained(constraint);
    let node = stage.get(&Key::new(Kind::Pod, "shop", "web-4"))["spec"]["nodeName"].clone();
    assert!(node == "n-2" || node == "n-3", "{node}");
}

#[test]
fn t24_the_last_node_of_a_zone() {
    let mut must = one_of_three_drained(spread(ZONE, "DoNotSchedule"));
    let mut should = one_of_three_drained(spread(ZONE, "ScheduleAnyway"));
    let node = should.get(&Key::new(Kind::Pod, "shop", "web-4"))["spec"]["nodeName"].clone();
    assert!(node == "n-2" || node == "n-3", "{node}");
    let expected = "\
+1.00   pods shop/web-1  terminating, 30 s
+1.00   pods shop/web-4  made
+1.01   pods shop/web-4  PodScheduled=False Unschedulable: 0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.
+2.00   pods shop/web-1  gone
";
    assert_eq!(must.story_of("pods"), expected);
    assert!(!should.story_of("pods").contains("Unschedulable"));
}

#[test]
fn spread_counts_by_its_rules() {
    let mut stage = stage(&["n-1", "n-2", "n-3"]);
    stage.has(Kind::Pod, running("web-1", "1", "n-1"));
    stage.patch(&Key::node("n-3"), json!({ "metadata": { "labels": { HOST: null } } }));
    // Fewer domains than asked for: the least counts as 0.
    let mut wide = spread(HOST, "DoNotSchedule");
    wide["minDomains"] = 3.into();
    stage.create(Kind::Pod, spreading(pod("web-2", "1"), wide.clone()));
    stage.pass(1.0);
    stage.create(Kind::Pod, spreading(pod("web-3", "1"), wide));
    stage.pass(1.0);
    // By its own label `app` only pods of its kind count, and there are none; by the selector alone n-1 would have too many.
    stage.has(Kind::Pod, running("web-9", "1", "n-1"));
    cordon(&mut stage, "n-2", true);
    let mut own = spread(HOST, "DoNotSchedule");
    own["labelSelector"] = json!({ "matchExpressions": [{ "key": "app", "operator": "Exists" }] });
    own["matchLabelKeys"] = json!(["app"]);
    stage.create(Kind::Pod, spreading(pod("api-1", "1"), own));
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/web-1  made
+0.00   pods shop/web-1  on n-1
+0.00   pods shop/web-1  Running
+0.00   pods shop/web-1  ready
+0.00   pods shop/web-2  made
+0.02   pods shop/web-2  on n-2
+1.00   pods shop/web-3  made
+1.01   pods shop/web-3  PodScheduled=False Unschedulable: 0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label), 2 node(s) didn't match pod topology spread constraints. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.
+2.00   pods shop/web-9  made
+2.00   pods shop/web-9  on n-1
+2.00   pods shop/web-9  Running
+2.00   pods shop/web-9  ready
+2.00   pods shop/api-1  made
+2.01   pods shop/web-3  PodScheduled=False Unschedulable: 0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) didn't match pod topology spread constraints (missing required label), 1 node(s) were unschedulable. preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.
+2.02   pods shop/api-1  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

fn apart(topology: &str) -> Value {
    let term = json!({ "topologyKey": topology, "labelSelector": { "matchLabels": { "app": "web" } } });
    json!({ "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] } } })
}

#[test]
fn t25_pods_that_must_be_apart_wait_for_a_node_and_a_terminating_one_still_blocks() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::Pod, with(running("web-1", "1", "n-1"), apart(HOST)));
    stage.has(Kind::Pod, with(running("web-2", "1", "n-2"), apart(HOST)));
    stage.story();
    cordon(&mut stage, "n-1", true);
    let (first, second) = (Key::new(Kind::Pod, "shop", "web-1"), Key::new(Kind::Pod, "shop", "web-2"));
    delete(&mut stage, &first);
    stage.create(Kind::Pod, with(pod("web-3", "1"), apart(HOST)));
    stage.pass(1.0);
    remove(&mut stage, &first);
    stage.pass(1.0);
    delete(&mut stage, &second);
    stage.pass(1.0);
    remove(&mut stage, &second);
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/web-1  terminating, 30 s
+0.00   pods shop/web-3  made
+0.01   pods shop/web-3  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.
+1.00   pods shop/web-1  gone
+2.00   pods shop/web-2  terminating, 30 s
+3.00   pods shop/web-2  gone
+3.02   pods shop/web-3  on n-2
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn pods_that_are_there_keep_others_away() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::Pod, with(running("lonely-1", "1", "n-1"), apart(ZONE)));
    stage.story();
    stage.create(Kind::Pod, with(pod("web-1", "1"), json!({ "nodeSelector": { HOST: "n-1" } })));
    stage.pass(1.0);
    remove(&mut stage, &Key::new(Kind::Pod, "shop", "lonely-1"));
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/web-1  made
+0.01   pods shop/web-1  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) didn't satisfy existing pods anti-affinity rules. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.
+1.00   pods shop/lonely-1  gone
+1.02   pods shop/web-1  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn pods_that_want_company() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.patch(&Key::new(Kind::Namespace, "", "default"), json!({ "metadata": { "labels": { "team": "core" } } }));
    let near = |app: &str, more: Value| {
        let mut term = json!({ "topologyKey": ZONE, "labelSelector": { "matchLabels": { "app": app } } });
        for (field, value) in more.as_object().expect("fields") {
            term[field] = value.clone();
        }
        json!({ "affinity": { "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] } } })
    };
    let selector = json!({ "namespaceSelector": { "matchLabels": { "team": "core" } } });
    stage.create(Kind::Pod, with(pod("front-1", "1"), near("base", selector)));
    // The first of those that want each other goes anywhere.
    stage.create(Kind::Pod, with(pod("ring-1", "1"), near("ring", json!({}))));
    stage.pass(1.0);
    let mut base = running("base-1", "1", "n-2");
    base["metadata"]["namespace"] = "default".into();
    stage.has(Kind::Pod, base);
    stage.pass(1.0);
    let ring = stage.get(&Key::new(Kind::Pod, "shop", "ring-1"))["spec"]["nodeName"].clone();
    assert!(ring.is_string());
    let told: String = only(&stage.story_of("pods"), "front-1");
    let expected = "\
+0.00   pods shop/front-1  made
+0.01   pods shop/front-1  PodScheduled=False Unschedulable: 0/2 nodes are available: 2 node(s) didn't match pod affinity rules. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
+1.02   pods shop/front-1  on n-2
";
    assert_eq!(told, expected);
}
