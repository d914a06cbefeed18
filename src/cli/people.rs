//! `sprag approve` and `sprag abort`: what a person says about a run, from any terminal that has its journal.
//!
//! A run that nobody drives takes it directly. Whoever drives one finds it in the run's inbox.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cluster::identity;
use crate::diagnostic::did_you_mean;
use crate::engine::driver::fold;
use crate::engine::event::{Event, RunOutcome};
use crate::engine::people::{Login, Message, Person, Question, Word};
use crate::engine::state::{Phase, RunState};
use crate::journal::{Delivery, Holder, Journal, JournalError, RunDir, salvage};
use crate::outside::{Outside, host_name, user_name};
use crate::plan::graph::Graph;

use super::login::LoginArgs;
use super::output::{Format, Output};
use super::run::RunsArgs;
use super::{Exit, Failed, block_on, runs};

/// How long the cluster may take to say who is there.
const WHO: Duration = Duration::from_secs(15);
/// How long the driver may take to look into the inbox, and how often it is looked whether it has.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Says yes to what a run asks.
#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    /// The run
    run: String,
    /// The step that asks; the only one where none is named
    step: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    #[command(flatten)]
    login: LoginArgs,
}

/// Gives a run up.
#[derive(Debug, Args)]
pub(super) struct AbortArgs {
    /// The run
    run: String,
    /// Undo what it did, as far as that is possible
    #[arg(long)]
    rollback: bool,
    #[command(flatten)]
    runs: RunsArgs,
    #[command(flatten)]
    login: LoginArgs,
}

/// `sprag approve`
pub(super) fn approve(args: &ApproveArgs, output: &Output) -> Result<Exit, Failed> {
    let dir = args.runs.open().open(&args.run)?;
    let graph = Arc::new(runs::read_graph(&dir)?);
    let state = fold(graph.clone(), &salvage::<Event>(&dir)?.read.records)?;
    let question = asked(&state, &args.run, args.step.as_deref())?;
    if output.format == Format::Text {
        output.remark(&format!("{}  {}", question.step, question.text));
    }
    let word = Word::Approve { step: question.step.clone() };
    block_on(async {
        let by = person(&dir, &args.login, question.by.as_deref(), output).await?;
        say(&dir, &graph, &Message { word, by }, output).await
    })
}

/// `sprag abort`
pub(super) fn abort(args: &AbortArgs, output: &Output) -> Result<Exit, Failed> {
    let dir = args.runs.open().open(&args.run)?;
    let graph = Arc::new(runs::read_graph(&dir)?);
    let word = Word::Abort { rollback: args.rollback };
    block_on(async {
        let by = person(&dir, &args.login, None, output).await?;
        say(&dir, &graph, &Message { word, by }, output).await
    })
}

/// The question that is meant: of the named step, or the only one.
fn asked(state: &RunState, run: &str, step: Option<&str>) -> Result<Question, Failed> {
    let mut questions = state.questions();
    if let Some(step) = step {
        if let Some(at) = questions.iter().position(|question| question.step == step) {
            return Ok(questions.swap_remove(at));
        }
        // What is the matter with it is said where it is refused, but for a name that nothing has.
        let near = did_you_mean(step, questions.iter().map(|question| question.step.as_str()));
        let message = Message { word: Word::Approve { step: step.to_owned() }, by: this_user() };
        let why = state.can_be_said(&message, state.last).err().unwrap_or_else(|| format!("`{step}` asks nothing"));
        let help = near.map(|near| format!("did you mean `{near}`?"));
        return Err(unsaid(why).help(help.unwrap_or_else(|| format!("`sprag status {run}` shows what asks"))));
    }
    match (questions.len(), questions.pop()) {
        (1, Some(question)) => Ok(question),
        (0, _) | (_, None) => {
            let phase = state.phase.word();
            Err(unsaid(format!("run {run} asks nobody anything now: it is {phase}"))
                .help(format!("`sprag status {run}` shows how it stands")))
        }
        (_, Some(last)) => {
            let all = questions.iter().chain([&last]).map(|question| format!("`{}`", question.step));
            let all = all.collect::<Vec<_>>().join(", ");
            Err(unsaid(format!("several steps of run {run} ask: {all}")).help("name the one that is meant"))
        }
    }
}

fn unsaid(what: String) -> Failed {
    Failed::told("E508", what, Exit::Usage)
}

fn this_user() -> Person {
    Person { user: user_name(), host: host_name(), login: None }
}

