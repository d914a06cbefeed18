//! What a kubelet writes into a pod's status.

use crate::rehearse::object::{Condition, ContainerState, ContainerStatus, Phase, Pod, READY, Time};

/// Whether the containers themselves are ready, whatever the pod's condition says.
pub(super) fn is_ready_inside(pod: &Pod) -> bool {
    let statuses = &pod.status.container_statuses;
    !statuses.is_empty() && statuses.iter().all(|status| status.ready)
}

/// The sandbox is there: what is left is to run the containers.
pub(super) fn sandboxed(pod: &mut Pod, now: i64) {
    pod.status.start_time.get_or_insert(Time(now));
    pod.status.set_condition(Condition::new("PodReadyToStartContainers", true, now));
    let waits = pod.spec.typed.init_containers.as_ref().is_some_and(|init| !init.is_empty());
    pod.status.set_condition(Condition::new("Initialized", !waits, now));
    set_ready(pod, false, now);
}

/// A container waits for this.
pub(super) fn waiting(pod: &mut Pod, reason: &str, message: &str) {
    let state = ContainerState::Waiting { reason: reason.to_owned(), message: message.to_owned() };
    pod.status.container_statuses = containers(pod, false, &state);
}

/// All containers run; `is_ready` says whether they pass their probes.
pub(super) fn running(pod: &mut Pod, is_ready: bool, now: i64) {
    pod.status.phase = Phase::Running;
    pod.status.start_time.get_or_insert(Time(now));
    for kind in ["PodReadyToStartContainers", "Initialized"] {
        pod.status.set_condition(Condition::new(kind, true, now));
    }
    pod.status.container_statuses = containers(pod, is_ready, &ContainerState::Running { started_at: Time(now) });
    pod.status.init_container_statuses = init_containers(pod, now);
    set_ready(pod, is_ready, now);
}

/// All containers are over, with this exit code.
pub(super) fn over(pod: &mut Pod, code: i64, now: i64) {
    pod.status.phase = if code == 0 { Phase::Succeeded } else { Phase::Failed };
    let reason = if code == 0 { "Completed" } else { "Error" };
    let state = ContainerState::Terminated {
        exit_code: code,
        reason: reason.to_owned(),
        started_at: pod.status.start_time,
        finished_at: Some(Time(now)),
    };
    pod.status.container_statuses = containers(pod, false, &state);
    let why = if code == 0 { "PodCompleted" } else { "PodFailed" };
    for kind in ["ContainersReady", READY] {
        pod.status.set_condition(Condition::new(kind, false, now).because(why, ""));
    }
}

/// Sets both conditions of readiness.
pub(super) fn set_ready(pod: &mut Pod, is_ready: bool, now: i64) {
    for kind in ["ContainersReady", READY] {
        let condition = Condition::new(kind, is_ready, now);
        let condition = if is_ready {
            condition
        } else {
            let names: Vec<&str> = pod.spec.typed.containers.iter().map(|container| container.name.as_str()).collect();
            let message = format!("containers with unready status: [{}]", names.join(" "));
            condition.because("ContainersNotReady", &message)
        };
        pod.status.set_condition(condition);
    }
}

fn containers(pod: &Pod, is_ready: bool, state: &ContainerState) -> Vec<ContainerStatus> {
    let runs = matches!(state, ContainerState::Running { .. });
    let each = pod.spec.typed.containers.iter().map(|container| ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        ready: is_ready,
        started: runs,
        restart_count: restarts(pod, &container.name),
        state: state.clone(),
        ..ContainerStatus::default()
    });
    each.collect()
}

fn init_containers(pod: &Pod, now: i64) -> Vec<ContainerStatus> {
    let each = pod.spec.typed.init_containers.iter().flatten().map(|container| {
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        let state = if is_sidecar {
            ContainerState::Running { started_at: Time(now) }
        } else {
            ContainerState::Terminated {
                exit_code: 0,
                reason: "Completed".to_owned(),
                started_at: pod.status.start_time,
                finished_at: Some(Time(now)),
            }
        };
        ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            ready: true,
            started: is_sidecar,
            state,
            ..ContainerStatus::default()
        }
    });
    each.collect()
}

fn restarts(pod: &Pod, name: &str) -> i64 {
    pod.status.container_statuses.iter().find(|status| status.name == name).map_or(0, |status| status.restart_count)
}
