//! A world's time: tokio's clock, counted from when the world begins.

use tokio::time::Instant;

use crate::outside::Clock;

/// Wall time that begins at a given moment and passes as tokio's clock does, paused or not.
#[derive(Debug, Clone, Copy)]
pub struct WorldClock {
    began: Instant,
    at: i64,
}

impl WorldClock {
    /// It is `at` (Unix milliseconds) now.
    pub fn begin(at: i64) -> Self {
        Self { began: Instant::now(), at }
    }
}

impl Clock for WorldClock {
    fn now(&self) -> i64 {
        self.at.saturating_add(i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}
