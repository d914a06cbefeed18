//! Events as events.k8s.io/v1 shows them: the same objects under other names (k8s.io/kubernetes, pkg/apis/events/v1/conversion.go).

use serde_json::{Map, Value};

/// Fields of v1 and what they are called in events.k8s.io.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// A v1 Event as the new group shows it.
pub(super) fn to_new(event: Value) -> Value {
    let mut event = renamed(event, |name| NAMES.iter().find(|(old, _)| *old == name).map(|(_, new)| *new));
    if event.get("apiVersion").is_some() {
        event["apiVersion"] = "events.k8s.io/v1".into();
    }
    event
}

/// An Event of the new group as it is kept.
pub(super) fn to_old(event: Value) -> Value {
    renamed(event, |name| NAMES.iter().find(|(_, new)| *new == name).map(|(old, _)| *old))
}

fn renamed(event: Value, name_of: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(fields) = event else { return event };
    let rename = |(name, value): (String, Value)| (name_of(&name).map(str::to_owned).unwrap_or(name), value);
    Value::Object(fields.into_iter().map(rename).collect::<Map<_, _>>())
}
