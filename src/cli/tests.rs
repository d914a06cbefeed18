//! What no command can be made to show from outside.

use std::io;
use std::path::PathBuf;

use clap::CommandFactory;

use crate::journal::JournalError;

use super::output::{Format, Output};
use super::params::parse_duration;
use super::{Cli, Exit, Failed, exit, guarded};

#[test]
fn the_commands_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_panic_is_a_fault_of_sprag() {
    let output = Output::system(Format::Text);
    assert_eq!(guarded(&output, || panic!("this is a test")), Exit::Fault);
    assert_eq!(guarded(&output, || Err(Failed::usage("this is a test"))), Exit::Usage);
}

#[test]
fn the_table_of_exit_codes_is_true() {
    let codes: Vec<&str> = exit::TABLE.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let shown = [
        Exit::Done,
        Exit::Fault,
        Exit::Usage,
        Exit::Playbook,
        Exit::Plan,
        Exit::Refused,
        Exit::Locked,
        Exit::Journal,
        Exit::StepFailed,
        Exit::Guarded,
        Exit::Asks,
        Exit::OutOfReach,
        Exit::Interrupted,
        Exit::RolledBack,
        Exit::Stuck,
        Exit::Aborted,
    ];
    let expected: Vec<String> = shown.iter().map(|exit| exit.code().to_string()).collect();
    assert_eq!(codes[1..], expected);
}

#[test]
fn a_journal_s_error_exits_as_the_journal_says() {
    let path = PathBuf::from("journal");
    let errors = [
        JournalError::LockHeld { run: "7c1f-01".to_owned(), holder: None },
        JournalError::NoSuchRun { run: "7c1f-01".to_owned(), dir: path.clone() },
        JournalError::NotAJournal { path: path.clone() },
        JournalError::DiskFull { doing: "write", path, source: io::ErrorKind::StorageFull.into() },
    ];
    for error in errors {
        let code = error.exit_code();
        assert_eq!(Failed::from(error).exit().code(), code);
    }
}

#[test]
fn durations_are_those_of_the_language() {
    for (text, expected) in [("5m", Some(300_000)), ("1h30m", Some(5_400_000)), ("0s", Some(0)), ("500ms", Some(500))] {
        assert_eq!(parse_duration(text).ok(), expected, "{text}");
    }
    for text in ["", "5", "m", "5 m", "-5m", "5min", "9999999999999d", "1.5h"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}
