//! Freshness, against a server whose watches say what they are told to, on the paused clock.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use kube::client::Body;
use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep};

use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;
use crate::cluster::Requests;
use crate::expr::FactSource;
use crate::facts::reads::{ReadKey, Reads};
use crate::facts::{Needs, Watched, watch};
use crate::outside::Clock;

type Answer = UnsyncBoxBody<Bytes, io::Error>;

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> i64 {
        1_800_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[derive(Default)]
struct State {
    nodes: Vec<Json>,
    version: u64,
    /// The open watches of the nodes.
    watches: Vec<Sender<Bytes, io::Error>>,
    /// Paths with queries, of every request about nodes.
    log: Vec<String>,
    /// What every request about nodes is answered with instead.
    refused: Option<u16>,
    /// Whether nothing is answered, neither a list nor that a watch is open.
    is_deaf: bool,
}

/// A server with nodes; of every other resource it has none, and its watches of them say a bookmark each half minute.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn with_node() -> Self {
        let server = Self::default();
        server.state().version = 10;
        server.state().nodes = vec![node("n", "n-uid", "10", true)];
        server
    }

    fn requests(&self) -> Requests {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.answer(&request.uri().to_string()).await }
        });
        let clock = Arc::new(TestClock(Instant::now()));
        Requests::new(kube::Client::new(service, "default"), clock, 7)
    }

    async fn facts(&self) -> Watched {
        let clock = Arc::new(TestClock(Instant::now()));
        let watched = watch(&self.requests(), Needs::default(), clock.clone()).await.unwrap();
        let facts = watched.facts.clone();
        // As the driver does each second.
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                facts.set_now(clock.now());
            }
        });
        watched
    }

    async fn answer(&self, path: &str) -> Result<Response<Answer>, io::Error> {
        let is_watch = path.contains("watch=1");
        if !path.starts_with("/api/v1/nodes") {
            return Ok(if is_watch { bookmarks() } else { whole(200, &json!({"metadata": {"resourceVersion": "1"}})) });
        }
        self.state().log.push(path.to_owned());
        let refused = self.state().refused;
        if let Some(code) = refused {
            let why = json!({"kind": "Status", "apiVersion": "v1", "code": code, "message": "nodes are not for you"});
            return Ok(whole(code, &why));
        }
        let is_deaf = self.state().is_deaf;
        if is_deaf {
            std::future::pending::<()>().await;
        }
        if is_watch {
            let (sender, body) = Channel::new(16);
            self.state().watches.push(sender);
            return Ok(Response::new(body.boxed_unsync()));
        }
        let state = self.state();
        let list = json!({"metadata": {"resourceVersion": state.version.to_string()}, "items": state.nodes});
        Ok(whole(200, &list))
    }

    /// Says something on the newest watch of the nodes.
    async fn say(&self, event: Json) {
        let mut watch = self.state().watches.pop().expect("an open watch");
        watch.send_data(Bytes::from(format!("{event}\n"))).await.expect("somebody listens");
        self.state().watches.push(watch);
        sleep(Duration::from_millis(1)).await;
    }

    async fn bookmark(&self, version: &str) {
        let object = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"resourceVersion": version}});
        self.say(json!({"type": "BOOKMARK", "object": object})).await;
    }

    fn count(&self, words: &str) -> usize {
        self.state().log.iter().filter(|line| line.contains(words)).count()
    }
}

fn whole(code: u16, body: &Json) -> Response<Answer> {
    let body = Full::from(body.to_string().into_bytes()).map_err(|never| match never {});
    Response::builder().status(code).body(body.boxed_unsync()).unwrap()
}

fn bookmarks() -> Response<Answer> {
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(16);
    tokio::spawn(async move {
        let object = json!({"kind": "Any", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}});
        let bookmark = format!("{}\n", json!({"type": "BOOKMARK", "object": object}));
        while sender.send_data(Bytes::from(bookmark.clone())).await.is_ok() {
            sleep(Duration::from_secs(30)).await;
        }
    });
    Response::new(body.boxed_unsync())
}

fn node(name: &str, uid: &str, version: &str, is_ready: bool) -> Json {
    let ready = if is_ready { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": uid, "resourceVersion": version}, "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    })
}

fn reference() -> Arc<ObjectRef> {
    Arc::new(ObjectRef { kind: Kind::Node, namespace: String::new(), name: "n".into(), uid: "n-uid".into() })
}

