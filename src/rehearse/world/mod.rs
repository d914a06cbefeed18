//! Worlds: what a rehearsal begins with.
//!
//! - [`file`], [`build`]: a world written by hand, and the snapshot that it stands for
//! - [`seed`]: a snapshot, of a real cluster or of a world file, into the cluster in a box: there is one way in
//! - [`demo`]: a world that is built in

pub mod build;
pub mod file;
pub mod seed;

use crate::cluster::snapshot::Snapshot;
use crate::source::SourceMap;

/// The built-in world, as it is written.
pub const DEMO: &str = include_str!("demo.yaml");
/// When the built-in world is looked at: 2026-11-24 22:00:00 UTC, a Tuesday evening.
pub const DEMO_AS_OF: i64 = 1_795_557_600_000;

/// The built-in world: twelve workers in three zones that are one minor behind their control plane.
///
/// # Errors
/// None: a test reads it.
pub fn demo() -> Result<Snapshot, Vec<crate::diagnostic::Diagnostic>> {
    let mut sources = SourceMap::default();
    let file = sources.add("demo", None, DEMO.to_owned());
    Ok(build::snapshot(&file::read(&sources, file)?, DEMO_AS_OF))
}
