//! Whose a node is: what others cordon stays theirs, what they change in the middle of a run is survived and told, marks
//! of runs that are over are inherited, and sprag never takes the node from under itself.

use crate::expect::{Outcome, ended, ensure};
use crate::sprag::{Done, Sprag};
use crate::testbed::api::Patch;
use crate::testbed::bed::Bed;
use crate::testbed::workload::Workload;
use crate::testbed::world::{Node, Pool, text};
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);
const MARK: &str = "/metadata/annotations/sprag.dev~1cordon";

const DRAINS: &str = r#"
param pool: string

rollout node in nodes.filter(|n| n.labels["pool"] == pool) {
    cordon(node)
    drain(node, timeout: 2m)
    uncordon(node)
}
"#;

/// Stops where a file appears, with the node cordoned.
const HELD: &str = r#"
param pool: string

rollout node in nodes.filter(|n| n.labels["pool"] == pool) {
    cordon(node)
    exec(["sh", "-c", "until test -e go; do sleep 0.2; done; ! test -e fail"])
    wait until node.ready within 1m
    uncordon(node)
}
"#;

const DRESSED: &str = r#"
param pool: string

rollout node in nodes.filter(|n| n.labels["pool"] == pool) {
    label(node, "ours", "1")
    annotate(node, "ours", "1")
    taint(node, "ours", value: "1")
    exec(["sh", "-c", "until test -e go; do sleep 0.2; done"])
    label(node, "ours", "2")
    annotate(node, "ours", none)
    untaint(node, "ours")
}
"#;

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![
        bed.trial("ownership::a_foreign_cordon_is_kept", foreign_cordon),
        bed.trial("ownership::uncordoned_by_someone_in_mid_drain", foreign_uncordon),
        bed.trial("ownership::drained_by_someone_in_mid_run", foreign_drain),
        bed.trial("ownership::marks_are_inherited_listed_and_released", marks),
        bed.trial("ownership::a_node_is_replaced_in_mid_run", replaced),
        bed.trial("ownership::labels_annotations_and_taints_of_others_stay", dressed),
        bed.trial("ownership::in_a_pod", in_a_pod),
    ]
}

/// A pool with a folder of runs.
struct Scene {
    pool: Pool,
    sprag: Sprag,
}

impl Scene {
    fn new(lab: &Arc<Lab>, name: &str, nodes: usize, playbook: &str) -> Result<Scene, Failed> {
        let pool = lab.pool(name, nodes, &["a", "b"])?;
        let sprag = Sprag::new(lab)?;
        sprag.write("playbook.sprag", playbook)?;
        Ok(Scene { pool, sprag })
    }

    fn args(&self) -> Vec<String> {
        ["run", "playbook.sprag", "--set", &format!("pool={}", self.pool.name())].map(str::to_owned).to_vec()
    }

    fn run(&self) -> Result<Done, Failed> {
        let args = self.args();
        Ok(self.sprag.run(&args.iter().map(String::as_str).collect::<Vec<_>>())?)
    }

    fn run_with(&self, env: &[(&str, String)]) -> Result<Done, Failed> {
        let args = self.args();
        Ok(self.sprag.run_with(&args.iter().map(String::as_str).collect::<Vec<_>>(), env)?)
    }

    fn start(&self) -> Result<Child, Failed> {
        let args = self.args();
        Ok(self.sprag.start(&args.iter().map(String::as_str).collect::<Vec<_>>(), "run")?)
    }

    /// The code and all that was said of a run that was started.
    fn end(&self, mut child: Child) -> Result<(Option<i32>, String), Failed> {
        let code = child.wait()?.code();
        let out = std::fs::read_to_string(self.sprag.folder().join("run.out")).unwrap_or_default();
        Ok((code, format!("{}\n{out}", self.sprag.said("run"))))
    }

    /// Waits until the run has said this.
    fn heard(&self, text: &str) -> Outcome {
        let told = until(&format!("`{text}`"), SOON, || Ok(self.sprag.said("run").contains(text).then_some(())));
        told.map_err(|error| format!("{error}\n{}", self.sprag.said("run")).into())
    }

