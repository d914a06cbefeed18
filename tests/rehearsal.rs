//! The rehearsal as a bed for the engine: the same seed gives the same events, and a run that is killed anywhere ends as one
//! that was not.
//!
//! A failure names the seed and the point at which it happened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sprag::check::{Modules, check};
use sprag::cluster::snapshot::Snapshot;
use sprag::engine::event::{Event, Progress};
use sprag::engine::{Ending, Settings};
use sprag::expr::FactSource;
use sprag::facts::SharedFacts;
use sprag::journal::Record;
use sprag::plan::graph::{ClusterInfo, Graph};
use sprag::plan::{Given, plan};
use sprag::rehearse::kinds::Kind;
use sprag::rehearse::rehearsal::{Nobody, Rehearsal};
use sprag::rehearse::simulation::{Crash, Side, Simulation};
use sprag::rehearse::world::{DEMO_AS_OF, build, demo, file};
use sprag::source::SourceMap;

/// Small enough to be crashed everywhere: two nodes are upgraded, one at a time, with a budget that holds one of them up.
const WORLD: &str = "
version: v1.37.2
nodes:
  - {name: w, count: 2, kubelet: v1.36.3, labels: {pool: workers}}
  - {name: other, count: 2, kubelet: v1.37.2}
workloads:
  - {name: shop/web, replicas: 4, ready_after: 7s, stop_after: 2s, nodes: [w-1, w-1, w-2, other-1]}
  - {name: shop/mail, replicas: 1, ready_after: 3s, stop_after: 1s, nodes: [w-2]}
  - {name: pay/ledger, kind: StatefulSet, replicas: 2, ready_after: 5s, stop_after: 3s, nodes: [w-1, other-2]}
budgets:
  - {name: shop/web, max_unavailable: 1}
  - {name: pay/ledger, min_available: 1}
";

const PLAYBOOK: &str = r#"
param target: version = v1.37.2

rollout node in nodes.filter(|n| n.kubelet < target) batches [1] {
    label(node, "upgrading", "yes")
    cordon(node)
    drain(node, timeout: 15m)
    exec(["upgrade"]) done when node.kubelet == target takes 20s as "upgrade"
    wait until node.ready && node.kubelet == target within 10m
    uncordon(node)
    label(node, "upgrading", none)
    wait until node.pods.all(|p| p.ready) for 10s within 10m
}
assert nodes.all(|n| n.kubelet == target)
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

fn world(text: &str) -> Snapshot {
    let mut sources = SourceMap::default();
    let file = sources.add("world.yaml", None, text);
    build::snapshot(&file::read(&sources, file).expect("a world"), DEMO_AS_OF)
}

fn graph(playbook: &str, snapshot: &Snapshot) -> Arc<Graph> {
    let mut sources = SourceMap::default();
    let file = sources.add("playbook.sprag", None, playbook);
    let checked = check(&mut sources, file, &mut NoModules);
    let program = checked.program.unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
    let facts = SharedFacts::from_snapshot(snapshot);
    facts.set_now(snapshot.as_of);
    let facts: Arc<dyn FactSource> = Arc::new(facts);
    let cluster = ClusterInfo {
        uid: snapshot.cluster.clone(),
        name: "box".to_owned(),
        version: snapshot.version.clone(),
        as_of: snapshot.as_of,
    };
    Arc::new(plan(&program, &sources, "case", &Given::default(), &facts, cluster).expect("a plan"))
}

fn rehearsal<'a>(graph: &Arc<Graph>, snapshot: &'a Snapshot) -> Rehearsal<'a> {
    Rehearsal::new(graph.clone(), snapshot, Settings::default(), BTreeMap::new())
}

fn written(records: &[Record<Event>]) -> String {
    let lines = records.iter().map(|record| {
        let event = serde_json::to_string(&record.event).expect("an event");
        format!("{} {event}\n", record.at)
    });
    lines.collect()
}

