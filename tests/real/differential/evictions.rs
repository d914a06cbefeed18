//! Evictions and deletions: T01 to T14, T43.

use super::budgets::create_budget;
use super::scenario::{
    Ask, Scenario, core, daemon_set, delete, deployment, evict, evict_with, patch, pod, pod_on, policy, strategic,
};
use serde_json::json;

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [budgets(), unready(), bodies(), deletions()].concat()
}

/// Fields of a pod that tell how long it has.
const GRACE: &[&str] = &["/metadata/deletionGracePeriodSeconds", "/metadata/deletionTimestamp"];
/// What a budget counts, and whom it waits for.
const COUNTED: &[&str] = &["/status/disruptionsAllowed", "/status/currentHealthy", "/status/disruptedPods"];

fn budgets() -> Vec<Scenario> {
    let budgets = "poddisruptionbudgets/web";
    vec![
        Scenario::new("t01_without_a_budget_a_pod_goes")
            .has(pod_on("a", 0))
            .sends(201, evict("a"))
            .reads(&core("pods/a"), GRACE)
            .tells("pods a", "DisruptionTarget EvictionByEvictionAPI")
            .tells("pods a", "gone"),
        Scenario::new("t02_an_eviction_takes_the_credit_of_a_budget")
            .nodes(3)
            .has(deployment("web", 3))
            .budget("web", json!({"minAvailable": 2}))
            .sends(201, evict("<web-#1-#1>"))
            .waits(0.5)
            .sends(429, evict("<web-#1-#2>"))
            .waits(2.0)
            .reads(&policy(budgets), COUNTED)
            .looks(6.0)
            .tells("poddisruptionbudgets web", "allows 0, healthy 2 of 2, expects 4")
            .tells("poddisruptionbudgets web", "allows 1, healthy 3 of 2, expects 3"),
        Scenario::new("t03_a_budget_without_credit_refuses")
            .nodes(2)
            .has(deployment("web", 2))
            .budget("web", json!({"minAvailable": 2}))
            .sends(429, evict("<web-#1-#1>"))
            .looks(3.0),
        Scenario::new("t04_of_two_at_once_one_is_let_go")
            .nodes(3)
            .has(deployment("web", 3))
            .budget("web", json!({"maxUnavailable": 1}))
            .together(&[201, 429], vec![evict("<web-#1-#1>"), evict("<web-#1-#2>")])
            .only(&["poddisruptionbudgets", "deployments"])
            .looks(6.0)
            .tells("poddisruptionbudgets web", "allows 0, healthy 2 of 2, expects 3"),
        Scenario::new("t05_two_budgets_are_a_mistake")
            .has(pod_on("web", 0))
            .budget("web", json!({"minAvailable": 0}))
            .budget("all", json!({"minAvailable": 0, "selector": {}}))
            .sends(500, evict("web"))
            .looks(3.0),
        Scenario::new("t06_a_pod_that_waits_goes_past_its_budget")
            .has(pod_on("bound", 0).label("app", "web").ready_after("600s"))
            .has(pod("unbound").label("app", "web").pod_spec("nodeSelector", json!({"no": "where"})))
            .budget("web", json!({"minAvailable": 1}))
            .sends(201, evict("bound"))
            .sends(201, evict("unbound"))
            .tells("pods unbound", "gone")
            .tells("pods bound", "gone"),
        Scenario::new("t07_a_finished_pod_goes_at_once")
            .has(pod_on("done", 0).label("app", "web"))
            .has(pod_on("failed", 0).label("app", "web"))
            .budget("web", json!({"minAvailable": 2}))
            .sends(200, finished("done", "Succeeded"))
            .sends(200, finished("failed", "Failed"))
            .waits(2.0)
            .sends(201, evict("done"))
            .sends(201, evict("failed"))
            .looks(3.0)
            .tells("pods done", "gone")
            .tells("pods failed", "gone"),
        Scenario::new("t08_a_second_eviction_may_only_shorten")
            .has(pod_on("a", 0).stop_after("30s"))
            .sends(201, evict("a"))
            .waits(2.0)
            .sends(201, evict("a"))
            .reads(&core("pods/a"), GRACE)
            .sends(201, evict_with("a", json!({"gracePeriodSeconds": 60})))
            .reads(&core("pods/a"), GRACE)
            .sends(201, evict_with("a", json!({"gracePeriodSeconds": 20})))
            .reads(&core("pods/a"), GRACE)
            .sends(201, evict_with("a", json!({"gracePeriodSeconds": 2})))
            .reads(&core("pods/a"), GRACE)
            .looks(4.0),
    ]
}

/// A pod's status says that it is over.
fn finished(name: &str, phase: &str) -> Ask {
    let conditions = json!([{"type": "Ready", "status": "False", "reason": "PodCompleted"}]);
    strategic(&core(&format!("pods/{name}/status")), json!({"status": {"phase": phase, "conditions": conditions}}))
}

