//! The tables: objects by name, by UID, pods by node and by owner, and a version for everything that can be read.
//!
//! A change bumps what it touches and nothing else, so that a condition is evaluated again only when something that it
//! read changed. What a pod's change means for its workload (one ready pod more, one less) bumps the workload too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;
use crate::catalog::version::Version;

use super::objects::{
    Budget, Controller, Event, Job, Lease, Meta, Node, Object, OwnerReference, Pod, WebhookConfiguration, condition,
};
use super::reads::{ReadKey, Unknown};
use super::resource::Resource;

/// A kind whose watch said nothing for longer is unknown, in milliseconds.
pub const SILENT_AFTER: i64 = 75_000;

/// The label of pods and Jobs that sprag itself made.
pub const OWN_LABEL: &str = "sprag.dev/run";

/// Namespace and name.
type Key = (String, String);

/// The objects of one resource.
#[derive(Debug)]
pub(super) struct Table<T> {
    objects: BTreeMap<Key, Arc<T>>,
    by_uid: HashMap<String, Key>,
    raw: HashMap<String, Arc<Json>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), by_uid: HashMap::new(), raw: HashMap::new() }
    }
}

impl<T: Object> Table<T> {
    pub(super) fn get(&self, uid: &str) -> Option<&Arc<T>> {
        self.objects.get(self.by_uid.get(uid)?)
    }

    pub(super) fn named(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        self.objects.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// In order of namespace and name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.objects.values()
    }

    fn of_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<T>> {
        let from = (namespace.to_owned(), String::new());
        self.objects.range(from..).take_while(move |((of, _), _)| of == namespace).map(|(_, object)| object)
    }

    fn insert(&mut self, object: Arc<T>) -> Option<Arc<T>> {
        let key = key_of(object.meta());
        let before = self.objects.insert(key.clone(), object.clone());
        if let Some(before) = &before {
            self.by_uid.remove(&before.meta().uid);
            self.raw.remove(&before.meta().uid);
        }
        self.by_uid.insert(object.meta().uid.clone(), key);
        before
    }

    /// Takes an object away, if it is still the one of that UID.
    fn remove(&mut self, meta: &Meta) -> Option<Arc<T>> {
        let key = key_of(meta);
        if self.objects.get(&key)?.meta().uid != meta.uid {
            return None;
        }
        self.by_uid.remove(&meta.uid);
        self.raw.remove(&meta.uid);
        self.objects.remove(&key)
    }
}

fn key_of(meta: &Meta) -> Key {
    (meta.namespace.clone(), meta.name.clone())
}

/// When a resource was heard of, and how far its cache has come.
#[derive(Debug, Default, Clone)]
struct Heard {
    /// Unix milliseconds; `None` before its first list.
    at: Option<i64>,
    /// The server's resourceVersion that the cache has reached.
    version: String,
    /// Why the server does not let us read it.
    refused: Option<String>,
}

/// What the run itself knows.
#[derive(Debug, Default)]
pub(super) struct RunFacts {
    pub(super) started: Option<i64>,
    pub(super) whole: BTreeMap<String, String>,
    pub(super) held: BTreeSet<String>,
}

/// Everything that is known of a cluster, as of now.
#[derive(Debug, Default)]
pub struct Facts {
    pub(super) now: i64,
    /// A snapshot's facts are never silent.
    is_live: bool,
    keeps_raw: bool,
    pub(super) api_versions: Vec<Version>,
    pub(super) run: RunFacts,
    pub(super) nodes: Table<Node>,
    pub(super) pods: Table<Pod>,
    pub(super) controllers: BTreeMap<Resource, Table<Controller>>,
    pub(super) budgets: Table<Budget>,
    pub(super) jobs: Table<Job>,
    pub(super) events: Table<Event>,
    pub(super) leases: Table<Lease>,
    pub(super) webhooks: BTreeMap<Resource, Table<WebhookConfiguration>>,
    pods_by_node: BTreeMap<String, BTreeSet<Key>>,
    /// By the UID of the pod's own controller.
    pods_by_owner: HashMap<String, BTreeSet<Key>>,
    /// Deployment's UID to those of its ReplicaSets.
    replica_sets: HashMap<String, BTreeSet<String>>,
    heard: BTreeMap<Resource, Heard>,
    /// How often the server spoke, of anything.
    words: u64,
    /// What of a resource cannot be read, and why: it may be anything, so nothing is known of the kind meanwhile.
    strange: BTreeMap<Resource, BTreeMap<Key, String>>,
    versions: Versions,
}

#[derive(Debug, Default)]
struct Versions {
    last: u64,
    lists: BTreeMap<Kind, u64>,
    members: BTreeMap<Kind, u64>,
    objects: HashMap<String, u64>,
    nodes: HashMap<String, u64>,
    workloads: HashMap<String, u64>,
    run: u64,
    /// Kinds that are silent or refused now; each change of it makes everything of the kind another version.
    silent: BTreeMap<Kind, (bool, u64)>,
}

