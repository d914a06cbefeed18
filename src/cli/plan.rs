//! `sprag plan`: what a run would do, from a cluster or a snapshot.

use std::path::PathBuf;

use clap::Args;

use crate::diagnostic::Diagnostic;
use crate::outside::Outside;
use crate::render::{self, TextOptions};

use super::load::{load, plan_from, plan_live, plan_on, unsupported_in};
use super::login::LoginArgs;
use super::output::{Format, Output};
use super::params::ParameterArgs;
use super::{Exit, Failed, block_on, worlds};

/// What to plan, and from what.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The playbook
    file: PathBuf,
    #[command(flatten)]
    parameters: ParameterArgs,
    /// A snapshot to plan from, in place of a cluster
    #[arg(long, value_name = "FILE", conflicts_with_all = ["login", "on"])]
    from: Option<PathBuf>,
    /// A world to plan on, in place of a cluster: `demo`, or a file of YAML
    #[arg(long, value_name = "WORLD", conflicts_with = "login")]
    on: Option<String>,
    #[command(flatten)]
    login: LoginArgs,
    /// Show every step with its id
    #[arg(long)]
    steps: bool,
}

/// `sprag plan`
pub(super) fn plan(args: &PlanArgs, output: &Output) -> Result<Exit, Failed> {
    let loaded = load(&args.file, output)?;
    let parameters = args.parameters.read(&loaded.program.params)?;
    let graph = match (&args.from, &args.on) {
        (Some(snapshot), _) => plan_from(&loaded, &parameters.given, snapshot)?,
        (None, Some(world)) => {
            let snapshot = worlds::named(world)?;
            plan_on(&loaded, &parameters.given, &snapshot, &snapshot.context)?
        }
        (None, None) => block_on(async {
            let outside = Outside::system();
            let connection = args.login.connect(&outside).await?;
            Ok(plan_live(&loaded, &parameters.given, &connection, &outside).await?.graph)
        })?,
    };
    output.diagnostics(&unsupported_in(&graph, &loaded, Diagnostic::warning), &loaded.sources);
    match output.format {
        Format::Text => output.result(&render::text(&graph, TextOptions { steps: args.steps }))?,
        Format::Json => output.result(&render::json(&graph))?,
    }
    Ok(Exit::Done)
}
