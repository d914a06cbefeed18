//! From pest's pairs to the syntax tree: what all parts of it share.

use std::ops::Range;

use pest::iterators::Pair;

use super::Rule;
use super::scan::Token;
use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};
use crate::syntax::ast::{Doc, Ident, Statement};

/// A piece of a file, as it is read.
pub(super) struct Piece<'a> {
    /// Where it begins in its file.
    pub(super) base: usize,
    /// Its text.
    pub(super) text: &'a str,
    /// Its tokens, their places counted from the piece's beginning.
    pub(super) tokens: &'a [Token],
    /// Ranges of it where a mistake was told already: nothing more is said there.
    pub(super) silenced: &'a [Range<usize>],
}

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    Top,
    Block,
    Parallel,
}

/// The statements of a block or of a file, as they come.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// The documentation of the file.
    pub(super) doc: Option<Doc>,
    pub(super) list: Vec<Statement>,
    /// Where the first step stands: what must stand before it comes too late from there on.
    pub(super) first_step: Option<Span>,
}

/// Builds the tree of a piece.
pub(super) struct Builder<'a> {
    file: FileId,
    /// How long the file is: nothing that was added behind it has a place.
    length: usize,
    piece: Piece<'a>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The height of the highest expression that was built since someone last asked.
    pub(super) height: usize,
    /// Whether an expression that is too long was told.
    pub(super) told_too_long: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(file: FileId, length: usize, piece: Piece<'a>) -> Self {
        Self { file, length, piece, diagnostics: Vec::new(), height: 0, told_too_long: false }
    }

    /// Adds what `playbook` or `remainder` matched to what was read before it.
    pub(super) fn file(&mut self, root: Pair<'_, Rule>, top: &mut Statements) {
        if let Some(doc) = child(&root, Rule::file_doc) {
            top.doc = Some(self.doc(&doc));
        }
        self.statements(root, Around::Top, top);
    }

    pub(super) fn tell(&mut self, diagnostic: Diagnostic) {
        let place =
            diagnostic.labels.first().map_or(0, |label| (label.span.start as usize).saturating_sub(self.piece.base));
        if !self.piece.silenced.iter().any(|range| range.contains(&place)) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// What is written at a place, if it is short enough to be shown within a sentence.
    pub(super) fn written(&self, span: Span) -> Option<&'a str> {
        const SHORT: usize = 40;
        let within = |at: u32| (at as usize).checked_sub(self.piece.base);
        let text = self.piece.text.get(within(span.start)?..within(span.end)?)?;
        (text.len() <= SHORT && !text.contains('\n')).then_some(text)
    }

    fn place(&self, start: usize, end: usize) -> Span {
        let within = |at: usize| (self.piece.base + at).min(self.length);
        Span::new(self.file, within(start), within(end))
    }

    /// The place of what is one token, or ends with one.
    pub(super) fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        self.place(span.start(), span.end())
    }

    /// The place without trailing blanks and comments: pest keeps those that it passed on the way to something
    /// optional that then was not there.
    pub(super) fn trimmed_span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        let count = self.piece.tokens.partition_point(|token| token.start < span.end());
        let end = self.piece.tokens[..count].last().map_or(span.end(), |token| token.end.min(span.end()));
        self.place(span.start(), end.max(span.start()))
    }

    pub(super) fn ident(&self, pair: &Pair<'_, Rule>) -> Ident {
        Ident { name: pair.as_str().to_owned(), span: self.span(pair) }
    }

    pub(super) fn doc(&self, pair: &Pair<'_, Rule>) -> Doc {
        let line = |pair: Pair<'_, Rule>| {
            let text = pair.as_str().strip_prefix("///").unwrap_or_default();
            text.strip_prefix(' ').unwrap_or(text).trim_end().to_owned()
        };
        Doc { span: self.trimmed_span(pair), lines: pair.clone().into_inner().map(line).collect() }
    }

    /// Several blocks before one statement are one: the gap between them becomes an empty line.
    pub(super) fn join_docs(&self, first: Option<Doc>, next: &Pair<'_, Rule>) -> Doc {
        let next = self.doc(next);
        let Some(mut doc) = first else { return next };
        doc.span = doc.span.to(next.span);
        doc.lines.push(String::new());
        doc.lines.extend(next.lines);
        doc
    }
}

/// The first child that is of that rule.
pub(super) fn child<'i>(pair: &Pair<'i, Rule>, rule: Rule) -> Option<Pair<'i, Rule>> {
    pair.clone().into_inner().find(|inner| inner.as_rule() == rule)
}
