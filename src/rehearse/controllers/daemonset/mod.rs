//! The DaemonSet controller (k8s.io/kubernetes v1.37, controller/daemon).
//!
//! - [`placement`]: on which nodes a pod is to be, and on which it may stay
//! - [`node`]: what is to be done on one node
//! - [`rollout`]: the pods of an older template
//!
//! A pod that was evicted is made again on the same node, cordoned or not, once the old one is gone: a drain must leave it.
//! What is known of each node is kept, and only what changed is looked at again.

mod node;
mod placement;
mod rollout;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSetSpec;

use super::draft::Draft;
use super::members::{is_felt, managed, manager};
use super::replicaset::is_of_ending_namespace;
use super::retries::Retries;
use super::revision::{REVISION, Revisions};
use super::template::{Named, Template, Templates};
use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Key, Object};
use crate::rehearse::status::Refused;
use crate::rehearse::store::{Change, What};
use crate::rehearse::write::DeleteOptions;

use node::{Counts, Place};
use placement::Wants;

/// How many pods are made in one look at most, and how many deleted.
const BURST: usize = 250;
const SYNC: &str = "daemon set";

/// The controller, and what it knows of each of its sets.
#[derive(Debug, Default)]
pub struct DaemonSets {
    sets: BTreeMap<Key, Set>,
    templates: Templates,
    revisions: Revisions,
    retries: Retries,
}

/// What is known of a DaemonSet.
#[derive(Debug, Default)]
struct Set {
    uid: Arc<str>,
    generation: i64,
    /// By node.
    places: BTreeMap<Arc<str>, Place>,
    /// Nodes to look at.
    changed: BTreeSet<Arc<str>>,
    /// The sum of what is counted on all nodes.
    counts: Counts,
}

/// A DaemonSet that is looked at.
struct Look<'a> {
    object: &'a Object,
    spec: &'a DaemonSetSpec,
    wants: Wants,
    /// By which its newest pods are told.
    hash: String,
}

/// What is to be done: nodes that need a pod, pods that are to go.
#[derive(Debug, Default)]
struct Plan {
    make: Vec<Arc<str>>,
    delete: Vec<Key>,
    /// Milliseconds until the next look, where time alone changes something.
    again: Option<i64>,
    /// Nodes that are to be looked at then.
    waiting: BTreeSet<Arc<str>>,
}

impl Controller for DaemonSets {
    fn name(&self) -> &'static str {
        "daemonset"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        match change.kind() {
            Kind::DaemonSet => self.notice_set(change, queue),
            Kind::Pod => self.notice_pod(change, queue),
            Kind::Node if node::is_felt(change) => {
                for (key, set) in &mut self.sets {
                    set.changed.insert(change.object.meta.name.clone());
                    queue.soon(SYNC, key);
                }
            }
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        let Some(object) = cluster.store.get(&task.key).cloned() else { return self.retries.forget(&task.key) };
        let (Detail::DaemonSet(spec), Some(set)) = (&object.detail, self.sets.get_mut(&task.key)) else { return };
        if object.is_terminating() {
            return;
        }
        let revision = self.revisions.of(&object, |cluster| known_revision(&object, cluster), cluster);
        let look = Look { object: &object, spec, wants: Wants::of(spec), hash: revision.hash(&object).to_owned() };
        if set.generation != object.meta.generation {
            set.begin_anew(object.meta.generation, cluster);
        }
        let plan = set.look(&look, cluster);
        let mut done = carry_out(&look, &plan, &mut self.templates, cluster);
        if done.is_ok() && plan.is_idle() && set.counts.outdated > 0 {
            done = carry_out(&look, &set.roll(&look, cluster), &mut self.templates, cluster);
        }
        set.tell(&look, cluster);
        set.changed.extend(plan.waiting);
        match done {
            Ok(()) => self.retries.forget(&task.key),
            Err(_) => self.retries.again(task, cluster),
        }
        if let Some(wait) = plan.again {
            cluster.again(wait, task.why, &task.key);
        }
    }
}

impl Plan {
    fn is_idle(&self) -> bool {
        self.make.is_empty() && self.delete.is_empty()
    }

    /// A node is to be looked at again after so many milliseconds.
    fn wait(&mut self, node: &Arc<str>, wait: i64) {
        self.waiting.insert(node.clone());
        self.again = Some(self.again.map_or(wait, |known| known.min(wait)));
    }
}

impl DaemonSets {
    fn notice_set(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let (key, object) = (change.object.key(), &change.object);
        let is_known = self.sets.get(&key).is_some_and(|set| *set.uid == *object.meta.uid);
        if change.what == What::Deleted {
            self.templates.forget(object);
            self.revisions.forget(object);
            self.sets.remove(&key);
            return;
        }
        if !is_known {
            let mut set = Set { uid: object.meta.uid.clone(), generation: -1, ..Set::default() };
            for pod in managed(object, Kind::Pod, queue.store) {
                set.notice(pod, false);
            }
            self.sets.insert(key.clone(), set);
        }
        queue.soon(SYNC, &key);
    }

