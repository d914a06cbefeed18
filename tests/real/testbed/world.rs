//! Pools of nodes, each with a namespace of its own, in which tests run side by side without seeing each other.

use super::api::Patch;
use super::workload::Workload;
use super::{Error, Lab, Result, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The label of a node that names its pool.
pub const POOL: &str = "pool";

/// A node to be added to a pool.
///
/// It registers with kubelet v1.36.3, 16 cpus, 64Gi and 110 pods, unless it says otherwise.
#[derive(Debug, Clone)]
pub struct Node {
    object: Value,
}

impl Node {
    /// A node of this name, which must be unused in the whole cluster.
    pub fn new(name: &str) -> Node {
        let labels =
            json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
        Node {
            object: json!({"metadata": {"name": name, "labels": labels, "annotations": {}}, "spec": {"taints": []}}),
        }
    }

    /// The zone that it is in.
    pub fn zone(self, zone: &str) -> Node {
        self.label("topology.kubernetes.io/zone", zone)
    }

    /// Its kubelet's version, such as `v1.36.3`.
    pub fn kubelet(self, version: &str) -> Node {
        self.annotation("sprag.test/kubelet-version", version)
    }

    /// Puts a label on it.
    pub fn label(mut self, key: &str, value: &str) -> Node {
        self.object["metadata"]["labels"][key] = json!(value);
        self
    }

    /// Puts an annotation on it; `stages.yaml` lists those that the kubelet reads.
    pub fn annotation(mut self, key: &str, value: &str) -> Node {
        self.object["metadata"]["annotations"][key] = json!(value);
        self
    }

    /// Puts a taint on it; the effect is `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub fn taint(mut self, key: &str, value: &str, effect: &str) -> Node {
        if let Value::Array(taints) = &mut self.object["spec"]["taints"] {
            taints.push(json!({"key": key, "value": value, "effect": effect}));
        }
        self
    }

    /// What it offers to pods.
    pub fn allocatable(mut self, cpu: &str, memory: &str, pods: u32) -> Node {
        let resources = json!({"cpu": cpu, "memory": memory, "pods": pods.to_string()});
        self.object["status"] = json!({"allocatable": resources, "capacity": resources});
        self
    }
}

/// Nodes, and a namespace whose workloads run on them only. Dropping it deletes both, without waiting.
pub struct Pool {
    lab: Arc<Lab>,
    name: String,
    nodes: Vec<String>,
}

impl Pool {
    /// An empty pool whose namespace is ready for pods.
    pub(super) fn new(lab: &Arc<Lab>, name: &str) -> Result<Pool> {
        lab.api().create("/api/v1/namespaces", &json!({"metadata": {"name": name}}))?;
        let pool = Pool { lab: Arc::clone(lab), name: name.into(), nodes: Vec::new() };
        let account = pool.path("/api/v1", "serviceaccounts/default");
        until("the namespace has its service account", Duration::from_secs(30), || found(lab.api().get(&account)))?;
        Ok(pool)
    }

    /// The name of the pool, of its namespace, and the value of its nodes' label [`POOL`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The selector of its nodes, `pool=NAME`.
    pub fn selector(&self) -> String {
        format!("{POOL}={}", self.name)
    }

    /// The names of its nodes, in the order in which they were added.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// The lab that it is in.
    pub fn lab(&self) -> &Arc<Lab> {
        &self.lab
    }

    /// The path of something in its namespace, such as `path("/apis/policy/v1", "poddisruptionbudgets")`.
    pub fn path(&self, group: &str, rest: &str) -> String {
        format!("{group}/namespaces/{}/{rest}", self.name)
    }

    /// Adds a node, which becomes ready by itself within a second or two.
    pub fn add(&mut self, node: Node) -> Result<()> {
        let node = node.label(POOL, &self.name).object;
        self.lab.api().create("/api/v1/nodes", &node)?;
        self.nodes.push(text(&node, "/metadata/name").into());
        Ok(())
    }

    /// Creates a workload; its pods come by themselves.
    pub fn create(&self, workload: Workload) -> Result<()> {
        let path = workload.path(&self.name);
        self.lab.api().create(&path, &workload.object(&self.name)).map(drop)
    }

    /// Creates a disruption budget for the pods of the workload `app`, of the same name; `limits` is what its spec says
    /// beside the selector, such as `{"maxUnavailable": 1}`.
    pub fn budget(&self, app: &str, mut limits: Value) -> Result<()> {
        limits["selector"] = json!({"matchLabels": {"app": app}});
        let budget = json!({"metadata": {"name": app}, "spec": limits});
        self.lab.api().create(&self.path("/apis/policy/v1", "poddisruptionbudgets"), &budget).map(drop)
    }

    /// All pods of the namespace, also those that are finished or going.
    pub fn pods(&self) -> Result<Vec<Value>> {
        self.lab.api().list(&self.path("/api/v1", "pods"))
    }

    /// All pods that are bound to a node.
    pub fn pods_on(&self, node: &str) -> Result<Vec<Value>> {
        let mut pods = self.pods()?;
        pods.retain(|pod| text(pod, "/spec/nodeName") == node);
        Ok(pods)
    }

    /// A node as the server has it.
    pub fn node(&self, name: &str) -> Result<Value> {
        self.lab.api().get(&format!("/api/v1/nodes/{name}"))
    }

    /// Evicts a pod, once.
    pub fn evict(&self, pod: &str) -> Result<()> {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
        self.lab.api().create(&self.path("/api/v1", &format!("pods/{pod}/eviction")), &eviction).map(drop)
    }

    /// Plays the upgrade of a node's kubelet.
    pub fn set_kubelet_version(&self, node: &str, version: &str) -> Result<()> {
        self.patch_node_status(node, &json!({"nodeInfo": {"kubeletVersion": version}}))
    }

