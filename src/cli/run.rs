//! `sprag run` and `sprag resume`: the same driver, with an empty journal or one that is folded first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;

use crate::actions::NOTIFY_ADDRESS;
use crate::cluster::{Connection, OwnPlace};
use crate::engine::driver::{DriveError, fold};
use crate::engine::event::Event;
use crate::engine::observe::Observer;
use crate::engine::state::{Phase, RunState};
use crate::engine::{Ending, Run, Settings, drive};
use crate::journal::{CrashPoint, Header, Holder, Journal, JournalError, Opened, Record, RunDir, RunsDir, StoreHandle};
use crate::outside::Outside;
use crate::plan::graph::Graph;
use crate::report::{JsonLines, Lines, Terminal, render_resumed, render_summary};

use super::load::{self, Loaded};
use super::lock::{Claim, Held, LockArgs};
use super::login::LoginArgs;
use super::output::{Format, Output};
use super::params::ParameterArgs;
use super::standing::RunsHere;
use super::{Exit, Failed, block_on, inbox, own, rehearse, rights, runs};

/// Carries a playbook out.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The playbook
    file: PathBuf,
    #[command(flatten)]
    parameters: ParameterArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    drive: DriveArgs,
    /// On a world in a box, in place of a cluster: `demo`, or a file of YAML; no run is kept
    #[arg(long, value_name = "WORLD", conflicts_with = "login")]
    on: Option<String>,
}

/// Goes on with a run.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The run; the only one that can be resumed where none is named
    run: Option<String>,
    #[command(flatten)]
    parameters: ParameterArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    drive: DriveArgs,
    /// Take the run over from a driver that hangs, once its lock has run out
    #[arg(long, conflicts_with = "no_lock")]
    take_over: bool,
    /// Go on with what the run began with, though the playbook was edited since
    #[arg(long)]
    pinned: bool,
}

/// How a driver behaves.
#[derive(Debug, Args)]
pub(super) struct DriveArgs {
    #[command(flatten)]
    pub(super) runs: RunsArgs,
    /// Fail what needs an answer after facts were unknown for so long
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = super::params::parse_duration)]
    blind_after: i64,
    /// Let go after the cluster was out of reach for so long
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = super::params::parse_duration)]
    give_up_after: i64,
    #[command(flatten)]
    pub(super) lock: LockArgs,
    /// Leave the run alone, and exit, once nothing in it needs watching for so long; `resume` goes on
    #[arg(long, value_name = "DURATION", value_parser = super::params::parse_duration)]
    park: Option<i64>,
    /// Halt when a rollout finds other elements than were planned
    #[arg(long)]
    exact: bool,
    /// The webhook that `notify` without `to:` tells people through
    #[arg(long, env = NOTIFY_ADDRESS, hide_env_values = true, value_name = "URL")]
    notify_to: Option<String>,
}

impl DriveArgs {
    fn settings(&self) -> Settings {
        Settings {
            blind_after: self.blind_after,
            give_up_after: self.give_up_after,
            exact: self.exact,
            park: self.park,
        }
    }
}

/// Where runs are kept.
#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    /// The folder of the runs
    #[arg(long, env = "SPRAG_DIR", hide_env_values = true, default_value = ".sprag", value_name = "FOLDER")]
    dir: PathBuf,
}

impl RunsArgs {
    /// The folder that holds one folder a run.
    pub(super) fn open(&self) -> RunsDir {
        RunsDir::new(self.dir.join("runs"))
    }
}

/// `sprag run`
pub(super) fn run(args: &RunArgs, output: &Output) -> Result<Exit, Failed> {
    let loaded = load::load(&args.file, output)?;
    let parameters = args.parameters.read(&loaded.program.params)?;
    if let Some(world) = &args.on {
        return rehearse::run_on(&loaded, parameters, world, args.drive.settings(), output);
    }
    block_on(async {
        let outside = Outside::system();
        let connection = args.login.connect(&outside).await?;
        let planned = load::plan_live(&loaded, &parameters.given, &connection, &outside).await?;
        load::refuse_unsupported(&planned.graph, &loaded)?;
        let own = own::find(&connection, args.drive.runs.open().path()).await?;
        own::refuse(&planned.graph, own.as_deref())?;
        rights::check(&planned.graph, &connection, output).await?;
        let holder = Holder::this_process(outside.clock.now());
        let dir = args.drive.runs.open().create(&planned.graph.digest)?;
        let claim = Claim { run: dir.id(), holder: &holder, previous: Vec::new(), waits: false };
        let lock = match args.drive.lock.take(&connection, &outside, claim, output).await {
            Ok(lock) => lock,
            Err(failed) => {
                // Nothing was begun, and nothing is to look as if it had been.
                let _ = std::fs::remove_dir_all(dir.path());
                return Err(failed);
            }
        };
        let journal = begin_journal(&dir, &planned.graph, &loaded, &connection, &holder)?;
        if output.format == Format::Text {
            output.remark(&format!("{}  run {}", planned.graph.name, dir.id()));
        }
        let start = Start {
            dir,
            runs: args.drive.runs.open(),
            graph: Arc::new(planned.graph),
            own,
            records: Vec::new(),
            holder: holder.clone(),
            last_seen: holder.since,
            secrets: parameters.secrets,
            settings: args.drive.settings(),
            notify_to: args.drive.notify_to.clone(),
        };
        start.drive(journal, lock, planned.facts, connection, outside, output).await
    })
}

