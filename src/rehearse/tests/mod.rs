//! Stories of the cluster in a box, as text: what is there, what someone does, and what follows when.

mod stage;

pub(super) use stage::{START, Stage};
