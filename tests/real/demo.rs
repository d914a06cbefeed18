//! `cargo run --example demo`: a control plane of its own on this machine, six nodes, and an upgrade of them.
//!
//! Nothing of it is left when it ends. What it shows is what `sprag plan` and `sprag run` show on any cluster.
#![allow(unreachable_pub, reason = "in a program, `pub` marks what a module offers to the others")]
#![allow(dead_code, reason = "the testbed offers more than the demonstration needs")]
#![allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]

mod testbed;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use testbed::Lab;
use testbed::workload::Workload;

const PLAYBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/playbooks/kubelet-in-place.sprag");

fn main() -> ExitCode {
    if testbed::watch_if_asked() {
        return ExitCode::SUCCESS;
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
    let given: [OsString; 6] = [
        PLAYBOOK.into(),
        "--set".into(),
        "target=v1.37.2".into(),
        "--kubeconfig".into(),
        kubeconfig.into_os_string(),
        "--set=pool=workers".into(),
    ];
    let sprag = |command: &str, more: &[OsString]| {
        println!("\n$ sprag {command} {} --set target=v1.37.2", "playbooks/kubelet-in-place.sprag");
        sprag::cli::main(
            ["sprag".into(), command.into()].into_iter().chain(given.iter().cloned()).chain(more.iter().cloned()),
        )
    };
    sprag("plan", &[]);
    let code = sprag("run", &["--dir".into(), folder.path().into()]);
    drop(pool);
    Ok(code)
}
