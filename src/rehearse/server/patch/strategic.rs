//! Strategic merge patch (apimachinery, pkg/util/strategicpatch), as far as kubectl and the clients of Go and Rust write it:
//! lists merged by key, `$patch`, `$setElementOrder`, `$deleteFromPrimitiveList`, `$retainKeys`.

use serde_json::{Map, Value};

use super::lists;
use crate::rehearse::status::Refused;

/// Merges a patch into an object.
///
/// # Errors
/// 400 for directives that are none.
pub(super) fn patch(target: &mut Value, patch: Value) -> Result<(), Refused> {
    let Value::Object(patch) = patch else {
        return Err(Refused::bad_request("a strategic merge patch is an object"));
    };
    merge(target, patch)
}

fn merge(target: &mut Value, mut patch: Map<String, Value>) -> Result<(), Refused> {
    match patch.shift_remove("$patch").as_ref().and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(patch);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(Refused::bad_request(format!("unknown patch type found: {other}"))),
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(object) = target.as_object_mut() else { return Ok(()) };
    if let Some(Value::Array(kept)) = patch.shift_remove("$retainKeys") {
        object.retain(|field, _| kept.iter().any(|one| one.as_str() == Some(field)));
    }
    let (orders, rest): (Vec<_>, Vec<_>) = patch.into_iter().partition(|(field, _)| field.starts_with('$'));
    for (field, value) in rest {
        merge_field(object, field, value)?;
    }
    for (directive, value) in orders {
        let (Some((name, field)), Value::Array(list)) = (directive.split_once('/'), value) else {
            return Err(Refused::bad_request(format!("unknown directive {directive:?}")));
        };
        match (name, object.get_mut(field)) {
            ("$deleteFromPrimitiveList", Some(Value::Array(known))) => known.retain(|one| !list.contains(one)),
            ("$setElementOrder", Some(Value::Array(known))) => order(field, known, &list),
            ("$deleteFromPrimitiveList" | "$setElementOrder", _) => {}
            _ => return Err(Refused::bad_request(format!("unknown directive {directive:?}"))),
        }
    }
    Ok(())
}

fn merge_field(object: &mut Map<String, Value>, field: String, value: Value) -> Result<(), Refused> {
    match value {
        Value::Null => drop(object.shift_remove(&field)),
        Value::Object(patch) => {
            let is_deletion = patch.get("$patch").is_some_and(|word| word == "delete");
            if is_deletion {
                object.shift_remove(&field);
            } else {
                merge(object.entry(field).or_insert(Value::Null), patch)?;
            }
        }
        Value::Array(patch) => merge_list(object, field, patch)?,
        value => drop(object.insert(field, value)),
    }
    Ok(())
}

fn merge_list(object: &mut Map<String, Value>, field: String, patch: Vec<Value>) -> Result<(), Refused> {
    let is_replaced = patch.iter().any(|one| one["$patch"] == "replace");
    if is_replaced {
        let rest = patch.into_iter().filter(|one| one.get("$patch").is_none()).collect();
        object.insert(field, Value::Array(rest));
        return Ok(());
    }
    let known = match object.get_mut(&field) {
        Some(Value::Array(known)) => std::mem::take(known),
        _ => Vec::new(),
    };
    let merged = if lists::is_set(&field) {
        let new = patch.into_iter().filter(|one| !known.contains(one)).collect::<Vec<_>>();
        known.into_iter().chain(new).collect()
    } else if let Some(key) = lists::key(&field, if patch.is_empty() { &known } else { &patch }) {
        merged(known, patch, key)?
    } else {
        patch
    };
    object.insert(field, Value::Array(merged));
    Ok(())
}

fn merged(mut known: Vec<Value>, patch: Vec<Value>, key: &str) -> Result<Vec<Value>, Refused> {
    for element in patch {
        let Value::Object(element) = element else {
            return Err(Refused::bad_request("a list of objects can be merged with objects alone"));
        };
        let name = element.get(key).cloned().ok_or_else(|| {
            Refused::bad_request(format!(
                "map: {} does not contain declared merge key: {key}",
                Value::Object(element.clone())
            ))
        })?;
        let at = known.iter().position(|one| one[key] == name);
        let is_deletion = element.get("$patch").is_some_and(|word| word == "delete");
        match (at, is_deletion) {
            (Some(at), true) => drop(known.remove(at)),
            (None, true) => {}
            (Some(at), false) => merge(&mut known[at], element)?,
            (None, false) => {
                let mut new = Value::Null;
                merge(&mut new, element)?;
                known.push(new);
            }
        }
    }
    Ok(known)
}

/// Sorts what is named as it is named; what is not keeps its place behind what it stood behind.
fn order(field: &str, known: &mut Vec<Value>, named: &[Value]) {
    let key = lists::key(field, known);
    let place = |element: &Value| {
        named.iter().position(|one| match key {
            Some(key) => one[key] == element[key],
            None => one == element,
        })
    };
    let mut last = 0;
    let mut placed: Vec<(usize, Value)> = Vec::new();
    for element in std::mem::take(known) {
        last = place(&element).unwrap_or(last);
        placed.push((last, element));
    }
    placed.sort_by_key(|(at, _)| *at);
    *known = placed.into_iter().map(|(_, element)| element).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(mut value: Value, patch: Value) -> Value {
        super::patch(&mut value, patch).expect("a patch");
        value
    }

    #[test]
    fn lists_are_merged_by_what_tells_their_elements_apart() {
        let status = json!({ "conditions": [{ "type": "Ready", "status": "True", "reason": "r" }, { "type": "Odd" }] });
        let patch = json!({ "conditions": [{ "type": "Ready", "status": "False" }, { "type": "New" }, { "type": "Odd", "$patch": "delete" }] });
        let expected =
            json!({ "conditions": [{ "type": "Ready", "status": "False", "reason": "r" }, { "type": "New" }] });
        assert_eq!(patched(status, patch), expected);
    }

    #[test]
    fn taints_are_replaced() {
        let spec = json!({ "taints": [{ "key": "a" }, { "key": "b" }], "unschedulable": true });
        assert_eq!(
            patched(spec, json!({ "taints": [{ "key": "c" }], "unschedulable": null })),
            json!({ "taints": [{ "key": "c" }] })
        );
    }

    #[test]
    fn directives_are_followed() {
        let meta = json!({ "finalizers": ["a", "b"], "labels": { "x": "1" } });
        let patch = json!({ "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"], "labels": { "$patch": "replace", "y": "2" } });
        assert_eq!(patched(meta, patch), json!({ "finalizers": ["b", "c"], "labels": { "y": "2" } }));
        let spec = json!({ "containers": [{ "name": "a" }, { "name": "b", "image": "1" }] });
        let patch = json!({
            "$setElementOrder/containers": [{ "name": "c" }, { "name": "b" }, { "name": "a" }],
            "containers": [{ "name": "b", "image": "2" }, { "name": "c" }],
        });
        let expected = json!({ "containers": [{ "name": "c" }, { "name": "b", "image": "2" }, { "name": "a" }] });
        assert_eq!(patched(spec, patch), expected);
        let strategy = json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": {} } });
        let patch = json!({ "strategy": { "$retainKeys": ["type"], "type": "Recreate" } });
        assert_eq!(patched(strategy, patch), json!({ "strategy": { "type": "Recreate" } }));
        assert!(super::patch(&mut json!({}), json!({ "$patch": "shake" })).is_err());
    }
}
