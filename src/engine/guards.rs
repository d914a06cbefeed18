//! Guards: conditions in force from where they stand to the end of their block.
//!
//! A guard fires on what was read again from the server, as a gate passes. One that cannot be told is shown, and after
//! `blind_after` fails its block as a `halt when` does; a `pause` holds on.

use crate::catalog::value::{Value, format_duration};
use crate::expr::{EvalError, comparisons};
use crate::plan::graph::{Guard, NodeKind};

use super::confirm::News;
use super::driver::{Confirming, DriveError, Driver};
use super::event::{Event, Failure, Id};
use super::gate::{LiveGate, Purpose};
use super::locate::locate;
use super::state::HOLD_GAP;

/// A guard in force.
pub(super) struct LiveGuard {
    kind: Kind,
    gate: LiveGate,
}

/// What a guard does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Halt,
    Rollback,
    PauseWhen,
    PauseUnless,
}

impl Kind {
    fn of(word: &str) -> Self {
        match word {
            "rollback when" => Self::Rollback,
            "pause when" => Self::PauseWhen,
            "pause unless" => Self::PauseUnless,
            _ => Self::Halt,
        }
    }

    fn is_pause(self) -> bool {
        matches!(self, Self::PauseWhen | Self::PauseUnless)
    }
}

impl LiveGuard {
    /// When it has to be looked at though nothing changed.
    pub(super) fn wake(&self) -> Option<i64> {
        self.gate.wake()
    }

    pub(super) fn was_read_again(&mut self, is_confirmed: bool) {
        self.gate.was_read_again(is_confirmed);
    }
}

