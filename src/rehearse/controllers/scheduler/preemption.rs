//! Preemption is told, not played: what the scheduler would delete to make room for a pod of higher priority
//! (framework/preemption, plugins/defaultpreemption). The pod stays pending.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodSpec;

use super::cache::{Node, priority};
use super::cycle::Cycle;
use super::filters;
use super::message;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Object, Time};
use crate::rehearse::random::Random;

/// Which pods would go from which node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preemption {
    pub(super) node: Arc<str>,
    /// The most important first.
    pub(super) victims: Vec<Arc<Object>>,
    /// How many of them a budget does not allow.
    violations: usize,
}

/// A pod that may go, and whether a budget does not allow it.
struct Potential {
    object: Arc<Object>,
    is_protected: bool,
}

/// What there would be with some pods gone.
struct Without<'a> {
    cycle: Cycle<'a>,
    node: Node,
}

/// Looks for pods of lower priority whose end would make room on one of these nodes. Gives what the message says of it, if
/// anything, and what was found.
pub(super) fn look_for(
    cycle: &Cycle<'_>,
    nodes: &[usize],
    random: &mut Random,
) -> (Option<String>, Option<Preemption>) {
    if let Some(text) = forbidden(cycle.spec) {
        return (Some(text), None);
    }
    // Reason: how many times it was said, and of how many nodes it is the first reason.
    let mut tried: BTreeMap<Cow<'static, str>, (usize, usize)> = BTreeMap::new();
    let mut found: Vec<Preemption> = Vec::new();
    let enough = (nodes.len() / 10).max(100).min(nodes.len());
    let offset = if nodes.is_empty() { 0 } else { random.below(nodes.len()) };
    for index in 0..nodes.len() {
        if found.len() >= enough && found.iter().any(|one| one.violations == 0) {
            break;
        }
        match on_node(cycle, nodes[(offset + index) % nodes.len()]) {
            Ok(preemption) => found.push(preemption),
            Err(reasons) => {
                for (place, reason) in reasons.into_iter().enumerate() {
                    let (count, first) = tried.entry(reason).or_default();
                    *count += 1;
                    *first += usize::from(place == 0);
                }
            }
        }
    }
    let Some(best) = best_of(found) else {
        return (message::preemption_of_none(cycle.cache.order.len(), &tried), None);
    };
    let (node, count) = (&best.node, best.victims.len());
    let text = format!("found a potential placement for pod on node {node}, preempting {count} victims");
    ((cycle.minor >= 37).then_some(text), Some(best))
}

/// What is said of a pod that may not make others go.
pub(super) fn forbidden(spec: &PodSpec) -> Option<String> {
    let is_never = spec.preemption_policy.as_deref() == Some("Never");
    is_never.then(|| "not eligible due to preemptionPolicy=Never.".to_owned())
}

/// The pods that would have to go from a node, or why that would not help (SelectVictimsOnNode): all of lower priority go,
/// then as many as can come back, those first that a budget protects, then the more important.
fn on_node(cycle: &Cycle<'_>, slot: usize) -> Result<Preemption, Vec<Cow<'static, str>>> {
    let own = priority(cycle.pod);
    let none = || vec![Cow::Borrowed("No preemption victims found for incoming pod")];
    if !cycle.cache.has_below(own) {
        return Err(none());
    }
    let node = &cycle.cache.nodes[slot];
    let mut pods: Vec<Arc<Object>> = cycle.store.pods_on(&node.name).cloned().collect();
    pods.retain(|object| object.pod().is_some_and(|pod| !pod.is_terminal() && priority(pod) < own));
    if pods.is_empty() {
        return Err(none());
    }
    pods.sort_by_key(|object| importance(object));
    let mut without = Without { cycle: cycle.clone(), node: node.clone() };
    pods.iter().for_each(|pod| without.shift(pod, -1));
    filters::check(&without.cycle, &without.node).map_err(|failure| failure.reasons)?;
    let mut potential = protected(cycle, pods);
    potential.sort_by_key(|one| !one.is_protected);
    let mut gone: Vec<Potential> = Vec::new();
    for one in potential {
        without.shift(&one.object, 1);
        if filters::check(&without.cycle, &without.node).is_err() {
            without.shift(&one.object, -1);
            gone.push(one);
        }
    }
    let violations = gone.iter().filter(|one| one.is_protected).count();
    let mut victims: Vec<Arc<Object>> = gone.into_iter().map(|one| one.object).collect();
    victims.sort_by_key(|object| importance(object));
    Ok(Preemption { node: node.name.clone(), victims, violations })
}

impl Without<'_> {
    fn shift(&mut self, pod: &Object, sign: i64) {
        self.node.count(pod, sign);
        let cycle = &mut self.cycle;
        cycle.volumes.shift(pod, sign);
        cycle.spread.shift(cycle.object, cycle.spec, pod, &self.node, sign);
        cycle.affinity.shift(cycle.object, pod, &self.node, cycle.store, sign);
    }
}

/// Higher priority is more important, then the longer run.
fn importance(object: &Object) -> (Reverse<i32>, Time, Arc<str>, Arc<str>) {
    let started = object.pod().and_then(|pod| pod.status.start_time).unwrap_or(Time(i64::MAX));
    (Reverse(object.pod().map_or(0, priority)), started, object.meta.namespace.clone(), object.meta.name.clone())
}

/// Which of these a budget does not allow to go, counting down what each allows (FilterVictimsWithPDBViolation).
fn protected(cycle: &Cycle<'_>, pods: Vec<Arc<Object>>) -> Vec<Potential> {
    let mut allowed: BTreeMap<(Arc<str>, Arc<str>), i32> = BTreeMap::new();
    let mut is_protected = |object: &Object| {
        for found in cycle.store.in_namespace(Kind::PodDisruptionBudget, &object.meta.namespace) {
            let Some(budget) = found.budget().filter(|budget| budget.covers(&object.meta.labels)) else { continue };
            if budget.status.disrupted_pods.as_ref().is_some_and(|pods| pods.contains_key(&*object.meta.name)) {
                continue;
            }
            let name = (found.meta.namespace.clone(), found.meta.name.clone());
            let left = allowed.entry(name).or_insert(budget.status.disruptions_allowed);
            *left -= 1;
            if *left < 0 {
                return true;
            }
        }
        false
    };
    let look = |object: Arc<Object>| Potential { is_protected: is_protected(&object), object };
    pods.into_iter().map(look).collect()
}

/// The one to choose (pickOneNodeForPreemption): fewest violations of budgets, the lowest most important victim, the smallest
/// sum of priorities, the fewest victims, the latest start; the first by name of what is alike.
fn best_of(found: Vec<Preemption>) -> Option<Preemption> {
    let rank = |one: &Preemption| {
        let priorities = || one.victims.iter().map(|victim| i64::from(victim.pod().map_or(0, priority)));
        let sum: i64 = priorities().map(|priority| priority + i64::from(i32::MAX) + 1).sum();
        let highest = priorities().max().unwrap_or(0);
        let top = one.victims.iter().filter(|victim| victim.pod().map_or(0, |pod| i64::from(priority(pod))) == highest);
        let start = top.filter_map(|victim| victim.pod()?.status.start_time).min().unwrap_or_default();
        (one.violations, highest, sum, one.victims.len(), Reverse(start), one.node.clone())
    };
    found.into_iter().min_by_key(rank)
}
