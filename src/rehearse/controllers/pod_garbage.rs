//! The pod garbage collector: pods that no kubelet will end any more (controller/podgc). It looks every 20 s.
//!
//! - on a node that is not there: missed first, then gone after 40 s
//! - being deleted on a node that is not ready and is tainted as out of service
//! - being deleted without a node, held by a finalizer only
//!
//! Left out: the threshold of 12,500 finished pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::taints::OUT_OF_SERVICE;
use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Condition, Key, Object, Phase};
use crate::rehearse::store::{Change, What};
use crate::rehearse::write::DeleteOptions;

/// How often it looks, in milliseconds.
const PERIOD: i64 = 20_000;
/// How long a node must be missed, in milliseconds.
const QUARANTINE: i64 = 40_000;

const NODE: &str = "node";
const POD: &str = "pod";

/// The collector.
#[derive(Default)]
pub struct PodGarbage {
    /// Since when a node is missed, Unix milliseconds.
    missed: BTreeMap<Arc<str>, i64>,
}

impl Controller for PodGarbage {
    fn name(&self) -> &'static str {
        "pod-garbage"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let object = &change.object;
        let delay = PERIOD - queue.now.rem_euclid(PERIOD);
        match change.kind() {
            Kind::Node if change.what == What::Deleted || is_out_of_service(object) => {
                queue.after(delay, NODE, &object.key());
            }
            Kind::Pod if change.what != What::Deleted => {
                let Some(pod) = object.pod() else { return };
                let node = pod.node.clone().map(Key::node);
                match node.as_ref().map(|node| queue.store.get(node)) {
                    Some(None) => queue.after(delay, NODE, &node.unwrap_or_else(|| object.key())),
                    Some(Some(node)) if object.is_terminating() && is_out_of_service(node) => {
                        queue.after(delay, NODE, &node.key());
                    }
                    None if object.is_terminating() => queue.after(delay, POD, &object.key()),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        if task.why == POD {
            let pod = cluster.store.get(&task.key).filter(|pod| pod.is_terminating()).cloned();
            let pod = pod.filter(|pod| pod.pod().is_some_and(|pod| pod.node.is_none()));
            pod.iter().for_each(|pod| collect(pod, None, cluster));
            return;
        }
        let pods: Vec<Arc<Object>> = cluster.store.pods_on(&task.key.name).cloned().collect();
        match cluster.store.get(&task.key).cloned() {
            Some(node) => {
                self.missed.remove(&task.key.name);
                let ended = pods.iter().filter(|pod| is_out_of_service(&node) && pod.is_terminating());
                ended.for_each(|pod| collect(pod, None, cluster));
            }
            None => self.miss(&task.key, &pods, cluster),
        }
    }
}

/// Whether a node is not ready and someone has said that it will not come back.
fn is_out_of_service(node: &Object) -> bool {
    node.node().is_some_and(|node| !node.is_ready() && node.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE))
}

impl PodGarbage {
    fn miss(&mut self, node: &Key, pods: &[Arc<Object>], cluster: &mut Cluster) {
        if pods.is_empty() {
            self.missed.remove(&node.name);
            return;
        }
        let now = cluster.now;
        let since = *self.missed.entry(node.name.clone()).or_insert(now);
        if now - since < QUARANTINE {
            return cluster.again(PERIOD, NODE, node);
        }
        self.missed.remove(&node.name);
        let why = "PodGC: node no longer exists";
        for pod in pods {
            let condition = Condition::new("DisruptionTarget", true, now).because("DeletionByPodGC", why);
            collect(pod, Some(condition), cluster);
        }
    }
}

/// The pod is Failed, unless it is over already, and removed without grace.
fn collect(pod: &Object, condition: Option<Condition>, cluster: &mut Cluster) {
    let key = pod.key();
    cluster.change(&key, |object| {
        let pod = object.pod_mut().filter(|pod| !pod.is_terminal())?;
        pod.status.phase = Phase::Failed;
        condition.into_iter().for_each(|condition| pod.status.set_condition(condition));
        Some(())
    });
    // It is there and no precondition is made: nothing can say no.
    let _ = cluster.delete(&key, &DeleteOptions { grace: Some(0), ..DeleteOptions::default() });
}
