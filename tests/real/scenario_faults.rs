//! Faults between sprag and the API server: no gate passes and nothing is evicted on old news, nothing is done twice, and
//! when the fault is over the run goes on by itself.

use crate::expect::{Outcome, ended, ensure, evictions};
use crate::sprag::Sprag;
use crate::testbed::bed::Bed;
use crate::testbed::proxy::Proxy;
use crate::testbed::workload::Workload;
use crate::testbed::world::Pool;
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use serde_json::json;
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);

const DRAINS: &str = r#"
param pool: string

rollout node in nodes.filter(|n| n.labels["pool"] == pool) {
    cordon(node)
    drain(node, timeout: 5m)
    wait until node.ready for 2s within 5m
    uncordon(node)
    wait until workloads.filter(|w| w.namespace == pool).all(|w| w.available >= w.desired) within 5m
}
"#;

/// `exec` makes the node not ready and comes back when the server knows: a cache that lags still has it ready.
const STALE: &str = r#"
param pool: string

rollout node in nodes.filter(|n| n.labels["pool"] == pool) {
    exec(["sh", "-c", "export KUBECONFIG=$TESTBED_KUBECONFIG; kubectl annotate node $1 sprag.test/not-ready=true && kubectl wait --for=condition=Ready=false node/$1", "sh", node.name])
    wait until node.ready within 3m
    log("passed ${node.name}")
}
"#;

/// Each `record` reads what the step before it changed, as the caches have it.
const OWN: &str = r#"
param pool: string

rollout node in nodes.filter(|n| n.labels["pool"] == pool).filter(|n| n.zone == "a") {
    cordon(node)
    record is_open = node.schedulable
    label(node, "ours", "yes")
    record ours = node.labels["ours"] ?? "no"
    uncordon(node)
    log("open ${is_open}, ours ${ours}")
}
rollout w in workloads.filter(|w| w.namespace == pool) {
    scale(w, 4)
    record desired = w.desired
    log("desired ${desired}")
}
apply("other.yaml")
record workloads_now = workloads.filter(|w| w.namespace == pool).len()
log("workloads ${workloads_now}")
"#;

/// A step that needs no cluster, whose time comes while the cluster is away.
const MEANWHILE: &str = r#"
param pool: string

parallel {
    wait until nodes.filter(|n| n.labels["pool"] == pool).any(|n| !n.ready) within 5m
    group "meanwhile" {
        wait 20s
        log("it began")
    }
}
"#;

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![
        bed.trial("faults::bytes_stop_with_the_connection_open", frozen),
        bed.trial("faults::a_partition", partition),
        bed.trial("faults::no_gate_passes_on_a_watch_that_lags", lagging),
        bed.trial("faults::our_own_writes_are_awaited_where_watches_lag", own_writes),
        bed.trial("faults::nothing_begins_while_out_of_reach", nothing_begins),
        bed.trial("faults::watches_expire_in_mid_stream", expired),
        bed.trial("faults::everything_is_said_twice", doubled),
        bed.trial("faults::answers_of_mutations_are_lost", lost_answers),
        bed.trial("faults::the_login_ends_in_mid_run", login_ends),
        bed.trial("faults::a_right_is_taken_in_mid_run", right_taken),
    ]
}

/// A pool of two nodes with a workload under a budget, a proxy before its API server, and sprag behind the proxy.
struct Scene {
    pool: Pool,
    proxy: Proxy,
    sprag: Sprag,
}

impl Scene {
    fn new(lab: &Arc<Lab>, name: &str, playbook: &str) -> Result<Scene, Failed> {
        let pool = lab.pool(name, 2, &["a", "b"])?;
        pool.create(Workload::deployment("web", 6).ready_after("0.5s").stop_after("0.5s"))?;
        pool.budget("web", json!({"maxUnavailable": 1}))?;
        pool.settle(SOON)?;
        let proxy = Proxy::start(&lab.kubeconfig())?;
        let sprag = Sprag::new(lab)?.with_kubeconfig(proxy.kubeconfig());
        sprag.write("playbook.sprag", playbook)?;
        Ok(Scene { pool, proxy, sprag })
    }

    fn start(&self) -> Result<Child, Failed> {
        Ok(self.sprag.start(&["run", "playbook.sprag", "--set", &format!("pool={}", self.pool.name())], "run")?)
    }

