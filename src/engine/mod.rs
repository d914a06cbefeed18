//! The engine: one loop that folds events over a graph, and writes each down before it acts.
//!
//! - [`event`]: the one type of event
//! - [`state`]: the fold of events, pure and total
//! - [`next`]: what can begin, asked of the state
//! - [`locate`]: from an id to its node
//! - [`people`]: what people are asked, and what they say
//! - [`driver`]: the loop, the only place with concurrency
//!
//! Invariants: nothing begins before its intent is durable; resume folds the journal and enters the same loop, there is no
//! recovery code; the engine knows neither syntax nor check.

mod absence;
mod begin;
mod conclude;
mod confirm;
pub mod driver;
mod estimate;
pub mod event;
mod gate;
pub mod locate;
pub mod next;
pub mod observe;
pub mod people;
mod reach;
pub mod state;
mod step;

#[cfg(test)]
mod tests;

pub use absence::hold_after;
pub use driver::{Ending, Run, Settings, drive};
