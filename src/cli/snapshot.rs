//! `sprag snapshot`: a cluster in a file, to plan without it.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::snapshot::take;
use crate::outside::Outside;

use super::login::LoginArgs;
use super::output::Output;
use super::{Exit, Failed, block_on};

/// Of which cluster, and where to.
#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    /// Where to write it; stdout where none is named
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    login: LoginArgs,
}

/// `sprag snapshot`
pub(super) fn snapshot(args: &SnapshotArgs, output: &Output) -> Result<Exit, Failed> {
    let snapshot = block_on(async {
        let outside = Outside::system();
        let connection = args.login.connect(&outside).await?;
        Ok(take(&connection, outside.clock.now()).await?)
    })?;
    let text = snapshot.to_json();
    let Some(file) = &args.output else {
        output.result(&text)?;
        return Ok(Exit::Done);
    };
    std::fs::write(file, &text).map_err(|error| {
        Failed::told("E481", format!("cannot write `{}`: {error}", file.display()), Exit::Usage)
            .help("name another file with --output")
    })?;
    let objects: usize = snapshot.objects.values().map(Vec::len).sum();
    output.remark(&format!("{}: {objects} objects of {} ({})", file.display(), snapshot.context, snapshot.version));
    Ok(Exit::Done)
}