    /// Waits until the run has said this.
    fn heard(&self, text: &str) -> Outcome {
        let told = until(&format!("`{text}`"), SOON, || Ok(self.sprag.said("run").contains(text).then_some(())));
        told.map_err(|error| format!("{error}\n{}", self.sprag.said("run")).into())
    }

    /// The run ends well, every node is open, and no pod was evicted more than once.
    fn ends_well(&self, mut child: Child) -> Outcome {
        let status = child.wait()?;
        ensure(status.success(), format!("{status}: {}", self.sprag.said("run")))?;
        for name in self.pool.nodes() {
            let node = self.pool.node(name)?;
            ensure(node.pointer("/spec/unschedulable") != Some(&json!(true)), format!("{name} is open: {node}"))?;
        }
        let evictions = evictions(&self.pool)?;
        ensure(!evictions.is_empty(), "pods were evicted")?;
        ensure(evictions.values().all(|count| *count == 1), format!("evicted once each: {evictions:?}"))
    }
}

/// Longer than the 75 s of silence after which facts are unknown.
fn frozen(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "frozen", DRAINS)?;
    let mut child = scene.start()?;
    scene.heard("evicted")?;
    scene.proxy.set(|weather| weather.frozen = true);
    thread::sleep(Duration::from_secs(2));
    let before = scene.sprag.said("run").matches("  done ").count();
    thread::sleep(Duration::from_secs(90));
    ensure(child.try_wait()?.is_none(), format!("the run stands still: {}", scene.sprag.said("run")))?;
    let said = scene.sprag.said("run");
    ensure(said.matches("  done ").count() == before, format!("nothing is done meanwhile: {said}"))?;
    ensure(said.contains("out of reach"), format!("it says so: {said}"))?;
    scene.proxy.calm();
    scene.ends_well(child)
}

fn partition(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "partition", DRAINS)?;
    let child = scene.start()?;
    scene.heard("evicted")?;
    scene.proxy.set(|weather| weather.partitioned = true);
    thread::sleep(Duration::from_secs(30));
    scene.proxy.calm();
    scene.ends_well(child)
}

fn lagging(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "lagging", STALE)?;
    scene.proxy.set(|weather| weather.watch_lag = Duration::from_secs(20));
    let mut child = scene.start()?;
    for name in scene.pool.nodes() {
        scene.heard(&format!("{name}/exec  done"))?;
        thread::sleep(Duration::from_secs(5));
        ensure(
            !scene.sprag.said("run").contains(&format!("passed {name}")),
            format!("{name} is not ready: {}", scene.sprag.said("run")),
        )?;
        scene.pool.set_node_ready(name, true)?;
    }
    let status = child.wait()?;
    ensure(status.success(), format!("{status}: {}", scene.sprag.said("run")))
}

fn own_writes(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "own", OWN)?;
    let labels = json!({"app": "other"});
    let other = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "other", "namespace": scene.pool.name()},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "app:1"}]},
        }},
    });
    scene.sprag.write("other.yaml", &other.to_string())?;
    scene.proxy.set(|weather| weather.watch_lag = Duration::from_secs(5));
    let status = scene.start()?.wait()?;
    let said = scene.sprag.said("run");
    ensure(status.success(), format!("{status}: {said}"))?;
    for words in ["open false, ours yes", "desired 4", "workloads 2"] {
        ensure(said.contains(words), format!("`{words}`: {said}"))?;
    }
    Ok(())
}

fn nothing_begins(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "meanwhile", MEANWHILE)?;
    let mut child = scene.start()?;
    scene.heard("meanwhile/wait  begins")?;
    // Shorter than what counts as out of reach.
    scene.proxy.set(|weather| weather.partitioned = true);
    thread::sleep(Duration::from_secs(6));
    scene.proxy.calm();
    thread::sleep(Duration::from_secs(2));
    let said = scene.sprag.said("run");
    ensure(!said.contains("out of reach"), format!("a short one is not told: {said}"))?;
    scene.proxy.set(|weather| weather.partitioned = true);
    thread::sleep(Duration::from_secs(30));
    let said = scene.sprag.said("run");
    ensure(said.matches("the cluster is out of reach").count() == 1, format!("it is told once: {said}"))?;
    ensure(!said.contains("it began"), format!("nothing begins: {said}"))?;
    ensure(child.try_wait()?.is_none(), format!("the run waits: {said}"))?;
    scene.proxy.calm();
    scene.heard("it began")?;
    scene.pool.set_node_ready(&scene.pool.nodes()[0], false)?;
    let status = child.wait()?;
    let said = scene.sprag.said("run");
    ensure(status.success(), format!("{status}: {said}"))?;
    ensure(said.matches("the cluster is out of reach").count() == 1, format!("once in all: {said}"))
}

