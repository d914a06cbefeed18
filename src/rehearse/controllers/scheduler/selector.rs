//! Selectors of nodes: `nodeSelector`, node affinity, and the node affinity of volumes (component-helpers,
//! scheduling/corev1/nodeaffinity).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

type Labels = BTreeMap<String, String>;

/// Whether a node of this name and these labels is what a pod requires by `nodeSelector` and node affinity.
pub(super) fn is_required(spec: &PodSpec, name: &str, labels: &Labels) -> bool {
    let is_selected = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    is_selected && required(spec).is_none_or(|selector| selects(selector, name, labels))
}

/// What a pod requires by node affinity.
pub(super) fn required(spec: &PodSpec) -> Option<&NodeSelector> {
    let affinity: Option<&Affinity> = spec.affinity.as_ref();
    affinity?.node_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref()
}

/// Whether a selector selects a node: one of its terms does.
pub(super) fn selects(selector: &NodeSelector, name: &str, labels: &Labels) -> bool {
    selector.node_selector_terms.iter().any(|term| matches(term, name, labels))
}

/// Whether a term matches a node: all that it says holds; a term that says nothing matches none.
pub(super) fn matches(term: &NodeSelectorTerm, name: &str, labels: &Labels) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.iter().all(|one| holds(one, labels.get(&one.key).map(String::as_str)))
        && fields.iter().all(|one| holds(one, (one.key == "metadata.name").then_some(name)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_among = |value: &str| values.iter().any(|one| one == value);
    let compared = || Some((value?.parse::<i64>().ok()?, values.first()?.parse::<i64>().ok()?));
    match requirement.operator.as_str() {
        "In" => value.is_some_and(is_among),
        "NotIn" => !value.is_some_and(is_among),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(|(value, bound)| value > bound),
        "Lt" => compared().is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

/// The names of the nodes that a pod's node affinity names, if each of its terms names some: as DaemonSets pin their pods
/// (node_affinity.go, PreFilter).
pub(super) fn named(spec: &PodSpec) -> Option<Vec<String>> {
    let terms = &required(spec)?.node_selector_terms;
    let mut all = Vec::new();
    for term in terms {
        let mut names: Option<Vec<String>> = None;
        for field in term.match_fields.iter().flatten().filter(|one| one.key == "metadata.name" && one.operator == "In")
        {
            let values = field.values.clone().unwrap_or_default();
            names = Some(
                names.map_or(values.clone(), |known| known.into_iter().filter(|one| values.contains(one)).collect()),
            );
        }
        all.extend(names?);
    }
    all.sort();
    all.dedup();
    (!terms.is_empty()).then_some(all)
}
