//! The ways of a patch, and who manages what is applied.

use serde_json::{Value, json};

use super::*;

const MAP: &str = "/api/v1/namespaces/shop/configmaps/m";

impl Talk {
    async fn patch(&self, path: &str, content: &str, patch: Value) -> (u16, Value) {
        let answer = self.send("PATCH", path, &[("content-type", content)], Some(&patch)).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status.as_u16(), serde_json::from_slice(&body).expect("JSON"))
    }

    async fn apply(&self, manager: &str, data: Value) -> (u16, Value) {
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m", "namespace": "shop" }, "data": data });
        self.patch(&format!("{MAP}?fieldManager={manager}"), "application/apply-patch+yaml", map).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_patched_in_three_ways() {
    let talk = talk();
    let node = "/api/v1/nodes/n-1";
    let strategic = "application/strategic-merge-patch+json";
    let (code, cordoned) = talk.patch(node, strategic, json!({ "spec": { "unschedulable": true } })).await;
    assert_eq!((code, &cordoned["spec"]["unschedulable"]), (200, &json!(true)));
    let ready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    let (_, status) = talk.patch(&format!("{node}/status"), strategic, ready).await;
    assert_eq!(
        status["status"]["conditions"],
        json!([{ "type": "Ready", "status": "False", "reason": "KubeletReady" }])
    );
    let uncordon = json!([
        { "op": "test", "path": "/spec/unschedulable", "value": true }, { "op": "remove", "path": "/spec/unschedulable" },
    ]);
    let json_patch = "application/json-patch+json";
    assert_eq!(talk.patch(node, json_patch, uncordon.clone()).await.0, 200);
    let (code, refused) = talk.patch(node, json_patch, uncordon).await;
    let told = json!("the server rejected our request due to an error in our request");
    assert_eq!((code, &refused["reason"], &refused["message"]), (422, &json!("Invalid"), &told));
    assert_eq!(talk.patch(node, "application/json", json!({})).await.0, 415);
    assert_eq!(talk.patch("/api/v1/nodes/none", json_patch, json!([])).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn an_apply_makes_changes_and_takes_back() {
    let talk = talk();
    assert_eq!(talk.apply("sprag", json!({ "a": "1", "b": "1" })).await.0, 201);
    let (code, same) = talk.apply("sprag", json!({ "a": "1", "b": "1" })).await;
    assert_eq!(
        (code, &same["metadata"]["managedFields"][0]["fieldsV1"]),
        (200, &json!({ "f:data": { "f:a": {}, "f:b": {} } }))
    );
    let version = same["metadata"]["resourceVersion"].clone();
    assert_eq!(talk.apply("sprag", json!({ "a": "1", "b": "1" })).await.1["metadata"]["resourceVersion"], version);
    let (_, less) = talk.apply("sprag", json!({ "b": "2" })).await;
    assert_eq!(less["data"], json!({ "b": "2" }));
}

#[tokio::test(start_paused = true)]
async fn a_field_of_another_manager_is_not_taken() {
    let talk = talk();
    talk.apply("first", json!({ "a": "1" })).await;
    // The same value may be managed by both, another one by force alone.
    assert_eq!(talk.apply("second", json!({ "a": "1" })).await.0, 200);
    let (code, refused) = talk.apply("second", json!({ "a": "2" })).await;
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Apply failed with 1 conflict: conflict with \"first\": .data.a", "reason": "Conflict",
        "details": { "causes": [
            { "reason": "FieldManagerConflict", "message": "conflict with \"first\"", "field": ".data.a" },
        ] },
        "code": 409,
    });
    assert_eq!((code, refused), (409, expected));
    let (code, forced) = talk.apply("second&force=true", json!({ "a": "2" })).await;
    assert_eq!((code, &forced["data"]["a"]), (200, &json!("2")));
    assert_eq!(talk.apply("second", json!({ "a": "3" })).await.0, 200);
    // What somebody writes otherwise is his too.
    let patch = json!({ "data": { "a": "4" } });
    talk.patch(MAP, MERGE, patch).await;
    let (_, refused) = talk.apply("second", json!({ "a": "5" })).await;
    let told = "Apply failed with 1 conflict: conflict with \"test\" using v1 at 2026-01-31T14:00:00Z: .data.a";
    assert_eq!(refused["message"], told);
    let (code, refused) = talk.patch(MAP, "application/apply-patch+yaml", json!({ "kind": "ConfigMap" })).await;
    let told = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    assert_eq!((code, &refused["message"]), (422, &json!(told)));
}

#[tokio::test(start_paused = true)]
async fn containers_are_applied_by_name() {
    let talk = talk();
    let path = "/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=";
    let web = |containers: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": { "spec": { "containers": containers } } },
        })
    };
    let content = "application/apply-patch+yaml";
    let two =
        json!([{ "name": "a", "image": "1", "env": [{ "name": "X", "value": "1" }] }, { "name": "b", "image": "1" }]);
    assert_eq!(talk.patch(&format!("{path}one"), content, web(two)).await.0, 201);
    let more = json!([{ "name": "a", "env": [{ "name": "Y", "value": "2" }] }]);
    assert_eq!(talk.patch(&format!("{path}two"), content, web(more)).await.0, 200);
    let (_, less) = talk.patch(&format!("{path}one"), content, web(json!([{ "name": "a", "image": "2" }]))).await;
    let expected = json!([{ "name": "a", "image": "2", "env": [{ "name": "Y", "value": "2" }] }]);
    assert_eq!(less["spec"]["template"]["spec"]["containers"], expected);
}
