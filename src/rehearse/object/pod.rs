//! A pod: a spec that is shared with its siblings, the node that it is bound to, and a typed status.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Resources, Time};

/// The type of the condition that budgets and Services look at.
pub const READY: &str = "Ready";

/// A pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// What it is made of, without the node.
    pub spec: Arc<PodSpec>,
    /// `spec.nodeName`
    pub node: Option<Arc<str>>,
    /// `status`
    pub status: PodStatus,
}

/// What a pod is made of: as it was written, and what is read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSpec {
    /// `spec` as it was written, without `nodeName`.
    pub raw: Map<String, Value>,
    /// The same, typed.
    pub typed: core::PodSpec,
    /// What a scheduler counts for it.
    pub requests: Resources,
    /// What its scores count for it, cpu and memory: [`Resources::scored`].
    pub scored: [i64; 2],
}

impl PodSpec {
    /// Seconds from the deletion until the containers are killed: 30 where nothing is said (core/v1/defaults.go).
    pub fn grace(&self) -> i64 {
        self.typed.termination_grace_period_seconds.unwrap_or(30)
    }
}

impl Pod {
    /// Whether its condition Ready is true.
    pub fn is_ready(&self) -> bool {
        self.status.condition(READY).is_some_and(|condition| condition.status == "True")
    }

    /// Whether it is Succeeded or Failed.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.phase, Phase::Succeeded | Phase::Failed)
    }
}

/// `status.phase`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Phase {
    /// Not all of its containers have been started.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one not well.
    Failed,
    /// Nothing was heard of it.
    Unknown,
}

/// `status` of a pod
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `phase`
    pub phase: Phase,
    /// Why it is in that phase, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it is in that phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `conditions`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// When a kubelet took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Where preemption makes room for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nominated_node_name: Option<String>,
    /// Of its init containers, sidecars among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Of its containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_statuses: Vec<ContainerStatus>,
    /// All other fields.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl PodStatus {
    /// The condition of that type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Sets a condition; its time moves only with its status, as in the server's own helpers (podutil.UpdatePodCondition).
    pub fn set_condition(&mut self, mut condition: Condition) {
        match self.conditions.iter_mut().find(|known| known.kind == condition.kind) {
            Some(known) => {
                if known.status == condition.status {
                    condition.last_transition_time = known.last_transition_time;
                }
                *known = condition;
            }
            None => self.conditions.push(condition),
        }
    }
}

/// One of `conditions`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// `type`
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// All other fields.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Condition {
    /// A condition as of now.
    pub fn new(kind: &str, is_true: bool, now: i64) -> Self {
        let status = if is_true { "True" } else { "False" };
        Self { kind: kind.into(), status: status.into(), last_transition_time: Some(Time(now)), ..Self::default() }
    }

    /// With a reason and a message; an empty message is left out.
    pub fn because(mut self, reason: &str, message: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self.message = (!message.is_empty()).then(|| message.to_owned());
        self
    }
}

/// One of `containerStatuses` or `initContainerStatuses`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// The container's name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The image's digest.
    #[serde(rename = "imageID")]
    pub image_id: String,
    /// Whether it passes its readiness probe.
    pub ready: bool,
    /// Whether it passed its startup probe.
    pub started: bool,
    /// How often it was started again.
    pub restart_count: i64,
    /// How it is.
    pub state: ContainerState,
    /// All other fields.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `state` of a container
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContainerState {
    /// Not yet running.
    Waiting {
        /// `ContainerCreating`, `ImagePullBackOff`, …
        #[serde(default)]
        reason: String,
        /// More of it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        message: String,
    },
    /// Running.
    #[serde(rename_all = "camelCase")]
    Running {
        /// Since when.
        started_at: Time,
    },
    /// Over.
    #[serde(rename_all = "camelCase")]
    Terminated {
        /// Its exit code.
        exit_code: i64,
        /// `Completed`, `Error`, …
        #[serde(default)]
        reason: String,
        /// When it was started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<Time>,
        /// When it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        finished_at: Option<Time>,
    },
    /// Nothing was said: an empty object.
    #[serde(untagged)]
    Unsaid(Map<String, Value>),
}

impl Default for ContainerState {
    fn default() -> Self {
        Self::Unsaid(Map::new())
    }
}
