//! Out of reach: when no request succeeds the run stands still, and it goes on by itself when the cluster answers again.

use crate::actions::Stop;

use super::driver::{DriveError, Driver, Performing};
use super::event::{Event, HaltReason};

/// For how long no request may succeed before the cluster counts as out of reach, in milliseconds.
const OUT_AFTER: i64 = 10_000;
/// For how long a watch may be refused before the run is let go, in milliseconds: a server that has just started
/// refuses for a moment what it will allow, until its authorizer knows the roles.
const REFUSED_AFTER: i64 = 10_000;

impl Driver<'_> {
    /// Notes that the cluster went out of reach, that it is back, or that it was away for too long.
    pub(super) async fn look_at_reach(&mut self, now: i64) -> Result<(), DriveError> {
        self.look_at_refusal(now);
        match (self.state.out_of_reach, self.run.requests.trouble_since()) {
            (None, Some((since, detail))) if now - since.max(self.absent_until) >= OUT_AFTER => {
                // What nobody saw of it is counted as an absence already.
                let since = since.max(self.absent_until);
                self.emit(vec![Event::OutOfReach { since, detail }]).await?;
                for deadline in self.performing.values().map(|one| &one.deadline) {
                    // Its own clock stands still: the deadline comes back when the cluster does.
                    deadline.send_replace(i64::MAX);
                }
                Ok(())
            }
            (Some(since), None) => {
                self.emit(vec![Event::InReach { away: (now - since).max(0) }]).await?;
                self.take_clocks_up();
                Ok(())
            }
            (Some(since), Some((_, detail))) if now - since >= self.run.settings.give_up_after => {
                self.halting.get_or_insert(HaltReason::OutOfReach { detail });
                self.ask_to_stop(Stop::Stop);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Lets the run go once a login or a right that its watches need is gone for good: nothing would be known any more.
    fn look_at_refusal(&mut self, now: i64) {
        let Some(why) = self.run.facts.refused() else {
            self.refused = None;
            return;
        };
        if now - *self.refused.get_or_insert(now) >= REFUSED_AFTER {
            let detail = format!("the cluster does not let sprag read what the run needs any more: {why}");
            self.halting.get_or_insert(HaltReason::OutOfReach { detail });
            self.ask_to_stop(Stop::Stop);
        }
    }

    /// Gives every attempt and gate the deadline that the state has for it.
    pub(super) fn take_clocks_up(&mut self) {
        for (id, Performing { deadline, .. }) in &self.performing {
            if let Some(moved) = self.state.steps.get(id).and_then(|step| step.deadline) {
                deadline.send_replace(moved);
            }
        }
        for (id, gate) in &mut self.gates {
            if let Some(step) = self.state.steps.get(id) {
                gate.moved(step.deadline, step.hold);
            }
        }
    }
}
