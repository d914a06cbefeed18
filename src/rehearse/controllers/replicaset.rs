//! The ReplicaSet controller (k8s.io/kubernetes v1.37, controller/replicaset).
//!
//! - A pod that is terminating is replaced at once, before it is gone.
//! - Pods are made in batches of 1, 2, 4, …; the first that fails ends the look, and the next comes after a while.
//! - Adoption of pods that nobody owns, and release of those whose labels do not fit any more, are left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draft::{Draft, condition};
use super::members::{
    await_availability, is_active, is_available, is_leaving, is_ready, managed, manager, notice_member,
    order_of_removal,
};
use super::retries::Retries;
use super::template::{Named, Templates};
use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Object};
use crate::rehearse::status::Refused;
use crate::rehearse::store::{Change, What};
use crate::rehearse::write::DeleteOptions;

/// How many pods are made or deleted in one look at most.
const BURST: usize = 500;
const SYNC: &str = "replica set";

/// The controller.
#[derive(Debug, Default)]
pub struct ReplicaSets {
    templates: Templates,
    retries: Retries,
}

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        match (change.kind(), change.what) {
            (Kind::ReplicaSet, What::Deleted) => self.templates.forget(&change.object),
            (Kind::ReplicaSet, _) => queue.soon(SYNC, &change.object.key()),
            (Kind::Pod, _) => notice_member(change, Kind::ReplicaSet, SYNC, queue),
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        let Some(object) = cluster.store.get(&task.key).cloned() else { return self.retries.forget(&task.key) };
        let Detail::ReplicaSet(spec) = &object.detail else { return };
        let (leaving, mut active) = members(&object, cluster);
        let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
        let managed = if object.is_terminating() { Ok(()) } else { self.manage(&object, &mut active, wanted, cluster) };
        let more = active.len() > wanted;
        tell(&object, &active, leaving, managed.as_ref().err().map(|error| (error, more)), cluster);
        match managed {
            Ok(()) => self.retries.forget(&task.key),
            Err(_) => return self.retries.again(task, cluster),
        }
        await_availability(active.iter(), spec.min_ready_seconds, task, cluster);
    }
}

/// How many of its pods are leaving, and those that count.
fn members(object: &Object, cluster: &Cluster) -> (usize, Vec<Arc<Object>>) {
    let (mut leaving, mut active) = (0, Vec::new());
    for pod in managed(object, Kind::Pod, &cluster.store) {
        if is_active(pod) {
            active.push(pod.clone());
        } else if is_leaving(pod) {
            leaving += 1;
        }
    }
    (leaving, active)
}

impl ReplicaSets {
    /// Makes what is missing, deletes what is too much. What counts stays as it was before, as with the real one, which
    /// learns of its own deeds by the next look.
    fn manage(
        &mut self,
        object: &Object,
        active: &mut [Arc<Object>],
        wanted: usize,
        cluster: &mut Cluster,
    ) -> Result<(), Refused> {
        if active.len() < wanted {
            return self.make(object, (wanted - active.len()).min(BURST), cluster);
        }
        let surplus = (active.len() - wanted).min(BURST);
        if surplus == 0 {
            return Ok(());
        }
        if surplus < active.len() {
            order_of_removal(active, &doubled(object, cluster), cluster.now);
        }
        for pod in active.iter().take(surplus) {
            // One that is gone by now is what was wanted.
            let _ = cluster.delete(&pod.key(), &DeleteOptions::default());
        }
        Ok(())
    }

    fn make(&mut self, object: &Object, missing: usize, cluster: &mut Cluster) -> Result<(), Refused> {
        let stem = format!("{}-", object.meta.name);
        let (mut left, mut batch) = (missing, 1);
        while left > 0 {
            let mut failed = None;
            for _ in 0..batch.min(left) {
                let made = self
                    .templates
                    .of(object, cluster)
                    .and_then(|template| cluster.create(template.pod(object, Named::Stem(&stem))).map(drop));
                failed = failed.or(made.err().filter(|error| !is_of_ending_namespace(error)));
            }
            if let Some(error) = failed {
                return Err(error);
            }
            left -= batch.min(left);
            batch *= 2;
        }
        Ok(())
    }
}

/// Whether nothing can be made since the namespace is going: no reason to try again.
pub fn is_of_ending_namespace(error: &Refused) -> bool {
    error.details["causes"].as_array().into_iter().flatten().any(|cause| cause["reason"] == "NamespaceTerminating")
}

/// How many pods of all ReplicaSets of its Deployment are on each node.
fn doubled(object: &Object, cluster: &Cluster) -> BTreeMap<Arc<str>, usize> {
    let mut doubled = BTreeMap::new();
    let deployment = manager(object, Kind::Deployment, &cluster.store).and_then(|key| cluster.store.get(&key).cloned());
    let mut count = |set: &Object| {
        let pods = managed(set, Kind::Pod, &cluster.store).filter(|pod| is_active(pod));
        for node in pods.filter_map(|pod| pod.pod()?.node.clone()) {
            *doubled.entry(node).or_default() += 1;
        }
    };
    match deployment {
        Some(deployment) => managed(&deployment, Kind::ReplicaSet, &cluster.store).for_each(|set| count(set)),
        None => count(object),
    }
    doubled
}

/// Says how it stands. A failure tells also whether there were too many pods, not too few.
fn tell(
    object: &Object,
    active: &[Arc<Object>],
    leaving: usize,
    failure: Option<(&Refused, bool)>,
    cluster: &mut Cluster,
) {
    let Detail::ReplicaSet(spec) = &object.detail else { return };
    let template = spec.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    let is_labelled = |pod: &&Arc<Object>| {
        template.into_iter().flatten().all(|(label, value)| pod.meta.labels.get(label) == Some(value))
    };
    let count = |is: &dyn Fn(&&Arc<Object>) -> bool| active.iter().filter(is).count() as i64;
    let mut draft = Draft::of(object);
    draft.set("replicas", active.len().into());
    draft.number("fullyLabeledReplicas", count(&is_labelled));
    draft.number("readyReplicas", count(&|pod| is_ready(pod)));
    draft.number("availableReplicas", count(&|pod| is_available(pod, spec.min_ready_seconds, cluster.now)));
    if cluster.about.minor >= 35 {
        draft.set("terminatingReplicas", leaving.into());
    }
    draft.number("observedGeneration", object.meta.generation);
    match failure {
        Some((error, is_surplus)) if draft.condition(FAILURE).is_none() => {
            let reason = if is_surplus { "FailedDelete" } else { "FailedCreate" };
            draft.put_condition(condition(FAILURE, "True", reason, &error.message, cluster.now));
        }
        Some(_) => {}
        None => draft.remove_condition(FAILURE),
    }
    draft.write(&object.key(), cluster);
}

/// The type of the condition of a ReplicaSet that cannot make or delete its pods.
pub const FAILURE: &str = "ReplicaFailure";
