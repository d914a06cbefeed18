//! What is seen of a cluster: every change of what a scenario's namespace and nodes hold, by watches.

use futures_util::{TryStreamExt, pin_mut};
use http::Request;
use kube::Client;
use kube::core::WatchEvent;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is watched: where it is served, its resource and its kind; nodes those of the pool.
const KINDS: [(&str, &str, &str); 8] = [
    ("/api/v1", "nodes", "Node"),
    ("/apis/apps/v1", "deployments", "Deployment"),
    ("/apis/apps/v1", "replicasets", "ReplicaSet"),
    ("/apis/apps/v1", "statefulsets", "StatefulSet"),
    ("/apis/apps/v1", "daemonsets", "DaemonSet"),
    ("/apis/batch/v1", "jobs", "Job"),
    ("/apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    ("/api/v1", "pods", "Pod"),
];

/// One change, as it arrived.
#[derive(Debug, Clone)]
pub struct Change {
    /// When.
    pub at: Instant,
    /// Its resource.
    pub resource: &'static str,
    /// The object, and for one that is gone its last state.
    pub object: Arc<Value>,
    /// Whether it is there.
    pub is_there: bool,
}

/// Watches that go on until this is dropped.
pub struct Observer {
    log: Arc<Mutex<Log>>,
    /// Aborted as it is dropped.
    _watches: JoinSet<()>,
}

#[derive(Default)]
struct Log {
    changes: Vec<Change>,
    /// Why a watch is over.
    broken: Option<String>,
}

impl Observer {
    /// Lists and watches everything of a pool.
    pub async fn begin(client: &Client, pool: &str) -> Result<Self, String> {
        let log = Arc::new(Mutex::new(Log::default()));
        let mut watches = JoinSet::new();
        for (group, resource, kind) in KINDS {
            let path = match resource {
                "nodes" => format!("{group}/nodes?labelSelector=pool%3D{pool}"),
                _ => format!("{group}/namespaces/{pool}/{resource}?"),
            };
            let list: Value = client.request(get(&path)?).await.map_err(|error| format!("list {path}: {error}"))?;
            let watch = Watch { client: client.clone(), path, resource, kind, log: log.clone() };
            for item in list["items"].as_array().into_iter().flatten() {
                watch.note(item.clone(), true);
            }
            let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            watches.spawn(watch.run(version));
        }
        Ok(Self { log, _watches: watches })
    }

    /// Everything so far, in the order of its arrival.
    pub fn changes(&self) -> Result<Vec<Change>, String> {
        let log = lock(&self.log);
        log.broken.clone().map_or_else(|| Ok(log.changes.clone()), Err)
    }
}

struct Watch {
    client: Client,
    path: String,
    resource: &'static str,
    kind: &'static str,
    log: Arc<Mutex<Log>>,
}

impl Watch {
    async fn run(self, version: String) {
        let why = self.follow(&version).await.err().unwrap_or_else(|| "it ended".to_owned());
        lock(&self.log).broken = Some(format!("watch {}: {why}", self.path));
    }

    async fn follow(&self, version: &str) -> Result<(), String> {
        let request = get(&format!("{}&watch=1&timeoutSeconds=1800&resourceVersion={version}", self.path))?;
        let (parts, _) = request.into_parts();
        let request = Request::from_parts(parts, Vec::new());
        let events = self.client.request_events::<Value>(request).await.map_err(|error| error.to_string())?;
        pin_mut!(events);
        while let Some(event) = events.try_next().await.map_err(|error| error.to_string())? {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => self.note(object, true),
                WatchEvent::Deleted(object) => self.note(object, false),
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => return Err(status.message),
            }
        }
        Ok(())
    }

    fn note(&self, mut object: Value, is_there: bool) {
        // Items of lists do not say their kind.
        object["kind"] = self.kind.into();
        let change = Change { at: Instant::now(), resource: self.resource, object: Arc::new(object), is_there };
        lock(&self.log).changes.push(change);
    }
}

/// A request without a body.
pub fn get(path: &str) -> Result<Request<Vec<u8>>, String> {
    Request::get(path).body(Vec::new()).map_err(|error| format!("{path}: {error}"))
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
