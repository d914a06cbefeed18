//! The subresource `pods/eviction`: a deletion that asks the budget first.
//!
//! Rules, their order and their words are those of k8s.io/kubernetes v1.37, registry/core/pod/storage/eviction.go. The checks of
//! the request's body are the server's. Nothing else happens between two lines here, so that the conflicts which the real
//! server tries again do not arise.

use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudgetStatus;
use serde_json::json;

use super::cluster::Cluster;
use super::kinds::Kind;
use super::object::{Budget, Condition, Key, Object, Phase, SYNC_FAILED, tell_allowed, written};
use super::status::Refused;
use super::write::{DeleteOptions, check_preconditions};

/// The type of the condition of a pod that is about to be disrupted.
pub const DISRUPTION_TARGET: &str = "DisruptionTarget";
/// How many evictions a budget may have that its controller has not seen through.
const MOST_DISRUPTED: usize = 2000;
/// The type of the cause that tells a budget's no from any other 429.
const CAUSE: &str = "DisruptionBudget";
const NO: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
const MORE_THAN_ONE: &str =
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";

impl Cluster {
    /// Evicts a pod: asks its budget, marks the pod as a target of disruption, deletes it.
    ///
    /// # Errors
    /// 404; 429 with the cause `DisruptionBudget`; 500 where more than one budget covers it; 403 where the budget's numbers
    /// are impossible; 409 where a precondition does not hold (a credit of the budget is gone by then, as with the real one).
    pub fn evict(&mut self, pod: &Key, options: &DeleteOptions) -> Result<(), Refused> {
        let object = self.store.get(pod).cloned().ok_or_else(|| Refused::not_found(pod))?;
        if asks_no_budget(&object) {
            return self.mark_and_delete(&object, options.clone());
        }
        match self.budgets_of(&object).as_slice() {
            [] => self.mark_and_delete(&object, options.clone()),
            [one] => {
                let Some(budget) = one.budget() else { return Ok(()) };
                if is_let_go(budget, &object) {
                    let version = Some(object.meta.resource_version);
                    return self.mark_and_delete(&object, DeleteOptions { version, ..options.clone() });
                }
                let status = self.take_credit(one, budget)?;
                if !options.is_dry_run {
                    self.note_disrupted(one, status, &object);
                }
                self.mark_and_delete(&object, options.clone())
            }
            _ => Err(Refused::new(500, "", MORE_THAN_ONE)),
        }
    }

    fn budgets_of(&self, pod: &Object) -> Vec<Arc<Object>> {
        let budgets = self.store.in_namespace(Kind::PodDisruptionBudget, &pod.meta.namespace);
        let covers = |object: &&Arc<Object>| object.budget().is_some_and(|budget| budget.covers(&pod.meta.labels));
        budgets.filter(covers).cloned().collect()
    }

    /// The budget's status with one eviction less, or why there is none.
    fn take_credit(&self, object: &Object, budget: &Budget) -> Result<PodDisruptionBudgetStatus, Refused> {
        let name = &*object.meta.name;
        let status = &budget.status;
        if status.observed_generation.unwrap_or(0) < object.meta.generation {
            let why = format!("The disruption budget {name} is still being processed by the server.");
            return Err(Refused::new(429, "TooManyRequests", NO).after(10).caused_by(CAUSE, &why));
        }
        if status.disruptions_allowed < 0 {
            return Err(self.forbidden(
                name,
                "pdb disruptions allowed is negative",
                "pdb disruptions allowed is negative",
            ));
        }
        if status.disrupted_pods.as_ref().is_some_and(|pods| pods.len() > MOST_DISRUPTED) {
            let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
            let cause = "too many pending evictions not confirmed by PDB controller";
            return Err(self.forbidden(name, why, cause));
        }
        if status.disruptions_allowed == 0 {
            return Err(Refused::new(429, "TooManyRequests", NO).caused_by(CAUSE, &why_none(name, budget)));
        }
        let mut status = status.clone();
        status.disruptions_allowed -= 1;
        if status.disruptions_allowed == 0 {
            tell_allowed(&mut status, self.now);
        }
        Ok(status)
    }

    fn forbidden(&self, budget: &str, why: &str, cause: &str) -> Refused {
        let message = format!("poddisruptionbudget.policy {budget:?} is forbidden: {why}");
        let mut refused = Refused::new(403, "Forbidden", message);
        refused.details = json!({ "name": budget, "group": "policy", "kind": "poddisruptionbudget" });
        if self.about.minor < 37 {
            return refused;
        }
        let cause = format!("The disruption budget {budget} does not allow evicting pods currently: {cause}");
        refused.caused_by(CAUSE, &cause)
    }

    /// The controller does not count the pod as healthy from now on, until it sees it terminating.
    fn note_disrupted(&mut self, budget: &Object, mut status: PodDisruptionBudgetStatus, pod: &Object) {
        status.disrupted_pods.get_or_insert_default().insert(pod.meta.name.to_string(), written(self.now));
        self.put(budget.with_budget_status(status));
    }

    fn mark_and_delete(&mut self, pod: &Object, mut options: DeleteOptions) -> Result<(), Refused> {
        let key = pod.key();
        if !options.is_dry_run {
            check_preconditions(pod, &options)?;
            let condition = Condition::new(DISRUPTION_TARGET, true, self.now)
                .because("EvictionByEvictionAPI", "Eviction API: evicting");
            self.change(&key, |pod| {
                pod.pod_mut()?.status.set_condition(condition);
                Some(())
            });
            options.version = None;
        }
        self.delete(&key, &options).map(drop)
    }
}

/// Whether a pod may go without a budget being asked.
fn asks_no_budget(pod: &Object) -> bool {
    let is_idle = pod.pod().is_some_and(|pod| pod.is_terminal() || pod.status.phase == Phase::Pending);
    is_idle || pod.is_terminating()
}

/// Whether a pod that is not ready may go without a credit: it counts for nothing in the budget.
fn is_let_go(budget: &Budget, pod: &Object) -> bool {
    if pod.pod().is_some_and(super::object::Pod::is_ready) {
        return false;
    }
    let status = &budget.status;
    budget.spec.unhealthy_pod_eviction_policy.as_deref() == Some("AlwaysAllow")
        || (status.current_healthy >= status.desired_healthy && status.desired_healthy > 0)
}

/// Why a budget allows no eviction, in the server's words.
fn why_none(name: &str, budget: &Budget) -> String {
    let status = &budget.status;
    let told = budget.condition().filter(|condition| condition.status == "False" && !condition.message.is_empty());
    match told {
        Some(told) if told.reason == SYNC_FAILED => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
            told.message
        ),
        _ if status.current_healthy <= status.desired_healthy => format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            status.desired_healthy, status.current_healthy
        ),
        Some(told) => format!(
            "The disruption budget {name} does not allow evicting pods currently ({}): {}",
            told.reason, told.message
        ),
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}
