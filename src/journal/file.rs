//! The journal in its file: opening, repairing, appending.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::chain::{Chain, Group};
use super::durable;
use super::epoch::{self, EpochGuard, Takeover};
use super::error::JournalError;
use super::lock::{Holder, Lock};
use super::read::{self, Folded, TornTail};
use super::record::{Header, Payload, Record};
use super::runs::RunDir;
use super::takeover;

/// A journal that this process appends to. Nobody else can until it is dropped, or until a later epoch
/// begins; then this process cannot.
pub struct Journal {
    pub(super) file: File,
    path: PathBuf,
    dir: RunDir,
    chain: Chain,
    pub(super) guard: EpochGuard,
    may_append: Option<MayAppend>,
    poisoned: Option<String>,
    crash: Option<(CrashPoint, fn())>,
    _lock: Lock,
}

/// Asked before each append, on the store's thread: `Err` tells why this process may drive the run no more.
pub type MayAppend = Box<dyn Fn() -> Result<(), String> + Send>;

/// A journal that was opened to go on with it.
#[derive(Debug)]
pub struct Opened<E> {
    /// The journal, ready for the next record.
    pub journal: Journal,
    /// The first line of its first file.
    pub header: Header,
    /// What was recorded; optional events that this version does not know are left out.
    pub records: Vec<Record<E>>,
    /// What a crash had left half written, and was cut off.
    pub repaired: Option<TornTail>,
    /// How the epoch began, when it is this opening that began it.
    pub takeover: Option<Takeover>,
    /// Who held the lock that this process holds now, the latest first, as far as the lock file tells: processes
    /// that drive the run no more, since the kernel gives the lock to one.
    pub previous: Vec<Holder>,
    /// When a driver was last known to be alive, unix milliseconds: the latest of the heartbeat, the
    /// last record and the creation of the run. The time from here to now is absence.
    pub last_seen_ms: i64,
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
        let path = dir.epoch_path(epoch::FIRST);
        let (lock, _) = dir.lock(epoch::FIRST, holder)?;
        let failed = |error: io::Error| JournalError::io("create", &path)(error);
        let (line, chain) = Chain::start(header).map_err(failed)?;
        let mut file = create_new(&path).map_err(failed)?;
        file.write_all(&line).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        durable::sync_parent(&path)?;
        Ok(Self::at(dir, epoch::FIRST, file, chain, lock))
    }

    /// Opens the journal of a run to go on with it: takes the lock of the latest epoch, reads everything,
    /// cuts off what a crash left half written (a copy is kept), and makes durable what was read, since a
    /// process that was killed may not have come to that.
    pub fn open_append<E: Payload>(dir: &RunDir, holder: &Holder) -> Result<Opened<E>, JournalError> {
        let epoch = dir.latest_epoch()?;
        let (lock, previous) = dir.lock(epoch, holder)?;
        let folded = good(dir, read::fold(dir)?)?;
        if folded.claimed != epoch {
            return Err(superseded(dir, epoch));
        }
        if folded.last.epoch != epoch {
            // Who claimed the epoch died before it had begun it.
            return takeover::begin_epoch(dir, epoch, folded, holder, (lock, previous));
        }
        let path = &folded.last.path;
        let mut file = open_at_end(path).map_err(JournalError::io("open", path))?;
        let repaired = repair(&mut file, &folded)?;
        let last_seen_ms = last_seen(dir, &folded);
        let chain = next_driver(folded.chain);
        Ok(Opened {
            journal: Self::at(dir, epoch, file, chain, lock),
            header: folded.header,
            records: folded.records,
            repaired,
            takeover: None,
            previous,
            last_seen_ms,
        })
    }

    pub(super) fn at(dir: &RunDir, epoch: u32, file: File, chain: Chain, lock: Lock) -> Self {
        Self {
            file,
            path: dir.epoch_path(epoch),
            dir: dir.clone(),
            chain,
            guard: EpochGuard::new(dir, epoch),
            may_append: None,
            poisoned: None,
            crash: None,
            _lock: lock,
        }
    }

    /// Has `may_append` asked before each append.
    pub fn ask_before_append(&mut self, may_append: MayAppend) {
        self.may_append = Some(may_append);
    }

    /// Tells others of this process whether a later epoch has begun.
    pub fn epoch_guard(&self) -> EpochGuard {
        self.guard.clone()
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
        self.check_may_append()?;
        let group = self.chain.encode(events, at_ms).map_err(JournalError::append(&self.path))?;
        let crash = self.crash.and_then(|(point, how)| Some((point.cut(&group)?, how)));
        let until = crash.map_or(group.bytes.len(), |(cut, _)| cut);
        self.write(&group.bytes[..until]).map_err(JournalError::append(&self.path))?;
        if let Some((_, how)) = crash {
            how();
            let because = "the crash point was reached".to_owned();
            return Err(JournalError::Poisoned { because });
        }
        // Who began a later epoch meanwhile may have read the file before these records were in it.
        self.guard.check()?;
        self.chain = group.after;
        Ok(group.records)
    }

    fn check_may_append(&self) -> Result<(), JournalError> {
        self.guard.check()?;
        let asked = self.may_append.as_ref().map_or(Ok(()), |may_append| may_append());
        asked.map_err(|because| JournalError::NotDriving { run: self.dir.id().to_owned(), because })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    /// Notes that a driver was alive at `now_ms` (unix milliseconds). Not synced: what is lost makes an
    /// absence look longer, never shorter.
    pub fn touch_alive(&self, now_ms: i64) -> Result<(), JournalError> {
        self.dir.touch_alive(self.guard.epoch(), now_ms)
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

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).field("chain", &self.chain).finish_non_exhaustive()
    }
}

