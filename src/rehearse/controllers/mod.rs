//! The controllers of the cluster in a box, one a file: only what a drain can feel, each with the timing of the real one.

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
    vec![
        Box::new(Scheduler::default()),
        Box::new(NodeLifecycle::default()),
        Box::new(TaintEviction::default()),
        Box::new(PodGarbage::default()),
    ]
}
