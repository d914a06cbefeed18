//! Trials on a real control plane: etcd, kube-apiserver, controllers and scheduler, with kwok for the kubelets.
//!
//! The first run on a machine builds these from Go modules, which takes a quarter of an hour; see `testbed`. All trials
//! but two share one control plane, each in its own pool of nodes and its own namespace. What they do is wait, so more of
//! them run side by side than there are cores.
#![allow(unreachable_pub, reason = "in a program, `pub` marks what a module offers to the others")]
#![allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]

mod differential;
mod expect;
mod scenario_actions;
mod scenario_availability;
mod scenario_away;
mod scenario_drains;
mod scenario_faults;
mod scenario_held;
mod scenario_lock;
mod scenario_ownership;
mod scenario_people;
mod scenario_rehearsal;
mod scenario_skew;
mod scenario_testbed;
mod scenario_upgrade;
mod sprag;
mod testbed;

use libtest_mimic::Arguments;
use std::process::ExitCode;
use testbed::bed::Bed;

/// How many trials run side by side where `--test-threads` does not say.
const THREADS: usize = 6;

fn main() -> ExitCode {
    if testbed::watch_if_asked() {
        return ExitCode::SUCCESS;
    }
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(THREADS);
    let bed = Bed::new();
    let trials = [
        scenario_away::trials(&bed),
        scenario_actions::trials(&bed),
        scenario_testbed::trials(&bed),
        scenario_upgrade::trials(&bed),
        scenario_faults::trials(&bed),
        scenario_ownership::trials(&bed),
        scenario_people::trials(&bed),
        scenario_drains::trials(&bed),
        scenario_availability::trials(&bed),
        scenario_held::trials(&bed),
        scenario_lock::trials(&bed),
        scenario_skew::trials(&bed),
        scenario_rehearsal::trials(),
        differential::trials(&bed),
    ]
    .into_iter()
    .flatten()
    .collect();
    let conclusion = libtest_mimic::run(&args, trials);
    bed.stop();
    for (time, name) in bed.slowest() {
        eprintln!("{:7.1} s  {name}", time.as_secs_f64());
    }
    conclusion.exit_code()
}
