//! The Job controller and the one that deletes finished Jobs (k8s.io/kubernetes v1.37, controller/job, ttlafterfinished).
//!
//! - [`track`]: what is counted, once for each pod: a finalizer holds it until then
//! - [`manage`]: pods that are missing or too many; [`backoff`]: the pause after failures
//! - [`policy`]: failures that count for nothing, or end the Job; [`indexes`]: completions by number
//!
//! Changes of pods are looked at a second later, together. Counted and finished are one write here where the real one first
//! notes the pods' UIDs; success policies and Jobs that others manage (`managedBy`) are left out.

mod backoff;
mod indexes;
mod manage;
mod policy;
mod track;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::JobSpec;
use serde_json::{Value, json};

use super::draft::Draft;
use super::members::{is_active, is_leaving, managed, manager};
use super::retries::Retries;
use super::template::Templates;
use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Key, Object, Time};
use crate::rehearse::store::{Change, What};
use crate::rehearse::write::{DeleteOptions, Propagation};

use backoff::Failures;
use indexes::Indexes;

/// Changes of pods are looked at together after so many milliseconds.
const BATCH: i64 = 1000;
/// The finalizer of pods that are not counted yet.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const SYNC: &str = "job";
const ORPHAN: &str = "pod without a job";
const EXPIRED: &str = "finished job";

/// The controller.
#[derive(Debug, Default)]
pub struct Jobs {
    templates: Templates,
    retries: Retries,
    failures: BTreeMap<Key, Failures>,
}

/// A Job that is looked at.
struct Look {
    key: Key,
    object: Arc<Object>,
    spec: Arc<JobSpec>,
    draft: Draft,
    pods: Vec<Arc<Object>>,
    active: Vec<Arc<Object>>,
    leaving: i64,
    now: i64,
}

/// Why a Job is over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    is_success: bool,
    reason: String,
    message: String,
}

impl Verdict {
    fn failed(reason: &str, message: &str) -> Self {
        Self { is_success: false, reason: reason.to_owned(), message: message.to_owned() }
    }
}

impl Controller for Jobs {
    fn name(&self) -> &'static str {
        "job"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let (key, object) = (change.object.key(), &change.object);
        match (change.kind(), change.what) {
            (Kind::Job, What::Deleted) => self.notice_end(object, queue),
            (Kind::Job, _) => {
                let generation = change.previous.as_ref().map(|previous| previous.meta.generation);
                let is_batched = generation == Some(object.meta.generation);
                queue.after(if is_batched { BATCH } else { crate::rehearse::cluster::REACTION }, SYNC, &key);
                if let Some(wait) = until_expired(object, queue.now) {
                    queue.after(wait, EXPIRED, &key);
                }
            }
            (Kind::Pod, what) => match manager(object, Kind::Job, queue.store) {
                Some(job) => queue.after(BATCH, SYNC, &job),
                None if what != What::Deleted && is_tracked(object) => queue.soon(ORPHAN, &key),
                None => {}
            },
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        match task.why {
            ORPHAN => release_orphan(&task.key, cluster),
            EXPIRED => expire(task, cluster),
            _ => self.sync(task, cluster),
        }
    }
}

impl Jobs {
    fn notice_end(&mut self, job: &Object, queue: &mut Queue<'_>) {
        self.templates.forget(job);
        self.failures.remove(&job.key());
        for pod in managed(job, Kind::Pod, queue.store).filter(|pod| is_tracked(pod)) {
            queue.soon(ORPHAN, &pod.key());
        }
    }

    fn sync(&mut self, task: &Task, cluster: &mut Cluster) {
        let Some(mut look) = Look::at(&task.key, cluster) else { return };
        if is_finished(&look.draft) {
            self.failures.remove(&task.key);
            return;
        }
        if look.draft.value("startTime").is_none() && !look.is_suspended() {
            look.draft.set("startTime", json!(Time(look.now)));
        }
        let failures = self.failures.entry(task.key.clone()).or_default();
        let mut counted = look.count(failures);
        let mut verdict = look.verdict(&counted, failures);
        let mut active = look.active.len() as i64;
        if let Some(verdict) = &verdict {
            active -= look.end_active(cluster);
            look.note(verdict);
        } else if !look.object.is_terminating() {
            let managed = look.manage(&counted, failures, &mut self.templates, cluster);
            active = managed.active;
            if let Some(wait) = managed.wait {
                cluster.again(wait.max(BATCH), task.why, &task.key);
            }
            match managed.failed {
                Some(_) => self.retries.again(task, cluster),
                None => self.retries.forget(&task.key),
            }
            look.note_suspension();
        }
        if verdict.is_none() && active == 0 && look.is_complete(counted.succeeded) {
            let message = "Reached expected number of succeeded pods".to_owned();
            let complete = Verdict { is_success: true, reason: "CompletionsReached".to_owned(), message };
            look.note(&complete);
            verdict = Some(complete);
        }
        look.finish(&mut counted, active, verdict, cluster);
        look.await_deadline(task, cluster);
    }
}

