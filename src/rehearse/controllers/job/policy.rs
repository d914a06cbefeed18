//! What the failure of a pod means for its Job by `podFailurePolicy` (pod_failure_policy.go). `FailIndex` counts as a failure.

use k8s_openapi::api::batch::v1::{JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule};

use crate::rehearse::object::{ContainerState, ContainerStatus, Object, PodStatus};

/// What a failure means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Whether it counts against the backoff limit.
    pub(super) is_counted: bool,
    /// Why the Job fails with it, if it does.
    pub(super) fails_job: Option<String>,
}

/// The first rule that matches a failed pod decides.
pub(super) fn judge(spec: &JobSpec, pod: &Object) -> Judgement {
    let counted = Judgement { is_counted: true, fails_job: None };
    let (Some(policy), Some(state)) = (&spec.pod_failure_policy, pod.pod()) else { return counted };
    let rules = policy.rules.iter().enumerate();
    let matched = rules.filter_map(|(at, rule)| Some((at, rule, matching(rule, &state.status)?))).next();
    let Some((at, rule, what)) = matched else { return counted };
    match rule.action.as_str() {
        "Ignore" => Judgement { is_counted: false, fails_job: None },
        "FailJob" => {
            let named = pod.key();
            let why = match what {
                Matching::Exit(container, code) => {
                    format!("Container {container} for pod {named} failed with exit code {code}")
                }
                Matching::Condition(kind) => format!("Pod {named} has condition {kind}"),
            };
            let fails_job = Some(format!("{why} matching {} rule at index {at}", rule.action));
            Judgement { is_counted: true, fails_job }
        }
        _ => counted,
    }
}

enum Matching<'a> {
    Exit(&'a str, i64),
    Condition(&'a str),
}

fn matching<'a>(rule: &PodFailurePolicyRule, status: &'a PodStatus) -> Option<Matching<'a>> {
    if let Some(wanted) = &rule.on_exit_codes {
        let containers = status.container_statuses.iter().chain(&status.init_container_statuses);
        return containers.filter_map(|container| exit(container, wanted)).next();
    }
    let wanted = rule.on_pod_conditions.as_ref()?;
    let is_wanted = |kind: &str, word: &str| wanted.iter().any(|one| one.type_ == kind && one.status == word);
    let found = status.conditions.iter().find(|condition| is_wanted(&condition.kind, &condition.status))?;
    Some(Matching::Condition(&found.kind))
}

fn exit<'a>(container: &'a ContainerStatus, wanted: &PodFailurePolicyOnExitCodesRequirement) -> Option<Matching<'a>> {
    let ContainerState::Terminated { exit_code, .. } = &container.state else { return None };
    let is_its = wanted.container_name.as_ref().is_none_or(|name| *name == container.name);
    let is_among = wanted.values.iter().any(|value| i64::from(*value) == *exit_code);
    let is_met = match wanted.operator.as_str() {
        "In" => is_among,
        "NotIn" => !is_among,
        _ => false,
    };
    (is_its && is_met && *exit_code != 0).then_some(Matching::Exit(&container.name, *exit_code))
}
