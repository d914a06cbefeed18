//! Jobs (KUBERNETES.md 10: T31, T36).

use serde_json::{Value, json};

use super::Stage;
use super::crew::template;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;
use crate::rehearse::write::DeleteOptions;

fn job(stage: &mut Stage, spec: Value) -> Key {
    let mut template = template("work");
    template["spec"]["restartPolicy"] = "Never".into();
    let mut job = json!({ "metadata": { "name": "work", "namespace": "shop" }, "spec": { "template": template } });
    for (field, value) in spec.as_object().unwrap() {
        job["spec"][field] = value.clone();
    }
    let key = stage.create(Kind::Job, job);
    stage.pass(5.0);
    key
}

fn end(stage: &mut Stage, pod: &Key, phase: &str) {
    stage.patch(pod, json!({ "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": "False",
                                         "lastTransitionTime": crate::rehearse::object::Time(stage.world.cluster.now) }] } }));
}

fn conditions(stage: &Stage, job: &Key) -> Vec<String> {
    let status = stage.get(job)["status"].clone();
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions
        .iter()
        .map(|one| format!("{} {}", one["type"].as_str().unwrap(), one["reason"].as_str().unwrap()))
        .collect()
}

fn ignoring() -> Value {
    let pattern = json!([{ "type": "DisruptionTarget", "status": "True" }]);
    json!({ "rules": [{ "action": "Ignore", "onPodConditions": pattern }] })
}

#[test]
fn a_job_runs_to_its_end() {
    let mut stage = Stage::crewed();
    let key = job(&mut stage, json!({}));
    let pod = stage.pods()[0].clone();
    end(&mut stage, &pod, "Succeeded");
    stage.pass(5.0);
    let expected = "+0.00   jobs shop/work  made\n\
                    +0.01   pods shop/work~1  made\n\
                    +0.01   jobs shop/work  active 1\n\
                    +0.06   pods shop/work~1  on n-1\n\
                    +2.06   pods shop/work~1  Running\n\
                    +2.06   pods shop/work~1  ready\n\
                    +5.00   pods shop/work~1  Succeeded\n\
                    +5.00   pods shop/work~1  not ready\n\
                    +6.00   jobs shop/work  active 0\n\
                    +6.00   jobs shop/work  succeeded 1\n\
                    +6.00   jobs shop/work  Complete CompletionsReached\n";
    assert_eq!(stage.tale(), expected);
    assert_eq!(conditions(&stage, &key), ["SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"]);
    let labels = &stage.get(&pod)["metadata"]["labels"];
    assert_eq!((&labels["job-name"], &labels["batch.kubernetes.io/job-name"]), (&json!("work"), &json!("work")));
    assert_eq!(stage.get(&pod)["metadata"]["finalizers"], json!(null));
}

#[test]
fn t31_a_pod_of_a_job_is_replaced_when_it_begins_to_go_and_burns_an_attempt() {
    let mut stage = Stage::crewed();
    job(&mut stage, json!({}));
    stage.story();
    let pod = stage.pods()[0].clone();
    assert_eq!(stage.evict(&pod), "201");
    stage.pass(20.0);
    let expected = "+5.00   pods shop/work~1  DisruptionTarget EvictionByEvictionAPI\n\
                    +5.00   pods shop/work~1  terminating, 30 s\n\
                    +6.00   jobs shop/work  active 0\n\
                    +6.00   jobs shop/work  failed 1\n\
                    +8.00   pods shop/work~1  Failed\n\
                    +8.00   pods shop/work~1  not ready\n\
                    +8.00   pods shop/work~1  gone\n\
                    +15.00  pods shop/work~2  made\n\
                    +15.00  jobs shop/work  active 1\n\
                    +15.05  pods shop/work~2  on n-1\n\
                    +17.05  pods shop/work~2  Running\n\
                    +17.05  pods shop/work~2  ready\n";
    assert_eq!(stage.tale(), expected);
}

#[test]
fn t31_where_only_failed_pods_are_replaced_it_waits_for_the_end() {
    let mut stage = Stage::crewed();
    job(&mut stage, json!({ "podReplacementPolicy": "Failed" }));
    stage.story();
    let pod = stage.pods()[0].clone();
    assert_eq!(stage.evict(&pod), "201");
    stage.pass(20.0);
    let expected = "+5.00   pods shop/work~1  DisruptionTarget EvictionByEvictionAPI\n\
                    +5.00   pods shop/work~1  terminating, 30 s\n\
                    +6.00   jobs shop/work  active 0\n\
                    +8.00   pods shop/work~1  Failed\n\
                    +8.00   pods shop/work~1  not ready\n\
                    +9.00   jobs shop/work  failed 1\n\
                    +9.00   pods shop/work~1  gone\n\
                    +18.00  pods shop/work~2  made\n\
                    +18.00  jobs shop/work  active 1\n\
                    +18.05  pods shop/work~2  on n-1\n\
                    +20.05  pods shop/work~2  Running\n\
                    +20.05  pods shop/work~2  ready\n";
    assert_eq!(stage.tale(), expected);
}

#[test]
fn t36_evictions_use_up_the_backoff_limit() {
    let mut stage = Stage::crewed();
    let key = job(&mut stage, json!({ "backoffLimit": 1 }));
    for _ in 0..2 {
        let pod = stage.pods().last().unwrap().clone();
        assert_eq!(stage.evict(&pod), "201");
        stage.pass(30.0);
    }
    assert_eq!(stage.get(&key)["status"]["failed"], 2);
    assert_eq!(conditions(&stage, &key), ["FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"]);
}

