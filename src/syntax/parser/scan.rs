//! A quick look at the text as a row of tokens, before and beside the grammar.
//!
//! It serves what the grammar cannot: counting how deep the text nests before pest is let in, the comments for the
//! formatter, the true ends of statements, and finding one's way around a mistake. It never decides what is valid.

use std::ops::Range;

pub(super) use crate::catalog::{CLAUSE_WORDS, STATEMENT_WORDS, is_reserved};

/// How deep brackets, `${` and prefixes may nest in each other.
pub(super) const MAX_DEPTH: usize = 64;

/// What opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Paren,
    Square,
    Brace,
    /// `${` and `}` in a string
    Interpolation,
    /// `"`
    Quote,
    /// `` ` ``
    Backtick,
}

impl Bracket {
    /// As it is opened.
    pub(super) fn opener(self) -> &'static str {
        match self {
            Self::Paren => "(",
            Self::Square => "[",
            Self::Brace => "{",
            Self::Interpolation => "${",
            Self::Quote => "\"",
            Self::Backtick => "`",
        }
    }

    /// As it is closed; always one byte.
    pub(super) fn closer(self) -> &'static str {
        match self {
            Self::Paren => ")",
            Self::Square => "]",
            Self::Brace | Self::Interpolation => "}",
            Self::Quote => "\"",
            Self::Backtick => "`",
        }
    }
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, reserved or not.
    Word,
    /// What begins with a digit, and what looks like a version; perhaps mistaken.
    Number,
    /// An operator or punctuation.
    Op,
    Open(Bracket),
    Close(Bracket),
    /// Characters of a string.
    Chars,
    /// `\` in a quoted string with what comes after it, where that is no escape.
    BadEscape,
    /// One line of `///`.
    Doc,
    /// What is quoted by other marks than `"`: `'…'`, `“…”`.
    Misquoted,
    /// What other languages take for a comment: `# …`, `/* … */`.
    ForeignComment,
    /// A character that the language does not have.
    Alien,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether nothing but blanks stands before it on its line.
    pub(super) first: bool,
}

impl Token {
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether an operand may end with it, so that no other operand can follow directly.
    pub(super) fn ends_operand(&self) -> bool {
        use Bracket::{Backtick, Paren, Quote, Square};
        matches!(
            self.kind,
            Kind::Word | Kind::Number | Kind::Misquoted | Kind::Close(Paren | Square | Quote | Backtick)
        )
    }

    /// Whether an operand may begin with it.
    pub(super) fn begins_operand(&self) -> bool {
        use Bracket::{Backtick, Paren, Quote, Square};
        matches!(self.kind, Kind::Word | Kind::Number | Kind::Misquoted | Kind::Open(Paren | Square | Quote | Backtick))
    }
}

/// The tokens and comments of a text.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) tokens: Vec<Token>,
    pub(super) comments: Vec<Range<usize>>,
    /// Where it first nests deeper than [`MAX_DEPTH`].
    pub(super) too_deep: Option<Range<usize>>,
}

/// Looks through a text. Takes any text; linear.
pub(super) fn scan(text: &str) -> Scan {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        first: true,
        open: Vec::new(),
        depth: 0,
        run: 0,
        no_block_end: false,
        out: Scan::default(),
    };
    while scanner.at < text.len() {
        match scanner.open.last() {
            Some((Bracket::Quote, _)) => scanner.string(b'"'),
            Some((Bracket::Backtick, _)) => scanner.string(b'`'),
            _ => scanner.code(),
        }
    }
    scanner.out
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    first: bool,
    /// What is open, each with the depth that it adds: one, and the prefixes right before it.
    open: Vec<(Bracket, usize)>,
    depth: usize,
    /// How many prefixes (`!`, `-`, `list<`) stand directly before this place.
    run: usize,
    no_block_end: bool,
    out: Scan,
}

