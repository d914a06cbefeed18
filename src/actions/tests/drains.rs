use std::time::Duration;

use serde_json::{Value, json};

use super::server::Fault;
use super::world::{Trial, World, told};
use crate::actions::Stop;
use crate::facts::Resource;

/// Three pods of one workload whose budget lets one go at a time.
fn three() -> World {
    let world = World::new();
    world.workload(3, 2);
    for name in ["web-0", "web-1", "web-2"] {
        world.pod(name);
    }
    world
}

#[tokio::test(start_paused = true)]
async fn pods_go_as_their_budget_allows() {
    let world = three();
    let mut trial = Trial::of(&world, 600);
    assert_eq!(told(&trial.perform("drain", &[]).await), "done");
    let (evicted, waiting) = trial.noted();
    assert_eq!(evicted, ["shop/web-0", "shop/web-1", "shop/web-2"]);
    assert_eq!(world.count("POST"), 3, "no eviction is posted in vain");
    assert_eq!(world.state().log.len(), 6, "a look at the node, two lists, three evictions");
    assert!(waiting.iter().any(|line| line.contains("budget `shop/web` needs 2 healthy and has 2")), "{waiting:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_without_pods_is_listed_until_none_can_come_late() {
    let world = World::new();
    let trial = Trial::of(&world, 600);
    let late = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        late.pod("late");
    });
    assert_eq!(told(&trial.perform("drain", &[]).await), "done");
    assert_eq!(world.count("POST"), 1);
    assert_eq!(world.count("GET /api/v1/pods"), 3);
}

#[tokio::test(start_paused = true)]
async fn an_eviction_whose_answer_was_lost_is_looked_for() {
    let world = three();
    world.state().faults.push_back(Fault::Lost);
    assert_eq!(told(&Trial::of(&world, 600).perform("drain", &[]).await), "done");
    assert_eq!(world.count("POST"), 3);
    assert_eq!(world.count("GET /api/v1/namespaces/shop/pods/web-0"), 1);
}

#[tokio::test(start_paused = true)]
async fn pods_that_others_took_away_are_counted_as_theirs() {
    let world = three();
    let other = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        other.take_away("web-2").await;
    });
    let mut trial = Trial::of(&world, 600);
    assert_eq!(told(&trial.perform("drain", &[]).await), "done 3 of 3 pods gone, 1 of them by others");
    assert_eq!(trial.noted().0, ["shop/web-0", "shop/web-1"]);
    // One whose eviction was not answered is not theirs.
    let world = three();
    world.state().faults.push_back(Fault::Lost);
    assert_eq!(told(&Trial::of(&world, 600).perform("drain", &[]).await), "done");
}