impl Look {
    fn at(key: &Key, cluster: &Cluster) -> Option<Self> {
        let object = cluster.store.get(key)?.clone();
        let Detail::Job(spec) = &object.detail else { return None };
        if spec.managed_by.as_ref().is_some_and(|by| by != "kubernetes.io/job-controller") {
            return None;
        }
        let pods: Vec<Arc<Object>> = managed(&object, Kind::Pod, &cluster.store).cloned().collect();
        Some(Self {
            key: key.clone(),
            spec: spec.clone(),
            draft: Draft::of(&object),
            active: pods.iter().filter(|pod| is_active(pod)).cloned().collect(),
            leaving: pods.iter().filter(|pod| is_leaving(pod)).count() as i64,
            pods,
            now: cluster.now,
            object,
        })
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend.unwrap_or(false)
    }

    fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    fn parallelism(&self) -> i64 {
        self.spec.parallelism.map_or(1, i64::from)
    }

    /// How many pods are to succeed; `None` where the first success is enough.
    fn completions(&self) -> Option<i64> {
        let is_plain = self.spec.parallelism.is_none();
        self.spec.completions.map(i64::from).or(is_plain.then_some(1))
    }

    /// Whether a pod is replaced only when it has failed, not when it begins to leave.
    fn waits_for_failed(&self) -> bool {
        let default = if self.spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
        self.spec.pod_replacement_policy.as_deref().unwrap_or(default) == "Failed"
    }

    fn is_failed(&self, pod: &Object) -> bool {
        use crate::rehearse::object::Phase;
        let phase = pod.pod().map(|pod| pod.status.phase);
        let is_leaving = pod.is_terminating() && phase != Some(Phase::Succeeded);
        phase == Some(Phase::Failed) || (is_leaving && !self.waits_for_failed())
    }

    fn is_complete(&self, succeeded: i64) -> bool {
        self.completions().map_or(succeeded > 0, |completions| succeeded >= completions)
    }

    fn since_start(&self) -> Option<i64> {
        Time::parse(self.draft.text("startTime")).map(|start| self.now - start.0)
    }

    /// Why it is to end now, if it is.
    fn verdict(&self, counted: &track::Counted, failures: &Failures) -> Option<Verdict> {
        if self.draft.is("SuccessCriteriaMet") {
            let reason = self.draft.reason("SuccessCriteriaMet").to_owned();
            return Some(Verdict { is_success: true, reason, message: self.message("SuccessCriteriaMet") });
        }
        if self.draft.is("FailureTarget") {
            return Some(Verdict::failed(self.draft.reason("FailureTarget"), &self.message("FailureTarget")));
        }
        let failed = self.pods.iter().filter(|pod| self.is_failed(pod));
        if let Some(message) = failed.filter_map(|pod| policy::judge(&self.spec, pod).fails_job).next() {
            return Some(Verdict::failed("PodFailurePolicy", &message));
        }
        let limit = self.spec.backoff_limit.map_or(6, i64::from);
        if counted.failed > limit || self.restarts_exceed(limit) {
            return Some(Verdict::failed("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
        }
        let deadline = self.spec.active_deadline_seconds.filter(|_| !self.is_suspended());
        if let (Some(deadline), Some(active)) = (deadline, self.since_start())
            && active >= deadline * 1000
        {
            return Some(Verdict::failed("DeadlineExceeded", "Job was active longer than specified deadline"));
        }
        let per_index = self.spec.backoff_limit_per_index?;
        let lost = failures.lost(i64::from(per_index));
        if self.spec.max_failed_indexes.is_some_and(|most| lost.len() > i64::from(most)) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(Verdict::failed("MaxFailedIndexesExceeded", message));
        }
        let is_over = !lost.is_empty() && lost.len() + counted.succeeded >= self.completions().unwrap_or(0);
        is_over.then(|| Verdict::failed("FailedIndexes", "Job has failed indexes"))
    }

    fn message(&self, kind: &str) -> String {
        let condition = self.draft.condition(kind);
        condition.and_then(|condition| condition["message"].as_str()).unwrap_or_default().to_owned()
    }

    /// Pods that start their containers again themselves count by those starts.
    fn restarts_exceed(&self, limit: i64) -> bool {
        let policy = self.spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        if policy != Some("OnFailure") {
            return false;
        }
        let pods = self.pods.iter().filter_map(|pod| pod.pod()).filter(|pod| !pod.is_terminal());
        let containers =
            pods.flat_map(|pod| pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses));
        let restarts: i64 = containers.map(|container| container.restart_count).sum();
        if limit == 0 { restarts > 0 } else { restarts >= limit }
    }

