//! JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

/// Merges a patch into a value: null removes, objects are merged, everything else is replaced.
pub(super) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(object) = target.as_object_mut() else { return };
    for (field, value) in fields {
        if value.is_null() {
            object.shift_remove(&field);
        } else {
            merge(object.entry(field).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_removes_and_lists_are_replaced() {
        let mut value = json!({ "a": { "b": 1, "c": 2 }, "l": [1, 2], "t": "x" });
        merge(&mut value, json!({ "a": { "b": null, "d": { "e": null } }, "l": [3], "t": { "n": 1 } }));
        assert_eq!(value, json!({ "a": { "c": 2, "d": {} }, "l": [3], "t": { "n": 1 } }));
    }
}
