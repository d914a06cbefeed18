//! One driver for a run: a lock that the kernel holds, and lets go when the process dies.
//!
//! The lock lies on a file of its own, which is never removed or renamed. Its text says who holds it,
//! for people; whether it is held, only the kernel knows. Only drivers touch it. They lock the
//! heartbeat's file too, and by that one the others see whether there is a driver. Each epoch has its own two files, since
//! a driver that hangs keeps those that it has. Behind the first line stand those who held it before, for whoever has to
//! know of a process that it is gone.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::JournalError;

/// How many earlier holders are remembered.
const REMEMBERED: usize = 16;

/// The process that drives a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine.
    pub host: String,
    /// The process on it.
    pub pid: u32,
    /// Since when it drives the run, unix milliseconds.
    pub since: i64,
}

impl Holder {
    /// This process, as of `now_ms` (unix milliseconds).
    pub fn this_process(now_ms: i64) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .or_else(|| std::env::var("HOSTNAME").ok())
            .map_or_else(|| "this machine".to_owned(), |name| name.trim().to_owned());
        Self { host, pid: std::process::id(), since: now_ms }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on `{}`", self.pid, self.host)?;
        match jiff::Timestamp::from_millisecond(self.since) {
            Ok(since) => write!(f, " since {since:.0}"),
            Err(_) => Ok(()),
        }
    }
}

/// Whether a run has a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// Nobody drives it.
    Free,
    /// Somebody does; named when the lock file tells.
    Held(Option<Holder>),
}

/// The lock of one run, held until this is dropped or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    alive: File,
}

impl Lock {
    /// Takes the lock of the run `run` for `holder` and tells who had it before, or says who has it. `alive` is locked with it, for
    /// those who only [`look`]: were they to touch the lock itself, a driver could find them in its way.
    pub(super) fn acquire(
        path: &Path,
        alive: &Path,
        run: &str,
        holder: &Holder,
    ) -> Result<(Self, Vec<Holder>), JournalError> {
        let mut file = open_or_create(path)?;
        if !is_taken(file.try_lock()).map_err(JournalError::io("lock", path))? {
            return Err(JournalError::LockHeld { run: run.to_owned(), holder: read_holder(path) });
        }
        let previous = read_holders(path);
        write_holders(&mut file, holder, &previous).map_err(JournalError::io("write", path))?;
        let lock = Self { file, alive: open_or_create(alive)? };
        // No other driver is here any more, so this waits for eyes at most.
        lock.alive.lock().map_err(JournalError::io("lock", alive))?;
        Ok((lock, previous))
    }
}

impl Drop for Lock {
    /// Closing the files is not enough: a child process that is just being started (`exec`) has a copy of
    /// them for a moment, and with it the lock. Unlocking is for all copies.
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked by closing it.
        let _ = self.alive.unlock();
        let _ = self.file.unlock();
    }
}

/// Whether somebody drives the run whose lock is at `path`.
pub(super) fn look(path: &Path, alive: &Path) -> Result<LockState, JournalError> {
    let file = match File::open(alive) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Free),
        Err(error) => return Err(JournalError::io("read", alive)(error)),
    };
    if !is_taken(file.try_lock_shared()).map_err(JournalError::io("lock", alive))? {
        return Ok(LockState::Held(read_holder(path)));
    }
    file.unlock().map_err(JournalError::io("unlock", alive))?;
    Ok(LockState::Free)
}

fn open_or_create(path: &Path) -> Result<File, JournalError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).open(path).map_err(JournalError::io("open", path))
}

fn is_taken(result: Result<(), TryLockError>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn write_holders(file: &mut File, holder: &Holder, previous: &[Holder]) -> io::Result<()> {
    let mut text = Vec::new();
    for holder in [holder].into_iter().chain(previous.iter().take(REMEMBERED)) {
        serde_json::to_writer(&mut text, holder)?;
        text.push(b'\n');
    }
    file.set_len(0)?;
    file.write_all(&text)
}

/// Who holds the lock at `path`, or held it last, when its text tells.
pub(super) fn read_holder(path: &Path) -> Option<Holder> {
    read_holders(path).into_iter().next()
}

/// Who holds the lock at `path`, or held it last, and those before, the latest first.
fn read_holders(path: &Path) -> Vec<Holder> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}
