//! The API server as JSON over paths, for the testbed's own requests: blocking, never retried, and told apart in the
//! audit log by their user agent.

use super::{Error, Result};
use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The `User-Agent` of every request made here.
pub const USER_AGENT: &str = "sprag-testbed";

/// How long the server may take for an answer; its own limit is a minute.
const ANSWER: Duration = Duration::from_secs(20);

/// A connection to the API server, good for any number of threads.
pub struct Api {
    client: Client,
    runtime: Handle,
    driver: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// How the body of a patch is read by the server.
#[derive(Debug, Clone, Copy)]
pub enum Patch {
    /// RFC 7386: what is named is replaced, `null` removes.
    Merge,
    /// RFC 6902: a list of operations.
    Json,
    /// As merge, but lists with a key (conditions, taints) are merged by it.
    Strategic,
}

impl Patch {
    fn content_type(self) -> &'static str {
        match self {
            Patch::Merge => "application/merge-patch+json",
            Patch::Json => "application/json-patch+json",
            Patch::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

impl Api {
    /// Connects as the kubeconfig's current context says; sends nothing yet.
    pub fn connect(kubeconfig: &Path) -> Result<Api> {
        let (handle, runtime) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let driver = thread::spawn(move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                let _ = handle.send(runtime.handle().clone());
                let _ = runtime.block_on(stopped);
            }
        });
        let runtime = runtime.recv().map_err(|_| Error::Start("no runtime for the API client".into()))?;
        let client = runtime.block_on(client(kubeconfig, Some(ANSWER)))?;
        Ok(Api { client, runtime, driver: Some((stop, driver)) })
    }

    /// The object or list at a path.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.json("GET", path, "", None)
    }

    /// The answer at a path as text, such as that of `/readyz`.
    pub fn text(&self, path: &str) -> Result<String> {
        self.send("GET", path, "", None)
    }

    /// The items of the list at a path.
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        match self.get(path)?["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Err(Error::Start(format!("`{path}` is no list"))),
        }
    }

    /// Posts an object: creates it, or evicts where the path is a pod's `eviction`.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.json("POST", path, "application/json", Some(object))
    }

    /// Patches the object, or its subresource, at a path.
    pub fn patch(&self, path: &str, kind: Patch, body: &Value) -> Result<Value> {
        self.json("PATCH", path, kind.content_type(), Some(body))
    }

    /// Deletes what is at a path; options go in the query, such as `?gracePeriodSeconds=0`.
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.json("DELETE", path, "", None)
    }

    fn json(&self, verb: &str, path: &str, content_type: &str, body: Option<&Value>) -> Result<Value> {
        let text = self.send(verb, path, content_type, body)?;
        serde_json::from_str(&text).map_err(|error| Error::Start(format!("`{verb} {path}` answered no JSON: {error}")))
    }

    fn send(&self, verb: &str, path: &str, content_type: &str, body: Option<&Value>) -> Result<String> {
        let body = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let mut request = Request::builder().method(verb).uri(path).header("user-agent", USER_AGENT);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let request = request.body(body).map_err(|error| Error::Start(format!("`{verb} {path}`: {error}")))?;
        let answer = self.runtime.block_on(self.client.request_text(request));
        answer.map_err(|error| Error::Api { request: format!("{verb} {path}"), error: Box::new(error) })
    }
}

/// A client without retries that gives an answer so much time; `None` lets a watch last.
pub async fn client(kubeconfig: &Path, answer: Option<Duration>) -> Result<Client> {
    let failed = |error: &dyn std::fmt::Display| Error::Start(format!("connect by {}: {error}", kubeconfig.display()));
    let file = Kubeconfig::read_from(kubeconfig).map_err(|error| failed(&error))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    let mut config = config.map_err(|error| failed(&error))?;
    config.default_retry = false;
    config.proxy_url = None;
    config.read_timeout = answer;
    Client::try_from(config).map_err(|error| failed(&error))
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some((stop, driver)) = self.driver.take() {
            let _ = stop.send(());
            let _ = driver.join();
        }
    }
}
