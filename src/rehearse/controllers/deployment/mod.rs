//! The Deployment controller (k8s.io/kubernetes v1.37, controller/deployment).
//!
//! - [`sets`]: its ReplicaSets: which of them is the newest, revisions, the hash of a template
//! - [`rolling`], [`recreate`], [`scale`]: how many pods each of them is to have
//! - [`report`]: its status
//!
//! In a drain it does nothing but count: its ReplicaSet replaces pods, and what may be missing is up to budgets.

mod recreate;
mod report;
mod rolling;
mod scale;
mod sets;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::apps::v1::DeploymentSpec;

use super::count::Fenceposts;
use super::members::{manager, notice_member};
use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Key, Object};
use crate::rehearse::store::{Change, What};

pub use sets::HASH;

const SYNC: &str = "deployment";

/// The controller.
#[derive(Debug, Default)]
pub struct Deployments {
    /// By UID: the generation of a Deployment, and which ReplicaSets are of its template.
    fitting: HashMap<Arc<str>, (i64, Fitting)>,
}

/// Whether a ReplicaSet, by its UID, is of a Deployment's template: compared once for each.
type Fitting = Arc<Mutex<BTreeMap<Arc<str>, bool>>>;

/// A Deployment that is looked at.
struct Look {
    key: Key,
    object: Arc<Object>,
    spec: Arc<DeploymentSpec>,
    /// `spec.replicas`
    replicas: i64,
    posts: Fenceposts,
    fitting: Fitting,
}

impl Look {
    fn new(object: Arc<Object>, fitting: Fitting) -> Option<Self> {
        let Detail::Deployment(spec) = &object.detail else { return None };
        let (spec, posts) = (spec.clone(), Fenceposts::of(spec));
        let replicas = i64::from(spec.replicas.unwrap_or(1));
        Some(Self { key: object.key(), replicas, posts, spec, object, fitting })
    }

    /// As it stands now.
    fn again(&self, cluster: &Cluster) -> Option<Self> {
        Self::new(cluster.store.get(&self.key)?.clone(), self.fitting.clone())
    }

    fn is_paused(&self) -> bool {
        self.spec.paused.unwrap_or(false)
    }

    fn is_recreated(&self) -> bool {
        let strategy = self.spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
        strategy == Some("Recreate")
    }

    /// Seconds without progress after which it counts as stuck; `None` where nobody asks.
    fn deadline(&self) -> Option<i64> {
        let seconds = self.spec.progress_deadline_seconds.unwrap_or(600);
        (seconds != i32::MAX).then_some(i64::from(seconds))
    }
}

impl Controller for Deployments {
    fn name(&self) -> &'static str {
        "deployment"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        match change.kind() {
            Kind::Deployment if change.what == What::Deleted => drop(self.fitting.remove(&change.object.meta.uid)),
            Kind::Deployment => queue.soon(SYNC, &change.object.key()),
            Kind::ReplicaSet => notice_member(change, Kind::Deployment, SYNC, queue),
            Kind::Pod if change.what == What::Deleted => notice_last_pod(change, queue),
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        let Some(object) = cluster.store.get(&task.key).cloned() else { return };
        let generation = object.meta.generation;
        let (known, fitting) = self.fitting.entry(object.meta.uid.clone()).or_default();
        if *known != generation {
            (*known, *fitting) = (generation, Fitting::default());
        }
        let Some(look) = Look::new(object, fitting.clone()) else { return };
        let selector = &look.spec.selector;
        if selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty())
            && selector.match_expressions.as_ref().is_none_or(|one| one.is_empty())
        {
            return;
        }
        if look.object.is_terminating() {
            let sets = look.sets(cluster);
            return look.tell(&sets, cluster);
        }
        if look.tell_paused(cluster) {
            // Its own change brings it here again.
            return;
        }
        look.sync(task, cluster);
    }
}

/// A Deployment that is recreated waits for the last of its old pods.
fn notice_last_pod(change: &Change, queue: &mut Queue<'_>) {
    let set = manager(&change.object, Kind::ReplicaSet, queue.store).and_then(|key| queue.store.get(&key));
    let Some(key) = set.and_then(|set| manager(set, Kind::Deployment, queue.store)) else { return };
    let is_recreated = queue.store.get(&key).is_some_and(|object| match &object.detail {
        Detail::Deployment(spec) => spec.strategy.as_ref().is_some_and(|one| one.type_.as_deref() == Some("Recreate")),
        _ => false,
    });
    if is_recreated {
        queue.soon(SYNC, &key);
    }
}

impl Look {
    fn sync(&self, task: &Task, cluster: &mut Cluster) {
        let Some(sets) = self.newest(cluster, false) else { return };
        if self.is_paused() || scale::is_scaled(self, &sets) {
            self.scale(&sets, cluster);
            if self.is_paused() {
                self.forget_history(&self.sets(cluster), cluster);
            }
            let sets = self.sets(cluster);
            return self.tell(&sets, cluster);
        }
        if self.is_recreated() { self.recreate(task, cluster) } else { self.roll(task, cluster) }
    }
}
