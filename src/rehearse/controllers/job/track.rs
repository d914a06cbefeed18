//! What a Job counts: each of its pods once, when it has succeeded or failed (job_controller.go trackJobStatusAndRemoveFinalizers).

use std::sync::Arc;

use serde_json::Value;

use super::{Failures, Indexes, Look, Verdict, condition, is_tracked, policy, release};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::members::{is_ready, order_of_removal};
use crate::rehearse::object::{Key, Object, Phase, Time};
use crate::rehearse::write::DeleteOptions;

/// What is counted, with what came since the last time.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) succeeded: i64,
    pub(super) failed: i64,
    /// Of an indexed Job, what is completed.
    pub(super) completed: Indexes,
    /// Pods that need not be held any longer.
    released: Vec<Key>,
}

impl Look {
    /// Counts the pods that have succeeded or failed since the last time.
    pub(super) fn count(&self, failures: &mut Failures) -> Counted {
        let limit = self.completions().unwrap_or(0);
        let mut completed = Indexes::read(self.draft.text("completedIndexes"), limit);
        let (mut succeeded, mut failed): (Vec<&Arc<Object>>, Vec<&Arc<Object>>) = (Vec::new(), Vec::new());
        let mut released = Vec::new();
        let is_valid = |pod: &Object| !self.is_indexed() || Indexes::of(pod).is_some_and(|index| index < limit);
        for pod in self.pods.iter().filter(|pod| is_tracked(pod)) {
            if pod.pod().is_some_and(|pod| pod.status.phase == Phase::Succeeded) {
                if is_valid(pod) {
                    completed.extend(Indexes::of(pod));
                    succeeded.push(pod);
                }
            } else if self.is_failed(pod) {
                if is_valid(pod) {
                    failed.push(pod);
                }
            } else if !self.object.is_terminating() {
                continue;
            }
            released.push(pod.key());
        }
        failures.add(&succeeded, &failed);
        let counts = failed.iter().filter(|pod| policy::judge(&self.spec, pod).is_counted);
        let counting: Vec<&Arc<Object>> = counts.copied().collect();
        failures.add_by_index(&counting);
        let plain = self.draft.get("succeeded") + succeeded.len() as i64;
        Counted {
            succeeded: if self.is_indexed() { completed.len() } else { plain },
            failed: self.draft.get("failed") + counting.len() as i64,
            completed,
            released,
        }
    }

    /// Deletes the pods that still run; says how many.
    pub(super) fn end_active(&mut self, cluster: &mut Cluster) -> i64 {
        for pod in &self.active {
            // One that is gone by now is what was wanted.
            let _ = cluster.delete(&pod.key(), &DeleteOptions::default());
        }
        let ended = self.active.len() as i64;
        self.leaving += ended;
        self.active.clear();
        ended
    }

    /// Says how it stands, lets go of the pods that are counted, and says that it is over when none of them is left on its
    /// way out.
    pub(super) fn finish(
        &mut self,
        counted: &mut Counted,
        active: i64,
        verdict: Option<Verdict>,
        cluster: &mut Cluster,
    ) {
        if verdict.as_ref().is_some_and(|verdict| !verdict.is_success) {
            self.count_the_rest(counted);
        }
        let ready = self.active.iter().filter(|pod| is_ready(pod)).count();
        let draft = &mut self.draft;
        draft.number("active", active);
        draft.set("ready", ready.into());
        draft.set("terminating", self.leaving.into());
        draft.number("succeeded", counted.succeeded);
        draft.number("failed", counted.failed);
        draft.set("uncountedTerminatedPods", Value::Object(serde_json::Map::new()));
        if !counted.completed.is_empty() {
            draft.set("completedIndexes", counted.completed.to_string().into());
        }
        self.draft.clone().write(&self.key, cluster);
        counted.released.iter().for_each(|pod| release(pod, cluster));
        if let Some(verdict) = verdict.filter(|_| self.leaving == 0) {
            let kind = if verdict.is_success { "Complete" } else { "Failed" };
            let mut draft = self.draft.clone();
            draft.put_condition(condition(kind, "True", &verdict.reason, &verdict.message, self.now));
            if verdict.is_success {
                draft.set("completionTime", serde_json::json!(Time(self.now)));
            }
            draft.write(&self.key, cluster);
        }
    }

    /// Once it fails, pods that run are counted as failed with it.
    fn count_the_rest(&self, counted: &mut Counted) {
        let is_new = |pod: &&Arc<Object>| is_tracked(pod) && !counted.released.contains(&pod.key());
        let rest: Vec<&Arc<Object>> = self.pods.iter().filter(is_new).collect();
        let counting = rest.iter().filter(|pod| policy::judge(&self.spec, pod).is_counted);
        counted.failed += counting.count() as i64;
        counted.released.extend(rest.iter().map(|pod| pod.key()));
    }

    /// The pods that go first when there are too many: those twice at an index, then those that did least.
    pub(super) fn surplus(&self, count: usize) -> Vec<Key> {
        let mut pods = self.active.clone();
        order_of_removal(&mut pods, &Default::default(), self.now);
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        let mut seen = Indexes::default();
        // The last in the order of removal of each index stays.
        for pod in pods.iter().rev() {
            let index = Indexes::of(pod);
            let is_double = self.is_indexed() && index.is_none_or(|index| seen.has(index));
            seen.extend(index);
            if is_double { first.push(pod.key()) } else { rest.push(pod.key()) }
        }
        let doubles = first.len();
        let left = count.saturating_sub(doubles);
        first.into_iter().chain(rest.into_iter().rev().take(left)).collect()
    }
}
