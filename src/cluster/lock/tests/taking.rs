//! Who gets the lock, and when.

use tokio::time::{Instant, sleep};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_lock_that_nobody_holds_is_taken_and_says_who_has_it() {
    let server = Server::default();
    let lock = taken(&server.station(), "build-7", 812).await;
    assert_eq!(lock.replaced(), None);
    let lease = server.lease();
    assert_eq!(
        lease["spec"],
        json!({
            "leaseTransitions": 0,
            "acquireTime": "2025-11-24T16:00:00.000000Z",
            "holderIdentity": "7c1f-01@build-7:812",
            "leaseDurationSeconds": 60,
            "renewTime": "2025-11-24T16:00:00.000000Z",
        })
    );
    let note = lease["metadata"]["annotations"]["sprag.dev/holder"].as_str().expect("a note");
    assert_eq!(serde_json::from_str::<HolderNote>(note).expect("a note"), claimant("build-7", 812).note);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_second_is_told_who_holds_it() {
    let server = Server::default();
    let _lock = taken(&server.station(), "build-7", 812).await;
    sleep(Duration::from_secs(25)).await;
    let before = Instant::now();
    let error = take(&server.station(), claimant("laptop", 3)).await.err().expect("held");
    assert_eq!(before.elapsed(), Duration::ZERO, "at once");
    assert_eq!((error.code(), error.exit_code()), ("E720", 6));
    let text = error.to_string();
    let who =
        "`cluster` is locked by run `7c1f-01` of `jo` (process 812 on `build-7`) since 2025-11-24T16:00:00Z, renewed";
    // A station's clock begins when it is made.
    assert!(text.starts_with(who), "{text}");
    assert!(error.help().contains("`sprag resume 7c1f-01 --take-over`"), "{}", error.help());
}

#[tokio::test(start_paused = true)]
async fn what_was_let_go_is_free_at_once() {
    let server = Server::default();
    let first = taken(&server.station(), "build-7", 812).await;
    let fence = first.fence();
    first.release().await.expect("a release");
    assert_eq!(
        (&server.lease()["spec"]["holderIdentity"], &server.lease()["spec"]["leaseDurationSeconds"]),
        (&json!(""), &json!(1))
    );
    assert!(matches!(fence.check(), Err(LockLost::Released(_))));
    let second = taken(&server.station(), "laptop", 3).await;
    assert_eq!(second.replaced(), None);
    assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(1));
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_driver_that_is_known_to_be_dead_is_ours_at_once() {
    let server = Server::default();
    drop(taken(&server.station(), "build-7", 812).await);
    let station = server.station();
    let others = [
        ("another number", "7c1f-01", Holder { pid: 813, ..holder("build-7", 812) }),
        ("another begin, as in another folder", "7c1f-01", Holder { since: BEGIN + 1, ..holder("build-7", 812) }),
        ("another host", "7c1f-01", holder("build-8", 812)),
        ("another run", "7c1f-02", holder("build-7", 812)),
    ];
    let next = |run: &str, previous: Holder| Claimant {
        note: HolderNote::new(run, &Holder { since: BEGIN + 9, ..holder("build-7", 900) }, "jo"),
        previous: vec![holder("laptop", 1), previous],
    };
    for (what, run, previous) in others {
        assert!(take(&station, next(run, previous)).await.is_err(), "{what}");
    }
    let lock = take(&station, next("7c1f-01", holder("build-7", 812))).await.expect("the lock");
    let replaced = lock.replaced().expect("the dead");
    assert!(replaced.is_dead);
    assert_eq!(replaced.holder.identity, "7c1f-01@build-7:812");
    assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(1));
}

