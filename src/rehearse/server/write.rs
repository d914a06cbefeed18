//! POST, PUT, PATCH and DELETE of objects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Answer;
use super::request::{Request, unsupported_dry_run, unsupported_media_type};
use super::room::State;
use super::route::Place;
use super::selector::Selector;
use super::view::View;
use super::{event, patch, read};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Malformed, Object, Time};
use crate::rehearse::status::Refused;
use crate::rehearse::write::{DeleteOptions, Deleted, Propagation};

const OTHER_NAMESPACE: &str = "the namespace of the provided object does not match the namespace sent on the request";

/// POST of an object.
pub(super) fn create(state: &mut State, request: &Request, place: &Place) -> Result<Answer, Refused> {
    let is_dry_run = request.is_dry_run()?;
    let mut body = body(request, place)?;
    patch::record(None, &mut body, place, request, state.world.cluster.now);
    let object = made(state, place, body, is_dry_run)?;
    Ok(shown(state, request, place, &object).code(201))
}

/// Makes an object of what a client sent.
pub(super) fn made(state: &mut State, place: &Place, body: Value, is_dry_run: bool) -> Result<Arc<Object>, Refused> {
    let mut object = self::object(place, body)?;
    if object.meta.resource_version != 0 {
        return Err(Refused::bad_request("resourceVersion should not be set on objects to be created"));
    }
    object.meta.generate_name = object.meta.generate_name.filter(|stem| !stem.is_empty());
    // What controllers say of it is not the client's; a kubelet registers its node with what it knows.
    match place.info.kind {
        Kind::Node | Kind::Pod | Kind::Opaque(_) => {}
        Kind::Namespace => object.status = Some(Arc::new(json!({ "phase": "Active" }))),
        _ if place.info.has_status => object.status = None,
        _ => {}
    }
    object.look().map_err(|error| malformed(place, &error))?;
    validate(&object)?;
    let cluster = &mut state.world.cluster;
    if !is_dry_run {
        return cluster.create(object);
    }
    if cluster.store.get(&object.key()).is_some() {
        return Err(Refused::already_exists(&object.key()));
    }
    object.meta.uid = cluster.new_uid();
    object.meta.created = Some(Time(cluster.now));
    Ok(Arc::new(object))
}

