//! The pods of an older template of a DaemonSet (k8s.io/kubernetes v1.37, controller/daemon/update.go): replaced node by node,
//! as many at a time as may be missing, or as may be there twice.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::node::Place;
use super::{Look, Plan, Set};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::count::scaled;
use crate::rehearse::controllers::members::is_available;
use crate::rehearse::object::Object;

/// The pods of a node that are not terminating.
struct Pair<'a> {
    new: Option<&'a Arc<Object>>,
    old: Option<&'a Arc<Object>>,
}

impl<'a> Pair<'a> {
    /// `None` where there are two of one kind.
    fn of(place: &Place, look: &Look<'_>, cluster: &'a Cluster) -> Option<Self> {
        let mut pair = Self { new: None, old: None };
        for pod in place.pods(cluster).into_iter().filter(|pod| !pod.is_terminating()) {
            let slot = if look.is_updated(pod) { &mut pair.new } else { &mut pair.old };
            if slot.replace(pod).is_some() {
                return None;
            }
        }
        Some(pair)
    }
}

impl Set {
    /// What an update asks for now.
    pub(super) fn roll(&self, look: &Look<'_>, cluster: &Cluster) -> Plan {
        if !look.is_rolling() {
            return Plan::default();
        }
        let nodes = self.counts.desired;
        let surge = look.surge(nodes);
        if surge > 0 {
            return self.roll_surging(look, surge, cluster);
        }
        let strategy = look.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let one = IntOrString::Int(1);
        let most = rolling.and_then(|rolling| rolling.max_unavailable.as_ref()).unwrap_or(&one);
        let most = scaled(most, nodes, true).unwrap_or(1);
        self.roll_missing(look, most.max(1), cluster)
    }

    /// Deletes old pods: those that are not available anyway, and of the others as many as may be missing.
    fn roll_missing(&self, look: &Look<'_>, most: i64, cluster: &Cluster) -> Plan {
        let is_there = |pod: &Object| is_available(pod, look.spec.min_ready_seconds, cluster.now);
        let (mut plan, mut candidates, mut missing) = (Plan::default(), Vec::new(), 0);
        for place in self.places.values().filter(|place| place.is_wanted || !place.pods.is_empty()) {
            match Pair::of(place, look, cluster) {
                Some(Pair { new: None, old: Some(old) }) if is_there(old) => candidates.push(old.key()),
                Some(Pair { new: None, old: Some(old) }) => {
                    plan.delete.push(old.key());
                    missing += 1;
                }
                Some(Pair { new: Some(new), old: None }) if is_there(new) => {}
                _ => missing += 1,
            }
        }
        let left = usize::try_from(most - missing).unwrap_or(0);
        plan.delete.extend(candidates.into_iter().take(left));
        plan
    }

    /// Makes new pods beside the old, which go when the new are available.
    fn roll_surging(&self, look: &Look<'_>, surge: i64, cluster: &Cluster) -> Plan {
        let is_there = |pod: &Object| is_available(pod, look.spec.min_ready_seconds, cluster.now);
        let (mut plan, mut candidates, mut doubled) = (Plan::default(), Vec::new(), 0);
        for (name, place) in &self.places {
            let Some(pair) = Pair::of(place, look, cluster) else {
                doubled += 1;
                continue;
            };
            match (pair.new, pair.old) {
                (None, Some(old)) if !place.is_wanted => plan.delete.push(old.key()),
                (None, Some(old)) if is_there(old) => candidates.push(name.clone()),
                (None, Some(_)) => plan.make.push(name.clone()),
                (Some(new), Some(old)) if is_there(new) => plan.delete.push(old.key()),
                (Some(_), Some(_)) => doubled += 1,
                (_, None) => {}
            }
        }
        let left = usize::try_from(surge - doubled).unwrap_or(0);
        plan.make.extend(candidates.into_iter().take(left));
        plan
    }
}
