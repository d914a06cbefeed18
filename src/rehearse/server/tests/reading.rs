use serde_json::{Value, json};

use super::*;

#[tokio::test(start_paused = true)]
async fn discovery_tells_what_is_served() {
    let talk = talk();
    assert_eq!(talk.get("/version", "/gitVersion").await, "200 \"v1.37.2\"");
    assert_eq!(talk.get("/api", "/versions").await, "200 [\"v1\"]");
    assert_eq!(talk.get("/apis/policy", "/preferredVersion/groupVersion").await, "200 \"policy/v1\"");
    let (_, groups) = talk.ask("GET", "/apis", None).await;
    let names: Vec<&Value> = groups["groups"].as_array().expect("groups").iter().map(|group| &group["name"]).collect();
    assert!(names.contains(&&json!("apps")) && names.contains(&&json!("events.k8s.io")), "{names:?}");
    let (_, list) = talk.ask("GET", "/api/v1", None).await;
    let find =
        |name: &str| list["resources"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name).cloned());
    let eviction = json!({
        "name": "pods/eviction", "singularName": "", "namespaced": true, "kind": "Eviction", "verbs": ["create"],
        "group": "policy", "version": "v1",
    });
    assert_eq!(find("pods/eviction"), Some(eviction));
    assert_eq!(find("nodes").map(|node| node["shortNames"].clone()), Some(json!(["no"])));
    let nothing = "404 NotFound: the server could not find the requested resource";
    for path in ["/apis/none/v1", "/apis/none", "/api/v2", "/openapi/v2", "/api/v1/nones", "/api/v1/pods/web-1", "/"] {
        assert_eq!(talk.get(path, "").await, nothing, "{path}");
    }
    let no = "405 MethodNotAllowed: the server does not allow this method on the requested resource";
    for (method, path) in [
        ("POST", "/version"),
        ("POST", "/api/v1/pods"),
        ("PUT", "/api/v1/nodes"),
        ("GET", "/api/v1/namespaces/shop/pods/web-1/eviction"),
    ] {
        assert_eq!(talk.say(method, path, Value::Null, "").await, no, "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_is_read_and_one_that_is_not_there_is_told() {
    let talk = talk();
    let (code, pod) = talk.ask("GET", "/api/v1/namespaces/shop/pods/web-1", None).await;
    assert_eq!(
        (code, &pod["kind"], &pod["apiVersion"], &pod["spec"]["nodeName"]),
        (200, &json!("Pod"), &json!("v1"), &json!("n-1"))
    );
    let (code, status) = talk.ask("GET", "/apis/apps/v1/namespaces/shop/deployments/none", None).await;
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "deployments.apps \"none\" not found", "reason": "NotFound",
        "details": { "name": "none", "group": "apps", "kind": "deployments" }, "code": 404,
    });
    assert_eq!((code, status), (404, expected));
}