/// PUT of an object or of its status.
pub(super) fn update(state: &mut State, request: &Request, place: &Place, name: &str) -> Result<Answer, Refused> {
    let is_dry_run = request.is_dry_run()?;
    let mut body = body(request, place)?;
    let given = body["metadata"]["name"].as_str().unwrap_or_default();
    if given != name {
        let why = format!("the name of the object ({given}) does not match the name on the URL ({name})");
        return Err(Refused::bad_request(why));
    }
    let key = place.key(name);
    let Some(current) = state.world.cluster.store.get(&key).cloned() else {
        if matches!(place.info.kind, Kind::Lease | Kind::Event) && place.subresource.is_empty() {
            let object = made(state, place, body, is_dry_run)?;
            return Ok(shown(state, request, place, &object).code(201));
        }
        return Err(Refused::not_found(&key));
    };
    let has_version = body["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty());
    if !has_version && needs_version(place.info.kind) {
        let why = "Invalid value: 0: must be specified for an update";
        return Err(Refused::invalid(&key, "metadata.resourceVersion", why));
    }
    patch::record(Some(&current), &mut body, place, request, state.world.cluster.now);
    let object = replaced(state, place, &current, body, is_dry_run)?;
    Ok(shown(state, request, place, &object))
}

/// PATCH of an object or of its status.
pub(super) fn patch(state: &mut State, request: &Request, place: &Place, name: &str) -> Result<Answer, Refused> {
    let is_dry_run = request.is_dry_run()?;
    let key = place.key(name);
    let current = state.world.cluster.store.get(&key).cloned();
    if request.content == patch::APPLY {
        let body = patch::applied(current.as_ref(), request, place, name, state)?;
        let (object, code) = match current {
            Some(current) => (replaced(state, place, &current, body, is_dry_run)?, 200),
            None => (made(state, place, body, is_dry_run)?, 201),
        };
        return Ok(shown(state, request, place, &object).code(code));
    }
    let current = current.ok_or_else(|| Refused::not_found(&key))?;
    let mut body = patch::patched(view_of(state, place, &current), request, place.info)?;
    patch::record(Some(&current), &mut body, place, request, state.world.cluster.now);
    let object = replaced(state, place, &current, body, is_dry_run)?;
    Ok(shown(state, request, place, &object))
}

/// An object as a client of its place would send it back.
pub(super) fn view_of(state: &State, place: &Place, object: &Arc<Object>) -> Value {
    let value = state.beat.shown(object).to_value();
    if place.is_new_event { event::to_new(value) } else { value }
}

/// Puts what a client sent in the place of an object: identity, times and what belongs to the other half (spec or status) stay.
pub(super) fn replaced(
    state: &mut State,
    place: &Place,
    current: &Arc<Object>,
    body: Value,
    is_dry_run: bool,
) -> Result<Arc<Object>, Refused> {
    let wanted = state.beat.kept(object(place, body)?, current);
    check_identity(state, &wanted, current)?;
    let mut object = if place.subresource == "status" {
        with_status_of(wanted, current)
    } else {
        with_all_but_status_of(wanted, current, place.info.has_status)
    };
    object.meta.uid = current.meta.uid.clone();
    object.meta.created = current.meta.created;
    object.meta.deleted = current.meta.deleted;
    object.meta.grace = current.meta.grace;
    object.meta.generation = current.meta.generation;
    object.meta.generate_name.clone_from(&current.meta.generate_name);
    object.look().map_err(|error| malformed(place, &error))?;
    validate(&object)?;
    check_pod_spec(&object, current)?;
    if is_dry_run {
        object.meta.resource_version = current.meta.resource_version;
        return Ok(Arc::new(object));
    }
    Ok(state.world.cluster.put(object))
}

fn check_identity(state: &State, wanted: &Object, current: &Arc<Object>) -> Result<(), Refused> {
    let key = current.key();
    if wanted.key() != key {
        let why = "Invalid value: field is immutable";
        return Err(Refused::invalid(&key, "metadata.name", why));
    }
    if !wanted.meta.uid.is_empty() && wanted.meta.uid != current.meta.uid {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            wanted.meta.uid, current.meta.uid
        );
        return Err(Refused::conflict(&key, &why));
    }
    let version = wanted.meta.resource_version;
    let is_known = version == 0
        || version == current.meta.resource_version
        || version == state.beat.shown(current).meta.resource_version;
    if is_known { Ok(()) } else { Err(Refused::modified(&key)) }
}

fn with_status_of(wanted: Object, current: &Arc<Object>) -> Object {
    let mut object = (**current).clone();
    // Of nodes and pods labels and annotations may come along (registry/core/node/strategy.go, nodeStatusStrategy).
    if matches!(current.kind, Kind::Node | Kind::Pod) {
        object.meta.labels = wanted.meta.labels;
        object.meta.annotations = wanted.meta.annotations;
    }
    match (&mut object.detail, wanted.detail) {
        (Detail::Pod(pod), Detail::Pod(wanted)) => pod.status = wanted.status,
        _ => object.status = wanted.status,
    }
    object
}

fn with_all_but_status_of(mut object: Object, current: &Arc<Object>, has_status: bool) -> Object {
    if let (Some(pod), Some(known)) = (object.pod_mut(), current.pod()) {
        pod.status = known.status.clone();
        if pod.spec.raw == known.spec.raw {
            pod.spec = Arc::clone(&known.spec);
        }
    } else if has_status {
        object.status.clone_from(&current.status);
    }
    if object.body == current.body {
        object.body = Arc::clone(&current.body);
    }
    object
}

/// What is refused whoever asks, as far as somebody upgrading could meet it.
fn validate(object: &Object) -> Result<(), Refused> {
    let Some(budget) = object.budget() else { return Ok(()) };
    if budget.spec.min_available.is_some() && budget.spec.max_unavailable.is_some() {
        let why = "Invalid value: minAvailable and maxUnavailable cannot be both set";
        return Err(Refused::invalid(&object.key(), "spec", why));
    }
    Ok(())
}

