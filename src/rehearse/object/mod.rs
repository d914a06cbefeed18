//! Objects as the embedded server keeps them: what changes often is typed, what does not is shared.
//!
//! - [`Meta`]: metadata; `Object`'s `body` is everything else that a client wrote, shared between versions of the object
//! - [`Detail`]: what controllers read, made from the body once
//! - A pod's status is typed and its spec is shared with all pods of its template: 30,000 pods are 30,000 small structs.
//!   JSON is made only for a client.

mod budget;
mod convert;
mod meta;
mod node;
mod pod;
mod resources;
mod time;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSetSpec, DeploymentSpec, ReplicaSetSpec, StatefulSetSpec};
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, PersistentVolumeSpec};
use serde_json::{Map, Value};

use super::kinds::Kind;

pub use budget::Budget;
pub use convert::{Item, Malformed};
pub use meta::{Key, Labels, Meta, Owner};
pub use node::NodeDetail;
pub use pod::{Condition, ContainerState, ContainerStatus, Phase, Pod, PodSpec, PodStatus, READY};
pub use resources::Resources;
pub use time::Time;

/// An object of the cluster. Cheap to clone: what is large is shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// `metadata`
    pub meta: Meta,
    /// All other fields but `status` as they were written (`spec`, `data`, …); of pods, none: their spec is in the detail.
    /// An opaque object's `apiVersion` and `kind` stand here too.
    pub body: Arc<Map<String, Value>>,
    /// `status`; of pods, `None`: theirs is in the detail.
    pub status: Option<Arc<Value>>,
    /// What controllers read of it.
    pub detail: Detail,
}

/// What controllers read of an object: made from its body (and status) whenever those change. Most objects are pods.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// A pod: spec, place and status.
    Pod(Pod),
    /// A node: what a scheduler asks of it.
    Node(Arc<NodeDetail>),
    /// A budget: spec and status.
    Budget(Arc<Budget>),
    /// A ReplicaSet's spec.
    ReplicaSet(Arc<ReplicaSetSpec>),
    /// A Deployment's spec.
    Deployment(Arc<DeploymentSpec>),
    /// A StatefulSet's spec.
    StatefulSet(Arc<StatefulSetSpec>),
    /// A DaemonSet's spec.
    DaemonSet(Arc<DaemonSetSpec>),
    /// A Job's spec.
    Job(Arc<JobSpec>),
    /// A PersistentVolume's spec.
    Volume(Arc<PersistentVolumeSpec>),
    /// A PersistentVolumeClaim's spec.
    Claim(Arc<PersistentVolumeClaimSpec>),
    /// Nothing that a controller reads but for what is in body and status.
    Plain,
}

impl Object {
    /// The key that it is kept under.
    pub fn key(&self) -> Key {
        Key { kind: self.kind, namespace: self.meta.namespace.clone(), name: self.meta.name.clone() }
    }

    /// The pod that it is.
    pub fn pod(&self) -> Option<&Pod> {
        match &self.detail {
            Detail::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    /// The pod that it is, to change its status.
    pub fn pod_mut(&mut self) -> Option<&mut Pod> {
        match &mut self.detail {
            Detail::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    /// The node that it is.
    pub fn node(&self) -> Option<&NodeDetail> {
        match &self.detail {
            Detail::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The budget that it is.
    pub fn budget(&self) -> Option<&Budget> {
        match &self.detail {
            Detail::Budget(budget) => Some(budget),
            _ => None,
        }
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.meta.deleted.is_some()
    }

    /// A field of the body, by JSON pointer below `spec`, such as `/replicas`.
    pub fn spec(&self, pointer: &str) -> Option<&Value> {
        self.body.get("spec")?.pointer(pointer)
    }

    /// A field of the status, by JSON pointer, such as `/readyReplicas`.
    pub fn status(&self, pointer: &str) -> Option<&Value> {
        self.status.as_ref()?.pointer(pointer)
    }
}
