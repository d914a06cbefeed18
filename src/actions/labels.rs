//! `label`, `annotate`: one key of a node's labels or annotations.

use serde_json::{Value, json};

use super::args::{Read, object, optional_text, text};
use super::context::{Args, Attempt, StepContext};
use super::node::{Change, NodeNow, Patch, change};

/// Why an undo leaves a value.
pub(super) const CHANGED: &str = "was changed by someone else since: it stays as it is";

/// Which of the two maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Labels,
    Annotations,
}

impl Place {
    fn path(self, key: &str) -> [&str; 3] {
        match self {
            Self::Labels => ["metadata", "labels", key],
            Self::Annotations => ["metadata", "annotations", key],
        }
    }
}

/// What the key has now; none where it is not there.
pub(super) async fn pre_image(place: Place, args: &Args, context: &StepContext) -> Read<Value> {
    let path = place.path(text(args, "key")?);
    let node = NodeNow::read(&*object(args, "node")?, &context.requests).await?;
    Ok(json!({"value": node.at(&path)}))
}

/// Sets the key, or removes it where the value is none.
pub(super) async fn set(place: Place, args: &Args, context: &StepContext) -> Read<Attempt> {
    let (path, value) = (place.path(text(args, "key")?), optional_text(args, "value")?);
    change(&*object(args, "node")?, context, |node| Ok(valued(node, &path, value))).await
}

/// Puts back what the key had, if it still has what this step set.
pub(super) async fn undo(place: Place, args: &Args, was: &Value, context: &StepContext) -> Read<Attempt> {
    let (path, ours) = (place.path(text(args, "key")?), optional_text(args, "value")?);
    change(&*object(args, "node")?, context, |node| Ok(undone(node, &path, ours, was["value"].as_str()))).await
}

fn undone(node: &NodeNow, path: &[&str], ours: Option<&str>, was: Option<&str>) -> Change {
    if node.at(path).and_then(Value::as_str) == ours {
        valued(node, path, was)
    } else {
        Change::None(Some(CHANGED.to_owned()))
    }
}

fn valued(node: &NodeNow, path: &[&str], value: Option<&str>) -> Change {
    match (node.at(path).and_then(Value::as_str), value) {
        (was, value) if was == value => Change::None(None),
        (_, Some(value)) => Patch::of(node).set(path, Value::from(value)).change(),
        (_, None) => Patch::of(node).remove(path).change(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_set_or_removed() {
        let bare = NodeNow::new(json!({"metadata": {"uid": "u", "resourceVersion": "7"}}));
        let full = NodeNow::new(json!({"metadata": {"uid": "u", "resourceVersion": "7", "labels": {"a/b~c": "1"}}}));
        let path = Place::Labels.path("a/b~c");
        let uid = json!({"op": "test", "path": "/metadata/uid", "value": "u"});
        let version = json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"});
        let was = json!({"op": "test", "path": "/metadata/labels/a~1b~0c", "value": "1"});
        let add = json!({"op": "add", "path": "/metadata/labels/a~1b~0c", "value": "2"});
        let map = json!({"op": "add", "path": "/metadata/labels", "value": {}});
        let remove = json!({"op": "remove", "path": "/metadata/labels/a~1b~0c"});
        let cases = [
            (&bare, None, Change::None(None)),
            (&full, Some("1"), Change::None(None)),
            (&bare, Some("2"), Change::Patch(json!([uid, version, map, add]))),
            (&full, Some("2"), Change::Patch(json!([uid, was, add]))),
            (&full, None, Change::Patch(json!([uid, was, remove]))),
        ];
        for (node, value, expected) in cases {
            assert_eq!(valued(node, &path, value), expected, "{value:?}");
        }
    }
}
