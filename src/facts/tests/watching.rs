//! List and watch against a scripted server, on a paused clock.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;
use crate::cluster::tests::{BEGAN, Pen, Reply, TokioClock, server};
use crate::cluster::{RequestError, Requests};
use crate::facts::{Needs, Watched, watch};
use crate::outside::Clock;

/// A server of nodes alone: its lists by turns, and the pens of the watches of nodes that were opened.
#[derive(Clone, Default)]
struct Nodes {
    lists: Arc<Mutex<Vec<Vec<&'static str>>>>,
    pens: Arc<Mutex<Vec<Pen>>>,
    other_pens: Arc<Mutex<Vec<Pen>>>,
    /// Whether watches are refused a connection.
    is_down: Arc<Mutex<bool>>,
}

impl Nodes {
    fn reply(&self, path: &str) -> Reply {
        let is_nodes = path.starts_with("/api/v1/nodes");
        if *self.is_down.lock().unwrap() {
            return Reply::Refuse;
        }
        if path == "/version" {
            return Reply::good(&json!({"gitVersion": "v1.37.2"}));
        }
        if path.contains("watch=1") {
            let (pen, reply) = Reply::stream();
            let pens = if is_nodes { &self.pens } else { &self.other_pens };
            pens.lock().unwrap().push(pen);
            return reply;
        }
        let mut lists = self.lists.lock().unwrap();
        let names = match (is_nodes, lists.len()) {
            (true, 0) => Vec::new(),
            (true, 1) => lists[0].clone(),
            (true, _) => lists.remove(0),
            (false, _) => Vec::new(),
        };
        let items: Vec<Json> = names.into_iter().map(node).collect();
        Reply::good(&json!({"metadata": {"resourceVersion": "10"}, "items": items}))
    }

    async fn begin(lists: Vec<Vec<&'static str>>) -> (Self, Watched, Arc<TokioClock>) {
        let nodes = Self::default();
        *nodes.lists.lock().unwrap() = lists;
        let serving = nodes.clone();
        let (requests, clock, _) = server(move |_, path| serving.reply(path));
        let watched = watch(&requests, Needs { heartbeats: true, ..Needs::default() }, clock.clone()).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        (nodes, watched, clock)
    }

    /// Writes an event into the newest watch of nodes.
    async fn write(&self, event: &str, object: &Json) {
        let pen = self.pens.lock().unwrap().pop();
        let mut pen = pen.expect("a watch of nodes");
        pen.write(event, object).await;
        self.pens.lock().unwrap().push(pen);
        sleep(Duration::from_millis(1)).await;
    }
}

fn known(facts: &SharedFacts) -> String {
    match facts.fact("nodes", &mut Reads::default()) {
        Ok(value) => names(&value),
        Err(unknown) => unknown.why,
    }
}

fn with_version(name: &str, version: &str) -> Json {
    let mut node = node(name);
    node["metadata"]["resourceVersion"] = json!(version);
    node
}

fn bookmark(version: &str) -> Json {
    json!({"kind": "Node", "apiVersion": "v1", "metadata": {"resourceVersion": version}})
}

