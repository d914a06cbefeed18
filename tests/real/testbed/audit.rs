//! What the API server wrote down about every request: how requests are counted, for sprag and for kubectl alike.

use super::{Error, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// One event of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who asked: the common name of the client's certificate.
    pub user: String,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The plural resource, such as `pods`; empty for paths such as `/readyz`.
    pub resource: String,
    /// The subresource, such as `eviction` or `status`; empty if there is none.
    pub subresource: String,
    /// The object's name; empty for lists.
    pub name: String,
    /// The object's namespace; empty if it has none.
    pub namespace: String,
    /// The HTTP status of the answer; 0 if there was none.
    pub code: u16,
    /// When it came in, RFC 3339 with microseconds.
    pub received: String,
    /// When it was answered, RFC 3339 with microseconds.
    pub at: String,
    /// `ResponseComplete`, or for a watch `ResponseStarted` first; `Panic`.
    pub stage: String,
}

/// Every request as it is answered, its body left out. Requests received are no event of their own.
pub(super) const POLICY: &str = r#"{
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}]
}"#;

/// Reads a log that is being written: a last line without its end is left out.
pub(super) fn read(log: &Path) -> Result<Vec<AuditEntry>> {
    let text = fs::read_to_string(log).map_err(Error::io("read the audit log"))?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(parse).collect()
}

fn parse(line: &str) -> Result<AuditEntry> {
    let event: Value =
        serde_json::from_str(line).map_err(|error| Error::Start(format!("audit log: {error}: {line}")))?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
    Ok(AuditEntry {
        user: text("/user/username"),
        user_agent: text("/userAgent"),
        verb: text("/verb"),
        resource: text("/objectRef/resource"),
        subresource: text("/objectRef/subresource"),
        name: text("/objectRef/name"),
        namespace: text("/objectRef/namespace"),
        code: code.and_then(|code| u16::try_from(code).ok()).unwrap_or_default(),
        received: text("/requestReceivedTimestamp"),
        at: text("/stageTimestamp"),
        stage: text("/stage"),
    })
}
