//! Stories of the cluster in a box, as text: what is there, what someone does, and what follows when.

mod crew;
mod daemonset;
mod deployment;
mod disruption;
mod eviction;
mod garbage;
mod job;
mod node_lifecycle;
mod pod_garbage;
mod replicaset;
mod scheduler;
mod scheduler_affinity;
mod scheduler_choice;
mod scheduler_queue;
mod scheduler_volumes;
mod stage;
mod statefulset;
mod taint_eviction;

pub(super) use stage::{START, Stage};
