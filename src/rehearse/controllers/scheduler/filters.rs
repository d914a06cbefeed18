//! The filters, a function each, in the order of the real ones: the first that says no to a node is the one that is told
//! (apis/config/v1/default_plugins.go, framework/runtime/framework.go RunFilterPlugins).
//!
//! Left out: NodeName (a pod with a node is not scheduled), NodeDeclaredFeatures, DynamicResources, extenders.

use std::borrow::Cow;

use super::cache::Node;
use super::cycle::Cycle;
use super::ports;
use super::selector;
use crate::rehearse::controllers::taints;

/// Who says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Plugin {
    NodeUnschedulable,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    NodeVolumeLimits,
    VolumeBinding,
    VolumeZone,
    PodTopologySpread,
    InterPodAffinity,
}

/// Why a pod may not be on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) plugin: Plugin,
    /// As they are counted in the message.
    pub(super) reasons: Vec<Cow<'static, str>>,
    /// Whether it would be so without the pods that are there: `UnschedulableAndUnresolvable`.
    pub(super) is_last: bool,
}

impl Failure {
    /// One that fewer pods on the node could help.
    pub(super) fn new(plugin: Plugin, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { plugin, reasons: vec![reason.into()], is_last: false }
    }

    /// One that fewer pods on the node do not help.
    pub(super) fn last(plugin: Plugin, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { is_last: true, ..Self::new(plugin, reason) }
    }
}

/// Whether a pod may be on a node.
pub(super) fn check(cycle: &Cycle<'_>, node: &Node) -> Result<(), Failure> {
    node_unschedulable(cycle, node)?;
    taint_toleration(cycle, node)?;
    node_affinity(cycle, node)?;
    node_ports(cycle, node)?;
    node_resources_fit(cycle, node)?;
    cycle.volumes.check(cycle.store, node)?;
    cycle.spread.check(node)?;
    cycle.affinity.check(node)
}

/// A cordoned node is for those who tolerate the taint that a cordon becomes; the taint itself is not looked for.
fn node_unschedulable(cycle: &Cycle<'_>, node: &Node) -> Result<(), Failure> {
    if node.detail.is_cordoned && !taints::are_tolerant(cycle.tolerations, &taints::of_cordon()) {
        return Err(Failure::last(Plugin::NodeUnschedulable, "node(s) were unschedulable"));
    }
    Ok(())
}

/// Since 1.35 the reason names no taint.
fn taint_toleration(cycle: &Cycle<'_>, node: &Node) -> Result<(), Failure> {
    let Some(taint) = taints::untolerated(&node.detail.taints, cycle.tolerations) else { return Ok(()) };
    let reason: Cow<'static, str> = if cycle.minor >= 35 {
        "node(s) had untolerated taint(s)".into()
    } else {
        format!("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value.as_deref().unwrap_or("")).into()
    };
    Err(Failure::last(Plugin::TaintToleration, reason))
}

fn node_affinity(cycle: &Cycle<'_>, node: &Node) -> Result<(), Failure> {
    if selector::is_required(cycle.spec, &node.name, &node.labels) {
        return Ok(());
    }
    Err(Failure::last(Plugin::NodeAffinity, "node(s) didn't match Pod's node affinity/selector"))
}

fn node_ports(cycle: &Cycle<'_>, node: &Node) -> Result<(), Failure> {
    if !cycle.ports.is_empty() && ports::conflict(&cycle.ports, &node.ports) {
        return Err(Failure::new(Plugin::NodePorts, "node(s) didn't have free ports for the requested pod ports"));
    }
    Ok(())
}

/// All that is short is told; what the empty node has not would not help (fit.go, fitsRequest).
fn node_resources_fit(cycle: &Cycle<'_>, node: &Node) -> Result<(), Failure> {
    let (has, held, wanted) = (&node.detail.allocatable, &node.requested, cycle.requests);
    let mut failure = Failure { plugin: Plugin::NodeResourcesFit, reasons: Vec::new(), is_last: false };
    if held.pods + 1 > has.pods {
        failure.reasons.push("Too many pods".into());
    }
    let mut need = |reason: &dyn Fn() -> Cow<'static, str>, wanted: i64, has: i64, held: i64| {
        if wanted > 0 && wanted > has - held {
            failure.reasons.push(reason());
            failure.is_last |= wanted > has;
        }
    };
    need(&|| "Insufficient cpu".into(), wanted.cpu, has.cpu, held.cpu);
    need(&|| "Insufficient memory".into(), wanted.memory, has.memory, held.memory);
    need(&|| "Insufficient ephemeral-storage".into(), wanted.ephemeral, has.ephemeral, held.ephemeral);
    for (name, amount) in &wanted.extended {
        let of = |amounts: &std::collections::BTreeMap<String, i64>| amounts.get(name).copied().unwrap_or(0);
        need(&|| format!("Insufficient {name}").into(), *amount, of(&has.extended), of(&held.extended));
    }
    if failure.reasons.is_empty() { Ok(()) } else { Err(failure) }
}
