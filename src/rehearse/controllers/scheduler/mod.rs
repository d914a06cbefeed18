//! The scheduler: which node a pod goes to, and why none will do (kube-scheduler; KUBERNETES.md 3).
//!
//! - [`queue`] and [`hints`]: whose turn it is, and what lets a pod be tried again
//! - [`cycle`], [`filters`] (with [`ports`], [`volumes`], [`spread`], [`affinity`], [`selector`]), [`score`]: the search
//! - [`message`], [`preemption`]: what is said where there is no node
//! - [`cache`]: what is kept of nodes and pods
//!
//! A pod is tried a reaction after it came, and bound a reaction after its node was chosen; until then it is assumed there.
//! Preemption is told by the pod's condition and an Event `WouldPreempt`, not played. A volume that is made for its first
//! consumer is assumed to be made at once; its node affinity is that of the other volumes of its class ([`binding`]).

mod affinity;
mod binding;
mod cache;
mod cycle;
mod filters;
mod hints;
mod message;
mod ports;
mod preemption;
mod queue;
mod score;
mod selector;
mod spread;
mod volumes;

use std::sync::Arc;

use cache::{Cache, attached_to, priority};
use cycle::Rejection;
use hints::{Asker, Happened};
use queue::Waiting;

use super::events::{self, Said};
use crate::rehearse::cluster::{Cluster, Controller, Queue, REACTION, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Condition, Key, Labels, Object, PodSpec};
use crate::rehearse::store::{Change, What};

const NAME: &str = "default-scheduler";
const TRY: &str = "try";
const BIND: &str = "bind";
const FLUSH: &str = "flush";
const SWEEP: &str = "sweep";

/// The scheduler.
#[derive(Default)]
pub struct Scheduler {
    cache: Cache,
    waiting: Waiting,
    /// Where the next search begins.
    start: usize,
}

/// Pods that are alike in all that the search looks at, and why there is no node for one of them: holds while nothing changes.
struct Refused {
    spec: Arc<PodSpec>,
    labels: Labels,
    namespace: Arc<str>,
    rejection: Rejection,
}

impl Controller for Scheduler {
    fn name(&self) -> &'static str {
        "scheduler"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        match change.kind() {
            Kind::Pod => self.notice_pod(change, queue),
            Kind::Node => self.notice_node(change, queue),
            Kind::VolumeAttachment => {
                if let Some(node) = attached_to(&change.object) {
                    let is_there = change.what != What::Deleted;
                    self.cache.set_attachment(&change.object.key(), node, is_there.then(|| change.object.clone()));
                }
                self.happened(&Happened::Other(change), queue);
            }
            Kind::PersistentVolume | Kind::PersistentVolumeClaim | Kind::StorageClass | Kind::CsiNode => {
                self.happened(&Happened::Other(change), queue);
            }
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        match task.why {
            BIND => self.bind(&task.key, cluster),
            FLUSH => self.waiting.flush(cluster.now),
            SWEEP => self.waiting.sweep(cluster.now),
            _ => {}
        }
        self.try_all(cluster);
    }
}

/// What the scheduler's own tasks stand under: there is no one object.
fn nothing() -> Key {
    Key::new(Kind::Pod, "", "")
}

fn is_ours(object: &Object) -> bool {
    let name = object.pod().and_then(|pod| pod.spec.typed.scheduler_name.as_deref());
    matches!(name, None | Some(NAME | ""))
}

fn is_gated(object: &Object) -> bool {
    object.pod().and_then(|pod| pod.spec.typed.scheduling_gates.as_ref()).is_some_and(|gates| !gates.is_empty())
}

/// Whether a pod holds its place: Succeeded and Failed ones do not.
fn holds(object: &Object) -> bool {
    object.pod().is_some_and(|pod| pod.node.is_some() && !pod.is_terminal())
}

impl Scheduler {
    fn notice_node(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let object = &change.object;
        match (change.what, &change.previous) {
            (What::Deleted, _) => {
                self.cache.remove_node(&object.meta.name);
                self.happened(&Happened::NodeWent(object), queue);
            }
            (_, None) => {
                self.cache.set_node(object);
                self.happened(&Happened::NodeCame(object), queue);
            }
            (_, Some(before)) if hints::matters(before, object) => {
                self.cache.set_node(object);
                self.happened(&Happened::NodeChanged(before, object), queue);
            }
            _ => {}
        }
    }

    fn notice_pod(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let object = &change.object;
        let key = object.key();
        let node = object.pod().and_then(|pod| pod.node.clone());
        match node {
            Some(node) if change.what != What::Deleted && holds(object) => {
                let known = self.cache.pods.get(&key).map(|placed| placed.object.clone());
                self.cache.place(object.clone(), &node, false);
                self.waiting.remove(&key);
                match known {
                    Some(before) if before.pod().is_some_and(|pod| pod.node.is_some()) => {
                        if before.meta.labels != object.meta.labels {
                            self.happened(&Happened::PodChanged(&before, object), queue);
                        }
                    }
                    _ => self.happened(&Happened::PodCame(object), queue),
                }
            }
            None if change.what != What::Deleted && !object.is_terminating() => {
                self.notice_pending(&key, change, queue)
            }
            _ => {
                self.waiting.remove(&key);
                if let Some(placed) = self.cache.remove(&key) {
                    self.happened(&Happened::PodWent(&placed.object), queue);
                }
            }
        }
    }

