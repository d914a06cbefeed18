//! `cargo run --example demo`: a control plane of its own on this machine, six nodes, and an upgrade of them.
//!
//! Nothing of it is left when it ends. What it shows is what `sprag plan` and `sprag run` show on any cluster.
#![allow(unreachable_pub, reason = "in a program, `pub` marks what a module offers to the others")]
#![allow(dead_code, reason = "the testbed offers more than the demonstration needs")]
#![allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]

mod testbed;

use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use serde_json::json;
use testbed::Lab;
use testbed::workload::Workload;

const PLAYBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/playbooks/kubelet-in-place.sprag");

/// The variable that makes a start of this program `sprag`.
const PLAYS_SPRAG: &str = "SPRAG_DEMO_PLAYS_SPRAG";

fn main() -> ExitCode {
    if testbed::watch_if_asked() {
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(PLAYS_SPRAG).is_some() {
        return sprag::cli::main(std::env::args_os());
    }
    match demo() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("the demonstration could not be set up: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> testbed::Result<ExitCode> {
    let lab = Lab::start()?;
    let pool = lab.pool("workers", 6, &["a", "b", "c"])?;
    for app in ["cart", "checkout"] {
        pool.create(Workload::deployment(app, 6).ready_after("2s").stop_after("1s"))?;
        pool.budget(app, json!({"maxUnavailable": 1}))?;
    }
    pool.create(Workload::daemon_set("agent"))?;
    pool.settle(Duration::from_secs(120))?;
    let folder = tempfile::TempDir::new()?;
    let kubeconfig = lab.kubeconfig();
    // Its commands are to find the testbed's own kubectl: so sprag is a process of its own, which is this program again.
    let sprag = |command: &str| -> testbed::Result<ExitStatus> {
        println!("\n$ sprag {command} playbooks/kubelet-in-place.sprag --set target=v1.37.2");
        let mut sprag = Command::new(std::env::current_exe()?);
        sprag
            .arg(command)
            .args([PLAYBOOK, "--set=target=v1.37.2", "--set=pool=workers", "--kubeconfig"])
            .arg(&kubeconfig);
        sprag.envs(lab.env()).env("SPRAG_DIR", folder.path()).env(PLAYS_SPRAG, "1");
        Ok(sprag.status()?)
    };
    let planned = sprag("plan")?;
    let status = if planned.success() { sprag("run")? } else { planned };
    drop(pool);
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
