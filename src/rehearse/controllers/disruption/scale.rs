//! How many pods the owner of a pod is to have, as the disruption controller finds out.

use crate::rehearse::kinds::{KINDS, Kind};
use crate::rehearse::object::{Object, Owner};
use crate::rehearse::store::Store;

/// The UID of what scales a pod, and its scale: of a ReplicaSet's pods, its Deployment's; `None` where it is not there.
///
/// # Errors
/// Why it cannot be told, in the words of the status condition.
pub(super) fn of(owner: &Owner, namespace: &str, store: &Store) -> Result<Option<(String, i64)>, String> {
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let Some(kind) = Kind::of_object(&owner.api_version, &owner.kind) else {
        return opaque(owner, group, namespace, store);
    };
    let info = KINDS.iter().find(|info| info.kind == kind);
    if !info.is_some_and(|info| info.has_scale) {
        let resource = info.map_or_else(String::new, |info| info.resource());
        return Err(format!("{resource} does not implement the scale subresource"));
    }
    let Some(found) = store.find(kind, namespace, &owner.name).filter(|found| *found.meta.uid == *owner.uid) else {
        return Ok(None);
    };
    if kind == Kind::ReplicaSet
        && let Some(above) = found.meta.controller().filter(|above| above.kind == "Deployment")
        && let Some(deployment) =
            store.find(Kind::Deployment, namespace, &above.name).filter(|found| *found.meta.uid == *above.uid)
    {
        return Ok(Some((deployment.meta.uid.to_string(), replicas(deployment))));
    }
    Ok(Some((found.meta.uid.to_string(), replicas(found))))
}

fn replicas(object: &Object) -> i64 {
    object.spec("/replicas").and_then(serde_json::Value::as_i64).unwrap_or(1)
}

/// Of a kind that a snapshot brought it is not known whether it has a scale: one with `spec.replicas` is taken for scalable.
fn opaque(owner: &Owner, group: &str, namespace: &str, store: &Store) -> Result<Option<(String, i64)>, String> {
    let is_it = |object: &&std::sync::Arc<Object>| {
        let field = |name: &str| object.body.get(name).and_then(serde_json::Value::as_str);
        *object.meta.uid == *owner.uid && field("kind") == Some(&owner.kind)
    };
    let kinds = store.kinds().into_iter().filter(|kind| matches!(kind, Kind::Opaque(_)));
    let found = kinds.filter_map(|kind| store.find(kind, namespace, &owner.name)).find(is_it);
    let Some(found) = found else {
        return Err(format!("no matches for kind {:?} in version {:?}", owner.kind, owner.api_version));
    };
    match found.spec("/replicas").and_then(serde_json::Value::as_i64) {
        Some(scale) => Ok(Some((owner.uid.clone(), scale))),
        None => {
            let resource = plural(&owner.kind);
            let named = if group.is_empty() { resource } else { format!("{resource}.{group}") };
            Err(format!("{named} does not implement the scale subresource"))
        }
    }
}

/// The resource's name as it is guessed from the kind (apimachinery, api/meta/restmapper.go).
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.chars().last() {
        Some('s') => format!("{lower}es"),
        Some('y') => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    }
}
