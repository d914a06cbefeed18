//! The folder of runs and what lies in a run's folder beside the journal.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;

use super::super::{LockState, sha256_hex};
use super::*;

#[test]
fn ids_count_up_for_each_digest() {
    let place = Place::new();
    let ids: Vec<String> = ["7c1f09ab", "7c1f09ab", "7c1fffff", "00aa1122"]
        .iter()
        .map(|digest| place.runs.create(digest).expect("a run").id().to_owned())
        .collect();
    assert_eq!(ids, ["7c1f-01", "7c1f-02", "7c1f-03", "00aa-01"]);
    fs::create_dir(place.runs.path().join("7c1f-99")).expect("a folder");
    assert_eq!(place.run().id(), "7c1f-100");
    assert_eq!(place.run().id(), "7c1f-101");
    assert_eq!(place.runs.open("7c1f-100").expect("a run").id(), "7c1f-100");
}

#[test]
fn no_two_runs_get_the_same_id() {
    let place = Place::new();
    let ids: Vec<String> = thread::scope(|scope| {
        let create = || (0..10).map(|_| place.run().id().to_owned()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("ids")).collect()
    });
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 40);
}

#[test]
fn only_runs_are_opened() {
    let place = Place::new();
    let dir = place.run();
    fs::create_dir(place.runs.path().join("notes")).expect("a folder");
    for id in ["7c1f-09", "notes", "..", ".", "", "7c1f-01/..", "7C1F-01", "7c1f-1", "7c1f--1"] {
        let error = place.runs.open(id).expect_err(id);
        assert_eq!((error.code(), error.exit_code()), ("E607", 2), "{id}");
    }
    assert_eq!(place.runs.open("7c1f-01").expect("a run"), dir);
}

#[test]
fn runs_are_listed_in_order_with_what_can_be_said_of_them() {
    let place = Place::new();
    assert!(place.runs.list().expect("none").is_empty());
    let later = place.run();
    let earlier = place.run();
    let begun_at = |dir: &RunDir, created: i64| {
        let header = Header::new(dir.id(), DIGEST, "uid", created);
        Journal::create(dir, &header, &holder()).expect("a journal")
    };
    let _driven = begun_at(&later, CREATED + 5);
    drop(begun_at(&earlier, CREATED));
    earlier.touch_alive(1, CREATED + 9).expect("a heartbeat");
    let never = place.run();
    let other = place.run_with(b"my shopping list\n");
    fs::write(place.runs.path().join("notes.txt"), "").expect("a file");

    let listed = place.runs.list().expect("runs");
    let ids: Vec<&str> = listed.iter().map(|run| run.dir.id()).collect();
    assert_eq!(ids, [never.id(), other.id(), earlier.id(), later.id()]);
    let codes = listed.iter().map(|run| run.header.as_ref().map_err(JournalError::code).err());
    assert_eq!(codes.collect::<Vec<_>>(), [Some("E606"), Some("E610"), None, None]);
    assert_eq!((&listed[2].lock, listed[2].alive_ms), (&LockState::Free, Some(CREATED + 9)));
    assert_eq!(listed[3].lock, LockState::Held(Some(holder())));
}

#[test]
fn graph_and_sources_come_back_as_they_were() {
    let place = Place::new();
    let dir = place.run();
    let graph = br#"{"steps":["a","b"]}"#.repeat(1000);
    let sources = [
        ("../shared/lib.sprag", "up"),
        ("/etc/sprag/base.sprag", "absolute"),
        ("mine/a b.sprag", "a space"),
        ("std::node", "task drain() {}\n"),
        ("workers.sprag", "übung\n"),
    ];
    dir.write_plan(&graph, sources).expect("a plan");
    assert_eq!(dir.read_graph().expect("a graph"), graph);
    let back = dir.read_sources().expect("sources");
    let back: Vec<(&str, &str)> = back.iter().map(|(name, text)| (&**name, &**text)).collect();
    assert_eq!(back, sources);
    assert_eq!(
        files_below(dir.path()),
        [
            "graph.json.gz",
            "sources/%2E%2E/shared/lib.sprag",
            "sources/%2F/etc/sprag/base.sprag",
            "sources/mine/a%20b.sprag",
            "sources/std%3A%3Anode",
            "sources/workers.sprag",
        ]
    );
}

fn files_below(folder: &Path) -> Vec<String> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(folder, &mut found);
    let relative = found.iter().map(|path| path.strip_prefix(folder).expect("below it"));
    let mut names: Vec<String> = relative.map(|path| path.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_graph_that_was_damaged_is_not_believed() {
    let place = Place::new();
    let dir = place.run();
    assert_eq!(dir.read_graph().expect_err("none").code(), "E601");
    let graph: Vec<u8> = (0..2000_u32).flat_map(u32::to_le_bytes).collect();
    dir.write_plan(&graph, [("a", "text")]).expect("a plan");
    let path = dir.path().join("graph.json.gz");
    let packed = fs::read(&path).expect("bytes");
    for at in (12..packed.len()).step_by(97) {
        let mut damaged = packed.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, &damaged).expect("a file");
        assert_eq!(dir.read_graph().expect_err("damaged").code(), "E603", "byte {at}");
    }
    fs::write(dir.path().join("sources/a"), b"\xff\xfe").expect("a file");
    assert_eq!(dir.read_sources().expect_err("damaged").code(), "E603");
}

#[test]
fn where_nothing_can_be_written_there_is_no_run() {
    let place = Place::new();
    let file = place._temp.path().join("file");
    fs::write(&file, "").expect("a file");
    let below_a_file = RunsDir::new(file.join("runs")).create(DIGEST).expect_err("a file");
    assert_eq!((below_a_file.code(), below_a_file.exit_code()), ("E601", 7));
    assert!(below_a_file.to_string().contains("cannot create"), "{below_a_file}");
    if cfg!(target_os = "linux") {
        let in_proc = RunsDir::new("/proc/sprag/runs").create(DIGEST).expect_err("no such place");
        assert_eq!(in_proc.code(), "E601");
    }
}

#[test]
fn a_read_only_run_can_be_read_and_not_driven() {
    let place = Place::new();
    let dir = place.run();
    drop(create(&dir));
    fs::remove_file(dir.lock_path(1)).expect("the lock's file");
    let forbid = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode));
    forbid(0o555).expect("permissions");
    let is_allowed_anyway = fs::write(dir.path().join("probe"), "").is_ok();
    if !is_allowed_anyway {
        assert_eq!(open(&dir).expect_err("read-only").code(), "E601");
    }
    assert!(super::super::read_only::<Event>(&dir).is_ok());
    forbid(0o755).expect("permissions");
}

#[test]
fn a_lock_that_cannot_be_written_is_an_error_of_the_folder() {
    let place = Place::new();
    let dir = place.run();
    fs::create_dir(dir.lock_path(1)).expect("a folder");
    assert_eq!(open(&dir).expect_err("a folder").code(), "E601");
}

#[test]
fn digests_are_sha256_in_hex() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(sha256_hex(b""), empty);
}
