//! What budgets allow (KUBERNETES.md 10: T15 to T20).

use std::fmt::Write;

use serde_json::{Value, json};

use super::crew::workload;
use super::{START, Stage};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Key, Time};

/// A cluster where a ReplicaSet of so many replicas has its pods, and so many of them are ready.
fn scene(replicas: usize, ready: usize) -> Stage {
    let mut stage = Stage::new(vec![Box::<crate::rehearse::controllers::disruption::Disruption>::default()]);
    let mut set = workload("web", replicas as i64);
    set["metadata"]["uid"] = "set".into();
    stage.has(Kind::ReplicaSet, set);
    for at in 0..replicas {
        let pod = stage.has_pod(&format!("web-{at}"), "web", at < ready);
        own(&mut stage, &pod, "apps/v1", "ReplicaSet", "web", "set");
    }
    stage
}

fn own(stage: &mut Stage, pod: &Key, api_version: &str, kind: &str, name: &str, uid: &str) {
    let owner = json!({ "apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true });
    stage.patch(pod, json!({ "metadata": { "ownerReferences": [owner] } }));
}

fn numbers(stage: &Stage, budget: &Key) -> String {
    let status = &stage.get(budget)["status"];
    let condition = &status["conditions"][0];
    format!(
        "desired {} current {} expected {} allowed {} {}",
        status["desiredHealthy"],
        status["currentHealthy"],
        status["expectedPods"],
        status["disruptionsAllowed"],
        condition["reason"].as_str().unwrap_or("-")
    )
}

#[test]
fn t15_the_numbers_of_a_budget() {
    // (field, value, replicas, ready) and what follows.
    let mut told = String::new();
    for (field, value) in [
        ("minAvailable", json!(2)),
        ("minAvailable", json!("50%")),
        ("maxUnavailable", json!(1)),
        ("maxUnavailable", json!("30%")),
    ] {
        for (replicas, ready) in [(1, 1), (2, 1), (3, 3), (4, 2), (5, 5), (7, 6), (7, 7)] {
            let mut stage = scene(replicas, ready);
            let budget = stage.has_budget("web", json!({ field: value }));
            writeln!(told, "{field} {value}, {ready} of {replicas}: {}", numbers(&stage, &budget)).unwrap();
        }
    }
    assert_eq!(told, include_str!("budgets.txt"));
}

/// The rule as KUBERNETES.md 2 puts it, over every combination of seven pods.
#[test]
fn t15_every_combination_follows_the_rule() {
    for replicas in 1..=7_i64 {
        for ready in 0..=replicas {
            for (field, value) in [
                ("minAvailable", json!(3)),
                ("minAvailable", json!("34%")),
                ("maxUnavailable", json!(2)),
                ("maxUnavailable", json!("34%")),
            ] {
                let up = |percent: i64| (percent * replicas + 99) / 100;
                let desired = match (field, value.as_i64()) {
                    ("minAvailable", Some(least)) => least,
                    ("minAvailable", None) => up(34),
                    (_, Some(most)) => (replicas - most).max(0),
                    (_, None) => replicas - up(34),
                };
                let allowed = (ready - desired).max(0);
                let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
                let expected =
                    format!("desired {desired} current {ready} expected {replicas} allowed {allowed} {reason}");
                let mut stage = scene(replicas as usize, ready as usize);
                let budget = stage.has_budget("web", json!({ field: value }));
                assert_eq!(numbers(&stage, &budget), expected, "{field} {value}, {ready} of {replicas}");
            }
        }
    }
}

#[test]
fn t16_pods_of_nobody_count_for_a_number_and_for_nothing_else() {
    for (spec, expected) in [
        (json!({ "maxUnavailable": 1 }), "desired 0 current 2 expected 0 allowed 0 InsufficientPods"),
        (json!({ "minAvailable": "50%" }), "desired 0 current 2 expected 0 allowed 0 InsufficientPods"),
        (json!({ "minAvailable": 1 }), "desired 1 current 2 expected 2 allowed 1 SufficientPods"),
        (json!({}), "desired 0 current 2 expected 0 allowed 0 InsufficientPods"),
    ] {
        let mut stage = scene(0, 0);
        ["a", "b"].iter().for_each(|name| drop(stage.has_pod(name, "web", true)));
        let budget = stage.has_budget("web", spec.clone());
        assert_eq!(numbers(&stage, &budget), expected, "{spec}");
    }
}

#[test]
fn t17_where_the_scale_cannot_be_told_nothing_is_allowed_and_the_refusal_says_why() {
    for (api_version, kind, name, expected) in [
        ("example.com/v1", "Shop", "web", "shops.example.com does not implement the scale subresource"),
        ("example.com/v1", "Till", "web", "no matches for kind \"Till\" in version \"example.com/v1\""),
        ("apps/v1", "DaemonSet", "web", "daemonsets.apps does not implement the scale subresource"),
        ("batch/v1", "Job", "web", "jobs.batch does not implement the scale subresource"),
        ("apps/v1", "ReplicaSet", "other", "found no controllers for pod \"a\""),
    ] {
        let mut stage = scene(0, 0);
        let shop = json!({ "apiVersion": "example.com/v1", "kind": "Shop", "spec": {},
                           "metadata": { "name": "web", "namespace": "shop", "uid": "shop" } });
        stage.has(Kind::Opaque(3), shop);
        let pod = stage.has_pod("a", "web", true);
        own(&mut stage, &pod, api_version, kind, name, "shop");
        stage.story();
        let budget = stage.has_budget("web", json!({ "maxUnavailable": 1 }));
        let told = format!(
            "+0.00   poddisruptionbudgets shop/web  made\n\
             +0.01   poddisruptionbudgets shop/web  allows 0, healthy 0 of 0, expects 0\n\
             +0.01   poddisruptionbudgets shop/web  DisruptionAllowed=False SyncFailed: {expected}\n"
        );
        assert_eq!(stage.story(), told);
        // The real controller leaves the generation that it has seen as it is, too.
        let seen = json!({ "status": { "observedGeneration": 1 } });
        stage.patch(&budget, seen);
        let why = "The disruption budget web does not allow evicting pods currently because it failed sync: ";
        let answer: Value = serde_json::from_str(stage.evict(&pod).trim_start_matches("429 ")).unwrap();
        assert_eq!(answer["details"]["causes"][0]["message"], format!("{why}{expected}"));
    }
}

#[test]
fn pods_of_an_unknown_kind_with_replicas_are_taken_for_scaled() {
    let mut stage = scene(0, 0);
    let rollout = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": { "replicas": 4 },
                          "metadata": { "name": "web", "namespace": "shop", "uid": "rollout" } });
    stage.has(Kind::Opaque(0), rollout);
    let pod = stage.has_pod("a", "web", true);
    own(&mut stage, &pod, "argoproj.io/v1alpha1", "Rollout", "web", "rollout");
    let budget = stage.has_budget("web", json!({ "maxUnavailable": "50%" }));
    assert_eq!(numbers(&stage, &budget), "desired 2 current 1 expected 4 allowed 0 InsufficientPods");
}

