//! Absence: parking what needs no watching, and noticing that nobody watched (LANGUAGE.md section 6, "Time and absence").

use crate::actions::Stop;
use crate::catalog::value::Value;

use super::driver::{DriveError, Driver};
use super::event::{Event, HaltReason};
use super::state::{HOLD_GAP, Phase, StepState, StepStatus};

/// A driver wakes at least each second and waits at most 20 s for an append: when more time than this went by, nobody was
/// there. The machine slept, or the process was stopped. In milliseconds.
pub(super) const ABSENT_AFTER: i64 = 30_000;

/// The argument under which the intent of a hold keeps its `every`.
pub(super) const EVERY: &str = "every";

/// Since when a step's condition holds, after nobody looked at it for so many milliseconds.
///
/// With `every` the looks are the evidence: as long as they are at most two intervals apart the time between them counts.
pub fn hold_after(step: &StepState, ms: i64) -> Option<i64> {
    let every = match step.args.get(EVERY) {
        Some(Value::Duration(every)) => *every,
        _ => 0,
    };
    match step.hold? {
        since if ms <= every.saturating_mul(2) => Some(since),
        since if ms <= HOLD_GAP => Some(since + ms),
        _ => None,
    }
}

impl Driver<'_> {
    /// Notes that nobody was there though the driver did not end: attended clocks stood still meanwhile. While the cluster
    /// is out of reach they do so anyway.
    pub(super) async fn note_absence(&mut self) -> Result<(), DriveError> {
        let now = self.now();
        let absent = now - std::mem::replace(&mut self.awake, now);
        if absent < ABSENT_AFTER || self.state.out_of_reach.is_some() || self.state.phase != Phase::Running {
            return Ok(());
        }
        self.absent_until = now;
        self.emit(vec![Event::Absent { absent }]).await?;
        self.take_clocks_up();
        Ok(())
    }

    /// Why the run can be left alone for as long as `--park` says, if nothing that is under way needs watching for that long.
    pub(super) fn parked(&self) -> Option<HaltReason> {
        let park = self.run.settings.park?;
        let is_busy = !self.tasks.is_empty()
            || !self.preparing.is_empty()
            || !self.performing.is_empty()
            || !self.blind.is_empty()
            || self.state.out_of_reach.is_some()
            || self.state.abort.is_some()
            || self.state.steps.values().any(|step| matches!(step.status, StepStatus::Retrying(_)));
        if is_busy || self.gates.is_empty() || self.halting.is_some() || *self.stop.borrow() != Stop::No {
            return None;
        }
        let now = self.now();
        let mut until: Option<i64> = None;
        for gate in self.gates.values() {
            let next = gate.unwatched_until(now)?;
            if next.is_some_and(|next| next < now + park) {
                return None;
            }
            until = [until, next].into_iter().flatten().min();
        }
        Some(self.park_reason(until))
    }
}
