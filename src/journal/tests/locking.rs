//! One driver for a run.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::super::{LockState, read_only};
use super::*;

#[test]
fn a_second_driver_is_refused_and_told_who_holds_the_run() {
    let place = Place::new();
    let dir = place.run();
    assert_eq!(dir.lock_state().expect("a state"), LockState::Free);
    let journal = create(&dir);
    let error = open(&dir).expect_err("held");
    assert_eq!((error.code(), error.exit_code()), ("E605", 6));
    let text = error.to_string();
    let me = format!("process {} on `{}`", std::process::id(), holder().host);
    assert!(text.contains(&format!("run `{}`", dir.id())) && text.contains(&me), "{text}");
    assert!(text.ends_with("since 2025-11-24T16:00:00Z"), "{text}");
    assert_eq!(dir.lock_state().expect("a state"), LockState::Held(Some(holder())));
    assert!(read_only::<Event>(&dir).is_ok(), "reading needs no lock");
    drop(journal);
    assert_eq!(dir.lock_state().expect("a state"), LockState::Free);
    assert!(open(&dir).is_ok());
}

#[test]
fn a_holder_that_cannot_be_read_is_still_a_holder() {
    let place = Place::new();
    let dir = place.run();
    let _journal = create(&dir);
    fs::write(dir.lock_path(1), "").expect("a file");
    assert_eq!(dir.lock_state().expect("a state"), LockState::Held(None));
    let text = open(&dir).expect_err("held").to_string();
    assert_eq!(text, "run `7c1f-01` is held by another process");
}

#[test]
fn of_many_drivers_one_wins() {
    const DRIVERS: usize = 4;
    let place = Place::new();
    let dir = place.run();
    drop(create(&dir));
    for _ in 0..50 {
        let (start, end) = (Barrier::new(DRIVERS), Barrier::new(DRIVERS));
        let winners = AtomicUsize::new(0);
        let drive = || {
            start.wait();
            let opened = open(&dir);
            winners.fetch_add(usize::from(opened.is_ok()), Ordering::SeqCst);
            end.wait();
        };
        thread::scope(|scope| (0..DRIVERS).for_each(|_| drop(scope.spawn(drive))));
        assert_eq!(winners.into_inner(), 1);
    }
}

#[test]
fn those_who_look_are_in_no_drivers_way() {
    let place = Place::new();
    let dir = place.run();
    drop(create(&dir));
    let is_over = AtomicBool::new(false);
    let looked = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                looked.wait();
                while !is_over.load(Ordering::SeqCst) {
                    dir.lock_state().expect("a state");
                }
            });
        }
        looked.wait();
        let refused = (0..2000).filter_map(|_| dir.lock(1, &holder()).err());
        let refused: Vec<JournalError> = refused.collect();
        is_over.store(true, Ordering::SeqCst);
        assert!(refused.is_empty(), "{refused:?}");
    });
}
