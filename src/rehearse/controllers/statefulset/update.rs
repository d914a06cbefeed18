//! The pods of an older template, from the last ordinal down to the partition (stateful_set_control.go).
//!
//! From v1.37 on as many at a time as `maxUnavailable` says, counting all that are not available; before, where the feature
//! was off by default, one after the other, waiting for each.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Look, identity, remove};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::count::scaled;

impl Look {
    pub(super) fn is_rolling(&self) -> bool {
        let strategy = self.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
        strategy.unwrap_or("RollingUpdate") == "RollingUpdate"
    }

    fn rolling(&self) -> Option<&k8s_openapi::api::apps::v1::RollingUpdateStatefulSetStrategy> {
        self.spec.update_strategy.as_ref()?.rolling_update.as_ref()
    }

    pub(super) fn partition(&self) -> i64 {
        self.rolling().and_then(|rolling| rolling.partition).map_or(0, i64::from)
    }

    /// How many pods may be missing; at least one.
    fn most_unavailable(&self) -> i64 {
        let one = IntOrString::Int(1);
        let most = self.rolling().and_then(|rolling| rolling.max_unavailable.as_ref()).unwrap_or(&one);
        scaled(most, self.replicas, false).unwrap_or(1).max(1)
    }

    /// Deletes pods of an older template; says how many.
    pub(super) fn update(&self, cluster: &mut Cluster) -> i64 {
        if !self.is_rolling() {
            return 0;
        }
        match cluster.about.minor {
            ..37 => self.update_one(cluster),
            _ if self.is_parallel() => self.update_parallel(cluster),
            _ => self.update_ordered(cluster),
        }
    }

    /// The ordinals that are to be of the new template, from the last.
    fn targets(&self) -> impl Iterator<Item = i64> + use<> {
        // The partition counts from the first ordinal.
        (self.start + self.partition()..self.start + self.replicas).rev()
    }

    fn is_old(&self, ordinal: i64) -> bool {
        self.pods.get(&ordinal).is_some_and(|pod| identity::revision_of(pod) != &*self.after.name)
    }

    fn is_leaving(&self, ordinal: i64) -> bool {
        self.pods.get(&ordinal).is_some_and(|pod| pod.is_terminating())
    }

    fn remove(&self, ordinal: i64, cluster: &mut Cluster) {
        if let Some(pod) = self.pods.get(&ordinal) {
            remove(pod, cluster);
        }
    }

    fn update_one(&self, cluster: &mut Cluster) -> i64 {
        for ordinal in self.targets() {
            if self.is_old(ordinal) && !self.is_leaving(ordinal) {
                self.remove(ordinal, cluster);
                return 1;
            }
            if self.is_unavailable(self.pods.get(&ordinal), cluster.now) {
                return 0;
            }
        }
        0
    }

    fn missing(&self, now: i64) -> i64 {
        let all = self.start..self.start + self.replicas;
        all.filter(|ordinal| self.is_unavailable(self.pods.get(ordinal), now)).count() as i64
    }

    fn update_ordered(&self, cluster: &mut Cluster) -> i64 {
        let left = self.most_unavailable() - self.missing(cluster.now);
        let mut removed = 0;
        for ordinal in self.targets() {
            if removed < left && self.is_old(ordinal) && !self.is_leaving(ordinal) {
                self.remove(ordinal, cluster);
                removed += 1;
            }
        }
        removed
    }

    /// Those first that are not available anyway.
    fn update_parallel(&self, cluster: &mut Cluster) -> i64 {
        let now = cluster.now;
        let is_idle = |ordinal: i64| self.is_unavailable(self.pods.get(&ordinal), now);
        let idle: Vec<i64> =
            self.targets().filter(|at| self.is_old(*at) && !self.is_leaving(*at) && is_idle(*at)).collect();
        let mut left = self.most_unavailable() - self.missing(now);
        let mut removed = idle.len() as i64;
        idle.into_iter().for_each(|ordinal| self.remove(ordinal, cluster));
        for ordinal in self.targets() {
            if left > 0 && self.is_old(ordinal) && !is_idle(ordinal) {
                self.remove(ordinal, cluster);
                left -= 1;
                removed += 1;
            }
        }
        removed
    }
}
