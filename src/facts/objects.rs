//! The trimmed objects: of what the server sends, only what the catalog and a drain read is kept.
//!
//! Field names are Kubernetes' own, so that the same types read an answer of the server and a snapshot. A `null` where a
//! list or a map belongs reads as an empty one: Go writes nil slices so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// `metadata`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Its namespace; empty for what lives in none.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// Its version on the server.
    pub resource_version: String,
    /// Changes with the spec.
    pub generation: i64,
    /// When it was created.
    pub creation_timestamp: Option<Timestamp>,
    /// Set once it is being deleted: when its grace is over.
    pub deletion_timestamp: Option<Timestamp>,
    /// The grace of that deletion, in seconds.
    pub deletion_grace_period_seconds: Option<i64>,
    /// Labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    /// Owners, the controller among them.
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
    /// What holds its deletion back.
    #[serde(deserialize_with = "or_default")]
    pub finalizers: Vec<String>,
}

/// One of `metadata.ownerReferences`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Whether it is the managing controller.
    pub controller: bool,
}

impl Meta {
    /// The managing controller.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// One of `status.conditions`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When its status changed last.
    pub last_transition_time: Option<Timestamp>,
}

/// The condition of that type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// A v1 Node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    pub spec: NodeSpec,
    /// `status`
    pub status: NodeStatus,
}

/// `spec` of a Node
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// The cloud's name for it.
    #[serde(rename = "providerID")]
    pub provider_id: Option<String>,
    /// Taints.
    #[serde(deserialize_with = "or_default")]
    pub taints: Vec<Taint>,
}

/// One of `spec.taints`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// `status` of a Node
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// What runs on it.
    pub node_info: NodeInfo,
    /// Conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// What pods may use.
    #[serde(deserialize_with = "or_default")]
    pub allocatable: BTreeMap<String, String>,
    /// What it has.
    #[serde(deserialize_with = "or_default")]
    pub capacity: BTreeMap<String, String>,
    /// Volumes that are attached to it.
    #[serde(deserialize_with = "or_default")]
    pub volumes_attached: Vec<AttachedVolume>,
}

/// One of `status.volumesAttached`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AttachedVolume {
    /// Its name.
    pub name: String,
}

/// `status.nodeInfo`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeInfo {
    /// Such as `v1.36.3`.
    pub kubelet_version: String,
    /// Such as `containerd://2.1.4`.
    pub container_runtime_version: String,
    /// The operating system.
    pub os_image: String,
    /// The kernel's version.
    pub kernel_version: String,
    /// Changes with each boot.
    #[serde(rename = "bootID")]
    pub boot_id: String,
}

/// A v1 Pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    pub spec: PodSpec,
    /// `status`
    pub status: PodStatus,
}

/// `spec` of a Pod
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The node that it is bound to; empty while it is on none.
    pub node_name: String,
    /// Its grace in seconds; 30 where the server set the default.
    pub termination_grace_period_seconds: Option<i64>,
    /// Its priority.
    pub priority: i64,
    /// Containers.
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<Container>,
    /// Init containers, sidecars among them.
    #[serde(deserialize_with = "or_default")]
    pub init_containers: Vec<Container>,
    /// What the sandbox itself needs.
    #[serde(deserialize_with = "or_default")]
    pub overhead: BTreeMap<String, String>,
    /// Volumes.
    #[serde(deserialize_with = "or_default")]
    pub volumes: Vec<Volume>,
    /// Tolerations.
    #[serde(deserialize_with = "or_default")]
    pub tolerations: Vec<Toleration>,
}

/// One of `spec.containers`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it asks for.
    pub resources: Resources,
    /// `Always` marks a sidecar among the init containers.
    pub restart_policy: Option<String>,
}

/// `resources` of a container
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Requests.
    #[serde(deserialize_with = "or_default")]
    pub requests: BTreeMap<String, String>,
}

