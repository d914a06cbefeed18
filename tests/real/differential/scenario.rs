//! A scenario as data: what there is, what is done, how long it is looked at, and what is known to differ.
//!
//! Texts name things as both clusters understand them: `$NS` is the namespace, `$0` the first node, and `<web-#1-#2>` the
//! object that is called so by [`super::names`], whose real name differs from cluster to cluster.

use crate::testbed::workload::Workload;
use serde_json::{Value, json};

/// One row of the table, played on both clusters.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its number and what it shows.
    pub name: &'static str,
    /// The zone of each node; empty for none.
    pub nodes: Vec<&'static str>,
    /// What each node offers, where it is not the testbed's default: cpus, memory, pods.
    pub room: Option<(&'static str, &'static str, u32)>,
    /// What there is before anything is done.
    pub scene: Vec<Made>,
    /// What is done.
    pub acts: Vec<Act>,
    /// How long is looked after the last of it, in seconds.
    pub look: f64,
    /// Nodes between which a scheduler may choose: being on one of them is being on any.
    pub feasible: Vec<usize>,
    /// The resources of which the changes are compared; empty for all.
    pub only: Vec<&'static str>,
    /// What has to be seen on both: a resource and name, and one of its changes.
    pub tells: Vec<(&'static str, &'static str)>,
    /// By how many seconds more than usual times may differ: of what a controller looks for at intervals.
    pub slack: f64,
    /// What differs: where, and why.
    pub differs: Vec<(&'static str, &'static str)>,
}

/// An object of the scene.
#[derive(Debug, Clone)]
pub enum Made {
    /// Its pods are put on the pool's nodes.
    Workload(Box<Workload>),
    /// Posted to a path as it is.
    Object(String, Value),
}

/// Something that is done.
#[derive(Debug, Clone)]
pub enum Act {
    /// A request, and the code of its answer.
    Send(u16, Ask),
    /// Requests that are sent at once, and the codes of their answers in order.
    Together(Vec<u16>, Vec<Ask>),
    /// A workload is created.
    Create(Box<Workload>),
    /// So many seconds pass.
    Wait(f64),
    /// Fields of an object are noted, by JSON pointers.
    Read(String, &'static [&'static str]),
    /// The real kubectl is run with these arguments and ends with this code.
    Kubectl(i32, Vec<String>),
    /// A watch that goes on for as long as its `timeoutSeconds`; its events are noted.
    Watch(String),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Verb.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// How the body is to be read.
    pub content_type: &'static str,
    /// Null for none.
    pub body: Value,
}

impl Scenario {
    /// One node without a zone, nothing on it; five seconds are looked at.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            nodes: vec![""],
            room: None,
            scene: Vec::new(),
            acts: Vec::new(),
            look: 5.0,
            feasible: Vec::new(),
            only: Vec::new(),
            tells: Vec::new(),
            slack: 0.0,
            differs: Vec::new(),
        }
    }

    /// So many nodes, without zones.
    pub fn nodes(mut self, count: usize) -> Self {
        self.nodes = vec![""; count];
        self
    }

    /// Nodes in these zones.
    pub fn zones(mut self, zones: &[&'static str]) -> Self {
        self.nodes = zones.to_vec();
        self
    }

    /// What each node offers.
    pub fn room(mut self, cpu: &'static str, memory: &'static str, pods: u32) -> Self {
        self.room = Some((cpu, memory, pods));
        self
    }

    /// A workload of the scene.
    pub fn has(mut self, workload: Workload) -> Self {
        self.scene.push(Made::Workload(Box::new(workload)));
        self
    }

    /// An object of the scene.
    pub fn object(mut self, path: &str, object: Value) -> Self {
        self.scene.push(Made::Object(path.into(), object));
        self
    }

    /// A budget of the scene for the pods of `app`, called like it.
    pub fn budget(self, app: &str, limits: Value) -> Self {
        let mut spec = limits;
        if spec.get("selector").is_none() {
            spec["selector"] = json!({"matchLabels": {"app": app}});
        }
        self.object(&policy("poddisruptionbudgets"), json!({"metadata": {"name": app}, "spec": spec}))
    }

    /// A request is sent and answered with this code.
    pub fn sends(mut self, code: u16, ask: Ask) -> Self {
        self.acts.push(Act::Send(code, ask));
        self
    }

    /// Requests are sent at once and answered with these codes.
    pub fn together(mut self, codes: &[u16], asks: Vec<Ask>) -> Self {
        self.acts.push(Act::Together(codes.to_vec(), asks));
        self
    }

    /// A workload is created.
    pub fn creates(mut self, workload: Workload) -> Self {
        self.acts.push(Act::Create(Box::new(workload)));
        self
    }

    /// So many seconds pass.
    pub fn waits(mut self, seconds: f64) -> Self {
        self.acts.push(Act::Wait(seconds));
        self
    }

    /// Fields of an object are noted.
    pub fn reads(mut self, path: &str, pointers: &'static [&'static str]) -> Self {
        self.acts.push(Act::Read(path.into(), pointers));
        self
    }

    /// A watch begins.
    pub fn watches(mut self, path: &str) -> Self {
        self.acts.push(Act::Watch(path.into()));
        self
    }

    /// The real kubectl is run and ends with this code.
    pub fn kubectl(mut self, code: i32, args: &[&str]) -> Self {
        self.acts.push(Act::Kubectl(code, args.iter().map(|arg| (*arg).to_owned()).collect()));
        self
    }

    /// Whether a kubectl is run, which speaks HTTP and has a clock of its own.
    pub fn has_kubectl(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, Act::Kubectl(..)))
    }

    /// Looks for so many seconds.
    pub fn looks(mut self, seconds: f64) -> Self {
        self.look = seconds;
        self
    }

    /// A scheduler may choose between these nodes.
    pub fn feasible(mut self, nodes: &[usize]) -> Self {
        self.feasible = nodes.to_vec();
        self
    }

    /// Only the changes of these resources are compared.
    pub fn only(mut self, resources: &[&'static str]) -> Self {
        self.only = resources.to_vec();
        self
    }

    /// This has to be seen.
    pub fn tells(mut self, object: &'static str, phrase: &'static str) -> Self {
        self.tells.push((object, phrase));
        self
    }

    /// Times may differ by so many seconds more.
    pub fn slack(mut self, seconds: f64) -> Self {
        self.slack = seconds;
        self
    }

    /// This differs, for this reason.
    pub fn differs(mut self, place: &'static str, why: &'static str) -> Self {
        self.differs.push((place, why));
        self
    }

    /// The first word of its name, of which its namespace and nodes are called.
    pub fn pool(&self) -> &'static str {
        self.name.split('_').next().unwrap_or(self.name)
    }
}

