//! What may help a pod that found no node: each of those who said no is asked of each event, as the real ones are by their
//! queueing hints (`EventsToRegister` of the plugins).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::affinity::{Seen, Term, terms_of};
use super::filters::Plugin;
use super::ports::{conflict, host_ports};
use super::selector;
use super::spread::{self, Constraint};
use super::volumes::{claims_of, uses_claims};
use crate::rehearse::controllers::taints;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Key, NodeDetail, Object, Pod, Resources};
use crate::rehearse::store::{Change, Store, What};

/// What happened.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happened<'a> {
    /// A node is there.
    NodeCame(&'a Object),
    /// A node is another: before and after.
    NodeChanged(&'a Object, &'a Object),
    /// A node is gone.
    NodeWent(&'a Object),
    /// A pod has its place.
    PodCame(&'a Object),
    /// A pod has other labels: before and after.
    PodChanged(&'a Object, &'a Object),
    /// A pod has its place no more, or holds nothing there.
    PodWent(&'a Object),
    /// Something that is neither.
    Other(&'a Change),
}

/// A pod that waits, as the hints look at it.
pub(super) struct Asker<'a> {
    pub(super) store: &'a Store,
    pub(super) object: &'a Object,
    pub(super) pod: &'a Pod,
}

impl Asker<'_> {
    /// Whether what happened may help where this one said no.
    pub(super) fn may_be_helped(&self, plugin: Plugin, happened: &Happened<'_>) -> bool {
        match happened {
            Happened::NodeCame(node) => self.by_node(plugin, None, node),
            Happened::NodeChanged(before, after) => self.by_node(plugin, Some(before), after),
            Happened::NodeWent(node) => {
                plugin == Plugin::PodTopologySpread && spread::has_all(&self.constraints(), &node.meta.labels)
            }
            Happened::PodCame(pod) => match plugin {
                Plugin::PodTopologySpread => self.spreads_with(pod),
                Plugin::InterPodAffinity => self.wants(pod),
                _ => false,
            },
            Happened::PodChanged(before, after) => match plugin {
                Plugin::PodTopologySpread => self.is_counted_otherwise(before, after),
                Plugin::InterPodAffinity => {
                    (!self.wants(before) && self.wants(after)) || (self.avoids(before) && !self.avoids(after))
                }
                _ => false,
            },
            Happened::PodWent(pod) => self.by_end_of(plugin, pod),
            Happened::Other(change) => self.by_volume(plugin, change),
        }
    }

    fn constraints(&self) -> Vec<Constraint> {
        spread::written(self.object, true)
    }

    fn by_node(&self, plugin: Plugin, before: Option<&Object>, after: &Object) -> bool {
        let (Some(now), was) = (after.node(), before.and_then(Object::node)) else { return false };
        let has_other_labels = before.is_none_or(|before| before.meta.labels != after.meta.labels);
        match plugin {
            Plugin::NodeUnschedulable => !now.is_cordoned && was.is_none_or(|was| was.is_cordoned),
            Plugin::TaintToleration => {
                let tolerations = self.pod.spec.typed.tolerations.as_deref().unwrap_or_default();
                let is_kept_away = |node: &NodeDetail| taints::untolerated(&node.taints, tolerations).is_some();
                was.is_none_or(is_kept_away) && !is_kept_away(now)
            }
            Plugin::NodeAffinity => {
                let is_right =
                    |node: &Object| selector::is_required(&self.pod.spec.typed, &node.meta.name, &node.meta.labels);
                is_right(after) && !before.is_some_and(is_right)
            }
            Plugin::NodeResourcesFit => self.fits_empty(now) && was.is_none_or(|was| self.has_more(was, now)),
            Plugin::NodePorts | Plugin::VolumeRestrictions => before.is_none(),
            Plugin::VolumeBinding | Plugin::VolumeZone => has_other_labels,
            Plugin::NodeVolumeLimits => false,
            Plugin::PodTopologySpread => self.has_other_domains(before, after),
            Plugin::InterPodAffinity => self.may_be_with_others(before, after),
        }
    }

    /// Whether the pod would fit on the node if nothing else were there.
    fn fits_empty(&self, node: &NodeDetail) -> bool {
        let (own, has) = (&self.pod.spec.requests, &node.allocatable);
        let extended = own.extended.iter().all(|(name, amount)| *amount <= of(&has.extended, name));
        has.pods >= 1 && own.cpu <= has.cpu && own.memory <= has.memory && own.ephemeral <= has.ephemeral && extended
    }

    /// Whether the node has more than before of something that the pod asks for.
    fn has_more(&self, before: &NodeDetail, after: &NodeDetail) -> bool {
        let (own, was, now): (_, _, &Resources) = (&self.pod.spec.requests, &before.allocatable, &after.allocatable);
        let is_more = |own: i64, was: i64, now: i64| own > 0 && now > was;
        let mut extended = own.extended.iter();
        now.pods > was.pods
            || is_more(own.cpu, was.cpu, now.cpu)
            || is_more(own.memory, was.memory, now.memory)
            || is_more(own.ephemeral, was.ephemeral, now.ephemeral)
            || extended.any(|(name, own)| is_more(*own, of(&was.extended, name), of(&now.extended, name)))
    }

    fn has_other_domains(&self, before: Option<&Object>, after: &Object) -> bool {
        let constraints = self.constraints();
        let has_all = |node: &Object| spread::has_all(&constraints, &node.meta.labels);
        let Some(before) = before else { return has_all(after) };
        let is_moved = |one: &Constraint| before.meta.label(&one.topology) != after.meta.label(&one.topology);
        let taints = |node: &Object| node.node().map(|node| node.taints.clone());
        // That a node is uncordoned is told as a change of its taints, which then are the same: no help by itself.
        has_all(before) != has_all(after)
            || (has_all(after) && (constraints.iter().any(is_moved) || taints(before) != taints(after)))
    }

    fn may_be_with_others(&self, before: Option<&Object>, after: &Object) -> bool {
        let Some((_, terms)) = terms_of(self.object) else { return false };
        let Some(before) = before else {
            return !terms.anti.is_empty() || terms.affinity.iter().any(|term| term.knows(&after.meta.labels));
        };
        let (was, now) = (&before.meta.labels, &after.meta.labels);
        let is_moved = |term: &&Term| term.tells_apart(was, now);
        terms.affinity.iter().filter(is_moved).any(|term| term.knows(now))
            || terms.anti.iter().filter(is_moved).any(|term| term.knows(was))
    }

    fn seen(&self, pod: &Object) -> Seen {
        Seen::new(self.store, &pod.meta.namespace, &pod.meta.labels)
    }

    fn wants(&self, pod: &Object) -> bool {
        let terms = terms_of(self.object).map(|(_, terms)| terms).unwrap_or_default();
        let seen = self.seen(pod);
        !terms.affinity.is_empty() && terms.affinity.iter().all(|term| term.matches(&seen))
    }

    fn avoids(&self, pod: &Object) -> bool {
        let terms = terms_of(self.object).map(|(_, terms)| terms).unwrap_or_default();
        let seen = self.seen(pod);
        terms.anti.iter().any(|term| term.matches(&seen))
    }

    fn is_avoided_by(&self, pod: &Object) -> bool {
        let seen = self.seen(self.object);
        terms_of(pod).is_some_and(|(_, terms)| terms.anti.iter().any(|term| term.matches(&seen)))
    }

    fn spreads_with(&self, pod: &Object) -> bool {
        let is_near = pod.meta.namespace == self.object.meta.namespace;
        is_near && self.constraints().iter().any(|one| one.selects(&pod.meta.labels))
    }

    fn is_counted_otherwise(&self, before: &Object, after: &Object) -> bool {
        let is_near = after.meta.namespace == self.object.meta.namespace;
        let differs = |one: &Constraint| one.selects(&before.meta.labels) != one.selects(&after.meta.labels);
        is_near && self.constraints().iter().any(differs)
    }

    fn by_end_of(&self, plugin: Plugin, other: &Object) -> bool {
        let Some(pod) = other.pod() else { return false };
        match plugin {
            Plugin::NodeResourcesFit => true,
            Plugin::NodePorts => {
                let wanted: Vec<_> = host_ports(&self.pod.spec.typed).collect();
                conflict(&wanted, &host_ports(&pod.spec.typed).map(|port| (port, 1)).collect::<BTreeMap<_, _>>())
            }
            Plugin::VolumeRestrictions => {
                let own: Vec<Key> = claims_of(self.object).map(|(claim, _)| claim).collect();
                claims_of(other).any(|(claim, _)| own.contains(&claim))
            }
            Plugin::NodeVolumeLimits => uses_claims(&pod.spec.typed),
            Plugin::PodTopologySpread => self.spreads_with(other),
            Plugin::InterPodAffinity => self.avoids(other) || self.is_avoided_by(other),
            _ => false,
        }
    }

    fn by_volume(&self, plugin: Plugin, change: &Change) -> bool {
        let (object, is_new) = (&change.object, change.what == What::Added);
        let is_own = || claims_of(self.object).any(|(claim, _)| claim == object.key());
        match (change.kind(), plugin) {
            (Kind::VolumeAttachment, Plugin::NodeVolumeLimits) => {
                change.what == What::Deleted && uses_claims(&self.pod.spec.typed)
            }
            _ if change.what == What::Deleted => false,
            (Kind::PersistentVolumeClaim, Plugin::VolumeBinding | Plugin::VolumeZone) => is_own(),
            (Kind::PersistentVolumeClaim, Plugin::VolumeRestrictions | Plugin::NodeVolumeLimits) => is_new && is_own(),
            (Kind::PersistentVolume, Plugin::VolumeBinding) => true,
            (Kind::PersistentVolume, Plugin::VolumeZone) => is_new || has_other_labels(change),
            (Kind::StorageClass, Plugin::VolumeBinding) => is_new || differs(change, "allowedTopologies"),
            (Kind::StorageClass, Plugin::VolumeZone) => is_new,
            (Kind::CsiNode, Plugin::VolumeBinding) => is_new,
            (Kind::CsiNode, Plugin::NodeVolumeLimits) => is_new || differs(change, "spec"),
            _ => false,
        }
    }
}

fn of(amounts: &BTreeMap<String, i64>, name: &str) -> i64 {
    amounts.get(name).copied().unwrap_or(0)
}

fn has_other_labels(change: &Change) -> bool {
    change.previous.as_ref().is_some_and(|before| before.meta.labels != change.object.meta.labels)
}

fn differs(change: &Change, field: &str) -> bool {
    change.previous.as_ref().is_some_and(|before| before.body.get(field) != change.object.body.get(field))
}

/// Whether a change of a node can matter to anybody: its labels, taints, cordon, or what it has.
pub(super) fn matters(before: &Object, after: &Object) -> bool {
    let detail = |object: &Object| match &object.detail {
        Detail::Node(detail) => Some(Arc::clone(detail)),
        _ => None,
    };
    before.meta.labels != after.meta.labels || detail(before) != detail(after)
}
