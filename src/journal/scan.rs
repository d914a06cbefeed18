//! Bytes of a journal → what of it is good. Pure: no file is opened here.
//!
//! A crash can only leave the beginning of what was written, perhaps with rubbish after it. So where
//! the first bad byte is followed by nothing that checks out, the tail is torn and may be cut. Where a
//! good line follows, no crash of ours did that, and the journal is refused.
//!
//! A file that a later epoch goes on with is read up to the line that the later header names, and has to have it. What
//! stands behind it came too late and is not looked at.

use std::path::{Path, PathBuf};

use super::chain::{Chain, hash_line};
use super::epoch::{self, Takeover};
use super::error::JournalError;
use super::frame::{self, Frame};
use super::record::{Envelope, HEADER_OPENING, Header, Payload, RECORD_VERSION, Record, newer, parse_record};

/// Between what a file's records stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds<'a> {
    /// The chain that the file goes on with; none in the first file.
    pub(super) after: Option<&'a Chain>,
    /// The later epoch that goes on with this file.
    pub(super) until: Option<&'a Takeover>,
}

/// What a file's bytes say, up to the first thing that is wrong.
pub(super) struct Scan<E> {
    pub(super) header: Header,
    /// Good records in order; optional events that are not known here are left out.
    pub(super) records: Vec<Record<E>>,
    /// Where the next append goes on; its driver is the last that appended.
    pub(super) chain: Chain,
    /// How many bytes from the start are good. What follows is a torn tail, unless there is a fault.
    pub(super) good: usize,
    /// Whether the last good line lacks its newline.
    pub(super) is_open: bool,
    /// Why nobody may append to this journal.
    pub(super) fault: Option<JournalError>,
}

/// Reads a whole file of the run `run` from `bytes`, which came from `path`.
pub(super) fn scan<E: Payload>(
    bytes: &[u8],
    path: &Path,
    run: &str,
    bounds: Bounds<'_>,
) -> Result<Scan<E>, JournalError> {
    let first = frame::parse(bytes).ok_or_else(|| judge_first_line(bytes, path, run))?;
    let header = Header::parse(first.json, path)?;
    let mut walk = Walk::after(first, path.to_path_buf(), bounds);
    let fault = walk.read_all(bytes).err();
    Ok(Scan { header, records: walk.records, chain: walk.chain, good: walk.good, is_open: walk.is_open, fault })
}

/// The header alone, from the beginning of a journal.
pub(super) fn scan_header(bytes: &[u8], path: &Path, run: &str) -> Result<Header, JournalError> {
    let first = frame::parse(bytes).ok_or_else(|| judge_first_line(bytes, path, run))?;
    Header::parse(first.json, path)
}

/// Why there is no header.
fn judge_first_line(bytes: &[u8], path: &Path, run: &str) -> JournalError {
    if has_good_line(bytes) {
        let path = path.to_path_buf();
        JournalError::Damaged { path, offset: 0, last_good: 0 }
    } else if frame::is_begun(bytes, HEADER_OPENING) {
        let run = run.to_owned();
        JournalError::NeverBegun { run }
    } else {
        let path = path.to_path_buf();
        JournalError::NotAJournal { path }
    }
}

/// Whether a good line begins anywhere in `bytes`. Every offset is tried, since newlines can be
/// damaged too. Text inside a record cannot pass for a line: its quotes are escaped.
fn has_good_line(bytes: &[u8]) -> bool {
    type Object = serde_json::Map<String, serde_json::Value>;
    (0..bytes.len())
        .any(|at| frame::parse(&bytes[at..]).is_some_and(|frame| serde_json::from_slice::<Object>(frame.json).is_ok()))
}

struct Walk<'a, E> {
    path: PathBuf,
    until: Option<&'a Takeover>,
    /// The number of the last record before this file.
    before: u64,
    chain: Chain,
    records: Vec<Record<E>>,
    /// The frame of each record of this file, in order.
    frames: Vec<&'a [u8]>,
    good: usize,
    is_open: bool,
}

