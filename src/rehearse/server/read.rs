//! GET of one object, and lists: all of them or page by page, as of now or of a version that is still known.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::answer::Answer;
use super::request::Request;
use super::room::State;
use super::route::Place;
use super::selector::Selector;
use super::view::View;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Key, Object};
use crate::rehearse::status::Refused;
use crate::rehearse::store::Store;

const EXPIRED: &str = "The resourceVersion for the provided list is too old.";
const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. \
                                You can start a new list without the continue parameter.";

/// GET of one object.
pub(super) fn get(state: &State, request: &Request, place: &Place, name: &str) -> Result<Answer, Refused> {
    let key = place.key(name);
    let object = state.world.cluster.store.get(&key).ok_or_else(|| Refused::not_found(&key))?;
    let mut body = Vec::new();
    View::new(place, request, state).write(object, &mut body);
    Ok(Answer::json(body))
}

/// Where a list begins.
struct From {
    /// As of which version.
    version: u64,
    /// After which namespace and name.
    after: Option<(String, String)>,
}

/// LIST.
pub(super) fn list(state: &State, request: &Request, place: &Place) -> Result<Answer, Refused> {
    check_match(request)?;
    let selector = Selector::read(request, place)?;
    let store = &state.world.cluster.store;
    let from = begin(store, request)?;
    let limit: usize = request.number("limit")?.unwrap_or(0);
    // What is asked of the cache is not parted (storage/cacher, delegator.go).
    let limit = if limit == 0 || request.parameter("resourceVersion") == "0" { usize::MAX } else { limit };
    let objects = objects(store, place, &selector, &from)?;
    let page = objects.get(..limit.min(objects.len())).unwrap_or_default();
    let mut metadata = json!({ "resourceVersion": from.version.to_string() });
    if let Some(last) = page.last().filter(|_| page.len() < objects.len()) {
        metadata["continue"] = token(from.version, &last.meta.namespace, &last.meta.name).into();
        if selector.is_empty() {
            metadata["remainingItemCount"] = (objects.len() - page.len()).into();
        }
    }
    let page: Vec<&Arc<Object>> = page.iter().collect();
    Ok(Answer::json(View::new(place, request, state).list(place, &metadata, &page)))
}

/// Everything that a selector means, as it is now.
pub(super) fn all(state: &State, place: &Place, selector: &Selector) -> Vec<Arc<Object>> {
    let is_meant = |object: &&Arc<Object>| place.holds(&object.meta.namespace) && selector.matches(object);
    now(&state.world.cluster.store, place, selector).filter(is_meant).cloned().collect()
}

/// The objects that a selector means, in order of namespace and name, as of where a list begins.
fn objects(store: &Store, place: &Place, selector: &Selector, from: &From) -> Result<Vec<Arc<Object>>, Refused> {
    let kind = place.info.kind;
    let too_old = || {
        let why = if from.after.is_some() { CONTINUE_EXPIRED } else { EXPIRED };
        Refused::new(410, "Expired", why)
    };
    let before = before(store, kind, from.version).ok_or_else(too_old)?;
    let is_after = |object: &Object| {
        let place = (&*object.meta.namespace, &*object.meta.name);
        from.after.as_ref().is_none_or(|(namespace, name)| place > (namespace.as_str(), name.as_str()))
    };
    let is_meant =
        |object: &Arc<Object>| place.holds(&object.meta.namespace) && is_after(object) && selector.matches(object);
    let now = now(store, place, selector);
    if before.is_empty() {
        return Ok(now.filter(|object| is_meant(object)).cloned().collect());
    }
    // What has changed since counts as it was.
    let mut all: BTreeMap<Key, Arc<Object>> = now.map(|object| (object.key(), Arc::clone(object))).collect();
    for (key, object) in before {
        match object {
            Some(object) => all.insert(key, object),
            None => all.remove(&key),
        };
    }
    Ok(all.into_values().filter(is_meant).collect())
}

