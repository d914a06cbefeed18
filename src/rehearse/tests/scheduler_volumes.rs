//! Claims and volumes: T28 of KUBERNETES.md 10, and its neighbours.

use serde_json::{Value, json};

use super::Stage;
use super::scheduler::{cordon, delete, pod, remove, running, stage, with};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

fn using(pod: Value, claim: &str) -> Value {
    let volume = json!({ "name": "data", "persistentVolumeClaim": { "claimName": claim } });
    with(pod, json!({ "volumes": [volume] }))
}

fn claim(name: &str, class: &str, volume: Option<&str>) -> Value {
    let mut claim = json!({
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": { "requests": { "storage": "1Gi" } } },
        "status": { "phase": if volume.is_some() { "Bound" } else { "Pending" } },
    });
    if let Some(volume) = volume {
        claim["spec"]["volumeName"] = volume.into();
    }
    claim
}

fn volume(name: &str, class: &str, pinned: Option<(&str, &str)>, phase: &str) -> Value {
    let mut volume = json!({
        "metadata": { "name": name },
        "spec": { "capacity": { "storage": "10Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                  "csi": { "driver": "disk.example.com", "volumeHandle": name } },
        "status": { "phase": phase },
    });
    if let Some((key, value)) = pinned {
        let terms = json!([{ "matchExpressions": [{ "key": key, "operator": "In", "values": [value] }] }]);
        volume["spec"]["nodeAffinity"] = json!({ "required": { "nodeSelectorTerms": terms } });
    }
    volume
}

fn class(name: &str, provisioner: &str, mode: &str) -> Value {
    json!({ "metadata": { "name": name }, "provisioner": provisioner, "volumeBindingMode": mode })
}

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

#[test]
fn t28_a_pod_with_a_local_volume_waits_for_its_node() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::PersistentVolume, volume("disk-1", "local", Some((HOST, "n-1")), "Bound"));
    stage.has(Kind::PersistentVolumeClaim, claim("data-db-0", "local", Some("disk-1")));
    let old = stage.has(Kind::Pod, using(running("db-0", "1", "n-1"), "data-db-0"));
    stage.story();
    cordon(&mut stage, "n-1", true);
    delete(&mut stage, &old);
    stage.pass(1.0);
    remove(&mut stage, &old);
    stage.create(Kind::Pod, using(pod("db-0", "1"), "data-db-0"));
    stage.pass(1.0);
    cordon(&mut stage, "n-1", false);
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/db-0  terminating, 30 s
+1.00   pods shop/db-0  gone
+1.00   pods shop/db-0  made
+1.01   pods shop/db-0  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
+2.01   pods shop/db-0  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) had untolerated taint(s). preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
+2.03   pods shop/db-0  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn claims_that_are_missing_or_not_bound() {
    let mut stage = stage(&["n-1"]);
    stage.has(Kind::StorageClass, class("now", "disk.example.com", "Immediate"));
    stage.create(Kind::Pod, using(pod("db-1", "1"), "nowhere"));
    stage.has(Kind::PersistentVolumeClaim, claim("slow", "now", None));
    stage.create(Kind::Pod, using(pod("db-2", "1"), "slow"));
    stage.has(Kind::PersistentVolumeClaim, claim("torn", "now", Some("gone")));
    stage.create(Kind::Pod, using(pod("db-3", "1"), "torn"));
    stage.pass(1.0);
    stage.has(Kind::PersistentVolume, volume("disk-1", "now", None, "Bound"));
    stage.has(Kind::PersistentVolumeClaim, claim("nowhere", "now", Some("disk-1")));
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/db-1  made
+0.00   pods shop/db-2  made
+0.00   pods shop/db-3  made
+0.01   pods shop/db-1  PodScheduled=False Unschedulable: 0/1 nodes are available: persistentvolumeclaim \"nowhere\" not found. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
+0.01   pods shop/db-2  PodScheduled=False Unschedulable: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
+0.01   pods shop/db-3  PodScheduled=False Unschedulable: 0/1 nodes are available: persistentvolume \"gone\" not found. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
+1.02   pods shop/db-1  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn a_claim_that_waits_for_its_first_consumer_gets_a_volume_where_the_pod_goes() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::StorageClass, class("zonal", "disk.example.com", "WaitForFirstConsumer"));
    let wanted = stage.has(Kind::PersistentVolumeClaim, claim("data-1", "zonal", None));
    let key =
        stage.create(Kind::Pod, with(using(pod("db-1", "1"), "data-1"), json!({ "nodeSelector": { HOST: "n-2" } })));
    stage.pass(1.0);
    assert_eq!(stage.get(&key)["spec"]["nodeName"], "n-2");
    let bound = stage.get(&wanted);
    assert_eq!(bound["status"]["phase"], "Bound");
    let name = bound["spec"]["volumeName"].as_str().expect("a volume").to_owned();
    let made = stage.get(&Key::new(Kind::PersistentVolume, "", name));
    let expression = json!({ "key": ZONE, "operator": "In", "values": ["b"] });
    let terms = &made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"];
    assert_eq!(*terms, json!([{ "matchExpressions": [expression] }]));
    // From now on the pod is tied to that zone.
    remove(&mut stage, &key);
    cordon(&mut stage, "n-2", true);
    stage.story();
    stage.create(Kind::Pod, using(pod("db-1", "1"), "data-1"));
    stage.pass(1.0);
    let expected = "\
+1.00   pods shop/db-1  made
+1.01   pods shop/db-1  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn a_class_that_makes_nothing_needs_a_volume_that_is_there() {
    let mut stage = stage(&["n-1", "n-2"]);
    stage.has(Kind::StorageClass, class("local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"));
    stage.has(Kind::PersistentVolume, volume("disk-1", "local", Some((HOST, "n-1")), "Available"));
    for index in 1..=2 {
        stage.has(Kind::PersistentVolumeClaim, claim(&format!("data-{index}"), "local", None));
        stage.create(Kind::Pod, using(pod(&format!("db-{index}"), "1"), &format!("data-{index}")));
        stage.pass(1.0);
    }
    assert_eq!(stage.get(&Key::new(Kind::PersistentVolumeClaim, "shop", "data-1"))["spec"]["volumeName"], "disk-1");
    let expected = "\
+0.00   pods shop/db-1  made
+0.02   pods shop/db-1  on n-1
+1.00   pods shop/db-2  made
+1.01   pods shop/db-2  PodScheduled=False Unschedulable: 0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.
";
    assert_eq!(stage.story_of("pods"), expected);
}