impl Ask {
    /// With the body read as JSON.
    pub fn new(method: &'static str, path: &str, body: Value) -> Self {
        Self { method, path: path.into(), content_type: "application/json", body }
    }

    /// Read so instead.
    fn of_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }
}

/// The path of something in the namespace, of the core group.
pub fn core(rest: &str) -> String {
    format!("/api/v1/namespaces/$NS/{rest}")
}

/// The path of something in the namespace, of the group `apps`.
pub fn apps(rest: &str) -> String {
    format!("/apis/apps/v1/namespaces/$NS/{rest}")
}

/// The path of something in the namespace, of the group `policy`.
pub fn policy(rest: &str) -> String {
    format!("/apis/policy/v1/namespaces/$NS/{rest}")
}

/// The eviction of a pod.
pub fn evict(pod: &str) -> Ask {
    evict_with(pod, json!({}))
}

/// The eviction of a pod with options for its deletion.
pub fn evict_with(pod: &str, options: Value) -> Ask {
    let mut body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
    if options != json!({}) {
        body["deleteOptions"] = options;
    }
    Ask::new("POST", &core(&format!("pods/{pod}/eviction")), body)
}

/// A merge patch.
pub fn patch(path: &str, body: Value) -> Ask {
    Ask::new("PATCH", path, body).of_type("application/merge-patch+json")
}

/// A strategic merge patch: lists with keys are merged by them.
pub fn strategic(path: &str, body: Value) -> Ask {
    Ask::new("PATCH", path, body).of_type("application/strategic-merge-patch+json")
}

/// A node is cordoned, as kubectl does it.
pub fn cordon(node: usize) -> Ask {
    strategic(&format!("/api/v1/nodes/${node}"), json!({"spec": {"unschedulable": true}}))
}

/// A node is uncordoned, as kubectl does it.
pub fn uncordon(node: usize) -> Ask {
    strategic(&format!("/api/v1/nodes/${node}"), json!({"spec": {"unschedulable": null}}))
}

/// A deletion; options go in the query.
pub fn delete(path: &str) -> Ask {
    Ask::new("DELETE", path, Value::Null)
}

/// A pod of the testbed on a node, past the scheduler.
pub fn pod_on(name: &str, node: usize) -> Workload {
    pod(name).on(&format!("${node}"))
}

/// A pod of the testbed that says all its times.
pub fn pod(name: &str) -> Workload {
    timed(Workload::pod(name))
}

/// A Deployment of the testbed that says all its times.
pub fn deployment(name: &str, replicas: u32) -> Workload {
    timed(Workload::deployment(name, replicas))
}

/// A StatefulSet of the testbed that says all its times.
pub fn stateful_set(name: &str, replicas: u32) -> Workload {
    timed(Workload::stateful_set(name, replicas))
}

/// A DaemonSet of the testbed that says all its times.
pub fn daemon_set(name: &str) -> Workload {
    timed(Workload::daemon_set(name))
}

/// A Job of the testbed whose pods last for long.
pub fn job(name: &str, completions: u32) -> Workload {
    timed(Workload::job(name, completions)).complete_after("600s")
}

fn timed(workload: Workload) -> Workload {
    workload.ready_after("1s").stop_after("3s")
}
