//! Why a journal could not be read or written, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::lock::Holder;

/// What failed. Only [`LockHeld`](Self::LockHeld) may pass by itself; every other variant needs a
/// person, and an append that failed is never tried again by the same process.
#[derive(Debug, Error)]
pub enum JournalError {
    /// A file or folder cannot be used: read-only, no permission, not a folder, a fault of the disk.
    /// Worth a retry once the folder was seen to.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Inaccessible {
        /// What was to be done, as in "cannot …".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The disk, or what this user may use of it, is full. Worth a retry once there is space, by
    /// opening the journal anew.
    #[error("no space left to {doing} `{}`: {source}", path.display())]
    DiskFull {
        /// What was to be done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Bytes in the middle of the journal are wrong, and records that follow are right: no crash
    /// does that. Do not retry.
    #[error("`{}` is damaged at byte {offset}; the last good record is {last_good}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the damage begins, in bytes.
        offset: u64,
        /// The number of the last record before it; 0 is the header.
        last_good: u64,
    },
    /// The stored graph or a stored source cannot be decoded. Do not retry.
    #[error("`{}` is damaged: {source}", path.display())]
    PlanDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A newer sprag wrote it, in a way that this one cannot read. Do not retry with this version.
    #[error("`{}` was written by a newer sprag: {what}", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// What it holds and what this version knows.
        what: String,
    },
    /// Another process drives the run. Worth a retry when that one has ended.
    #[error("run `{run}` is held by {}", name_holder(holder.as_ref()))]
    LockHeld {
        /// The run.
        run: String,
        /// Who holds it, when the lock file tells.
        holder: Option<Holder>,
    },
    /// Another process took the run over while this one drove it. Do not retry: what this process knows of
    /// the run is not what is recorded any more.
    #[error("run `{run}` was taken over by {}: this process drove its epoch {epoch}", name_holder(by.as_ref()))]
    Superseded {
        /// The run.
        run: String,
        /// The epoch of this process.
        epoch: u32,
        /// Who took it over, when the lock file tells.
        by: Option<Holder>,
    },
    /// This process may drive the run no more, for a reason that the journal does not know, such as a lost
    /// lock. Do not retry.
    #[error("run `{run}` is not driven by this process any more: {because}")]
    NotDriving {
        /// The run.
        run: String,
        /// Why.
        because: String,
    },
    /// The run's folder is there, but the process ended before the journal had its first line:
    /// nothing was done. Do not retry; start a new run.
    #[error("run `{run}` never began: its journal has no header")]
    NeverBegun {
        /// The run.
        run: String,
    },
    /// There is no folder of a run by that name. Do not retry.
    #[error("there is no run `{run}` in `{}`", dir.display())]
    NoSuchRun {
        /// What was asked for.
        run: String,
        /// The folder of all runs.
        dir: PathBuf,
    },
    /// Lines check out one by one, but not together: edited, dropped, swapped or of another run.
    /// Do not retry.
    #[error("`{}` was changed at byte {offset}: {what}; the last good record is {last_good}", path.display())]
    ChainBroken {
        /// The journal.
        path: PathBuf,
        /// Where the line begins that does not fit, in bytes.
        offset: u64,
        /// The number of the last record before it; 0 is the header.
        last_good: u64,
        /// What does not fit.
        what: String,
    },
    /// An append could not be made durable. Never retry: after a failed sync the kernel may have
    /// dropped the bytes and would answer the next sync with success. Open the journal anew.
    #[error("cannot append to `{}`: {source}", path.display())]
    AppendFailed {
        /// The journal.
        path: PathBuf,
        /// What the operating system, or the encoder, said.
        source: io::Error,
    },
    /// An earlier append failed, so nothing more is appended by this process.
    #[error("nothing more can be appended: {because}")]
    Poisoned {
        /// The earlier error.
        because: String,
    },
    /// It lies where a journal should, but is none. Do not retry.
    #[error("`{}` is not a sprag journal", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
}

impl JournalError {
    /// The stable code, such as `E605`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Inaccessible { .. } => "E601",
            Self::DiskFull { .. } => "E602",
            Self::Damaged { .. } | Self::PlanDamaged { .. } => "E603",
            Self::Newer { .. } => "E604",
            Self::LockHeld { .. } => "E605",
            Self::NeverBegun { .. } => "E606",
            Self::NoSuchRun { .. } => "E607",
            Self::ChainBroken { .. } => "E608",
            Self::AppendFailed { .. } | Self::Poisoned { .. } => "E609",
            Self::NotAJournal { .. } => "E610",
            Self::Superseded { .. } => "E611",
            Self::NotDriving { .. } => "E612",
        }
    }

    /// The code that the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::LockHeld { .. } | Self::Superseded { .. } | Self::NotDriving { .. } => 6,
            Self::NoSuchRun { .. } => 2,
            _ => 7,
        }
    }

    /// What a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Inaccessible { .. } => {
                "make the folder readable and writable for this user, or name another one with `--dir`"
            }
            Self::DiskFull { .. } => "free some space on that disk, then `sprag resume`",
            Self::Damaged { .. } | Self::PlanDamaged { .. } => {
                "nothing was changed; put a good copy of the file back and `sprag resume`, or see \
                 with `sprag nodes` what is half-way and start a new run"
            }
            Self::Newer { .. } => "use the version that wrote it, or a later one",
            Self::LockHeld { .. } => {
                "wait for that process to end, or end it, then `sprag resume`; `sprag status` shows \
                 what it is doing; `sprag resume --take-over` replaces one that hangs"
            }
            Self::Superseded { .. } => "`sprag status` shows what the other process is doing; leave the run to it",
            Self::NotDriving { .. } => {
                "`sprag status` shows how the run stands; `sprag resume` goes on once nobody drives it"
            }
            Self::NeverBegun { .. } => "nothing was done; start again with `sprag run`, the folder can be deleted",
            Self::NoSuchRun { .. } => "`sprag runs` lists the runs, `--dir` names the folder that holds them",
            Self::ChainBroken { .. } => {
                "nothing was changed; put the journal back as it was written and `sprag resume`, or \
                 see with `sprag nodes` what is half-way and start a new run"
            }
            Self::AppendFailed { .. } | Self::Poisoned { .. } => {
                "see to the disk, then `sprag resume`; what was not recorded was not begun"
            }
            Self::NotAJournal { .. } => "move the file away, or name another folder with `--dir`",
        }
    }

    /// Turns what the operating system said while `doing` something with `path` into an error.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.to_path_buf();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    Self::DiskFull { doing, path, source }
                }
                _ => Self::Inaccessible { doing, path, source },
            }
        }
    }

    /// As [`io`](Self::io), for an append: what is neither a full nor a read-only disk is a failed append.
    pub(super) fn append(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied => Self::io("append to", path)(source),
            _ => Self::AppendFailed { path: path.to_path_buf(), source },
        }
    }
}

fn name_holder(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), ToString::to_string)
}
