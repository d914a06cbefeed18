//! T41: initial events, changes, transitions of selectors, bookmarks, the end, and versions that are too old.

use serde_json::json;

use super::*;

const WEB: &str = "/api/v1/namespaces/shop/pods/web-1";

#[tokio::test(start_paused = true)]
async fn a_watch_tells_the_state_and_what_changes() {
    let talk = talk();
    let mut seen = talk.watch("/api/v1/pods?watch=1").await;
    assert_eq!(seen.within(1).await, "ADDED web-1 @4 \"web\"\n");
    talk.ask("PATCH", WEB, Some(&json!({ "metadata": { "labels": { "app": "shop" } } }))).await;
    // Nothing changes, so nothing is told.
    talk.ask("PATCH", WEB, Some(&json!({ "metadata": { "labels": { "app": "shop" } } }))).await;
    talk.ask("DELETE", WEB, Some(&json!({ "gracePeriodSeconds": 0 }))).await;
    let told = seen.within(1).await;
    assert!(told.starts_with("MODIFIED web-1 @5 \"shop\"\n") && told.contains("\nDELETED web-1 @"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_from_a_version() {
    let talk = talk();
    talk.ask("PATCH", WEB, Some(&json!({ "metadata": { "labels": { "app": "a" } } }))).await;
    talk.ask("PATCH", WEB, Some(&json!({ "metadata": { "labels": { "app": "b" } } }))).await;
    let mut seen = talk.watch("/api/v1/pods?watch=true&resourceVersion=5").await;
    assert_eq!(seen.within(1).await, "MODIFIED web-1 @6 \"b\"\n");
    let mut seen = talk.watch("/api/v1/pods?watch=true&resourceVersion=0").await;
    assert_eq!(seen.within(1).await, "ADDED web-1 @6 \"b\"\n");
    let mut seen = talk.watch("/api/v1/namespaces/default/pods?watch=true&resourceVersion=1").await;
    assert_eq!(seen.within(1).await, "");
    let mut seen = talk.watch(&format!("{WEB}?watch=true")).await;
    assert_eq!(seen.within(1).await, "ADDED web-1 @6 \"b\"\n");
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_by_its_labels_is_told_as_that() {
    let talk = talk();
    let mut seen = talk.watch("/api/v1/pods?watch=1&labelSelector=app%3Dweb&resourceVersion=4").await;
    let mut bound = talk.watch("/api/v1/pods?watch=1&fieldSelector=metadata.name!=web-1&resourceVersion=4").await;
    for app in ["db", "db2", "web", "web"] {
        talk.ask("PATCH", WEB, Some(&json!({ "metadata": { "labels": { "app": app } } }))).await;
    }
    // The state before, under the version of the change.
    assert_eq!(seen.within(1).await, "DELETED web-1 @5 \"web\"\nADDED web-1 @7 \"web\"\n");
    assert_eq!(bound.within(1).await, "");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_each_minute_and_before_the_end() {
    let talk = talk();
    let mut seen =
        talk.watch("/api/v1/pods?watch=1&resourceVersion=4&allowWatchBookmarks=true&timeoutSeconds=150").await;
    assert_eq!(seen.within(59).await, "");
    assert_eq!(seen.within(2).await, "BOOKMARK  @4\n");
    // What other kinds change moves the version too.
    talk.ask("PATCH", "/api/v1/nodes/n-1", Some(&json!({ "metadata": { "labels": { "x": "1" } } }))).await;
    assert_eq!(seen.within(60).await, "BOOKMARK  @5\n");
    assert_eq!(seen.within(26).await, "");
    assert_eq!(seen.within(2).await, "BOOKMARK  @5\n");
    assert_eq!(seen.within(2).await, "-\n");
    let mut silent = talk.watch("/api/v1/pods?watch=1&resourceVersion=5&timeoutSeconds=60").await;
    assert_eq!(silent.within(61).await, "-\n");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_ends_with_a_bookmark() {
    let talk = talk();
    let path = "/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut seen = talk.watch(path).await;
    let expected = "ADDED web-1 @4 \"web\"\nBOOKMARK  @4 {\"k8s.io/initial-events-end\":\"true\"}\n";
    assert_eq!(seen.within(1).await, expected);
    let refused = "422 Invalid: ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: ";
    for (query, why) in [
        ("sendInitialEvents=true", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        (
            "resourceVersionMatch=NotOlderThan&resourceVersion=1",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    ] {
        assert_eq!(talk.get(&format!("/api/v1/pods?watch=1&{query}"), "").await, format!("{refused}{why}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_is_told_by_an_event() {
    let talk = talk();
    talk.ask("PATCH", WEB, Some(&json!({ "metadata": { "labels": { "app": "a" } } }))).await;
    let mut open = talk.watch("/api/v1/pods?watch=1&resourceVersion=5").await;
    talk.server.with(|world| world.cluster.store.compact(Kind::Pod));
    let mut seen = talk.watch("/api/v1/pods?watch=1&resourceVersion=3").await;
    assert_eq!(seen.within(1).await, "ERROR 410 \"Expired\": \"too old resource version: 3 (5)\"\n-\n");
    // One that has seen everything goes on.
    talk.ask("PATCH", WEB, Some(&json!({ "metadata": { "labels": { "app": "b" } } }))).await;
    assert_eq!(open.within(1).await, "MODIFIED web-1 @6 \"b\"\n");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_each_ten_seconds_to_who_watches() {
    let talk = Talk::with(Vec::new(), Duration::ZERO, |stage| {
        stage.has(Kind::Namespace, json!({ "metadata": { "name": "kube-node-lease" } }));
        let lease = |name: &str, spec: Value| json!({ "metadata": { "name": name, "namespace": "kube-node-lease" }, "spec": spec });
        stage.has(Kind::Lease, lease("n-1", json!({ "holderIdentity": "n-1", "leaseDurationSeconds": 40 })));
        stage.has(Kind::Lease, lease("n-2", json!({ "renewTime": "2026-01-31T13:59:00.000000Z" })));
    });
    let path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let mut seen = talk.watch(&format!("{path}?watch=1")).await;
    let expected = "ADDED n-1 @4 \"2026-01-31T14:00:00.000000Z\"\nADDED n-2 @5 \"2026-01-31T13:59:00.000000Z\"\n";
    assert_eq!(seen.within(9).await, expected.replace("n-1 @4", "n-1 @5"));
    talk.ask("POST", "/api/v1/namespaces", Some(&json!({ "metadata": { "name": "more" } }))).await;
    let expected = "MODIFIED n-1 @6 \"2026-01-31T14:00:10.000000Z\"\nMODIFIED n-1 @6 \"2026-01-31T14:00:20.000000Z\"\n";
    assert_eq!(seen.within(12).await, expected);
    // Who writes what was read does not stop the heart; a kubelet that fell silent keeps its time.
    let (_, mut lease) = talk.ask("GET", &format!("{path}/n-1"), None).await;
    assert_eq!(lease["spec"]["renewTime"], "2026-01-31T14:00:20.000000Z");
    lease["metadata"]["labels"] = json!({ "app": "x" });
    assert_eq!(talk.say("PUT", &format!("{path}/n-1"), lease, "/metadata/labels/app").await, "200 \"x\"");
    let expected = "MODIFIED n-1 @7 \"x\" \"2026-01-31T14:00:20.000000Z\"\nMODIFIED n-1 @7 \"x\" \"2026-01-31T14:00:30.000000Z\"\n";
    assert_eq!(seen.within(10).await, expected);
}
