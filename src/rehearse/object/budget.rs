//! A PodDisruptionBudget: spec and status, typed.

use k8s_openapi::api::policy::v1::{PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};

use super::Labels;
use crate::rehearse::select;

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
}
