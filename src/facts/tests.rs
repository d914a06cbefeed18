//! What is known and what is read, over small clusters in JSON.

mod changes;
mod confirming;
mod fields;
mod freshness;
mod leaving;
mod watching;

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::SharedFacts;
use super::objects::Meta;
use super::reads::{ReadKey, Reads, Unknown};
use super::resource::Resource;
use crate::catalog::types::Kind;
use crate::catalog::value::{ObjectRef, Value};
use crate::cluster::snapshot::{SCHEMA, Snapshot};
use crate::expr::FactSource;

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600_000;

/// `metadata` of an object whose UID is `u-` and its name.
fn meta(namespace: &str, name: &str) -> Json {
    json!({
        "namespace": namespace, "name": name, "uid": format!("u-{name}"), "resourceVersion": "1",
        "creationTimestamp": "2025-12-31T23:00:00Z", "labels": {"app": "web"},
    })
}

fn owned(mut metadata: Json, kind: &str, name: &str) -> Json {
    metadata["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("u-{name}"), "controller": true}]);
    metadata
}

/// A pod of the ReplicaSet web-1, ready since 20 s.
fn pod(name: &str, node: &str) -> Json {
    json!({
        "metadata": owned(meta("shop", name), "ReplicaSet", "web-1"),
        "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"requests": {"cpu": "500m"}}}]},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2025-12-31T23:59:40Z"}]},
    })
}

fn node(name: &str) -> Json {
    let mut metadata = meta("", name);
    metadata["labels"]["topology.kubernetes.io/zone"] = json!("a");
    json!({
        "metadata": metadata,
        "spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]},
        "status": {
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
            "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// Two nodes; a Deployment of two pods on them with a budget, of 30 s of minReadySeconds.
fn world() -> Snapshot {
    let deployment = json!({
        "metadata": meta("shop", "web"),
        "spec": {"replicas": 2, "minReadySeconds": 30, "template": {"v": 1}}, "status": {},
    });
    let set = json!({"metadata": owned(meta("shop", "web-1"), "Deployment", "web"), "spec": {}, "status": {}});
    let budget = json!({
        "metadata": meta("shop", "guard"), "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2},
    });
    let autoscaler = json!({
        "metadata": meta("shop", "web"),
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 6},
    });
    let lease =
        json!({"metadata": meta("kube-node-lease", "n1"), "spec": {"renewTime": "2025-12-31T23:59:50.000000Z"}});
    let event = json!({
        "metadata": meta("shop", "e"), "type": "Warning", "reason": "Failed", "message": "it failed",
        "involvedObject": {"kind": "Pod", "name": "web-1-a"},
    });
    let hooks = json!({"metadata": meta("", "policy"), "webhooks": [
        {"name": "p.example.com", "failurePolicy": "Fail", "clientConfig": {"service": {"namespace": "x", "name": "y"}}}]});
    let objects = [
        ("nodes", vec![node("n1"), node("n2")]),
        ("pods", vec![pod("web-1-a", "n1"), pod("web-1-b", "n2")]),
        ("deployments.apps", vec![deployment]),
        ("replicasets.apps", vec![set]),
        ("statefulsets.apps", vec![]),
        ("daemonsets.apps", vec![]),
        ("poddisruptionbudgets.policy", vec![budget]),
        ("horizontalpodautoscalers.autoscaling", vec![autoscaler]),
        ("leases.coordination.k8s.io", vec![lease]),
        ("volumeattachments.storage.k8s.io", vec![]),
        ("jobs.batch", vec![json!({"metadata": meta("shop", "import"), "status": {"active": 1}})]),
        ("events", vec![event]),
        ("validatingwebhookconfigurations.admissionregistration.k8s.io", vec![hooks]),
        ("mutatingwebhookconfigurations.admissionregistration.k8s.io", vec![]),
    ];
    Snapshot {
        schema: SCHEMA,
        version: "v1.37.2".to_owned(),
        as_of: NOW,
        objects: objects.into_iter().map(|(name, objects)| (name.to_owned(), objects)).collect(),
        ..Snapshot::default()
    }
}

fn facts() -> SharedFacts {
    SharedFacts::from_snapshot(&world())
}

fn put(facts: &SharedFacts, resource: Resource, object: &Json) {
    facts.write(|facts| facts.put(resource, object.clone()));
}

fn remove(facts: &SharedFacts, resource: Resource, namespace: &str, name: &str) {
    let (namespace, name, uid) = (namespace.to_owned(), name.to_owned(), format!("u-{name}"));
    facts.write(|facts| facts.remove(resource, &Meta { namespace, name, uid, ..Meta::default() }));
}

fn object(kind: Kind, namespace: &str, name: &str) -> Arc<ObjectRef> {
    let uid = format!("u-{name}");
    Arc::new(ObjectRef { kind, namespace: namespace.to_owned(), name: name.to_owned(), uid })
}

fn web() -> Arc<ObjectRef> {
    object(Kind::Workload, "shop", "web")
}

/// A field as text, or why it is not known.
fn field(facts: &SharedFacts, object: &Arc<ObjectRef>, field: &str) -> String {
    match facts.field(object, field, &mut Reads::default()) {
        Ok(value) => value.to_string(),
        Err(Unknown { why }) => format!("unknown: {why}"),
    }
}

fn names(value: &Value) -> String {
    value.to_string()
}
