//! Taints and tolerations, as the scheduler and the node controllers read them.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Taint, Toleration};
use serde_json::{Value, json};

use crate::rehearse::cluster::Cluster;
use crate::rehearse::object::{Key, Time};

/// What a cordon becomes.
pub(super) const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// What a node has whose kubelet says that it is not ready.
pub(super) const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// What a node has that is not heard of.
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// What someone gives a node that is gone for good: its pods need not be waited for.
pub(super) const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Whether a toleration tolerates a taint (core/v1/toleration.go, ToleratesTaint).
pub(super) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let is_unsaid = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    let is = |said: &Option<String>, wanted: &str| is_unsaid(said) || said.as_deref() == Some(wanted);
    if !is(&toleration.effect, &taint.effect) || !is(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
        "Exists" => true,
        _ => false,
    }
}

/// Whether one of these tolerates a taint.
pub(super) fn are_tolerant(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

/// The first taint that keeps new pods away and that none of these tolerates.
pub(super) fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration]) -> Option<&'a Taint> {
    taints.iter().filter(|taint| keeps_away(taint)).find(|taint| !are_tolerant(tolerations, taint))
}

/// Whether a taint keeps new pods away.
pub(super) fn keeps_away(taint: &Taint) -> bool {
    matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
}

/// The taint that a cordon becomes.
pub(super) fn of_cordon() -> Taint {
    Taint { effect: "NoSchedule".into(), key: UNSCHEDULABLE.into(), ..Taint::default() }
}

/// Takes some taints off a node and puts others on it (key and effect), in one write (controller_utils.go,
/// AddOrUpdateTaintOnNode: what is new comes last, with the time).
pub(super) fn swap(cluster: &mut Cluster, node: &Key, add: &[(&str, &str)], remove: &[(&str, &str)]) {
    let now = Time(cluster.now).to_string();
    cluster.change(node, |object| {
        let body = Arc::make_mut(&mut object.body);
        let spec = body.entry("spec").or_insert_with(|| json!({}));
        let mut taints = spec["taints"].as_array().cloned().unwrap_or_default();
        let is = |taint: &Value, (key, effect): &(&str, &str)| taint["key"] == *key && taint["effect"] == *effect;
        let before = taints.len();
        taints.retain(|taint| !remove.iter().any(|one| is(taint, one)));
        let missing: Vec<Value> = add
            .iter()
            .filter(|one| !taints.iter().any(|taint| is(taint, one)))
            .map(|(key, effect)| json!({ "key": key, "effect": effect, "timeAdded": now }))
            .collect();
        if missing.is_empty() && taints.len() == before {
            return None;
        }
        taints.extend(missing);
        match (spec.as_object_mut(), taints.is_empty()) {
            (Some(spec), true) => drop(spec.shift_remove("taints")),
            (Some(spec), false) => drop(spec.insert("taints".to_owned(), taints.into())),
            (None, _) => return None,
        }
        Some(())
    });
}
