//! The look before the first step: whether the login may do what the plan's actions do.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::catalog::actions::{ActionDecl, Rule, action};
use crate::cluster::{Connection, RequestError, Right, missing_rights};
use crate::plan::graph::{Graph, NodeKind};

use super::output::Output;
use super::own::any;
use super::{Exit, Failed};

/// How long the look may take.
const LOOK: Duration = Duration::from_secs(15);

/// Refuses a plan that the login has not the rights for, and says which of those it lacks that are merely good to have; a
/// server that does not say is not waited for.
pub(super) async fn check(graph: &Graph, connection: &Connection, output: &Output) -> Result<(), Failed> {
    let (needed, optional) = (rights(graph, |declared| declared.rules), rights(graph, |declared| declared.optional));
    let all = needed.union(&optional).cloned().collect();
    let asked = tokio::time::timeout(LOOK, missing_rights(&connection.requests, &all));
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
    let (missing, lacking): (Vec<Right>, Vec<Right>) = missing.into_iter().partition(|right| needed.contains(right));
    if !lacking.is_empty() {
        output.remark(&format!("the login may not {}: the plan is carried out without", named(&lacking)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failed::told("E712", format!("the login may not {}, which the plan needs", named(&missing)), Exit::Refused)
        .help("grant it these rights over all namespaces, or choose another user with --context or --as"))
}

fn named(rights: &[Right]) -> String {
    rights.iter().map(|right| format!("`{right}`")).collect::<Vec<_>>().join(", ")
}

/// The rights of the graph's actions, as the catalog declares them.
fn rights(graph: &Graph, of: fn(&ActionDecl) -> &'static [Rule]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    any(&graph.root, &mut |node| {
        if let NodeKind::Action(step) = &node.kind
            && let Some(declared) = action(&step.name)
        {
            for (group, resource, verbs) in of(declared) {
                rights.extend(verbs.iter().map(|verb| Right { group, resource, verb }));
            }
        }
        false
    });
    rights
}
