//! `scale`, and the binding of a pod to a node.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Answer;
use super::patch;
use super::request::Request;
use super::room::State;
use super::route::Place;
use crate::rehearse::object::{Condition, Object};
use crate::rehearse::status::Refused;

/// The autoscaling/v1 Scale of a workload.
fn scale_of(object: &Object) -> Value {
    let selector = object.spec("/selector").cloned().unwrap_or_default();
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": &*object.meta.name, "namespace": &*object.meta.namespace, "uid": &*object.meta.uid,
            "resourceVersion": object.meta.resource_version.to_string(), "creationTimestamp": object.meta.created,
        },
        "spec": { "replicas": object.spec("/replicas").cloned().unwrap_or_else(|| json!(1)) },
        "status": {
            "replicas": object.status("/replicas").cloned().unwrap_or_else(|| json!(0)),
            "selector": shown_selector(&selector),
        },
    })
}

/// A selector as text, as metav1.FormatLabelSelector writes it.
fn shown_selector(selector: &Value) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    for rule in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = rule["key"].as_str().unwrap_or_default();
        let values = rule["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        parts.push(match rule["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort();
    parts.join(",")
}

/// GET of a scale.
pub(super) fn scale(state: &State, place: &Place, name: &str) -> Result<Answer, Refused> {
    let key = place.key(name);
    let object = state.world.cluster.store.get(&key).ok_or_else(|| Refused::not_found(&key))?;
    Ok(Answer::value(&scale_of(object)))
}

/// PUT or PATCH of a scale: sets the replicas of the workload.
pub(super) fn set_scale(state: &mut State, request: &Request, place: &Place, name: &str) -> Result<Answer, Refused> {
    let key = place.key(name);
    let current = state.world.cluster.store.get(&key).cloned().ok_or_else(|| Refused::not_found(&key))?;
    let wanted = if request.method == http::Method::PATCH {
        patch::patched(scale_of(&current), request, place.info)?
    } else {
        request.json()?
    };
    let version = wanted["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !version.is_empty() && version != current.meta.resource_version.to_string() {
        return Err(Refused::modified(&key));
    }
    let replicas = match &wanted["spec"]["replicas"] {
        Value::Null => 0,
        value => value.as_i64().ok_or_else(|| Refused::bad_request("spec.replicas is no number"))?,
    };
    if replicas < 0 {
        let why = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        return Err(Refused::invalid(&key, "spec.replicas", &why));
    }
    let scaled = if request.is_dry_run()? {
        let mut object = (*current).clone();
        set_replicas(&mut object, replicas);
        Arc::new(object)
    } else {
        let change = |object: &mut Object| set_replicas(object, replicas);
        state.world.cluster.change(&key, change).ok_or_else(|| Refused::not_found(&key))?
    };
    Ok(Answer::value(&scale_of(&scaled)))
}

fn set_replicas(object: &mut Object, replicas: i64) -> Option<()> {
    let spec = Arc::make_mut(&mut object.body).entry("spec").or_insert_with(|| json!({}));
    spec.as_object_mut()?.insert("replicas".to_owned(), replicas.into());
    Some(())
}

/// POST of a Binding (k8s.io/kubernetes, registry/core/pod/storage/storage.go assignPod).
pub(super) fn bind(state: &mut State, request: &Request, place: &Place, name: &str) -> Result<Answer, Refused> {
    let body = request.json()?;
    let (kind, node) = (body["target"]["kind"].as_str(), body["target"]["name"].as_str().unwrap_or_default());
    if node.is_empty() || !matches!(kind, None | Some("" | "Node")) {
        return Err(Refused::bad_request("the target of a Binding is a Node with a name"));
    }
    let key = place.key(name);
    let cluster = &mut state.world.cluster;
    let current = cluster.store.get(&key).ok_or_else(|| Refused::not_found(&key))?;
    let bound = current.pod().and_then(|pod| pod.node.as_deref());
    let why = match bound {
        _ if current.is_terminating() => Some(format!("pod {name} is being deleted, cannot be assigned to a host")),
        Some(bound) => Some(format!("pod {name} is already assigned to node {bound:?}")),
        None => None,
    };
    if let Some(why) = why {
        let message = format!("Operation cannot be fulfilled on pods/binding {name:?}: {why}");
        let mut refused = Refused::new(409, "Conflict", message);
        refused.details = json!({ "name": name, "kind": "pods/binding" });
        return Err(refused);
    }
    if !request.is_dry_run()? {
        let scheduled = Condition::new("PodScheduled", true, cluster.now);
        cluster.change(&key, |object| {
            let pod = object.pod_mut()?;
            pod.node = Some(node.into());
            pod.status.set_condition(scheduled);
            Some(())
        });
    }
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(Answer::value(&status).code(201))
}