/// What may be meant of what is there now.
fn now<'a>(
    store: &'a Store,
    place: &'a Place,
    selector: &'a Selector,
) -> Box<dyn Iterator<Item = &'a Arc<Object>> + 'a> {
    match (place.info.kind, selector.node(), &place.namespace) {
        (Kind::Pod, Some(node), _) => Box::new(store.pods_on(node)),
        (kind, _, Some(namespace)) => Box::new(store.in_namespace(kind, namespace)),
        (kind, _, None) => Box::new(store.all(kind)),
    }
}

/// What has changed of a kind since a version, as it was then; `None` where that is not known any more.
fn before(store: &Store, kind: Kind, version: u64) -> Option<BTreeMap<Key, Option<Arc<Object>>>> {
    let mut before = BTreeMap::new();
    for (_, change) in store.since(kind, version)? {
        before.entry(change.object.key()).or_insert_with(|| change.previous.clone());
    }
    Some(before)
}

fn begin(store: &Store, request: &Request) -> Result<From, Refused> {
    let token = request.parameter("continue");
    if !token.is_empty() {
        return read_token(token).ok_or_else(|| Refused::bad_request(format!("continue key is not valid: {token:?}")));
    }
    let current = store.version();
    let asked = version(request)?;
    if asked.is_some_and(|asked| asked > current) {
        return Err(too_large(asked.unwrap_or(0), current));
    }
    let is_exact = request.parameter("resourceVersionMatch") == "Exact";
    let version = asked.filter(|_| is_exact).unwrap_or(current);
    Ok(From { version, after: None })
}

/// The version that is asked for; `None` where any will do, or the newest.
///
/// # Errors
/// 400
pub(super) fn version(request: &Request) -> Result<Option<u64>, Refused> {
    match request.parameter("resourceVersion") {
        "" | "0" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| Refused::bad_request(format!("resourceVersion: Invalid value: {text:?}: it is no number"))),
    }
}

/// 504: the server has not come that far (apiserver, storage/errors.go NewTooLargeResourceVersionError).
fn too_large(asked: u64, current: u64) -> Refused {
    let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
    Refused::new(504, "Timeout", message).after(1).caused_by("ResourceVersionTooLarge", "Too large resource version")
}

/// 422 where `resourceVersionMatch` fits nothing else (apimachinery, internalversion/validation).
fn check_match(request: &Request) -> Result<(), Refused> {
    let (version, wanted) = (request.parameter("resourceVersion"), request.parameter("resourceVersionMatch"));
    let why = match wanted {
        "" => return forbid_initial_events(request),
        _ if version.is_empty() => "resourceVersionMatch is forbidden unless resourceVersion is provided",
        _ if !request.parameter("continue").is_empty() => "resourceVersionMatch is forbidden when continue is provided",
        "Exact" if version == "0" => "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        "Exact" | "NotOlderThan" => return forbid_initial_events(request),
        other => {
            let known = "supported values: \"\", \"Exact\", \"NotOlderThan\"";
            let why = format!("Unsupported value: {other:?}: {known}");
            return Err(unfit("resourceVersionMatch", "FieldValueNotSupported", &why));
        }
    };
    Err(forbidden("resourceVersionMatch", why))
}

fn forbid_initial_events(request: &Request) -> Result<(), Refused> {
    match request.parameter("sendInitialEvents") {
        "" => Ok(()),
        _ => Err(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")),
    }
}

/// 422 for an option of a list or watch that may not be there.
pub(super) fn forbidden(field: &str, why: &str) -> Refused {
    unfit(field, "FieldValueForbidden", &format!("Forbidden: {why}"))
}

fn unfit(field: &str, reason: &str, why: &str) -> Refused {
    let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: {why}");
    let mut refused = Refused::new(422, "Invalid", message);
    let causes = json!([{ "reason": reason, "message": why, "field": field }]);
    refused.details = json!({ "group": "meta.k8s.io", "kind": "ListOptions", "causes": causes });
    refused
}

/// Where the next page begins. Names hold no `/`, so that the parts can be told.
fn token(version: u64, namespace: &str, name: &str) -> String {
    format!("{version}/{namespace}/{name}")
}

fn read_token(token: &str) -> Option<From> {
    let mut parts = token.splitn(3, '/');
    let version = parts.next()?.parse().ok()?;
    Some(From { version, after: Some((parts.next()?.to_owned(), parts.next()?.to_owned())) })
}
