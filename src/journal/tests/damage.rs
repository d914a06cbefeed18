//! Whatever is done to a journal's bytes, reading gives a prefix of what was written, or refuses.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::frame;
use super::super::{TornTail, read_only, salvage};
use super::*;

/// What the format's own definition gives, made by another program.
const RELEASED: [&str; 2] = [
    r#"b293614e 152 {"magic":"sprag-journal","format":1,"min_reader":1,"run":"7c1f-01","digest":"7c1f09ab7c1f09ab","cluster":"0b5f6c2e-kube-system","created":1764000000000}"#,
    r#"cd4d0fdb 129 {"v":1,"seq":1,"at":1764000000000,"driver":1,"prev":"582c71afa0869643","event":{"t":"begun","step":"a","deadline":1764000060000}}"#,
];

#[test]
fn the_format_is_as_it_was_released() {
    let (bytes, _) = six_records("7c1f-01");
    let text = String::from_utf8(bytes).expect("text");
    assert_eq!(text.lines().take(2).collect::<Vec<_>>(), RELEASED);
}

#[test]
fn there_is_one_way_to_write_a_frame() {
    let mut line = Vec::new();
    frame::write_line(&mut line, b"{\"a\":10}");
    let text = String::from_utf8(line).expect("text");
    let (crc, rest) = text.trim_end().split_once(' ').expect("a checksum");
    assert!(frame::parse(text.as_bytes()).is_some());
    for other in [
        format!("{} {rest}", crc.to_uppercase()),
        format!("{crc} 0{rest}"),
        format!("{crc} +{rest}"),
        format!("{crc}  {rest}"),
        format!(" {crc} {rest}"),
        format!("{crc} {}", rest.replacen("8 ", "9 ", 1)),
        format!("{crc} {}", rest.replacen("8 ", "800000000000000000000000 ", 1)),
        text[..text.len() - 2].to_owned(),
    ] {
        assert_eq!(frame::parse(other.as_bytes()), None, "{other}");
    }
    assert_eq!(frame::parse(b"00000000 0 "), None);
}