impl Scanner<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn push(&mut self, kind: Kind, len: usize) {
        let start = self.at;
        self.at = (start + len).min(self.text.len());
        self.out.tokens.push(Token { kind, start, end: self.at, first: self.first });
        self.first = false;
    }

    fn open(&mut self, bracket: Bracket) {
        let adds = 1 + self.run;
        self.open.push((bracket, adds));
        self.depth += adds;
        self.run = 0;
        self.check_depth(bracket.opener().len());
        self.push(Kind::Open(bracket), bracket.opener().len());
    }

    /// Any closer closes the innermost: pest goes no further than the first that does not fit.
    fn close(&mut self, bracket: Bracket) {
        if let Some((_, adds)) = self.open.pop() {
            self.depth -= adds;
        }
        self.run = 0;
        self.push(Kind::Close(bracket), 1);
    }

    /// In a string there are no braces but those of `${…}`, so its `}` ends it whatever is open in it.
    fn close_brace(&mut self) {
        let of_string = |(bracket, _): &(Bracket, usize)| matches!(bracket, Bracket::Brace | Bracket::Interpolation);
        match self.open.iter().rposition(of_string) {
            Some(at) if self.open[at].0 == Bracket::Interpolation => {
                let inner: usize = self.open.drain(at + 1..).map(|(_, adds)| adds).sum();
                self.depth -= inner;
                self.close(Bracket::Interpolation);
            }
            _ => self.close(Bracket::Brace),
        }
    }

    fn check_depth(&mut self, len: usize) {
        if self.depth + self.run > MAX_DEPTH && self.out.too_deep.is_none() {
            self.out.too_deep = Some(self.at..self.at + len);
        }
    }

    fn length_while(&self, from: usize, keep: impl Fn(u8) -> bool) -> usize {
        self.bytes[(self.at + from).min(self.bytes.len())..].iter().take_while(|byte| keep(**byte)).count()
    }

    fn to_line_end(&self) -> usize {
        let length = self.length_while(0, |byte| byte != b'\n');
        if self.rest()[..length].ends_with(b"\r") { length - 1 } else { length }
    }

    fn string(&mut self, quote: u8) {
        let raw = quote == b'`';
        match self.peek(0) {
            byte if byte == quote => self.close(if raw { Bracket::Backtick } else { Bracket::Quote }),
            b'$' if self.peek(1) == b'{' => self.open(Bracket::Interpolation),
            b'\\' if !raw => {
                let escaped = self.text[self.at + 1..].chars().next();
                let known = escaped.is_some_and(|char| "\"\\nt$".contains(char));
                let kind = if known { Kind::Chars } else { Kind::BadEscape };
                self.push(kind, 1 + escaped.map_or(0, char::len_utf8));
            }
            _ => {
                let plain = |byte: u8| byte != quote && byte != b'$' && (raw || byte != b'\\');
                self.push(Kind::Chars, 1 + self.length_while(1, plain));
                // A `$` that opens nothing leaves us here again; bytes of one character are never torn apart, since
                // all that is looked for is ASCII.
            }
        }
    }

    fn code(&mut self) {
        match self.peek(0) {
            b'\n' => {
                self.first = true;
                self.at += 1;
            }
            b' ' | b'\t' | b'\r' => self.at += 1,
            b'/' if self.peek(1) == b'/' => self.comment(),
            b'/' if self.peek(1) == b'*' => self.block_comment(),
            b'(' => self.open(Bracket::Paren),
            b'[' => self.open(Bracket::Square),
            b'{' => self.open(Bracket::Brace),
            b'"' => self.open(Bracket::Quote),
            b'`' => self.open(Bracket::Backtick),
            b')' => self.close(Bracket::Paren),
            b']' => self.close(Bracket::Square),
            b'}' => self.close_brace(),
            b'v' if self.length_while(1, |b| b.is_ascii_digit()) > 0 => self.version_or_word(),
            byte if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => self.word(),
            byte if byte.is_ascii_digit() => self.number(),
            _ => self.other(),
        }
    }

    fn comment(&mut self) {
        let length = self.to_line_end();
        if self.peek(2) == b'/' && self.peek(3) != b'/' {
            self.push(Kind::Doc, length);
        } else {
            self.out.comments.push(self.at..self.at + length);
            self.at += length;
        }
    }

    fn block_comment(&mut self) {
        // Looked for once in vain, it is not looked for again: the scan stays linear.
        let end = if self.no_block_end { None } else { self.text[self.at..].find("*/") };
        self.no_block_end |= end.is_none();
        self.push(Kind::ForeignComment, end.map_or_else(|| self.to_line_end(), |end| end + 2));
    }

    /// A word, or what would be one if letters beyond ASCII were allowed.
    fn word(&mut self) {
        let is_part = |char: char| char.is_alphanumeric() || char == '_';
        let rest = &self.text[self.at..];
        let length = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
        let word = &rest[..length];
        if word != "list" && word != "map" {
            self.run = 0;
        }
        match word.is_ascii() {
            _ if length == 0 => self.foreign(),
            true => self.push(Kind::Word, length),
            false => self.push(Kind::Alien, length),
        }
    }

    /// `v1` is a word; `v1.31` is a version, with all that hangs on it.
    fn version_or_word(&mut self) {
        let major = 1 + self.length_while(1, |b| b.is_ascii_digit());
        if self.peek(major) != b'.' || !self.peek(major + 1).is_ascii_digit() {
            return self.word();
        }
        let mut length = major + self.dotted(major);
        length += self.vendor(length);
        length += self.length_while(length, |b| b.is_ascii_alphanumeric() || b == b'_');
        self.run = 0;
        self.push(Kind::Number, length);
    }

    /// The length of `.4.5` from there on: dots with a digit after each.
    fn dotted(&self, from: usize) -> usize {
        let mut length = 0;
        while self.peek(from + length) == b'.' && self.peek(from + length + 1).is_ascii_digit() {
            length += 1 + self.length_while(from + length + 1, |b| b.is_ascii_digit());
        }
        length
    }

    /// The length of `-gke.5+k3s1` from there on.
    fn vendor(&self, from: usize) -> usize {
        let mut end = from;
        while matches!(self.peek(end), b'-' | b'+') && self.peek(end + 1).is_ascii_alphanumeric() {
            end += 1 + self.length_while(end + 1, |b| b.is_ascii_alphanumeric());
            end += self.dotted(end);
        }
        end - from
    }

    fn number(&mut self) {
        let mut length = self.length_while(0, |b| b.is_ascii_digit());
        length += self.dotted(length);
        if self.rest()[..length].iter().filter(|byte| **byte == b'.').count() == 2 {
            length += self.vendor(length);
        }
        length += self.length_while(length, |b| b.is_ascii_alphanumeric() || b == b'_');
        length += usize::from(self.peek(length) == b'%');
        length += self.length_while(length, |b| b.is_ascii_alphanumeric() || b == b'_');
        self.run = 0;
        self.push(Kind::Number, length);
    }

    fn other(&mut self) {
        // Longest first; some are of other languages and are here so that a message can name them whole.
        const OPERATORS: [&str; 37] = [
            "===", "!==", "...", "&&", "||", "==", "!=", "<>", "<=", ">=", "??", "->", "=>", "::", ":=", "+=", "-=",
            "*=", "..", "++", "**", "<", ">", "=", "!", "+", "-", "*", "/", "%", "&", "|", ".", ",", ":", ";", "?",
        ];
        match OPERATORS.iter().find(|op| self.rest().starts_with(op.as_bytes())) {
            Some(op) => self.operator(op),
            None => self.foreign(),
        }
    }

    fn operator(&mut self, op: &str) {
        let after_operand = self.out.tokens.last().is_some_and(Token::ends_operand);
        let after_type = self
            .out
            .tokens
            .last()
            .is_some_and(|last| last.kind == Kind::Word && matches!(&self.text[last.range()], "list" | "map"));
        let is_prefix = match op {
            "!" => true,
            "-" => !after_operand,
            "<" => after_type,
            _ => false,
        };
        self.run = if is_prefix { self.run + 1 } else { 0 };
        self.check_depth(op.len());
        self.push(Kind::Op, op.len());
    }

    fn foreign(&mut self) {
        let Some(char) = self.text[self.at..].chars().next() else { return };
        self.run = 0;
        let closed_by = |close: char| self.closed_nearby(char.len_utf8(), close);
        let in_string = self.open.iter().any(|(bracket, _)| *bracket == Bracket::Interpolation);
        let (kind, length) = match char {
            '\'' => (Kind::Misquoted, closed_by('\'')),
            '“' | '”' | '„' => (Kind::Misquoted, closed_by('”').or_else(|| closed_by('“'))),
            '‘' | '’' => (Kind::Misquoted, closed_by('’')),
            '#' if !in_string => (Kind::ForeignComment, Some(self.to_line_end())),
            _ => (Kind::Alien, Some(char.len_utf8())),
        };
        match length {
            Some(length) => self.push(kind, length),
            None if in_string => self.push(Kind::Alien, char.len_utf8()),
            // A quote that nothing closes takes its line with it: what follows was meant as text.
            None => self.push(kind, self.to_line_end()),
        }
    }

    /// The length up to and with the next `close` on this line; not far ahead, so that the scan stays linear.
    fn closed_nearby(&self, from: usize, close: char) -> Option<usize> {
        const FAR: usize = 256;
        let mut length = from;
        for char in self.text[self.at + from..].chars().take(FAR).take_while(|char| *char != '\n') {
            length += char.len_utf8();
            if char == close {
                return Some(length);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        scan(text).tokens.iter().map(|token| (token.kind, &text[token.range()])).collect()
    }

    #[test]
    fn strings_and_what_they_interpolate() {
        use Bracket::{Interpolation, Quote};
        assert_eq!(
            kinds(r#""a\q${b}""#),
            [
                (Kind::Open(Quote), "\""),
                (Kind::Chars, "a"),
                (Kind::BadEscape, "\\q"),
                (Kind::Open(Interpolation), "${"),
                (Kind::Word, "b"),
                (Kind::Close(Interpolation), "}"),
                (Kind::Close(Quote), "\""),
            ]
        );
    }

    #[test]
    fn a_version_is_one_token() {
        let numbers = |text| kinds(text).into_iter().map(|(_, text)| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(numbers("v1.31.4-gke.5+k3s1"), ["v1.31.4-gke.5+k3s1"]);
        assert_eq!(numbers("v1.31.4.minor"), ["v1.31.4", ".", "minor"]);
        assert_eq!(numbers("v1.x"), ["v1", ".", "x"]);
        assert_eq!(numbers("10%5"), ["10%5"]);
    }

    #[test]
    fn depth_counts_brackets_prefixes_and_types() {
        let too_deep = |text: String| scan(&text).too_deep.map(|range| range.start);
        assert_eq!(too_deep("(".repeat(64)), None);
        assert_eq!(too_deep("(".repeat(65)), Some(64));
        assert_eq!(too_deep("!".repeat(65)), Some(64));
        assert_eq!(too_deep("!(".repeat(33)), Some(64));
        assert_eq!(too_deep("list<".repeat(65)), Some(64 * 5 + 4));
        assert_eq!(too_deep("\"${".repeat(33)), Some(64 * 3 / 2));
        assert_eq!(too_deep("(x) - ".repeat(200)), None);
    }
}
