//! On which nodes pods of a DaemonSet are to be, and on which they may stay (daemon_controller.go NodeShouldRunDaemonPod,
//! util/daemonset_util.go). Pods are pinned to their node by an affinity, and come there through the scheduler.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSetSpec;
use k8s_openapi::api::core::v1 as core;
use serde_json::{Map, Value, json};

use crate::rehearse::object::Object;

/// The field by which a pod is pinned to a node.
const NAME: &str = "metadata.name";

/// What the pods of a DaemonSet ask of a node.
#[derive(Debug, Clone, Default)]
pub(super) struct Wants {
    node: Option<String>,
    labels: std::collections::BTreeMap<String, String>,
    terms: Option<Vec<core::NodeSelectorTerm>>,
    /// The template's own, and those that every pod of a DaemonSet has.
    pub(super) tolerations: Vec<core::Toleration>,
}

impl Wants {
    pub(super) fn of(spec: &DaemonSetSpec) -> Self {
        let Some(pod) = &spec.template.spec else { return Self::default() };
        let affinity = pod.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|one| one.required_during_scheduling_ignored_during_execution.as_ref());
        Self {
            node: pod.node_name.clone().filter(|name| !name.is_empty()),
            labels: pod.node_selector.clone().unwrap_or_default(),
            terms: required.map(|required| required.node_selector_terms.clone()),
            tolerations: tolerations(pod),
        }
    }

    /// Whether a pod is to be on a node, and whether one that is there may stay.
    pub(super) fn on(&self, node: &Object) -> (bool, bool) {
        if self.node.as_ref().is_some_and(|name| **name != *node.meta.name) || !self.fits(node) {
            return (false, false);
        }
        let taints = node.node().map(|node| node.taints.as_slice()).unwrap_or_default();
        let is_borne = |taint: &core::Taint| self.tolerations.iter().any(|one| tolerates(one, taint));
        let is_against = |effect: &str| taints.iter().any(|taint| taint.effect == effect && !is_borne(taint));
        let is_ended = is_against("NoExecute");
        (!is_ended && !is_against("NoSchedule"), !is_ended)
    }

    fn fits(&self, node: &Object) -> bool {
        let has_labels = self.labels.iter().all(|(label, value)| node.meta.labels.get(label) == Some(value));
        has_labels && self.terms.as_ref().is_none_or(|terms| terms.iter().any(|term| is_met(term, node)))
    }
}

/// A term without conditions is met by no node.
fn is_met(term: &core::NodeSelectorTerm, node: &Object) -> bool {
    let (labels, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
    let (labels, fields) = (labels.unwrap_or_default(), fields.unwrap_or_default());
    let by_label = |one: &core::NodeSelectorRequirement| holds(one, node.meta.label(&one.key));
    let by_field = |one: &core::NodeSelectorRequirement| one.key == NAME && holds(one, Some(&*node.meta.name));
    !(labels.is_empty() && fields.is_empty()) && labels.iter().all(by_label) && fields.iter().all(by_field)
}

fn holds(requirement: &core::NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_among = |value: &str| values.iter().any(|one| one == value);
    let compare = |is: fn(&i64, &i64) -> bool| {
        let number = |text: &str| text.parse::<i64>().ok();
        let (one, other) = (value.and_then(number), values.first().and_then(|text| number(text)));
        one.zip(other).is_some_and(|(one, other)| is(&one, &other))
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(is_among),
        "NotIn" => !value.is_some_and(is_among),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(i64::gt),
        "Lt" => compare(i64::lt),
        _ => false,
    }
}

fn tolerates(toleration: &core::Toleration, taint: &core::Taint) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (key, effect, value) = (text(&toleration.key), text(&toleration.effect), text(&toleration.value));
    let is_its = (effect.is_empty() || effect == taint.effect) && (key.is_empty() || key == taint.key);
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => is_its,
        _ => is_its && !key.is_empty() && value == text(&taint.value),
    }
}

/// What every pod of a DaemonSet tolerates: silent nodes for good, pressure, cordons; without a network if it uses the node's.
fn tolerations(pod: &core::PodSpec) -> Vec<core::Toleration> {
    const ALL: [(&str, &str); 7] = [
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
        ("node.kubernetes.io/network-unavailable", "NoSchedule"),
    ];
    let mut tolerations = pod.tolerations.clone().unwrap_or_default();
    let count = if pod.host_network.unwrap_or(false) { ALL.len() } else { ALL.len() - 1 };
    for (key, effect) in &ALL[..count] {
        let wanted = core::Toleration {
            key: Some((*key).to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some((*effect).to_owned()),
            ..core::Toleration::default()
        };
        let is_alike = |one: &core::Toleration| (&one.key, &one.effect) == (&wanted.key, &wanted.effect);
        // One for the same taint gives way, as in AddOrUpdateTolerationInPodSpec.
        tolerations.retain(|one| !(is_alike(one) && one.operator == wanted.operator));
        tolerations.push(wanted);
    }
    tolerations
}

/// Pins a pod's spec to a node.
pub(super) fn pin(spec: &mut Map<String, Value>, node: &str, wants: &Wants) {
    let fields = json!([{ "key": NAME, "operator": "In", "values": [node] }]);
    let affinity = spec.entry("affinity").or_insert_with(|| json!({}));
    affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        json!({ "nodeSelectorTerms": [{ "matchFields": fields }] });
    spec.insert("tolerations".to_owned(), serde_json::to_value(&wants.tolerations).unwrap_or_default());
}

/// The node that a pod is on, or pinned to.
pub(super) fn target(pod: &Object) -> Option<Arc<str>> {
    let pod = pod.pod()?;
    if let Some(node) = &pod.node {
        return Some(node.clone());
    }
    let affinity = pod.spec.typed.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
    let mut fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let pinned = fields.find(|one| one.key == NAME && one.operator == "In")?;
    pinned.values.as_ref()?.first().map(|name| name.as_str().into())
}
