//! A small cluster as YAML, made into the objects that an API server would have.
//!
//! ```yaml
//! version: v1.37.2                       # the API server's
//! nodes:
//!   - {name: n, count: 3, zones: [a, b], kubelet: v1.36.3, labels: {pool: workers}, ready: false}
//! workloads:                             # with their pods, one a node in turn
//!   - {name: shop/cart, kind: Deployment, replicas: 3, nodes: [n-1, n-2], starts: 35, restarts: 0}
//! budgets:                               # of the workload of that name
//!   - {name: shop/cart, max_unavailable: 1, covers: 3}
//! ```
//!
//! `covers` is how many pods a budget's status counts, `starts` how many seconds a pod takes until it is ready.
//!
//! `count` makes `n-1`, `n-2`, …; without it there is one, called as it says.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use sprag::cluster::snapshot::{SCHEMA, Snapshot};

/// When every world is looked at: 2026-01-31 14:02:11 UTC.
pub(crate) const AS_OF: i64 = 1_769_868_131_000;

/// When everything in it was made.
const CREATED: &str = "2026-01-01T00:00:00Z";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    #[serde(default = "default_version")]
    version: String,
    #[serde(default)]
    nodes: Vec<Node>,
    #[serde(default)]
    workloads: Vec<Workload>,
    #[serde(default)]
    budgets: Vec<Budget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    name: String,
    count: Option<usize>,
    #[serde(default)]
    zones: Vec<String>,
    #[serde(default = "default_version")]
    kubelet: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default = "yes")]
    ready: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Workload {
    name: String,
    #[serde(default = "deployment")]
    kind: String,
    #[serde(default = "one")]
    replicas: usize,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    starts: i64,
    #[serde(default)]
    restarts: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    name: String,
    max_unavailable: i64,
    #[serde(default)]
    covers: i64,
}

fn default_version() -> String {
    "v1.36.3".to_owned()
}
fn deployment() -> String {
    "Deployment".to_owned()
}
fn yes() -> bool {
    true
}
fn one() -> usize {
    1
}

/// Reads a world; an error says what is wrong with the text.
pub(crate) fn snapshot(text: &str) -> Result<Snapshot, String> {
    let world: World = serde_yaml_ng::from_str(text).map_err(|error| format!("no world: {error}"))?;
    let mut objects: BTreeMap<String, Vec<Value>> =
        RESOURCES.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    let mut add = |resource: &str, object: Value| objects.entry(resource.to_owned()).or_default().push(object);
    for node in &world.nodes {
        for index in 0..node.count.unwrap_or(1) {
            add("nodes", node_object(node, index));
        }
    }
    for workload in &world.workloads {
        let resource = format!("{}s.apps", workload.kind.to_lowercase());
        add(&resource, workload_object(workload));
        for index in 0..workload.replicas {
            add("pods", pod_object(workload, index));
        }
    }
    for budget in &world.budgets {
        add("poddisruptionbudgets.policy", budget_object(budget));
    }
    Ok(Snapshot {
        schema: SCHEMA,
        sprag: String::new(),
        cluster: "uid-cluster".to_owned(),
        context: "prod-eu".to_owned(),
        version: world.version,
        as_of: AS_OF,
        objects,
    })
}

/// What a snapshot of a cluster has, empty or not: what is not there is unknown.
const RESOURCES: [&str; 7] = [
    "nodes",
    "pods",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "poddisruptionbudgets.policy",
];

fn meta(name: &str) -> Value {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let mut meta =
        json!({"name": name, "uid": format!("uid-{namespace}-{name}"), "creationTimestamp": CREATED, "generation": 1});
    if !namespace.is_empty() {
        meta["namespace"] = json!(namespace);
    }
    meta
}

fn node_object(node: &Node, index: usize) -> Value {
    let name = if node.count.is_some() { format!("{}-{}", node.name, index + 1) } else { node.name.clone() };
    let mut labels = node.labels.clone();
    if let Some(zone) = node.zones.get(index % node.zones.len().max(1)) {
        labels.insert("topology.kubernetes.io/zone".to_owned(), zone.clone());
    }
    let mut metadata = meta(&name);
    metadata["labels"] = json!(labels);
    metadata["annotations"] = json!(node.annotations);
    let ready = if node.ready { "True" } else { "False" };
    let amounts = json!({"cpu": "4", "memory": "16Gi", "pods": "110"});
    json!({
        "metadata": metadata,
        "spec": {"providerID": format!("cloud://{name}")},
        "status": {
            "nodeInfo": {"kubeletVersion": node.kubelet, "bootID": format!("boot-{name}"), "kernelVersion": "6.12"},
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": CREATED}],
            "allocatable": amounts, "capacity": amounts,
        },
    })
}

fn app(name: &str) -> Value {
    json!({"app": name.rsplit('/').next()})
}

fn workload_object(workload: &Workload) -> Value {
    json!({
        "metadata": meta(&workload.name),
        "spec": {"replicas": workload.replicas, "selector": {"matchLabels": app(&workload.name)}, "template": {}},
        "status": {"observedGeneration": 1},
    })
}

fn pod_object(workload: &Workload, index: usize) -> Value {
    let owner = meta(&workload.name);
    let mut metadata = meta(&format!("{}-{index}", workload.name));
    metadata["labels"] = app(&workload.name);
    metadata["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": workload.kind, "name": owner["name"], "uid": owner["uid"], "controller": true,
    }]);
    let ready = CREATED.parse::<jiff::Timestamp>().map(|created| created + jiff::Span::new().seconds(workload.starts));
    let ready = ready.map(|ready| ready.to_string()).unwrap_or_default();
    json!({
        "metadata": metadata,
        "spec": {"nodeName": workload.nodes.get(index % workload.nodes.len().max(1))},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ready}],
            "containerStatuses": [{"name": "main", "ready": true, "restartCount": workload.restarts}],
        },
    })
}

fn budget_object(budget: &Budget) -> Value {
    json!({
        "metadata": meta(&budget.name),
        "spec": {"maxUnavailable": budget.max_unavailable, "selector": {"matchLabels": app(&budget.name)}},
        "status": {
            "disruptionsAllowed": budget.max_unavailable, "observedGeneration": 1, "currentHealthy": budget.covers,
            "desiredHealthy": (budget.covers - budget.max_unavailable).max(0), "expectedPods": budget.covers,
        },
    })
}
