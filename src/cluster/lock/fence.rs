//! The fence: whether this process may still change anything, by its lease and by its epoch of the journal.
//!
//! A Lease alone does not keep out a process that was suspended, since it cannot know that it was. So it is asked before each
//! mutation, and goes by the clock that went further: the monotonic one stands still while a machine sleeps, the wall
//! clock can be set back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::DURATION;
use super::lease::LeaseHolder;
use crate::catalog::value::format_duration;
use crate::journal::{EpochGuard, JournalError};
use crate::outside::Clock;

/// Why this process may change nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockLost {
    /// It was not renewed in time, as after the machine slept. The only one that can pass: the next renewal may succeed.
    #[error("the lease `{lease}` has run out: it was renewed {} ago", format_duration(*age))]
    RanOut {
        /// Namespace and name.
        lease: String,
        /// Since the last renewal, in whole seconds, milliseconds.
        age: i64,
    },
    /// Somebody else has taken it, or nobody holds it any more.
    #[error("the lease `{lease}` is {}", by.as_ref().map_or("held by nobody any more".to_owned(), |by| format!("held by {by}")))]
    Taken {
        /// Namespace and name.
        lease: String,
        /// Who.
        by: Option<Box<LeaseHolder>>,
    },
    /// Every try to renew it failed, until it was too late to be sure of it.
    #[error("the lease `{lease}` could not be renewed: {why}")]
    Unrenewed {
        /// Namespace and name.
        lease: String,
        /// How the last try failed.
        why: String,
    },
    /// This process has let it go.
    #[error("the lease `{0}` was let go")]
    Released(String),
    /// A later epoch of the run has begun, or that cannot be told.
    #[error("{0}")]
    Superseded(String),
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    monotonic: Instant,
    wall: i64,
}

impl Moment {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self { monotonic: Instant::now(), wall: clock.now() }
    }

    /// Since then, by the clock that went further.
    pub(super) fn elapsed(&self, clock: &dyn Clock) -> Duration {
        let wall = u64::try_from(clock.now() - self.wall).unwrap_or(0);
        self.monotonic.elapsed().max(Duration::from_millis(wall))
    }
}

/// How it stands with the lease.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// It is ours from the start of the last renewal that succeeded.
    Renewed(Moment),
    /// It is not ours, for good.
    Lost(LockLost),
}

/// What a fence knows of the lease.
#[derive(Clone)]
pub(super) struct Watched {
    pub(super) lease: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) standing: watch::Receiver<Standing>,
    /// Asks for a renewal at once.
    pub(super) wanted: Arc<Notify>,
}

/// Tells whether this process may change anything. Cheap to clone; the default lets everything through.
#[derive(Clone, Default)]
pub struct Fence {
    lease: Option<Watched>,
    epoch: Option<EpochGuard>,
}

impl Fence {
    pub(super) fn of_lease(watched: Watched) -> Self {
        Self { lease: Some(watched), epoch: None }
    }

    /// With the epoch of the journal that this process appends to. Without a lock (`--no-lock`) it is all that there is.
    #[must_use]
    pub fn with_epoch(self, epoch: EpochGuard) -> Self {
        Self { epoch: Some(epoch), ..self }
    }

    /// Whether the lease is ours. Asks nobody, so that it can be asked anywhere; of the epoch it knows nothing.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self) -> Result<(), LockLost> {
        self.lease.as_ref().map_or(Ok(()), Watched::check)
    }

    /// Whether epoch and lease are ours; to be asked right before each change. A lease that has run out is renewed first.
    /// Looks at the disk on a thread of its own, so that one that hangs stops nothing but the change.
    ///
    /// # Errors
    /// Why nothing may be changed.
    pub async fn confirm(&self) -> Result<(), LockLost> {
        if let Some(epoch) = self.epoch.clone() {
            let looked = tokio::task::spawn_blocking(move || epoch.check()).await;
            looked
                .map_err(|gone| LockLost::Superseded(gone.to_string()))?
                .map_err(|error: JournalError| LockLost::Superseded(error.to_string()))?;
        }
        match &self.lease {
            // Nothing is waited for between this answer and the change.
            Some(lease) => lease.renewed().await,
            None => Ok(()),
        }
    }

    /// Waits until the lease is lost for good, which a lease that has only run out is not. For ever without a lock.
    pub async fn lost(&self) -> LockLost {
        let Some(lease) = &self.lease else { return std::future::pending().await };
        let mut standing = lease.standing.clone();
        loop {
            if let Standing::Lost(lost) = &*standing.borrow_and_update() {
                return lost.clone();
            }
            if standing.changed().await.is_err() {
                return LockLost::Released(lease.lease.clone());
            }
        }
    }
}

impl Watched {
    fn check(&self) -> Result<(), LockLost> {
        let renewed = match &*self.standing.borrow() {
            Standing::Lost(lost) => return Err(lost.clone()),
            Standing::Renewed(renewed) => *renewed,
        };
        let age = renewed.elapsed(&*self.clock);
        if age < DURATION {
            return Ok(());
        }
        let age = i64::try_from(age.as_secs() * 1000).unwrap_or(i64::MAX);
        Err(LockLost::RanOut { lease: self.lease.clone(), age })
    }

    async fn renewed(&self) -> Result<(), LockLost> {
        let mut standing = self.standing.clone();
        loop {
            standing.mark_unchanged();
            let ran_out = match self.check() {
                Err(ran_out @ LockLost::RanOut { .. }) => ran_out,
                answer => return answer,
            };
            self.wanted.notify_one();
            if standing.changed().await.is_err() {
                return Err(ran_out);
            }
        }
    }
}
