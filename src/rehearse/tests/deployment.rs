//! Deployments (KUBERNETES.md 10: T34).

use serde_json::{Value, json};

use super::Stage;
use super::crew::workload;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

fn restarted(at: &str) -> Value {
    json!({ "spec": { "template": { "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": at } } } } })
}

fn counts(stage: &Stage) -> (usize, usize) {
    let pods = stage.world.cluster.store.in_namespace(Kind::Pod, "shop").filter(|pod| !pod.is_terminating());
    let pods: Vec<_> = pods.collect();
    (pods.len(), pods.iter().filter(|pod| pod.pod().unwrap().is_ready()).count())
}

#[test]
fn a_deployment_comes_up() {
    let mut stage = Stage::crewed();
    let key = stage.create(Kind::Deployment, workload("web", 2));
    stage.pass(10.0);
    let expected = "+0.00   deployments shop/web  made\n\
                    +0.01   replicasets shop/web-c7fcd4cfb  made\n\
                    +0.02   pods shop/web-c7fcd4cfb~1  made\n\
                    +0.02   pods shop/web-c7fcd4cfb~2  made\n\
                    +0.03   replicasets shop/web-c7fcd4cfb  replicas 2\n\
                    +0.03   deployments shop/web  replicas 2\n\
                    +0.03   deployments shop/web  updatedReplicas 2\n\
                    +0.07   pods shop/web-c7fcd4cfb~1  on n-1\n\
                    +0.07   pods shop/web-c7fcd4cfb~2  on n-2\n\
                    +2.07   pods shop/web-c7fcd4cfb~1  Running\n\
                    +2.07   pods shop/web-c7fcd4cfb~1  ready\n\
                    +2.07   pods shop/web-c7fcd4cfb~2  Running\n\
                    +2.07   pods shop/web-c7fcd4cfb~2  ready\n\
                    +2.08   replicasets shop/web-c7fcd4cfb  readyReplicas 2\n\
                    +2.08   replicasets shop/web-c7fcd4cfb  availableReplicas 2\n\
                    +2.09   deployments shop/web  readyReplicas 2\n\
                    +2.09   deployments shop/web  availableReplicas 2\n";
    assert_eq!(stage.tale(), expected);
    let deployment = stage.get(&key);
    assert_eq!(deployment["metadata"]["annotations"], json!({ "deployment.kubernetes.io/revision": "1" }));
    let condition = |kind: &str, reason: &str, message: &str, since: &str| {
        json!({ "type": kind, "status": "True", "reason": reason, "message": message,
                "lastUpdateTime": "2026-01-31T14:00:02Z", "lastTransitionTime": since })
    };
    let (has_minimum, all) =
        ("Deployment has minimum availability.", "ReplicaSet \"web-c7fcd4cfb\" has successfully progressed.");
    let expected = json!({
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
        "terminatingReplicas": 0,
        "conditions": [condition("Available", "MinimumReplicasAvailable", has_minimum, "2026-01-31T14:00:02Z"),
                       condition("Progressing", "NewReplicaSetAvailable", all, "2026-01-31T14:00:00Z")],
    });
    assert_eq!(deployment["status"], expected);
}