fn unready() -> Vec<Scenario> {
    let idle = || pod_on("idle", 0).label("app", "web").never_ready();
    let ready = |name: &str| pod_on(name, 0).label("app", "web");
    vec![
        Scenario::new("t09_an_unready_pod_goes_while_enough_others_are_ready")
            .has(idle())
            .has(ready("a"))
            .has(ready("b"))
            .budget("web", json!({"minAvailable": 2}))
            .sends(201, evict("idle"))
            .reads(&policy("poddisruptionbudgets/web"), COUNTED)
            .tells("pods idle", "gone"),
        Scenario::new("t10_an_unready_pod_stays_where_too_few_are_ready")
            .has(idle())
            .has(ready("a"))
            .budget("web", json!({"minAvailable": 2}))
            .sends(429, evict("idle"))
            .sends(
                200,
                patch(
                    &policy("poddisruptionbudgets/web"),
                    json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}),
                ),
            )
            .waits(2.0)
            .sends(201, evict("idle"))
            .tells("pods idle", "gone"),
        // A budget whose pods nobody scales is never synchronised: its generation stays unseen.
        Scenario::new("t11_a_budget_that_its_controller_has_not_seen_asks_for_patience")
            .has(daemon_set("web"))
            .sends(201, create_budget("web", "web", "maxUnavailable", &json!(1)))
            .waits(1.0)
            .sends(429, evict("<web-#1>"))
            .looks(3.0),
    ]
}

fn bodies() -> Vec<Scenario> {
    let eviction = |name: &str, path: &str, api_version: &str, more: serde_json::Value| {
        let mut body = json!({"metadata": {"name": name}});
        if !api_version.is_empty() {
            body["apiVersion"] = api_version.into();
            body["kind"] = "Eviction".into();
        }
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        Ask::new("POST", &core(&format!("pods/{path}")), body)
    };
    let v1 = "policy/v1";
    vec![
        Scenario::new("t12_a_dry_run_changes_nothing_and_an_unknown_field_is_named")
            .has(pod_on("a", 0))
            .has(pod_on("b", 0))
            .budget("a", json!({"minAvailable": 0}))
            .sends(201, eviction("a", "a/eviction?dryRun=All", v1, json!({"deleteOptions": {"dryRun": ["All"]}})))
            .sends(201, eviction("a", "a/eviction", v1, json!({"deleteOptions": {"dryRun": ["All"]}})))
            .sends(
                500,
                eviction("a", "a/eviction?dryRun=All", v1, json!({"deleteOptions": {"dryRun": ["All", "All"]}})),
            )
            .waits(2.0)
            .sends(201, eviction("b", "b/eviction", v1, json!({"delete_options": {"dryRun": ["All"]}})))
            .tells("pods b", "gone"),
        Scenario::new("t13_bodies_of_other_versions_and_of_other_pods")
            .has(pod_on("a", 0))
            .has(pod_on("b", 0))
            .has(pod_on("c", 0))
            .sends(201, eviction("a", "a/eviction", "policy/v1beta1", json!({})))
            .sends(201, eviction("b", "b/eviction", "", json!({})))
            .sends(400, eviction("other", "c/eviction", v1, json!({})))
            .sends(404, eviction("nobody", "nobody/eviction", v1, json!({})))
            .tells("pods a", "gone")
            .tells("pods b", "gone"),
        Scenario::new("t14_a_pod_of_another_uid_or_version_stays")
            .has(pod_on("a", 0))
            .has(pod_on("b", 0))
            .budget("a", json!({"minAvailable": 0}))
            .sends(409, evict_with("a", json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000001"}})))
            .waits(2.0)
            .sends(409, evict_with("b", json!({"preconditions": {"resourceVersion": "1"}})))
            .reads(&policy("poddisruptionbudgets/a"), COUNTED)
            .looks(3.0),
    ]
}

fn deletions() -> Vec<Scenario> {
    let with = |name: &str, grace: &str| delete(&core(&format!("pods/{name}?gracePeriodSeconds={grace}")));
    vec![
        Scenario::new("t43_the_grace_of_a_deletion_and_a_finalizer")
            .has(pod_on("plain", 0))
            .has(pod_on("none", 0))
            .has(pod_on("one", 0))
            .has(pod_on("less", 0))
            .has(pod_on("held", 0).finalizer("sprag.test/hold"))
            .sends(200, delete(&core("pods/plain")))
            .reads(&core("pods/plain"), GRACE)
            .sends(200, with("none", "0"))
            .sends(200, with("one", "1"))
            .reads(&core("pods/one"), GRACE)
            .sends(200, with("less", "-1"))
            .sends(200, with("held", "0"))
            .reads(&core("pods/held"), GRACE)
            .waits(5.0)
            .sends(200, patch(&core("pods/held"), json!({"metadata": {"finalizers": null}})))
            .looks(3.0)
            .tells("pods held", "gone")
            .tells("pods none", "gone"),
    ]
}
