//! The API server away, or refusing: away for six minutes, on a control plane of its own, nothing fails, clocks stand
//! still, and the run goes on by itself; what is refused for good halts the run, or does not let it begin.

use crate::expect::ensure;
use crate::sprag::Sprag;
use crate::testbed::api::Patch;
use crate::testbed::bed::Bed;
use crate::testbed::lab::OwnLab;
use crate::testbed::proxy::Proxy;
use crate::testbed::workload::Workload;
use crate::testbed::world::{Pool, is_going, is_ready, text};
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use serde_json::json;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

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

const UNREADY: &str = r#"
param pool: string

wait until nodes.any(|n| n.labels["pool"] == pool && !n.ready) within 10m
"#;

const DELETES: &str = r#"
param pool: string
param second: string

rollout node in nodes.filter(|n| n.labels["pool"] == pool) {
    exec(["kubectl", "delete", "node", second])
}
"#;

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![
        bed.trial("away::six_minutes_with_a_drain_open_and_a_hold_running", six_minutes),
        bed.trial("away::a_watch_is_refused_in_mid_run", watch_refused),
        bed.trial("away::rights_that_are_missing_are_told_before_the_first_step", rights_missing),
        bed.trial("away::given_up_after_a_while_and_resumed", given_up),
        bed.trial("away::an_element_is_looked_at_again_before_it_begins", element_confirmed),
    ]
}

/// The requests of steps are allowed: only the watches of the nodes are not any more.
fn watch_refused(lab: &Arc<Lab>) -> Result<(), Failed> {
    let pool = lab.pool("watched", 1, &["a"])?;
    let proxy = Proxy::start(&lab.kubeconfig())?;
    let sprag = Sprag::new(lab)?.with_kubeconfig(proxy.kubeconfig());
    sprag.write("playbook.sprag", UNREADY)?;
    let set = format!("pool={}", pool.name());
    let mut child = sprag.start(&["run", "playbook.sprag", "--set", &set], "run")?;
    has_begun(&sprag)?;
    // Broken, so that the watches are opened anew.
    proxy.set(|weather| weather.partitioned = true);
    thread::sleep(Duration::from_secs(1));
    proxy.calm();
    proxy.set(|weather| weather.refused = Some(("/api/v1/nodes?watch=1".into(), 403)));
    let status = child.wait()?;
    let said = sprag.said("run");
    ensure(status.code() == Some(13), format!("{status}: {said}"))?;
    let told = sprag.run(&["status"])?.stdout;
    ensure(told.contains("does not let sprag read what the run needs"), format!("it says why: {told}"))?;
    proxy.calm();
    pool.set_node_ready(&pool.nodes()[0], false)?;
    let done = sprag.run(&["resume"])?;
    ensure(done.code == Some(0), format!("{done:?}"))
}

fn rights_missing(lab: &Arc<Lab>) -> Result<(), Failed> {
    let pool = lab.pool("rights", 1, &["a"])?;
    let rule = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]});
    let role = json!({"metadata": {"name": "sprag-reader"}, "rules": [rule]});
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sprag-reader"});
    let user = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"});
    let binding = json!({"metadata": {"name": "sprag-reader"}, "roleRef": reference, "subjects": [user]});
    lab.api().create("/apis/rbac.authorization.k8s.io/v1/clusterroles", &role)?;
    lab.api().create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding)?;
    let sprag = Sprag::new(lab)?.with_kubeconfig(lab.kubeconfig_for("reader", &[])?);
    sprag.write("playbook.sprag", BOTH)?;
    let set = format!("pool={}", pool.name());
    let done = sprag.run(&["run", "playbook.sprag", "--set", &set])?;
    ensure(done.code == Some(5), format!("{done:?}"))?;
    let named = ["E712", "`patch nodes`", "`create pods/eviction`"];
    ensure(named.iter().all(|name| done.stderr.contains(name)), format!("told: {}", done.stderr))?;
    ensure(sprag.run(&["runs"])?.stdout.contains("no runs"), "no run was begun")
}

