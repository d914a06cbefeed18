//! A copy of a text, or of a piece of it, in which mistakes are mended as they are told.
//!
//! What is mended keeps its length, so every place in the draft is a place in the file.

use std::ops::Range;

use super::scan::{Bracket, CLAUSE_WORDS, Kind, STATEMENT_WORDS, Token, scan};
use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};

/// How many mistakes of one file are told: a person mends no more at a time, and each costs another reading.
const MAX_TOLD: usize = 20;

/// A text under repair.
pub(super) struct Draft {
    pub(super) file: FileId,
    /// Where the piece begins in its file.
    pub(super) base: usize,
    /// How long the file is.
    pub(super) length: usize,
    text: String,
    /// Where the lines of the piece as it was begin, behind their blanks. Mending may swallow a line end.
    line_starts: Vec<usize>,
    tokens: Vec<Token>,
    /// Ranges of the piece in which nothing more is said: what is wrong there follows from what was said already.
    silenced: Vec<Range<usize>>,
    /// Ranges of the piece in which the tree has nothing to say: something of the statement was taken away.
    halved: Vec<Range<usize>>,
    pub(super) told: Vec<Diagnostic>,
}

impl Draft {
    pub(super) fn new(file: FileId, text: &str) -> Self {
        let mut draft = Self {
            file,
            base: 0,
            length: text.len(),
            text: text.to_owned(),
            line_starts: line_starts(text),
            tokens: Vec::new(),
            silenced: Vec::new(),
            halved: Vec::new(),
            told: Vec::new(),
        };
        draft.rescan();
        draft
    }

    /// A piece of a whole draft. What was told goes with it; take it back with [`Draft::told`].
    pub(super) fn piece(&mut self, range: Range<usize>) -> Self {
        let shift = |silenced: &Range<usize>| {
            let start = silenced.start.max(range.start);
            (start < silenced.end.min(range.end))
                .then(|| start - range.start..silenced.end.min(range.end) - range.start)
        };
        let mut piece = Self {
            file: self.file,
            base: self.base + range.start,
            length: self.length,
            text: self.text[range.clone()].to_owned(),
            line_starts: self.line_starts.iter().filter_map(|at| at.checked_sub(range.start)).collect(),
            tokens: Vec::new(),
            silenced: self.silenced.iter().filter_map(shift).collect(),
            halved: self.halved.iter().filter_map(shift).collect(),
            told: std::mem::take(&mut self.told),
        };
        piece.rescan();
        piece
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// What a token is written as; nothing for one that is not there.
    pub(super) fn word(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &self.text[token.range()])
    }

    pub(super) fn rescan(&mut self) {
        self.tokens = scan(&self.text).tokens;
        for token in &mut self.tokens {
            token.first |= self.line_starts.binary_search(&token.start).is_ok();
        }
    }

    pub(super) fn span(&self, range: &Range<usize>) -> Span {
        let within = |at: usize| (self.base + at).min(self.length);
        Span::new(self.file, within(range.start), within(range.end))
    }

    pub(super) fn is_full(&self) -> bool {
        self.told.len() >= MAX_TOLD
    }

    pub(super) fn tell(&mut self, diagnostic: Diagnostic) {
        let place = diagnostic.labels.first().map_or(0, |label| (label.span.start as usize).saturating_sub(self.base));
        let is_silent = self.silenced.iter().any(|range| range.contains(&place));
        let same = |told: &Diagnostic| told.code == diagnostic.code && told.labels.first() == diagnostic.labels.first();
        if self.is_full() || is_silent || self.told.iter().any(same) {
            return;
        }
        self.told.push(diagnostic);
        if self.is_full()
            && let Some(last) = self.told.last_mut()
        {
            let more = format!("only the first {MAX_TOLD} mistakes are told, there may be more");
            last.help = Some(last.help.as_ref().map_or(more.clone(), |help| format!("{help}\n{more}")));
        }
    }

    pub(super) fn silence(&mut self, range: Range<usize>) {
        self.silenced.push(range);
    }

    pub(super) fn halve(&mut self, range: Range<usize>) {
        self.halved.push(range);
    }

    /// Where the tree has nothing to say.
    pub(super) fn silent_to_tree(&self) -> Vec<Range<usize>> {
        self.silenced.iter().chain(&self.halved).cloned().collect()
    }

    /// Puts blanks in the place of a range; line ends stay.
    pub(super) fn blank(&mut self, range: Range<usize>) {
        let blanks: String =
            self.text[range.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        self.text.replace_range(range, &blanks);
    }

    /// Puts a text in the place of a range, and blanks behind it; where it does not fit in, blanks alone.
    pub(super) fn write(&mut self, range: Range<usize>, text: &str) {
        let (start, room) = (range.start, range.len());
        self.blank(range);
        if text.len() <= room {
            self.text.replace_range(start..start + text.len(), text);
        }
    }

    /// Adds a text behind the end, where no place of the file is.
    pub(super) fn append(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// How many blanks stand behind a place.
    pub(super) fn blanks_from(&self, at: usize) -> usize {
        self.text.as_bytes()[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    }

    /// From the first character of the line that a place is on to before its end.
    pub(super) fn line_around(&self, at: usize) -> Range<usize> {
        let start = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |end| at + end);
        start..end
    }

    /// How far a token that is the first of its line stands from the line's beginning.
    pub(super) fn indent(&self, token: &Token) -> usize {
        token.start - self.text[..token.start].rfind('\n').map_or(0, |end| end + 1)
    }

    /// Whether a token is a reserved word that can only begin a statement.
    pub(super) fn begins_surely(&self, index: usize) -> bool {
        let Some(token) = self.tokens.get(index) else { return false };
        let word = self.word(index);
        let follows = self.word(index + 1);
        let is_name = matches!(follows, ":" | "=" | "," | ")" | ".");
        if token.kind != Kind::Word || !STATEMENT_WORDS.contains(&word) || is_name {
            return false;
        }
        match index.checked_sub(1).map_or("", |before| self.word(before)) {
            "." | "let" | "param" | "record" | "fn" | "task" | "rollout" | "|" => false,
            "else" => word != "if",
            "failure" => word != "rollback",
            _ => true,
        }
    }

    /// Whether a statement seems to begin with a token: surely, or as a call at the beginning of a line would.
    pub(super) fn begins_statement(&self, index: usize) -> bool {
        let Some(token) = self.tokens.get(index) else { return false };
        if token.kind == Kind::Doc || self.begins_surely(index) {
            return true;
        }
        let word = self.word(index);
        let is_plain = token.kind == Kind::Word && !CLAUSE_WORDS.contains(&word) && !super::scan::is_reserved(word);
        is_plain && self.may_begin_here(index) && matches!(self.word(index + 1), "(" | "::")
    }

    /// Whether what stands before a token leaves room for a new statement.
    pub(super) fn may_begin_here(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1) else { return true };
        let word = self.word(before);
        let is_keyword = CLAUSE_WORDS.contains(&word) || super::scan::is_reserved(word);
        match self.tokens[before].kind {
            Kind::Open(Bracket::Brace) | Kind::Close(Bracket::Brace) | Kind::Doc => true,
            _ => self.tokens[index].first && self.tokens[before].ends_operand() && !is_keyword,
        }
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        starts.push(at + line.len() - line.trim_start().len());
        at += line.len();
    }
    starts
}
