//! What a Job came to, and what people read about it.

use std::sync::Arc;

use serde_json::Value;

use super::Work;
use super::follow::Seen;
use super::object::Wanted;
use crate::actions::args::Read;
use crate::actions::context::Attempt;
use crate::actions::failure::by_server;
use crate::catalog::value::{CommandOutcome, Value as Argument};
use crate::engine::event::Failure;
use crate::facts::objects::{ContainerReason, Pod};

/// In the message of a 422: no namespace of this cluster may have privileged pods (validation.go, `AllowPrivileged`).
const NO_PRIVILEGE: &str = "disallowed by cluster policy";

impl Work<'_> {
    /// The attempt that an ended Job is.
    pub(super) async fn judged(&self, seen: &Seen) -> Read<Attempt> {
        let ended = self.ended().await?;
        let code = match (&ended, seen.is_complete()) {
            (Some(ended), _) => ended.exit_code,
            (None, true) => Some(0),
            (None, false) => None,
        };
        let shown = self.wanted.shown();
        Ok(match code {
            Some(code) if self.wanted.allow.contains(&code) => {
                let outcome = CommandOutcome { code, stdout: None };
                Attempt::Done { value: Some(Argument::Outcome(Arc::new(outcome))), note: None }
            }
            Some(code) => {
                let failure = self.fail("E544", format!("job `{shown}` ended with exit code {code}"));
                let said = ended.map(|ended| ended.message).filter(|message| !message.is_empty());
                Attempt::Failed(said.into_iter().fold(failure, |failure, line| failure.detail(line)))
            }
            None => Attempt::Failed(self.fail("E544", format!("job `{shown}` failed: {}", seen.why()))),
        })
    }

    /// How the container ended; `None` where no pod tells it any more.
    async fn ended(&self) -> Read<Option<ContainerReason>> {
        let path = format!(
            "/api/v1/namespaces/{}/pods?labelSelector=batch.kubernetes.io%2Fjob-name%3D{}",
            self.wanted.namespace, self.wanted.name
        );
        let listed = self.context.requests.list(&path).await.map_err(|error| by_server(error, "list", "pods"))?;
        let pods = listed.items.into_iter().filter_map(|pod: Value| serde_json::from_value::<Pod>(pod).ok());
        let mut ended = pods.filter_map(|pod| pod.status.container_statuses.first()?.state.terminated.clone());
        Ok(ended.rfind(|ended| ended.exit_code.is_some()))
    }
}

/// Someone else's Job bears the name.
pub(super) fn foreign(wanted: &Wanted) -> Attempt {
    let message = format!("a job `{}` is there, and this step did not make it", wanted.shown());
    Attempt::Refused(Failure::new("E546", message).help("remove it, then resume the run"))
}

/// The server does not take the Job.
pub(super) fn not_taken(wanted: &Wanted, why: &str) -> Attempt {
    let mut failure = Failure::new("E546", format!("the server does not take job `{}`: {why}", wanted.shown()));
    if why.contains(NO_PRIVILEGE) {
        failure = failure.help("`host: true` needs an API server that runs with `--allow-privileged`");
    }
    Attempt::Refused(failure)
}

/// The Job went away under the step.
pub(super) fn deleted(wanted: &Wanted) -> Failure {
    Failure::new("E544", format!("job `{}` was deleted by someone else before it ended", wanted.shown()))
}

/// Its pod may not be created: a policy of the namespace, a webhook.
pub(super) fn not_allowed(wanted: &Wanted, why: &str) -> Failure {
    let failure = Failure::new("E545", format!("job `{}` may have no pod in its namespace", wanted.shown()));
    let failure =
        failure.detail(format!("why    {why}")).detail("state  it was removed, so that it does not begin later");
    failure
        .help("choose a `namespace:` that allows such pods, or change its `pod-security.kubernetes.io/enforce` label")
}

/// Its image does not come.
pub(super) fn no_image(wanted: &Wanted, waits: &ContainerReason) -> Failure {
    let failure = Failure::new("W106", format!("job `{}` has no image `{}`", wanted.shown(), wanted.image));
    let failure = failure.detail(format!("why    {}", self::waits(waits)));
    failure
        .detail("state  it was removed, so that it does not begin later")
        .help("is the name right, and may the node pull it?")
}

/// Why a container waits.
pub(super) fn waits(waits: &ContainerReason) -> String {
    if waits.message.is_empty() { waits.reason.clone() } else { format!("{}: {}", waits.reason, waits.message) }
}
