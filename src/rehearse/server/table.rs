//! Rows for people: what `kubectl get` prints. Ages are of the world's time, which need not be that of whoever looks
//! (k8s.io/kubernetes, pkg/printers/internalversion/printers.go).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Object, Time};

mod pod;

const NONE: &str = "<none>";

/// A column: its name, and whether only `-o wide` shows it.
type Column = (&'static str, bool);

/// A Table of objects of one kind, as of now (Unix milliseconds); each row has its object, or its metadata alone.
pub(super) fn of(kind: Kind, objects: &[&Arc<Object>], is_whole: bool, now: i64) -> Value {
    let columns: Vec<Value> = columns(kind).iter().map(|(name, is_wide)| column(name, *is_wide)).collect();
    let row = |object: &&Arc<Object>| {
        let partial =
            || json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.meta });
        json!({ "cells": cells(object, now), "object": if is_whole { object.to_value() } else { partial() } })
    };
    let rows: Vec<Value> = objects.iter().map(row).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": columns, "rows": rows,
    })
}

fn column(name: &str, is_wide: bool) -> Value {
    let format = if name == "Name" { "name" } else { "" };
    json!({ "name": name, "type": "string", "format": format, "description": "", "priority": i32::from(is_wide) })
}

fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Node => &[
            ("Name", false),
            ("Status", false),
            ("Roles", false),
            ("Age", false),
            ("Version", false),
            ("OS-Image", true),
            ("Kernel-Version", true),
            ("Container-Runtime", true),
        ],
        Kind::Pod => &[
            ("Name", false),
            ("Ready", false),
            ("Status", false),
            ("Restarts", false),
            ("Age", false),
            ("IP", true),
            ("Node", true),
            ("Nominated Node", true),
            ("Readiness Gates", true),
        ],
        Kind::Namespace => &[("Name", false), ("Status", false), ("Age", false)],
        Kind::Deployment => {
            &[("Name", false), ("Ready", false), ("Up-to-date", false), ("Available", false), ("Age", false)]
        }
        Kind::ReplicaSet => {
            &[("Name", false), ("Desired", false), ("Current", false), ("Ready", false), ("Age", false)]
        }
        Kind::StatefulSet => &[("Name", false), ("Ready", false), ("Age", false)],
        Kind::DaemonSet => &[
            ("Name", false),
            ("Desired", false),
            ("Current", false),
            ("Ready", false),
            ("Up-to-date", false),
            ("Available", false),
            ("Node Selector", false),
            ("Age", false),
        ],
        Kind::Job => &[("Name", false), ("Status", false), ("Completions", false), ("Age", false)],
        Kind::PodDisruptionBudget => &[
            ("Name", false),
            ("Min Available", false),
            ("Max Unavailable", false),
            ("Allowed Disruptions", false),
            ("Age", false),
        ],
        Kind::Event => {
            &[("Last Seen", false), ("Type", false), ("Reason", false), ("Object", false), ("Message", false)]
        }
        _ => &[("Name", false), ("Age", false)],
    }
}