    /// Writes fields of a node's status as its kubelet would; a list with keys is merged.
    pub fn patch_node_status(&self, node: &str, status: &Value) -> Result<()> {
        let path = format!("/api/v1/nodes/{node}/status");
        self.lab.api().patch(&path, Patch::Strategic, &json!({"status": status})).map(drop)
    }

    /// Makes a node's kubelet say that the node is not ready, until it is told otherwise. Its lease goes on.
    pub fn set_node_ready(&self, node: &str, ready: bool) -> Result<()> {
        let silent = if ready { Value::Null } else { json!("true") };
        let body = json!({"metadata": {"annotations": {"sprag.test/not-ready": silent}}});
        self.lab.api().patch(&format!("/api/v1/nodes/{node}"), Patch::Merge, &body).map(drop)
    }

    /// Waits until all nodes are ready and the scheduler may use them.
    pub fn wait_for_nodes(&self, within: Duration) -> Result<()> {
        until(&format!("the nodes of `{}` are ready", self.name), within, || {
            self.lab.check()?;
            let nodes = self.lab.api().list(&format!("/api/v1/nodes?labelSelector={POOL}%3D{}", self.name))?;
            let ready = nodes.iter().filter(|node| is_ready(node) && !has_taint(node, "node.kubernetes.io/not-ready"));
            Ok((ready.count() == self.nodes.len()).then_some(()))
        })
    }

    /// Waits until every workload has all its pods, all pods are ready and none is going, and every budget's status
    /// has caught up with that. Finished pods of Jobs do not count. The error says what is missing.
    pub fn settle(&self, within: Duration) -> Result<()> {
        let mut missing = Vec::new();
        let settled = until("", within, || {
            self.lab.check()?;
            missing = self.unsettled()?;
            Ok(missing.is_empty().then_some(()))
        });
        settled.map_err(|error| match error {
            Error::Deadline { seconds, .. } => {
                Error::Deadline { what: format!("`{}` settles: {}", self.name, missing.join(", ")), seconds }
            }
            other => other,
        })
    }

    fn unsettled(&self) -> Result<Vec<String>> {
        let api = self.lab.api();
        let mut missing = Vec::new();
        for (kind, desired, ready) in OWNERS {
            let owners = api.list(&self.path("/apis/apps/v1", kind))?;
            let unsettled = owners.iter().filter(|owner| !is_whole(owner, desired, ready));
            missing.extend(unsettled.map(|owner| format!("{kind}/{}", text(owner, "/metadata/name"))));
        }
        let mut pods = self.pods()?;
        pods.retain(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") || is_going(pod));
        let unsettled = pods.iter().filter(|pod| !is_ready(pod) || is_going(pod));
        missing.extend(unsettled.map(|pod| format!("pods/{}", text(pod, "/metadata/name"))));
        let budgets = api.list(&self.path("/apis/policy/v1", "poddisruptionbudgets"))?;
        let unsettled = budgets.iter().filter(|budget| !has_counted(budget, &pods));
        missing.extend(unsettled.map(|budget| format!("poddisruptionbudgets/{}", text(budget, "/metadata/name"))));
        Ok(missing)
    }

    /// Deletes the namespace and its pods, at once, and then the nodes, without which no pod would end.
    fn clear(&self) -> Result<()> {
        let api = self.lab.api();
        api.delete(&format!("/api/v1/namespaces/{}", self.name))?;
        api.delete(&format!("{}?gracePeriodSeconds=0", self.path("/api/v1", "pods")))?;
        api.delete(&format!("/api/v1/nodes?labelSelector={POOL}%3D{}", self.name)).map(drop)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The control plane goes soon after; what is left of the pool costs a little time, no more.
        let _ = self.clear();
    }
}

/// The kinds that own pods for good, with the fields that say how many they want and how many are ready.
const OWNERS: [(&str, &str, &str); 3] = [
    ("deployments", "/spec/replicas", "/status/readyReplicas"),
    ("statefulsets", "/spec/replicas", "/status/readyReplicas"),
    ("daemonsets", "/status/desiredNumberScheduled", "/status/numberReady"),
];

fn is_whole(owner: &Value, desired: &str, ready: &str) -> bool {
    is_observed(owner) && number(owner, desired) == number(owner, ready)
}

/// Whether a budget's status counts the pods as they are.
fn has_counted(budget: &Value, pods: &[Value]) -> bool {
    let app = text(budget, "/spec/selector/matchLabels/app");
    let healthy = pods.iter().filter(|pod| text(pod, "/metadata/labels/app") == app && is_ready(pod)).count() as u64;
    is_observed(budget)
        && number(budget, "/status/currentHealthy") == healthy
        && budget.pointer("/status/disruptedPods").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty)
}

/// Whether the status tells of the spec as it is.
fn is_observed(object: &Value) -> bool {
    number(object, "/status/observedGeneration") == number(object, "/metadata/generation")
}

/// Whether a pod's or node's condition `Ready` is true.
pub fn is_ready(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    })
}

/// Whether the object is being deleted.
pub fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// Whether a node has a taint with this key.
pub fn has_taint(node: &Value, key: &str) -> bool {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    taints.is_some_and(|taints| taints.iter().any(|taint| taint["key"] == key))
}

/// The text at a JSON pointer, empty if there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a JSON pointer, 0 if there is none, as Kubernetes leaves out zeros.
pub fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// What was found, or that it is not there (yet).
pub fn found(answer: Result<Value>) -> Result<Option<Value>> {
    match answer {
        Err(error) if error.code() == Some(404) => Ok(None),
        other => other.map(Some),
    }
}
