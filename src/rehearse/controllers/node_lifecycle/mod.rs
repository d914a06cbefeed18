//! The node lifecycle controller: taints that follow conditions and cordons, nodes that fell silent, and how fast their pods
//! may be evicted (controller/nodelifecycle; KUBERNETES.md 6). The taint eviction itself is [`super::TaintEviction`]'s.
//!
//! - A cordon and a condition become a `NoSchedule` taint a reaction later.
//! - Heartbeats are a function of time: a Lease without `spec.renewTime` is of a kubelet that lives, one with it of a kubelet
//!   that was last heard then. The controller looks every 5 s; what was not heard of for 50 s is `Unknown`.
//! - `NoExecute` taints come one node in 10 s for each zone, slower or not at all where much of it is down ([`zones`]).

mod zones;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::events::{self, Said};
use super::taints::{self, NOT_READY, UNREACHABLE, UNSCHEDULABLE};
use crate::rehearse::cluster::{Cluster, Controller, Queue, REACTION, Task};
use crate::rehearse::kinds::{Kind, NODE_LEASES};
use crate::rehearse::object::{Condition, Key, Object, READY, Time};
use crate::rehearse::store::{Change, What};
use zones::Zones;

/// How often the controller looks at nodes, in milliseconds.
const PERIOD: i64 = 5_000;
/// How long a node may be silent, in milliseconds.
const GRACE: i64 = 50_000;
/// How long a new one may take until its first word, in milliseconds.
const STARTUP_GRACE: i64 = 60_000;

const TAINT: &str = "taint";
const MONITOR: &str = "monitor";
const NO_EXECUTE: &str = "no-execute";
const POD: &str = "pod";

/// The conditions that a silent kubelet leaves unknown.
const CONDITIONS: [&str; 4] = [READY, "MemoryPressure", "DiskPressure", "PIDPressure"];
/// Which condition with which status becomes which taint.
const TAINTED: [(&str, &str, &str); 6] = [
    (READY, "False", NOT_READY),
    (READY, "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// The controller.
#[derive(Default)]
pub struct NodeLifecycle {
    /// Nodes that are to be looked at at the next beat.
    changed: BTreeSet<Arc<str>>,
    zones: Zones,
}

impl Controller for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-lifecycle"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        match change.kind() {
            Kind::Node => self.notice_node(change, queue),
            Kind::Lease if &*change.object.meta.namespace == NODE_LEASES => self.mark(&change.object.meta.name, queue),
            Kind::Pod if change.what != What::Deleted => {
                let node = |object: &Object| object.pod().and_then(|pod| pod.node.clone());
                let (before, after) = (change.previous.as_ref().and_then(|pod| node(pod)), node(&change.object));
                let is_new = before != after;
                if let Some(node) = after.filter(|_| is_new)
                    && queue.store.get(&Key::node(node)).is_some_and(|node| is_down(node))
                {
                    queue.soon(POD, &change.object.key());
                }
            }
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        match task.why {
            TAINT => follow_conditions(&task.key, cluster),
            MONITOR => self.monitor(cluster),
            NO_EXECUTE => self.taint_next(cluster),
            _ => {
                let node = cluster.store.get(&task.key).and_then(|pod| pod.pod()?.node.clone());
                let node = node.and_then(|node| cluster.store.get(&Key::node(node)));
                if node.is_some_and(|node| is_down(node)) {
                    mark_not_ready(&task.key, cluster);
                }
            }
        }
    }
}

/// What the controller's own tasks stand under: there is no one object.
fn nothing() -> Key {
    Key::new(Kind::Node, "", "")
}

/// The first beat after a time.
fn next_beat(now: i64) -> i64 {
    now.div_euclid(PERIOD) * PERIOD + PERIOD
}

/// Whether a node has said, or it was said of it, that it is not ready.
fn is_down(node: &Object) -> bool {
    node.node().is_some_and(|node| matches!(node.ready.as_str(), "False" | "Unknown"))
}

fn has_taint(node: &Object, key: &str) -> bool {
    node.node().is_some_and(|node| node.taints.iter().any(|taint| taint.key == key && taint.effect == "NoExecute"))
}

