//! Nodes that are not ready or gone: T38 and T39.

use super::scenario::{Ask, Scenario, delete, deployment, patch, pod_on, strategic};
use serde_json::json;

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![silent(), gone()]
}

/// The kubelet says that its node is not ready, or is again.
fn says(ready: bool) -> [Ask; 2] {
    let (status, said) = if ready { ("True", json!(null)) } else { ("False", json!("true")) };
    let condition = json!({"type": "Ready", "status": status, "reason": "KubeletSaysSo"});
    [
        // So the testbed's kubelet leaves it at that.
        patch("/api/v1/nodes/$0", json!({"metadata": {"annotations": {"sprag.test/not-ready": said}}})),
        strategic("/api/v1/nodes/$0/status", json!({"status": {"conditions": [condition]}})),
    ]
}

fn silent() -> Scenario {
    let brief = json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                        "tolerationSeconds": 6}]);
    let [annotate, post] = says(false);
    let [forget, post_again] = says(true);
    Scenario::new("t38_a_node_that_is_not_ready_is_tainted_and_loses_its_pods")
        .nodes(2)
        .has(pod_on("brief", 0).pod_spec("tolerations", brief))
        .has(pod_on("patient", 0))
        .sends(200, annotate)
        .sends(200, post)
        .waits(12.0)
        .sends(200, forget)
        .sends(200, post_again)
        .looks(8.0)
        // The controller looks at all nodes every five seconds.
        .slack(5.0)
        .tells("nodes t38-0", "+node.kubernetes.io/not-ready:NoExecute")
        .tells("pods brief", "gone")
}

fn gone() -> Scenario {
    Scenario::new("t39_the_pods_of_a_node_that_is_gone_are_removed")
        .nodes(2)
        .has(deployment("web", 2))
        .sends(200, delete("/api/v1/nodes/$0"))
        .looks(95.0)
        .slack(45.0)
        .feasible(&[1])
        .tells("pods web-#1-#1", "gone")
}
