//! `sprag status`, `runs`, `decide`, and the way to a run's folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::cluster::Connection;
use crate::engine::driver::fold;
use crate::engine::event::{Decision, Event};
use crate::engine::state::{Phase, RunState, StepStatus};
use crate::journal::{Header, Holder, Journal, LockState, RunDir, RunsDir, salvage};
use crate::outside::Outside;
use crate::plan::graph::{Graph, SCHEMA};
use crate::report::{render_runs, render_status, status_json};

use super::output::{Format, Output};
use super::params::ParameterArgs;
use super::run::RunsArgs;
use super::{Exit, Failed};

/// Tells how a run stands.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run; the newest where none is named
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
}

/// Lists the runs.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    runs: RunsArgs,
}

/// Decides about a step that asks, or that failed.
#[derive(Debug, Args)]
pub struct DecideArgs {
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
pub enum Choice {
    /// Begin it again
    Retry,
    /// It happened
    Done,
    /// It did not happen, and is not to be tried again
    Fail,
}

/// `sprag status`
pub fn status(args: &StatusArgs, output: &Output) -> Result<Exit, Failed> {
    let runs = args.runs.open();
    let dir = match &args.run {
        Some(id) => runs.open(id)?,
        None => match runs.list()?.pop() {
            Some(newest) => newest.dir,
            None => return Err(Failed::usage("there are no runs here").help("`sprag run FILE` begins one")),
        },
    };
    let graph = Arc::new(read_graph(&dir)?);
    let salvaged = salvage::<Event>(&dir)?;
    let state = fold(graph, &salvaged.read.records).map_err(crate::engine::driver::DriveError::from)?;
    let driven = driver_of(&dir)?;
    match output.format {
        Format::Json => output.json(&status_json(dir.id(), &state, driven.as_deref())),
        Format::Text => {
            let now = Outside::system().clock.now();
            output.screen(&render_status(dir.id(), &state, driven.as_deref(), now));
        }
    }
    match salvaged.fault {
        Some(fault) => Err(fault.into()),
        None => Ok(Exit::Done),
    }
}

/// `sprag runs`
pub fn list(args: &ListArgs, output: &Output) -> Result<Exit, Failed> {
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
                    Err(why) => serde_json::json!({ "run": id, "unreadable": why }),
                })
                .collect();
            output.json(&serde_json::json!({ "schema": 1, "runs": rows }));
        }
        Format::Text => {
            let now = Outside::system().clock.now();
            let rows = rows.iter().map(|(id, state, driven)| (id.as_str(), state.as_ref().map_err(Clone::clone), *driven));
            output.screen(&render_runs(rows, now));
        }
    }
    Ok(Exit::Done)
}

/// `sprag decide`
pub fn decide(args: &DecideArgs, output: &Output) -> Result<Exit, Failed> {
    let dir = args.runs.open().open(&args.run)?;
    let graph = Arc::new(read_graph(&dir)?);
    let now = Outside::system().clock.now();
    let mut opened = Journal::open_append::<Event>(&dir, &Holder::this_process(now))?;
    let mut state = fold(graph, &opened.records).map_err(crate::engine::driver::DriveError::from)?;
    check_decidable(&state, &args.step)?;
    if !matches!(state.phase, Phase::Halted(_)) {
        return Err(Failed::usage(format!("run {} is not halted but {}", args.run, state.phase.word()))
            .help(format!("`sprag resume {}` first", args.run)));
    }
    let decision = match args.decision {
        Choice::Retry => Decision::Retry,
        Choice::Done => Decision::Done,
        Choice::Fail => Decision::Fail,
    };
    let by = std::env::var("USER").unwrap_or_else(|_| "a person".to_owned());
    let event = Event::Decided { step: args.step.clone(), decision, by };
    let at = now.max(state.last);
    state.apply(at, &event).map_err(crate::engine::driver::DriveError::from)?;
    opened.journal.append(vec![event], at)?;
    output.screen(&format!("{}  {}: noted\n  go on with   sprag resume {}\n", args.run, args.step, args.run));
    Ok(Exit::Done)
}

