//! Evictions and deletions of pods (KUBERNETES.md 10: T01 to T11, T14, T43).

use serde_json::json;

use super::Stage;
use crate::rehearse::object::Key;
use crate::rehearse::write::DeleteOptions;

fn grace(seconds: i64) -> DeleteOptions {
    DeleteOptions { grace: Some(seconds), ..DeleteOptions::default() }
}

/// A story without its budgets, whose numbers are told elsewhere.
fn no_controllers() -> Stage {
    Stage::new(Vec::new())
}

#[test]
fn t01_a_pod_without_a_budget_goes() {
    let mut stage = no_controllers();
    let pod = stage.has_pod("a", "web", true);
    stage.story();
    assert_eq!(stage.evict(&pod), "201");
    let expected = "+0.00   pods shop/a  DisruptionTarget EvictionByEvictionAPI\n\
                    +0.00   pods shop/a  terminating, 30 s\n";
    assert_eq!(stage.story(), expected);
    assert_eq!(stage.get(&pod)["metadata"]["deletionTimestamp"], "2026-01-31T14:00:30Z");
}

#[test]
fn t02_an_eviction_takes_the_budgets_credit_until_the_pod_is_seen_to_go() {
    let mut stage = Stage::crewed();
    let pods: Vec<Key> = ["a", "b", "c"].iter().map(|name| stage.has_pod(name, "web", true)).collect();
    let budget = stage.has_budget("web", json!({ "minAvailable": 2 }));
    stage.story();
    assert_eq!(stage.evict(&pods[0]), "201");
    assert_eq!(stage.get(&budget)["status"]["disruptedPods"], json!({ "a": "2026-01-31T14:00:00Z" }));
    stage.pass(0.5);
    let expected = "+0.10   poddisruptionbudgets shop/web  allows 0, healthy 3 of 2, expects 3\n\
                    +0.10   pods shop/a  DisruptionTarget EvictionByEvictionAPI\n\
                    +0.10   pods shop/a  terminating, 30 s\n\
                    +0.11   poddisruptionbudgets shop/web  allows 0, healthy 2 of 2, expects 3\n";
    assert_eq!(stage.story(), expected);
    assert_eq!(stage.get(&budget)["status"]["disruptedPods"], json!(null));
}

const NO: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

#[test]
fn t03_a_budget_without_credit_says_no_and_nothing_changes() {
    let mut stage = Stage::crewed();
    let pod = stage.has_pod("a", "web", true);
    stage.has_pod("b", "web", true);
    stage.has_budget("web", json!({ "minAvailable": 2 }));
    stage.story();
    let why = "The disruption budget web needs 2 healthy pods and has 2 currently";
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": NO,
        "reason": "TooManyRequests",
        "details": { "causes": [{ "reason": "DisruptionBudget", "message": why }] }, "code": 429,
    });
    assert_eq!(stage.evict(&pod), format!("429 {expected}"));
    stage.pass(1.0);
    assert_eq!(stage.story(), "");
}

#[test]
fn t04_of_two_evictions_at_once_one_gets_the_only_credit() {
    let mut stage = Stage::crewed();
    let pods: Vec<Key> = ["a", "b", "c"].iter().map(|name| stage.has_pod(name, "web", true)).collect();
    stage.has_budget("web", json!({ "minAvailable": 2 }));
    let answers: Vec<String> = pods.iter().take(2).map(|pod| stage.evict(pod).chars().take(3).collect()).collect();
    assert_eq!(answers, ["201", "429"]);
}

#[test]
fn t05_two_budgets_are_a_mistake() {
    let mut stage = Stage::crewed();
    let pod = stage.has_pod("a", "web", true);
    stage.has_budget("web", json!({ "minAvailable": 0 }));
    stage.has_budget("all", json!({ "minAvailable": 0, "selector": {} }));
    stage.story();
    let expected = "500 {\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"This pod \
                    has more than one PodDisruptionBudget, which the eviction subresource does not support.\",\"code\":500}";
    assert_eq!(stage.evict(&pod), expected);
    assert_eq!(stage.story(), "");
}

#[test]
fn t06_a_pod_that_waits_goes_past_its_budget_and_one_without_a_node_at_once() {
    let mut stage = no_controllers();
    stage.has_budget("web", json!({ "minAvailable": 9 }));
    let bound = stage.has_pod("bound", "web", false);
    let unbound = stage.has_pod("unbound", "web", false);
    stage.patch(&bound, json!({ "status": { "phase": "Pending" } }));
    stage.patch(&unbound, json!({ "status": { "phase": "Pending" }, "spec": { "nodeName": null } }));
    stage.story();
    assert_eq!(stage.evict(&bound), "201");
    assert_eq!(stage.evict(&unbound), "201");
    let expected = "+0.10   pods shop/bound  DisruptionTarget EvictionByEvictionAPI\n\
                    +0.10   pods shop/bound  terminating, 30 s\n\
                    +0.10   pods shop/unbound  DisruptionTarget EvictionByEvictionAPI\n\
                    +0.10   pods shop/unbound  terminating, 0 s\n\
                    +0.10   pods shop/unbound  gone\n";
    assert_eq!(stage.story(), expected);
}

