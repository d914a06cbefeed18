//! A change gives another version to what it touches, and to nothing else.

use super::*;
use crate::facts::Facts;

/// The world as a watch keeps it that was not asked for whole objects.
fn facts() -> SharedFacts {
    let facts = SharedFacts::new(Facts::new(NOW, false, false, Vec::new()));
    for resource in Resource::ALL {
        facts.write(|facts| facts.list(resource, world().objects[resource.name()].clone(), "1"));
    }
    facts
}

/// Everything that the tests look at, by a short name.
fn keys() -> Vec<(&'static str, ReadKey)> {
    vec![
        ("nodes", ReadKey::Members(Kind::Node)),
        ("each node", ReadKey::List(Kind::Node)),
        ("n1", ReadKey::Object(object(Kind::Node, "", "n1"))),
        ("pods", ReadKey::Members(Kind::Pod)),
        ("each pod", ReadKey::List(Kind::Pod)),
        ("a", ReadKey::Object(object(Kind::Pod, "shop", "web-1-a"))),
        ("b", ReadKey::Object(object(Kind::Pod, "shop", "web-1-b"))),
        ("pods of n1", ReadKey::PodsOfNode("n1".into())),
        ("pods of n2", ReadKey::PodsOfNode("n2".into())),
        ("pods of web", ReadKey::PodsOfWorkload("u-web".into())),
        ("workloads", ReadKey::Members(Kind::Workload)),
        ("each workload", ReadKey::List(Kind::Workload)),
        ("web", ReadKey::Object(web())),
        ("budgets", ReadKey::List(Kind::Budget)),
        ("run", ReadKey::Run),
    ]
}

/// The names of what a change touched.
fn touched(facts: &SharedFacts, change: impl FnOnce(&SharedFacts)) -> String {
    let before: Vec<u64> = keys().iter().map(|(_, key)| facts.version(key)).collect();
    change(facts);
    let after = keys().into_iter().zip(before).filter(|((_, key), before)| facts.version(key) != *before);
    after.map(|((name, _), _)| name).collect::<Vec<_>>().join(", ")
}

type Change = fn(&SharedFacts);

/// The pod web-1-a with another text at a place.
fn changed(pointer: &str, text: &str) -> Json {
    let mut pod = pod("web-1-a", "n1");
    *pod.pointer_mut(pointer).unwrap() = json!(text);
    pod
}

#[test]
fn a_change_touches_what_can_be_read_of_it() {
    let changes: [(&str, Change, &str); 11] = [
        ("a new version alone", |f| put(f, Resource::Pods, &changed("/metadata/resourceVersion", "2")), ""),
        ("an older version", |f| put(f, Resource::Pods, &changed("/metadata/resourceVersion", "0")), ""),
        ("a phase", |f| put(f, Resource::Pods, &changed("/status/phase", "Unknown")), "each pod, a"),
        (
            "a label of a pod",
            |f| put(f, Resource::Pods, &changed("/metadata/labels/app", "db")),
            "pods, each pod, a, pods of n1, pods of web, each workload, web",
        ),
        (
            "a pod that is not ready",
            |f| put(f, Resource::Pods, &changed("/status/conditions/0/status", "False")),
            "each pod, a, pods of n1, pods of web, each workload, web",
        ),
        (
            "a pod that was not ready and is again",
            |f| put(f, Resource::Pods, &changed("/status/conditions/0/lastTransitionTime", "2025-12-31T23:59:50Z")),
            "each pod, a, pods of n1, pods of web, each workload, web",
        ),
        (
            "a pod more",
            |f| put(f, Resource::Pods, &pod("web-1-c", "n2")),
            "pods, each pod, pods of n2, pods of web, each workload, web",
        ),
        (
            "a pod less",
            |f| remove(f, Resource::Pods, "shop", "web-1-a"),
            "pods, each pod, a, pods of n1, pods of web, each workload, web",
        ),
        ("a node more", |f| put(f, Resource::Nodes, &node("n3")), "nodes, each node"),
        ("a node less", |f| remove(f, Resource::Nodes, "", "n1"), "nodes, each node, n1"),
        ("a held node", |f| f.set_run(NOW, [].into(), ["n1".to_owned()].into()), "each node, n1, run"),
    ];
    for (what, change, expected) in changes {
        assert_eq!(touched(&facts(), change), expected, "{what}");
    }
}

