//! `job`: a Job on one node, found again by its name.
//!
//! - Each step has one name for its Jobs, whatever the attempt: never are two of it side by side. A Job of an attempt
//!   that ended badly is removed, with its pod, before the next one is made; any other is joined.
//! - Judged by the Job's status: its log is out of reach while a kubelet restarts.
//! - Once the outcome is journalled, a Job that ended well is removed by [`tidy`]; one that failed stays for an hour
//!   ([`object::TTL`]), so that its log can be read.
//! - No secret stands in a Job: it travels in a Secret of the same name that the Job owns.
//!
//! | file | does |
//! |---|---|
//! | `object` | names, and the objects that are posted |
//! | `follow` | the watch of the one Job, and what hinders it |
//! | `reboot` | a node that the Job itself took down is awaited |
//! | `told` | the outcome, and what people read |

mod follow;
mod object;
mod reboot;
mod told;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::value::{ObjectRef, format_duration};
use crate::cluster::RequestError;
use crate::engine::event::Failure;

use super::args::{Read, object as node_of};
use super::context::{Args, Attempt, StepContext, Stop};
use super::failure::{by_server, gone, late, out_of_reach};
use follow::Seen;
use object::Wanted;

/// One attempt at a step's Job.
struct Work<'a> {
    context: &'a StepContext,
    node: Arc<ObjectRef>,
    wanted: Wanted,
}

/// Makes the Job, or joins the one that is there, and waits for its end. A stop is told and the Job awaited; left at once,
/// the Job goes on and a resume joins it.
pub(super) async fn job(args: &Args, context: &StepContext) -> Read<Attempt> {
    let work = Work { context, node: node_of(args, "node")?, wanted: Wanted::of(args, context)? };
    let hindrance = follow::Hindrance::default();
    tokio::select! {
        biased;
        attempt = work.carry_out(&hindrance) => attempt,
        () = context.late() => match out_of_reach(context) {
            Some(attempt) => Ok(attempt),
            None => {
                work.end_in_time().await;
                Ok(hindrance.told(late("job", args, context)))
            }
        },
        () = work.left() => Ok(Attempt::Interrupted),
    }
}

/// Removes a Job that ended well, with its pod and Secret. Its `ttlSecondsAfterFinished` does so where this fails.
pub(super) async fn tidy(args: &Args, context: &StepContext) {
    let (Ok(node), Ok(wanted)) = (node_of(args, "node"), Wanted::of(args, context)) else { return };
    let work = Work { context, node, wanted };
    if let Ok(Some(seen)) = work.look().await
        && seen.is_complete()
    {
        let _ = work.remove(&seen, "Background").await;
    }
}

