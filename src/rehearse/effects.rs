//! What a command, a job or a scenario changes in the cluster in a box.
//!
//! A command that nobody described makes its `done when` true where the form of that condition tells how
//! ([`crate::expr::assume`]); what it does not tell is said in the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::cluster::Cluster;
use super::merge_patch::merge;
use super::object::{Key, Object};
use crate::catalog::types::Kind as FactKind;
use crate::catalog::value::Value;
use crate::engine::locate::locate;
use crate::engine::state::RunState;
use crate::expr::assume::{Relation, Wish, wishes};
use crate::expr::{self, FactSource};
use crate::facts::reads::Reads;
use crate::plan::graph::{Action, Code, NodeKind};

/// A field of a node that a command changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The node.
    pub node: Arc<str>,
    /// The field of the language, such as `kubelet`.
    pub field: String,
    /// The key in it, of labels and annotations.
    pub key: Option<String>,
    /// Its new value; `None`: one that it never had.
    pub value: Option<Value>,
}

/// What makes a step's `done when` true, or in a few words why nobody can tell.
///
/// # Errors
/// A condition whose form does not tell what would make it true.
pub fn of_step(state: &RunState, facts: &Arc<dyn FactSource>, step: &str) -> Result<Vec<Effect>, String> {
    let graph = state.graph.clone();
    let located = locate(&graph, step).ok_or_else(|| format!("no step is called `{step}`"))?;
    let NodeKind::Action(action) = &located.node.kind else { return Ok(Vec::new()) };
    let Action { done_when: Some(condition), .. } = &**action else { return Ok(Vec::new()) };
    let cannot = || format!("what makes `{}` true is not told by its form", condition.text);
    let value_of = |code: &Code| -> Result<Value, String> {
        let compiled = expr::load(code)?;
        let bindings = state.bindings(&located, compiled.slots());
        compiled.evaluate(&bindings, facts, &mut Reads::default(), None).map_err(|error| error.to_string())
    };
    let each =
        wishes(condition).ok_or_else(cannot)?.into_iter().map(|wish| effect(&wish, &value_of)?.ok_or_else(cannot));
    each.collect()
}

fn effect(wish: &Wish, value_of: &impl Fn(&Code) -> Result<Value, String>) -> Result<Option<Effect>, String> {
    let object = value_of(&wish.object)?;
    let Some(node) = object.as_object().filter(|object| object.kind == FactKind::Node) else { return Ok(None) };
    let key = match &wish.key {
        Some(key) => match value_of(key)? {
            Value::String(key) => Some(key.to_string()),
            _ => return Ok(None),
        },
        None => None,
    };
    let value = match wish.relation {
        Relation::Same => Some(value_of(&wish.value)?),
        Relation::Other => None,
    };
    let effect = Effect { node: node.name.as_str().into(), field: wish.field.clone(), key, value };
    Ok(patch(&effect, "").is_some().then_some(effect))
}

/// Carries an effect out; false where the node is gone.
pub fn apply(cluster: &mut Cluster, effect: &Effect) -> bool {
    let fresh = cluster.random.uid();
    let key = Key::node(effect.node.clone());
    let (Some(object), Some(patch)) = (cluster.store.get(&key), patch(effect, &fresh)) else { return false };
    let mut value = object.to_value();
    if effect.field == "ready" {
        set_ready(&mut value, effect.value == Some(Value::Bool(true)));
    }
    merge(&mut value, patch);
    match Object::read(key.kind, value) {
        Ok(changed) => {
            cluster.put(changed);
            true
        }
        Err(_) => false,
    }
}

/// The change of a Node object that an effect stands for; `None` for a field that no command changes.
fn patch(effect: &Effect, fresh: &str) -> Option<Json> {
    let text = match &effect.value {
        Some(value) => value.to_string(),
        None => fresh.to_owned(),
    };
    let info = |field: &str, text: String| Some(json!({ "status": { "nodeInfo": { field: text } } }));
    match (effect.field.as_str(), &effect.key) {
        ("kubelet", None) => info("kubeletVersion", text),
        ("boot_id", None) => info("bootID", text),
        ("os_image", None) => info("osImage", text),
        ("kernel", None) => info("kernelVersion", text),
        ("runtime", None) => info("containerRuntimeVersion", text),
        ("ready", None) => matches!(effect.value, Some(Value::Bool(_))).then(|| json!({})),
        ("schedulable", None) => match effect.value {
            Some(Value::Bool(is_open)) => {
                Some(json!({ "spec": { "unschedulable": if is_open { Json::Null } else { json!(true) } } }))
            }
            _ => None,
        },
        ("labels" | "annotations", Some(key)) => Some(json!({ "metadata": { &effect.field: { key: text } } })),
        _ => None,
    }
}

fn set_ready(node: &mut Json, is_ready: bool) {
    let conditions = node.pointer_mut("/status/conditions").and_then(Json::as_array_mut);
    for condition in conditions.into_iter().flatten().filter(|condition| condition["type"] == "Ready") {
        condition["status"] = if is_ready { "True" } else { "False" }.into();
    }
}

/// What was assumed of the steps of a rehearsal: how often, by what is said of it.
pub type Assumed = BTreeMap<String, usize>;