#[tokio::test(start_paused = true)]
async fn pods_that_others_took_away_are_told_when_the_time_is_over() {
    let world = three();
    world.state().replaces = false;
    let other = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        other.take_away("web-2").await;
    });
    let attempt = told(&Trial::of(&world, 60).perform("drain", &[]).await);
    let last = attempt.lines().last();
    assert_eq!(last, Some("state  `n` stays cordoned, 1 evicted, 1 gone by others, nothing was forced"), "{attempt}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_posts_no_further_eviction() {
    let world = three();
    let trial = Trial::of(&world, 600);
    let stop = trial.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.send_replace(Stop::Stop);
    });
    assert_eq!(told(&trial.perform("drain", &[]).await), "interrupted");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.count("POST"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_late_says_why_of_each_pod() {
    let world = three();
    world.state().replaces = false;
    let attempt = told(&Trial::of(&world, 120).perform("drain", &[]).await);
    let lines: Vec<&str> = attempt.lines().collect();
    assert_eq!(lines[0], "E552 drain of `n` did not end within its timeout of 10m: 2 pods are left", "{attempt}");
    assert_eq!(lines[1], "who    shop/web-1, shop/web-2");
    assert_eq!(lines[2], "why    budget `shop/web` needs 2 healthy and has 2 (W102)");
    assert_eq!(lines.last(), Some(&"state  `n` stays cordoned, 1 evicted, nothing was forced"));
    assert_eq!(world.count("POST"), 1, "no eviction is posted in vain");
    let checks = world.count("GET /apis/policy/v1/poddisruptionbudgets");
    assert!(
        (2..=4).contains(&checks),
        "{checks}: whether the cache lies is asked after 10 to 30 s, then after 30 to 60 s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_behind_is_awaited_and_nothing_is_posted_on_what_it_shows() {
    let world = three();
    world.workload(3, 3);
    world.unbudgeted(4);
    let trial = Trial::of(&world, 600);
    world.state().behind.insert(Resource::Budgets);
    world.credit(1);
    let late = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(late.count("POST"), 0);
        assert_eq!(late.count("GET /apis/policy/v1/poddisruptionbudgets"), 1, "the one read waits for the watch");
        late.catch_up(Resource::Budgets);
    });
    let begun = tokio::time::Instant::now();
    assert_eq!(told(&trial.perform("drain", &[]).await), "done");
    assert!(begun.elapsed().as_secs() >= 100);
    assert_eq!(world.count("POST"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_budget_whose_no_changes_nothing_is_asked_again_after_the_cache_was_checked() {
    let world = three();
    world.state().faults.push_back(Fault::Busy);
    let begun = tokio::time::Instant::now();
    assert_eq!(told(&Trial::of(&world, 600).perform("drain", &[]).await), "done");
    assert!((20..50).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(world.count("POST"), 4);
    assert_eq!(world.count("GET /apis/policy/v1/poddisruptionbudgets"), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_evicted_while_a_pod_stands_in_the_way() {
    let world = three();
    let mut scratch = world.pod("web-3");
    scratch["spec"]["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
    world.put(Resource::Pods, scratch);
    world.put(
        Resource::Pods,
        json!({"metadata": {"namespace": "shop", "name": "bare", "uid": "bare-uid"}, "spec": {"nodeName": "n"}}),
    );
    let trial = Trial::of(&world, 600);
    assert_eq!(
        told(&trial.perform("drain", &[]).await),
        "E550 drain of `n` evicts nothing: 2 pods stand in the way\n\
         shop/bare has no controller: nothing would start it again\n\
         shop/web-3 has an emptyDir, whose content would be lost"
    );
    assert_eq!(world.count("POST"), 0);
    assert_eq!(told(&trial.perform("drain", &[("emptydir", "delete"), ("orphans", "delete")]).await), "done");
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_never_allows_it_is_told_before_anything_is_evicted() {
    let world = three();
    world.workload(3, 3);
    assert_eq!(
        told(&Trial::of(&world, 600).perform("drain", &[]).await),
        "W101 drain of `n` cannot end: budget `shop/web` never allows an eviction\n\
         who    shop/web-0, shop/web-1, shop/web-2\n\
         why    minAvailable is 3 and the StatefulSet has 3 replicas\n\
         state  `n` stays cordoned, nothing was evicted from it"
    );
    assert_eq!(world.count("POST"), 0);
}

/// What a quota makes a StatefulSet say, seen at that time.
fn refusal(world: &World, now: i64) {
    let seen = jiff::Timestamp::from_millisecond(now).expect("a time").to_string();
    let quota = "pods \"web-0\" is forbidden: exceeded quota: small";
    world.put(
        Resource::Events,
        json!({
            "metadata": {"namespace": "shop", "name": "e", "uid": "e-uid"}, "reason": "FailedCreate", "type": "Warning",
            "involvedObject": {"kind": "StatefulSet", "name": "web", "uid": "web-uid"}, "lastTimestamp": seen,
            "message": format!("Create Pod web-0 in StatefulSet web failed error: {quota}"),
        }),
    );
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_forbids_replacements_is_named_while_the_drain_waits() {
    const QUOTA: &str = "shop/web: a replacement cannot be created: pods \"web-0\" is forbidden: exceeded quota: small";
    for with_budget in [true, false] {
        let world = three();
        if !with_budget {
            world.remove(Resource::Budgets, "web");
        }
        world.state().replaces = false;
        let mut trial = Trial::of(&world, 60);
        // One of long ago tells nothing, and events are asked for only now and then.
        let clock = trial.context.outside.clock.clone();
        refusal(&world, clock.now() - 3_600_000);
        world.after(10, move |world| refusal(world, clock.now()));
        let attempt = told(&trial.perform("drain", &[]).await);
        assert_eq!(attempt.lines().nth(1), Some("who    shop/web"), "{attempt}");
        assert!(attempt.contains("exceeded quota: small (W113)"), "{attempt}");
        let waiting = trial.noted().1;
        assert!(waiting.iter().any(|line| line == QUOTA), "{waiting:?}");
        let asked = world.count("GET /api/v1/namespaces/shop/events");
        assert_eq!(asked, 2, "with a budget: {with_budget}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_forbids_the_pods_of_a_replica_set_is_named_while_the_drain_waits() {
    let world = three();
    world.remove(Resource::StatefulSets, "web");
    let failure = json!({"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"});
    world.put(
        Resource::ReplicaSets,
        json!({
            "metadata": {"namespace": "shop", "name": "web", "uid": "web-uid"},
            "spec": {"replicas": 3, "template": {}}, "status": {"conditions": [failure]},
        }),
    );
    world.state().replaces = false;
    let mut trial = Trial::of(&world, 60);
    assert!(told(&trial.perform("drain", &[]).await).contains("exceeded quota: small (W113)"));
    let waiting = trial.noted().1;
    let line = "shop/web: a replacement cannot be created: exceeded quota: small";
    assert!(waiting.iter().any(|said| said == line), "{waiting:?}");
    assert_eq!(world.count("GET /api/v1/namespaces/shop/events"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_waited_for_that_an_autoscaler_may_lift() {
    let world = three();
    world.workload(3, 3);
    world.put(
        Resource::Autoscalers,
        json!({
            "metadata": {"namespace": "shop", "name": "web", "uid": "autoscaler-uid"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}, "maxReplicas": 4},
        }),
    );
    let scaled = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        scaled.unbudgeted(4);
        scaled.credit(1);
    });
    let mut trial = Trial::of(&world, 600);
    let begun = tokio::time::Instant::now();
    assert_eq!(told(&trial.perform("drain", &[]).await), "done");
    assert!(begun.elapsed().as_secs() >= 60);
    let waiting = trial.noted().1;
    assert!(waiting.iter().any(|line| line.contains("it allows none before an autoscaler scales")), "{waiting:?}");
}

#[tokio::test(start_paused = true)]
async fn several_budgets_are_told_before_anything_is_evicted() {
    let world = three();
    let mut second = world.get(Resource::Budgets, "web").expect("the budget");
    second["metadata"]["name"] = json!("second");
    second["metadata"]["uid"] = json!("second-uid");
    world.put(Resource::Budgets, second);
    let attempt = told(&Trial::of(&world, 600).perform("drain", &[]).await);
    assert!(attempt.starts_with("W103 drain of `n` cannot end: budgets `shop/second` and `shop/web`"), "{attempt}");
    assert_eq!(world.count("POST"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_schedulable_node_is_not_drained() {
    let world = World::open();
    world.pod("web-0");
    let attempt = told(&Trial::of(&world, 600).perform("drain", &[]).await);
    assert!(attempt.starts_with("E551 node `n` is schedulable"), "{attempt}");
    assert_eq!(world.count("POST"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_uncordoned_meanwhile_is_drained_no_further() {
    let world = three();
    let trial = Trial::of(&world, 600);
    let opened = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut node = opened.get(Resource::Nodes, "n").expect("the node");
        node["spec"] = json!({});
        opened.put(Resource::Nodes, node);
    });
    let attempt = told(&trial.perform("drain", &[]).await);
    assert!(attempt.starts_with("E551 node `n` was made schedulable while it was drained"), "{attempt}");
    assert_eq!(world.count("POST"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_end_is_told_with_its_finalizer() {
    let world = World::new();
    let mut pod = world.pod("web-0");
    pod["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.put(Resource::Pods, pod);
    world.state().stuck = true;
    let attempt = told(&Trial::of(&world, 120).perform("drain", &[]).await);
    assert!(attempt.contains("why    is terminating and held by `example.com/hold` (W104)"), "{attempt}");
    assert_eq!(world.count("POST"), 1);
}

#[tokio::test(start_paused = true)]
async fn pods_that_tolerate_the_cordon_are_left_when_they_come_back() {
    let world = World::new();
    let tolerant = |name: &str| -> Value {
        let mut pod = world.pod(name);
        pod["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        pod
    };
    let (first, second) = (tolerant("web-0"), tolerant("web-1"));
    world.put(Resource::Pods, first);
    world.state().objects.remove(&(Resource::Pods, "web-1".to_owned()));
    let back = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        back.put(Resource::Pods, second);
    });
    let attempt = told(&Trial::of(&world, 600).perform("drain", &[]).await);
    assert_eq!(attempt, "done `shop/web-1` tolerates the cordon, came back and is left");
    assert_eq!(world.count("POST"), 1);
}
