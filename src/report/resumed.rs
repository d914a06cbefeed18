//! What a resume finds: told before anything is done.

use std::fmt::Write as _;

use crate::engine::hold_after;
use crate::engine::locate::locate;
use crate::engine::state::{Phase, RunState, StepState, StepStatus};
use crate::plan::graph::NodeKind;

use super::words::{progress_of, took};

/// The state of an interrupted or halted run in a few lines; `absent` is how long nobody was there, in milliseconds.
pub fn render_resumed(run: &str, state: &RunState, absent: i64) -> String {
    let what = match &state.phase {
        Phase::Halted(_) => "was halted",
        _ => "was interrupted",
    };
    let progress = progress_of(state).map(|progress| format!(" in {progress}")).unwrap_or_default();
    let mut out = format!("{}  run {run}   {what} {} ago{progress}\n", state.graph.name, took(absent));
    for (id, step) in &state.steps {
        if let Some(line) = found(state, id, step, absent) {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}

fn found(state: &RunState, id: &str, step: &StepState, absent: i64) -> Option<String> {
    let located = locate(&state.graph, id)?;
    match &step.status {
        StepStatus::Running => {
            let how = match &located.node.kind {
                NodeKind::Action(action) if action.name == "drain" => {
                    format!("going on: {} evicted before, none is evicted twice", step.evicted.len())
                }
                NodeKind::Action(action) if action.name == "exec" => match (&step.process, &action.done_when) {
                    (None, _) => "its command was not started: it is started now".to_owned(),
                    (Some(_), Some(_)) => "its `done when` tells whether it happened".to_owned(),
                    (Some(_), None) => "its command had been started".to_owned(),
                },
                NodeKind::Action(_) => "done again: it is the same twice".to_owned(),
                NodeKind::Wait { .. } => "its time went on".to_owned(),
                NodeKind::Approve { .. } => "still asks a person".to_owned(),
                _ if step.hold.is_some() && hold_after(step, absent).is_none() => {
                    "looked at again: nobody saw whether it held, its time begins anew".to_owned()
                }
                _ if step.hold.is_some() => "looked at again: it held, its time goes on".to_owned(),
                _ => "looked at again".to_owned(),
            };
            Some(format!("{id}   was under way   {how}"))
        }
        StepStatus::Retrying(_) => Some(format!("{id}   was between two attempts   goes on")),
        StepStatus::Failed(failure) if step.given_up => Some(format!("{id}   {}   stays failed", failure.message)),
        StepStatus::Failed(failure) if state.is_being_undone(id) => {
            Some(format!("{id}   failed: {}   it is undone, not begun anew", failure.message))
        }
        StepStatus::Failed(failure) => Some(format!("{id}   failed: {}   begun anew", failure.message)),
        StepStatus::InDoubt(why) => Some(format!("{id}   in doubt: {why}")),
        StepStatus::Open | StepStatus::Done | StepStatus::Skipped => None,
    }
}
