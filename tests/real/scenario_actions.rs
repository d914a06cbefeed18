//! Each action that changes objects, and Jobs in every way in which they can end.

use crate::expect::{Outcome, ended, ensure};
use crate::sprag::{Done, Sprag};
use crate::testbed::api::Patch;
use crate::testbed::audit::AuditEntry;
use crate::testbed::bed::Bed;
use crate::testbed::workload::Workload;
use crate::testbed::world::{Node, Pool, number, text};
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![
        bed.trial("actions::a_job_ends_well_and_is_removed", job_ends_well),
        bed.trial("actions::a_job_fails_with_its_exit_code", job_fails),
        bed.trial("actions::a_job_is_joined_after_a_kill", job_is_joined),
        bed.trial("actions::a_job_without_its_image", job_without_image),
        bed.trial("actions::a_job_in_a_namespace_that_forbids_it", job_forbidden),
        bed.trial("actions::a_job_cut_off_by_its_own_success", job_cut_off),
        bed.trial("actions::secrets_of_a_job", job_secrets),
        bed.trial("actions::workloads_and_objects", objects),
        bed.trial("actions::a_file_is_applied", applied),
        bed.trial("actions::a_node_is_deleted_and_comes_back", node_comes_back),
        bed.trial("actions::people_are_told", people_are_told),
        bed.trial("actions::the_standard_library_upgrades_a_node", library_upgrades),
        bed.trial("actions::workers_in_place_is_planned", workers_in_place),
    ]
}

fn says(done: &Done, words: &[&str]) -> Outcome {
    let said = format!("{}\n{}", done.stdout, done.stderr);
    words.iter().try_for_each(|word| ensure(said.contains(word), format!("`{word}` is said:\n{said}")))
}

/// A pool of one node, and a folder whose `playbook.sprag` runs `body` for it.
fn scene(lab: &Arc<Lab>, name: &str, body: &str) -> Result<(Pool, Sprag), Failed> {
    let pool = lab.pool(name, 1, &["a"])?;
    let sprag = Sprag::new(lab)?;
    let playbook =
        format!("param pool: string\n\nrollout node in nodes.filter(|n| n.labels[\"pool\"] == pool) {{\n{body}\n}}\n");
    sprag.write("playbook.sprag", &playbook)?;
    Ok((pool, sprag))
}

fn run(pool: &Pool, sprag: &Sprag) -> Result<Done, Failed> {
    Ok(sprag.run(&["run", "playbook.sprag", "--set", &format!("pool={}", pool.name())])?)
}

fn jobs(pool: &Pool) -> Result<Vec<Value>, Failed> {
    Ok(pool.lab().api().list(&pool.path("/apis/batch/v1", "jobs"))?)
}

/// How many requests of sprag's the server granted, of that verb, resource and subresource in the pool's namespace.
fn granted(pool: &Pool, verb: &str, resource: &str) -> Result<usize, Failed> {
    let entries = pool.lab().audit()?;
    let is_it = |entry: &&AuditEntry| {
        entry.stage == "ResponseComplete"
            && entry.namespace == pool.name()
            && entry.verb == verb
            && entry.resource == resource
            && entry.code < 300
            && entry.user_agent.starts_with("sprag/")
    };
    Ok(entries.iter().filter(is_it).count())
}

fn job_ends_well(lab: &Arc<Lab>) -> Outcome {
    let body = r#"
    cordon(node)
    record it = job(node, image: "app:1", command: ["true"], namespace: pool, host: true)
    log("code ${it.code}")
    uncordon(node)"#;
    let (pool, sprag) = scene(lab, "job-good", body)?;
    let done = run(&pool, &sprag)?;
    ended(&done, 0)?;
    says(&done, &["code 0"])?;
    until("the job is removed", SOON, || Ok(jobs(&pool).ok().filter(Vec::is_empty).map(drop)))?;
    ensure(granted(&pool, "create", "jobs")? == 1, "one job was made")
}

fn job_fails(lab: &Arc<Lab>) -> Outcome {
    let body = r#"
    job(node, image: "sprag.test/fails:3", namespace: pool, allow: [0, 3])
    log("allowed")
    job(node, image: "sprag.test/fails:3", namespace: pool) retry 1 every 1s"#;
    let (pool, sprag) = scene(lab, "job-bad", body)?;
    let done = run(&pool, &sprag)?;
    ended(&done, 10)?;
    says(&done, &["allowed", "E544", "exit code 3", &format!("kubectl -n {} logs job/", pool.name())])?;
    ensure(granted(&pool, "create", "jobs")? == 3, "each attempt made a job")?;
    ensure(jobs(&pool)?.len() == 1 || jobs(&pool)?.len() == 2, "the last one is kept for its log")
}

