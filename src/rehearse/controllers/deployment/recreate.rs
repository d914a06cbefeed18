//! An update that first ends all old pods (k8s.io/kubernetes v1.37, controller/deployment/recreate.go).

use super::Look;
use super::sets::{Sets, size, told};
use crate::rehearse::cluster::{Cluster, Task};
use crate::rehearse::controllers::members::managed;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Pod;

impl Look {
    pub(super) fn recreate(&self, task: &Task, cluster: &mut Cluster) {
        let Some(sets) = self.newest(cluster, false) else { return };
        let mut is_shrunk = false;
        for old in sets.old.iter().filter(|set| size(set) > 0) {
            is_shrunk |= self.resize(old, 0, false, cluster);
        }
        if is_shrunk || has_old_pods(&sets, cluster) {
            return self.tell_rollout(task, cluster);
        }
        let Some(sets) = self.newest(cluster, true) else { return };
        let Some(look) = self.again(cluster) else { return };
        if let Some(new) = &sets.new {
            look.resize(new, look.replicas, false, cluster);
        }
        if look.is_complete(&look.object) {
            look.forget_history(&sets, cluster);
        }
        look.tell_rollout(task, cluster);
    }
}

/// Whether a pod of an old ReplicaSet is still there and not finished; one that is terminating is there.
fn has_old_pods(sets: &Sets, cluster: &Cluster) -> bool {
    sets.old.iter().any(|set| {
        let mut pods = managed(set, Kind::Pod, &cluster.store);
        told(set, "replicas") > 0 || pods.any(|pod| !pod.pod().is_some_and(Pod::is_terminal))
    })
}
