//! Affinity and anti-affinity between pods: those of the pod that is to be placed, and those of the pods that are there
//! (plugins/interpodaffinity). Pods that are being deleted count.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Affinity as Written, PodAffinityTerm, WeightedPodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::cache::{Cache, Node};
use super::filters::{Failure, Plugin};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Labels, Object};
use crate::rehearse::select;
use crate::rehearse::store::Store;

/// One term of affinity or anti-affinity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    topology: String,
    selector: Option<LabelSelector>,
    namespaces: BTreeSet<Arc<str>>,
    namespace_selector: Option<LabelSelector>,
}

/// The terms of a pod.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Terms {
    pub(super) affinity: Vec<Term>,
    pub(super) anti: Vec<Term>,
    /// Weight and term; anti-affinity has weights below 0.
    pub(super) preferred: Vec<(i64, Term)>,
}

/// A pod as terms look at it: its namespace with the namespace's labels, and its labels.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) namespace: Arc<str>,
    pub(super) namespace_labels: Labels,
    pub(super) labels: Labels,
}

/// Numbers by a topology's key and value.
#[derive(Debug, Clone, Default)]
pub(super) struct Domains(BTreeMap<String, HashMap<String, i64>>);

/// What of affinity matters for one pod, on all nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Affinity {
    own: Arc<Terms>,
    is_own_match: bool,
    wanted: Domains,
    unwanted: Domains,
    /// By the anti-affinity of pods that are there.
    unwelcome: Domains,
}

const NOT_WANTED: &str = "node(s) didn't match pod anti-affinity rules";
const NO_COMPANY: &str = "node(s) didn't match pod affinity rules";
const UNWELCOME: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

impl Domains {
    /// Adds to the domain that a node is in by a topology's key, if it is in any.
    fn add(&mut self, topology: &str, node: &Node, count: i64) {
        let Some(value) = node.label(topology) else { return };
        if !self.0.contains_key(topology) {
            self.0.insert(topology.to_owned(), HashMap::new());
        }
        let Some(values) = self.0.get_mut(topology) else { return };
        match values.get_mut(value) {
            Some(sum) => *sum += count,
            None => drop(values.insert(value.to_owned(), count)),
        }
    }

    fn of(&self, topology: &str, node: &Node) -> i64 {
        let values = self.0.get(topology).zip(node.label(topology));
        values.and_then(|(values, value)| values.get(value)).copied().unwrap_or(0)
    }

    /// The sum over all domains that a node is in.
    pub(super) fn sum(&self, node: &Node) -> i64 {
        self.0.keys().map(|topology| self.of(topology, node)).sum()
    }

    /// Whether there is nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has_none(&self) -> bool {
        self.0.values().flat_map(HashMap::values).all(|count| *count <= 0)
    }
}

impl Term {
    /// Whether a pod is what the term speaks of.
    pub(super) fn matches(&self, seen: &Seen) -> bool {
        let is_in_namespace = self.namespaces.contains(&seen.namespace)
            || self.namespace_selector.as_ref().is_some_and(|one| select::matches(one, &seen.namespace_labels));
        is_in_namespace && self.selector.as_ref().is_some_and(|selector| select::matches(selector, &seen.labels))
    }

    /// Whether two nodes are in different domains, or only one is in any.
    pub(super) fn tells_apart(&self, one: &Labels, other: &Labels) -> bool {
        one.get(&self.topology) != other.get(&self.topology)
    }

    /// Whether the term speaks of nodes with these labels.
    pub(super) fn knows(&self, labels: &Labels) -> bool {
        labels.contains_key(&self.topology)
    }

