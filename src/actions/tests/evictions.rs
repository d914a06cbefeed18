use serde_json::json;
use tokio::time::Instant;

use super::server::Fault;
use super::world::{Trial, World, object, told};
use crate::actions::Args;
use crate::catalog::types::Kind;
use crate::catalog::value::Value as Argument;
use crate::facts::Resource;

const POST: &str = "POST /api/v1/namespaces/shop/pods/web-0/eviction";

/// A pod of a workload of three, of which so many may be out.
fn one(allowed: i64) -> (World, Args) {
    let world = World::new();
    world.workload(3, 3 - allowed);
    world.pod("web-0");
    let pod = object(&world, Kind::Pod, Resource::Pods, "web-0");
    (world, Args::from([("pod".to_owned(), pod)]))
}

async fn evicted(world: &World, args: &Args) -> String {
    told(&Trial::of(world, 600).perform_with("evict", args).await)
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_evicted_and_awaited() {
    let ((world, args), begun) = (one(1), Instant::now());
    assert_eq!(evicted(&world, &args).await, "done");
    assert_eq!(begun.elapsed().as_secs(), 2, "the pod takes that long to end");
    assert_eq!(evicted(&world, &args).await, "done was gone already", "as it is after a crash");
    assert_eq!(world.count(POST), 1);
}

#[tokio::test(start_paused = true)]
async fn another_pod_of_the_name_is_left() {
    let (world, args) = one(1);
    let mut other = world.pod("web-0");
    other["metadata"]["uid"] = json!("other-uid");
    world.put(Resource::Pods, other);
    assert_eq!(evicted(&world, &args).await, "done was gone already");
    assert_eq!(world.count(POST), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_its_budget_and_says_so() {
    let ((world, args), begun) = (one(0), Instant::now());
    world.unbudgeted(4);
    world.after(5, |world| world.credit(1));
    let mut trial = Trial::of(&world, 600);
    assert_eq!(told(&trial.perform_with("evict", &args).await), "done");
    assert_eq!(begun.elapsed().as_secs(), 7);
    assert_eq!(world.count(POST), 2);
    let waiting = trial.noted().1;
    assert!(waiting.iter().any(|line| line.contains("budget `shop/web` needs 3 healthy and has 3")), "{waiting:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_budget_allows_nothing_is_still_there_when_the_time_is_over() {
    let (world, args) = one(0);
    let attempt = told(&Trial::of(&world, 60).perform_with("evict", &args).await);
    assert_eq!(attempt, "E501 `evict` did not end within its timeout of 10m");
    assert!(world.get(Resource::Pods, "web-0").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_goes_meanwhile_is_as_it_is_to_be() {
    let (world, args) = one(0);
    world.after(5, |world| {
        world.remove(Resource::Pods, "web-0");
        world.credit(1);
    });
    assert_eq!(evicted(&world, &args).await, "done was gone already");
}

#[tokio::test(start_paused = true)]
async fn an_eviction_whose_answer_was_lost_is_not_posted_again() {
    let (world, args) = one(1);
    world.state().faults.push_back(Fault::Lost);
    assert_eq!(evicted(&world, &args).await, "done");
    assert_eq!(world.count(POST), 1);
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_the_login_may_not_make_is_told() {
    let (world, args) = one(1);
    world.state().faults.push_back(Fault::Forbidden);
    assert_eq!(evicted(&world, &args).await, "E712 sprag may not create `pods/eviction`: you may not");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait() {
    let (world, args) = one(0);
    let trial = Trial::of(&world, 600);
    let stop = trial.stop.clone();
    world.after(5, move |_| _ = stop.send_replace(crate::actions::Stop::Stop));
    assert_eq!(told(&trial.perform_with("evict", &args).await), "interrupted");
}

#[tokio::test(start_paused = true)]
async fn a_grace_reaches_the_server_in_whole_seconds() {
    let (world, mut args) = one(1);
    args.insert("grace".to_owned(), Argument::Duration(1_500));
    let grace = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        world.get(Resource::Pods, "web-0").map(|pod| pod["metadata"]["deletionGracePeriodSeconds"].clone())
    };
    let (done, grace) = tokio::join!(evicted(&world, &args), grace);
    assert_eq!((done.as_str(), grace), ("done", Some(json!(2))));
}
