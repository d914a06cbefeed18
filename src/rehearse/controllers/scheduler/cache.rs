//! What the scheduler keeps of the nodes and of the pods on them, moved along with every change: so that one pod on 1,000
//! nodes costs no look at 30,000 others (the real one's is scheduler/backend/cache).
//!
//! Pods that are Succeeded or Failed hold nothing; those that are being deleted hold all until they are gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::affinity::{Terms, terms_of};
use super::ports::{HostPort, host_ports};
use super::volumes::claims_of;
use crate::rehearse::object::{Detail, Key, Labels, NodeDetail, Object, Pod, Resources};

/// A node, and what its pods hold. One that is not there may have pods all the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) name: Arc<str>,
    pub(super) is_there: bool,
    pub(super) labels: Labels,
    pub(super) detail: Arc<NodeDetail>,
    /// What its pods ask for, and how many they are.
    pub(super) requested: Resources,
    /// The same as the scores count it: cpu and memory.
    pub(super) scored: [i64; 2],
    pub(super) ports: BTreeMap<HostPort, usize>,
    /// The claims that its pods use.
    pub(super) claims: BTreeMap<Key, usize>,
    /// The VolumeAttachments to it.
    pub(super) attachments: BTreeMap<Key, Arc<Object>>,
}

/// A pod that has its place.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) node: usize,
    pub(super) object: Arc<Object>,
    /// Under what its terms are kept.
    terms: Option<Arc<str>>,
    /// Whether it is not yet bound.
    pub(super) is_assumed: bool,
}

/// How many pods of the same labels are on a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) all: i64,
    pub(super) terminating: i64,
}

/// Pods of a namespace with the same terms of affinity: where they are.
#[derive(Debug)]
pub(super) struct Minded {
    pub(super) terms: Arc<Terms>,
    pub(super) on: BTreeMap<usize, i64>,
}

type LikePods = BTreeMap<usize, Count>;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) nodes: Vec<Node>,
    by_name: HashMap<Arc<str>, usize>,
    /// Zones in the order in which they came, and their nodes in the order in which those came (cache/node_tree.go).
    zones: Vec<(String, Vec<usize>)>,
    /// The nodes that are there, in turn from each zone.
    pub(super) order: Vec<usize>,
    pub(super) pods: HashMap<Key, Placed>,
    groups: BTreeMap<(Arc<str>, Labels), LikePods>,
    pub(super) minded: BTreeMap<Arc<str>, Minded>,
    /// How many pods there are of a priority.
    priorities: BTreeMap<i32, usize>,
    /// How many pods use a claim.
    pub(super) claims: BTreeMap<Key, usize>,
}

/// The priority of a pod: 0 where none is said.
pub(super) fn priority(pod: &Pod) -> i32 {
    pod.spec.typed.priority.unwrap_or(0)
}

impl Node {
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// Counts a pod in (1) or out (-1).
    pub(super) fn count(&mut self, pod: &Object, sign: i64) {
        let Some(body) = pod.pod() else { return };
        if sign > 0 {
            self.requested += &body.spec.requests;
        } else {
            self.requested -= &body.spec.requests;
        }
        for (sum, amount) in self.scored.iter_mut().zip(body.spec.scored) {
            *sum += sign * amount;
        }
        host_ports(&body.spec.typed).for_each(|port| tally(&mut self.ports, port, sign));
        claims_of(pod).for_each(|(claim, _)| tally(&mut self.claims, claim, sign));
    }
}

