//! The lock: one run for a cluster and a domain, by the Lease `sprag-<domain>`.
//!
//! The algorithm is client-go's (tools/leaderelection/leaderelection.go):
//!
//! - Every PUT carries the resourceVersion of the last answer, so of two at once one gets a 409.
//! - Whether a holder is gone is never told by the times in the record, which are of another's clock, but by seeing the
//!   record unchanged for its own duration by our monotonic clock, with a GET at the end of that.
//! - A Lease is renewed each 10 s. Who cannot for 60 s changes nothing any more, and nobody may take it before that.
//!   Unlike client-go's, such a driver goes on trying: a run that the cluster left alone for an hour goes on by itself
//!   unless another has taken its place, which the resourceVersion of its next PUT tells.
//!
//! What client-go does not promise, that nobody acts on a lock that it has lost, is for the [`Fence`].

mod error;
mod fence;
mod lease;
mod renew;
mod take;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{RequestError, Requests};
use crate::journal::Holder;
use crate::outside::Clock;
use fence::{Standing, Watched};
use lease::Lease;
use renew::Renewing;
use take::Taking;

pub use error::LockError;
pub use fence::{Fence, LockLost};
pub use lease::{HolderNote, LeaseHolder};

/// For how long a Lease is held after it was renewed: longer than client-go's 15 s, since a person's network is worse
/// than a pod's.
pub(super) const DURATION: Duration = Duration::from_secs(60);
/// For how long one renewal is tried, and taking the lock.
const RENEW_DEADLINE: Duration = Duration::from_secs(40);
/// Between two renewals, and between two looks at a Lease that another holds.
const RETRY: Duration = Duration::from_secs(10);
/// What is said of an answer that makes no sense.
const NO_LEASE: &str = "its answer is no Lease";
/// How long letting go may take: who cannot lets the Lease run out.
const RELEASE: Duration = Duration::from_secs(5);

/// What a lock covers, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    domain: String,
    namespace: String,
}

impl Domain {
    /// The domain's name where none is said: the whole cluster.
    pub const DEFAULT: &str = "cluster";
    /// The namespace where none is said.
    pub const NAMESPACE: &str = "kube-system";

    /// The domain `domain` (`--domain`), whose Lease lies in `namespace` (`--lock-namespace`).
    ///
    /// # Errors
    /// [`LockError::Name`] when Kubernetes takes no such name (RFC 1123).
    pub fn new(domain: &str, namespace: &str) -> Result<Self, LockError> {
        if !is_subdomain(domain) {
            return Err(LockError::Name(domain.to_owned(), "domain"));
        }
        if !is_subdomain(namespace) || namespace.contains('.') || namespace.len() > 63 {
            return Err(LockError::Name(namespace.to_owned(), "namespace"));
        }
        Ok(Self { domain: domain.to_owned(), namespace: namespace.to_owned() })
    }

    /// The Lease's name.
    pub fn name(&self) -> String {
        format!("sprag-{}", self.domain)
    }

    /// The Lease's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Namespace and name of the Lease, for people.
    fn lease(&self) -> String {
        format!("{}/{}", self.namespace, self.name())
    }

    fn leases_path(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.leases_path(), self.name())
    }
}

/// Whether `name` can follow `sprag-` in the name of an object.
fn is_subdomain(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        is_end(label.as_bytes().first()) && is_end(label.as_bytes().last())
    };
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    name.len() <= 247 && name.bytes().all(is_allowed) && name.split('.').all(is_label)
}

/// Who wants the lock.
#[derive(Debug, Clone)]
pub struct Claimant {
    /// What the Lease will say.
    pub note: HolderNote,
    /// Who held the lock of this run's folder before this process did (`journal::Opened::previous`).
    ///
    /// The Lease of one of those very processes, with the same run, machine, number and begin, is ours at once: the kernel gave its
    /// lock in this folder to us, so it is gone, and to wait for its Lease would keep everyone who resumes after a crash
    /// waiting for a minute. The begin has to be the same, since ids of runs are counted in each folder anew, and
    /// containers share names of hosts and numbers of processes.
    pub previous: Vec<Holder>,
}

impl Claimant {
    fn knows_dead(&self, holder: &LeaseHolder) -> bool {
        let Some(note) = &holder.note else { return false };
        let is_it = |dead: &Holder| (&note.host, note.pid, note.since) == (&dead.host, dead.pid, dead.since);
        note.run == self.note.run && note.host == self.note.host && self.previous.iter().any(is_it)
    }
}

