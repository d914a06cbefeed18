//! Topology spread (plugins/podtopologyspread). Pods that are being deleted do not count; cordoned nodes do, unless
//! `nodeTaintsPolicy` says `Honor`: an emptied one stays a domain with none (KUBERNETES.md 0.4).

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PodSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::cache::{Cache, Node};
use super::filters::{Failure, Plugin};
use super::selector;
use crate::rehearse::controllers::taints;
use crate::rehearse::object::{Labels, Object};
use crate::rehearse::select;

pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
const TOO_MANY: &str = "node(s) didn't match pod topology spread constraints";
const NO_DOMAIN: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// One constraint, as it holds for one pod.
#[derive(Debug, Clone)]
pub(super) struct Constraint {
    pub(super) topology: String,
    pub(super) max_skew: i64,
    min_domains: usize,
    is_affinity_honored: bool,
    are_taints_honored: bool,
    selectors: Arc<Vec<LabelSelector>>,
    /// Without a selector it speaks of no pod.
    has_selector: bool,
}

/// The constraints of a pod that must hold, and how many pods each domain has.
#[derive(Debug, Clone, Default)]
pub(super) struct Spread {
    constraints: Vec<Constraint>,
    counts: Vec<HashMap<String, i64>>,
    least: Vec<i64>,
    own: Vec<i64>,
}

impl Constraint {
    pub(super) fn read(pod: &Object, written: &TopologySpreadConstraint) -> Self {
        let mut selector = written.label_selector.clone();
        for key in written.match_label_keys.iter().flatten() {
            if let (Some(selector), Some(value)) = (&mut selector, pod.meta.label(key)) {
                selector.match_labels.get_or_insert_default().insert(key.clone(), value.to_owned());
            }
        }
        let is = |policy: &Option<String>, word: &str| policy.as_deref() == Some(word);
        Self {
            topology: written.topology_key.clone(),
            max_skew: i64::from(written.max_skew),
            min_domains: usize::try_from(written.min_domains.unwrap_or(1)).unwrap_or(1),
            is_affinity_honored: !is(&written.node_affinity_policy, "Ignore"),
            are_taints_honored: is(&written.node_taints_policy, "Honor"),
            has_selector: selector.is_some(),
            selectors: Arc::new(selector.into_iter().collect()),
        }
    }

    /// One of the scheduler's own, for the pods of an owner.
    pub(super) fn by_default(topology: &str, max_skew: i64, selectors: Vec<LabelSelector>) -> Self {
        Self {
            topology: topology.to_owned(),
            max_skew,
            min_domains: 1,
            is_affinity_honored: true,
            are_taints_honored: false,
            has_selector: true,
            selectors: Arc::new(selectors),
        }
    }

    /// Whether it speaks of pods with these labels.
    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.has_selector && self.selectors.iter().all(|selector| select::matches(selector, labels))
    }

    /// A selector that says nothing selects the pod itself, but counts none (common.go, countPodsMatchSelector).
    fn counts_none(&self) -> bool {
        let says_nothing = |selector: &LabelSelector| {
            selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty())
                && selector.match_expressions.as_ref().is_none_or(|expressions| expressions.is_empty())
        };
        self.selectors.iter().all(says_nothing)
    }

    /// Whether a node takes part.
    pub(super) fn includes(&self, spec: &PodSpec, node: &Node) -> bool {
        let tolerations = spec.tolerations.as_deref().unwrap_or_default();
        (!self.is_affinity_honored || selector::is_required(spec, &node.name, &node.labels))
            && (!self.are_taints_honored || taints::untolerated(&node.detail.taints, tolerations).is_none())
    }

    /// How many of its pods each node has, by the nodes' places in the cache.
    pub(super) fn by_node(&self, pod: &Object, cache: &Cache) -> Vec<i64> {
        let mut counts = vec![0; cache.nodes.len()];
        if self.counts_none() {
            return counts;
        }
        for (_, like) in cache.alike(&pod.meta.namespace).filter(|(labels, _)| self.selects(labels)) {
            like.iter().for_each(|(node, count)| counts[*node] += count.all - count.terminating);
        }
        counts
    }
}

/// The constraints of a pod that must hold (`DoNotSchedule`), or those that should.
pub(super) fn written(pod: &Object, must_hold: bool) -> Vec<Constraint> {
    let word = if must_hold { "DoNotSchedule" } else { "ScheduleAnyway" };
    let all = pod.pod().and_then(|pod| pod.spec.typed.topology_spread_constraints.as_ref());
    let wanted = all.into_iter().flatten().filter(|one| one.when_unsatisfiable == word);
    wanted.map(|one| Constraint::read(pod, one)).collect()
}

/// Whether a node has a domain for each of these.
pub(super) fn has_all(constraints: &[Constraint], labels: &Labels) -> bool {
    constraints.iter().all(|one| labels.contains_key(&one.topology))
}

impl Spread {
    /// What of it matters for a pod.
    pub(super) fn new(pod: &Object, spec: &PodSpec, cache: &Cache) -> Self {
        let constraints = written(pod, true);
        let own = constraints.iter().map(|one| i64::from(one.selects(&pod.meta.labels))).collect();
        let mut spread = Self { counts: Vec::new(), least: Vec::new(), own, constraints };
        for constraint in &spread.constraints {
            let by_node = constraint.by_node(pod, cache);
            let mut counts: HashMap<String, i64> = HashMap::new();
            for slot in &cache.order {
                let node = &cache.nodes[*slot];
                if has_all(&spread.constraints, &node.labels)
                    && constraint.includes(spec, node)
                    && let Some(value) = node.label(&constraint.topology)
                {
                    match counts.get_mut(value) {
                        Some(count) => *count += by_node[*slot],
                        None => drop(counts.insert(value.to_owned(), by_node[*slot])),
                    }
                }
            }
            spread.counts.push(counts);
        }
        spread.find_least();
        spread
    }

    fn find_least(&mut self) {
        let least = |(constraint, counts): (&Constraint, &HashMap<String, i64>)| {
            if counts.len() < constraint.min_domains {
                0
            } else {
                counts.values().copied().min().unwrap_or(i64::MAX / 2)
            }
        };
        self.least = self.constraints.iter().zip(&self.counts).map(least).collect();
    }

    /// Counts a pod on a node in (1) or out (-1), to see what would be without it.
    pub(super) fn shift(&mut self, pod: &Object, spec: &PodSpec, other: &Object, node: &Node, sign: i64) {
        let is_like = pod.meta.namespace == other.meta.namespace && !other.is_terminating();
        if !is_like || !has_all(&self.constraints, &node.labels) {
            return;
        }
        for (constraint, counts) in self.constraints.iter().zip(&mut self.counts) {
            if constraint.selects(&other.meta.labels)
                && constraint.includes(spec, node)
                && let Some(count) = node.label(&constraint.topology).and_then(|value| counts.get_mut(value))
            {
                *count += sign;
            }
        }
        self.find_least();
    }

    /// The filter.
    pub(super) fn check(&self, node: &Node) -> Result<(), Failure> {
        for (index, constraint) in self.constraints.iter().enumerate() {
            let Some(value) = node.label(&constraint.topology) else {
                return Err(Failure::last(Plugin::PodTopologySpread, NO_DOMAIN));
            };
            let count = self.counts[index].get(value).copied().unwrap_or(0);
            if count + self.own[index] - self.least[index] > constraint.max_skew {
                return Err(Failure::new(Plugin::PodTopologySpread, TOO_MANY));
            }
        }
        Ok(())
    }
}
