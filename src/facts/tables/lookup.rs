//! Who belongs to whom, and how many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;

use super::intake::deployment_of;
use super::{Facts, Key, OWN_LABEL};
use crate::facts::objects::{Budget, Controller, Meta, Node, OwnerReference, Pod, VolumeAttachment, condition};
use crate::facts::reads::Unknown;
use crate::facts::resource::Resource;

impl Pod {
    /// Whether its phase is `Succeeded` or `Failed`.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether sprag itself made it.
    pub fn is_own(&self) -> bool {
        self.metadata.labels.contains_key(OWN_LABEL)
    }

    /// Not finished, not being deleted, not sprag's own.
    pub fn is_meant_to_run(&self) -> bool {
        !self.is_finished() && !self.metadata.is_terminating() && !self.is_own()
    }

    /// Whether its condition Ready is True.
    pub fn is_ready(&self) -> bool {
        condition(&self.status.conditions, "Ready").is_some_and(|ready| ready.status == "True")
    }
}
impl Facts {
    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.named("", name)
    }

    /// The pod of that UID.
    pub fn pod(&self, uid: &str) -> Option<&Arc<Pod>> {
        self.pods.get(uid)
    }

    /// Every pod bound to a node, in order of namespace and name.
    pub fn pods_on(&self, node: &str) -> Vec<Arc<Pod>> {
        self.keyed(self.pods_by_node.get(node))
    }

    fn keyed(&self, keys: Option<&BTreeSet<Key>>) -> Vec<Arc<Pod>> {
        keys.into_iter().flatten().filter_map(|key| self.pods.objects.get(key).cloned()).collect()
    }

    /// The budgets that cover a pod, in order of name.
    pub fn budgets_of(&self, pod: &Pod) -> Vec<Arc<Budget>> {
        self.budgets.of_namespace(&pod.metadata.namespace).filter(|budget| budget.covers(pod)).cloned().collect()
    }

    /// Every pod that a budget covers, in order of name.
    pub fn pods_of_budget(&self, budget: &Budget) -> Vec<Arc<Pod>> {
        self.pods.of_namespace(&budget.metadata.namespace).filter(|pod| budget.covers(pod)).cloned().collect()
    }

    /// The pods whose controller, or whose controller's controller, is of that UID, in order of name.
    pub fn pods_of_workload(&self, uid: &str) -> Vec<Arc<Pod>> {
        let sets = self.replica_sets.get(uid).into_iter().flatten().map(String::as_str);
        let keys: BTreeSet<&Key> =
            sets.chain([uid]).filter_map(|owner| self.pods_by_owner.get(owner)).flatten().collect();
        keys.into_iter().filter_map(|key| self.pods.objects.get(key).cloned()).collect()
    }

    /// The Deployment above a ReplicaSet; `None` for any other controller.
    pub(super) fn top_owner(&self, uid: &str) -> Option<&str> {
        let set = self.controllers.get(&Resource::ReplicaSets)?.get(uid)?;
        deployment_of(set).map(|owner| owner.uid.as_str())
    }

    /// The controller of that UID: a workload, or the ReplicaSet of a Deployment.
    pub fn controller(&self, uid: &str) -> Option<&Arc<Controller>> {
        self.controllers.values().find_map(|table| table.get(uid))
    }

    /// The controller of that UID that is a workload: no ReplicaSet of a Deployment.
    pub(in crate::facts) fn workload(&self, uid: &str) -> Option<(Resource, &Arc<Controller>)> {
        let found = self.controllers.iter().find_map(|(resource, table)| Some((*resource, table.get(uid)?)));
        found.filter(|_| self.top_owner(uid).is_none())
    }

    /// Every workload, in order of namespace and name.
    pub(in crate::facts) fn workloads(&self) -> Vec<(Resource, &Arc<Controller>)> {
        let mut all: Vec<_> = self
            .controllers
            .iter()
            .flat_map(|(resource, table)| table.iter().map(|controller| (*resource, controller)))
            .filter(|(resource, controller)| {
                *resource != Resource::ReplicaSets || self.top_owner(&controller.metadata.uid).is_none()
            })
            .collect();
        all.sort_by(|(a, one), (b, other)| {
            let name = |meta: &Meta| (meta.namespace.clone(), meta.name.clone());
            name(&one.metadata).cmp(&name(&other.metadata)).then(a.cmp(b))
        });
        all
    }

    /// The workload that a pod belongs to.
    pub fn workload_of(&self, pod: &Pod) -> Option<ObjectRef> {
        let OwnerReference { uid, .. } = pod.metadata.controller()?;
        let (_, controller) = self.workload(self.top_owner(uid).unwrap_or(uid))?;
        Some(reference(Kind::Workload, &controller.metadata))
    }

    /// How many pods a workload is to have, and how many of those that we see are ready.
    pub fn replicas(&self, workload: &str) -> Option<(i64, i64)> {
        let (resource, controller) = self.workload(workload)?;
        let ready =
            self.pods_of_workload(workload).iter().filter(|pod| pod.is_meant_to_run() && pod.is_ready()).count();
        Some((desired(resource, controller), i64::try_from(ready).unwrap_or(i64::MAX)))
    }

    /// How many pods autoscalers may give a workload at most; `None` where none scales it, or none may be read.
    pub fn most_replicas(&self, workload: &str) -> Option<i64> {
        let (resource, controller) = self.workload(workload)?;
        let (kind, meta) = (resource.controller_kind()?, &controller.metadata);
        let all = self.autoscalers.of_namespace(&meta.namespace).map(|autoscaler| &autoscaler.spec);
        let its = all.filter(|spec| spec.scale_target_ref.kind == kind && spec.scale_target_ref.name == meta.name);
        its.map(|spec| spec.max_replicas).max()
    }

    /// Where the server has a workload.
    pub fn resource_of(&self, workload: &str) -> Option<Resource> {
        self.workload(workload).map(|(resource, _)| resource)
    }

    /// Whether a workload's owner rolls it out now: its spec is not observed yet, or pods of an older template are there.
    pub fn is_rolling(&self, workload: &str) -> bool {
        self.workload(workload).is_some_and(|(resource, controller)| {
            let status = &controller.status;
            let is_observed = status.observed_generation >= controller.metadata.generation;
            let counts_updates = matches!(resource, Resource::Deployments | Resource::StatefulSets);
            !is_observed || (counts_updates && status.updated_replicas < status.replicas)
        })
    }

    /// Whether the controller of that kind and UID exists; `None` where the kind is not watched.
    pub fn has_controller(&self, kind: &str, uid: &str) -> Option<bool> {
        let resource = Resource::ALL.into_iter().find(|resource| resource.controller_kind() == Some(kind))?;
        Some(self.controllers.get(&resource).is_some_and(|table| table.get(uid).is_some()))
    }

    /// How many pods of a workload have been ready for its minReadySeconds, and when that may be another number though
    /// nothing happens (Unix milliseconds).
    pub(in crate::facts) fn available(&self, uid: &str, controller: &Controller) -> (i64, Option<i64>) {
        let wanted = controller.spec.min_ready_seconds * 1000;
        let (mut available, mut next) = (0, None::<i64>);
        for pod in self.pods_of_workload(uid).iter().filter(|pod| pod.is_meant_to_run() && pod.is_ready()) {
            let since = condition(&pod.status.conditions, "Ready").and_then(|ready| ready.last_transition_time);
            match since.map(|since| since.as_millisecond() + wanted) {
                Some(at) if wanted > 0 && at > self.now => next = Some(next.map_or(at, |next| next.min(at))),
                _ => available += 1,
            }
        }
        (available, next)
    }

    /// UID to hash of the pod template, of the workloads that are whole (`available >= desired`).
    pub fn whole(&self) -> BTreeMap<String, String> {
        let all = self.workloads().into_iter();
        let whole = all.filter(|(resource, controller)| {
            self.available(&controller.metadata.uid, controller).0 >= desired(*resource, controller)
        });
        whole.map(|(_, one)| (one.metadata.uid.clone(), one.spec.template_hash.clone())).collect()
    }

    /// What is attached to a node, in order of name. A login that may not read VolumeAttachments sees none.
    ///
    /// # Errors
    /// They are not known now.
    pub fn attachments_of(&self, node: &str) -> Result<Vec<&VolumeAttachment>, Unknown> {
        if self.is_refused(Resource::VolumeAttachments) {
            return Ok(Vec::new());
        }
        self.is_known(Resource::VolumeAttachments)?;
        let all = self.attachments.iter().map(|attachment| &**attachment);
        Ok(all.filter(|attachment| attachment.spec.node_name == node).collect())
    }

    /// Whether an object of that UID is there.
    pub(in crate::facts) fn is_there(&self, object: &ObjectRef) -> bool {
        match object.kind {
            Kind::Node => self.nodes.get(&object.uid).is_some(),
            Kind::Pod => self.pods.get(&object.uid).is_some(),
            Kind::Workload => self.workload(&object.uid).is_some(),
            Kind::Budget => self.budgets.get(&object.uid).is_some(),
            Kind::Job => self.jobs.get(&object.uid).is_some(),
            Kind::Event => self.events.get(&object.uid).is_some(),
            Kind::Webhook => self.webhooks.values().any(|table| table.get(&object.uid).is_some()),
            Kind::Cluster | Kind::Outcome => true,
        }
    }

    pub(in crate::facts) fn raw(&self, object: &ObjectRef) -> Option<&Arc<Json>> {
        match object.kind {
            Kind::Node => self.nodes.raw.get(&object.uid),
            Kind::Pod => self.pods.raw.get(&object.uid),
            _ => None,
        }
    }
}

impl Budget {
    /// Whether it covers a pod: in its namespace, with a selector that matches.
    pub fn covers(&self, pod: &Pod) -> bool {
        self.metadata.namespace == pod.metadata.namespace
            && self.spec.selector.as_ref().is_some_and(|selector| selector.matches(&pod.metadata.labels))
    }
}

/// How many pods a workload is to have.
pub(in crate::facts) fn desired(resource: Resource, controller: &Controller) -> i64 {
    match resource {
        Resource::DaemonSets => controller.status.desired_number_scheduled,
        _ => controller.spec.replicas.unwrap_or(1),
    }
}

/// The language's reference to an object.
pub(in crate::facts) fn reference(kind: Kind, meta: &Meta) -> ObjectRef {
    ObjectRef { kind, namespace: meta.namespace.clone(), name: meta.name.clone(), uid: meta.uid.clone() }
}
