//! The row of a pod: the phase, unless one of its containers has more to tell.

use serde_json::Value;

use super::{NONE, lasted};
use crate::rehearse::object::{ContainerState, ContainerStatus, Object, Phase, Pod, PodStatus, Time};

/// All cells but the name.
pub(super) fn cells(object: &Object, age: &str, now: i64) -> Vec<String> {
    let Some(pod) = object.pod() else { return Vec::new() };
    let sidecars = pod.spec.typed.init_containers.iter().flatten().filter(|one| one.restart_policy.is_some());
    let sidecars: Vec<&str> = sidecars.map(|one| one.name.as_str()).collect();
    let all = pod.spec.typed.containers.len() + sidecars.len();
    let is_sidecar = |status: &&ContainerStatus| sidecars.contains(&status.name.as_str());
    let runs = |status: &&ContainerStatus| status.ready && matches!(status.state, ContainerState::Running { .. });
    let of_pod = &pod.status;
    let beside = || of_pod.init_container_statuses.iter().filter(is_sidecar);
    let ready = of_pod.container_statuses.iter().filter(runs).count() + beside().filter(runs).count();
    let known = || of_pod.container_statuses.iter().chain(beside());
    let restarts: i64 = known().map(|status| status.restart_count).sum();
    let last = known()
        .filter_map(|status| Time::parse(status.rest.get("lastState")?.pointer("/terminated/finishedAt")?.as_str()?));
    let restarts = match last.max().filter(|_| restarts > 0) {
        Some(at) => format!("{restarts} ({} ago)", lasted(now - at.0)),
        None => restarts.to_string(),
    };
    let or_none = |text: Option<&str>| text.filter(|text| !text.is_empty()).unwrap_or(NONE).to_owned();
    vec![
        format!("{ready}/{all}"),
        word(object, pod, &sidecars),
        restarts,
        age.to_owned(),
        or_none(of_pod.rest.get("podIP").and_then(Value::as_str)),
        or_none(pod.node.as_deref()),
        or_none(of_pod.nominated_node_name.as_deref()),
        gates(pod),
    ]
}

fn gates(pod: &Pod) -> String {
    let gates = pod.spec.typed.readiness_gates.as_deref().unwrap_or_default();
    let is_met = |kind: &str| pod.status.condition(kind).is_some_and(|condition| condition.status == "True");
    match gates.len() {
        0 => NONE.to_owned(),
        all => format!("{}/{all}", gates.iter().filter(|gate| is_met(&gate.condition_type)).count()),
    }
}

/// What the column Status says.
fn word(object: &Object, pod: &Pod, sidecars: &[&str]) -> String {
    let status = &pod.status;
    let is_over = pod.is_terminal();
    match object.is_terminating() {
        true if status.reason.as_deref() == Some("NodeLost") => return "Unknown".to_owned(),
        true if !is_over => return "Terminating".to_owned(),
        _ => {}
    }
    let is_initialized = status.condition("Initialized").is_some_and(|condition| condition.status == "True");
    let starting = starting(pod, sidecars).filter(|_| !is_initialized);
    starting.unwrap_or_else(|| running(status))
}

/// What an init container says that is not done.
fn starting(pod: &Pod, sidecars: &[&str]) -> Option<String> {
    let all = pod.spec.typed.init_containers.as_ref().map_or(0, Vec::len);
    let statuses = pod.status.init_container_statuses.iter().enumerate();
    let is_done = |status: &ContainerStatus| match &status.state {
        ContainerState::Terminated { exit_code, .. } => *exit_code == 0,
        _ => status.started && sidecars.contains(&status.name.as_str()),
    };
    let (at, status) = statuses.into_iter().find(|(_, status)| !is_done(status))?;
    Some(match &status.state {
        ContainerState::Terminated { exit_code, reason, .. } if reason.is_empty() => {
            format!("Init:ExitCode:{exit_code}")
        }
        ContainerState::Terminated { reason, .. } => format!("Init:{reason}"),
        ContainerState::Waiting { reason, .. } if !reason.is_empty() && reason != "PodInitializing" => {
            format!("Init:{reason}")
        }
        _ => format!("Init:{at}/{all}"),
    })
}

/// What the containers say, the first of them last.
fn running(status: &PodStatus) -> String {
    let is_gated = |kind: &str| {
        status.condition(kind).is_some_and(|condition| condition.reason.as_deref() == Some("SchedulingGated"))
    };
    let mut word = match &status.reason {
        Some(reason) => reason.clone(),
        None if is_gated("PodScheduled") => "SchedulingGated".to_owned(),
        None => phase(status.phase).to_owned(),
    };
    let (mut has_running, mut failed) = (false, None);
    for container in status.container_statuses.iter().rev() {
        match &container.state {
            ContainerState::Waiting { reason, .. } if !reason.is_empty() => word.clone_from(reason),
            ContainerState::Terminated { exit_code, reason, .. } => {
                word = if reason.is_empty() { format!("ExitCode:{exit_code}") } else { reason.clone() };
                if *exit_code != 0 {
                    failed = Some(word.clone());
                }
            }
            ContainerState::Running { .. } if container.ready => has_running = true,
            _ => {}
        }
    }
    let is_ready = status.condition("Ready").is_some_and(|condition| condition.status == "True");
    match (word == "Completed", has_running, failed) {
        (false, ..) => word,
        (true, true, _) if is_ready => "Running".to_owned(),
        (true, _, Some(failed)) => failed,
        (true, true, None) => "NotReady".to_owned(),
        (true, false, None) => word,
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
        Phase::Unknown => "Unknown",
    }
}