#[test]
fn t07_a_finished_pod_goes_at_once() {
    let mut stage = no_controllers();
    stage.has_budget("web", json!({ "minAvailable": 9 }));
    for (name, phase) in [("failed", "Failed"), ("done", "Succeeded")] {
        let pod = stage.has_pod(name, "web", false);
        stage.patch(&pod, json!({ "status": { "phase": phase } }));
        stage.story();
        assert_eq!(stage.evict(&pod), "201");
        let expected = format!(
            "+0.10   pods shop/{name}  DisruptionTarget EvictionByEvictionAPI\n\
             +0.10   pods shop/{name}  terminating, 0 s\n\
             +0.10   pods shop/{name}  gone\n"
        );
        assert_eq!(stage.story(), expected);
    }
}

#[test]
fn t08_a_second_eviction_may_only_shorten() {
    let mut stage = no_controllers();
    let pod = stage.has_pod("a", "web", true);
    let told = |stage: &Stage| {
        let metadata = &stage.get(&pod)["metadata"];
        (metadata["deletionTimestamp"].as_str().unwrap().to_owned(), metadata["deletionGracePeriodSeconds"].as_i64())
    };
    assert_eq!(stage.evict(&pod), "201");
    assert_eq!(told(&stage), ("2026-01-31T14:00:30Z".to_owned(), Some(30)));
    stage.pass(4.0);
    for (asked, expected) in [
        (DeleteOptions::default(), ("2026-01-31T14:00:30Z", Some(30))),
        (grace(60), ("2026-01-31T14:00:30Z", Some(30))),
        // Counted from the first.
        (grace(20), ("2026-01-31T14:00:20Z", Some(20))),
        // What has passed already becomes a second.
        (grace(2), ("2026-01-31T14:00:04Z", Some(1))),
    ] {
        assert_eq!(stage.evict_with(&pod, &asked), "201");
        assert_eq!(told(&stage), (expected.0.to_owned(), expected.1), "asked for {:?}", asked.grace);
    }
    stage.story();
    assert_eq!(stage.evict_with(&pod, &grace(0)), "201");
    assert_eq!(stage.story(), "+4.00   pods shop/a  gone\n");
}

#[test]
fn t09_a_pod_that_is_not_ready_goes_while_enough_others_are() {
    let mut stage = Stage::crewed();
    let idle = stage.has_pod("idle", "web", false);
    ["a", "b"].iter().for_each(|name| drop(stage.has_pod(name, "web", true)));
    let budget = stage.has_budget("web", json!({ "minAvailable": 2 }));
    assert_eq!(stage.evict(&idle), "201");
    let status = &stage.get(&budget)["status"];
    assert_eq!((&status["disruptionsAllowed"], &status["disruptedPods"]), (&json!(0), &json!(null)));
}

#[test]
fn t10_a_pod_that_is_not_ready_stays_where_too_few_are_unless_the_budget_lets_it_go() {
    let mut stage = Stage::crewed();
    let idle = stage.has_pod("idle", "web", false);
    stage.has_pod("a", "web", true);
    let budget = stage.has_budget("web", json!({ "minAvailable": 2 }));
    let answer = stage.evict(&idle);
    assert!(answer.starts_with("429 "), "{answer}");
    assert!(answer.contains("The disruption budget web needs 2 healthy pods and has 1 currently"), "{answer}");
    stage.patch(&budget, json!({ "spec": { "unhealthyPodEvictionPolicy": "AlwaysAllow" } }));
    assert_eq!(stage.evict(&idle), "201");
}

#[test]
fn where_nothing_has_to_be_healthy_a_pod_that_is_not_ready_takes_a_credit() {
    let mut stage = Stage::crewed();
    let idle = stage.has_pod("idle", "web", false);
    stage.has_budget("web", json!({ "minAvailable": 0 }));
    let why = "The disruption budget web needs 0 healthy pods and has 0 currently";
    assert!(stage.evict(&idle).contains(why), "{}", stage.evict(&idle));
}

#[test]
fn t11_a_budget_that_its_controller_has_not_seen_asks_for_patience() {
    let mut stage = no_controllers();
    let pod = stage.has_pod("a", "web", true);
    stage.has_budget("web", json!({ "minAvailable": 0 }));
    let why = "The disruption budget web is still being processed by the server.";
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": NO,
        "reason": "TooManyRequests",
        "details": { "retryAfterSeconds": 10, "causes": [{ "reason": "DisruptionBudget", "message": why }] }, "code": 429,
    });
    assert_eq!(stage.evict(&pod), format!("429 after 10 {expected}"));
}

