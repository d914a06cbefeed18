use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::server::Fault;
use super::world::{Trial, World, told};
use crate::catalog::types::Type;
use crate::expr::{Bindings, Closure};
use crate::facts::Resource;
use crate::plan::graph::Code;

/// Pods of a workload that no budget covers.
fn unbudgeted(pods: &[&str]) -> World {
    let world = World::new();
    world.unbudgeted(i64::try_from(pods.len()).expect("a few"));
    for name in pods {
        world.pod(name);
    }
    world
}

/// A closure over the pod `l_p`, lowered.
fn closure(name: &str, body: &str) -> Arc<BTreeMap<String, Closure>> {
    let code = Code { text: format!("|p| {body}"), code: format!("|l_p| {body}"), ty: Type::Bool };
    let closure = Closure::load(&code, |_| Bindings::new()).expect("a closure");
    Arc::new(BTreeMap::from([(name.to_owned(), closure)]))
}

fn is_up(pod: &serde_json::Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running"
}

/// How many pods are ready at the lowest while a drain runs, and how many seconds it takes.
async fn lowest(world: &World, trial: &Trial, more: &[(&str, &str)]) -> (usize, u64) {
    let begun = tokio::time::Instant::now();
    let mut lowest = usize::MAX;
    let drain = trial.perform("drain", more);
    tokio::pin!(drain);
    loop {
        tokio::select! {
            biased;
            attempt = &mut drain => {
                assert_eq!(told(&attempt), "done");
                return (lowest, begun.elapsed().as_secs());
            }
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                let state = world.state();
                let pods = state.objects.iter().filter(|((resource, _), _)| *resource == Resource::Pods);
                lowest = lowest.min(pods.filter(|(_, pod)| is_up(pod)).count());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_workload_without_a_budget_goes_a_part_at_a_time() {
    let four = ["web-0", "web-1", "web-2", "web-3"];
    let world = unbudgeted(&four);
    let mut trial = Trial::of(&world, 600);
    let (kept, _) = lowest(&world, &trial, &[]).await;
    assert_eq!(kept, 3);
    let (evicted, waiting) = trial.noted();
    assert_eq!(evicted.len(), 4);
    let line = "shop/web-1, shop/web-2, shop/web-3: no budget covers its workload: \
                1 of it is out until a replacement is ready, at most 1 at a time";
    assert!(waiting.iter().any(|said| said == line), "{waiting:?}");
    let world = unbudgeted(&four);
    let (kept, _) = lowest(&world, &Trial::of(&world, 600), &[("unbudgeted", "together")]).await;
    assert_eq!(kept, 0, "as kubectl does");
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_never_becomes_whole_holds_a_drain_for_five_minutes() {
    let world = unbudgeted(&["web-0", "web-1"]);
    world.state().replaces = false;
    let (_, seconds) = lowest(&world, &Trial::of(&world, 900), &[]).await;
    assert!((300..310).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn two_drains_of_a_run_share_what_is_out() {
    let world = unbudgeted(&["web-0", "web-1", "web-2", "web-3"]);
    let first = Trial::of(&world, 600);
    let mut second = Trial::of(&world, 600);
    second.context.stagger = first.context.stagger.clone();
    let (one, other) = tokio::join!(lowest(&world, &first, &[]), lowest(&world, &second, &[]));
    assert_eq!((one.0, other.0), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_single_replica_goes_as_it_is() {
    let world = unbudgeted(&["web-0"]);
    let mut trial = Trial::of(&world, 600);
    assert_eq!(lowest(&world, &trial, &[]).await.0, 0);
    assert_eq!(trial.noted().0, ["shop/web-0"]);
}

#[tokio::test(start_paused = true)]
async fn pods_of_jobs_end_by_themselves() {
    let world = unbudgeted(&["web-0"]);
    let mut job = world.pod("batch");
    job["metadata"]["ownerReferences"][0]["kind"] = json!("Job");
    let mut ended = world.put(Resource::Pods, job);
    ended["status"] = json!({"phase": "Succeeded"});
    let later = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        later.put(Resource::Pods, ended);
    });
    let mut trial = Trial::of(&world, 600);
    let begun = tokio::time::Instant::now();
    assert_eq!(told(&trial.perform("drain", &[("jobs", "finish")]).await), "done");
    assert!((60..63).contains(&begun.elapsed().as_secs()));
    let (evicted, waiting) = trial.noted();
    assert_eq!(evicted, ["shop/web-0"]);
    assert!(waiting.iter().any(|line| line.contains("ends by itself")), "{waiting:?}");
}

#[tokio::test(start_paused = true)]
async fn pods_go_in_order_and_each_waits_until_those_before_are_gone() {
    let world = unbudgeted(&["web-0", "web-1", "web-2"]);
    let mut trial = Trial::of(&world, 600);
    trial.context.closures = closure("order", r#"ne(field(l_p, "name"), s("web-2"))"#);
    assert_eq!(told(&trial.perform("drain", &[("unbudgeted", "together")]).await), "done");
    let (evicted, waiting) = trial.noted();
    assert_eq!(evicted, ["shop/web-2", "shop/web-0", "shop/web-1"]);
    assert!(waiting.iter().any(|line| line.contains("waits for its turn")), "{waiting:?}");
}

#[tokio::test(start_paused = true)]
async fn only_what_a_closure_names_goes() {
    let world = unbudgeted(&["web-0", "web-1"]);
    let mut trial = Trial::of(&world, 600);
    trial.context.closures = closure("only", r#"eq(field(l_p, "name"), s("web-1"))"#);
    assert_eq!(told(&trial.perform("drain", &[]).await), "done");
    assert_eq!(trial.noted().0, ["shop/web-1"]);
    assert!(world.get(Resource::Pods, "web-0").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_closure_says_whose_emptydir_may_be_lost_and_one_without_an_answer_refuses() {
    let world = unbudgeted(&["web-0", "web-1"]);
    for name in ["web-0", "web-1"] {
        let mut pod = world.pod(name);
        pod["spec"]["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
        world.put(Resource::Pods, pod);
    }
    let mut trial = Trial::of(&world, 600);
    trial.context.closures = closure("emptydir", r#"eq(field(l_p, "name"), s("web-1"))"#);
    assert_eq!(
        told(&trial.perform("drain", &[]).await),
        "E550 drain of `n` evicts nothing: a pod stands in the way\n\
         shop/web-0 has an emptyDir, whose content would be lost"
    );
    trial.context.closures = closure("emptydir", r#"isin(s("web"), index(field(l_p, "labels"), s("none")))"#);
    let attempt = told(&trial.perform("drain", &[]).await);
    assert!(attempt.contains("shop/web-0 is not decided by `emptydir`: "), "{attempt}");
    assert_eq!(world.count("POST"), 0);
    trial.context.closures = closure("emptydir", "v(true)");
    assert_eq!(told(&trial.perform("drain", &[]).await), "done");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_drained_once_its_volumes_are_detached() {
    let world = unbudgeted(&["web-0"]);
    let node = |attached: serde_json::Value| {
        json!({
            "metadata": {"name": "n", "uid": "n-uid"}, "spec": {"unschedulable": true},
            "status": {"volumesAttached": attached},
        })
    };
    world.put(Resource::Nodes, node(json!([{"name": "csi/disk-1", "devicePath": ""}])));
    let later = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(40)).await;
        later.put(Resource::Nodes, node(json!([])));
    });
    let mut trial = Trial::of(&world, 600);
    let begun = tokio::time::Instant::now();
    assert_eq!(told(&trial.perform("drain", &[]).await), "done");
    assert!((40..43).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let waiting = trial.noted().1;
    let line = "`n`: its pods are gone, and the volume `csi/disk-1` is still attached";
    assert!(waiting.iter().any(|said| said == line), "{waiting:?}");
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_detached_when_its_attachment_is_gone_and_not_as_that_begins() {
    let world = unbudgeted(&["web-0"]);
    let attachment = |node: &str, volume: &str| {
        json!({
            "metadata": {"name": format!("csi-{volume}"), "uid": format!("csi-{volume}-uid")},
            "spec": {"attacher": "disk.example.com", "nodeName": node, "source": {"persistentVolumeName": volume}},
        })
    };
    world.put(Resource::VolumeAttachments, attachment("n", "pv-1"));
    world.put(Resource::VolumeAttachments, attachment("other", "pv-2"));
    let later = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(41)).await;
        later.remove(Resource::VolumeAttachments, "csi-pv-1");
    });
    let mut trial = Trial::of(&world, 600);
    let begun = tokio::time::Instant::now();
    assert_eq!(told(&trial.perform("drain", &[]).await), "done");
    assert!((41..43).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let waiting = trial.noted().1;
    let line = "`n`: its pods are gone, and the volume `pv-1` of `disk.example.com` is still attached";
    assert!(waiting.iter().any(|said| said == line), "{waiting:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_attachments_the_word_of_the_node_has_to_do() {
    let world = unbudgeted(&["web-0"]);
    world.facts.write(|facts| facts.refuse(Resource::VolumeAttachments, "you may not"));
    assert_eq!(told(&Trial::of(&world, 600).perform("drain", &[]).await), "done");
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_stays_attached_is_named_when_the_time_is_over() {
    let world = unbudgeted(&["web-0"]);
    world.put(
        Resource::Nodes,
        json!({
            "metadata": {"name": "n", "uid": "n-uid"}, "spec": {"unschedulable": true},
            "status": {"volumesAttached": [{"name": "csi/disk-1", "devicePath": ""}]},
        }),
    );
    let attempt = told(&Trial::of(&world, 60).perform("drain", &[]).await);
    assert!(
        attempt.starts_with("E552 drain of `n` did not end within its timeout of 10m: its pods are gone"),
        "{attempt}"
    );
    assert!(attempt.contains("`csi/disk-1` is still attached (W112)"), "{attempt}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_becomes_impossible_ends_the_drain_at_once() {
    let world = World::new();
    world.workload(3, 2);
    for name in ["web-0", "web-1", "web-2"] {
        world.pod(name);
    }
    world.state().replaces = false;
    let changed = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut budget = changed.get(Resource::Budgets, "web").expect("the budget");
        budget["spec"]["minAvailable"] = json!(3);
        changed.put(Resource::Budgets, budget);
    });
    let begun = tokio::time::Instant::now();
    assert_eq!(
        told(&Trial::of(&world, 600).perform("drain", &[]).await),
        "W101 drain of `n` cannot end: budget `shop/web` never allows an eviction\n\
         who    shop/web-1, shop/web-2\n\
         why    minAvailable is 3 and the StatefulSet has 3 replicas\n\
         state  `n` stays cordoned, 1 evicted before, nothing was forced"
    );
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn admission_that_says_no_or_is_away_is_asked_again_and_named() {
    let faults = [
        (Fault::Denied, "held by an admission webhook", "denied the request: not now"),
        (Fault::Policy, "held by an admission policy", "'freeze' with binding 'all' denied request: not now"),
        (Fault::Away, "held by an admission webhook", "failed calling webhook"),
    ];
    for (fault, held, said) in faults {
        let world = unbudgeted(&["web-0"]);
        world.state().faults.push_back(fault);
        let mut trial = Trial::of(&world, 600);
        assert_eq!(told(&trial.perform("drain", &[]).await), "done");
        let (evicted, waiting) = trial.noted();
        assert_eq!(evicted, ["shop/web-0"]);
        assert!(waiting.iter().any(|line| line.contains(held) && line.contains(said)), "{waiting:?}");
        assert_eq!(world.count("POST"), 2);
        world.pod("web-1");
        world.state().faults.extend([fault; 20]);
        let attempt = told(&Trial::of(&world, 60).perform("drain", &[]).await);
        assert!(attempt.contains(said) && attempt.contains("(W109)"), "{attempt}");
    }
}
