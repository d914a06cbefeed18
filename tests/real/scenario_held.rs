//! What holds a drain up beside budgets, and what is not there to be drained: volumes that do not detach, Jobs that are let
//! end, admission that says no, nodes without labels.

use crate::expect::{Outcome, ended, ensure};
use crate::scenario_drains::{evictions, playbook};
use crate::sprag::Sprag;
use crate::testbed::api::Patch;
use crate::testbed::bed::Bed;
use crate::testbed::webhook::{No, Webhook};
use crate::testbed::workload::Workload;
use crate::testbed::world::{Node, Pool, is_ready, text};
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);
/// How long the API server takes to hear of a webhook's or a policy's configuration.
const ADMISSION_SEEN: Duration = Duration::from_secs(2);

const ATTACHMENTS: &str = "/apis/storage.k8s.io/v1/volumeattachments";
const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![
        bed.trial("held::a_volume_that_does_not_detach", volume),
        bed.trial("held::jobs_are_let_end_after_the_other_pods", jobs),
        bed.trial("held::a_webhook_that_is_away", webhook_away),
        bed.trial("held::a_webhook_that_denies", webhook_denies),
        bed.trial("held::a_policy_that_denies", policy_denies),
        bed.trial("held::nodes_without_labels_and_names_that_are_gone", unlabelled),
    ]
}

// Volumes.

/// The attach-detach controller is at work, and nobody else: the trial plays the driver's attacher.
fn volume(lab: &Arc<Lab>) -> Outcome {
    let mut pool = lab.pool("volume", 0, &[])?;
    let node = format!("{}-0", pool.name());
    // As a kubelet says that leaves it to the controller.
    let managed = "volumes.kubernetes.io/controller-managed-attach-detach";
    pool.add(Node::new(&node).zone("a").annotation(managed, "true"))?;
    pool.wait_for_nodes(SOON)?;
    let disk = claim(&pool)?;
    let mount = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let db = Workload::stateful_set("db", 1).ready_after("0.5s").stop_after("0.5s");
    pool.create(db.pod_spec("volumes", mount))?;
    pool.settle(SOON)?;
    let attachment = attached(&pool, &disk)?;
    pool.add(Node::new(&format!("{}-other", pool.name())).zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    let sprag = Sprag::new(lab)?;
    sprag.write("drain.sprag", &playbook(&[&node], 1, "timeout: 4m"))?;
    let mut child = sprag.start(&["run", "drain.sprag"], "run")?;
    let detaching = || Ok(attachment_of(&pool, &attachment)?.filter(|found| !text(found, DELETED).is_empty()));
    until("the controller detaches", SOON, detaching)?;
    // The node's status does not name the volume any more, though it is there.
    until("the node's status has forgotten the volume", SOON, || Ok(reported(&pool, &node)?.is_none().then_some(())))?;
    let line = format!("the volume `{disk}` of `disk.example.com` is still attached");
    until("it names volume and driver", SOON, || Ok(sprag.said("run").contains(&line).then_some(())))?;
    ensure(child.try_wait()?.is_none(), format!("the drain waits: {}", sprag.said("run")))?;
    let released = json!({"metadata": {"finalizers": null}});
    lab.api().patch(&format!("{ATTACHMENTS}/{attachment}"), Patch::Merge, &released)?;
    let status = child.wait()?;
    lab.kubectl(&["delete", "persistentvolume", &disk, "--wait=false"])?;
    ensure(status.success(), format!("{status}: {}", sprag.said("run")))
}

const DELETED: &str = "/metadata/deletionTimestamp";

/// A volume of a driver, and the claim `data` that is bound to it; the volume's name.
fn claim(pool: &Pool) -> Result<String, Failed> {
    let disk = format!("pv-{}", pool.name());
    let size = json!({"storage": "1Gi"});
    let volume = json!({"metadata": {"name": disk}, "spec": {
        "capacity": size, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
        "csi": {"driver": "disk.example.com", "volumeHandle": disk},
        "claimRef": {"namespace": pool.name(), "name": "data"},
    }});
    pool.lab().api().create("/api/v1/persistentvolumes", &volume)?;
    let claim = json!({"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": disk, "resources": {"requests": size},
    }});
    pool.lab().api().create(&pool.path("/api/v1", "persistentvolumeclaims"), &claim)?;
    Ok(disk)
}

