//! The trimmed, versioned copy of a cluster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Connection, RequestError};

/// The schema that [`Snapshot`] is written in; a reader refuses a higher one.
pub const SCHEMA: u32 = 1;

/// A cluster at one moment: objects as the server has them, trimmed, without the contents of Secrets or environments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of sprag that made it.
    pub sprag: String,
    /// The UID of the namespace kube-system.
    pub cluster: String,
    /// The context's name.
    pub context: String,
    /// The API server's version.
    pub version: String,
    /// When it was read, Unix milliseconds.
    pub as_of: i64,
    /// Resource (`nodes`, `pods`, `deployments.apps`, …) to objects, in order of namespace and name.
    pub objects: BTreeMap<String, Vec<serde_json::Value>>,
}

/// Reads a cluster.
///
/// # Errors
/// What the server refused.
pub async fn take(_connection: &Connection, _now: i64) -> Result<Snapshot, RequestError> {
    todo!()
}
