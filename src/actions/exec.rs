//! `exec`: a command where sprag runs. It is journalled before it does anything, so that it never runs twice unseen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::catalog::value::{CommandOutcome, Value, format_duration};
use crate::engine::event::{Failure, Process, Progress};
use crate::outside::{CommandEnd, CommandSpec, HeldCommand, OutputLine};

use super::args::{Read, list, optional_text};
use super::context::{Args, Attempt, Note, StepContext, Stop};
use super::mask::{Mask, Masked};

/// Between asking a group to end and ending it.
const GRACE: Duration = Duration::from_secs(5);
/// How often a process that is no child of ours is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many lines of stderr a failure shows.
const SHOWN: usize = 10;

/// What cuts a command off.
enum Cut {
    Late,
    Out,
}

pub(super) async fn exec(args: &Args, context: &StepContext) -> Read<Attempt> {
    if let Some(process) = &context.process {
        return Ok(join(process, context).await);
    }
    let name = shown_name(args)?;
    let allow = allowed(args)?;
    let spec = spec(args, context)?;
    let held = match context.outside.commands.start(spec).await {
        Ok(held) => held,
        Err(why) => return Ok(Attempt::Failed(Failure::new("E540", why))),
    };
    let process = held.process();
    if !context.durable(Progress::Command { process: process.clone() }).await {
        return Ok(Attempt::Interrupted);
    }
    // What a command does cannot be fenced: so it is asked once more before it is let go.
    if context.requests.confirm_fence().await.is_err() {
        return Ok(Attempt::Interrupted);
    }
    let mut running = Running::let_go(held, context);
    context.waiting(vec![format!("`{name}` runs")]);
    let cut = tokio::select! {
        biased;
        end = running.end(context) => return Ok(judged(&name, &allow, end, &running, context)),
        cut = cut_off(&name, context) => cut,
    };
    end_group(&process, context, async { drop(running.end(context).await) }).await;
    Ok(match cut {
        Cut::Late => {
            let failure = Failure::new("E542", format!("`{name}` was ended: its `timeout` is over"));
            Attempt::Failed(running.shown_in(failure))
        }
        Cut::Out => Attempt::Interrupted,
    })
}

/// Comes back when the command has to be cut off; a mere stop is told, and the command awaited.
async fn cut_off(name: &str, context: &StepContext) -> Cut {
    let stop = async {
        context.asked(Stop::Stop).await;
        let left = format_duration(context.left() / 1_000 * 1_000);
        context.waiting(vec![format!("`{name}` runs and is awaited, {left} left")]);
        context.asked(Stop::Out).await;
    };
    tokio::select! {
        biased;
        () = context.late() => Cut::Late,
        () = stop => Cut::Out,
    }
}

/// A command that an earlier driver let go: awaited to its end, which tells nobody how it went.
async fn join(process: &Process, context: &StepContext) -> Attempt {
    let commands = &context.outside.commands;
    let pid = process.pid;
    match commands.is_alive(process) {
        None => {
            return Attempt::InDoubt(format!(
                "the command was started on `{}` as process {pid} and may have run",
                process.host
            ));
        }
        Some(false) => return Attempt::InDoubt(format!("the command may have run: its process {pid} is gone")),
        Some(true) => {}
    }
    let name = format!("process {pid}");
    context.waiting(vec![format!("the command of the earlier driver, process {pid}, still runs")]);
    let cut = tokio::select! {
        biased;
        () = gone(process, context) => {
            return Attempt::InDoubt(format!("the command ran to its end as process {pid}, and its exit code is not known"));
        }
        cut = cut_off(&name, context) => cut,
    };
    end_group(process, context, std::future::ready(())).await;
    match cut {
        Cut::Late => Attempt::InDoubt(format!("the command, process {pid}, was ended: its `timeout` is over")),
        Cut::Out => Attempt::Interrupted,
    }
}