/// What a driver does once the controller asks for it; held by a finalizer, as a driver's own. The attachment's name.
fn attached(pool: &Pool, disk: &str) -> Result<String, Failed> {
    let api = pool.lab().api();
    let name = until("the controller asks for the volume", SOON, || {
        let mut all = api.list(ATTACHMENTS)?.into_iter();
        let ours = all.find(|found| text(found, "/spec/source/persistentVolumeName") == disk);
        Ok(ours.map(|found| text(&found, "/metadata/name").to_owned()))
    })?;
    let path = format!("{ATTACHMENTS}/{name}");
    api.patch(&path, Patch::Merge, &json!({"metadata": {"finalizers": ["external-attacher/disk-example-com"]}}))?;
    api.patch(&format!("{path}/status"), Patch::Merge, &json!({"status": {"attached": true}}))?;
    let node = &pool.nodes()[0];
    until("the node's status names the volume", SOON, || Ok(reported(pool, node)?.is_some().then_some(())))?;
    Ok(name)
}

fn attachment_of(pool: &Pool, name: &str) -> crate::testbed::Result<Option<Value>> {
    crate::testbed::world::found(pool.lab().api().get(&format!("{ATTACHMENTS}/{name}")))
}

fn reported(pool: &Pool, node: &str) -> crate::testbed::Result<Option<Value>> {
    Ok(pool.node(node)?.pointer("/status/volumesAttached/0").cloned())
}

// Jobs.

/// The Job's pod outlasts the Deployment's, and is not evicted.
fn jobs(lab: &Arc<Lab>) -> Outcome {
    let mut pool = lab.pool("finish", 1, &["a"])?;
    pool.create(Workload::job("batch", 1).ready_after("0.2s").complete_after("15s"))?;
    pool.create(Workload::deployment("web", 2).ready_after("0.2s").stop_after("0.5s"))?;
    until("all pods run", SOON, || Ok((pool.pods()?.iter().filter(|pod| is_ready(pod)).count() == 3).then_some(())))?;
    pool.add(Node::new(&format!("{}-other", pool.name())).zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    let (done, said) = Sprag::new(lab)?.drain(&[&pool.nodes()[0]], 1, "timeout: 2m, jobs: \"finish\"")?;
    ensure(done, &said)?;
    let evicted = evictions(&pool)?;
    let are_web = evicted.len() == 2 && evicted.iter().all(|name| name.starts_with("web-"));
    ensure(are_web, format!("the others are evicted: {evicted:?}\n{said}"))?;
    ensure(said.contains("ends by itself"), format!("it says what it waits for: {said}"))?;
    let pods = pool.pods_on(&pool.nodes()[0])?;
    let job = pods.iter().find(|pod| text(pod, "/metadata/labels/app") == "batch").ok_or("the pod of the job")?;
    ensure(text(job, "/status/phase") == "Succeeded", format!("it has ended by itself: {job}"))
}

// Admission.

/// A pod on one node, and a second node that is empty.
fn guarded(lab: &Arc<Lab>, name: &str) -> Result<Pool, Failed> {
    let mut pool = lab.pool(name, 1, &["a"])?;
    pool.create(Workload::deployment("web", 2).ready_after("0.5s").stop_after("0.5s"))?;
    pool.settle(SOON)?;
    pool.add(Node::new(&format!("{}-other", pool.name())).zone("b"))?;
    pool.wait_for_nodes(SOON)?;
    Ok(pool)
}

/// Has someone asked about each eviction in the pool's namespace while it is drained; what it said.
fn drained_under_webhook(pool: &Pool, client_config: Value) -> Result<(bool, String), Failed> {
    let webhook = json!({"metadata": {"name": pool.name()}, "webhooks": [{
        "name": "guard.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
        "failurePolicy": "Fail", "clientConfig": client_config,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": pool.name()}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/eviction"]}],
    }]});
    let api = pool.lab().api();
    api.create(WEBHOOKS, &webhook)?;
    thread::sleep(ADMISSION_SEEN);
    let drained = Sprag::new(pool.lab()).map_err(Failed::from);
    let drained = drained.and_then(|sprag| sprag.drain(&[&pool.nodes()[0]], 1, "timeout: 8s"));
    api.delete(&format!("{WEBHOOKS}/{}", pool.name()))?;
    drained
}

/// The drain fails and names who held it, and evicted nothing.
fn is_held(pool: &Pool, (done, said): (bool, String), names: &[&str]) -> Outcome {
    ensure(!done, format!("the drain fails: {said}"))?;
    for name in ["W109"].iter().chain(names) {
        ensure(said.contains(name), format!("it says `{name}`: {said}"))?;
    }
    let evicted = evictions(pool)?;
    ensure(evicted.is_empty(), format!("nothing was evicted: {evicted:?}"))
}

