//! How one pod stands: ready, starting, without a node, failing, on its way out.

use jiff::Timestamp;

use super::{Reason, pod_name};
use crate::catalog::value::format_duration;
use crate::facts::objects::{Condition, ContainerReason, ContainerStatus, Pod, condition};

/// Reasons of a waiting container that mean no more than that it starts.
const STARTING: &[&str] = &["ContainerCreating", "PodInitializing", ""];
/// The grace of a pod that says none, in seconds (core/v1/defaults.go).
const GRACE: i64 = 30;

/// Its name with the node that it is on, the namespace left out.
pub fn shown_name(pod: &Pod) -> String {
    match pod.spec.node_name.as_str() {
        "" => format!("`{}`", pod.metadata.name),
        node => format!("`{}` ({node})", pod.metadata.name),
    }
}

/// How it stands, in a few words that follow its name.
pub fn standing(pod: &Pod) -> String {
    if pod.metadata.is_terminating() {
        return "is terminating".to_owned();
    }
    if let Some(unscheduled) = unscheduled(pod) {
        return format!("has no node: {}", sentence(&unscheduled.message, "it is not scheduled yet"));
    }
    if let Some(waiting) = failing(pod) {
        return format!("does not start: {}", worded(waiting));
    }
    match (pod.is_ready(), pod.is_finished(), pod.status.phase.as_str()) {
        (true, _, _) => "is ready".to_owned(),
        (false, true, phase) => format!("has ended ({phase})"),
        (false, false, "Pending") => "is starting".to_owned(),
        (false, false, _) => "is not ready".to_owned(),
    }
}

/// Why a pod cannot become ready as it stands: W105 or W106. `None` for one that is ready, going, or merely starting.
pub fn not_ready(pod: &Pod) -> Option<Reason> {
    if pod.metadata.is_terminating() || pod.is_finished() || pod.is_ready() {
        return None;
    }
    let who = vec![pod_name(pod)];
    if let Some(unscheduled) = unscheduled(pod) {
        let why = format!("no node takes it: {}", sentence(&unscheduled.message, "the scheduler gave no reason"));
        let since = unscheduled.last_transition_time.map(Timestamp::as_millisecond);
        let help = Some("make room for it, or change what it asks for".to_owned());
        return Some(Reason { code: "W105", who, why, since, help });
    }
    let waiting = failing(pod)?;
    let since = condition(&pod.status.conditions, "Ready").and_then(|ready| ready.last_transition_time);
    let help = format!("kubectl -n {} describe pod {}", pod.metadata.namespace, pod.metadata.name);
    let since = since.map(Timestamp::as_millisecond);
    Some(Reason { code: "W106", who, why: format!("does not start: {}", worded(waiting)), since, help: Some(help) })
}

/// Why a pod that is being deleted is still there (W104); `None` for one that is not.
pub fn terminating(pod: &Pod, now: i64) -> Option<Reason> {
    let over = pod.metadata.deletion_timestamp?.as_millisecond();
    let grace = pod.metadata.deletion_grace_period_seconds.or(pod.spec.termination_grace_period_seconds);
    let grace = grace.unwrap_or(GRACE) * 1_000;
    let finalizers = pod.metadata.finalizers.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let (why, help) = if now < over {
        let left = format_duration(((over - now) / 1_000).max(1) * 1_000);
        (format!("is terminating, {left} of its grace of {} left", format_duration(grace)), None)
    } else if !finalizers.is_empty() {
        let help = format!("find out why whoever set {finalizers} does not remove it");
        (format!("is terminating and held by {finalizers}"), Some(help))
    } else {
        let node = &pod.spec.node_name;
        let why = format!("is terminating, its grace of {} is over", format_duration(grace));
        (why, Some(format!("look at the kubelet of `{node}`: it has not ended the pod")))
    };
    Some(Reason { code: "W104", who: vec![pod_name(pod)], why, since: Some(over - grace), help })
}

/// The scheduler's no.
fn unscheduled(pod: &Pod) -> Option<&Condition> {
    if !pod.spec.node_name.is_empty() {
        return None;
    }
    condition(&pod.status.conditions, "PodScheduled").filter(|scheduled| scheduled.status == "False")
}

/// The first container that waits for another reason than that it starts.
fn failing(pod: &Pod) -> Option<&ContainerReason> {
    let statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    let waiting = |status: &'_ ContainerStatus| -> bool {
        status.state.waiting.as_ref().is_some_and(|waiting| !STARTING.contains(&waiting.reason.as_str()))
    };
    statuses.into_iter().find(|status| waiting(status))?.state.waiting.as_ref()
}

fn worded(waiting: &ContainerReason) -> String {
    if waiting.message.is_empty() { waiting.reason.clone() } else { format!("{}: {}", waiting.reason, waiting.message) }
}

/// A sentence of Kubernetes' as it stands inside one of ours.
fn sentence<'a>(message: &'a str, none: &'a str) -> &'a str {
    let message = message.trim().trim_end_matches('.');
    if message.is_empty() { none } else { message }
}
