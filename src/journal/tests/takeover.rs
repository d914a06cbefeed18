//! Takeovers: a run goes on in a new epoch, and the driver before can do nothing about it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::{LockState, Salvaged, StoreHandle, read_only, salvage};
use super::*;

fn take_over(dir: &RunDir) -> Result<Opened<Event>, JournalError> {
    Journal::take_over(dir, &holder())
}

fn read(dir: &RunDir) -> Vec<Record<Event>> {
    read_only::<Event>(dir).expect("a journal").records
}

fn append_bytes(dir: &RunDir, epoch: u32, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(dir.epoch_path(epoch)).expect("a journal");
    file.write_all(bytes).expect("bytes");
}

/// A run of three epochs: two records of the first with a late one behind them, two of the second, one of the third.
fn three_epochs(place: &Place) -> (RunDir, Vec<Record<Event>>) {
    let (bytes, records) = six_records("7c1f-01");
    let all = lines(&bytes);
    let dir = place.run_with(&all[..3].concat());
    let mut kept = records[..2].to_vec();
    let mut second = take_over(&dir).expect("a takeover").journal;
    append_bytes(&dir, 1, &all[3..5].concat());
    kept.extend(second.append(vec![begun("second"), done("second")], CREATED + 20).expect("an append"));
    let mut third = take_over(&dir).expect("a takeover").journal;
    kept.extend(third.append(vec![begun("third")], CREATED + 30).expect("an append"));
    (dir, kept)
}

#[test]
fn a_run_is_taken_over_from_a_driver_that_hangs() {
    let place = Place::new();
    let dir = place.run();
    let mut hung = create(&dir);
    let first = hung.append(vec![begun("a")], CREATED + 1).expect("an append");
    hung.touch_alive(CREATED + 50).expect("a heartbeat");
    assert_eq!(open(&dir).expect_err("held").code(), "E605");

    let next = Holder { host: "other".to_owned(), pid: 7, since: CREATED + 90 };
    let opened: Opened<Event> = Journal::take_over(&dir, &next).expect("a takeover");
    assert_eq!((&opened.records, opened.journal.driver(), opened.repaired), (&first, 2, None));
    assert_eq!((opened.last_seen_ms, opened.header), (CREATED + 50, header(dir.id())));
    let takeover = opened.takeover.expect("a takeover");
    assert_eq!((takeover.epoch, takeover.seq, &*takeover.follows), (2, 1, "journal"));
    assert_eq!((takeover.replaced, &takeover.by), (Some(holder()), &next));
    assert_eq!(dir.lock_state().expect("a state"), LockState::Held(Some(next)));

    let error = hung.append(vec![done("a")], CREATED + 2).expect_err("taken over");
    assert_eq!((error.code(), error.exit_code()), ("E611", 6));
    let text = error.to_string();
    assert!(text.starts_with("run `7c1f-01` was taken over by process 7 on `other` since 2025"), "{text}");
    assert_eq!(hung.append(vec![done("a")], CREATED + 3).expect_err("poisoned").code(), "E609");
    assert_eq!(hung.epoch_guard().check().expect_err("taken over").code(), "E611");

    let mut journal = opened.journal;
    let added = journal.append(vec![done("a")], CREATED + 100).expect("an append");
    assert_eq!((added[0].seq, added[0].driver), (2, 2));
    assert!(journal.epoch_guard().check().is_ok());
    let head = journal.head().to_owned();
    drop((journal, hung));
    let whole = read_only::<Event>(&dir).expect("a journal");
    assert_eq!((whole.records, whole.head), ([first, added].concat(), head));
    assert_eq!(whole.takeovers.len(), 1);
    let again = open(&dir).expect("nobody drives it");
    assert_eq!((again.journal.driver(), again.takeover, again.last_seen_ms), (3, None, CREATED + 100));
}

#[test]
fn a_tail_that_was_torn_in_an_earlier_epoch_stays_there_and_does_not_count() {
    let (bytes, records) = six_records("7c1f-01");
    for cut in lines(&bytes)[0].len()..bytes.len() {
        let place = Place::new();
        let dir = place.run_with(&bytes[..cut]);
        let opened = take_over(&dir).expect("a takeover");
        let kept = opened.records.len();
        assert_eq!(opened.records, records[..kept], "cut at {cut}");
        // Who hung in the middle of the write wakes and goes on with it.
        append_bytes(&dir, 1, &bytes[cut..]);
        let mut journal = opened.journal;
        let added = journal.append(vec![done("after")], CREATED + 9).expect("an append");
        assert_eq!(read(&dir), [&records[..kept], &added].concat(), "cut at {cut}");
        assert_eq!(fs::read(dir.epoch_path(1)).expect("bytes"), bytes, "cut at {cut}");
    }
}

