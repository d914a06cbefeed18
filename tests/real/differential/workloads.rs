//! What owners of pods do as these are evicted: T31 to T36.

use super::scenario::{
    Ask, Scenario, apps, cordon, core, daemon_set, delete, deployment, evict, job, patch, stateful_set, strategic,
};
use serde_json::json;

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [replacements(), sets(), rollouts(), daemons(), jobs()].concat()
}

fn replacements() -> Vec<Scenario> {
    vec![
        Scenario::new("t31a_a_deployment_replaces_what_goes_and_a_statefulset_what_is_gone")
            .has(deployment("web", 1))
            .has(stateful_set("db", 1))
            .reads(&core("pods/db-0"), &["/metadata/generateName", "/metadata/labels/apps.kubernetes.io~1pod-index"])
            .sends(201, evict("<web-#1-#1>"))
            .sends(201, evict("db-0"))
            .looks(8.0)
            .tells("pods web-#1-#2", "ready")
            .tells("pods db-0", "made"),
        Scenario::new("t31b_a_job_replaces_what_goes")
            .has(job("task", 1))
            .sends(201, evict("<task-#1>"))
            .looks(14.0)
            .tells("pods task-#2", "ready"),
        Scenario::new("t31c_a_job_replaces_what_has_failed")
            .has(job("task", 1).spec("podReplacementPolicy", json!("Failed")))
            .sends(201, evict("<task-#1>"))
            .waits(1.5)
            .sends(200, fails("<task-#1>"))
            .looks(15.0)
            .tells("pods task-#2", "ready"),
    ]
}

/// The containers of a pod end with an error; those of the testbed end well by themselves.
fn fails(pod: &str) -> Ask {
    let conditions = json!([{"type": "Ready", "status": "False", "reason": "PodFailed"}]);
    let path = core(&format!("pods/{pod}/status"));
    strategic(&path, json!({"status": {"phase": "Failed", "conditions": conditions}}))
}

fn sets() -> Vec<Scenario> {
    vec![
        Scenario::new("t32a_an_ordered_statefulset_makes_one_after_the_other")
            .nodes(3)
            .has(stateful_set("db", 3).ready_after("2s"))
            .sends(201, evict("db-0"))
            .sends(201, evict("db-2"))
            .looks(12.0)
            .feasible(&[0, 1, 2])
            .tells("pods db-2", "made"),
        Scenario::new("t32b_a_parallel_statefulset_makes_both_at_once")
            .nodes(3)
            .has(stateful_set("db", 3).ready_after("2s").spec("podManagementPolicy", json!("Parallel")))
            .sends(201, evict("db-0"))
            .sends(201, evict("db-2"))
            .looks(9.0)
            .feasible(&[0, 1, 2])
            .tells("pods db-2", "made"),
        Scenario::new("t33_a_statefulset_rolls_two_at_a_time")
            .nodes(3)
            .has(
                stateful_set("db", 4)
                    .spec("updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}})),
            )
            .sends(200, patch(&apps("statefulsets/db"), image("2")))
            .looks(18.0)
            .feasible(&[0, 1, 2])
            .tells("statefulsets db", "updatedReplicas 4"),
    ]
}

fn image(tag: &str) -> serde_json::Value {
    let container = json!({"name": "main", "image": format!("app:{tag}"),
                           "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}});
    json!({"spec": {"template": {"spec": {"containers": [container]}}}})
}

fn rollouts() -> Vec<Scenario> {
    vec![
        Scenario::new("t34a_a_deployment_rolls_within_its_bounds")
            .nodes(2)
            .has(deployment("web", 1).spec("strategy", json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})))
            .sends(200, patch(&apps("deployments/web"), image("2")))
            .looks(9.0)
            .feasible(&[0, 1])
            .tells("pods web-#2-#1", "ready"),
        Scenario::new("t34b_a_deployment_that_recreates_waits_for_what_goes")
            .has(deployment("web", 1).spec("strategy", json!({"type": "Recreate"})))
            .sends(200, patch(&apps("deployments/web"), image("2")))
            .looks(9.0)
            .tells("pods web-#2-#1", "ready"),
    ]
}

fn daemons() -> Vec<Scenario> {
    vec![
        Scenario::new("t35_a_daemon_comes_back_on_a_cordoned_node")
            .nodes(2)
            .has(daemon_set("agent"))
            .sends(200, cordon(0))
            .waits(2.0)
            .sends(201, evict("<agent-#1>"))
            .looks(9.0)
            .tells("pods agent-#3", "on t35-0"),
    ]
}

fn jobs() -> Vec<Scenario> {
    let policy =
        json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]});
    vec![
        Scenario::new("t36a_an_evicted_pod_counts_against_the_limit_of_a_job")
            .has(job("task", 1).spec("backoffLimit", json!(0)))
            .sends(201, evict("<task-#1>"))
            .looks(9.0),
        Scenario::new("t36b_a_job_may_leave_disruptions_out_of_account")
            .has(job("task", 1).spec("backoffLimit", json!(0)).spec("podFailurePolicy", policy))
            .sends(201, evict("<task-#1>"))
            .waits(1.5)
            .sends(200, fails("<task-#1>"))
            .looks(9.0)
            .tells("pods task-#2", "ready"),
        Scenario::new("t44_a_deployment_takes_its_pods_along")
            .has(deployment("web", 2))
            .sends(200, delete(&apps("deployments/web")))
            .waits(1.0)
            .sends(404, delete(&core("pods/nobody")))
            .looks(6.0)
            .tells("replicasets web-#1", "gone"),
    ]
}
