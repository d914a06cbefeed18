//! Why there is no lock, and what to do about it.

use super::lease::LeaseHolder;

/// What failed. [`Held`](Self::Held) and [`OutOfReach`](Self::OutOfReach) may pass by themselves, the others need a person.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it, and is alive or not proven to be dead.
    #[error("`{domain}` is locked by {holder}")]
    Held {
        /// The domain.
        domain: String,
        /// Who.
        holder: Box<LeaseHolder>,
    },
    /// A right is missing.
    #[error("sprag may not {verb} leases in the namespace `{namespace}`: {why}")]
    Forbidden {
        /// The verb of RBAC.
        verb: &'static str,
        /// Where.
        namespace: String,
        /// What the server said.
        why: String,
    },
    /// The login is not accepted.
    #[error("the cluster does not accept the login: {0}")]
    Unauthorized(String),
    /// The namespace for locks is not there.
    #[error("there is no namespace `{0}` to hold the lock")]
    NoNamespace(String),
    /// No answer in time.
    #[error("the lock cannot be taken: {0}")]
    OutOfReach(String),
    /// The server said no for another reason.
    #[error("the server does not take the lease `{lease}`: {why}")]
    Refused {
        /// Namespace and name.
        lease: String,
        /// What it said.
        why: String,
    },
    /// No name for a domain or a namespace.
    #[error("`{0}` cannot be the name of a {1}: small letters, digits, `-` and `.` make one")]
    Name(String, &'static str),
}

impl LockError {
    /// The stable code, such as `E720`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfReach(_) => "E710",
            Self::Unauthorized(_) => "E711",
            Self::Held { .. } => "E720",
            Self::Forbidden { .. } => "E721",
            Self::NoNamespace(_) => "E722",
            Self::Refused { .. } => "E723",
            Self::Name(..) => "E724",
        }
    }

    /// The code that the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Held { .. } => 6,
            Self::NoNamespace(_) | Self::Name(..) => 2,
            Self::Forbidden { .. } | Self::Unauthorized(_) | Self::OutOfReach(_) | Self::Refused { .. } => 13,
        }
    }

    /// What a person can do.
    pub fn help(&self) -> String {
        match self {
            Self::Held { holder, .. } => match &holder.note {
                Some(note) => format!(
                    "let that run end; if its process hangs or is gone, `sprag resume {} --take-over` in its folder goes \
                     on with it once the lease has run out; what touches other nodes may run under a `--domain` of its own",
                    note.run
                ),
                None => "wait until it is let go, or choose another `--domain`".to_owned(),
            },
            Self::Forbidden { namespace, .. } => format!(
                "grant `get`, `create` and `update` on `leases.coordination.k8s.io` in `{namespace}`, name a namespace of \
                 yours with `--lock-namespace`, or make sure that nobody else works on the cluster and run with `--no-lock`"
            ),
            Self::Unauthorized(_) => {
                "log in again, as for kubectl; `kubectl auth whoami` tells whether it worked".to_owned()
            }
            Self::NoNamespace(_) => "name one that is there with `--lock-namespace`".to_owned(),
            Self::OutOfReach(_) => "`kubectl get --raw /readyz` asks the API server how it is".to_owned(),
            Self::Refused { .. } => {
                "name another namespace with `--lock-namespace`, or run with `--no-lock`".to_owned()
            }
            Self::Name(_, what) => format!("choose another name for the {what}"),
        }
    }
}
