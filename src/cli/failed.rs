//! Why a command could not do what it was asked for.

use std::fmt;

use crate::cluster::RequestError;
use crate::diagnostic::Diagnostic;
use crate::engine::driver::DriveError;
use crate::engine::state::IllegalEvent;
use crate::journal::JournalError;
use crate::source::SourceMap;

use super::Exit;

/// Mistakes to be shown, with the code to exit with.
#[derive(Debug)]
pub(crate) struct Failed {
    diagnostics: Vec<Diagnostic>,
    sources: SourceMap,
    exit: Exit,
}

impl Failed {
    /// Mistakes with places in `sources`.
    pub(crate) fn diagnosed(diagnostics: Vec<Diagnostic>, sources: SourceMap, exit: Exit) -> Self {
        Self { diagnostics, sources, exit }
    }

    /// One mistake without a place.
    pub(crate) fn told(code: &'static str, message: impl Into<String>, exit: Exit) -> Self {
        Self::diagnosed(vec![Diagnostic::error(code, message)], SourceMap::default(), exit)
    }

    /// The command was called with what it cannot take.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::told("E400", message, Exit::Usage)
    }

    /// Sprag itself is at fault.
    pub(crate) fn fault(message: impl Into<String>) -> Self {
        Self::told("E599", message, Exit::Fault).help("it is a fault of sprag, not of yours: please report it")
    }

    /// Says what to do.
    #[must_use]
    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        if let Some(last) = self.diagnostics.last_mut() {
            last.help = Some(text.into());
        }
        self
    }

    /// What went wrong, each with its place.
    pub(crate) fn diagnostics(&self) -> (&[Diagnostic], &SourceMap) {
        (&self.diagnostics, &self.sources)
    }

    /// The code to exit with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

/// The messages alone, for a place on one line.
impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { "; " }, diagnostic.message)?;
        }
        Ok(())
    }
}

impl From<JournalError> for Failed {
    fn from(error: JournalError) -> Self {
        let exit = match error {
            JournalError::LockHeld { .. } | JournalError::Superseded { .. } | JournalError::NotDriving { .. } => {
                Exit::Locked
            }
            JournalError::NoSuchRun { .. } => Exit::Usage,
            JournalError::Inaccessible { .. }
            | JournalError::DiskFull { .. }
            | JournalError::Damaged { .. }
            | JournalError::PlanDamaged { .. }
            | JournalError::Newer { .. }
            | JournalError::NeverBegun { .. }
            | JournalError::ChainBroken { .. }
            | JournalError::AppendFailed { .. }
            | JournalError::Poisoned { .. }
            | JournalError::NotAJournal { .. } => Exit::Journal,
        };
        Self::told(error.code(), error.to_string(), exit).help(error.help())
    }
}

impl From<IllegalEvent> for Failed {
    fn from(error: IllegalEvent) -> Self {
        Self::told("E608", format!("the journal says what cannot be: {error}"), Exit::Journal)
            .help("the run's folder was edited, or sprag is at fault: keep the folder and report it")
    }
}

impl From<DriveError> for Failed {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Journal(error) => error.into(),
            DriveError::Illegal(error) => error.into(),
            DriveError::LockLost(_) => Self::told("E725", error.to_string(), Exit::Locked)
                .help("nothing more was done; when no other process drives the run, `sprag resume` goes on with it"),
            DriveError::Hung => Self::told("E609", DriveError::Hung.to_string(), Exit::Journal)
                .help("see to the disk, then `sprag resume`; what was not recorded was not begun"),
        }
    }
}

impl From<RequestError> for Failed {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Unauthorized(what) => {
                Self::told("E711", format!("the cluster does not accept the login: {what}"), Exit::OutOfReach)
                    .help("log in again, as for kubectl; `kubectl auth whoami` tells whether it worked")
            }
            RequestError::Forbidden(what) => {
                Self::told("E712", format!("the cluster forbids what is needed: {what}"), Exit::OutOfReach)
                    .help("ask for that right, or choose another user with --context or --as")
            }
            RequestError::Fenced(what) => Self::told("E725", format!("the lock was lost: {what}"), Exit::Locked)
                .help("`sprag status` shows how the run stands; `sprag resume` goes on once nobody drives it"),
            RequestError::NotFound(what)
            | RequestError::Conflict(what)
            | RequestError::Invalid(what)
            | RequestError::Expired(what)
            | RequestError::Budget(what)
            | RequestError::Lost(what)
            | RequestError::Other(_, what) => {
                Self::told("E710", format!("the cluster does not answer as it should: {what}"), Exit::OutOfReach)
                    .help("`kubectl get --raw /readyz` asks the API server how it is")
            }
        }
    }
}
