//! The command line: one file a command; the only place that prints or exits.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs sprag with these arguments, the program's name first.
pub fn main(_args: impl IntoIterator<Item = OsString>) -> ExitCode {
    todo!()
}
