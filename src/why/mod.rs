//! Why something is stuck: facts to reasons with stable codes. Pure: it asks no server and no clock.
//!
//! | code | reason |
//! |---|---|
//! | W101 | a budget can never allow an eviction, whatever its pods do |
//! | W102 | a budget allows none now: which of its pods are not healthy, and how they stand |
//! | W103 | several budgets cover a pod, which the eviction API refuses |
//! | W104 | a pod is on its way out: its grace, a finalizer, or a kubelet that does not end it |
//! | W105 | a replacement has no node: the scheduler's words |
//! | W106 | a replacement does not start: its image, a crash, its configuration |
//! | W107 | a budget was changed, and its status is not of that change yet |
//! | W108 | no budget covers a workload, and as many of it are out as may be |
//! | W109 | an admission webhook or policy refuses an eviction, or a webhook does not answer |
//! | W110 | a pod waits for its turn by `order` |
//! | W111 | a pod of a Job is awaited |
//! | W112 | volumes are still attached to a node whose pods are gone |
//! | W113 | a replacement cannot be created: a quota, a webhook |
//! | W114 | what decides on evictions is not known |

mod budget;
mod pod;
#[cfg(test)]
mod tests;
mod waits;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::value::format_duration;
use crate::facts::objects::{Budget, Pod};
use crate::facts::{Facts, Resource};

pub use budget::{Covered, allows_none_now, needs_scaling, never_allows, several};
pub use pod::{not_ready, shown_name, standing, terminating};
pub use waits::{
    admission, attached, attachments_unknown, ends_by_itself, no_turn, not_created, not_its_turn, refused_by,
    staggered, unknown,
};

/// How many names or pods a line shows before it counts the rest.
const SHOWN: usize = 3;

/// Why something is stuck, as a person needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// One of the codes of this module.
    pub code: &'static str,
    /// What is stuck, each as `namespace/name`.
    pub who: Vec<String>,
    /// A sentence that can follow the names.
    pub why: String,
    /// Unix milliseconds since when, where that is known.
    pub since: Option<i64>,
    /// What to do.
    pub help: Option<String>,
}

impl Reason {
    /// One line for a screen, without code and help: `shop/cart-5d9: budget …, 12s`.
    pub fn line(&self, now: i64) -> String {
        let since = self.since.map(|since| format!(", {}", lasted(since, now))).unwrap_or_default();
        if self.who.is_empty() {
            return format!("{}{since}", self.why);
        }
        format!("{}: {}{since}", shortened(&self.who), self.why)
    }

    /// The lines that stand below a failure's message.
    pub fn details(&self, now: i64) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.who.is_empty() {
            lines.push(format!("who    {}", self.who.join(", ")));
        }
        lines.push(format!("why    {} ({})", self.why, self.code));
        lines.extend(self.since.map(|since| format!("since  {} ago", lasted(since, now))));
        lines
    }
}

/// Why a budget holds the pods `who` back: first what keeps it from being whole where that is known, pods that cannot be
/// created; then the budget itself, and those of its pods that cannot become ready.
pub fn held_by(facts: &Facts, budget: &Budget, who: Vec<String>, now: i64) -> Vec<Reason> {
    let pods = facts.pods_of_budget(budget);
    let covered = covered(facts, budget);
    let reason = match covered.as_ref().and_then(|covered| never_allows(budget, covered)) {
        Some(never) => Reason { who, ..never },
        None => {
            let reason = allows_none_now(budget, &pods, who, now);
            covered.iter().fold(reason, |reason, covered| needs_scaling(reason, budget, covered))
        }
    };
    missing(facts, &pods).into_iter().chain([reason]).chain(pods.iter().filter_map(|pod| not_ready(pod))).collect()
}

/// Why a pod that no budget covers waits for replacements of its workload's pods: `reason` says how many are out; before it
/// stands what keeps them from being created, and after it what keeps them from being ready.
pub fn staggered_by(facts: &Facts, pod: &Pod, reason: Reason) -> Vec<Reason> {
    let pods = facts.workload_of(pod).map(|workload| facts.pods_of_workload(&workload.uid)).unwrap_or_default();
    missing(facts, &pods).into_iter().chain([reason]).chain(pods.iter().filter_map(|pod| not_ready(pod))).collect()
}

/// What keeps the controllers of these pods from creating others.
fn missing(facts: &Facts, pods: &[Arc<Pod>]) -> Vec<Reason> {
    let controllers: BTreeSet<&str> =
        pods.iter().filter_map(|pod| pod.metadata.controller()).map(|controller| controller.uid.as_str()).collect();
    controllers.into_iter().filter_map(|uid| not_created(facts.controller(uid)?)).collect()
}

/// Whom a budget covers, as the disruption controller counts (disruption.go `getExpectedScale`). `None` where that is
/// not known, or changes because an owner rolls its pods out: a surge can allow what the numbers at rest never do. Workloads
/// count with all the replicas that an autoscaler may give them.
pub fn covered(facts: &Facts, budget: &Budget) -> Option<Covered> {
    if facts.is_lost(Resource::Autoscalers) {
        return None;
    }
    let mut covered = Covered::default();
    for pod in facts.pods_of_budget(budget) {
        let Some(controller) = pod.metadata.controller() else {
            covered.add_bare(&pod);
            continue;
        };
        let workload = facts.workload_of(&pod)?;
        let (desired, _) = facts.replicas(&workload.uid)?;
        if controller.kind == "DaemonSet" || facts.is_rolling(&workload.uid) {
            return None;
        }
        // A ReplicaSet whose owner is the workload belongs to a Deployment.
        let kind = if controller.uid == workload.uid { controller.kind.as_str() } else { "Deployment" };
        covered.add_workload(&workload.uid, kind, desired, facts.most_replicas(&workload.uid));
    }
    Some(covered)
}

/// The names, or the first of them and how many more.
pub fn shortened(names: &[String]) -> String {
    match names.get(..SHOWN).filter(|_| names.len() > SHOWN + 1) {
        Some(first) => format!("{} and {} more", first.join(", "), names.len() - SHOWN),
        None => names.join(", "),
    }
}

/// `namespace/name` of a pod.
pub fn pod_name(pod: &Pod) -> String {
    format!("{}/{}", pod.metadata.namespace, pod.metadata.name)
}

fn lasted(since: i64, now: i64) -> String {
    format_duration((now - since).max(0) / 1_000 * 1_000)
}
