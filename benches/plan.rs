//! `cargo bench --bench plan`: what `sprag plan` takes for 5,000 nodes and eight steps a node, and how much memory. It is to
//! stay under a second and 300 MB.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde_json::json;
use sprag::check::program::Program;
use sprag::check::{Modules, check};
use sprag::cluster::snapshot::{SCHEMA, Snapshot};
use sprag::expr::FactSource;
use sprag::facts::SharedFacts;
use sprag::plan::graph::{ClusterInfo, Graph};
use sprag::plan::{Given, plan};
use sprag::render::{self, TextOptions};
use sprag::source::SourceMap;

const NODES: usize = 5_000;

const PLAYBOOK: &str = r#"
param target: version = v1.37.2
param pool: string = "workers"

let outdated = nodes.filter(|n| n.labels["pool"] == pool && n.kubelet < target)

assert cluster.version >= target

rollout node in outdated batches [1, 1%, 10%] one node.zone at a time concurrency 3 order by node.zone {
    record before = node.boot_id
    label(node, "zone-was", node.zone)
    cordon(node)
    drain(node, timeout: 20m)
    exec(["upgrade", node.name, node.provider_id ?? node.name]) done when node.kubelet == target
    wait until node.ready && node.boot_id != before within 10m
    uncordon(node)
    wait until node.pods.all(|p| p.ready) for 1m within 10m
} between {
    wait until workloads.regressed.is_empty() within 20m
}
"#;

struct NoModules;

impl Modules for NoModules {
    fn read(&mut self, _: &Path) -> Result<Vec<u8>, String> {
        Err("no such file".to_owned())
    }

    fn standard(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn standard_names(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// A playbook, checked, and the facts of a large cluster.
struct Scene {
    sources: SourceMap,
    program: Program,
    facts: Arc<dyn FactSource>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let mut sources = SourceMap::default();
    let file = sources.add("bench.sprag", None, PLAYBOOK);
    let checked = check(&mut sources, file, &mut NoModules);
    let Some(program) = checked.program else { panic!("{:?}", checked.diagnostics) };
    let facts = SharedFacts::from_snapshot(&snapshot());
    Scene { sources, program, facts: Arc::new(facts) }
});

fn snapshot() -> Snapshot {
    let node = |index: usize| {
        json!({
            "metadata": {
                "name": format!("node-{index:05}"),
                "uid": format!("uid-{index}"),
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"pool": "workers", "topology.kubernetes.io/zone": format!("zone-{}", index % 3)},
            },
            "spec": {"providerID": format!("cloud://{index}")},
            "status": {
                "nodeInfo": {"kubeletVersion": "v1.36.3", "bootID": format!("boot-{index}")},
                "conditions": [{"type": "Ready", "status": "True"}],
                "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
            },
        })
    };
    let objects: BTreeMap<_, _> = [("nodes".to_owned(), (0..NODES).map(node).collect())].into_iter().collect();
    Snapshot { schema: SCHEMA, version: "v1.37.2".to_owned(), objects, ..Snapshot::default() }
}

fn planned() -> Graph {
    let Scene { sources, program, facts } = &*SCENE;
    match plan(program, sources, "bench", &Given::new(), facts, ClusterInfo::default()) {
        Ok(graph) => graph,
        Err(mistakes) => panic!("{mistakes:?}"),
    }
}

#[divan::bench]
fn plan_of_5000_nodes(bencher: divan::Bencher) {
    LazyLock::force(&SCENE);
    bencher.bench(planned);
}

#[divan::bench]
fn tree_as_text(bencher: divan::Bencher) {
    let graph = planned();
    bencher.bench(|| render::text(&graph, TextOptions { steps: false }));
}

#[divan::bench]
fn every_step_as_text(bencher: divan::Bencher) {
    let graph = planned();
    bencher.bench(|| render::text(&graph, TextOptions { steps: true }));
}

#[divan::bench]
fn json(bencher: divan::Bencher) {
    let graph = planned();
    bencher.bench(|| render::json(&graph));
}

fn main() {
    divan::main();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        println!("peak memory {}", peak.trim());
    }
}
