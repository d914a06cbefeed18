//! Events: what controllers say of objects, kept as v1 Event.

use serde_json::{Value, json};

use crate::rehearse::cluster::Cluster;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Key, Object, Time};

/// What is said of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said<'a> {
    /// Who says it, such as `default-scheduler`.
    pub(super) by: &'a str,
    /// Whether it is a `Warning`; `Normal` otherwise.
    pub(super) is_warning: bool,
    /// In a word, such as `FailedScheduling`.
    pub(super) reason: &'a str,
    /// What was tried, of those who speak events.k8s.io (`Scheduling`); empty of the others.
    pub(super) action: &'a str,
    /// In a sentence.
    pub(super) message: &'a str,
}

/// Makes an Event about an object, in the object's namespace (`default` for one of the cluster), and gives its key. It is
/// written as client-go's recorders do: `tools/events` where there is an action, `tools/record` otherwise.
pub(super) fn say(cluster: &mut Cluster, about: &Object, said: Said<'_>) -> Option<Key> {
    let (kind, api_version) =
        about.kind.info().map_or((String::new(), String::new()), |info| (info.name.to_owned(), info.api_version()));
    let namespace = if about.meta.namespace.is_empty() { "default" } else { &*about.meta.namespace };
    let mut involved = json!({ "kind": kind, "name": &*about.meta.name, "uid": &*about.meta.uid,
                               "apiVersion": api_version, "resourceVersion": about.meta.resource_version.to_string() });
    if !about.meta.namespace.is_empty() {
        involved["namespace"] = (*about.meta.namespace).into();
    }
    let mut event = json!({
        "metadata": { "name": format!("{}.{:016x}", about.meta.name, cluster.random.next()), "namespace": namespace },
        "involvedObject": involved,
        "reason": said.reason,
        "message": said.message,
        "type": if said.is_warning { "Warning" } else { "Normal" },
        "reportingComponent": said.by,
    });
    when(&mut event, said, Time(cluster.now));
    let object = Object::read(Kind::Event, event).ok()?;
    cluster.create(object).ok().map(|event| event.key())
}

fn when(event: &mut Value, said: Said<'_>, now: Time) {
    if said.action.is_empty() {
        event["source"] = json!({ "component": said.by });
        event["firstTimestamp"] = now.to_string().into();
        event["lastTimestamp"] = now.to_string().into();
        event["count"] = 1.into();
        event["eventTime"] = Value::Null;
    } else {
        event["source"] = json!({});
        event["action"] = said.action.into();
        event["firstTimestamp"] = Value::Null;
        event["lastTimestamp"] = Value::Null;
        event["eventTime"] = now.micro().into();
    }
}

/// Notes on an Event of events.k8s.io that the same was said again: the first repetition makes it a series. Its message stays
/// that of the first (`tools/events`, event_broadcaster.go: the note is no part of what makes two alike).
pub(super) fn again(cluster: &mut Cluster, event: &Key) {
    let now = Time(cluster.now).micro();
    cluster.change(event, |event| {
        let body = std::sync::Arc::make_mut(&mut event.body);
        body.insert("series".to_owned(), json!({ "count": 2, "lastObservedTime": now }));
        Some(())
    });
}
