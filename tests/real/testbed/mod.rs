//! A real control plane for tests, benches and the demo: etcd, kube-apiserver, kube-controller-manager and
//! kube-scheduler built from the Go module proxy, and kwok in the place of the kubelets.
//!
//! In the order of use: [`binaries`] finds or builds the programs, [`controlplane`] starts them, [`kwok`] brings the
//! nodes to life, [`world`] makes pools of nodes, [`workload`] what runs on them. [`Lab`] is all of that running;
//! [`bed::Bed`] is a lab that starts when the first trial asks for it, [`lab::OwnLab`] one for a single trial.
//!
//! The clock of this code is the real one: what it waits for happens in other processes.
#![allow(dead_code, reason = "shared by several programs, each of which uses a part")]
#![allow(unreachable_pub, reason = "in a program, `pub` marks what a module offers to the others")]
#![allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]

pub mod api;
pub mod audit;
pub mod bed;
pub mod binaries;
mod certs;
pub mod controlplane;
mod kwok;
pub mod lab;
mod process;
pub mod proxy;
pub mod webhook;
pub mod workload;
pub mod world;

pub use lab::Lab;
pub use process::watch_if_asked;

use std::thread;
use std::time::{Duration, Instant};

/// What can go wrong in the testbed. Nothing here is tried again by it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The testbed cannot run on this machine, for want of a tool that is named.
    #[error("{0}")]
    Missing(String),
    /// A program could not be built.
    #[error("{0}")]
    Build(String),
    /// The testbed's own programs do not do what they should.
    #[error("{0}")]
    Start(String),
    /// The operating system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The answer.
        source: std::io::Error,
    },
    /// The operating system said no to something whose error says enough.
    #[error(transparent)]
    Plain(#[from] std::io::Error),
    /// The API server said no, or could not be reached.
    #[error("`{request}`: {error}")]
    Api {
        /// Verb and path.
        request: String,
        /// The answer; an HTTP status with its causes is [`kube::Error::Api`].
        error: Box<kube::Error>,
    },
    /// Something did not come about in time.
    #[error("not within {seconds:.1} s: {what}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: f64,
    },
}

/// The result of what the testbed does.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// The HTTP status of the API server's answer, if it answered.
    pub fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    /// Whether the API server gave this cause, such as `DisruptionBudget`.
    pub fn has_cause(&self, reason: &str) -> bool {
        let details = self.status().and_then(|status| status.details.as_ref());
        details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == reason))
    }

    fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Error::Api { error, .. } => match &**error {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Asks five times a second until `ask` has an answer; `what` says in the error what did not come about.
pub fn until<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if begun.elapsed() > within {
            return Err(Error::Deadline { what: what.into(), seconds: begun.elapsed().as_secs_f64() });
        }
        thread::sleep(Duration::from_millis(200));
    }
}
