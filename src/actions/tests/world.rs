//! A world of one node, its pods and a budget; the facts follow it at once, unless they are told to be behind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::server::{Fault, Watcher};
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

/// When a trial begins, Unix milliseconds.
const BEGIN: i64 = 1_800_000_000_000;

/// Tokio's clock as wall time.
pub(super) struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> i64 {
        BEGIN + i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) version: u64,
    pub(super) objects: BTreeMap<(Resource, String), Value>,
    /// Those of resources that are no facts, by path.
    pub(super) others: BTreeMap<String, Value>,
    pub(super) watchers: Vec<Watcher>,
    /// `METHOD path` of every request.
    pub(super) log: Vec<String>,
    pub(super) faults: VecDeque<Fault>,
    /// What the login may not list.
    pub(super) hidden: BTreeSet<Resource>,
    /// Whether nothing answers any more.
    pub(super) down: bool,
    /// Whether pods that were evicted are replaced.
    pub(super) replaces: bool,
    /// Whether the pods end once they are evicted.
    pub(super) stuck: bool,
    /// What the watches have not brought yet, and will not before [`World::catch_up`].
    pub(super) behind: BTreeSet<Resource>,
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

    /// What happens after so many seconds.
    pub(super) fn after(&self, seconds: u64, happens: impl FnOnce(&Self) + Send + 'static) {
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            happens(&world);
        });
    }

    /// Lets the facts see what the watch of a resource had not brought.
    pub(super) fn catch_up(&self, resource: Resource) {
        self.state().behind.remove(&resource);
        let all = self.state().objects.clone();
        for (_, object) in all.into_iter().filter(|((of, _), _)| *of == resource) {
            self.show(resource, object);
        }
    }

    fn show(&self, resource: Resource, object: Value) {
        if self.state().behind.contains(&resource) {
            return;
        }
        let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        self.facts.write(|facts| {
            facts.put(resource, object);
            facts.hear(resource, &version);
        });
    }

    /// Takes an object in under a new version, and lets the facts see it.
    pub(super) fn put(&self, resource: Resource, mut object: Value) -> Value {
        {
            let mut state = self.state();
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            state.objects.insert((resource, name), object.clone());
        }
        self.tell(resource, "MODIFIED", &object);
        self.show(resource, object.clone());
        object
    }

    pub(super) fn get(&self, resource: Resource, name: &str) -> Option<Value> {
        self.state().objects.get(&(resource, name.to_owned())).cloned()
    }

    pub(super) fn remove(&self, resource: Resource, name: &str) {
        let removed = self.state().objects.remove(&(resource, name.to_owned()));
        let Some(removed) = removed else { return };
        self.tell(resource, "DELETED", &removed);
        let meta = serde_json::from_value(removed["metadata"].clone()).expect("metadata");
        self.facts.write(|facts| facts.remove(resource, &meta));
    }

    /// A ready pod of the StatefulSet `web` on the node.
    pub(super) fn pod(&self, name: &str) -> Value {
        self.pod_on(name, "n")
    }

    pub(super) fn pod_on(&self, name: &str, node: &str) -> Value {
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

    /// The one Job there is.
    pub(super) fn job(&self) -> Option<Value> {
        let state = self.state();
        let mut jobs = state.objects.iter().filter(|((resource, _), _)| *resource == Resource::Jobs);
        jobs.next().map(|(_, job)| job.clone())
    }

    /// The Job's pod ends with that exit code, and the Job with it.
    pub(super) fn end_job(&self, code: i64) {
        let mut job = self.job().expect("a job");
        let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.put(
            Resource::Pods,
            json!({
                "metadata": {
                    "namespace": job["metadata"]["namespace"], "name": format!("{name}-pod"), "uid": format!("{name}-pod-uid"),
                    "labels": {"batch.kubernetes.io/job-name": name, "sprag.dev/run": "7c1f-01"},
                },
                "spec": {"nodeName": "n"},
                "status": {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": code}}}]},
            }),
        );
        let ended = if code == 0 { "Complete" } else { "Failed" };
        job["status"] = json!({"conditions": [{"type": ended, "status": "True", "reason": "Told"}]});
        self.put(Resource::Jobs, job);
    }

    /// The node is ready or not, and its kubelet has renewed its lease just now.
    pub(super) fn beat(&self, now: i64, ready: bool) {
        let mut node = self.get(Resource::Nodes, "n").expect("the node");
        let status = if ready { "True" } else { "False" };
        node["status"]["conditions"] = json!([{"type": "Ready", "status": status}]);
        self.put(Resource::Nodes, node);
        let renewed = jiff::Timestamp::from_millisecond(now).expect("a time").to_string();
        let metadata = json!({"namespace": "kube-node-lease", "name": "n", "uid": "lease-uid"});
        self.put(Resource::Leases, json!({"metadata": metadata, "spec": {"renewTime": renewed}}));
    }

    /// How many requests began with these words.
    pub(super) fn count(&self, words: &str) -> usize {
        self.state().log.iter().filter(|line| line.starts_with(words)).count()
    }
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
            namespace: "ours".into(),
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
        self.perform_with(name, &args(more)).await
    }

    pub(super) async fn perform_with(&self, name: &str, args: &Args) -> Attempt {
        perform(name, args, None, self.context.clone()).await
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

/// The object that a test world has of that name, as an argument; where there is none, one that is gone.
pub(super) fn object(world: &World, kind: Kind, resource: Resource, name: &str) -> Argument {
    let found = world.get(resource, name).unwrap_or_default();
    let text = |field: &str, other: &str| found["metadata"][field].as_str().unwrap_or(other).to_owned();
    let (namespace, uid) = (text("namespace", "shop"), text("uid", "gone-uid"));
    Argument::Object(Arc::new(ObjectRef { kind, namespace, name: name.to_owned(), uid }))
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
