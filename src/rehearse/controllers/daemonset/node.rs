//! One node of a DaemonSet: what is to be done there, and what is counted (daemon_controller.go podsShouldBeOnNode,
//! updateDaemonSetStatus).

use std::collections::BTreeSet;
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

use super::{Look, Plan};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::count::scaled;
use crate::rehearse::controllers::members::{is_available, is_ready, until_available};
use crate::rehearse::controllers::revision::REVISION;
use crate::rehearse::object::{Key, Object, Phase};
use crate::rehearse::store::{Change, What};

/// The first pause before a pod that failed is replaced again, and the longest, in milliseconds.
const BACKOFF: (i64, i64) = (1000, 15 * 60 * 1000);

/// What is known of a node.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The set's pods that are there, or pinned to it.
    pub(super) pods: BTreeSet<Key>,
    /// What is counted there.
    pub(super) counts: Counts,
    /// Whether a pod is to be there.
    pub(super) is_wanted: bool,
    /// The pause before the next replacement of a pod that failed, and since when, Unix milliseconds.
    pub(super) backoff: Option<(i64, i64)>,
}

/// The numbers of the status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) desired: i64,
    pub(super) current: i64,
    pub(super) misplaced: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
    pub(super) updated: i64,
    /// Pods of an older template that are not terminating.
    pub(super) outdated: i64,
}

impl Counts {
    fn fields(&mut self, other: Self, add: fn(&mut i64, i64)) {
        add(&mut self.desired, other.desired);
        add(&mut self.current, other.current);
        add(&mut self.misplaced, other.misplaced);
        add(&mut self.ready, other.ready);
        add(&mut self.available, other.available);
        add(&mut self.updated, other.updated);
        add(&mut self.outdated, other.outdated);
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.fields(other, |sum, number| *sum += number);
    }
}

impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Self) {
        self.fields(other, |sum, number| *sum -= number);
    }
}

/// Whether a change of a node changes where pods are to be.
pub(super) fn is_felt(change: &Change) -> bool {
    let (Some(previous), What::Modified) = (&change.previous, change.what) else { return true };
    let taints = |object: &Object| object.node().map(|node| node.taints.clone());
    previous.meta.labels != change.object.meta.labels || taints(previous) != taints(&change.object)
}

impl Look<'_> {
    /// Whether a pod is of the template as it stands.
    pub(super) fn is_updated(&self, pod: &Object) -> bool {
        let generation = self.object.meta.annotation("deprecated.daemonset.template.generation");
        pod.meta.label(REVISION) == Some(&self.hash)
            || generation.is_some_and(|one| pod.meta.label("pod-template-generation") == Some(one))
    }

    /// How many nodes of so many may have a second pod during an update.
    pub(super) fn surge(&self, nodes: i64) -> i64 {
        let strategy = self.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref()).filter(|_| self.is_rolling());
        surge.and_then(|surge| scaled(surge, nodes, true).ok()).unwrap_or(0)
    }

    pub(super) fn is_rolling(&self) -> bool {
        let strategy = self.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
        strategy.unwrap_or("RollingUpdate") == "RollingUpdate"
    }
}

