//! A run in a pod of the cluster that it works on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::actions::{KEEP_JOURNAL, lost_with};
use crate::catalog::value::Value;
use crate::cluster::{Connection, OwnPlace, PodNames, own_place};
use crate::plan::graph::{Block, Graph, Node, NodeKind};

use super::{Exit, Failed};

/// How long the look for the own pod may take.
const LOOK: Duration = Duration::from_secs(10);

/// Where sprag itself runs, if that is in this cluster. `folder` is that of the runs.
pub(super) async fn find(connection: &Connection, folder: &Path) -> Result<Option<Arc<OwnPlace>>, Failed> {
    let names = PodNames::of_environment(connection.is_in_cluster());
    let folder = real(folder);
    match tokio::time::timeout(LOOK, own_place(&connection.requests, &names, &folder)).await {
        Ok(place) => Ok(place?.map(Arc::new)),
        Err(_) => {
            let why = connection.requests.trouble().unwrap_or_else(|| "no answer".to_owned());
            Err(Failed::told("E710", format!("the pod that sprag runs in cannot be read: {why}"), Exit::OutOfReach)
                .help("`kubectl get --raw /readyz` asks the API server how it is"))
        }
    }
}

/// Refuses, before anything is begun, a run that would drain the node that its journal ends with.
pub(super) fn refuse(graph: &Graph, own: Option<&OwnPlace>) -> Result<(), Failed> {
    match own {
        Some(own) if !own.outlives_node && drains(&graph.root, &own.node) => {
            Err(Failed::told("E509", lost_with(&own.node), Exit::Refused).help(KEEP_JOURNAL))
        }
        Some(_) | None => Ok(()),
    }
}

/// Where a folder really lies, though it need not exist yet.
fn real(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let known = absolute.ancestors().find_map(|there| Some((there, there.canonicalize().ok()?)));
    match known {
        Some((there, real)) => absolute.strip_prefix(there).map_or_else(|_| real.clone(), |rest| real.join(rest)),
        None => absolute,
    }
}

/// Whether a rollout in the block is planned over that node and drains something. What is selected only as a rollout
/// begins, and a drain outside of rollouts, is refused by the drain itself.
fn drains(block: &Block, node: &str) -> bool {
    any(block, &mut |one| match &one.kind {
        NodeKind::Rollout(rollout) => {
            let is_node = |value: &Value| value.as_object().is_some_and(|object| object.name == node);
            rollout.planned.as_ref().is_some_and(|planned| planned.iter().any(is_node))
                && any(
                    &rollout.body,
                    &mut |step| matches!(&step.kind, NodeKind::Action(action) if action.name == "drain"),
                )
        }
        _ => false,
    })
}

/// Whether anything in a block, however deep, is such.
pub(super) fn any(block: &Block, is_such: &mut dyn FnMut(&Node) -> bool) -> bool {
    block.nodes.iter().any(|node| {
        is_such(node)
            || match &node.kind {
                NodeKind::Group(group) => {
                    any(&group.body, is_such) || group.finally.as_ref().is_some_and(|block| any(block, is_such))
                }
                NodeKind::Parallel { body, .. } => any(body, is_such),
                NodeKind::If { arms, otherwise, .. } => {
                    arms.iter().any(|(_, block)| any(block, is_such)) || any(otherwise, is_such)
                }
                NodeKind::Rollout(rollout) => {
                    let more = [&rollout.between, &rollout.finally];
                    any(&rollout.body, is_such) || more.into_iter().flatten().any(|block| any(block, is_such))
                }
                NodeKind::Let { .. }
                | NodeKind::Action(_)
                | NodeKind::Record { .. }
                | NodeKind::Wait { .. }
                | NodeKind::WaitUntil(_)
                | NodeKind::Assert(_)
                | NodeKind::Approve { .. }
                | NodeKind::Guard(_) => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_lies_where_its_link_leads() {
        let folder = tempfile::TempDir::new().unwrap();
        let (there, link) = (folder.path().join("there"), folder.path().join("link"));
        std::fs::create_dir(&there).unwrap();
        std::os::unix::fs::symlink(&there, &link).unwrap();
        assert_eq!(real(&link.join("a/b")), there.canonicalize().unwrap().join("a/b"));
    }
}
