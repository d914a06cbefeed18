//! A PodDisruptionBudget: spec and status, typed.

use std::sync::Arc;

use k8s_openapi::api::policy::v1::{PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as Written};

use super::{Detail, Labels, Object, Time};
use crate::rehearse::select;

/// The type of the condition that says whether evictions are allowed.
pub const ALLOWED: &str = "DisruptionAllowed";
/// The reason of that condition when the controller could not look at the budget.
pub const SYNC_FAILED: &str = "SyncFailed";

/// A budget.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Budget {
    /// `spec`
    pub spec: PodDisruptionBudgetSpec,
    /// `status`; all zero where the controller has not yet looked at it.
    pub status: PodDisruptionBudgetStatus,
}

impl Budget {
    /// Whether it covers a pod of its namespace with these labels: an empty selector covers all, none covers nothing
    /// (policy/v1; KUBERNETES.md 1).
    pub fn covers(&self, labels: &Labels) -> bool {
        self.spec.selector.as_ref().is_some_and(|selector| select::matches(selector, labels))
    }

    /// The condition that says whether evictions are allowed.
    pub fn condition(&self) -> Option<&Condition> {
        self.status.conditions.iter().flatten().find(|condition| condition.type_ == ALLOWED)
    }

    /// Whether that condition says what the numbers say (component-helpers, apps/poddisruptionbudget/helpers.go).
    pub fn has_fitting_condition(&self) -> bool {
        let (status, reason) = words(self.status.disruptions_allowed);
        self.condition().is_some_and(|condition| {
            condition.status == status
                && condition.reason == reason
                && condition.observed_generation == self.status.observed_generation
        })
    }
}

fn words(allowed: i32) -> (&'static str, &'static str) {
    if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") }
}

/// Makes the condition say what the numbers say, at a time in Unix milliseconds.
pub fn tell_allowed(status: &mut PodDisruptionBudgetStatus, now: i64) {
    let (word, reason) = words(status.disruptions_allowed);
    tell(status, word, reason, "", now);
}

/// Sets the condition; its time moves only with its status (apimachinery, api/meta/conditions.go).
pub fn tell(status: &mut PodDisruptionBudgetStatus, word: &str, reason: &str, message: &str, now: i64) {
    let observed_generation = status.observed_generation;
    let conditions = status.conditions.get_or_insert_default();
    let known = conditions.iter().position(|condition| condition.type_ == ALLOWED);
    let same = known.and_then(|at| conditions.get(at)).filter(|condition| condition.status == word);
    let told = Condition {
        type_: ALLOWED.to_owned(),
        status: word.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation,
        last_transition_time: same.map_or_else(|| written(now), |condition| condition.last_transition_time.clone()),
    };
    match known.and_then(|at| conditions.get_mut(at)) {
        Some(condition) => *condition = told,
        None => conditions.push(told),
    }
}

/// A time in Unix milliseconds as it stands in a status: whole seconds.
pub fn written(now: i64) -> Written {
    Written(Time(now).whole_seconds())
}

impl Object {
    /// The budget with another status.
    pub fn with_budget_status(&self, status: PodDisruptionBudgetStatus) -> Self {
        let mut changed = self.clone();
        changed.status = serde_json::to_value(&status).ok().map(Arc::new);
        let spec = self.budget().map(|budget| budget.spec.clone()).unwrap_or_default();
        changed.detail = Detail::Budget(Arc::new(Budget { spec, status }));
        changed
    }
}
