//! Who one is and what one may: nobody in particular, and everything.

use serde_json::{Value, json};

use super::answer::Answer;
use super::request::Request;
use super::route::{REVIEWS, nothing_there};
use crate::rehearse::status::Refused;

/// POST of a review.
pub(super) fn review(request: &Request, plural: &str) -> Result<Answer, Refused> {
    let known = REVIEWS.iter().find(|(_, known, _)| *known == plural);
    let (group, _, kind) = known.ok_or_else(nothing_there)?;
    // The answer is the same whatever is asked, and whether it can be read (kubectl asks in protobuf).
    let mut body = request.json().unwrap_or_default();
    if !body.is_object() {
        body = json!({});
    }
    body["apiVersion"] = format!("{group}/v1").into();
    body["kind"] = (*kind).into();
    if !body["metadata"].is_object() {
        body["metadata"] = json!({ "creationTimestamp": null });
    }
    body["status"] = status(kind);
    Ok(Answer::value(&body).code(201))
}

fn status(kind: &str) -> Value {
    match kind {
        "SelfSubjectAccessReview" => json!({ "allowed": true, "reason": "a rehearsal allows everything" }),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
            "incomplete": false,
        }),
        _ => json!({ "userInfo": { "username": "rehearsal", "groups": ["system:masters", "system:authenticated"] } }),
    }
}
