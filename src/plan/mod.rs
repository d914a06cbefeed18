//! A checked program, parameters and facts → the step graph.
//!
//! What the language knows when the plan is made is evaluated here and kept in [`graph::Graph::values`] by slot:
//! parameters, constants, `let`s outside rollouts; an `if` there is decided, and only the chosen branch is in the graph.
//! What a rollout's body needs to know as it begins is left as code: its `let` and `if` nodes, and the pins of
//! [`graph::Rollout`]. Tasks are expanded in place. Nothing here does I/O: facts come from a [`FactSource`].
//!
//! - `expand`, `choice`, `rollout`, `task`: statements to nodes; `ids`, `called`, `headline`: what they are called
//! - `names`: which slot a name stands for; `values`: what is evaluated now, and what is pinned later
//! - `away`: what drains take away for a while, for pictures of the plan
//! - [`estimate`]: how long it mostly takes
//! - `parameters`: what the caller gave; `sizes`: counts and shares; `unsupported`: what this version leaves out
//!
//! | code | what it says |
//! |---|---|
//! | E401 | a parameter that the playbook does not have |
//! | E402 | a parameter that is missing |
//! | E403 | a parameter of another type, or not written as its type is |
//! | E405 | a secret that was given as plain text |
//! | E406 | a parameter whose `where` does not hold |
//! | E410 | a value that the plan needs and that cannot be told, or is `none` |
//! | E411 | equal elements in a rollout, or one whose name belongs to a rollout's own blocks |
//! | E412 | a name that is empty, or would differ from element to element |
//! | E413 | a number, duration or share out of its range |
//! | E414 | `on failure` or a guard in an `if` that is decided now |
//! | E415 | a plan that grows too large |
//! | E416 | a window that is computed and cannot be told, or is none |
//! | E499 | a fault of sprag itself |

mod away;
mod called;
mod choice;
pub mod estimate;
mod expand;
pub mod graph;
mod headline;
mod ids;
mod names;
mod parameters;
mod rollout;
mod schedule;
mod sizes;
mod task;
mod unsupported;
mod values;
mod windows;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::value::Value;
use crate::check::program::Program;
use crate::diagnostic::Diagnostic;
use crate::digest::sha256_hex;
use crate::expr::FactSource;
use crate::source::SourceMap;
use expand::Planner;
use graph::{ClusterInfo, Graph, SCHEMA};

pub use away::has_drain;
pub use ids::{path, segment};
pub use parameters::{parameter_from_json, parse_parameter};
pub use sizes::{at_most, batch_sizes, batches_by, share_down, share_up};
pub use unsupported::unsupported;

/// What the caller gave, by name, of the parameter's type; a secret as [`Value::Secret`] of its name.
pub type Given = BTreeMap<String, Value>;

/// Makes the plan. `name` is the playbook's: its file's stem.
///
/// # Errors
/// E4xx: every mistake; places in `sources`.
pub fn plan(
    program: &Program,
    sources: &SourceMap,
    name: &str,
    given: &Given,
    facts: &Arc<dyn FactSource>,
    cluster: ClusterInfo,
) -> Result<Graph, Vec<Diagnostic>> {
    let mut planner = Planner::new(program, sources, facts);
    let params = planner.parameters(given);
    if !planner.diagnostics.is_empty() {
        // Nothing that needs them could be told.
        return Err(planner.diagnostics);
    }
    let root = planner.root();
    if !planner.diagnostics.is_empty() {
        return Err(planner.diagnostics);
    }
    planner.see_cluster();
    planner.seen.estimate = Some(planner.estimate(&root));
    let texts = canonical_texts(program, sources);
    Ok(Graph {
        schema: SCHEMA,
        name: name.to_owned(),
        digest: digest(&(&texts, &params, &planner.values)),
        sources: digest(&texts),
        sprag: env!("CARGO_PKG_VERSION").to_owned(),
        cluster,
        params,
        values: planner.values,
        seen: planner.seen,
        root,
    })
}

/// The canonical texts, the playbook's first: not their names, which depend on where sprag was called.
fn canonical_texts<'p>(program: &'p Program, sources: &SourceMap) -> Vec<&'p str> {
    let playbook = &sources.file(program.file).name;
    let own = program.canonical.get(playbook);
    let mut modules: Vec<_> =
        program.canonical.iter().filter(|(name, _)| *name != playbook).map(|(_, text)| text.as_str()).collect();
    modules.sort_unstable();
    own.map(String::as_str).into_iter().chain(modules).collect()
}

fn digest(of: &impl serde::Serialize) -> String {
    sha256_hex(&serde_json::to_vec(of).unwrap_or_default())
}
