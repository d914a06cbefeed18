//! What the server serves, for clients that ask before they do (apiserver, endpoints/discovery; the older form, one document
//! a group and version, which every client still reads).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::route::{NEW_EVENTS, REVIEWS, nothing_there};
use crate::rehearse::cluster::About;
use crate::rehearse::kinds::{KINDS, Kind, KindInfo};
use crate::rehearse::status::Refused;

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// `/version`
pub(super) fn version(about: &About) -> Value {
    let major = about.version.trim_start_matches('v').split('.').next().unwrap_or_default();
    json!({
        "major": major,
        "minor": about.minor.to_string(),
        "gitVersion": about.version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "rehearsal",
    })
}

/// `/api`
pub(super) fn core_versions() -> Value {
    let addresses = json!([{ "clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1" }]);
    json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses })
}

/// `/apis`
pub(super) fn groups() -> Value {
    let all: Vec<Value> = group_names().into_iter().map(|(name, version)| group(name, version)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": all })
}

/// `/apis/GROUP`
pub(super) fn one_group(name: &str) -> Result<Value, Refused> {
    let version = group_names().get(name).copied().ok_or_else(nothing_there)?;
    let mut one = group(name, version);
    one["kind"] = "APIGroup".into();
    one["apiVersion"] = "v1".into();
    Ok(one)
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

/// Groups and the one version of each.
fn group_names() -> BTreeMap<&'static str, &'static str> {
    let of_kinds = KINDS.iter().filter(|info| !info.group.is_empty()).map(|info| (info.group, info.version));
    of_kinds.chain(REVIEWS.iter().map(|(group, _, _)| (*group, "v1"))).chain([(NEW_EVENTS, "v1")]).collect()
}

/// `/api/v1`, `/apis/GROUP/VERSION`
///
/// # Errors
/// 404 for a group or version that is not served.
pub(super) fn resources(group: &str, version: &str) -> Result<Value, Refused> {
    let mut resources = Vec::new();
    for info in KINDS.iter().filter(|info| info.group == group && info.version == version) {
        resources.push(resource(info));
        resources.extend(subresources(info));
    }
    if (group, version) == (NEW_EVENTS, "v1") {
        resources.extend(Kind::Event.info().map(resource));
    }
    if version == "v1" {
        let reviews = REVIEWS.iter().filter(|(known, _, _)| *known == group);
        resources.extend(reviews.map(|(_, plural, kind)| {
            json!({ "name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind, "verbs": ["create"] })
        }));
    }
    if resources.is_empty() {
        return Err(nothing_there());
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    });
    Ok(list)
}

fn resource(info: &KindInfo) -> Value {
    let mut resource = json!({
        "name": info.plural,
        "singularName": info.name.to_lowercase(),
        "namespaced": info.is_namespaced,
        "kind": info.name,
        "verbs": VERBS,
    });
    if !info.short.is_empty() {
        resource["shortNames"] = json!(info.short);
    }
    // What `kubectl get all` means.
    if matches!(
        info.kind,
        Kind::Pod
            | Kind::Service
            | Kind::Deployment
            | Kind::ReplicaSet
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::Job
            | Kind::CronJob
    ) {
        resource["categories"] = json!(["all"]);
    }
    resource
}

fn subresources(info: &KindInfo) -> Vec<Value> {
    let below = |name: &str, kind: &str, verbs: &[&str]| {
        let name = format!("{}/{name}", info.plural);
        json!({ "name": name, "singularName": "", "namespaced": info.is_namespaced, "kind": kind, "verbs": verbs })
    };
    let of = |mut resource: Value, group: &str, version: &str| {
        resource["group"] = group.into();
        resource["version"] = version.into();
        resource
    };
    let mut all = Vec::new();
    if info.kind == Kind::Pod {
        all.push(below("binding", "Binding", &["create"]));
        all.push(of(below("eviction", "Eviction", &["create"]), "policy", "v1"));
    }
    if info.has_scale {
        all.push(of(below("scale", "Scale", &["get", "patch", "update"]), "autoscaling", "v1"));
    }
    if info.has_status {
        all.push(below("status", info.name, &["get", "patch", "update"]));
    }
    all
}

/// `/openapi/v3`: where the schema of each group and version is.
pub(super) fn schemas() -> Value {
    let place = |group: &str, version: &str| {
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        (path.clone(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}") }))
    };
    let all = group_names().into_iter().chain([("", "v1")]).map(|(group, version)| place(group, version));
    json!({ "paths": all.collect::<serde_json::Map<_, _>>() })
}

/// A schema of nothing but this: that the server itself looks at fields (`fieldValidation`), so that kubectl does not.
///
/// # Errors
/// 404 for a group or version that is not served.
pub(super) fn schema(group: &str, version: &str) -> Result<Value, Refused> {
    let parameter = json!({ "name": "fieldValidation", "in": "query", "schema": { "type": "string" } });
    let path = |info: &KindInfo| {
        let kind = json!({ "group": group, "version": version, "kind": info.name });
        let patch = json!({
            "parameters": [parameter], "responses": {}, "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": kind,
        });
        (format!("/{}/{{name}}", info.plural), json!({ "patch": patch }))
    };
    let served = KINDS.iter().filter(|info| info.group == group && info.version == version);
    let paths: serde_json::Map<String, Value> = served.map(path).collect();
    if paths.is_empty() {
        return Err(nothing_there());
    }
    let info = json!({ "title": "sprag rehearsal", "version": version });
    Ok(json!({ "openapi": "3.0.0", "info": info, "paths": paths }))
}
