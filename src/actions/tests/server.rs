//! The API server of the tests' world, spoken to through a real `kube::Client`: objects are read, listed by selector,
//! watched, made, patched, applied and deleted; pods are evicted.

use std::time::Duration;

use futures_util::stream;
use http::{Method, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::world::World;
use crate::facts::Resource;

/// How long a pod takes to end, and a replacement to be ready after that.
const ENDS: Duration = Duration::from_secs(2);
const STARTS: Duration = Duration::from_secs(3);

/// What the server does with the next mutation beside what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Somebody labels the node first.
    Raced,
    /// It is done, and the answer is lost.
    Lost,
    /// The login may not.
    Forbidden,
    /// Somebody else manages a field.
    Conflict,
    /// It is refused as invalid.
    Invalid,
    /// The budget says no, though its status shows a credit.
    Busy,
    /// A webhook says no.
    Denied,
    /// A policy says no.
    Policy,
    /// The webhook that is to be asked is away.
    Away,
}

/// Who watches a resource, with its selectors.
#[derive(Debug)]
pub(super) struct Watcher {
    resource: Resource,
    query: String,
    events: mpsc::UnboundedSender<String>,
}

/// One request.
struct Asked {
    method: Method,
    path: String,
    query: String,
    is_apply: bool,
    body: Value,
}

/// What a path leads to.
enum Address {
    /// A resource as a whole, or what a namespace has of it.
    List(Resource),
    /// One object.
    One(Resource, String),
    /// A subresource of one object.
    Sub(Resource, String, String),
}

/// Code and body.
type Answer = (u16, Value);

type Answering = UnsyncBoxBody<Bytes, std::io::Error>;

fn whole(body: String) -> Answering {
    Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync()
}