#[test]
fn t18_a_budget_over_two_deployments_expects_the_sum() {
    let mut stage = Stage::crewed();
    for (name, replicas) in [("left", 2), ("right", 3)] {
        let mut deployment = workload(name, replicas);
        deployment["spec"]["template"]["metadata"]["labels"]["tier"] = "front".into();
        stage.create(Kind::Deployment, deployment);
    }
    stage.pass(5.0);
    let selector = json!({ "matchLabels": { "tier": "front" } });
    let budget = stage.has_budget("front", json!({ "maxUnavailable": "40%", "selector": selector }));
    assert_eq!(numbers(&stage, &budget), "desired 3 current 5 expected 5 allowed 2 SufficientPods");
}

#[test]
fn t19_an_eviction_without_consequence_is_forgotten_after_two_minutes() {
    let mut stage = scene(3, 3);
    let budget = stage.has_budget("web", json!({ "maxUnavailable": 1 }));
    stage.story();
    let at = Time(START);
    let disrupted = json!({ "disruptionsAllowed": 0, "disruptedPods": { "web-1": at } });
    stage.patch(&budget, json!({ "status": disrupted }));
    let pod = Key::new(Kind::Pod, "shop", "web-1");
    let target = json!([{ "type": "DisruptionTarget", "status": "True", "lastTransitionTime": at },
                        { "type": "Ready", "status": "True" }]);
    stage.patch(&pod, json!({ "status": { "conditions": target } }));
    stage.pass(300.0);
    let expected = "+0.10   poddisruptionbudgets shop/web  allows 0, healthy 3 of 2, expects 3\n\
                    +0.10   pods shop/web-1  DisruptionTarget\n\
                    +0.11   poddisruptionbudgets shop/web  allows 0, healthy 2 of 2, expects 3\n\
                    +120.00 pods shop/web-1  DisruptionTarget=False \n\
                    +120.01 poddisruptionbudgets shop/web  allows 1, healthy 3 of 2, expects 3\n";
    assert_eq!(stage.story(), expected);
    assert_eq!(stage.get(&budget)["status"]["disruptedPods"], json!(null));
}