#[test]
fn late_appends_and_rubbish_behind_the_takeover_are_not_read() {
    let place = Place::new();
    let (dir, kept) = three_epochs(&place);
    assert_eq!(read(&dir), kept);
    append_bytes(&dir, 1, b"rubbish\n");
    append_bytes(&dir, 2, &line_of(&serde_json::json!({"v": 9, "seq": 99})));
    assert_eq!(read(&dir), kept);
    let opened = open(&dir).expect("a journal");
    assert_eq!((opened.records, opened.journal.driver(), opened.journal.last_seq()), (kept, 4, 5));
}

#[test]
fn an_append_that_is_overtaken_is_answered_with_an_error_and_not_read() {
    let place = Place::new();
    let dir = place.run();
    let mut hung = create(&dir);
    // It hangs between the look and the write.
    let other = dir.clone();
    hung.ask_before_append(Box::new(move || take_over(&other).map(drop).map_err(|error| error.to_string())));
    let error = hung.append(vec![begun("a")], CREATED).expect_err("overtaken");
    assert_eq!(error.code(), "E611");
    let written = fs::read(dir.epoch_path(1)).expect("bytes");
    assert_eq!(records_in(&written).expect("a file").len(), 1, "it was written");
    assert_eq!(read(&dir), []);
}

#[test]
fn who_may_drive_no_more_appends_nothing() {
    let place = Place::new();
    let dir = place.run();
    let mut journal = create(&dir);
    journal.ask_before_append(Box::new(|| Err("the lease was lost".to_owned())));
    let error = journal.append(vec![begun("a")], CREATED).expect_err("lost");
    assert_eq!((error.code(), error.exit_code()), ("E612", 6));
    assert_eq!(error.to_string(), "run `7c1f-01` is not driven by this process any more: the lease was lost");
    assert_eq!(read(&dir), []);
}

#[tokio::test]
async fn a_store_tells_of_the_takeover_too() {
    let place = Place::new();
    let dir = place.run();
    let store = StoreHandle::<Event>::spawn(create(&dir)).expect("a thread");
    let guard = store.epoch_guard();
    assert!(guard.check().is_ok());
    let opened = take_over(&dir).expect("a takeover");
    assert_eq!(guard.check().expect_err("taken over").code(), "E611");
    assert_eq!(store.append(vec![begun("a")], CREATED).await.expect_err("taken over").code(), "E611");
    store.touch_alive(CREATED + 999);
    store.close().await;
    assert_eq!(dir.alive_ms(), None, "the life of who was taken over tells nothing");
    assert_eq!(opened.last_seen_ms, CREATED);
}

#[test]
fn of_many_takeovers_at_once_one_drives_the_run() {
    const TAKERS: usize = 4;
    let place = Place::new();
    let dir = place.run();
    let _hung = create(&dir);
    for round in 1..=25 {
        let start = Barrier::new(TAKERS);
        let take = || {
            start.wait();
            take_over(&dir)
        };
        let taken: Vec<_> = thread::scope(|scope| {
            let takers: Vec<_> = (0..TAKERS).map(|_| scope.spawn(take)).collect();
            takers.into_iter().map(|taker| taker.join().expect("a taker")).collect()
        });
        // One that looked late takes the run over from one that was faster.
        let drives = taken.iter().flatten().filter(|opened| opened.journal.epoch_guard().check().is_ok());
        assert_eq!(drives.count(), 1, "round {round}");
        let refused = taken.iter().filter_map(|opened| opened.as_ref().err());
        assert!(refused.into_iter().all(|error| error.exit_code() == 6), "round {round}");
        assert_eq!(read(&dir), []);
    }
}

#[test]
fn an_epoch_whose_claimant_died_is_begun_by_the_next_driver() {
    let (bytes, records) = six_records("7c1f-01");
    let place = Place::new();
    let whole = place.run_with(&bytes);
    drop(take_over(&whole).expect("a takeover"));
    let begun_line = fs::read(whole.epoch_path(2)).expect("a header");
    for cut in 0..begun_line.len() - 1 {
        let place = Place::new();
        let dir = place.run_with(&bytes);
        fs::write(dir.epoch_path(2), &begun_line[..cut]).expect("a claim");
        assert_eq!(read(&dir), records, "cut at {cut}");
        assert_eq!(fs::read(dir.epoch_path(2)).expect("bytes"), begun_line[..cut], "reading changes nothing");
        let opened = open(&dir).expect("a journal");
        assert_eq!((opened.journal.driver(), opened.takeover.map(|takeover| takeover.epoch)), (2, Some(2)));
        assert_eq!(opened.repaired.map_or(0, |torn| torn.bytes), cut as u64);
        let mut journal = opened.journal;
        let added = journal.append(vec![done("after")], CREATED + 9).expect("an append");
        assert_eq!(read(&dir), [&*records, &added].concat(), "cut at {cut}");
    }
}

