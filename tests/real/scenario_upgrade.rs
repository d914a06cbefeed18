//! Upgrades in place: carried out, killed at every record and at random, resumed, stopped.

use crate::expect::{Outcome, ended, ensure, evictions};
use crate::sprag::Sprag;
use crate::testbed::bed::Bed;
use crate::testbed::workload::Workload;
use crate::testbed::world::{Node, Pool, text};
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use serde_json::json;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);
const TARGET: &str = "v1.37.2";

/// Who runs the upgrade whose requests are looked at.
const UPGRADER: &str = "upgrader";

/// In how many trials the records of the small run are shared out.
const CRASH_TRIALS: u64 = 4;

const IN_PLACE: &str = r#"
/// Upgrade the nodes of a pool in place.
param pool: string
param target: version

let outdated = nodes.filter(|n| n.labels["pool"] == pool && n.kubelet < target)

rollout node in outdated
    batches [1, 25%, rest]
    one node.zone at a time
    concurrency 3
{
    cordon(node)
    drain(node, timeout: 3m)
    exec(["kubectl", "patch", "node", node.name, "--subresource=status", "--type=merge", "-p",
        `{"status":{"nodeInfo":{"kubeletVersion":"${target}"}}}`])
        done when node.kubelet == target
    wait until node.ready && node.kubelet == target within 2m
    uncordon(node)
    wait until node.pods.all(|p| p.ready) within 2m
} between {
    wait until workloads.filter(|w| w.namespace == pool).all(|w| w.available >= w.desired) for 1s within 3m
}

assert nodes.filter(|n| n.labels["pool"] == pool).all(|n| n.kubelet == target) else "versions differ"
"#;

const SMALL: &str = r#"
param pool: string
param target: version

rollout node in nodes.filter(|n| n.labels["pool"] == pool && n.labels["due"] == "yes") {
    record before = node.kubelet
    cordon(node)
    drain(node, timeout: 2m)
    exec(["kubectl", "patch", "node", node.name, "--subresource=status", "--type=merge", "-p",
        `{"status":{"nodeInfo":{"kubeletVersion":"${target}"}}}`])
        done when node.kubelet == target
    wait until node.ready && node.kubelet != before for 500ms within 1m
    uncordon(node)
}
"#;

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    let mut trials = vec![
        bed.trial("upgrade::twelve_nodes_in_three_zones", twelve_nodes),
        bed.trial("upgrade::killed_at_random_moments", killed_at_random),
        bed.trial("upgrade::stopped_by_a_signal_and_resumed", stopped_by_signal),
        bed.trial("upgrade::two_drivers_of_one_run", two_drivers),
    ];
    for part in 0..CRASH_TRIALS {
        let name = format!("upgrade::killed_at_each_record_{}_of_{CRASH_TRIALS}", part + 1);
        trials.push(bed.trial(&name, move |lab| killed_at_each_record(lab, part)));
    }
    trials
}

/// Twelve nodes in three zones, with budgets, a DaemonSet, a StatefulSet, and one node that a person has cordoned.
fn world(lab: &Arc<Lab>, name: &str) -> Result<Pool, Failed> {
    let pool = lab.pool(name, 12, &["a", "b", "c"])?;
    for app in ["web", "cart"] {
        pool.create(Workload::deployment(app, 6).ready_after("0.5s").stop_after("0.5s"))?;
        pool.budget(app, json!({"maxUnavailable": 1}))?;
    }
    pool.create(Workload::stateful_set("db", 3).ready_after("0.5s").stop_after("0.5s"))?;
    pool.budget("db", json!({"minAvailable": 2}))?;
    pool.create(Workload::daemon_set("agent"))?;
    pool.settle(SOON)?;
    lab.kubectl(&["cordon", &pool.nodes()[11]])?;
    Ok(pool)
}

/// Every node is at the target; only what a person cordoned is cordoned; no pod of a Deployment was evicted twice.
fn is_upgraded(pool: &Pool) -> Outcome {
    for name in pool.nodes() {
        let node = pool.node(name)?;
        ensure(text(&node, "/status/nodeInfo/kubeletVersion") == TARGET, format!("{name} is at the target: {node}"))?;
        let cordoned = node.pointer("/spec/unschedulable") == Some(&json!(true));
        let foreign = name == &pool.nodes()[11];
        ensure(cordoned == foreign, format!("{name} is cordoned: {cordoned}"))?;
        let marked = node.pointer("/metadata/annotations/sprag.dev~1cordon").is_some();
        ensure(!marked, format!("{name} bears no mark any more"))?;
    }
    none_evicted_twice(pool)
}