fn job_is_joined(lab: &Arc<Lab>) -> Outcome {
    let (pool, sprag) = scene(lab, "job-joined", r#"    job(node, image: "sprag.test/slow:1", namespace: pool)"#)?;
    let set = format!("pool={}", pool.name());
    let mut child = sprag.start(&["run", "playbook.sprag", "--set", &set], "first")?;
    until("the job is there", SOON, || Ok(jobs(&pool).ok().filter(|jobs| !jobs.is_empty()).map(drop)))?;
    thread::sleep(Duration::from_secs(1));
    child.kill()?;
    child.wait()?;
    ended(&sprag.run(&["resume"])?, 0)?;
    ensure(granted(&pool, "create", "jobs")? == 1, "one job was made")
}

fn job_without_image(lab: &Arc<Lab>) -> Outcome {
    let (pool, sprag) = scene(lab, "job-image", r#"    job(node, image: "sprag.test/missing:1", namespace: pool)"#)?;
    let done = run(&pool, &sprag)?;
    ended(&done, 10)?;
    says(&done, &["W106", "sprag.test/missing:1", "ImagePullBackOff"])?;
    ensure(jobs(&pool)?.is_empty(), "it does not begin later")
}

fn job_forbidden(lab: &Arc<Lab>) -> Outcome {
    let body = r#"    job(node, image: "app:1", namespace: pool, host: true)"#;
    let (pool, sprag) = scene(lab, "job-forbidden", body)?;
    let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    lab.api().patch(&format!("/api/v1/namespaces/{}", pool.name()), Patch::Merge, &label)?;
    let done = run(&pool, &sprag)?;
    ended(&done, 10)?;
    says(&done, &["E545", "violates PodSecurity"])?;
    ensure(jobs(&pool)?.is_empty(), "it does not begin later")
}

/// The Job fails as its node goes down, and the node comes back with what the Job was for.
fn job_cut_off(lab: &Arc<Lab>) -> Outcome {
    let body = r#"
    record before = node.boot_id
    job(node, image: "sprag.test/fails:3", namespace: pool) done when node.boot_id != before
    log("rebooted")"#;
    let (pool, sprag) = scene(lab, "job-reboot", body)?;
    let name = pool.nodes().first().ok_or("a node")?.clone();
    let mut child = sprag.start(&["run", "playbook.sprag", "--set", &format!("pool={}", pool.name())], "run")?;
    until("the job has failed", SOON, || {
        let failed = |job: &Value| number(job, "/status/failed") == 1;
        Ok(jobs(&pool).ok().filter(|jobs| jobs.iter().any(failed)).map(drop))
    })?;
    pool.set_node_ready(&name, false)?;
    thread::sleep(Duration::from_secs(25));
    ensure(child.try_wait()?.is_none(), format!("it is not judged yet: {}", sprag.said("run")))?;
    pool.patch_node_status(&name, &json!({"nodeInfo": {"bootID": "another"}}))?;
    pool.set_node_ready(&name, true)?;
    let status = child.wait()?;
    ensure(status.success(), format!("{status}: {}", sprag.said("run")))?;
    ensure(sprag.said("run").contains("its effect is there"), sprag.said("run"))
}

fn job_secrets(lab: &Arc<Lab>) -> Outcome {
    let (pool, sprag) = scene(lab, "job-secret", "")?;
    let playbook = r#"
param pool: string
param token: secret

rollout node in nodes.filter(|n| n.labels["pool"] == pool) {
    job(node, image: "sprag.test/fails:3", namespace: pool, env: ["TOKEN=a ${token}", "PLAIN=$(HOME)"])
}
"#;
    sprag.write("playbook.sprag", playbook)?;
    let args = ["run", "playbook.sprag", "--set", &format!("pool={}", pool.name()), "--set", "token=env:TOKEN"];
    let done = sprag.run_with(&args, &[("TOKEN", "hush-hush".to_owned())])?;
    ended(&done, 10)?;
    let job = jobs(&pool)?.into_iter().next().ok_or("the failed job is kept")?;
    ensure(!job.to_string().contains("hush"), "the job holds no secret")?;
    ensure(job.to_string().contains("$$(HOME)"), "what looks like a variable stays text")?;
    let secrets = lab.api().list(&pool.path("/api/v1", "secrets"))?;
    let secret = secrets.first().ok_or("there is a secret")?;
    ensure(text(secret, "/metadata/ownerReferences/0/uid") == text(&job, "/metadata/uid"), "the job owns it")
}

fn objects(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("act-objects", 2, &["a", "b"])?;
    pool.create(Workload::deployment("web", 2).ready_after("0.3s").stop_after("0.3s"))?;
    pool.create(Workload::deployment("api", 2).ready_after("0.3s").stop_after("0.3s"))?;
    pool.create(Workload::pod("bare").stop_after("0.3s"))?;
    pool.budget("web", json!({"maxUnavailable": 1}))?;
    pool.settle(SOON)?;
    let sprag = Sprag::new(lab)?;
    let playbook = r#"
param pool: string

let web = workloads.filter(|w| w.namespace == pool && w.name == "web")
let api = workloads.filter(|w| w.namespace == pool && w.name == "api")

rollout pod in pods.filter(|p| p.namespace == pool && p.labels["app"] == "web") as "evictions" {
    evict(pod, grace: 5s)
}
rollout pod in pods.filter(|p| p.namespace == pool && p.name == "bare") as "deletions" { delete(pod) }
rollout workload in web as "web" {
    restart(workload)
    scale(workload, 3)
    wait until workload.available == 3 within 2m
}
rollout workload in api as "api" { delete(workload) }
"#;
    sprag.write("playbook.sprag", playbook)?;
    let before: Vec<String> = pool.pods()?.iter().map(|pod| text(pod, "/metadata/uid").to_owned()).collect();
    let done = run(&pool, &sprag)?;
    ended(&done, 0)?;
    let api = lab.api();
    let web = api.get(&pool.path("/apis/apps/v1", "deployments/web"))?;
    ensure(number(&web, "/spec/replicas") == 3, format!("three replicas: {web}"))?;
    let restarted = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    ensure(!text(&web, restarted).is_empty(), format!("restarted: {web}"))?;
    ensure(api.list(&pool.path("/apis/apps/v1", "deployments"))?.len() == 1, "the other is deleted")?;
    pool.settle(SOON)?;
    ensure(granted(&pool, "create", "pods")? == 2, "two evictions")?;
    let after = pool.pods()?;
    let kept = after.iter().filter(|pod| before.iter().any(|uid| uid == text(pod, "/metadata/uid"))).count();
    ensure(kept == 0, format!("no pod of before is left: {kept}"))
}

fn applied(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("act-applied", 1, &["a"])?;
    let sprag = Sprag::new(lab)?;
    sprag.write("playbook.sprag", "param pool: string\n\napply(\"objects.yaml\")\nlog(pool)\n")?;
    let config = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: one, namespace: {0}}}\ndata: {{key: {value}}}\n---\n\
             apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: two, namespace: {0}}}\n\
             spec: {{maxUnavailable: 1, selector: {{matchLabels: {{app: web}}}}}}\n",
            pool.name()
        )
    };
    sprag.write("objects.yaml", &config("first"))?;
    ended(&run(&pool, &sprag)?, 0)?;
    let one = pool.path("/api/v1", "configmaps/one");
    ensure(text(&lab.api().get(&one)?, "/data/key") == "first", "it is there")?;
    lab.api().get(&pool.path("/apis/policy/v1", "poddisruptionbudgets/two"))?;
    // Someone else takes the field: it is theirs, and the conflict says whose.
    lab.api().patch(&one, Patch::Merge, &json!({"data": {"key": "theirs"}}))?;
    sprag.write("objects.yaml", &config("second"))?;
    let done = run(&pool, &sprag)?;
    ended(&done, 10)?;
    says(&done, &["E563", ".data.key", "sprag-testbed"])?;
    sprag.write("objects.yaml", "apiVersion: v1\nkind: Nothing\nmetadata: {name: x}\n")?;
    let done = run(&pool, &sprag)?;
    ended(&done, 10)?;
    says(&done, &["E562", "knows no `Nothing` of `v1`"])
}

