//! The real kubectl against the cluster in a box, over HTTP: whoever speaks Kubernetes can judge the embedded server.

use crate::expect::{Outcome, ensure};
use crate::testbed::{Error, binaries};
use libtest_mimic::{Completion, Failed, Trial};
use serde_json::{Value, json};
use sprag::rehearse::cluster::{About, Cluster, Controller, Queue, Task, World};
use sprag::rehearse::kinds::Kind;
use sprag::rehearse::object::Object;
use sprag::rehearse::server::{Server, WorldClock, http};
use sprag::rehearse::store::{Change, What};
use sprag::rehearse::write::DeleteOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// 2026-01-31 14:00:00 UTC
const START: i64 = 1_769_868_000_000;

/// All trials of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("rehearsal::kubectl_gets_cordons_drains_and_uncordons", drains),
        trial("rehearsal::kubectl_changes_watches_and_waits", changes),
    ]
}

/// A trial that needs no control plane but kubectl.
fn trial(name: &str, body: fn(&Served) -> Outcome) -> Trial {
    Trial::ignorable_test(name, move || match binaries::kubectl() {
        Ok(kubectl) => body(&Served::serve(kubectl)?).map(|()| Completion::Completed),
        Err(Error::Missing(why)) if std::env::var("CI").is_ok_and(|ci| ci == "true") => Err(why.into()),
        Err(Error::Missing(why)) => Ok(Completion::ignored_with(why)),
        Err(error) => Err(error.into()),
    })
}

/// Ends pods a second after they were told to.
struct Kubelet;

impl Controller for Kubelet {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        if change.kind() == Kind::Pod && change.what != What::Deleted && change.object.is_terminating() {
            queue.after(1000, "end", &change.object.key());
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        let _ = cluster.delete(&task.key, &DeleteOptions { grace: Some(0), ..DeleteOptions::default() });
    }
}

/// A cluster in a box on a socket.
struct Served {
    kubectl: PathBuf,
    folder: TempDir,
    /// Dropped, the server ends.
    _stop: oneshot::Sender<()>,
}

impl Served {
    fn serve(kubectl: PathBuf) -> Result<Self, Failed> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async move {
                let server = Server::start(world(), Arc::new(WorldClock::begin(START)), Duration::ZERO);
                let listening = http::serve(server, SocketAddr::from(([127, 0, 0, 1], 0))).await;
                if tell.send(listening.as_ref().map(|listening| listening.address).ok()).is_ok() {
                    let _ = stopped.await;
                }
            });
        });
        let address = told.recv_timeout(Duration::from_secs(30))?.ok_or("it cannot listen")?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("config"), http::kubeconfig(address))?;
        Ok(Self { kubectl, folder, _stop: stop })
    }

    /// The exit code, and what kubectl writes on both outputs, in this order.
    fn kubectl(&self, line: &str) -> Result<String, Failed> {
        let mut command = Command::new(&self.kubectl);
        command
            .args(line.split(' '))
            .env("KUBECONFIG", self.folder.path().join("config"))
            .env("HOME", self.folder.path());
        let output = command.output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let written = format!("{}{}", text(&output.stdout), text(&output.stderr));
        Ok(match output.status.code() {
            Some(0) => written,
            code => format!("{written}exit {}\n", code.unwrap_or(-1)),
        })
    }

    fn expect(&self, line: &str, expected: &str) -> Outcome {
        let written = self.kubectl(line)?;
        ensure(written == expected, format!("kubectl {line}\n--- written\n{written}--- expected\n{expected}---"))
    }
}

