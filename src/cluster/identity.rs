//! Whom the cluster takes the login for.

use serde_json::{Value, json};

use super::{RequestError, Requests};

/// An authenticated user and its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub name: String,
    /// The groups, `system:authenticated` among them.
    pub groups: Vec<String>,
}

/// Asks the server who the login is (authentication.k8s.io/v1 SelfSubjectReview, of every server since v1.28); `None` where
/// it has no such review.
///
/// # Errors
/// What the server refused, or that it is out of reach.
pub async fn identity(requests: &Requests) -> Result<Option<Identity>, RequestError> {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    loop {
        match requests.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await {
            Ok(answer) => return Ok(told(&answer)),
            Err(RequestError::NotFound(_)) => return Ok(None),
            // A review changes nothing: it is asked for again.
            Err(RequestError::Lost(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

fn told(answer: &Value) -> Option<Identity> {
    let user = answer.pointer("/status/userInfo")?;
    let groups = user.get("groups").and_then(Value::as_array).into_iter().flatten();
    Some(Identity {
        name: user.get("username")?.as_str()?.to_owned(),
        groups: groups.filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}
