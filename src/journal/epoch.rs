//! Epochs: whoever takes a run over from a driver that hangs cannot have its file lock, and begins a file of its own.
//!
//! `journal` is the file of epoch 1, `journal.<n>` that of epoch n. That a file of a later epoch exists, empty or not, is
//! what stops the drivers of all earlier ones: they look for it before an append and again once it is durable. So an append
//! that was answered with records was durable before the later file was there, and whoever began that file read them.
//! An append that came too late stays where it is, behind the point that the later file's header names, and is not read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::JournalError;
use super::lock::{self, Holder};
use super::runs::RunDir;

/// The number of the first epoch.
pub(super) const FIRST: u32 = 1;

const FIRST_NAME: &str = "journal";

/// How a later epoch began: part of the header of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// The epoch that began, from 2.
    pub epoch: u32,
    /// The name of the file that this one goes on with; what lies between the two was never begun.
    pub follows: String,
    /// The number of the last record in that file that counts; 0 is its header.
    pub seq: u64,
    /// The hash of that file's last line that counts, 16 hex digits.
    pub hash: String,
    /// Who took the run over.
    pub by: Holder,
    /// Who drove it before, when the lock file tells.
    pub replaced: Option<Holder>,
    /// When a driver of an earlier epoch was last known to be alive, unix milliseconds.
    pub last_seen: i64,
}

/// Tells a driver whether a later epoch has begun. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EpochGuard(Arc<Guarded>);

#[derive(Debug)]
struct Guarded {
    run: String,
    epoch: u32,
    later: PathBuf,
    later_lock: PathBuf,
}

impl EpochGuard {
    pub(super) fn new(dir: &RunDir, epoch: u32) -> Self {
        Self(Arc::new(Guarded {
            run: dir.id().to_owned(),
            epoch,
            later: dir.epoch_path(epoch + 1),
            later_lock: dir.lock_path(epoch + 1),
        }))
    }

    /// Which epoch it guards, from 1.
    pub fn epoch(&self) -> u32 {
        self.0.epoch
    }

    /// Refuses once a later epoch has begun. Asks the disk, one request: not for a loop that a hung disk must not stop.
    ///
    /// # Errors
    /// [`JournalError::Superseded`], or what the operating system said when it could not tell.
    pub fn check(&self) -> Result<(), JournalError> {
        let guarded = &self.0;
        match fs::symlink_metadata(&guarded.later) {
            Ok(_) => Err(JournalError::Superseded {
                run: guarded.run.clone(),
                epoch: guarded.epoch,
                by: lock::read_holder(&guarded.later_lock),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(JournalError::io("look for", &guarded.later)(error)),
        }
    }
}

/// The name of an epoch's file.
pub(super) fn name_of(epoch: u32) -> String {
    match epoch {
        FIRST => FIRST_NAME.to_owned(),
        later => format!("{FIRST_NAME}.{later}"),
    }
}

/// The epoch whose file has this name; `None` for every other file.
pub(super) fn epoch_of(name: &str) -> Option<u32> {
    let epoch = match name.strip_prefix(FIRST_NAME)? {
        "" => FIRST,
        rest => rest.strip_prefix('.')?.parse().ok()?,
    };
    (name_of(epoch) == name).then_some(epoch)
}

/// The latest epoch whose file lies in `folder`, begun or not; the first where there is none.
pub(super) fn latest_in(folder: &Path) -> Result<u32, JournalError> {
    let read = || -> io::Result<u32> {
        let mut latest = FIRST;
        for entry in fs::read_dir(folder)? {
            let epoch = entry?.file_name().to_str().and_then(epoch_of);
            latest = latest.max(epoch.unwrap_or(FIRST));
        }
        Ok(latest)
    };
    read().map_err(JournalError::io("read", folder))
}