impl Work<'_> {
    async fn carry_out(&self, hindrance: &follow::Hindrance) -> Read<Attempt> {
        let seen = self.begin().await?;
        self.hand_secrets_over(&seen).await?;
        self.context.waiting(vec![format!("job `{}` on `{}`", self.wanted.shown(), self.node)]);
        let seen = tokio::select! {
            biased;
            ended = self.until_ended(&seen) => ended?,
            failure = self.until_hindered(&seen, hindrance) => {
                // It must not begin later, when nobody awaits it any more.
                self.remove(&seen, "Foreground").await?;
                return Ok(Attempt::Failed(failure));
            }
        };
        let attempt = self.judged(&seen).await?;
        if self.context.has_effect && matches!(attempt, Attempt::Failed(_)) {
            self.until_node_is_back().await;
        }
        Ok(attempt)
    }

    /// The Job that this attempt awaits.
    async fn begin(&self) -> Read<Seen> {
        loop {
            let Some(seen) = self.look().await? else {
                if let Some(made) = self.create().await? {
                    return Ok(made);
                }
                continue;
            };
            if !seen.is_of(self.context) {
                return Err(told::foreign(&self.wanted));
            }
            if seen.is_going() {
                self.until_gone(&seen).await?;
            } else if seen.is_ended() && seen.attempt() != self.context.attempt && !self.is_good(&seen).await? {
                self.remove(&seen, "Foreground").await?;
            } else {
                return Ok(seen);
            }
        }
    }

    async fn look(&self) -> Read<Option<Seen>> {
        match self.context.requests.get::<Value>(&self.wanted.path()).await {
            Ok(object) => Ok(Some(Seen::new(object))),
            Err(RequestError::NotFound(_)) => Ok(None),
            Err(error) => Err(by_server(error, "get", "jobs.batch")),
        }
    }

    /// Posts the Job; `None` where it has to be looked for, since it is there already or the answer was lost.
    async fn create(&self) -> Read<Option<Seen>> {
        self.look_at_node().await?;
        match self.context.requests.create(&self.wanted.collection(), &self.wanted.job(&self.node.name)).await {
            Ok(object) => Ok(Some(Seen::new(object))),
            Err(RequestError::Conflict(_) | RequestError::Lost(_)) => Ok(None),
            Err(RequestError::Invalid(why) | RequestError::Other(400, why)) => Err(told::not_taken(&self.wanted, &why)),
            Err(RequestError::NotFound(why)) => Err(told::not_taken(&self.wanted, &why)),
            Err(error) => Err(by_server(error, "create", "jobs.batch")),
        }
    }

    /// A pod that is bound to a node that is not there waits for ever.
    async fn look_at_node(&self) -> Read<()> {
        match self.context.requests.get::<Value>(&format!("/api/v1/nodes/{}", self.node.name)).await {
            Ok(now) if now.pointer("/metadata/uid").and_then(Value::as_str) == Some(&self.node.uid) => Ok(()),
            Ok(_) | Err(RequestError::NotFound(_)) => Err(gone(&self.node)),
            Err(error) => Err(by_server(error, "get", "nodes")),
        }
    }

    /// The Secret is made once its owner is there, and the Job let go once its Secret is.
    async fn hand_secrets_over(&self, seen: &Seen) -> Read<()> {
        let Some(secret) = self.wanted.secret(seen.uid()) else { return Ok(()) };
        if !seen.is_suspended() {
            return Ok(());
        }
        let requests = &self.context.requests;
        loop {
            match requests.create(&self.wanted.secrets_path(), &secret).await {
                Ok(_) | Err(RequestError::Conflict(_)) => break,
                Err(RequestError::Lost(_)) => {}
                Err(error) => return Err(by_server(error, "create", "secrets")),
            }
        }
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": seen.uid()},
            {"op": "add", "path": "/spec/suspend", "value": false},
        ]);
        loop {
            match requests.json_patch(&self.wanted.path(), &patch).await {
                Ok(_) => return Ok(()),
                Err(RequestError::Lost(_)) => {}
                Err(error) => return Err(by_server(error, "patch", "jobs.batch")),
            }
        }
    }

    /// Deletes the Job; with `Foreground` it is there until its pods are gone, which is awaited.
    async fn remove(&self, seen: &Seen, policy: &str) -> Read<()> {
        let options = json!({"preconditions": {"uid": seen.uid()}, "propagationPolicy": policy});
        match self.context.requests.delete(&self.wanted.path(), &options).await {
            Ok(_) | Err(RequestError::Lost(_) | RequestError::Conflict(_)) => {}
            Err(RequestError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(by_server(error, "delete", "jobs.batch")),
        }
        if policy == "Foreground" { self.until_gone(seen).await } else { Ok(()) }
    }

    /// The time is over: what runs is ended. Not awaited, for a kubelet that does not answer would hold the step up.
    async fn end_in_time(&self) {
        let ended = async {
            if let Ok(Some(seen)) = self.look().await
                && seen.is_of(self.context)
            {
                let options = json!({"preconditions": {"uid": seen.uid()}, "propagationPolicy": "Foreground"});
                let _ = self.context.requests.delete(&self.wanted.path(), &options).await;
            }
        };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(10), ended).await;
    }

    /// Comes back when the step is to be left at once; a mere stop is told.
    async fn left(&self) {
        self.context.asked(Stop::Stop).await;
        let left = format_duration(self.context.left() / 1_000 * 1_000);
        self.context.waiting(vec![format!("job `{}` runs and is awaited, {left} left", self.wanted.shown())]);
        self.context.asked(Stop::Out).await;
    }

    async fn is_good(&self, seen: &Seen) -> Read<bool> {
        Ok(matches!(self.judged(seen).await?, Attempt::Done { .. }))
    }

    fn fail(&self, code: &str, message: impl Into<String>) -> Failure {
        Failure::new(code, message).help(format!("kubectl -n {} logs job/{}", self.wanted.namespace, self.wanted.name))
    }
}
