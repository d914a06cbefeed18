//! `cargo bench --bench scale`: 500 nodes and 5,000 pods on the testbed, 50 nodes drained five at a time under budgets. It
//! prints sprag's memory and processor time, and how long after a budget's credit the next eviction comes.
//!
//! `-- 100` makes a smaller world of 100 nodes, with ten pods a node too.
#![allow(unreachable_pub, reason = "in a program, `pub` marks what a module offers to the others")]
#![allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]

#[path = "../tests/real/testbed/mod.rs"]
mod testbed;

use jiff::Timestamp;
use serde_json::json;
use sprag::engine::event::{Event, Progress};
use sprag::journal::{RunsDir, read_only};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use testbed::audit::AuditEntry;
use testbed::workload::Workload;
use testbed::world::{Node, Pool};
use testbed::{Error, Lab, Result};

/// Replicas of each workload.
const REPLICAS: usize = 50;
/// Pods a node, on average.
const PODS: usize = 10;

fn main() -> ExitCode {
    if testbed::watch_if_asked() {
        return ExitCode::SUCCESS;
    }
    let nodes = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(500);
    match bench(nodes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the bench could not be carried out: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(nodes: usize) -> Result<()> {
    let lab = Lab::start()?;
    let pool = world(&lab, nodes)?;
    let folder = tempfile::TempDir::new()?;
    let playbook = "rollout node in nodes.filter(|n| n.labels[\"due\"] == \"yes\") concurrency 5 {\n    cordon(node)\n    \
                    drain(node, timeout: 1h)\n    uncordon(node)\n}\n";
    fs::write(folder.path().join("drain.sprag"), playbook)?;
    let begun = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_sprag"))
        .args(["run", "drain.sprag"])
        .current_dir(folder.path())
        .envs(lab.env())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("said"))?)
        .spawn()?;
    let used = watched(child, &folder.path().join("said"))?;
    let wall = begun.elapsed().as_secs_f64();
    let audit = lab.audit()?;
    let waiting = waiting_since(&folder.path().join(".sprag/runs"))?;
    let (evictions, mut delays) = delays(&audit, pool.name(), &waiting);
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| delays.get(((delays.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(f64::NAN);
    println!(
        "{nodes} nodes, {} pods; {} nodes drained, {evictions} pods evicted, {wall:.1} s",
        nodes * PODS,
        nodes / 10
    );
    println!("memory at most {} MiB, processor time {:.1} s", used.memory / 1024, used.processor);
    println!(
        "from a budget's credit to the next eviction: p50 {:.1} ms, p99 {:.1} ms, of {} evictions that waited for one",
        at(0.5),
        at(0.99),
        delays.len(),
    );
    Ok(())
}

/// A tenth of the nodes is due; each workload has a budget of one.
fn world(lab: &Arc<Lab>, nodes: usize) -> Result<Pool> {
    let mut pool = lab.pool("scale", 0, &[])?;
    for index in 0..nodes {
        let node = Node::new(&format!("scale-{index}"));
        pool.add(if index % 10 == 0 { node.label("due", "yes") } else { node })?;
    }
    pool.wait_for_nodes(Duration::from_secs(300))?;
    for index in 0..nodes * PODS / REPLICAS {
        let app = format!("app{index}");
        let replicas = u32::try_from(REPLICAS).unwrap_or(u32::MAX);
        pool.create(Workload::deployment(&app, replicas).ready_after("1s").stop_after("1s"))?;
        pool.budget(&app, json!({"maxUnavailable": 1}))?;
    }
    pool.settle(Duration::from_secs(900))?;
    Ok(pool)
}

/// KiB of memory at the most, seconds of processor time.
#[derive(Debug, Default)]
struct Used {
    memory: u64,
    processor: f64,
}

fn watched(mut child: Child, said: &Path) -> Result<Used> {
    let mut used = Used::default();
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(used) } else { Err(Error::Start(fs::read_to_string(said)?)) };
        }
        used = look(child.id()).unwrap_or(used);
        thread::sleep(Duration::from_millis(100));
    }
}

/// What `/proc` says of a process that runs.
fn look(id: u32) -> Option<Used> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(Used { memory: memory.trim().trim_end_matches(" kB").parse().ok()?, processor: ticks / 100.0 })
}

/// Since when the drain of each evicted pod was under way, Unix milliseconds, by the pod's name: from the run's journal.
fn waiting_since(runs: &Path) -> Result<BTreeMap<String, f64>> {
    let broken = |what: String| Error::Start(format!("the run's journal: {what}"));
    let run = RunsDir::new(runs).list().map_err(|error| broken(error.to_string()))?.pop();
    let run = run.ok_or_else(|| broken("there is none".into()))?;
    let read = read_only::<Event>(&run.dir).map_err(|error| broken(error.to_string()))?;
    let (mut drains, mut pods) = (BTreeMap::new(), BTreeMap::new());
    for record in read.records {
        match record.event {
            Event::StepStarted { step, .. } => _ = drains.insert(step, record.at as f64),
            Event::StepProgress { step, progress: Progress::Evicted { pod, .. } } => {
                pods.extend(drains.get(&step).map(|since| (pod.name.clone(), *since)));
            }
            _ => {}
        }
    }
    Ok(pods)
}

/// How many pods were evicted, and the milliseconds from the last change of a budget's status to the eviction that followed
/// it, of those evictions whose drain was under way when the status changed: the others did not wait for it.
fn delays(audit: &[AuditEntry], namespace: &str, waiting: &BTreeMap<String, f64>) -> (usize, Vec<f64>) {
    let time = |text: &str| text.parse::<Timestamp>().ok().map(|at| at.as_microsecond() as f64 / 1000.0);
    let mine = audit.iter().filter(|entry| entry.namespace == namespace && entry.stage == "ResponseComplete");
    let (evictions, rest): (Vec<&AuditEntry>, Vec<&AuditEntry>) =
        mine.partition(|entry| entry.subresource == "eviction" && entry.code == 201);
    let credits: Vec<(&str, f64)> = rest
        .into_iter()
        .filter(|entry| entry.resource == "poddisruptionbudgets" && entry.subresource == "status")
        .filter_map(|entry| Some((entry.name.as_str(), time(&entry.at)?)))
        .collect();
    let delay = |entry: &&AuditEntry| {
        let app = entry.name.split('-').next()?;
        let evicted = time(&entry.received)?;
        let before = credits.iter().filter(|(name, at)| *name == app && *at <= evicted);
        let credited = before.map(|(_, at)| *at).fold(f64::NEG_INFINITY, f64::max);
        (credited > *waiting.get(&entry.name)?).then_some(evicted - credited)
    };
    let delays = evictions.iter().filter_map(delay).collect();
    (evictions.len(), delays)
}
