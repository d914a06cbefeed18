//! How much could still be asked for on the nodes that take pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rehearse::object::{Object, Pod};

/// What was left on all nodes that took pods, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Room {
    /// When, Unix milliseconds.
    pub at: i64,
    /// Thousandths of processors that those nodes have, and that pods on them ask for.
    pub cpu: (i64, i64),
    /// Bytes that those nodes have, and that pods on them ask for.
    pub memory: (i64, i64),
    /// How many nodes took pods.
    pub nodes: usize,
}

impl Room {
    /// The smaller of the shares of processors and memory that were left, from 0 to 1.
    pub fn share(&self) -> f64 {
        let left = |(all, asked): (i64, i64)| if all > 0 { (all - asked) as f64 / all as f64 } else { 0.0 };
        left(self.cpu).min(left(self.memory))
    }
}

/// The nodes, and sums over those that take pods.
#[derive(Debug, Clone, Default)]
pub(super) struct Nodes {
    nodes: BTreeMap<Arc<str>, Node>,
    room: Room,
}

#[derive(Debug, Clone, Default)]
struct Node {
    takes_pods: bool,
    has: (i64, i64),
    asked: (i64, i64),
}

impl Nodes {
    /// A node changed; what is left now, if that is another amount.
    pub(super) fn node(&mut self, name: &Arc<str>, object: Option<&Object>) -> Option<Room> {
        let detail = object.and_then(Object::node);
        let node = self.nodes.entry(name.clone()).or_default();
        let mut after = node.clone();
        after.takes_pods = detail.is_some_and(|detail| !detail.is_cordoned && detail.is_ready());
        after.has = detail.map_or((0, 0), |detail| (detail.allocatable.cpu, detail.allocatable.memory));
        self.replace(name, after)
    }

    /// A pod changed; what is left now, if that is another amount.
    pub(super) fn pod(&mut self, before: Option<&Object>, after: Option<&Object>) -> Option<Room> {
        let (old, new) = (before.and_then(asks), after.and_then(asks));
        if old.as_ref().map(|(node, _)| node) == new.as_ref().map(|(node, _)| node) {
            return None;
        }
        let mut room = None;
        for (asks, sign) in [(old, -1), (new, 1)] {
            if let Some((name, (cpu, memory))) = asks {
                let mut node = self.nodes.entry(name.clone()).or_default().clone();
                node.asked = (node.asked.0 + sign * cpu, node.asked.1 + sign * memory);
                room = self.replace(&name, node).or(room);
            }
        }
        room
    }

    fn replace(&mut self, name: &Arc<str>, after: Node) -> Option<Room> {
        let room = self.room.clone();
        let before = self.nodes.insert(name.clone(), after.clone()).unwrap_or_default();
        for (node, sign) in [(before, -1), (after, 1)] {
            if node.takes_pods {
                self.room.cpu = (self.room.cpu.0 + sign * node.has.0, self.room.cpu.1 + sign * node.asked.0);
                self.room.memory = (self.room.memory.0 + sign * node.has.1, self.room.memory.1 + sign * node.asked.1);
                self.room.nodes = if sign > 0 { self.room.nodes + 1 } else { self.room.nodes - 1 };
            }
        }
        (self.room != room).then(|| self.room.clone())
    }
}

/// The node that a pod stands on and what it asks for there; `None` of one that is not bound or is over.
fn asks(object: &Object) -> Option<(Arc<str>, (i64, i64))> {
    let pod: &Pod = object.pod()?;
    let node = pod.node.clone().filter(|_| !pod.is_terminal())?;
    Some((node, (pod.spec.requests.cpu, pod.spec.requests.memory)))
}