/// Whether the node is ready, or why that is not known.
fn ready(watched: &Watched) -> String {
    match watched.facts.field(&reference(), "ready", &mut Reads::default()) {
        Ok(value) => value.to_string(),
        Err(unknown) => unknown.why,
    }
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_of_which_nothing_was_heard_for_75_seconds_is_unknown() {
    let server = Server::with_node();
    let watched = server.facts().await;
    seconds(1).await;
    assert_eq!(ready(&watched), "true");
    // The connection is open and dead, and so is each that follows.
    server.state().is_deaf = true;
    seconds(70).await;
    assert_eq!(ready(&watched), "true");
    seconds(10).await;
    assert!(ready(&watched).contains("last heard of"), "{}", ready(&watched));
    assert!(!watched.facts.is_gone(&reference()), "what is unknown is not gone");
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_is_a_word_and_the_end_of_a_stream_is_none() {
    let server = Server::with_node();
    let watched = server.facts().await;
    for _ in 0..3 {
        seconds(50).await;
        server.bookmark("10").await;
        assert_eq!(ready(&watched), "true");
    }
    server.state().is_deaf = true;
    server.state().watches.clear();
    seconds(80).await;
    assert!(ready(&watched).contains("last heard of"), "{}", ready(&watched));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_does_not_end_by_itself_is_given_up_and_opened_again() {
    let server = Server::with_node();
    let watched = server.facts().await;
    seconds(1).await;
    assert_eq!(server.count("timeoutSeconds=60"), 1);
    seconds(70).await;
    assert_eq!(server.count("timeoutSeconds=60"), 2, "60 s and a little grace");
    assert_eq!(ready(&watched), "true");
}

#[tokio::test(start_paused = true)]
async fn an_expired_watch_begins_anew_and_what_vanished_is_gone() {
    let server = Server::with_node();
    let watched = server.facts().await;
    seconds(1).await;
    server.state().nodes = vec![node("m", "m-uid", "12", true)];
    server.state().version = 12;
    server.say(json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})).await;
    seconds(1).await;
    assert!(watched.facts.is_gone(&reference()));
    assert_eq!(server.count("resourceVersion=12"), 1, "{:?}", server.state().log);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_reached_for_long_is_listed_anew() {
    let server = Server::with_node();
    let watched = server.facts().await;
    seconds(1).await;
    server.state().refused = Some(503);
    server.state().watches.clear();
    seconds(60).await;
    server.state().nodes = vec![node("m", "m-uid", "12", true)];
    server.state().version = 12;
    server.state().refused = None;
    seconds(15).await;
    // No watch said that it is gone.
    assert!(watched.facts.is_gone(&reference()), "{:?}", server.state().log);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_twice_or_late_changes_nothing_back() {
    let server = Server::with_node();
    let watched = server.facts().await;
    seconds(1).await;
    server.say(json!({"type": "MODIFIED", "object": node("n", "n-uid", "12", false)})).await;
    assert_eq!(ready(&watched), "false");
    for late in ["12", "11"] {
        server.say(json!({"type": "MODIFIED", "object": node("n", "n-uid", late, late == "11")})).await;
        assert_eq!(ready(&watched), "false");
    }
}

#[tokio::test(start_paused = true)]
async fn our_own_write_is_awaited() {
    let server = Server::with_node();
    let watched = server.facts().await;
    seconds(1).await;
    let facts = watched.facts.clone();
    let seen = tokio::spawn(async move { facts.until_seen(Kind::Node, "15").await });
    server.bookmark("14").await;
    assert!(!seen.is_finished());
    server.say(json!({"type": "MODIFIED", "object": node("n", "n-uid", "15", true)})).await;
    assert!(seen.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_confirming_read_brings_what_the_watch_has_not_yet() {
    let server = Server::with_node();
    let watched = server.facts().await;
    seconds(1).await;
    server.state().nodes = vec![node("n", "n-uid", "20", false)];
    server.state().version = 20;
    assert_eq!(ready(&watched), "true", "old news");
    // Of a list every name and version is read, and the watch has to come as far.
    let (facts, requests) = (watched.facts.clone(), server.requests());
    let confirmed =
        tokio::spawn(
            async move { facts.confirm(&requests, &[ReadKey::List(Kind::Node)]).await.map_err(|e| e.to_string()) },
        );
    seconds(5).await;
    assert!(!confirmed.is_finished());
    server.say(json!({"type": "MODIFIED", "object": node("n", "n-uid", "20", false)})).await;
    assert_eq!(confirmed.await.unwrap(), Ok(()));
    assert_eq!(ready(&watched), "false");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_is_told_until_it_is_allowed_again() {
    let server = Server::with_node();
    let watched = server.facts().await;
    seconds(1).await;
    assert_eq!(watched.facts.refused(), None);
    server.state().refused = Some(403);
    server.state().watches.clear();
    seconds(3).await;
    assert_eq!(watched.facts.refused().as_deref(), Some("nodes are not for you"));
    assert!(ready(&watched).contains("cannot be read"), "{}", ready(&watched));
    server.state().refused = None;
    seconds(15).await;
    assert_eq!(watched.facts.refused(), None);
    assert_eq!(ready(&watched), "true");
}
