//! From a world file to a snapshot: the objects that an API server would have.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::file::{BarePodRow, BudgetRow, NodeRow, WorkloadRow, WorldFile, names};
use crate::cluster::snapshot::{SCHEMA, Snapshot};

/// When everything in a world was made.
const CREATED: &str = "2026-01-01T00:00:00Z";
/// The label of a zone.
const ZONE: &str = "topology.kubernetes.io/zone";
/// The label of a node's own name.
const HOST: &str = "kubernetes.io/hostname";
/// The hash of every pod template: there is one revision of each.
const HASH: &str = "5d8c9b7f6";

/// The snapshot that was taken of a world at a time, Unix milliseconds.
pub fn snapshot(world: &WorldFile, as_of: i64) -> Snapshot {
    let mut build = Build::new(world);
    world.nodes.iter().for_each(|row| build.nodes(row));
    world.workloads.iter().for_each(|row| build.workload(row));
    world.budgets.iter().for_each(|row| build.budget(row));
    world.bare_pods.iter().for_each(|row| build.bare_pod(row));
    Snapshot {
        schema: SCHEMA,
        sprag: String::new(),
        cluster: "uid-cluster".to_owned(),
        context: world.name.clone(),
        version: world.version.clone(),
        as_of,
        objects: build.objects,
    }
}

/// What a snapshot of a cluster has, empty or not: what is not there is unknown.
const RESOURCES: [&str; 8] = [
    "nodes",
    "pods",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "poddisruptionbudgets.policy",
    "jobs.batch",
];

struct Build {
    objects: BTreeMap<String, Vec<Value>>,
    nodes: Vec<String>,
    /// How many pods were put on nodes in turn.
    turn: usize,
}

impl Build {
    fn new(world: &WorldFile) -> Self {
        let objects = RESOURCES.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        Self { objects, nodes: world.nodes.iter().flat_map(names).collect(), turn: 0 }
    }

    fn add(&mut self, resource: &str, object: Value) {
        self.objects.entry(resource.to_owned()).or_default().push(object);
    }

    fn nodes(&mut self, row: &NodeRow) {
        for (index, name) in names(row).iter().enumerate() {
            let mut labels = row.labels.clone();
            labels.insert(HOST.to_owned(), name.clone());
            if let Some(zone) = row.zones.get(index % row.zones.len().max(1)) {
                labels.insert(ZONE.to_owned(), zone.clone());
            }
            let mut metadata = meta(name);
            metadata["labels"] = json!(labels);
            metadata["annotations"] = json!(row.annotations);
            let ready = if row.ready { "True" } else { "False" };
            let amounts =
                json!({"cpu": row.cpu.to_string(), "memory": row.memory.to_string(), "pods": row.pods.to_string()});
            let mut spec = json!({"providerID": format!("cloud://{name}")});
            let mut taints: Vec<Value> = row.taints.iter().map(|taint| taint_of(taint)).collect();
            if row.cordoned {
                spec["unschedulable"] = json!(true);
                taints.push(json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}));
            }
            if !taints.is_empty() {
                spec["taints"] = json!(taints);
            }
            let status = json!({
                "nodeInfo": {"kubeletVersion": row.kubelet, "bootID": format!("boot-{name}"), "kernelVersion": "6.12"},
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": CREATED}],
                "allocatable": amounts, "capacity": amounts,
            });
            self.add("nodes", json!({"metadata": metadata, "spec": spec, "status": status}));
        }
    }

    fn workload(&mut self, row: &WorkloadRow) {
        let on: Vec<String> =
            if row.kind == "DaemonSet" || row.nodes.is_empty() { self.nodes.clone() } else { row.nodes.clone() };
        let count = if row.kind == "DaemonSet" { on.len() } else { row.replicas };
        let resource = format!("{}s.apps", row.kind.to_lowercase());
        self.add(&resource, workload_object(row, count));
        let owner = if row.kind == "Deployment" {
            let name = format!("{}-{HASH}", row.name);
            let set = replicaset_object(row, &name);
            self.add("replicasets.apps", set);
            ("ReplicaSet", name)
        } else {
            (row.kind.as_str(), row.name.clone())
        };
        for index in 0..count {
            let at = if row.kind == "DaemonSet" || !row.nodes.is_empty() { index } else { self.turn + index };
            let node = on.get(at % on.len().max(1));
            let pod = pod_object(row, &owner, index, node);
            self.add("pods", pod);
        }
        if row.nodes.is_empty() && row.kind != "DaemonSet" {
            self.turn += count;
        }
    }

    fn budget(&mut self, row: &BudgetRow) {
        let labels = row.selector.as_ref().map_or_else(|| app(&row.name), |selector| json!(selector));
        let mut spec = json!({"selector": {"matchLabels": labels}});
        for (field, amount) in [("maxUnavailable", &row.max_unavailable), ("minAvailable", &row.min_available)] {
            if let Some(amount) = amount {
                spec[field] = amount.clone();
            }
        }
        if let Some(policy) = &row.unhealthy {
            spec["unhealthyPodEvictionPolicy"] = json!(policy);
        }
        let (desired, expected) = self.counted(row);
        let status = json!({
            "disruptionsAllowed": (expected - desired).max(0), "currentHealthy": expected, "desiredHealthy": desired,
            "expectedPods": expected, "observedGeneration": 1,
        });
        self.add("poddisruptionbudgets.policy", json!({"metadata": meta(&row.name), "spec": spec, "status": status}));
    }

    /// How many pods of a budget's workload are to be healthy, and how many there are: as in the disruption controller,
    /// of a world in which all are.
    fn counted(&self, row: &BudgetRow) -> (i64, i64) {
        let (namespace, name) = row.name.split_once('/').unwrap_or(("", &row.name));
        let is_covered = |pod: &&Value| {
            let labels = &pod["metadata"]["labels"];
            let matches = match &row.selector {
                Some(selector) => selector.iter().all(|(key, value)| labels[key] == value.as_str()),
                None => labels["app"] == name,
            };
            pod["metadata"]["namespace"] == namespace && matches
        };
        let pods = self.objects.get("pods").into_iter().flatten().filter(is_covered).count();
        let expected = i64::try_from(pods).unwrap_or(0);
        let share = |amount: &Value| match amount {
            Value::String(text) => {
                let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
                (expected * percent + 99) / 100
            }
            amount => amount.as_i64().unwrap_or(0),
        };
        let desired = match (&row.max_unavailable, &row.min_available) {
            (Some(most), _) => (expected - share(most)).max(0),
            (None, Some(least)) => share(least),
            (None, None) => expected,
        };
        (desired, expected)
    }

    fn bare_pod(&mut self, row: &BarePodRow) {
        let mut metadata = meta(&row.name);
        metadata["labels"] = app(&row.name);
        let spec = json!({"nodeName": row.node, "containers": [{"name": "main", "image": "busybox:1.37"}]});
        let status = ready_status("busybox:1.37", true);
        self.add("pods", json!({"metadata": metadata, "spec": spec, "status": status}));
    }
}

