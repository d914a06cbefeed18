//! What a process exits with (LANGUAGE.md section 8).

use std::process::ExitCode;

/// How a command came to its end. The numbers are part of the interface: scripts and pipelines branch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; of a run: ended, with failures that it tolerates named.
    Done = 0,
    /// A fault of sprag itself.
    Fault = 1,
    /// Arguments, parameters or the kubeconfig are wrong.
    Usage = 2,
    /// The playbook is wrong, or holds a statement that this version does not carry out.
    Playbook = 3,
    /// There is no plan for this cluster, or no snapshot in that file.
    Plan = 4,
    /// The look before the first step says no.
    Refused = 5,
    /// Another process drives the run.
    Locked = 6,
    /// The journal is damaged, read-only or full.
    Journal = 7,
    /// A step failed; `resume` goes on.
    StepFailed = 10,
    /// A guard halted the run; `resume` goes on.
    Guarded = 11,
    /// A step waits for a person; `decide` or `approve`, then `resume`.
    Asks = 12,
    /// The cluster or the login is out of reach, also before a run began.
    OutOfReach = 13,
    /// Interrupted or parked; `resume` goes on.
    Interrupted = 14,
    /// The run was rolled back and has ended.
    RolledBack = 20,
    /// It was rolled back as far as possible: something is stuck.
    Stuck = 21,
    /// It was given up.
    Aborted = 22,
}

/// What `sprag --help` says of those that this version gives.
pub(super) const TABLE: &str = "\
Exit codes:
   0  done
   1  a fault of sprag itself
   2  arguments, parameters or the kubeconfig are wrong
   3  the playbook is wrong, or holds a statement that this version does not carry out
   4  there is no plan for this cluster, or no snapshot in that file
   5  the look before the first step says no
   6  another process drives the run
   7  the journal is damaged, read-only, full or missing
  10  a step failed                   (`sprag resume` goes on)
  11  a guard halted it               (`sprag resume` goes on)
  12  a step waits for a person       (`sprag decide` or `approve`, then `sprag resume`)
  13  cluster or login out of reach   (`sprag resume` goes on, if a run had begun)
  14  interrupted, or parked          (`sprag resume` goes on)
  20  rolled back
  21  rolled back as far as possible: something is stuck
  22  given up                        (`sprag abort`)";

impl Exit {
    /// The exit of that number, of those that a run can end with; a fault of ours for any other.
    pub(super) fn of_code(code: u8) -> Self {
        let all = [
            Self::Done,
            Self::StepFailed,
            Self::Guarded,
            Self::Asks,
            Self::OutOfReach,
            Self::Interrupted,
            Self::RolledBack,
            Self::Stuck,
            Self::Aborted,
        ];
        all.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Fault)
    }

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