fn cells(object: &Object, now: i64) -> Vec<String> {
    let age = object.meta.created.map_or_else(|| "<unknown>".to_owned(), |created| lasted(now - created.0));
    if object.kind == Kind::Event {
        return event(object, now);
    }
    let mut cells = vec![object.meta.name.to_string()];
    match object.kind {
        Kind::Node => {
            cells.extend([node_status(object), roles(object), age]);
            let info = |field: &str| text(object.status(&format!("/nodeInfo/{field}")));
            cells.extend(["kubeletVersion", "osImage", "kernelVersion", "containerRuntimeVersion"].map(info));
            return cells;
        }
        Kind::Pod => {
            cells.extend(pod::cells(object, &age, now));
            return cells;
        }
        Kind::Namespace => cells.push(text(object.status("/phase"))),
        Kind::Deployment => {
            cells.push(format!("{}/{}", status(object, "readyReplicas"), wanted(object)));
            cells.extend(["updatedReplicas", "availableReplicas"].map(|field| status(object, field).to_string()));
        }
        Kind::ReplicaSet => {
            cells.push(wanted(object).to_string());
            cells.extend(["replicas", "readyReplicas"].map(|field| status(object, field).to_string()));
        }
        Kind::StatefulSet => cells.push(format!("{}/{}", status(object, "readyReplicas"), wanted(object))),
        Kind::DaemonSet => {
            const FIELDS: [&str; 5] = [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "numberReady",
                "updatedNumberScheduled",
                "numberAvailable",
            ];
            cells.extend(FIELDS.map(|field| status(object, field).to_string()));
            let wanted = object.spec("/template/spec/nodeSelector").and_then(Value::as_object);
            let wanted = wanted
                .into_iter()
                .flatten()
                .map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default()));
            let wanted: Vec<String> = wanted.collect();
            cells.push(if wanted.is_empty() { NONE.to_owned() } else { wanted.join(",") });
        }
        Kind::Job => {
            cells.push(job_status(object).to_owned());
            let wanted = object.spec("/completions").and_then(Value::as_i64).unwrap_or(1);
            cells.push(format!("{}/{wanted}", status(object, "succeeded")));
        }
        Kind::PodDisruptionBudget => {
            cells.extend(["/minAvailable", "/maxUnavailable"].map(|field| {
                object.spec(field).map_or_else(|| "N/A".to_owned(), |value| value.to_string().replace('"', ""))
            }));
            cells.push(status(object, "disruptionsAllowed").to_string());
        }
        _ => {}
    }
    cells.push(age);
    cells
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or("<unknown>").to_owned()
}

fn status(object: &Object, field: &str) -> i64 {
    object.status.as_ref().and_then(|status| status[field].as_i64()).unwrap_or(0)
}

fn wanted(object: &Object) -> i64 {
    object.spec("/replicas").and_then(Value::as_i64).unwrap_or(1)
}

fn node_status(object: &Object) -> String {
    let node = object.node().cloned().unwrap_or_default();
    let ready = match node.ready.as_str() {
        "True" => "Ready",
        "" => "Unknown",
        _ => "NotReady",
    };
    if node.is_cordoned { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

fn roles(object: &Object) -> String {
    let roles = object.meta.labels.keys().filter_map(|label| label.strip_prefix("node-role.kubernetes.io/"));
    let roles: Vec<&str> = roles.filter(|role| !role.is_empty()).collect();
    if roles.is_empty() { NONE.to_owned() } else { roles.join(",") }
}

fn job_status(object: &Object) -> &'static str {
    let conditions = object.status("/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is = |kind: &str| conditions.iter().any(|one| one["type"] == kind && one["status"] == "True");
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if object.is_terminating() => "Terminating",
        () if is("Suspended") => "Suspended",
        () => "Running",
    }
}

fn event(object: &Object, now: i64) -> Vec<String> {
    let word = |field: &str| text(object.body.get(field));
    let empty = Map::new();
    let about = object.body.get("involvedObject").and_then(Value::as_object).unwrap_or(&empty);
    let part = |field: &str| about.get(field).and_then(Value::as_str).unwrap_or_default();
    let seen = ["lastTimestamp", "eventTime", "firstTimestamp"].iter();
    let seen = seen.filter_map(|field| object.body.get(*field)?.as_str()).find_map(Time::parse);
    let seen = seen.map_or_else(|| "<unknown>".to_owned(), |seen| lasted(now - seen.0));
    vec![
        seen,
        word("type"),
        word("reason"),
        format!("{}/{}", part("kind").to_lowercase(), part("name")),
        word("message"),
    ]
}

/// How long something lasts, in one or two units (apimachinery, util/duration HumanDuration); milliseconds.
fn lasted(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |first: i64, unit: &str, second: i64, rest: &str| {
        if second == 0 { format!("{first}{unit}") } else { format!("{first}{unit}{second}{rest}") }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_or_two_units() {
        let of = |seconds: i64| lasted(seconds * 1000);
        let expected = ["0s", "119s", "2m", "2m5s", "59m", "3h", "7h59m", "26h", "4d", "5d3h", "30d", "2y1d", "9y"];
        let day = 86_400;
        let given = [
            -5,
            119,
            120,
            125,
            59 * 60,
            3 * 3600,
            8 * 3600 - 60,
            26 * 3600,
            4 * day,
            5 * day + 3 * 3600,
            30 * day,
            731 * day,
            9 * 365 * day,
        ];
        assert_eq!(given.map(of).to_vec(), expected.to_vec());
    }
}
