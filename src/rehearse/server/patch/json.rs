//! JSON patch (RFC 6902).

use serde_json::Value;

use crate::rehearse::status::Refused;

/// Carries a patch out, all of it or nothing.
///
/// # Errors
/// 400 for what is no patch; 422 where one of its operations cannot be carried out. The server says no more of it than that
/// (handlers/patch.go: NewGenericServerResponse drops the reason).
pub(super) fn patch(target: &mut Value, patch: &Value) -> Result<(), Refused> {
    let operations = patch.as_array().ok_or_else(|| Refused::bad_request("a JSON patch is a list of operations"))?;
    let mut patched = target.clone();
    for operation in operations {
        carry_out(&mut patched, operation).ok_or_else(|| {
            Refused::new(422, "Invalid", "the server rejected our request due to an error in our request")
        })?;
    }
    *target = patched;
    Ok(())
}

fn carry_out(target: &mut Value, operation: &Value) -> Option<()> {
    let path = operation["path"].as_str()?;
    let value = || operation.get("value").cloned();
    match operation["op"].as_str()? {
        "add" => add(target, path, value()?),
        "remove" => remove(target, path).map(drop),
        "replace" => {
            *target.pointer_mut(path)? = value()?;
            Some(())
        }
        "move" => {
            let moved = remove(target, operation["from"].as_str()?)?;
            add(target, path, moved)
        }
        "copy" => {
            let copied = target.pointer(operation["from"].as_str()?)?.clone();
            add(target, path, copied)
        }
        "test" => {
            // What is not there is null to a test, if that which would hold it is there (evanphx/json-patch).
            target.pointer(path.rsplit_once('/').map_or("", |(parent, _)| parent))?;
            let found = target.pointer(path).unwrap_or(&Value::Null);
            (found == operation.get("value").unwrap_or(&Value::Null)).then_some(())
        }
        _ => None,
    }
}

fn parted(path: &str) -> Option<(&str, String)> {
    let (parent, key) = path.rsplit_once('/')?;
    Some((parent, key.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    let (parent, key) = parted(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(object) => drop(object.insert(key, value)),
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => {
            let at: usize = key.parse().ok().filter(|at| *at <= list.len())?;
            list.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(target: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = parted(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(object) => object.shift_remove(&key),
        Value::Array(list) => {
            let at: usize = key.parse().ok().filter(|at| *at < list.len())?;
            Some(list.remove(at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_are_carried_out_in_turn() {
        let mut value = json!({ "a": { "x/y": 1 }, "l": [1, 2] });
        let changes = json!([
            { "op": "test", "path": "/a/x~1y", "value": 1 },
            { "op": "test", "path": "/a/none", "value": null },
            { "op": "add", "path": "/l/-", "value": 3 },
            { "op": "add", "path": "/l/0", "value": 0 },
            { "op": "remove", "path": "/l/1" },
            { "op": "replace", "path": "/a/x~1y", "value": 2 },
            { "op": "copy", "from": "/l", "path": "/k" },
            { "op": "move", "from": "/a", "path": "/b" },
        ]);
        assert_eq!(patch(&mut value, &changes), Ok(()));
        assert_eq!(value, json!({ "l": [0, 2, 3], "k": [0, 2, 3], "b": { "x/y": 2 } }));
    }

    #[test]
    fn what_cannot_be_carried_out_changes_nothing() {
        for broken in [
            json!([{ "op": "add", "path": "/b", "value": 1 }, { "op": "test", "path": "/a", "value": 2 }]),
            json!([{ "op": "remove", "path": "/none" }]),
            json!([{ "op": "replace", "path": "/none", "value": 1 }]),
            json!([{ "op": "add", "path": "/none/deep", "value": 1 }]),
            json!([{ "op": "test", "path": "/none/deep", "value": null }]),
            json!([{ "op": "shake", "path": "/a" }]),
        ] {
            let mut value = json!({ "a": 1 });
            assert_eq!(patch(&mut value, &broken).map_err(|refused| refused.code), Err(422), "{broken}");
            assert_eq!(value, json!({ "a": 1 }));
        }
    }
}
