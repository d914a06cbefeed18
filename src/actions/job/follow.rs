//! Following one Job to its end: a watch of that Job, and of what keeps its pod from starting.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use kube::core::WatchEvent;
use serde_json::Value;

use super::Work;
use super::object::{ATTEMPT, STEP};
use super::told;
use crate::actions::args::Read;
use crate::actions::context::{Attempt, StepContext};
use crate::actions::failure::by_server;
use crate::cluster::RequestError;
use crate::engine::event::Failure;
use crate::facts::objects::Pod;
use crate::facts::{OWN_LABEL, SILENT_AFTER};

/// How long an image may fail to come before the attempt has failed: three tries of the kubelet.
const PULLS: i64 = 30_000;
/// Reasons of a container that never come right by themselves.
const NEVER: &[&str] = &["InvalidImageName", "ErrImageNeverPull"];
/// Reasons of an image that may come yet.
const NOT_PULLED: &[&str] = &["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"];
/// In the message of an event `FailedCreate` that a quota is the reason of: it may be raised, or pods may end.
const QUOTA: &str = "exceeded quota";

/// A Job as it was seen.
#[derive(Debug, Clone)]
pub(super) struct Seen(Value);

impl Seen {
    pub(super) fn new(object: Value) -> Self {
        Self(object)
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// The attempt that made it.
    pub(super) fn attempt(&self) -> u32 {
        self.0["metadata"]["annotations"][ATTEMPT].as_str().and_then(|attempt| attempt.parse().ok()).unwrap_or_default()
    }

    /// Whether this step of this run made it.
    pub(super) fn is_of(&self, context: &StepContext) -> bool {
        let metadata = &self.0["metadata"];
        metadata["labels"][OWN_LABEL] == *context.run && metadata["annotations"][STEP] == *context.step
    }

    pub(super) fn is_going(&self) -> bool {
        self.0.pointer("/metadata/deletionTimestamp").is_some()
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.0.pointer("/spec/suspend") == Some(&Value::Bool(true))
    }

    /// Its condition of that type, if it is true.
    fn condition(&self, kind: &str) -> Option<&Value> {
        let conditions = self.0.pointer("/status/conditions").and_then(Value::as_array)?;
        conditions.iter().find(|one| one["type"] == kind && one["status"] == "True")
    }

    pub(super) fn is_complete(&self) -> bool {
        self.condition("Complete").is_some()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_complete() || self.condition("Failed").is_some()
    }

    /// Why it failed, in the Job controller's words.
    pub(super) fn why(&self) -> String {
        let failed = self.condition("Failed").unwrap_or(&Value::Null);
        let word = |field: &str| failed[field].as_str().unwrap_or_default();
        match (word("reason"), word("message")) {
            ("", message) => message.to_owned(),
            (reason, "") => reason.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

/// What keeps the Job from starting, as it was seen last.
#[derive(Debug, Default)]
pub(super) struct Hindrance(Mutex<Option<String>>);

impl Hindrance {
    fn set(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// The attempt with that as a further line.
    pub(super) fn told(&self, attempt: Attempt) -> Attempt {
        let why = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (attempt, why) {
            (Attempt::Failed(failure), Some(why)) => Attempt::Failed(failure.detail(format!("why    {why}"))),
            (attempt, _) => attempt,
        }
    }
}

/// How a watch ended.
enum Watched {
    /// What was waited for came.
    Found(Seen),
    /// The Job is gone.
    Gone,
}

impl Work<'_> {
    /// The Job once it has ended.
    pub(super) async fn until_ended(&self, seen: &Seen) -> Read<Seen> {
        match self.watch(seen, Seen::is_ended).await? {
            Watched::Found(seen) => Ok(seen),
            Watched::Gone => Err(Attempt::Failed(told::deleted(&self.wanted))),
        }
    }

    pub(super) async fn until_gone(&self, seen: &Seen) -> Read<()> {
        self.context.waiting(vec![format!("job `{}` of an earlier attempt is on its way out", self.wanted.shown())]);
        self.watch(seen, |_| false).await.map(drop)
    }

    /// Watches the Job until it is as wanted or gone; begun anew when the watch ends or says nothing for too long.
    async fn watch(&self, seen: &Seen, is_wanted: impl Fn(&Seen) -> bool) -> Read<Watched> {
        let path = self.wanted.listed();
        loop {
            let listed =
                self.context.requests.list(&path).await.map_err(|error| by_server(error, "list", "jobs.batch"))?;
            match listed.items.into_iter().map(Seen::new).find(|one| one.uid() == seen.uid()) {
                Some(now) if is_wanted(&now) => return Ok(Watched::Found(now)),
                Some(_) => {}
                None => return Ok(Watched::Gone),
            }
            let mut events = match self.context.requests.watch(&path, &listed.version).await {
                Ok(events) => events,
                Err(error) => {
                    self.pause(error, "jobs.batch").await?;
                    continue;
                }
            };
            while let Ok(Some(Ok(event))) = tokio::time::timeout(silence(), events.next()).await {
                match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        let now = Seen::new(object);
                        if now.uid() == seen.uid() && is_wanted(&now) {
                            return Ok(Watched::Found(now));
                        }
                    }
                    WatchEvent::Deleted(object) if Seen::new(object.clone()).uid() == seen.uid() => {
                        return Ok(Watched::Gone);
                    }
                    WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
                    WatchEvent::Error(_) => break,
                }
            }
        }
    }

    /// A watch that could not be opened is opened again, unless the server has the last word.
    pub(super) async fn pause(&self, error: RequestError, resource: &str) -> Read<()> {
        match error {
            RequestError::Unauthorized(_) | RequestError::Forbidden(_) => Err(by_server(error, "watch", resource)),
            _ => {
                tokio::time::sleep(self.context.requests.pause(4)).await;
                Ok(())
            }
        }
    }

    /// Comes back with a reason for which the Job will not start.
    pub(super) async fn until_hindered(&self, seen: &Seen, hindrance: &Hindrance) -> Failure {
        tokio::select! {
            biased;
            failure = self.until_refused(seen, hindrance) => failure,
            failure = self.until_not_pulled(hindrance) => failure,
        }
    }

    /// The Job's pod, as the watch of all pods shows it.
    fn pod(&self) -> Option<Arc<Pod>> {
        let pods = self.context.facts.read(|facts| facts.pods_on(&self.node.name));
        pods.into_iter().find(|pod| {
            pod.metadata.namespace == self.wanted.namespace
                && pod.metadata.labels.get("batch.kubernetes.io/job-name") == Some(&self.wanted.name)
        })
    }

    /// Looks at why the pod's container waits.
    async fn until_not_pulled(&self, hindrance: &Hindrance) -> Failure {
        let mut changed = self.context.facts.changed();
        let mut since: Option<i64> = None;
        loop {
            changed.mark_unchanged();
            let waits = self.pod().and_then(|pod| {
                let status = pod.status.container_statuses.first()?;
                status.state.waiting.clone().filter(|waiting| {
                    NEVER.contains(&waiting.reason.as_str()) || NOT_PULLED.contains(&waiting.reason.as_str())
                })
            });
            let now = self.context.now();
            let left = match &waits {
                None => {
                    if since.take().is_some() {
                        hindrance.set(None);
                    }
                    i64::MAX
                }
                Some(waits) => {
                    hindrance.set(Some(told::waits(waits)));
                    self.context.waiting(vec![format!("job `{}`: {}", self.wanted.shown(), told::waits(waits))]);
                    let begun = *since.get_or_insert(now);
                    let left = if NEVER.contains(&waits.reason.as_str()) { 0 } else { begun + PULLS - now };
                    if left <= 0 {
                        return told::no_image(&self.wanted, waits);
                    }
                    left
                }
            };
            let left = Duration::from_millis(left.unsigned_abs());
            tokio::select! {
                biased;
                () = changed.changed() => {}
                () = tokio::time::sleep(left.min(Duration::from_secs(3_600))) => {}
            }
        }
    }

    /// Watches the events of the Job for pods that may not be created. Without the right to read events nothing is known.
    async fn until_refused(&self, seen: &Seen, hindrance: &Hindrance) -> Failure {
        let path = format!(
            "/api/v1/namespaces/{}/events?fieldSelector=involvedObject.uid%3D{}%2Creason%3DFailedCreate",
            self.wanted.namespace,
            seen.uid()
        );
        let mut told = BTreeSet::new();
        loop {
            let listed = match self.context.requests.list(&path).await {
                Ok(listed) => listed,
                Err(_) => return std::future::pending().await,
            };
            for event in &listed.items {
                if let Some(failure) = self.refused(event, &mut told, hindrance) {
                    return failure;
                }
            }
            let Ok(mut events) = self.context.requests.watch(&path, &listed.version).await else {
                tokio::time::sleep(self.context.requests.pause(4)).await;
                continue;
            };
            while let Ok(Some(Ok(event))) = tokio::time::timeout(silence(), events.next()).await {
                match event {
                    WatchEvent::Added(event) | WatchEvent::Modified(event) => {
                        if let Some(failure) = self.refused(&event, &mut told, hindrance) {
                            return failure;
                        }
                    }
                    WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
                    WatchEvent::Error(_) => break,
                }
            }
        }
    }

    /// What one event says: a failure, or something to wait for.
    fn refused(&self, event: &Value, told: &mut BTreeSet<String>, hindrance: &Hindrance) -> Option<Failure> {
        let message = event["message"].as_str().unwrap_or_default();
        if message.contains("forbidden") && !message.contains(QUOTA) {
            return Some(told::not_allowed(&self.wanted, message));
        }
        if told.insert(message.to_owned()) {
            hindrance.set(Some(message.to_owned()));
            self.context.waiting(vec![format!("job `{}` has no pod: {message}", self.wanted.shown())]);
        }
        None
    }
}

pub(super) fn silence() -> Duration {
    Duration::from_millis(SILENT_AFTER.unsigned_abs())
}