#[test]
fn cut_at_every_byte_it_is_a_prefix_or_never_begun_and_can_be_gone_on_with() {
    let (bytes, records) = six_records("7c1f-01");
    let header_json_end = lines(&bytes)[0].len() - 1;
    for cut in 0..=bytes.len() {
        let place = Place::new();
        let dir = place.run_with(&bytes[..cut]);
        match open(&dir) {
            Ok(opened) => check_goes_on(&dir, opened, &records, cut),
            Err(JournalError::NeverBegun { .. }) => assert!(cut < header_json_end, "cut at {cut}"),
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

fn check_goes_on(dir: &RunDir, opened: Opened<Event>, all: &[Record<Event>], cut: usize) {
    let kept = opened.records.len();
    assert_eq!(opened.records, all[..kept], "cut at {cut}");
    if let Some(torn) = &opened.repaired {
        let saved = torn.saved_as.as_ref().expect("a copy");
        let copy = fs::read(saved).expect("the copy");
        assert_eq!(copy.len() as u64, torn.bytes);
        assert_eq!(torn.offset + torn.bytes, cut as u64);
    }
    let mut journal = opened.journal;
    let added = journal.append(vec![done("after")], CREATED + 9).expect("an append");
    drop(journal);
    let again = open(dir).expect("a good journal");
    assert_eq!(again.repaired, None);
    assert_eq!(again.records[..kept], all[..kept]);
    assert_eq!(again.records[kept..], added);
    assert_eq!(added[0].seq, kept as u64 + 1);
    let last_driver = kept.checked_sub(1).map_or(0, |last| all[last].driver);
    assert_eq!(added[0].driver, last_driver + 1);
}

#[test]
fn a_whole_last_line_without_its_newline_counts() {
    let (bytes, records) = six_records("7c1f-01");
    let place = Place::new();
    let dir = place.run_with(&bytes[..bytes.len() - 1]);
    let read = read_only::<Event>(&dir).expect("a journal");
    assert_eq!((read.records, read.torn), (records.clone(), None));
    let opened = open(&dir).expect("a journal");
    assert_eq!((opened.records, opened.repaired), (records, None));
    assert_eq!(fs::read(dir.epoch_path(1)).expect("bytes"), bytes);
}

#[test]
fn with_any_byte_flipped_it_is_a_prefix_or_refused() {
    let (bytes, records) = six_records("7c1f-01");
    let last_line = bytes.len() - lines(&bytes)[6].len();
    let masks = (0..8).map(|bit| 1 << bit).chain([0xff]);
    for (at, mask) in (0..bytes.len()).flat_map(|at| masks.clone().map(move |mask| (at, mask))) {
        let mut flipped = bytes.clone();
        flipped[at] ^= mask;
        match records_in(&flipped) {
            Ok(read) => {
                assert_eq!(read, records[..read.len()], "byte {at} ^ {mask:#x}");
                assert!(at >= last_line, "byte {at} ^ {mask:#x}: a record was lost that others follow");
            }
            Err(JournalError::Damaged { offset, .. }) => {
                assert!(offset <= at as u64 && at < last_line, "byte {at} ^ {mask:#x}");
            }
            Err(error) => panic!("byte {at} ^ {mask:#x}: {error}"),
        }
    }
}

#[test]
fn damage_in_the_middle_is_refused_and_nothing_is_touched() {
    let (bytes, records) = six_records("7c1f-01");
    let third = lines(&bytes)[..3].concat().len();
    let mut damaged = bytes;
    damaged[third + 40] ^= 4;
    let place = Place::new();
    let dir = place.run_with(&damaged);
    let error = open(&dir).expect_err("damaged");
    let JournalError::Damaged { offset, last_good, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((*offset, *last_good), (third as u64, 2));
    assert_eq!((error.code(), error.exit_code()), ("E603", 7));
    assert_eq!(fs::read(dir.epoch_path(1)).expect("bytes"), damaged);
    assert_eq!(read_only::<Event>(&dir).expect_err("damaged").code(), "E603");
    let salvaged = salvage::<Event>(&dir).expect("a header");
    assert_eq!(salvaged.read.records, records[..2]);
    assert_eq!(salvaged.fault.map(|fault| fault.code()), Some("E603"));
}

#[test]
fn reading_shows_a_torn_tail_and_leaves_it() {
    let (mut bytes, records) = six_records("7c1f-01");
    let offset = bytes.len() as u64;
    bytes.extend(b"0123abcd 77 {\"v\":1,\"se");
    let place = Place::new();
    let dir = place.run_with(&bytes);
    let read = read_only::<Event>(&dir).expect("a journal");
    let torn = TornTail { offset, bytes: 22, saved_as: None };
    assert_eq!((read.records, read.torn), (records, Some(torn)));
    assert_eq!(fs::read(dir.epoch_path(1)).expect("bytes"), bytes);
}

#[test]
fn a_block_of_zeros_behind_the_records_is_a_torn_tail() {
    let (mut bytes, records) = six_records("7c1f-01");
    bytes.extend([0; 4096]);
    assert_eq!(records_in(&bytes).expect("a prefix"), records);
}

#[test]
fn a_second_tail_torn_at_the_same_place_gets_a_copy_of_its_own() {
    let (bytes, _) = six_records("7c1f-01");
    let place = Place::new();
    let dir = place.run_with(&bytes);
    let tear = |tail: &[u8]| {
        fs::write(dir.epoch_path(1), [&bytes, tail].concat()).expect("a journal");
        let torn = open(&dir).expect("a journal").repaired.expect("a torn tail");
        let name = torn.saved_as.expect("a copy");
        name.file_name().expect("a name").to_string_lossy().into_owned()
    };
    let offset = bytes.len();
    assert_eq!(tear(b"one"), format!("journal.torn-{offset}"));
    assert_eq!(tear(b"two"), format!("journal.torn-{offset}.2"));
    assert_eq!(tear(b"one"), format!("journal.torn-{offset}"));
}

#[test]
fn a_line_that_is_there_twice_counts_once() {
    let (bytes, records) = six_records("7c1f-01");
    let all = lines(&bytes);
    for (repeated, after) in (1..=6).flat_map(|n| (n..=6).map(move |after| (n, after))) {
        let mut edited = all.clone();
        edited.insert(after + 1, all[repeated].clone());
        let read = records_in(&edited.concat()).expect("the same records");
        assert_eq!(read, records, "line {repeated} again behind line {after}");
    }
}

#[test]
fn two_records_by_one_number_are_refused() {
    let (bytes, _) = six_records("7c1f-01");
    let mut record: Value =
        serde_json::from_slice(frame::parse(&lines(&bytes)[6]).expect("a frame").json).expect("json");
    record["at"] = json!(CREATED + 77);
    let twice = [bytes, line_of(&record)].concat();
    refuse(&twice, "E608");
}

#[test]
fn swapped_dropped_and_spliced_lines_are_refused() {
    let (bytes, _) = six_records("7c1f-01");
    let (other, _) = six_records("7c1f-02");
    let (all, other) = (lines(&bytes), lines(&other));
    for line in 1..6 {
        let mut swapped = all.clone();
        swapped.swap(line, line + 1);
        refuse(&swapped.concat(), "E608");
        let mut dropped = all.clone();
        dropped.remove(line);
        refuse(&dropped.concat(), "E608");
    }
    for line in 0..=6 {
        let mut spliced = all.clone();
        spliced[line].clone_from(&other[line]);
        refuse(&spliced.concat(), "E608");
    }
    let continued = [all[..4].concat(), other[4..].concat()].concat();
    refuse(&continued, "E608");
}

#[test]
fn an_edited_line_with_a_checksum_that_fits_is_refused() {
    let (bytes, _) = six_records("7c1f-01");
    for line in 1..6 {
        let mut all = lines(&bytes);
        let json = frame::parse(&all[line]).expect("a frame").json;
        let mut record: Value = serde_json::from_slice(json).expect("json");
        record["event"]["step"] = json!("edited");
        all[line] = line_of(&record);
        refuse(&all.concat(), "E608");
    }
}

#[test]
fn a_line_that_is_no_record_is_refused() {
    let (bytes, _) = six_records("7c1f-01");
    refuse(&[bytes.clone(), line_of(&json!({"hello": 1}))].concat(), "E608");
    refuse(&[bytes, line_of(&json!("hello"))].concat(), "E608");
    refuse(&journal_with_record(|record| record["seq"] = json!(0)), "E608");
}

#[test]
fn a_journal_of_another_run_is_not_gone_on_with() {
    let (bytes, _) = six_records("7c1f-44");
    let place = Place::new();
    let dir = place.run_with(&bytes);
    let error = open(&dir).expect_err("another run");
    assert_eq!(error.code(), "E608");
    assert!(error.to_string().contains("run `7c1f-44`"), "{error}");
}

#[test]
fn newer_journals_are_refused_and_say_what_they_need() {
    let newer = header_line(|header| {
        *header = json!({"magic": "sprag-journal", "format": 7, "min_reader": 1, "shape": "new"});
    });
    let error = records_in(&newer).expect_err("newer");
    assert_eq!(error.code(), "E604");
    let text = error.to_string();
    assert!(text.contains("format is 7") && text.contains("up to 1"), "{text}");
    let reader = header_line(|header| header["min_reader"] = json!(3));
    let text = refuse(&reader, "E604");
    assert!(text.contains("level 3") && text.contains("has 1"), "{text}");
    let record = journal_with_record(|record| record["v"] = json!(2));
    assert!(refuse(&record, "E604").contains("version 2"));
}

#[test]
fn unknown_fields_pass_and_unknown_events_only_when_optional() {
    let extra = journal_with_record(|record| {
        record["mood"] = json!("calm");
        record["event"]["colour"] = json!("green");
    });
    assert_eq!(records_in(&extra).expect("a record")[0].event, begun("a"));
    let unknown = journal_with_record(|record| record["event"] = json!({"t": "sang"}));
    assert!(refuse(&unknown, "E604").contains("sang"));
    let not_quite = json!({"t": "sang", "optional": "yes"});
    refuse(&journal_with_record(|record| record["event"] = not_quite), "E604");

    let optional = json!({"t": "sang", "optional": true});
    let skipped = journal_with_record(|record| record["event"] = optional);
    let place = Place::new();
    let dir = place.run_with(&skipped);
    let mut opened = open(&dir).expect("a journal");
    assert_eq!(opened.records, []);
    let added = opened.journal.append(vec![done("b")], CREATED).expect("an append");
    assert_eq!((added[0].seq, added[0].driver), (2, 2));
    drop(opened);
    assert_eq!(open(&dir).expect("a journal").records, added);
    let values = read_only::<Value>(&dir).expect("a journal").records;
    assert_eq!(values[0].event["t"], "sang");
}

#[test]
fn what_is_no_journal_is_told_from_one_that_never_began() {
    refuse(b"hello, world\n", "E610");
    refuse(b"{\"magic\":\"sprag-journal\"}\n", "E610");
    refuse(&line_of(&json!({"magic": "other", "format": 1, "min_reader": 1})), "E610");
    refuse(&line_of(&json!([1, 2])), "E610");
    refuse(b"", "E606");
    refuse(&[0; 512], "E606");
    let place = Place::new();
    let error = open(&place.run()).expect_err("no journal");
    assert_eq!((error.code(), error.exit_code()), ("E606", 7));
    let (bytes, _) = six_records("7c1f-01");
    refuse(&bytes[1..], "E603");
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_in_place_of_a_journal_is_not_read() {
    let place = Place::new();
    let dir = place.run();
    std::os::unix::fs::symlink("/dev/zero", dir.epoch_path(1)).expect("a link");
    assert_eq!(open(&dir).expect_err("a device").code(), "E610");
    assert_eq!(read_only::<Event>(&dir).expect_err("a device").code(), "E610");
}

/// Holds that the bytes are refused with that code, and returns the message.
fn refuse(bytes: &[u8], code: &str) -> String {
    let error = records_in(bytes).expect_err("refused");
    assert_eq!(error.code(), code, "{error}");
    assert!(!error.help().is_empty());
    error.to_string()
}

/// One way to spoil a journal.
#[derive(Debug, Clone)]
enum Harm {
    Cut(usize),
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    DropLine(usize),
    RepeatLine(usize, usize),
    SwapLines(usize, usize),
    SpliceLine(usize, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    let n = any::<usize>;
    prop_oneof![
        n().prop_map(Harm::Cut),
        (n(), 1..=255_u8).prop_map(|(at, mask)| Harm::Flip(at, mask)),
        (n(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, new)| Harm::Insert(at, new)),
        n().prop_map(Harm::DropLine),
        (n(), n()).prop_map(|(from, to)| Harm::RepeatLine(from, to)),
        (n(), n()).prop_map(|(one, other)| Harm::SwapLines(one, other)),
        (n(), n()).prop_map(|(from, to)| Harm::SpliceLine(from, to)),
    ]
}

fn spoil(bytes: Vec<u8>, harm: &Harm) -> Vec<u8> {
    if bytes.is_empty() {
        return bytes;
    }
    let mut all = lines(&bytes);
    let (bytes_len, count) = (bytes.len(), all.len());
    let mut bytes = bytes;
    match harm {
        Harm::Cut(at) => bytes.truncate(at % bytes_len),
        Harm::Flip(at, mask) => bytes[at % bytes_len] ^= mask,
        Harm::Insert(at, new) => {
            let at = at % bytes_len;
            bytes.splice(at..at, new.iter().copied());
        }
        Harm::DropLine(line) => drop(all.remove(line % count)),
        Harm::RepeatLine(from, to) => all.insert(to % count, all[from % count].clone()),
        Harm::SwapLines(one, other) => all.swap(one % count, other % count),
        Harm::SpliceLine(from, to) => {
            let other = lines(&six_records("7c1f-02").0);
            all.insert(to % count, other[from % other.len()].clone());
        }
    }
    match harm {
        Harm::Cut(_) | Harm::Flip(..) | Harm::Insert(..) => bytes,
        _ => all.concat(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_it_is_spoilt_it_is_a_prefix_or_refused(harms in prop::collection::vec(harm(), 1..4)) {
        let (bytes, records) = six_records("7c1f-01");
        let (_, other) = six_records("7c1f-02");
        let spoilt = harms.iter().fold(bytes, spoil);
        if let Ok(scan) = scan_as::<Event>(&spoilt) {
            let written = if scan.header.run == "7c1f-01" { &records } else { &other };
            prop_assert_eq!(&scan.records, &written[..scan.records.len()]);
        }
    }

    #[test]
    fn any_bytes_at_all_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(records_in(&bytes).is_err());
        let (journal, records) = six_records("7c1f-01");
        if let Ok(read) = records_in(&[journal, bytes].concat()) {
            prop_assert_eq!(read, records);
        }
    }
}
