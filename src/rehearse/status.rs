//! How the server says no: metav1.Status, with the words of apimachinery's `pkg/api/errors`.

use serde_json::{Value, json};

use super::kinds::Kind;
use super::object::Key;

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The HTTP code.
    pub code: u16,
    /// In a word, such as `NotFound`; empty where Kubernetes says none.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
    /// `details`; null where there are none.
    pub details: Value,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u16>,
}

impl Refused {
    /// An answer without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null, retry_after: None }
    }

    fn about(mut self, kind: Kind, name: &str) -> Self {
        let (group, plural) = kind.info().map_or(("", ""), |info| (info.group, info.plural));
        self.details = json!({ "name": name, "kind": plural });
        if !group.is_empty() {
            self.details["group"] = group.into();
        }
        self
    }

    /// Adds a cause; its type is called `reason` in JSON.
    pub fn caused_by(mut self, reason: &str, message: &str) -> Self {
        if !self.details.is_object() {
            self.details = json!({});
        }
        let cause = json!({ "reason": reason, "message": message });
        match self.details["causes"].as_array_mut() {
            Some(causes) => causes.push(cause),
            None => self.details["causes"] = json!([cause]),
        }
        self
    }

    /// Asks for a pause.
    pub fn after(mut self, seconds: i64) -> Self {
        if !self.details.is_object() {
            self.details = json!({});
        }
        self.details["retryAfterSeconds"] = seconds.into();
        self.retry_after = u16::try_from(seconds).ok();
        self
    }

    /// 400
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 403: `pods "x" is forbidden: why`
    pub fn forbidden(key: &Key, why: &str) -> Self {
        let message = format!("{} {:?} is forbidden: {why}", named(key.kind), key.name);
        Self::new(403, "Forbidden", message).about(key.kind, &key.name)
    }

    /// 404: `pods "x" not found`
    pub fn not_found(key: &Key) -> Self {
        let message = format!("{} {:?} not found", named(key.kind), key.name);
        Self::new(404, "NotFound", message).about(key.kind, &key.name)
    }

    /// 409: `pods "x" already exists`
    pub fn already_exists(key: &Key) -> Self {
        let message = format!("{} {:?} already exists", named(key.kind), key.name);
        Self::new(409, "AlreadyExists", message).about(key.kind, &key.name)
    }

    /// 409: the object is not of that version, or not that one.
    pub fn conflict(key: &Key, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {:?}: {why}", named(key.kind), key.name);
        Self::new(409, "Conflict", message).about(key.kind, &key.name)
    }

    /// 409: somebody else was faster.
    pub fn modified(key: &Key) -> Self {
        Self::conflict(
            key,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 422: a field is not as it has to be.
    pub fn invalid(key: &Key, field: &str, why: &str) -> Self {
        let kind = key.kind.info().map_or("", |info| info.name);
        let message = format!("{kind} {:?} is invalid: {field}: {why}", key.name);
        let mut refused = Self::new(422, "Invalid", message).about(key.kind, &key.name);
        refused.details["kind"] = kind.into();
        refused.details["causes"] = json!([{ "reason": "FieldValueInvalid", "message": why, "field": field }]);
        refused
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        let mut body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure" });
        body["message"] = self.message.clone().into();
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            body["details"] = self.details.clone();
        }
        body["code"] = self.code.into();
        body
    }
}

/// `pods`, `deployments.apps`
fn named(kind: Kind) -> String {
    kind.info().map_or_else(|| "objects".to_owned(), |info| info.resource())
}
