//! A checked program, parameters and facts → the step graph.

pub mod graph;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::value::Value;
use crate::check::program::{Param, Program};
use crate::diagnostic::Diagnostic;
use crate::expr::FactSource;
use crate::source::SourceMap;
use graph::{ClusterInfo, Graph, Place};

/// What the caller gave, by name, of the parameter's type; a secret as [`Value::Secret`] of its name.
pub type Given = BTreeMap<String, Value>;

/// Makes the plan. `name` is the playbook's: its file's stem.
///
/// # Errors
/// E4xx: every mistake; places in `sources`.
pub fn plan(
    _program: &Program,
    _sources: &SourceMap,
    _name: &str,
    _given: &Given,
    _facts: &Arc<dyn FactSource>,
    _cluster: ClusterInfo,
) -> Result<Graph, Vec<Diagnostic>> {
    todo!()
}

/// The value of a parameter as a person writes it after `--set name=`: a literal of the type, strings bare, lists by comma.
///
/// # Errors
/// What is wrong with it and what it should look like.
pub fn parse_parameter(_text: &str, _param: &Param) -> Result<Value, String> {
    todo!()
}

/// The value of a parameter from a file of YAML or JSON.
///
/// # Errors
/// What is wrong with it and what it should look like.
pub fn parameter_from_json(_json: &serde_json::Value, _param: &Param) -> Result<Value, String> {
    todo!()
}

/// What of a plan this version does not carry out: each statement's place and what it is.
pub fn unsupported(_graph: &Graph) -> Vec<(Place, String)> {
    todo!()
}

/// A segment of an id: bytes outside `[A-Za-z0-9._:@-]` are %-escaped.
pub fn segment(_name: &str) -> String {
    todo!()
}
