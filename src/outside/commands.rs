//! Real processes: each in a group of its own, held until it is let go, streamed line by line.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;

use super::identity::{has_members, host_name, is_of_this_boot, started};
use super::pump::{Pump, pump};
use super::{CommandEnd, CommandSpec, Commands, HeldCommand, OutputLine};
use crate::engine::event::Process;

/// Waits for a line and becomes the command; when sprag dies before it sends one, the line never comes. The variable is
/// unset again so that the command does not see it.
const HOLD: &str = "IFS= read -r SPRAG_GO || exit 125; unset SPRAG_GO; exec \"$@\" </dev/null";
/// Shown in front of the shell's own messages, such as "not found".
const NAME: &str = "sprag";
/// How long the outputs are awaited once the command has ended: what it left behind may hold them open for ever.
const PIPES_AFTER_END: Duration = Duration::from_secs(2);

/// Processes on this host, through `sh`.
///
/// What the inherited environment holds under names that are no shell identifiers may not reach a command: some shells
/// drop it.
#[derive(Debug, Clone)]
pub struct HostCommands {
    host: String,
}

impl HostCommands {
    /// Commands of this host.
    pub fn new() -> Self {
        Self { host: host_name() }
    }

    fn start_now(&self, spec: &CommandSpec) -> Result<Box<dyn HeldCommand>, String> {
        let program = spec.argv.first().ok_or("the command is empty")?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(HOLD).arg(NAME).args(&spec.argv);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.envs(spec.env.iter().map(|(name, text)| (name, text)));
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        let child = command.spawn().map_err(|error| match &spec.dir {
            Some(dir) => format!("`{program}` cannot be started in {}: {error}", dir.display()),
            None => format!("`{program}` cannot be started: {error}"),
        })?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or("the process ended as it began")?;
        let started = started(pid).ok_or("the process ended as it began")?;
        Ok(Box::new(Held { child, process: Process { host: self.host.clone(), pid, started } }))
    }
}

impl Default for HostCommands {
    fn default() -> Self {
        Self::new()
    }
}

impl Commands for HostCommands {
    fn start(&self, spec: CommandSpec) -> BoxFuture<'static, Result<Box<dyn HeldCommand>, String>> {
        let held = self.start_now(&spec);
        Box::pin(async move { held })
    }

    fn is_alive(&self, process: &Process) -> Option<bool> {
        if process.host != self.host {
            return None;
        }
        // No group has the number 0 or 1 of a command; to a signal they mean someone else.
        if process.pid <= 1 {
            return Some(false);
        }
        Some(match started(process.pid) {
            Some(now) => now == process.started,
            None => is_of_this_boot(&process.started) && has_members(process.pid),
        })
    }

    fn end(&self, process: &Process, kill: bool) {
        if self.is_alive(process) != Some(true) {
            return;
        }
        let signal = if kill { Signal::SIGKILL } else { Signal::SIGTERM };
        // It may have ended since: then there is nothing to end.
        let _ = killpg(Pid::from_raw(process.pid), signal);
    }
}

/// A shell that waits for its line. Dropped, the pipe closes and the shell ends.
struct Held {
    child: Child,
    process: Process,
}

impl HeldCommand for Held {
    fn process(&self) -> Process {
        self.process.clone()
    }

    fn let_go(self: Box<Self>, lines: UnboundedSender<OutputLine>) -> BoxFuture<'static, Result<CommandEnd, String>> {
        // A task of its own keeps reading when nobody awaits the end any more, so that the command is not cut off.
        let running = tokio::spawn(run(self.child, lines));
        Box::pin(async move { running.await.map_err(|error| format!("its outputs could not be read: {error}"))? })
    }
}

async fn run(mut child: Child, lines: UnboundedSender<OutputLine>) -> Result<CommandEnd, String> {
    let stdout = child.stdout.take().map(|pipe| pump(pipe, false, lines.clone()));
    let stderr = child.stderr.take().map(|pipe| pump(pipe, true, lines));
    let mut stdin = child.stdin.take().ok_or("its input is gone")?;
    stdin.write_all(b"go\n").await.map_err(|error| format!("it ended before it was let go: {error}"))?;
    drop(stdin);
    let status = child.wait().await.map_err(|error| format!("its end could not be learnt: {error}"))?;
    let pumps: Vec<Pump> = stdout.into_iter().chain(stderr).collect();
    let _ = tokio::time::timeout(PIPES_AFTER_END, async {
        for pump in &pumps {
            pump.ended().await;
        }
    })
    .await;
    let (stdout, is_cut) = pumps.first().map(Pump::captured).unwrap_or_default();
    Ok(CommandEnd { code: code_of(status), stdout, is_cut })
}

fn code_of(status: ExitStatus) -> i64 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    i64::from(code)
}