fn given_up(lab: &Arc<Lab>) -> Result<(), Failed> {
    let pool = lab.pool("given", 1, &["a"])?;
    let proxy = Proxy::start(&lab.kubeconfig())?;
    let sprag = Sprag::new(lab)?.with_kubeconfig(proxy.kubeconfig());
    sprag.write("playbook.sprag", UNREADY)?;
    let set = format!("pool={}", pool.name());
    let args = ["run", "playbook.sprag", "--set", &set, "--give-up-after", "20s"];
    let mut child = sprag.start(&args, "run")?;
    has_begun(&sprag)?;
    proxy.set(|weather| weather.partitioned = true);
    let status = child.wait()?;
    let said = sprag.said("run");
    ensure(status.code() == Some(13), format!("{status}: {said}"))?;
    ensure(said.contains("out of reach"), format!("it says so: {said}"))?;
    ensure(sprag.run(&["resume"])?.code == Some(13), "it is not there for a resume either")?;
    proxy.calm();
    pool.set_node_ready(&pool.nodes()[0], false)?;
    let done = sprag.run(&["resume"])?;
    ensure(done.code == Some(0), format!("{done:?}"))
}

/// The first element deletes the second, and the watch that would tell lags behind.
fn element_confirmed(lab: &Arc<Lab>) -> Result<(), Failed> {
    let pool = lab.pool("second", 2, &["a"])?;
    let proxy = Proxy::start(&lab.kubeconfig())?;
    proxy.set(|weather| weather.watch_lag = Duration::from_secs(20));
    let sprag = Sprag::new(lab)?.with_kubeconfig(proxy.kubeconfig());
    sprag.write("playbook.sprag", DELETES)?;
    let second = &pool.nodes()[1];
    let sets = [format!("pool={}", pool.name()), format!("second={second}")];
    let done = sprag.run(&["run", "playbook.sprag", "--set", &sets[0], "--set", &sets[1]])?;
    ensure(done.code == Some(0), format!("{done:?}"))?;
    ensure(done.stderr.contains("gone before its turn"), format!("it is skipped: {}", done.stderr))?;
    ensure(!done.stderr.contains(&format!("{second}/exec")), format!("nothing is begun for it: {}", done.stderr))
}

fn has_begun(sprag: &Sprag) -> Result<(), Failed> {
    until("the wait has begun", SOON, || {
        let status = sprag.run(&["status"])?;
        Ok((status.code == Some(0) && status.stdout.contains("wait")).then_some(()))
    })?;
    Ok(())
}

/// A kwok whose request failed forgets what it was about to do with a pod, until the pod changes; a kubelet does not.
fn remind_kubelets(pool: &Pool) -> Result<(), Failed> {
    for pod in pool.pods()?.iter().filter(|pod| is_going(pod) || !is_ready(pod)) {
        let path = pool.path("/api/v1", &format!("pods/{}", text(pod, "/metadata/name")));
        let body = json!({"metadata": {"annotations": {"sprag.test/reminded": format!("{:?}", Instant::now())}}});
        pool.lab().api().patch(&path, Patch::Merge, &body)?;
    }
    Ok(())
}

fn six_minutes(shared: &Arc<Lab>) -> Result<(), Failed> {
    let lab = OwnLab::start(shared.binaries().clone())?;
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
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None => remind_kubelets(&pool)?,
        }
        thread::sleep(Duration::from_secs(5));
    };
    let said = sprag.said("run");
    ensure(status.success(), format!("{status}: {said}"))?;
    ensure(!said.contains("failed"), format!("nothing failed: {said}"))?;
    let node = pool.node(&pool.nodes()[0])?;
    ensure(node.pointer("/spec/unschedulable") != Some(&json!(true)), "the node is open")
}