impl<'a, E: Payload> Walk<'a, E> {
    fn after(first: Frame<'a>, path: PathBuf, bounds: Bounds<'a>) -> Self {
        let (before, driver) = bounds.after.map_or((0, 0), |chain| (chain.last_seq, chain.driver));
        Self {
            path,
            until: bounds.until,
            before,
            chain: Chain { last_seq: before, head: hash_line(first.bytes), driver },
            records: Vec::new(),
            frames: Vec::new(),
            good: first.bytes.len(),
            is_open: true,
        }
    }

    fn read_all(&mut self, bytes: &'a [u8]) -> Result<(), JournalError> {
        while !self.is_at_the_end() && bytes.get(self.good) == Some(&b'\n') {
            self.good += 1;
            self.is_open = false;
            let Some(frame) = frame::parse(&bytes[self.good..]) else {
                break;
            };
            self.take(frame)?;
            self.good += frame.bytes.len();
            self.is_open = true;
        }
        if self.is_at_the_end() {
            return Ok(());
        }
        if has_good_line(&bytes[self.good..]) {
            return Err(JournalError::Damaged {
                path: self.path.clone(),
                offset: self.good as u64,
                last_good: self.chain.last_seq,
            });
        }
        self.until.map_or(Ok(()), |later| Err(self.not_reached(later)))
    }

    /// Whether a later epoch goes on from here.
    fn is_at_the_end(&self) -> bool {
        self.until.is_some_and(|later| later.seq == self.chain.last_seq && later.hash == self.chain.head)
    }

    fn not_reached(&self, later: &Takeover) -> JournalError {
        let name = epoch::name_of(later.epoch);
        self.broken(if self.chain.last_seq < later.seq {
            format!("it ends before record {}, which `{name}` goes on with", later.seq)
        } else {
            format!("record {} is not the one that `{name}` goes on with", later.seq)
        })
    }

    fn take(&mut self, frame: Frame<'a>) -> Result<(), JournalError> {
        let envelope: Envelope =
            serde_json::from_slice(frame.json).map_err(|why| self.broken(format!("the line is no record ({why})")))?;
        if envelope.v > RECORD_VERSION {
            let what = format!(
                "record {} is of version {}, this version reads up to {RECORD_VERSION}",
                envelope.seq, envelope.v
            );
            return Err(newer(&self.path, what));
        }
        if self.is_repeated(&envelope, frame)? {
            return Ok(());
        }
        self.check_follows(&envelope)?;
        match parse_record(frame.json) {
            Ok(record) => self.records.extend(record),
            Err(why) => {
                let what = format!("record {} holds an event that is not known here ({why})", envelope.seq);
                return Err(newer(&self.path, what));
            }
        }
        self.frames.push(frame.bytes);
        self.chain = Chain {
            last_seq: envelope.seq,
            head: hash_line(frame.bytes),
            driver: self.chain.driver.max(envelope.driver),
        };
        Ok(())
    }

    /// Whether the very same line was there before; another line by the same number is refused.
    fn is_repeated(&self, envelope: &Envelope, frame: Frame<'_>) -> Result<bool, JournalError> {
        if envelope.seq == 0 || envelope.seq > self.chain.last_seq {
            return Ok(false);
        }
        let index = envelope.seq.checked_sub(self.before + 1).and_then(|index| usize::try_from(index).ok());
        let earlier = index.and_then(|index| self.frames.get(index));
        if earlier == Some(&frame.bytes) {
            return Ok(true);
        }
        Err(self.broken(format!("record {} is there again, differently", envelope.seq)))
    }

    fn check_follows(&self, envelope: &Envelope) -> Result<(), JournalError> {
        let next = self.chain.last_seq + 1;
        if envelope.seq != next {
            return Err(self.broken(format!("record {} stands where record {next} should", envelope.seq)));
        }
        if envelope.prev != self.chain.head {
            return Err(self.broken(format!("record {next} does not follow the line before it")));
        }
        Ok(())
    }

    fn broken(&self, what: String) -> JournalError {
        JournalError::ChainBroken {
            path: self.path.clone(),
            offset: self.good as u64,
            last_good: self.chain.last_seq,
            what,
        }
    }
}