impl Driver<'_> {
    /// Takes up the guards that came into force, and lets go of those whose block is over.
    pub(super) async fn keep_guards(&mut self, in_force: Vec<Id>) -> Result<(), DriveError> {
        self.guards.retain(|id, _| in_force.contains(id));
        let graph = self.state.graph.clone();
        let mut is_new = false;
        for id in in_force {
            if self.guards.contains_key(&id) {
                continue;
            }
            let Some(located) = locate(&graph, &id) else { continue };
            let NodeKind::Guard(guard) = &located.node.kind else { continue };
            let bound = self.duration(&located, guard.hold.as_ref()).and_then(|hold| {
                let gate = LiveGate::new(Purpose::Guard { hold }, guard.condition.text.clone(), None);
                self.bind(&located, gate, &guard.condition)
            });
            match bound {
                Ok(gate) => {
                    self.guards.insert(id, LiveGuard { kind: Kind::of(&guard.kind), gate });
                    is_new = true;
                }
                Err(failure) => self.fire(&id, failure, false).await?,
            }
        }
        if is_new { self.look_at_guards(self.now()).await } else { Ok(()) }
    }

    /// Looks at every guard that is due, or whose reads changed.
    pub(super) async fn look_at_guards(&mut self, now: i64) -> Result<(), DriveError> {
        if self.state.out_of_reach.is_some() {
            return Ok(());
        }
        let ids: Vec<Id> = self.guards.keys().cloned().collect();
        for id in ids {
            let Some(mut guard) = self.guards.remove(&id) else { continue };
            if guard.gate.news != News::Asked {
                self.refresh(&mut guard.gate, now);
                if guard.gate.is_due(now) {
                    let value = self.evaluate_gate(&mut guard.gate, now);
                    self.weigh(&id, &mut guard, value, now).await?;
                }
            }
            if !self.state.is_stopped(&id) {
                self.guards.insert(id, guard);
            }
        }
        Ok(())
    }

    async fn weigh(
        &mut self,
        id: &Id,
        guard: &mut LiveGuard,
        value: Result<bool, EvalError>,
        now: i64,
    ) -> Result<(), DriveError> {
        match value {
            Ok(value) if guard.kind.is_pause() => {
                guard.gate.unknown_since = None;
                self.weigh_pause(id, (guard.kind == Kind::PauseWhen) == value).await
            }
            Ok(true) => {
                known_again(&mut guard.gate, now);
                let since = *guard.gate.hold_since.get_or_insert(now);
                if now < since + guard.gate.hold().unwrap_or(0) {
                    guard.gate.news = News::Cached;
                    return Ok(());
                }
                if guard.gate.is_to_be_confirmed(now) {
                    guard.gate.news = News::Asked;
                    let reads = guard.gate.reads.iter().map(|(key, _)| key.clone()).collect();
                    self.confirm(Confirming::Guard(id.clone()), reads);
                    return Ok(());
                }
                let failure = self.said_by(id, guard.kind);
                self.fire(id, failure, guard.kind == Kind::Rollback).await
            }
            Ok(false) => {
                (guard.gate.hold_since, guard.gate.unknown_since) = (None, None);
                guard.gate.news = News::Cached;
                Ok(())
            }
            Err(EvalError::Fault(what)) => self.fire(id, Failure::new("E599", what), false).await,
            Err(EvalError::Unknown(unknown)) => self.weigh_unknown(id, guard, &unknown.why, now).await,
        }
    }

    async fn weigh_pause(&mut self, id: &Id, holds: bool) -> Result<(), DriveError> {
        match (holds, self.state.paused.contains(id)) {
            (true, false) => {
                let saw = self.saw(id);
                self.emit(vec![Event::Paused { guard: id.clone(), saw }]).await
            }
            (false, true) => self.emit(vec![Event::Unpaused { guard: id.clone() }]).await,
            _ => Ok(()),
        }
    }

    async fn weigh_unknown(&mut self, id: &Id, guard: &mut LiveGuard, why: &str, now: i64) -> Result<(), DriveError> {
        let since = *guard.gate.unknown_since.get_or_insert(now);
        self.observer.waiting(id, &[format!("the guard {} is blind: {why}", guard.gate.text)]);
        if guard.kind.is_pause() || now - since < self.run.settings.blind_after {
            return Ok(());
        }
        let lasted = format_duration(now - since);
        let failure = Failure::new("E524", format!("the guard `{}` was blind for {lasted}", guard.gate.text))
            .detail(why.to_owned())
            .help("see whether what it reads can be read, then `sprag resume`");
        self.fire(id, failure, false).await
    }

    /// A guard fires: its block stops and has failed.
    async fn fire(&mut self, id: &Id, failure: Failure, undo: bool) -> Result<(), DriveError> {
        let block = id.rsplit_once('/').map_or("", |(block, _)| block).to_owned();
        if self.state.stopped.contains_key(&block) {
            return Ok(());
        }
        let guard = Some(id.clone());
        self.emit(vec![Event::BlockStopped { block: block.clone(), failure, undo, guard }]).await?;
        self.stop_below(&block).await
    }

    /// What a guard that fires says: its `else`, and what it saw.
    fn said_by(&mut self, id: &Id, kind: Kind) -> Failure {
        let graph = self.state.graph.clone();
        let code = if kind == Kind::Rollback { "E522" } else { "E521" };
        let Some(located) = locate(&graph, id) else { return Failure::new(code, "a guard fired") };
        let NodeKind::Guard(guard) = &located.node.kind else { return Failure::new(code, "a guard fired") };
        let text = guard.why.as_ref().and_then(|why| self.evaluate(&located, why).ok()).map(|text| text.to_string());
        let condition = told(guard);
        let failure = match text {
            Some(text) => Failure::new(code, text).detail(condition),
            None => Failure::new(code, condition),
        };
        self.saw(id).into_iter().fold(failure, Failure::detail)
    }

    /// The values that a guard's condition compares, as they are now: `saw 3 > 2`.
    fn saw(&mut self, id: &Id) -> Vec<String> {
        let graph = self.state.graph.clone();
        let Some(located) = locate(&graph, id) else { return Vec::new() };
        let NodeKind::Guard(guard) = &located.node.kind else { return Vec::new() };
        let mut lines = Vec::new();
        for (left, sign, right) in comparisons(&guard.condition) {
            if let (Ok(left), Ok(right)) = (self.evaluate(&located, &left), self.evaluate(&located, &right)) {
                lines.push(format!("saw {} {sign} {}", shown(&left), shown(&right)));
            }
        }
        lines
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    }
}

/// The guard as it is written, without its `else`.
fn told(guard: &Guard) -> String {
    let hold = guard.hold.as_ref().map(|hold| format!(" for {}", hold.text)).unwrap_or_default();
    format!("{} {}{hold}", guard.kind, guard.condition.text)
}

/// A hold stands still while nothing is known; after a longer gap it begins anew.
fn known_again(gate: &mut LiveGate, now: i64) {
    if let (Some(since), Some(hold)) = (gate.unknown_since.take(), gate.hold_since) {
        gate.hold_since = (now - since <= HOLD_GAP).then_some(hold + now - since);
    }
}
