//! Taking objects in and away, and what each change touches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::catalog::types::Kind;

use super::table::Table;
use super::{Facts, Key, key_of, number};
use crate::facts::objects::{
    Autoscaler, Controller, Lease, Meta, Object, OwnerReference, Pod, VolumeAttachment, condition,
};
use crate::facts::resource::Resource;

/// What of a pod other objects feel.
#[derive(PartialEq)]
struct Bearing<'a> {
    node: &'a str,
    /// The UID of its controller.
    owner: Option<&'a str>,
    is_meant_to_run: bool,
    is_ready: bool,
    /// Since when it is ready, or is not: availability is counted from there.
    since: Option<Timestamp>,
    /// Which budgets cover it hangs on them.
    labels: &'a BTreeMap<String, String>,
}

fn bearing(pod: &Pod) -> Bearing<'_> {
    Bearing {
        node: &pod.spec.node_name,
        owner: pod.metadata.controller().map(|owner| owner.uid.as_str()),
        is_meant_to_run: pod.is_meant_to_run(),
        is_ready: pod.is_ready(),
        since: condition(&pod.status.conditions, "Ready").and_then(|ready| ready.last_transition_time),
        labels: &pod.metadata.labels,
    }
}

/// What taking an object in changed.
enum Put<T> {
    /// Nothing that is kept.
    Nothing,
    /// What is there now, and what bore the name before.
    Changed { before: Option<Arc<T>>, after: Arc<T> },
}

impl Facts {
    /// Replaces all objects of a resource: what is no longer there is removed.
    pub(crate) fn list(&mut self, resource: Resource, items: Vec<Json>, version: &str) {
        self.strange.remove(&resource);
        if self.is_past(resource, version) {
            // The server's store was put back to an earlier state: what the cache has is not newer, but void.
            self.metas(resource).iter().for_each(|meta| self.remove(resource, meta));
        }
        let mut there = BTreeSet::new();
        for item in items {
            there.extend(item.pointer("/metadata/uid").and_then(Json::as_str).map(str::to_owned));
            self.put(resource, item);
        }
        for meta in self.metas(resource) {
            if !there.contains(&meta.uid) {
                self.remove(resource, &meta);
            }
        }
        self.hear(resource, version);
    }
    /// Takes an object in, new or changed; one that is older than what is there is left. Where nothing changed that is kept,
    /// nothing has another version. One that cannot be read makes its kind unknown.
    pub(crate) fn put(&mut self, resource: Resource, object: Json) {
        let key = key_in(&object);
        let taken = match resource {
            Resource::Nodes => self.put_in(|facts| &mut facts.nodes, Kind::Node, object).map(|_| ()),
            Resource::Pods => self.put_pod(object),
            Resource::Budgets => self.put_in(|facts| &mut facts.budgets, Kind::Budget, object).map(|_| ()),
            Resource::Jobs => self.put_in(|facts| &mut facts.jobs, Kind::Job, object).map(|_| ()),
            Resource::Events => self.put_in(|facts| &mut facts.events, Kind::Event, object).map(|_| ()),
            // They are read with the numbers of a budget, never by a condition.
            Resource::Autoscalers => parsed::<Autoscaler>(object).map(|autoscaler| {
                self.autoscalers.insert(autoscaler);
            }),
            // What is read of a lease is read with the clock.
            Resource::Leases => parsed::<Lease>(object).map(|lease| {
                self.leases.insert(lease);
            }),
            // No condition reads it: a drain that waits for it is woken.
            Resource::VolumeAttachments => parsed::<VolumeAttachment>(object).map(|attachment| {
                self.attachments.insert(attachment);
                self.versions.next();
            }),
            Resource::ValidatingWebhooks | Resource::MutatingWebhooks => self.put_webhooks(resource, object),
            Resource::Deployments | Resource::ReplicaSets | Resource::StatefulSets | Resource::DaemonSets => {
                self.put_controller(resource, object)
            }
        };
        self.note_strange(resource, key, taken.err());
    }

    fn note_strange(&mut self, resource: Resource, key: Key, why: Option<String>) {
        let strange = self.strange.entry(resource).or_default();
        match why {
            Some(why) => strange.insert(key.clone(), format!("`{}` is not of the form that is expected: {why}", key.1)),
            None => strange.remove(&key),
        };
        self.look_at_silence();
    }

