//! The confirming read against a scripted server whose watches lag.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;
use crate::cluster::Requests;
use crate::cluster::tests::{Pen, Reply, server};
use crate::facts::{Needs, Watched, watch};

/// A server of nodes alone: what it has now, and the pen of the watch of nodes, whose words come when the test says so.
struct Lagging {
    /// The store's version, and its nodes.
    now: Arc<Mutex<(&'static str, Vec<Json>)>>,
    pen: Pen,
    /// The other watches stay open.
    _pens: Pens,
    requests: Requests,
    watched: Watched,
}

/// Of watches that were opened: whether it is the one of nodes, and its pen.
type Pens = Arc<Mutex<Vec<(bool, Pen)>>>;

fn with_version(name: &str, version: &str) -> Json {
    let mut node = node(name);
    node["metadata"]["resourceVersion"] = json!(version);
    node
}

fn cordoned(name: &str, version: &str) -> Json {
    let mut node = with_version(name, version);
    node["spec"]["unschedulable"] = json!(true);
    node
}

impl Lagging {
    async fn begin(nodes: Vec<Json>) -> Self {
        let (now, pens) = (Arc::new(Mutex::new(("100", nodes))), Pens::default());
        let (serving, opened) = (now.clone(), pens.clone());
        let (requests, clock, _) = server(move |_, path| {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            if query.contains("watch=1") {
                let (pen, reply) = Reply::stream();
                opened.lock().unwrap().push((path == "/api/v1/nodes", pen));
                return reply;
            }
            let (version, nodes) = serving.lock().unwrap().clone();
            let list =
                |items: Vec<Json>| Reply::good(&json!({"metadata": {"resourceVersion": version}, "items": items}));
            match path.strip_prefix("/api/v1/nodes") {
                Some("") => list(nodes),
                Some(name) => match nodes.iter().find(|node| node["metadata"]["name"] == name[1..]) {
                    Some(node) => Reply::good(node),
                    None => Reply::no(404, &json!({"message": "not found"})),
                },
                None if path == "/version" => Reply::good(&json!({"gitVersion": "v1.37.2"})),
                None => list(Vec::new()),
            }
        });
        let watched = watch(&requests, Needs::default(), clock).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        let index = pens.lock().unwrap().iter().position(|(is_nodes, _)| *is_nodes).unwrap();
        let (_, pen) = pens.lock().unwrap().swap_remove(index);
        Self { now, pen, _pens: pens, requests, watched }
    }

    fn has(&self, nodes: Vec<Json>) {
        *self.now.lock().unwrap() = ("120", nodes);
    }

    fn facts(&self) -> &SharedFacts {
        &self.watched.facts
    }

    async fn confirm(&self, key: ReadKey) {
        self.facts().confirm(&self.requests, &[key]).await.unwrap();
    }

    fn schedulable(&self, name: &str) -> String {
        field(self.facts(), &object(Kind::Node, "", name), "schedulable")
    }
}

#[tokio::test(start_paused = true)]
async fn one_object_is_read_as_the_server_has_it() {
    let mut server = Lagging::begin(vec![with_version("n1", "10"), with_version("n2", "10")]).await;
    server.has(vec![cordoned("n1", "110")]);
    assert_eq!(server.schedulable("n1"), "true");
    server.confirm(ReadKey::Object(object(Kind::Node, "", "n1"))).await;
    assert_eq!(server.schedulable("n1"), "false");
    // What the watch brings later, of before, does not undo it.
    server.pen.write("MODIFIED", &with_version("n1", "105")).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(server.schedulable("n1"), "false");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_is_gone_at_once() {
    let server = Lagging::begin(vec![with_version("n1", "10")]).await;
    server.has(Vec::new());
    server.confirm(ReadKey::Object(object(Kind::Node, "", "n1"))).await;
    assert!(server.facts().is_gone(&object(Kind::Node, "", "n1")));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_took_its_name_is_another_one() {
    let server = Lagging::begin(vec![with_version("n1", "10")]).await;
    let mut other = with_version("n1", "110");
    other["metadata"]["uid"] = json!("u-other");
    server.has(vec![other]);
    server.confirm(ReadKey::Object(object(Kind::Node, "", "n1"))).await;
    assert!(server.facts().is_gone(&object(Kind::Node, "", "n1")));
    assert!(server.facts().read(|facts| facts.node("n1").is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_list_waits_until_the_watch_has_brought_it() {
    let mut server = Lagging::begin(vec![with_version("n1", "10"), with_version("n2", "10")]).await;
    server.has(vec![cordoned("n1", "110")]);
    let (facts, requests) = (server.facts().clone(), server.requests.clone());
    let confirmed =
        tokio::spawn(async move { facts.confirm(&requests, &[ReadKey::Members(Kind::Node)]).await.unwrap() });
    let wait = || sleep(Duration::from_secs(2));
    wait().await;
    assert!(!confirmed.is_finished());
    server.pen.write("MODIFIED", &cordoned("n1", "110")).await;
    wait().await;
    assert!(!confirmed.is_finished());
    server.pen.write("DELETED", &with_version("n2", "111")).await;
    wait().await;
    assert!(confirmed.is_finished());
    assert_eq!(server.schedulable("n1"), "false");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_does_not_lag_is_confirmed_at_once() {
    let server = Lagging::begin(vec![with_version("n1", "10")]).await;
    timeout(Duration::from_millis(1), server.confirm(ReadKey::List(Kind::Node))).await.unwrap();
}
