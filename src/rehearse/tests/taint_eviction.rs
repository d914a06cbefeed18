//! Pods that a `NoExecute` taint drives away.

use serde_json::{Value, json};

use super::Stage;
use super::scheduler::{remove, running, told, with};
use crate::rehearse::controllers::TaintEviction;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;

fn stage() -> Stage {
    let mut stage = Stage::new(vec![Box::new(TaintEviction::default())]);
    stage.has_node("n-1", "a");
    stage.story();
    stage
}

fn tolerating(pod: Value, seconds: &[(&str, Option<i64>)]) -> Value {
    let one = |(key, seconds): &(&str, Option<i64>)| json!({ "key": key, "operator": "Exists", "tolerationSeconds": seconds });
    with(pod, json!({ "tolerations": seconds.iter().map(one).collect::<Vec<_>>() }))
}

fn taint(stage: &mut Stage, keys: &[&str]) {
    let taints: Vec<Value> = keys.iter().map(|key| json!({ "key": key, "effect": "NoExecute" })).collect();
    stage.patch(&Key::node("n-1"), json!({ "spec": { "taints": taints } }));
}

#[test]
fn pods_go_at_once_after_their_time_or_never() {
    let mut stage = stage();
    stage.has(Kind::Pod, running("never-1", "1", "n-1"));
    stage.has(Kind::Pod, tolerating(running("short-1", "1", "n-1"), &[("x", Some(20)), ("y", Some(5))]));
    stage.has(Kind::Pod, tolerating(running("long-1", "1", "n-1"), &[("x", Some(60)), ("y", None)]));
    stage.has(Kind::Pod, tolerating(running("ever-1", "1", "n-1"), &[("", None)]));
    stage.story();
    taint(&mut stage, &["x"]);
    stage.pass(10.0);
    // A second taint shortens nothing that runs already, as the real one has it.
    taint(&mut stage, &["x", "y"]);
    stage.pass(100.0);
    let expected = "\
+0.00   nodes n-1  +x:NoExecute
+0.01   pods shop/never-1  DisruptionTarget DeletionByTaintManager
+0.01   pods shop/never-1  terminating, 30 s
+10.00  nodes n-1  +y:NoExecute
+20.01  pods shop/short-1  DisruptionTarget DeletionByTaintManager
+20.01  pods shop/short-1  terminating, 30 s
+60.01  pods shop/long-1  DisruptionTarget DeletionByTaintManager
+60.01  pods shop/long-1  terminating, 30 s
";
    assert_eq!(told(&mut stage, ""), expected);
}

#[test]
fn a_taint_that_goes_lets_pods_stay_and_a_pod_that_comes_late_goes_too() {
    let mut stage = stage();
    stage.has(Kind::Pod, tolerating(running("web-1", "1", "n-1"), &[("x", Some(30))]));
    taint(&mut stage, &["x"]);
    stage.pass(10.0);
    stage.patch(&Key::node("n-1"), json!({ "spec": { "taints": null } }));
    stage.pass(60.0);
    taint(&mut stage, &["x"]);
    stage.has(Kind::Pod, running("late-1", "1", "n-1"));
    stage.pass(10.0);
    // Another pod of the same name does not inherit the time.
    remove(&mut stage, &Key::new(Kind::Pod, "shop", "web-1"));
    stage.pass(1.0);
    stage.has(Kind::Pod, tolerating(running("web-1", "1", "n-1"), &[("x", Some(30))]));
    stage.pass(60.0);
    let mut told = told(&mut stage, "");
    let events = stage.world.cluster.store.all(Kind::Event);
    let mut said: Vec<&str> = events.filter_map(|event| event.body["message"].as_str()).collect();
    said.sort_unstable();
    told += &said.join("\n");
    let expected = "\
+0.00   pods shop/web-1  made
+0.00   pods shop/web-1  on n-1
+0.00   pods shop/web-1  Running
+0.00   pods shop/web-1  ready
+0.00   nodes n-1  +x:NoExecute
+10.00  nodes n-1  -x:NoExecute
+70.00  nodes n-1  +x:NoExecute
+70.00  pods shop/late-1  made
+70.00  pods shop/late-1  on n-1
+70.00  pods shop/late-1  Running
+70.00  pods shop/late-1  ready
+70.01  pods shop/late-1  DisruptionTarget DeletionByTaintManager
+70.01  pods shop/late-1  terminating, 30 s
+80.00  pods shop/web-1  gone
+81.00  pods shop/web-1  made
+81.00  pods shop/web-1  on n-1
+81.00  pods shop/web-1  Running
+81.00  pods shop/web-1  ready
+111.01 pods shop/web-1  DisruptionTarget DeletionByTaintManager
+111.01 pods shop/web-1  terminating, 30 s
Cancelling deletion of Pod shop/web-1
Marking for deletion Pod shop/late-1
Marking for deletion Pod shop/web-1";
    assert_eq!(told, expected);
}
