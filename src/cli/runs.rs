//! `sprag status`, `runs`, `decide`, and the way to a run's folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cluster::Connection;
use crate::diagnostic::did_you_mean;
use crate::engine::driver::fold;
use crate::engine::event::{Decision, Event};
use crate::engine::state::{Phase, RunState, StepStatus};
use crate::journal::{Header, Holder, Journal, LockState, RunDir, RunsDir, TornTail, salvage};
use crate::outside::{Outside, user_name};
use crate::plan::graph::{Graph, SCHEMA};
use crate::report::{render_runs, render_status, status_json};
use crate::stdlib::STANDARD;
use crate::syntax::decode;

use super::load::{MAX_INPUT, differs, read_bytes};
use super::output::{Format, Output};
use super::params::ParameterArgs;
use super::run::RunsArgs;
use super::{Exit, Failed};

/// Tells how a run stands.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The run; the newest where none is named
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
}

/// Lists the runs.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    runs: RunsArgs,
}

/// Decides about a step that asks, or that failed.
#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    /// The run
    run: String,
    /// The step, as `sprag status` names it
    step: String,
    /// What to do about it
    decision: Choice,
    #[command(flatten)]
    runs: RunsArgs,
}

/// What a person can decide.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Choice {
    /// Begin it again
    Retry,
    /// It happened
    Done,
    /// It did not happen, and is not to be tried again
    Fail,
}

/// `sprag status`
pub(super) fn status(args: &StatusArgs, output: &Output) -> Result<Exit, Failed> {
    let runs = args.runs.open();
    let dir = match &args.run {
        Some(id) => runs.open(id)?,
        None => match runs.list()?.pop() {
            Some(newest) => newest.dir,
            None => {
                let what = format!("there are no runs in `{}`", runs.path().display());
                return Err(nothing(what).help("`sprag run FILE` begins one, `--dir` names another folder"));
            }
        },
    };
    let graph = Arc::new(read_graph(&dir)?);
    let salvaged = salvage::<Event>(&dir)?;
    let state = fold(graph, &salvaged.read.records)?;
    let driven = driver_of(&dir)?;
    match output.format {
        Format::Json => output.json(&status_json(dir.id(), &state, driven.as_deref()))?,
        Format::Text => {
            let now = Outside::system().clock.now();
            output.result(&render_status(dir.id(), &state, driven.as_deref(), now))?;
        }
    }
    match salvaged.fault {
        Some(fault) => Err(fault.into()),
        None => Ok(Exit::Done),
    }
}

/// `sprag runs`
pub(super) fn list(args: &ListArgs, output: &Output) -> Result<Exit, Failed> {
    let mut rows: Vec<(String, Result<RunState, String>, bool)> = Vec::new();
    for summary in args.runs.open().list()? {
        let driven = matches!(summary.lock, LockState::Held(_));
        rows.push((summary.dir.id().to_owned(), state_of(&summary.dir), driven));
    }
    match output.format {
        Format::Json => {
            let rows: Vec<_> = rows
                .iter()
                .map(|(id, state, _)| match state {
                    Ok(state) => status_json(id, state, None),
                    Err(why) => json!({ "run": id, "unreadable": why }),
                })
                .collect();
            output.json(&json!({ "schema": 1, "runs": rows }))?;
        }
        Format::Text => {
            let now = Outside::system().clock.now();
            let rows =
                rows.iter().map(|(id, state, driven)| (id.as_str(), state.as_ref().map_err(Clone::clone), *driven));
            output.result(&render_runs(rows, now))?;
        }
    }
    Ok(Exit::Done)
}

