//! The status of a StatefulSet.

use super::{Look, identity, is_running_and_ready};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::draft::Draft;
use crate::rehearse::object::Object;

impl Look {
    /// Says how it stood when it was looked at, less the pods of the older template that were deleted since. An update is
    /// complete when all pods are of the new template and ready.
    pub(super) fn tell(&self, updated: i64, cluster: &mut Cluster) {
        let now = cluster.now;
        let count = |is: &dyn Fn(&Object) -> bool| self.all().filter(|pod| is(pod)).count() as i64;
        let of = |name: &str| count(&|pod| !pod.is_terminating() && identity::revision_of(pod) == name);
        let is_ready = |pod: &Object| pod.pod().is_some_and(is_running_and_ready);
        let (replicas, ready) = (count(&|_| true), count(&is_ready));
        let mut current = of(&self.before.name) - updated;
        let newest = of(&self.after.name);
        let mut before = &self.before;
        if [newest, ready, replicas].iter().all(|number| *number == self.replicas) {
            (current, before) = (newest, &self.after);
        }
        let mut draft = Draft::of(&self.object);
        draft.number("observedGeneration", self.object.meta.generation);
        draft.set("replicas", replicas.into());
        draft.number("readyReplicas", ready);
        draft.number("currentReplicas", current);
        draft.number("updatedReplicas", newest);
        draft.set("availableReplicas", count(&|pod| is_ready(pod) && self.is_available(pod, now)).into());
        draft.set("currentRevision", (*before.name).into());
        draft.set("updateRevision", (*self.after.name).into());
        if draft.value("collisionCount").is_none() {
            draft.set("collisionCount", 0.into());
        }
        draft.write(&self.object.key(), cluster);
    }
}