#[tokio::test(start_paused = true)]
async fn events_reach_the_facts() {
    let (nodes, watched, _) = Nodes::begin(vec![vec!["n1"]]).await;
    let facts = &watched.facts;
    assert_eq!(known(facts), "[n1]");
    nodes.write("ADDED", &with_version("n2", "11")).await;
    assert_eq!(known(facts), "[n1, n2]");
    nodes.write("DELETED", &with_version("n1", "12")).await;
    assert_eq!(known(facts), "[n2]");
    assert_eq!(field(facts, &object(Kind::Cluster, "", "cluster"), "version"), "v1.37.2");
    assert_eq!(facts.fact("jobs", &mut Reads::default()).unwrap_err().why, "jobs.batch are not watched");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_begins_anew_and_what_vanished_is_gone() {
    let (nodes, watched, _) = Nodes::begin(vec![vec!["n1", "n2"], vec!["n2", "n3"]]).await;
    let expired =
        json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"});
    nodes.write("ERROR", &expired).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(known(&watched.facts), "[n2, n3]");
    assert!(watched.facts.is_gone(&object(Kind::Node, "", "n1")));
    assert_eq!(nodes.pens.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn our_own_write_is_seen_once_its_version_is_reached() {
    let (nodes, watched, _) = Nodes::begin(vec![vec!["n1"]]).await;
    let facts = watched.facts.clone();
    let reached = |version| facts.read(|facts| facts.has_reached(Resource::Nodes, version));
    assert!(reached("10") && !reached("15"));
    assert!(timeout(Duration::from_secs(5), facts.until_seen(Kind::Node, "15")).await.is_err());
    let seen = tokio::spawn({
        let facts = facts.clone();
        async move { facts.until_seen(Kind::Node, "15").await }
    });
    nodes.write("MODIFIED", &with_version("n1", "14")).await;
    assert!(!seen.is_finished());
    // A bookmark changes no fact, and yet tells how far the cache has come.
    let changed = facts.changed();
    nodes.write("BOOKMARK", &bookmark("15")).await;
    assert!(seen.is_finished() && !changed.has_changed());
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_from_the_version_that_was_reached() {
    let (requests, clock, log) = {
        let nodes = Nodes::default();
        *nodes.lists.lock().unwrap() = vec![vec!["n1"]];
        let serving = nodes.clone();
        server(move |_, path| serving.reply(path))
    };
    let _watched = watch(&requests, Needs::default(), clock).await.unwrap();
    sleep(Duration::from_secs(70)).await;
    let log = log.lock().unwrap();
    let watches: Vec<&str> =
        log.iter().map(|(_, _, path)| path.as_str()).filter(|path| path.starts_with("/api/v1/nodes?watch")).collect();
    let expected = "/api/v1/nodes?watch=1&allowWatchBookmarks=true&timeoutSeconds=60&resourceVersion=10";
    assert_eq!(watches, [expected, expected]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_heard_of_for_long_is_unknown_until_it_is() {
    let (nodes, watched, clock) = Nodes::begin(vec![vec!["n1"]]).await;
    let facts = &watched.facts;
    *nodes.is_down.lock().unwrap() = true;
    let key = ReadKey::Members(Kind::Node);
    let before = facts.version(&key);
    sleep(Duration::from_secs(74)).await;
    facts.set_now(clock.now());
    assert_eq!((known(facts), facts.version(&key)), ("[n1]".to_owned(), before));
    sleep(Duration::from_secs(6)).await;
    facts.set_now(clock.now());
    assert_eq!(known(facts), "nodes were last heard of 80 s ago");
    assert!(!facts.is_gone(&object(Kind::Node, "", "elsewhere")));
    let silent = facts.version(&key);
    assert_ne!(silent, before);
    *nodes.is_down.lock().unwrap() = false;
    sleep(Duration::from_secs(11)).await;
    facts.set_now(clock.now());
    assert_eq!(known(facts), "[n1]");
    assert_ne!(facts.version(&key), silent);
}

#[tokio::test(start_paused = true)]
async fn quiet_kinds_stay_known_for_as_long_as_watches_can_be_opened() {
    let (_nodes, watched, clock) = Nodes::begin(vec![vec!["n1"]]).await;
    for _ in 0..600 {
        sleep(Duration::from_secs(1)).await;
        watched.facts.set_now(clock.now());
        assert_eq!(known(&watched.facts), "[n1]");
    }
    assert!(clock.now() >= BEGAN + 600_000);
}

/// A server that refuses the paths that begin so.
fn refusing(path: &'static str) -> (Requests, Arc<TokioClock>) {
    let nodes = Nodes::default();
    let (requests, clock, _) = server(move |_, asked| {
        let no = || Reply::no(403, &json!({"message": "you may not"}));
        if asked.starts_with(path) { no() } else { nodes.reply(asked) }
    });
    (requests, clock)
}

#[tokio::test(start_paused = true)]
async fn a_login_may_lack_the_rights_to_what_is_optional() {
    let (requests, clock) = refusing("/apis/batch/v1/jobs");
    let needs = Needs { jobs: true, ..Needs::default() };
    let watched = watch(&requests, needs, clock).await.unwrap();
    let unknown = watched.facts.fact("jobs", &mut Reads::default()).unwrap_err();
    assert_eq!(unknown.why, "jobs.batch cannot be read: you may not");

    let (requests, clock) = refusing("/api/v1/pods");
    assert!(matches!(watch(&requests, Needs::default(), clock).await, Err(RequestError::Forbidden(_))));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_watched_any_more_once_the_facts_are_not_wanted() {
    let (requests, clock, log) = {
        let nodes = Nodes::default();
        server(move |_, path| nodes.reply(path))
    };
    drop(watch(&requests, Needs::default(), clock).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    let asked = log.lock().unwrap().len();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(log.lock().unwrap().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn leases_are_watched_only_where_they_are_read() {
    for heartbeats in [false, true] {
        let nodes = Nodes::default();
        let (requests, clock, log) = server(move |_, path| nodes.reply(path));
        let _watched = watch(&requests, Needs { heartbeats, ..Needs::default() }, clock).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let asked = log.lock().unwrap().iter().any(|(_, _, path)| path.contains("/leases"));
        assert_eq!(asked, heartbeats);
    }
}

#[tokio::test(start_paused = true)]
async fn how_far_a_workload_may_be_scaled_is_known_where_it_may_be_read() {
    let most = |facts: &SharedFacts, name: &str| {
        let workload = object(Kind::Workload, "shop", name);
        facts.read(|facts| facts.most_replicas(&workload.uid))
    };
    assert_eq!(most(&super::facts(), "web"), Some(6));
    assert_eq!(most(&super::facts(), "other"), None);

    let (requests, clock) = refusing("/apis/autoscaling/v2/horizontalpodautoscalers");
    let watched = watch(&requests, Needs { autoscalers: true, ..Needs::default() }, clock).await.unwrap();
    assert!(watched.facts.read(|facts| !facts.is_lost(Resource::Autoscalers)), "it never was known");
    assert_eq!(watched.facts.unknown(&[Kind::Workload, Kind::Budget]), None);
}

#[test]
fn needs_are_told_by_the_words_of_a_text() {
    let all = Needs {
        jobs: true,
        events: true,
        webhooks: true,
        heartbeats: true,
        autoscalers: true,
        attachments: true,
        raw: true,
    };
    assert_eq!(Needs::in_text("nodes.all(|n| n.ready)"), Needs::default());
    assert_eq!(Needs::in_text("jobs events webhooks n.silent_for drain(n) n.raw"), all);
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_or_late_changes_nothing() {
    let (nodes, watched, _) = Nodes::begin(vec![vec!["n1"]]).await;
    nodes.write("ADDED", &with_version("n2", "12")).await;
    let changed = watched.facts.changed();
    nodes.write("ADDED", &with_version("n2", "12")).await;
    let mut older = with_version("n2", "11");
    older["spec"]["unschedulable"] = json!(true);
    nodes.write("MODIFIED", &older).await;
    assert!(!changed.has_changed());
    assert_eq!(field(&watched.facts, &object(Kind::Node, "", "n2"), "schedulable"), "true");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_put_back_is_believed() {
    let (nodes, watched, _) = Nodes::begin(vec![vec!["n1", "n2"], vec!["n1"]]).await;
    nodes.write("MODIFIED", &with_version("n1", "50")).await;
    nodes.write("BOOKMARK", &bookmark("20")).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(known(&watched.facts), "[n1]");
    assert!(watched.facts.read(|facts| !facts.has_reached(Resource::Nodes, "50")));
}

#[tokio::test(start_paused = true)]
async fn our_own_silence_is_not_that_of_a_kubelet() {
    let (nodes, watched, clock) = Nodes::begin(vec![vec!["n1"]]).await;
    let lease = json!({"metadata": meta("kube-node-lease", "n1"), "spec": {"renewTime": "2025-11-24T16:00:00Z"}});
    put(&watched.facts, Resource::Leases, &lease);
    let silent_for = || field(&watched.facts, &object(Kind::Node, "", "n1"), "silent_for");
    assert!(!silent_for().starts_with("unknown"), "{}", silent_for());
    *nodes.is_down.lock().unwrap() = true;
    sleep(Duration::from_secs(80)).await;
    watched.facts.set_now(clock.now());
    assert!(silent_for().starts_with("unknown: "), "{}", silent_for());
}

/// A server whose watches of nodes all say that the version is too old must not be listed as fast as it answers.
#[tokio::test(start_paused = true)]
async fn a_version_that_is_always_too_old_is_not_a_storm() {
    let nodes = Nodes::default();
    let (requests, clock, log) = server(move |_, path| match path.starts_with("/api/v1/nodes?watch") {
        true => Reply::no(410, &json!({"message": "too old"})),
        false => nodes.reply(path),
    });
    let _watched = watch(&requests, Needs::default(), clock).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let lists = log.lock().unwrap().iter().filter(|(_, _, path)| path.starts_with("/api/v1/nodes?limit")).count();
    assert!((3..20).contains(&lists), "{lists}");
}

#[tokio::test]
async fn of_a_snapshot_there_is_nothing_more_to_come() {
    super::facts().until_seen(Kind::Node, "999").await;
}
