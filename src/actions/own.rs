//! The node that sprag itself runs on.

use crate::catalog::value::ObjectRef;
use crate::cluster::OwnPlace;
use crate::engine::event::Failure;

use super::args::Read;
use super::context::Attempt;

/// What is to be done about a run whose journal would be lost with its node.
pub const KEEP_JOURNAL: &str = "put `--dir` on a volume of a persistentVolumeClaim, run sprag on another node, or leave \
                                its own node out of the selection";

/// Refuses to drain the node whose end would be the journal's.
pub(super) fn check_own_node(node: &ObjectRef, own: Option<&OwnPlace>) -> Read<()> {
    match own {
        Some(own) if own.node == node.name && !own.outlives_node => {
            Err(Attempt::Refused(Failure::new("E509", lost_with(&own.node)).help(KEEP_JOURNAL)))
        }
        Some(_) | None => Ok(()),
    }
}

/// Says that the journal would be lost with that node.
pub fn lost_with(node: &str) -> String {
    format!("sprag itself runs on node `{node}`, and the run's journal would be lost with it")
}
