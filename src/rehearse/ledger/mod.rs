//! The availability ledger: what a run does to the workloads, kept while it goes on.
//!
//! - [`Workload`]: how many replicas were ready of those wanted, at their lowest, since when, and for how long below
//! - [`Eviction`]: each pod that was evicted, with the budgets that covered it, and when it was gone
//! - [`Unplaced`]: pods that found no room, in the scheduler's words
//! - [`Start`]: how long replacements took to be ready
//! - [`Room`]: the least that was left to ask for on nodes that take pods
//!
//! It watches as a controller does, and changes nothing.

mod room;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cluster::{Cluster, Controller, Queue, Task};
use super::kinds::Kind;
use super::object::{Detail, Key, Object, Pod};
use super::store::{Change, Store, What};

use room::Nodes;
pub use room::Room;

/// What a run did to the workloads. Cheap to clone: all clones are the same ledger.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Pages>>);

/// What the ledger holds.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// When it began to count, Unix milliseconds; `None`: not yet.
    pub began: Option<i64>,
    /// By key, of Deployments, StatefulSets and ReplicaSets of nobody.
    pub workloads: BTreeMap<Key, Workload>,
    /// In the order in which they were accepted.
    pub evictions: Vec<Eviction>,
    /// Pods that the scheduler had no node for, in the order of their first refusal.
    pub unplaced: Vec<Unplaced>,
    /// Pods that were made since and became ready.
    pub starts: Vec<Start>,
    /// The least room that was left.
    pub room: Option<Room>,
    /// Index into `evictions` of those that are not gone yet, by UID.
    leaving: BTreeMap<Arc<str>, usize>,
    /// Index into `unplaced` of those that wait, by UID.
    waiting: BTreeMap<Arc<str>, usize>,
    nodes: Nodes,
}

/// A workload's availability.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// How many replicas are wanted.
    pub desired: i64,
    /// How many pods are ready and not being deleted.
    pub ready: i64,
    /// The fewest that were ready.
    pub lowest: i64,
    /// How many were wanted then.
    pub desired_then: i64,
    /// When that was first so, Unix milliseconds.
    pub lowest_at: i64,
    /// For how long fewer were ready than wanted, in milliseconds, up to `below_since`.
    pub below: i64,
    /// Since when fewer are ready than wanted.
    pub below_since: Option<i64>,
    /// How many pods that the run had moved were moved again.
    pub moved_again: usize,
    /// Whether a pod of it was evicted.
    pub is_touched: bool,
    /// Whether a budget covers its pods, as far as one was evicted.
    pub has_budget: bool,
}

/// A pod that was evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// When, Unix milliseconds.
    pub at: i64,
    /// The pod.
    pub pod: Key,
    /// The node that it left.
    pub node: Arc<str>,
    /// Its workload.
    pub workload: Option<Key>,
    /// The budgets that cover it.
    pub budgets: Vec<Key>,
    /// When it was gone.
    pub gone: Option<i64>,
    /// Whether it was made after the run began.
    pub is_again: bool,
}

/// A pod that found no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaced {
    /// The pod.
    pub pod: Key,
    /// Its workload.
    pub workload: Option<Key>,
    /// Since when, Unix milliseconds.
    pub since: i64,
    /// Until when; `None`: it still waits.
    pub until: Option<i64>,
    /// The scheduler's last words.
    pub why: String,
}

/// A pod that became ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Its workload.
    pub workload: Option<Key>,
    /// From being made to being ready, in milliseconds.
    pub took: i64,
    /// How much of that its init containers took, in milliseconds.
    pub init: i64,
}

impl Ledger {
    /// The controller that keeps it.
    pub fn keeper(&self) -> Box<dyn Controller> {
        Box::new(Keeper(self.clone()))
    }

    /// Begins to count, Unix milliseconds.
    pub fn begin(&self, now: i64) {
        let mut pages = self.pages();
        pages.began = Some(now);
        for workload in pages.workloads.values_mut() {
            (workload.lowest, workload.desired_then, workload.lowest_at) = (workload.ready, workload.desired, now);
            workload.below_since = (workload.ready < workload.desired).then_some(now);
        }
    }

