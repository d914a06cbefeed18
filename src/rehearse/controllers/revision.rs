//! ControllerRevisions: by which StatefulSets and DaemonSets tell the pods of one template from those of another
//! (k8s.io/kubernetes v1.37, controller/history).
//!
//! A snapshot brings none of them. There, what the workload's status or its pods call the revision is taken over for the
//! template as it stands, if the controller had seen that template. Old revisions are kept for good.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::members::{managed, owned};
use super::template::{hash, is_same};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Object;

/// The label that tells a pod's revision.
pub const REVISION: &str = "controller-revision-hash";

/// A template that a workload has or had.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Its name.
    pub name: Arc<str>,
    /// The template.
    pub template: Arc<Value>,
}

/// The revisions of workloads' templates as they stand, found once for each generation.
#[derive(Debug, Default)]
pub struct Revisions(HashMap<Arc<str>, (i64, Revision)>);

impl Revisions {
    /// The revision of the template as it stands. `known` tells what it is called by those who have seen it.
    pub fn of(
        &mut self,
        owner: &Object,
        known: impl FnOnce(&Cluster) -> Option<String>,
        cluster: &mut Cluster,
    ) -> Revision {
        if let Some((generation, revision)) = self.0.get(&owner.meta.uid)
            && *generation == owner.meta.generation
        {
            return revision.clone();
        }
        let known = known(cluster);
        let revision = current(owner, known.as_deref(), cluster);
        self.0.insert(owner.meta.uid.clone(), (owner.meta.generation, revision.clone()));
        revision
    }

    /// Forgets those of a workload that is gone.
    pub fn forget(&mut self, owner: &Object) {
        self.0.remove(&owner.meta.uid);
    }
}

impl Revision {
    /// What follows the workload's name in its own.
    pub fn hash(&self, owner: &Object) -> &str {
        self.name.strip_prefix(&*owner.meta.name).and_then(|rest| rest.strip_prefix('-')).unwrap_or(&self.name)
    }

    fn of(object: &Object) -> Self {
        let template = object.body.get("data").and_then(|data| data.pointer("/spec/template")).cloned();
        Self { name: object.meta.name.clone(), template: Arc::new(template.unwrap_or_default()) }
    }
}

/// The revision of a name, if it is kept.
pub fn find(owner: &Object, name: &str, cluster: &Cluster) -> Option<Revision> {
    managed(owner, Kind::ControllerRevision, &cluster.store)
        .find(|one| *one.meta.name == *name)
        .map(|one| Revision::of(one))
}

/// The revision of the template as it stands, made if there is none. `known` is what it is called by those who have seen it,
/// where no revision of that name is kept.
fn current(owner: &Object, known: Option<&str>, cluster: &mut Cluster) -> Revision {
    let template = owner.spec("/template").cloned().unwrap_or_default();
    let mut kept: Vec<Arc<Object>> = managed(owner, Kind::ControllerRevision, &cluster.store).cloned().collect();
    kept.sort_by_key(|one| number(one));
    let last = kept.last().map_or(0, |last| number(last));
    if let Some(fitting) = kept.iter().rev().find(|one| is_same(&Revision::of(one).template, &template)) {
        if number(fitting) < last {
            // An older template again: it is the newest from now on.
            cluster.change(&fitting.key(), |one| {
                Arc::make_mut(&mut one.body).insert("revision".to_owned(), (last + 1).into());
                Some(())
            });
        }
        return Revision::of(fitting);
    }
    let is_new = |name: &&str| !kept.iter().any(|one| *one.meta.name == **name);
    let name = match known.filter(is_new) {
        Some(known) => known.to_owned(),
        None => {
            let collisions = owner.status("/collisionCount").and_then(Value::as_i64).unwrap_or(0);
            format!("{}-{}", owner.meta.name, hash(&template, collisions))
        }
    };
    make(owner, &name, &template, last + 1, cluster);
    Revision { name: name.into(), template: Arc::new(template) }
}

fn number(revision: &Object) -> i64 {
    revision.body.get("revision").and_then(Value::as_i64).unwrap_or(0)
}

fn make(owner: &Object, name: &str, template: &Value, number: i64, cluster: &mut Cluster) {
    let mut labels = template.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    let hash = name.strip_prefix(&format!("{}-", owner.meta.name)).unwrap_or(name);
    let label = if owner.kind == Kind::DaemonSet { REVISION } else { "controller.kubernetes.io/hash" };
    labels[label] = hash.into();
    let mut template = template.clone();
    template["$patch"] = "replace".into();
    let written = json!({
        "metadata": { "name": name, "namespace": &*owner.meta.namespace, "labels": labels,
                      "ownerReferences": [owned(owner)] },
        "data": { "spec": { "template": template } },
        "revision": number,
    });
    if let Ok(object) = Object::read(Kind::ControllerRevision, written) {
        // In a namespace that is being deleted nothing is made any more.
        let _ = cluster.create(object);
    }
}
