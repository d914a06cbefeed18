//! The testbed itself: that nodes, pods, budgets and evictions behave as the other trials take for granted.

use crate::expect::{Outcome, ensure};
use crate::testbed::api::Patch;
use crate::testbed::bed::Bed;
use crate::testbed::workload::Workload;
use crate::testbed::world::{self, Node, Pool, number, text};
use crate::testbed::{Lab, until};
use libtest_mimic::Trial;
use serde_json::json;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![
        bed.trial("testbed::nodes_register_and_become_ready", nodes_register),
        bed.trial("testbed::a_budget_counts_the_pods_of_a_deployment", budget_counts),
        bed.trial("testbed::kubectl_drains_a_node_as_fast_as_its_pods_stop", kubectl_drains),
        bed.trial("testbed::an_exhausted_budget_refuses_with_a_cause", budget_refuses),
        bed.trial("testbed::a_kubelet_version_once_patched_stays", version_stays),
        bed.trial("testbed::a_pod_marked_as_not_ready_is_ready_again", ready_again),
        bed.trial("testbed::the_audit_log_tells_kubectl_apart", audit_tells),
        bed.trial("testbed::a_finalizer_holds_a_stopped_pod", finalizer_holds),
        bed.trial("testbed::the_grace_period_cuts_a_slow_stop_off", grace_cuts),
        bed.trial("testbed::each_kind_of_workload_runs", kinds_run),
        bed.trial("testbed::a_user_has_the_rights_of_rbac_only", user_rights),
    ]
}

/// What the node controller writes of the pods of a silent node, whose kubelet is there after all.
fn ready_again(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("again", 1, &["a"])?;
    pool.create(Workload::deployment("web", 1))?;
    pool.settle(SOON)?;
    let pods = pool.pods()?;
    let name = text(&pods[0], "/metadata/name");
    let path = pool.path("/api/v1", &format!("pods/{name}/status"));
    let marked = json!({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]}});
    let answer = lab.api().patch(&path, Patch::Strategic, &marked)?;
    ensure(!world::is_ready(&answer), format!("it is marked: {answer}"))?;
    until("the pod is ready again", SOON, || Ok(pool.pods()?.iter().all(world::is_ready).then_some(())))?;
    Ok(())
}

fn nodes_register(lab: &Arc<Lab>) -> Outcome {
    let mut pool = lab.pool("register", 2, &["a", "b"])?;
    pool.add(
        Node::new("register-odd").kubelet("v1.35.1").taint("odd", "yes", "NoSchedule").allocatable("2", "4Gi", 9),
    )?;
    pool.wait_for_nodes(SOON)?;
    let second = pool.node(&pool.nodes()[1])?;
    ensure(text(&second, "/metadata/labels/topology.kubernetes.io~1zone") == "b", "the second node is in zone b")?;
    ensure(text(&second, "/status/nodeInfo/kubeletVersion") == "v1.36.3", "the default version")?;
    ensure(text(&second, "/status/allocatable/cpu") == "16", "the default cpus")?;
    let odd = pool.node("register-odd")?;
    ensure(text(&odd, "/status/nodeInfo/kubeletVersion") == "v1.35.1", "the version asked for")?;
    ensure(text(&odd, "/status/allocatable/pods") == "9", "the resources asked for")?;
    ensure(world::has_taint(&odd, "odd"), "the taint asked for")?;
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/register-odd";
    until("a lease", SOON, || world::found(lab.api().get(lease)))?;
    Ok(())
}

fn budget_counts(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("counts", 3, &[])?;
    pool.create(Workload::deployment("web", 6))?;
    pool.budget("web", json!({"maxUnavailable": 1}))?;
    pool.settle(SOON)?;
    let budget = lab.api().get(&pool.path("/apis/policy/v1", "poddisruptionbudgets/web"))?;
    ensure(number(&budget, "/status/expectedPods") == 6, format!("six are expected: {budget}"))?;
    ensure(number(&budget, "/status/disruptionsAllowed") == 1, format!("one may go: {budget}"))
}

fn kubectl_drains(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("drains", 2, &[])?;
    pool.create(Workload::deployment("web", 4).stop_after("3s"))?;
    pool.create(Workload::daemon_set("agent"))?;
    pool.settle(SOON)?;
    let node = pool.nodes()[0].as_str();
    ensure(pool.pods_on(node)?.len() > 1, "the scheduler spreads the pods")?;
    let begun = Instant::now();
    lab.kubectl(&["drain", node, "--ignore-daemonsets", "--timeout=60s"])?;
    let took = begun.elapsed().as_secs_f64();
    ensure((3.0..20.0).contains(&took), format!("pods that stop in 3 s were drained in {took:.1} s"))?;
    let left: Vec<_> = pool.pods_on(node)?.iter().map(|pod| text(pod, "/metadata/labels/app").to_owned()).collect();
    ensure(left == ["agent"], format!("only the daemon is left: {left:?}"))?;
    Ok(pool.settle(SOON)?)
}

