//! How long the pods of a node mostly take to leave it: from their grace, from how long their like took to become ready,
//! and from how many of them may be out at a time.

use std::collections::BTreeMap;

use super::Facts;
use crate::facts::objects::{Pod, condition};

/// What every drain takes, whatever is on the node: its requests, and the second look.
const OVERHEAD: i64 = 3_000;
/// The grace of a pod that says none.
const GRACE: i64 = 30_000;
/// The start of a pod of whose like none is ready, and the longest that is believed: one that took longer had waited for
/// something else, such as a node.
const START: i64 = 15_000;
const LONGEST_START: i64 = 600_000;
/// None is ready sooner.
const SHORTEST_START: i64 = 1_000;

/// How the pods of one workload leave. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// How many may be out at a time.
    at_once: i64,
    /// From the creation of a replacement until it is ready.
    start: i64,
    /// Whether a replacement is created only once the pod that it replaces is gone.
    in_turn: bool,
}

impl Pace {
    /// How long `pods` of a grace take to leave a node.
    fn takes(self, pods: i64, grace: i64) -> i64 {
        let rounds = (pods + self.at_once - 1) / self.at_once.max(1);
        let between = if self.in_turn { self.start + grace } else { self.start };
        (rounds - 1).max(0) * between + grace
    }
}

impl Facts {
    /// For each node of these names, how long a drain mostly takes, in milliseconds; `None` of a node that is not there.
    pub fn drain_times(&self, nodes: &[&str]) -> Vec<Option<i64>> {
        let mut paces = BTreeMap::new();
        nodes.iter().map(|name| self.node(name).is_some().then(|| self.drain_time(name, &mut paces))).collect()
    }

    fn drain_time(&self, node: &str, paces: &mut BTreeMap<String, Pace>) -> i64 {
        // By workload: how many, and the longest grace of one.
        let mut leaving: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for pod in self.pods_on(node).iter().filter(|pod| pod.is_meant_to_run() && leaves(pod)) {
            let uid = self.workload_of(pod).map_or_else(|| pod.metadata.uid.clone(), |workload| workload.uid);
            paces.entry(uid.clone()).or_insert_with(|| self.pace(&uid, pod));
            let (pods, grace) = leaving.entry(uid).or_default();
            *pods += 1;
            *grace = (*grace).max(grace_of(pod));
        }
        let takes = leaving.iter().filter_map(|(uid, (pods, grace))| Some(paces.get(uid)?.takes(*pods, *grace)));
        OVERHEAD + takes.max().unwrap_or(0)
    }

    fn pace(&self, workload: &str, pod: &Pod) -> Pace {
        let budgets = self.budgets_of(pod);
        let at_once = match budgets.iter().map(|budget| budget.status.disruptions_allowed).min() {
            Some(allowed) => allowed.max(1),
            // As `unbudgeted: "stagger"` has it.
            None => self.replicas(workload).map_or(1, |(desired, _)| (desired / 4).max(1)),
        };
        let in_turn = pod.metadata.controller().is_some_and(|controller| controller.kind == "StatefulSet");
        Pace { at_once, start: self.start_of(workload), in_turn }
    }

    /// The median of how long the workload's pods took from their creation until they were ready.
    fn start_of(&self, workload: &str) -> i64 {
        let mut starts: Vec<i64> = self.pods_of_workload(workload).iter().filter_map(|pod| start_of(pod)).collect();
        starts.sort_unstable();
        starts.get(starts.len() / 2).copied().unwrap_or(START).max(SHORTEST_START)
    }
}

/// Whether a drain evicts it: what runs on every node, and what the kubelet itself was given, stays (kubectl's
/// `pkg/drain/filters.go`).
fn leaves(pod: &Pod) -> bool {
    let is_daemon = pod.metadata.controller().is_some_and(|controller| controller.kind == "DaemonSet");
    !is_daemon && !pod.metadata.annotations.contains_key("kubernetes.io/config.mirror")
}

fn grace_of(pod: &Pod) -> i64 {
    pod.spec.termination_grace_period_seconds.map_or(GRACE, |seconds| seconds.max(0).saturating_mul(1000))
}

/// Of a pod that is ready and was never restarted, which would have made its condition a later one.
fn start_of(pod: &Pod) -> Option<i64> {
    let is_first = pod.status.container_statuses.iter().all(|container| container.restart_count == 0);
    let ready = condition(&pod.status.conditions, "Ready").filter(|ready| ready.status == "True" && is_first)?;
    let took = ready.last_transition_time?.as_millisecond() - pod.metadata.creation_timestamp?.as_millisecond();
    (0..=LONGEST_START).contains(&took).then_some(took)
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn pods_leave_as_many_at_a_time_as_may_be_out() {
        let pace = |at_once, in_turn| Pace { at_once, start: 10, in_turn };
        assert_eq!(pace(1, false).takes(1, 30), 30);
        assert_eq!(pace(1, false).takes(3, 30), 50, "a replacement starts while the pod before it ends");
        assert_eq!(pace(1, true).takes(3, 30), 110, "of a StatefulSet it does not");
        assert_eq!(pace(2, false).takes(3, 30), 40);
        assert_eq!(pace(4, false).takes(4, 30), 30);
    }
}
