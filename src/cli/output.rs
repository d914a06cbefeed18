//! Where everything is printed: results on stdout, the rest on stderr.
//!
//! An error of stderr is no error of the command, and no stream stops a run.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{ErrorKind, IsTerminal, Write};
use std::panic::PanicHookInfo;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, JsonDiagnostic, render_text};
use crate::source::SourceMap;

use super::Failed;

/// For people, or for programs: then each line of stderr is an object, and stdout holds one, or of a run one a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// The two streams, and how they are written to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// For people or for programs.
    pub(crate) format: Format,
    is_live: bool,
    colour: bool,
}

impl Output {
    /// The streams of this process. Colour is for terminals alone, and not with `NO_COLOR` (<https://no-color.org>).
    pub(crate) fn system(format: Format) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_live = std::io::stderr().is_terminal() && !is_dumb;
        Self { format, is_live, colour: is_live && !is_set("NO_COLOR") }
    }

    /// Whether stderr is a terminal on which lines can be drawn over.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// What the command was asked for.
    ///
    /// # Errors
    /// Exit 2: stdout cannot take it, as a full disk. A pipe that was closed has taken what it wanted.
    pub(crate) fn result(&self, text: &str) -> Result<(), Failed> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failed::usage(format!("the result cannot be written to stdout: {error}"))
                    .help("see to where stdout leads"))
            }
            _ => Ok(()),
        }
    }

    /// What the command was asked for, for programs.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub(crate) fn json(&self, value: &Value) -> Result<(), Failed> {
        self.result(&format!("{value:#}\n"))
    }

    /// What a run shows on stdout: a run does not stop for want of someone who listens.
    pub(crate) fn shown(&self, text: &str) {
        let _ = self.result(text);
    }

    /// Something that a person should know; one line or several.
    pub(crate) fn remark(&self, text: &str) {
        match self.format {
            Format::Text => told(text),
            Format::Json => told(&json!({ "remark": text }).to_string()),
        }
    }

    /// Mistakes and warnings with their places.
    pub(crate) fn diagnostics(&self, diagnostics: &[Diagnostic], sources: &SourceMap) {
        if diagnostics.is_empty() {
            return;
        }
        match self.format {
            Format::Text => told(render_text(diagnostics, sources, self.colour).trim_end()),
            Format::Json => told(&json!({ "diagnostics": as_json(diagnostics, sources) }).to_string()),
        }
    }

    /// Why the command did not do what it was asked for.
    pub(crate) fn failed(&self, failed: &Failed) {
        let (diagnostics, sources) = failed.diagnostics();
        let has_place = diagnostics.iter().any(|one| !one.labels.is_empty());
        match self.format {
            Format::Text if !has_place => diagnostics.iter().for_each(|one| told(&plain(one))),
            Format::Text | Format::Json => self.diagnostics(diagnostics, sources),
        }
    }

    fn panicked(&self, panic: &PanicHookInfo<'_>) {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let what = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("it gave no reason");
        let place = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        self.failed(&Failed::fault(format!("sprag cannot go on: {what}{place}")));
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            self.remark(&backtrace.to_string());
        }
    }
}

/// Has a panic, of whatever thread, told as a fault of sprag.
pub(super) fn tell_panics(output: Output) {
    std::panic::set_hook(Box::new(move |panic| output.panicked(panic)));
}

/// Diagnostics as programs read them: files, lines and columns resolved.
pub(super) fn as_json(diagnostics: &[Diagnostic], sources: &SourceMap) -> Value {
    let each = diagnostics.iter().map(|diagnostic| {
        // Texts and numbers alone: they always have a form in JSON.
        serde_json::to_value(JsonDiagnostic::new(diagnostic, sources)).unwrap_or_default()
    });
    Value::Array(each.collect())
}

/// A mistake without a place.
fn plain(diagnostic: &Diagnostic) -> String {
    let word = if diagnostic.is_error() { "error" } else { "warning" };
    let mut text = format!("{word}[{}]: {}", diagnostic.code, diagnostic.message);
    for (index, line) in diagnostic.help.iter().flat_map(|help| help.lines()).enumerate() {
        let margin = if index == 0 { "  help: " } else { "        " };
        text.push_str(&format!("\n{margin}{line}"));
    }
    text
}

fn told(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
