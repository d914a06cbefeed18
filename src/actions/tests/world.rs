//! A server of one node, its pods and a budget, spoken to through a real `kube::Client`; the facts follow it at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::actions::ownership::Standing;
use crate::actions::ownership::tests::All;
use crate::actions::{Args, Attempt, Note, StepContext, Stop, perform};
use crate::catalog::types::Kind;
use crate::catalog::value::{ObjectRef, Value as Argument};
use crate::cluster::Requests;
use crate::cluster::snapshot::Snapshot;
use crate::engine::event::Progress;
use crate::facts::Resource;
use crate::facts::SharedFacts;
use crate::outside::{Clock, Outside};

/// How long a pod takes to end, and a replacement to be ready after that.
const ENDS: Duration = Duration::from_secs(2);
const STARTS: Duration = Duration::from_secs(3);
/// When a trial begins, Unix milliseconds.
const BEGIN: i64 = 1_800_000_000_000;

/// What the server does with the next mutation beside what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Somebody labels the node first.
    Raced,
    /// It is done, and the answer is lost.
    Lost,
    /// It is refused as invalid.
    Invalid,
    /// A webhook says no.
    Denied,
    /// A policy says no.
    Forbidden,
    /// The webhook that is to be asked is away.
    Away,
}

/// Tokio's clock as wall time.
pub(super) struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> i64 {
        BEGIN + i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[derive(Default)]
pub(super) struct State {
    version: u64,
    pub(super) objects: BTreeMap<(Resource, String), Value>,
    /// `METHOD path` of every request.
    pub(super) log: Vec<String>,
    pub(super) faults: VecDeque<Fault>,
    /// Whether nothing answers any more.
    pub(super) down: bool,
    /// Whether pods that were evicted are replaced.
    pub(super) replaces: bool,
    /// Whether the pods end once they are evicted.
    pub(super) stuck: bool,
}

/// The server, and what a step is given.
#[derive(Clone)]
pub(super) struct World {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) facts: SharedFacts,
}

impl World {
    /// A cordoned node `n`.
    pub(super) fn new() -> Self {
        let world = Self { state: Arc::default(), facts: SharedFacts::from_snapshot(&Snapshot::default()) };
        world.state().replaces = true;
        world.put(Resource::Nodes, json!({"metadata": {"name": "n", "uid": "n-uid"}, "spec": {"unschedulable": true}}));
        world
    }

    /// A node `n` that is schedulable.
    pub(super) fn open() -> Self {
        let world = Self::new();
        world.put(Resource::Nodes, json!({"metadata": {"name": "n", "uid": "n-uid"}, "spec": {}}));
        world
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the world in its hands")
    }

    /// Takes an object in under a new version, and lets the facts see it.
    pub(super) fn put(&self, resource: Resource, mut object: Value) -> Value {
        let version = {
            let mut state = self.state();
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            state.objects.insert((resource, name), object.clone());
            state.version.to_string()
        };
        self.facts.write(|facts| {
            facts.put(resource, object.clone());
            facts.hear(resource, &version);
        });
        object
    }

    pub(super) fn get(&self, resource: Resource, name: &str) -> Option<Value> {
        self.state().objects.get(&(resource, name.to_owned())).cloned()
    }

    pub(super) fn remove(&self, resource: Resource, name: &str) {
        let removed = self.state().objects.remove(&(resource, name.to_owned()));
        let Some(removed) = removed else { return };
        let meta = serde_json::from_value(removed["metadata"].clone()).expect("metadata");
        self.facts.write(|facts| facts.remove(resource, &meta));
    }

    /// A ready pod of the StatefulSet `web` on the node.
    pub(super) fn pod(&self, name: &str) -> Value {
        self.pod_on(name, "n")
    }

    fn pod_on(&self, name: &str, node: &str) -> Value {
        self.put(
            Resource::Pods,
            json!({
                "metadata": {
                    "namespace": "shop", "name": name, "uid": format!("{name}-uid"), "labels": {"app": "web"},
                    "ownerReferences": [{"kind": "StatefulSet", "name": "web", "uid": "web-uid", "controller": true}],
                },
                "spec": {"nodeName": node},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            }),
        )
    }

    /// The StatefulSet `web`, which no budget covers.
    pub(super) fn unbudgeted(&self, replicas: i64) {
        self.put(
            Resource::StatefulSets,
            json!({
                "metadata": {"namespace": "shop", "name": "web", "uid": "web-uid"},
                "spec": {"replicas": replicas, "template": {}},
            }),
        );
    }

