//! The real kubectl on both: T40, the same pods evicted, the same words, the same exit code.

use super::scenario::{Scenario, cordon, daemon_set, deployment, pod_on};
use serde_json::json;

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    let scratch = json!([{"name": "scratch", "emptyDir": {}}]);
    vec![
        Scenario::new("t40a_kubectl_drains_and_uncordons")
            .nodes(2)
            .has(deployment("web", 2))
            .has(daemon_set("agent"))
            .kubectl(0, &["drain", "$0", "--ignore-daemonsets", "--timeout=40s"])
            .kubectl(0, &["uncordon", "$0"])
            .feasible(&[1])
            .looks(2.0)
            .tells("nodes t40a-0", "cordoned")
            .tells("pods web-#1-#1", "gone"),
        Scenario::new("t40b_kubectl_names_what_it_will_not_drain")
            .has(pod_on("bare", 0))
            .has(daemon_set("agent"))
            .has(deployment("web", 1).pod_spec("volumes", scratch))
            .kubectl(1, &["drain", "$0", "--timeout=20s"])
            .looks(2.0)
            .tells("nodes t40b-0", "cordoned"),
        Scenario::new("t40c_kubectl_gives_up_on_a_budget_in_time")
            .nodes(2)
            .has(deployment("web", 2))
            .budget("web", json!({"minAvailable": 2}))
            .kubectl(1, &["drain", "$0", "--timeout=7s"])
            .looks(2.0)
            .tells("nodes t40c-0", "cordoned"),
        Scenario::new("t40d_kubectl_fails_on_two_budgets")
            .nodes(2)
            .has(deployment("web", 2))
            .budget("web", json!({"minAvailable": 1}))
            .budget("all", json!({"minAvailable": 1, "selector": {}}))
            .sends(200, cordon(0))
            .kubectl(1, &["drain", "$0", "--timeout=12s"])
            .looks(2.0),
    ]
}
