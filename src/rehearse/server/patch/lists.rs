//! By what the elements of Kubernetes' lists are told apart (`patchMergeKey` and `listMapKey` in k8s.io/api). Names of fields
//! mean the same wherever they stand, but for `ports`.

use serde_json::Value;

/// The fields that tell the elements of a list apart for an apply; empty for lists that are replaced as a whole.
pub(super) fn keys(field: &str, list: &[Value]) -> &'static [&'static str] {
    let has = |name: &str| list.iter().any(|element| element.get(name).is_some());
    match field {
        "containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes" | "imagePullSecrets" => &["name"],
        "webhooks" | "secrets" => &["name"],
        "conditions" | "addresses" => &["type"],
        "ownerReferences" => &["uid"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        "ports" if has("containerPort") => &["containerPort", "protocol"],
        "ports" => &["port", "protocol"],
        _ => &[],
    }
}

/// The field that tells the elements of a list apart for a strategic merge patch.
pub(super) fn key(field: &str, list: &[Value]) -> Option<&'static str> {
    // A Service's and a container's ports have one key there, and constraints of spread one too.
    keys(field, list).first().copied()
}

/// Whether a list is a set of words.
pub(super) fn is_set(field: &str) -> bool {
    field == "finalizers"
}