#[test]
fn a_claimant_that_hangs_is_taken_over_as_well() {
    let place = Place::new();
    let (bytes, records) = six_records("7c1f-01");
    let dir = place.run_with(&bytes);
    let late = {
        let elsewhere = Place::new();
        let twin = elsewhere.run_with(&bytes);
        drop(take_over(&twin).expect("a takeover"));
        fs::read(twin.epoch_path(2)).expect("a header")
    };
    let _lock = dir.lock(2, &holder()).expect("the claimant's lock");
    fs::write(dir.epoch_path(2), "").expect("a claim");
    assert_eq!(open(&dir).expect_err("held").code(), "E605");
    let opened = take_over(&dir).expect("a takeover");
    let takeover = opened.takeover.expect("a takeover");
    assert_eq!((takeover.epoch, &*takeover.follows, takeover.seq), (3, "journal", 6));
    fs::write(dir.epoch_path(2), late).expect("the claimant woke");
    assert_eq!(read(&dir), records);
}

#[test]
fn a_run_that_never_began_is_not_taken_over() {
    let place = Place::new();
    let dir = place.run();
    assert_eq!(take_over(&dir).expect_err("no journal").code(), "E606");
    fs::write(dir.epoch_path(1), "").expect("a file");
    assert_eq!(take_over(&dir).expect_err("no header").code(), "E606");
    assert!(!dir.epoch_path(2).exists());
}

#[test]
fn a_damaged_journal_is_not_taken_over_and_not_touched() {
    let (mut bytes, _) = six_records("7c1f-01");
    let third = lines(&bytes)[..3].concat().len();
    bytes[third + 40] ^= 4;
    let place = Place::new();
    let dir = place.run_with(&bytes);
    assert_eq!(take_over(&dir).expect_err("damaged").code(), "E603");
    assert!(!dir.epoch_path(2).exists());
    assert_eq!(fs::read(dir.epoch_path(1)).expect("bytes"), bytes);
}

#[test]
fn with_any_byte_of_any_file_flipped_it_is_a_prefix_or_refused() {
    let place = Place::new();
    let (dir, kept) = three_epochs(&place);
    for epoch in 1..=3 {
        let path = dir.epoch_path(epoch);
        let bytes = fs::read(&path).expect("bytes");
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).expect("a file");
            check_prefix_or_refused(&dir, &kept, &format!("byte {at} of epoch {epoch}"));
        }
        fs::write(&path, &bytes).expect("a file");
    }
}

#[test]
fn with_any_file_cut_at_any_byte_it_is_a_prefix_or_refused() {
    let place = Place::new();
    let (dir, kept) = three_epochs(&place);
    for epoch in 1..=3 {
        let path = dir.epoch_path(epoch);
        let bytes = fs::read(&path).expect("bytes");
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).expect("a file");
            let read = check_prefix_or_refused(&dir, &kept, &format!("epoch {epoch} cut at {cut}"));
            if let Some(count) = read {
                assert!(epoch == 3 || count == kept.len(), "epoch {epoch} cut at {cut} lost what others follow");
            }
        }
        fs::write(&path, &bytes).expect("a file");
    }
}

/// How many records could be read; `None` if it was refused.
fn check_prefix_or_refused(dir: &RunDir, kept: &[Record<Event>], what: &str) -> Option<usize> {
    if let Ok(Salvaged { read, .. }) = salvage::<Event>(dir) {
        // Behind the two of the first epoch there is one that came too late.
        let common = read.records.len().min(2);
        assert_eq!(read.records[..common], kept[..common], "{what}");
    }
    match read_only::<Event>(dir) {
        Ok(read) => {
            assert_eq!(read.records, kept[..read.records.len()], "{what}");
            Some(read.records.len())
        }
        Err(error) => {
            assert!(matches!(error.code(), "E603" | "E604" | "E606" | "E608" | "E610"), "{what}: {error}");
            None
        }
    }
}