/// One of `spec.volumes`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Set for an emptyDir.
    pub empty_dir: Option<serde_json::Value>,
    /// Set for a claim.
    pub persistent_volume_claim: Option<ClaimSource>,
    /// Set for a claim that lives as long as the pod.
    pub ephemeral: Option<serde_json::Value>,
}

/// `persistentVolumeClaim` of a volume
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSource {
    /// The claim's name.
    pub claim_name: String,
}

/// One of `spec.tolerations`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Empty with `Exists`: every key.
    pub key: String,
    /// `Exists` or `Equal`; empty means `Equal`.
    pub operator: String,
    /// For `Equal`.
    pub value: String,
    /// Empty: every effect.
    pub effect: String,
}

/// `status` of a Pod
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Why, of a pod that failed or was evicted by the kubelet.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub message: Option<String>,
    /// Conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// Containers.
    #[serde(deserialize_with = "or_default")]
    pub container_statuses: Vec<ContainerStatus>,
    /// Init containers.
    #[serde(deserialize_with = "or_default")]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// One of `status.containerStatuses`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How often it was restarted.
    pub restart_count: i64,
    /// What it does now.
    pub state: ContainerState,
}

/// `state` of a container: one of its fields is set
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// It waits.
    pub waiting: Option<ContainerReason>,
    /// It has ended.
    pub terminated: Option<ContainerReason>,
    /// It runs.
    pub running: Option<serde::de::IgnoredAny>,
}

/// Why a container waits or has ended
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerReason {
    /// One word, such as `ImagePullBackOff`.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// The exit code, of one that has ended.
    pub exit_code: Option<i64>,
}

/// A Deployment, ReplicaSet, StatefulSet or DaemonSet of apps/v1.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Controller {
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    pub spec: ControllerSpec,
    /// `status`
    pub status: ControllerStatus,
}

/// `spec` of a controller
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControllerSpec {
    /// How many pods it is to have; 1 where none is said; not of a DaemonSet.
    pub replicas: Option<i64>,
    /// For how many seconds a pod must be ready to be available.
    pub min_ready_seconds: i64,
    /// Which pods are its own.
    pub selector: Selector,
    /// 16 hex digits of the pod template's canonical JSON, by which a rollout by its owner is told.
    #[serde(rename = "template", deserialize_with = "hash_of")]
    pub template_hash: String,
}

/// `status` of a controller
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControllerStatus {
    /// How many nodes a DaemonSet is to be on.
    pub desired_number_scheduled: i64,
    /// The generation that the status is of.
    pub observed_generation: i64,
    /// How many pods there are.
    pub replicas: i64,
    /// How many of them are of the newest template.
    pub updated_replicas: i64,
    /// `ReplicaFailure` among them.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

/// A label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// All of these must be there.
    #[serde(deserialize_with = "or_default")]
    pub match_labels: BTreeMap<String, String>,
    /// All of these must hold.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<Requirement>,
}

/// One of `matchExpressions`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// Which label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// For `In` and `NotIn`.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<String>,
}

impl Selector {
    /// Whether it selects an object of these labels; an empty selector selects everything (policy/v1), an operator that
    /// is not known nothing.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.match_labels.iter().all(has) && self.match_expressions.iter().all(|one| one.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|value| self.values.contains(value)),
            "NotIn" => value.is_none_or(|value| !self.values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

/// A policy/v1 PodDisruptionBudget.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    pub spec: BudgetSpec,
    /// `status`
    pub status: BudgetStatus,
}

/// `spec` of a budget
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BudgetSpec {
    /// A count or a percentage.
    pub min_available: Option<serde_json::Value>,
    /// A count or a percentage.
    pub max_unavailable: Option<serde_json::Value>,
    /// Which pods it covers: none where it is not there, all of the namespace where it is empty.
    pub selector: Option<Selector>,
    /// `IfHealthyBudget` (also where none is said) or `AlwaysAllow`.
    pub unhealthy_pod_eviction_policy: Option<String>,
}

/// An autoscaling/v2 HorizontalPodAutoscaler.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Autoscaler {
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    pub spec: AutoscalerSpec,
}