#[test]
fn a_restart_replaces_pods_within_the_fenceposts() {
    let mut stage = Stage::crewed();
    let key = stage.create(Kind::Deployment, workload("web", 4));
    stage.pass(10.0);
    stage.story();
    stage.patch(&key, restarted("2026-01-31T14:00:10Z"));
    for _ in 0..3000 {
        stage.pass(0.01);
        let (there, ready) = counts(&stage);
        assert!(there <= 5 && ready >= 3, "{there} pods, {ready} ready");
    }
    let expected = "+10.01  replicasets shop/web-77b655984  made\n\
                    +10.01  deployments shop/web  updatedReplicas 0\n\
                    +10.03  replicasets shop/web-77b655984  replicas 2\n\
                    +10.03  replicasets shop/web-c7fcd4cfb  replicas 3\n\
                    +10.03  replicasets shop/web-c7fcd4cfb  readyReplicas 3\n\
                    +10.03  replicasets shop/web-c7fcd4cfb  availableReplicas 3\n\
                    +10.04  deployments shop/web  replicas 5\n\
                    +10.04  deployments shop/web  readyReplicas 3\n\
                    +10.04  deployments shop/web  availableReplicas 3\n\
                    +10.04  deployments shop/web  updatedReplicas 2\n\
                    +12.08  replicasets shop/web-77b655984  readyReplicas 2\n\
                    +12.08  replicasets shop/web-77b655984  availableReplicas 2\n\
                    +12.09  deployments shop/web  readyReplicas 5\n\
                    +12.09  deployments shop/web  availableReplicas 5\n\
                    +12.11  replicasets shop/web-c7fcd4cfb  replicas 1\n\
                    +12.11  replicasets shop/web-c7fcd4cfb  readyReplicas 1\n\
                    +12.11  replicasets shop/web-c7fcd4cfb  availableReplicas 1\n\
                    +12.12  replicasets shop/web-77b655984  replicas 4\n\
                    +12.12  deployments shop/web  readyReplicas 3\n\
                    +12.12  deployments shop/web  availableReplicas 3\n\
                    +12.12  deployments shop/web  updatedReplicas 4\n\
                    +14.17  replicasets shop/web-77b655984  readyReplicas 4\n\
                    +14.17  replicasets shop/web-77b655984  availableReplicas 4\n\
                    +14.18  deployments shop/web  readyReplicas 5\n\
                    +14.18  deployments shop/web  availableReplicas 5\n\
                    +14.20  replicasets shop/web-c7fcd4cfb  replicas 0\n\
                    +14.20  replicasets shop/web-c7fcd4cfb  readyReplicas 0\n\
                    +14.20  replicasets shop/web-c7fcd4cfb  availableReplicas 0\n\
                    +14.20  deployments shop/web  replicas 4\n\
                    +14.20  deployments shop/web  readyReplicas 4\n\
                    +14.20  deployments shop/web  availableReplicas 4\n";
    assert_eq!(stage.tale_of(&["deployments", "replicasets"]), expected);
    let status = stage.get(&key)["status"].clone();
    assert_eq!((&status["updatedReplicas"], &status["availableReplicas"]), (&json!(4), &json!(4)));
    assert_eq!(stage.get(&key)["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
}

#[test]
fn t34_a_rollout_during_a_drain_counts_pods_that_go_neither_as_there_nor_as_available() {
    let mut stage = Stage::crewed();
    let key = stage.create(Kind::Deployment, workload("web", 4));
    stage.pass(10.0);
    stage.patch(&key, restarted("2026-01-31T14:00:10Z"));
    let mut evicted = 0;
    for turn in 0..3000 {
        stage.pass(0.01);
        assert!(counts(&stage).0 <= 5);
        if turn % 250 == 100 && evicted < 4 {
            let pod = stage.pods()[0].clone();
            stage.evict(&pod);
            evicted += 1;
        }
    }
    assert_eq!(counts(&stage), (4, 4));
    assert_eq!(stage.get(&key)["status"]["updatedReplicas"], 4);
}

#[test]
fn t34_a_deployment_that_is_recreated_waits_for_the_last_old_pod() {
    let mut stage = Stage::crewed();
    let mut deployment = workload("web", 2);
    deployment["spec"]["strategy"] = json!({ "type": "Recreate" });
    let key = stage.create(Kind::Deployment, deployment);
    stage.pass(10.0);
    stage.story();
    stage.patch(&key, restarted("2026-01-31T14:00:10Z"));
    stage.pass(10.0);
    let expected = "+10.02  pods shop/web-c7fcd4cfb~1  terminating, 30 s\n\
                    +10.02  pods shop/web-c7fcd4cfb~2  terminating, 30 s\n\
                    +10.03  replicasets shop/web-c7fcd4cfb  replicas 0\n\
                    +10.03  replicasets shop/web-c7fcd4cfb  readyReplicas 0\n\
                    +10.03  replicasets shop/web-c7fcd4cfb  availableReplicas 0\n\
                    +13.02  pods shop/web-c7fcd4cfb~1  Failed\n\
                    +13.02  pods shop/web-c7fcd4cfb~1  not ready\n\
                    +13.02  pods shop/web-c7fcd4cfb~1  gone\n\
                    +13.02  pods shop/web-c7fcd4cfb~2  Failed\n\
                    +13.02  pods shop/web-c7fcd4cfb~2  not ready\n\
                    +13.02  pods shop/web-c7fcd4cfb~2  gone\n\
                    +13.03  replicasets shop/web-77b655984  made\n\
                    +13.04  pods shop/web-77b655984~1  made\n\
                    +13.04  pods shop/web-77b655984~2  made\n\
                    +13.05  replicasets shop/web-77b655984  replicas 2\n\
                    +13.09  pods shop/web-77b655984~1  on n-1\n\
                    +13.09  pods shop/web-77b655984~2  on n-2\n\
                    +15.09  pods shop/web-77b655984~1  Running\n\
                    +15.09  pods shop/web-77b655984~1  ready\n\
                    +15.09  pods shop/web-77b655984~2  Running\n\
                    +15.09  pods shop/web-77b655984~2  ready\n\
                    +15.10  replicasets shop/web-77b655984  readyReplicas 2\n\
                    +15.10  replicasets shop/web-77b655984  availableReplicas 2\n";
    assert_eq!(stage.tale_of(&["replicasets", "pods"]), expected);
}

#[test]
fn a_deployment_is_scaled_and_a_rollout_in_proportion() {
    let mut stage = Stage::crewed();
    let key = stage.create(Kind::Deployment, workload("web", 10));
    stage.pass(10.0);
    stage.patch(&key, json!({ "spec": { "replicas": 8 } }));
    stage.pass(10.0);
    assert_eq!(counts(&stage), (8, 8));
    // With images that never start a rollout stands still: 2 pods more, 2 less.
    stage.patch(&key, restarted("2026-01-31T14:00:20Z"));
    stage.pass(0.5);
    let sizes = |stage: &Stage| -> Vec<i64> {
        let sets = stage.world.cluster.store.in_namespace(Kind::ReplicaSet, "shop");
        let mut sets: Vec<_> = sets.collect();
        sets.sort_by_key(|set| set.meta.created);
        sets.iter().map(|set| set.spec("/replicas").and_then(Value::as_i64).unwrap()).collect()
    };
    assert_eq!(sizes(&stage), [6, 4]);
    stage.patch(&key, json!({ "spec": { "replicas": 16 } }));
    stage.pass(0.5);
    assert_eq!(sizes(&stage), [12, 8]);
    stage.pass(60.0);
    assert_eq!(sizes(&stage), [0, 16]);
}

#[test]
fn a_paused_deployment_waits_and_one_that_stands_still_is_told() {
    let mut stage = Stage::crewed();
    let mut deployment = workload("web", 1);
    deployment["spec"]["progressDeadlineSeconds"] = 30.into();
    let key = stage.create(Kind::Deployment, deployment);
    stage.pass(10.0);
    stage.patch(&key, json!({ "spec": { "paused": true } }));
    stage.patch(&key, restarted("2026-01-31T14:00:10Z"));
    stage.pass(10.0);
    let progress = |stage: &Stage| {
        let status = stage.get(&key)["status"].clone();
        let conditions = status["conditions"].as_array().unwrap().clone();
        let progress = conditions.iter().find(|one| one["type"] == "Progressing").unwrap();
        format!("{} {}: {}", progress["status"], progress["reason"], progress["message"])
    };
    assert_eq!(progress(&stage), "\"Unknown\" \"DeploymentPaused\": \"Deployment is paused\"");
    for node in ["n-1", "n-2", "n-3"] {
        stage.patch(&Key::node(node), json!({ "spec": { "unschedulable": true } }));
    }
    stage.patch(&key, json!({ "spec": { "paused": null } }));
    stage.pass(29.0);
    assert!(progress(&stage).starts_with("\"True\" \"ReplicaSetUpdated\""), "{}", progress(&stage));
    stage.pass(5.0);
    assert!(progress(&stage).starts_with("\"False\" \"ProgressDeadlineExceeded\""), "{}", progress(&stage));
}

/// In a snapshot templates lack environments, so that two ReplicaSets may look alike.
#[test]
fn of_two_sets_that_look_alike_the_one_of_the_deployments_revision_is_the_newest() {
    let mut stage = Stage::crewed();
    let mut deployment = workload("web", 1);
    deployment["metadata"]["uid"] = "web".into();
    deployment["metadata"]["generation"] = 2.into();
    deployment["metadata"]["annotations"] = json!({ "deployment.kubernetes.io/revision": "2" });
    stage.has(Kind::Deployment, deployment);
    let owner =
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web", "controller": true });
    for (name, revision, replicas, made) in
        [("old", "1", 0, "2026-01-01T00:00:00Z"), ("new", "2", 1, "2026-01-02T00:00:00Z")]
    {
        let mut set = workload(name, replicas);
        set["spec"]["template"] = workload("web", 1)["spec"]["template"].clone();
        set["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = name.into();
        set["metadata"]["creationTimestamp"] = made.into();
        set["metadata"]["ownerReferences"] = json!([owner]);
        set["metadata"]["annotations"] = json!({ "deployment.kubernetes.io/revision": revision,
            "deployment.kubernetes.io/desired-replicas": "1", "deployment.kubernetes.io/max-replicas": "2" });
        stage.has(Kind::ReplicaSet, set);
    }
    stage.pass(10.0);
    let size =
        |stage: &Stage, name: &str| stage.get(&Key::new(Kind::ReplicaSet, "shop", name))["spec"]["replicas"].clone();
    assert_eq!((size(&stage, "old"), size(&stage, "new")), (json!(0), json!(1)));
    assert_eq!(stage.world.cluster.store.in_namespace(Kind::ReplicaSet, "shop").count(), 2);
}
