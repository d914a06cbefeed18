//! Drains held against `kubectl drain` on equal worlds, pod by pod: the same evictions and the same refusals, except
//! where sprag says that it does otherwise.

use crate::expect::{Outcome, ensure};
use crate::sprag::Sprag;
use crate::testbed::bed::Bed;
use crate::testbed::workload::Workload;
use crate::testbed::world::{Node, Pool, is_going, number, text};
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);

/// A world that both tools drain: what is on the node, what each is told, and what is expected of each.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    world: fn(&Pool) -> Outcome,
    /// Arguments of `kubectl drain` beside `--ignore-daemonsets`.
    kubectl: &'static [&'static str],
    /// Arguments of `drain` beside the node and the timeout.
    sprag: &'static str,
    /// How many pods of each app kubectl evicts, and sprag.
    evicted: [&'static [(&'static str, usize)]; 2],
    /// Of a drain that does not end: what sprag says of it.
    refused: Option<&'static str>,
}

const fn case(name: &'static str, world: fn(&Pool) -> Outcome) -> Case {
    Case { name, world, kubectl: &[], sprag: "", evicted: [&[], &[]], refused: None }
}

impl Case {
    /// With these arguments for kubectl and for sprag.
    const fn with(mut self, kubectl: &'static [&'static str], sprag: &'static str) -> Case {
        self.kubectl = kubectl;
        self.sprag = sprag;
        self
    }

    /// Both end, with these evictions.
    const fn evicts(self, evicted: &'static [(&'static str, usize)]) -> Case {
        self.differ(evicted, evicted)
    }

    /// Both end; kubectl with the first evictions, sprag with the second.
    const fn differ(
        mut self,
        kubectl: &'static [(&'static str, usize)],
        sprag: &'static [(&'static str, usize)],
    ) -> Case {
        self.evicted = [kubectl, sprag];
        self
    }

    /// Neither evicts anything, and sprag says this.
    const fn refused(mut self, says: &'static str) -> Case {
        self.refused = Some(says);
        self
    }
}

const CASES: &[Case] = &[
    case("bare_pod", bare).refused("shop-bare has no controller"),
    case("bare_pod_accepted", bare).with(&["--force"], "orphans: \"delete\"").evicts(&[("shop-bare", 1), ("web", 2)]),
    case("empty_dir", empty_dir).refused("has an emptyDir"),
    case("empty_dir_accepted", empty_dir)
        .with(&["--delete-emptydir-data"], "emptydir: \"delete\"")
        .evicts(&[("scratch", 1), ("web", 2)]),
    case("mirror_pod", mirror).evicts(&[("web", 2)]),
    case("daemon_set", daemon_set).evicts(&[("web", 2)]),
    case("orphan_of_a_daemon_set", orphan).refused("has no controller"),
    // kubectl evicts what has ended, which nobody needs: sprag leaves it to whoever cleans up.
    case("finished_pod", finished).differ(&[("batch", 1), ("web", 2)], &[("web", 2)]),
    // kubectl evicts what goes anyway; both wait until it is gone.
    case("terminating_pod", terminating).differ(&[("db", 1)], &[]),
    case("not_ready_if_healthy_budget", |pool| not_ready(pool, "IfHealthyBudget")).refused("W102"),
    case("not_ready_always_allow", |pool| not_ready(pool, "AlwaysAllow")).evicts(&[("broken", 2)]),
    case("two_budgets", two_budgets).refused("W103"),
    case("budget_of_zero", |pool| budget(pool, json!({"maxUnavailable": 0}))).refused("W101"),
    case("budget_of_one", |pool| budget(pool, json!({"maxUnavailable": 1}))).evicts(&[("web", 2)]),
    case("budget_with_an_empty_selector", empty_selector).evicts(&[("web", 2)]),
    case("namespace_terminating", namespace_terminating),
];

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    let trial = |case: &Case| {
        let case = *case;
        bed.trial(&format!("drains::like_kubectl::{}", case.name), move |lab| compare(lab, case))
    };
    CASES.iter().map(trial).collect()
}

/// Fails a trial that does not find what it says.
pub fn web(pool: &Pool) -> Outcome {
    Ok(pool.create(Workload::deployment("web", 2).ready_after("0.5s").stop_after("0.5s"))?)
}

fn settled(pool: &Pool) -> Outcome {
    web(pool)?;
    Ok(pool.settle(SOON)?)
}

fn bare(pool: &Pool) -> Outcome {
    pool.create(Workload::pod("shop-bare").stop_after("0.5s"))?;
    settled(pool)
}