pub(super) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).open(path)
}

pub(super) fn open_at_end(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

pub(super) fn next_driver(chain: Chain) -> Chain {
    Chain { driver: chain.driver + 1, ..chain }
}

/// A journal without a fault, of the run whose folder it lies in.
pub(super) fn good<E>(dir: &RunDir, mut folded: Folded<E>) -> Result<Folded<E>, JournalError> {
    if let Some(fault) = folded.fault.take() {
        return Err(fault);
    }
    check_run(&folded.header, dir)?;
    Ok(folded)
}

pub(super) fn superseded(dir: &RunDir, epoch: u32) -> JournalError {
    JournalError::Superseded { run: dir.id().to_owned(), epoch, by: dir.holder_of(epoch + 1) }
}

/// Two folders with one run could be driven at once, each under its own lock.
fn check_run(header: &Header, dir: &RunDir) -> Result<(), JournalError> {
    if header.run == dir.id() {
        return Ok(());
    }
    Err(JournalError::ChainBroken {
        path: dir.epoch_path(epoch::FIRST),
        offset: 0,
        last_good: 0,
        what: format!("it is the journal of run `{}` and lies in the folder of run `{}`", header.run, dir.id()),
    })
}

/// Makes the last file end with the newline of its last good record, durably.
fn repair<E>(file: &mut File, folded: &Folded<E>) -> Result<Option<TornTail>, JournalError> {
    let (path, bytes) = (&folded.last.path, &folded.last.bytes);
    let mut torn = read::torn_tail(bytes, folded.good);
    if let Some(torn) = &mut torn {
        torn.saved_as = Some(save_torn(path, &bytes[folded.good..], torn.offset)?);
        file.set_len(torn.offset).map_err(JournalError::io("truncate", path))?;
    }
    if folded.is_open {
        file.write_all(b"\n").map_err(JournalError::io("repair", path))?;
    }
    file.sync_all().map_err(JournalError::io("sync", path))?;
    Ok(torn)
}

/// Keeps a copy of a torn tail; one that is there already from a repair that was cut short is taken
/// for it, any other is left alone.
pub(super) fn save_torn(journal: &Path, tail: &[u8], offset: u64) -> Result<PathBuf, JournalError> {
    let folder = journal.parent().unwrap_or(Path::new("."));
    let whole = journal.file_name().unwrap_or_default().to_string_lossy();
    let mut name = format!("{whole}.torn-{offset}");
    for again in 2_u32.. {
        let path = folder.join(&name);
        match fs::read(&path) {
            Ok(saved) if saved == tail => return Ok(path),
            Ok(_) => name = format!("{whole}.torn-{offset}.{again}"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                durable::write_file(folder, &path, tail)?;
                return Ok(path);
            }
            Err(error) => return Err(JournalError::io("read", &path)(error)),
        }
    }
    unreachable!("there are fewer files than numbers")
}

/// The latest sign of life of the drivers of the last file and of those before it.
pub(super) fn last_seen<E>(dir: &RunDir, folded: &Folded<E>) -> i64 {
    let signs = [
        Some(folded.header.created),
        folded.records.last().map(|record| record.at),
        folded.takeovers.last().map(|takeover| takeover.last_seen),
        dir.alive_ms_in(folded.last.epoch),
    ];
    signs.into_iter().flatten().max().unwrap_or(folded.header.created)
}
