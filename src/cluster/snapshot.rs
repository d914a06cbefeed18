//! The trimmed, versioned copy of a cluster: a plan reads it, and a rehearsal is seeded from it.
//!
//! - What is kept is what a scheduler, a drain and the catalog read. No Secret and no ConfigMap is ever asked for.
//! - Of containers, environment, command, arguments and what probes and hooks do are left out: that is where passwords are.
//! - Objects stand in order of namespace and name, so that two snapshots can be compared as text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Connection, RequestError};

/// The schema that [`Snapshot`] is written in; a reader refuses a higher one.
pub const SCHEMA: u32 = 1;

/// A cluster at one moment: objects as the server has them, trimmed, without the contents of Secrets or environments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of sprag that made it.
    pub sprag: String,
    /// The UID of the namespace kube-system.
    pub cluster: String,
    /// The context's name.
    pub context: String,
    /// The API server's version.
    pub version: String,
    /// When it was read, Unix milliseconds.
    pub as_of: i64,
    /// Resource (`nodes`, `pods`, `deployments.apps`, …) to objects, in order of namespace and name.
    pub objects: BTreeMap<String, Vec<Value>>,
}

/// Why a file is no snapshot that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// JSON of something else.
    #[error("it is JSON, but not a snapshot: {0}")]
    NotSnapshot(String),
    /// Of a newer sprag.
    #[error("it is of schema {0}, this sprag reads up to {SCHEMA}")]
    Newer(u64),
}

/// One resource of a snapshot.
struct Source {
    name: &'static str,
    path: &'static str,
    /// Whether there is no use in a snapshot without it.
    is_needed: bool,
}

const fn needed(name: &'static str, path: &'static str) -> Source {
    Source { name, path, is_needed: true }
}

/// A login without the right to it, or a server that does not have it, leaves it out.
const fn optional(name: &'static str, path: &'static str) -> Source {
    Source { name, path, is_needed: false }
}

const SOURCES: &[Source] = &[
    needed("nodes", "/api/v1/nodes"),
    needed("pods", "/api/v1/pods"),
    needed("deployments.apps", "/apis/apps/v1/deployments"),
    needed("replicasets.apps", "/apis/apps/v1/replicasets"),
    needed("statefulsets.apps", "/apis/apps/v1/statefulsets"),
    needed("daemonsets.apps", "/apis/apps/v1/daemonsets"),
    needed("poddisruptionbudgets.policy", "/apis/policy/v1/poddisruptionbudgets"),
    optional("horizontalpodautoscalers.autoscaling", "/apis/autoscaling/v2/horizontalpodautoscalers"),
    optional("jobs.batch", "/apis/batch/v1/jobs"),
    optional("leases.coordination.k8s.io", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"),
    optional("volumeattachments.storage.k8s.io", "/apis/storage.k8s.io/v1/volumeattachments"),
    optional("namespaces", "/api/v1/namespaces"),
    optional("priorityclasses.scheduling.k8s.io", "/apis/scheduling.k8s.io/v1/priorityclasses"),
    optional("persistentvolumeclaims", "/api/v1/persistentvolumeclaims"),
    optional("persistentvolumes", "/api/v1/persistentvolumes"),
    optional(
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    ),
    optional(
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    ),
];

/// Reads a cluster.
///
/// # Errors
/// What the server refused.
pub async fn take(connection: &Connection, now: i64) -> Result<Snapshot, RequestError> {
    let mut objects = BTreeMap::new();
    for source in SOURCES {
        let listed = match connection.requests.list(source.path).await {
            Ok(listed) => listed,
            Err(RequestError::Forbidden(_) | RequestError::NotFound(_)) if !source.is_needed => continue,
            Err(error) => return Err(error),
        };
        let mut items = listed.items;
        items.iter_mut().for_each(trim);
        items.sort_by_cached_key(name_of);
        objects.insert(source.name.to_owned(), items);
    }
    Ok(Snapshot {
        schema: SCHEMA,
        sprag: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: connection.uid.clone(),
        context: connection.context.clone(),
        version: connection.version.clone(),
        as_of: now,
        objects,
    })
}

impl Snapshot {
    /// Reads a snapshot's file.
    ///
    /// # Errors
    /// It is something else, or of a newer sprag.
    pub fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let value: Value = serde_json::from_slice(bytes).map_err(SnapshotError::NotJson)?;
        let is_ours = value.get("objects").is_some_and(Value::is_object);
        match value.get("schema").and_then(Value::as_u64) {
            Some(schema) if schema > u64::from(SCHEMA) => return Err(SnapshotError::Newer(schema)),
            Some(_) if is_ours => {}
            _ => return Err(SnapshotError::NotSnapshot("it has no `schema` or no `objects`".to_owned())),
        }
        serde_json::from_value(value).map_err(|error| SnapshotError::NotSnapshot(error.to_string()))
    }

    /// As it stands in a file, indented.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The objects of a resource; none where it was left out.
    pub fn of(&self, resource: &str) -> &[Value] {
        self.objects.get(resource).map_or(&[], Vec::as_slice)
    }
}

