//! Pods of nodes that are gone: T39 of KUBERNETES.md 10.

use serde_json::json;

use super::Stage;
use super::scheduler::{delete, pod, remove, running};
use crate::rehearse::controllers::PodGarbage;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

fn stage() -> Stage {
    let mut stage = Stage::new(vec![Box::new(PodGarbage::default())]);
    stage.has_node("n-1", "a");
    stage.pass(7.0);
    stage.story();
    stage
}

#[test]
fn t39_the_pods_of_a_node_that_is_gone_are_removed() {
    let mut stage = stage();
    stage.has(Kind::Pod, running("web-1", "1", "n-1"));
    let ending = stage.has(Kind::Pod, running("web-2", "1", "n-1"));
    delete(&mut stage, &ending);
    stage.story();
    remove(&mut stage, &Key::node("n-1"));
    stage.pass(100.0);
    let expected = "\
+7.00   nodes n-1  gone
+60.00  pods shop/web-1  DisruptionTarget DeletionByPodGC
+60.00  pods shop/web-1  Failed
+60.00  pods shop/web-1  terminating, 0 s
+60.00  pods shop/web-1  gone
+60.00  pods shop/web-2  DisruptionTarget DeletionByPodGC
+60.00  pods shop/web-2  Failed
+60.00  pods shop/web-2  gone
";
    assert_eq!(stage.story(), expected);
}

#[test]
fn t39_a_node_that_is_back_in_time_keeps_them() {
    let mut stage = stage();
    stage.has(Kind::Pod, running("web-1", "1", "n-1"));
    remove(&mut stage, &Key::node("n-1"));
    stage.pass(30.0);
    stage.has_node("n-1", "a");
    stage.pass(100.0);
    // And the next time it is missed from anew.
    remove(&mut stage, &Key::node("n-1"));
    stage.pass(39.0);
    assert_eq!(
        stage.story_of("pods"),
        "+7.00   pods shop/web-1  made\n+7.00   pods shop/web-1  on n-1\n+7.00   pods shop/web-1  Running\n+7.00   pods shop/web-1  ready\n"
    );
}

#[test]
fn a_pod_that_nothing_will_end_is_ended() {
    let mut stage = stage();
    let mut held = pod("web-1", "1");
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    let held = stage.create(Kind::Pod, held);
    delete(&mut stage, &held);
    let lost = stage.has(Kind::Pod, running("web-2", "1", "n-1"));
    delete(&mut stage, &lost);
    stage.pass(60.0);
    let taints =
        json!([{ "key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute" }]);
    stage.patch(&Key::node("n-1"), json!({ "spec": { "taints": taints } }));
    stage.pass(60.0);
    let down = json!([{ "type": "Ready", "status": "Unknown" }]);
    stage.patch(&Key::node("n-1"), json!({ "status": { "conditions": down } }));
    stage.pass(60.0);
    let expected = "\
+7.00   pods shop/web-1  made
+7.00   pods shop/web-1  terminating, 0 s
+7.00   pods shop/web-2  made
+7.00   pods shop/web-2  on n-1
+7.00   pods shop/web-2  Running
+7.00   pods shop/web-2  ready
+7.00   pods shop/web-2  terminating, 30 s
+20.00  pods shop/web-1  Failed
+67.00  nodes n-1  +node.kubernetes.io/out-of-service:NoExecute
+127.00 nodes n-1  Ready=Unknown
+140.00 pods shop/web-2  Failed
+140.00 pods shop/web-2  gone
";
    assert_eq!(stage.story(), expected);
}
