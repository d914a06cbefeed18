//! StatefulSets (KUBERNETES.md 10: T31 to T33).

use serde_json::{Value, json};

use super::Stage;
use super::crew::workload;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

fn pod(name: &str) -> Key {
    Key::new(Kind::Pod, "shop", name)
}

fn set(stage: &mut Stage, replicas: i64, spec: Value) -> Key {
    let mut set = workload("db", replicas);
    set["spec"]["serviceName"] = "db".into();
    for (field, value) in spec.as_object().unwrap() {
        set["spec"][field] = value.clone();
    }
    let key = stage.create(Kind::StatefulSet, set);
    stage.pass(20.0);
    key
}

fn image(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } })
}

/// When pods were made and began to go.
fn pods(stage: &mut Stage) -> String {
    let is_told = |line: &&str| ["made", "terminating, 30", "ready", "gone"].iter().any(|word| line.contains(word));
    stage
        .story_of("pods")
        .lines()
        .filter(is_told)
        .filter(|line| !line.contains("not ready"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn pods_come_up_one_after_the_other() {
    let mut stage = Stage::crewed();
    let key = set(&mut stage, 2, json!({}));
    let expected = "+0.00   statefulsets shop/db  made\n\
                    +0.01   controllerrevisions shop/db-567fc7b5f6  made\n\
                    +0.01   pods shop/db-0  made\n\
                    +0.02   statefulsets shop/db  replicas 1\n\
                    +0.02   statefulsets shop/db  updatedReplicas 1\n\
                    +0.06   pods shop/db-0  on n-1\n\
                    +2.06   pods shop/db-0  Running\n\
                    +2.06   pods shop/db-0  ready\n\
                    +2.07   pods shop/db-1  made\n\
                    +2.07   statefulsets shop/db  readyReplicas 1\n\
                    +2.07   statefulsets shop/db  availableReplicas 1\n\
                    +2.08   statefulsets shop/db  replicas 2\n\
                    +2.08   statefulsets shop/db  updatedReplicas 2\n\
                    +2.12   pods shop/db-1  on n-2\n\
                    +4.12   pods shop/db-1  Running\n\
                    +4.12   pods shop/db-1  ready\n\
                    +4.13   statefulsets shop/db  readyReplicas 2\n\
                    +4.13   statefulsets shop/db  availableReplicas 2\n";
    assert_eq!(stage.tale(), expected);
    let first = stage.get(&pod("db-0"));
    let name = stage.get(&key)["status"]["updateRevision"].clone();
    let labels = json!({ "app": "db", "statefulset.kubernetes.io/pod-name": "db-0", "apps.kubernetes.io/pod-index": "0",
                         "controller-revision-hash": name });
    assert_eq!(first["metadata"]["labels"], labels);
    assert_eq!((&first["spec"]["hostname"], &first["spec"]["subdomain"]), (&json!("db-0"), &json!("db")));
}

#[test]
fn t31_a_pod_is_replaced_when_it_is_gone() {
    let mut stage = Stage::crewed();
    set(&mut stage, 2, json!({}));
    stage.story();
    assert_eq!(stage.evict(&pod("db-1")), "201");
    stage.pass(10.0);
    let expected = "+20.00  pods shop/db-1  DisruptionTarget EvictionByEvictionAPI\n\
                    +20.00  pods shop/db-1  terminating, 30 s\n\
                    +20.01  statefulsets shop/db  updatedReplicas 1\n\
                    +23.00  pods shop/db-1  Failed\n\
                    +23.00  pods shop/db-1  not ready\n\
                    +23.00  pods shop/db-1  gone\n\
                    +23.01  pods shop/db-1  made\n\
                    +23.01  statefulsets shop/db  replicas 1\n\
                    +23.01  statefulsets shop/db  readyReplicas 1\n\
                    +23.01  statefulsets shop/db  availableReplicas 1\n\
                    +23.02  statefulsets shop/db  replicas 2\n\
                    +23.02  statefulsets shop/db  updatedReplicas 2\n\
                    +23.06  pods shop/db-1  on n-2\n\
                    +25.06  pods shop/db-1  Running\n\
                    +25.06  pods shop/db-1  ready\n\
                    +25.07  statefulsets shop/db  readyReplicas 2\n\
                    +25.07  statefulsets shop/db  availableReplicas 2\n";
    assert_eq!(stage.tale(), expected);
}

#[test]
fn t32_two_pods_of_an_ordered_set_wait_for_each_other() {
    let mut stage = Stage::crewed();
    set(&mut stage, 3, json!({}));
    stage.story();
    assert_eq!(stage.evict(&pod("db-0")), "201");
    assert_eq!(stage.evict(&pod("db-2")), "201");
    stage.pass(15.0);
    let expected = "+20.00  pods shop/db-0  terminating, 30 s\n\
                    +20.00  pods shop/db-2  terminating, 30 s\n\
                    +23.00  pods shop/db-0  gone\n\
                    +23.00  pods shop/db-2  gone\n\
                    +23.01  pods shop/db-0  made\n\
                    +25.06  pods shop/db-0  ready\n\
                    +25.07  pods shop/db-2  made\n\
                    +27.12  pods shop/db-2  ready\n";
    assert_eq!(pods(&mut stage), expected);
}

#[test]
fn t32_two_pods_of_a_parallel_set_do_not() {
    let mut stage = Stage::crewed();
    set(&mut stage, 3, json!({ "podManagementPolicy": "Parallel" }));
    stage.story();
    assert_eq!(stage.evict(&pod("db-0")), "201");
    assert_eq!(stage.evict(&pod("db-2")), "201");
    stage.pass(15.0);
    let expected = "+20.00  pods shop/db-0  terminating, 30 s\n\
                    +20.00  pods shop/db-2  terminating, 30 s\n\
                    +23.00  pods shop/db-0  gone\n\
                    +23.00  pods shop/db-2  gone\n\
                    +23.01  pods shop/db-0  made\n\
                    +23.01  pods shop/db-2  made\n\
                    +25.06  pods shop/db-0  ready\n\
                    +25.06  pods shop/db-2  ready\n";
    assert_eq!(pods(&mut stage), expected);
}

#[test]
fn t33_an_update_takes_as_many_at_a_time_as_may_be_missing_from_v1_37_on() {
    let together = "+20.01  pods shop/db-2  terminating, 30 s\n\
                    +20.01  pods shop/db-1  terminating, 30 s\n\
                    +23.01  pods shop/db-2  gone\n\
                    +23.01  pods shop/db-1  gone\n\
                    +23.02  pods shop/db-1  made\n\
                    +25.07  pods shop/db-1  ready\n\
                    +25.08  pods shop/db-2  made\n\
                    +27.13  pods shop/db-2  ready\n\
                    +27.14  pods shop/db-0  terminating, 30 s\n\
                    +30.14  pods shop/db-0  gone\n\
                    +30.15  pods shop/db-0  made\n\
                    +32.20  pods shop/db-0  ready\n";
    let one_by_one = "+20.01  pods shop/db-2  terminating, 30 s\n\
                      +23.01  pods shop/db-2  gone\n\
                      +23.02  pods shop/db-2  made\n\
                      +25.07  pods shop/db-2  ready\n\
                      +25.08  pods shop/db-1  terminating, 30 s\n\
                      +28.08  pods shop/db-1  gone\n\
                      +28.09  pods shop/db-1  made\n\
                      +30.14  pods shop/db-1  ready\n\
                      +30.15  pods shop/db-0  terminating, 30 s\n\
                      +33.15  pods shop/db-0  gone\n\
                      +33.16  pods shop/db-0  made\n\
                      +35.21  pods shop/db-0  ready\n";
    for (minor, expected) in [(37, together), (36, one_by_one)] {
        let mut stage = Stage::crewed_of(minor);
        let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 2 } });
        let key = set(&mut stage, 3, json!({ "updateStrategy": rolling }));
        stage.story();
        stage.patch(&key, image("i:2"));
        stage.pass(20.0);
        assert_eq!(pods(&mut stage), expected, "v1.{minor}");
    }
}