    /// What it holds, with what is still going on counted up to now.
    pub fn close(&self, now: i64) -> Pages {
        let mut pages = self.pages().clone();
        for workload in pages.workloads.values_mut() {
            if let Some(since) = workload.below_since {
                workload.below += now - since;
            }
        }
        pages
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Keeper(Ledger);

impl Controller for Keeper {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let mut pages = self.0.pages();
        match change.kind() {
            Kind::Pod => pages.pod(change, queue.now, queue.store),
            Kind::Node => pages.node(change, queue.now),
            Kind::Deployment | Kind::StatefulSet | Kind::ReplicaSet => pages.workload(change, queue.now),
            _ => {}
        }
    }

    fn look(&mut self, _task: &Task, _cluster: &mut Cluster) {}
}

impl Pages {
    fn workload(&mut self, change: &Change, now: i64) {
        let object = &change.object;
        if object.kind == Kind::ReplicaSet && object.meta.controller().is_some() {
            return;
        }
        let desired = match (&object.detail, change.what) {
            (_, What::Deleted) => 0,
            (Detail::Deployment(spec), _) => i64::from(spec.replicas.unwrap_or(1)),
            (Detail::StatefulSet(spec), _) => i64::from(spec.replicas.unwrap_or(1)),
            (Detail::ReplicaSet(spec), _) => i64::from(spec.replicas.unwrap_or(1)),
            _ => return,
        };
        let workload = self.workloads.entry(object.key()).or_default();
        workload.desired = desired;
        let began = self.began;
        if let Some(workload) = self.workloads.get_mut(&object.key()) {
            workload.count(began, now);
        }
    }

    fn pod(&mut self, change: &Change, now: i64, store: &Store) {
        let after = (change.what != What::Deleted).then_some(&change.object);
        let before = change.previous.as_ref();
        let room = self.nodes.pod(before.map(|object| &**object), after.map(|object| &**object));
        self.note_room(room, now);
        let was_ready = before.is_some_and(|object| counts(object));
        let is_ready = after.is_some_and(|object| counts(object));
        if was_ready != is_ready
            && let Some(key) = workload_of(&change.object, store)
        {
            let began = self.began;
            let workload = self.workloads.entry(key).or_default();
            workload.ready += i64::from(is_ready) - i64::from(was_ready);
            workload.count(began, now);
        }
        if self.began.is_none() {
            return;
        }
        match after {
            Some(object) => self.follow(before.map(|object| &**object), object, now, store),
            None => {
                if let Some(index) = self.leaving.remove(&change.object.meta.uid) {
                    self.evictions[index].gone = Some(now);
                }
                self.placed(&change.object.meta.uid, now);
            }
        }
    }

    /// What a pod that is there came to.
    fn follow(&mut self, before: Option<&Object>, object: &Object, now: i64, store: &Store) {
        let Some(pod) = object.pod() else { return };
        let old = before.and_then(Object::pod);
        let was_leaving = before.is_some_and(Object::is_terminating) && old.is_some_and(is_evicted);
        if is_evicted(pod) && object.is_terminating() && !was_leaving {
            self.evicted(object, pod, now, store);
        }
        match pod.status.condition("PodScheduled") {
            Some(condition) if condition.status == "False" && pod.node.is_none() => {
                let why = condition.message.clone().unwrap_or_default();
                match self.waiting.get(&object.meta.uid) {
                    Some(index) => self.unplaced[*index].why = why,
                    None => {
                        self.waiting.insert(object.meta.uid.clone(), self.unplaced.len());
                        let workload = workload_of(object, store);
                        self.unplaced.push(Unplaced { pod: object.key(), workload, since: now, until: None, why });
                    }
                }
            }
            _ if pod.node.is_some() => self.placed(&object.meta.uid, now),
            _ => {}
        }
        let made = object.meta.created.map_or(now, |time| time.0);
        if pod.is_ready() && !old.is_some_and(Pod::is_ready) && self.began.is_some_and(|began| made >= began) {
            self.starts.push(Start { workload: workload_of(object, store), took: now - made, init: init_of(pod) });
        }
    }

    fn placed(&mut self, uid: &Arc<str>, now: i64) {
        if let Some(index) = self.waiting.remove(uid) {
            self.unplaced[index].until = Some(now);
        }
    }

