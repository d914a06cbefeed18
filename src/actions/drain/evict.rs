//! One eviction on the wire. kube's `Api::evict` sends `delete_options`, which the server ignores: the body is our own.

use serde::Deserialize;
use serde_json::{Value, json};

use super::state::Answer;
use crate::actions::args::Read;
use crate::actions::context::{Attempt, StepContext};
use crate::actions::failure::by_server;
use crate::cluster::RequestError;
use crate::engine::event::Failure;
use crate::facts::objects::{Meta, Pod};
use crate::why::pod_name;

/// In the message of a 403 whose cause is NamespaceTerminating (apiserver's lifecycle admission).
const NAMESPACE_GOES: &str = "because it is being terminated";
/// In the message of a 403 of the eviction handler itself (eviction.go): the budget's numbers are out of order for now.
const BUDGET_FORBIDS: &str = "poddisruptionbudget";
/// In the message of a 500 that no further try can mend (eviction.go).
const SEVERAL: &str = "more than one PodDisruptionBudget";
/// In the message of a webhook that says no (apiserver's plugin/webhook/errors), whatever its code.
const WEBHOOK_DENIES: &str = "denied the request";
/// In the message of a ValidatingAdmissionPolicy that says no (plugin/policy/validating/dispatcher.go).
const POLICY_DENIES: &str = "denied request";
/// In the message of a 500: the server cannot ask a webhook that has to be asked.
const WEBHOOK_AWAY: &str = "failed calling webhook";

/// Posts the eviction of a pod, bound to its UID, and says what came of it.
pub(in crate::actions) async fn evict(pod: &Pod, grace: Option<i64>, context: &StepContext) -> Read<Answer> {
    let posted = context.requests.create(&format!("{}/eviction", path(pod)), &body(pod, grace)).await;
    let Err(error) = posted else { return Ok(Answer::Accepted) };
    match error {
        RequestError::NotFound(_) => Ok(Answer::Gone),
        RequestError::Budget(_) => Ok(Answer::Held),
        RequestError::Other(_, why) | RequestError::Lost(why) if why.contains(SEVERAL) => Err(several(pod, &why)),
        RequestError::Conflict(_) => looked(pod, Answer::Gone, context).await,
        // It went as it was asked to: whoever did it, it is out.
        RequestError::Lost(_) => looked(pod, Answer::Accepted, context).await,
        RequestError::Forbidden(why) if why.contains(NAMESPACE_GOES) => Ok(Answer::Leaves),
        error if let Some(said) = said_by_admission(&error) => Ok(Answer::Barred(said)),
        RequestError::Forbidden(why) if why.contains(BUDGET_FORBIDS) => Ok(Answer::Held),
        error => Err(by_server(error, "create", "pods/eviction")),
    }
}

/// What a webhook or a policy said, or what the server says of a webhook that it cannot reach.
fn said_by_admission(error: &RequestError) -> Option<String> {
    let said = match error {
        RequestError::Forbidden(why) | RequestError::Invalid(why) | RequestError::Other(_, why) => why,
        RequestError::Unauthorized(_)
        | RequestError::NotFound(_)
        | RequestError::Conflict(_)
        | RequestError::Expired(_)
        | RequestError::Budget(_)
        | RequestError::Lost(_)
        | RequestError::Fenced(_) => return None,
    };
    [WEBHOOK_DENIES, POLICY_DENIES, WEBHOOK_AWAY].iter().any(|words| said.contains(words)).then(|| said.clone())
}

/// What a look at the pod says of an eviction whose answer does not; `gone` if it is not there any more.
async fn looked(pod: &Pod, gone: Answer, context: &StepContext) -> Read<Answer> {
    /// All that is asked of it.
    #[derive(Deserialize)]
    struct Seen {
        metadata: Meta,
    }
    match context.requests.get::<Seen>(&path(pod)).await {
        Ok(seen) if seen.metadata.uid != pod.metadata.uid => Ok(gone),
        Ok(seen) if seen.metadata.is_terminating() => Ok(Answer::Accepted),
        Ok(_) => Ok(Answer::Again),
        Err(RequestError::NotFound(_)) => Ok(gone),
        Err(error) => Err(by_server(error, "get", "pods")),
    }
}

fn several(pod: &Pod, why: &str) -> Attempt {
    let message = format!("pod `{}` cannot be evicted: several budgets cover it", pod_name(pod));
    let failure = Failure::new("W103", message).detail(format!("why    {why}"));
    Attempt::Refused(failure.help("change the selector of one of them, so that one budget covers the pod"))
}

fn path(pod: &Pod) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", pod.metadata.namespace, pod.metadata.name)
}

pub(super) fn body(pod: &Pod, grace: Option<i64>) -> Value {
    let mut options = json!({"preconditions": {"uid": pod.metadata.uid}});
    if let Some(seconds) = grace {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.metadata.name, "namespace": pod.metadata.namespace},
        "deleteOptions": options,
    })
}
