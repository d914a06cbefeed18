//! From kubeconfig, context and in-cluster configuration to a connection.

use std::path::PathBuf;

use super::Requests;
use crate::outside::Outside;

/// How a person chose the cluster, as kubectl's flags of the same names.
#[derive(Debug, Clone, Default)]
pub struct LoginOptions {
    /// `--kubeconfig`
    pub kubeconfig: Option<PathBuf>,
    /// `--context`
    pub context: Option<String>,
    /// `--as`
    pub impersonate: Option<String>,
}

/// A cluster that answers.
#[derive(Clone)]
pub struct Connection {
    /// The way to it.
    pub requests: Requests,
    /// The UID of the namespace kube-system; empty when it cannot be read.
    pub uid: String,
    /// The context's name, or `in-cluster`.
    pub context: String,
    /// The API server's version, such as `v1.37.2`.
    pub version: String,
    /// Added to a command's environment: `KUBECONFIG` of the chosen context.
    pub(crate) environment: Vec<(String, String)>,
}

impl Connection {
    /// Added to a command's environment: `KUBECONFIG` of the chosen context.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A kubeconfig that is missing or cannot be read: exit 2.
    #[error("{0}")]
    Missing(String),
    /// A kubeconfig that is broken: exit 2.
    #[error("{0}")]
    Config(String),
    /// A context that no kubeconfig has: exit 2.
    #[error("{0}")]
    Context(String),
    /// The cluster does not answer: exit 13.
    #[error("{0}")]
    OutOfReach(String),
    /// The login is refused or has expired: exit 13.
    #[error("{0}")]
    Refused(String),
}

/// Logs in and asks the server for its version.
///
/// # Errors
/// See [`LoginError`].
pub async fn connect(_options: &LoginOptions, _outside: &Outside) -> Result<Connection, LoginError> {
    todo!()
}
