//! The lock of a run: a Lease in the cluster, taken before anything begins, and the fence that every change asks.

use clap::Args;

use crate::catalog::value::format_duration;
use crate::cluster::lock::{Claimant, Domain, Fence, HolderNote, Lock, LockError, LockLost, Patience, Waiting};
use crate::cluster::{Connection, Requests};
use crate::journal::{Holder, Journal};
use crate::outside::Outside;

use super::output::Output;
use super::{Exit, Failed};

/// What a run keeps others out of.
#[derive(Debug, Args)]
pub(super) struct LockArgs {
    /// What the lock covers: one run at a time in a domain
    #[arg(long, env = "SPRAG_DOMAIN", hide_env_values = true, default_value = Domain::DEFAULT, value_name = "NAME")]
    domain: String,
    /// Where the lock's Lease lies
    #[arg(long, default_value = Domain::NAMESPACE, value_name = "NAMESPACE")]
    lock_namespace: String,
    /// Take no lock: nobody else may work on the cluster meanwhile
    #[arg(long)]
    no_lock: bool,
}

/// Who wants the lock, and how much.
pub(super) struct Claim<'a> {
    /// The run.
    pub(super) run: &'a str,
    /// This process, as the run's own lock names it.
    pub(super) holder: &'a Holder,
    /// Who held the lock of the run's folder before.
    pub(super) previous: Vec<Holder>,
    /// Whether a lock that is held is waited for until it has run out.
    pub(super) waits: bool,
}

/// A lock that is held, or none with `--no-lock`.
pub(super) struct Held(Option<Lock>);

impl LockArgs {
    /// Takes the lock.
    pub(super) async fn take(
        &self,
        connection: &Connection,
        outside: &Outside,
        claim: Claim<'_>,
        output: &Output,
    ) -> Result<Held, Failed> {
        if self.no_lock {
            return Ok(Held(None));
        }
        let domain = Domain::new(&self.domain, &self.lock_namespace)?;
        let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
        let claimant = Claimant { note: HolderNote::new(claim.run, claim.holder, user), previous: claim.previous };
        let mut tell = |waiting: &Waiting| output.remark(&told(waiting));
        let patience = if claim.waits { Patience::Wait(&mut tell) } else { Patience::Refuse };
        let lock = Lock::acquire(&connection.requests, &outside.clock, domain, claimant, patience).await?;
        if let Some(replaced) = lock.replaced() {
            let why = if replaced.is_dead { "its process is gone" } else { "its lease has run out" };
            output.remark(&format!("the lock was taken over from {}: {why}", replaced.holder));
        }
        Ok(Held(Some(lock)))
    }
}

fn told(waiting: &Waiting) -> String {
    let left = i64::try_from(waiting.left.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000);
    if waiting.is_alive {
        format!("{} is alive and holds the lock: it is waited for until that process is ended", waiting.holder)
    } else {
        format!("{} holds the lock; it runs out in {} if nobody renews it", waiting.holder, format_duration(left))
    }
}

impl Held {
    /// The way to the cluster and the journal, behind the fence that every change asks: the lease, and the epoch of the
    /// journal.
    pub(super) fn put_behind(&self, requests: &Requests, journal: &mut Journal) -> (Fence, Requests) {
        let fence = self.0.as_ref().map(Lock::fence).unwrap_or_default().with_epoch(journal.epoch_guard());
        let asked = fence.clone();
        // A lease that has merely run out, with the cluster out of reach or after a sleep, is renewed before the next
        // change. To note meanwhile what happens harms nobody: whoever takes this run over begins another epoch.
        journal.ask_before_append(Box::new(move || match asked.check() {
            Ok(()) | Err(LockLost::RanOut { .. }) => Ok(()),
            Err(lost) => Err(lost.to_string()),
        }));
        let requests = requests.fenced(fence.clone());
        (fence, requests)
    }

    /// Lets the lock go; where that fails it runs out by itself.
    pub(super) async fn release(self, output: &Output) {
        if let Some(lock) = self.0
            && let Err(error) = lock.release().await
        {
            output.remark(&format!("the lock was not let go and runs out by itself: {error}"));
        }
    }
}

impl From<LockError> for Failed {
    fn from(error: LockError) -> Self {
        let exit = match error.exit_code() {
            6 => Exit::Locked,
            2 => Exit::Usage,
            _ => Exit::OutOfReach,
        };
        Self::told(error.code(), error.to_string(), exit).help(error.help())
    }
}
