//! Server-side apply: who manages which fields, and that nobody takes another's by accident.
//!
//! Managers of what clients write are recorded but for pods, nodes, Leases and Events, of which there are many writes and no
//! applies. Controllers record nothing. Which lists are merged is told by [`super::lists`], not by a schema.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::request::Request;
use super::super::room::State;
use super::super::route::Place;
use super::super::write;
use super::fields::{self, Fields, Path, Step};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Object, Time};
use crate::rehearse::status::Refused;

/// One of `managedFields`
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    manager: String,
    is_apply: bool,
    subresource: String,
    version: String,
    time: String,
    fields: Fields,
}

/// What an apply makes of an object, or of nothing: the object with its managers.
///
/// # Errors
/// 400 for what is no object, 409 where a field is another's and not forced, 422 without a manager.
pub(in super::super) fn applied(
    current: Option<&Arc<Object>>,
    request: &Request,
    place: &Place,
    name: &str,
    state: &State,
) -> Result<Value, Refused> {
    let manager = request.parameter("fieldManager");
    if manager.is_empty() {
        let why = "Required value: is required for apply patch";
        let message = format!("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: {why}");
        return Err(Refused::new(422, "Invalid", message));
    }
    let config = config(request, place, name)?;
    let own = fields_of(&config);
    let mut live = match current {
        Some(current) => write::view_of(state, place, current),
        None => json!({ "apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": config["metadata"] }),
    };
    let mut entries = entries(&live);
    let subresource = place.subresource.as_str();
    let is_own = |entry: &Entry| entry.is_apply && entry.manager == manager && entry.subresource == subresource;
    let conflicts = conflicts(&entries, is_own, &live, &config, &own);
    if !conflicts.is_empty() && !request.is_set("force") {
        return Err(refused(&conflicts));
    }
    let taken: Vec<Path> = conflicts.into_iter().map(|(_, path)| path).collect();
    let mut before = Fields::new();
    entries.retain_mut(|entry| {
        if is_own(entry) {
            before.clone_from(&entry.fields);
            return entry.fields == own;
        }
        entry.fields.retain(|path| !taken.contains(path));
        !entry.fields.is_empty()
    });
    let known = live.clone();
    let is_others = |path: &Path| entries.iter().any(|entry| entry.fields.contains(path));
    for path in before.difference(&own).filter(|path| !is_others(path)) {
        fields::remove(&mut live, path);
    }
    fields::merge(&mut live, &config, "");
    if !entries.iter().any(is_own) {
        let version = place.head().0;
        let time = Time(state.world.cluster.now).to_string();
        entries.push(Entry {
            manager: manager.to_owned(),
            is_apply: true,
            subresource: subresource.to_owned(),
            version,
            time,
            fields: own,
        });
    } else if live == known {
        return Ok(known);
    }
    set_entries(&mut live, &entries);
    Ok(live)
}

/// Records who manages what a client has written otherwise; `current` is the object before it.
pub(in super::super) fn record(
    current: Option<&Arc<Object>>,
    body: &mut Value,
    place: &Place,
    request: &Request,
    now: i64,
) {
    if matches!(place.info.kind, Kind::Pod | Kind::Node | Kind::Lease | Kind::Event) {
        return;
    }
    let before = current.map(|current| current.to_value()).unwrap_or_default();
    let mut entries = entries(&before);
    let is_meant = |path: &Path| {
        let is_of_status = path.first() == Some(&Step::Field("status".into()));
        is_of_status == (place.subresource == "status")
    };
    let (new, old) = (fields_of(body), fields_of(&before));
    let is_new = |path: &&Path| fields::at(&before, path) != fields::at(body, path) && is_meant(path);
    let changed: Fields = new.iter().filter(is_new).cloned().collect();
    let gone: Fields = old.difference(&new).filter(|path| is_meant(path)).cloned().collect();
    if !changed.is_empty() || !gone.is_empty() {
        let manager = request.manager();
        let is_own =
            |entry: &Entry| !entry.is_apply && entry.manager == manager && entry.subresource == place.subresource;
        let mut own: Fields =
            entries.iter().filter(|entry| is_own(entry)).flat_map(|entry| entry.fields.clone()).collect();
        own.extend(changed.iter().cloned());
        entries.retain_mut(|entry| {
            entry.fields.retain(|path| !changed.contains(path) && !gone.contains(path));
            !is_own(entry) && !entry.fields.is_empty()
        });
        own.retain(|path| !gone.contains(path));
        entries.push(Entry {
            manager: manager.to_owned(),
            is_apply: false,
            subresource: place.subresource.clone(),
            version: place.head().0,
            time: Time(now).to_string(),
            fields: own,
        });
    }
    set_entries(body, &entries);
}

