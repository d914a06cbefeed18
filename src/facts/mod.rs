//! What is known of a cluster: caches kept by our own list and watch, or filled from a snapshot; one cache for all steps.

mod confirm;
pub mod objects;
pub mod reads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use crate::catalog::value::{ObjectRef, Value};
use crate::cluster::snapshot::Snapshot;
use crate::cluster::{RequestError, Requests};
use crate::expr::FactSource;
use objects::{Budget, Node, Pod};
use reads::{ReadKey, Reads, Unknown};

/// Everything that is known of a cluster, as of now.
#[derive(Debug, Default)]
pub struct Facts {}

/// Facts that many read and the watches write. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SharedFacts {
    changed: watch::Receiver<u64>,
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
    /// Node and pod objects as the server has them, for `raw`.
    pub raw: bool,
}

impl Needs {
    /// What a text of a playbook or of lowered code may need; too much rather than too little.
    pub fn in_text(_text: &str) -> Self {
        todo!()
    }
}

/// Facts that are kept up to date until this is dropped.
pub struct Watched {
    /// The facts.
    pub facts: SharedFacts,
}

/// Lists every kind that is needed and keeps it up to date by watch; comes back once every list was read.
///
/// # Errors
/// What the server refused.
pub async fn watch(_requests: &Requests, _needs: Needs, _clock: Arc<dyn crate::outside::Clock>) -> Result<Watched, RequestError> {
    todo!()
}

impl SharedFacts {
    /// The facts of a snapshot; they never change.
    pub fn from_snapshot(_snapshot: &Snapshot) -> Self {
        todo!()
    }
    /// Reads several things of one moment. Short: the watches wait meanwhile.
    pub fn read<T>(&self, _read: impl FnOnce(&Facts) -> T) -> T {
        todo!()
    }
    /// Changes whenever a fact does.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }
    /// What the run itself knows: when it began, what was whole then, which nodes it has under way.
    pub fn set_run(&self, _started: i64, _whole: BTreeMap<String, String>, _held: BTreeSet<String>) {
        todo!()
    }
    /// The time, Unix milliseconds.
    pub fn set_now(&self, _now: i64) {
        todo!()
    }
    /// Whether an object of that UID is not there any more; false where its kind is not known.
    pub fn is_gone(&self, _object: &ObjectRef) -> bool {
        todo!()
    }
    /// The budgets that cover a pod on a node, as `namespace/name`.
    pub fn budgets_on_node(&self, _node: &str) -> BTreeSet<String> {
        todo!()
    }
}

impl Facts {
    /// UID to hash of the pod template, of the workloads that are whole (`available >= desired`).
    pub fn whole(&self) -> BTreeMap<String, String> {
        todo!()
    }
    /// The node of that name.
    pub fn node(&self, _name: &str) -> Option<&Arc<Node>> {
        todo!()
    }
    /// Every pod bound to a node, in order of namespace and name.
    pub fn pods_on(&self, _node: &str) -> Vec<Arc<Pod>> {
        todo!()
    }
    /// The pod of that UID.
    pub fn pod(&self, _uid: &str) -> Option<&Arc<Pod>> {
        todo!()
    }
    /// The budgets that cover a pod, in order of name.
    pub fn budgets_of(&self, _pod: &Pod) -> Vec<Arc<Budget>> {
        todo!()
    }
    /// The pods that a budget covers.
    pub fn pods_of_budget(&self, _budget: &Budget) -> Vec<Arc<Pod>> {
        todo!()
    }
    /// The pods whose controller, or whose controller's controller, is of that UID.
    pub fn pods_of_workload(&self, _uid: &str) -> Vec<Arc<Pod>> {
        todo!()
    }
    /// The workload that a pod belongs to.
    pub fn workload_of(&self, _pod: &Pod) -> Option<ObjectRef> {
        todo!()
    }
    /// How many pods a workload is to have, and how many of those that we see are ready.
    pub fn replicas(&self, _workload: &str) -> Option<(i64, i64)> {
        todo!()
    }
    /// Whether the controller of that kind and UID exists; `None` where the kind is not watched.
    pub fn has_controller(&self, _kind: &str, _uid: &str) -> Option<bool> {
        todo!()
    }
}

impl FactSource for SharedFacts {
    fn fact(&self, _name: &str, _reads: &mut Reads) -> Result<Value, Unknown> {
        todo!()
    }
    fn field(&self, _object: &Arc<ObjectRef>, _field: &str, _reads: &mut Reads) -> Result<Value, Unknown> {
        todo!()
    }
    fn regressed(&self, _reads: &mut Reads) -> Result<Value, Unknown> {
        todo!()
    }
    fn version(&self, _key: &ReadKey) -> u64 {
        todo!()
    }
    fn now(&self) -> i64 {
        todo!()
    }
}