fn budget_refuses(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("refuses", 2, &[])?;
    pool.create(Workload::deployment("db", 2))?;
    pool.budget("db", json!({"minAvailable": 2}))?;
    pool.settle(SOON)?;
    let pods = pool.pods()?;
    let Err(refusal) = pool.evict(text(&pods[0], "/metadata/name")) else {
        return Err("the eviction was accepted".into());
    };
    ensure(refusal.code() == Some(429), format!("{refusal:?}"))?;
    ensure(refusal.has_cause("DisruptionBudget"), format!("{refusal:?}"))
}

/// Longer than any loop that writes a node's status, through a change of its readiness too.
fn version_stays(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("version", 1, &[])?;
    let node = pool.nodes()[0].as_str();
    let patch = r#"{"status":{"nodeInfo":{"kubeletVersion":"v1.37.2"}}}"#;
    lab.kubectl(&["patch", "node", node, "--subresource=status", "-p", patch])?;
    pool.set_node_ready(node, false)?;
    until("the node is not ready", SOON, || Ok((!world::is_ready(&pool.node(node)?)).then_some(())))?;
    pool.set_node_ready(node, true)?;
    pool.wait_for_nodes(SOON)?;
    thread::sleep(Duration::from_secs(16));
    let version = pool.node(node)?;
    ensure(text(&version, "/status/nodeInfo/kubeletVersion") == "v1.37.2", format!("{version}"))?;
    ensure(world::is_ready(&version), "and it is ready")
}

fn audit_tells(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("audit", 1, &[])?;
    let node = pool.nodes()[0].as_str();
    lab.kubectl(&["get", "node", node])?;
    pool.node(node)?;
    let gets = until("both requests are in the log", SOON, || {
        let mut entries = lab.audit()?;
        entries.retain(|entry| entry.verb == "get" && entry.resource == "nodes" && entry.name == node);
        entries.retain(|entry| entry.user == "admin");
        Ok((entries.len() >= 2).then_some(entries))
    })?;
    let agents: Vec<&str> = gets.iter().map(|entry| entry.user_agent.split('/').next().unwrap_or_default()).collect();
    ensure(agents == ["kubectl", "sprag-testbed"], format!("{agents:?}"))?;
    ensure(gets.iter().all(|entry| entry.code == 200 && entry.stage == "ResponseComplete"), format!("{gets:?}"))
}

fn finalizer_holds(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("finalizer", 1, &[])?;
    pool.create(Workload::pod("held").finalizer("sprag.test/hold"))?;
    pool.settle(SOON)?;
    let path = pool.path("/api/v1", "pods/held");
    lab.api().delete(&path)?;
    until("the pod has stopped", SOON, || {
        Ok((text(&lab.api().get(&path)?, "/status/phase") == "Succeeded").then_some(()))
    })?;
    thread::sleep(Duration::from_secs(2));
    ensure(world::found(lab.api().get(&path))?.is_some(), "the finalizer holds it")?;
    lab.api().patch(&path, Patch::Merge, &json!({"metadata": {"finalizers": null}}))?;
    Ok(gone(&pool, "held")?)
}

fn grace_cuts(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("grace", 1, &[])?;
    pool.create(Workload::pod("slow").stop_after("50s").grace(2))?;
    pool.settle(SOON)?;
    let begun = Instant::now();
    lab.api().delete(&pool.path("/api/v1", "pods/slow"))?;
    gone(&pool, "slow")?;
    let took = begun.elapsed().as_secs_f64();
    ensure((2.0..15.0).contains(&took), format!("it went after {took:.1} s"))
}

fn gone(pool: &Pool, pod: &str) -> crate::testbed::Result<()> {
    let path = pool.path("/api/v1", &format!("pods/{pod}"));
    until("the pod is gone", SOON, || Ok(world::found(pool.lab().api().get(&path))?.is_none().then_some(())))
}

fn kinds_run(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("kinds", 2, &[])?;
    pool.create(Workload::stateful_set("db", 2))?;
    pool.create(Workload::daemon_set("agent"))?;
    pool.create(Workload::pod("bare").on(&pool.nodes()[1]))?;
    pool.create(Workload::job("task", 2).complete_after("0.5s"))?;
    pool.settle(SOON)?;
    ensure(pool.pods_on(&pool.nodes()[1])?.len() >= 2, "the bare pod and a daemon are on the second node")?;
    let job = pool.path("/apis/batch/v1", "jobs/task");
    until("the job is done", SOON, || Ok((number(&lab.api().get(&job)?, "/status/succeeded") == 2).then_some(())))?;
    pool.create(Workload::pod("sick").never_ready())?;
    let sick = pool.path("/api/v1", "pods/sick");
    until(
        "the sick pod runs",
        SOON,
        || Ok((text(&lab.api().get(&sick)?, "/status/phase") == "Running").then_some(())),
    )?;
    ensure(!world::is_ready(&lab.api().get(&sick)?), "but is not ready")
}

fn user_rights(lab: &Arc<Lab>) -> Outcome {
    let stranger = lab.kubeconfig_for("stranger", &["strangers"])?;
    let stranger = stranger.to_string_lossy();
    let answer = lab.kubectl(&["--kubeconfig", &stranger, "get", "nodes"]);
    ensure(answer.as_ref().is_err_and(|error| error.contains("Forbidden")), format!("{answer:?}"))
}
