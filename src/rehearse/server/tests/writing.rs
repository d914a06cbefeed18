//! T42 and T43, and what is made, changed and deleted.

use serde_json::{Value, json};

use super::*;

const NODE: &str = "/api/v1/nodes/n-1";
const WEB: &str = "/api/v1/namespaces/shop/pods/web-1";
const MAPS: &str = "/api/v1/namespaces/shop/configmaps";
const BUDGETS: &str = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets";

#[tokio::test(start_paused = true)]
async fn an_object_is_made_once() {
    let talk = talk();
    let map = json!({ "metadata": { "name": "m" }, "data": { "a": "1" } });
    assert_eq!(talk.say("POST", MAPS, map.clone(), "/metadata/namespace").await, "201 \"shop\"");
    assert_eq!(talk.say("POST", MAPS, map.clone(), "").await, "409 AlreadyExists: configmaps \"m\" already exists");
    let told = talk.say("POST", "/api/v1/namespaces/none/configmaps", map, "").await;
    assert_eq!(told, "404 NotFound: namespaces \"none\" not found");
    let named = talk.say("POST", MAPS, json!({ "metadata": { "generateName": "m-" } }), "/metadata/name").await;
    assert!(named.starts_with("201 \"m-") && named.len() == "201 \"m-xxxxx\"".len(), "{named}");
    for (body, told) in [
        (
            json!({ "metadata": { "name": "m", "namespace": "default" } }),
            "400 BadRequest: the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            json!({ "kind": "Secret", "metadata": { "name": "s" } }),
            "400 BadRequest: the kind in the data (Secret) does not match the expected kind (ConfigMap)",
        ),
        (
            json!({ "metadata": { "name": "v", "resourceVersion": "3" } }),
            "400 BadRequest: resourceVersion should not be set on objects to be created",
        ),
        (json!([1]), "400 BadRequest: the body of the request is no object"),
    ] {
        assert_eq!(talk.say("POST", MAPS, body, "").await, told);
    }
    let both = json!({ "metadata": { "name": "b" }, "spec": { "minAvailable": 1, "maxUnavailable": 1 } });
    let told = "422 Invalid: PodDisruptionBudget \"b\" is invalid: spec: Invalid value: minAvailable and maxUnavailable cannot be both set";
    assert_eq!(talk.say("POST", BUDGETS, both, "").await, told);
    let broken = json!({ "metadata": { "name": "p" }, "spec": { "containers": 5 } });
    let told = talk.say("POST", "/api/v1/namespaces/shop/pods", broken, "").await;
    assert!(told.starts_with("400 BadRequest: Pod in version \"v1\" cannot be handled as a Pod: `spec`: "), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_the_latest_is_refused() {
    let talk = talk();
    let (_, mut node) = talk.ask("GET", NODE, None).await;
    let stale = node.clone();
    node["metadata"]["labels"]["x"] = "1".into();
    assert_eq!(talk.say("PUT", NODE, node, "/metadata/labels/x").await, "200 \"1\"");
    let told = "409 Conflict: Operation cannot be fulfilled on nodes \"n-1\": the object has been modified; please apply your \
                changes to the latest version and try again";
    assert_eq!(talk.say("PUT", NODE, stale.clone(), "").await, told);
    let version = stale["metadata"]["resourceVersion"].clone();
    let patch = json!({ "metadata": { "resourceVersion": version, "labels": { "y": "1" } } });
    assert_eq!(talk.say("PATCH", NODE, patch, "").await, told);
    // Without a version the last one wins, but for kinds of which one must be said.
    let mut loose = stale;
    loose["metadata"].as_object_mut().expect("metadata").shift_remove("resourceVersion");
    assert_eq!(talk.say("PUT", NODE, loose, "/metadata/name").await, "200 \"n-1\"");
    let budget = json!({ "metadata": { "name": "b" }, "spec": { "minAvailable": 1 } });
    talk.ask("POST", BUDGETS, Some(&budget)).await;
    let told = "422 Invalid: PodDisruptionBudget \"b\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update";
    assert_eq!(talk.say("PUT", &format!("{BUDGETS}/b"), budget, "").await, told);
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_moves_no_version() {
    let talk = talk();
    let cordon = json!({ "spec": { "unschedulable": true } });
    let first = talk.say("PATCH", NODE, cordon.clone(), "/metadata/resourceVersion").await;
    assert_eq!(talk.say("PATCH", NODE, cordon, "/metadata/resourceVersion").await, first);
    let (_, pod) = talk.ask("GET", WEB, None).await;
    let version = pod["metadata"]["resourceVersion"].clone();
    assert_eq!(talk.say("PUT", WEB, pod, "/metadata/resourceVersion").await, format!("200 {version}"));
}

#[tokio::test(start_paused = true)]
async fn spec_and_status_are_written_apart() {
    let talk = talk();
    let both = json!({ "spec": { "unschedulable": true }, "status": { "nodeInfo": { "kubeletVersion": "v2" } } });
    talk.ask("PATCH", NODE, Some(&both)).await;
    assert_eq!(talk.get(NODE, "/status/nodeInfo/kubeletVersion").await, "200 \"v1.37.2\"");
    assert_eq!(talk.get(NODE, "/spec/unschedulable").await, "200 true");
    let both = json!({ "spec": { "unschedulable": null }, "status": { "nodeInfo": { "kubeletVersion": "v2" } } });
    talk.ask("PATCH", &format!("{NODE}/status"), Some(&both)).await;
    assert_eq!(talk.get(NODE, "/status/nodeInfo/kubeletVersion").await, "200 \"v2\"");
    assert_eq!(talk.get(NODE, "/spec/unschedulable").await, "200 true");
    let immutable = json!({ "spec": { "hostname": "x" } });
    let told = talk.say("PATCH", WEB, immutable, "").await;
    assert!(
        told.starts_with("422 Invalid: Pod \"web-1\" is invalid: spec: Forbidden: pod updates may not change"),
        "{told}"
    );
    let image = json!({ "spec": { "containers": [{ "name": "c", "image": "j" }] } });
    assert_eq!(talk.say("PATCH", WEB, image, "/spec/containers/0/image").await, "200 \"j\"");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_gives_grace_and_waits_for_finalizers() {
    let talk = talk();
    let shown = "/metadata/deletionTimestamp";
    let (code, pod) = talk.ask("DELETE", WEB, None).await;
    assert_eq!((code, &pod["kind"], pod.pointer(shown)), (200, &json!("Pod"), Some(&json!("2026-01-31T14:00:30Z"))));
    let told = talk.say("DELETE", WEB, json!({ "gracePeriodSeconds": 60 }), shown).await;
    assert_eq!(told, "200 \"2026-01-31T14:00:30Z\"");
    let told = talk.say("DELETE", WEB, json!({ "gracePeriodSeconds": 5 }), shown).await;
    assert_eq!(told, "200 \"2026-01-31T14:00:05Z\"");
    let held = json!({ "metadata": { "finalizers": ["x/y"] } });
    talk.ask("PATCH", WEB, Some(&held)).await;
    talk.ask("DELETE", &format!("{WEB}?gracePeriodSeconds=0"), None).await;
    assert_eq!(talk.get(WEB, "/metadata/deletionGracePeriodSeconds").await, "200 0");
    talk.ask("PATCH", WEB, Some(&json!({ "metadata": { "finalizers": null } }))).await;
    assert_eq!(talk.get(WEB, "").await, "404 NotFound: pods \"web-1\" not found");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_grace_is_gone_at_once() {
    let talk = talk();
    talk.ask("POST", MAPS, Some(&json!({ "metadata": { "name": "m", "labels": { "a": "1" } } }))).await;
    talk.ask("POST", MAPS, Some(&json!({ "metadata": { "name": "n", "labels": { "a": "1" } } }))).await;
    talk.ask("POST", MAPS, Some(&json!({ "metadata": { "name": "o" } }))).await;
    let dry = json!({ "dryRun": ["All"] });
    assert_eq!(talk.say("DELETE", &format!("{MAPS}/m"), dry, "/status").await, "200 \"Success\"");
    let uid = json!({ "preconditions": { "uid": "other" } });
    let told = talk.say("DELETE", &format!("{MAPS}/m"), uid, "").await;
    assert!(told.starts_with("409 Conflict: Operation cannot be fulfilled on "), "{told}");
    let (code, status) = talk.ask("DELETE", &format!("{MAPS}/m"), None).await;
    let mut details = status["details"].clone();
    details.as_object_mut().expect("details").shift_remove("uid");
    assert_eq!(
        (code, &status["status"], details),
        (200, &json!("Success"), json!({ "name": "m", "kind": "configmaps" }))
    );
    assert_eq!(
        talk.say("DELETE", &format!("{MAPS}?labelSelector=a=1"), Value::Null, "/items/0/metadata/name").await,
        "200 \"n\""
    );
    assert_eq!(talk.get(MAPS, "/items/0/metadata/name").await, "200 \"o\"");
    let told = "422 Invalid: DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Odd\": supported values: \"Background\", \"Foreground\", \"Orphan\", \"nil\"";
    assert_eq!(talk.say("DELETE", &format!("{MAPS}/o"), json!({ "propagationPolicy": "Odd" }), "").await, told);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let talk = talk();
    let version = || talk.server.with(|world| world.cluster.store.version());
    let before = version();
    let map = json!({ "metadata": { "name": "m" } });
    assert_eq!(talk.say("POST", &format!("{MAPS}?dryRun=All"), map.clone(), "/metadata/name").await, "201 \"m\"");
    let cordon = json!({ "spec": { "unschedulable": true } });
    assert_eq!(talk.say("PATCH", &format!("{NODE}?dryRun=All"), cordon, "/spec/unschedulable").await, "200 true");
    assert_eq!(talk.say("DELETE", &format!("{WEB}?dryRun=All"), Value::Null, "/metadata/name").await, "200 \"web-1\"");
    assert_eq!(version(), before);
    let told = talk.say("POST", &format!("{MAPS}?dryRun=Some"), map, "").await;
    assert_eq!(
        told,
        "422 Invalid: CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\""
    );
}

#[tokio::test(start_paused = true)]
async fn a_workload_is_scaled_by_its_subresource() {
    let talk = talk();
    let spec = json!({ "replicas": 2, "selector": { "matchLabels": { "app": "web" } }, "template": {} });
    let sets = "/apis/apps/v1/namespaces/shop/deployments";
    talk.ask("POST", sets, Some(&json!({ "metadata": { "name": "web" }, "spec": spec }))).await;
    let path = format!("{sets}/web/scale");
    assert_eq!(talk.get(&path, "/status/selector").await, "200 \"app=web\"");
    assert_eq!(talk.say("PATCH", &path, json!({ "spec": { "replicas": 5 } }), "/spec/replicas").await, "200 5");
    let (_, mut scale) = talk.ask("GET", &path, None).await;
    scale["spec"]["replicas"] = 3.into();
    assert_eq!(talk.say("PUT", &path, scale.clone(), "/spec/replicas").await, "200 3");
    assert!(talk.say("PUT", &path, scale, "").await.starts_with("409 Conflict"));
    assert_eq!(talk.get(&format!("{sets}/web"), "/spec/replicas").await, "200 3");
    let told = "422 Invalid: Deployment \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0";
    assert_eq!(
        talk.say("PATCH", &path, json!({ "spec": { "replicas": -1 } }), "")
            .await
            .replace("Deployment.apps", "Deployment"),
        told
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_once() {
    let talk = talk();
    let pods = "/api/v1/namespaces/shop/pods";
    talk.ask("POST", pods, Some(&json!({ "metadata": { "name": "new" }, "spec": { "containers": [] } }))).await;
    let target = json!({ "target": { "kind": "Node", "name": "n-1" } });
    let path = format!("{pods}/new/binding");
    assert_eq!(talk.say("POST", &path, target.clone(), "/status").await, "201 \"Success\"");
    assert_eq!(talk.get(&format!("{pods}/new"), "/spec/nodeName").await, "200 \"n-1\"");
    let told = "409 Conflict: Operation cannot be fulfilled on pods/binding \"new\": pod new is already assigned to node \"n-1\"";
    assert_eq!(talk.say("POST", &path, target, "").await, told);
}

#[tokio::test(start_paused = true)]
async fn everything_is_allowed() {
    let talk = talk();
    let ask = json!({ "spec": { "resourceAttributes": { "verb": "patch", "resource": "nodes" } } });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(talk.say("POST", path, ask, "/status/allowed").await, "201 true");
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    assert_eq!(talk.say("POST", path, json!({}), "/status/userInfo/username").await, "201 \"rehearsal\"");
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    assert_eq!(talk.say("POST", path, json!({}), "/status/incomplete").await, "201 false");
}
