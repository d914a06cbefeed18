//! `sprag status` and `sprag runs`: how runs stand, from their journals alone.

use std::fmt::Write as _;

use serde_json::json;

use crate::engine::state::{ElementStatus, Phase, RolloutState, RunState, StepStatus};

use super::summary::render_summary;
use super::words::{clock, took};

/// The state of one run, as text. `driven` says who drives it now.
pub fn render_status(run: &str, state: &RunState, driven: Option<&str>, now: i64) -> String {
    let mut out = String::new();
    let phase = match (&state.phase, driven) {
        (Phase::Running | Phase::Stopping(_), None) => "interrupted: nobody drives it".to_owned(),
        (phase, Some(who)) => format!("{}, driven by {who}", phase.word()),
        (phase, None) => phase.word().to_owned(),
    };
    let begun = match state.phase {
        Phase::New => String::new(),
        _ => format!("   begun {} ({} ago)", clock(state.started), took(now - state.started)),
    };
    let _ = writeln!(out, "{}  run {run}   {phase}{begun}", state.graph.name);
    if let Some(since) = state.out_of_reach {
        let _ = writeln!(out, "  the cluster is out of reach since {} ({} ago)", clock(since), took(now - since));
    }
    for (id, rollout) in &state.rollouts {
        let _ = writeln!(out, "  rollout {id}   {}", rollout_line(rollout));
    }
    if let Some(abort) = state.abort.as_ref().filter(|_| !matches!(state.phase, Phase::Ended(_))) {
        let _ = writeln!(out, "  given up by {}: it stops, and ends", abort.by);
    }
    let questions = state.questions();
    for (id, step) in &state.steps {
        if let Some(question) = questions.iter().find(|question| question.step == *id) {
            let whom = question.by.as_ref().map(|by| format!(" of `{by}`")).unwrap_or_default();
            let text = &question.text;
            let _ = writeln!(out, "  {id}   asks a person{whom} for {}: {text}", took(now - step.started));
            let _ = writeln!(out, "  {:width$}   say yes with   sprag approve {run} {id}", "", width = id.len());
            continue;
        }
        let word = match &step.status {
            StepStatus::Running | StepStatus::Retrying(_) => step.status.word().to_owned(),
            StepStatus::InDoubt(why) => format!("in doubt: {why}"),
            _ => continue,
        };
        let _ = writeln!(out, "  {id}   {word}   for {}", took(now - step.started));
    }
    let is_on = matches!(state.phase, Phase::New | Phase::Running | Phase::Stopping(_));
    if !(is_on && driven.is_some()) {
        out.push_str(&render_summary(run, state));
    }
    out
}

fn rollout_line(rollout: &RolloutState) -> String {
    let batch = (rollout.batch + 1).min(rollout.batches().max(1));
    let mut line = format!(
        "batch {batch} of {}   {} of {} done",
        rollout.batches().max(1),
        rollout.finished(),
        rollout.elements.len()
    );
    for (word, status) in [("under way", ElementStatus::Active), ("failed", ElementStatus::Failed)] {
        let names: Vec<&str> = rollout
            .elements
            .iter()
            .zip(&rollout.status)
            .filter(|(_, one)| **one == status)
            .map(|(element, _)| element.name.as_str())
            .collect();
        if !names.is_empty() {
            let _ = write!(line, "   {word}: {}", names.join(" "));
        }
    }
    line
}

/// The state of one run, as JSON: schema 1.
pub fn status_json(run: &str, state: &RunState, driven: Option<&str>) -> serde_json::Value {
    let steps: serde_json::Map<_, _> = state
        .steps
        .iter()
        .map(|(id, step)| (id.clone(), json!({ "status": step.status.word(), "attempt": step.attempt, "started": step.started, "ended": step.ended, "note": step.note })))
        .collect();
    let rollouts: serde_json::Map<_, _> = state
        .rollouts
        .iter()
        .map(|(id, rollout)| {
            let value = json!({
                "batch": rollout.batch + 1, "batches": rollout.batches(),
                "done": rollout.finished(), "elements": rollout.elements.len(), "failed": rollout.failed.len(),
            });
            (id.clone(), value)
        })
        .collect();
    let questions: Vec<_> = state
        .questions()
        .iter()
        .map(|one| json!({ "step": one.step, "text": one.text, "by": one.by, "deadline": one.deadline }))
        .collect();
    json!({
        "schema": 1, "run": run, "playbook": state.graph.name, "digest": state.graph.digest, "phase": state.phase.word(),
        "questions": questions, "given_up_by": state.abort.as_ref().map(|abort| &abort.by),
        "started": state.started, "last": state.last, "out_of_reach": state.out_of_reach, "driven_by": driven, "rollouts": rollouts, "steps": steps,
    })
}

/// One line a run: id, playbook, how it stands, when it was last heard of.
pub fn render_runs<'a>(runs: impl Iterator<Item = (&'a str, Result<&'a RunState, String>, bool)>, now: i64) -> String {
    let mut out = String::new();
    for (id, state, driven) in runs {
        let line = match state {
            Ok(state) => {
                let phase = match (&state.phase, driven) {
                    (Phase::Running | Phase::Stopping(_), false) => "interrupted",
                    (phase, _) => phase.word(),
                };
                let heard = match state.phase {
                    Phase::New => String::new(),
                    _ => format!("   last heard of {} ago", took(now - state.last)),
                };
                format!("{id}  {phase:<12}  {}{heard}", state.graph.name)
            }
            Err(why) => format!("{id}  unreadable    {why}"),
        };
        let _ = writeln!(out, "{line}");
    }
    if out.is_empty() { "no runs here\n".to_owned() } else { out }
}
