//! The kubelets: what is bound to a node is started, run and stopped, as long as the node's kubelet lives.
//!
//! A kubelet that is silent has a Lease with `spec.renewTime`; one that lives has none there (heartbeats are a function of
//! time). Its pods stand still until it is back. Rules: KUBERNETES.md 5 and 6.

mod run;
mod status;
mod timings;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::cluster::{Cluster, Controller, Queue, Task};
use super::super::kinds::{Kind, NODE_LEASES};
use super::super::object::{Key, Object, Phase};
use super::super::script::Script;
use super::super::store::{Change, Store, What};

pub use timings::{Times, Timings};

/// A pod is looked at as it is bound, and as each part of its start is over.
pub(super) const START: &str = "start";
/// The init containers are over.
pub(super) const INITIALIZED: &str = "initialized";
/// The containers run and are ready.
pub(super) const RUNS: &str = "runs";
/// The pod of a Job is over.
pub(super) const COMPLETE: &str = "complete";
/// The containers have stopped.
pub(super) const STOPPED: &str = "stopped";
/// The object is to go.
pub(super) const REMOVE: &str = "remove";
/// What is said of it is looked at again.
pub(super) const POST: &str = "post";

/// How soon a kubelet posts what another said wrongly of its pods, in milliseconds: its status manager's channel.
const POST_AFTER: i64 = 1_000;

/// All kubelets.
pub struct Kubelets {
    pub(super) timings: Timings,
    pub(super) script: Script,
    /// Images that cannot be pulled.
    pub(super) missing: Arc<std::collections::BTreeSet<String>>,
    /// How long each pod takes that is being started, by UID.
    pub(super) times: BTreeMap<Arc<str>, Times>,
}

impl Kubelets {
    /// With times, what sprag's own jobs do, and images that cannot be pulled.
    pub fn new(timings: Timings, script: Script, missing: std::collections::BTreeSet<String>) -> Self {
        Self { timings, script, missing: Arc::new(missing), times: BTreeMap::new() }
    }
}

impl Controller for Kubelets {
    fn name(&self) -> &'static str {
        "kubelets"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        match change.kind() {
            Kind::Pod => self.notice_pod(change, queue),
            Kind::Lease if &*change.object.meta.namespace == NODE_LEASES => notice_lease(change, queue),
            Kind::Node if change.what == What::Added => {
                let pods: Vec<Key> = queue.store.pods_on(&change.object.meta.name).map(|pod| pod.key()).collect();
                pods.iter().for_each(|key| queue.after(0, START, key));
            }
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        let Some(object) = cluster.store.get(&task.key).cloned() else { return };
        let Some(pod) = object.pod() else { return };
        let Some(node) = &pod.node else { return };
        if !is_alive(&cluster.store, node) {
            return;
        }
        match task.why {
            START => self.start(&object, cluster),
            INITIALIZED => self.initialized(&object, cluster),
            RUNS => self.runs(&object, cluster),
            COMPLETE => self.complete(&object, cluster),
            STOPPED => self.stopped(&object, cluster),
            REMOVE => run::remove(&object, cluster),
            POST => run::post(&object, cluster),
            _ => {}
        }
    }
}

impl Kubelets {
    fn notice_pod(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let object = &change.object;
        if change.what == What::Deleted {
            self.times.remove(&object.meta.uid);
            return;
        }
        let Some(pod) = object.pod().filter(|pod| pod.node.is_some()) else { return };
        let before = change.previous.as_deref();
        let key = object.key();
        if object.is_terminating() {
            let is_new =
                !before.is_some_and(|before| before.is_terminating() && before.meta.grace == object.meta.grace);
            if pod.is_terminal() {
                queue.soon(REMOVE, &key);
            } else if is_new {
                queue.after(self.timings.stop(object), STOPPED, &key);
            }
            return;
        }
        let was_bound = before.and_then(Object::pod).is_some_and(|pod| pod.node.is_some());
        if !was_bound {
            queue.after(0, START, &key);
        } else if pod.status.phase == Phase::Running && !pod.is_ready() && status::is_ready_inside(pod) {
            queue.after(POST_AFTER, POST, &key);
        }
    }
}

/// A kubelet that is back takes up all that is bound to its node.
fn notice_lease(change: &Change, queue: &mut Queue<'_>) {
    let is_back = change.previous.as_deref().is_some_and(is_silent) && !is_silent(&change.object);
    if !is_back {
        return;
    }
    let pods: Vec<Arc<Object>> = queue.store.pods_on(&change.object.meta.name).cloned().collect();
    for object in pods {
        let key = object.key();
        match object.pod() {
            Some(pod) if object.is_terminating() => {
                queue.after(0, if pod.is_terminal() { REMOVE } else { STOPPED }, &key);
            }
            Some(pod) if pod.status.phase == Phase::Running => queue.after(POST_AFTER, POST, &key),
            Some(_) => queue.after(0, START, &key),
            None => {}
        }
    }
}

/// Whether a node is there and its kubelet is not silent.
pub fn is_alive(store: &Store, node: &str) -> bool {
    let lease = store.find(Kind::Lease, NODE_LEASES, node);
    store.find(Kind::Node, "", node).is_some() && !lease.is_some_and(|lease| is_silent(lease))
}

/// Whether the Lease of a node says that its kubelet is silent.
fn is_silent(lease: &Object) -> bool {
    lease.spec("/renewTime").is_some()
}
