//! The tables: objects by name, by UID, pods by node and by owner, and a version for everything that can be read.
//!
//! A change bumps what it touches and nothing else, so that a condition is evaluated again only when something that it
//! read changed. What a pod's change means for its workload (one ready pod more, one less) bumps the workload too.

mod intake;
mod knowledge;
mod leaving;
mod lookup;
mod table;
mod versions;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::catalog::version::Version;

use super::objects::{
    Autoscaler, Budget, Controller, Event, Job, Lease, Meta, Node, Pod, VolumeAttachment, WebhookConfiguration,
};
use super::resource::Resource;
use versions::Versions;

pub(super) use lookup::{desired, reference};
pub(super) use table::Table;

/// A kind whose watch said nothing for longer is unknown, in milliseconds.
pub const SILENT_AFTER: i64 = 75_000;

/// The label of pods and Jobs that sprag itself made.
pub const OWN_LABEL: &str = "sprag.dev/run";

/// Namespace and name.
type Key = (String, String);
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
    pub(super) autoscalers: Table<Autoscaler>,
    pub(super) jobs: Table<Job>,
    pub(super) events: Table<Event>,
    pub(super) leases: Table<Lease>,
    attachments: Table<VolumeAttachment>,
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
impl Facts {
    pub(super) fn new(now: i64, is_live: bool, keeps_raw: bool, api_versions: Vec<Version>) -> Self {
        Self { now, is_live, keeps_raw, api_versions, ..Self::default() }
    }
}

pub(super) fn number(version: &str) -> Option<u128> {
    version.parse().ok()
}
