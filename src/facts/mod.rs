//! What is known of a cluster: caches kept by our own list and watch, or filled from a snapshot; one cache for all steps.
//!
//! - [`objects`]: the trimmed objects; `resource`: where the server has them
//! - `tables`: objects, indices, and a version for everything that can be read ([`reads`])
//! - `fields`: the fields that the catalog declares
//! - `singles`: how long single replicas are away
//! - `watch`: list and watch; `confirm`: the confirming read
//!
//! What holds here: no fact is old news. A kind whose watch said nothing for 75 s is unknown, and so is one that the
//! server does not let us read; unknown never passes a gate.

mod confirm;
mod fields;
mod news;
pub mod objects;
pub mod reads;
pub(crate) mod resource;
mod singles;
mod tables;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use crate::catalog::types::Kind;
use crate::catalog::value::{ObjectRef, Value};
use crate::catalog::version::Version;
use crate::cluster::snapshot::Snapshot;
use crate::expr::FactSource;
use reads::{ReadKey, Reads, Unknown};
use serde_json::Value as Json;
use tables::RunFacts;

use news::News;

pub use news::Listener;
pub use resource::Resource;
pub use singles::Single;
pub use tables::{Facts, OWN_LABEL, SILENT_AFTER};
pub use watch::{Watched, watch};

/// Facts that many read and the watches write. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SharedFacts {
    facts: Arc<RwLock<Facts>>,
    /// The number of the last change: it moves with every fact that does.
    changed: News,
    /// Moves with every word of the server, also where no fact changes.
    heard: News,
}

/// Which kinds are needed beyond nodes, pods, workloads and budgets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Jobs.
    pub jobs: bool,
    /// Events.
    pub events: bool,
    /// Admission webhooks.
    pub webhooks: bool,
    /// Leases of the nodes, which every kubelet renews each 10 s: for `silent_for` alone.
    pub heartbeats: bool,
    /// HorizontalPodAutoscalers: how far a workload may be scaled, for drains that a budget holds.
    pub autoscalers: bool,
    /// Volume attachments, for drains.
    pub attachments: bool,
    /// Node and pod objects as the server has them, for `raw`.
    pub raw: bool,
}

impl Needs {
    /// What a text of a playbook or of lowered code may need: too much rather than too little.
    pub fn in_text(text: &str) -> Self {
        let says = |word: &str| text.contains(word);
        Self {
            jobs: says("jobs"),
            events: says("events"),
            webhooks: says("webhooks"),
            heartbeats: says("silent_for"),
            autoscalers: says("drain"),
            attachments: says("drain"),
            raw: says("raw"),
        }
    }
}

impl SharedFacts {
    fn new(facts: Facts) -> Self {
        Self { facts: Arc::new(RwLock::new(facts)), changed: News::default(), heard: News::default() }
    }

    /// The facts of a snapshot: as of then, and never silent.
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        let versions: Vec<Version> = snapshot.version.parse().into_iter().collect();
        let mut facts = Facts::new(snapshot.as_of, false, true, versions);
        for resource in Resource::ALL {
            if let Some(objects) = snapshot.objects.get(resource.name()) {
                facts.list(resource, objects.clone(), "");
            }
        }
        Self::new(facts)
    }

    /// Reads several things of one moment. Short: the watches wait meanwhile.
    pub fn read<T>(&self, read: impl FnOnce(&Facts) -> T) -> T {
        read(&self.facts.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes facts, and tells those who wait for a change, or for a word of the server, if there was one.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut Facts) -> T) -> T {
        let mut facts = self.facts.write().unwrap_or_else(PoisonError::into_inner);
        let before = (facts.last_change(), facts.words());
        let result = write(&mut facts);
        let after = (facts.last_change(), facts.words());
        drop(facts);
        if after.0 != before.0 {
            self.changed.tell(after.0);
        }
        if after.1 != before.1 {
            self.heard.tell(after.1);
        }
        result
    }

    /// Changes whenever a fact does.
    pub fn changed(&self) -> Listener {
        self.changed.listen()
    }

    /// What the run itself knows: when it began (Unix milliseconds), what was whole then, which nodes it has under way.
    pub fn set_run(&self, started: i64, whole: BTreeMap<String, String>, held: BTreeSet<String>) {
        self.write(|facts| facts.set_run(RunFacts { started: Some(started), whole, held }));
    }

    /// The time, Unix milliseconds.
    pub fn set_now(&self, now: i64) {
        self.write(|facts| facts.set_now(now));
    }

    /// Whether an object of that UID is not there any more; false where its kind is not known.
    pub fn is_gone(&self, object: &ObjectRef) -> bool {
        self.read(|facts| facts.known(object.kind).is_ok() && !facts.is_there(object))
    }

    /// Why one of these kinds is unknown: its watch is silent, or the server does not let us read it.
    pub fn unknown(&self, kinds: &[Kind]) -> Option<String> {
        self.read(|facts| kinds.iter().find_map(|kind| facts.known(*kind).err()).map(|unknown| unknown.why))
    }

    /// The budgets that cover a pod on a node that is meant to run, as `namespace/name`.
    pub fn budgets_on_node(&self, node: &str) -> BTreeSet<String> {
        self.read(|facts| {
            let pods = facts.pods_on(node);
            let running = pods.iter().filter(|pod| pod.is_meant_to_run());
            let budgets = running.flat_map(|pod| facts.budgets_of(pod));
            budgets.map(|budget| format!("{}/{}", budget.metadata.namespace, budget.metadata.name)).collect()
        })
    }

    /// Comes back once the cache of that kind has what the server had at that version of an object; the caller bounds it.
    pub async fn until_seen(&self, kind: Kind, resource_version: &str) {
        self.until(|facts| facts.has_seen(kind, resource_version)).await;
    }

    /// The same of an object of one resource, as the server gave it. Nothing is awaited where nobody watches the resource, or
    /// the object bears no version.
    pub async fn until_seen_as(&self, resource: Resource, object: &Json) {
        let Some(version) = object.pointer("/metadata/resourceVersion").and_then(Json::as_str) else { return };
        self.until(|facts| !facts.is_watched(resource) || facts.has_reached(resource, version)).await;
    }

    /// Comes back once something holds that the server's words alone can make true.
    async fn until(&self, holds: impl Fn(&Facts) -> bool) {
        let mut heard = self.heard.listen();
        while !self.read(&holds) {
            heard.changed().await;
        }
    }

    /// Why the server no longer lets us read something that it let us read before.
    pub fn refused(&self) -> Option<String> {
        self.read(|facts| facts.refused().map(str::to_owned))
    }
}

impl FactSource for SharedFacts {
    fn fact(&self, name: &str, reads: &mut Reads) -> Result<Value, Unknown> {
        self.read(|facts| facts.fact(name, reads))
    }

    fn field(&self, object: &Arc<ObjectRef>, field: &str, reads: &mut Reads) -> Result<Value, Unknown> {
        self.read(|facts| facts.field(object, field, reads))
    }

    fn regressed(&self, reads: &mut Reads) -> Result<Value, Unknown> {
        self.read(|facts| facts.regressed(reads))
    }

    fn version(&self, key: &ReadKey) -> u64 {
        self.read(|facts| facts.version(key))
    }

    fn singles_on(&self, node: &str) -> Vec<Single> {
        self.read(|facts| facts.singles_on(node))
    }

    fn now(&self) -> i64 {
        self.read(|facts| facts.now)
    }

    fn drain_times(&self, nodes: &[&str]) -> Vec<Option<i64>> {
        self.read(|facts| facts.drain_times(nodes))
    }
}