impl Place {
    /// Its pods but those that are finished and leave, those that are bound first, then by age.
    pub(super) fn pods<'a>(&self, cluster: &'a Cluster) -> Vec<&'a Arc<Object>> {
        let is_over = |pod: &Object| pod.is_terminating() && pod.pod().is_some_and(|pod| pod.is_terminal());
        let pods = self.pods.iter().filter_map(|key| cluster.store.get(key));
        let mut pods: Vec<&Arc<Object>> = pods.filter(|pod| !is_over(pod)).collect();
        pods.sort_by_key(|pod| {
            let is_unbound = pod.pod().is_some_and(|pod| pod.node.is_none());
            (is_unbound, pod.meta.created, pod.meta.name.clone())
        });
        pods
    }

    /// Looks at the node; whether it is to be kept in mind.
    pub(super) fn look(&mut self, name: &Arc<str>, look: &Look<'_>, cluster: &Cluster, plan: &mut Plan) -> bool {
        let pods = self.pods(cluster);
        let Some(node) = cluster.store.get(&Key::node(name.clone())) else {
            // Pods that wait for a node that is gone go too; the others are the pod garbage collector's.
            let is_unbound = |pod: &&&Arc<Object>| pod.pod().is_some_and(|pod| pod.node.is_none());
            plan.delete.extend(pods.iter().filter(is_unbound).map(|pod| pod.key()));
            (self.counts, self.is_wanted) = (Counts::default(), false);
            return !self.pods.is_empty();
        };
        let (is_wanted, may_stay) = look.wants.on(node);
        self.is_wanted = is_wanted;
        match (is_wanted, pods.is_empty()) {
            (true, true) => plan.make.push(name.clone()),
            _ if may_stay => self.keep(name, &pods, look, cluster.now, plan),
            _ => plan.delete.extend(pods.iter().filter(|pod| !pod.is_terminating()).map(|pod| pod.key())),
        }
        self.count(name, &pods, look, cluster.now, plan);
        true
    }

    /// On a node where its pods may stay: those that ended go, and all but one of the others.
    fn keep(&mut self, name: &Arc<str>, pods: &[&Arc<Object>], look: &Look<'_>, now: i64, plan: &mut Plan) {
        let mut running = Vec::new();
        for pod in pods.iter().filter(|pod| !pod.is_terminating()) {
            match pod.pod().map(|pod| pod.status.phase) {
                Some(Phase::Failed) => self.replace_failed(name, pod, now, plan),
                Some(Phase::Succeeded) => plan.delete.push(pod.key()),
                _ => running.push(*pod),
            }
        }
        if look.surge(1) == 0 {
            plan.delete.extend(running.iter().skip(1).map(|pod| pod.key()));
            return;
        }
        if running.is_empty() && self.is_wanted {
            plan.make.push(name.clone());
            return;
        }
        let (new, old): (Vec<&Arc<Object>>, _) = running.into_iter().partition(|pod| look.is_updated(pod));
        plan.delete.extend(new.iter().skip(1).chain(old.iter().skip(1)).map(|pod| pod.key()));
        if let (Some(new), Some(old)) = (new.first(), old.first())
            && (!is_ready(old) || is_available(new, look.spec.min_ready_seconds, now))
        {
            plan.delete.push(old.key());
        }
    }

    fn replace_failed(&mut self, name: &Arc<str>, pod: &Object, now: i64, plan: &mut Plan) {
        let (first, longest) = BACKOFF;
        match self.backoff.filter(|(_, since)| now - since <= 2 * longest) {
            Some((pause, since)) if now - since < pause => plan.wait(name, pause),
            known => {
                let pause = known.map_or(first, |(pause, _)| (pause * 2).min(longest));
                self.backoff = Some((pause, now));
                plan.delete.push(pod.key());
            }
        }
    }

    fn count(&mut self, name: &Arc<str>, pods: &[&Arc<Object>], look: &Look<'_>, now: i64, plan: &mut Plan) {
        let mut counts = Counts::default();
        let is_old = |pod: &&&Arc<Object>| !pod.is_terminating() && !look.is_updated(pod);
        counts.outdated = pods.iter().filter(is_old).count() as i64;
        counts.desired = i64::from(self.is_wanted);
        if let Some(pod) = pods.first() {
            counts.current = i64::from(self.is_wanted);
            counts.misplaced = i64::from(!self.is_wanted);
            if self.is_wanted {
                counts.ready = i64::from(is_ready(pod));
                counts.available = i64::from(is_available(pod, look.spec.min_ready_seconds, now));
                counts.updated = i64::from(look.is_updated(pod));
            }
        }
        let waits = pods.iter().filter_map(|pod| until_available(pod, look.spec.min_ready_seconds, now));
        if let Some(wait) = waits.filter(|wait| *wait > 0).min() {
            plan.wait(name, wait);
        }
        self.counts = counts;
    }
}