    /// The run that the folder holds.
    fn id(&self) -> Result<String, Failed> {
        let runs = self.sprag.run(&["runs"])?;
        let id = runs.stdout.split_whitespace().next().map(str::to_owned);
        id.ok_or_else(|| format!("no run: {runs:?}").into())
    }

    fn node(&self, index: usize) -> Result<Value, Failed> {
        Ok(self.pool.node(&self.pool.nodes()[index])?)
    }

    fn is_cordoned(&self, index: usize) -> Result<bool, Failed> {
        Ok(self.node(index)?.pointer("/spec/unschedulable") == Some(&json!(true)))
    }

    fn kubectl(&self, args: &[&str]) -> Outcome {
        self.pool.lab().kubectl(args).map(drop).map_err(Into::into)
    }

    fn go(&self) -> Outcome {
        Ok(self.sprag.write("go", "")?)
    }
}

fn foreign_cordon(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "theirs", 2, DRAINS)?;
    scene.kubectl(&["cordon", &scene.pool.nodes()[0]])?;
    let done = scene.run()?;
    ended(&done, 0)?;
    ensure(done.stderr.contains("was cordoned by someone else: it stays theirs"), format!("told: {}", done.stderr))?;
    ensure(scene.is_cordoned(0)? && !scene.is_cordoned(1)?, "the first stays cordoned, the second does not")?;
    ensure(scene.node(0)?.pointer(MARK).is_none(), "no mark is put on what is theirs")
}

fn foreign_uncordon(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "opened", 1, DRAINS)?;
    scene.pool.create(Workload::stateful_set("slow", 1).stop_after("25s").grace(60))?;
    scene.pool.settle(SOON)?;
    let child = scene.start()?;
    scene.heard("evicted")?;
    scene.kubectl(&["uncordon", &scene.pool.nodes()[0]])?;
    let (code, said) = scene.end(child)?;
    ensure(code == Some(10), format!("exit {code:?}: {said}"))?;
    ensure(said.contains("E551") && said.contains("made schedulable"), format!("told: {said}"))?;
    ensure(!scene.is_cordoned(0)?, "what they opened stays open")
}

fn foreign_drain(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "drained", 2, DRAINS)?;
    scene.pool.create(Workload::deployment("web", 6).stop_after("3s").ready_after("0.5s"))?;
    scene.pool.budget("web", json!({"maxUnavailable": 1}))?;
    scene.pool.settle(SOON)?;
    let child = scene.start()?;
    scene.heard("evicted")?;
    // The node that is being drained: both evict, a pod goes once, and each takes the other's for gone.
    let node = scene.pool.nodes()[0].clone();
    scene.kubectl(&["drain", &node, "--ignore-daemonsets", "--timeout=100s"])?;
    let (code, said) = scene.end(child)?;
    ensure(code == Some(0), format!("exit {code:?}: {said}"))?;
    ensure(!scene.is_cordoned(0)? && !scene.is_cordoned(1)?, "the mark was ours, and so was the cordon")?;
    scene.pool.settle(SOON)?;
    Ok(())
}