fn check_decidable(state: &RunState, step: &str) -> Result<(), Failed> {
    match state.steps.get(step).map(|step| &step.status) {
        Some(StepStatus::InDoubt(_) | StepStatus::Failed(_)) => Ok(()),
        Some(status) => Err(Failed::usage(format!("`{step}` is {}: there is nothing to decide", status.word()))),
        None => {
            let known = state.steps.keys().map(String::as_str);
            let mut failed = Failed::usage(format!("the run has begun no step `{step}`"));
            if let Some(meant) = crate::diagnostic::did_you_mean(step, known) {
                failed = failed.help(format!("did you mean `{meant}`?"));
            }
            Err(failed)
        }
    }
}

/// The graph that a run carries out.
pub fn read_graph(dir: &RunDir) -> Result<Graph, Failed> {
    let bytes = dir.read_graph()?;
    let newer = |schema: u32| {
        Failed::told(
            "E604",
            format!("the run's graph is of schema {schema}, this sprag reads up to {SCHEMA}"),
            Some("use the sprag that began the run, or a newer one".to_owned()),
            7,
        )
    };
    let damaged = |what: String| Failed::told("E603", format!("the run's graph is damaged: {what}"), None, 7);
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
pub fn pick_resumable(runs: &RunsDir, named: Option<&str>) -> Result<RunDir, Failed> {
    if let Some(id) = named {
        return Ok(runs.open(id)?);
    }
    let mut resumable: Vec<(RunDir, RunState)> = Vec::new();
    for summary in runs.list()? {
        if let Ok(state) = state_of(&summary.dir)
            && !matches!(state.phase, Phase::Ended(_) | Phase::New)
        {
            resumable.push((summary.dir, state));
        }
    }
    match resumable.len() {
        0 => Err(Failed::usage("there is no run that can be resumed here").help("`sprag runs` lists the runs")),
        1 => resumable.pop().map(|(dir, _)| dir).ok_or_else(|| Failed::usage("no run")),
        _ => {
            let list: Vec<String> =
                resumable.iter().map(|(dir, state)| format!("{} ({})", dir.id(), state.graph.name)).collect();
            Err(Failed::usage(format!("several runs can be resumed: {}", list.join(", "))).help("name one of them"))
        }
    }
}

/// Says so when the playbook on disk is not the one that the run began with, and refuses unless that is wanted.
pub fn check_sources(dir: &RunDir, graph: &Graph, pinned: bool, output: &Output) -> Result<(), Failed> {
    let mut edited = Vec::new();
    for (name, text) in dir.read_sources()? {
        match std::fs::read_to_string(&name) {
            Ok(now) if now != text && super::load::differs(&name, &text, &now) => edited.push(name),
            // A file that is gone or cannot be read changes nothing: the run carries its own copy out.
            _ => {}
        }
    }
    if edited.is_empty() {
        output.remark(&format!("playbook, modules and parameters are those of the run (digest {})", &graph.digest[..8]));
        return Ok(());
    }
    let what = format!("{} was edited since run {} began", edited.join(", "), dir.id());
    if pinned {
        output.remark(&format!("{what}: going on with what it began with"));
        return Ok(());
    }
    Err(Failed::told("E506", what, Some(format!("`sprag resume {} --pinned` goes on with what the run began with", dir.id())), 3))
}

/// A run is resumed on the cluster on which it began.
pub fn check_cluster(header: &Header, connection: &Connection) -> Result<(), Failed> {
    let began = header.cluster();
    if began.is_empty() || connection.uid.is_empty() || began == connection.uid {
        return Ok(());
    }
    Err(Failed::told(
        "E507",
        format!("the run began on another cluster than `{}`", connection.context),
        Some("choose its cluster with --context or --kubeconfig".to_owned()),
        2,
    ))
}

/// The texts of a run's secret parameters, which are in no journal and are given again.
pub fn read_secrets(graph: &Graph, given: &ParameterArgs) -> Result<BTreeMap<String, String>, Failed> {
    let wanted: Vec<&str> = graph
        .params
        .iter()
        .filter(|(_, value)| matches!(value, crate::catalog::value::Value::Secret(_)))
        .map(|(name, _)| name.as_str())
        .collect();
    given.secrets(&wanted)
}
