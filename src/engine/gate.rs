//! Conditions under way: `wait until`, `assert … for`, `wait D`, and the `done when` of actions.
//!
//! A condition is evaluated again when something that it read changed, at most every 100 ms, and when its time comes.

use crate::catalog::types::Kind;
use crate::catalog::value::{ObjectRef, Value, format_duration};
use crate::expr::{Bindings, Compiled, EvalError, Memo};
use crate::facts::reads::{ReadKey, Reads};
use crate::plan::graph::NodeKind;
use crate::plan::path;

use super::confirm::News;
use super::driver::{Confirming, DriveError, Driver, EVALUATE_EVERY};
use super::event::{Event, Failure, Id, Outcome, Progress};
use super::locate::locate;
use super::state::{HOLD_GAP, StepStatus};

/// What a gate is to come to. Times in milliseconds, points in time in Unix milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Purpose {
    /// True, and for so long.
    Until { hold: Option<i64> },
    /// True now, or for so long from the first look.
    Assert { hold: Option<i64>, why: Option<String> },
    /// Nothing but time.
    Time,
    /// A person's answer.
    Person,
    /// Seen true once: the effect of an action that is under way.
    Effect,
    /// True, and for so long: a guard fires.
    Guard { hold: Option<i64> },
}

/// A condition under way.
pub(super) struct LiveGate {
    pub(super) purpose: Purpose,
    pub(super) text: String,
    pub(super) compiled: Option<Compiled>,
    pub(super) bindings: Bindings,
    pub(super) memo: Memo,
    pub(super) reads: Vec<(ReadKey, u64)>,
    /// When it was last evaluated.
    pub(super) looked: Option<i64>,
    /// What it was then.
    pub(super) last: Option<Result<bool, String>>,
    /// Something that it read has changed since.
    pub(super) stale: bool,
    /// Since when it is unknown.
    pub(super) unknown_since: Option<i64>,
    /// Since when it holds.
    pub(super) hold_since: Option<i64>,
    pub(super) every: Option<i64>,
    pub(super) deadline: Option<i64>,
    pub(super) news: News,
}

/// What a look at a gate led to.
enum Look {
    Nothing,
    Events(Vec<Event>),
    Over(Outcome),
}

impl LiveGate {
    pub(super) fn new(purpose: Purpose, text: String, deadline: Option<i64>) -> Self {
        Self {
            purpose,
            text,
            compiled: None,
            bindings: Bindings::new(),
            memo: Memo::default(),
            reads: Vec::new(),
            looked: None,
            last: None,
            stale: true,
            unknown_since: None,
            hold_since: None,
            every: None,
            deadline,
            news: News::Cached,
        }
    }

    pub(super) fn with_condition(mut self, compiled: Compiled, bindings: Bindings) -> Self {
        self.compiled = Some(compiled);
        self.bindings = bindings;
        self
    }

    pub(super) fn with_hold(mut self, since: Option<i64>, every: Option<i64>) -> Self {
        self.hold_since = since;
        self.every = every;
        self
    }

    /// Whether what it is decided on is to be read again first: what it read of the cluster, unless it is merely late.
    pub(super) fn is_to_be_confirmed(&self, now: i64) -> bool {
        let reads_cluster = self.reads.iter().any(|(key, _)| !matches!(key, ReadKey::Clock(_) | ReadKey::Run));
        let is_decided = matches!(self.last, Some(Ok(_))) && !(self.last == Some(Ok(false)) && self.is_late(now));
        reads_cluster && is_decided && self.news == News::Cached
    }

    pub(super) fn is_late(&self, now: i64) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// What it read was read again, or could not be: it is looked at anew.
    pub(super) fn was_read_again(&mut self, is_confirmed: bool) {
        self.news = if is_confirmed { News::Confirmed } else { News::Cached };
        self.stale = true;
        if is_confirmed {
            self.looked = None;
        }
    }

    /// After attended time stood still.
    pub(super) fn moved(&mut self, deadline: Option<i64>, hold_since: Option<i64>) {
        self.deadline = deadline;
        self.hold_since = hold_since;
        self.stale = true;
    }

    pub(super) fn hold(&self) -> Option<i64> {
        match &self.purpose {
            Purpose::Until { hold } | Purpose::Assert { hold, .. } | Purpose::Guard { hold } => *hold,
            Purpose::Time | Purpose::Person | Purpose::Effect => None,
        }
    }

