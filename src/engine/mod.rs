//! The engine: one loop that folds events over a graph, and writes each down before it acts.
//!
//! - [`event`]: the one type of event
//! - [`state`]: the fold of events, pure and total
//! - [`next`]: what can begin, asked of the state
//! - [`locate`]: from an id to its node
//! - [`driver`]: the loop, the only place with concurrency
//!
//! Invariants: nothing begins before its intent is durable; resume folds the journal and enters the same loop, there is no
//! recovery code; the engine knows neither syntax nor check.

mod begin;
mod conclude;
mod confirm;
pub mod driver;
pub mod event;
mod gate;
pub mod locate;
pub mod next;
pub mod observe;
mod reach;
pub mod state;
mod step;

#[cfg(test)]
mod tests;

pub use driver::{Ending, Run, Settings, drive};
