//! Whether the login may do what a plan needs, asked of the server itself before anything is begun.

use std::collections::BTreeSet;
use std::fmt;

use futures_util::future::try_join_all;
use serde_json::json;

use super::{RequestError, Requests};

/// A right, as a role grants it: over all namespaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Resource in plural, with a subresource: `pods/eviction`.
    pub resource: &'static str,
    /// Verb.
    pub verb: &'static str,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, resource, verb } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{verb} {resource}{dot}{group}")
    }
}

/// Those of the rights that the login does not have (authorization.k8s.io/v1 SelfSubjectAccessReview).
///
/// # Errors
/// What the server refused: also to be asked.
pub async fn missing(requests: &Requests, needed: &BTreeSet<Right>) -> Result<Vec<Right>, RequestError> {
    let asked = needed.iter().map(|right| async move { Ok((right, is_allowed(requests, right).await?)) });
    let answers = try_join_all(asked).await?;
    Ok(answers.into_iter().filter(|(_, is_allowed)| !is_allowed).map(|(right, _)| right.clone()).collect())
}

async fn is_allowed(requests: &Requests, right: &Right) -> Result<bool, RequestError> {
    let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
    let attributes =
        json!({ "group": right.group, "resource": resource, "subresource": subresource, "verb": right.verb });
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": attributes },
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    loop {
        match requests.create(path, &review).await {
            Ok(answer) => return Ok(answer.pointer("/status/allowed") == Some(&json!(true))),
            // A review changes nothing: it is asked for again.
            Err(RequestError::Lost(_)) => {}
            Err(error) => return Err(error),
        }
    }
}