    fn notice_pod(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let Some(key) = manager(&change.object, Kind::DaemonSet, queue.store).filter(|_| is_felt(change)) else {
            return;
        };
        if let Some(set) = self.sets.get_mut(&key) {
            set.notice(&change.object, change.what == What::Deleted);
            queue.soon(SYNC, &key);
        }
    }
}

impl Set {
    fn notice(&mut self, pod: &Object, is_gone: bool) {
        let Some(node) = placement::target(pod) else { return };
        let place = self.places.entry(node.clone()).or_default();
        if is_gone {
            place.pods.remove(&pod.key());
        } else {
            place.pods.insert(pod.key());
        }
        self.changed.insert(node);
    }

    /// With another spec every node is looked at again.
    fn begin_anew(&mut self, generation: i64, cluster: &Cluster) {
        self.generation = generation;
        self.changed.extend(cluster.store.all(Kind::Node).map(|node| node.meta.name.clone()));
        self.changed.extend(self.places.keys().cloned());
        self.places.values_mut().for_each(|place| place.backoff = None);
    }

    /// Looks at the nodes that changed.
    fn look(&mut self, look: &Look<'_>, cluster: &Cluster) -> Plan {
        let mut plan = Plan::default();
        for name in std::mem::take(&mut self.changed) {
            let place = self.places.entry(name.clone()).or_default();
            self.counts -= place.counts;
            let is_kept = place.look(&name, look, cluster, &mut plan);
            self.counts += place.counts;
            if !is_kept {
                self.places.remove(&name);
            }
        }
        plan
    }

    fn tell(&self, look: &Look<'_>, cluster: &mut Cluster) {
        let counts = &self.counts;
        let mut draft = Draft::of(look.object);
        draft.set("currentNumberScheduled", counts.current.into());
        draft.set("numberMisscheduled", counts.misplaced.into());
        draft.set("desiredNumberScheduled", counts.desired.into());
        draft.set("numberReady", counts.ready.into());
        draft.number("observedGeneration", look.object.meta.generation);
        draft.number("updatedNumberScheduled", counts.updated);
        draft.number("numberAvailable", counts.available);
        draft.number("numberUnavailable", counts.desired - counts.available);
        draft.write(&look.object.key(), cluster);
    }
}

/// What the pods call the revision of the template as it stands, if their controller had seen it: as many pods as its status
/// says, else the newest.
fn known_revision(object: &Object, cluster: &Cluster) -> Option<String> {
    let told = |field: &str| object.status(field).and_then(serde_json::Value::as_i64);
    if told("/observedGeneration") != Some(object.meta.generation) {
        return None;
    }
    let mut pods: BTreeMap<&str, i64> = BTreeMap::new();
    let mut newest = None;
    for pod in managed(object, Kind::Pod, &cluster.store) {
        let Some(hash) = pod.meta.label(REVISION) else { continue };
        *pods.entry(hash).or_default() += 1;
        newest = newest.max(Some((pod.meta.created, hash)));
    }
    let updated = told("/updatedNumberScheduled").unwrap_or(0);
    let counted = pods.iter().find(|(_, count)| **count == updated).map(|(hash, _)| *hash);
    let hash = counted.or(newest.map(|(_, hash)| hash))?;
    Some(format!("{}-{hash}", object.meta.name))
}

/// Makes and deletes pods.
fn carry_out(look: &Look<'_>, plan: &Plan, templates: &mut Templates, cluster: &mut Cluster) -> Result<(), Refused> {
    for node in plan.make.iter().take(BURST) {
        let made = make(look, node, templates, cluster);
        if let Err(refused) = made
            && !is_of_ending_namespace(&refused)
        {
            return Err(refused);
        }
    }
    for pod in plan.delete.iter().take(BURST) {
        // One that is gone by now is what was wanted.
        let _ = cluster.delete(pod, &DeleteOptions::default());
    }
    Ok(())
}

fn make(look: &Look<'_>, node: &str, templates: &mut Templates, cluster: &mut Cluster) -> Result<(), Refused> {
    let key = Key::new(Kind::Pod, look.object.meta.namespace.clone(), look.object.meta.name.clone());
    let template: Template = (*templates.of(look.object, cluster)?).clone().labelled(REVISION, &look.hash);
    let template = template.changed(&key, |spec| placement::pin(spec, node, &look.wants))?;
    let stem = format!("{}-", look.object.meta.name);
    cluster.create(template.pod(look.object, Named::Stem(&stem))).map(drop)
}
