//! The end of a run or of a driver: what was done, what failed and why, what to do.

use std::fmt::Write as _;

use crate::engine::event::{Failure, HaltReason, Id, RunOutcome};
use crate::engine::locate::locate;
use crate::engine::people::Question;
use crate::engine::state::{BlockState, ElementStatus, Phase, RunState, StepStatus};

use super::words::{counted, date_and_clock, took};

/// The summary of a run as it stands, for stdout.
pub fn render_summary(run: &str, state: &RunState) -> String {
    let mut out = String::new();
    for (id, failure) in failures(state) {
        out.push_str(&render_failure(state, id, failure));
        out.push('\n');
    }
    for (id, why) in in_doubt(state) {
        let _ = writeln!(out, "in doubt: {id}\n  why    {why}");
        let _ = writeln!(out, "  help   look whether it happened, then   sprag decide {run} {id} retry|done|fail\n");
    }
    for id in state.stuck() {
        let _ = writeln!(out, "  stuck  {id}: put back by hand what it was to put back");
    }
    for question in state.questions() {
        out.push_str(&render_question(run, &question));
    }
    for node in half_way(state) {
        let until = match state.phase {
            Phase::Ended(_) => "finish it by hand, or by a new run: there is no downgrade",
            _ => "it stays as it is until the run is resumed",
        };
        let _ = writeln!(out, "  state  {node} is half-way: {until}");
    }
    let _ = writeln!(out, "{}", headline(run, state));
    out
}

/// What waits for a person: what is asked, of whom, until when, and how to answer.
fn render_question(run: &str, question: &Question) -> String {
    let mut out = format!("asks: {}\n  {}\n", question.step, question.text);
    if let Some(by) = &question.by {
        let _ = writeln!(out, "  of     someone of the group `{by}`");
    }
    if let Some(deadline) = question.deadline {
        let _ = writeln!(out, "  until  {}", date_and_clock(deadline));
    }
    let _ = writeln!(out, "  help   say yes with   sprag approve {run} {}\n", question.step);
    out
}

fn headline(run: &str, state: &RunState) -> String {
    let lasted = took(state.last - state.started);
    let elements = elements_done(state);
    let name = &state.graph.name;
    match &state.phase {
        Phase::Ended(RunOutcome::Done) => format!("{name}  run {run}   done in {lasted}{elements}"),
        Phase::Ended(RunOutcome::RolledBack | RunOutcome::Aborted) => {
            let stuck = if state.stuck().next().is_some() { " as far as possible" } else { "" };
            let by = state.abort.as_ref().map(|abort| format!(" by {}", abort.by)).unwrap_or_default();
            format!("{name}  run {run}   {}{stuck}{by} after {lasted}{elements}", state.phase.word())
        }
        Phase::Halted(reason) => {
            let why = match reason {
                HaltReason::StepFailed => "a step failed".to_owned(),
                HaltReason::Guard { detail } => format!("a guard fired: {detail}"),
                HaltReason::Asks => "a step asks a person".to_owned(),
                HaltReason::Parked { until: None } => "parked until a person says something".to_owned(),
                HaltReason::Parked { until: Some(until) } => {
                    let left = took(until - state.last);
                    format!("parked, there is nothing to do for {left}, until {}", date_and_clock(*until))
                }
                HaltReason::OutOfReach { detail } => format!("the cluster is out of reach: {detail}"),
                HaltReason::Interrupted { signal } => format!("stopped by {signal}"),
            };
            format!("{name}  run {run}   halted after {lasted}{elements}: {why}\n  go on with   sprag resume {run}")
        }
        Phase::New | Phase::Running | Phase::Stopping(_) => {
            format!("{name}  run {run}   nobody drives it\n  go on with   sprag resume {run}")
        }
    }
}

fn elements_done(state: &RunState) -> String {
    let top = state
        .rollouts
        .iter()
        .filter(|(id, _)| locate(&state.graph, id).is_some_and(|located| located.frames.is_empty()));
    let (mut done, mut whole) = (0, 0);
    for (_, rollout) in top {
        done += rollout.finished();
        whole += rollout.elements.len();
    }
    if whole == 0 { String::new() } else { format!(", {done} of {}", counted(whole, "element")) }
}

/// Failures of steps and blocks, in order of id.
fn failures(state: &RunState) -> impl Iterator<Item = (&Id, &Failure)> {
    let steps = state.steps.iter().filter_map(|(id, step)| match &step.status {
        StepStatus::Failed(failure) => Some((id, failure)),
        _ => None,
    });
    let blocks = state.blocks.iter().filter_map(|(id, block)| match block {
        BlockState::Failed(failure) => Some((id, failure)),
        _ => None,
    });
    let stopped = state.stopped.iter().filter(|(_, one)| one.guard.is_some());
    let fired = stopped.map(|(id, one)| (one.guard.as_ref().unwrap_or(id), &one.failure));
    steps.chain(blocks).chain(fired)
}

fn in_doubt(state: &RunState) -> impl Iterator<Item = (&Id, &String)> {
    state.steps.iter().filter_map(|(id, step)| match &step.status {
        StepStatus::InDoubt(why) => Some((id, why)),
        _ => None,
    })
}

/// Elements whose body began and is not over.
fn half_way(state: &RunState) -> Vec<String> {
    if matches!(state.phase, Phase::Running | Phase::New) {
        return Vec::new();
    }
    let begun = |status: &ElementStatus| matches!(status, ElementStatus::Active | ElementStatus::Failed);
    let mut names = Vec::new();
    for (id, rollout) in &state.rollouts {
        for (element, _) in rollout.elements.iter().zip(&rollout.status).filter(|(_, status)| begun(status)) {
            let prefix = format!("{id}/{}", element.name);
            // What was put back entirely is not half-way.
            if !state.is_undone(&prefix) || state.has_committed(&prefix) {
                names.push(element.value.to_string());
            }
        }
    }
    names
}

/// One failure: what, where, why, what to do.
pub fn render_failure(state: &RunState, id: &str, failure: &Failure) -> String {
    let mut out = format!("error[{}]: {}\n", failure.code, failure.message);
    let _ = writeln!(out, "  step   {id}");
    if let Some(located) = locate(&state.graph, id) {
        let place = &located.node.place;
        let _ = writeln!(out, "  at     {}:{}:{}   {}", place.file, place.line, place.column, located.node.text);
    }
    for (index, detail) in failure.details.iter().enumerate() {
        let _ = writeln!(out, "  {}    {detail}", if index == 0 { "why" } else { "   " });
    }
    if let Some(help) = &failure.help {
        let _ = writeln!(out, "  help   {help}");
    }
    out
}
