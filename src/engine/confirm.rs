//! Confirming reads: no gate is decided and no element begins on old news.

use crate::cluster::RequestError;
use crate::facts::reads::ReadKey;

use super::driver::{Confirming, DriveError, Driver, Finished};
use super::event::{HaltReason, Id};
use crate::actions::Stop;

/// How far the news that a gate is decided on was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// As the caches have it.
    Cached,
    /// Being read again; the gate waits.
    Asked,
    /// Read again: the next look decides.
    Confirmed,
}

impl Driver<'_> {
    /// Reads again what something is decided on, beside everything else.
    pub(super) fn confirm(&mut self, what: Confirming, reads: Vec<ReadKey>) {
        let (facts, requests) = (self.run.facts.clone(), self.run.requests.clone());
        self.tasks.spawn(async move {
            let result = facts.confirm(&requests, &reads).await;
            Finished::Confirmed { what, result }
        });
    }

    pub(super) async fn on_confirmed(
        &mut self,
        what: Confirming,
        result: Result<(), RequestError>,
    ) -> Result<(), DriveError> {
        if let Err(error) = &result {
            self.cannot_confirm(error);
        }
        match what {
            Confirming::Gate(id) => {
                if let Some(gate) = self.gates.get_mut(&id) {
                    gate.was_read_again(result.is_ok());
                }
                self.look_at_gates().await
            }
            Confirming::Guard(id) => {
                if let Some(guard) = self.guards.get_mut(&id) {
                    guard.was_read_again(result.is_ok());
                }
                self.look_at_gates().await
            }
            Confirming::Element(rollout, element) => {
                if result.is_ok() {
                    self.confirmed.insert((rollout, element), true);
                } else {
                    self.confirmed.remove(&(rollout, element));
                }
                Ok(())
            }
        }
    }

    /// What the server refuses to say (a login or a right that is gone) halts the run: nothing can be decided without it.
    fn cannot_confirm(&mut self, error: &RequestError) {
        self.halting.get_or_insert(HaltReason::OutOfReach { detail: error.to_string() });
        self.ask_to_stop(Stop::Stop);
    }

    /// Whether an element's object was read again; begins to if not.
    pub(super) fn is_confirmed(&mut self, rollout: &Id, element: usize) -> bool {
        let key = (rollout.clone(), element);
        match self.confirmed.get(&key) {
            Some(true) => {
                self.confirmed.remove(&key);
                true
            }
            Some(false) => false,
            None => {
                let value = self.state.rollouts.get(rollout).and_then(|rollout| rollout.elements.get(element));
                let Some(object) = value.and_then(|element| element.value.as_object()).cloned() else { return true };
                self.confirmed.insert(key, false);
                self.confirm(Confirming::Element(rollout.clone(), element), vec![ReadKey::Object(object)]);
                false
            }
        }
    }
}
