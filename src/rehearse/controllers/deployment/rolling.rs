//! A rolling update: the newest ReplicaSet grows as far as there may be more pods, the old ones shrink as far as pods may be
//! missing (k8s.io/kubernetes v1.37, controller/deployment/rolling.go).

use std::sync::Arc;

use super::Look;
use super::scale::new_size;
use super::sets::{Sets, size, told};
use crate::rehearse::cluster::{Cluster, Task};
use crate::rehearse::object::Object;

impl Look {
    pub(super) fn roll(&self, task: &Task, cluster: &mut Cluster) {
        let Some(sets) = self.newest(cluster, true) else { return };
        // What has just been marked is not marked again.
        let Some(look) = self.again(cluster) else { return };
        if !look.grow(&sets, cluster) && !look.shrink(&sets, cluster) && look.is_complete(&look.object) {
            look.forget_history(&sets, cluster);
        }
        look.tell_rollout(task, cluster);
    }

    /// Whether the newest has another size now.
    fn grow(&self, sets: &Sets, cluster: &mut Cluster) -> bool {
        let Some(new) = &sets.new else { return false };
        let own = size(new);
        let to = if own > self.replicas { self.replicas } else { new_size(self, sets.size(), own) };
        own != self.replicas && self.resize(new, to, false, cluster)
    }

    /// Whether one of the old has another size now: first those go that are not available, then what may be missing.
    fn shrink(&self, sets: &Sets, cluster: &mut Cluster) -> bool {
        let old: Vec<Arc<Object>> = sets.old.iter().filter(|set| size(set) > 0).cloned().collect();
        if old.is_empty() {
            return false;
        }
        let least = self.replicas - self.posts.unavailable;
        let missing_of_new = sets.new.as_ref().map_or(0, |new| size(new) - told(new, "availableReplicas"));
        let most = sets.size() - least - missing_of_new;
        if most <= 0 {
            return false;
        }
        let cleaned = self.clean(&old, most, cluster);
        let old: Vec<Arc<Object>> =
            old.iter().filter_map(|set| cluster.store.get(&set.key())).filter(|set| size(set) > 0).cloned().collect();
        let mut left = sets.sum("availableReplicas") - least;
        let mut is_shrunk = false;
        for set in &old {
            let less = size(set).min(left);
            if less > 0 {
                is_shrunk |= self.resize(set, size(set) - less, false, cluster);
                left -= less;
            }
        }
        cleaned || is_shrunk
    }

    /// Takes pods away that are not available anyway.
    fn clean(&self, old: &[Arc<Object>], most: i64, cluster: &mut Cluster) -> bool {
        let mut left = most;
        let mut is_cleaned = false;
        for set in old {
            let idle = (size(set) - told(set, "availableReplicas")).min(left);
            if idle > 0 {
                self.resize(set, size(set) - idle, false, cluster);
                is_cleaned = true;
                left -= idle;
            }
        }
        is_cleaned
    }
}
