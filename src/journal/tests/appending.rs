//! Appends: groups, failures, crash points, and a process that is really killed.

use std::fs::{File, OpenOptions};
use std::process::Command;

use super::super::{CrashPoint, TornTail, read_only};
use super::*;

#[test]
fn what_is_appended_is_what_is_read() {
    let place = Place::new();
    let dir = place.run();
    let mut journal = create(&dir);
    let first = journal.append(vec![begun("a")], CREATED + 1).expect("an append");
    let group = journal.append(vec![done("a"), begun("b")], CREATED + 2).expect("an append");
    assert_eq!(journal.append(Vec::<Event>::new(), CREATED + 3).expect("nothing"), []);
    assert_eq!((journal.last_seq(), journal.driver()), (3, 1));
    let head = journal.head().to_owned();
    let all = [first, group].concat();
    let read = read_only::<Event>(&dir).expect("a journal");
    assert_eq!((&read.records, read.torn, read.head), (&all, None, head));
    assert_eq!(read.header, header(dir.id()));
    assert_eq!(all.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3]);
    drop(journal);
    let opened = open(&dir).expect("a journal");
    assert_eq!((opened.records, opened.journal.driver()), (all, 2));
    assert_eq!(opened.last_seen_ms, CREATED + 2);
}

#[test]
fn absence_is_counted_from_the_last_sign_of_life() {
    let place = Place::new();
    let dir = place.run();
    let journal = create(&dir);
    journal.touch_alive(CREATED + 50_000).expect("a heartbeat");
    drop(journal);
    assert_eq!(open(&dir).expect("a journal").last_seen_ms, CREATED + 50_000);
    dir.touch_alive(1, 7).expect("a heartbeat");
    assert_eq!(dir.alive_ms(), Some(7));
    assert_eq!(open(&dir).expect("a journal").last_seen_ms, CREATED);
    fs::write(dir.path().join("alive"), "").expect("a file");
    assert_eq!(open(&dir).expect("a journal").last_seen_ms, CREATED);
}

#[test]
fn a_live_run_gets_the_numbers_that_a_resumption_will_get() {
    let place = Place::new();
    let dir = place.run();
    let mut journal = create(&dir);
    let values = [0.1 + 0.2, 1e300 / 3.0, f64::MIN_POSITIVE / 2.0, 123_456_789.123_456_78];
    let events = values.map(|value| Event::Measured { value }).to_vec();
    let live = journal.append(events, CREATED).expect("an append");
    assert_eq!(read_only::<Event>(&dir).expect("a journal").records, live);
}

#[test]
fn what_json_cannot_carry_is_refused_before_anything_is_written() {
    let place = Place::new();
    let dir = place.run();
    let mut journal = create(&dir);
    let events = vec![begun("a"), Event::Measured { value: f64::NAN }];
    assert_eq!(journal.append(events, CREATED).expect_err("a NaN").code(), "E609");
    assert_eq!(journal.append(vec![done("a")], CREATED).expect_err("poisoned").code(), "E609");
    let read = read_only::<Event>(&dir).expect("a journal");
    assert_eq!((read.records, read.torn), (vec![], None));
}