#[test]
fn a_claim_for_one_pod_at_a_time() {
    let mut stage = stage(&["n-1"]);
    stage.has(Kind::PersistentVolume, volume("disk-1", "one", None, "Bound"));
    let mut once = claim("data", "one", Some("disk-1"));
    once["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
    stage.has(Kind::PersistentVolumeClaim, once);
    let first = stage.create(Kind::Pod, using(pod("db-1", "1"), "data"));
    stage.pass(1.0);
    stage.create(Kind::Pod, using(pod("db-2", "1"), "data"));
    stage.pass(1.0);
    remove(&mut stage, &first);
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/db-1  made
+0.02   pods shop/db-1  on n-1
+1.00   pods shop/db-2  made
+1.01   pods shop/db-2  PodScheduled=False Unschedulable: 0/1 nodes are available: 1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.
+2.00   pods shop/db-1  gone
+2.02   pods shop/db-2  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}

fn with_limit(stage: &mut Stage, node: &str, limit: i64) {
    let driver = json!({ "name": "disk.example.com", "nodeID": node, "allocatable": { "count": limit } });
    stage.has(Kind::CsiNode, json!({ "metadata": { "name": node }, "spec": { "drivers": [driver] } }));
}

#[test]
fn a_node_takes_so_many_volumes_and_a_volume_of_another_zone_not_at_all() {
    let mut stage = stage(&["n-1", "n-2"]);
    with_limit(&mut stage, "n-1", 1);
    for index in 1..=3 {
        let mut disk = volume(&format!("disk-{index}"), "d", None, "Bound");
        if index > 1 {
            disk["metadata"]["labels"] = json!({ ZONE: "a" });
        }
        stage.has(Kind::PersistentVolume, disk);
        let name = format!("data-{index}");
        stage.has(Kind::PersistentVolumeClaim, claim(&name, "d", Some(&format!("disk-{index}"))));
    }
    let first = stage.has(Kind::Pod, using(running("db-1", "1", "n-1"), "data-1"));
    stage.story();
    stage.create(Kind::Pod, using(pod("db-2", "1"), "data-2"));
    stage.pass(1.0);
    // A second pod with a volume that is attached already needs no more.
    stage.create(Kind::Pod, with(using(pod("db-9", "1"), "data-1"), json!({ "nodeSelector": { HOST: "n-1" } })));
    stage.pass(1.0);
    remove(&mut stage, &first);
    remove(&mut stage, &Key::new(Kind::Pod, "shop", "db-9"));
    stage.pass(1.0);
    let attachment = json!({
        "metadata": { "name": "left" },
        "spec": { "attacher": "disk.example.com", "nodeName": "n-1", "source": { "persistentVolumeName": "disk-1" } },
    });
    let attachment = stage.has(Kind::VolumeAttachment, attachment);
    remove(&mut stage, &Key::new(Kind::Pod, "shop", "db-2"));
    stage.create(Kind::Pod, using(pod("db-3", "1"), "data-3"));
    stage.pass(1.0);
    remove(&mut stage, &attachment);
    stage.pass(1.0);
    let expected = "\
+0.00   pods shop/db-2  made
+0.01   pods shop/db-2  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 node(s) exceed max volume count, 1 node(s) had no available volume zone. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.
+1.00   pods shop/db-9  made
+1.02   pods shop/db-9  on n-1
+2.00   pods shop/db-1  gone
+2.00   pods shop/db-9  gone
+2.02   pods shop/db-2  on n-1
+3.00   pods shop/db-2  gone
+3.00   pods shop/db-3  made
+3.01   pods shop/db-3  PodScheduled=False Unschedulable: 0/2 nodes are available: 1 node(s) exceed max volume count, 1 node(s) had no available volume zone. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.
+4.02   pods shop/db-3  on n-1
";
    assert_eq!(stage.story_of("pods"), expected);
}