impl World {
    pub(super) fn client(&self) -> kube::Client {
        let world = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let world = world.clone();
            async move { world.serve(request).await }
        });
        kube::Client::new(service, "default")
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<Answering>, std::io::Error> {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let is_apply =
            head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/apply-patch+yaml");
        let asked = Asked {
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().replace("%3D", "=").replace("%2C", ",").replace("%2F", "/"),
            method: head.method,
            is_apply,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        };
        self.state().log.push(format!("{} {}", asked.method, asked.path));
        if self.state().down {
            return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        }
        if asked.query.contains("watch=1") {
            return Ok(Response::new(self.watched(&asked)));
        }
        let fault = if asked.method == Method::GET { None } else { self.state().faults.pop_front() };
        let (code, answer) = self.faulty(fault, &asked);
        let response = Response::builder().status(code).body(whole(answer.to_string()));
        Ok(response.expect("a response"))
    }

    fn faulty(&self, fault: Option<Fault>, asked: &Asked) -> Answer {
        let no = |code: u16, why: &str| (code, json!({"message": why}));
        match fault {
            None => self.answer(asked),
            Some(Fault::Lost) => (504, self.answer(asked).1),
            Some(Fault::Raced) => {
                let mut node = self.get(Resource::Nodes, "n").expect("the node");
                node["metadata"]["labels"] = json!({"raced": "yes"});
                self.put(Resource::Nodes, node);
                self.answer(asked)
            }
            Some(Fault::Forbidden) => no(403, "you may not"),
            Some(Fault::Conflict) => no(409, "conflict with \"kubectl\": .data.key"),
            Some(Fault::Invalid) => no(422, "it is not valid"),
            Some(Fault::Busy) => budget_says_no(),
            Some(Fault::Denied) => no(403, "admission webhook \"guard.example.com\" denied the request: not now"),
            Some(Fault::Policy) => {
                let policy = "ValidatingAdmissionPolicy 'freeze' with binding 'all' denied request: not now";
                no(422, &format!("pods \"web-0\" is forbidden: {policy}"))
            }
            Some(Fault::Away) => {
                no(500, "Internal error occurred: failed calling webhook \"guard.example.com\": no route")
            }
        }
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let Some(address) = address(&asked.path) else { return self.other(asked) };
        match (asked.method.as_str(), address) {
            ("GET", Address::List(resource)) => self.listed(resource, &asked.query),
            ("POST", Address::List(resource)) => self.create(resource, &asked.path, asked.body.clone()),
            ("PATCH", Address::One(resource, _)) if asked.is_apply => (200, self.put(resource, with_uid(&asked.body))),
            ("GET", Address::One(resource, name)) => found(self.get(resource, &name)),
            ("PATCH", Address::One(resource, name)) => match self.get(resource, &name) {
                Some(object) => match patched(object, &asked.body) {
                    Ok(object) => (200, self.put(resource, object)),
                    Err(why) => (422, json!({"message": why})),
                },
                None => found(None),
            },
            ("DELETE", Address::One(resource, name)) => self.delete(resource, &name, &asked.body),
            ("POST", Address::Sub(Resource::Pods, name, sub)) if sub == "eviction" => self.evict(&name, &asked.body),
            (_, Address::Sub(resource, name, sub)) if sub == "scale" => self.scaled(resource, &name, asked),
            _ => (500, json!({"message": format!("{} {} is not served", asked.method, asked.path)})),
        }
    }

    /// Discovery, and what no fact is made of.
    fn other(&self, asked: &Asked) -> Answer {
        let served =
            |name: &str, kind: &str| (200, json!({"resources": [{"name": name, "kind": kind, "namespaced": true}]}));
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/api/v1") => served("configmaps", "ConfigMap"),
            ("GET", "/apis/apps/v1") => served("statefulsets", "StatefulSet"),
            ("GET", path) => found(self.state().others.get(path).cloned()),
            ("POST" | "PATCH", path) => {
                let name = asked.body["metadata"]["name"].as_str().unwrap_or_default();
                let path = if asked.is_apply { path.to_owned() } else { format!("{path}/{name}") };
                let object = with_uid(&asked.body);
                self.state().others.insert(path, object.clone());
                (200, object)
            }
            _ => found(None),
        }
    }

    fn listed(&self, resource: Resource, query: &str) -> Answer {
        let state = self.state();
        if state.hidden.contains(&resource) {
            return (403, json!({"message": "you may not"}));
        }
        let all = state.objects.iter().filter(|((of, _), object)| *of == resource && is_selected(object, query));
        let items: Vec<&Value> = all.map(|(_, object)| object).collect();
        (200, json!({"metadata": {"resourceVersion": state.version.to_string()}, "items": items}))
    }

    fn create(&self, resource: Resource, path: &str, mut object: Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if self.get(resource, &name).is_some() {
            return (409, json!({"message": "it exists"}));
        }
        if let Some((_, rest)) = path.split_once("/namespaces/") {
            object["metadata"]["namespace"] = json!(rest.split('/').next());
        }
        let version = self.state().version;
        object["metadata"]["uid"] = json!(format!("{name}-uid-{version}"));
        (201, self.put(resource, object))
    }

    fn delete(&self, resource: Resource, name: &str, options: &Value) -> Answer {
        match self.get(resource, name) {
            Some(object) if object["metadata"]["uid"] == options["preconditions"]["uid"] => {
                self.remove(resource, name);
                (200, json!({"status": "Success"}))
            }
            Some(_) => (409, json!({"message": "the UID in the precondition does not match"})),
            None => found(None),
        }
    }

    /// The subresource through which a workload is scaled: it bears the metadata of what it scales.
    fn scaled(&self, resource: Resource, name: &str, asked: &Asked) -> Answer {
        let Some(mut object) = self.get(resource, name) else { return found(None) };
        let scale =
            |object: &Value| json!({"metadata": object["metadata"], "spec": {"replicas": object["spec"]["replicas"]}});
        if asked.method == Method::GET {
            return (200, scale(&object));
        }
        match patched(scale(&object), &asked.body) {
            Ok(wanted) => {
                object["spec"]["replicas"] = wanted["spec"]["replicas"].clone();
                (200, scale(&self.put(resource, object)))
            }
            Err(why) => (422, json!({"message": why})),
        }
    }

    /// The body of a watch: what changed since its version, and what changes from now on.
    fn watched(&self, asked: &Asked) -> Answering {
        let (sender, events) = mpsc::unbounded_channel();
        let Some(Address::List(resource)) = address(&asked.path) else { return whole(String::new()) };
        let number = |object: &Value| {
            object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse::<u64>().ok())
        };
        let since = asked.query.rsplit_once("resourceVersion=").and_then(|(_, version)| version.parse::<u64>().ok());
        let mut state = self.state();
        for ((of, _), object) in &state.objects {
            if *of == resource && number(object) > since && is_selected(object, &asked.query) {
                let _ = sender.send(event("MODIFIED", object));
            }
        }
        state.watchers.push(Watcher { resource, query: asked.query.clone(), events: sender });
        let frames = stream::unfold(events, |mut events| async move {
            let event = events.recv().await?;
            Some((Ok::<_, std::io::Error>(Frame::data(Bytes::from(event))), events))
        });
        StreamBody::new(frames).boxed_unsync()
    }

    /// Tells those who watch.
    pub(super) fn tell(&self, resource: Resource, kind: &str, object: &Value) {
        self.state().watchers.retain(|watcher| {
            let is_asked_for = watcher.resource == resource && is_selected(object, &watcher.query);
            !is_asked_for || watcher.events.send(event(kind, object)).is_ok()
        });
    }

    fn evict(&self, name: &str, body: &Value) -> (u16, Value) {
        let Some(pod) = self.get(Resource::Pods, name) else { return (404, json!({"message": "not found"})) };
        if body["deleteOptions"]["preconditions"]["uid"] != pod["metadata"]["uid"] {
            return (409, json!({"message": "the UID in the precondition does not match"}));
        }
        let allowed =
            self.get(Resource::Budgets, "web").and_then(|budget| budget["status"]["disruptionsAllowed"].as_i64());
        if allowed == Some(0) {
            return budget_says_no();
        }
        self.credit(-1);
        self.terminate(pod, &body["deleteOptions"]["gracePeriodSeconds"]);
        let (world, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move { world.replace(&name).await });
        (201, json!({"status": "Success"}))
    }

    fn terminate(&self, mut pod: Value, grace: &Value) {
        pod["metadata"]["deletionGracePeriodSeconds"] = grace.clone();
        pod["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:30Z");
        self.put(Resource::Pods, pod);
    }

    /// Somebody else deletes a pod.
    pub(super) async fn take_away(&self, name: &str) {
        let pod = self.get(Resource::Pods, name).expect("the pod");
        self.terminate(pod, &Value::Null);
        self.replace(name).await;
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
            let mut pod = self.pod_on(&format!("{name}-new"), "other");
            let ready = std::mem::replace(&mut pod["status"], json!({"phase": "Pending"}));
            let mut pod = self.put(Resource::Pods, pod);
            tokio::time::sleep(STARTS).await;
            pod["status"] = ready;
            self.put(Resource::Pods, pod);
            self.credit(1);
        }
    }
}

fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn found(object: Option<Value>) -> Answer {
    object.map_or((404, json!({"message": "not found"})), |object| (200, object))
}

fn with_uid(object: &Value) -> Value {
    let mut object = object.clone();
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    object["metadata"]["uid"] = json!(format!("{name}-uid"));
    object
}

/// What a path leads to, of the resources that facts are made of.
fn address(path: &str) -> Option<Address> {
    Resource::ALL.into_iter().find_map(|resource| {
        let (group, plural) = resource.path().rsplit_once('/')?;
        let rest = path.strip_prefix(group)?.trim_start_matches('/');
        let mut parts: Vec<&str> = rest.split('/').collect();
        if parts.first() == Some(&"namespaces") && !resource.path().contains("/namespaces/") {
            parts.drain(..2);
        }
        match parts.as_slice() {
            [found] if *found == plural => Some(Address::List(resource)),
            [found, name] if *found == plural => Some(Address::One(resource, (*name).to_owned())),
            [found, name, sub] if *found == plural => {
                Some(Address::Sub(resource, (*name).to_owned(), (*sub).to_owned()))
            }
            _ => None,
        }
    })
}

/// Whether the selectors of a query match an object.
fn is_selected(object: &Value, query: &str) -> bool {
    query.split('&').all(|part| match part.split_once('=') {
        Some(("fieldSelector", fields)) => fields.split(',').all(|field| {
            let (path, wanted) = field.split_once('=').unwrap_or_default();
            object.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str) == Some(wanted)
        }),
        Some(("labelSelector", label)) => {
            let (key, wanted) = label.split_once('=').unwrap_or_default();
            object["metadata"]["labels"][key] == wanted
        }
        _ => true,
    })
}

fn budget_says_no() -> (u16, Value) {
    let cause = json!({"reason": "DisruptionBudget", "message": "the disruption budget web does not allow it"});
    (429, json!({"message": "Cannot evict pod", "details": {"causes": [cause]}}))
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
