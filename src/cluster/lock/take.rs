//! Taking a Lease: looked at, judged, and written with the resourceVersion that was judged.

use std::future::Future;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::error::LockError;
use super::fence::Moment;
use super::lease::Lease;
use super::{Claimant, Domain, NO_LEASE, Patience, RENEW_DEADLINE, RETRY, Replaced, Waiting};
use crate::cluster::{RequestError, Requests};
use crate::outside::Clock;

/// An acquisition under way.
pub(super) struct Taking<'a> {
    pub(super) requests: &'a Requests,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) domain: &'a Domain,
    pub(super) claimant: &'a Claimant,
    /// Another's Lease that is looked at.
    pub(super) seen: Option<Seen>,
    /// Whom the last PUT replaced.
    pub(super) replaced: Option<Replaced>,
}

/// Another's Lease as it was seen first.
pub(super) struct Seen {
    lease: Lease,
    at: Instant,
    /// Whether one before it differed, by the same holder.
    is_alive: bool,
}

/// Whether a Lease can be had.
enum Verdict {
    /// Nobody else holds it.
    Free,
    /// Its holder is gone, or has let it run out.
    Left { is_dead: bool },
    /// It is held.
    Held(Box<Waiting>),
}

impl Taking<'_> {
    /// The Lease once it is ours, and the moment from which on it is.
    pub(super) async fn take(&mut self, mut patience: Patience<'_>) -> Result<(Lease, Moment), LockError> {
        let mut conflicts = 0;
        loop {
            let taken = match self.look().await? {
                None => self.create().await?,
                Some(lease) => match self.judge(&lease) {
                    Verdict::Free => self.put(lease).await?,
                    Verdict::Left { is_dead } => {
                        self.replaced = Some(Replaced { holder: lease.holder(self.clock.now()), is_dead });
                        self.put(lease).await?
                    }
                    Verdict::Held(waiting) => {
                        self.wait(*waiting, &mut patience).await?;
                        continue;
                    }
                },
            };
            if let Some(taken) = taken {
                return Ok(taken);
            }
            // Somebody was faster, or an answer was lost.
            sleep(self.requests.pause(conflicts)).await;
            conflicts += 1;
        }
    }

    async fn wait(&self, waiting: Waiting, patience: &mut Patience<'_>) -> Result<(), LockError> {
        match patience {
            Patience::Refuse => {
                Err(LockError::Held { domain: self.domain.domain.clone(), holder: Box::new(waiting.holder) })
            }
            Patience::Wait(tell) => {
                tell(&waiting);
                sleep(waiting.left.min(RETRY)).await;
                Ok(())
            }
        }
    }

    async fn put(&self, mut lease: Lease) -> Result<Option<(Lease, Moment)>, LockError> {
        let start = Moment::now(&**self.clock);
        lease.take(&self.claimant.note, self.clock.now());
        let put = within(self.requests.replace(&self.domain.path(), lease.body())).await?;
        Ok(self.answer(put, "update")?.map(|lease| (lease, start)))
    }

    /// The Lease as it is now; `None` if there is none.
    async fn look(&self) -> Result<Option<Lease>, LockError> {
        match within(self.requests.get(&self.domain.path())).await? {
            Ok(value) => self.parsed(value).map(Some),
            Err(RequestError::NotFound(_)) => Ok(None),
            Err(error) => Err(self.refused(error, "get")),
        }
    }

    async fn create(&self) -> Result<Option<(Lease, Moment)>, LockError> {
        let start = Moment::now(&**self.clock);
        let mut lease = Lease::new(self.domain);
        lease.take(&self.claimant.note, self.clock.now());
        let created = within(self.requests.create(&self.domain.leases_path(), lease.body())).await?;
        if let Err(RequestError::NotFound(_)) = created {
            return Err(LockError::NoNamespace(self.domain.namespace.clone()));
        }
        Ok(self.answer(created, "create")?.map(|lease| (lease, start)))
    }

    /// What a mutation gave; `None` where the Lease has to be looked at anew.
    fn answer(&self, answer: Result<Value, RequestError>, verb: &'static str) -> Result<Option<Lease>, LockError> {
        match answer {
            Ok(value) => self.parsed(value).map(Some),
            Err(RequestError::Conflict(_) | RequestError::NotFound(_) | RequestError::Lost(_)) => Ok(None),
            Err(error) => Err(self.refused(error, verb)),
        }
    }

    fn parsed(&self, value: Value) -> Result<Lease, LockError> {
        let no_lease = || LockError::Refused { lease: self.domain.lease(), why: NO_LEASE.to_owned() };
        Lease::parse(value).ok_or_else(no_lease)
    }

    fn judge(&mut self, lease: &Lease) -> Verdict {
        if lease.identity().is_empty() || lease.is_held_by(&self.claimant.note) {
            return Verdict::Free;
        }
        let holder = lease.holder(self.clock.now());
        if self.claimant.knows_dead(&holder) {
            return Verdict::Left { is_dead: true };
        }
        let seen = match self.seen.take() {
            Some(seen) if seen.lease.record() == lease.record() => seen,
            before => {
                let is_alive = before.is_some_and(|before| before.lease.identity() == lease.identity());
                Seen { lease: lease.clone(), at: Instant::now(), is_alive }
            }
        };
        let left = lease.duration().saturating_sub(seen.at.elapsed());
        let is_alive = seen.is_alive;
        self.seen = Some(seen);
        if left.is_zero() {
            Verdict::Left { is_dead: false }
        } else {
            Verdict::Held(Box::new(Waiting { holder, is_alive, left }))
        }
    }

    fn refused(&self, error: RequestError, verb: &'static str) -> LockError {
        match error {
            RequestError::Forbidden(why) => {
                LockError::Forbidden { verb, namespace: self.domain.namespace.clone(), why }
            }
            RequestError::Unauthorized(why) => LockError::Unauthorized(why),
            error => LockError::Refused { lease: self.domain.lease(), why: error.to_string() },
        }
    }
}

/// A request that is not waited for longer than for a renewal.
async fn within<T>(request: impl Future<Output = T>) -> Result<T, LockError> {
    let late = |_| LockError::OutOfReach(format!("no answer within {}s", RENEW_DEADLINE.as_secs()));
    timeout(RENEW_DEADLINE, request).await.map_err(late)
}