    pub(super) fn hold_end(&self) -> Option<i64> {
        Some(self.hold_since? + self.hold()?)
    }

    /// When it has to be looked at though nothing changed.
    pub(super) fn wake(&self) -> Option<i64> {
        if self.keeps_wall_time() {
            // It has no condition: nothing about it is ever looked at but its time.
            return self.deadline;
        }
        if self.news == News::Asked {
            return None;
        }
        let throttled = self.stale.then(|| self.looked.map_or(0, |looked| looked + EVALUATE_EVERY));
        let throttled = throttled.filter(|_| !self.is_between_looks());
        let clock = self.reads.iter().filter_map(|(key, _)| match key {
            ReadKey::Clock(at) => Some(*at),
            _ => None,
        });
        let every = self.every.and_then(|every| Some(self.looked? + every));
        [throttled, self.hold_end(), every, self.deadline].into_iter().flatten().chain(clock).min()
    }

    /// With `every`, a hold is not looked at in between.
    fn is_between_looks(&self) -> bool {
        self.every.is_some() && self.hold_since.is_some() && self.last == Some(Ok(true))
    }

    /// What it is to come to.
    pub(super) fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// For how long nothing may be known of a hold without its beginning anew.
    fn longest_gap(&self) -> i64 {
        HOLD_GAP.max(self.every.map_or(0, |every| every.saturating_mul(2)))
    }

    /// Whether its time runs whether or not anybody is there.
    fn keeps_wall_time(&self) -> bool {
        matches!(self.purpose, Purpose::Time | Purpose::Person)
    }

    /// Until when nobody has to watch it, Unix milliseconds, `Some(None)` for ever; `None` where it needs watching now: a
    /// condition that reads more than the clock, and is no hold between two looks.
    pub(super) fn unwatched_until(&self, now: i64) -> Option<Option<i64>> {
        if self.keeps_wall_time() {
            return Some(self.deadline);
        }
        if self.news != News::Cached || self.is_due(now) {
            return None;
        }
        if self.is_between_looks() {
            let every = self.every.and_then(|every| Some(self.looked? + every));
            return Some([self.hold_end(), every, self.deadline].into_iter().flatten().min());
        }
        let reads_clock_alone = self.reads.iter().all(|(key, _)| matches!(key, ReadKey::Clock(_)));
        (reads_clock_alone && matches!(self.last, Some(Ok(_)))).then(|| self.wake())
    }

    /// Whether it is to be evaluated now.
    pub(super) fn is_due(&self, now: i64) -> bool {
        let Some(looked) = self.looked else { return true };
        let at_end = self.hold_end().is_some_and(|end| now >= end);
        let every = self.every.is_some_and(|every| now >= looked + every);
        let clock = self.reads.iter().any(|(key, _)| matches!(key, ReadKey::Clock(at) if now >= *at));
        at_end || every || ((self.stale || clock) && now >= looked + EVALUATE_EVERY && !self.is_between_looks())
    }

    /// One line: what it waits for, as it stands.
    fn line(&self, now: i64) -> String {
        let left = self.deadline.map(|deadline| format!(", {} left", rounded(deadline - now))).unwrap_or_default();
        match (&self.purpose, &self.last, self.hold_end()) {
            (Purpose::Time, ..) => format!("waits{}", left.trim_start_matches(',')),
            (Purpose::Person, ..) => format!("waits for a person{left}: {}", self.text),
            (_, Some(Err(why)), _) => format!("{} is unknown: {why}{left}", self.text),
            (_, Some(Ok(true)), Some(end)) => format!("{} is true, for {} more{left}", self.text, rounded(end - now)),
            _ => format!("{} is not true yet{left}", self.text),
        }
    }
}

/// A duration in whole seconds, for screens.
pub(super) fn rounded(ms: i64) -> String {
    format_duration((ms.max(0) + 999) / 1000 * 1000)
}