fn empty_dir(pool: &Pool) -> Outcome {
    let scratch = json!([{"name": "scratch", "emptyDir": {}}]);
    pool.create(Workload::deployment("scratch", 1).pod_spec("volumes", scratch).stop_after("0.5s"))?;
    settled(pool)
}

fn mirror(pool: &Pool) -> Outcome {
    let first = pool.nodes().first().ok_or("a node")?;
    pool.create(Workload::pod("static").annotation("kubernetes.io/config.mirror", "x").on(first))?;
    settled(pool)
}

fn daemon_set(pool: &Pool) -> Outcome {
    pool.create(Workload::daemon_set("agent"))?;
    settled(pool)
}

fn orphan(pool: &Pool) -> Outcome {
    daemon_set(pool)?;
    pool.lab().kubectl(&["-n", pool.name(), "delete", "daemonset", "agent", "--cascade=orphan"])?;
    Ok(until("the pod has no owner", SOON, || {
        let pods = pool.pods()?;
        let mut agents = pods.iter().filter(|pod| text(pod, "/metadata/labels/app") == "agent");
        Ok(agents.all(|pod| pod.pointer("/metadata/ownerReferences").is_none()).then_some(()))
    })?)
}

fn finished(pool: &Pool) -> Outcome {
    pool.create(Workload::job("batch", 1).ready_after("0.2s").complete_after("0.2s"))?;
    until("the job has ended", SOON, || {
        Ok(pool.pods()?.iter().any(|pod| text(pod, "/status/phase") == "Succeeded").then_some(()))
    })?;
    settled(pool)
}

fn terminating(pool: &Pool) -> Outcome {
    pool.create(Workload::stateful_set("db", 1).ready_after("0.2s").stop_after("12s"))?;
    Ok(pool.settle(SOON)?)
}

fn not_ready(pool: &Pool, policy: &str) -> Outcome {
    pool.create(Workload::deployment("broken", 2).never_ready().stop_after("0.5s"))?;
    pool.budget("broken", json!({"minAvailable": 1, "unhealthyPodEvictionPolicy": policy}))?;
    until("the pods run", SOON, || {
        let running = pool.pods()?.iter().filter(|pod| text(pod, "/status/phase") == "Running").count();
        Ok((running == 2).then_some(()))
    })?;
    counted(pool, "broken", 2)
}

fn two_budgets(pool: &Pool) -> Outcome {
    settled(pool)?;
    budget_named(pool, "first", json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}))?;
    budget_named(pool, "second", json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}))
}

fn budget(pool: &Pool, limits: Value) -> Outcome {
    web(pool)?;
    pool.budget("web", limits)?;
    pool.settle(SOON)?;
    counted(pool, "web", 2)
}

fn empty_selector(pool: &Pool) -> Outcome {
    settled(pool)?;
    budget_named(pool, "all", json!({"maxUnavailable": 1, "selector": {}}))
}

/// With a budget that is in force for both of the pods.
fn budget_named(pool: &Pool, name: &str, spec: Value) -> Outcome {
    let budget = json!({"metadata": {"name": name}, "spec": spec});
    pool.lab().api().create(&pool.path("/apis/policy/v1", "poddisruptionbudgets"), &budget)?;
    counted(pool, name, 2)
}

fn counted(pool: &Pool, budget: &str, pods: u64) -> Outcome {
    let path = pool.path("/apis/policy/v1", &format!("poddisruptionbudgets/{budget}"));
    Ok(until("the budget is in force", SOON, || {
        Ok((number(&pool.lab().api().get(&path)?, "/status/expectedPods") == pods).then_some(()))
    })?)
}

fn namespace_terminating(pool: &Pool) -> Outcome {
    terminating(pool)
}

// Both tools.

/// What a tool did.
#[derive(Debug, PartialEq)]
struct Drained {
    /// Whether it ended well.
    done: bool,
    /// How many pods of each app it evicted from the node.
    evicted: BTreeMap<String, usize>,
    /// How many pods of each app are left there, those that have ended apart.
    left: BTreeMap<String, usize>,
}