#[test]
fn an_update_stops_at_the_partition_and_is_complete_without_one() {
    let mut stage = Stage::crewed();
    let rolling = json!({ "rollingUpdate": { "partition": 2 } });
    let key = set(&mut stage, 3, json!({ "updateStrategy": rolling }));
    stage.story();
    stage.patch(&key, image("i:2"));
    stage.pass(20.0);
    let images = |stage: &Stage| -> Vec<Value> {
        ["db-0", "db-1", "db-2"]
            .iter()
            .map(|name| stage.get(&pod(name))["spec"]["containers"][0]["image"].clone())
            .collect()
    };
    assert_eq!(images(&stage), ["i:1", "i:1", "i:2"]);
    // What is evicted below the partition comes back as it was.
    assert_eq!(stage.evict(&pod("db-0")), "201");
    stage.pass(20.0);
    assert_eq!(images(&stage), ["i:1", "i:1", "i:2"]);
    stage.patch(&key, json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 0 } } } }));
    stage.pass(30.0);
    assert_eq!(images(&stage), ["i:2", "i:2", "i:2"]);
    let status = stage.get(&key)["status"].clone();
    assert_eq!(status["currentRevision"], status["updateRevision"]);
}

#[test]
fn pods_on_delete_are_of_the_new_template_when_they_come_back() {
    let mut stage = Stage::crewed();
    let key = set(&mut stage, 1, json!({ "updateStrategy": { "type": "OnDelete" } }));
    stage.patch(&key, image("i:2"));
    stage.pass(20.0);
    assert_eq!(stage.get(&pod("db-0"))["spec"]["containers"][0]["image"], "i:1");
    assert_eq!(stage.evict(&pod("db-0")), "201");
    stage.pass(20.0);
    assert_eq!(stage.get(&pod("db-0"))["spec"]["containers"][0]["image"], "i:2");
}