impl Driver<'_> {
    /// Looks at every gate that is due, or whose reads changed.
    pub(super) async fn look_at_gates(&mut self) -> Result<(), DriveError> {
        self.note_absence().await?;
        let now = self.now();
        let ids: Vec<Id> = self.gates.keys().cloned().collect();
        let mut events = Vec::new();
        for id in ids {
            let Some(mut gate) = self.gates.remove(&id) else { continue };
            if gate.news == News::Asked || (self.state.out_of_reach.is_some() && !gate.keeps_wall_time()) {
                self.gates.insert(id, gate);
                continue;
            }
            self.refresh(&mut gate, now);
            match self.look(&id, &mut gate, now) {
                Look::Nothing => gate.news = News::Cached,
                Look::Events(more) => {
                    gate.news = News::Cached;
                    events.extend(more);
                }
                Look::Over(_) if gate.is_to_be_confirmed(now) => {
                    gate.news = News::Asked;
                    let reads = gate.reads.iter().map(|(key, _)| key.clone()).collect();
                    self.confirm(Confirming::Gate(id.clone()), reads);
                }
                Look::Over(outcome) => {
                    events.push(Event::StepEnded { step: id, outcome });
                    continue;
                }
            }
            self.observer.waiting(&id, &[gate.line(now)]);
            self.gates.insert(id, gate);
        }
        self.emit(events).await?;
        self.look_at_effects(now).await?;
        self.look_at_guards(now).await
    }

    /// Marks a gate whose reads have other versions now.
    pub(super) fn refresh(&self, gate: &mut LiveGate, now: i64) {
        if !gate.stale {
            gate.stale = gate.reads.iter().any(|(key, version)| match key {
                ReadKey::Clock(at) => now >= *at,
                key => self.source.version(key) != *version,
            });
        }
    }

    pub(super) fn evaluate_gate(&self, gate: &mut LiveGate, now: i64) -> Result<bool, EvalError> {
        let Some(compiled) = gate.compiled.clone() else { return Ok(now >= gate.deadline.unwrap_or(now)) };
        let mut reads = Reads::default();
        let result = compiled.is_true(&gate.bindings, &self.source, &mut reads, Some(&mut gate.memo));
        gate.reads = reads.keys.into_iter().map(|key| (self.source.version(&key), key)).map(|(v, k)| (k, v)).collect();
        gate.stale = false;
        gate.looked = Some(now);
        gate.last = Some(result.as_ref().map(|value| *value).map_err(ToString::to_string));
        result
    }

    fn look(&self, id: &Id, gate: &mut LiveGate, now: i64) -> Look {
        if gate.purpose == Purpose::Time {
            let over = gate.deadline.is_none_or(|deadline| now >= deadline);
            return if over { Look::Over(done()) } else { Look::Nothing };
        }
        if gate.purpose == Purpose::Person {
            return if gate.is_late(now) { Look::Over(failed(unanswered(gate))) } else { Look::Nothing };
        }
        if gate.is_due(now) {
            let value = self.evaluate_gate(gate, now);
            let look = match value {
                Ok(true) => self.seen_true(id, gate, now),
                Ok(false) => Self::seen_false(id, gate),
                Err(EvalError::Fault(what)) => Look::Over(failed(Failure::new("E599", what))),
                Err(EvalError::Unknown(unknown)) => self.seen_unknown(id, gate, now, &unknown.why),
            };
            if !matches!(look, Look::Nothing) {
                return look;
            }
        }
        match gate.deadline {
            Some(deadline) if now >= deadline => Look::Over(failed(late(gate))),
            _ => Look::Nothing,
        }
    }

    fn seen_true(&self, id: &Id, gate: &mut LiveGate, now: i64) -> Look {
        let mut events = Vec::new();
        if let Some(since) = gate.unknown_since.take() {
            // A hold stands still while nothing is known; after a longer gap it begins anew.
            match gate.hold_since {
                Some(hold) if now - since <= gate.longest_gap() => gate.hold_since = Some(hold + now - since),
                Some(_) => {
                    gate.hold_since = None;
                    events.push(progress(id, Progress::HoldBroken));
                }
                None => {}
            }
        }
        let Some(hold) = gate.hold() else { return Look::Over(done()) };
        if gate.hold_since.is_none() {
            gate.hold_since = Some(now);
            events.push(progress(id, Progress::HoldStarted));
        }
        match gate.hold_since {
            Some(since) if now >= since + hold => Look::Over(done()),
            _ if events.is_empty() => Look::Nothing,
            _ => Look::Events(events),
        }
    }

    fn seen_false(id: &Id, gate: &mut LiveGate) -> Look {
        gate.unknown_since = None;
        match &gate.purpose {
            Purpose::Assert { hold, why } => {
                let when = if hold.is_some() && gate.hold_since.is_some() { "no longer true" } else { "not true" };
                let text = why.clone().unwrap_or_else(|| format!("{} is {when}", gate.text));
                Look::Over(failed(Failure::new("E502", text).detail(format!("{} is {when}", gate.text))))
            }
            Purpose::Until { .. } if gate.hold_since.take().is_some() => {
                Look::Events(vec![progress(id, Progress::HoldBroken)])
            }
            Purpose::Until { .. } | Purpose::Time | Purpose::Person | Purpose::Effect | Purpose::Guard { .. } => {
                Look::Nothing
            }
        }
    }

    fn seen_unknown(&self, id: &Id, gate: &mut LiveGate, now: i64, why: &str) -> Look {
        let since = *gate.unknown_since.get_or_insert(now);
        if let Some(gone) = self.gone_element(id) {
            return Look::Over(failed(gone));
        }
        if matches!(gate.purpose, Purpose::Assert { .. }) && now - since >= self.run.settings.blind_after {
            let lasted = format_duration(now - since);
            let failure = Failure::new("E510", format!("`{}` was unknown for {lasted}", gate.text)).detail(why);
            return Look::Over(failed(failure));
        }
        Look::Nothing
    }

    /// Says so when the element around a step is gone: nothing about it will ever be known again.
    pub(super) fn gone_element(&self, id: &Id) -> Option<Failure> {
        let located = locate(&self.state.graph, id)?;
        let frame = located.frames.last()?;
        let element = self.state.rollouts.get(&frame.id)?.element(&frame.element)?;
        let Value::Object(object) = &element.value else { return None };
        let is_gone = self.run.facts.is_gone(object) && !self.state.has_deleted(&frame.prefix(), object);
        is_gone.then(|| {
            let is_replaced =
                object.kind == Kind::Node && self.run.facts.read(|facts| facts.node(&object.name).is_some());
            let how = if is_replaced { "was replaced by another of its name" } else { "is gone" };
            Failure::new("E505", format!("{} `{object}` {how}", object.kind.word()))
                .detail("it was there when its turn came, and this run did not delete it")
        })
    }

    /// What takes the name of a node that this run deleted in its own element's body is the element from then on; what
    /// waits in its body looks at the new one.
    pub(super) async fn take_replacements(&mut self) -> Result<(), DriveError> {
        let replaced = self.replacements();
        for (rollout, element, by) in replaced {
            let name = self.state.rollouts.get(&rollout).and_then(|rollout| rollout.elements.get(element));
            let Some(prefix) = name.map(|element| path(&rollout, &element.name)) else { continue };
            self.emit(vec![Event::ElementReplaced { rollout, element, by }]).await?;
            let waiting = self.gates.keys().filter(|id| id.starts_with(&format!("{prefix}/")));
            for id in waiting.cloned().collect::<Vec<_>>() {
                self.take_up_gate(&id).await?;
            }
        }
        Ok(())
    }

    fn replacements(&self) -> Vec<(Id, usize, ObjectRef)> {
        let mut found = Vec::new();
        for (id, rollout) in &self.state.rollouts {
            for index in &rollout.active {
                let element = &rollout.elements[*index];
                let Some(object) = element.value.as_object().filter(|object| object.kind == Kind::Node) else {
                    continue;
                };
                if !self.run.facts.is_gone(object) || !self.state.has_deleted(&path(id, &element.name), object) {
                    continue;
                }
                let uid = self.run.facts.read(|facts| facts.node(&object.name).map(|node| node.metadata.uid.clone()));
                found.extend(uid.map(|uid| (id.clone(), *index, ObjectRef { uid, ..(**object).clone() })));
            }
        }
        found
    }

    async fn look_at_effects(&mut self, now: i64) -> Result<(), DriveError> {
        let ids: Vec<Id> = self.effects.keys().cloned().collect();
        for id in ids {
            let Some(mut gate) = self.effects.remove(&id) else { continue };
            self.refresh(&mut gate, now);
            if gate.is_due(now) && self.evaluate_gate(&mut gate, now) == Ok(true) {
                self.effect_seen(&id).await?;
                continue;
            }
            self.effects.insert(id, gate);
        }
        Ok(())
    }

    /// Takes a gate, wait or record up: as it begins, or after a driver before this one left it.
    pub(super) async fn take_up_gate(&mut self, id: &Id) -> Result<(), DriveError> {
        let graph = self.state.graph.clone();
        let Some(located) = locate(&graph, id) else { return Ok(()) };
        let Some(step) = self.state.steps.get(id) else { return Ok(()) };
        let (deadline, hold_since) = (step.deadline, step.hold);
        let gate = match &located.node.kind {
            NodeKind::Wait { .. } => Ok(LiveGate::new(Purpose::Time, String::new(), deadline)),
            NodeKind::Approve { .. } => Ok(self.ask_person(id)),
            NodeKind::WaitUntil(gate) => self.duration(&located, gate.hold.as_ref()).and_then(|hold| {
                let every = self.duration(&located, gate.every.as_ref())?;
                let live = LiveGate::new(Purpose::Until { hold }, gate.condition.text.clone(), deadline);
                self.bind(&located, live, &gate.condition).map(|live| live.with_hold(hold_since, every))
            }),
            NodeKind::Assert(gate) => self.duration(&located, gate.hold.as_ref()).and_then(|hold| {
                let every = self.duration(&located, gate.every.as_ref())?;
                let why = gate.why.as_ref().map(|why| match self.evaluate(&located, why) {
                    Ok(text) => text.to_string(),
                    Err(_) => why.text.clone(),
                });
                let live = LiveGate::new(Purpose::Assert { hold, why }, gate.condition.text.clone(), None);
                self.bind(&located, live, &gate.condition).map(|live| live.with_hold(hold_since, every))
            }),
            _ => return Ok(()),
        };
        match gate {
            Ok(gate) => {
                self.gates.insert(id.clone(), gate);
                self.look_at_gates().await
            }
            Err(failure) => self.emit(vec![Event::StepEnded { step: id.clone(), outcome: failed(failure) }]).await,
        }
    }

    /// Gives a gate its condition and the names in it.
    pub(super) fn bind(
        &mut self,
        located: &super::locate::Located<'_>,
        gate: LiveGate,
        condition: &crate::plan::graph::Code,
    ) -> Result<LiveGate, Failure> {
        let compiled = self.compile(condition)?;
        let bindings = self.state.bindings(located, compiled.slots());
        Ok(gate.with_condition(compiled, bindings))
    }

    /// A duration in milliseconds, where one is said.
    pub(super) fn duration(
        &mut self,
        located: &super::locate::Located<'_>,
        code: Option<&crate::plan::graph::Code>,
    ) -> Result<Option<i64>, Failure> {
        let Some(code) = code else { return Ok(None) };
        match self.evaluate(located, code) {
            Ok(Value::Duration(ms)) => Ok(Some(ms)),
            Ok(Value::None) => Ok(None),
            Ok(other) => Err(Failure::new("E503", format!("`{}` is `{other}`, not a duration", code.text))),
            Err(error) => Err(Failure::new("E503", format!("`{}` has no value: {error}", code.text))),
        }
    }

    /// Begins what was between two attempts and whose time has come.
    pub(super) fn due_retries(&self) -> Vec<Id> {
        let now = self.now();
        let due = |status: &StepStatus| matches!(status, StepStatus::Retrying(next) if now >= *next);
        self.state.steps.iter().filter(|(_, step)| due(&step.status)).map(|(id, _)| id.clone()).collect()
    }
}

fn progress(id: &Id, progress: Progress) -> Event {
    Event::StepProgress { step: id.clone(), progress }
}

/// Done, with nothing to say.
pub(super) fn done() -> Outcome {
    Outcome::Done { value: None, note: None }
}

/// Failed for that reason.
pub(super) fn failed(failure: Failure) -> Outcome {
    Outcome::Failed { failure }
}

fn unanswered(gate: &LiveGate) -> Failure {
    Failure::new("E511", "nobody said yes in time").detail(gate.text.clone()).help("`sprag resume` asks again")
}

fn late(gate: &LiveGate) -> Failure {
    let failure = Failure::new("E501", format!("`{}` did not become true in time", gate.text));
    match &gate.last {
        Some(Err(why)) => failure.detail(format!("it is unknown: {why}")),
        Some(Ok(true)) => failure.detail("it is true, but not for as long as `for` asks"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_condition_wakes_nobody_before_its_time() {
        for purpose in [Purpose::Time, Purpose::Person] {
            assert_eq!(LiveGate::new(purpose.clone(), String::new(), Some(5_000)).wake(), Some(5_000));
            assert_eq!(LiveGate::new(purpose, String::new(), None).wake(), None);
        }
    }
}