#[test]
fn a_pod_that_took_the_name_of_another_is_another() {
    let facts = facts();
    let mut replacement = pod("web-1-a", "n1");
    replacement["metadata"]["uid"] = json!("u-other");
    let touched = touched(&facts, |facts| put(facts, Resource::Pods, &replacement));
    assert!(touched.contains("pods, each pod, a"), "{touched}");
    assert!(facts.is_gone(&object(Kind::Pod, "shop", "web-1-a")));
    assert_eq!(facts.read(|facts| facts.pods_on("n1").len()), 1);
}

/// Pods, ReplicaSets and Deployments come by watches of their own, in any order.
#[test]
fn who_belongs_to_whom_does_not_hang_on_who_came_first() {
    let world = world();
    let all = [
        ("pods", Resource::Pods),
        ("replicasets.apps", Resource::ReplicaSets),
        ("deployments.apps", Resource::Deployments),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let facts = facts();
        for (name, resource) in all {
            for one in &world.objects[name] {
                remove(&facts, resource, "shop", one["metadata"]["name"].as_str().unwrap());
            }
        }
        let empty: Vec<u64> = keys().iter().map(|(_, key)| facts.version(key)).collect();
        for (name, resource) in order.map(|index| all[index]) {
            world.objects[name].iter().for_each(|one| put(&facts, resource, one));
        }
        assert_eq!(field(&facts, &object(Kind::Pod, "shop", "web-1-a"), "workload"), "shop/web", "{order:?}");
        assert_eq!(facts.read(|facts| facts.replicas("u-web")), Some((2, 2)), "{order:?}");
        for ((name, key), before) in keys().into_iter().zip(empty).filter(|((name, _), _)| name.contains("web")) {
            assert_ne!(facts.version(&key), before, "{name} {order:?}");
        }
    }
}

/// A pod that is read as without a workload is read again once its ReplicaSet has come.
#[test]
fn a_late_replica_set_is_another_version_of_what_read_its_pods() {
    let (facts, pod) = (facts(), object(Kind::Pod, "shop", "web-1-a"));
    remove(&facts, Resource::ReplicaSets, "shop", "web-1");
    let mut reads = Reads::default();
    assert_eq!(facts.field(&pod, "workload", &mut reads), Ok(Value::None));
    let versions = |facts: &SharedFacts| reads.keys.iter().map(|key| facts.version(key)).collect::<Vec<_>>();
    let before = versions(&facts);
    put(&facts, Resource::ReplicaSets, &world().objects["replicasets.apps"][0]);
    assert_ne!(versions(&facts), before);
    assert_eq!(field(&facts, &pod, "workload"), "shop/web");
}

/// An object that cannot be read may be anything: its kind is unknown until it can be, or is gone.
#[test]
fn an_object_of_another_form_makes_its_kind_unknown() {
    let facts = facts();
    let strange = json!({"metadata": meta("shop", "guard"), "status": {"disruptionsAllowed": "many"}});
    let told = |facts: &SharedFacts| facts.fact("budgets", &mut Reads::default()).map_err(|unknown| unknown.why);
    for mends in [
        (|f| remove(f, Resource::Budgets, "shop", "guard")) as Change,
        |f| put(f, Resource::Budgets, &world().objects["poddisruptionbudgets.policy"][0]),
        |f| f.write(|facts| facts.list(Resource::Budgets, Vec::new(), "9")),
    ] {
        let key = ReadKey::Members(Kind::Budget);
        let before = facts.version(&key);
        put(&facts, Resource::Budgets, &strange);
        let why = told(&facts).unwrap_err();
        assert!(why.starts_with("poddisruptionbudgets.policy cannot be read: `guard` is not of the form"), "{why}");
        assert_ne!(facts.version(&key), before);
        mends(&facts);
        assert!(told(&facts).is_ok());
    }
}

#[test]
fn who_waits_for_changes_is_told_of_those_alone() {
    let facts = facts();
    let changed = facts.changed();
    put(&facts, Resource::Pods, &pod("web-1-a", "n1"));
    facts.set_now(NOW + 1000);
    assert!(!changed.has_changed());
    remove(&facts, Resource::Pods, "shop", "web-1-a");
    assert!(changed.has_changed());
}
