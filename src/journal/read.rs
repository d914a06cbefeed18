//! Reading a run's journal: its files in the order of their epochs, each up to where the next one goes on.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::PathBuf;

use super::chain::Chain;
use super::epoch::{self, Takeover};
use super::error::JournalError;
use super::record::{Header, Payload, Record};
use super::runs::RunDir;
use super::scan::{self, Bounds, Scan};

/// A journal as it was read beside whoever drives it.
#[derive(Debug)]
pub struct Read<E> {
    /// The first line of its first file.
    pub header: Header,
    /// What is recorded; optional events that this version does not know are left out.
    pub records: Vec<Record<E>>,
    /// What stands behind the last whole record: left by a crash, or being written just now.
    pub torn: Option<TornTail>,
    /// The hash of the last line, 16 hex digits: whoever noted it can tell later that nothing before
    /// it was changed.
    pub head: String,
    /// How each epoch after the first began, in order; those that never began are left out.
    pub takeovers: Vec<Takeover>,
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
    /// Where it begins in the last file, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Where it was copied to before it was cut off; `None` when it was only looked at.
    pub saved_as: Option<PathBuf>,
}

/// The file of one epoch, with a header that fits.
pub(super) struct EpochFile {
    pub(super) epoch: u32,
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    header: Header,
}

/// All files of a run as one journal.
pub(super) struct Folded<E> {
    /// The header of the first file.
    pub(super) header: Header,
    pub(super) records: Vec<Record<E>>,
    pub(super) takeovers: Vec<Takeover>,
    /// Where the next append goes on; its driver is the last that appended.
    pub(super) chain: Chain,
    /// The latest file that was begun, unless there is a fault.
    pub(super) last: EpochFile,
    /// How many bytes of the last file are good.
    pub(super) good: usize,
    /// Whether the last good line lacks its newline.
    pub(super) is_open: bool,
    /// The latest epoch that was claimed. One after the last file's was claimed and not begun.
    pub(super) claimed: u32,
    /// Why nobody may append to this journal.
    pub(super) fault: Option<JournalError>,
}

/// Reads a run's journal without a lock and without changing anything, beside whoever drives it.
pub fn read_only<E: Payload>(dir: &RunDir) -> Result<Read<E>, JournalError> {
    let Salvaged { read, fault } = salvage(dir)?;
    fault.map_or(Ok(read), Err)
}

/// Reads as much of a run's journal as is good, for a person who has to find out what happened.
/// An error means that not even the first header can be read. Where a later file cannot tell any more how
/// much of the file before it counts, all of that one is read, with what may have come too late.
pub fn salvage<E: Payload>(dir: &RunDir) -> Result<Salvaged<E>, JournalError> {
    let folded: Folded<E> = fold(dir)?;
    let torn = match folded.fault {
        Some(_) => None,
        None => torn_tail(&folded.last.bytes, folded.good),
    };
    let Folded { header, records, takeovers, chain, fault, .. } = folded;
    Ok(Salvaged { read: Read { header, records, torn, head: chain.head, takeovers }, fault })
}

/// Reads all files of a run. An epoch that is claimed while they are read can come after appends that do not count, so
/// then they are read anew.
pub(super) fn fold<E: Payload>(dir: &RunDir) -> Result<Folded<E>, JournalError> {
    loop {
        let claimed = dir.latest_epoch()?;
        let folded = fold_claimed(dir, claimed);
        if dir.latest_epoch()? == claimed {
            return folded;
        }
    }
}

fn fold_claimed<E: Payload>(dir: &RunDir, claimed: u32) -> Result<Folded<E>, JournalError> {
    let Chosen { first, later, fault } = choose(dir, claimed)?;
    let mut takeovers = Vec::with_capacity(later.len());
    let mut later = later.into_iter().peekable();
    let mut last = first;
    let bounds = Bounds { after: None, until: later.peek().and_then(EpochFile::takeover) };
    let mut scan: Scan<E> = last.scan(dir, bounds)?;
    let header = scan.header.clone();
    while scan.fault.is_none()
        && let Some(file) = later.next()
    {
        let bounds = Bounds { after: Some(&scan.chain), until: later.peek().and_then(EpochFile::takeover) };
        let next = file.scan(dir, bounds)?;
        takeovers.extend(file.takeover().cloned());
        scan.records.extend(next.records);
        scan = Scan { records: scan.records, ..next };
        last = file;
    }
    let Scan { records, chain, good, is_open, .. } = scan;
    // The damage that comes first is the one that counts.
    let fault = scan.fault.or_else(|| fault.map(|fault| behind(fault, chain.last_seq)));
    Ok(Folded { header, records, takeovers, chain, last, good, is_open, claimed, fault })
}

