//! The two clusters: the testbed's, and the one in a box that begins with the same nodes.

use super::compare::{compare, show};
use super::play::{Cluster, Seen, play};
use super::scenario::{Made, Scenario};
use crate::expect::Outcome;
use crate::testbed::world::{Node, Pool};
use crate::testbed::{Lab, api};
use serde_json::Value;
use sprag::cluster::snapshot::{SCHEMA, Snapshot};
use sprag::rehearse::ledger::Ledger;
use sprag::rehearse::rehearsal::{timings, world};
use sprag::rehearse::script::Script;
use sprag::rehearse::server::{Server, WorldClock, http};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Builder;

/// What a request to the server in a box takes.
const LATENCY: Duration = Duration::from_millis(2);
/// For every choice that is left to chance there.
const SEED: u64 = 1;

/// Plays a scenario on both and compares; shows all of it where `SPRAG_SHOW` is set.
pub fn run(lab: &Arc<Lab>, scenario: &Scenario) -> Outcome {
    let pool = pool(lab, scenario)?;
    let nodes = lab.api().list(&format!("/api/v1/nodes?labelSelector={}", pool.selector().replace('=', "%3D")))?;
    let real = on_real(lab, &pool, scenario);
    forget(lab, &pool, scenario);
    let real = real.map_err(|why| format!("the real cluster: {why}"))?;
    let embedded = in_box(lab, &pool, nodes, scenario).map_err(|why| format!("the cluster in a box: {why}"))?;
    if std::env::var_os("SPRAG_SHOW").is_some() {
        eprintln!("{}\n real\n{} box\n{}", scenario.name, show(&real), show(&embedded));
    }
    compare(scenario, &real, &embedded).map_err(|wrong| wrong.into())
}

fn pool(lab: &Arc<Lab>, scenario: &Scenario) -> Result<Pool, libtest_mimic::Failed> {
    let mut pool = lab.pool(scenario.pool(), 0, &[])?;
    for (index, zone) in scenario.nodes.iter().enumerate() {
        let mut node = Node::new(&format!("{}-{index}", pool.name()));
        if !zone.is_empty() {
            node = node.zone(zone);
        }
        if let Some((cpu, memory, pods)) = scenario.room {
            node = node.allocatable(cpu, memory, pods);
        }
        pool.add(node)?;
    }
    pool.wait_for_nodes(Duration::from_secs(60))?;
    Ok(pool)
}

/// Takes away what lies in no namespace.
fn forget(lab: &Arc<Lab>, pool: &Pool, scenario: &Scenario) {
    for made in &scenario.scene {
        if let Made::Object(path, object) = made
            && !path.contains("/namespaces/")
        {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().replace("$NS", pool.name());
            // It is named after the scenario: if it stays, nobody meets it.
            let _ = lab.api().delete(&format!("{path}/{name}"));
        }
    }
}

fn on_real(lab: &Arc<Lab>, pool: &Pool, scenario: &Scenario) -> Result<Seen, String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let client = api::client(&lab.kubeconfig(), None).await.map_err(|error| error.to_string())?;
        let kubectl = (lab.binaries().kubectl.as_path(), lab.kubeconfig());
        let cluster = Cluster { client, pool: pool.name(), now: &now, kubectl: (kubectl.0, &kubectl.1) };
        play(cluster, scenario).await
    })
}

fn in_box(lab: &Arc<Lab>, pool: &Pool, mut nodes: Vec<Value>, scenario: &Scenario) -> Result<Seen, String> {
    for node in &mut nodes {
        node["kind"] = "Node".into();
        node["apiVersion"] = "v1".into();
        if let Some(meta) = node["metadata"].as_object_mut() {
            meta.shift_remove("managedFields");
        }
    }
    let namespace = serde_json::json!({"metadata": {"name": pool.name()}, "status": {"phase": "Active"}});
    let objects = [("nodes".to_owned(), nodes), ("namespaces".to_owned(), vec![namespace])];
    let snapshot = Snapshot {
        schema: SCHEMA,
        version: "v1.37.2".to_owned(),
        as_of: now(),
        objects: objects.into_iter().collect(),
        ..Snapshot::default()
    };
    let world = world(&snapshot, &timings(&snapshot), SEED, &Script::default(), &Ledger::default())
        .map_err(|error| error.to_string())?;
    let mut builder = Builder::new_current_thread();
    let runtime = match scenario.has_kubectl() {
        true => builder.enable_all().build(),
        false => builder.enable_time().start_paused(true).build(),
    };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let kubeconfig = folder.path().join("box.kubeconfig");
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let server = Server::start(world, Arc::new(WorldClock::begin(snapshot.as_of)), LATENCY);
        let _listening = match scenario.has_kubectl() {
            true => Some(listen(&server, &kubeconfig).await.map_err(|error| error.to_string())?),
            false => None,
        };
        let cluster = Cluster {
            client: server.client(),
            pool: pool.name(),
            now: &|| server.with(|world| world.cluster.now),
            kubectl: (&lab.binaries().kubectl, &kubeconfig),
        };
        play(cluster, scenario).await
    })
}

/// Serves the box on loopback for those who come with this kubeconfig.
async fn listen(server: &Server, kubeconfig: &Path) -> std::io::Result<http::Listening> {
    let listening = http::serve(server.clone(), ([127, 0, 0, 1], 0).into()).await?;
    std::fs::write(kubeconfig, http::kubeconfig(listening.address))?;
    Ok(listening)
}

/// Unix milliseconds.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}
