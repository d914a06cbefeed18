//! Commands in a rehearsal: no process is started; each does what the script says of its step.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::effects;
use super::script::{Part, Script};
use super::server::Server;
use crate::engine::event::Process;
use crate::outside::{CommandEnd, CommandSpec, Commands, HeldCommand, OutputLine, WebhookError, Webhooks};

/// The exit code of a command that was ended by SIGTERM.
const TERMINATED: i64 = 143;
/// The host of processes that are none.
const HOST: &str = "rehearsal";

/// Starts what the script says. The processes of a driver that is gone are gone with it: what came of them is not known.
pub(super) struct ScriptedCommands {
    script: Script,
    server: Server,
    /// By number: whether it was asked to end.
    alive: Mutex<BTreeMap<i32, watch::Sender<bool>>>,
}

impl ScriptedCommands {
    pub(super) fn new(script: Script, server: Server) -> Self {
        Self { script, server, alive: Mutex::default() }
    }
}

impl Commands for ScriptedCommands {
    fn start(&self, spec: CommandSpec) -> BoxFuture<'static, Result<Box<dyn HeldCommand>, String>> {
        let step = spec.env.iter().find(|(name, _)| name == "SPRAG_STEP").map_or("", |(_, step)| step.as_str());
        let part = self.script.read(step).unwrap_or_default();
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = i32::try_from(alive.len()).unwrap_or(0) + 100;
        let (sender, asked) = watch::channel(false);
        alive.insert(pid, sender);
        let held = Held { pid, part, asked, server: self.server.clone() };
        Box::pin(async move { Ok(Box::new(held) as Box<dyn HeldCommand>) })
    }

    fn is_alive(&self, _process: &Process) -> Option<bool> {
        Some(false)
    }

    fn end(&self, process: &Process, _kill: bool) {
        if let Some(asked) = self.alive.lock().unwrap_or_else(PoisonError::into_inner).get(&process.pid) {
            asked.send_replace(true);
        }
    }
}

struct Held {
    pid: i32,
    part: Part,
    asked: watch::Receiver<bool>,
    server: Server,
}

impl HeldCommand for Held {
    fn process(&self) -> Process {
        Process { host: HOST.to_owned(), pid: self.pid, started: "rehearsed".to_owned() }
    }

    fn let_go(
        mut self: Box<Self>,
        lines: mpsc::UnboundedSender<OutputLine>,
    ) -> BoxFuture<'static, Result<CommandEnd, String>> {
        Box::pin(async move {
            let takes = Duration::from_millis(u64::try_from(self.part.takes).unwrap_or(0));
            let was_ended = tokio::select! {
                biased;
                _ = self.asked.wait_for(|asked| *asked) => true,
                () = tokio::time::sleep(takes) => false,
            };
            if was_ended {
                return Ok(CommandEnd { code: TERMINATED, stdout: String::new(), is_cut: false });
            }
            for line in self.part.stdout.lines() {
                let _ = lines.send(OutputLine { stderr: false, text: line.to_owned(), is_cut: false });
            }
            if self.part.code == 0 {
                self.server.with(|world| {
                    self.part.effects.iter().for_each(|effect| {
                        effects::apply(&mut world.cluster, effect);
                    })
                });
            }
            Ok(CommandEnd { code: self.part.code, stdout: self.part.stdout, is_cut: false })
        })
    }
}

/// Whoever is told something in a rehearsal hears it at once, and no socket is opened.
pub(super) struct Heard;

impl Webhooks for Heard {
    fn post(
        &self,
        _url: &str,
        _headers: Vec<(String, String)>,
        _body: String,
    ) -> BoxFuture<'static, Result<(), WebhookError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