#[test]
fn a_journal_is_created_only_once() {
    let place = Place::new();
    let dir = place.run();
    let (bytes, _) = six_records(dir.id());
    fs::write(dir.epoch_path(1), &bytes).expect("a journal");
    let error = Journal::create(&dir, &header(dir.id()), &holder()).expect_err("it is there");
    assert_eq!(error.code(), "E601");
    assert_eq!(fs::read(dir.epoch_path(1)).expect("bytes"), bytes);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_poisons_the_journal() {
    let place = Place::new();
    let dir = place.run();
    let mut journal = create(&dir);
    let good = journal.append(vec![begun("a")], CREATED).expect("an append");
    let real = std::mem::replace(&mut journal.file, device("/dev/full"));
    let error = journal.append(vec![done("a")], CREATED).expect_err("a full disk");
    assert_eq!((error.code(), error.exit_code()), ("E602", 7));
    journal.file = real;
    let error = journal.append(vec![done("a")], CREATED).expect_err("poisoned");
    assert!(matches!(&error, JournalError::Poisoned { because } if because.contains("no space")));
    assert_eq!(journal.last_seq(), 1);
    drop(journal);
    assert_eq!(open(&dir).expect("a journal").records, good);
}

#[cfg(target_os = "linux")]
#[test]
fn a_failed_sync_poisons_the_journal() {
    let place = Place::new();
    let dir = place.run();
    let mut journal = create(&dir);
    // Takes every byte, and refuses to sync.
    journal.file = device("/dev/null");
    let error = journal.append(vec![begun("a")], CREATED).expect_err("no sync");
    assert!(matches!(error, JournalError::AppendFailed { .. }), "{error}");
    let error = journal.append(vec![begun("a")], CREATED).expect_err("poisoned");
    assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
}

fn device(path: &str) -> File {
    OpenOptions::new().append(true).open(path).expect("a device")
}

#[test]
fn a_group_is_split_at_the_crash_point() {
    let (_, records) = six_records("7c1f-01");
    for seq in 1..=6_usize {
        let (dir, _place) = crash(CrashPoint::AfterRecord(seq as u64));
        let read = read_only::<Event>(&dir).expect("a journal");
        assert_eq!((read.records, read.torn), (records[..seq].to_vec(), None));
        let (dir, _place) = crash(CrashPoint::TornRecord(seq as u64));
        let read = read_only::<Event>(&dir).expect("a journal");
        assert_eq!(read.records, records[..seq - 1]);
        let torn = read.torn.expect("half a record");
        let opened = open(&dir).expect("a journal");
        assert_eq!(opened.records, records[..seq - 1]);
        let saved_as = Some(dir.path().join(format!("journal.torn-{}", torn.offset)));
        assert_eq!(opened.repaired, Some(TornTail { saved_as, ..torn }));
    }
    let (dir, _place) = crash(CrashPoint::AfterRecord(7));
    assert_eq!(read_only::<Event>(&dir).expect("a journal").records, records);
}

/// Appends the six records and crashes on the way, but for the process.
fn crash(point: CrashPoint) -> (RunDir, Place) {
    fn survive() {}
    let place = Place::new();
    let dir = place.run();
    let mut journal = create(&dir);
    journal.crash_by(point, survive);
    let (_, records) = six_records(dir.id());
    for group in records.chunk_by(|one, next| one.at == next.at) {
        let events = group.iter().map(|record| record.event.clone()).collect();
        let result = journal.append(events, group[0].at);
        let (CrashPoint::AfterRecord(seq) | CrashPoint::TornRecord(seq)) = point;
        assert_eq!(result.is_err(), seq <= group[group.len() - 1].seq);
    }
    (dir, place)
}

const KILLED_RUNS: &str = "SPRAG_TEST_KILLED_RUNS";

#[test]
fn a_process_that_is_killed_leaves_a_prefix_and_no_lock() {
    use std::os::unix::process::ExitStatusExt;
    let place = Place::new();
    let name = format!("{}::the_process_that_is_killed", module_path!());
    let name = name.split_once("::").expect("a crate and a path").1;
    let status = Command::new(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--ignored"])
        .env(KILLED_RUNS, place.runs.path())
        .output()
        .expect("a process")
        .status;
    assert_eq!(status.signal(), Some(9), "{status}");
    let dir = place.runs.list().expect("runs").remove(0).dir;
    let opened = open(&dir).expect("no lock and a good journal");
    assert_eq!(opened.records.len(), 2);
    assert!(opened.repaired.is_some());
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn the_process_that_is_killed() {
    let runs = std::env::var_os(KILLED_RUNS).expect("the folder of runs");
    let dir = RunsDir::new(runs).create(DIGEST).expect("a run");
    let mut journal = create(&dir);
    journal.crash_at(CrashPoint::TornRecord(3));
    let events = vec![begun("a"), done("a"), begun("b"), done("b")];
    panic!("it lives: {:?}", journal.append(events, CREATED));
}
