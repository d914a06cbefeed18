//! What goes wrong on the way, as a scenario says.

use serde_json::json;

use super::*;
use crate::rehearse::server::{Fault, FaultKind};

const WEB: &str = "/api/v1/namespaces/shop/pods/web-1";

fn fault(methods: &[&str], path: &str, every: u32, what: FaultKind) -> Fault {
    let methods = methods.iter().map(|method| (*method).to_owned()).collect();
    Fault { from: START + 1000, until: START + 61_000, methods, path: path.to_owned(), every, what }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn answers_are_replaced_while_it_lasts() {
    let talk = talk();
    talk.server.set_faults(vec![
        fault(&["PATCH"], "", 2, FaultKind::Answer(409)),
        fault(&["get"], "nodes", 1, FaultKind::Answer(429)),
    ]);
    assert_eq!(talk.get("/api/v1/nodes/n-1", "/kind").await, "200 \"Node\"");
    pass(1).await;
    let told = "429 TooManyRequests: the server has received too many requests and has asked us to try again later";
    assert_eq!(talk.get("/api/v1/nodes/n-1", "").await, told);
    let answer = talk.send("GET", "/api/v1/nodes/n-1", &[], None).await;
    assert_eq!(answer.headers().get("retry-after").map(|after| after.as_bytes()), Some(&b"1"[..]));
    assert_eq!(talk.get(WEB, "/kind").await, "200 \"Pod\"");
    let label = |value: &str| json!({ "metadata": { "labels": { "app": value } } });
    assert_eq!(talk.say("PATCH", WEB, label("a"), "").await, "409 Conflict: the server reported a conflict");
    assert_eq!(talk.say("PATCH", WEB, label("b"), "/metadata/labels/app").await, "200 \"b\"");
    assert!(talk.say("PATCH", WEB, label("c"), "").await.starts_with("409"));
    pass(60).await;
    assert_eq!(talk.get("/api/v1/nodes/n-1", "/kind").await, "200 \"Node\"");
}

#[tokio::test(start_paused = true)]
async fn connections_break_before_and_after_the_deed() {
    let talk = talk();
    pass(1).await;
    for (what, left) in [(FaultKind::Reset, "200 \"Pod\""), (FaultKind::Lose, "404 NotFound: pods \"web-1\" not found")]
    {
        talk.server.set_faults(vec![fault(&["DELETE"], "", 1, what)]);
        let broken = talk.try_send("DELETE", &format!("{WEB}?gracePeriodSeconds=0"), &[], None).await;
        assert_eq!(broken.map(|_| ()).map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
        assert_eq!(talk.get(WEB, "/kind").await, left);
    }
}

#[tokio::test(start_paused = true)]
async fn watches_stall_break_and_expire() {
    let path = "/api/v1/pods?watch=1&resourceVersion=4&allowWatchBookmarks=true";
    for (what, told) in [
        (FaultKind::Stall, ""),
        (FaultKind::Reset, "- connection reset\n"),
        (FaultKind::Expire, "ERROR 410 \"Expired\": \"too old resource version: 4 (4)\"\n-\n"),
    ] {
        let talk = talk();
        talk.server.set_faults(vec![fault(&[], "pods?watch=", 1, what)]);
        let mut seen = talk.watch(path).await;
        assert_eq!(seen.within(100).await, told, "{what:?}");
    }
    let talk = talk();
    talk.server.set_faults(vec![fault(&[], "pods?", 1, FaultKind::Expire)]);
    pass(1).await;
    assert_eq!(
        talk.watch(path).await.within(1).await,
        "ERROR 410 \"Expired\": \"too old resource version: 4 (4)\"\n-\n"
    );
    assert_eq!(talk.get("/api/v1/pods?limit=1", "/kind").await, "200 \"PodList\"");
    let told = "410 Expired: The resourceVersion for the provided list is too old.";
    assert_eq!(talk.get("/api/v1/pods?limit=1&continue=4/shop/a", "").await, told);
    // An answer that stalls never comes.
    talk.server.set_faults(vec![fault(&["GET"], "", 1, FaultKind::Stall)]);
    let asked = tokio::time::timeout(Duration::from_secs(3600), talk.get(WEB, "")).await;
    assert!(asked.is_err(), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_late() {
    let talk = Talk::with(Vec::new(), Duration::from_millis(2), |_| {});
    talk.server.set_faults(vec![fault(&[], "", 1, FaultKind::Delay(500))]);
    let begun = tokio::time::Instant::now();
    talk.get("/version", "").await;
    assert_eq!(begun.elapsed(), Duration::from_millis(2));
    pass(1).await;
    let begun = tokio::time::Instant::now();
    talk.get("/version", "").await;
    assert_eq!(begun.elapsed(), Duration::from_millis(502));
}