    /// The StatefulSet `web` and a budget over its pods.
    pub(super) fn workload(&self, replicas: i64, min_available: i64) {
        self.unbudgeted(replicas);
        let status = json!({
            "disruptionsAllowed": replicas - min_available, "currentHealthy": replicas,
            "desiredHealthy": min_available, "expectedPods": replicas,
        });
        self.put(
            Resource::Budgets,
            json!({
                "metadata": {"namespace": "shop", "name": "web", "uid": "budget-uid"},
                "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": "web"}}},
                "status": status,
            }),
        );
    }

    /// Lets one more, or one fewer, of the budget's pods be healthy.
    pub(super) fn credit(&self, by: i64) {
        let Some(mut budget) = self.get(Resource::Budgets, "web") else { return };
        for field in ["disruptionsAllowed", "currentHealthy"] {
            budget["status"][field] = json!(budget["status"][field].as_i64().unwrap_or_default() + by);
        }
        self.put(Resource::Budgets, budget);
    }

    /// How many requests began with these words.
    pub(super) fn count(&self, words: &str) -> usize {
        self.state().log.iter().filter(|line| line.starts_with(words)).count()
    }

    fn client(&self) -> kube::Client {
        let world = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let world = world.clone();
            async move { world.serve(request).await }
        });
        kube::Client::new(service, "default")
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<Body>, std::io::Error> {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let path = head.uri.path().to_owned();
        self.state().log.push(format!("{} {path}", head.method));
        if self.state().down {
            return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        }
        let fault = if head.method == Method::GET { None } else { self.state().faults.pop_front() };
        if fault == Some(Fault::Raced) {
            let mut node = self.get(Resource::Nodes, "n").expect("the node");
            node["metadata"]["labels"] = json!({"raced": "yes"});
            self.put(Resource::Nodes, node);
        }
        let (code, answer) = match fault {
            Some(Fault::Invalid) => (422, json!({"message": "it is not valid"})),
            Some(Fault::Denied) => {
                (403, json!({"message": "admission webhook \"guard.example.com\" denied the request: not now"}))
            }
            Some(Fault::Forbidden) => (
                422,
                json!({"message": "pods \"web-0\" is forbidden: ValidatingAdmissionPolicy 'freeze' with binding 'all' denied request: not now"}),
            ),
            Some(Fault::Away) => (
                500,
                json!({"message": "Internal error occurred: failed calling webhook \"guard.example.com\": no route"}),
            ),
            Some(Fault::Raced | Fault::Lost) | None => self.answer(&head.method, &path, &body),
        };
        let code = if fault == Some(Fault::Lost) { 504 } else { code };
        let response = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
        Ok(response.expect("a response"))
    }

    fn answer(&self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let found =
            |object: Option<Value>| object.map_or((404, json!({"message": "not found"})), |object| (200, object));
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["api", "v1", "nodes", name]) => found(self.get(Resource::Nodes, name)),
            ("PATCH", ["api", "v1", "nodes", name]) => {
                match self.get(Resource::Nodes, name).map(|node| patched(node, body)) {
                    Some(Ok(node)) => (200, self.put(Resource::Nodes, node)),
                    Some(Err(why)) => (422, json!({"message": why})),
                    None => found(None),
                }
            }
            ("GET", ["api", "v1", "pods"]) => {
                let state = self.state();
                let on_node = |(key, pod): (&(Resource, String), &Value)| {
                    (key.0 == Resource::Pods && pod["spec"]["nodeName"] == "n").then(|| pod.clone())
                };
                (200, json!({"items": state.objects.iter().filter_map(on_node).collect::<Vec<_>>()}))
            }
            ("GET", ["api", "v1", "namespaces", _, "pods", name]) => found(self.get(Resource::Pods, name)),
            ("POST", ["api", "v1", "namespaces", _, "pods", name, "eviction"]) => self.evict(name, body),
            _ => (500, json!({"message": format!("{method} {path} is not served")})),
        }
    }

    fn evict(&self, name: &str, body: &Value) -> (u16, Value) {
        let Some(mut pod) = self.get(Resource::Pods, name) else { return (404, json!({"message": "not found"})) };
        if body["deleteOptions"]["preconditions"]["uid"] != pod["metadata"]["uid"] {
            return (409, json!({"message": "the UID in the precondition does not match"}));
        }
        let allowed =
            self.get(Resource::Budgets, "web").and_then(|budget| budget["status"]["disruptionsAllowed"].as_i64());
        if allowed == Some(0) {
            let cause = json!({"reason": "DisruptionBudget", "message": "the disruption budget web does not allow it"});
            return (429, json!({"message": "Cannot evict pod", "details": {"causes": [cause]}}));
        }
        self.credit(-1);
        pod["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:30Z");
        self.put(Resource::Pods, pod);
        let (world, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move { world.replace(&name).await });
        (201, json!({"status": "Success"}))
    }

    /// The kubelet and the controllers after an eviction.
    async fn replace(&self, name: &str) {
        let (is_stuck, is_replaced) = {
            let state = self.state();
            (state.stuck, state.replaces)
        };
        if is_stuck {
            return;
        }
        tokio::time::sleep(ENDS).await;
        self.remove(Resource::Pods, name);
        if is_replaced {
            tokio::time::sleep(STARTS).await;
            self.pod_on(&format!("{name}-new"), "other");
            self.credit(1);
        }
    }
}

