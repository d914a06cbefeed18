//! Reads a file by the grammar. The only place that knows pest.
//!
//! A file without mistakes takes the short way: [`scan`] counts its depth, pest reads it, [`tree`] with [`statement`],
//! [`expression`] and [`literal`] builds what came out. With a mistake it takes the long way through [`recover`], where
//! [`mistakes`] and [`brackets`] find the words for it.

mod brackets;
mod draft;
mod expression;
mod literal;
mod mistakes;
mod names;
mod recover;
mod scan;
mod statement;
mod tree;

use std::ops::Range;

use pest::Parser;
use pest::iterators::Pair;

use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};
use crate::syntax::ast::{Ast, Comment};
pub(super) use literal::parse_duration;
use scan::Scan;
use tree::{Builder, Piece, Statements};

#[derive(pest_derive::Parser)]
#[grammar = "../grammar/sprag.pest"]
struct Grammar;

/// Reads a text: what could be read, and the mistakes in no particular order.
pub(super) fn read(file: FileId, text: &str) -> (Ast, Vec<Diagnostic>) {
    let text = without_mark(text);
    let scan = scan::scan(&text);
    let comments = comments(file, &text, &scan);
    if let Some(place) = &scan.too_deep {
        let too_deep = too_deep(Span::new(file, place.start, place.end));
        return (Ast { comments, ..Ast::default() }, vec![too_deep]);
    }
    let (statements, diagnostics) = match first_pair(Rule::playbook, &text) {
        Ok(root) => {
            let piece = Piece { base: 0, text: &text, tokens: &scan.tokens, silenced: &[] };
            let mut builder = Builder::new(file, text.len(), piece);
            let mut statements = Statements::default();
            builder.file(root, &mut statements);
            (statements, builder.diagnostics)
        }
        Err(_) => {
            let (statements, mut diagnostics) = recover::recover(file, &text);
            diagnostics
                .iter_mut()
                .flat_map(|told| &mut told.labels)
                .for_each(|label| label.span = whole(&text, label.span));
            (statements, diagnostics)
        }
    };
    (Ast { doc: statements.doc, statements: statements.list, comments }, diagnostics)
}

/// The span without a part of a character: what was mended may begin where another stood.
fn whole(text: &str, span: Span) -> Span {
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    let start = (0..=span.start as usize).rev().find(is_boundary).unwrap_or(0);
    let end = (span.end as usize..=text.len()).find(is_boundary).unwrap_or(text.len());
    Span::new(span.file, start, end)
}

/// A byte order mark counts as blanks: places stay true.
fn without_mark(text: &str) -> std::borrow::Cow<'_, str> {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => format!("   {rest}").into(),
        None => text.into(),
    }
}

fn comments(file: FileId, text: &str, scan: &Scan) -> Vec<Comment> {
    let comment = |range: &Range<usize>| Comment {
        span: Span::new(file, range.start, range.end),
        text: text[range.clone()].trim_end().to_owned(),
    };
    scan.comments.iter().map(comment).collect()
}

fn too_deep(place: Span) -> Diagnostic {
    let message =
        format!("this nests too deep: more than {} brackets, `${{` and prefixes inside each other", scan::MAX_DEPTH);
    Diagnostic::error("E005", message)
        .at(place, "")
        .help("give inner parts a name with `let`, or move steps into a `task`")
}

/// Why pest did not get through a text.
struct Failure {
    /// The furthest place that it came to.
    place: usize,
    /// What it would have taken there; empty if it gave up for want of stack.
    expected: Vec<Rule>,
}

fn first_pair(rule: Rule, text: &str) -> Result<Pair<'_, Rule>, Failure> {
    use pest::error::{ErrorVariant, InputLocation};
    let error = match Grammar::parse(rule, text) {
        Ok(mut pairs) => return pairs.next().ok_or(Failure { place: 0, expected: Vec::new() }),
        Err(error) => error,
    };
    let place = match error.location {
        InputLocation::Pos(place) | InputLocation::Span((place, _)) => place,
    };
    let expected = match error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => Vec::new(),
    };
    Err(Failure { place, expected })
}

/// Whether a text is a number, duration, percentage or version by the grammar.
fn is_numeric(text: &str) -> bool {
    Grammar::parse(Rule::numeric, text).is_ok()
}
