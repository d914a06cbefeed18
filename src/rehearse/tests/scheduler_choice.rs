//! Which of several nodes the scheduler takes.

use serde_json::{Value, json};

use super::Stage;
use super::scheduler::{pod, running, stage, with};
use crate::rehearse::controllers::Scheduler;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

/// Where a pod goes.
fn chosen(stage: &mut Stage, pod: Value) -> String {
    let key = stage.create(Kind::Pod, pod);
    stage.pass(1.0);
    stage.get(&key)["spec"]["nodeName"].as_str().unwrap_or("nowhere").to_owned()
}

#[test]
fn the_emptier_node_is_better() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::Pod, running("db-1", "2", "n-1"));
    assert_eq!(chosen(&mut stage, pod("web-1", "500m")), "n-2");
    // A container that asks for nothing counts for 100m.
    for index in 0..16 {
        let mut small = running(&format!("small-{index}"), "0", "n-2");
        small["spec"]["containers"][0]["resources"] = json!({});
        stage.has(Kind::Pod, small);
    }
    assert_eq!(chosen(&mut stage, pod("web-2", "500m")), "n-1");
}

#[test]
fn a_node_that_is_better_avoided_is_avoided() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::Pod, running("db-1", "2", "n-1"));
    let taint = json!({ "spec": { "taints": [{ "key": "old", "effect": "PreferNoSchedule" }] } });
    stage.patch(&Key::node("n-2"), taint);
    assert_eq!(chosen(&mut stage, pod("web-1", "500m")), "n-1");
    let tolerant = json!({ "tolerations": [{ "key": "old", "operator": "Exists" }] });
    assert_eq!(chosen(&mut stage, with(pod("web-2", "500m"), tolerant)), "n-2");
}

#[test]
fn a_preferred_node_is_preferred() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::Pod, running("db-1", "2", "n-1"));
    let expression = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": ["n-1"] });
    let term = json!({ "weight": 10, "preference": { "matchExpressions": [expression] } });
    let affinity = json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [term] } });
    assert_eq!(chosen(&mut stage, with(pod("web-1", "500m"), json!({ "affinity": affinity }))), "n-1");
}

#[test]
fn company_is_preferred_and_avoided() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::Pod, running("db-1", "2", "n-1"));
    let term = |app: &str| {
        let selector = json!({ "matchLabels": { "app": app } });
        json!([{ "weight": 10, "podAffinityTerm": { "topologyKey": "kubernetes.io/hostname", "labelSelector": selector } }])
    };
    let near = json!({ "podAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": term("db") } });
    assert_eq!(chosen(&mut stage, with(pod("web-1", "500m"), json!({ "affinity": near }))), "n-1");
    let far = json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": term("db") } });
    assert_eq!(chosen(&mut stage, with(pod("web-2", "500m"), json!({ "affinity": far }))), "n-2");
}

#[test]
fn the_pods_of_an_owner_are_spread_without_being_told() {
    let mut stage = stage(&["n-1", "n-2"]);
    let set = json!({
        "metadata": { "name": "web", "namespace": "shop", "uid": "set" },
        "spec": { "replicas": 3, "selector": { "matchLabels": { "app": "web" } }, "template": {} },
    });
    stage.has(Kind::ReplicaSet, set);
    let owned = |mut pod: Value| {
        let owner =
            json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true });
        pod["metadata"]["ownerReferences"] = json!([owner]);
        pod
    };
    // n-2 has more room, and a pod of the same owner.
    stage.has(Kind::Pod, running("db-1", "1", "n-1"));
    stage.has(Kind::Pod, owned(running("web-1", "0", "n-2")));
    assert_eq!(chosen(&mut stage, pod("web-8", "100m")), "n-2");
    assert_eq!(chosen(&mut stage, owned(pod("web-9", "100m"))), "n-1");
}

#[test]
fn what_should_be_spread_is() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::Pod, running("db-1", "1", "n-1"));
    stage.has(Kind::Pod, running("web-1", "0", "n-2"));
    let selector = json!({ "matchLabels": { "app": "web" } });
    let zone = "topology.kubernetes.io/zone";
    let should = json!([{ "maxSkew": 1, "topologyKey": zone, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector }]);
    assert_eq!(chosen(&mut stage, with(pod("web-2", "100m"), json!({ "topologySpreadConstraints": should }))), "n-1");
}

/// A hundred and fifty nodes, and where 200 pods go.
fn many(seed: u64) -> Vec<String> {
    let mut stage = Stage::new(vec![Box::new(Scheduler::default())]);
    stage.world.cluster.random = crate::rehearse::random::Random::new(seed);
    for index in 0..150 {
        stage.has_node(&format!("n-{index:03}"), ["a", "b", "c"][index % 3]);
    }
    for index in 0..200 {
        stage.create(Kind::Pod, pod(&format!("web-{index}"), "100m"));
    }
    stage.pass(1.0);
    let pods = stage.world.cluster.store.all(Kind::Pod).filter_map(|pod| pod.pod()?.node.clone());
    pods.map(|node| node.to_string()).collect()
}

#[test]
fn in_a_large_cluster_the_search_goes_round_and_chance_is_the_seeds() {
    let first = many(1);
    let used: std::collections::BTreeSet<&String> = first.iter().collect();
    // Of 150 nodes the first 100 that will do are compared; since the search goes round, all are used.
    assert!(used.len() > 120, "{}", used.len());
    assert_eq!(first, many(1));
    assert_ne!(first, many(2));
}
