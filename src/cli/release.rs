//! `sprag release`: lifts the cordons of a run, with its journal or without.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::actions::ownership::{Cordoned, KnownRuns, Mark, Standing, cordoned, release as lift};
use crate::cluster::Connection;
use crate::engine::event::Failure;
use crate::outside::Outside;

use super::login::LoginArgs;
use super::output::{Format, Output};
use super::run::RunsArgs;
use super::standing::RunsHere;
use super::{Exit, Failed, block_on};

/// Whose cordons, and on which nodes.
#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// The run, as the mark on the node names it
    run: String,
    /// On this node alone; may be given several times
    #[arg(long = "node", value_name = "NODE")]
    nodes: Vec<String>,
    /// Say what would be lifted, and lift nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    runs: RunsArgs,
    #[command(flatten)]
    login: LoginArgs,
}

/// What became of one node.
#[derive(Debug)]
struct Line {
    node: String,
    is_lifted: bool,
    what: String,
}

/// `sprag release`
pub(super) fn release(args: &ReleaseArgs, output: &Output) -> Result<Exit, Failed> {
    let runs = RunsHere(args.runs.open());
    let lines = block_on(async {
        let connection = args.login.connect(&Outside::system()).await?;
        let nodes = cordoned(&connection.requests).await?;
        check_named(args, &nodes)?;
        check_driven(&args.run, &nodes, &runs)?;
        lift_all(args, &nodes, &connection).await
    })?;
    match output.format {
        Format::Json => {
            let each = |line: &Line| json!({ "node": line.node, "lifted": line.is_lifted, "what": line.what });
            let nodes: Vec<Value> = lines.iter().map(each).collect();
            output.json(&json!({ "schema": 1, "run": args.run, "dry_run": args.dry_run, "nodes": nodes }))?;
        }
        Format::Text => output.result(&as_text(&args.run, &lines))?,
    }
    Ok(Exit::Done)
}

/// A node that was named and is not cordoned is a slip of the pen.
fn check_named(args: &ReleaseArgs, nodes: &[Cordoned]) -> Result<(), Failed> {
    match args.nodes.iter().find(|name| !nodes.iter().any(|node| node.node.name == **name)) {
        Some(name) => Err(Failed::usage(format!("node `{name}` is not cordoned and bears no mark"))
            .help("`sprag nodes` lists the nodes that do")),
        None => Ok(()),
    }
}

/// A run that is under way must not have its nodes opened under its drains.
fn check_driven(run: &str, nodes: &[Cordoned], runs: &dyn KnownRuns) -> Result<(), Failed> {
    let marks = nodes.iter().filter_map(|node| node.mark.as_ref()).filter(|mark| mark.run == run);
    if marks.into_iter().any(|mark| runs.standing(run, &mark.key) == Standing::Driven) {
        let what = format!("run {run} is under way: its cordons are not lifted under it");
        return Err(Failed::told("E508", what, Exit::Locked).help("interrupt it first, or let it end"));
    }
    Ok(())
}

async fn lift_all(args: &ReleaseArgs, nodes: &[Cordoned], connection: &Connection) -> Result<Vec<Line>, Failed> {
    let mut lines = Vec::new();
    for node in nodes {
        let is_named = args.nodes.contains(&node.node.name);
        let Some(mark) = node.mark.as_ref().filter(|mark| mark.run == args.run) else {
            // What was not asked about is not told.
            if is_named {
                lines.push(Line { node: node.node.name.clone(), is_lifted: false, what: why_left(node) });
            }
            continue;
        };
        if is_named || args.nodes.is_empty() {
            lines.push(lift_one(args, node, mark, connection).await.map_err(not_lifted)?);
        }
    }
    Ok(lines)
}

async fn lift_one(args: &ReleaseArgs, node: &Cordoned, mark: &Mark, connection: &Connection) -> Result<Line, Failure> {
    let done = if node.is_cordoned { "uncordoned" } else { "was not cordoned, its mark is removed" };
    let what = match args.dry_run {
        true if node.is_cordoned => "would be uncordoned".to_owned(),
        true => "is not cordoned, its mark would be removed".to_owned(),
        false => lift(&connection.requests, &node.node, mark).await?.unwrap_or_else(|| done.to_owned()),
    };
    Ok(Line { node: node.node.name.clone(), is_lifted: true, what })
}

fn why_left(node: &Cordoned) -> String {
    match (&node.mark, node.is_cordoned) {
        (Some(mark), _) => format!("is left: it bears the mark of {mark}"),
        (None, true) => "stays cordoned: someone else cordoned it, `kubectl uncordon` lifts it".to_owned(),
        (None, false) => "is left: its mark is not one that sprag can read".to_owned(),
    }
}

fn not_lifted(failure: Failure) -> Failed {
    let failed = Failed::told("E710", failure.message, Exit::OutOfReach);
    failed.help(failure.help.unwrap_or_else(|| "`sprag nodes` lists what is left, `sprag release` goes on".to_owned()))
}

fn as_text(run: &str, lines: &[Line]) -> String {
    if lines.is_empty() {
        return format!("no node bears a mark of run {run}\n");
    }
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}  {}", line.node, line.what);
        text
    })
}
