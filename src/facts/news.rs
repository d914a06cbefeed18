//! Telling everybody who waits that something moved, in the order in which they began to wait.
//!
//! Tokio's own watch wakes its receivers in an order that is left to chance; the same rehearsal would be another the second
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// A number that moves, and whoever waits for that. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct News(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    number: AtomicU64,
    moved: Notify,
}

/// One who waits for news.
#[derive(Debug, Clone)]
pub struct Listener {
    news: News,
    seen: u64,
}

impl News {
    /// It moved to that number.
    pub(super) fn tell(&self, number: u64) {
        self.0.number.store(number, Ordering::Release);
        self.0.moved.notify_waiters();
    }

    /// One who has heard all so far.
    pub(super) fn listen(&self) -> Listener {
        Listener { news: self.clone(), seen: self.now() }
    }

    fn now(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }
}

impl Listener {
    /// Comes back once it moved since the last time.
    pub async fn changed(&mut self) {
        loop {
            let moved = self.news.0.moved.notified();
            tokio::pin!(moved);
            // In the queue before the number is read, so that nothing is missed in between.
            moved.as_mut().enable();
            let now = self.news.now();
            if now != self.seen {
                self.seen = now;
                return;
            }
            moved.await;
        }
    }

    /// Whether it moved since the last time.
    pub fn has_changed(&self) -> bool {
        self.news.now() != self.seen
    }

    /// What it is now counts as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.news.now();
    }
}