/// What is applied: an object of the place, under the name of the path.
fn config(request: &Request, place: &Place, name: &str) -> Result<Value, Refused> {
    let mut config: Value = serde_yaml_ng::from_slice(&request.body)
        .map_err(|error| Refused::bad_request(format!("error decoding patch: {error}")))?;
    if !config.is_object() {
        return Err(Refused::bad_request("what is applied is no object"));
    }
    write::complete(&mut config, place)?;
    if config["metadata"]["managedFields"].is_array() {
        return Err(Refused::bad_request("metadata.managedFields must be nil"));
    }
    match config["metadata"]["name"].as_str() {
        None | Some("") => config["metadata"]["name"] = name.into(),
        Some(given) if given != name => {
            let why = format!("the name of the object ({given}) does not match the name on the URL ({name})");
            return Err(Refused::bad_request(why));
        }
        Some(_) => {}
    }
    Ok(config)
}

/// The fields of an object that somebody can manage.
fn fields_of(object: &Value) -> Fields {
    const OF_NOBODY: [&str; 9] = [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    ];
    let is_managed = |path: &Path| match path.as_slice() {
        [] => false,
        [Step::Field(field)] => !matches!(field.as_str(), "apiVersion" | "kind" | "metadata"),
        [Step::Field(head), Step::Field(field), ..] if head == "metadata" => !OF_NOBODY.contains(&field.as_str()),
        _ => true,
    };
    fields::of(object).into_iter().filter(is_managed).collect()
}

/// The fields that are applied, managed by somebody else, and would change.
fn conflicts(
    entries: &[Entry],
    is_own: impl Fn(&Entry) -> bool,
    live: &Value,
    config: &Value,
    own: &Fields,
) -> Vec<(Entry, Path)> {
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| !is_own(entry)) {
        let shared = own.intersection(&entry.fields).filter(|path| !matches!(path.last(), Some(Step::Element(_))));
        let differ = shared.filter(|path| fields::at(live, path) != fields::at(config, path));
        found.extend(differ.map(|path| (entry.clone(), path.clone())));
    }
    found
}

/// 409 (apimachinery, util/managedfields/internal/conflict.go)
fn refused(conflicts: &[(Entry, Path)]) -> Refused {
    let message = match conflicts {
        [(entry, path)] => {
            format!("Apply failed with 1 conflict: conflict with {}: {}", entry.shown(), fields::shown(path))
        }
        many => {
            let mut lines: Vec<String> = Vec::new();
            for (entry, path) in many {
                let head = format!("conflicts with {}:", entry.shown());
                if !lines.contains(&head) {
                    lines.push(head);
                }
                lines.push(format!("- {}", fields::shown(path)));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    let cause = |(entry, path): &(Entry, Path)| {
        let message = format!("conflict with {}", entry.shown());
        json!({ "reason": "FieldManagerConflict", "message": message, "field": fields::shown(path) })
    };
    let mut refused = Refused::new(409, "Conflict", message);
    refused.details = json!({ "causes": conflicts.iter().map(cause).collect::<Vec<_>>() });
    refused
}

impl Entry {
    fn shown(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        match (self.is_apply, self.time.as_str()) {
            (true, _) => text,
            (false, "") => format!("{text} using {}", self.version),
            (false, time) => format!("{text} using {} at {time}", self.version),
        }
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    let entry = |entry: &Value| {
        let word = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        Entry {
            manager: word("manager"),
            is_apply: entry["operation"] == "Apply",
            subresource: word("subresource"),
            version: word("apiVersion"),
            time: word("time"),
            fields: fields::read(&entry["fieldsV1"]),
        }
    };
    object["metadata"]["managedFields"].as_array().into_iter().flatten().map(entry).collect()
}

fn set_entries(object: &mut Value, entries: &[Entry]) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if entries.is_empty() {
        metadata.shift_remove("managedFields");
        return;
    }
    let written = |entry: &Entry| {
        let mut written = json!({
            "manager": entry.manager,
            "operation": if entry.is_apply { "Apply" } else { "Update" },
            "apiVersion": entry.version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields::written(&entry.fields),
        });
        if !entry.subresource.is_empty() {
            written["subresource"] = entry.subresource.as_str().into();
        }
        written
    };
    metadata.insert("managedFields".to_owned(), entries.iter().map(written).collect());
}