    /// The condition that comes before the last: it is going to succeed, or to fail.
    fn note(&mut self, verdict: &Verdict) {
        let kind = if verdict.is_success { "SuccessCriteriaMet" } else { "FailureTarget" };
        if self.draft.condition(kind).is_none() {
            self.draft.put_condition(condition(kind, "True", &verdict.reason, &verdict.message, self.now));
        }
    }

    fn note_suspension(&mut self) {
        let (word, reason, message) = if self.is_suspended() {
            ("True", "JobSuspended", "Job suspended")
        } else {
            ("False", "JobResumed", "Job resumed")
        };
        let known = self.draft.condition("Suspended").map(|known| known["status"] == word);
        if known == Some(true) || (known.is_none() && word == "False") {
            return;
        }
        self.draft.put_condition(condition("Suspended", word, reason, message, self.now));
        if !self.is_suspended() {
            self.draft.set("startTime", json!(Time(self.now)));
        }
    }

    fn await_deadline(&self, task: &Task, cluster: &mut Cluster) {
        if let (Some(deadline), Some(active)) = (self.spec.active_deadline_seconds, self.since_start())
            && active < deadline * 1000
        {
            cluster.again(deadline * 1000 - active, task.why, &task.key);
        }
    }
}

fn condition(kind: &str, word: &str, reason: &str, message: &str, now: i64) -> Value {
    json!({ "type": kind, "status": word, "reason": reason, "message": message,
            "lastProbeTime": Time(now), "lastTransitionTime": Time(now) })
}

fn is_tracked(pod: &Object) -> bool {
    pod.meta.finalizers.iter().any(|finalizer| finalizer == TRACKING)
}

fn release(pod: &Key, cluster: &mut Cluster) {
    cluster.change(pod, |pod| {
        pod.meta.finalizers.retain(|finalizer| finalizer != TRACKING);
        Some(())
    });
}

/// A pod whose Job is gone is not counted any more.
fn release_orphan(key: &Key, cluster: &mut Cluster) {
    let is_orphan = cluster.store.get(key).is_some_and(|pod| manager(pod, Kind::Job, &cluster.store).is_none());
    if is_orphan {
        release(key, cluster);
    }
}

fn is_finished(draft: &Draft) -> bool {
    draft.is("Complete") || draft.is("Failed")
}

/// Milliseconds until a finished Job is deleted; `None` where it is not finished, or stays.
fn until_expired(job: &Object, now: i64) -> Option<i64> {
    let Detail::Job(spec) = &job.detail else { return None };
    let seconds = spec.ttl_seconds_after_finished.map(i64::from).filter(|_| !job.is_terminating())?;
    let draft = Draft::of(job);
    let last = ["Complete", "Failed"].into_iter().find(|kind| draft.is(kind))?;
    let finished = draft.condition(last)?["lastTransitionTime"].as_str().and_then(Time::parse)?;
    Some((finished.0 + seconds * 1000 - now).max(0))
}

fn expire(task: &Task, cluster: &mut Cluster) {
    let Some(job) = cluster.store.get(&task.key) else { return };
    match until_expired(job, cluster.now) {
        Some(0) => {
            let options = DeleteOptions { propagation: Propagation::Foreground, ..DeleteOptions::default() };
            // One that is gone by now is what was wanted.
            let _ = cluster.delete(&task.key, &options);
        }
        Some(wait) => cluster.again(wait, task.why, &task.key),
        None => {}
    }
}