fn compare(lab: &Arc<Lab>, case: Case) -> Outcome {
    let ((kubectl, heard), (sprag, said)) = thread::scope(|scope| {
        let kubectl = scope.spawn(|| drained(lab, case, true));
        let sprag = drained(lab, case, false);
        let kubectl = kubectl.join().map_err(|_| Failed::from("the kubectl side panicked"))??;
        Ok::<_, Failed>((kubectl, sprag?))
    })?;
    let told = format!("\nkubectl {kubectl:?}\n{heard}\nsprag {sprag:?}\n{said}");
    ensure(kubectl.done == sprag.done && sprag.done == case.refused.is_none(), format!("both end or neither{told}"))?;
    for (tool, drained, expected) in [("kubectl", &kubectl, case.evicted[0]), ("sprag", &sprag, case.evicted[1])] {
        let expected = expected.iter().map(|(app, count)| ((*app).to_owned(), *count)).collect();
        ensure(drained.evicted == expected, format!("{tool} evicts {expected:?}{told}"))?;
    }
    ensure(kubectl.left == sprag.left, format!("the same pods are left{told}"))?;
    ensure(case.refused.is_none_or(|says| said.contains(says)), format!("sprag says why{told}"))
}

/// Builds the world, drains its first node with one of the tools, and says what it did and said.
fn drained(lab: &Arc<Lab>, case: Case, by_kubectl: bool) -> Result<(Drained, String), Failed> {
    let tool = if by_kubectl { "kubectl" } else { "sprag" };
    let name = format!("{}-{tool}", case.name.replace('_', "-"));
    let mut pool = lab.pool(&name, 1, &["a"])?;
    let node = pool.nodes().first().cloned().ok_or("a node")?;
    (case.world)(&pool)?;
    pool.add(Node::new(&format!("{}-other", pool.name())).zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    let apps: BTreeMap<String, String> = pool.pods_on(&node)?.iter().map(name_and_app).collect();
    match case.name {
        "terminating_pod" => drop(lab.api().delete(&pool.path("/api/v1", "pods/db-0"))?),
        "namespace_terminating" => {
            lab.api().delete(&format!("/api/v1/namespaces/{}", pool.name()))?;
            until("its pod goes", SOON, || Ok(pool.pods()?.iter().all(is_going).then_some(())))?;
        }
        _ => {}
    }
    let seconds = if case.refused.is_some() { "8s" } else { "90s" };
    let (done, said) = if by_kubectl {
        let timeout = format!("--timeout={seconds}");
        let mut args = vec!["drain", &node, "--ignore-daemonsets", &timeout];
        args.extend(case.kubectl);
        match lab.kubectl(&args) {
            Ok(said) => (true, said),
            Err(said) => (false, said),
        }
    } else {
        let comma = if case.sprag.is_empty() { "" } else { ", " };
        let done = Sprag::new(lab)?.drain(&[&node], 1, &format!("timeout: {seconds}{comma}{}", case.sprag))?;
        (done.0, done.1)
    };
    let mut left = pool.pods_on(&node)?;
    left.retain(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"));
    let left = count(left.iter().map(|pod| name_and_app(pod).1));
    let evicted = evictions(&pool)?.into_iter();
    let evicted = count(evicted.map(|name| apps.get(&name).cloned().unwrap_or(name)));
    Ok((Drained { done, evicted, left }, said))
}

/// A pod's name, and the app that it is of.
pub fn name_and_app(pod: &Value) -> (String, String) {
    (text(pod, "/metadata/name").to_owned(), text(pod, "/metadata/labels/app").to_owned())
}

/// How often each name comes.
pub fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The names of the pods whose eviction the server accepted, in that order.
pub fn evictions(pool: &Pool) -> Result<Vec<String>, Failed> {
    let mut accepted = pool.lab().audit()?;
    accepted.retain(|entry| {
        let is_eviction = entry.subresource == "eviction" && entry.namespace == pool.name();
        is_eviction && entry.code == 201 && entry.stage == "ResponseComplete"
    });
    accepted.sort_by(|a, b| a.at.cmp(&b.at));
    Ok(accepted.into_iter().map(|entry| entry.name).collect())
}

impl Sprag {
    /// Cordons and drains nodes, so many at a time; says whether the run was done, and what it said.
    pub fn drain(&self, nodes: &[&str], concurrency: usize, args: &str) -> Result<(bool, String), Failed> {
        self.write("drain.sprag", &playbook(nodes, concurrency, args))?;
        let done = self.run(&["run", "drain.sprag"])?;
        let said = format!("exit {:?}\n{}{}", done.code, done.stdout, done.stderr);
        match done.code {
            Some(0) => Ok((true, said)),
            Some(10) => Ok((false, said)),
            _ => Err(said.into()),
        }
    }
}

/// Cordons and drains nodes, so many at a time.
pub fn playbook(nodes: &[&str], concurrency: usize, args: &str) -> String {
    let nodes = nodes.iter().map(|node| format!("\"{node}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "rollout node in nodes.filter(|n| n.name in [{nodes}]) concurrency {concurrency} {{\n\
         cordon(node)\n drain(node, {args})\n}}\n"
    )
}