/// `sprag decide`
pub(super) fn decide(args: &DecideArgs, output: &Output) -> Result<Exit, Failed> {
    let dir = args.runs.open().open(&args.run)?;
    let graph = Arc::new(read_graph(&dir)?);
    let now = Outside::system().clock.now();
    let mut opened = Journal::open_append::<Event>(&dir, &Holder::this_process(now))?;
    if let Some(torn) = &opened.repaired {
        output.remark(&repaired(torn));
    }
    let mut state = fold(graph, &opened.records)?;
    check_decidable(&state, &args.step)?;
    if !matches!(state.phase, Phase::Halted(_)) {
        return Err(nothing(format!("run {} is not halted but {}", args.run, state.phase.word()))
            .help(format!("`sprag resume {}` goes on with it until it asks", args.run)));
    }
    let decision = match args.decision {
        Choice::Retry => Decision::Retry,
        Choice::Done => Decision::Done,
        Choice::Fail => Decision::Fail,
    };
    let event = Event::Decided { step: args.step.clone(), decision, by: user_name() };
    let at = now.max(state.last);
    state.apply(at, &event)?;
    opened.journal.append(vec![event], at)?;
    match output.format {
        Format::Json => {
            output.json(&json!({ "schema": 1, "run": args.run, "step": args.step, "decision": decision }))?
        }
        Format::Text => {
            let next = format!("go on with   sprag resume {}", args.run);
            output.result(&format!("{}  {}: noted\n  {next}\n", args.run, args.step))?;
        }
    }
    Ok(Exit::Done)
}

/// What is to be said of a journal whose end was mended.
pub(super) fn repaired(torn: &TornTail) -> String {
    let kept = torn.saved_as.as_ref().map(|path| format!(", kept as {}", path.display())).unwrap_or_default();
    let bytes = torn.bytes;
    format!("the last record was half written and is cut off ({bytes} bytes{kept}): what it was to note was not begun")
}

fn check_decidable(state: &RunState, step: &str) -> Result<(), Failed> {
    match state.steps.get(step).map(|step| &step.status) {
        Some(StepStatus::InDoubt(_) | StepStatus::Failed(_)) => Ok(()),
        Some(status) => {
            let what = format!("`{step}` is {}: there is nothing to decide", status.word());
            Err(nothing(what).help("`sprag status` shows the steps that ask or that failed"))
        }
        None => {
            let known = state.steps.keys().map(String::as_str);
            let meant = did_you_mean(step, known).map(|meant| format!("did you mean `{meant}`?"));
            let help = meant.unwrap_or_else(|| "`sprag status` shows the steps that ask or that failed".to_owned());
            Err(nothing(format!("the run has begun no step `{step}`")).help(help))
        }
    }
}

/// The graph that a run carries out.
pub(super) fn read_graph(dir: &RunDir) -> Result<Graph, Failed> {
    let bytes = match dir.read_graph() {
        Ok(bytes) => bytes,
        // Of a run that never began, or whose journal is gone too, the journal's word is the better one.
        Err(error) => return Err(salvage::<Event>(dir).err().unwrap_or(error).into()),
    };
    let newer = |schema: u32| {
        let what = format!("the run's graph is of schema {schema}, this sprag reads up to {SCHEMA}");
        Failed::told("E604", what, Exit::Journal).help("use the sprag that began the run, or a newer one")
    };
    let damaged = |what: String| {
        Failed::told("E603", format!("the graph of run `{}` is damaged: {what}", dir.id()), Exit::Journal)
            .help("put a good copy of its `graph.json.gz` back, or begin a new run")
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema > u64::from(SCHEMA) => return Err(newer(u32::try_from(schema).unwrap_or(u32::MAX))),
        Some(_) => {}
        None => return Err(damaged("it has no schema".to_owned())),
    }
    serde_json::from_value(value).map_err(|error| damaged(error.to_string()))
}

fn state_of(dir: &RunDir) -> Result<RunState, String> {
    let graph = read_graph(dir).map_err(|failed| failed.to_string())?;
    let salvaged = salvage::<Event>(dir).map_err(|error| error.to_string())?;
    fold(Arc::new(graph), &salvaged.read.records).map_err(|error| error.to_string())
}

fn driver_of(dir: &RunDir) -> Result<Option<String>, Failed> {
    Ok(match dir.lock_state()? {
        LockState::Free => None,
        LockState::Held(Some(holder)) => Some(format!("process {} on {}", holder.pid, holder.host)),
        LockState::Held(None) => Some("another process".to_owned()),
    })
}

