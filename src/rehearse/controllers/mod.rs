//! The controllers of the cluster in a box, one a file: only what a drain can feel, each with the timing of the real one.
//!
//! - [`deployment`], [`replicaset`], [`statefulset`], [`daemonset`], [`job`]: workloads; CronJobs start nothing, and
//!   HorizontalPodAutoscalers scale nothing
//! - [`disruption`]: what budgets allow; [`garbage`], [`namespace`]: what goes with what is deleted
//! - [`kubelet`]: what is bound to a node is started, run and stopped
//! - [`template`], [`members`], [`revision`], [`count`], [`draft`], [`retries`]: what they share
//!
//! Adoption of objects that nobody owns is left out, and so are the limits on how many requests a controller sends a second.

pub mod count;
pub mod daemonset;
pub mod deployment;
pub mod disruption;
pub mod draft;
pub mod garbage;
pub mod job;
pub mod kubelet;
pub mod members;
pub mod namespace;
pub mod replicaset;
pub mod retries;
pub mod revision;
pub mod statefulset;
pub mod template;

mod events;
mod node_lifecycle;
mod pod_garbage;
mod scheduler;
mod taint_eviction;
mod taints;

use super::cluster::Controller;

pub use node_lifecycle::NodeLifecycle;
pub use pod_garbage::PodGarbage;
pub use scheduler::Scheduler;
pub use taint_eviction::TaintEviction;

/// All of them, in the order in which they are told of a change.
pub fn all() -> Vec<Box<dyn Controller>> {
    let mut all = workloads();
    all.extend(nodes());
    all
}

/// Those of nodes and of where pods go.
pub fn nodes() -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(Scheduler::default()),
        Box::new(NodeLifecycle::default()),
        Box::new(TaintEviction::default()),
        Box::new(PodGarbage::default()),
    ]
}

/// Those of workloads and budgets.
pub fn workloads() -> Vec<Box<dyn Controller>> {
    vec![
        Box::<deployment::Deployments>::default(),
        Box::<replicaset::ReplicaSets>::default(),
        Box::<statefulset::StatefulSets>::default(),
        Box::<daemonset::DaemonSets>::default(),
        Box::<job::Jobs>::default(),
        Box::<disruption::Disruption>::default(),
        Box::<garbage::Garbage>::default(),
        Box::<namespace::Namespaces>::default(),
    ]
}
