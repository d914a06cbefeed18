use serde_json::json;
use tokio::time::Instant;

use super::server::Fault;
use super::world::{Trial, World, args, told};
use crate::actions::{Attempt, Note, Stop, tidy};
use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;
use crate::facts::Resource;

const POST: &str = "POST /apis/batch/v1/namespaces/ops/jobs";
const JOB: &[(&str, &str)] = &[("image", "app:1"), ("namespace", "ops")];

/// One attempt whose pod ends with that exit code after five seconds.
async fn ends_with(world: &World, trial: &Trial, code: i64) -> Attempt {
    world.after(5, move |world| world.end_job(code));
    trial.perform("job", JOB).await
}

/// The same of a name that hangs on run and step.
fn shown(attempt: &Attempt, world: &World) -> String {
    let name = world.job().map(|job| job["metadata"]["name"].as_str().unwrap_or_default().to_owned());
    told(attempt).replace(&format!("ops/{}", name.unwrap_or_default()), "JOB")
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_well_is_done_and_then_removed() {
    let (world, begun) = (World::new(), Instant::now());
    let trial = Trial::of(&world, 600);
    let attempt = ends_with(&world, &trial, 0).await;
    assert_eq!(told(&attempt), "done");
    assert!(
        matches!(&attempt, Attempt::Done { value: Some(value), .. } if value.to_string().contains('0')),
        "{attempt:?}"
    );
    assert_eq!(begun.elapsed().as_secs(), 5, "the watch tells of the end");
    let job = world.job().expect("the job is kept until its outcome is durable");
    assert_eq!(job["spec"]["template"]["spec"]["nodeName"], "n");
    assert_eq!(job["spec"]["backoffLimit"], 0);
    tidy("job", &args(JOB), &trial.context).await;
    assert_eq!(world.job(), None);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_is_kept_and_the_next_attempt_makes_another() {
    let world = World::new();
    let mut trial = Trial::of(&world, 600);
    let attempt = ends_with(&world, &trial, 3).await;
    assert_eq!(shown(&attempt, &world), "E544 job `JOB` ended with exit code 3");
    tidy("job", &args(JOB), &trial.context).await;
    let first = world.job().expect("its log can be read");
    trial.context.attempt = 2;
    assert_eq!(told(&ends_with(&world, &trial, 0).await), "done");
    assert_ne!(world.job().map(|job| job["metadata"]["uid"].clone()), Some(first["metadata"]["uid"].clone()));
    assert_eq!(world.count(POST), 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_joined_after_a_crash() {
    let world = World::new();
    let trial = Trial::of(&world, 600);
    let stop = trial.stop.clone();
    world.after(2, move |_| _ = stop.send_replace(Stop::Out));
    assert_eq!(told(&trial.perform("job", JOB).await), "interrupted");
    assert!(world.job().is_some(), "the job goes on");
    assert_eq!(told(&ends_with(&world, &Trial::of(&world, 600), 0).await), "done");
    // It may also have ended while nobody was there.
    assert_eq!(told(&Trial::of(&world, 600).perform("job", JOB).await), "done");
    assert_eq!(world.count(POST), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_told_and_the_job_awaited() {
    let world = World::new();
    let mut trial = Trial::of(&world, 600);
    let stop = trial.stop.clone();
    world.after(2, move |_| _ = stop.send_replace(Stop::Stop));
    assert_eq!(told(&ends_with(&world, &trial, 0).await), "done");
    let waiting = trial.noted().1;
    assert!(waiting.last().is_some_and(|line| line.ends_with("runs and is awaited, 9m58s left")), "{waiting:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_answer_was_lost_is_made_once() {
    let world = World::new();
    world.state().faults.push_back(Fault::Lost);
    assert_eq!(told(&ends_with(&world, &Trial::of(&world, 600), 0).await), "done");
    assert_eq!(world.count(POST), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_told() {
    for (fault, expected) in [
        (Fault::Forbidden, "E712 sprag may not create `jobs.batch`: you may not"),
        (Fault::Invalid, "E546 the server does not take job `JOB`: it is not valid"),
    ] {
        let world = World::new();
        world.state().faults.push_back(fault);
        let attempt = Trial::of(&world, 600).perform("job", JOB).await;
        let name = told(&attempt).split('`').find(|word| word.starts_with("ops/")).unwrap_or("none").to_owned();
        assert_eq!(told(&attempt).replace(&name, "JOB"), expected);
        assert_eq!(world.job(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_or_its_node_that_goes_meanwhile_is_missed() {
    let world = World::new();
    world.after(5, |world| {
        let name = world.job().expect("a job")["metadata"]["name"].as_str().expect("a name").to_owned();
        world.remove(Resource::Jobs, &name);
    });
    let attempt = told(&Trial::of(&world, 600).perform("job", JOB).await);
    assert!(
        attempt.starts_with("E544 ") && attempt.ends_with("was deleted by someone else before it ended"),
        "{attempt}"
    );
    world.remove(Resource::Nodes, "n");
    let attempt = told(&Trial::of(&world, 600).perform("job", JOB).await);
    assert_eq!(attempt, "E505 node `n` is gone or replaced");
}

#[tokio::test(start_paused = true)]
async fn a_job_of_another_step_is_left_alone() {
    let world = World::new();
    assert_eq!(told(&ends_with(&world, &Trial::of(&world, 600), 0).await), "done");
    let mut job = world.job().expect("a job");
    job["metadata"]["annotations"]["sprag.dev/step"] = json!("another");
    world.put(Resource::Jobs, job);
    let attempt = Trial::of(&world, 600).perform("job", JOB).await;
    assert_eq!(shown(&attempt, &world), "E546 a job `JOB` is there, and this step did not make it");
    assert_eq!(world.count("DELETE"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_time_is_over_is_removed() {
    let world = World::new();
    let attempt = told(&Trial::of(&world, 60).perform("job", JOB).await);
    assert_eq!(attempt, "E501 `job` did not end within its timeout of 10m");
    assert_eq!(world.job(), None);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_may_not_be_made_and_a_quota_that_is_used_up_are_told_apart() {
    for (why, seconds) in
        [("pods \"x\" is forbidden: violates PodSecurity", 5), ("pods \"x\" is forbidden: exceeded quota: q", 30)]
    {
        let (world, begun) = (World::new(), Instant::now());
        world.after(5, move |world| {
            let uid = world.job().expect("a job")["metadata"]["uid"].clone();
            let involved = json!({"kind": "Job", "uid": uid});
            world.put(
                Resource::Events,
                json!({
                    "metadata": {"namespace": "ops", "name": "e", "uid": "e-uid"}, "involvedObject": involved,
                    "reason": "FailedCreate", "message": why,
                }),
            );
        });
        let mut trial = Trial::of(&world, 30);
        let attempt = told(&trial.perform("job", JOB).await);
        assert_eq!(begun.elapsed().as_secs(), seconds, "{attempt}");
        assert!(attempt.contains(why), "{attempt}");
        assert_eq!(world.job(), None, "it does not begin later");
        let named = trial.noted().1.iter().any(|line| line.contains("has no pod: ") && line.contains(why));
        assert_eq!(named, seconds == 30, "what may yet come right is named while it is awaited");
    }
}

/// A Job with an effect that is to be looked at, which fails after five seconds.
async fn reboots(world: &World, trial: &mut Trial) -> u64 {
    let begun = Instant::now();
    trial.context.has_effect = true;
    let attempt = ends_with(world, trial, 1).await;
    assert!(told(&attempt).starts_with("E544"), "{attempt:?}");
    begun.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_job_that_took_its_node_down_is_judged_once_the_node_is_back() {
    let world = World::new();
    let mut trial = Trial::of(&world, 600);
    let clock = trial.context.outside.clock.clone();
    // Renewals from before it could go down, or while it is not ready, do not count.
    for (second, ready) in [(1, true), (10, true), (20, false), (60, false), (70, true)] {
        let clock = clock.clone();
        world.after(second, move |world| world.beat(clock.now(), ready));
    }
    assert_eq!(reboots(&world, &mut trial).await, 70);
    assert_eq!(
        world.count("GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"),
        2,
        "a list and a watch"
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_leases_a_node_is_back_once_its_silence_would_have_been_seen() {
    let world = World::new();
    world.state().hidden.insert(Resource::Leases);
    let mut trial = Trial::of(&world, 600);
    world.beat(trial.context.now(), true);
    assert_eq!(reboots(&world, &mut trial).await, 65);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_come_back_is_not_waited_for() {
    let world = World::new();
    let mut trial = Trial::of(&world, 600);
    world.after(30, |world| world.remove(Resource::Nodes, "n"));
    assert_eq!(reboots(&world, &mut trial).await, 30);
    let node = ObjectRef { kind: Kind::Node, namespace: String::new(), name: "n".to_owned(), uid: "n-uid".to_owned() };
    assert!(world.facts.is_gone(&node));
    let awaited = |note: &Note| matches!(note, Note::Waiting(_, lines) if lines.iter().any(|line| line.contains("`n` is awaited")));
    let notes: Vec<Note> = std::iter::from_fn(|| trial.notes.try_recv().ok()).collect();
    assert!(notes.iter().any(awaited), "{notes:?}");
}
