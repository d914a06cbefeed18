//! What touches the world beside the cluster: the clock, processes, webhooks. A rehearsal hands over others of the same traits.
//!
//! - [`SystemClock`]: the system's time, asked nowhere else
//! - [`HostCommands`]: real processes
//! - [`HttpWebhooks`]: real requests

mod clock;
mod commands;
mod identity;
mod pump;
#[cfg(test)]
mod tests;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::engine::event::Process;

pub use clock::SystemClock;
pub use commands::HostCommands;
pub use identity::{host_name, user_name};
pub use webhooks::HttpWebhooks;

/// Wall time. Sleeping goes through tokio's clock, which a rehearsal pauses and advances.
pub trait Clock: Send + Sync {
    /// Unix milliseconds.
    fn now(&self) -> i64;
}

/// A command to run, in a process group of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the inherited environment.
    pub env: Vec<(String, String)>,
    /// Where it runs; the current folder where none is said.
    pub dir: Option<PathBuf>,
}

/// What a command wrote on one of its two outputs, one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Whether it was written on stderr.
    pub stderr: bool,
    /// The line without its end; bytes that are no UTF-8 replaced.
    pub text: String,
    /// Whether the line was too long and goes on in the next one of the same output.
    pub is_cut: bool,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnd {
    /// The exit code; 128 + n for signal n.
    pub code: i64,
    /// The first MiB of its stdout; bytes that are no UTF-8 replaced.
    pub stdout: String,
    /// Whether it wrote more than that.
    pub is_cut: bool,
}

/// A command that was started and does nothing until it is let go.
pub trait HeldCommand: Send {
    /// The process, to be journalled before it is let go.
    fn process(&self) -> Process;
    /// Lets it run to its end; each line goes to `lines` as it comes. Dropping the future does not end the process.
    fn let_go(
        self: Box<Self>,
        lines: tokio::sync::mpsc::UnboundedSender<OutputLine>,
    ) -> BoxFuture<'static, Result<CommandEnd, String>>;
}

/// Processes on this host.
pub trait Commands: Send + Sync {
    /// Starts a command that waits to be let go; if sprag dies before, it ends without having done anything.
    fn start(&self, spec: CommandSpec) -> BoxFuture<'static, Result<Box<dyn HeldCommand>, String>>;
    /// Whether a process of this group, started on this host in this boot, is alive; `None` when it is another host's.
    fn is_alive(&self, process: &Process) -> Option<bool>;
    /// Sends the group SIGTERM, or SIGKILL.
    fn end(&self, process: &Process, kill: bool);
}

/// Why a webhook was not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookError {
    /// What was the matter; the address is no part of it, since it may hold a secret.
    pub why: String,
    /// Whether another try may do better.
    pub may_pass: bool,
}

/// Requests that tell people something.
pub trait Webhooks: Send + Sync {
    /// Posts a body of JSON to an address.
    fn post(
        &self,
        url: &str,
        headers: Vec<(String, String)>,
        body: String,
    ) -> BoxFuture<'static, Result<(), WebhookError>>;
}

/// The outside world, as one value.
#[derive(Clone)]
pub struct Outside {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Processes.
    pub commands: Arc<dyn Commands>,
    /// Webhooks.
    pub webhooks: Arc<dyn Webhooks>,
}

impl Outside {
    /// The real world.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), commands: Arc::new(HostCommands::new()), webhooks: Arc::new(HttpWebhooks) }
    }
}