    fn evicted(&mut self, object: &Object, pod: &Pod, now: i64, store: &Store) {
        let Some(node) = pod.node.clone() else { return };
        let workload = workload_of(object, store);
        let covering = store
            .in_namespace(Kind::PodDisruptionBudget, &object.meta.namespace)
            .filter(|budget| budget.budget().is_some_and(|budget| budget.covers(&object.meta.labels)));
        let budgets: Vec<Key> = covering.map(|budget| budget.key()).collect();
        let is_again = self.began.is_some_and(|began| object.meta.created.is_some_and(|made| made.0 >= began));
        if let Some(workload) = workload.as_ref().and_then(|key| self.workloads.get_mut(key)) {
            workload.is_touched = true;
            workload.has_budget |= !budgets.is_empty();
            workload.moved_again += usize::from(is_again);
        }
        self.leaving.insert(object.meta.uid.clone(), self.evictions.len());
        self.evictions.push(Eviction { at: now, pod: object.key(), node, workload, budgets, gone: None, is_again });
    }

    fn node(&mut self, change: &Change, now: i64) {
        let after = (change.what != What::Deleted).then_some(&*change.object);
        let room = self.nodes.node(&change.object.meta.name, after);
        self.note_room(room, now);
    }

    fn note_room(&mut self, room: Option<Room>, now: i64) {
        let (Some(mut room), Some(_)) = (room, self.began) else { return };
        room.at = now;
        if self.room.as_ref().is_none_or(|least| room.share() < least.share()) {
            self.room = Some(room);
        }
    }

    /// The workloads that were below what they want, or had a pod moved, in order of kind, namespace and name.
    pub fn touched(&self) -> impl Iterator<Item = (&Key, &Workload)> {
        self.workloads.iter().filter(|(_, workload)| workload.is_touched || workload.below > 0)
    }
}

impl Workload {
    fn count(&mut self, began: Option<i64>, now: i64) {
        if began.is_none() {
            return;
        }
        match (self.ready < self.desired, self.below_since) {
            (true, None) => self.below_since = Some(now),
            (false, Some(since)) => {
                self.below += now - since;
                self.below_since = None;
            }
            _ => {}
        }
        if self.ready < self.lowest {
            (self.lowest, self.desired_then, self.lowest_at) = (self.ready, self.desired, now);
        }
    }
}

/// Whether a pod counts as there for its workload.
fn counts(object: &Object) -> bool {
    !object.is_terminating() && object.pod().is_some_and(|pod| pod.is_ready() && !pod.is_terminal())
}

fn is_evicted(pod: &Pod) -> bool {
    let target = pod.status.condition("DisruptionTarget");
    target.is_some_and(|target| target.status == "True" && target.reason.as_deref() == Some("EvictionByEvictionAPI"))
}

/// From the sandbox being there to the init containers being over, in milliseconds.
fn init_of(pod: &Pod) -> i64 {
    if pod.spec.typed.init_containers.as_ref().is_none_or(Vec::is_empty) {
        return 0;
    }
    let since = |kind: &str| pod.status.condition(kind).and_then(|condition| condition.last_transition_time);
    match (since("PodReadyToStartContainers"), since("Initialized")) {
        (Some(begun), Some(over)) => (over.0 - begun.0).max(0),
        _ => 0,
    }
}

/// The workload that a pod is of: what owns its ReplicaSet, its ReplicaSet, or its StatefulSet.
fn workload_of(object: &Object, store: &Store) -> Option<Key> {
    let owner = object.meta.controller()?;
    let namespace = &object.meta.namespace;
    match owner.kind.as_str() {
        "StatefulSet" => Some(Key::new(Kind::StatefulSet, namespace.clone(), owner.name.as_str())),
        "ReplicaSet" => {
            let set = store.find(Kind::ReplicaSet, namespace, &owner.name);
            match set.and_then(|set| set.meta.controller()).filter(|above| above.kind == "Deployment") {
                Some(above) => Some(Key::new(Kind::Deployment, namespace.clone(), above.name.as_str())),
                None => Some(Key::new(Kind::ReplicaSet, namespace.clone(), owner.name.as_str())),
            }
        }
        _ => None,
    }
}