fn world() -> World {
    let about = About { version: "v1.37.2".to_owned(), minor: 37 };
    let mut world = World::new(about, START, 7, vec![Box::new(Kubelet)]);
    let mut has = |kind: Kind, mut object: Value| {
        object["metadata"]["uid"] = (*world.cluster.new_uid()).into();
        object["metadata"]["creationTimestamp"] = "2026-01-31T13:00:00Z".into();
        if let Ok(object) = Object::read(kind, object) {
            world.cluster.store.put(object);
        }
    };
    for namespace in ["default", "shop"] {
        has(Kind::Namespace, json!({ "metadata": { "name": namespace }, "status": { "phase": "Active" } }));
    }
    for node in ["n-1", "n-2"] {
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        let status = json!({ "conditions": ready, "nodeInfo": { "kubeletVersion": "v1.36.3" } });
        let labels = json!({ "node-role.kubernetes.io/worker": "" });
        has(Kind::Node, json!({ "metadata": { "name": node, "labels": labels }, "spec": {}, "status": status }));
    }
    let labelled = |app: &str| json!({ "matchLabels": { "app": app } });
    let workload = |name: &str| json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": { "replicas": 2, "selector": labelled(name), "template": {} } });
    has(Kind::DaemonSet, workload("agent"));
    has(Kind::ReplicaSet, workload("web"));
    let spec = json!({ "maxUnavailable": "50%", "selector": labelled("web") });
    let status = json!({ "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2, "observedGeneration": 1 });
    has(
        Kind::PodDisruptionBudget,
        json!({ "metadata": { "name": "web", "namespace": "shop", "generation": 1 }, "spec": spec, "status": status }),
    );
    for (name, kind, owner, node) in [
        ("agent-1", "DaemonSet", "agent", "n-1"),
        ("agent-2", "DaemonSet", "agent", "n-2"),
        ("web-1", "ReplicaSet", "web", "n-1"),
        ("web-2", "ReplicaSet", "web", "n-2"),
    ] {
        let owner = json!([{ "apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": owner, "controller": true }]);
        let running = json!({ "running": { "startedAt": "2026-01-31T13:00:05Z" } });
        let container =
            json!({ "name": "c", "image": "i", "ready": true, "started": true, "restartCount": 0, "state": running });
        has(
            Kind::Pod,
            json!({
                "metadata": { "name": name, "namespace": "shop", "labels": { "app": owner[0]["name"] }, "ownerReferences": owner },
                "spec": { "nodeName": node, "containers": [{ "name": "c", "image": "i" }] },
                "status": {
                    "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }], "containerStatuses": [container],
                },
            }),
        );
    }
    world
}

const PENDING: &str = "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): shop/agent-1";

fn drains(served: &Served) -> Outcome {
    served.expect(
        "get nodes,pods -n shop",
        "NAME       STATUS   ROLES    AGE   VERSION\n\
         node/n-1   Ready    worker   60m   v1.36.3\n\
         node/n-2   Ready    worker   60m   v1.36.3\n\
         \n\
         NAME          READY   STATUS    RESTARTS   AGE\n\
         pod/agent-1   1/1     Running   0          60m\n\
         pod/agent-2   1/1     Running   0          60m\n\
         pod/web-1     1/1     Running   0          60m\n\
         pod/web-2     1/1     Running   0          60m\n",
    )?;
    served.expect("cordon n-1", "node/n-1 cordoned\n")?;
    served.expect("cordon n-1", "node/n-1 already cordoned\n")?;
    served.expect(
        "get node n-1",
        "NAME   STATUS                     ROLES    AGE   VERSION\n\
         n-1    Ready,SchedulingDisabled   worker   60m   v1.36.3\n",
    )?;
    served.expect(
        "drain n-1",
        &format!(
            "node/n-1 already cordoned\nerror: unable to drain node \"n-1\" due to error: {PENDING}, continuing command...\n\
             There are pending nodes to be drained:\n n-1\n{PENDING}\nexit 1\n"
        ),
    )?;
    served.expect(
        "drain n-1 --ignore-daemonsets",
        "node/n-1 already cordoned\n\
         evicting pod shop/web-1\n\
         pod/web-1 evicted\n\
         node/n-1 drained\n\
         Warning: ignoring DaemonSet-managed Pods: shop/agent-1\n",
    )?;
    served.expect(
        "get pods -A -o wide",
        "NAMESPACE   NAME      READY   STATUS    RESTARTS   AGE   IP       NODE   NOMINATED NODE   READINESS GATES\n\
         shop        agent-1   1/1     Running   0          60m   <none>   n-1    <none>           <none>\n\
         shop        agent-2   1/1     Running   0          60m   <none>   n-2    <none>           <none>\n\
         shop        web-2     1/1     Running   0          60m   <none>   n-2    <none>           <none>\n",
    )?;
    served.expect("uncordon n-1", "node/n-1 uncordoned\n")?;
    served.expect("uncordon n-1", "node/n-1 already uncordoned\n")
}

fn changes(served: &Served) -> Outcome {
    for (line, expected) in [
        ("version", "Client Version: v1.37.2\nKustomize Version: v5.8.1\nServer Version: v1.37.2\n"),
        ("auth can-i delete nodes", "yes\nWarning: resource 'nodes' is not namespace scoped\n\n"),
        ("label node n-1 x=1", "node/n-1 labeled\n"),
        ("taint node n-1 a=b:NoSchedule", "node/n-1 tainted\n"),
        ("taint node n-1 a=b:NoSchedule-", "node/n-1 untainted\n"),
        ("get node -l x=1 -o name", "node/n-1\n"),
        ("scale rs web -n shop --replicas=3", "replicaset.apps/web scaled\n"),
        ("rollout restart ds/agent -n shop", "daemonset.apps/agent restarted\n"),
        ("get pods -n shop --field-selector=spec.nodeName=n-2 -l app=web -o name", "pod/web-2\n"),
        ("get pods -n shop --chunk-size=1 -o name", "pod/agent-1\npod/agent-2\npod/web-1\npod/web-2\n"),
        ("wait --for=condition=Ready pod/web-2 -n shop --timeout=5s", "pod/web-2 condition met\n"),
        // It waits until the pod is gone.
        ("delete pod web-1 -n shop", "pod \"web-1\" deleted from shop namespace\n"),
        ("get pod web-1 -n shop", "Error from server (NotFound): pods \"web-1\" not found\nexit 1\n"),
        (
            "get pdb,rs,ds -n shop",
            "NAME                             MIN AVAILABLE   MAX UNAVAILABLE   ALLOWED DISRUPTIONS   AGE\n\
             poddisruptionbudget.policy/web   N/A             50%               1                     60m\n\
             \n\
             NAME                  DESIRED   CURRENT   READY   AGE\n\
             replicaset.apps/web   3         0         0       60m\n\
             \n\
             NAME                   DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE\n\
             daemonset.apps/agent   0         0         0       0            0           <none>          60m\n",
        ),
        ("top node", "error: Metrics API not available\nexit 1\n"),
    ] {
        served.expect(line, expected)?;
    }
    applies(served)
}

fn applies(served: &Served) -> Outcome {
    let path = served.folder.path().join("map.yaml");
    let file = path.display();
    let write = |data: &str| {
        let map = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: m\n  namespace: shop\ndata:\n  a: \"{data}\"\n"
        );
        std::fs::write(&path, map)
    };
    write("1")?;
    served.expect(&format!("apply --server-side -f {file}"), "configmap/m serverside-applied\n")?;
    served.expect("delete configmap m -n shop", "configmap \"m\" deleted from shop namespace\n")?;
    served.expect(&format!("apply -f {file}"), "configmap/m created\n")?;
    served.expect(&format!("apply -f {file}"), "configmap/m unchanged\n")?;
    write("2")?;
    served.expect(&format!("apply -f {file}"), "configmap/m configured\n")?;
    let there = format!(
        "Error from server (AlreadyExists): error when creating \"{file}\": configmaps \"m\" already exists\nexit 1\n"
    );
    served.expect(&format!("create -f {file}"), &there)?;
    served.expect("get configmap m -n shop -o jsonpath={.data}", "{\"a\":\"2\"}")
}