    fn read(pod: &Object, written: &PodAffinityTerm) -> Self {
        let named = written.namespaces.iter().flatten();
        let mut namespaces: BTreeSet<Arc<str>> = named.map(|name| name.as_str().into()).collect();
        if namespaces.is_empty() && written.namespace_selector.is_none() {
            namespaces.insert(pod.meta.namespace.clone());
        }
        let mut selector = written.label_selector.clone();
        // The API server merges these into the selector of a pod that is made (registry/core/pod/strategy.go).
        for (keys, operator) in [(&written.match_label_keys, "In"), (&written.mismatch_label_keys, "NotIn")] {
            for key in keys.iter().flatten() {
                if let (Some(selector), Some(value)) = (&mut selector, pod.meta.label(key)) {
                    selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
                        key: key.clone(),
                        operator: operator.to_owned(),
                        values: Some(vec![value.to_owned()]),
                    });
                }
            }
        }
        let (topology, namespace_selector) = (written.topology_key.clone(), written.namespace_selector.clone());
        Self { topology, selector, namespaces, namespace_selector }
    }
}

/// The terms of a pod, with a name that is the same for pods of a namespace with the same terms; `None` where it has none.
pub(super) fn terms_of(object: &Object) -> Option<(Arc<str>, Arc<Terms>)> {
    let affinity: &Written = object.pod()?.spec.typed.affinity.as_ref()?;
    if affinity.pod_affinity.is_none() && affinity.pod_anti_affinity.is_none() {
        return None;
    }
    let terms = read(object, affinity);
    let name = format!("{} {terms:?}", object.meta.namespace);
    Some((name.into(), Arc::new(terms)))
}

fn read(pod: &Object, written: &Written) -> Terms {
    let all = |terms: &Option<Vec<PodAffinityTerm>>| -> Vec<Term> {
        terms.iter().flatten().map(|term| Term::read(pod, term)).collect()
    };
    let mut terms = Terms::default();
    let mut prefer = |weighted: &Option<Vec<WeightedPodAffinityTerm>>, sign: i64| {
        for one in weighted.iter().flatten() {
            terms.preferred.push((sign * i64::from(one.weight), Term::read(pod, &one.pod_affinity_term)));
        }
    };
    let (mut affinity, mut anti) = (Vec::new(), Vec::new());
    if let Some(written) = &written.pod_affinity {
        affinity = all(&written.required_during_scheduling_ignored_during_execution);
        prefer(&written.preferred_during_scheduling_ignored_during_execution, 1);
    }
    if let Some(written) = &written.pod_anti_affinity {
        anti = all(&written.required_during_scheduling_ignored_during_execution);
        prefer(&written.preferred_during_scheduling_ignored_during_execution, -1);
    }
    (terms.affinity, terms.anti) = (affinity, anti);
    terms
}

impl Seen {
    /// A pod of these labels in a namespace.
    pub(super) fn new(store: &Store, namespace: &Arc<str>, labels: &Labels) -> Self {
        let found = store.find(Kind::Namespace, "", namespace);
        let namespace_labels = found.map(|namespace| namespace.meta.labels.clone()).unwrap_or_default();
        Self { namespace: namespace.clone(), namespace_labels, labels: labels.clone() }
    }
}

/// Calls for each group of pods with a place, as terms look at it, with the nodes that they are on and their numbers there.
fn each_group(cache: &Cache, store: &Store, mut of: impl FnMut(&Seen, &[(&Node, i64)])) {
    for namespace in cache.namespaces() {
        let mut seen = Seen::new(store, &namespace, &Labels::default());
        for (labels, like) in cache.alike(&namespace) {
            seen.labels = labels.clone();
            let on: Vec<(&Node, i64)> = like.iter().map(|(node, count)| (&cache.nodes[*node], count.all)).collect();
            of(&seen, &on);
        }
    }
}

impl Affinity {
    /// What of it matters for a pod.
    pub(super) fn new(pod: &Object, cache: &Cache, store: &Store) -> Self {
        let own = terms_of(pod).map(|(_, terms)| terms).unwrap_or_default();
        let seen = Seen::new(store, &pod.meta.namespace, &pod.meta.labels);
        let is_own_match = own.affinity.iter().all(|term| term.matches(&seen));
        let mut state = Self { own, is_own_match, ..Self::default() };
        if !state.own.affinity.is_empty() || !state.own.anti.is_empty() {
            each_group(cache, store, |seen, on| state.count(seen, on));
        }
        for minded in cache.minded.values() {
            for term in minded.terms.anti.iter().filter(|term| term.matches(&seen)) {
                minded
                    .on
                    .iter()
                    .for_each(|(node, count)| state.unwelcome.add(&term.topology, &cache.nodes[*node], *count));
            }
        }
        state
    }