/// A webhook that nobody answers for.
fn webhook_away(lab: &Arc<Lab>) -> Outcome {
    let pool = guarded(lab, "webhook-away")?;
    let drained = drained_under_webhook(&pool, json!({"url": "https://127.0.0.1:9/guard"}))?;
    is_held(&pool, drained, &["failed calling webhook", "guard.example.com"])
}

/// With the code of its choice: none of them is what the server would mean by it.
fn webhook_denies(lab: &Arc<Lab>) -> Outcome {
    let denied = |code| {
        let pool = guarded(lab, &format!("webhook-{code}"))?;
        let webhook = Webhook::start(lab, No(code, "frozen until Monday"))?;
        let drained = drained_under_webhook(&pool, webhook.client_config())?;
        is_held(&pool, drained, &["\"guard.example.com\" denied the request: frozen until Monday"])
    };
    thread::scope(|scope| {
        let trials = [403, 404, 503].map(|code| scope.spawn(move || denied(code)));
        trials.into_iter().try_for_each(|trial| trial.join().map_err(|_| Failed::from("a panic"))?)
    })
}

fn policy_denies(lab: &Arc<Lab>) -> Outcome {
    let pool = guarded(lab, "policy")?;
    let name = pool.name();
    let policy = json!({"metadata": {"name": name}, "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/eviction"]},
            ],
        },
        "validations": [{"expression": "false", "message": "frozen until Monday"}],
    }});
    let binding = json!({"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}});
    lab.api().create(POLICIES, &policy)?;
    lab.api().create(BINDINGS, &binding)?;
    thread::sleep(ADMISSION_SEEN);
    let drained = Sprag::new(lab)?.drain(&[&pool.nodes()[0]], 1, "timeout: 8s");
    lab.api().delete(&format!("{BINDINGS}/{name}"))?;
    lab.api().delete(&format!("{POLICIES}/{name}"))?;
    is_held(&pool, drained?, &["admission policy", "frozen until Monday"])
}

// Nodes.

/// A node that bears no label at all.
fn bare_node(lab: &Arc<Lab>, name: &str) -> Outcome {
    let node = json!({"metadata": {"name": name}});
    lab.api().create("/api/v1/nodes", &node)?;
    Ok(until("the node is ready", SOON, || {
        Ok(Some(lab.api().get(&format!("/api/v1/nodes/{name}"))?).filter(is_ready).map(drop))
    })?)
}

fn unlabelled(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("unlabelled", 1, &["a"])?;
    let name = format!("{}-bare", pool.name());
    bare_node(lab, &name)?;
    let outcome = unlabelled_with(&pool, &name);
    lab.api().delete(&format!("/api/v1/nodes/{name}"))?;
    outcome
}

fn unlabelled_with(pool: &Pool, bare: &str) -> Outcome {
    let sprag = Sprag::new(pool.lab())?;
    let run = |text: &str| {
        sprag.write("playbook.sprag", text)?;
        sprag.run(&["run", "playbook.sprag"])
    };
    // A label that is missing selects nothing, and so does a name that nothing bears any more.
    for none in [
        format!("n.name == \"{bare}\" && n.labels[\"pool\"] == \"workers\""),
        format!("n.name in [\"{bare}-renamed\"]"),
    ] {
        let done = run(&format!("rollout node in nodes.filter(|n| {none}) {{ cordon(node) }}\n"))?;
        ended(&done, 0)?;
        let told = format!("{}{}", done.stdout, done.stderr);
        ensure(told.contains("nothing is selected"), format!("it says so: {told}"))?;
    }
    // Where the value is needed the plan fails, and names the node.
    let needed = format!(
        "let ranks = nodes.filter(|n| n.name == \"{bare}\").map(|n| n.labels[\"rank\"].len())\nlog(\"${{ranks.len()}}\")\n"
    );
    let refused = run(&needed)?;
    ended(&refused, 4)?;
    ensure(refused.stderr.contains("E410") && refused.stderr.contains(bare), format!("it is named: {refused:?}"))?;
    // It is a node as any other.
    let body = "cordon(node)\n drain(node, timeout: 1m)\n uncordon(node)\n wait until node.ready within 1m";
    let done = run(&format!("rollout node in nodes.filter(|n| n.name == \"{bare}\") {{\n{body}\n}}\n"))?;
    ended(&done, 0)
}