/// What a JSON patch makes of an object: `test`, `add` and `remove` of members.
fn patched(mut object: Value, patch: &Value) -> Result<Value, String> {
    for operation in patch.as_array().into_iter().flatten() {
        let path = operation["path"].as_str().unwrap_or_default();
        let (parent, key) = path.rsplit_once('/').unwrap_or_default();
        let key = key.replace("~1", "/").replace("~0", "~");
        let parent = object.pointer_mut(parent).and_then(Value::as_object_mut).ok_or("the path is not there")?;
        match operation["op"].as_str() {
            Some("test") if parent.get(&key) == Some(&operation["value"]) => {}
            Some("test") => return Err(format!("testing {path} failed")),
            Some("add") => _ = parent.insert(key, operation["value"].clone()),
            Some("remove") => _ = parent.shift_remove(&key).ok_or("nothing to remove")?,
            other => return Err(format!("{other:?} is no operation")),
        }
    }
    Ok(object)
}

/// A step under way.
pub(super) struct Trial {
    pub(super) context: StepContext,
    pub(super) notes: mpsc::UnboundedReceiver<Note>,
    pub(super) stop: watch::Sender<Stop>,
    _deadline: watch::Sender<i64>,
}

impl Trial {
    /// A step of run `7c1f-01` that may take so many seconds.
    pub(super) fn of(world: &World, seconds: i64) -> Self {
        let clock = Arc::new(Paused(Instant::now()));
        let (stop, stopped) = watch::channel(Stop::No);
        let (deadline, due) = watch::channel(clock.now() + seconds * 1_000);
        let (notes, received) = mpsc::unbounded_channel();
        let context = StepContext {
            requests: Requests::new(world.client(), clock.clone(), 7),
            facts: world.facts.clone(),
            outside: Outside { clock, ..Outside::system() },
            run: "7c1f-01".into(),
            step: "n/step".to_owned(),
            attempt: 1,
            seed: 7,
            own: None,
            runs: Arc::new(All(Standing::Open)),
            deadline: due,
            stop: stopped,
            notes,
            secrets: Arc::default(),
            environment: Arc::default(),
            process: None,
            closures: Arc::default(),
            stagger: Arc::default(),
            accounts: Arc::default(),
            has_effect: false,
        };
        Self { context, notes: received, stop, _deadline: deadline }
    }

    pub(super) async fn perform(&self, name: &str, more: &[(&str, &str)]) -> Attempt {
        perform(name, &args(more), None, self.context.clone()).await
    }

    /// The pods whose eviction was noted, and the last lines that say what is waited for.
    pub(super) fn noted(&mut self) -> (Vec<String>, Vec<String>) {
        let (mut evicted, mut waiting) = (Vec::new(), Vec::new());
        while let Ok(note) = self.notes.try_recv() {
            match note {
                Note::Progress(_, Progress::Evicted { pod, .. }) => evicted.push(pod.to_string()),
                Note::Waiting(_, lines) => waiting.extend(lines),
                Note::Progress(..) | Note::Durable(..) | Note::Output(..) | Note::Counted(..) => {}
            }
        }
        (evicted, waiting)
    }
}

/// The arguments of a step about node `n`.
pub(super) fn args(more: &[(&str, &str)]) -> Args {
    let node = ObjectRef { kind: Kind::Node, namespace: String::new(), name: "n".to_owned(), uid: "n-uid".to_owned() };
    let texts = more.iter().map(|(name, text)| ((*name).to_owned(), Argument::string(*text)));
    texts.chain([("node".to_owned(), Argument::Object(Arc::new(node)))]).collect()
}

/// The failure's code, message and details, or how else it came out.
pub(super) fn told(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Failed(failure) | Attempt::Refused(failure) => {
            let mut lines = vec![format!("{} {}", failure.code, failure.message)];
            lines.extend(failure.details.iter().cloned());
            lines.join("\n")
        }
        Attempt::Done { note, .. } => format!("done {}", note.as_deref().unwrap_or_default()).trim().to_owned(),
        Attempt::Interrupted => "interrupted".to_owned(),
        Attempt::InDoubt(why) => why.clone(),
    }
}
