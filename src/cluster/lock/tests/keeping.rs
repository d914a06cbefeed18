//! Keeping a lock, losing it, and what is let through meanwhile.

use tokio::time::{Instant, sleep};

use super::*;
use crate::journal::{Header, Journal, RunsDir};

const MINUTE: Duration = Duration::from_secs(60);

/// Another process takes the Lease.
fn is_taken_by_another(server: &Server) {
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!("9a00-01@laptop:3"));
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_renewed_for_as_long_as_it_is_held() {
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    for _ in 0..10 {
        sleep(MINUTE).await;
        lock.fence().check().expect("the lock");
    }
    assert!((59..=60).contains(&server.count("PUT")), "{}", server.count("PUT"));
    assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(0));
    change(&station, lock.fence()).await.expect("a change");
    assert_eq!(server.count("PATCH"), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_changes_nothing_before_anyone_can_take_the_lock_and_goes_on_if_nobody_did() {
    for fault in [Fault::Down, Fault::Silent, Fault::Forbids] {
        let server = Server::default();
        let station = server.station();
        let lock = taken(&station, "build-7", 812).await;
        station.set(fault);
        sleep(MINUTE + Duration::from_secs(10)).await;
        assert!(matches!(lock.fence().check(), Err(LockLost::RanOut { .. })));
        sleep(5 * MINUTE).await;
        assert_eq!(server.count("PATCH"), 0);
        station.set(Fault::Nothing);
        change(&station, lock.fence()).await.expect("nobody has taken it meanwhile");
        assert_eq!(server.count("PATCH"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_after_another_has_taken_the_lock_changes_nothing() {
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    station.set(Fault::Down);
    sleep(5 * MINUTE).await;
    is_taken_by_another(&server);
    station.set(Fault::Nothing);
    assert!(matches!(change(&station, lock.fence()).await, Err(RequestError::Fenced(_))));
    assert!(matches!(lock.fence().lost().await, LockLost::Taken { by: Some(_), .. }));
    assert_eq!(server.count("PATCH"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_short_time_out_of_reach_costs_nothing() {
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    for fault in [Fault::Down, Fault::Silent, Fault::Forbids, Fault::LosesAnAnswer] {
        station.set(fault);
        sleep(Duration::from_secs(25)).await;
        station.set(Fault::Nothing);
        sleep(MINUTE).await;
        lock.fence().check().expect("the lock");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_has_taken_is_lost_for_good() {
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    is_taken_by_another(&server);
    let lost = lock.fence().lost().await;
    assert_eq!(
        lost.to_string(),
        "the lease `kube-system/sprag-cluster` is held by `9a00-01@laptop:3` since 2025-11-24T16:00:00Z, renewed 10s ago"
    );
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!("7c1f-01@build-7:812"));
    sleep(MINUTE).await;
    assert_eq!(lock.fence().check(), Err(lost));
    lock.release().await.expect("nothing to let go");
}

#[tokio::test(start_paused = true)]
async fn letting_go_leaves_the_lease_of_another_alone() {
    let server = Server::default();
    let lock = taken(&server.station(), "build-7", 812).await;
    is_taken_by_another(&server);
    lock.release().await.expect("nothing to let go");
    assert_eq!(server.lease()["spec"]["holderIdentity"], json!("9a00-01@laptop:3"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_asks_before_it_changes_anything() {
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    sleep(Duration::from_secs(15)).await;
    station.sleep(300_000);
    let ran_out = lock.fence().check().expect_err("the wall clock went on");
    assert_eq!(ran_out.to_string(), "the lease `kube-system/sprag-cluster` has run out: it was renewed 5m5s ago");
    let before = Instant::now();
    change(&station, lock.fence()).await.expect("nobody took it");
    assert!(before.elapsed() < Duration::from_secs(1), "it is renewed at once");
    lock.fence().check().expect("the lock");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_was_suspended_and_wakes_after_a_takeover_changes_nothing() {
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    station.sleep(300_000);
    is_taken_by_another(&server);
    let refused = change(&station, lock.fence()).await.expect_err("taken over");
    assert!(matches!(&refused, RequestError::Fenced(why) if why.contains("9a00-01@laptop:3")), "{refused}");
    assert_eq!(server.count("PATCH"), 0);
    assert!(matches!(lock.fence().check(), Err(LockLost::Taken { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_tried_again_is_asked_for_again() {
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    station.set(Fault::Down);
    let trying = tokio::time::timeout(5 * MINUTE, change(&station, lock.fence()));
    assert!(trying.await.is_err(), "it waits until it can be asked");
    is_taken_by_another(&server);
    let (refused, ()) = tokio::join!(change(&station, lock.fence()), async {
        sleep(MINUTE).await;
        station.set(Fault::Nothing);
    });
    assert!(matches!(refused, Err(RequestError::Fenced(_))), "{refused:?}");
    assert_eq!(server.count("PATCH"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_deleted_is_made_anew_only_while_it_is_ours() {
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    server.state().lease = None;
    sleep(MINUTE).await;
    lock.fence().check().expect("the lock");
    assert_eq!(server.lease()["spec"]["holderIdentity"], json!("7c1f-01@build-7:812"));
    server.state().lease = None;
    station.sleep(300_000);
    assert!(matches!(change(&station, lock.fence()).await, Err(RequestError::Fenced(_))));
    assert!(server.state().lease.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_the_lease_that_leaves_it_ours_is_taken_on() {
    let server = Server::default();
    let lock = taken(&server.station(), "build-7", 812).await;
    server.edit(|lease| lease["metadata"]["labels"] = json!({"team": "infra"}));
    sleep(MINUTE).await;
    lock.fence().check().expect("the lock");
    assert_eq!(server.lease()["metadata"]["labels"], json!({"team": "infra"}));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_dropped_lets_nothing_through_and_runs_out() {
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    let fence = lock.fence();
    drop(lock);
    assert!(matches!(change(&station, fence.clone()).await, Err(RequestError::Fenced(_))));
    assert!(matches!(fence.lost().await, LockLost::Released(_)));
    assert_eq!(server.lease()["spec"]["holderIdentity"], json!("7c1f-01@build-7:812"));
}

#[tokio::test(start_paused = true)]
async fn a_later_epoch_of_the_run_lets_nothing_through_even_without_a_lock() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let dir = RunsDir::new(temp.path()).create("7c1f09ab").expect("a run");
    let header = Header::new(dir.id(), "7c1f09ab", "uid", BEGIN);
    let journal = Journal::create(&dir, &header, &holder("build-7", 812)).expect("a journal");
    let server = Server::default();
    let station = server.station();
    let fence = Fence::default().with_epoch(journal.epoch_guard());
    change(&station, fence.clone()).await.expect("a change");
    let _taken = Journal::take_over::<Value>(&dir, &holder("laptop", 3)).expect("a takeover");
    let refused = change(&station, fence.clone()).await.expect_err("taken over");
    assert!(refused.to_string().contains("was taken over by process 3 on `laptop`"), "{refused}");
    assert_eq!((server.count("PATCH"), fence.check()), (1, Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_asks_the_fence_is_appended_to_only_under_the_lock() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let dir = RunsDir::new(temp.path()).create("7c1f09ab").expect("a run");
    let header = Header::new(dir.id(), "7c1f09ab", "uid", BEGIN);
    let mut journal = Journal::create(&dir, &header, &holder("build-7", 812)).expect("a journal");
    let server = Server::default();
    let station = server.station();
    let lock = taken(&station, "build-7", 812).await;
    let fence = lock.fence();
    journal.ask_before_append(Box::new(move || fence.check().map_err(|lost| lost.to_string())));
    journal.append(vec![json!("under the lock")], BEGIN).expect("an append");
    station.sleep(300_000);
    let error = journal.append(vec![json!("after a long sleep")], BEGIN).expect_err("the lease has run out");
    assert_eq!((error.code(), error.exit_code()), ("E612", 6));
}
