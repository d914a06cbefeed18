//! The taint eviction controller: pods leave a node with a `NoExecute` taint that they do not tolerate, or not for longer
//! (controller/tainteviction). It deletes them plainly: budgets are not asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::events::{self, Said};
use super::taints;
use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Condition, Key, Object};
use crate::rehearse::store::{Change, What};
use crate::rehearse::write::DeleteOptions;

const NODE: &str = "node";
const POD: &str = "pod";
const EVICT: &str = "evict";
const NAME: &str = "taint-eviction-controller";

/// The controller.
#[derive(Default)]
pub struct TaintEviction {
    planned: BTreeMap<Key, Planned>,
}

/// A pod that is to go.
struct Planned {
    uid: Arc<str>,
    /// From when its time counts, Unix milliseconds.
    since: i64,
}

impl Controller for TaintEviction {
    fn name(&self) -> &'static str {
        "taint-eviction"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let (object, before) = (&change.object, change.previous.as_ref());
        match change.kind() {
            Kind::Node if change.what != What::Deleted => {
                let known = before.map(|before| no_execute(before)).unwrap_or_default();
                if no_execute(object) != known {
                    queue.soon(NODE, &object.key());
                }
            }
            Kind::Pod if change.what == What::Deleted || before.is_none_or(|before| is_moved(before, object)) => {
                let node = object.pod().and_then(|pod| pod.node.clone()).map(Key::node);
                let node = node.and_then(|node| queue.store.get(&node));
                let has_taint = node.is_some_and(|node| !no_execute(node).is_empty());
                if self.planned.contains_key(&object.key()) || (change.what != What::Deleted && has_taint) {
                    queue.soon(POD, &object.key());
                }
            }
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        match task.why {
            NODE => {
                let Some(node) = cluster.store.get(&task.key).cloned() else { return };
                let pods: Vec<Arc<Object>> = cluster.store.pods_on(&node.meta.name).cloned().collect();
                pods.iter().for_each(|pod| self.plan(pod, &no_execute(&node), cluster));
            }
            POD => self.look_at(&task.key, cluster),
            _ => self.time_is_over(&task.key, cluster),
        }
    }
}

fn no_execute(node: &Object) -> Vec<Taint> {
    let taints = node.node().map(|node| node.taints.as_slice()).unwrap_or_default();
    taints.iter().filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

fn tolerations(pod: &Object) -> &[Toleration] {
    pod.pod().and_then(|pod| pod.spec.typed.tolerations.as_deref()).unwrap_or_default()
}

fn is_moved(before: &Object, after: &Object) -> bool {
    let node = |object: &Object| object.pod().and_then(|pod| pod.node.clone());
    node(before) != node(after) || tolerations(before) != tolerations(after)
}

/// How long a pod may stay, in milliseconds: not at all where it does not tolerate one of them, `None` for ever; otherwise the
/// shortest of its tolerations that say a time (getMinTolerationTime).
fn allowance(taints: &[Taint], tolerations: &[Toleration]) -> Option<i64> {
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let Some(used) = tolerations.iter().find(|toleration| taints::tolerates(toleration, taint)) else {
            return Some(0);
        };
        if let Some(seconds) = used.toleration_seconds {
            let time = seconds.max(0) * 1000;
            shortest = Some(shortest.map_or(time, |known| known.min(time)));
        }
    }
    shortest
}

impl TaintEviction {
    fn look_at(&mut self, key: &Key, cluster: &mut Cluster) {
        let pod = cluster.store.get(key).cloned();
        let node = pod.as_ref().and_then(|pod| pod.pod()?.node.clone());
        let taints = node.and_then(|node| cluster.store.get(&Key::node(node))).map(|node| no_execute(node));
        match (pod, taints) {
            (Some(pod), Some(taints)) => self.plan(&pod, &taints, cluster),
            _ => self.cancel(key, cluster),
        }
    }

    /// When a pod is to go (processPodOnNode). A time that runs already is not made longer by a new taint.
    fn plan(&mut self, pod: &Object, taints: &[Taint], cluster: &mut Cluster) {
        let key = pod.key();
        let allowance = if taints.is_empty() { None } else { allowance(taints, tolerations(pod)) };
        let Some(allowance) = allowance else { return self.cancel(&key, cluster) };
        let mut since = cluster.now;
        if allowance > 0
            && let Some(planned) = self.planned.get(&key).filter(|planned| planned.uid == pod.meta.uid)
        {
            since = planned.since;
            if since + allowance < cluster.now + allowance {
                return;
            }
        }
        if allowance == 0 {
            self.planned.remove(&key);
            cluster.never_mind(EVICT, &key);
            return evict(pod, cluster);
        }
        self.cancel(&key, cluster);
        self.planned.insert(key.clone(), Planned { uid: pod.meta.uid.clone(), since });
        cluster.again(since + allowance - cluster.now, EVICT, &key);
    }

    fn cancel(&mut self, key: &Key, cluster: &mut Cluster) {
        if self.planned.remove(key).is_none() {
            return;
        }
        cluster.never_mind(EVICT, key);
        if let Some(pod) = cluster.store.get(key).cloned() {
            say(cluster, &pod, &format!("Cancelling deletion of Pod {key}"));
        }
    }

    fn time_is_over(&mut self, key: &Key, cluster: &mut Cluster) {
        let Some(planned) = self.planned.remove(key) else { return };
        if let Some(pod) = cluster.store.get(key).filter(|pod| pod.meta.uid == planned.uid).cloned() {
            evict(&pod, cluster);
        }
    }
}

/// Says of a pod that it is a target, and deletes it; one that was is left alone.
fn evict(pod: &Object, cluster: &mut Cluster) {
    const REASON: &str = "DeletionByTaintManager";
    let known = pod.pod().and_then(|pod| pod.status.condition("DisruptionTarget")?.reason.as_deref());
    if pod.is_terminating() && known == Some(REASON) {
        return;
    }
    let key = pod.key();
    say(cluster, pod, &format!("Marking for deletion Pod {key}"));
    let condition = Condition::new("DisruptionTarget", true, cluster.now)
        .because(REASON, "Taint manager: deleting due to NoExecute taint");
    cluster.change(&key, |pod| {
        pod.pod_mut()?.status.set_condition(condition);
        Some(())
    });
    // It is there and no precondition is made: nothing can say no.
    let _ = cluster.delete(&key, &DeleteOptions::default());
}

fn say(cluster: &mut Cluster, pod: &Object, message: &str) {
    let reason = "TaintManagerEviction";
    events::say(cluster, pod, Said { by: NAME, is_warning: false, reason, action: "", message });
}
