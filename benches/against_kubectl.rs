//! `cargo bench --bench against_kubectl`: equal worlds drained by a loop of `kubectl drain` and `kubectl uncordon`, and by
//! sprag, side by side on one control plane; what it prints are ratios, since the machine may be busy.
//!
//! `-- 3` runs the worlds whose pods are ready after 3 s only; `-- 3 30 90` is the whole and takes most of an hour.
#![allow(unreachable_pub, reason = "in a program, `pub` marks what a module offers to the others")]
#![allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]

#[path = "../tests/real/testbed/mod.rs"]
mod testbed;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use testbed::audit::AuditEntry;
use testbed::workload::Workload;
use testbed::world::{Pool, is_going, is_ready, text};
use testbed::{Lab, Result};

const NODES: usize = 6;
const APPS: [&str; 4] = ["cart", "checkout", "search", "web"];
const REPLICAS: u32 = 6;
/// Seconds from a pod's eviction until it is gone.
const STOP: f64 = 1.0;
/// How often the pods are counted.
const SAMPLE: Duration = Duration::from_millis(250);

/// What a world is like.
#[derive(Debug, Clone, Copy)]
struct World {
    ready: u32,
    budgets: bool,
    concurrency: usize,
}

/// Who drains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Kubectl,
    Sprag,
}

/// What came of one drain of all nodes.
#[derive(Debug)]
struct Measured {
    wall: f64,
    critical: f64,
    moved_twice: usize,
    requests: f64,
    worst_second: usize,
    lowest: u64,
    below: f64,
}

fn main() -> ExitCode {
    if testbed::watch_if_asked() {
        return ExitCode::SUCCESS;
    }
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the bench could not be carried out: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<()> {
    let mut chosen: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    if chosen.is_empty() {
        chosen.push(3);
    }
    let lab = Lab::start()?;
    println!("{NODES} nodes, {} workloads of {REPLICAS}; kubectl / sprag, and ratios sprag : kubectl", APPS.len());
    println!(
        "{:<28} {:>15} {:>6} {:>7} {:>15} {:>13} {:>11} {:>13} {:>9}",
        "world", "wall s", "ratio", "waste", "requests/pod", "worst second", "lowest of 6", "s below", "twice"
    );
    // Worlds that mostly wait do it together; those of 3 s run one after the other, to be disturbed by nobody.
    let (quick, slow): (Vec<World>, Vec<World>) = worlds(&chosen).into_iter().partition(|world| world.ready < 10);
    for world in quick {
        compare(&lab, world)?;
    }
    let pairs: Vec<_> = slow
        .into_iter()
        .map(|world| {
            let lab = lab.clone();
            thread::spawn(move || compare(&lab, world))
        })
        .collect();
    pairs.into_iter().try_for_each(|pair| pair.join().unwrap_or(Ok(())))
}

fn worlds(chosen: &[u32]) -> Vec<World> {
    let mut worlds = Vec::new();
    for ready in chosen {
        for budgets in [true, false] {
            for concurrency in [1, 3] {
                worlds.push(World { ready: *ready, budgets, concurrency });
            }
        }
    }
    worlds
}

fn compare(lab: &Arc<Lab>, world: World) -> Result<()> {
    let other = lab.clone();
    let kubectl = thread::spawn(move || measure(&other, world, Tool::Kubectl));
    let sprag = measure(lab, world, Tool::Sprag)?;
    let kubectl = kubectl.join().map_err(|_| testbed::Error::Start("the kubectl side panicked".into()))??;
    let name = format!(
        "{:>2} s, {} budgets, {} at a time",
        world.ready,
        if world.budgets { "with" } else { "no" },
        world.concurrency
    );
    println!(
        "{name:<28} {:>6.1} / {:>6.1} {:>6.2} {:>5.1} % {:>6.2} / {:>6.2} {:>5} / {:>5} {:>4} / {:>4} {:>5.0} / {:>5.0} {:>3} / {:>3}",
        kubectl.wall,
        sprag.wall,
        sprag.wall / kubectl.wall,
        (sprag.wall / sprag.critical - 1.0) * 100.0,
        kubectl.requests,
        sprag.requests,
        kubectl.worst_second,
        sprag.worst_second,
        kubectl.lowest,
        sprag.lowest,
        kubectl.below,
        sprag.below,
        kubectl.moved_twice,
        sprag.moved_twice,
    );
    Ok(())
}

fn measure(lab: &Arc<Lab>, world: World, tool: Tool) -> Result<Measured> {
    let pool = lab.pool(if tool == Tool::Sprag { "sprag" } else { "kubectl" }, NODES, &["a", "b", "c"])?;
    for app in APPS {
        let stop = format!("{STOP}s");
        pool.create(Workload::deployment(app, REPLICAS).ready_after(&format!("{}s", world.ready)).stop_after(&stop))?;
        if world.budgets {
            pool.budget(app, json!({"maxUnavailable": 1}))?;
        }
    }
    pool.settle(Duration::from_secs(300))?;
    let before: BTreeSet<String> = pool.pods()?.iter().map(|pod| text(pod, "/metadata/name").to_owned()).collect();
    let user = format!("bench-{}", pool.name());
    let kubeconfig = lab.kubeconfig_for(&user, &["system:masters"])?;
    let is_over = AtomicBool::new(false);
    let (wall, seen) = thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(&pool, &is_over));
        let begun = Instant::now();
        let drained = match tool {
            Tool::Kubectl => by_kubectl(lab, &pool, world, &kubeconfig),
            Tool::Sprag => by_sprag(lab, &pool, world, &kubeconfig),
        };
        let wall = begun.elapsed().as_secs_f64();
        // The pods evicted last come back after the tool has gone: that time counts as below desired for both.
        let settled = pool.settle(Duration::from_secs(300));
        is_over.store(true, Ordering::Relaxed);
        let seen = sampler.join().unwrap_or_default();
        drained.and(settled).map(|()| (wall, seen))
    })?;
    let audit: Vec<AuditEntry> = lab.audit()?.into_iter().filter(|entry| entry.user == user).collect();
    Ok(Measured { wall, ..judged(world, &before, &audit, seen) })
}