#[test]
fn t36_evictions_that_a_policy_ignores_do_not() {
    let mut stage = Stage::crewed();
    let key = job(&mut stage, json!({ "backoffLimit": 0, "podFailurePolicy": ignoring() }));
    for _ in 0..3 {
        let pod = stage.pods().last().unwrap().clone();
        assert_eq!(stage.evict(&pod), "201");
        stage.pass(60.0);
    }
    assert_eq!(stage.get(&key)["status"]["failed"], json!(null));
    assert_eq!(stage.get(&key)["status"]["active"], 1);
    assert_eq!(conditions(&stage, &key), Vec::<String>::new());
}

#[test]
fn a_rule_of_a_policy_ends_the_job() {
    let mut stage = Stage::crewed();
    let codes = json!({ "operator": "In", "values": [42] });
    let policy = json!({ "rules": [{ "action": "FailJob", "onExitCodes": codes }] });
    let key = job(&mut stage, json!({ "podFailurePolicy": policy }));
    let pod = stage.pods()[0].clone();
    let state = json!({ "terminated": { "exitCode": 42, "reason": "Error" } });
    stage.patch(&pod, json!({ "status": { "containerStatuses": [{ "name": "c", "state": state }] } }));
    end(&mut stage, &pod, "Failed");
    stage.pass(5.0);
    assert_eq!(conditions(&stage, &key), ["FailureTarget PodFailurePolicy", "Failed PodFailurePolicy"]);
    let message = stage.get(&key)["status"]["conditions"][1]["message"].as_str().unwrap().to_owned();
    let expected = format!("Container c for pod {pod} failed with exit code 42 matching FailJob rule at index 0");
    assert_eq!(message, expected);
}

#[test]
fn after_failures_it_pauses_longer_and_longer() {
    let mut stage = Stage::crewed();
    job(&mut stage, json!({}));
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let pod = stage.pods().into_iter().find(|pod| stage.get(pod)["status"]["phase"] == "Running").unwrap();
        let count = stage.pods().len();
        end(&mut stage, &pod, "Failed");
        let from = stage.world.cluster.now;
        while stage.pods().len() == count {
            stage.pass(0.01);
        }
        pauses.push((stage.world.cluster.now - from) / 1000);
        stage.pass(5.0);
    }
    assert_eq!(pauses, [10, 20, 40]);
}

#[test]
fn an_indexed_job_completes_each_index() {
    let mut stage = Stage::crewed();
    let key = job(&mut stage, json!({ "completionMode": "Indexed", "completions": 4, "parallelism": 2 }));
    let index = |stage: &Stage, pod: &Key| {
        stage.get(pod)["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let running = |stage: &Stage| -> Vec<Key> {
        stage.pods().into_iter().filter(|pod| stage.get(pod)["status"]["phase"] == "Running").collect()
    };
    let mut told = Vec::new();
    while let Some(pod) = running(&stage).into_iter().last() {
        told.push(index(&stage, &pod));
        end(&mut stage, &pod, "Succeeded");
        stage.pass(5.0);
        told.push(stage.get(&key)["status"]["completedIndexes"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, ["1", "1", "2", "1,2", "3", "1-3", "0", "0-3"]);
    assert!(stage.pods()[0].name.starts_with("work-0-"));
    assert_eq!(conditions(&stage, &key).last().unwrap(), "Complete CompletionsReached");
}

#[test]
fn a_deadline_ends_a_job_and_its_pods() {
    let mut stage = Stage::crewed();
    let key = job(&mut stage, json!({ "activeDeadlineSeconds": 20 }));
    stage.story();
    stage.pass(60.0);
    let expected = "+20.00  pods shop/work~1  terminating, 30 s\n\
                    +20.00  jobs shop/work  active 0\n\
                    +20.00  jobs shop/work  failed 1\n\
                    +23.00  pods shop/work~1  Failed\n\
                    +23.00  pods shop/work~1  not ready\n\
                    +23.00  pods shop/work~1  gone\n\
                    +24.00  jobs shop/work  Failed DeadlineExceeded\n";
    assert_eq!(stage.tale(), expected);
    assert_eq!(conditions(&stage, &key), ["FailureTarget DeadlineExceeded", "Failed DeadlineExceeded"]);
}

#[test]
fn a_suspended_job_has_no_pods() {
    let mut stage = Stage::crewed();
    let key = job(&mut stage, json!({}));
    stage.patch(&key, json!({ "spec": { "suspend": true } }));
    stage.pass(10.0);
    assert_eq!(stage.pods(), []);
    assert_eq!(conditions(&stage, &key), ["Suspended JobSuspended"]);
    stage.patch(&key, json!({ "spec": { "suspend": false } }));
    stage.pass(10.0);
    assert_eq!(stage.pods().len(), 1);
    assert_eq!(stage.get(&key)["status"]["failed"], json!(null));
}

#[test]
fn a_finished_job_is_deleted_after_its_time_and_its_pods_with_it() {
    let mut stage = Stage::crewed();
    let key = job(&mut stage, json!({ "ttlSecondsAfterFinished": 30 }));
    let pod = stage.pods()[0].clone();
    end(&mut stage, &pod, "Succeeded");
    stage.pass(29.0);
    assert!(stage.get(&key).is_object());
    stage.pass(10.0);
    assert_eq!((stage.get(&key), stage.get(&pod)), (json!(null), json!(null)));
}

#[test]
fn pods_of_a_deleted_job_are_not_held() {
    let mut stage = Stage::crewed();
    let key = job(&mut stage, json!({}));
    stage.delete(&key, &DeleteOptions::default());
    stage.pass(10.0);
    assert_eq!(stage.pods(), []);
}