impl Versions {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn changed(&mut self, kind: Kind, uid: &str) {
        let next = self.next();
        self.lists.insert(kind, next);
        self.objects.insert(uid.to_owned(), next);
    }

    fn came_or_went(&mut self, kind: Kind) {
        let next = self.next();
        self.lists.insert(kind, next);
        self.members.insert(kind, next);
    }
}

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
    pub(super) fn new(now: i64, is_live: bool, keeps_raw: bool, api_versions: Vec<Version>) -> Self {
        Self { now, is_live, keeps_raw, api_versions, ..Self::default() }
    }

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

    /// The server spoke of a resource; `version` is the resourceVersion that the cache now has.
    pub(crate) fn hear(&mut self, resource: Resource, version: &str) {
        let now = self.now;
        let heard = self.heard.entry(resource).or_default();
        heard.at = Some(now);
        heard.refused = None;
        self.words += 1;
        if !version.is_empty() {
            version.clone_into(&mut heard.version);
        }
        self.look_at_silence();
    }

    /// The server does not let us read a resource.
    pub(crate) fn refuse(&mut self, resource: Resource, why: &str) {
        self.heard.entry(resource).or_default().refused = Some(why.to_owned());
        self.words += 1;
        self.look_at_silence();
    }

    /// Why the server does not let us read a resource that it let us read before, or that is always needed.
    pub fn refused(&self) -> Option<&str> {
        self.heard.values().filter(|heard| heard.at.is_some()).find_map(|heard| heard.refused.as_deref())
    }

    /// The API server's version, as it says it.
    pub(super) fn set_server(&mut self, version: &str) {
        let versions: Vec<Version> = version.parse().into_iter().collect();
        if versions != self.api_versions {
            self.api_versions = versions;
            self.versions.run = self.versions.next();
        }
    }

    pub(super) fn set_now(&mut self, now: i64) {
        self.now = now.max(self.now);
        self.look_at_silence();
    }

    pub(super) fn set_run(&mut self, run: RunFacts) {
        let nodes: BTreeSet<String> = self.run.held.symmetric_difference(&run.held).cloned().collect();
        self.run = run;
        self.versions.run = self.versions.next();
        for name in nodes {
            if let Some(uid) = self.nodes.named("", &name).map(|node| node.metadata.uid.clone()) {
                self.versions.changed(Kind::Node, &uid);
            }
        }
    }

    /// Kinds that fell silent, or are heard again, are another version as a whole.
    fn look_at_silence(&mut self) {
        for kind in [Kind::Node, Kind::Pod, Kind::Workload, Kind::Budget, Kind::Job, Kind::Event, Kind::Webhook] {
            let is_silent = self.known(kind).is_err();
            let entry = self.versions.silent.entry(kind).or_default();
            if entry.0 != is_silent {
                *entry = (is_silent, entry.1 + 1);
                self.versions.last += 1;
            }
        }
    }

    /// Whether a kind is known: listed, readable, and heard of lately.
    pub(super) fn known(&self, kind: Kind) -> Result<(), Unknown> {
        Resource::of(kind).iter().try_for_each(|resource| self.is_known(*resource))
    }

    /// Whether a resource is known.
    pub(super) fn is_known(&self, resource: Resource) -> Result<(), Unknown> {
        let name = resource.name();
        if let Some(why) = self.strange.get(&resource).and_then(|strange| strange.values().next()) {
            return Err(Unknown::new(format!("{name} cannot be read: {why}")));
        }
        if !self.is_live {
            return Ok(());
        }
        let heard = self.heard.get(&resource);
        if let Some(why) = heard.and_then(|heard| heard.refused.as_deref()) {
            return Err(Unknown::new(format!("{name} cannot be read: {why}")));
        }
        let Some(at) = heard.and_then(|heard| heard.at) else {
            return Err(Unknown::new(format!("{name} are not watched")));
        };
        if self.now - at > SILENT_AFTER {
            let silent = (self.now - at) / 1000;
            return Err(Unknown::new(format!("{name} were last heard of {silent} s ago")));
        }
        Ok(())
    }

    /// The resourceVersion that the cache of a resource has reached. Versions are counted by the server's store, as one
    /// number for all (etcd's revision; KEP-5504 makes it a promise).
    pub(super) fn reached(&self, resource: Resource) -> Option<u128> {
        number(&self.heard.get(&resource)?.version)
    }

    /// Whether the cache of a resource has come as far as that resourceVersion.
    pub fn has_reached(&self, resource: Resource, version: &str) -> bool {
        number(version).is_some_and(|wanted| self.reached(resource).is_some_and(|reached| reached >= wanted))
    }

    /// Whether the cache of a resource has come further than that resourceVersion.
    pub(super) fn is_past(&self, resource: Resource, version: &str) -> bool {
        number(version).is_some_and(|given| self.reached(resource).is_some_and(|reached| reached > given))
    }

    /// Whether what the server had at that version of an object of a kind has been seen. A snapshot has nothing to come.
    pub(super) fn has_seen(&self, kind: Kind, version: &str) -> bool {
        let has_come = |resource: &Resource| self.metas(*resource).iter().any(|meta| meta.resource_version == version);
        !self.is_live
            || Resource::of(kind).iter().all(|resource| self.has_reached(*resource, version))
            // Of several resources only the object's own has come so far for certain.
            || (Resource::single(kind).is_none() && Resource::of(kind).iter().any(has_come))
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
            // What is read of a lease is read with the clock.
            Resource::Leases => parsed::<Lease>(object).map(|lease| {
                self.leases.insert(lease);
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
            Resource::Leases => {
                self.leases.remove(meta);
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

    fn metas(&self, resource: Resource) -> Vec<Meta> {
        fn of<T: Object>(table: &Table<T>) -> Vec<Meta> {
            table.iter().map(|object| object.meta().clone()).collect()
        }
        match resource {
            Resource::Nodes => of(&self.nodes),
            Resource::Pods => of(&self.pods),
            Resource::Budgets => of(&self.budgets),
            Resource::Jobs => of(&self.jobs),
            Resource::Events => of(&self.events),
            Resource::Leases => of(&self.leases),
            Resource::ValidatingWebhooks | Resource::MutatingWebhooks => {
                self.webhooks.get(&resource).map(of).unwrap_or_default()
            }
            Resource::Deployments | Resource::ReplicaSets | Resource::StatefulSets | Resource::DaemonSets => {
                self.controllers.get(&resource).map(of).unwrap_or_default()
            }
        }
    }

    /// Namespace, name, UID and resourceVersion of every object of a resource.
    pub(super) fn held(&self, resource: Resource) -> BTreeMap<Key, (String, String)> {
        let all = self.metas(resource).into_iter();
        all.map(|meta| (key_of(&meta), (meta.uid, meta.resource_version))).collect()
    }

    /// The version of something that was read.
    pub(super) fn version(&self, key: &ReadKey) -> u64 {
        let versions = &self.versions;
        let (kind, version) = match key {
            ReadKey::List(kind) => (*kind, versions.lists.get(kind).copied()),
            ReadKey::Members(kind) => (*kind, versions.members.get(kind).copied()),
            ReadKey::Object(object) => {
                let there = versions.objects.get(&object.uid).copied();
                (object.kind, there.or_else(|| versions.members.get(&object.kind).copied()))
            }
            ReadKey::PodsOfNode(node) => (Kind::Pod, versions.nodes.get(&**node).copied()),
            ReadKey::PodsOfWorkload(uid) => (Kind::Pod, versions.workloads.get(&**uid).copied()),
            ReadKey::Run => return versions.run,
            ReadKey::Clock(_) => return 0,
        };
        let silent = versions.silent.get(&kind).map_or(0, |(_, changes)| *changes);
        version.unwrap_or(0) + (silent << 48)
    }

    /// How often the server spoke.
    pub(super) fn words(&self) -> u64 {
        self.words
    }

    /// The number of the last change of anything.
    pub(super) fn last_change(&self) -> u64 {
        self.versions.last
    }

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
    fn top_owner(&self, uid: &str) -> Option<&str> {
        let set = self.controllers.get(&Resource::ReplicaSets)?.get(uid)?;
        deployment_of(set).map(|owner| owner.uid.as_str())
    }

    /// The controller of that UID: a workload, or the ReplicaSet of a Deployment.
    pub fn controller(&self, uid: &str) -> Option<&Arc<Controller>> {
        self.controllers.values().find_map(|table| table.get(uid))
    }

    /// The controller of that UID that is a workload: no ReplicaSet of a Deployment.
    pub(super) fn workload(&self, uid: &str) -> Option<(Resource, &Arc<Controller>)> {
        let found = self.controllers.iter().find_map(|(resource, table)| Some((*resource, table.get(uid)?)));
        found.filter(|_| self.top_owner(uid).is_none())
    }

    /// Every workload, in order of namespace and name.
    pub(super) fn workloads(&self) -> Vec<(Resource, &Arc<Controller>)> {
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
    pub(super) fn available(&self, uid: &str, controller: &Controller) -> (i64, Option<i64>) {
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

    /// Whether an object of that UID is there.
    pub(super) fn is_there(&self, object: &ObjectRef) -> bool {
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

    pub(super) fn raw(&self, object: &ObjectRef) -> Option<&Arc<Json>> {
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
pub(super) fn desired(resource: Resource, controller: &Controller) -> i64 {
    match resource {
        Resource::DaemonSets => controller.status.desired_number_scheduled,
        _ => controller.spec.replicas.unwrap_or(1),
    }
}

/// The language's reference to an object.
pub(super) fn reference(kind: Kind, meta: &Meta) -> ObjectRef {
    ObjectRef { kind, namespace: meta.namespace.clone(), name: meta.name.clone(), uid: meta.uid.clone() }
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
fn deployment_of(controller: &Controller) -> Option<&OwnerReference> {
    controller.metadata.controller().filter(|owner| owner.kind == "Deployment")
}

pub(super) fn number(version: &str) -> Option<u128> {
    version.parse().ok()
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
