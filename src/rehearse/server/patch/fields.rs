//! Sets of fields, as `managedFields` writes them (FieldsV1; structured-merge-diff), and objects seen through them.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value};

use super::lists;

/// A step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A field of an object.
    Field(String),
    /// The element of a list that has these keys, as JSON.
    Element(String),
    /// A word of a set, as JSON.
    Word(String),
}

/// The way to a field.
pub(super) type Path = Vec<Step>;
/// Fields.
pub(super) type Fields = BTreeSet<Path>;

/// The fields of an object: what has no parts, and the elements of lists.
pub(super) fn of(object: &Value) -> Fields {
    let mut fields = Fields::new();
    collect(object, "", &mut Vec::new(), &mut fields);
    fields
}

fn collect(value: &Value, field: &str, path: &mut Path, out: &mut Fields) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (name, value) in object {
                path.push(Step::Field(name.clone()));
                collect(value, name, path, out);
                path.pop();
            }
        }
        Value::Array(list) if lists::is_set(field) => {
            for word in list {
                path.push(Step::Word(word.to_string()));
                out.insert(path.clone());
                path.pop();
            }
        }
        Value::Array(list) if !lists::keys(field, list).is_empty() => {
            let keys = lists::keys(field, list);
            for element in list {
                path.push(Step::Element(keys_of(element, keys)));
                out.insert(path.clone());
                collect(element, "", path, out);
                path.pop();
            }
        }
        _ => {
            out.insert(path.clone());
        }
    }
}

/// The keys of an element; a port that does not say its protocol is of TCP.
fn keys_of(element: &Value, keys: &[&str]) -> String {
    let key = |key: &&str| {
        let value = element.get(*key).cloned();
        let value = value.or_else(|| (*key == "protocol").then(|| "TCP".into()))?;
        Some(((*key).to_owned(), value))
    };
    Value::Object(keys.iter().filter_map(key).collect::<Map<_, _>>()).to_string()
}

/// What stands at the end of a way.
pub(super) fn at<'a>(object: &'a Value, path: &[Step]) -> Option<&'a Value> {
    let mut value = object;
    let mut name = "";
    for step in path {
        value = match step {
            Step::Field(field) => {
                name = field;
                value.get(field)?
            }
            Step::Element(keys) => {
                let list = value.as_array()?;
                list.iter().find(|element| keys_of(element, lists::keys(name, list)) == *keys)?
            }
            Step::Word(word) => value.as_array()?.iter().find(|one| one.to_string() == *word)?,
        };
    }
    Some(value)
}

/// Removes what stands at the end of a way.
pub(super) fn remove(object: &mut Value, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    remove_in(object, "", step, rest);
}

fn remove_in(value: &mut Value, name: &str, step: &Step, rest: &[Step]) {
    let found = match (step, value) {
        (Step::Field(field), Value::Object(object)) => {
            if rest.is_empty() {
                object.shift_remove(field);
                return;
            }
            object.get_mut(field)
        }
        (Step::Element(keys), Value::Array(list)) => {
            let by = lists::keys(name, list);
            let Some(place) = list.iter().position(|element| keys_of(element, by) == *keys) else { return };
            if rest.is_empty() {
                list.remove(place);
                return;
            }
            list.get_mut(place)
        }
        (Step::Word(word), Value::Array(list)) => {
            let word: Value = serde_json::from_str(word).unwrap_or_default();
            list.retain(|one| *one != word);
            return;
        }
        _ => return,
    };
    let name = if let Step::Field(field) = step { field } else { "" };
    if let (Some(found), Some((step, rest))) = (found, rest.split_first()) {
        remove_in(found, name, step, rest);
    }
}

