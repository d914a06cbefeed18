//! Single replicas on a node, and how long each is away once it is evicted: learnt from the pod that is there.

use serde::{Deserialize, Serialize};

use super::objects::{Pod, condition};
use super::resource::Resource;
use super::tables::{Facts, desired};

/// What took longer to become ready, in milliseconds, more likely was ready before: it says nothing of a start.
const LONGEST_START: i64 = 30 * 60 * 1_000;

/// A workload of one replica, whose pod is on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Single {
    /// `namespace/name` of the workload.
    pub workload: String,
    /// The node's name.
    pub node: String,
    /// Milliseconds from a pod's creation until it is ready; `None` where its pod does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<i64>,
    /// Whether the replacement is created only once the pod has ended, as a StatefulSet does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_after_end: bool,
}

impl Facts {
    /// The single replicas on a node that a drain evicts, in order of the pods' names. One whose budget never allows an
    /// eviction is none: a drain refuses it.
    pub(super) fn singles_on(&self, node: &str) -> Vec<Single> {
        let pods = self.pods_on(node);
        pods.iter()
            .filter(|pod| pod.is_meant_to_run() && !self.is_never_allowed(pod))
            .filter_map(|pod| self.single(pod))
            .collect()
    }

    fn single(&self, pod: &Pod) -> Option<Single> {
        let workload = self.workload_of(pod)?;
        let (resource, controller) = self.workload(&workload.uid)?;
        let is_single = resource != Resource::DaemonSets && desired(resource, controller) == 1;
        is_single.then(|| Single {
            workload: format!("{}/{}", workload.namespace, workload.name),
            node: pod.spec.node_name.clone(),
            start: start_of(pod),
            is_after_end: resource == Resource::StatefulSets,
        })
    }

    fn is_never_allowed(&self, pod: &Pod) -> bool {
        let is_never = |status: &super::objects::BudgetStatus| {
            status.expected_pods > 0 && status.desired_healthy >= status.expected_pods
        };
        self.budgets_of(pod).iter().any(|budget| is_never(&budget.status))
    }
}

/// From its creation until it was ready. The condition tells when it last became so: of a pod that restarted, or is not
/// ready now, that is not its start.
fn start_of(pod: &Pod) -> Option<i64> {
    let restarts: i64 = pod.status.container_statuses.iter().map(|container| container.restart_count).sum();
    let ready = condition(&pod.status.conditions, "Ready").filter(|ready| ready.status == "True")?;
    let took = ready.last_transition_time?.as_millisecond() - pod.metadata.creation_timestamp?.as_millisecond();
    (restarts == 0 && (0..=LONGEST_START).contains(&took)).then_some(took)
}