fn node_comes_back(lab: &Arc<Lab>) -> Outcome {
    let body = r#"
    cordon(node)
    drain(node)
    delete_node(node)
    log("deleted")
    wait until node.ready within 1m
    label(node, "fresh", "yes")"#;
    let (mut pool, sprag) = scene(lab, "act-node", body)?;
    let name = pool.nodes().first().ok_or("a node")?.clone();
    let uid = text(&pool.node(&name)?, "/metadata/uid").to_owned();
    let mut child = sprag.start(&["run", "playbook.sprag", "--set", &format!("pool={}", pool.name())], "run")?;
    until("the node is deleted", SOON, || Ok(sprag.said("run").contains("log  done").then_some(())))?;
    ensure(pool.node(&name).is_err(), "it is gone")?;
    pool.add(Node::new(&name).zone("a"))?;
    let status = child.wait()?;
    ensure(status.success(), format!("{status}: {}", sprag.said("run")))?;
    let node = pool.node(&name)?;
    ensure(text(&node, "/metadata/uid") != uid, "it is another one")?;
    ensure(text(&node, "/metadata/labels/fresh") == "yes", format!("and the body went on with it: {node}"))
}

fn people_are_told(lab: &Arc<Lab>) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}/hook?a=b", listener.local_addr()?);
    let heard = thread::spawn(move || -> std::io::Result<String> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let (mut heard, mut bytes) = (String::new(), [0; 4096]);
        while !heard.contains('}') {
            let read = stream.read(&mut bytes)?;
            heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        Ok(heard)
    });
    let body = r#"    notify("${node.name} is next", headers: ["X-Team: sre"])
    notify("nobody hears this", to: "ftp://nowhere")"#;
    let (pool, sprag) = scene(lab, "act-told", body)?;
    let args = ["run", "playbook.sprag", "--set", &format!("pool={}", pool.name())];
    let done = sprag.run_with(&args, &[("SPRAG_NOTIFY_URL", address)])?;
    ended(&done, 0)?;
    says(&done, &["nobody was told"])?;
    let heard = heard.join().map_err(|_| "the hook was called")??;
    let name = pool.nodes().first().ok_or("a node")?;
    for words in ["POST /hook?a=b", &format!("{{\"text\":\"{name} is next\"}}"), "sre"] {
        ensure(heard.contains(words), format!("`{words}` is heard: {heard}"))?;
    }
    Ok(())
}