/// Refuses to change of a pod what cannot be changed (k8s.io/kubernetes, core/validation ValidatePodUpdate).
fn check_pod_spec(wanted: &Object, current: &Object) -> Result<(), Refused> {
    let (Some(new), Some(old)) = (wanted.pod(), current.pod()) else { return Ok(()) };
    let rest = |spec: &serde_json::Map<String, Value>| {
        let mut spec = spec.clone();
        for free in ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates"] {
            spec.shift_remove(free);
        }
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container.as_object_mut().map(|container| container.shift_remove("image"));
            }
        }
        spec
    };
    let is_same = Arc::ptr_eq(&new.spec, &old.spec) || rest(&new.spec.raw) == rest(&old.spec.raw);
    if is_same && new.node == old.node {
        return Ok(());
    }
    let why = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
               `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
               tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
    Err(Refused::invalid(&current.key(), "spec", why))
}

/// Whether an update has to say which version it replaces (AllowUnconditionalUpdate of each strategy).
fn needs_version(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::PodDisruptionBudget
            | Kind::Lease
            | Kind::CsiNode
            | Kind::VolumeAttachment
            | Kind::ValidatingWebhookConfiguration
            | Kind::MutatingWebhookConfiguration
            | Kind::Opaque(_)
    )
}

/// The body of a request that writes an object: of the place's kind and namespace.
fn body(request: &Request, place: &Place) -> Result<Value, Refused> {
    let mut body = request.json()?;
    if !body.is_object() {
        return Err(Refused::bad_request("the body of the request is no object"));
    }
    complete(&mut body, place)?;
    Ok(body)
}

/// Fills in what the path says, and refuses what contradicts it.
pub(super) fn complete(body: &mut Value, place: &Place) -> Result<(), Refused> {
    let (version, kind) = place.head();
    for (field, known) in [("apiVersion", version.as_str()), ("kind", kind)] {
        let given = body[field].as_str().unwrap_or_default();
        if !given.is_empty() && given != known {
            let why = format!("the {field} in the data ({given}) does not match the expected {field} ({known})");
            return Err(Refused::bad_request(why));
        }
        body[field] = known.into();
    }
    if !body["metadata"].is_object() {
        body["metadata"] = json!({});
    }
    let given = body["metadata"]["namespace"].as_str().unwrap_or_default();
    match &place.namespace {
        Some(namespace) if given.is_empty() => body["metadata"]["namespace"] = namespace.as_str().into(),
        Some(namespace) if given != namespace => return Err(Refused::bad_request(OTHER_NAMESPACE)),
        None if !given.is_empty() => return Err(Refused::bad_request(OTHER_NAMESPACE)),
        _ => {}
    }
    Ok(())
}

fn object(place: &Place, body: Value) -> Result<Object, Refused> {
    let body = if place.is_new_event { event::to_old(body) } else { body };
    Object::read(place.info.kind, body).map_err(|error| malformed(place, &error))
}

fn malformed(place: &Place, error: &Malformed) -> Refused {
    let (version, kind) = (place.info.version, place.info.name);
    Refused::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {error}"))
}

/// An object as the answer.
pub(super) fn shown(state: &State, request: &Request, place: &Place, object: &Arc<Object>) -> Answer {
    let mut body = Vec::new();
    View::new(place, request, state).write(object, &mut body);
    Answer::json(body)
}

/// DELETE of an object.
pub(super) fn delete(state: &mut State, request: &Request, place: &Place, name: &str) -> Result<Answer, Refused> {
    let options = delete_options(request, place.info.kind)?;
    let deleted = state.world.cluster.delete(&place.key(name), &options)?;
    Ok(match deleted {
        Deleted::Gone(object) if !is_returned(place.info.kind) => Answer::value(&json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details(place, &object),
        })),
        Deleted::Gone(object) | Deleted::Terminating(object) => shown(state, request, place, &object),
    })
}

fn details(place: &Place, object: &Object) -> Value {
    let mut details = json!({ "name": &*object.meta.name });
    if !place.info.group.is_empty() {
        details["group"] = place.info.group.into();
    }
    details["kind"] = place.info.plural.into();
    details["uid"] = (*object.meta.uid).into();
    details
}

/// DELETE of all that a selector means.
pub(super) fn delete_all(state: &mut State, request: &Request, place: &Place) -> Result<Answer, Refused> {
    let options = delete_options(request, place.info.kind)?;
    let selector = Selector::read(request, place)?;
    let meant = read::all(state, place, &selector);
    for object in &meant {
        match state.world.cluster.delete(&object.key(), &options) {
            Err(refused) if refused.code != 404 => return Err(refused),
            _ => {}
        }
    }
    let metadata = json!({ "resourceVersion": state.world.cluster.store.version().to_string() });
    let items: Vec<&Arc<Object>> = meant.iter().collect();
    Ok(Answer::json(View::new(place, request, state).list(place, &metadata, &items)))
}

/// Whether the last state of an object is the answer to its deletion (ReturnDeletedObject in registry/*/storage.go).
fn is_returned(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Pod
            | Kind::Namespace
            | Kind::Service
            | Kind::ServiceAccount
            | Kind::PersistentVolume
            | Kind::PersistentVolumeClaim
            | Kind::ResourceQuota
            | Kind::StorageClass
            | Kind::CsiNode
            | Kind::VolumeAttachment
    )
}

fn delete_options(request: &Request, kind: Kind) -> Result<DeleteOptions, Refused> {
    if !matches!(request.content.as_str(), "" | "*/*" | "application/json" | "application/yaml") {
        return Err(unsupported_media_type(&request.content, &["application/json"]));
    }
    let mut options = read_delete_options(&request.json()?, kind)?;
    // What the body says counts; a query is read where there is none (handlers/delete.go).
    if request.body.is_empty() {
        options.grace = request.number("gracePeriodSeconds")?;
        options.propagation = propagation(request.parameter("propagationPolicy"), kind)?;
        if request.is_set("orphanDependents") {
            options.propagation = Propagation::Orphan;
        }
    }
    options.is_dry_run |= request.is_dry_run()?;
    Ok(options)
}

/// Reads a DeleteOptions; null says nothing.
///
/// # Errors
/// 400 and 422 for what is none.
pub(super) fn read_delete_options(body: &Value, kind: Kind) -> Result<DeleteOptions, Refused> {
    let mut options = DeleteOptions { grace: body["gracePeriodSeconds"].as_i64(), ..DeleteOptions::default() };
    let word = |value: &Value| value.as_str().map(str::to_owned);
    options.uid = word(&body["preconditions"]["uid"]);
    // A version that is no number is none that anything has.
    options.version = word(&body["preconditions"]["resourceVersion"]).map(|text| text.parse().unwrap_or(u64::MAX));
    options.propagation = propagation(body["propagationPolicy"].as_str().unwrap_or_default(), kind)?;
    if body["orphanDependents"] == true {
        options.propagation = Propagation::Orphan;
    }
    let dry: Vec<&str> = body["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if dry.iter().any(|one| *one != "All") {
        return Err(unsupported_dry_run("DeleteOptions", &dry));
    }
    options.is_dry_run = !dry.is_empty();
    Ok(options)
}

/// The default leaves what belongs to a Job alone (registry/batch/job/strategy.go, DefaultGarbageCollectionPolicy).
fn propagation(given: &str, kind: Kind) -> Result<Propagation, Refused> {
    match given {
        "" if kind == Kind::Job => Ok(Propagation::Orphan),
        "" | "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        "Orphan" => Ok(Propagation::Orphan),
        other => {
            let known = "supported values: \"Background\", \"Foreground\", \"Orphan\", \"nil\"";
            let why = format!("Unsupported value: {other:?}: {known}");
            Err(Refused::new(
                422,
                "Invalid",
                format!("DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: {why}"),
            ))
        }
    }
}
