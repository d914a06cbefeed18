//! The rehearsal: the very engine against a cluster in a box, on virtual time.
//!
//! - [`kinds`], [`object`], [`select`]: what the embedded API server knows
//! - [`store`], [`write`], [`status`]: what it keeps, and the rules by which it is written and refused
//! - [`cluster`]: objects, time, the one queue; the controllers look from there
//! - [`server`]: the API that clients see, in process and over HTTP
//! - [`trace`]: what changed, in a few words
//!
//! Invariants: nothing here but [`server`] waits, opens a socket or asks a clock; the time is what `advance` is told; the same
//! world and seed give the same changes in the same order.

pub mod cluster;
pub mod controllers;
pub mod eviction;
pub mod kinds;
pub mod object;
pub mod random;
pub mod select;
pub mod server;
pub mod status;
pub mod store;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod write;