/// What is left of a world after a run, but for names that are generated: nodes, and how many pods each workload has where.
fn left(simulation: &Simulation) -> String {
    simulation.server().with(|world| {
        let mut out = String::new();
        for node in world.cluster.store.all(Kind::Node) {
            let value = node.to_value();
            let (kubelet, spec) = (&value["status"]["nodeInfo"]["kubeletVersion"], &value["spec"]["unschedulable"]);
            let (labels, marks) = (&value["metadata"]["labels"], &value["metadata"]["annotations"]);
            out.push_str(&format!("{} {kubelet} {spec} {labels} {marks}\n", node.meta.name));
        }
        for kind in [Kind::Deployment, Kind::StatefulSet] {
            for workload in world.cluster.store.all(kind) {
                out.push_str(&format!("{} {:?}\n", workload.key(), workload.status("/readyReplicas")));
            }
        }
        out
    })
}

/// No pod was evicted twice to effect, and no budget allowed less than nothing.
fn check_evictions(records: &[Record<Event>], point: &str) {
    let mut seen = BTreeSet::new();
    for record in records {
        if let Event::StepProgress { progress: Progress::Evicted { pod, .. }, .. } = &record.event {
            assert!(seen.insert(pod.uid.clone()), "{point}: `{}` was evicted twice", pod.name);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let snapshot = demo().expect("the demo is a world");
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/playbooks/demo.sprag")).expect("a playbook");
    let graph = graph(&text, &snapshot);
    let mut all = BTreeSet::new();
    for seed in 1..=3 {
        let once = || written(&rehearsal(&graph, &snapshot).with_seed(seed, &mut Nobody).expect("a rehearsal").records);
        let (one, other) = (once(), once());
        assert!(one == other, "seed {seed} gives other events the second time");
        assert!(one.lines().count() > 100, "seed {seed}: a run of {} events", one.lines().count());
        all.insert(one);
    }
    assert!(all.len() > 1, "other seeds give other events");
}

/// The run is killed at a point, taken up again a while later, and ends as one that was not killed.
fn sweep(crash: impl Fn(usize) -> Crash, name: &str) -> usize {
    let snapshot = world(WORLD);
    let graph = graph(PLAYBOOK, &snapshot);
    let mut whole = rehearsal(&graph, &snapshot).simulation(1).expect("a world");
    let ending = whole.drive(None, &mut Nobody).expect("it ends");
    assert!(matches!(ending, Ending::Ended(_)), "{ending:?}");
    whole.pass(Duration::from_secs(60));
    let expected = left(&whole);
    for nth in 1.. {
        let point = format!("{name} {nth}, seed 1");
        let mut simulation = rehearsal(&graph, &snapshot).simulation(1).expect("a world");
        let first = simulation.drive(Some(crash(nth)), &mut Nobody);
        if first.is_ok() {
            return nth;
        }
        if matches!(simulation.records().last(), Some(last) if matches!(last.event, Event::RunEnded { .. })) {
            return nth;
        }
        simulation.pass(Duration::from_secs(3));
        let ending = simulation.drive(None, &mut Nobody).unwrap_or_else(|error| panic!("{point}: {error}"));
        assert!(matches!(ending, Ending::Ended(_)), "{point}: {ending:?}\n{}", written(&simulation.records()));
        check_evictions(&simulation.records(), &point);
        simulation.pass(Duration::from_secs(60));
        assert_eq!(left(&simulation), expected, "{point}");
    }
    0
}

#[test]
fn killed_after_each_record() {
    let points = sweep(Crash::AfterRecord, "after record");
    assert!(points > 30, "{points} records");
}

#[test]
fn killed_before_each_mutation() {
    let points = sweep(|nth| Crash::AtMutation(nth, Side::Before), "before mutation");
    assert!(points > 10, "{points} mutations");
}

#[test]
fn killed_after_each_mutation() {
    let points = sweep(|nth| Crash::AtMutation(nth, Side::After), "after mutation");
    assert!(points > 10, "{points} mutations");
}