/// Who says it. Where a `group` is asked for, the cluster has to be asked, and it has to be the run's.
async fn person(dir: &RunDir, login: &LoginArgs, group: Option<&str>, output: &Output) -> Result<Person, Failed> {
    let asked = tokio::time::timeout(WHO, who(dir, login));
    let login = match (asked.await, group) {
        (Ok(Ok(login)), _) => login,
        (Ok(Err(failed)), Some(_)) => return Err(failed),
        (Err(_), Some(group)) => {
            let what = format!("the cluster did not say in time whether this is someone of `{group}`");
            return Err(
                Failed::told("E710", what, Exit::OutOfReach).help("is the VPN up? `kubectl auth whoami` asks the same")
            );
        }
        (Ok(Err(_)) | Err(_), None) => {
            output.remark("the cluster cannot be asked who this is: the name on this machine stands for it");
            None
        }
    };
    if let (None, Some(group)) = (&login, group) {
        output.remark(&format!("the cluster does not say who this is: whether it is one of `{group}` is not checked"));
    }
    Ok(Person { login, ..this_user() })
}

async fn who(dir: &RunDir, login: &LoginArgs) -> Result<Option<Login>, Failed> {
    let connection = login.connect(&Outside::system()).await?;
    runs::check_cluster(&salvage::<Event>(dir)?.read.header, &connection)?;
    let identity = identity(&connection.requests).await?;
    Ok(identity.map(|identity| Login { name: identity.name, groups: identity.groups }))
}

/// Notes what is said where nobody drives the run, or leaves it for whoever does.
async fn say(dir: &RunDir, graph: &Arc<Graph>, message: &Message, output: &Output) -> Result<Exit, Failed> {
    let from = Holder::this_process(Outside::system().clock.now());
    match Journal::open_append::<Event>(dir, &from) {
        Ok(mut opened) => {
            if let Some(torn) = &opened.repaired {
                output.remark(&runs::repaired(torn));
            }
            let mut state = fold(graph.clone(), &opened.records)?;
            let at = from.since.max(state.last);
            state.can_be_said(message, at).map_err(unsaid)?;
            let mut events = vec![message.event()];
            state.apply(at, &events[0])?;
            if state.ends_without_driver() {
                let ended = Event::RunEnded { outcome: RunOutcome::Aborted };
                state.apply(at, &ended)?;
                events.push(ended);
            }
            opened.journal.append(events, at)?;
            noted(dir, message, Some(&state), output)
        }
        Err(JournalError::LockHeld { .. }) => {
            let state = fold(graph.clone(), &salvage::<Event>(dir)?.read.records)?;
            state.can_be_said(message, from.since.max(state.last)).map_err(unsaid)?;
            leave(dir, message, &from, output).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Leaves a message and waits a while for the driver to take it.
async fn leave(dir: &RunDir, message: &Message, from: &Holder, output: &Output) -> Result<Exit, Failed> {
    let inbox = dir.inbox();
    let name = inbox.leave(message, from)?;
    let looks = TAKEN_WITHIN.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        tokio::time::sleep(LOOK_EVERY).await;
        match inbox.delivery(&name)? {
            Delivery::Waits => {}
            Delivery::Taken => return noted(dir, message, None, output),
            Delivery::Refused(why) => return Err(unsaid(why)),
        }
    }
    output.remark("the driver has not looked yet; it is left for it, and is noted as soon as it does");
    Ok(Exit::Done)
}

/// Says that it is noted, and what comes next of a run that nobody drives.
fn noted(dir: &RunDir, message: &Message, state: Option<&RunState>, output: &Output) -> Result<Exit, Failed> {
    let (run, by) = (dir.id(), &message.by);
    if output.format == Format::Json {
        output.json(&json!({ "schema": 1, "run": run, "message": message, "driven": state.is_none() }))?;
        return Ok(Exit::Done);
    }
    let what = match &message.word {
        Word::Approve { step } => format!("{step}: yes, says {by}"),
        Word::Abort { .. } => format!("given up by {by}"),
    };
    let next = match (state.map(|state| &state.phase), &message.word) {
        (None, Word::Approve { .. }) => "the run goes on".to_owned(),
        (None, Word::Abort { .. }) => "the run stops, and ends".to_owned(),
        (Some(Phase::Ended(_)), _) => format!("the run has ended; what is half-way stays so: sprag status {run}"),
        (Some(_), Word::Approve { .. }) => format!("go on with   sprag resume {run}"),
        (Some(_), Word::Abort { rollback: true }) => format!("undo what it did with   sprag resume {run}"),
        (Some(_), Word::Abort { rollback: false }) => {
            format!("run what its `finally` blocks do, and end it, with   sprag resume {run}")
        }
    };
    output.result(&format!("{run}  {what}: noted\n  {next}\n"))?;
    Ok(Exit::Done)
}
