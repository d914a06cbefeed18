//! The journal in its file: opening, repairing, appending.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::chain::{Chain, Group};
use super::durable;
use super::error::JournalError;
use super::lock::{Holder, Lock};
use super::record::{Header, Payload, Record};
use super::runs::RunDir;
use super::scan::{self, Scan};

/// A journal that this process appends to. Nobody else can until it is dropped.
#[derive(Debug)]
pub struct Journal {
    pub(super) file: File,
    path: PathBuf,
    dir: RunDir,
    chain: Chain,
    poisoned: Option<String>,
    crash: Option<(CrashPoint, fn())>,
    _lock: Lock,
}

/// A journal that was opened to go on with it.
#[derive(Debug)]
pub struct Opened<E> {
    /// The journal, ready for the next record.
    pub journal: Journal,
    /// Its first line.
    pub header: Header,
    /// What was recorded; optional events that this version does not know are left out.
    pub records: Vec<Record<E>>,
    /// What a crash had left half written, and was cut off.
    pub repaired: Option<TornTail>,
    /// When a driver was last known to be alive, unix milliseconds: the latest of the heartbeat, the
    /// last record and the creation of the run. The time from here to now is absence.
    pub last_seen_ms: i64,
}

/// A journal as it was read beside whoever drives it.
#[derive(Debug)]
pub struct Read<E> {
    /// Its first line.
    pub header: Header,
    /// What is recorded; optional events that this version does not know are left out.
    pub records: Vec<Record<E>>,
    /// What stands behind the last whole record: left by a crash, or being written just now.
    pub torn: Option<TornTail>,
    /// The hash of the last line, 16 hex digits: whoever noted it can tell later that nothing before
    /// it was changed.
    pub head: String,
}

/// What could be read of a journal, damaged or not.
#[derive(Debug)]
pub struct Salvaged<E> {
    /// What stands before the damage.
    pub read: Read<E>,
    /// The damage.
    pub fault: Option<JournalError>,
}

/// The end of a journal that is no whole record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Where it was copied to before it was cut off; `None` when it was only looked at.
    pub saved_as: Option<PathBuf>,
}

/// Where a process that is tested for crashes ends itself with SIGKILL. Records count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// As soon as that record is durable; those that were to be written with it are not.
    AfterRecord(u64),
    /// When half of that record's line is written.
    TornRecord(u64),
}

impl Journal {
    /// Begins the journal of a new run: takes the lock and makes the header durable.
    pub fn create(dir: &RunDir, header: &Header, holder: &Holder) -> Result<Self, JournalError> {
        let path = dir.journal_path();
        let lock = dir.lock(holder)?;
        let failed = |error: io::Error| JournalError::io("create", &path)(error);
        let (line, chain) = Chain::start(header).map_err(failed)?;
        let mut file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(failed)?;
        file.write_all(&line).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        durable::sync_parent(&path)?;
        Ok(Self::at(dir, file, chain, lock))
    }

    /// Opens the journal of a run to go on with it: takes the lock, reads everything, cuts off what a
    /// crash left half written (a copy is kept), and makes durable what was read, since a process that
    /// was killed may not have come to that.
    pub fn open_append<E: Payload>(dir: &RunDir, holder: &Holder) -> Result<Opened<E>, JournalError> {
        let path = dir.journal_path();
        let lock = dir.lock(holder)?;
        let bytes = read_bytes(dir)?;
        let mut scan: Scan<E> = scan::scan(&bytes, &path, dir.id())?;
        if let Some(fault) = scan.fault {
            return Err(fault);
        }
        check_run(&scan.header, dir)?;
        let mut file = OpenOptions::new().append(true).open(&path).map_err(JournalError::io("open", &path))?;
        let repaired = repair(&mut file, &path, &bytes, &scan)?;
        scan.chain.driver += 1;
        Ok(Opened {
            journal: Self::at(dir, file, scan.chain, lock),
            last_seen_ms: last_seen(dir, &scan.header, &scan.records),
            header: scan.header,
            records: scan.records,
            repaired,
        })
    }

