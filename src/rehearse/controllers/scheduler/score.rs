//! The scores, a function each, and the choice of the best: weights and sums are those of the real ones, ties are chance
//! (apis/config/v1/default_plugins.go; schedule_one.go, prioritizeNodes). Left out: ImageLocality.

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use super::affinity;
use super::cache::Node;
use super::cycle::Cycle;
use super::selector;
use super::spread::{self, Constraint, HOSTNAME};
use crate::rehearse::controllers::taints;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Object};
use crate::rehearse::random::Random;
use crate::rehearse::store::Store;

/// What a score is at most.
const MAX: i64 = 100;

/// The node with the highest score, by its place in the cache; chance decides between equals.
pub(super) fn choose(cycle: &Cycle<'_>, nodes: &[usize], random: &mut Random) -> usize {
    let taken: Vec<&Node> = nodes.iter().map(|slot| &cycle.cache.nodes[*slot]).collect();
    let mut sums = vec![0_i64; nodes.len()];
    let mut add = |weight: i64, scores: Vec<i64>| {
        sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += weight * score);
    };
    add(3, taint_toleration(cycle, &taken));
    add(2, node_affinity(cycle, &taken));
    add(1, taken.iter().map(|node| least_allocated(cycle, node)).collect());
    add(2, topology_spread(cycle, nodes, &taken));
    add(2, inter_pod_affinity(cycle, &taken));
    add(1, taken.iter().map(|node| balanced_allocation(cycle, node)).collect());
    let best = sums.iter().copied().max().unwrap_or(0);
    let equal: Vec<usize> = nodes.iter().zip(&sums).filter(|(_, sum)| **sum == best).map(|(slot, _)| *slot).collect();
    equal[random.below(equal.len())]
}

/// In hundredths of the highest; of what is bad, the lowest is the best (helper/normalize_score.go).
fn normalized(scores: Vec<i64>, is_bad: bool) -> Vec<i64> {
    let highest = scores.iter().copied().max().unwrap_or(0);
    let one = |score: i64| match (highest, is_bad) {
        (0, true) => MAX,
        (0, false) => score,
        (_, true) => MAX - MAX * score / highest,
        (_, false) => MAX * score / highest,
    };
    scores.into_iter().map(one).collect()
}

