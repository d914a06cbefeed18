//! Stories of the cluster in a box, as text: what is there, what someone does, and what follows when.

mod node_lifecycle;
mod pod_garbage;
mod scheduler;
mod scheduler_affinity;
mod scheduler_choice;
mod scheduler_queue;
mod scheduler_volumes;
mod stage;
mod taint_eviction;

pub(super) use stage::{START, Stage};