fn marks(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "marks", 1, HELD)?;
    let node = scene.pool.nodes()[0].clone();
    scene.sprag.write("fail", "")?;
    scene.go()?;
    ended(&scene.run()?, 10)?;
    let id = scene.id()?;
    let listed = scene.sprag.run(&["nodes"])?;
    ended(&listed, 0)?;
    let line = listed.stdout.lines().find(|line| line.starts_with(&node)).unwrap_or_default().to_owned();
    ensure(line.contains(&id) && line.contains("can be resumed"), format!("the run is here: {}", listed.stdout))?;

    // A run beside it leaves what can still be resumed, and of a run that it does not know, what is not old.
    let beside = scene.sprag.run(&["run", "playbook.sprag", "--set", &format!("pool={}", scene.pool.name())])?;
    ensure(beside.stderr.contains("can be resumed: it stays theirs"), format!("told: {}", beside.stderr))?;
    let other = Sprag::new(lab)?;
    other.write("playbook.sprag", HELD)?;
    other.write("go", "")?;
    let elsewhere = other.run(&["run", "playbook.sprag", "--set", &format!("pool={}", scene.pool.name())])?;
    ended(&elsewhere, 0)?;
    ensure(elsewhere.stderr.contains("whose journal is not here"), format!("told: {}", elsewhere.stderr))?;
    ensure(scene.is_cordoned(0)?, "it stays theirs, though the run has the same id")?;

    // The mark grows old, and the run that nobody here knows is inherited from.
    let mut mark: Value = serde_json::from_str(text(&scene.node(0)?, MARK))?;
    mark["at"] = json!("2026-01-01T00:00:00Z");
    let body = json!({"metadata": {"annotations": {"sprag.dev/cordon": mark.to_string()}}});
    scene.pool.lab().api().patch(&format!("/api/v1/nodes/{node}"), Patch::Merge, &body)?;
    let heir = other.run(&["run", "playbook.sprag", "--set", &format!("pool={}", scene.pool.name())])?;
    ended(&heir, 0)?;
    ensure(heir.stderr.contains(&format!("taken over from run {id}")), format!("told: {}", heir.stderr))?;
    ensure(!scene.is_cordoned(0)?, "what was inherited is lifted")?;

    // Released without a journal; what another run, or a person, holds is left.
    body_of_a_mark(&scene, "dead-01")?;
    let dry = other.run(&["release", "dead-01", "--dry-run"])?;
    ensure(dry.stdout.contains("would be uncordoned") && scene.is_cordoned(0)?, format!("{dry:?}"))?;
    let not_theirs = other.run(&["release", "beef-01", "--node", &node])?;
    ensure(not_theirs.stdout.contains("it bears the mark of run dead-01"), format!("{not_theirs:?}"))?;
    ensure(scene.is_cordoned(0)?, "it is left")?;
    let released = other.run(&["release", "dead-01", "--format", "json"])?;
    ended(&released, 0)?;
    let told: Value = serde_json::from_str(&released.stdout)?;
    ensure(told["nodes"][0]["lifted"] == true, format!("{told}"))?;
    ensure(!scene.is_cordoned(0)? && scene.node(0)?.pointer(MARK).is_none(), "it is lifted")?;
    ensure(other.run(&["release", "dead-01"])?.stdout.contains("no node bears a mark"), "nothing is left")
}

/// Cordons the first node with the mark of a run that nobody has.
fn body_of_a_mark(scene: &Scene, run: &str) -> Outcome {
    let mark = json!({"run": run, "step": "n/cordon", "by": "gone/anna", "at": "2026-01-01T00:00:00Z"});
    let body = json!({
        "metadata": {"annotations": {"sprag.dev/cordon": mark.to_string()}}, "spec": {"unschedulable": true},
    });
    let path = format!("/api/v1/nodes/{}", scene.pool.nodes()[0]);
    scene.pool.lab().api().patch(&path, Patch::Merge, &body)?;
    Ok(())
}

fn replaced(lab: &Arc<Lab>) -> Outcome {
    let mut scene = Scene::new(lab, "replaced", 1, HELD)?;
    let child = scene.start()?;
    scene.heard("cordon  done")?;
    let node = scene.pool.nodes()[0].clone();
    scene.pool.lab().api().delete(&format!("/api/v1/nodes/{node}"))?;
    scene.pool.add(Node::new(&node))?;
    scene.go()?;
    let (code, said) = scene.end(child)?;
    ensure(code == Some(10), format!("exit {code:?}: {said}"))?;
    ensure(said.contains("E505"), format!("told: {said}"))?;
    ensure(!scene.is_cordoned(0)? && scene.node(0)?.pointer(MARK).is_none(), "the new one is not touched")
}