fn by_kubectl(lab: &Lab, pool: &Pool, world: World, kubeconfig: &std::path::Path) -> Result<()> {
    let nodes: Mutex<VecDeque<String>> = Mutex::new(pool.nodes().iter().cloned().collect());
    let kubectl = |args: &[&str]| -> Result<()> {
        let mut command = Command::new(&lab.binaries().kubectl);
        command.args(args).envs(lab.env()).env("KUBECONFIG", kubeconfig).stdin(Stdio::null());
        let output = command.output()?;
        if output.status.success() {
            Ok(())
        } else {
            Err(testbed::Error::Start(String::from_utf8_lossy(&output.stderr).into_owned()))
        }
    };
    let next = || nodes.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Result<()> {
        while let Some(node) = next() {
            kubectl(&["drain", &node, "--ignore-daemonsets", "--timeout=60m"])?;
            kubectl(&["uncordon", &node])?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..world.concurrency).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Ok(())))
    })
}

fn by_sprag(lab: &Lab, pool: &Pool, world: World, kubeconfig: &std::path::Path) -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let playbook = format!(
        "rollout node in nodes.filter(|n| n.labels[\"pool\"] == \"{}\") concurrency {} {{\n    cordon(node)\n    drain(node, timeout: 1h)\n    uncordon(node)\n}}\n",
        pool.name(),
        world.concurrency,
    );
    std::fs::write(folder.path().join("drain.sprag"), playbook)?;
    let output = Command::new(env!("CARGO_BIN_EXE_sprag"))
        .args(["run", "drain.sprag"])
        .current_dir(folder.path())
        .envs(lab.env())
        .env("KUBECONFIG", kubeconfig)
        .env("SPRAG_DOMAIN", pool.name())
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(testbed::Error::Start(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

/// Lowest number of ready pods of any workload, and the seconds that workloads were below desired, summed.
#[derive(Debug, Clone, Copy)]
struct Seen {
    lowest: u64,
    below: f64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { lowest: u64::from(REPLICAS), below: 0.0 }
    }
}

fn sample(pool: &Pool, is_over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut last = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(SAMPLE);
        let Ok(pods) = pool.lab().api().list(&pool.path("/api/v1", "pods?resourceVersion=0")) else { continue };
        let passed = last.elapsed().as_secs_f64();
        last = Instant::now();
        for app in APPS {
            let is_up = |pod: &&Value| text(pod, "/metadata/labels/app") == app && is_ready(pod) && !is_going(pod);
            let ready = pods.iter().filter(is_up).count() as u64;
            seen.lowest = seen.lowest.min(ready);
            if ready < u64::from(REPLICAS) {
                seen.below += passed;
            }
        }
    }
    seen
}

fn judged(world: World, before: &BTreeSet<String>, audit: &[AuditEntry], seen: Seen) -> Measured {
    let done = |entry: &&AuditEntry| entry.stage == "ResponseComplete";
    let is_eviction = |entry: &&AuditEntry| entry.subresource == "eviction" && entry.code == 201;
    let evicted: Vec<&AuditEntry> = audit.iter().filter(done).filter(is_eviction).collect();
    // What is asked about pods one by one, and about budgets while pods wait for them; lists of pods and watches are there
    // for a node without pods too, and so is the first list of budgets.
    let per_pod = audit.iter().filter(done).filter(|entry| {
        entry.resource == "pods" && !entry.name.is_empty() && matches!(entry.verb.as_str(), "get" | "create" | "delete")
    });
    let checks = audit
        .iter()
        .filter(done)
        .filter(|entry| entry.resource == "poddisruptionbudgets" && matches!(entry.verb.as_str(), "get" | "list"));
    let asked = per_pod.count() + checks.count().saturating_sub(1);
    let mut seconds: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in audit.iter().filter(done) {
        *seconds.entry(entry.at.get(..19).unwrap_or_default()).or_default() += 1;
    }
    Measured {
        wall: 0.0,
        critical: critical_path(world, &evicted),
        moved_twice: evicted.iter().filter(|entry| !before.contains(&entry.name)).count(),
        requests: asked as f64 / evicted.len().max(1) as f64,
        worst_second: seconds.values().copied().max().unwrap_or(0),
        lowest: seen.lowest,
        below: seen.below,
    }
}

/// What the pods' own delays alone cost: of each workload one pod is away at a time, and comes back `ready` seconds
/// after its eviction; the last pod of all takes its time to stop.
fn critical_path(world: World, evicted: &[&AuditEntry]) -> f64 {
    let mut chains: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in evicted {
        let app = APPS.iter().find(|app| entry.name.starts_with(&format!("{app}-"))).copied().unwrap_or_default();
        *chains.entry(app).or_default() += 1;
    }
    let longest = chains.values().copied().max().unwrap_or(0);
    longest.saturating_sub(1) as f64 * f64::from(world.ready) + STOP
}
