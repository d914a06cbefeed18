//! The `sprag` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    sprag::cli::main(std::env::args_os())
}
