//! A status on its way: what a controller says of its object, by the fields that it knows; others stay as they are.

use serde_json::{Map, Value, json};

use crate::rehearse::cluster::Cluster;
use crate::rehearse::object::{Key, Object, Time};

/// A status that is being written. One that says what was said before is no change.
#[derive(Debug, Clone)]
pub struct Draft(Map<String, Value>);

impl Draft {
    /// As the object has it.
    pub fn of(object: &Object) -> Self {
        Self(object.status.as_ref().and_then(|status| status.as_object()).cloned().unwrap_or_default())
    }

    /// A number as it was said; 0 where none was.
    pub fn get(&self, field: &str) -> i64 {
        self.0.get(field).and_then(Value::as_i64).unwrap_or(0)
    }

    /// A text as it was said; empty where none was.
    pub fn text(&self, field: &str) -> &str {
        self.0.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// Says a number; 0 is left out, as the server does with most.
    pub fn number(&mut self, field: &str, number: i64) {
        match number {
            0 => drop(self.0.shift_remove(field)),
            number => self.set(field, number.into()),
        }
    }

    /// Says a value.
    pub fn set(&mut self, field: &str, value: Value) {
        self.0.insert(field.to_owned(), value);
    }

    /// Says nothing of a field.
    pub fn forget(&mut self, field: &str) {
        self.0.shift_remove(field);
    }

    /// The value of a field.
    pub fn value(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// A condition that was said.
    pub fn condition(&self, kind: &str) -> Option<&Value> {
        self.0.get("conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)
    }

    /// Whether a condition is true.
    pub fn is(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition["status"] == "True")
    }

    /// The reason of a condition; empty where there is none.
    pub fn reason(&self, kind: &str) -> &str {
        self.condition(kind).and_then(|condition| condition["reason"].as_str()).unwrap_or_default()
    }

    /// Says a condition in the place of the one of its type: as given, and last where there was none.
    pub fn put_condition(&mut self, condition: Value) {
        let list = self.0.entry("conditions").or_insert_with(|| json!([]));
        let Some(list) = list.as_array_mut() else { return };
        match list.iter_mut().find(|known| known["type"] == condition["type"]) {
            Some(known) => *known = condition,
            None => list.push(condition),
        }
    }

    /// Takes a condition back.
    pub fn remove_condition(&mut self, kind: &str) {
        let Some(list) = self.0.get_mut("conditions").and_then(Value::as_array_mut) else { return };
        list.retain(|condition| condition["type"] != kind);
        if list.is_empty() {
            self.0.shift_remove("conditions");
        }
    }

    /// The status as a value.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// Writes it, if it says something new.
    pub fn write(self, key: &Key, cluster: &mut Cluster) {
        let written = cluster.set_status(key, self.into_value());
        debug_assert!(written.is_ok(), "a status that is none: {written:?}");
    }
}

/// A condition as of now, Unix milliseconds.
pub fn condition(kind: &str, status: &str, reason: &str, message: &str, now: i64) -> Value {
    json!({ "type": kind, "status": status, "lastTransitionTime": Time(now), "reason": reason, "message": message })
}