fn meta(name: &str) -> Value {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let mut meta =
        json!({"name": name, "uid": format!("uid-{namespace}-{name}"), "creationTimestamp": CREATED, "generation": 1});
    if !namespace.is_empty() {
        meta["namespace"] = json!(namespace);
    }
    meta
}

/// `key=value:Effect`
fn taint_of(text: &str) -> Value {
    let (key, effect) = text.rsplit_once(':').unwrap_or((text, "NoSchedule"));
    let (key, value) = key.split_once('=').unwrap_or((key, ""));
    json!({"key": key, "value": value, "effect": effect})
}

fn app(name: &str) -> Value {
    json!({"app": name.rsplit('/').next()})
}

/// The revision that the pods of a StatefulSet or DaemonSet bear: without it they would count as outdated.
fn revision(row: &WorkloadRow) -> Option<String> {
    match row.kind.as_str() {
        "StatefulSet" => Some(format!("{}-{HASH}", row.name.rsplit('/').next().unwrap_or_default())),
        "DaemonSet" => Some(HASH.to_owned()),
        _ => None,
    }
}

fn image(row: &WorkloadRow) -> String {
    row.image.clone().unwrap_or_else(|| format!("{}:1", row.name))
}

fn workload_object(row: &WorkloadRow, count: usize) -> Value {
    let mut spec = json!({"selector": {"matchLabels": app(&row.name)}, "template": template(row, false)});
    let mut status = match row.kind.as_str() {
        "DaemonSet" => json!({
            "observedGeneration": 1, "desiredNumberScheduled": count, "currentNumberScheduled": count,
            "numberReady": count, "numberAvailable": count, "updatedNumberScheduled": count,
        }),
        _ => {
            spec["replicas"] = json!(row.replicas);
            json!({
                "observedGeneration": 1, "replicas": count, "readyReplicas": count, "availableReplicas": count,
                "updatedReplicas": count,
            })
        }
    };
    if let Some(revision) = revision(row).filter(|_| row.kind == "StatefulSet") {
        status["currentReplicas"] = json!(count);
        status["currentRevision"] = json!(revision);
        status["updateRevision"] = json!(revision);
    }
    if row.min_ready > 0 {
        spec["minReadySeconds"] = json!(row.min_ready);
    }
    if row.kind == "StatefulSet" {
        spec["serviceName"] = app(&row.name)["app"].clone();
    }
    let mut metadata = meta(&row.name);
    if row.kind == "Deployment" {
        metadata["annotations"] = json!({"deployment.kubernetes.io/revision": "1"});
    }
    json!({"metadata": metadata, "spec": spec, "status": status})
}