#[test]
fn claims_are_made_once_and_kept() {
    let mut stage = Stage::crewed();
    let claim =
        json!({ "metadata": { "name": "data" }, "spec": { "resources": { "requests": { "storage": "1Gi" } } } });
    set(&mut stage, 1, json!({ "volumeClaimTemplates": [claim] }));
    let claim = Key::new(Kind::PersistentVolumeClaim, "shop", "data-db-0");
    let uid = stage.get(&claim)["metadata"]["uid"].clone();
    let volumes = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data-db-0" } }]);
    assert_eq!(stage.get(&pod("db-0"))["spec"]["volumes"], volumes);
    assert_eq!(stage.evict(&pod("db-0")), "201");
    stage.pass(20.0);
    assert_eq!(stage.get(&pod("db-0"))["spec"]["volumes"], volumes);
    assert_eq!(stage.get(&claim)["metadata"]["uid"], uid);
}

#[test]
fn a_set_shrinks_from_its_end_and_replaces_what_ended() {
    let mut stage = Stage::crewed();
    let key = set(&mut stage, 3, json!({}));
    stage.story();
    stage.patch(&key, json!({ "spec": { "replicas": 1 } }));
    stage.pass(10.0);
    stage.patch(&pod("db-0"), json!({ "status": { "phase": "Failed" } }));
    stage.pass(10.0);
    let expected = "+20.01  pods shop/db-2  terminating, 30 s\n\
                    +23.01  pods shop/db-2  gone\n\
                    +23.02  pods shop/db-1  terminating, 30 s\n\
                    +26.02  pods shop/db-1  gone\n\
                    +30.01  pods shop/db-0  gone\n\
                    +30.02  pods shop/db-0  made\n\
                    +32.07  pods shop/db-0  ready\n";
    assert_eq!(pods(&mut stage), expected);
}

/// A snapshot brings no ControllerRevisions.
#[test]
fn pods_of_a_snapshot_are_not_taken_for_outdated() {
    let mut stage = Stage::crewed();
    let mut set = workload("db", 1);
    set["metadata"]["uid"] = "db".into();
    set["metadata"]["generation"] = 4.into();
    set["status"] = json!({ "observedGeneration": 4, "replicas": 1, "readyReplicas": 1, "availableReplicas": 1,
                            "currentReplicas": 1, "updatedReplicas": 1, "collisionCount": 0,
                            "currentRevision": "db-6f7d", "updateRevision": "db-6f7d" });
    let key = stage.has(Kind::StatefulSet, set);
    let owner =
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "db", "controller": true });
    let labels = json!({ "app": "db", "controller-revision-hash": "db-6f7d" });
    let metadata = json!({ "name": "db-0", "namespace": "shop", "labels": labels, "ownerReferences": [owner] });
    let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    let spec = json!({ "nodeName": "n-1", "containers": [{ "name": "c", "image": "i:1" }] });
    stage.has(Kind::Pod, json!({ "metadata": metadata, "spec": spec, "status": status }));
    stage.story();
    stage.pass(30.0);
    assert_eq!(stage.story(), "+0.01   controllerrevisions shop/db-6f7d  made\n");
    stage.patch(&key, image("i:2"));
    stage.pass(30.0);
    assert_eq!(stage.get(&pod("db-0"))["spec"]["containers"][0]["image"], "i:2");
}
