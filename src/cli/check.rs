//! `sprag check`: mistakes and warnings, without a cluster.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, has_errors};
use crate::source::SourceMap;

use super::load::check_file;
use super::output::{Format, Output, as_json};
use super::{Exit, Failed};

/// Which files to look at.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Playbooks; the modules that they bring in are looked at with them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// `sprag check`: exits with the worst of what was found, and looks at every file.
pub(super) fn check(args: &CheckArgs, output: &Output) -> Result<Exit, Failed> {
    let mut worst = Exit::Done;
    let mut told: Vec<Value> = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        let exit = match check_file(file) {
            Ok((checked, sources)) => {
                let exit = if checked.program.is_some() { Exit::Done } else { Exit::Playbook };
                told.push(tell(&name, &checked.diagnostics, &sources, output)?);
                exit
            }
            Err(failed) => {
                let (diagnostics, sources) = failed.diagnostics();
                if output.format == Format::Text {
                    output.failed(&failed);
                }
                told.push(json!({ "file": name, "diagnostics": as_json(diagnostics, sources) }));
                failed.exit()
            }
        };
        if exit.code() > worst.code() {
            worst = exit;
        }
    }
    if output.format == Format::Json {
        output.json(&json!({ "schema": 1, "files": told }))?;
    }
    Ok(worst)
}

/// Tells people about a file at once, and gives what programs are told of it in the end.
fn tell(name: &str, diagnostics: &[Diagnostic], sources: &SourceMap, output: &Output) -> Result<Value, Failed> {
    if output.format == Format::Text {
        output.diagnostics(diagnostics, sources);
        if !has_errors(diagnostics) {
            let what = if diagnostics.is_empty() { "no mistakes" } else { "no errors" };
            output.result(&format!("{name}: {what}\n"))?;
        }
    }
    Ok(json!({ "file": name, "diagnostics": as_json(diagnostics, sources) }))
}
