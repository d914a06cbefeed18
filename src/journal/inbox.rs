//! What people say about a run that another process drives: a folder beside its journal, which the driver takes in.
//!
//! A message is a file that is there whole or not at all, and durable before whoever left it is told so. The driver removes
//! it once what it says is in the journal, or has answered why it is refused. A driver that was killed in between reads it
//! again: what is in the journal already is refused, and nothing is done twice. Names are in the order of their times.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::durable;
use super::error::JournalError;
use super::lock::Holder;
use super::record::Payload;
use super::runs::RunDir;
use crate::digest::sha256_hex;

/// What follows the name of a message; of one that is refused, [`REFUSED`] follows that.
const MESSAGE: &str = ".json";
const REFUSED: &str = ".refused";

/// More than any message.
const LARGEST: u64 = 64 * 1024;

/// The folder of messages of one run. It need not exist yet.
#[derive(Debug, Clone)]
pub struct Inbox {
    path: PathBuf,
}

/// How a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The driver has not looked yet.
    Waits,
    /// What it says is in the journal.
    Taken,
    /// It was refused, and why.
    Refused(String),
}

impl RunDir {
    /// The folder of messages to whoever drives the run.
    pub fn inbox(&self) -> Inbox {
        Inbox { path: self.path().join("inbox") }
    }
}

impl Inbox {
    /// Leaves a message, as of `from.since` (unix milliseconds); it is durable when this comes back with its name.
    pub fn leave(&self, message: &impl Serialize, from: &Holder) -> Result<String, JournalError> {
        durable::create_folders(&self.path)?;
        let host = sha256_hex(from.host.as_bytes());
        let name = format!("{:013}-{}-{}{MESSAGE}", from.since, host.get(..8).unwrap_or(&host), from.pid);
        let path = self.path.join(&name);
        let json = serde_json::to_vec(message).map_err(io::Error::from).map_err(JournalError::io("write", &path))?;
        durable::write_file(&self.path, &path, &json)?;
        Ok(name)
    }

    /// The names of the messages that wait, the earliest first.
    pub fn waiting(&self) -> Result<Vec<String>, JournalError> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(JournalError::io("read", &self.path)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(JournalError::io("read", &self.path))?.file_name();
            names.extend(name.to_str().filter(|name| name.ends_with(MESSAGE)).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// A message that waits; the inner error says why it cannot be understood.
    pub fn read<M: Payload>(&self, name: &str) -> Result<Result<M, String>, JournalError> {
        let path = self.path.join(name);
        let mut text = String::new();
        let read = fs::File::open(&path).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
        match read {
            Ok(_) => Ok(serde_json::from_str(&text).map_err(|error| error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Err(error.to_string())),
            Err(error) => Err(JournalError::io("read", &path)(error)),
        }
    }

    /// Removes a message whose event is in the journal.
    pub fn take_out(&self, name: &str) -> Result<(), JournalError> {
        remove(&self.path.join(name))
    }

    /// Says why a message is refused, and removes it.
    pub fn refuse(&self, name: &str, why: &str) -> Result<(), JournalError> {
        durable::write_file(&self.path, &self.path.join(format!("{name}{REFUSED}")), why.as_bytes())?;
        remove(&self.path.join(name))
    }

    /// How a message stands that was left here; what is told of one that was refused is told once.
    pub fn delivery(&self, name: &str) -> Result<Delivery, JournalError> {
        if self.path.join(name).exists() {
            return Ok(Delivery::Waits);
        }
        let path = self.path.join(format!("{name}{REFUSED}"));
        match fs::read_to_string(&path) {
            Ok(why) => {
                remove(&path)?;
                Ok(Delivery::Refused(why))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Delivery::Taken),
            Err(error) => Err(JournalError::io("read", &path)(error)),
        }
    }
}

/// Removes a file; one that is gone is removed.
fn remove(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(JournalError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
