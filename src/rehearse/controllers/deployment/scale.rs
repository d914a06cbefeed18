//! How many pods each ReplicaSet of a Deployment is to have when the Deployment itself is scaled.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Look;
use super::sets::{DESIRED, MOST, Sets, size, told};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::object::Object;

/// Whether one of its ReplicaSets was last sized for another number of replicas.
pub(super) fn is_scaled(look: &Look, sets: &Sets) -> bool {
    let mut desired = sets.all().filter(|set| size(set) > 0).filter_map(|set| annotated(set, DESIRED));
    desired.any(|desired| desired != look.replicas)
}

fn annotated(set: &Object, annotation: &str) -> Option<i64> {
    set.meta.annotation(annotation)?.parse().ok().filter(|number| *number >= 0)
}

/// How many pods the newest ReplicaSet may have, of so many in all (deployment_util.go NewRSNewReplicas).
pub(super) fn new_size(look: &Look, all: i64, own: i64) -> i64 {
    if look.is_recreated() {
        return look.replicas;
    }
    let room = look.replicas + look.posts.surge - all;
    if room <= 0 { own } else { own + room.min(look.replicas - own) }
}

impl Look {
    /// Sizes the ReplicaSets for another number of replicas: the only one that has pods, or all in proportion.
    pub(super) fn scale(&self, sets: &Sets, cluster: &mut Cluster) {
        let active: Vec<&Arc<Object>> = sets.all().filter(|set| size(set) > 0).collect();
        let only = match active.as_slice() {
            [] => sets.new.as_ref().or(sets.old.last()),
            [one] => Some(*one),
            _ => None,
        };
        if let Some(only) = only {
            self.resize(only, self.replicas, false, cluster);
            return;
        }
        if active.is_empty() {
            return;
        }
        if self.is_saturated(sets) {
            for old in sets.old.iter().filter(|set| size(set) > 0) {
                self.resize(old, 0, false, cluster);
            }
            return;
        }
        if !self.is_recreated() {
            for (set, to) in self.proportions(active) {
                self.resize(&set, to, true, cluster);
            }
        }
    }

    fn is_saturated(&self, sets: &Sets) -> bool {
        sets.new.as_ref().is_some_and(|new| {
            size(new) == self.replicas
                && annotated(new, DESIRED) == Some(self.replicas)
                && told(new, "availableReplicas") == self.replicas
        })
    }

    /// What there is more or less to be had, shared out by size, the larger first; the largest takes what is left over.
    fn proportions(&self, mut active: Vec<&Arc<Object>>) -> Vec<(Arc<Object>, i64)> {
        let allowed = if self.replicas > 0 { self.replicas + self.posts.surge } else { 0 };
        let to_add = allowed - active.iter().map(|set| size(set)).sum::<i64>();
        active.sort_by(|one, other| {
            let by_age = one.meta.created.cmp(&other.meta.created);
            let by_age = if to_add > 0 { by_age.reverse() } else { by_age };
            size(other).cmp(&size(one)).then(by_age).then(one.meta.name.cmp(&other.meta.name))
        });
        let mut added = 0;
        let mut sizes = BTreeMap::new();
        for set in &active {
            let share = if to_add == 0 || to_add == added { 0 } else { self.fraction(set) };
            let left = to_add - added;
            let share = if to_add > 0 { share.min(left) } else { share.max(left) };
            added += share;
            sizes.insert(set.meta.name.clone(), size(set) + share);
        }
        if let Some(largest) = active.first().and_then(|set| sizes.get_mut(&set.meta.name)) {
            *largest = (*largest + to_add - added).max(0);
        }
        active.into_iter().map(|set| (set.clone(), sizes.get(&set.meta.name).copied().unwrap_or(0))).collect()
    }

    /// How much larger a ReplicaSet is to be, in proportion to the Deployment before and after.
    fn fraction(&self, set: &Object) -> i64 {
        let own = size(set);
        if self.replicas == 0 {
            return -own;
        }
        let before = annotated(set, MOST).filter(|most| *most > 0).unwrap_or_else(|| told(&self.object, "replicas"));
        if before == 0 {
            return 0;
        }
        let after = (own * (self.replicas + self.posts.surge)) as f64 / before as f64;
        after.round() as i64 - own
    }

    /// Gives a ReplicaSet another size, and writes down for which size of the Deployment. Whether its size is another now.
    pub(super) fn resize(&self, set: &Object, to: i64, is_forced: bool, cluster: &mut Cluster) -> bool {
        let is_other = size(set) != to;
        let (desired, most) = (self.replicas, self.replicas + self.posts.surge);
        let is_noted = annotated(set, DESIRED) == Some(desired) && annotated(set, MOST) == Some(most);
        if !is_other && (is_noted || !is_forced) {
            return false;
        }
        cluster.change(&set.key(), |set| {
            let annotations = Arc::make_mut(&mut set.meta.annotations);
            annotations.insert(DESIRED.to_owned(), desired.to_string());
            annotations.insert(MOST.to_owned(), most.to_string());
            Arc::make_mut(&mut set.body)["spec"]["replicas"] = to.into();
            Some(())
        });
        is_other
    }
}
