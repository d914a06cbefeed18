//! T12 to T14: dry runs, bodies and preconditions of evictions. What budgets say is told by the stories of `evict`.

use serde_json::{Value, json};

use super::*;

const WEB: &str = "/api/v1/namespaces/shop/pods/web-1";

impl Talk {
    /// Posts an Eviction of `web-1`: what is answered, the warnings, and whether the pod is on its way.
    async fn evict(&self, query: &str, body: Value) -> String {
        let path = format!("{WEB}/eviction{query}");
        let (head, answer) = self.send("POST", &path, &[], Some(&body)).await.into_parts();
        let answer: Value = serde_json::from_slice(&answer.collect().await.expect("a body").to_bytes()).expect("JSON");
        let mut told = format!("{} {}", head.status.as_u16(), answer["status"].as_str().unwrap_or_default());
        if let Some(message) = answer["message"].as_str() {
            told = format!("{} {}: {message}", answer["code"], answer["reason"].as_str().unwrap_or_default());
        }
        for warning in head.headers.get_all("warning") {
            told = format!("{told}, {}", warning.to_str().expect("text"));
        }
        let (_, pod) = self.ask("GET", WEB, None).await;
        if pod["metadata"]["deletionTimestamp"].is_string() { format!("{told}, and it goes") } else { told }
    }
}

fn eviction() -> Value {
    json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "web-1", "namespace": "shop" } })
}

fn with(options: Value) -> Value {
    let mut eviction = eviction();
    eviction["deleteOptions"] = options;
    eviction
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_evicts_nothing() {
    let talk = talk();
    assert_eq!(talk.evict("?dryRun=All", eviction()).await, "201 Success");
    assert_eq!(talk.evict("", with(json!({ "dryRun": ["All"] }))).await, "201 Success");
    assert_eq!(talk.evict("?dryRun=All", with(json!({ "dryRun": ["All"] }))).await, "201 Success");
    let told = "500 : Non-matching dry-run options in request and content: [All] and [All All]";
    assert_eq!(talk.evict("?dryRun=All", with(json!({ "dryRun": ["All", "All"] }))).await, told);
    let told = "422 Invalid: Eviction.policy \"web-1\" is invalid: \
                deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential: Invalid value: true: can not be set for pod \
                eviction, try after removing the option";
    let odd = json!({ "ignoreStoreReadErrorWithClusterBreakingPotential": true });
    assert_eq!(talk.evict("", with(odd)).await, told);
    // kube's own `Api::evict` writes a field that is none: what it says is not heard.
    let mut odd = eviction();
    odd["delete_options"] = json!({ "dryRun": ["All"] });
    let strict = "400 BadRequest: Eviction in version \"v1\" cannot be handled as a Eviction: strict decoding error: unknown field \"delete_options\"";
    assert_eq!(talk.evict("?fieldValidation=Strict", odd.clone()).await, strict);
    let told = "201 Success, 299 - \"unknown field \\\"delete_options\\\"\", and it goes";
    assert_eq!(talk.evict("", odd).await, told);
}

#[tokio::test(start_paused = true)]
async fn a_body_says_which_pod_is_meant() {
    let talk = talk();
    let mut other = eviction();
    other["metadata"]["name"] = "web-2".into();
    let told = "400 BadRequest: name in URL does not match name in Eviction object";
    assert_eq!(talk.evict("", other).await, told);
    assert_eq!(talk.evict("", json!({ "kind": "Pod" })).await, "400 BadRequest: not an Eviction:  Pod");
    let path = "/api/v1/namespaces/shop/pods/none/eviction";
    let none = json!({ "metadata": { "name": "none" } });
    assert_eq!(talk.say("POST", path, none, "").await, "404 NotFound: pods \"none\" not found");
    let mut old = eviction();
    old["apiVersion"] = "policy/v1beta1".into();
    assert_eq!(talk.evict("?dryRun=All", old).await, "201 Success");
    assert_eq!(talk.evict("", json!({ "metadata": { "name": "web-1" } })).await, "201 Success, and it goes");
}

#[tokio::test(start_paused = true)]
async fn a_precondition_holds_or_nothing_is_done() {
    let talk = talk();
    for options in
        [json!({ "preconditions": { "uid": "other" } }), json!({ "preconditions": { "resourceVersion": "1" } })]
    {
        let told = talk.evict("", with(options)).await;
        assert!(told.starts_with("409 Conflict: ") && !told.ends_with("goes"), "{told}");
    }
    let (_, pod) = talk.ask("GET", WEB, None).await;
    let right = json!({ "preconditions": { "uid": pod["metadata"]["uid"] }, "gracePeriodSeconds": 7 });
    assert_eq!(talk.evict("", with(right)).await, "201 Success, and it goes");
    assert_eq!(talk.get(WEB, "/metadata/deletionTimestamp").await, "200 \"2026-01-31T14:00:07Z\"");
}