    fn put_in<T: Object>(
        &mut self,
        table: impl Fn(&mut Self) -> &mut Table<T>,
        kind: Kind,
        object: Json,
    ) -> Result<Put<T>, String> {
        let raw = (self.keeps_raw && matches!(kind, Kind::Node | Kind::Pod)).then(|| Arc::new(object.clone()));
        let object = parsed::<T>(object)?;
        let uid = object.meta().uid.clone();
        let table = table(self);
        if is_older(table, &object) {
            return Ok(Put::Nothing);
        }
        let has_same_raw = table.raw.get(&uid) == raw.as_ref();
        let before = table.insert(object.clone());
        if let Some(raw) = raw {
            table.raw.insert(uid.clone(), raw);
        }
        match &before {
            Some(before) if before.meta().uid != uid => {
                self.versions.objects.remove(&before.meta().uid);
                self.versions.came_or_went(kind);
            }
            Some(before) if has_same_raw && is_same(&**before, &*object) => return Ok(Put::Nothing),
            Some(_) => {}
            None => self.versions.came_or_went(kind),
        }
        self.versions.changed(kind, &uid);
        Ok(Put::Changed { before, after: object })
    }

    fn put_webhooks(&mut self, resource: Resource, object: Json) -> Result<(), String> {
        let put = self.put_in(|facts| facts.webhooks.entry(resource).or_default(), Kind::Webhook, object)?;
        if let Put::Changed { .. } = put {
            // Each of a configuration's webhooks is an object of the language.
            self.versions.came_or_went(Kind::Webhook);
        }
        Ok(())
    }

    fn put_controller(&mut self, resource: Resource, object: Json) -> Result<(), String> {
        let put = self.put_in(|facts| facts.controllers.entry(resource).or_default(), Kind::Workload, object)?;
        let Put::Changed { before, after } = put else { return Ok(()) };
        if let Some(before) = &before
            && before.metadata.owner_references != after.metadata.owner_references
        {
            self.disown(before);
            // It may have become a workload of its own, or ceased to be one.
            self.versions.came_or_went(Kind::Workload);
        }
        if resource == Resource::ReplicaSets
            && let Some(owner) = deployment_of(&after)
        {
            self.replica_sets.entry(owner.uid.clone()).or_default().insert(after.metadata.uid.clone());
            self.touch_workload(&owner.uid);
        }
        Ok(())
    }

    /// A ReplicaSet is no longer of its Deployment.
    fn disown(&mut self, controller: &Controller) {
        if let Some(owner) = deployment_of(controller)
            && let Some(sets) = self.replica_sets.get_mut(&owner.uid)
        {
            sets.remove(&controller.metadata.uid);
            self.touch_workload(&owner.uid);
        }
    }

    fn put_pod(&mut self, object: Json) -> Result<(), String> {
        let Put::Changed { before, after } = self.put_in(|facts| &mut facts.pods, Kind::Pod, object)? else {
            return Ok(());
        };
        let key = key_of(&after.metadata);
        let is_same = before.as_ref().is_some_and(|before| before.metadata.uid == after.metadata.uid);
        if !is_same || before.as_ref().is_none_or(|before| bearing(before) != bearing(&after)) {
            if let Some(before) = &before {
                self.unlink(&key, before);
            }
            self.link(&key, &after);
        }
        // Who lists the pods that are meant to run, or that a budget covers, sees another list.
        let is_listed_alike = |before: &Arc<Pod>| {
            before.is_meant_to_run() == after.is_meant_to_run() && before.metadata.labels == after.metadata.labels
        };
        if !before.as_ref().is_some_and(is_listed_alike) {
            self.versions.came_or_went(Kind::Pod);
        }
        Ok(())
    }

    fn link(&mut self, key: &Key, pod: &Pod) {
        let Bearing { node, owner, .. } = bearing(pod);
        if !node.is_empty() {
            self.pods_by_node.entry(node.to_owned()).or_default().insert(key.clone());
        }
        if let Some(owner) = owner {
            self.pods_by_owner.entry(owner.to_owned()).or_default().insert(key.clone());
        }
        self.touch_around(pod);
    }

    fn unlink(&mut self, key: &Key, pod: &Pod) {
        let Bearing { node, owner, .. } = bearing(pod);
        if let Some(pods) = self.pods_by_node.get_mut(node) {
            pods.remove(key);
        }
        if let Some(pods) = owner.and_then(|owner| self.pods_by_owner.get_mut(owner)) {
            pods.remove(key);
        }
        self.touch_around(pod);
    }

    /// What a pod's bearing changes for its node and its workload.
    fn touch_around(&mut self, pod: &Pod) {
        let Bearing { node, owner, .. } = bearing(pod);
        if !node.is_empty() {
            let next = self.versions.next();
            self.versions.nodes.insert(node.to_owned(), next);
        }
        if let Some(owner) = owner {
            let top = self.top_owner(owner).unwrap_or(owner).to_owned();
            if top != owner {
                self.touch_workload(owner);
            }
            self.touch_workload(&top);
        }
    }