fn none_evicted_twice(pool: &Pool) -> Outcome {
    // The pods of a StatefulSet come back under their names: only the others' names stand for one pod.
    let mut evictions = evictions(pool)?;
    evictions.retain(|name, _| !name.starts_with("db-"));
    ensure(!evictions.is_empty(), "pods were evicted")?;
    let twice: Vec<_> = evictions.iter().filter(|(_, count)| **count > 1).collect();
    ensure(twice.is_empty(), format!("evicted twice: {twice:?}"))
}

/// Who asked is said with each request; what is not sprag's own is patched and never replaced: a typed object would lose
/// what is newer than its type.
fn asked_as_it_should(lab: &Arc<Lab>) -> Outcome {
    let mut asked = lab.audit()?;
    // The commands of the playbook log in as sprag does.
    asked.retain(|entry| entry.user == UPGRADER && !entry.user_agent.starts_with("kubectl/"));
    let foreign = asked.iter().find(|entry| !entry.user_agent.starts_with("sprag/"));
    ensure(foreign.is_none(), format!("it says who asks: {foreign:?}"))?;
    let put = asked.iter().find(|entry| entry.verb == "update" && entry.resource != "leases");
    ensure(put.is_none(), format!("it replaces leases alone: {put:?}"))?;
    let patched = asked.iter().filter(|entry| entry.verb == "patch" && entry.resource == "nodes").count();
    ensure(patched >= 22, format!("nodes are cordoned and opened by patches: {patched}"))
}

fn twelve_nodes(lab: &Arc<Lab>) -> Outcome {
    let pool = world(lab, "twelve")?;
    let sprag = Sprag::new(lab)?.with_kubeconfig(lab.kubeconfig_for(UPGRADER, &["system:masters"])?);
    sprag.write("upgrade.sprag", IN_PLACE)?;
    let set = format!("pool={}", pool.name());
    let target = format!("target={TARGET}");
    let planned = sprag.run(&["plan", "upgrade.sprag", "--set", &set, "--set", &target])?;
    ended(&planned, 0)?;
    ensure(planned.stdout.contains("12 nodes"), format!("the plan names the nodes: {}", planned.stdout))?;
    ended(&sprag.run(&["snapshot", "-o", "cluster.json"])?, 0)?;
    let from = ["plan", "upgrade.sprag", "--from", "cluster.json", "--set", &set, "--set", &target];
    let from = sprag.run(&from)?;
    ended(&from, 0)?;
    ensure(from.stdout.contains("12 nodes"), format!("a snapshot plans the same: {}", from.stdout))?;
    let done = sprag.run(&["run", "upgrade.sprag", "--set", &set, "--set", &target])?;
    ended(&done, 0)?;
    is_upgraded(&pool)?;
    asked_as_it_should(lab)?;
    let status = sprag.run(&["status"])?;
    ended(&status, 0)?;
    ensure(status.stdout.contains("done"), format!("the run is done: {}", status.stdout))?;
    // Run again after it ended, it changes nothing.
    let again = sprag.run(&["run", "upgrade.sprag", "--set", &set, "--set", &target])?;
    ended(&again, 0)?;
    is_upgraded(&pool)
}

fn killed_at_random(lab: &Arc<Lab>) -> Outcome {
    let pool = world(lab, "random")?;
    let sprag = Sprag::new(lab)?;
    sprag.write("upgrade.sprag", IN_PLACE)?;
    let set = format!("pool={}", pool.name());
    let target = format!("target={TARGET}");
    let mut child = sprag.start(&["run", "upgrade.sprag", "--set", &set, "--set", &target], "first")?;
    // Moments of no pattern, the same in each run of the test.
    for (round, millis) in [1_900u64, 700, 3_100, 1_300, 4_700, 2_300, 5_900].into_iter().enumerate() {
        thread::sleep(Duration::from_millis(millis));
        child.kill()?;
        child.wait()?;
        child = sprag.start(&["resume"], &format!("round{round}"))?;
    }
    let status = child.wait()?;
    if !status.success() {
        // It may have been done before the last kill: then there is nothing to resume.
        let runs = sprag.run(&["runs"])?;
        ensure(runs.stdout.contains("done"), format!("{status}: {}\n{}", runs.stdout, sprag.said("round6")))?;
    }
    is_upgraded(&pool)
}