    fn at(dir: &RunDir, file: File, chain: Chain, lock: Lock) -> Self {
        Self { file, path: dir.journal_path(), dir: dir.clone(), chain, poisoned: None, crash: None, _lock: lock }
    }

    /// Appends `events` as one group, in one write and one sync, and returns them as they were
    /// recorded. After an error nothing may be taken for written, and every later append is refused:
    /// only opening the journal anew tells what is there.
    pub fn append<E: Payload>(&mut self, events: Vec<E>, at_ms: i64) -> Result<Vec<Record<E>>, JournalError> {
        if let Some(because) = self.poisoned.clone() {
            return Err(JournalError::Poisoned { because });
        }
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.append_group(events, at_ms).inspect_err(|error| self.poisoned = Some(error.to_string()))
    }

    fn append_group<E: Payload>(&mut self, events: Vec<E>, at_ms: i64) -> Result<Vec<Record<E>>, JournalError> {
        let group = self.chain.encode(events, at_ms).map_err(JournalError::append(&self.path))?;
        let crash = self.crash.and_then(|(point, how)| Some((point.cut(&group)?, how)));
        let until = crash.map_or(group.bytes.len(), |(cut, _)| cut);
        self.write(&group.bytes[..until]).map_err(JournalError::append(&self.path))?;
        if let Some((_, how)) = crash {
            how();
            let because = "the crash point was reached".to_owned();
            return Err(JournalError::Poisoned { because });
        }
        self.chain = group.after;
        Ok(group.records)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    /// Notes that a driver was alive at `now_ms` (unix milliseconds). Not synced: what is lost makes an
    /// absence look longer, never shorter.
    pub fn touch_alive(&self, now_ms: i64) -> Result<(), JournalError> {
        self.dir.touch_alive(now_ms)
    }

    /// The number of the last record; 0 when there is none.
    pub fn last_seq(&self) -> u64 {
        self.chain.last_seq
    }

    /// The hash of the last line, 16 hex digits.
    pub fn head(&self) -> &str {
        &self.chain.head
    }

    /// Which driver this process is: 1 began the run, each that appended after it is one more.
    pub fn driver(&self) -> u32 {
        self.chain.driver
    }

    /// Makes this process end itself at `point`. For tests, which name the point in the variables
    /// `SPRAG_CRASH_AFTER_RECORD` and `SPRAG_CRASH_TORN_RECORD`.
    pub fn crash_at(&mut self, point: CrashPoint) {
        self.crash_by(point, kill_this_process);
    }

    /// As [`crash_at`](Self::crash_at), by any means; when `how` returns, the journal is poisoned.
    pub(super) fn crash_by(&mut self, point: CrashPoint, how: fn()) {
        self.crash = Some((point, how));
    }
}

impl CrashPoint {
    /// How many bytes of `group` are still written, when the point lies in it.
    fn cut<E>(self, group: &Group<E>) -> Option<usize> {
        let (Self::AfterRecord(seq) | Self::TornRecord(seq)) = self;
        let index = group.records.iter().position(|record| record.seq == seq)?;
        let end = group.ends[index];
        let start = index.checked_sub(1).map_or(0, |before| group.ends[before]);
        match self {
            Self::AfterRecord(_) => Some(end),
            Self::TornRecord(_) => Some(start + (end - start) / 2),
        }
    }
}

fn kill_this_process() {
    // A process may always send itself a signal, and does not come back from this one.
    let _ = kill(Pid::this(), Signal::SIGKILL);
}

/// Reads a run's journal without a lock and without changing anything, beside whoever drives it.
pub fn read_only<E: Payload>(dir: &RunDir) -> Result<Read<E>, JournalError> {
    let Salvaged { read, fault } = salvage(dir)?;
    fault.map_or(Ok(read), Err)
}

/// Reads as much of a run's journal as is good, for a person who has to find out what happened.
/// An error means that not even the header can be read.
pub fn salvage<E: Payload>(dir: &RunDir) -> Result<Salvaged<E>, JournalError> {
    let bytes = read_bytes(dir)?;
    let scan: Scan<E> = scan::scan(&bytes, &dir.journal_path(), dir.id())?;
    let torn = match scan.fault {
        Some(_) => None,
        None => torn_tail(&bytes, scan.good),
    };
    let read = Read { header: scan.header, records: scan.records, torn, head: scan.chain.head };
    Ok(Salvaged { read, fault: scan.fault })
}

/// The bytes of a run's journal; a device or a pipe in its place is not read, since it may have no end.
fn read_bytes(dir: &RunDir) -> Result<Vec<u8>, JournalError> {
    let mut bytes = Vec::new();
    let mut file = open_to_read(dir)?;
    file.read_to_end(&mut bytes).map_err(JournalError::io("read", &dir.journal_path()))?;
    Ok(bytes)
}

pub(super) fn open_to_read(dir: &RunDir) -> Result<File, JournalError> {
    let path = dir.journal_path();
    match fs::metadata(&path) {
        Ok(found) if found.is_file() => File::open(&path).map_err(JournalError::io("read", &path)),
        Ok(_) => Err(JournalError::NotAJournal { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(JournalError::NeverBegun { run: dir.id().to_owned() })
        }
        Err(error) => Err(JournalError::io("read", &path)(error)),
    }
}

/// Two folders with one run could be driven at once, each under its own lock.
fn check_run(header: &Header, dir: &RunDir) -> Result<(), JournalError> {
    if header.run == dir.id() {
        return Ok(());
    }
    Err(JournalError::ChainBroken {
        path: dir.journal_path(),
        offset: 0,
        last_good: 0,
        what: format!("it is the journal of run `{}` and lies in the folder of run `{}`", header.run, dir.id()),
    })
}

fn torn_tail(bytes: &[u8], good: usize) -> Option<TornTail> {
    (good < bytes.len()).then(|| TornTail { offset: good as u64, bytes: (bytes.len() - good) as u64, saved_as: None })
}

/// Makes the file end with the newline of its last good record, durably.
fn repair<E>(file: &mut File, path: &Path, bytes: &[u8], scan: &Scan<E>) -> Result<Option<TornTail>, JournalError> {
    let mut torn = torn_tail(bytes, scan.good);
    if let Some(torn) = &mut torn {
        torn.saved_as = Some(save_torn(path, &bytes[scan.good..], torn.offset)?);
        file.set_len(torn.offset).map_err(JournalError::io("truncate", path))?;
    }
    if scan.is_open {
        file.write_all(b"\n").map_err(JournalError::io("repair", path))?;
    }
    file.sync_all().map_err(JournalError::io("sync", path))?;
    Ok(torn)
}

/// Keeps a copy of a torn tail; one that is there already from a repair that was cut short is taken
/// for it, any other is left alone.
fn save_torn(journal: &Path, tail: &[u8], offset: u64) -> Result<PathBuf, JournalError> {
    let folder = journal.parent().unwrap_or(Path::new("."));
    let mut name = format!("journal.torn-{offset}");
    for again in 2_u32.. {
        let path = folder.join(&name);
        match fs::read(&path) {
            Ok(saved) if saved == tail => return Ok(path),
            Ok(_) => name = format!("journal.torn-{offset}.{again}"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                durable::write_file(folder, &path, tail)?;
                return Ok(path);
            }
            Err(error) => return Err(JournalError::io("read", &path)(error)),
        }
    }
    unreachable!("there are fewer files than numbers")
}

fn last_seen<E>(dir: &RunDir, header: &Header, records: &[Record<E>]) -> i64 {
    let recorded = records.last().map_or(header.created, |record| record.at);
    dir.alive_ms().map_or(recorded, |alive| alive.max(recorded)).max(header.created)
}