/// `sprag resume`: what can be refused is refused before the run notes that it has a driver again.
pub(super) fn resume(args: &ResumeArgs, output: &Output) -> Result<Exit, Failed> {
    let runs = args.drive.runs.open();
    let dir = runs::pick_resumable(&runs, args.run.as_deref())?;
    let graph: Arc<Graph> = Arc::new(runs::read_graph(&dir)?);
    let sources = runs::check_sources(&dir, &graph, args.pinned)?;
    let outside = Outside::system();
    let holder = Holder::this_process(outside.clock.now());
    // The run's own lock first: whoever has it on this machine is not asked for the cluster's. A takeover needs the
    // cluster's first, since it is what allows it.
    let opened = if args.take_over { None } else { Some(Journal::open_append::<Event>(&dir, &holder)?) };
    if let Some(opened) = &opened {
        tell_found(&dir, &graph, opened, holder.since, output)?;
    }
    let secrets = runs::read_secrets(&graph, &args.parameters)?;
    for remark in &sources {
        output.remark(remark);
    }
    block_on(async {
        let connection = args.login.connect(&outside).await?;
        let previous = opened.as_ref().map(|opened| opened.previous.clone()).unwrap_or_default();
        let claim = Claim { run: dir.id(), holder: &holder, previous, waits: args.take_over };
        let lock = args.drive.lock.take(&connection, &outside, claim, output).await?;
        let opened = match opened {
            Some(opened) => opened,
            None => take_over(&dir, &graph, &holder, output)?,
        };
        let Opened { journal, header, records, last_seen_ms, .. } = opened;
        runs::check_cluster(&header, &connection)?;
        let last_seen = last_seen(&dir, &graph, &records, last_seen_ms)?;
        let facts = load::watch(&graph, &connection, &outside).await?;
        let own = own::find(&connection, args.drive.runs.open().path()).await?;
        let settings = args.drive.settings();
        let start = Start {
            dir,
            runs,
            graph,
            own,
            records,
            holder,
            last_seen,
            secrets,
            settings,
            notify_to: args.drive.notify_to.clone(),
        };
        start.drive(journal, lock, facts, connection, outside, output).await
    })
}

/// Opens a run whose cluster's lock is ours: as it is if nobody has it here, else by a new epoch of its journal.
fn take_over(dir: &RunDir, graph: &Arc<Graph>, holder: &Holder, output: &Output) -> Result<Opened<Event>, Failed> {
    let opened = match Journal::open_append::<Event>(dir, holder) {
        Err(JournalError::LockHeld { .. }) => Journal::take_over::<Event>(dir, holder)?,
        other => other?,
    };
    if let Some(takeover) = &opened.takeover {
        let from = takeover.replaced.as_ref().map_or_else(
            || "a driver that does not say who it is".to_owned(),
            |replaced| format!("process {} on {}", replaced.pid, replaced.host),
        );
        output.remark(&format!(
            "the run was taken over from {from}: epoch {} of its journal, behind record {}; what that driver still tries \
             is refused",
            takeover.epoch, takeover.seq
        ));
    }
    tell_found(dir, graph, &opened, holder.since, output)?;
    Ok(opened)
}

/// Says what a resume finds; refuses a run that is over.
fn tell_found(
    dir: &RunDir,
    graph: &Arc<Graph>,
    opened: &Opened<Event>,
    now: i64,
    output: &Output,
) -> Result<(), Failed> {
    let state = fold(graph.clone(), &opened.records)?;
    if let Phase::Ended(_) = state.phase {
        let what = format!("run {} has ended: {}", dir.id(), state.phase.word());
        return Err(Failed::told("E508", what, Exit::Usage).help("`sprag run` begins a new one"));
    }
    if output.format == Format::Text {
        output.remark(render_resumed(dir.id(), &state, now - opened.last_seen_ms).trim_end());
    }
    if let Some(torn) = &opened.repaired {
        output.remark(&runs::repaired(torn));
    }
    Ok(())
}

/// When a driver was last there: what people said of a run that nobody drove tells nothing of that.
fn last_seen(dir: &RunDir, graph: &Arc<Graph>, records: &[Record<Event>], known: i64) -> Result<i64, Failed> {
    let state = fold(graph.clone(), records)?;
    Ok(if state.last_driven < state.last { dir.alive_ms().unwrap_or(0).max(state.last_driven) } else { known })
}

