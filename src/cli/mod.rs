//! The command line: one file a command; the only place that prints or exits.
//!
//! Results go to stdout; diagnostics, remarks and progress to stderr. What went wrong comes back as a [`Failed`], which
//! [`main`] alone shows and turns into an exit code. Nothing here knows the language: files are read in [`load`], and what
//! is in them is asked of the stages.
//!
//! | code | what it says |
//! |---|---|
//! | E000 | a file that was named and cannot be read |
//! | E400 | a command that was called with what it cannot take |
//! | E401 | a parameter that the playbook does not have |
//! | E402 | a parameter that is missing |
//! | E403 | a value that a parameter cannot take |
//! | E404 | a file of parameters that is broken |
//! | E405 | a secret that is not given by a file or the environment |
//! | E481 | a snapshot that cannot be read |
//! | E482 | a file that is no snapshot |
//! | E483 | a snapshot of a newer sprag |
//! | E484, E485 | a world file that is none, or says what cannot be |
//! | E486 | a snapshot that is no cluster |
//! | E505 | a statement that this version does not carry out |
//! | E506 | a playbook that was edited since its run began |
//! | E507 | another cluster than the run's |
//! | E508 | nothing to decide, to approve or to give up, or nothing to go on with |
//! | E509 | a run that would drain the node that its journal ends with |
//! | E599 | a fault of sprag itself |
//! | E6xx | journals: see [`crate::journal::JournalError`] |
//! | E701, E702, E703 | a kubeconfig that is missing, that is broken, that has no such context |
//! | E710, E711, E712 | a cluster that is out of reach, that refuses the login, that forbids what is needed |
//! | E713 | an address that cannot be listened on |

mod check;
mod exit;
mod failed;
mod inbox;
mod load;
mod lock;
mod login;
mod nodes;
mod output;
mod own;
mod params;
mod people;
mod plan;
mod rehearse;
mod release;
mod rights;
mod run;
mod runs;
mod snapshot;
mod standing;
#[cfg(test)]
mod tests;
mod worlds;

use std::ffi::OsString;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;
pub(crate) use failed::Failed;
use output::{Format, Output};

/// Upgrade playbooks for Kubernetes: checked, planned, carried out, resumed.
#[derive(Debug, Parser)]
#[command(name = "sprag", version, max_term_width = 100, after_help = exit::TABLE)]
struct Cli {
    /// Results and mistakes for people, or for programs
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look for mistakes in playbooks, without a cluster
    Check(check::CheckArgs),
    /// Show what a run would do, without doing it
    Plan(plan::PlanArgs),
    /// Show what would happen, on a copy of the cluster in a box
    Rehearse(rehearse::RehearseArgs),
    /// Carry a playbook out
    Run(run::RunArgs),
    /// Go on with a run that was halted or interrupted
    Resume(run::ResumeArgs),
    /// Tell how a run stands
    Status(runs::StatusArgs),
    /// List the runs
    Runs(runs::ListArgs),
    /// List the nodes that are cordoned, and whose they are
    Nodes(nodes::NodesArgs),
    /// Lift the cordons of a run, with its journal or without
    Release(release::ReleaseArgs),
    /// Decide about a step that asks, or that failed
    Decide(runs::DecideArgs),
    /// Say yes to what a run asks
    Approve(people::ApproveArgs),
    /// Give a run up
    Abort(people::AbortArgs),
    /// Write down what a cluster holds, to plan without it
    Snapshot(snapshot::SnapshotArgs),
}

impl Command {
    fn carry_out(&self, output: &Output) -> Result<Exit, Failed> {
        match self {
            Self::Check(args) => check::check(args, output),
            Self::Plan(args) => plan::plan(args, output),
            Self::Rehearse(args) => rehearse::rehearse(args, output),
            Self::Run(args) => run::run(args, output),
            Self::Resume(args) => run::resume(args, output),
            Self::Status(args) => runs::status(args, output),
            Self::Runs(args) => runs::list(args, output),
            Self::Nodes(args) => nodes::nodes(args, output),
            Self::Release(args) => release::release(args, output),
            Self::Decide(args) => runs::decide(args, output),
            Self::Approve(args) => people::approve(args, output),
            Self::Abort(args) => people::abort(args, output),
            Self::Snapshot(args) => snapshot::snapshot(args, output),
        }
    }
}

/// Runs sprag with these arguments, the program's name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Cli::try_parse_from(args) {
        Ok(cli) => {
            let output = Output::system(cli.format);
            output::tell_panics(output);
            guarded(&output, || cli.command.carry_out(&output)).into()
        }
        Err(error) => {
            // Help is a result and goes to stdout; clap knows which is which.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
        }
    }
}

/// Does the work and shows what went wrong. A panic was told as it happened, and is a fault of sprag.
fn guarded(output: &Output, work: impl FnOnce() -> Result<Exit, Failed>) -> Exit {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(failed)) => {
            output.failed(&failed);
            failed.exit()
        }
        Err(_) => Exit::Fault,
    }
}

/// Runs to the end on one thread. What still hangs in another then (a name that is being looked up, a disk) is left there.
fn block_on<T>(work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::fault(format!("there is no runtime: {error}")))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}