/// Fewer taints of the kind PreferNoSchedule that the pod does not tolerate are better.
fn taint_toleration(cycle: &Cycle<'_>, nodes: &[&Node]) -> Vec<i64> {
    let of = |node: &&Node| {
        let taints = node.detail.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
        count(taints.filter(|taint| !taints::are_tolerant(cycle.tolerations, taint)).count())
    };
    normalized(nodes.iter().map(of).collect(), true)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The weights of the preferred terms that match are summed.
fn node_affinity(cycle: &Cycle<'_>, nodes: &[&Node]) -> Vec<i64> {
    let affinity = cycle.spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let preferred = affinity.and_then(|one| one.preferred_during_scheduling_ignored_during_execution.as_ref());
    let Some(preferred) = preferred else { return vec![0; nodes.len()] };
    let of = |node: &&Node| {
        let fitting = preferred.iter().filter(|term| selector::matches(&term.preference, &node.name, &node.labels));
        fitting.map(|term| i64::from(term.weight)).sum()
    };
    normalized(nodes.iter().map(of).collect(), false)
}

/// More left of cpu and memory is better (least_allocated.go).
fn least_allocated(cycle: &Cycle<'_>, node: &Node) -> i64 {
    let has = [node.detail.allocatable.cpu, node.detail.allocatable.memory];
    let wanted = node.scored.iter().zip(cycle.pod.spec.scored).map(|(held, own)| held + own);
    let left: Vec<i64> = has
        .iter()
        .zip(wanted)
        .filter(|(has, _)| **has != 0)
        .map(|(has, wanted)| if wanted > *has { 0 } else { (has - wanted).saturating_mul(MAX) / has })
        .collect();
    if left.is_empty() { 0 } else { left.iter().sum::<i64>() / count(left.len()) }
}

/// The more alike the pod makes the shares of cpu and memory, the better (balanced_allocation.go). One that asks for nothing
/// changes nothing.
fn balanced_allocation(cycle: &Cycle<'_>, node: &Node) -> i64 {
    let (has, held, own) = (&node.detail.allocatable, &node.requested, cycle.requests);
    if own.cpu == 0 && own.memory == 0 {
        return 0;
    }
    let share = |wanted: i64, has: i64| (has != 0).then(|| (wanted as f64 / has as f64).min(1.0));
    let score = |cpu: i64, memory: i64| {
        let apart = match (share(cpu, has.cpu), share(memory, has.memory)) {
            (Some(cpu), Some(memory)) => ((cpu - memory) / 2.0).abs(),
            _ => 0.0,
        };
        ((1.0 - apart) * MAX as f64) as i64
    };
    let (with, without) = (score(held.cpu + own.cpu, held.memory + own.memory), score(held.cpu, held.memory));
    MAX / 2 + (MAX / 2 + with - without) / 2
}

/// What other pods are in a node's domains, as the pod and they prefer it (interpodaffinity/scoring.go).
fn inter_pod_affinity(cycle: &Cycle<'_>, nodes: &[&Node]) -> Vec<i64> {
    let sums = affinity::preferences(cycle.object, cycle.cache, cycle.store);
    if sums.is_empty() {
        return vec![0; nodes.len()];
    }
    let scores: Vec<i64> = nodes.iter().map(|node| sums.sum(node)).collect();
    let (lowest, highest) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
    let one = |score: i64| match highest - lowest {
        0 => 0,
        range => (MAX as f64 * ((score - lowest) as f64 / range as f64)) as i64,
    };
    scores.into_iter().map(one).collect()
}

/// Fewer pods of its like in a node's domains are better: by the constraints that should hold, or the scheduler's own for
/// pods of an owner or a Service (podtopologyspread/scoring.go).
fn topology_spread(cycle: &Cycle<'_>, slots: &[usize], nodes: &[&Node]) -> Vec<i64> {
    let has_own = cycle.spec.topology_spread_constraints.as_ref().is_some_and(|all| !all.is_empty());
    let constraints =
        if has_own { spread::written(cycle.object, false) } else { by_default(cycle.object, cycle.store) };
    if constraints.is_empty() {
        return vec![0; nodes.len()];
    }
    let takes_part: Vec<bool> =
        nodes.iter().map(|node| !has_own || spread::has_all(&constraints, &node.labels)).collect();
    let mut sums = vec![0.0; nodes.len()];
    for constraint in &constraints {
        let counts =
            in_domains(cycle, constraint, has_own.then_some(constraints.as_slice()), slots, nodes, &takes_part);
        for ((sum, count), _) in sums.iter_mut().zip(&counts.0).zip(&takes_part).filter(|(_, takes_part)| **takes_part)
        {
            if let Some(count) = count {
                *sum += *count as f64 * ((counts.1 + 2) as f64).ln() + (constraint.max_skew - 1) as f64;
            }
        }
    }
    let scores: Vec<Option<i64>> =
        sums.iter().zip(&takes_part).map(|(sum, takes_part)| takes_part.then(|| sum.round() as i64)).collect();
    let known = || scores.iter().flatten().copied();
    let (lowest, highest) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
    let one = |score: &Option<i64>| match (score, highest) {
        (None, _) => 0,
        (Some(_), 0) => MAX,
        (Some(score), _) => MAX * (highest + lowest - score) / highest,
    };
    scores.iter().map(one).collect()
}

/// How many pods of its like each node's domain has, and how many domains there are among these nodes.
fn in_domains(
    cycle: &Cycle<'_>,
    constraint: &Constraint,
    required: Option<&[Constraint]>,
    slots: &[usize],
    nodes: &[&Node],
    takes_part: &[bool],
) -> (Vec<Option<i64>>, usize) {
    let by_node = constraint.by_node(cycle.object, cycle.cache);
    if constraint.topology == HOSTNAME {
        let of = |(slot, node): (&usize, &&Node)| node.label(HOSTNAME).map(|_| by_node[*slot]);
        let size = takes_part.iter().filter(|takes_part| **takes_part).count();
        return (slots.iter().zip(nodes).map(of).collect(), size);
    }
    let value = |node: &Node| node.label(&constraint.topology).unwrap_or_default().to_owned();
    let among = nodes.iter().zip(takes_part).filter(|(_, takes_part)| **takes_part);
    let mut domains: HashMap<String, i64> = among.map(|(node, _)| (value(node), 0)).collect();
    for slot in &cycle.cache.order {
        let node = &cycle.cache.nodes[*slot];
        if by_node[*slot] > 0
            && required.is_none_or(|all| spread::has_all(all, &node.labels))
            && constraint.includes(cycle.spec, node)
            && let Some(sum) = domains.get_mut(node.label(&constraint.topology).unwrap_or_default())
        {
            *sum += by_node[*slot];
        }
    }
    let size = domains.len();
    let of = |node: &&Node| node.label(&constraint.topology).and_then(|value| domains.get(value)).copied();
    (nodes.iter().map(of).collect(), size)
}

/// The scheduler's own constraints, for pods that Services or an owner select (helper/spread.go, DefaultSelector).
fn by_default(object: &Object, store: &Store) -> Vec<Constraint> {
    let mut selectors: Vec<LabelSelector> = Vec::new();
    for service in store.in_namespace(Kind::Service, &object.meta.namespace) {
        let Some(selector) = service.spec("/selector").and_then(Value::as_object) else { continue };
        let is = |(key, value): (&String, &Value)| object.meta.label(key) == value.as_str();
        if selector.iter().all(is) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let labels = selector.iter().map(|(key, value)| (key.clone(), text(value))).collect();
            selectors.push(LabelSelector { match_labels: Some(labels), match_expressions: None });
        }
    }
    if let Some(owner) = object.meta.controller() {
        let found = |kind| store.find(kind, &object.meta.namespace, &owner.name).map(|owner| &owner.detail);
        match (owner.kind.as_str(), found(Kind::ReplicaSet), found(Kind::StatefulSet)) {
            ("ReplicaSet", Some(Detail::ReplicaSet(spec)), _) => selectors.push(spec.selector.clone()),
            ("StatefulSet", _, Some(Detail::StatefulSet(spec))) => selectors.push(spec.selector.clone()),
            _ => {}
        }
    }
    selectors.retain(|selector| *selector != LabelSelector::default());
    if selectors.is_empty() {
        return Vec::new();
    }
    let of = |topology: &str, max_skew| Constraint::by_default(topology, max_skew, selectors.clone());
    vec![of(HOSTNAME, 3), of("topology.kubernetes.io/zone", 5)]
}