fn name_of(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Leaves out what nobody reads and what may hold a secret.
fn trim(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        trim_metadata(metadata);
    }
    if let Some(webhooks) = object.get_mut("webhooks").and_then(Value::as_array_mut) {
        for webhook in webhooks {
            remove(webhook.get_mut("clientConfig"), &["caBundle"]);
        }
    }
    if let Some(spec) = object.get_mut("spec") {
        trim_pod(spec);
        if let Some(template) = spec.get_mut("template") {
            if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
                trim_metadata(metadata);
            }
            if let Some(spec) = template.get_mut("spec") {
                trim_pod(spec);
            }
        }
    }
}

fn trim_metadata(metadata: &mut Map<String, Value>) {
    metadata.shift_remove("managedFields");
    let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

fn trim_pod(spec: &mut Value) {
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            remove(Some(container), &["env", "envFrom", "command", "args"]);
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                remove(container.get_mut(probe), &["exec", "httpGet", "tcpSocket", "grpc"]);
            }
            for hook in ["postStart", "preStop"] {
                let hook = container.get_mut("lifecycle").and_then(|lifecycle| lifecycle.get_mut(hook));
                remove(hook, &["exec", "httpGet", "tcpSocket"]);
            }
        }
    }
}

fn remove(object: Option<&mut Value>, fields: &[&str]) {
    if let Some(object) = object.and_then(Value::as_object_mut) {
        for field in fields {
            object.shift_remove(*field);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::facts::Resource;

    #[test]
    fn what_facts_are_made_of_is_kept_but_for_events() {
        for resource in Resource::ALL {
            let kept = SOURCES.iter().find(|source| source.name == resource.name()).map(|source| source.path);
            let expected = (resource != Resource::Events).then_some(resource.path());
            assert_eq!(kept, expected, "{}", resource.name());
        }
    }

    #[test]
    fn what_may_hold_a_secret_is_left_out() {
        let mut pod = json!({
            "metadata": {"name": "a", "managedFields": [1], "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes"}},
            "spec": {
                "nodeName": "n1",
                "containers": [{
                    "name": "c", "env": [{"name": "PASSWORD", "value": "x"}], "envFrom": [], "command": ["x"], "args": ["x"],
                    "readinessProbe": {"exec": {"command": ["x"]}, "periodSeconds": 5},
                    "lifecycle": {"preStop": {"exec": {"command": ["x"]}}},
                    "resources": {"requests": {"cpu": "1"}}, "ports": [{"hostPort": 80}],
                }],
            },
        });
        let trimmed = json!({
            "metadata": {"name": "a", "annotations": {"kept": "yes"}},
            "spec": {
                "nodeName": "n1",
                "containers": [{
                    "name": "c", "readinessProbe": {"periodSeconds": 5}, "lifecycle": {"preStop": {}},
                    "resources": {"requests": {"cpu": "1"}}, "ports": [{"hostPort": 80}],
                }],
            },
        });
        let mut deployment = json!({"spec": {"replicas": 1, "template": pod.clone()}});
        trim(&mut pod);
        trim(&mut deployment);
        assert_eq!(pod, trimmed);
        assert_eq!(deployment, json!({"spec": {"replicas": 1, "template": trimmed}}));
    }

    #[test]
    fn what_was_written_is_read() {
        let objects = [("nodes".to_owned(), vec![json!({"metadata": {"name": "n1"}})])].into_iter().collect();
        let snapshot =
            Snapshot { schema: SCHEMA, version: "v1.37.2".to_owned(), as_of: 7, objects, ..Snapshot::default() };
        assert_eq!(Snapshot::read(snapshot.to_json().as_bytes()).unwrap(), snapshot);
        assert_eq!(snapshot.of("nodes").len(), 1);
        assert!(snapshot.of("jobs.batch").is_empty());
    }

    #[test]
    fn what_is_no_snapshot_is_refused_with_the_reason() {
        for (text, told) in [
            ("nodes:", "it is not JSON: "),
            ("[]", "it is JSON, but not a snapshot: it has no `schema` or no `objects`"),
            (r#"{"schema": 1}"#, "it is JSON, but not a snapshot: it has no `schema` or no `objects`"),
            (r#"{"schema": 1, "objects": {}}"#, "it is JSON, but not a snapshot: missing field `sprag`"),
            (r#"{"schema": 2, "objects": {}}"#, "it is of schema 2, this sprag reads up to 1"),
        ] {
            let error = Snapshot::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }
}
