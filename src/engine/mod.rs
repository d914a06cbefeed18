//! The engine: one loop that folds events over a graph, and writes each down before it acts.
//!
//! - [`event`]: the one type of event
//! - [`state`]: the fold of events, pure and total
//! - [`next`]: what can begin, asked of the state
//! - [`locate`]: from an id to its node
//! - [`people`]: what people are asked, and what they say
//! - [`driver`]: the loop, the only place with concurrency
//!
//! Codes of its own: E501 to E520 steps and gates, E521 and E522 guards that fired, E523 a block that failed and is undone,
//! E524 a guard that was blind for too long, E525 a run that was given up and is undone.
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
mod guards;
pub mod locate;
pub mod next;
pub mod observe;
pub mod people;
mod reach;
pub mod state;
mod step;
mod undo;

#[cfg(test)]
mod tests;

pub use absence::hold_after;
pub use driver::{Ending, Run, Settings, drive};
