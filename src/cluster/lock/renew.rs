//! The task that renews a Lease until it is lost.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::fence::{LockLost, Moment, Standing};
use super::lease::{HolderNote, Lease};
use super::{DURATION, Domain, NO_LEASE, RENEW_DEADLINE, RETRY};
use crate::cluster::{RequestError, Requests};
use crate::outside::Clock;

/// Renews a Lease.
pub(super) struct Renewing {
    pub(super) requests: Requests,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) domain: Domain,
    pub(super) note: HolderNote,
    /// As the server had it last.
    pub(super) lease: Arc<Mutex<Lease>>,
    pub(super) standing: Arc<watch::Sender<Standing>>,
    /// Somebody cannot wait for the next renewal.
    pub(super) wanted: Arc<Notify>,
}

/// How one try came out.
enum Try {
    /// It was renewed.
    Renewed(Lease),
    /// It is not ours any more.
    Gone(LockLost),
    /// It is ours and has changed, or will have to be looked at: try again soon.
    Changed,
    /// It may succeed later.
    Failed(String),
}

impl Renewing {
    /// Renews until the Lease is lost.
    pub(super) async fn run(self) {
        loop {
            tokio::select! {
                biased;
                () = sleep(RETRY) => {}
                () = self.wanted.notified() => {}
            }
            // What cannot be renewed runs out, and is tried again: whether it is still ours the next answer tells.
            let Ok(standing) = timeout(RENEW_DEADLINE, self.renew()).await else { continue };
            let is_lost = matches!(standing, Standing::Lost(_));
            self.standing.send_replace(standing);
            if is_lost {
                return;
            }
        }
    }

    /// Tries until there is an answer that counts.
    async fn renew(&self) -> Standing {
        let mut changes = 0;
        loop {
            let start = Moment::now(&*self.clock);
            match self.put().await {
                Try::Renewed(lease) => {
                    self.keep(lease);
                    return Standing::Renewed(start);
                }
                Try::Gone(lost) => return Standing::Lost(lost),
                Try::Changed => {
                    sleep(self.requests.pause(changes)).await;
                    changes += 1;
                }
                Try::Failed(error) => {
                    tracing::debug!(error, "the lease was not renewed");
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn put(&self) -> Try {
        let mut lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone();
        lease.take(&self.note, self.clock.now());
        match self.requests.replace(&self.domain.path(), lease.body()).await {
            Ok(value) => Lease::parse(value).map_or_else(no_lease, Try::Renewed),
            Err(RequestError::Conflict(_) | RequestError::NotFound(_) | RequestError::Lost(_)) => self.look().await,
            Err(error) => Try::Failed(error.to_string()),
        }
    }

    /// Whose the Lease is now, after a PUT that was refused or whose answer was lost.
    async fn look(&self) -> Try {
        match self.requests.get(&self.domain.path()).await {
            Ok(value) => {
                let Some(lease) = Lease::parse(value) else { return no_lease() };
                if !lease.is_held_by(&self.note) {
                    return Try::Gone(self.taken(&lease));
                }
                self.keep(lease);
                Try::Changed
            }
            Err(RequestError::NotFound(_)) => self.create().await,
            Err(error) => Try::Failed(error.to_string()),
        }
    }

    /// Somebody has deleted the Lease. While it would still be ours, nobody else can have had it.
    async fn create(&self) -> Try {
        let is_ours = match &*self.standing.borrow() {
            Standing::Renewed(renewed) => renewed.elapsed(&*self.clock) < DURATION,
            Standing::Lost(_) => false,
        };
        if !is_ours {
            return Try::Gone(LockLost::Taken { lease: self.domain.lease(), by: None });
        }
        let mut lease = Lease::new(&self.domain);
        lease.take(&self.note, self.clock.now());
        match self.requests.create(&self.domain.leases_path(), lease.body()).await {
            Ok(value) => Lease::parse(value).map_or_else(no_lease, Try::Renewed),
            Err(RequestError::Conflict(_) | RequestError::Lost(_)) => Try::Changed,
            Err(error) => Try::Failed(error.to_string()),
        }
    }

    fn taken(&self, lease: &Lease) -> LockLost {
        let by = (!lease.identity().is_empty()).then(|| Box::new(lease.holder(self.clock.now())));
        LockLost::Taken { lease: self.domain.lease(), by }
    }

    fn keep(&self, lease: Lease) {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }
}

fn no_lease() -> Try {
    Try::Failed(NO_LEASE.to_owned())
}
