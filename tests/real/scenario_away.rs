//! The API server away for six minutes, on a control plane of its own: nothing fails, clocks stand still, and the run goes
//! on by itself.

use crate::sprag::Sprag;
use crate::testbed::bed::Bed;
use crate::testbed::workload::Workload;
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use serde_json::json;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);
/// Longer than the drain's timeout, the gate's `within` and `blind_after`.
const AWAY: Duration = Duration::from_secs(360);

/// A drain that takes a while beside a hold, both with less time than the server is away.
const BOTH: &str = r#"
param pool: string

parallel {
    rollout node in nodes.filter(|n| n.labels["pool"] == pool && n.labels["drained"] == "yes") {
        cordon(node)
        drain(node, timeout: 3m)
        uncordon(node)
    }
    wait until nodes.filter(|n| n.labels["pool"] == pool).all(|n| n.ready) for 30s within 3m
}
"#;

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![bed.trial("away::six_minutes_with_a_drain_open_and_a_hold_running", six_minutes)]
}

fn ensure(holds: bool, what: impl Into<String>) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(what.into().into()) }
}

fn six_minutes(_shared: &Arc<Lab>) -> Result<(), Failed> {
    let lab = Lab::start()?;
    let pool = lab.pool("away", 2, &["a", "b"])?;
    pool.create(Workload::deployment("web", 4).ready_after("4s").stop_after("3s"))?;
    pool.budget("web", json!({"maxUnavailable": 1}))?;
    pool.settle(SOON)?;
    lab.kubectl(&["label", "node", &pool.nodes()[0], "drained=yes"])?;
    let sprag = Sprag::new(&lab)?;
    sprag.write("playbook.sprag", BOTH)?;
    let mut child = sprag.start(&["run", "playbook.sprag", "--set", "pool=away"], "run")?;
    until("a pod is evicted", SOON, || Ok(sprag.said("run").contains("evicted").then_some(())))?;
    lab.stop_apiserver()?;
    thread::sleep(AWAY);
    let said = sprag.said("run");
    ensure(child.try_wait()?.is_none(), format!("the run waits: {said}"))?;
    ensure(said.contains("out of reach"), format!("it says so: {said}"))?;
    lab.start_apiserver()?;
    let status = child.wait()?;
    let said = sprag.said("run");
    ensure(status.success(), format!("{status}: {said}"))?;
    ensure(!said.contains("failed"), format!("nothing failed: {said}"))?;
    let node = pool.node(&pool.nodes()[0])?;
    ensure(node.pointer("/spec/unschedulable") != Some(&json!(true)), "the node is open")
}
