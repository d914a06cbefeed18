//! What the journal promises, tried on real files and on bytes.

mod appending;
mod damage;
mod folders;
mod locking;
mod messages;
mod stores;
mod takeover;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::chain::Chain;
use super::scan::{Bounds, Scan, scan};
use super::{Header, Holder, Journal, JournalError, MemoryStore, Opened, Payload, Record, RunDir, RunsDir, Store};

const DIGEST: &str = "7c1f09ab7c1f09ab";
const CREATED: i64 = 1_764_000_000_000;

/// A stand-in for the engine's events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
enum Event {
    Begun { step: String, deadline: i64 },
    Done { step: String },
    Measured { value: f64 },
}

fn begun(step: &str) -> Event {
    Event::Begun { step: step.to_owned(), deadline: CREATED + 60_000 }
}

fn done(step: &str) -> Event {
    Event::Done { step: step.to_owned() }
}

/// A folder of runs that goes away with the test; in memory where there is such a place, since these
/// tests sync thousands of times.
struct Place {
    _temp: TempDir,
    runs: RunsDir,
}

impl Place {
    fn new() -> Self {
        let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
        let runs = RunsDir::new(temp.path().join(".sprag/runs"));
        Self { _temp: temp, runs }
    }

    fn run(&self) -> RunDir {
        self.runs.create(DIGEST).expect("a folder for a run")
    }

    /// A run whose journal has these bytes.
    fn run_with(&self, bytes: &[u8]) -> RunDir {
        let dir = self.run();
        fs::write(dir.epoch_path(1), bytes).expect("a journal");
        dir
    }
}

fn header(run: &str) -> Header {
    Header::new(run, DIGEST, "0b5f6c2e-kube-system", CREATED)
}

fn holder() -> Holder {
    Holder::this_process(CREATED)
}

fn create(dir: &RunDir) -> Journal {
    Journal::create(dir, &header(dir.id()), &holder()).expect("a new journal")
}

fn open(dir: &RunDir) -> Result<Opened<Event>, JournalError> {
    Journal::open_append(dir, &holder())
}

/// The bytes of a journal of six records in groups of one, two and three, and the records.
fn six_records(run: &str) -> (Vec<u8>, Vec<Record<Event>>) {
    let store = MemoryStore::new(&header(run));
    let groups = [
        vec![begun("a")],
        vec![done("a"), begun("workers/ip-10-0-3-7/drain")],
        vec![done("b"), begun("ü \n \"quoted\""), done("c")],
    ];
    for (at, events) in (CREATED..).zip(groups) {
        drop(store.append(events, at));
    }
    (store.bytes(), store.records())
}

/// Every line of a journal, newline and all.
fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn scan_as<E: Payload>(bytes: &[u8]) -> Result<Scan<E>, JournalError> {
    let scan = scan(bytes, Path::new("journal"), "7c1f-01", Bounds::default())?;
    match scan.fault {
        Some(fault) => Err(fault),
        None => Ok(scan),
    }
}

fn records_in(bytes: &[u8]) -> Result<Vec<Record<Event>>, JournalError> {
    scan_as(bytes).map(|scan| scan.records)
}

/// A header's line whose JSON was changed, with a checksum that fits.
fn header_line(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut value = serde_json::to_value(header("7c1f-01")).expect("json");
    change(&mut value);
    line_of(&value)
}

fn line_of(value: &serde_json::Value) -> Vec<u8> {
    let mut line = Vec::new();
    super::frame::write_line(&mut line, value.to_string().as_bytes());
    line
}

/// A journal with one record that was changed, with checksum and chain that fit.
fn journal_with_record(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let (mut bytes, chain) = Chain::start(&header("7c1f-01")).expect("a header");
    let group = chain.encode(vec![begun("a")], CREATED).expect("a group");
    let mut record = serde_json::to_value(&group.records[0]).expect("json");
    change(&mut record);
    bytes.extend(line_of(&record));
    bytes
}
