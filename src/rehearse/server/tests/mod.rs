//! The server as clients see it, on the paused clock: what is asked and what is answered, as text.

mod evicting;
mod facts;
mod failing;
mod moving;
mod patching;
mod reading;
mod watching;
mod writing;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tower::Service;

use super::answer::AnswerBody;
use super::{Server, WorldClock};
use crate::rehearse::cluster::Controller;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;
use crate::rehearse::tests::{START, Stage};

const MERGE: &str = "application/merge-patch+json";

/// A served world, and somebody who speaks to it.
struct Talk {
    server: Server,
}

/// A world with the node `n-1` and the pod `web-1` of `shop` on it.
fn talk() -> Talk {
    Talk::with(Vec::new(), Duration::ZERO, |stage| {
        stage.has_node("n-1", "a");
        pod(stage, "web-1", "n-1");
    })
}

/// A ready pod of `shop` with 30 s of grace.
fn pod(stage: &mut Stage, name: &str, node: &str) -> Key {
    stage.has(
        Kind::Pod,
        json!({
            "metadata": { "name": name, "namespace": "shop", "labels": { "app": "web" } },
            "spec": { "nodeName": node, "containers": [{ "name": "c", "image": "i" }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        }),
    )
}

impl Talk {
    fn with(controllers: Vec<Box<dyn Controller>>, latency: Duration, set: impl FnOnce(&mut Stage)) -> Self {
        let mut stage = Stage::new(controllers);
        set(&mut stage);
        Self { server: Server::start(stage.world, Arc::new(WorldClock::begin(START)), latency) }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Response<AnswerBody> {
        self.try_send(method, path, headers, body).await.expect("an answer")
    }

    async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> std::io::Result<Response<AnswerBody>> {
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "test/1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.server.clone().call(request.body(Full::<Bytes>::from(body)).expect("a request")).await
    }

    /// The code and the body.
    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let content = if method == "PATCH" { MERGE } else { "application/json" };
        let (head, body) = self.send(method, path, &[("content-type", content)], body).await.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The answer in a few words: the code, with reason and message of a refusal, or with what a pointer shows.
    async fn say(&self, method: &str, path: &str, body: Value, shown: &str) -> String {
        let body = (!body.is_null()).then_some(body);
        let (code, answer) = self.ask(method, path, body.as_ref()).await;
        if answer["status"] == "Failure" {
            let word = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
            return format!("{code} {}: {}", word("reason"), word("message"));
        }
        format!("{code} {}", answer.pointer(shown).unwrap_or(&Value::Null))
    }

    async fn get(&self, path: &str, shown: &str) -> String {
        self.say("GET", path, Value::Null, shown).await
    }

    /// Opens a watch.
    async fn watch(&self, path: &str) -> Seen {
        let response = self.send("GET", path, &[], None).await;
        assert_eq!(response.status(), 200, "{path}");
        Seen { body: response.into_body(), rest: String::new() }
    }
}

/// A watch, as it is seen.
struct Seen {
    body: AnswerBody,
    rest: String,
}

impl Seen {
    /// What is said within so many seconds, a line each: `TYPE name @version` with what matters of it, `-` for the end.
    async fn within(&mut self, seconds: u64) -> String {
        let mut told = String::new();
        let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
        loop {
            match tokio::time::timeout_at(until, self.body.frame()).await {
                Err(_) => return told,
                Ok(None) => {
                    told.push_str("-\n");
                    return told;
                }
                Ok(Some(Err(error))) => {
                    let _ = writeln!(told, "- {error}");
                    return told;
                }
                Ok(Some(Ok(frame))) => {
                    self.rest.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap_or_default()));
                    while let Some((line, rest)) = self.rest.split_once('\n') {
                        told.push_str(&tell(line));
                        self.rest = rest.to_owned();
                    }
                }
            }
        }
    }
}

fn tell(line: &str) -> String {
    let event: Value = serde_json::from_str(line).expect("an event");
    let (what, object) = (event["type"].as_str().unwrap_or_default(), &event["object"]);
    if what == "ERROR" {
        return format!("ERROR {} {}: {}\n", object["code"], object["reason"], object["message"]);
    }
    let metadata = &object["metadata"];
    let version = metadata["resourceVersion"].as_str().unwrap_or_default();
    let mut text = format!("{what} {} @{version}", metadata["name"].as_str().unwrap_or_default());
    for pointer in ["/metadata/annotations", "/metadata/labels/app", "/spec/renewTime", "/metadata/deletionTimestamp"] {
        if let Some(value) = object.pointer(pointer) {
            let _ = write!(text, " {value}");
        }
    }
    text.push('\n');
    text
}
