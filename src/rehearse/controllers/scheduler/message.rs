//! What the scheduler says of a pod that it found no node for, word for word (framework/types.go, FitError).

use std::borrow::Cow;
use std::collections::BTreeMap;

/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`: in the order of the phrases as text, so that
/// `10 …` comes before `2 …`.
pub(super) fn of_reasons(total: usize, reasons: &BTreeMap<Cow<'_, str>, usize>) -> String {
    let mut phrases: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    phrases.sort();
    match phrases.is_empty() {
        true => format!("0/{total} nodes are available:"),
        false => format!("0/{total} nodes are available: {}.", phrases.join(", ")),
    }
}

/// What is said where preemption helps nowhere: the reasons of the nodes that were tried, and a phrase for the others.
pub(super) fn preemption_of_none(total: usize, tried: &BTreeMap<Cow<'_, str>, (usize, usize)>) -> Option<String> {
    let mut reasons: BTreeMap<Cow<'_, str>, usize> =
        tried.iter().map(|(reason, (count, _))| (reason.clone(), *count)).collect();
    let nodes: usize = tried.values().map(|(_, nodes)| nodes).sum();
    if nodes < total {
        *reasons.entry("Preemption is not helpful for scheduling".into()).or_default() += total - nodes;
    }
    Some(of_reasons(total, &reasons))
}

/// The message with what preemption says, which is nothing where it found something before 1.37. From 1.34 to 1.36 the plugin
/// for resource claims has a word first (dynamicresources.go, PostFilter).
pub(super) fn with_preemption(before: &str, after: &Option<String>, minor: u32) -> String {
    match after {
        None => before.to_owned(),
        Some(after) if (34..37).contains(&minor) => {
            format!("{before} no new claims to deallocate, preemption: {after}")
        }
        Some(after) => format!("{before} preemption: {after}"),
    }
}
