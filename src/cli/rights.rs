//! The look before the first step: whether the login may do what the plan's actions do.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::catalog::actions::action;
use crate::cluster::{Connection, RequestError, Right, missing_rights};
use crate::plan::graph::{Graph, NodeKind};

use super::output::Output;
use super::own::any;
use super::{Exit, Failed};

/// How long the look may take.
const LOOK: Duration = Duration::from_secs(15);

/// Refuses a plan that the login has not the rights for; a server that does not say is not waited for.
pub(super) async fn check(graph: &Graph, connection: &Connection, output: &Output) -> Result<(), Failed> {
    let needed = needed(graph);
    let asked = tokio::time::timeout(LOOK, missing_rights(&connection.requests, &needed));
    let missing = match asked.await {
        Ok(Ok(missing)) => missing,
        Ok(Err(RequestError::Unauthorized(why))) => return Err(RequestError::Unauthorized(why).into()),
        Ok(Err(error)) => {
            output.remark(&format!("whether the login may do all that is planned cannot be asked: {error}"));
            return Ok(());
        }
        Err(_) => {
            output.remark("whether the login may do all that is planned was not answered in time");
            return Ok(());
        }
    };
    if missing.is_empty() {
        return Ok(());
    }
    let rights: Vec<String> = missing.iter().map(|right| format!("`{right}`")).collect();
    Err(Failed::told("E712", format!("the login may not {}, which the plan needs", rights.join(", ")), Exit::Refused)
        .help("grant it these rights over all namespaces, or choose another user with --context or --as"))
}

/// What the graph's actions need, as the catalog declares it.
fn needed(graph: &Graph) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    any(&graph.root, &mut |node| {
        if let NodeKind::Action(step) = &node.kind
            && let Some(declared) = action(&step.name)
        {
            for (group, resource, verbs) in declared.rules {
                rights.extend(verbs.iter().map(|verb| Right { group, resource, verb }));
            }
        }
        false
    });
    rights
}