/// The run that is meant: the named one, or the only one that can be resumed.
pub(super) fn pick_resumable(runs: &RunsDir, named: Option<&str>) -> Result<RunDir, Failed> {
    if let Some(id) = named {
        return Ok(runs.open(id)?);
    }
    let (mut resumable, mut driven) = (Vec::new(), Vec::new());
    for summary in runs.list()? {
        let Ok(state) = state_of(&summary.dir) else { continue };
        match (&state.phase, &summary.lock) {
            (Phase::Ended(_), _) => {}
            (_, LockState::Held(_)) => driven.push((summary.dir, state)),
            (_, LockState::Free) => resumable.push((summary.dir, state)),
        }
    }
    if resumable.is_empty() {
        // Its lock will say who drives it.
        resumable = driven;
    }
    let list: Vec<String> =
        resumable.iter().map(|(dir, state)| format!("{} ({})", dir.id(), state.graph.name)).collect();
    match (resumable.pop(), resumable.is_empty()) {
        (Some((dir, _)), true) => Ok(dir),
        (Some(_), false) => {
            Err(nothing(format!("several runs can be resumed: {}", list.join(", "))).help("name one of them"))
        }
        (None, _) => {
            let what = format!("there is no run that can be resumed in `{}`", runs.path().display());
            Err(nothing(what).help("`sprag runs` lists the runs, `--dir` names another folder"))
        }
    }
}

/// There is nothing to do what was asked for with.
fn nothing(what: String) -> Failed {
    Failed::told("E508", what, Exit::Usage)
}

/// Whether the playbook on disk is the one that the run began with, and what is to be said of it.
///
/// # Errors
/// Exit 3 if it was edited, unless it is not to be `pinned` to what the run began with.
pub(super) fn check_sources(dir: &RunDir, graph: &Graph, pinned: bool) -> Result<Vec<String>, Failed> {
    let (mut edited, mut newer) = (Vec::new(), Vec::new());
    for (name, then) in dir.read_sources()? {
        match text_now(&name) {
            Some((Origin::File, now)) if differs(&name, &then, &now) => edited.push(name),
            Some((Origin::Library, now)) if differs(&name, &then, &now) => newer.push(name),
            // A file that is gone or cannot be read changes nothing: the run carries its own copy out.
            Some(_) | None => {}
        }
    }
    let mut remarks = Vec::new();
    if !newer.is_empty() {
        remarks.push(format!("{} of this sprag is another: the run keeps its own", newer.join(", ")));
    }
    if edited.is_empty() {
        let digest = graph.digest.get(..8).unwrap_or(&graph.digest);
        remarks.push(format!("playbook, modules and parameters are those of the run (digest {digest})"));
        return Ok(remarks);
    }
    let what = format!("{} was edited since run {} began", edited.join(", "), dir.id());
    if pinned {
        remarks.push(format!("{what}: going on with what it began with"));
        return Ok(remarks);
    }
    Err(Failed::told("E506", what, Exit::Playbook)
        .help(format!("`sprag resume {} --pinned` goes on with what the run began with", dir.id())))
}

/// Where a source of a run comes from.
enum Origin {
    File,
    Library,
}

fn text_now(name: &str) -> Option<(Origin, String)> {
    if let Some(module) = name.strip_prefix("std::") {
        let (_, text) = STANDARD.iter().find(|(known, _)| *known == module)?;
        return Some((Origin::Library, (*text).to_owned()));
    }
    let bytes = read_bytes(Path::new(name), MAX_INPUT + 1).ok()?;
    // What is no text any more was edited, whatever it says.
    let text = decode(name, &bytes).unwrap_or_default();
    Some((Origin::File, text))
}

/// A run is resumed on the cluster on which it began.
pub(super) fn check_cluster(header: &Header, connection: &Connection) -> Result<(), Failed> {
    let began = &header.cluster;
    if began.is_empty() || connection.uid.is_empty() || *began == connection.uid {
        return Ok(());
    }
    let what = format!("the run began on another cluster than that of the context `{}`", connection.context);
    Err(Failed::told("E507", what, Exit::Usage).help("choose its cluster with --context or --kubeconfig"))
}

/// The texts of a run's secret parameters, which are in no journal and are given again.
pub(super) fn read_secrets(graph: &Graph, given: &ParameterArgs) -> Result<BTreeMap<String, String>, Failed> {
    let wanted: Vec<&str> = graph
        .params
        .iter()
        .filter(|(_, value)| matches!(value, crate::catalog::value::Value::Secret(_)))
        .map(|(name, _)| name.as_str())
        .collect();
    given.secrets(&wanted)
}