async fn gone(process: &Process, context: &StepContext) {
    while context.outside.commands.is_alive(process) == Some(true) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Asks the group to end, and ends it: what ignores the first request does not ignore the second.
async fn end_group(process: &Process, context: &StepContext, ended: impl Future<Output = ()>) {
    context.outside.commands.end(process, false);
    let _ = tokio::time::timeout(GRACE, async {
        ended.await;
        gone(process, context).await;
    })
    .await;
    context.outside.commands.end(process, true);
}

fn judged(
    name: &str,
    allow: &[i64],
    end: Result<CommandEnd, String>,
    running: &Running,
    context: &StepContext,
) -> Attempt {
    let end = match end {
        Ok(end) => end,
        Err(why) => return Attempt::InDoubt(format!("`{name}`: {why}")),
    };
    if !allow.contains(&end.code) {
        let failure = Failure::new("E541", format!("`{name}` ended with exit code {}", end.code));
        return Attempt::Failed(running.shown_in(failure));
    }
    let stdout = Mask::new(&context.secrets).whole(&end.stdout, end.is_cut);
    let stdout = stdout.strip_suffix('\n').map(str::to_owned).unwrap_or(stdout);
    let outcome = CommandOutcome { code: end.code, stdout: Some(stdout) };
    let note = end.is_cut.then(|| "its stdout is longer than 1 MiB: what is recorded ends there".to_owned());
    Attempt::Done { value: Some(Value::Outcome(Arc::new(outcome))), note }
}

/// A command that was let go, and what it wrote last.
struct Running {
    end: BoxFuture<'static, Result<CommandEnd, String>>,
    lines: UnboundedReceiver<OutputLine>,
    stdout: Masked,
    stderr: Masked,
    last: std::collections::VecDeque<String>,
}

impl Running {
    fn let_go(held: Box<dyn HeldCommand>, context: &StepContext) -> Self {
        let (sender, lines) = unbounded_channel();
        let mask = Arc::new(Mask::new(&context.secrets));
        Self {
            end: held.let_go(sender),
            lines,
            stdout: Masked::new(mask.clone()),
            stderr: Masked::new(mask),
            last: std::collections::VecDeque::new(),
        }
    }

    /// Shows lines until the command has ended. Dropped and called again, it goes on.
    async fn end(&mut self, context: &StepContext) -> Result<CommandEnd, String> {
        loop {
            tokio::select! {
                biased;
                Some(line) = self.lines.recv() => self.show(&line, context),
                end = &mut self.end => {
                    while let Ok(line) = self.lines.try_recv() {
                        self.show(&line, context);
                    }
                    return end;
                }
            }
        }
    }

    fn show(&mut self, line: &OutputLine, context: &StepContext) {
        let masked = if line.stderr { &mut self.stderr } else { &mut self.stdout };
        let Some(text) = masked.line(&line.text, line.is_cut) else { return };
        if line.stderr {
            self.last.push_back(text.clone());
            if self.last.len() > SHOWN {
                self.last.pop_front();
            }
        }
        context.note(Note::Output(context.step.clone(), text));
    }

    fn shown_in(&self, failure: Failure) -> Failure {
        self.last.iter().fold(failure, |failure, line| failure.detail(line.as_str()))
    }
}

pub(super) fn allowed(args: &Args) -> Read<Vec<i64>> {
    let codes = list(args, "allow")?.iter().filter_map(|code| match code {
        Value::Int(code) => Some(*code),
        _ => None,
    });
    let codes: Vec<i64> = codes.collect();
    Ok(if args.contains_key("allow") { codes } else { vec![0] })
}

/// How messages name the command: its program, or the first line of its script.
fn shown_name(args: &Args) -> Read<String> {
    let written = match args.get("command") {
        Some(Value::Map(map)) => map.get("script").map(Value::to_string),
        _ => list(args, "command")?.first().map(Value::to_string),
    };
    let line = written.as_deref().map(str::trim).and_then(|text| text.lines().next()).unwrap_or_default();
    Ok(match line.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    })
}

fn spec(args: &Args, context: &StepContext) -> Read<CommandSpec> {
    let (argv, values) = command(args)?;
    let mut env = context.environment.as_ref().clone();
    env.extend(own_env(args, context)?);
    env.extend(values.into_iter().enumerate().map(|(at, text)| (format!("SPRAG_ARG_{}", at + 1), text)));
    env.push(("SPRAG_RUN".to_owned(), context.run.to_string()));
    env.push(("SPRAG_STEP".to_owned(), context.step.clone()));
    env.push(("SPRAG_ATTEMPT".to_owned(), context.attempt.to_string()));
    Ok(CommandSpec { argv, env, dir: optional_text(args, "dir")?.map(PathBuf::from) })
}

/// Program and arguments, and the values of a script's references. A value is never part of the script's text.
fn command(args: &Args) -> Read<(Vec<String>, Vec<String>)> {
    let Some(Value::Map(map)) = args.get("command") else {
        let argv: Vec<String> = list(args, "command")?.iter().map(Value::to_string).collect();
        let is_empty = argv.first().is_none_or(String::is_empty);
        return if is_empty { Err(refused("the command names no program".to_owned())) } else { Ok((argv, Vec::new())) };
    };
    let script = map.get("script").and_then(Value::as_str).unwrap_or_default();
    let values = match map.get("values") {
        Some(Value::List(values)) => values.iter().map(Value::to_string).collect(),
        _ => Vec::new(),
    };
    Ok((["sh", "-c", script].map(str::to_owned).to_vec(), values))
}

/// `NAME=text` with the texts of secrets in their places.
fn own_env(args: &Args, context: &StepContext) -> Read<Vec<(String, String)>> {
    env(args)?.into_iter().map(|(name, text)| Ok((name, reveal(&text, context)?))).collect()
}

/// The items of `env`, `NAME=text`, with markers in the places of secrets.
pub(super) fn env(args: &Args) -> Read<Vec<(String, String)>> {
    let items = list(args, "env")?.iter().enumerate();
    items
        .map(|(at, item)| {
            let item = item.to_string();
            let pair = item.split_once('=').filter(|(name, _)| is_identifier(name));
            let Some((name, text)) = pair else {
                let message = format!("item {} of `env` does not begin with a name and `=`", at + 1);
                return Err(refused(message));
            };
            Ok((name.to_owned(), text.to_owned()))
        })
        .collect()
}

/// Whether a shell keeps a variable of that name.
fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// What stands in front of a secret's name in a text.
pub(super) const MARKER: &str = "\u{1}secret:";

/// The text with each marker of a secret replaced by the secret (see `expr::secret_marker`).
pub(super) fn reveal(text: &str, context: &StepContext) -> Read<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once(MARKER) {
        let Some((name, after)) = marked.split_once('\u{1}') else { break };
        let secret = context.secrets.get(name).ok_or_else(|| refused(format!("the secret `{name}` was not given")))?;
        out.push_str(before);
        out.push_str(secret);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn refused(message: String) -> Attempt {
    Attempt::Refused(Failure::new("E530", message))
}