/// The small run, killed by the store's own hook after each of its records in turn, each time on a pool of its own.
fn killed_at_each_record(lab: &Arc<Lab>, part: u64) -> Outcome {
    for record in (1..).filter(|record| record % CRASH_TRIALS == part) {
        if !killed_at(lab, record)? {
            return ensure(record > 10, format!("the run has more than {record} records"));
        }
    }
    Ok(())
}

/// Says whether the run has that record.
fn killed_at(lab: &Arc<Lab>, record: u64) -> Result<bool, Failed> {
    let mut pool = lab.pool(&format!("record{record}"), 1, &["a"])?;
    pool.add(Node::new(&format!("{}-due", pool.name())).label("due", "yes").zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    pool.create(Workload::deployment("web", 2).ready_after("0.3s").stop_after("0.3s"))?;
    pool.budget("web", json!({"maxUnavailable": 1}))?;
    pool.settle(SOON)?;
    let due = format!("{}-due", pool.name());
    let sprag = Sprag::new(lab)?;
    sprag.write("small.sprag", SMALL)?;
    let set = format!("pool={}", pool.name());
    let target = format!("target={TARGET}");
    let args = ["run", "small.sprag", "--set", &set, "--set", &target];
    let killed = sprag.run_with(&args, &[("SPRAG_CRASH_AFTER_RECORD", record.to_string())])?;
    let crashed = killed.code.is_none();
    if crashed {
        let status = sprag.run(&["status"])?;
        ended(&status, 0)?;
        let resumed = sprag.run(&["resume"])?;
        let over = resumed.code == Some(2) && status.stdout.contains("done");
        ensure(resumed.code == Some(0) || over, format!("after record {record}: {resumed:?}\n{status:?}"))?;
    } else {
        ended(&killed, 0)?;
    }
    let node = pool.node(&due)?;
    ensure(text(&node, "/status/nodeInfo/kubeletVersion") == TARGET, format!("after record {record}: {node}"))?;
    ensure(node.pointer("/spec/unschedulable") != Some(&json!(true)), format!("after record {record}: {node}"))?;
    ensure(pool.pods_on(&due)?.is_empty(), format!("after record {record}: pods moved back"))?;
    let evictions = evictions(&pool)?;
    ensure(evictions.values().all(|count| *count == 1), format!("after record {record}: {evictions:?}"))?;
    Ok(crashed)
}

fn stopped_by_signal(lab: &Arc<Lab>) -> Outcome {
    let pool = world(lab, "stopped")?;
    let sprag = Sprag::new(lab)?;
    sprag.write("upgrade.sprag", IN_PLACE)?;
    let set = format!("pool={}", pool.name());
    let target = format!("target={TARGET}");
    let mut child = sprag.start(&["run", "upgrade.sprag", "--set", &set, "--set", &target], "first")?;
    until("an eviction", SOON, || Ok(sprag.said("first").contains("evicted").then_some(())))?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM)?;
    let status = child.wait()?;
    ensure(status.code() == Some(14), format!("{status}: {}", sprag.said("first")))?;
    ended(&sprag.run(&["resume"])?, 0)?;
    is_upgraded(&pool)
}

fn two_drivers(lab: &Arc<Lab>) -> Outcome {
    let pool = world(lab, "drivers")?;
    let sprag = Sprag::new(lab)?;
    sprag.write("upgrade.sprag", IN_PLACE)?;
    let set = format!("pool={}", pool.name());
    let target = format!("target={TARGET}");
    let mut child = sprag.start(&["run", "upgrade.sprag", "--set", &set, "--set", &target], "first")?;
    until("an eviction", SOON, || Ok(sprag.said("first").contains("evicted").then_some(())))?;
    let second = sprag.run(&["resume"])?;
    ensure(second.code == Some(6), format!("the lock is held: {second:?}"))?;
    ensure(second.stderr.contains("E605"), format!("it says so: {second:?}"))?;
    let status = child.wait()?;
    ensure(status.success(), format!("{status}: {}", sprag.said("first")))?;
    is_upgraded(&pool)
}