    /// Counts pods that the own terms look at, in or out. Of affinity a pod counts that matches all terms.
    fn count(&mut self, seen: &Seen, on: &[(&Node, i64)]) {
        let own = self.own.clone();
        if !own.affinity.is_empty() && own.affinity.iter().all(|term| term.matches(seen)) {
            for term in &own.affinity {
                on.iter().for_each(|(node, count)| self.wanted.add(&term.topology, node, *count));
            }
        }
        for term in own.anti.iter().filter(|term| term.matches(seen)) {
            on.iter().for_each(|(node, count)| self.unwanted.add(&term.topology, node, *count));
        }
    }

    /// Counts a pod on a node in (1) or out (-1), to see what would be without it.
    pub(super) fn shift(&mut self, pod: &Object, other: &Object, node: &Node, store: &Store, sign: i64) {
        self.count(&Seen::new(store, &other.meta.namespace, &other.meta.labels), &[(node, sign)]);
        let seen = Seen::new(store, &pod.meta.namespace, &pod.meta.labels);
        let Some((_, terms)) = terms_of(other) else { return };
        for term in terms.anti.iter().filter(|term| term.matches(&seen)) {
            self.unwelcome.add(&term.topology, node, sign);
        }
    }

    /// The filter.
    pub(super) fn check(&self, node: &Node) -> Result<(), Failure> {
        if !self.has_company(node) {
            return Err(Failure::last(Plugin::InterPodAffinity, NO_COMPANY));
        }
        if self.own.anti.iter().any(|term| self.unwanted.of(&term.topology, node) > 0) {
            return Err(Failure::new(Plugin::InterPodAffinity, NOT_WANTED));
        }
        if self.unwelcome.0.keys().any(|topology| self.unwelcome.of(topology, node) > 0) {
            return Err(Failure::new(Plugin::InterPodAffinity, UNWELCOME));
        }
        Ok(())
    }

    /// Whether the pods that it wants to be with are there; the first of those that want each other may go anywhere.
    fn has_company(&self, node: &Node) -> bool {
        let terms = &self.own.affinity;
        if !terms.iter().all(|term| term.knows(&node.labels)) {
            return false;
        }
        terms.iter().all(|term| self.wanted.of(&term.topology, node) > 0)
            || (self.wanted.has_none() && self.is_own_match)
    }
}

/// The sum of weights that affinities give to each domain: what the pod prefers, what those that are there prefer, and 1 for
/// each required affinity of theirs (scoring.go; hardPodAffinityWeight).
pub(super) fn preferences(pod: &Object, cache: &Cache, store: &Store) -> Domains {
    let mut sums = Domains::default();
    let own = terms_of(pod).map(|(_, terms)| terms).unwrap_or_default();
    if !own.preferred.is_empty() {
        each_group(cache, store, |seen, on| {
            for (weight, term) in own.preferred.iter().filter(|(_, term)| term.matches(seen)) {
                on.iter().for_each(|(node, count)| sums.add(&term.topology, node, weight * count));
            }
        });
    }
    let seen = Seen::new(store, &pod.meta.namespace, &pod.meta.labels);
    for minded in cache.minded.values() {
        let required = minded.terms.affinity.iter().map(|term| (1, term));
        let preferred = minded.terms.preferred.iter().map(|(weight, term)| (*weight, term));
        for (weight, term) in required.chain(preferred).filter(|(_, term)| term.matches(&seen)) {
            minded.on.iter().for_each(|(node, count)| sums.add(&term.topology, &cache.nodes[*node], weight * count));
        }
    }
    sums
}