/// Makes the run's journal: graph and sources first.
fn begin_journal(
    dir: &RunDir,
    graph: &Graph,
    loaded: &Loaded,
    connection: &Connection,
    holder: &Holder,
) -> Result<Journal, Failed> {
    let json = serde_json::to_vec(graph).map_err(|error| Failed::fault(error.to_string()))?;
    let sources: Vec<(String, String)> =
        loaded.sources.iter().map(|(_, source)| (source.name.clone(), source.text.to_string())).collect();
    dir.write_plan(&json, sources.iter().map(|(name, text)| (name.as_str(), text.as_str())))?;
    let header = Header::new(dir.id(), &graph.digest, &connection.uid, holder.since);
    Ok(Journal::create(dir, &header, holder)?)
}

struct Start {
    dir: RunDir,
    runs: RunsDir,
    graph: Arc<Graph>,
    own: Option<Arc<OwnPlace>>,
    records: Vec<Record<Event>>,
    holder: Holder,
    last_seen: i64,
    secrets: BTreeMap<String, String>,
    settings: Settings,
    notify_to: Option<String>,
}

impl Start {
    async fn drive(
        self,
        mut journal: Journal,
        lock: Held,
        facts: load::Watched,
        connection: Connection,
        outside: Outside,
        output: &Output,
    ) -> Result<Exit, Failed> {
        if let Some(point) = crash_point() {
            journal.crash_at(point);
        }
        let id: Arc<str> = self.dir.id().into();
        let now = outside.clock.now();
        let title = format!("{}  run {id}", self.graph.name);
        let mut observer = observer(output, &title, now);
        if output.format == Format::Json {
            let head = json!({ "run": &*id, "playbook": self.graph.name, "folder": self.dir.path() });
            output.shown(&format!("{head}\n"));
        }
        let (fence, requests) = lock.put_behind(&connection.requests, &mut journal);
        let store = Arc::new(StoreHandle::spawn(journal)?);
        let mut environment = connection.environment();
        environment.extend(self.notify_to.map(|url| (NOTIFY_ADDRESS.to_owned(), url)));
        let run = Run {
            id: id.clone(),
            graph: self.graph.clone(),
            records: self.records,
            store: store.clone(),
            requests,
            fence,
            facts: facts.facts.clone(),
            outside,
            secrets: self.secrets,
            namespace: connection.namespace.as_str().into(),
            environment,
            seed: now.unsigned_abs() ^ u64::from(std::process::id()),
            last_seen: self.last_seen,
            host: (self.holder.host, self.holder.pid),
            own: self.own,
            runs: Arc::new(RunsHere(self.runs)),
            settings: self.settings,
            letters: inbox::letters(self.dir.inbox()),
        };
        let ending = drive(run, signals()?, observer.as_mut()).await;
        drop(observer);
        // A disk that hangs is not waited for: the process ends, and with it the lock.
        if !matches!(ending, Err(DriveError::Hung))
            && let Some(store) = Arc::into_inner(store)
        {
            store.close().await;
        }
        lock.release(output).await;
        finish(&self.dir, self.graph, ending, output)
    }
}

/// Shows the end and gives the exit code.
fn finish(
    dir: &RunDir,
    graph: Arc<Graph>,
    ending: Result<Ending, DriveError>,
    output: &Output,
) -> Result<Exit, Failed> {
    let ending = ending?;
    let read = crate::journal::read_only::<Event>(dir)?;
    let state: RunState = fold(graph, &read.records)?;
    if output.format == Format::Text {
        output.shown(&render_summary(dir.id(), &state));
    }
    Ok(Exit::of_code(ending.exit_code(state.stuck().next().is_some())))
}

pub(super) fn observer(output: &Output, title: &str, now: i64) -> Box<dyn Observer> {
    match output.format {
        Format::Json => Box::new(JsonLines::new(std::io::stdout())),
        Format::Text if output.is_live() => Box::new(Terminal::new(title, now)),
        Format::Text => Box::new(Lines::new(std::io::stderr(), now)),
    }
}

/// The names of SIGINT, SIGTERM and SIGHUP as they come.
fn signals() -> Result<mpsc::UnboundedReceiver<String>, Failed> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = mpsc::unbounded_channel();
    for (kind, name) in
        [(SignalKind::interrupt(), "SIGINT"), (SignalKind::terminate(), "SIGTERM"), (SignalKind::hangup(), "SIGHUP")]
    {
        let mut stream = signal(kind).map_err(|error| Failed::fault(format!("cannot listen for {name}: {error}")))?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(name.to_owned()).is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

/// Where the tests let the process kill itself: after a record is durable, or in the middle of writing it.
fn crash_point() -> Option<CrashPoint> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    number("SPRAG_CRASH_AFTER_RECORD")
        .map(CrashPoint::AfterRecord)
        .or_else(|| number("SPRAG_CRASH_TORN_RECORD").map(CrashPoint::TornRecord))
}
