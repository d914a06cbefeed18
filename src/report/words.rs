//! The words that every screen uses for the same thing.

use crate::engine::event::{Decision, Event, Id, Outcome, Progress};
use crate::engine::locate::locate;
use crate::engine::state::{RolloutState, RunState};
use crate::plan::graph::NodeKind;

/// A time of day as `14:02:11`, in the zone of the machine.
pub(super) fn clock(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string(),
        Err(_) => "--:--:--".to_owned(),
    }
}

/// A date with a time of day, as `2026-01-31 14:02:11 UTC`: for what may be read days later and elsewhere.
pub(super) fn date_and_clock(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}

/// How long something took: `0.2 s`, `51 s`, `4 min 10 s`, `3 h 5 min`, `9 days 4 h`.
pub(crate) fn took(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..=9 => format!("{}.{} s", seconds, ms.max(0) % 1000 / 100),
        10..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min {} s", seconds / 60, seconds % 60),
        7200..=172_799 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `1 node`, `2 nodes`, `3 batches`.
pub(super) fn counted(n: usize, word: &str) -> String {
    let ending = match n {
        1 => "",
        _ if word.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{n} {word}{ending}")
}

/// The outermost rollout that is on, for the head of a screen.
pub(super) fn main_rollout(state: &RunState) -> Option<(&Id, &RolloutState)> {
    state.rollouts.iter().filter(|(_, one)| one.batch < one.batches()).min_by_key(|(id, one)| (id.len(), one.started))
}

/// `batch 3 of 3, 7 of 12 nodes done`
pub(super) fn progress_of(state: &RunState) -> Option<String> {
    let (id, rollout) = main_rollout(state)?;
    let located = locate(&state.graph, id)?;
    let NodeKind::Rollout(template) = &located.node.kind else { return None };
    let whole = rollout.elements.len();
    Some(format!(
        "batch {} of {}, {} of {whole} {}s done",
        (rollout.batch + 1).min(rollout.batches()),
        rollout.batches(),
        rollout.finished(),
        template.element,
    ))
}

/// What an event says on one line; `None` for what is told elsewhere or is of no interest by itself.
pub(super) fn line(event: &Event, state: &RunState) -> Option<String> {
    match event {
        Event::RunStarted { .. } | Event::RunHalted { .. } | Event::RunEnded { .. } => None,
        Event::DriverStarted { driver, absent, .. } if *driver > 1 => {
            Some(format!("taken up again after {} without a driver", took(*absent)))
        }
        Event::DriverStarted { .. } => None,
        Event::StepStarted { step, attempt, .. } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            lasts(step, state).then(|| format!("{step}  begins{again}"))
        }
        Event::StepProgress { step, progress } => progress_line(step, progress),
        Event::StepEnded { step, outcome } => Some(format!("{step}  {}", outcome_words(step, outcome, state))),
        Event::BlockSkipped { block } => Some(format!("{block}  skipped: its `when` is false")),
        Event::BlockEntered { .. } => None,
        Event::BlockFailed { block, failure } => Some(format!("{block}  cannot begin: {}", failure.message)),
        Event::BlockStopped { block, failure, undo, .. } => {
            let then = if *undo { "it is undone, newest first" } else { "nothing more begins in it" };
            Some(format!("{}  stops: {}[{}]; {then}", whole_or(block), failure.message, failure.code))
        }
        Event::BlockUndone { block, stuck } => Some(match stuck.len() {
            0 => format!("{}  rolled back", whole_or(block)),
            some => format!("{}  rolled back as far as possible, {} stuck", whole_or(block), counted(some, "step")),
        }),
        Event::Paused { guard, saw } => {
            let saw = saw.first().map(|saw| format!(" ({saw})")).unwrap_or_default();
            Some(format!("paused: {}{saw}; what is under way is carried to its end", text_of(guard, state)))
        }
        Event::Unpaused { guard } => Some(format!("goes on: {} holds no longer", text_of(guard, state))),
        Event::RolloutStarted { rollout, elements, batches, joined, gone, .. } => {
            let mut text = format!("{rollout}  {}", counted(elements.len(), "element"));
            if elements.is_empty() {
                text.push_str(": nothing is selected, done at once");
            }
            if batches.len() > 1 {
                text.push_str(&format!(" in {}", counted(batches.len(), "batch")));
            }
            if !joined.is_empty() || !gone.is_empty() {
                text.push_str(&format!("   +{} joined, -{} gone since the plan", joined.len(), gone.len()));
            }
            Some(text)
        }
        Event::ElementStarted { rollout, element } => {
            let rollout_state = state.rollouts.get(rollout)?;
            let name = &rollout_state.elements.get(*element)?.name;
            Some(format!("{rollout}/{name}  begins   {}", progress_of(state).unwrap_or_default()))
        }
        Event::ElementReplaced { rollout, by, .. } => Some(format!(
            "{rollout}  a new node took the name `{by}`, which this run had deleted: it goes on with that"
        )),
        Event::ElementSkipped { rollout, why, .. } => Some(format!("{rollout}  skipped: {why}")),
        Event::Decided { step, decision, by } => {
            let word = match decision {
                Decision::Retry => "is begun again",
                Decision::Done => "counts as done",
                Decision::Fail => "counts as failed",
            };
            Some(format!("{step}  {word}: decided by {by}"))
        }
        Event::Approved { step, .. } => {
            let note = state.steps.get(step).and_then(|step| step.note.clone()).unwrap_or_default();
            Some(format!("{step}  {note}"))
        }
        Event::AbortRequested { by, rollback } => {
            let undo = if *rollback { ", and what it did is to be undone" } else { "" };
            Some(format!("{by} gives the run up{undo}: stopping"))
        }
        Event::Absent { absent } => Some(format!(
            "nobody was there for {}: the machine slept, or sprag was stopped; clocks of what is attended stood still",
            took(*absent)
        )),
        Event::OutOfReach { since, detail } => Some(format!(
            "the cluster is out of reach for {}: {detail}; nothing begins, clocks stand still",
            took(state.last - since)
        )),
        Event::InReach { away } => Some(format!("the cluster answers again after {}: going on", took(*away))),
        Event::StopRequested { signal } => Some(format!("{signal}: stopping")),
    }
}

/// How a block is called; the whole run is no block of a name.
fn whole_or(block: &str) -> &str {
    if block.is_empty() { "the run" } else { block }
}

/// A guard as it is written.
fn text_of(guard: &str, state: &RunState) -> String {
    locate(&state.graph, guard).map_or_else(|| guard.to_owned(), |located| located.node.text.clone())
}

fn progress_line(step: &Id, progress: &Progress) -> Option<String> {
    match progress {
        Progress::Evicted { pod, .. } => Some(format!("{step}  evicted {pod}")),
        Progress::Command { .. } | Progress::HoldStarted => None,
        Progress::HoldBroken => Some(format!("{step}  the condition no longer holds, its time begins anew")),
        Progress::AttemptFailed { failure, .. } => Some(format!("{step}  attempt failed: {}", failure.message)),
    }
}

/// Whether a step lasts long enough for its beginning to be of interest.
fn lasts(step: &Id, state: &RunState) -> bool {
    locate(&state.graph, step).is_some_and(|located| match &located.node.kind {
        NodeKind::Action(action) => matches!(action.name.as_str(), "drain" | "exec" | "job"),
        NodeKind::Wait { .. } | NodeKind::WaitUntil(_) => true,
        NodeKind::Assert(gate) => gate.hold.is_some(),
        _ => false,
    })
}

fn outcome_words(step: &Id, outcome: &Outcome, state: &RunState) -> String {
    let since = state.steps.get(step).map_or(0, |step| state.last - step.started);
    match outcome {
        Outcome::Done { note, .. } => {
            let note = note.as_ref().map(|note| format!("   {note}")).unwrap_or_default();
            format!("done   {}{note}", took(since))
        }
        Outcome::Skipped => "skipped: its `when` is false".to_owned(),
        Outcome::Failed { failure } => format!("failed   {}[{}]", failure.message, failure.code),
        Outcome::Interrupted => "stopped, to be begun again".to_owned(),
        Outcome::InDoubt { why } => format!("in doubt: {why}"),
    }
}