/// What the script does on a host no kwok node shows: here the Job ends well, and the kubelet reports the target.
fn library_upgrades(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("act-library", 1, &["a"])?;
    let sprag = Sprag::new(lab)?;
    let playbook = r#"
use std::kubeadm
use std::node

param pool: string
param target: version

rollout node in nodes.filter(|n| n.labels["pool"] == pool) {
    cordon(node)
    kubeadm::upgrade_node(node, target)
    log("upgraded")
    node::on_host(node, "uname -r")
    uncordon(node)
    node::verify_version(node, target)
}
"#;
    sprag.write("playbook.sprag", playbook)?;
    let name = pool.nodes().first().ok_or("a node")?.clone();
    let set = format!("pool={}", pool.name());
    let too_new = sprag.run(&["run", "playbook.sprag", "--set", &set, "--set", "target=v1.38.0"])?;
    ended(&too_new, 10)?;
    says(&too_new, &["v1.38.0 is above the API server"])?;
    lab.kubectl(&["uncordon", &name])?;
    let mut child = sprag.start(&["run", "playbook.sprag", "--set", &set, "--set", "target=v1.37.2"], "run")?;
    until("the job ended", SOON, || Ok(sprag.said("run").contains("log  done").then_some(())))?;
    pool.set_kubelet_version(&name, "v1.37.2")?;
    let status = child.wait()?;
    ensure(status.success(), format!("{status}: {}", sprag.said("run")))
}

fn workers_in_place(lab: &Arc<Lab>) -> Outcome {
    let pool = lab.pool("act-workers", 3, &["a", "b"])?;
    let sprag = Sprag::new(lab)?;
    sprag.write("playbook.sprag", include_str!("../../playbooks/workers-in-place.sprag"))?;
    let args = ["plan", "playbook.sprag", "--set", &format!("pool={}", pool.name()), "--set", "target=v1.37.2"];
    let planned = sprag.run(&args)?;
    ended(&planned, 0)?;
    says(&planned, &["3 nodes", "upgrade_node", "ready_for"])
}
