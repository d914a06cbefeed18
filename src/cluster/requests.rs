//! Requests to the API server with the one retry layer.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::outside::Clock;

/// Sends requests. Reads, and what the server did not begin, are sent again (connection errors, timeouts, 5xx, 429 without
/// a `DisruptionBudget` cause) after 0.1 to 10 s with jitter until the caller drops the future: the step's deadline is the
/// caller's. Cheap to clone.
#[derive(Clone)]
pub struct Requests {
    client: kube::Client,
    clock: Arc<dyn Clock>,
    seed: u64,
}

/// What the server said no with, or why nobody knows what it did.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 409: somebody else was faster, or it exists.
    #[error("{0}")]
    Conflict(String),
    /// 422: a `test` of a patch that did not hold among them.
    #[error("{0}")]
    Invalid(String),
    /// 401: the login is not accepted (any more).
    #[error("{0}")]
    Unauthorized(String),
    /// 403.
    #[error("{0}")]
    Forbidden(String),
    /// 410: a list or watch has to begin anew.
    #[error("{0}")]
    Expired(String),
    /// 429 with the cause `DisruptionBudget`: the cause's message.
    #[error("{0}")]
    Budget(String),
    /// The answer of a mutation was lost: look before it is sent again.
    #[error("{0}")]
    Lost(String),
    /// Another code: code and message.
    #[error("{1}")]
    Other(u16, String),
}

impl Requests {
    /// Over a client whose own retries are off.
    pub fn new(client: kube::Client, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self { client, clock, seed }
    }
    /// GET.
    pub async fn get<T: DeserializeOwned>(&self, _path: &str) -> Result<T, RequestError> {
        todo!()
    }
    /// POST of an object.
    pub async fn create(&self, _path: &str, _body: &Value) -> Result<Value, RequestError> {
        todo!()
    }
    /// PATCH with a JSON patch (RFC 6902); give it `test` operations for what it replaces.
    pub async fn json_patch(&self, _path: &str, _patch: &Value) -> Result<Value, RequestError> {
        todo!()
    }
    /// Since the last success nothing but connection errors, timeouts and 5xx came: the last of them.
    pub fn trouble(&self) -> Option<String> {
        self.trouble_since().map(|(_, what)| what)
    }
    /// The same, with the time since when no request has succeeded (Unix milliseconds).
    pub fn trouble_since(&self) -> Option<(i64, String)> {
        todo!()
    }
}
