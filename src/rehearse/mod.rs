//! The rehearsal: the very engine against a cluster in a box, on virtual time.
//!
//! - [`kinds`], [`object`], [`select`]: what the embedded API server knows
//! - [`store`], [`write`], [`admission`], [`status`]: what it keeps, and the rules by which it is written and refused
//! - [`cluster`]: objects, time, the one queue; the [`controllers`] look from there
//! - [`eviction`]: the subresource that a drain asks
//! - [`server`]: the API that clients see, in process and over HTTP
//! - [`trace`]: what changed, in a few words
//! - [`world`]: what a rehearsal begins with
//! - [`simulation`], [`rehearsal`]: the engine on one world, driver after driver; one playbook over many seeds
//! - [`script`], [`effects`]: what commands and jobs do there, and what that changes
//! - [`ledger`], [`verdict`]: what a run does to the workloads, and what a run would come to
//!
//! Invariants: the world itself waits for nothing, opens no socket and asks no clock: its time is what `advance` is told, and
//! the same world and seed give the same changes in the same order. [`server`] and [`simulation`] wait on tokio's clock alone;
//! only `server::http` opens a socket.

pub mod admission;
pub mod cluster;
mod commands;
pub mod controllers;
mod cut;
pub mod effects;
pub mod eviction;
pub mod kinds;
pub mod ledger;
mod merge_patch;
pub mod object;
pub mod random;
pub mod rehearsal;
pub mod script;
pub mod select;
pub mod server;
pub mod simulation;
pub mod status;
pub mod store;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod verdict;
pub mod world;
pub mod write;