    /// A pod without a node is new, has lost its gates, or is otherwise than before.
    fn notice_pending(&mut self, key: &Key, change: &Change, queue: &mut Queue<'_>) {
        let object = &change.object;
        let Some(pod) = object.pod().filter(|_| is_ours(object)) else { return };
        let known = self.waiting.get(key).filter(|entry| entry.uid == object.meta.uid);
        if known.is_none() || (self.waiting.is_gated(key) && !is_gated(object)) {
            self.waiting.add(key, object.meta.uid.clone(), priority(pod), queue.now, is_gated(object));
        } else if change.previous.as_ref().is_some_and(|before| is_otherwise(before, object))
            && self.waiting.is_unschedulable(key)
        {
            self.waiting.release(key, queue.now);
        }
        self.wake(queue);
    }

    /// Lets those be tried whom what happened may help.
    fn happened(&mut self, happened: &Happened<'_>, queue: &mut Queue<'_>) {
        for key in self.waiting.unschedulable() {
            let (Some(entry), Some(object)) = (self.waiting.get(&key), queue.store.get(&key)) else { continue };
            let Some(pod) = object.pod() else { continue };
            let asker = Asker { store: queue.store, object, pod };
            if entry.rejectors.iter().any(|plugin| asker.may_be_helped(*plugin, happened)) {
                self.waiting.release(&key, queue.now);
            }
        }
        self.wake(queue);
    }

    fn wake(&self, queue: &mut Queue<'_>) {
        if self.waiting.is_ready() {
            queue.soon(TRY, &nothing());
        }
    }

    fn try_all(&mut self, cluster: &mut Cluster) {
        let mut refused: Vec<Refused> = Vec::new();
        while let Some(key) = self.waiting.next() {
            let Some(object) = cluster.store.get(&key).cloned() else { continue };
            if let Err(rejection) = self.try_one(&object, &mut refused, cluster) {
                self.reject(&object, &rejection, cluster);
            }
        }
        let now = cluster.now;
        if let Some(at) = self.waiting.next_failed() {
            cluster.again(at - now, FLUSH, &nothing());
        }
        if let Some(at) = self.waiting.next_sweep() {
            cluster.again(at - now, SWEEP, &nothing());
        }
    }

    fn try_one(
        &mut self,
        object: &Arc<Object>,
        refused: &mut Vec<Refused>,
        cluster: &mut Cluster,
    ) -> Result<(), Rejection> {
        let Some(pod) = object.pod() else { return Ok(()) };
        let is_alike = |known: &&Refused| {
            Arc::ptr_eq(&known.spec, &pod.spec)
                && known.labels == object.meta.labels
                && known.namespace == object.meta.namespace
        };
        if let Some(known) = refused.iter().find(is_alike) {
            return Err(known.rejection.clone());
        }
        let minor = cluster.about.minor;
        let places = (&self.cache, &cluster.store);
        match cycle::place(object, places, &mut cluster.random, minor, &mut self.start) {
            Ok(slot) => {
                let node = self.cache.nodes[slot].name.clone();
                self.cache.place(object.clone(), &node, true);
                refused.clear();
                cluster.again(REACTION, BIND, &object.key());
                Ok(())
            }
            Err(rejection) => {
                let (spec, labels, namespace) =
                    (pod.spec.clone(), object.meta.labels.clone(), object.meta.namespace.clone());
                refused.push(Refused { spec, labels, namespace, rejection: rejection.clone() });
                Err(rejection)
            }
        }
    }

    /// Says of a pod that there is no node, by its condition and an Event, and puts it back.
    fn reject(&mut self, object: &Arc<Object>, rejection: &Rejection, cluster: &mut Cluster) {
        let (key, now) = (object.key(), cluster.now);
        self.waiting.put_back(&key, rejection.rejectors.clone(), now);
        let condition = Condition::new("PodScheduled", false, now).because("Unschedulable", &rejection.message);
        cluster.change(&key, |object| {
            object.pod_mut()?.status.set_condition(condition);
            Some(())
        });
        let message = shortened(&rejection.message);
        let Some(entry) = self.waiting.get_mut(&key) else { return };
        match &mut entry.told {
            Some((event, count)) => {
                *count += 1;
                if *count == 2 {
                    events::again(cluster, event);
                }
            }
            None => {
                let (reason, action) = ("FailedScheduling", "Scheduling");
                let said = Said { by: NAME, is_warning: true, reason, action, message: &message };
                entry.told = events::say(cluster, object, said).map(|event| (event, 1));
            }
        }
        let Some(preemption) = &rejection.preemption else { return };
        let victims: Vec<String> = preemption.victims.iter().map(|victim| victim.key().to_string()).collect();
        let message = format!("would preempt {} on node {}", victims.join(", "), preemption.node);
        if entry.preemption.as_ref() != Some(&message) {
            let (reason, action) = ("WouldPreempt", "Preempting");
            events::say(cluster, object, Said { by: NAME, is_warning: true, reason, action, message: &message });
            entry.preemption = Some(message);
        }
    }
}

/// Whether a pod that waits is otherwise than before in what can help it: labels, tolerations, gates, requests.
fn is_otherwise(before: &Object, after: &Object) -> bool {
    let specs = before.pod().zip(after.pod()).is_some_and(|(one, other)| Arc::ptr_eq(&one.spec, &other.spec));
    before.meta.labels != after.meta.labels
        || (!specs && before.pod().map(|pod| &pod.spec.raw) != after.pod().map(|pod| &pod.spec.raw))
}

/// An Event has 1,024 bytes for it (schedule_one.go, truncateMessage).
fn shortened(message: &str) -> String {
    const MOST: usize = 1024;
    if message.len() <= MOST {
        return message.to_owned();
    }
    let end = (0..=MOST - 4).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    format!("{} ...", &message[..end])
}
