//! The API server of the minor before, on a control plane of its own: a smoke test of all that a run asks of it.

use crate::expect::{Outcome, ended, ensure, evictions};
use crate::sprag::Sprag;
use crate::testbed::bed::Bed;
use crate::testbed::lab::OwnLab;
use crate::testbed::workload::Workload;
use crate::testbed::world::{Node, Pool, text};
use crate::testbed::{Lab, until};
use libtest_mimic::Trial;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);
const TARGET: &str = "v1.36.3";

const UPGRADE: &str = r#"
use std::preflight

param pool: string
param target: version

let outdated = nodes.filter(|n| n.labels["pool"] == pool && n.kubelet < target)

preflight::ready_for(target)

rollout node in outdated {
    cordon(node)
    drain(node, timeout: 2m)
    exec(["kubectl", "patch", "node", node.name, "--subresource=status", "--type=merge", "-p",
        `{"status":{"nodeInfo":{"kubeletVersion":"${target}"}}}`])
        done when node.kubelet == target
    exec(["sh", "-c", "until test -e go; do sleep 0.2; done"])
    wait until node.ready && node.kubelet == target within 2m
    uncordon(node)
    wait until node.pods.all(|p| p.ready) within 2m
}
"#;

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![bed.trial("skew::the_api_server_of_the_minor_before", minor_before)]
}

fn minor_before(shared: &Arc<Lab>) -> Outcome {
    let lab = OwnLab::start(shared.binaries().clone().with_apiserver_1_36()?)?;
    let version: serde_json::Value = lab.api().get("/version")?;
    ensure(text(&version, "/gitVersion") == "v1.36.3", format!("it is the older one: {version}"))?;
    let mut pool = lab.pool("skew", 1, &["a"])?;
    pool.create(Workload::deployment("web", 2).ready_after("0.5s").stop_after("0.5s"))?;
    pool.budget("web", json!({"maxUnavailable": 1}))?;
    pool.settle(SOON)?;
    pool.add(Node::new("skew-due").kubelet("v1.35.6").zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    lab.kubectl(&["cordon", &pool.nodes()[0]])?;
    moved(&pool, "skew-due")?;
    lab.kubectl(&["uncordon", &pool.nodes()[0]])?;
    upgraded(&lab, &pool)?;
    budget_refuses(&lab, &pool)?;
    newer_kubelet(&lab, &mut pool)
}

/// The pods are moved to this node, by whoever deletes them.
fn moved(pool: &Pool, node: &str) -> Outcome {
    pool.lab().kubectl(&["-n", pool.name(), "delete", "pods", "--all", "--wait=false"])?;
    Ok(until(&format!("the pods are on {node}"), SOON, || {
        Ok((pool.pods()?.iter().all(|pod| text(pod, "/spec/nodeName") == node)).then_some(()))
    })
    .and_then(|()| pool.settle(SOON))?)
}

fn sets(pool: &Pool) -> [String; 2] {
    [format!("pool={}", pool.name()), format!("target={TARGET}")]
}

/// Planned, carried out, its mark shown while the node is out, and lifted.
fn upgraded(lab: &Arc<Lab>, pool: &Pool) -> Outcome {
    let sprag = Sprag::new(lab)?;
    sprag.write("upgrade.sprag", UPGRADE)?;
    let [of, to] = sets(pool);
    let planned = sprag.run(&["plan", "upgrade.sprag", "--set", &of, "--set", &to])?;
    ended(&planned, 0)?;
    ensure(planned.stdout.contains("1 node"), format!("the plan counts the nodes: {}", planned.stdout))?;
    let mut child = sprag.start(&["run", "upgrade.sprag", "--set", &of, "--set", &to], "run")?;
    until("the second command runs", SOON, || Ok(sprag.said("run").contains("exec#2").then_some(())))?;
    let nodes = sprag.run(&["nodes"])?;
    ended(&nodes, 0)?;
    ensure(nodes.stdout.contains("skew-due"), format!("the mark is listed: {}", nodes.stdout))?;
    sprag.write("go", "")?;
    let status = child.wait()?;
    ensure(status.success(), format!("{status}: {}", sprag.said("run")))?;
    let node = pool.node("skew-due")?;
    ensure(text(&node, "/status/nodeInfo/kubeletVersion") == TARGET, format!("it is at the target: {node}"))?;
    ensure(node.pointer("/spec/unschedulable") != Some(&json!(true)), format!("it is open again: {node}"))?;
    let evicted = evictions(pool)?;
    ensure(evicted.len() == 2 && evicted.values().all(|count| *count == 1), format!("two, once each: {evicted:?}"))?;
    let nodes = sprag.run(&["nodes"])?;
    ensure(!nodes.stdout.contains("skew-due"), format!("no mark is left: {}", nodes.stdout))
}

/// A budget that can never allow it is told before anything is evicted.
fn budget_refuses(lab: &Arc<Lab>, pool: &Pool) -> Outcome {
    pool.settle(SOON)?;
    let before = evictions(pool)?;
    lab.kubectl(&["-n", pool.name(), "patch", "pdb", "web", "--type=merge", "-p", r#"{"spec":{"maxUnavailable":0}}"#])?;
    pool.settle(SOON)?;
    let (done, said) = Sprag::new(lab)?.drain(&[&pool.nodes()[0]], 1, "timeout: 30s")?;
    ensure(!done && said.contains("W101"), format!("the budget is named: {said}"))?;
    ensure(evictions(pool)? == before, "nothing was evicted")?;
    lab.kubectl(&["uncordon", &pool.nodes()[0]])?;
    lab.kubectl(&["-n", pool.name(), "delete", "pdb", "web"])?;
    Ok(())
}

/// A kubelet that is newer than the API server stops the run before its first change.
fn newer_kubelet(lab: &Arc<Lab>, pool: &mut Pool) -> Outcome {
    pool.add(Node::new("skew-newer").kubelet("v1.37.2"))?;
    pool.wait_for_nodes(SOON)?;
    let sprag = Sprag::new(lab)?;
    sprag.write("upgrade.sprag", UPGRADE)?;
    let [of, to] = sets(pool);
    let done = sprag.run(&["run", "upgrade.sprag", "--set", &of, "--set", &to])?;
    ended(&done, 10)?;
    let why = "skew-newer has a kubelet that is newer than the API server";
    ensure(done.stderr.contains(why), format!("it is named: {}", done.stderr))
}