#[tokio::test(start_paused = true)]
async fn a_list_comes_in_pages_of_one_moment() {
    let talk = Talk::with(Vec::new(), Duration::ZERO, |stage| {
        for name in ["a", "b", "c", "d", "e"] {
            pod(stage, name, "n-1");
        }
    });
    let (_, first) = talk.ask("GET", "/api/v1/pods?limit=2", None).await;
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items");
        items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(
        (&first["kind"], &first["apiVersion"], &first["items"][0]["kind"]),
        (&json!("PodList"), &json!("v1"), &Value::Null)
    );
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let version = first["metadata"]["resourceVersion"].clone();
    // One that is to come is deleted, one is made: the list does not show it.
    talk.ask("DELETE", "/api/v1/namespaces/shop/pods/c", Some(&json!({ "gracePeriodSeconds": 0 }))).await;
    let made = json!({ "metadata": { "name": "cc" }, "spec": { "containers": [] } });
    assert_eq!(talk.say("POST", "/api/v1/namespaces/shop/pods", made, "/metadata/name").await, "201 \"cc\"");
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let (_, second) = talk.ask("GET", &format!("/api/v1/pods?limit=2&continue={token}"), None).await;
    assert_eq!(
        (names(&second), &second["metadata"]["resourceVersion"]),
        (vec!["c".to_owned(), "d".to_owned()], &version)
    );
    let token = second["metadata"]["continue"].as_str().expect("a token").to_owned();
    let (_, third) = talk.ask("GET", &format!("/api/v1/pods?limit=2&continue={token}"), None).await;
    assert_eq!((names(&third), third["metadata"].get("continue")), (vec!["e".to_owned()], None));
    // The same moment by its version, and what is there now.
    let version = version.as_str().expect("a version");
    let exact = format!("/api/v1/pods?resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(names(&talk.ask("GET", &exact, None).await.1), ["a", "b", "c", "d", "e"]);
    assert_eq!(names(&talk.ask("GET", "/api/v1/namespaces/shop/pods", None).await.1), ["a", "b", "cc", "d", "e"]);
    talk.server.with(|world| world.cluster.store.compact(Kind::Pod));
    let expired = "410 Expired: The provided continue parameter is too old to display a consistent list result. You can start \
                   a new list without the continue parameter.";
    assert_eq!(talk.get(&format!("/api/v1/pods?limit=2&continue={token}"), "").await, expired);
    assert_eq!(talk.get(&exact, "").await, "410 Expired: The resourceVersion for the provided list is too old.");
}

#[tokio::test(start_paused = true)]
async fn options_of_a_list_that_do_not_fit_are_refused() {
    let talk = talk();
    let version = talk.server.with(|world| world.cluster.store.version());
    let (code, late) = talk.ask("GET", "/api/v1/pods?resourceVersion=99", None).await;
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("Timeout: Too large resource version: 99, current: {version}"), "reason": "Timeout",
        "details": {
            "retryAfterSeconds": 1,
            "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
        },
        "code": 504,
    });
    assert_eq!((code, late), (504, expected));
    let invalid = "422 Invalid: ListOptions.meta.k8s.io \"\" is invalid: ";
    for (query, told) in [
        (
            "resourceVersionMatch=Exact",
            format!(
                "{invalid}resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            ),
        ),
        (
            "resourceVersion=0&resourceVersionMatch=Exact",
            format!(
                "{invalid}resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""
            ),
        ),
        (
            "sendInitialEvents=true",
            format!("{invalid}sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        ),
        ("fieldSelector=spec.image=x", "400 BadRequest: field label not supported: spec.image".to_owned()),
        (
            "labelSelector=a+b",
            "400 BadRequest: unable to parse requirement: \"a b\" is no requirement of labels".to_owned(),
        ),
        ("continue=odd", "400 BadRequest: continue key is not valid: \"odd\"".to_owned()),
    ] {
        assert_eq!(talk.get(&format!("/api/v1/pods?{query}"), "").await, told);
    }
    let other =
        "400 BadRequest: \"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
    assert_eq!(talk.get("/apis/apps/v1/deployments?fieldSelector=spec.x=y", "").await, other);
}

#[tokio::test(start_paused = true)]
async fn selectors_choose_pods_and_nodes() {
    let talk = talk();
    for (path, count) in [
        ("/api/v1/pods?fieldSelector=spec.nodeName%3Dn-1", 1),
        ("/api/v1/pods?fieldSelector=spec.nodeName%3Dn-2", 0),
        ("/api/v1/pods?fieldSelector=spec.nodeName%3Dn-1,status.phase!=Running", 0),
        ("/api/v1/pods?labelSelector=app%20in%20(web,db)", 1),
        ("/api/v1/pods?labelSelector=app!=web", 0),
        ("/api/v1/namespaces/default/pods", 0),
        ("/api/v1/nodes?fieldSelector=spec.unschedulable=false", 1),
        ("/api/v1/nodes?fieldSelector=metadata.name=n-1", 1),
    ] {
        let (_, list) = talk.ask("GET", path, None).await;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(count), "{path}: {list}");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_alone_and_rows_are_answered_to_those_who_ask() {
    let talk = talk();
    let read = async |path: &str, accept: &str| -> Value {
        let body = talk.send("GET", path, &[("accept", accept)], None).await.into_body();
        serde_json::from_slice(&body.collect().await.expect("a body").to_bytes()).expect("JSON")
    };
    let names = read("/api/v1/pods", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").await;
    assert_eq!(
        (&names["kind"], &names["items"][0]["kind"]),
        (&json!("PartialObjectMetadataList"), &json!("PartialObjectMetadata"))
    );
    assert_eq!((&names["items"][0]["metadata"]["name"], &names["items"][0]["spec"]), (&json!("web-1"), &Value::Null));
    let table = read("/api/v1/nodes", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json").await;
    let expected = json!(["n-1", "Ready", "<none>", "30d", "v1.37.2", "<unknown>", "<unknown>", "<unknown>"]);
    assert_eq!((&table["kind"], &table["rows"][0]["cells"]), (&json!("Table"), &expected));
    let body = talk.send("GET", "/api/v1/nodes", &[("accept", "application/vnd.kubernetes.protobuf")], None).await;
    assert_eq!(body.status(), 406);
}

#[tokio::test(start_paused = true)]
async fn events_are_the_same_in_both_groups() {
    let talk = talk();
    let event = json!({
        "metadata": { "name": "e" }, "regarding": { "kind": "Pod", "name": "web-1" }, "note": "it failed", "reason": "Failed",
        "type": "Warning", "reportingController": "kubelet",
    });
    let made = talk.say("POST", "/apis/events.k8s.io/v1/namespaces/shop/events", event, "/note").await;
    assert_eq!(made, "201 \"it failed\"");
    let old = talk.ask("GET", "/api/v1/namespaces/shop/events/e", None).await.1;
    assert_eq!(
        (&old["message"], &old["involvedObject"]["name"], &old["apiVersion"]),
        (&json!("it failed"), &json!("web-1"), &json!("v1"))
    );
    let new = talk.ask("GET", "/apis/events.k8s.io/v1/events?fieldSelector=regarding.name=web-1", None).await.1;
    assert_eq!((&new["apiVersion"], &new["items"][0]["note"]), (&json!("events.k8s.io/v1"), &json!("it failed")));
}