#[test]
fn files_that_are_missing_swapped_or_of_another_run_are_refused() {
    let refused = |harm: &dyn Fn(&RunDir)| {
        let place = Place::new();
        let (dir, _) = three_epochs(&place);
        harm(&dir);
        let error = open(&dir).expect_err("refused");
        assert_eq!(error.code(), "E608", "{error}");
        assert_eq!(take_over(&dir).expect_err("refused").code(), "E608");
        error.to_string()
    };
    let remove = |epoch: u32| move |dir: &RunDir| fs::remove_file(dir.epoch_path(epoch)).expect("a file");
    assert!(refused(&remove(1)).contains("journal` was changed"), "the first");
    assert!(refused(&remove(2)).ends_with("a later file goes on with it; the last good record is 4"));
    refused(&|dir| {
        let (second, third) = (dir.epoch_path(2), dir.epoch_path(3));
        let bytes = fs::read(&second).expect("bytes");
        fs::rename(&third, &second).expect("a file");
        fs::write(&third, bytes).expect("a file");
    });
    refused(&|dir| {
        let elsewhere = Place::new();
        let (bytes, _) = six_records("7c1f-01");
        let twin = elsewhere.run_with(&lines(&bytes)[..2].concat());
        drop(take_over(&twin).expect("a takeover"));
        drop(take_over(&twin).expect("a takeover"));
        fs::copy(twin.epoch_path(3), dir.epoch_path(3)).expect("a copy");
    });
    refused(&|dir| {
        let (bytes, _) = six_records("7c1f-02");
        fs::write(dir.epoch_path(1), bytes).expect("a file");
    });
}

#[test]
fn runs_that_were_taken_over_are_listed_as_they_stand_now() {
    let place = Place::new();
    let dir = place.run();
    let hung = create(&dir);
    hung.touch_alive(CREATED + 5).expect("a heartbeat");
    let opened = take_over(&dir).expect("a takeover");
    opened.journal.touch_alive(CREATED + 70).expect("a heartbeat");
    hung.touch_alive(CREATED + 99).expect("a late heartbeat");
    let listed = |place: &Place| place.runs.list().expect("runs").remove(0);
    let run = listed(&place);
    assert_eq!((run.epoch, run.alive_ms, run.lock), (2, Some(CREATED + 70), LockState::Held(Some(holder()))));
    assert_eq!(run.header.expect("a header"), header(dir.id()));
    drop(opened);
    assert_eq!(listed(&place).lock, LockState::Free, "the driver that hangs drives it no more");
    assert_eq!(open(&dir).expect("nobody drives it").last_seen_ms, CREATED + 70);
}

const SUSPENDED_RUNS: &str = "SPRAG_TEST_SUSPENDED_RUNS";

#[test]
fn a_process_that_was_suspended_and_wakes_after_a_takeover_appends_nothing() {
    use std::io::{BufRead as _, BufReader};
    let place = Place::new();
    let name = format!("{}::the_process_that_is_suspended", module_path!());
    let name = name.split_once("::").expect("a crate and a path").1;
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env(SUSPENDED_RUNS, place.runs.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut told = BufReader::new(child.stdout.take().expect("its stdout")).lines().map_while(Result::ok);
    assert!(told.any(|line| line.contains("it appends")), "the process begins");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGSTOP).expect("a signal");
    let dir = place.runs.list().expect("runs").remove(0).dir;
    assert_eq!(open(&dir).expect_err("held by a process that is suspended").code(), "E605");
    let opened = take_over(&dir).expect("a takeover");
    assert_eq!(opened.takeover.and_then(|takeover| takeover.replaced).map(|old| old.pid), Some(child.id()));
    let mut journal = opened.journal;
    let added = journal.append(vec![done("taken over")], CREATED).expect("an append");
    kill(pid, Signal::SIGCONT).expect("a signal");
    let end = told.find(|line| line.contains("it ends")).expect("the process ends");
    assert!(end.contains("E611"), "{end}");
    child.wait().expect("its end");
    let whole = read(&dir);
    assert_eq!(whole[opened.records.len()..], added);
    assert!(whole[..opened.records.len()].iter().all(|record| record.driver == 1));
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn the_process_that_is_suspended() {
    let runs = std::env::var_os(SUSPENDED_RUNS).expect("the folder of runs");
    let dir = RunsDir::new(runs).create(DIGEST).expect("a run");
    let mut journal = create(&dir);
    println!("it appends");
    let error = (0..).find_map(|n: u32| journal.append(vec![begun(&n.to_string())], CREATED).err());
    println!("it ends: {:?}", error.map(|error| error.code()));
}
