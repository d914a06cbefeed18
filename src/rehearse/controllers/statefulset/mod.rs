//! The StatefulSet controller (k8s.io/kubernetes v1.37, controller/statefulset).
//!
//! - A pod is replaced by one of the same name, so only when it is gone; one that is finished is deleted first.
//! - OrderedReady: nothing happens behind an ordinal that is missing, terminating, or not available. Two drained nodes with
//!   pods of one set wait for each other.
//! - [`update`]: the pods of an older template
//! - [`identity`]: names, claims, and the pods themselves
//!
//! What becomes of claims when a set shrinks (`persistentVolumeClaimRetentionPolicy`) and its alpha strategy Recreate are left
//! out.

mod identity;
mod report;
mod update;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSetSpec;

use super::members::{await_availability, is_available, managed, notice_member};
use super::retries::Retries;
use super::revision::{self, Revision, Revisions};
use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Key, Object, Phase, Pod};
use crate::rehearse::status::Refused;
use crate::rehearse::store::{Change, What};
use crate::rehearse::write::DeleteOptions;

const SYNC: &str = "stateful set";

/// The controller.
#[derive(Debug, Default)]
pub struct StatefulSets {
    retries: Retries,
    revisions: Revisions,
}

/// A StatefulSet that is looked at.
struct Look {
    object: Arc<Object>,
    spec: Arc<StatefulSetSpec>,
    /// The first ordinal.
    start: i64,
    /// How many pods it is to have.
    replicas: i64,
    /// The template that pods had before an update.
    before: Revision,
    /// The template as it stands.
    after: Revision,
    /// Pods by ordinal, of those it is to have.
    pods: BTreeMap<i64, Arc<Object>>,
    /// Pods by ordinal, of those it is not to have any more.
    condemned: BTreeMap<i64, Arc<Object>>,
}

impl Controller for StatefulSets {
    fn name(&self) -> &'static str {
        "statefulset"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        match (change.kind(), change.what) {
            (Kind::StatefulSet, What::Deleted) => self.revisions.forget(&change.object),
            (Kind::StatefulSet, _) => queue.soon(SYNC, &change.object.key()),
            (Kind::Pod, _) => notice_member(change, Kind::StatefulSet, SYNC, queue),
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        let Some(look) = Look::at(&task.key, &mut self.revisions, cluster) else {
            return self.retries.forget(&task.key);
        };
        let acted = if look.object.is_terminating() { Ok(0) } else { look.act(cluster) };
        let updated = acted.as_ref().map_or(0, |updated| *updated);
        look.tell(updated, cluster);
        match acted {
            Ok(_) => self.retries.forget(&task.key),
            Err(_) => return self.retries.again(task, cluster),
        }
        await_availability(look.all(), look.spec.min_ready_seconds, task, cluster);
    }
}

impl Look {
    fn at(key: &Key, revisions: &mut Revisions, cluster: &mut Cluster) -> Option<Self> {
        let object = cluster.store.get(key)?.clone();
        let Detail::StatefulSet(spec) = &object.detail else { return None };
        let spec = spec.clone();
        let named = |field: &str| object.status(field).and_then(|name| name.as_str()).filter(|name| !name.is_empty());
        let observed = object.status("/observedGeneration").and_then(|number| number.as_i64());
        let known = |_: &Cluster| {
            named("/updateRevision").filter(|_| observed == Some(object.meta.generation)).map(str::to_owned)
        };
        let after = revisions.of(&object, known, cluster);
        let before = match named("/currentRevision") {
            Some(name) if *name != *after.name => revision::find(&object, name, cluster)
                // A snapshot does not tell the template of an update that is under way.
                .unwrap_or_else(|| Revision { name: name.into(), template: after.template.clone() }),
            _ => after.clone(),
        };
        let start = i64::from(spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0));
        let replicas = i64::from(spec.replicas.unwrap_or(1));
        let (mut pods, mut condemned) = (BTreeMap::new(), BTreeMap::new());
        for pod in managed(&object, Kind::Pod, &cluster.store) {
            match identity::ordinal(&object, pod) {
                Some(ordinal) if (start..start + replicas).contains(&ordinal) => pods.insert(ordinal, pod.clone()),
                Some(ordinal) => condemned.insert(ordinal, pod.clone()),
                None => None,
            };
        }
        Some(Self { spec, start, replicas, before, after, pods, condemned, object })
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.pods.values().chain(self.condemned.values())
    }

    fn is_parallel(&self) -> bool {
        self.spec.pod_management_policy.as_deref() == Some("Parallel")
    }

    fn is_available(&self, pod: &Object, now: i64) -> bool {
        is_available(pod, self.spec.min_ready_seconds, now)
    }

    fn is_unavailable(&self, pod: Option<&Arc<Object>>, now: i64) -> bool {
        pod.is_none_or(|pod| pod.is_terminating() || !self.is_available(pod, now))
    }

    /// Makes, ends and updates pods; says how many of the older template it has deleted.
    fn act(&self, cluster: &mut Cluster) -> Result<i64, Refused> {
        for ordinal in self.start..self.start + self.replicas {
            let goes_on = self.keep(ordinal, cluster)?;
            if !goes_on && !self.is_parallel() {
                return Ok(0);
            }
        }
        let now = cluster.now;
        let missing = (self.start..self.start + self.replicas).find(|at| self.is_unavailable(self.pods.get(at), now));
        let first_idle = match missing {
            Some(_) => None,
            None => {
                self.condemned.iter().find(|(_, pod)| self.is_unavailable(Some(pod), now)).map(|(ordinal, _)| *ordinal)
            }
        };
        for (ordinal, pod) in self.condemned.iter().rev() {
            let is_idle = !self.is_available(pod, now) && first_idle != Some(*ordinal);
            if !self.is_parallel() && (pod.is_terminating() || is_idle) {
                return Ok(0);
            }
            if !pod.is_terminating() {
                remove(pod, cluster);
                if !self.is_parallel() {
                    return Ok(0);
                }
            }
        }
        Ok(self.update(cluster))
    }

    /// Sees that there is a pod of this ordinal; whether the next may be looked at in order.
    fn keep(&self, ordinal: i64, cluster: &mut Cluster) -> Result<bool, Refused> {
        let Some(pod) = self.pods.get(&ordinal) else {
            self.make(ordinal, cluster)?;
            return Ok(false);
        };
        let Some(state) = pod.pod() else { return Ok(true) };
        if state.is_terminal() {
            if !pod.is_terminating() {
                remove(pod, cluster);
            }
            return Ok(false);
        }
        if state.status.phase == Phase::Pending {
            self.make_claims(ordinal, cluster);
        }
        let is_steady = !pod.is_terminating() && is_running_and_ready(state) && self.is_available(pod, cluster.now);
        Ok(is_steady)
    }
}

fn is_running_and_ready(pod: &Pod) -> bool {
    pod.status.phase == Phase::Running && pod.is_ready()
}

fn remove(pod: &Object, cluster: &mut Cluster) {
    // One that is gone by now is what was wanted.
    let _ = cluster.delete(&pod.key(), &DeleteOptions::default());
}
