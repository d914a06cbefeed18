//! One run for a cluster and a domain: the Lease, a driver that is gone, and one that hangs and wakes again.

use crate::expect::{Outcome, ended, ensure, evictions};
use crate::sprag::Sprag;
use crate::testbed::bed::Bed;
use crate::testbed::workload::Workload;
use crate::testbed::world::Pool;
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(120);

const DRAINS: &str = r#"
param pool: string

rollout node in nodes.filter(|n| n.labels["pool"] == pool) {
    cordon(node)
    drain(node, timeout: 5m)
    uncordon(node)
}
"#;

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![
        bed.trial("lock::a_second_run_is_kept_out", kept_out),
        bed.trial("lock::a_driver_that_was_killed_is_not_waited_for", killed),
        bed.trial("lock::a_driver_that_hangs_is_taken_over_and_wakes", taken_over),
    ]
}

fn world(lab: &Arc<Lab>, name: &str) -> Result<(Pool, Sprag), Failed> {
    let pool = lab.pool(name, 3, &[])?;
    pool.create(Workload::deployment("web", 9).ready_after("2s").stop_after("0.5s"))?;
    pool.budget("web", json!({"maxUnavailable": 1}))?;
    pool.settle(SOON)?;
    let sprag = Sprag::new(lab)?;
    sprag.write("playbook.sprag", DRAINS)?;
    Ok((pool, sprag))
}

/// Starts a run and waits until it has evicted a pod.
fn under_way(pool: &Pool, sprag: &Sprag) -> Result<Child, Failed> {
    let child = sprag.start(&["run", "playbook.sprag", "--set", &format!("pool={}", pool.name())], "first")?;
    until("an eviction", SOON, || Ok(sprag.said("first").contains("evicted").then_some(())))
        .map_err(|error| format!("{error}: {}", sprag.said("first")))?;
    Ok(child)
}

fn kept_out(lab: &Arc<Lab>) -> Outcome {
    let (pool, sprag) = world(lab, "kept")?;
    let mut child = under_way(&pool, &sprag)?;
    let other = Sprag::new(lab)?.in_domain_of(&sprag);
    other.write("playbook.sprag", DRAINS)?;
    let set = format!("pool={}", pool.name());
    let refused = other.run(&["run", "playbook.sprag", "--set", &set])?;
    ended(&refused, 6)?;
    ensure(refused.stderr.contains("E720") && refused.stderr.contains("process"), format!("it says who: {refused:?}"))?;
    let runs = other.run(&["runs"])?;
    ensure(runs.stdout.contains("no runs"), format!("nothing was begun: {runs:?}"))?;
    ensure(child.wait()?.success(), sprag.said("first"))?;
    // Let go at its end: the next has it at once.
    ended(&other.run(&["run", "playbook.sprag", "--set", "pool=nobody"])?, 0)
}

fn killed(lab: &Arc<Lab>) -> Outcome {
    let (pool, sprag) = world(lab, "killed")?;
    let mut child = under_way(&pool, &sprag)?;
    child.kill()?;
    child.wait()?;
    let begun = Instant::now();
    let mut resumed = sprag.start(&["resume"], "second")?;
    until("the resume goes on", Duration::from_secs(20), || {
        Ok(sprag.said("second").contains("taken up again").then_some(()))
    })
    .map_err(|error| format!("{error}: {}", sprag.said("second")))?;
    ensure(begun.elapsed() < Duration::from_secs(20), "the lease of a process that is gone is not waited for")?;
    ensure(resumed.wait()?.success(), sprag.said("second"))?;
    let evictions = evictions(&pool)?;
    ensure(evictions.values().all(|count| *count == 1), format!("evicted once each: {evictions:?}"))
}

fn taken_over(lab: &Arc<Lab>) -> Outcome {
    let (pool, sprag) = world(lab, "hangs")?;
    let mut child = under_way(&pool, &sprag)?;
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    kill(id, Signal::SIGSTOP)?;
    let plain = sprag.run(&["resume"])?;
    ended(&plain, 6)?;
    let taken = sprag.run(&["resume", "--take-over"])?;
    ended(&taken, 0)?;
    for word in ["taken over", "drain"] {
        ensure(taken.stderr.contains(word), format!("it says whom it replaced and what was open: {taken:?}"))?;
    }
    let before = evictions(&pool)?;
    kill(id, Signal::SIGCONT)?;
    let status = child.wait()?;
    ensure(status.code() == Some(6), format!("{status}: {}", sprag.said("first")))?;
    let after = evictions(&pool)?;
    ensure(before == after, format!("whoever woke did nothing more: {before:?} {after:?}"))?;
    ensure(after.values().all(|count| *count == 1), format!("evicted once each: {after:?}"))?;
    let status = sprag.run(&["status"])?;
    ended(&status, 0)?;
    ensure(status.stdout.contains("done"), format!("the run is done: {status:?}"))
}