#[tokio::test(start_paused = true)]
async fn a_takeover_waits_until_the_lease_has_run_out_by_its_own_clock() {
    let server = Server::default();
    drop(taken(&server.station(), "build-7", 812).await);
    for times in ["1999-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"] {
        server.edit(|lease| lease["spec"]["renewTime"] = json!(times));
        server.edit(|lease| lease["spec"]["holderIdentity"] = json!("7c1f-01@build-7:812"));
        let before = Instant::now();
        let mut waited = Vec::new();
        let mut tell = |waiting: &Waiting| waited.push((waiting.left.as_secs(), waiting.is_alive));
        let station = server.station();
        let patience = Patience::Wait(&mut tell);
        let lock = Lock::acquire(&station.requests, &station.clock, domain(), claimant("laptop", 3), patience).await;
        let lock = lock.expect("the lock");
        assert_eq!(before.elapsed().as_secs(), 60);
        assert_eq!(waited, [60, 50, 40, 30, 20, 10].map(|left| (left, false)));
        let replaced = lock.replaced().expect("the holder before");
        assert_eq!((replaced.is_dead, &*replaced.holder.identity), (false, "7c1f-01@build-7:812"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_alive_is_waited_for_and_told_to_be() {
    let server = Server::default();
    let lock = taken(&server.station(), "build-7", 812).await;
    tokio::spawn(async move {
        sleep(Duration::from_secs(95)).await;
        lock.release().await.expect("a release");
    });
    let mut alive = Vec::new();
    let mut tell = |waiting: &Waiting| alive.push(waiting.is_alive);
    let station = server.station();
    let patience = Patience::Wait(&mut tell);
    let before = Instant::now();
    let lock = Lock::acquire(&station.requests, &station.clock, domain(), claimant("laptop", 3), patience).await;
    assert_eq!(lock.expect("the lock").replaced(), None);
    assert!((95..=105).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    assert!(!alive[0] && alive[2..].iter().all(|alive| *alive), "{alive:?}");
}

#[tokio::test(start_paused = true)]
async fn of_many_at_once_one_gets_it() {
    for is_held in [false, true] {
        let server = Server::default();
        if is_held {
            taken(&server.station(), "build-7", 1).await.release().await.expect("a release");
        }
        let stations: Vec<Station> = (0..5).map(|_| server.station()).collect();
        let takers = stations.iter().zip(2..).map(|(station, pid)| take(station, claimant("build-7", pid)));
        let locks = futures_util::future::join_all(takers).await;
        assert_eq!(locks.iter().filter(|lock| lock.is_ok()).count(), 1);
        assert!(locks.iter().flat_map(|lock| lock.as_ref().err()).all(|error| error.exit_code() == 6));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_looked_for() {
    let server = Server::default();
    let station = server.station();
    station.set(Fault::LosesAnAnswer);
    let lock = taken(&station, "build-7", 812).await;
    assert!(lock.fence().check().is_ok());
    station.set(Fault::LosesAnAnswer);
    lock.release().await.expect("a release");
    assert_eq!(server.lease()["spec"]["holderIdentity"], json!(""));
    station.set(Fault::LosesAnAnswer);
    assert!(taken(&station, "build-7", 813).await.fence().check().is_ok());
    assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(1));
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_into_the_lease_stays() {
    let server = Server::default();
    taken(&server.station(), "build-7", 812).await.release().await.expect("a release");
    server.edit(|lease| {
        lease["spec"]["strategy"] = json!("OldestEmulationVersion");
        lease["metadata"]["labels"] = json!({"team": "infra"});
    });
    let _lock = taken(&server.station(), "laptop", 3).await;
    let lease = server.lease();
    assert_eq!(lease["spec"]["strategy"], json!("OldestEmulationVersion"));
    assert_eq!(lease["metadata"]["labels"], json!({"team": "infra"}));
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_the_way_says_what_to_do() {
    let server = Server::default();
    let station = server.station();
    station.set(Fault::Forbids);
    let error = take(&station, claimant("laptop", 3)).await.err().expect("forbidden");
    assert_eq!((error.code(), error.exit_code()), ("E721", 13));
    assert_eq!(error.to_string(), "sprag may not get leases in the namespace `kube-system`: leases is forbidden");
    assert!(error.help().contains("--no-lock"), "{}", error.help());
    station.set(Fault::Down);
    assert_eq!(take(&station, claimant("laptop", 3)).await.err().expect("down").code(), "E710");
    station.set(Fault::Nothing);
    let away = Domain::new("cluster", "away").expect("a name");
    let error = Lock::acquire(&station.requests, &station.clock, away, claimant("laptop", 3), Patience::Refuse).await;
    assert_eq!(error.err().expect("no namespace").exit_code(), 2);
    server.state().lease = Some(json!({"metadata": "none", "spec": []}));
    assert_eq!(take(&station, claimant("laptop", 3)).await.err().expect("no lease").code(), "E723");
}

#[test]
fn names_are_those_that_kubernetes_takes() {
    for name in ["cluster", "pool-a", "eu.prod", "7"] {
        assert!(Domain::new(name, "kube-system").is_ok(), "{name}");
    }
    for name in ["", "Pool", "a_b", "-a", "a-", "a..b", "a/b", "a b", &"a".repeat(248)] {
        assert_eq!(Domain::new(name, "kube-system").expect_err(name).exit_code(), 2);
    }
    assert_eq!(Domain::new("a", "kube.system").expect_err("a dot").code(), "E724");
}
