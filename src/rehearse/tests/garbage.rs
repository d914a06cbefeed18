//! What goes with what is deleted.

use serde_json::json;

use super::Stage;
use super::crew::workload;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;
use crate::rehearse::write::{DeleteOptions, Propagation};

fn deleted(propagation: Propagation) -> Stage {
    let mut stage = Stage::crewed();
    let key = stage.create(Kind::Deployment, workload("web", 1));
    stage.pass(10.0);
    stage.story();
    stage.delete(&key, &DeleteOptions { propagation, ..DeleteOptions::default() });
    stage.pass(20.0);
    stage
}

/// Who began to go and was gone when.
fn ends(stage: &mut Stage) -> String {
    let is_told = |line: &&str| line.contains("terminating") || line.contains("gone");
    stage.tale().lines().filter(is_told).map(|line| format!("{line}\n")).collect()
}

#[test]
fn in_the_background_the_owner_goes_first() {
    let expected = "+10.00  deployments shop/web  gone\n\
                    +10.01  replicasets shop/web-c7fcd4cfb  gone\n\
                    +10.02  pods shop/web-c7fcd4cfb~1  terminating, 30 s\n\
                    +13.02  pods shop/web-c7fcd4cfb~1  gone\n";
    assert_eq!(ends(&mut deleted(Propagation::Background)), expected);
}

#[test]
fn in_the_foreground_the_owner_goes_last() {
    let expected = "+10.00  deployments shop/web  terminating, 0 s\n\
                    +10.01  replicasets shop/web-c7fcd4cfb  terminating, 0 s\n\
                    +10.02  pods shop/web-c7fcd4cfb~1  terminating, 30 s\n\
                    +13.02  pods shop/web-c7fcd4cfb~1  gone\n\
                    +13.03  replicasets shop/web-c7fcd4cfb  gone\n\
                    +13.04  deployments shop/web  gone\n";
    assert_eq!(ends(&mut deleted(Propagation::Foreground)), expected);
}

#[test]
fn orphans_stay() {
    let mut stage = deleted(Propagation::Orphan);
    let expected = "+10.00  deployments shop/web  terminating, 0 s\n\
                    +10.01  deployments shop/web  gone\n";
    assert_eq!(ends(&mut stage), expected);
    let set = stage.world.cluster.store.in_namespace(Kind::ReplicaSet, "shop").next().unwrap().clone();
    assert!(set.meta.owners.is_empty());
    assert_eq!(stage.pods().len(), 1);
}

#[test]
fn an_object_goes_with_the_last_of_its_owners() {
    let mut stage = Stage::crewed();
    let owner = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name });
    for name in ["one", "two"] {
        stage.has(Kind::ConfigMap, json!({ "metadata": { "name": name, "namespace": "shop", "uid": name } }));
    }
    let owners = json!([owner("one"), owner("two")]);
    stage.has(Kind::Secret, json!({ "metadata": { "name": "s", "namespace": "shop", "ownerReferences": owners } }));
    // Of a kind that nobody knows here.
    let unknown = json!([owner("one"), { "apiVersion": "example.com/v1", "kind": "Till", "name": "t", "uid": "t" }]);
    stage.has(Kind::Secret, json!({ "metadata": { "name": "kept", "namespace": "shop", "ownerReferences": unknown } }));
    stage.story();
    for name in ["one", "two"] {
        stage.delete(&Key::new(Kind::ConfigMap, "shop", name), &DeleteOptions::default());
        stage.pass(1.0);
    }
    let expected =
        "+0.00   configmaps shop/one  gone\n+1.00   configmaps shop/two  gone\n+1.01   secrets shop/s  gone\n";
    assert_eq!(stage.story(), expected);
    let kept = stage.get(&Key::new(Kind::Secret, "shop", "kept"));
    assert_eq!(kept["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
}

#[test]
fn a_namespace_goes_with_all_that_is_in_it() {
    let mut stage = Stage::crewed();
    stage.create(Kind::Deployment, workload("web", 1));
    stage.has(
        Kind::Opaque(0),
        json!({ "apiVersion": "example.com/v1", "kind": "Till", "metadata": { "name": "t", "namespace": "shop" } }),
    );
    stage.pass(10.0);
    stage.story();
    let namespace = Key::new(Kind::Namespace, "", "shop");
    stage.delete(&namespace, &DeleteOptions::default());
    assert_eq!(stage.get(&namespace)["status"]["phase"], "Terminating");
    let refused = crate::rehearse::object::Object::read(
        Kind::ConfigMap,
        json!({ "metadata": { "name": "c", "namespace": "shop" } }),
    );
    let refused = stage.world.cluster.create(refused.unwrap()).unwrap_err();
    let why =
        "configmaps \"c\" is forbidden: unable to create new content in namespace shop because it is being terminated";
    assert_eq!(refused.message, why);
    stage.pass(60.0);
    let expected = "+10.00  namespaces shop  terminating\n\
                    +15.00  pods shop/web-c7fcd4cfb~1  terminating, 30 s\n\
                    +15.00  deployments shop/web  gone\n\
                    +15.00  replicasets shop/web-c7fcd4cfb  gone\n\
                    +15.00  object shop/t  gone\n\
                    +18.00  pods shop/web-c7fcd4cfb~1  gone\n\
                    +31.00  namespaces shop  gone\n";
    assert_eq!(ends(&mut stage), expected);
}
