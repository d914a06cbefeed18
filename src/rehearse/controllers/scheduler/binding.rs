//! Binding: the pod gets its node, after its claims have their volumes (plugins/volumebinding, registry/core/pod/storage
//! assignPod).
//!
//! There is no provisioner: a claim that waited for its first consumer gets its volume here. A volume that is there is taken;
//! one that would be made is made at once, with the node affinity that other volumes of its class have (by hostname, zone, or
//! none), by the node's zone where there is no other.

use std::sync::Arc;

use serde_json::{Value, json};

use super::volumes::{self, Volumes};
use super::{NAME, Scheduler};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::events::{self, Said};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Condition, Key, Object};

const ZONE: &str = "topology.kubernetes.io/zone";

impl Scheduler {
    /// Binds a pod to the node that it is assumed on, if it still is.
    pub(super) fn bind(&mut self, key: &Key, cluster: &mut Cluster) {
        let Some(assumed) = self.cache.pods.get(key).filter(|placed| placed.is_assumed) else { return };
        let (node, slot) = (self.cache.nodes[assumed.node].name.clone(), assumed.node);
        let Some(object) = cluster.store.get(key).filter(|pod| pod.meta.uid == assumed.object.meta.uid).cloned() else {
            self.cache.remove(key);
            return;
        };
        let plan = Volumes::new(&object, &self.cache, &cluster.store);
        let plan = plan.map(|volumes| volumes.plan(&cluster.store, &self.cache.nodes[slot]).unwrap_or_default());
        for (claim, volume) in plan.unwrap_or_default() {
            bind_claim(cluster, &claim, volume, &node);
        }
        let condition = Condition::new("PodScheduled", true, cluster.now);
        let bound = cluster.change(key, |object| {
            let pod = object.pod_mut()?;
            pod.node = Some(node.clone());
            pod.status.set_condition(condition);
            Some(())
        });
        let message = format!("Successfully assigned {key} to {node}");
        let (reason, action) = ("Scheduled", "Binding");
        if let Some(bound) = bound {
            events::say(cluster, &bound, Said { by: NAME, is_warning: false, reason, action, message: &message });
        }
    }
}

fn bind_claim(cluster: &mut Cluster, claim: &Arc<Object>, volume: Option<Arc<Object>>, node: &str) {
    let made = volume.is_none();
    let volume = volume.map_or_else(|| make(cluster, claim, node), |volume| Some(volume.key()));
    let Some(volume) = volume else { return };
    let (of, uid) = (claim.key(), claim.meta.uid.clone());
    cluster.change(&volume, |object| {
        set(
            object,
            "claimRef",
            json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": &*of.name,
                                        "namespace": &*of.namespace, "uid": &*uid }),
        );
        object.status = Some(Arc::new(json!({ "phase": "Bound" })));
        Some(())
    });
    cluster.change(&of, |object| {
        set(object, "volumeName", (*volume.name).into());
        let annotations = Arc::make_mut(&mut object.meta.annotations);
        annotations.insert("pv.kubernetes.io/bind-completed".to_owned(), "yes".to_owned());
        if made {
            annotations.insert(volumes::SELECTED_NODE.to_owned(), node.to_owned());
        }
        let mut status = object.status.as_deref().cloned().unwrap_or_else(|| json!({}));
        status["phase"] = "Bound".into();
        object.status = Some(Arc::new(status));
        Some(())
    });
}

fn set(object: &mut Object, field: &str, value: Value) {
    let body = Arc::make_mut(&mut object.body);
    body.entry("spec").or_insert_with(|| json!({}))[field] = value;
}

/// Makes the volume that a claim's class would make for a node; gives its key.
fn make(cluster: &mut Cluster, claim: &Object, node: &str) -> Option<Key> {
    let class = volumes::class_of(claim).to_owned();
    let place = cluster.store.find(Kind::Node, "", node)?;
    let labels =
        pinned_by(cluster, &class).into_iter().filter_map(|key| Some((place.meta.label(&key)?.to_owned(), key)));
    let terms: Vec<Value> =
        labels.map(|(value, key)| json!({ "key": key, "operator": "In", "values": [value] })).collect();
    let provisioner = cluster.store.find(Kind::StorageClass, "", &class)?.body.get("provisioner").cloned();
    let name = format!("pvc-{}", claim.meta.uid);
    let mut spec = json!({
        "capacity": claim.spec("/resources/requests"), "accessModes": claim.spec("/accessModes"),
        "volumeMode": claim.spec("/volumeMode"), "storageClassName": class,
        "csi": { "driver": provisioner, "volumeHandle": name },
    });
    if !terms.is_empty() {
        spec["nodeAffinity"] = json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": terms }] } });
    }
    let value = json!({ "metadata": { "name": name }, "spec": spec, "status": { "phase": "Available" } });
    let object = Object::read(Kind::PersistentVolume, value).ok()?;
    cluster.create(object).ok().map(|made| made.key())
}

/// The labels of nodes that the volumes of a class are pinned by; the zone's where there is no volume yet.
fn pinned_by(cluster: &Cluster, class: &str) -> Vec<String> {
    let is_of_class = |volume: &&Arc<Object>| volume.spec("/storageClassName").and_then(Value::as_str) == Some(class);
    let Some(other) = cluster.store.all(Kind::PersistentVolume).find(is_of_class) else { return vec![ZONE.to_owned()] };
    let terms = other.spec("/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions").and_then(Value::as_array);
    terms.into_iter().flatten().filter_map(|one| Some(one["key"].as_str()?.to_owned())).collect()
}
