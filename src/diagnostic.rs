//! One mistake, told so that a tired person can mend it: a code, a message, the places, something to do.
//!
//! Stages return diagnostics as values in a list and go on; only `cli` prints them.
//! Codes: E0xx reading, E1xx names and modules, E2xx types, E3xx moments, E4xx plan, E5xx run,
//! E6xx journal, E7xx cluster, L lints, W why something is stuck.

use std::fmt;

use serde::Serialize;

use crate::source::{SourceMap, Span};

/// How bad it is: an error stops the stage after this one, a warning does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Shown; nothing is stopped.
    Warning,
    /// The next stage is not entered.
    Error,
}

/// A place in a source file with a few words about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is the matter there; may be empty.
    pub text: String,
}

/// One mistake or warning. Messages are lower case, names in backticks, without a final period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable code such as `E203`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where; the first is the main place. Empty when no text is to blame.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error with a code and a message.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    /// A warning with a code and a message.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place and a few words about it.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Whether it stops the next stage.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Whether any of them is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// The nearest of `candidates` to a misspelt `name`, if one is near enough to be meant.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match name.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

/// A diagnostic in the form that `--format json` prints: spans resolved to files, lines and columns.
#[derive(Debug, Serialize)]
pub struct JsonDiagnostic<'a> {
    code: &'a str,
    severity: Severity,
    message: &'a str,
    labels: Vec<JsonLabel<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct JsonLabel<'a> {
    file: &'a str,
    start: u32,
    end: u32,
    from: crate::source::Position,
    to: crate::source::Position,
    text: &'a str,
}

impl<'a> JsonDiagnostic<'a> {
    /// The diagnostic with its places resolved by `sources`.
    pub fn new(diagnostic: &'a Diagnostic, sources: &'a SourceMap) -> Self {
        let label = |label: &'a Label| {
            let file = sources.file(label.span.file);
            JsonLabel {
                file: &file.name,
                start: label.span.start,
                end: label.span.end,
                from: file.position(label.span.start),
                to: file.position(label.span.end),
                text: &label.text,
            }
        };
        Self {
            code: diagnostic.code,
            severity: diagnostic.severity,
            message: &diagnostic.message,
            labels: diagnostic.labels.iter().map(label).collect(),
            help: diagnostic.help.as_deref(),
        }
    }
}

/// Renders diagnostics for a terminal, 100 columns wide, ending with a count; colour only if asked for.
pub fn render_text(diagnostics: &[Diagnostic], sources: &SourceMap, colour: bool) -> String {
    let theme = if colour { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::unicode_nocolor() };
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false);
    let mut out = String::new();
    for diagnostic in diagnostics {
        // Labels of a second file cannot be drawn in the first one's frame: each file gets a frame of its own.
        for frame in frames(diagnostic, sources) {
            let mut one = String::new();
            if handler.render_report(&mut one, &frame).is_ok() {
                out.push_str(one.trim_start_matches('\n'));
                if !out.ends_with('\n') {
                    out.push('\n');
                }
            }
        }
    }
    out.push_str(&count_line(diagnostics));
    out
}

fn count_line(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let counted = |n: usize, word: &str| (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }));
    let parts: Vec<_> = [counted(errors, "error"), counted(warnings, "warning")].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("{}\n", parts.join(", ")) }
}

/// One diagnostic, as far as it concerns one file, in miette's terms.
#[derive(Debug)]
struct Frame {
    head: String,
    severity: Severity,
    help: Option<String>,
    source: Option<miette::NamedSource<String>>,
    labels: Vec<miette::LabeledSpan>,
}

fn frames(diagnostic: &Diagnostic, sources: &SourceMap) -> Vec<Frame> {
    let mut files: Vec<_> = diagnostic.labels.iter().map(|label| label.span.file).collect();
    files.dedup();
    if files.is_empty() {
        return vec![Frame::bare(diagnostic)];
    }
    let last = files.len() - 1;
    files
        .iter()
        .enumerate()
        .map(|(index, file)| {
            let source = sources.file(*file);
            let mut frame = Frame::bare(diagnostic);
            if index > 0 {
                frame.head = "see also".to_owned();
            }
            if index < last {
                frame.help = None;
            }
            frame.source = Some(miette::NamedSource::new(&source.name, source.text.to_string()));
            frame.labels = diagnostic
                .labels
                .iter()
                .filter(|label| label.span.file == *file)
                .map(|label| {
                    let text = (!label.text.is_empty()).then(|| label.text.clone());
                    miette::LabeledSpan::new(text, label.span.start as usize, label.span.len())
                })
                .collect();
            frame
        })
        .collect()
}

impl Frame {
    fn bare(diagnostic: &Diagnostic) -> Self {
        let word = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Self {
            head: format!("{word}[{}]: {}", diagnostic.code, diagnostic.message),
            severity: diagnostic.severity,
            help: diagnostic.help.clone(),
            source: None,
            labels: Vec::new(),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)
    }
}

impl std::error::Error for Frame {}

impl miette::Diagnostic for Frame {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|source| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as Box<_>)
    }
}
