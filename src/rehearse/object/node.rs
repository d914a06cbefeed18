//! A node as schedulers and the node controller read it.

use k8s_openapi::api::core::v1::{NodeSpec, NodeStatus, Taint};

use super::Resources;

/// A node: made from spec and status whenever one of them changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeDetail {
    /// `spec.unschedulable`
    pub is_cordoned: bool,
    /// `spec.taints`
    pub taints: Vec<Taint>,
    /// What pods may ask for in all.
    pub allocatable: Resources,
    /// The status of its condition Ready: `True`, `False`, `Unknown`; empty where it has none.
    pub ready: String,
}

impl NodeDetail {
    pub(super) fn new(spec: NodeSpec, status: &NodeStatus) -> Self {
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
        Self {
            is_cordoned: spec.unschedulable.unwrap_or(false),
            taints: spec.taints.unwrap_or_default(),
            allocatable: Resources::read(status.allocatable.as_ref()),
            ready: ready.map(|condition| condition.status.clone()).unwrap_or_default(),
        }
    }

    /// Whether its kubelet says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.ready == "True"
    }
}
