//! From a snapshot to the cluster in a box.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::snapshot::Snapshot;
use crate::rehearse::cluster::World;
use crate::rehearse::kinds::{KINDS, Kind, NODE_LEASES};
use crate::rehearse::object::{Detail, Key, Object, PodSpec};

/// Why a snapshot cannot be rehearsed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// An object that is not as Kubernetes has it.
    #[error("{resource} `{name}`: {why}")]
    Malformed {
        /// Such as `pods`.
        resource: String,
        /// `namespace/name`
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Objects that own each other.
    #[error("{0} owns itself, over {1}")]
    Cycle(String, String),
}

/// Puts the objects of a snapshot into an empty world, in which they count as having always been there.
///
/// # Errors
/// An object that is not as Kubernetes has it, or owners that go round in a circle.
pub fn seed(snapshot: &Snapshot, world: &mut World) -> Result<(), SeedError> {
    let mut specs: BTreeMap<String, Arc<PodSpec>> = BTreeMap::new();
    let mut namespaces = BTreeSet::from(["default".to_owned(), "kube-system".to_owned(), NODE_LEASES.to_owned()]);
    let mut objects = Vec::new();
    for (resource, values) in &snapshot.objects {
        let Some(kind) = Kind::of_resource(resource) else { continue };
        for value in values {
            let object = read(kind, resource, value, &mut specs, world)?;
            if !object.meta.namespace.is_empty() {
                namespaces.insert(object.meta.namespace.to_string());
            }
            objects.push(object);
        }
    }
    refuse_cycles(&objects)?;
    for name in namespaces {
        let uid = if name == "kube-system" { snapshot.cluster.clone() } else { String::new() };
        let meta = json!({"metadata": {"name": name, "uid": uid}, "status": {"phase": "Active"}});
        put(world, Kind::Namespace, &meta);
    }
    // Nodes before what stands on them, owners before what they own: as they came to be.
    objects.sort_by_key(|object| KINDS.iter().position(|info| info.kind == object.kind && object.kind != Kind::Pod));
    let (pods, others): (Vec<Object>, Vec<Object>) = objects.into_iter().partition(|object| object.kind == Kind::Pod);
    for object in others.into_iter().chain(pods) {
        if object.kind != Kind::Lease {
            world.cluster.store.put(object);
        }
    }
    let nodes: Vec<String> = world.cluster.store.all(Kind::Node).map(|node| node.meta.name.to_string()).collect();
    for node in nodes {
        let lease = json!({"metadata": {"name": node, "namespace": NODE_LEASES},
                           "spec": {"holderIdentity": node, "leaseDurationSeconds": 40}});
        put(world, Kind::Lease, &lease);
    }
    world.settle();
    Ok(())
}

fn put(world: &mut World, kind: Kind, value: &Value) {
    if let Ok(mut object) = Object::read(kind, value.clone())
        && world.cluster.store.get(&object.key()).is_none()
    {
        if object.meta.uid.is_empty() {
            object.meta.uid = world.cluster.new_uid();
        }
        object.meta.created.get_or_insert(crate::rehearse::object::Time(world.cluster.now));
        world.cluster.store.put(object);
    }
}

/// An object; the specs of pods that are alike are one.
fn read(
    kind: Kind,
    resource: &str,
    value: &Value,
    specs: &mut BTreeMap<String, Arc<PodSpec>>,
    world: &mut World,
) -> Result<Object, SeedError> {
    let named = |value: &Value| {
        let word = |field: &str| value["metadata"][field].as_str().unwrap_or_default().to_owned();
        match (word("namespace"), word("name")) {
            (namespace, name) if namespace.is_empty() => name,
            (namespace, name) => format!("{namespace}/{name}"),
        }
    };
    let malformed = |why: String| SeedError::Malformed { resource: resource.to_owned(), name: named(value), why };
    let mut object = Object::read(kind, value.clone()).map_err(|error| malformed(error.to_string()))?;
    if object.meta.name.is_empty() {
        return Err(malformed("it has no name".to_owned()));
    }
    if object.meta.uid.is_empty() {
        object.meta.uid = world.cluster.new_uid();
    }
    object.meta.resource_version = 0;
    let key = object.key();
    if let Detail::Pod(pod) = &mut object.detail {
        crate::rehearse::admission::admit_pod(&key, pod, &world.cluster.store).map_err(|no| malformed(no.message))?;
        let text = serde_json::to_string(&pod.spec.raw).unwrap_or_default();
        pod.spec = specs.entry(text).or_insert_with(|| pod.spec.clone()).clone();
    }
    Ok(object)
}

/// Owners that own each other would never be collected, and their pods belong to nobody.
fn refuse_cycles(objects: &[Object]) -> Result<(), SeedError> {
    let by_uid: BTreeMap<&str, &Object> = objects.iter().map(|object| (&*object.meta.uid, object)).collect();
    for object in objects {
        let mut seen = BTreeSet::from([object.meta.uid.to_string()]);
        let mut at = object;
        while let Some(owner) = at.meta.controller().and_then(|owner| by_uid.get(owner.uid.as_str())) {
            if !seen.insert(owner.meta.uid.to_string()) {
                let key = |object: &Object| -> Key { object.key() };
                return Err(SeedError::Cycle(key(object).to_string(), key(owner).to_string()));
            }
            at = owner;
        }
    }
    Ok(())
}
