//! `sprag run` and `sprag resume`: the same driver, with an empty journal or one that is folded first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;

use crate::cluster::{Connection, OwnPlace};
use crate::engine::driver::{DriveError, fold};
use crate::engine::event::{Event, HaltReason, RunOutcome};
use crate::engine::observe::Observer;
use crate::engine::state::{Phase, RunState};
use crate::engine::{Ending, Run, Settings, drive};
use crate::journal::{CrashPoint, Header, Holder, Journal, Opened, Record, RunDir, RunsDir, StoreHandle};
use crate::outside::Outside;
use crate::plan::graph::Graph;
use crate::report::{JsonLines, Lines, Terminal, render_resumed, render_summary};

use super::load::{self, Loaded};
use super::login::LoginArgs;
use super::output::{Format, Output};
use super::params::ParameterArgs;
use super::standing::RunsHere;
use super::{Exit, Failed, block_on, own, rights, runs};

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
    /// Halt when a rollout finds other elements than were planned
    #[arg(long)]
    exact: bool,
}

impl DriveArgs {
    fn settings(&self) -> Settings {
        Settings { blind_after: self.blind_after, give_up_after: self.give_up_after, exact: self.exact }
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
    block_on(async {
        let outside = Outside::system();
        let connection = args.login.connect(&outside).await?;
        let planned = load::plan_live(&loaded, &parameters.given, &connection, &outside).await?;
        load::refuse_unsupported(&planned.graph, &loaded, output)?;
        let own = own::find(&connection, args.drive.runs.open().path()).await?;
        own::refuse(&planned.graph, own.as_deref())?;
        rights::check(&planned.graph, &connection, output).await?;
        let (dir, journal, created) = begin_journal(args, &planned.graph, &loaded, &connection, &outside)?;
        if output.format == Format::Text {
            output.remark(&format!("{}  run {}", planned.graph.name, dir.id()));
        }
        let start = Start {
            dir,
            runs: args.drive.runs.open(),
            graph: Arc::new(planned.graph),
            own,
            records: Vec::new(),
            last_seen: created,
            secrets: parameters.secrets,
            settings: args.drive.settings(),
        };
        start.drive(journal, planned.facts, connection, outside, output).await
    })
}

/// `sprag resume`: what can be refused is refused before the run notes that it has a driver again.
pub(super) fn resume(args: &ResumeArgs, output: &Output) -> Result<Exit, Failed> {
    let runs = args.drive.runs.open();
    let dir = runs::pick_resumable(&runs, args.run.as_deref())?;
    let graph: Arc<Graph> = Arc::new(runs::read_graph(&dir)?);
    let sources = runs::check_sources(&dir, &graph, args.pinned)?;
    let outside = Outside::system();
    let now = outside.clock.now();
    let Opened { journal, header, records, repaired, last_seen_ms } =
        Journal::open_append::<Event>(&dir, &Holder::this_process(now))?;
    let state = fold(graph.clone(), &records)?;
    if let Phase::Ended(_) = state.phase {
        let what = format!("run {} has ended: {}", dir.id(), state.phase.word());
        return Err(Failed::told("E508", what, Exit::Usage).help("`sprag run` begins a new one"));
    }
    let secrets = runs::read_secrets(&graph, &args.parameters)?;
    if output.format == Format::Text {
        output.remark(render_resumed(dir.id(), &state, now - last_seen_ms).trim_end());
    }
    for remark in sources.iter().chain(&repaired.map(|torn| runs::repaired(&torn))) {
        output.remark(remark);
    }
    block_on(async {
        let connection = args.login.connect(&outside).await?;
        runs::check_cluster(&header, &connection)?;
        let facts = load::watch(&graph, &connection, &outside).await?;
        let own = own::find(&connection, args.drive.runs.open().path()).await?;
        let settings = args.drive.settings();
        let start = Start { dir, runs, graph, own, records, last_seen: last_seen_ms, secrets, settings };
        start.drive(journal, facts, connection, outside, output).await
    })
}

/// Makes the run's folder: graph and sources first, then the journal. Gives also when that was, Unix milliseconds.
fn begin_journal(
    args: &RunArgs,
    graph: &Graph,
    loaded: &Loaded,
    connection: &Connection,
    outside: &Outside,
) -> Result<(RunDir, Journal, i64), Failed> {
    let now = outside.clock.now();
    let dir = args.drive.runs.open().create(&graph.digest)?;
    let json = serde_json::to_vec(graph).map_err(|error| Failed::fault(error.to_string()))?;
    let sources: Vec<(String, String)> =
        loaded.sources.iter().map(|(_, source)| (source.name.clone(), source.text.to_string())).collect();
    dir.write_plan(&json, sources.iter().map(|(name, text)| (name.as_str(), text.as_str())))?;
    let header = Header::new(dir.id(), &graph.digest, &connection.uid, now);
    let journal = Journal::create(&dir, &header, &Holder::this_process(now))?;
    Ok((dir, journal, now))
}

struct Start {
    dir: RunDir,
    runs: RunsDir,
    graph: Arc<Graph>,
    own: Option<Arc<OwnPlace>>,
    records: Vec<Record<Event>>,
    last_seen: i64,
    secrets: BTreeMap<String, String>,
    settings: Settings,
}

impl Start {
    async fn drive(
        self,
        mut journal: Journal,
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
        let store = Arc::new(StoreHandle::spawn(journal)?);
        let run = Run {
            id: id.clone(),
            graph: self.graph.clone(),
            records: self.records,
            store: store.clone(),
            requests: connection.requests.clone(),
            facts: facts.facts.clone(),
            outside,
            secrets: self.secrets,
            environment: connection.environment(),
            seed: now.unsigned_abs() ^ u64::from(std::process::id()),
            last_seen: self.last_seen,
            host: (Holder::this_process(now).host, std::process::id()),
            own: self.own,
            runs: Arc::new(RunsHere(self.runs)),
            settings: self.settings,
        };
        let ending = drive(run, signals()?, observer.as_mut()).await;
        drop(observer);
        // A disk that hangs is not waited for: the process ends, and with it the lock.
        if !matches!(ending, Err(DriveError::Hung))
            && let Some(store) = Arc::into_inner(store)
        {
            store.close().await;
        }
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
    Ok(match ending {
        Ending::Ended(RunOutcome::Done) => Exit::Done,
        Ending::Ended(RunOutcome::RolledBack) => Exit::RolledBack,
        Ending::Ended(RunOutcome::Aborted) => Exit::Aborted,
        Ending::Halted(HaltReason::StepFailed) => Exit::StepFailed,
        Ending::Halted(HaltReason::Asks) => Exit::Asks,
        Ending::Halted(HaltReason::OutOfReach { .. }) => Exit::OutOfReach,
        Ending::Halted(HaltReason::Interrupted { .. }) => Exit::Interrupted,
    })
}

fn observer(output: &Output, title: &str, now: i64) -> Box<dyn Observer> {
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