fn replicaset_object(row: &WorkloadRow, name: &str) -> Value {
    let mut metadata = meta(name);
    let mut labels = app(&row.name);
    labels["pod-template-hash"] = json!(HASH);
    metadata["labels"] = labels.clone();
    metadata["annotations"] = json!({
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": row.replicas.to_string(),
        "deployment.kubernetes.io/max-replicas": (row.replicas + row.replicas.div_ceil(4)).to_string(),
    });
    metadata["ownerReferences"] = owner("Deployment", &row.name);
    let mut spec =
        json!({"replicas": row.replicas, "selector": {"matchLabels": labels}, "template": template(row, true)});
    if row.min_ready > 0 {
        spec["minReadySeconds"] = json!(row.min_ready);
    }
    let count = row.replicas;
    let status = json!({"observedGeneration": 1, "replicas": count, "readyReplicas": count, "availableReplicas": count,
                        "fullyLabeledReplicas": count});
    json!({"metadata": metadata, "spec": spec, "status": status})
}

fn owner(kind: &str, name: &str) -> Value {
    let meta = meta(name);
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": true,
            "blockOwnerDeletion": true}])
}

fn template(row: &WorkloadRow, has_hash: bool) -> Value {
    let mut labels = app(&row.name);
    if has_hash {
        labels["pod-template-hash"] = json!(HASH);
    }
    let mut metadata = json!({"labels": labels});
    let annotations = annotations(row);
    if !annotations.is_empty() {
        metadata["annotations"] = json!(annotations);
    }
    json!({"metadata": metadata, "spec": pod_spec(row)})
}

/// What the kubelets of a cluster in a box read.
fn annotations(row: &WorkloadRow) -> Map<String, Value> {
    let mut annotations = Map::new();
    let times = [("ready-after", &row.ready_after), ("init-after", &row.init), ("stop-after", &row.stop_after)];
    for (name, time) in times {
        if let Some(time) = time {
            annotations.insert(format!("sprag.dev/{name}"), json!(time));
        }
    }
    if row.never_ready {
        annotations.insert("sprag.dev/never-ready".to_owned(), json!("true"));
    }
    annotations
}

fn pod_spec(row: &WorkloadRow) -> Value {
    let mut requests = Map::new();
    for (name, amount) in [("cpu", &row.cpu), ("memory", &row.memory)] {
        if let Some(amount) = amount {
            requests.insert(name.to_owned(), json!(amount.to_string()));
        }
    }
    let mut container = json!({"name": "main", "image": image(row), "resources": {"requests": requests}});
    if let Some(port) = row.host_port {
        container["ports"] = json!([{"containerPort": port, "hostPort": port, "protocol": "TCP"}]);
    }
    let mut spec = json!({"containers": [container]});
    if row.init.is_some() {
        spec["initContainers"] = json!([{"name": "init", "image": image(row)}]);
    }
    if let Some(grace) = row.grace.as_deref().and_then(crate::syntax::parse_duration) {
        spec["terminationGracePeriodSeconds"] = json!(grace / 1000);
    }
    if row.emptydir {
        spec["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
    }
    if let Some(priority) = row.priority {
        spec["priority"] = json!(priority);
    }
    if !row.select.is_empty() {
        spec["nodeSelector"] = json!(row.select);
    }
    let mut tolerations: Vec<Value> =
        row.tolerates.iter().map(|key| json!({"key": key, "operator": "Exists"})).collect();
    if row.kind == "DaemonSet" {
        tolerations.push(json!({"operator": "Exists"}));
    }
    if !tolerations.is_empty() {
        spec["tolerations"] = json!(tolerations);
    }
    let key = |place: &str| if place == "zone" { ZONE } else { HOST };
    let selector = json!({"matchLabels": app(&row.name)});
    if let Some(place) = &row.spread {
        spec["topologySpreadConstraints"] = json!([{
            "maxSkew": 1, "topologyKey": key(place), "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector,
        }]);
    }
    if let Some(place) = &row.apart {
        let term = json!({"topologyKey": key(place), "labelSelector": selector});
        spec["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    }
    spec
}

fn pod_object(row: &WorkloadRow, (kind, owner_name): &(&str, String), index: usize, node: Option<&String>) -> Value {
    let mut metadata = meta(&format!("{}-{index}", row.name));
    let template = template(row, *kind == "ReplicaSet");
    metadata["labels"] = template["metadata"]["labels"].clone();
    if let Some(annotations) = template["metadata"].get("annotations") {
        metadata["annotations"] = annotations.clone();
    }
    if let Some(revision) = revision(row) {
        metadata["labels"]["controller-revision-hash"] = json!(revision);
    }
    metadata["ownerReferences"] = owner(kind, owner_name);
    let mut spec = template["spec"].clone();
    spec["nodeName"] = json!(node);
    json!({"metadata": metadata, "spec": spec, "status": ready_status(&image(row), !row.never_ready)})
}

fn ready_status(image: &str, is_ready: bool) -> Value {
    let condition = |kind: &str, is_true: bool| json!({"type": kind, "status": if is_true { "True" } else { "False" }, "lastTransitionTime": CREATED});
    json!({
        "phase": "Running",
        "startTime": CREATED,
        "conditions": [
            condition("PodScheduled", true), condition("Initialized", true), condition("ContainersReady", is_ready),
            condition("Ready", is_ready),
        ],
        "containerStatuses": [{"name": "main", "image": image, "imageID": "", "ready": is_ready, "started": true,
                               "restartCount": 0, "state": {"running": {"startedAt": CREATED}}}],
    })
}
