//! Where a rehearsal takes its cluster from: a snapshot in a file, a world written by hand, the demo, or the real cluster
//! as it is now.

use std::path::Path;

use crate::cluster::snapshot::{Snapshot, take};
use crate::outside::Outside;
use crate::rehearse::world::{self, DEMO_AS_OF, build, file};
use crate::source::SourceMap;

use super::load::{read_bytes, read_snapshot};
use super::login::LoginArgs;
use super::{Exit, Failed, block_on};

/// The largest world file that is read, in bytes.
const MAX_WORLD: u64 = 16 << 20;
/// The world that is built in.
const DEMO: &str = "demo";

/// The world of that name: `demo`, or a file of YAML.
///
/// # Errors
/// Exit 4: no such file, or what is wrong in it.
pub(super) fn named(name: &str) -> Result<Snapshot, Failed> {
    if name == DEMO {
        return world::demo().map_err(|mistakes| Failed::diagnosed(mistakes, SourceMap::default(), Exit::Fault));
    }
    let bytes = read_bytes(Path::new(name), MAX_WORLD).map_err(|why| {
        Failed::told("E484", format!("the world `{name}` cannot be read: {why}"), Exit::Plan)
            .help("`--on demo` is the world that is built in; else name a file of YAML")
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Failed::told("E484", format!("the world `{name}` is no text"), Exit::Plan).help("a world is written in YAML")
    })?;
    let mut sources = SourceMap::default();
    let file = sources.add(name, Some(Path::new(name)), text);
    match file::read(&sources, file) {
        Ok(world) => Ok(build::snapshot(&world, DEMO_AS_OF)),
        Err(mistakes) => Err(Failed::diagnosed(mistakes, sources, Exit::Plan)),
    }
}

/// What a rehearsal begins with: a world, a snapshot, or the cluster as it is.
///
/// # Errors
/// Exit 4 for a file that is neither, 13 for a cluster that is out of reach.
pub(super) fn chosen(on: Option<&str>, from: Option<&Path>, login: &LoginArgs) -> Result<Snapshot, Failed> {
    match (on, from) {
        (Some(name), _) => named(name),
        (None, Some(file)) => read_snapshot(file),
        (None, None) => block_on(async {
            let outside = Outside::system();
            let connection = login.connect(&outside).await?;
            Ok(take(&connection, outside.clock.now()).await?)
        }),
    }
}