#[test]
fn a_budget_with_impossible_numbers_forbids() {
    let mut stage = no_controllers();
    let pod = stage.has_pod("a", "web", true);
    let budget = stage.has_budget("web", json!({ "minAvailable": 0 }));
    let status = json!({ "disruptionsAllowed": -1, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
                         "observedGeneration": 1 });
    stage.patch(&budget, json!({ "status": status }));
    let cause = "The disruption budget web does not allow evicting pods currently: pdb disruptions allowed is negative";
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "poddisruptionbudget.policy \"web\" is forbidden: pdb disruptions allowed is negative",
        "reason": "Forbidden",
        "details": { "name": "web", "group": "policy", "kind": "poddisruptionbudget",
                     "causes": [{ "reason": "DisruptionBudget", "message": cause }] },
        "code": 403,
    });
    assert_eq!(stage.evict(&pod), format!("403 {expected}"));
}

#[test]
fn an_eviction_that_is_only_tried_changes_nothing() {
    let mut stage = Stage::crewed();
    let pod = stage.has_pod("a", "web", true);
    let budget = stage.has_budget("web", json!({ "minAvailable": 1 }));
    stage.story();
    let dry = DeleteOptions { is_dry_run: true, ..DeleteOptions::default() };
    assert!(stage.evict_with(&pod, &dry).starts_with("429 "));
    stage.patch(&budget, json!({ "spec": { "minAvailable": 0 } }));
    stage.pass(0.1);
    stage.story();
    assert_eq!(stage.evict_with(&pod, &dry), "201");
    stage.pass(1.0);
    assert_eq!(stage.story(), "");
}

#[test]
fn t14_a_pod_of_another_uid_or_version_stays_though_the_credit_is_gone() {
    let mut stage = Stage::crewed();
    let pod = stage.has_pod("a", "web", true);
    let budget = stage.has_budget("web", json!({ "minAvailable": 0 }));
    let uid = stage.get(&pod)["metadata"]["uid"].as_str().unwrap().to_owned();
    let other = DeleteOptions { uid: Some("other".to_owned()), ..DeleteOptions::default() };
    let why = format!(
        "Operation cannot be fulfilled on Pod \"a\": the UID in the precondition (other) does not match the UID in record \
         ({uid}). The object might have been deleted and then recreated"
    );
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": why, "reason": "Conflict",
        "details": { "name": "a", "kind": "Pod" }, "code": 409,
    });
    assert_eq!(stage.evict_with(&pod, &other), format!("409 {expected}"));
    assert_eq!(stage.get(&budget)["status"]["disruptionsAllowed"], 0);
    assert_eq!(stage.get(&pod)["metadata"]["deletionTimestamp"], json!(null));
    let old = DeleteOptions { version: Some(1), ..DeleteOptions::default() };
    stage.patch(&pod, json!({ "status": { "phase": "Pending" } }));
    let answer = stage.evict_with(&pod, &old);
    assert!(answer.contains("the ResourceVersion in the precondition (1) does not match"), "{answer}");
}

#[test]
fn a_pod_that_is_not_there_is_not_found() {
    let mut stage = no_controllers();
    let key = Key::new(crate::rehearse::kinds::Kind::Pod, "shop", "a");
    let answer = stage.evict(&key);
    assert!(answer.starts_with("404 ") && answer.contains("pods \\\"a\\\" not found"), "{answer}");
}

#[test]
fn t43_the_grace_of_a_deletion() {
    for (asked, expected) in [(None, 30), (Some(7), 7), (Some(-1), 1)] {
        let mut stage = no_controllers();
        let pod = stage.has_pod("a", "web", true);
        stage.story();
        stage.delete(&pod, &DeleteOptions { grace: asked, ..DeleteOptions::default() });
        assert_eq!(stage.story(), format!("+0.00   pods shop/a  terminating, {expected} s\n"));
    }
    let mut stage = no_controllers();
    let pod = stage.has_pod("a", "web", true);
    stage.story();
    stage.delete(&pod, &grace(0));
    assert_eq!(stage.story(), "+0.00   pods shop/a  terminating, 0 s\n+0.00   pods shop/a  gone\n");
}

#[test]
fn t43_a_finalizer_holds_the_object_until_it_is_gone() {
    let mut stage = no_controllers();
    let pod = stage.has_pod("a", "web", true);
    stage.patch(&pod, json!({ "metadata": { "finalizers": ["example.com/hold"] } }));
    stage.story();
    stage.delete(&pod, &grace(0));
    stage.pass(60.0);
    assert_eq!(stage.story(), "+0.00   pods shop/a  terminating, 0 s\n");
    stage.patch(&pod, json!({ "metadata": { "finalizers": [] } }));
    assert_eq!(stage.story(), "+60.00  pods shop/a  gone\n");
}
