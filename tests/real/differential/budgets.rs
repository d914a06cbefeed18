//! What budgets count: T15 to T20.

use super::scenario::{Ask, Made, Scenario, core, daemon_set, deployment, evict, job, patch, pod_on, policy};
use serde_json::{Value, json};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![grid(), unmanaged(), without_scale(), two_deployments(), without_end(), selectors()]
}

const COUNTED: &[&str] = &[
    "/status/desiredHealthy",
    "/status/currentHealthy",
    "/status/expectedPods",
    "/status/disruptionsAllowed",
    "/status/observedGeneration",
    "/status/conditions/0/type",
    "/status/conditions/0/status",
    "/status/conditions/0/reason",
    "/status/conditions/0/message",
];

/// A budget of that name over the pods of `app` is created, which are there already: where more than one covers a pod, the
/// real controller looks at one of them only as the pod changes.
pub fn create_budget(name: &str, app: &str, field: &str, value: &Value) -> Ask {
    let spec = json!({field: value, "selector": {"matchLabels": {"app": app}}});
    Ask::new("POST", &policy("poddisruptionbudgets"), json!({"metadata": {"name": name}, "spec": spec}))
}

/// Deployments of 1 to 7, all ready and none, and a budget of each sort over each.
fn grid() -> Scenario {
    let mut scenario = Scenario::new("t15_what_budgets_count").nodes(2);
    let sorts = [
        ("minAvailable", json!(2)),
        ("minAvailable", json!("50%")),
        ("maxUnavailable", json!(1)),
        ("maxUnavailable", json!("30%")),
    ];
    let mut names = Vec::new();
    for replicas in [1, 2, 3, 5, 7] {
        for (app, is_ready) in [(format!("up-{replicas}"), true), (format!("down-{replicas}"), false)] {
            let workload = deployment(&app, replicas);
            scenario = scenario.has(if is_ready { workload } else { workload.never_ready() });
            for (index, (field, value)) in sorts.iter().enumerate() {
                let name = format!("{app}-{index}");
                scenario = scenario.sends(201, create_budget(&name, &app, field, value));
                names.push(name);
            }
        }
    }
    scenario = scenario.waits(3.0);
    for name in &names {
        scenario = scenario.reads(&policy(&format!("poddisruptionbudgets/{name}")), COUNTED);
    }
    scenario.looks(0.5)
}

fn unmanaged() -> Scenario {
    let mut scenario = Scenario::new("t16_pods_of_nobody_count_for_a_number_only");
    let budgets = [
        ("most", "maxUnavailable", json!(1)),
        ("share", "minAvailable", json!("50%")),
        ("least", "minAvailable", json!(1)),
    ];
    for (name, ..) in &budgets {
        scenario = scenario.has(pod_on(name, 0));
    }
    for (name, field, value) in &budgets {
        scenario = scenario.sends(201, create_budget(name, name, field, value));
    }
    scenario = scenario.waits(2.0);
    for (name, ..) in &budgets {
        scenario = scenario.reads(&policy(&format!("poddisruptionbudgets/{name}")), COUNTED).sends(429, evict(name));
    }
    scenario.looks(3.0)
}

fn without_scale() -> Scenario {
    let owner = json!({"apiVersion": "example.com/v1", "kind": "Till", "name": "till", "controller": true,
                       "uid": "00000000-0000-4000-8000-00000000000a"});
    let till = json!({
        "metadata": {"name": "till", "labels": {"app": "till"}, "ownerReferences": [owner],
                     "annotations": {"sprag.test/ready-after": "1s", "sprag.test/stop-after": "3s"}},
        "spec": {"nodeName": "$0", "containers": [{"name": "main", "image": "app:1"}]},
    });
    let mut scenario = Scenario::new("t17_where_nobody_tells_the_scale_nothing_is_allowed")
        .has(daemon_set("agent"))
        .has(job("task", 1))
        .object(&core("pods"), till);
    for app in ["agent", "task", "till"] {
        scenario = scenario.sends(201, create_budget(app, app, "maxUnavailable", &json!(1)));
    }
    scenario = scenario.waits(2.0);
    for app in ["agent", "task", "till"] {
        scenario = scenario.reads(&policy(&format!("poddisruptionbudgets/{app}")), COUNTED);
        // As it is after a sync that did not fail: so its refusal says why the last one did.
        let status = json!({"status": {"observedGeneration": 1}});
        scenario = scenario.sends(200, patch(&policy(&format!("poddisruptionbudgets/{app}/status")), status));
    }
    scenario = scenario.waits(2.0);
    for pod in ["<agent-#1>", "<task-#1>", "till"] {
        scenario = scenario.sends(429, evict(pod));
    }
    scenario.looks(2.0)
}

fn two_deployments() -> Scenario {
    let selector = json!({"matchLabels": {"tier": "front"}});
    Scenario::new("t18_a_budget_over_two_deployments_expects_the_sum")
        .nodes(2)
        .has(deployment("left", 2).label("tier", "front"))
        .has(deployment("right", 3).label("tier", "front"))
        .budget("front", json!({"maxUnavailable": "40%", "selector": selector}))
        .reads(&policy("poddisruptionbudgets/front"), COUNTED)
        .sends(201, evict("<left-#1-#1>"))
        .feasible(&[0, 1])
        .looks(7.0)
        .tells("poddisruptionbudgets front", "allows 2, healthy 5 of 3, expects 5")
}

/// An eviction that was granted and had no consequence, as after a crash of the API server between its two writes.
fn without_end() -> Scenario {
    let status = json!({"status": {"disruptionsAllowed": 0, "disruptedPods": {"<web-#1-#1>": "$NOW"}}});
    let path = policy("poddisruptionbudgets/web/status");
    Scenario::new("t19_an_eviction_without_consequence_is_forgotten_after_two_minutes")
        .nodes(2)
        .has(deployment("web", 2))
        .budget("web", json!({"maxUnavailable": 1}))
        .sends(200, patch(&path, status))
        .looks(135.0)
        .tells("poddisruptionbudgets web", "allows 1, healthy 2 of 1, expects 2")
}

fn selectors() -> Scenario {
    let object = |name: &str, selector: Value| {
        let spec = json!({"minAvailable": 1, "selector": selector});
        Made::Object(policy("poddisruptionbudgets"), json!({"metadata": {"name": name}, "spec": spec}))
    };
    let mut scenario = Scenario::new("t20_an_empty_selector_covers_all_and_none_covers_nothing")
        .has(pod_on("a", 0))
        .has(pod_on("b", 0))
        .reads(&policy("poddisruptionbudgets/all"), COUNTED)
        .reads(&policy("poddisruptionbudgets/none"), COUNTED)
        .sends(201, evict("a"))
        .waits(0.5)
        .sends(429, evict("b"))
        .tells("pods a", "gone");
    scenario.scene.push(object("all", json!({})));
    scenario.scene.push(object("none", Value::Null));
    scenario
}
