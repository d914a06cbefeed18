//! What drains keep of a workload that kubectl takes to zero, what playbooks say of pods, and what comes up meanwhile.

use crate::expect::{Outcome, ensure};
use crate::scenario_drains::{count, evictions, name_and_app, playbook};
use crate::sprag::Sprag;
use crate::testbed::bed::Bed;
use crate::testbed::workload::Workload;
use crate::testbed::world::{Node, Pool, is_going, is_ready, text};
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);
/// How often the ready pods of a workload are counted.
const SAMPLE: Duration = Duration::from_millis(50);

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![
        bed.trial("availability::a_workload_on_one_node_is_not_taken_to_zero", one_node),
        bed.trial("availability::three_nodes_at_once_do_not_take_a_workload_to_zero", three_nodes),
        bed.trial("availability::what_is_out_survives_a_crash", out_after_crash),
        bed.trial("availability::closures_read_the_pods", closures),
        bed.trial("availability::a_budget_becomes_impossible", impossible),
        bed.trial("availability::a_quota_forbids_the_replacements", |lab| quota(lab, Workload::deployment("web", 3))),
        bed.trial("availability::a_quota_forbids_the_replacements_of_a_stateful_set", |lab| {
            quota(lab, Workload::stateful_set("web", 3).spec("podManagementPolicy", json!("Parallel")))
        }),
    ]
}

// Workloads that no budget covers.

/// The lowest number of ready pods of `web` while something is done.
fn lowest<T>(pool: &Pool, act: impl FnOnce() -> Result<T, Failed>) -> Result<(usize, T), Failed> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut lowest = usize::MAX;
            while !is_over.load(Ordering::Relaxed) {
                if let Ok(pods) = pool.pods() {
                    let up = pods.iter().filter(|pod| text(pod, "/metadata/labels/app") == "web" && is_ready(pod));
                    lowest = lowest.min(up.filter(|pod| !is_going(pod)).count());
                }
                thread::sleep(SAMPLE);
            }
            lowest
        });
        let result = act();
        is_over.store(true, Ordering::Relaxed);
        let lowest = sampler.join().map_err(|_| Failed::from("the sampler panicked"))?;
        Ok((lowest, result?))
    })
}

/// Three pods of `web` on one node, and a second node that is empty.
fn crowded(lab: &Arc<Lab>, name: &str) -> Result<Pool, Failed> {
    let mut pool = lab.pool(name, 1, &["a"])?;
    pool.create(Workload::deployment("web", 3).ready_after("2s").stop_after("0.5s"))?;
    pool.settle(SOON)?;
    pool.add(Node::new(&format!("{}-other", pool.name())).zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    Ok(pool)
}

fn one_node(lab: &Arc<Lab>) -> Outcome {
    let pool = crowded(lab, "crowded-kubectl")?;
    let (kept, _) =
        lowest(&pool, || Ok(lab.kubectl(&["drain", &pool.nodes()[0], "--ignore-daemonsets", "--timeout=60s"])?))?;
    ensure(kept == 0, format!("kubectl keeps {kept}"))?;
    let pool = crowded(lab, "crowded-sprag")?;
    let (kept, (done, said)) = lowest(&pool, || Sprag::new(lab)?.drain(&[&pool.nodes()[0]], 1, "timeout: 2m"))?;
    ensure(done && kept == 2, format!("sprag keeps {kept}: {said}"))
}

/// A pod of `web` on each of three nodes, and three more nodes that are empty.
fn spread(lab: &Arc<Lab>, name: &str) -> Result<Pool, Failed> {
    let mut pool = lab.pool(name, 3, &["a"])?;
    let apart = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}},
    ]}});
    let web = Workload::deployment("web", 3).pod_spec("affinity", apart).ready_after("2s").stop_after("0.5s");
    pool.create(web)?;
    pool.settle(SOON)?;
    for number in 1..=3 {
        pool.add(Node::new(&format!("{}-other{number}", pool.name())).zone("b"))?;
    }
    pool.wait_for_nodes(SOON)?;
    Ok(pool)
}

fn three_nodes(lab: &Arc<Lab>) -> Outcome {
    let pool = spread(lab, "spread-kubectl")?;
    let (kept, ()) = lowest(&pool, || {
        thread::scope(|scope| {
            let drain = |node: &String| {
                let args = ["drain", node.as_str(), "--ignore-daemonsets", "--timeout=60s"];
                lab.kubectl(&args).map(drop)
            };
            let drains: Vec<_> = pool.nodes()[..3].iter().map(|node| scope.spawn(move || drain(node))).collect();
            drains.into_iter().try_for_each(|drain| Ok(drain.join().map_err(|_| Failed::from("a panic"))??))
        })
    })?;
    ensure(kept == 0, format!("kubectl keeps {kept}"))?;
    let pool = spread(lab, "spread-sprag")?;
    let nodes: Vec<&str> = pool.nodes()[..3].iter().map(String::as_str).collect();
    let (kept, (done, said)) = lowest(&pool, || Sprag::new(lab)?.drain(&nodes, 3, "timeout: 2m"))?;
    ensure(done && kept == 2, format!("sprag keeps {kept}: {said}"))
}