fn conditions(node: &Object) -> &[Value] {
    node.status("/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

impl NodeLifecycle {
    fn notice_node(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let (object, before) = (&change.object, change.previous.as_ref());
        if change.what == What::Deleted {
            self.zones.forget(&object.meta.name);
            return self.mark(&object.meta.name, queue);
        }
        let is_same = |before: &Arc<Object>| before.detail == object.detail && conditions(before) == conditions(object);
        if !before.is_some_and(is_same) {
            queue.soon(TAINT, &object.key());
        }
        let was_down = before.is_none_or(|before| is_down(before));
        if was_down || is_down(object) || has_taint(object, NOT_READY) || has_taint(object, UNREACHABLE) {
            self.mark(&object.meta.name, queue);
        }
    }

    fn mark(&mut self, node: &Arc<str>, queue: &mut Queue<'_>) {
        self.changed.insert(node.clone());
        queue.after(next_beat(queue.now) - queue.now, MONITOR, &nothing());
    }

    /// One beat: the nodes of which something was heard, or not heard for long enough; then the zones.
    fn monitor(&mut self, cluster: &mut Cluster) {
        for name in std::mem::take(&mut self.changed) {
            let key = Key::node(name.clone());
            let Some(node) = cluster.store.get(&key).cloned() else { continue };
            match silent_at(&node, cluster) {
                Some(at) if at > cluster.now => {
                    self.changed.insert(name);
                    cluster.again(at - cluster.now, MONITOR, &nothing());
                }
                Some(_) => fall_silent(&node, cluster),
                None => {}
            }
            if let Some(node) = cluster.store.get(&key).cloned() {
                self.taint_or_free(&node, cluster);
            }
        }
        self.zones.judge(cluster);
        if self.zones.has_work() {
            cluster.again(REACTION, NO_EXECUTE, &nothing());
        }
    }

    /// A node that is down waits for its `NoExecute` taint; if it has the other one, it is swapped at once. One that is ready
    /// again loses both.
    fn taint_or_free(&mut self, node: &Arc<Object>, cluster: &mut Cluster) {
        let effect = "NoExecute";
        let (wanted, other) = match node.node().map(|node| node.ready.as_str()) {
            Some("False") => (NOT_READY, UNREACHABLE),
            Some("Unknown") => (UNREACHABLE, NOT_READY),
            Some("True") => {
                self.zones.forget(&node.meta.name);
                return taints::swap(cluster, &node.key(), &[], &[(UNREACHABLE, effect), (NOT_READY, effect)]);
            }
            _ => return,
        };
        if has_taint(node, other) {
            taints::swap(cluster, &node.key(), &[(wanted, effect)], &[(other, effect)]);
        } else if !has_taint(node, wanted) {
            self.zones.await_taint(node);
        }
    }

    fn taint_next(&mut self, cluster: &mut Cluster) {
        for name in self.zones.take_due(cluster.now) {
            let key = Key::node(name);
            let ready = cluster.store.get(&key).and_then(|node| node.node()).map(|node| node.ready.clone());
            let (wanted, other) = match ready.as_deref() {
                Some("False") => (NOT_READY, UNREACHABLE),
                Some("Unknown") => (UNREACHABLE, NOT_READY),
                _ => continue,
            };
            taints::swap(cluster, &key, &[(wanted, "NoExecute")], &[(other, "NoExecute")]);
        }
        if let Some(at) = self.zones.next_due() {
            cluster.again(at - cluster.now, NO_EXECUTE, &nothing());
        }
    }
}

/// The beat at which a node counts as silent; `None` where it is heard, or already is known as silent. The controller notes at
/// each beat what it has heard, so the time counts from the beat after the last word.
fn silent_at(node: &Object, cluster: &Cluster) -> Option<i64> {
    let ready = node.node().map(|node| node.ready.as_str()).unwrap_or_default();
    if ready == "Unknown" {
        return None;
    }
    let beat_after = |time: i64| (time + PERIOD - 1).div_euclid(PERIOD) * PERIOD;
    let lease = cluster.store.find(Kind::Lease, NODE_LEASES, &node.meta.name);
    let heard = lease.and_then(|lease| Time::parse(lease.spec("/renewTime")?.as_str()?));
    match (heard, lease) {
        (Some(Time(heard)), _) if !ready.is_empty() => Some(beat_after(heard) + GRACE),
        (None, None) if ready.is_empty() => {
            Some(beat_after(node.meta.created.map_or(cluster.now, |Time(time)| time) + STARTUP_GRACE))
        }
        _ => None,
    }
}

/// The node's conditions become unknown, and its pods are not ready any more if it was (tryUpdateNodeHealth,
/// MarkPodsNotReady).
fn fall_silent(node: &Object, cluster: &mut Cluster) {
    let (now, created) = (Time(cluster.now).to_string(), node.meta.created.map(|time| time.to_string()));
    let was_ready = node.node().is_some_and(|node| node.is_ready());
    let mut known = conditions(node).to_vec();
    for kind in CONDITIONS {
        match known.iter_mut().find(|condition| condition["type"] == kind) {
            Some(condition) if condition["status"] == "Unknown" => {}
            Some(condition) => {
                condition["status"] = "Unknown".into();
                condition["reason"] = "NodeStatusUnknown".into();
                condition["message"] = "Kubelet stopped posting node status.".into();
                condition["lastTransitionTime"] = now.clone().into();
            }
            None => known.push(json!({
                "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.", "lastHeartbeatTime": created, "lastTransitionTime": now,
            })),
        }
    }
    let changed = cluster.change(&node.key(), |node| {
        let mut status = node.status.as_deref().cloned().unwrap_or_else(|| json!({}));
        status["conditions"] = known.into();
        node.status = Some(Arc::new(status));
        Some(())
    });
    let Some(changed) = changed.filter(|_| was_ready) else { return };
    let message = format!("Node {} status is now: NodeNotReady", node.meta.name);
    let by = "node-controller";
    let said = Said { by, is_warning: false, reason: "NodeNotReady", action: "", message: &message };
    events::say(cluster, &changed, said);
    let pods: Vec<Key> = cluster.store.pods_on(&node.meta.name).map(|pod| pod.key()).collect();
    pods.iter().for_each(|pod| mark_not_ready(pod, cluster));
}

fn mark_not_ready(pod: &Key, cluster: &mut Cluster) {
    let now = cluster.now;
    let changed = cluster.change(pod, |object| {
        let status = &mut object.pod_mut()?.status;
        let known = status.condition(READY).filter(|ready| ready.status != "False")?.clone();
        let changed = Condition { status: "False".to_owned(), last_transition_time: Some(Time(now)), ..known };
        status.set_condition(changed);
        Some(())
    });
    if let Some(changed) = changed {
        let (by, message) = ("node-controller", "Node is not ready");
        events::say(cluster, &changed, Said { by, is_warning: true, reason: "NodeNotReady", action: "", message });
    }
}

/// The `NoSchedule` taints of a node become those of its conditions and its cordon (doNoScheduleTaintingPass).
fn follow_conditions(key: &Key, cluster: &mut Cluster) {
    let Some(node) = cluster.store.get(key) else { return };
    let Some(detail) = node.node() else { return };
    let effect = "NoSchedule";
    let has = |kind: &str, status: &str| {
        conditions(node).iter().any(|condition| condition["type"] == kind && condition["status"] == status)
    };
    let mut wanted: Vec<&str> =
        TAINTED.iter().filter(|(kind, status, _)| has(kind, status)).map(|(_, _, taint)| *taint).collect();
    if detail.is_cordoned {
        wanted.push(UNSCHEDULABLE);
    }
    let own = TAINTED.iter().map(|(_, _, taint)| *taint).chain([UNSCHEDULABLE]);
    let extra: Vec<(&str, &str)> = own.filter(|taint| !wanted.contains(taint)).map(|taint| (taint, effect)).collect();
    let wanted: Vec<(&str, &str)> = wanted.into_iter().map(|taint| (taint, effect)).collect();
    taints::swap(cluster, key, &wanted, &extra);
}