/// What is done while another holds the lock.
pub enum Patience<'a> {
    /// Nothing: it is an error.
    Refuse,
    /// It is waited for until it was let go or has run out (`--take-over`). Told before each wait.
    Wait(&'a mut (dyn FnMut(&Waiting) + Send)),
}

/// For what a takeover waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Who holds the lock.
    pub holder: LeaseHolder,
    /// Whether it renewed it while we were looking: then it is alive, and its process has to be ended.
    pub is_alive: bool,
    /// When the Lease will have run out if it is not renewed.
    pub left: Duration,
}

/// Whose lock it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Who held it.
    pub holder: LeaseHolder,
    /// True where its process is known to be gone, false where its Lease has run out: then it may only hang.
    pub is_dead: bool,
}

/// A lock that is held and renewed. Dropped, its fences close and it runs out by itself; [`release`](Self::release) lets it go at once.
pub struct Lock {
    domain: Domain,
    requests: Requests,
    clock: Arc<dyn Clock>,
    note: HolderNote,
    lease: Arc<Mutex<Lease>>,
    fence: Fence,
    replaced: Option<Replaced>,
    standing: Arc<watch::Sender<Standing>>,
    renewing: JoinHandle<()>,
}

impl Lock {
    /// Takes the lock and begins to renew it. `requests` must have no fence: what is renewed by them is the fence.
    ///
    /// # Errors
    /// See [`LockError`].
    pub async fn acquire(
        requests: &Requests,
        clock: &Arc<dyn Clock>,
        domain: Domain,
        claimant: Claimant,
        patience: Patience<'_>,
    ) -> Result<Self, LockError> {
        let mut taking = Taking { requests, clock, domain: &domain, claimant: &claimant, seen: None, replaced: None };
        let (lease, since) = taking.take(patience).await?;
        let replaced = taking.replaced;
        let lease = Arc::new(Mutex::new(lease));
        let (sender, watched) = watch::channel(Standing::Renewed(since));
        let standing = Arc::new(sender);
        let wanted = Arc::new(Notify::new());
        let renewing = Renewing {
            requests: requests.clone(),
            clock: clock.clone(),
            domain: domain.clone(),
            note: claimant.note.clone(),
            lease: lease.clone(),
            standing: standing.clone(),
            wanted: wanted.clone(),
        };
        let watched = Watched { lease: domain.lease(), clock: clock.clone(), standing: watched, wanted };
        Ok(Self {
            domain,
            requests: requests.clone(),
            clock: clock.clone(),
            note: claimant.note,
            lease,
            fence: Fence::of_lease(watched),
            replaced,
            standing,
            renewing: tokio::spawn(renewing.run()),
        })
    }

    /// Tells whether the lock is still held.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Who held the lock and did not let it go.
    pub fn replaced(&self) -> Option<&Replaced> {
        self.replaced.as_ref()
    }

    /// Lets the lock go, if it is still ours; where that fails it runs out by itself.
    ///
    /// # Errors
    /// What kept it from that.
    pub async fn release(mut self) -> Result<(), RequestError> {
        self.close_fences();
        // A renewal that was under way may have come through: then the first PUT is answered with a conflict.
        let _ = (&mut self.renewing).await;
        match timeout(RELEASE, self.put_released()).await {
            Ok(released) => released,
            Err(_) => Err(RequestError::Lost("letting go of the lock was not answered".to_owned())),
        }
    }

    /// Ends the renewing; from now on the fences that are still about let nothing through.
    fn close_fences(&self) {
        self.renewing.abort();
        self.standing.send_if_modified(|standing| {
            let is_held = matches!(standing, Standing::Renewed(_));
            if is_held {
                *standing = Standing::Lost(LockLost::Released(self.domain.lease()));
            }
            is_held
        });
    }

    async fn put_released(&self) -> Result<(), RequestError> {
        let mut lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone();
        while lease.is_held_by(&self.note) {
            lease.release(self.clock.now());
            match self.requests.replace(&self.domain.path(), lease.body()).await {
                Ok(_) => return Ok(()),
                Err(RequestError::Conflict(_) | RequestError::Lost(_)) => {
                    let Some(now) = Lease::parse(self.requests.get(&self.domain.path()).await?) else { return Ok(()) };
                    lease = now;
                }
                Err(RequestError::NotFound(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.close_fences();
    }
}