    fn touch_workload(&mut self, uid: &str) {
        let next = self.versions.next();
        self.versions.workloads.insert(uid.to_owned(), next);
        self.versions.objects.insert(uid.to_owned(), next);
        self.versions.lists.insert(Kind::Workload, next);
    }

    /// Takes an object away, if the one of that UID is there.
    pub(crate) fn remove(&mut self, resource: Resource, meta: &Meta) {
        let kind = resource.kind();
        self.note_strange(resource, key_of(meta), None);
        let was_there = match resource {
            Resource::Nodes => self.nodes.remove(meta).is_some(),
            Resource::Budgets => self.budgets.remove(meta).is_some(),
            Resource::Jobs => self.jobs.remove(meta).is_some(),
            Resource::Events => self.events.remove(meta).is_some(),
            Resource::Autoscalers => {
                self.autoscalers.remove(meta);
                false
            }
            Resource::Leases => {
                self.leases.remove(meta);
                false
            }
            Resource::VolumeAttachments => {
                self.attachments.remove(meta);
                self.versions.next();
                false
            }
            Resource::ValidatingWebhooks | Resource::MutatingWebhooks => {
                self.webhooks.get_mut(&resource).is_some_and(|table| table.remove(meta).is_some())
            }
            Resource::Pods => match self.pods.remove(meta) {
                Some(pod) => {
                    self.unlink(&key_of(meta), &pod);
                    true
                }
                None => false,
            },
            Resource::Deployments | Resource::ReplicaSets | Resource::StatefulSets | Resource::DaemonSets => {
                self.remove_controller(resource, meta)
            }
        };
        if was_there {
            self.versions.objects.remove(&meta.uid);
            self.versions.came_or_went(kind);
        }
    }

    fn remove_controller(&mut self, resource: Resource, meta: &Meta) -> bool {
        let removed = self.controllers.get_mut(&resource).and_then(|table| table.remove(meta));
        if let Some(removed) = &removed {
            self.disown(removed);
        }
        removed.is_some()
    }

    pub(super) fn metas(&self, resource: Resource) -> Vec<Meta> {
        fn of<T: Object>(table: &Table<T>) -> Vec<Meta> {
            table.iter().map(|object| object.meta().clone()).collect()
        }
        match resource {
            Resource::Nodes => of(&self.nodes),
            Resource::Pods => of(&self.pods),
            Resource::Budgets => of(&self.budgets),
            Resource::Autoscalers => of(&self.autoscalers),
            Resource::Jobs => of(&self.jobs),
            Resource::Events => of(&self.events),
            Resource::Leases => of(&self.leases),
            Resource::VolumeAttachments => of(&self.attachments),
            Resource::ValidatingWebhooks | Resource::MutatingWebhooks => {
                self.webhooks.get(&resource).map(of).unwrap_or_default()
            }
            Resource::Deployments | Resource::ReplicaSets | Resource::StatefulSets | Resource::DaemonSets => {
                self.controllers.get(&resource).map(of).unwrap_or_default()
            }
        }
    }
    /// Namespace, name, UID and resourceVersion of every object of a resource.
    pub(in crate::facts) fn held(&self, resource: Resource) -> BTreeMap<Key, (String, String)> {
        let all = self.metas(resource).into_iter();
        all.map(|meta| (key_of(&meta), (meta.uid, meta.resource_version))).collect()
    }
}

fn parsed<T: Object>(object: Json) -> Result<Arc<T>, String> {
    serde_json::from_value(object).map(Arc::new).map_err(|error| error.to_string())
}

/// Namespace and name of an object that may be of any form.
fn key_in(object: &Json) -> Key {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
    (text("/metadata/namespace"), text("/metadata/name"))
}

/// The Deployment that manages a ReplicaSet.
pub(super) fn deployment_of(controller: &Controller) -> Option<&OwnerReference> {
    controller.metadata.controller().filter(|owner| owner.kind == "Deployment")
}

/// Whether two states of an object differ in nothing but their version on the server.
fn is_same<T: Object>(before: &T, after: &T) -> bool {
    let mut after = after.clone();
    before.meta().resource_version.clone_into(&mut after.meta_mut().resource_version);
    after == *before
}

/// Whether the cache has a newer state of the same object: a read of one object may be ahead of the watch.
fn is_older<T: Object>(table: &Table<T>, object: &T) -> bool {
    let there = table.get(&object.meta().uid).and_then(|there| number(&there.meta().resource_version));
    matches!((there, number(&object.meta().resource_version)), (Some(there), Some(new)) if new < there)
}