fn dressed(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "dressed", 1, DRESSED)?;
    let child = scene.start()?;
    scene.heard("taint  done")?;
    let node = scene.pool.nodes()[0].clone();
    scene.kubectl(&["label", "node", &node, "theirs=1"])?;
    scene.kubectl(&["label", "node", &node, "--overwrite", "ours=3"])?;
    scene.kubectl(&["annotate", "node", &node, "theirs=1"])?;
    scene.kubectl(&["taint", "node", &node, "theirs=1:PreferNoSchedule"])?;
    scene.go()?;
    let (code, said) = scene.end(child)?;
    ensure(code == Some(0), format!("exit {code:?}: {said}"))?;
    let now = scene.node(0)?;
    ensure(text(&now, "/metadata/labels/theirs") == "1", format!("their label: {now}"))?;
    ensure(text(&now, "/metadata/annotations/theirs") == "1", format!("their annotation: {now}"))?;
    ensure(text(&now, "/metadata/labels/ours") == "2", format!("the playbook's label: {now}"))?;
    ensure(now.pointer("/metadata/annotations/ours").is_none(), format!("removed: {now}"))?;
    let taints = now.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
    let has = |key: &str| taints.iter().any(|taint| taint["key"] == key);
    ensure(has("theirs") && !has("ours"), format!("their taint alone: {now}"))
}

/// The environment makes it a pod: one that is there, with the folder of runs on a volume or not.
fn in_a_pod(lab: &Arc<Lab>) -> Outcome {
    let scene = Scene::new(lab, "inside", 3, DRAINS)?;
    let own = scene.pool.nodes()[0].clone();
    let folder = scene.sprag.folder().canonicalize()?;
    scene.pool.create(Workload::deployment("web", 3).ready_after("0.5s").stop_after("0.5s"))?;
    let pod = |name: &str, volume: Value| {
        let container = json!({
            "name": "sprag", "image": "sprag:1", "volumeMounts": [{"name": "runs", "mountPath": folder}],
        });
        let pod = Workload::pod(name).on(&own).pod_spec("volumes", json!([volume]));
        scene.pool.create(pod.pod_spec("containers", json!([container])))
    };
    pod("emptied", json!({"name": "runs", "emptyDir": {}}))?;
    scene.pool.settle(SOON)?;
    let names =
        |name: &str| [("SPRAG_POD_NAME", name.to_owned()), ("SPRAG_POD_NAMESPACE", scene.pool.name().to_owned())];
    let lost = scene.run_with(&names("emptied"))?;
    ended(&lost, 5)?;
    ensure(lost.stderr.contains("E509") && lost.stderr.contains(&own), format!("told: {}", lost.stderr))?;
    ensure(!scene.is_cordoned(0)?, "nothing was begun")?;
    ensure(scene.sprag.run(&["runs"])?.stdout.contains("no runs"), "no run was begun")?;

    scene.pool.lab().api().delete(&format!("{}?gracePeriodSeconds=0", scene.pool.path("/api/v1", "pods/emptied")))?;
    claim(&scene.pool)?;
    pod("kept", json!({"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}))?;
    until("the pod runs", SOON, || {
        let kept = scene.pool.lab().api().get(&scene.pool.path("/api/v1", "pods/kept"))?;
        Ok((text(&kept, "/status/phase") == "Running").then_some(()))
    })?;
    let kept = scene.run_with(&names("kept"))?;
    ended(&kept, 0)?;
    let cordons: Vec<&str> = kept.stderr.lines().filter(|line| line.contains("/cordon  done")).collect();
    ensure(cordons.len() == 3, format!("three cordons: {}", kept.stderr))?;
    ensure(cordons.last().is_some_and(|line| line.contains(&own)), format!("its own comes last: {cordons:?}"))?;
    let still = scene.pool.lab().api().get(&scene.pool.path("/api/v1", "pods/kept"))?;
    ensure(still.pointer("/metadata/deletionTimestamp").is_none(), "its own pod is not evicted")
}

/// A claim that no volume need satisfy, since its pod is bound past the scheduler.
fn claim(pool: &Pool) -> Outcome {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let claim = json!({"metadata": {"name": "runs"}, "spec": spec});
    pool.lab().api().create(&pool.path("/api/v1", "persistentvolumeclaims"), &claim)?;
    // Time for the pod that was deleted to be gone.
    thread::sleep(Duration::from_secs(1));
    Ok(())
}