/// `spec` of an autoscaler
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalerSpec {
    /// What it scales, in its own namespace.
    pub scale_target_ref: ScaleTarget,
    /// How many replicas it gives at most.
    pub max_replicas: i64,
}

/// What an autoscaler scales
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ScaleTarget {
    /// `Deployment`, `StatefulSet`, …
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// `status` of a budget
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BudgetStatus {
    /// How many evictions it allows now.
    pub disruptions_allowed: i64,
    /// How many of its pods are healthy.
    pub current_healthy: i64,
    /// How many must be.
    pub desired_healthy: i64,
    /// How many pods it counts.
    pub expected_pods: i64,
    /// The generation that the status is of.
    pub observed_generation: i64,
    /// Evictions that it has not yet seen through: pod to time.
    #[serde(deserialize_with = "or_default")]
    pub disrupted_pods: BTreeMap<String, Timestamp>,
    /// Conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

/// A batch/v1 Job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Job {
    /// `metadata`
    pub metadata: Meta,
    /// `status`
    pub status: JobStatus,
}

/// `status` of a Job
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct JobStatus {
    /// Pods that run.
    pub active: i64,
    /// Pods that ended well.
    pub succeeded: i64,
    /// Pods that failed.
    pub failed: i64,
    /// Conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

/// A coordination.k8s.io/v1 Lease.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    pub spec: LeaseSpec,
}

/// `spec` of a Lease
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// When it was renewed last.
    pub renew_time: Option<Timestamp>,
}

/// A storage.k8s.io/v1 VolumeAttachment: a volume that is being attached to a node, is, or is not detached yet.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct VolumeAttachment {
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    pub spec: VolumeAttachmentSpec,
}

/// `spec` of a VolumeAttachment
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeAttachmentSpec {
    /// The driver that attaches and detaches.
    pub attacher: String,
    /// The node.
    pub node_name: String,
    /// What is attached.
    pub source: VolumeAttachmentSource,
}

/// `source` of a VolumeAttachment
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeAttachmentSource {
    /// A PersistentVolume; none for a volume that a pod holds inline.
    pub persistent_volume_name: Option<String>,
}

/// An events.k8s.io/v1 or v1 Event.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// `metadata`
    pub metadata: Meta,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub severity: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// What it is about.
    pub involved_object: Involved,
    /// How often it was seen.
    pub count: Option<i64>,
    /// When it was seen last.
    pub last_timestamp: Option<Timestamp>,
    /// When it was seen, of a new event.
    pub event_time: Option<Timestamp>,
}

/// `involvedObject` of an event
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Involved {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A ValidatingWebhookConfiguration or MutatingWebhookConfiguration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WebhookConfiguration {
    /// `metadata`
    pub metadata: Meta,
    /// Its webhooks.
    #[serde(deserialize_with = "or_default")]
    pub webhooks: Vec<Webhook>,
}

/// One webhook of a configuration
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// `Fail` (also where none is said) or `Ignore`.
    pub failure_policy: Option<String>,
    /// Who answers.
    pub client_config: ClientConfig,
}

/// `clientConfig` of a webhook
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// A service of the cluster.
    pub service: Option<ServiceReference>,
}

/// `service` of a webhook's client configuration
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceReference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What has `metadata`.
pub trait Object: serde::de::DeserializeOwned + Clone + PartialEq {
    /// Its metadata.
    fn meta(&self) -> &Meta;
    /// The same, to be changed.
    fn meta_mut(&mut self) -> &mut Meta;
}

macro_rules! objects {
    ($($kind:ident)*) => {$(
        impl Object for $kind {
            fn meta(&self) -> &Meta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut Meta {
                &mut self.metadata
            }
        }
    )*};
}

objects! { Node Pod Controller Budget Autoscaler Job Lease Event WebhookConfiguration VolumeAttachment }

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn hash_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let template = serde_json::Value::deserialize(deserializer)?;
    let mut hash = crate::journal::sha256_hex(template.to_string().as_bytes());
    hash.truncate(16);
    Ok(hash)
}
