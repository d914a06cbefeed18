//! What the scheduler does as nodes are cordoned: T21 to T28.

use super::scenario::{Scenario, cordon, core, deployment, evict, patch, pod, pod_on, stateful_set, uncordon};
use crate::testbed::workload::Workload;
use serde_json::{Value, json};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [cordons(), spreads(), room(), volumes()].concat()
}

fn cordons() -> Vec<Scenario> {
    vec![
        Scenario::new("t21_a_cordoned_node_takes_no_pod")
            .nodes(2)
            .sends(200, cordon(0))
            .waits(2.0)
            .creates(pod("a"))
            .waits(4.0)
            .sends(200, cordon(1))
            .waits(2.0)
            .creates(pod("b"))
            .looks(4.0)
            .tells("nodes t21-0", "+node.kubernetes.io/unschedulable:NoSchedule")
            .tells("pods a", "on t21-1"),
        Scenario::new("t22_an_uncordoned_node_takes_what_waits")
            .nodes(2)
            .has(pod("old"))
            .sends(200, cordon(0))
            .sends(200, cordon(1))
            .waits(2.0)
            .creates(pod("new"))
            .waits(4.0)
            .sends(200, uncordon(1))
            .looks(5.0)
            .tells("pods new", "on t22-1"),
    ]
}

fn spread(key: &str, when: &str, policy: Option<&str>) -> Value {
    let selector = json!({"matchLabels": {"app": "web"}});
    let mut constraint =
        json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": selector});
    if let Some(policy) = policy {
        constraint["nodeTaintsPolicy"] = policy.into();
    }
    json!([constraint])
}

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

fn spreads() -> Vec<Scenario> {
    let web = |count, constraint| deployment("web", count).pod_spec("topologySpreadConstraints", constraint);
    let apart = json!({"requiredDuringSchedulingIgnoredDuringExecution":
                       [{"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "web"}}}]});
    let lonely = |workload: Workload| workload.pod_spec("affinity", json!({"podAntiAffinity": apart.clone()}));
    vec![
        Scenario::new("t23a_a_spread_over_hosts_waits_for_the_cordoned_one")
            .nodes(3)
            .has(web(6, spread(HOST, "DoNotSchedule", None)))
            .sends(200, cordon(0))
            .waits(2.0)
            .sends(201, evict("<web-#1-#1>"))
            .looks(7.0)
            .feasible(&[1, 2]),
        Scenario::new("t23b_a_spread_over_hosts_that_honors_taints_does_not_wait")
            .nodes(3)
            .has(web(3, spread(HOST, "DoNotSchedule", Some("Honor"))))
            .sends(200, cordon(0))
            .waits(2.0)
            .sends(201, evict("<web-#1-#1>"))
            .looks(7.0)
            .feasible(&[1, 2])
            .tells("pods web-#1-#4", "ready"),
        Scenario::new("t24a_a_spread_over_zones_waits_for_the_last_node_of_one")
            .zones(&["a", "b"])
            .has(web(4, spread(ZONE, "DoNotSchedule", None)))
            .sends(200, cordon(0))
            .waits(2.0)
            .sends(201, evict("<web-#1-#1>"))
            .waits(6.0)
            .sends(200, uncordon(0))
            .looks(6.0)
            .tells("pods web-#1-#5", "ready"),
        Scenario::new("t24b_a_spread_over_zones_that_is_a_wish_does_not_wait")
            .zones(&["a", "b"])
            .has(web(2, spread(ZONE, "ScheduleAnyway", None)))
            .sends(200, cordon(0))
            .waits(2.0)
            .sends(201, evict("<web-#1-#1>"))
            .looks(7.0)
            .tells("pods web-#1-#3", "on t24b-1"),
        Scenario::new("t25_pods_that_keep_apart_wait_for_the_node")
            .nodes(2)
            .has(lonely(deployment("web", 2)))
            .sends(200, cordon(0))
            .waits(2.0)
            .sends(201, evict("<web-#1-#1>"))
            .waits(6.0)
            .sends(200, uncordon(0))
            .looks(6.0)
            .tells("pods web-#1-#3", "on t25-0"),
    ]
}

fn room() -> Vec<Scenario> {
    let port = |name: &str, node: usize| {
        let container = json!({"name": "main", "image": "app:1", "ports": [{"containerPort": 80, "hostPort": 8080}]});
        pod_on(name, node).pod_spec("containers", json!([container]))
    };
    let free = |name: &str| {
        let container = json!({"name": "main", "image": "app:1", "ports": [{"containerPort": 80, "hostPort": 8080}]});
        pod(name).pod_spec("containers", json!([container]))
    };
    vec![
        Scenario::new("t26_a_pod_waits_for_the_cpus_of_one_that_goes")
            .nodes(2)
            .room("1", "4Gi", 110)
            .has(pod_on("other", 1).requests("800m", "64Mi"))
            .has(deployment("web", 1).requests("800m", "64Mi"))
            .sends(200, cordon(0))
            .waits(2.0)
            .sends(201, evict("<web-#1-#1>"))
            .waits(6.0)
            .sends(201, evict("other"))
            .looks(8.0)
            .tells("pods web-#1-#2", "on t26-1"),
        Scenario::new("t27_too_many_pods_and_a_port_that_is_taken")
            .nodes(2)
            .room("16", "4Gi", 2)
            .has(port("one", 0))
            .has(pod_on("two", 1))
            .has(pod_on("three", 1))
            .creates(free("waits"))
            .waits(3.0)
            .sends(201, evict("one"))
            .looks(7.0)
            .tells("pods waits", "on t27-0"),
    ]
}

/// A StatefulSet's pod whose volume lies on the cordoned node.
fn volumes() -> Vec<Scenario> {
    let near = json!({"required": {"nodeSelectorTerms":
                      [{"matchExpressions": [{"key": HOST, "operator": "In", "values": ["$0"]}]}]}});
    let volume = json!({
        "metadata": {"name": "$NS-disk"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
                 "persistentVolumeReclaimPolicy": "Retain", "local": {"path": "/disk"}, "nodeAffinity": near,
                 "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "$NS", "name": "disk"}},
    });
    let claim = json!({
        "metadata": {"name": "disk"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "$NS-disk",
                 "resources": {"requests": {"storage": "1Gi"}}},
    });
    let volumes = json!([{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}]);
    vec![
        Scenario::new("t28_a_pod_waits_for_the_node_of_its_volume")
            .nodes(2)
            .object("/api/v1/persistentvolumes", volume)
            .object(&core("persistentvolumeclaims"), claim)
            // The real controller of volumes has done so by then; there is none in the box.
            .sends(200, patch(&core("persistentvolumeclaims/disk/status"), json!({"status": {"phase": "Bound"}})))
            .waits(1.0)
            .creates(stateful_set("db", 1).pod_spec("volumes", volumes))
            .waits(4.0)
            .sends(200, cordon(0))
            .waits(2.0)
            .sends(201, evict("db-0"))
            .waits(7.0)
            .sends(200, uncordon(0))
            .looks(6.0)
            .tells("pods db-0", "on t28-0"),
    ]
}
