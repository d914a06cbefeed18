//! The system's clock.

use super::Clock;

/// The one place that asks the system for the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else asks")]
    fn now(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }
}