#[test]
fn t20_an_empty_selector_covers_all_and_none_covers_nothing() {
    let mut stage = scene(2, 2);
    let all = stage.has_budget("all", json!({ "minAvailable": 1, "selector": {} }));
    let none = stage.has_budget("none", json!({ "minAvailable": 1, "selector": null }));
    assert_eq!(numbers(&stage, &all), "desired 1 current 2 expected 2 allowed 1 SufficientPods");
    assert_eq!(numbers(&stage, &none), "desired 1 current 0 expected 0 allowed 0 InsufficientPods");
}

#[test]
fn a_budget_follows_its_pods_their_labels_and_its_own_selector() {
    let mut stage = scene(3, 2);
    let budget = stage.has_budget("web", json!({ "minAvailable": 1 }));
    stage.story();
    let third = Key::new(Kind::Pod, "shop", "web-2");
    stage.patch(&third, json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } }));
    stage.pass(1.0);
    stage.patch(&third, json!({ "metadata": { "labels": { "app": "other" } } }));
    stage.pass(1.0);
    stage.patch(&budget, json!({ "spec": { "selector": { "matchLabels": { "app": "other" } } } }));
    stage.pass(1.0);
    stage.delete(&third, &crate::rehearse::write::DeleteOptions::default());
    stage.pass(1.0);
    let expected = "+0.11   poddisruptionbudgets shop/web  allows 2, healthy 3 of 1, expects 3\n\
                    +1.11   poddisruptionbudgets shop/web  allows 1, healthy 2 of 1, expects 2\n\
                    +2.11   poddisruptionbudgets shop/web  allows 0, healthy 1 of 1, expects 1\n\
                    +3.11   poddisruptionbudgets shop/web  allows 0, healthy 0 of 1, expects 1\n";
    assert_eq!(stage.story_of("poddisruptionbudgets"), expected);
}

#[test]
fn a_budget_learns_of_another_scale_by_the_next_change_of_a_pod() {
    let mut stage = scene(2, 2);
    let budget = stage.has_budget("web", json!({ "maxUnavailable": 1 }));
    let set = Key::new(Kind::ReplicaSet, "shop", "web");
    stage.patch(&set, json!({ "spec": { "replicas": 5 } }));
    stage.pass(60.0);
    assert_eq!(numbers(&stage, &budget), "desired 1 current 2 expected 2 allowed 1 SufficientPods");
    let pod = stage.has_pod("web-2", "web", false);
    own(&mut stage, &pod, "apps/v1", "ReplicaSet", "web", "set");
    stage.pass(1.0);
    assert_eq!(numbers(&stage, &budget), "desired 4 current 2 expected 5 allowed 0 InsufficientPods");
}
