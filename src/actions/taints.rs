//! `taint`, `untaint`. Taints are a list: it is tested and replaced as a whole, so that nobody's taint is lost.

use serde_json::{Value, json};

use super::args::{Read, choice, object, optional_text, text};
use super::context::{Args, Attempt, StepContext};
use super::labels::CHANGED;
use super::node::{Change, NodeNow, Patch, change};

const TAINTS: [&str; 2] = ["spec", "taints"];
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The taint of that key and effect; none where it is not there.
pub(super) async fn pre_image(args: &Args, context: &StepContext) -> Read<Value> {
    let (key, effect) = (text(args, "key")?, choice(args, "effect", EFFECTS)?);
    let node = NodeNow::read(&*object(args, "node")?, &context.requests).await?;
    let was = taints(&node).iter().find(|taint| is_of(taint, key, Some(effect)));
    Ok(json!({"taint": was}))
}

pub(super) async fn taint(args: &Args, context: &StepContext) -> Read<Attempt> {
    let (key, effect) = (text(args, "key")?, choice(args, "effect", EFFECTS)?);
    let value = optional_text(args, "value")?.unwrap_or_default();
    change(&*object(args, "node")?, context, |node| Ok(tainted(node, key, value, effect))).await
}

/// Puts back the taint of that key and effect as it was, if it still is what this step set.
pub(super) async fn undo(args: &Args, was: &Value, context: &StepContext) -> Read<Attempt> {
    let (key, effect) = (text(args, "key")?, choice(args, "effect", EFFECTS)?);
    let ours = optional_text(args, "value")?.unwrap_or_default();
    change(&*object(args, "node")?, context, |node| Ok(undone(node, key, ours, effect, &was["taint"]))).await
}

fn undone(node: &NodeNow, key: &str, ours: &str, effect: &str, was: &Value) -> Change {
    let now = taints(node).iter().find(|taint| is_of(taint, key, Some(effect)));
    match now {
        Some(now) if now["value"].as_str().unwrap_or_default() == ours => match was {
            Value::Null => untainted(node, key, Some(effect)),
            was => tainted(node, key, was["value"].as_str().unwrap_or_default(), effect),
        },
        _ => Change::None(Some(CHANGED.to_owned())),
    }
}

/// Removes the taints of that key: of one effect, or of every one where none is said.
pub(super) async fn untaint(args: &Args, context: &StepContext) -> Read<Attempt> {
    let key = text(args, "key")?;
    let effect = optional_text(args, "effect")?.filter(|effect| !effect.is_empty());
    change(&*object(args, "node")?, context, |node| Ok(untainted(node, key, effect))).await
}

fn tainted(node: &NodeNow, key: &str, value: &str, effect: &str) -> Change {
    let has = |taint: &Value| taint["value"].as_str().unwrap_or_default() == value;
    let taints = taints(node);
    let taint = json!({"key": key, "value": value, "effect": effect});
    let list = match taints.iter().position(|taint| is_of(taint, key, Some(effect))) {
        Some(at) if has(&taints[at]) => return Change::None(None),
        Some(at) => [&taints[..at], &[taint], &taints[at + 1..]].concat(),
        None => [taints, &[taint]].concat(),
    };
    Patch::of(node).set(&TAINTS, Value::Array(list)).change()
}

fn untainted(node: &NodeNow, key: &str, effect: Option<&str>) -> Change {
    let taints = taints(node);
    let kept: Vec<Value> = taints.iter().filter(|taint| !is_of(taint, key, effect)).cloned().collect();
    if kept.len() == taints.len() {
        return Change::None(None);
    }
    let patch = Patch::of(node);
    let patch = if kept.is_empty() { patch.remove(&TAINTS) } else { patch.set(&TAINTS, Value::Array(kept)) };
    patch.change()
}

fn taints(node: &NodeNow) -> &[Value] {
    node.at(&TAINTS).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn is_of(taint: &Value, key: &str, effect: Option<&str>) -> bool {
    taint["key"] == key && effect.is_none_or(|effect| taint["effect"] == effect)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(taints: &Value) -> NodeNow {
        NodeNow::new(json!({"metadata": {"uid": "u", "resourceVersion": "7"}, "spec": {"taints": taints}}))
    }

    /// The list that a change sets, or what it does instead.
    fn list(change: Change) -> Value {
        let Change::Patch(patch) = change else { return json!("nothing") };
        let last = patch.as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
        if last["op"] == "add" { last["value"].clone() } else { last["op"].clone() }
    }

    #[test]
    fn the_list_is_replaced_as_a_whole() {
        // `timeAdded` is no field of our types and has to live on.
        let theirs = json!({"key": "x", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"});
        let ours = json!({"key": "up", "value": "1", "effect": "NoSchedule"});
        let changed = json!({"key": "up", "value": "2", "effect": "NoSchedule"});
        let both = node(&json!([theirs, ours]));
        assert_eq!(list(tainted(&node(&json!([theirs])), "up", "1", "NoSchedule")), json!([theirs, ours]));
        assert_eq!(list(tainted(&both, "up", "1", "NoSchedule")), "nothing");
        assert_eq!(list(tainted(&both, "up", "2", "NoSchedule")), json!([theirs, changed]));
        assert_eq!(list(untainted(&both, "up", None)), json!([theirs]));
        assert_eq!(list(untainted(&both, "up", Some("NoExecute"))), "nothing");
        assert_eq!(list(untainted(&node(&json!([ours])), "up", Some("NoSchedule"))), "remove");
    }

    #[test]
    fn a_change_of_the_list_tests_the_list() {
        let Change::Patch(patch) = untainted(&node(&json!([{"key": "up", "effect": "NoSchedule"}])), "up", None) else {
            panic!("it is removed")
        };
        assert_eq!(
            patch[1],
            json!({"op": "test", "path": "/spec/taints", "value": [{"key": "up", "effect": "NoSchedule"}]})
        );
    }
}