/// Lays what is applied over what is there: lists by key, sets together, everything else in its place.
pub(super) fn merge(target: &mut Value, applied: &Value, field: &str) {
    match (&mut *target, applied) {
        (Value::Object(known), Value::Object(fields)) => {
            for (name, value) in fields {
                merge(known.entry(name.clone()).or_insert(Value::Null), value, name);
            }
        }
        (Value::Array(known), Value::Array(list)) if lists::is_set(field) => {
            let new: Vec<Value> = list.iter().filter(|one| !known.contains(one)).cloned().collect();
            known.extend(new);
        }
        (Value::Array(known), Value::Array(list)) if !lists::keys(field, list).is_empty() => {
            let by = lists::keys(field, list);
            for element in list {
                match known.iter_mut().find(|one| keys_of(one, by) == keys_of(element, by)) {
                    Some(one) => merge(one, element, ""),
                    None => known.push(element.clone()),
                }
            }
        }
        _ => *target = applied.clone(),
    }
}

/// The way as the server shows it: `.spec.containers[name="web"].image`.
pub(super) fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        let _ = match step {
            Step::Field(field) => write!(text, ".{field}"),
            Step::Word(word) => write!(text, "[={word}]"),
            Step::Element(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(text, "[{}]", keys.join(","))
            }
        };
    }
    text
}

/// As FieldsV1.
pub(super) fn written(fields: &Fields) -> Value {
    let mut root = Map::new();
    for path in fields {
        write_into(&mut root, path);
    }
    Value::Object(root)
}

fn write_into(there: &mut Map<String, Value>, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    let name = match step {
        Step::Field(field) => format!("f:{field}"),
        Step::Element(keys) => format!("k:{keys}"),
        Step::Word(word) => format!("v:{word}"),
    };
    let next = there.entry(name).or_insert_with(|| Value::Object(Map::new()));
    let Some(next) = next.as_object_mut() else { return };
    if rest.is_empty() && matches!(step, Step::Element(_)) {
        next.insert(".".to_owned(), Value::Object(Map::new()));
    }
    write_into(next, rest);
}

/// From FieldsV1; what cannot be read is left out.
pub(super) fn read(written: &Value) -> Fields {
    let mut fields = Fields::new();
    read_into(written, &mut Vec::new(), &mut fields);
    fields
}

fn read_into(written: &Value, path: &mut Path, out: &mut Fields) {
    let Some(parts) = written.as_object() else { return };
    if parts.is_empty() || parts.contains_key(".") {
        out.insert(path.clone());
    }
    for (name, value) in parts {
        let step = match name.split_at_checked(2) {
            Some(("f:", field)) => Step::Field(field.to_owned()),
            Some(("k:", keys)) => Step::Element(keys.to_owned()),
            Some(("v:", word)) => Step::Word(word.to_owned()),
            _ => continue,
        };
        path.push(step);
        read_into(value, path, out);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_written_and_read_alike() {
        let object = json!({
            "metadata": { "finalizers": ["a"], "labels": { "x": "1" } },
            "spec": { "containers": [{ "name": "web", "ports": [{ "containerPort": 80 }] }], "args": [1, 2] },
        });
        let expected = json!({
            "f:metadata": { "f:finalizers": { "v:\"a\"": {} }, "f:labels": { "f:x": {} } },
            "f:spec": {
                "f:containers": { "k:{\"name\":\"web\"}": {
                    ".": {}, "f:name": {},
                    "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } },
                } },
                "f:args": {},
            },
        });
        let fields = of(&object);
        assert_eq!(written(&fields), expected);
        assert_eq!(read(&expected), fields);
        let shown: Vec<String> = fields.iter().map(|path| shown(path)).collect();
        assert!(shown.contains(&".spec.containers[name=\"web\"].name".to_owned()), "{shown:?}");
    }

    #[test]
    fn a_field_is_found_and_removed() {
        let mut object = json!({ "spec": { "containers": [{ "name": "a" }, { "name": "b", "image": "1" }] } });
        let path = [
            Step::Field("spec".into()),
            Step::Field("containers".into()),
            Step::Element("{\"name\":\"b\"}".into()),
            Step::Field("image".into()),
        ];
        assert_eq!(at(&object, &path), Some(&json!("1")));
        remove(&mut object, &path);
        assert_eq!(at(&object, &path), None);
        remove(&mut object, &path[..3]);
        assert_eq!(object, json!({ "spec": { "containers": [{ "name": "a" }] } }));
    }
}