/// The files that make up the journal.
struct Chosen {
    first: EpochFile,
    later: Vec<EpochFile>,
    /// Why there are no more.
    fault: Option<JournalError>,
}

/// Finds the files from the latest back, each by the name in the header of the one that goes on with it. The latest ones
/// may have been claimed and not begun; any other that is missing or has no header is a fault, and with it all after it.
fn choose(dir: &RunDir, claimed: u32) -> Result<Chosen, JournalError> {
    let mut later = Vec::new();
    let mut fault = None;
    let mut epoch = claimed;
    while epoch > epoch::FIRST {
        match EpochFile::read(dir, epoch) {
            Ok((file, follows)) => {
                later.insert(0, file);
                epoch = follows;
            }
            Err(JournalError::NeverBegun { .. }) if later.is_empty() && fault.is_none() => epoch -= 1,
            Err(error) => {
                fault = Some(missed(dir, epoch, error));
                later.clear();
                epoch -= 1;
            }
        }
    }
    let (first, _) = EpochFile::read(dir, epoch::FIRST).map_err(|error| match later.first() {
        Some(_) => missed(dir, epoch::FIRST, error),
        None => error,
    })?;
    if let Some(odd) = later.iter().find(|file| !file.header.is_same_run(&first.header)) {
        fault = Some(broken(odd.path.clone(), "it is of another run than the files before it".to_owned()));
        let epoch = odd.epoch;
        later.retain(|file| file.epoch < epoch);
    }
    Ok(Chosen { first, later, fault })
}

impl EpochFile {
    /// The file of an epoch, and the epoch that it goes on with: 0 for the first.
    fn read(dir: &RunDir, epoch: u32) -> Result<(Self, u32), JournalError> {
        let path = dir.epoch_path(epoch);
        let mut bytes = Vec::new();
        let mut file = open_to_read(dir, epoch)?;
        file.read_to_end(&mut bytes).map_err(JournalError::io("read", &path))?;
        let header = scan::scan_header(&bytes, &path, dir.id())?;
        let follows = match &header.takeover {
            None if epoch == epoch::FIRST => Some(0),
            Some(takeover) if takeover.epoch == epoch => {
                epoch::epoch_of(&takeover.follows).filter(|follows| *follows < epoch)
            }
            _ => None,
        };
        match follows {
            Some(follows) => Ok((Self { epoch, path, bytes, header }, follows)),
            None => Err(broken(path, "its header is not the one of this file".to_owned())),
        }
    }

    fn takeover(&self) -> Option<&Takeover> {
        self.header.takeover.as_ref()
    }

    fn scan<E: Payload>(&self, dir: &RunDir, bounds: Bounds<'_>) -> Result<Scan<E>, JournalError> {
        scan::scan(&self.bytes, &self.path, dir.id(), bounds)
    }
}

/// The file of an epoch; a device or a pipe in its place is not read, since it may have no end.
pub(super) fn open_to_read(dir: &RunDir, epoch: u32) -> Result<File, JournalError> {
    let path = dir.epoch_path(epoch);
    match fs::metadata(&path) {
        Ok(found) if found.is_file() => File::open(&path).map_err(JournalError::io("read", &path)),
        Ok(_) => Err(JournalError::NotAJournal { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(JournalError::NeverBegun { run: dir.id().to_owned() })
        }
        Err(error) => Err(JournalError::io("read", &path)(error)),
    }
}

/// What stands behind the good bytes of a file.
pub(super) fn torn_tail(bytes: &[u8], good: usize) -> Option<TornTail> {
    (good < bytes.len()).then(|| TornTail { offset: good as u64, bytes: (bytes.len() - good) as u64, saved_as: None })
}

/// A file that others go on with cannot be one that never began.
fn missed(dir: &RunDir, epoch: u32, error: JournalError) -> JournalError {
    match error {
        JournalError::NeverBegun { .. } => {
            broken(dir.epoch_path(epoch), "it is missing or has no header, and a later file goes on with it".to_owned())
        }
        other => other,
    }
}

/// The fault of a whole file, with the number of the last record before that file.
fn behind(fault: JournalError, last_good: u64) -> JournalError {
    match fault {
        JournalError::ChainBroken { path, offset, what, .. } => {
            JournalError::ChainBroken { path, offset, last_good, what }
        }
        JournalError::Damaged { path, offset, .. } => JournalError::Damaged { path, offset, last_good },
        other => other,
    }
}

fn broken(path: PathBuf, what: String) -> JournalError {
    JournalError::ChainBroken { path, offset: 0, last_good: 0, what }
}