fn tally<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K, sign: i64) {
    let count = counts.entry(key);
    match (count, sign > 0) {
        (count, true) => *count.or_default() += 1,
        (std::collections::btree_map::Entry::Occupied(mut count), false) => {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        (std::collections::btree_map::Entry::Vacant(_), false) => {}
    }
}

impl Cache {
    fn slot(&mut self, name: &Arc<str>) -> usize {
        if let Some(slot) = self.by_name.get(name) {
            return *slot;
        }
        self.nodes.push(Node { name: name.clone(), ..Node::default() });
        self.by_name.insert(name.clone(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// A node by its name, if it is there.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied().filter(|slot| self.nodes[*slot].is_there)
    }

    /// Takes a node as it is now.
    pub(super) fn set_node(&mut self, object: &Object) {
        let Detail::Node(detail) = &object.detail else { return };
        let slot = self.slot(&object.meta.name);
        let node = &mut self.nodes[slot];
        let (was_there, before) = (node.is_there, zone_of(&node.labels));
        (node.is_there, node.labels, node.detail) = (true, object.meta.labels.clone(), detail.clone());
        let zone = zone_of(&node.labels);
        if was_there && before == zone {
            return;
        }
        if was_there {
            self.leave(slot, &before);
        }
        match self.zones.iter_mut().find(|(name, _)| *name == zone) {
            Some((_, nodes)) => nodes.push(slot),
            None => self.zones.push((zone, vec![slot])),
        }
        self.put_in_order();
    }

    /// Forgets a node; what its pods hold is kept, should it come again.
    pub(super) fn remove_node(&mut self, name: &Arc<str>) {
        let slot = self.slot(name);
        let zone = zone_of(&self.nodes[slot].labels);
        if std::mem::take(&mut self.nodes[slot].is_there) {
            self.leave(slot, &zone);
            self.put_in_order();
        }
    }

    fn leave(&mut self, slot: usize, zone: &str) {
        for (_, nodes) in self.zones.iter_mut().filter(|(name, _)| name == zone) {
            nodes.retain(|one| *one != slot);
        }
        self.zones.retain(|(_, nodes)| !nodes.is_empty());
    }

    fn put_in_order(&mut self) {
        let longest = self.zones.iter().map(|(_, nodes)| nodes.len()).max().unwrap_or(0);
        let turn = |index: usize| self.zones.iter().filter_map(move |(_, nodes)| nodes.get(index).copied());
        self.order = (0..longest).flat_map(turn).collect();
    }

    /// Takes a VolumeAttachment as it is now; `None` of one that is gone.
    pub(super) fn set_attachment(&mut self, key: &Key, node: &str, attachment: Option<Arc<Object>>) {
        let slot = self.slot(&node.into());
        match attachment {
            Some(attachment) => drop(self.nodes[slot].attachments.insert(key.clone(), attachment)),
            None => drop(self.nodes[slot].attachments.remove(key)),
        }
    }

    /// Gives a pod its place, or moves along what is kept of it.
    pub(super) fn place(&mut self, object: Arc<Object>, node: &Arc<str>, is_assumed: bool) {
        let slot = self.slot(node);
        let key = object.key();
        if let Some(known) = self.pods.get_mut(&key)
            && known.node == slot
            && counts_alike(&known.object, &object)
        {
            (known.object, known.is_assumed) = (object, is_assumed);
            return;
        }
        self.remove(&key);
        let terms = terms_of(&object);
        if let Some((name, terms)) = &terms {
            let minded = self.minded.entry(name.clone());
            let minded = minded.or_insert_with(|| Minded { terms: terms.clone(), on: BTreeMap::new() });
            *minded.on.entry(slot).or_default() += 1;
        }
        let placed = Placed { node: slot, object, terms: terms.map(|(name, _)| name), is_assumed };
        self.account(&placed, 1);
        self.pods.insert(key, placed);
    }

    /// Takes a pod out; gives what it was.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Placed> {
        let placed = self.pods.remove(key)?;
        self.account(&placed, -1);
        if let Some(name) = &placed.terms
            && let Some(minded) = self.minded.get_mut(name)
        {
            let count = minded.on.entry(placed.node).or_default();
            *count -= 1;
            if *count == 0 {
                minded.on.remove(&placed.node);
            }
            if minded.on.is_empty() {
                self.minded.remove(name);
            }
        }
        Some(placed)
    }

    fn account(&mut self, placed: &Placed, sign: i64) {
        let object = &placed.object;
        self.nodes[placed.node].count(object, sign);
        claims_of(object).for_each(|(claim, _)| tally(&mut self.claims, claim, sign));
        if let Some(pod) = object.pod() {
            tally(&mut self.priorities, priority(pod), sign);
        }
        let group = (object.meta.namespace.clone(), object.meta.labels.clone());
        let like = self.groups.entry(group.clone()).or_default();
        let count = like.entry(placed.node).or_default();
        count.all += sign;
        count.terminating += if object.is_terminating() { sign } else { 0 };
        if count.all == 0 {
            like.remove(&placed.node);
        }
        if like.is_empty() {
            self.groups.remove(&group);
        }
    }

    /// Whether some pod has a lower priority than this.
    pub(super) fn has_below(&self, priority: i32) -> bool {
        self.priorities.first_key_value().is_some_and(|(lowest, _)| *lowest < priority)
    }

    /// The pods of a namespace, those of the same labels together, with their numbers by node.
    pub(super) fn alike(&self, namespace: &Arc<str>) -> impl Iterator<Item = (&Labels, &LikePods)> {
        let first = (namespace.clone(), Labels::default());
        let all = self.groups.range(first..).take_while(move |((name, _), _)| name == namespace);
        all.map(|((_, labels), like)| (labels, like))
    }

    /// The namespaces that have pods with a place.
    pub(super) fn namespaces(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.groups.keys().map(|(name, _)| name.clone()).collect();
        names.dedup();
        names
    }
}

/// Whether two states of a pod count alike.
fn counts_alike(one: &Object, other: &Object) -> bool {
    let specs = one.pod().zip(other.pod()).is_some_and(|(one, other)| Arc::ptr_eq(&one.spec, &other.spec));
    let labels = Arc::ptr_eq(&one.meta.labels, &other.meta.labels) || one.meta.labels == other.meta.labels;
    specs && labels && one.meta.uid == other.meta.uid && one.is_terminating() == other.is_terminating()
}

/// Region and zone of a node (component-helpers, node/topology).
fn zone_of(labels: &Labels) -> String {
    let label = |name: &str, old: &str| labels.get(name).or_else(|| labels.get(old)).cloned().unwrap_or_default();
    let region = label("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region");
    let zone = label("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone");
    format!("{region}:{zone}")
}

/// The node that a VolumeAttachment is to.
pub(super) fn attached_to(attachment: &Object) -> Option<&str> {
    attachment.spec("/nodeName")?.as_str()
}
