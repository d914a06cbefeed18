//! `sprag rehearse`, and `sprag run --on`: the very engine against a cluster in a box.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cluster::snapshot::Snapshot;
use crate::engine::Settings;
use crate::outside::Outside;
use crate::plan::Given;
use crate::plan::graph::Graph;
use crate::rehearse::ledger::Ledger;
use crate::rehearse::rehearsal::{Nobody, Rehearsal, RehearsalError, timings, world};
use crate::rehearse::script::Script;
use crate::rehearse::server::{Server, http};
use crate::rehearse::simulation::state_of;
use crate::rehearse::verdict::{Verdict, exit_of};
use crate::report::{render_summary, render_verdict};

use super::load::{self, Loaded};
use super::login::LoginArgs;
use super::output::{Format, Output};
use super::params::{ParameterArgs, Parameters};
use super::{Exit, Failed, block_on, run, worlds};

/// What to rehearse, and on what.
#[derive(Debug, Args)]
pub(super) struct RehearseArgs {
    /// The playbook
    #[arg(required_unless_present = "serve")]
    file: Option<PathBuf>,
    #[command(flatten)]
    parameters: ParameterArgs,
    /// A snapshot of a cluster (`sprag snapshot`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["login", "on"])]
    from: Option<PathBuf>,
    /// A world: `demo`, which is built in, or a file of YAML
    #[arg(long, value_name = "WORLD", conflicts_with = "login")]
    on: Option<String>,
    #[command(flatten)]
    login: LoginArgs,
    /// How many times, each with other chances
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show every element
    #[arg(long)]
    all: bool,
    /// Serve the world on loopback instead, for kubectl and others, until it is ended
    #[arg(long, value_name = "ADDRESS", conflicts_with = "file")]
    serve: Option<SocketAddr>,
}

/// `sprag rehearse`
pub(super) fn rehearse(args: &RehearseArgs, output: &Output) -> Result<Exit, Failed> {
    let chosen = || worlds::chosen(args.on.as_deref(), args.from.as_deref(), &args.login);
    let Some(file) = &args.file else {
        return serve(&chosen()?, args.serve.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))), args.seed, output);
    };
    let loaded = load::load(file, output)?;
    let parameters = args.parameters.read(&loaded.program.params)?;
    let snapshot = chosen()?;
    let graph = planned(&loaded, &parameters.given, &snapshot)?;
    let rehearsal = Rehearsal::new(graph.clone(), &snapshot, Settings::default(), parameters.secrets);
    let mut seen = Vec::new();
    for number in args.seed..args.seed.saturating_add(args.seeds) {
        seen.push(rehearsal.with_seed(number, &mut Nobody)?);
    }
    let verdict = Verdict::new(&graph, &graph.cluster.name, &seen);
    match output.format {
        Format::Text => output.result(&render_verdict(&verdict, args.all))?,
        Format::Json => {
            let text = serde_json::to_string_pretty(&verdict).map_err(|error| Failed::fault(error.to_string()))?;
            output.result(&format!("{text}\n"))?;
        }
    }
    Ok(Exit::of_code(verdict.exit))
}

/// `sprag run FILE --on WORLD`: one rehearsal, shown as a run; it leaves no folder behind.
pub(super) fn run_on(
    loaded: &Loaded,
    parameters: Parameters,
    name: &str,
    settings: Settings,
    output: &Output,
) -> Result<Exit, Failed> {
    let snapshot = worlds::named(name)?;
    let graph = planned(loaded, &parameters.given, &snapshot)?;
    if output.format == Format::Text {
        output.remark(&format!(
            "{}  on the world `{}`, in a box: nothing real is changed",
            graph.name, graph.cluster.name
        ));
    }
    let mut observer = run::observer(output, &graph.name, snapshot.as_of);
    let rehearsal = Rehearsal::new(graph.clone(), &snapshot, settings, parameters.secrets);
    let seen = rehearsal.with_seed(1, observer.as_mut())?;
    drop(observer);
    let state = state_of(&graph, &seen)?;
    if output.format == Format::Text {
        output.shown(&render_summary("rehearsal", &state));
    }
    Ok(Exit::of_code(exit_of(&seen)))
}

/// The plan on a snapshot; what this version does not carry out is refused as for a run.
fn planned(loaded: &Loaded, given: &Given, snapshot: &Snapshot) -> Result<Arc<Graph>, Failed> {
    let graph = load::plan_on(loaded, given, snapshot, &snapshot.context)?;
    load::refuse_unsupported(&graph, loaded)?;
    Ok(Arc::new(graph))
}

/// Serves a world over HTTP until the process is ended; time goes by as it does.
fn serve(snapshot: &Snapshot, address: SocketAddr, number: u64, output: &Output) -> Result<Exit, Failed> {
    block_on(async {
        let world = world(snapshot, &timings(snapshot), number, &Script::default(), &Ledger::default());
        let world = world.map_err(RehearsalError::from)?;
        let clock = Outside::system().clock;
        let server = Server::start(world, clock, Duration::ZERO);
        let listening = http::serve(server, address).await.map_err(|error| {
            Failed::told("E713", format!("cannot listen on {address}: {error}"), Exit::Usage)
                .help("name another address, or port 0 for a free one")
        })?;
        output.result(&http::kubeconfig(listening.address))?;
        output.remark(&format!("`{}` is served on {}, until it is ended", snapshot.context, listening.address));
        std::future::pending::<()>().await;
        Ok(Exit::Done)
    })
}

impl From<RehearsalError> for Failed {
    fn from(error: RehearsalError) -> Self {
        match error {
            RehearsalError::Seed(error) => {
                Self::told("E486", format!("the snapshot is no cluster: {error}"), Exit::Plan)
                    .help("`sprag snapshot -o FILE` takes one")
            }
            RehearsalError::Runtime(error) => Self::fault(error.to_string()),
            RehearsalError::Drive(error) => Self::from(error),
        }
    }
}