fn expired(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "expired", DRAINS)?;
    let child = scene.start()?;
    scene.heard("evicted")?;
    for _ in 0..3 {
        scene.proxy.set(|weather| weather.expired = true);
        thread::sleep(Duration::from_secs(1));
        scene.proxy.calm();
        thread::sleep(Duration::from_secs(2));
    }
    scene.ends_well(child)
}

fn doubled(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "doubled", DRAINS)?;
    scene.proxy.set(|weather| weather.doubled = true);
    let child = scene.start()?;
    scene.ends_well(child)
}

fn lost_answers(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "answers", DRAINS)?;
    scene.proxy.lose(1, "/api/v1/nodes/");
    let child = scene.start()?;
    until("the cordon's answer is lost", SOON, || Ok((scene.proxy.left_to_lose() == 0).then_some(())))?;
    scene.proxy.lose(3, "/eviction");
    scene.ends_well(child)?;
    ensure(scene.proxy.left_to_lose() == 0, "answers of evictions were lost")
}

fn login_ends(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "login", DRAINS)?;
    let mut child = scene.start()?;
    scene.heard("evicted")?;
    scene.proxy.set(|weather| weather.refused = Some((String::new(), 401)));
    let status = child.wait()?;
    ensure(status.code() == Some(13), format!("{status}: {}", scene.sprag.said("run")))?;
    scene.proxy.calm();
    ended(&scene.sprag.run(&["resume"])?, 0)
}

/// The server's own word, of a user whose binding goes.
fn right_taken(lab: &Arc<Lab>) -> Outcome {
    let mut scene = Scene::new(lab, "right", DRAINS)?;
    let user = format!("{}-user", scene.pool.name());
    let evictor = format!("{user}-evicts");
    let most = ["nodes", "pods", "deployments", "replicasets", "statefulsets", "daemonsets", "poddisruptionbudgets"];
    grant(&scene.pool, &user, &user, &[&most[..], &["leases", "volumeattachments", "namespaces"]].concat())?;
    grant(&scene.pool, &user, &evictor, &["pods/eviction"])?;
    scene.sprag = Sprag::new(lab)?.with_kubeconfig(lab.kubeconfig_for(&user, &[])?);
    scene.sprag.write("playbook.sprag", DRAINS)?;
    let mut child = scene.start()?;
    scene.heard("evicted")?;
    lab.api().delete(&format!("{RBAC}/clusterrolebindings/{evictor}"))?;
    let status = child.wait()?;
    let said = scene.sprag.said("run");
    ensure(status.code() == Some(13), format!("{status}: {said}"))?;
    let named = ["sprag may not create `pods/eviction`", &format!("in the namespace \"{}\"", scene.pool.name())];
    ensure(named.iter().all(|name| said.contains(name)), format!("it names what is missing: {said}"))?;
    bind(&scene.pool, &user, &evictor)?;
    let resumed = scene.sprag.run(&["resume"])?;
    for role in [&user, &evictor] {
        lab.api().delete(&format!("{RBAC}/clusterrolebindings/{role}"))?;
        lab.api().delete(&format!("{RBAC}/clusterroles/{role}"))?;
    }
    ended(&resumed, 0)
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Gives a user every right to some resources, by a role and a binding of that name.
fn grant(pool: &Pool, user: &str, role: &str, resources: &[&str]) -> Outcome {
    let rule = json!({"apiGroups": ["*"], "resources": resources, "verbs": ["*"]});
    let object = json!({"metadata": {"name": role}, "rules": [rule]});
    pool.lab().api().create(&format!("{RBAC}/clusterroles"), &object)?;
    bind(pool, user, role)
}

fn bind(pool: &Pool, user: &str, role: &str) -> Outcome {
    let group = "rbac.authorization.k8s.io";
    let object = json!({
        "metadata": {"name": role},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    });
    Ok(pool.lab().api().create(&format!("{RBAC}/clusterrolebindings"), &object).map(drop)?)
}
