//! Stories of the cluster in a box, as text: what is there, what someone does, and what follows when.

mod crew;
mod daemonset;
mod deployment;
mod disruption;
mod eviction;
mod garbage;
mod job;
mod replicaset;
mod stage;
mod statefulset;

pub(super) use stage::{START, Stage};
