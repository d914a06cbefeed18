//! The world moves with the clock, and a `kube::Client` sees it.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use super::*;
use crate::rehearse::cluster::{Cluster, Queue, Task};
use crate::rehearse::store::{Change, What};
use crate::rehearse::write::DeleteOptions;

/// Ends pods as soon as they are told to: 3 s later.
struct Ends;

impl Controller for Ends {
    fn name(&self) -> &'static str {
        "ends"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        if change.kind() == Kind::Pod && change.what != What::Deleted && change.object.is_terminating() {
            queue.after(3000, "end", &change.object.key());
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        let _ = cluster.delete(&task.key, &DeleteOptions { grace: Some(0), ..DeleteOptions::default() });
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_sees_what_a_controller_does_in_its_time() {
    let talk = Talk::with(vec![Box::new(Ends)], Duration::from_millis(2), |stage| {
        stage.has_node("n-1", "a");
        pod(stage, "web-1", "n-1");
    });
    let client = talk.server.client();
    let nodes: Api<Node> = Api::all(client.clone());
    let pods: Api<Pod> = Api::namespaced(client, "shop");
    nodes.cordon("n-1").await.expect("it is cordoned");
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "x": "1" } } }));
    let node = nodes.patch("n-1", &PatchParams::default(), &patch).await.expect("it is patched");
    assert_eq!(node.spec.and_then(|spec| spec.unschedulable), Some(true));
    let found = pods.list(&ListParams::default().labels("app=web").limit(1)).await.expect("a list");
    assert_eq!(found.items.len(), 1);
    let mut seen = talk.watch("/api/v1/pods?watch=1&resourceVersion=5").await;
    let deleted = pods.delete("web-1", &DeleteParams::default()).await.expect("it is deleted");
    assert!(deleted.left().is_some_and(|pod| pod.metadata.deletion_timestamp.is_some()));
    assert_eq!(seen.within(2).await, "MODIFIED web-1 @7 \"web\" \"2026-01-31T14:00:30Z\"\n");
    let told = seen.within(2).await;
    assert!(told.lines().next_back().is_some_and(|line| line.starts_with("DELETED web-1 @")), "{told}");
    let gone = pods.get("web-1").await.expect_err("it is gone");
    assert!(matches!(&gone, kube::Error::Api(status) if status.is_not_found()), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn the_world_moves_though_nobody_asks() {
    let talk = Talk::with(vec![Box::new(Ends)], Duration::ZERO, |stage| {
        pod(stage, "web-1", "n-1");
    });
    talk.ask("DELETE", "/api/v1/namespaces/shop/pods/web-1", None).await;
    let room = std::sync::Arc::clone(&talk.server.room);
    tokio::time::sleep(Duration::from_millis(2999)).await;
    assert_eq!(room.peek(|world| world.cluster.store.all(Kind::Pod).count()), 1);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(room.peek(|world| world.cluster.store.all(Kind::Pod).count()), 0);
}

#[test]
fn what_is_made_on_the_stage_is_told_by_kind() {
    let mut stage = Stage::new(Vec::new());
    stage.has_node("n-1", "a");
    stage.create(Kind::ConfigMap, json!({ "metadata": { "name": "m", "namespace": "shop" } }));
    assert_eq!(stage.story_of("configmaps"), "+0.00   configmaps shop/m  made\n");
}
