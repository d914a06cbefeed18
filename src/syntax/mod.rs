//! Text to syntax tree.
//!
//! [`parse`] reads one file and returns what it could read together with every mistake that it found; it never stops at
//! the first, never panics, and needs time that grows with the text alone. The surface is defined by
//! `grammar/sprag.pest`; [`ast`] is what comes out.
//!
//! A mistake is told once and mended in a copy of the text, of the same length so that places stay true; then the
//! copy is read again. So the tree of a mistaken file is partial and may hold what was mended: it is good for outlines
//! and completions, and never carried out.
//!
//! | code | what it says |
//! |---|---|
//! | E001 | something else was expected here |
//! | E002 | the file is empty |
//! | E003 | the file is not UTF-8 |
//! | E004 | the file is larger than 1 MiB |
//! | E005 | brackets, `${` or prefixes nest deeper than 64, or an expression is too long |
//! | E006 | a bracket is never closed, never opened, or closed by another |
//! | E007 | a string is never closed, or holds a bare quote |
//! | E008 | an escape that strings do not have |
//! | E009 | a character, a quote or a comment of another language |
//! | E010 | a number, duration, percentage or version that is not written so |
//! | E011 | an operator of another language |
//! | E012 | comparisons in a chain |
//! | E013 | `!x in y` |
//! | E014 | a word of the language where a name is needed |
//! | E015 | `wait until` without `within` |
//! | E016 | a clause said twice |
//! | E017 | a clause that does not belong to this statement, or is misspelt |
//! | E018 | a statement that may not stand at this place |
//! | E019 | no such statement |
//! | E020 | a call without parentheses |
//! | E021 | a `;` or `,` between statements or clauses |
//! | E022 | a closure that is not an argument |
//! | E023 | a `///` that documents nothing |
//! | E024 | arguments or elements not separated by `,`, or named without `:` |
//! | E025 | a statement that is not finished |
//! | E026 | a text that must be plain and interpolates |

pub mod ast;
mod canonical;
mod parser;
#[cfg(test)]
mod tests;

pub use canonical::canonical;

use crate::diagnostic::Diagnostic;
use crate::source::{FileId, SourceMap};
use ast::Ast;

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// Reads a file of the map: what could be read, and every mistake in order of place.
///
/// With any error the tree is partial and must not go on to the checker.
pub fn parse(sources: &SourceMap, file: FileId) -> (Ast, Vec<Diagnostic>) {
    let source = sources.file(file);
    if source.text.len() > MAX_FILE {
        return (Ast::default(), vec![too_large(&source.name, source.text.len())]);
    }
    let (ast, mut diagnostics) = parser::read(file, &source.text);
    if ast.statements.is_empty() && diagnostics.is_empty() {
        diagnostics.push(empty(&source.name, &source.text));
    }
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map(|label| label.span.start));
    (ast, diagnostics)
}

/// The text of a file's bytes, without a byte order mark.
///
/// # Errors
/// E004 if it is too large, E003 if it is not UTF-8; `name` is how the person called the file.
pub fn decode(name: &str, bytes: &[u8]) -> Result<String, Diagnostic> {
    if bytes.len() > MAX_FILE {
        return Err(too_large(name, bytes.len()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned()),
        Err(error) => Err(not_utf8(name, bytes, error.valid_up_to())),
    }
}

/// The milliseconds of a duration as the language writes it, such as `1h30m`; `None` if it is not written so.
pub fn parse_duration(text: &str) -> Option<i64> {
    parser::parse_duration(text)
}

/// E004, also of a file that was not read for its size.
pub(crate) fn too_large(name: &str, bytes: usize) -> Diagnostic {
    let size = if bytes >= 10 * MAX_FILE { format!("{} MiB", bytes / MAX_FILE) } else { format!("{bytes} bytes") };
    Diagnostic::error("E004", format!("`{name}` is too large: {size}, and a playbook may have 1 MiB"))
        .help("is it a playbook? a long one is split into files that `use \"./other.sprag\"` brings in")
}

fn not_utf8(name: &str, bytes: &[u8], at: usize) -> Diagnostic {
    let before = &bytes[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let error =
        Diagnostic::error("E003", format!("`{name}` is not UTF-8: line {line} holds the byte 0x{:02x}", bytes[at]));
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    error.help(if is_utf16 { "it looks like UTF-16: save it as UTF-8" } else { "save it as UTF-8" })
}

fn empty(name: &str, text: &str) -> Diagnostic {
    let is_blank = text.trim_start_matches('\u{feff}').trim().is_empty();
    let what = if is_blank { "is empty" } else { "holds nothing but comments" };
    Diagnostic::error("E002", format!("`{name}` {what}: it says nothing to do"))
        .help("`drain(node)` is a step, `rollout node in nodes { … }` repeats steps for each node")
}