/// The replacement of what was evicted before a crash is awaited after it.
fn out_after_crash(lab: &Arc<Lab>) -> Outcome {
    let pool = crowded(lab, "crowded-crash")?;
    let sprag = Sprag::new(lab)?;
    sprag.write("drain.sprag", &playbook(&[&pool.nodes()[0]], 1, "timeout: 2m"))?;
    let (kept, ()) = lowest(&pool, || {
        let mut child = sprag.start(&["run", "drain.sprag"], "first")?;
        until("an eviction", SOON, || Ok(sprag.said("first").contains("evicted").then_some(())))?;
        child.kill()?;
        child.wait()?;
        let resumed = sprag.run(&["resume"])?;
        ensure(resumed.code == Some(0), format!("{resumed:?}"))
    })?;
    ensure(kept == 2, format!("sprag keeps {kept}"))?;
    let evicted = evictions(&pool)?;
    ensure(evicted.len() == 3, format!("each pod is evicted once: {evicted:?}"))
}

// What a playbook says of pods.

fn closures(lab: &Arc<Lab>) -> Outcome {
    let mut pool = lab.pool("closures", 1, &["a"])?;
    let scratch = json!([{"name": "scratch", "emptyDir": {}}]);
    for app in ["first", "second", "kept"] {
        let workload = Workload::deployment(app, 1).ready_after("0.2s").stop_after("1s");
        pool.create(workload.pod_spec("volumes", scratch.clone()))?;
    }
    pool.settle(SOON)?;
    pool.add(Node::new(&format!("{}-other", pool.name())).zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    let node = pool.nodes()[0].clone();
    let args = r#"timeout: 1m, only: |p| p.node == node && node.zone == "a" && p.labels["app"] != "kept",
        emptydir: |p| p.labels["app"] != "kept",
        order: |p| p.labels["app"] ?? "" "#;
    let (done, said) = Sprag::new(lab)?.drain(&[&node], 1, args)?;
    ensure(done, &said)?;
    let evicted = evictions(&pool)?;
    let in_order = matches!(evicted.as_slice(), [a, b] if a.starts_with("first-") && b.starts_with("second-"));
    ensure(in_order, format!("first, then second: {evicted:?}\n{said}"))?;
    let left = count(pool.pods_on(&node)?.iter().map(|pod| name_and_app(pod).1));
    ensure(left == count(std::iter::once("kept".to_owned())), format!("{left:?}"))
}

// What comes up while a drain is on.

fn impossible(lab: &Arc<Lab>) -> Outcome {
    let mut pool = lab.pool("impossible", 1, &["a"])?;
    pool.create(Workload::deployment("web", 3).ready_after("5s").stop_after("0.5s"))?;
    pool.budget("web", json!({"minAvailable": 2}))?;
    pool.settle(SOON)?;
    pool.add(Node::new(&format!("{}-other", pool.name())).zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    let sprag = Sprag::new(lab)?;
    sprag.write("drain.sprag", &playbook(&[&pool.nodes()[0]], 1, "timeout: 10m"))?;
    let mut child = sprag.start(&["run", "drain.sprag"], "run")?;
    until("an eviction", SOON, || Ok(sprag.said("run").contains("evicted").then_some(())))?;
    lab.kubectl(&["-n", pool.name(), "patch", "pdb", "web", "--type=merge", "-p", r#"{"spec":{"minAvailable":3}}"#])?;
    let status = child.wait()?;
    let told = std::fs::read_to_string(sprag.folder().join("run.out"))?;
    let said = format!("{}{told}", sprag.said("run"));
    ensure(status.code() == Some(10), format!("{status}: {said}"))?;
    for word in ["W101", "never allows an eviction", "stays cordoned", "kubectl -n"] {
        ensure(said.contains(word), format!("it says `{word}`: {said}"))?;
    }
    Ok(())
}

/// It is named while the drain waits, and when its time is over.
fn quota(lab: &Arc<Lab>, workload: Workload) -> Outcome {
    let mut pool = lab.pool("quota", 1, &["a"])?;
    pool.create(workload.ready_after("0.5s").stop_after("0.5s"))?;
    pool.budget("web", json!({"minAvailable": 2}))?;
    pool.settle(SOON)?;
    pool.add(Node::new(&format!("{}-other", pool.name())).zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "1"}}});
    lab.api().create(&pool.path("/api/v1", "resourcequotas"), &quota)?;
    let path = pool.path("/api/v1", "resourcequotas/none");
    until("the quota counts", SOON, || Ok((text(&lab.api().get(&path)?, "/status/used/pods") == "3").then_some(())))?;
    let sprag = Sprag::new(lab)?;
    sprag.write("drain.sprag", &playbook(&[&pool.nodes()[0]], 1, "timeout: 20s"))?;
    let mut child = sprag.start(&["run", "drain.sprag"], "run")?;
    let named = "a replacement cannot be created: ";
    until("the quota is named", SOON, || Ok(sprag.said("run").contains(named).then_some(())))?;
    ensure(child.try_wait()?.is_none(), format!("the drain waits: {}", sprag.said("run")))?;
    let status = child.wait()?;
    let said = sprag.said("run");
    ensure(status.code() == Some(10), format!("{status}: {said}"))?;
    ensure(said.contains("W113") && said.contains("exceeded quota"), format!("it names the quota: {said}"))?;
    let evicted = evictions(&pool)?;
    ensure(evicted.len() == 1, format!("one was evicted: {evicted:?}"))
}
