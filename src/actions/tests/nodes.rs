use serde_json::{Value, json};

use super::server::Fault;
use super::world::{Trial, World, args, told};
use crate::actions::pre_image;
use crate::facts::Resource;

fn is_cordoned(world: &World) -> bool {
    world.get(Resource::Nodes, "n").is_some_and(|node| node["spec"]["unschedulable"] == true)
}

fn mark(world: &World) -> Option<Value> {
    let node = world.get(Resource::Nodes, "n")?;
    serde_json::from_str(node.pointer("/metadata/annotations/sprag.dev~1cordon")?.as_str()?).ok()
}

#[tokio::test(start_paused = true)]
async fn a_cordon_leaves_its_mark_and_an_uncordon_takes_it_back() {
    let world = World::open();
    let trial = Trial::of(&world, 60);
    let image = pre_image("cordon", &args(&[]), &trial.context).await;
    assert_eq!(image, Ok(Some(json!({"unschedulable": false, "mark": null}))));
    assert_eq!(told(&trial.perform("cordon", &[]).await), "done");
    assert!(is_cordoned(&world));
    let mark_of = |field: &str| mark(&world).map(|mark| mark[field].clone());
    assert_eq!((mark_of("run"), mark_of("step")), (Some(json!("7c1f-01")), Some(json!("n/step"))));
    assert_eq!(told(&trial.perform("cordon", &[]).await), "done", "of this run already");
    assert_eq!(told(&trial.perform("uncordon", &[]).await), "done");
    assert!(!is_cordoned(&world) && mark(&world).is_none());
    assert_eq!(world.count("PATCH"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_cordoned_stays_theirs() {
    let world = World::new();
    let trial = Trial::of(&world, 60);
    assert_eq!(told(&trial.perform("cordon", &[]).await), "done was cordoned by someone else: it stays theirs");
    let lifted = told(&trial.perform("uncordon", &[]).await);
    assert_eq!(lifted, "done stays cordoned: it bears no mark of this run, someone else cordoned it");
    assert_eq!(world.count("PATCH"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_in_between_is_read_again_and_kept() {
    let world = World::open();
    world.state().faults.push_back(Fault::Raced);
    assert_eq!(told(&Trial::of(&world, 60).perform("cordon", &[]).await), "done");
    assert!(is_cordoned(&world) && mark(&world).is_some());
    assert_eq!(world.get(Resource::Nodes, "n").expect("the node")["metadata"]["labels"], json!({"raced": "yes"}));
    assert_eq!(world.count("PATCH"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_looked_for() {
    let world = World::open();
    world.state().faults.push_back(Fault::Lost);
    assert_eq!(told(&Trial::of(&world, 60).perform("cordon", &[]).await), "done");
    assert!(is_cordoned(&world));
    assert_eq!(world.count("PATCH"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_or_replaced_is_not_touched() {
    let world = World::open();
    world.put(Resource::Nodes, json!({"metadata": {"name": "n", "uid": "another"}, "spec": {}}));
    let trial = Trial::of(&world, 60);
    assert_eq!(told(&trial.perform("cordon", &[]).await), "E505 node `n` is gone or replaced");
    world.state().objects.clear();
    assert_eq!(told(&trial.perform("cordon", &[]).await), "E505 node `n` is gone or replaced");
    assert_eq!(world.count("PATCH"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_finds_invalid_is_refused_at_the_second_time() {
    let world = World::open();
    world.state().faults.extend([Fault::Invalid, Fault::Invalid]);
    let attempt = Trial::of(&world, 60).perform("label", &[("key", "k"), ("value", "?")]).await;
    assert_eq!(told(&attempt), "E560 the server refuses the change of node `n`: it is not valid");
    assert_eq!(world.count("PATCH"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_out_of_reach_is_told_from_a_slow_one() {
    let world = World::open();
    world.state().down = true;
    let attempt = told(&Trial::of(&world, 60).perform("cordon", &[]).await);
    assert!(attempt.starts_with("E710 the cluster is out of reach"), "{attempt}");
}

#[tokio::test(start_paused = true)]
async fn labels_and_taints_are_set_and_removed() {
    let world = World::open();
    let trial = Trial::of(&world, 60);
    let steps: [(&str, &[(&str, &str)]); 5] = [
        ("label", &[("key", "a/b"), ("value", "1")]),
        ("annotate", &[("key", "note"), ("value", "x")]),
        ("taint", &[("key", "up"), ("value", "now")]),
        ("annotate", &[("key", "note")]),
        ("untaint", &[("key", "other")]),
    ];
    for (name, more) in steps {
        assert_eq!(told(&trial.perform(name, more).await), "done", "{name}");
    }
    let node = world.get(Resource::Nodes, "n").expect("the node");
    assert_eq!(node["metadata"]["labels"], json!({"a/b": "1"}));
    assert_eq!(node["metadata"]["annotations"], json!({}));
    assert_eq!(node["spec"]["taints"], json!([{"key": "up", "value": "now", "effect": "NoSchedule"}]));
    let image = pre_image("taint", &args(&[("key", "up")]), &trial.context).await;
    assert_eq!(image, Ok(Some(json!({"taint": {"key": "up", "value": "now", "effect": "NoSchedule"}}))));
}
