use std::io::Write;

use serde_json::json;
use tempfile::NamedTempFile;
use tokio::time::Instant;

use super::server::Fault;
use super::world::{Trial, World, object, told};
use crate::actions::Args;
use crate::catalog::types::Kind;
use crate::catalog::value::Value as Argument;
use crate::facts::Resource;

const ONE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {key: a}\n";
const TWO: &str = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two, namespace: shop}\n";
const SET: &str =
    "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: web, namespace: shop}\nspec: {replicas: 5}\n";

async fn applied(world: &World, text: &str) -> String {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("its content");
    let path = file.path().display().to_string();
    told(&Trial::of(world, 600).perform("apply", &[("file", &path)]).await).replace(&path, "FILE")
}

#[tokio::test(start_paused = true)]
async fn what_names_no_namespace_is_applied_in_that_of_the_context() {
    let world = World::new();
    assert_eq!(applied(&world, ONE).await, "done applied ConfigMap `ours/one`, in the namespace of the context");
    assert_eq!(world.count("PATCH /api/v1/namespaces/ours/configmaps/one"), 1);
    let both = applied(&world, &format!("{ONE}{TWO}")).await;
    assert_eq!(both, "done applied 2 objects, 1 of them in `ours`, the namespace of the context");
    assert_eq!(applied(&world, TWO).await, "done applied ConfigMap `shop/two`");
    assert_eq!(world.count("PATCH /api/v1/namespaces/shop/configmaps/two"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_apply_whose_answer_was_lost_is_made_again() {
    let world = World::new();
    world.state().faults.push_back(Fault::Lost);
    assert_eq!(applied(&world, TWO).await, "done applied ConfigMap `shop/two`");
    assert_eq!(world.count("PATCH"), 2, "applied a second time it changes nothing");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_take_is_told() {
    for (fault, expected) in [
        (Fault::Forbidden, "E712 sprag may not patch `configmaps`: you may not"),
        (Fault::Invalid, "E562 the server does not take ConfigMap `shop/two`: it is not valid"),
        (
            Fault::Conflict,
            "E563 ConfigMap `shop/two` has fields that someone else manages\n\
             why    conflict with \"kubectl\": .data.key",
        ),
    ] {
        let world = World::new();
        world.state().faults.push_back(fault);
        assert_eq!(applied(&world, TWO).await, expected);
    }
    let unknown = applied(&World::new(), "apiVersion: v1\nkind: Nothing\nmetadata: {name: x}\n").await;
    assert_eq!(unknown, "E562 `FILE` cannot be applied: the server knows no `Nothing` of `v1`");
}

/// The StatefulSet `web` of three, which the watch shows as it was until 30 s have passed.
fn behind() -> World {
    let world = World::new();
    world.unbudgeted(3);
    world.state().behind.insert(Resource::StatefulSets);
    world.after(30, |world| world.catch_up(Resource::StatefulSets));
    world
}

fn workload(world: &World, more: Option<i64>) -> Args {
    let web = object(world, Kind::Workload, Resource::StatefulSets, "web");
    let replicas = more.map(|replicas| ("replicas".to_owned(), Argument::Int(replicas)));
    replicas.into_iter().chain([("workload".to_owned(), web)]).collect()
}

fn replicas(world: &World) -> Option<i64> {
    world.facts.read(|facts| facts.replicas("web-uid")).map(|(desired, _)| desired)
}

#[tokio::test(start_paused = true)]
async fn what_was_applied_is_seen_by_what_follows() {
    let (world, begun) = (behind(), Instant::now());
    assert_eq!(applied(&world, SET).await, "done applied StatefulSet `shop/web`");
    assert_eq!((begun.elapsed().as_secs(), replicas(&world)), (30, Some(5)));
}

#[tokio::test(start_paused = true)]
async fn a_scaled_workload_is_seen_by_what_follows() {
    let (world, begun) = (behind(), Instant::now());
    let args = workload(&world, Some(5));
    assert_eq!(told(&Trial::of(&world, 600).perform_with("scale", &args).await), "done");
    assert_eq!((begun.elapsed().as_secs(), replicas(&world)), (30, Some(5)));
    assert_eq!(told(&Trial::of(&world, 600).perform_with("scale", &args).await), "done");
    assert_eq!(world.count("PATCH"), 1, "it has as many already");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_workload_is_seen_by_what_follows_also_if_the_answer_was_lost() {
    for fault in [None, Some(Fault::Lost), Some(Fault::Conflict)] {
        let (world, begun) = (behind(), Instant::now());
        world.state().faults.extend(fault);
        let args = workload(&world, None);
        assert_eq!(told(&Trial::of(&world, 600).perform_with("restart", &args).await), "done");
        assert_eq!(begun.elapsed().as_secs(), 30);
        let by = "/spec/template/metadata/annotations/sprag.dev~1restarted-by";
        let set = world.get(Resource::StatefulSets, "web").expect("the workload");
        assert_eq!(set.pointer(by), Some(&json!("7c1f-01 n/step")));
        assert_eq!(world.count("PATCH"), if fault == Some(Fault::Conflict) { 2 } else { 1 }, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_gone_or_may_not_be_changed_is_told() {
    let world = World::new();
    world.unbudgeted(3);
    let args = workload(&world, Some(5));
    world.state().faults.push_back(Fault::Forbidden);
    let attempt = told(&Trial::of(&world, 600).perform_with("scale", &args).await);
    assert_eq!(attempt, "E712 sprag may not patch `statefulsets.apps`: you may not");
    world.state().objects.remove(&(Resource::StatefulSets, "web".to_owned()));
    let attempt = told(&Trial::of(&world, 600).perform_with("restart", &args).await);
    assert_eq!(attempt, "E505 workload `shop/web` is gone or replaced", "the watch does not know yet");
}
