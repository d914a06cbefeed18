//! Pauses of uneven length, so that those who wait for the same thing do not come back at the same moment.

use std::sync::atomic::{AtomicU64, Ordering};

use super::context::StepContext;

/// A row of numbers that is the same for the same run, step and attempt.
#[derive(Debug)]
pub(super) struct Chance {
    state: AtomicU64,
}

impl Chance {
    pub(super) fn of(context: &StepContext) -> Self {
        Self::new(context.seed, &context.step, context.attempt)
    }

    pub(super) fn new(seed: u64, step: &str, attempt: u32) -> Self {
        // FNV-1a, which unlike the standard library's hasher is the same in every version.
        let hash = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let state = step.as_bytes().iter().fold(seed ^ 0xcbf2_9ce4_8422_2325, hash);
        Self { state: AtomicU64::new(state.wrapping_add(u64::from(attempt))) }
    }

    /// A number of milliseconds from `least` up to, and without, `most`.
    pub(super) fn between(&self, least: u32, most: u32) -> u32 {
        let span = most.saturating_sub(least).max(1);
        let within = (self.next() >> 32) % u64::from(span);
        least.saturating_add(u32::try_from(within).unwrap_or_default())
    }

    /// splitmix64.
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
