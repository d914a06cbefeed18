//! What is never closed, never opened, or closed by something else: told at the opener, and mended.
//!
//! Looked at only when the grammar did not get through the whole file, so a guess may be made here that a valid text
//! would refute.

use std::ops::Range;

use super::draft::Draft;
use super::scan::{Bracket, Kind, Token};
use crate::diagnostic::Diagnostic;

/// How many strings that are never closed are looked for: each changes how all that follows is to be read.
const MAX_STRINGS: usize = 8;

// ----- strings

/// Tells and closes the strings, and the `${` in strings, that are never closed.
pub(super) fn mend_strings(draft: &mut Draft) {
    for _ in 0..MAX_STRINGS {
        let Some(culprit) = unclosed_string(draft) else { return };
        match culprit {
            Culprit::String(token) => tell_string(draft, token),
            Culprit::Interpolation { string, opener } => tell_interpolation(draft, string, opener),
        }
        draft.rescan();
    }
}

enum Culprit {
    String(Token),
    Interpolation { string: Token, opener: Token },
}

/// A quote that is missing turns text and strings about from there on. That shows where a "string" of several lines
/// ends right before a letter, or at the latest at the end of the file.
fn unclosed_string(draft: &Draft) -> Option<Culprit> {
    let mut open: Vec<Token> = Vec::new();
    for token in draft.tokens() {
        match token.kind {
            Kind::Open(Bracket::Quote | Bracket::Backtick | Bracket::Interpolation) => open.push(*token),
            Kind::Close(Bracket::Interpolation) => {
                open.pop();
            }
            Kind::Close(Bracket::Quote | Bracket::Backtick) => {
                if open.last().is_some_and(|opener| is_turned_about(draft, opener, token)) {
                    break;
                }
                open.pop();
            }
            _ => {}
        }
    }
    let string = *open.first()?;
    match open.get(1) {
        Some(opener) if draft.line_around(string.start).contains(&opener.start) => {
            Some(Culprit::Interpolation { string, opener: *opener })
        }
        _ => Some(Culprit::String(string)),
    }
}

fn is_turned_about(draft: &Draft, opener: &Token, closer: &Token) -> bool {
    let next = draft.text().as_bytes().get(closer.end).copied().unwrap_or(b' ');
    let is_text = next.is_ascii_alphanumeric() || matches!(next, b'_' | b'$' | b'\\');
    is_text && draft.text()[opener.start..closer.start].contains('\n')
}

fn tell_string(draft: &mut Draft, string: Token) {
    let raw = string.kind == Kind::Open(Bracket::Backtick);
    let line = string.start..draft.line_around(string.start).end;
    let what = if raw { "this string in backticks is never closed" } else { "this string is never closed" };
    let error = Diagnostic::error("E007", what).at(draft.span(&string.range()), "it begins here");
    let help =
        if raw { "close it with a backtick" } else { "close it with `\"`; a quote inside of it is written `\\\"`" };
    draft.tell(error.help(help));
    close_on_its_line(draft, line, if raw { "`" } else { "\"" });
}

fn tell_interpolation(draft: &mut Draft, string: Token, opener: Token) {
    let raw = string.kind == Kind::Open(Bracket::Backtick);
    let line = string.start..draft.line_around(string.start).end;
    let error = Diagnostic::error("E006", "`${` is never closed").at(draft.span(&opener.range()), "it begins here");
    draft.tell(error.help(shell_help(raw)));
    close_on_its_line(draft, line, if raw { "`" } else { "\"" });
}

/// What to say of a `${` that was meant for a shell.
pub(super) fn shell_help(raw: bool) -> &'static str {
    if raw {
        "`${…}` puts in an expression, also in backticks; a variable of the shell is written `$NAME` here"
    } else {
        "`${…}` puts in an expression; a variable of the shell is written `\\${NAME}` here"
    }
}

/// Makes a string without text of the line from a quote on, but leaves what closes or opens something at its end.
pub(super) fn close_on_its_line(draft: &mut Draft, line: Range<usize>, quote: &str) {
    let content = draft.text()[line.clone()].trim_end_matches([')', ']', '{', ',', ' ', '\t', '\r']).len();
    let end = line.start + content;
    draft.silence(draft.line_around(line.start));
    if content >= 2 {
        draft.write(line.start..end, &quote.repeat(2));
        return;
    }
    // Nothing but the quote: the blank behind it, if there is one, or the end of the file makes room for the other.
    match draft.text()[end..].chars().next() {
        Some(next) if next.is_ascii_whitespace() => draft.write(line.start..end + 1, &quote.repeat(2)),
        Some(_) => draft.blank(line),
        None => draft.append(quote),
    }
}

// ----- brackets

/// Something that does not pair.
enum Fault {
    /// Nothing closes it; it should have been closed before a token, or before the end of the text.
    Unclosed { opener: usize, before: usize },
    /// It closes nothing.
    Stray { closer: usize },
    /// The one should have been closed by its own.
    Crossed { opener: usize, closer: usize },
}

/// Tells and mends the brackets that do not pair.
pub(super) fn mend_brackets(draft: &mut Draft) {
    let plain = faults(draft, false);
    let leaves_block_open = plain.iter().any(|fault| match fault {
        Fault::Unclosed { opener, .. } => draft.tokens()[*opener].kind == Kind::Open(Bracket::Brace),
        _ => false,
    });
    // What stands further left than its block betrays which `{` it is. A text that is not indented betrays nothing.
    let found = if leaves_block_open {
        let indented = faults(draft, true);
        if indented.len() <= plain.len() { indented } else { plain }
    } else {
        plain
    };
    let tokens = draft.tokens().to_vec();
    for fault in &found {
        match *fault {
            Fault::Unclosed { opener, before } => mend_unclosed(draft, &tokens, opener, before),
            Fault::Stray { closer } => {
                let message = format!("nothing is open that this `{}` could close", draft.word(closer));
                draft.tell(Diagnostic::error("E006", message).at(draft.span(&tokens[closer].range()), ""));
                draft.blank(tokens[closer].range());
            }
            Fault::Crossed { opener, closer } => mend_crossed(draft, &tokens, opener, closer),
        }
    }
    if !found.is_empty() {
        draft.rescan();
    }
}

fn mend_unclosed(draft: &mut Draft, tokens: &[Token], opener: usize, before: usize) {
    let Kind::Open(bracket) = tokens[opener].kind else { return };
    let message = format!("`{}` is never closed", bracket.opener());
    let mut error = Diagnostic::error("E006", message).at(draft.span(&tokens[opener].range()), "it opens here");
    if let Some(next) = tokens.get(before) {
        error = error.at(draft.span(&next.range()), format!("`{}` is missing before this", bracket.closer()));
    }
    draft.tell(error);
    let end = tokens.get(before).map_or(draft.text().len(), |next| next.start);
    if bracket != Bracket::Brace {
        // Where there is no room for a closer, what closes the brackets around is what is wrong next.
        let is_closer = tokens.get(before).is_some_and(|next| matches!(next.kind, Kind::Close(_)));
        draft.silence(tokens[opener].start..end + usize::from(is_closer));
    }
    let last = tokens[..before].last().map_or(0, |last| last.end);
    // Closers that were put there before take the first blanks.
    let taken = draft.text()[last..].bytes().take_while(|byte| matches!(byte, b')' | b']' | b'}')).count();
    let free = if before < tokens.len() { draft.blanks_from(last + taken) } else { 0 };
    match free {
        0 if before >= tokens.len() => draft.append(bracket.closer()),
        0 => draft.blank(tokens[opener].range()),
        _ => draft.write(last + taken..last + taken + 1, bracket.closer()),
    }
}

fn mend_crossed(draft: &mut Draft, tokens: &[Token], opener: usize, closer: usize) {
    let Kind::Open(bracket) = tokens[opener].kind else { return };
    let message = format!("`{}` is closed by `{}`", bracket.opener(), draft.word(closer));
    let error = Diagnostic::error("E006", message)
        .at(draft.span(&tokens[closer].range()), format!("`{}` should stand here", bracket.closer()))
        .at(draft.span(&tokens[opener].range()), "for what opens here");
    draft.tell(error);
    draft.write(tokens[closer].range(), bracket.closer());
}

/// What is open at a place.
struct Entry {
    opener: usize,
    bracket: Bracket,
    /// How far the statement that opened it is indented.
    indent: usize,
}

/// Goes through the brackets once. `by_indent`: what is indented no deeper than a block's statement is outside of it.
fn faults(draft: &Draft, by_indent: bool) -> Vec<Fault> {
    let mut walk = Walk { draft, open: Vec::new(), indent: 0, faults: Vec::new() };
    for index in 0..draft.tokens().len() {
        walk.step(index, by_indent);
    }
    while let Some(entry) = walk.open.pop() {
        walk.faults.push(Fault::Unclosed { opener: entry.opener, before: draft.tokens().len() });
    }
    walk.faults
}

struct Walk<'a> {
    draft: &'a Draft,
    open: Vec<Entry>,
    /// How far the statement under way is indented.
    indent: usize,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    fn step(&mut self, index: usize, by_indent: bool) {
        let token = self.draft.tokens()[index];
        match token.kind {
            Kind::Open(bracket) => self.open.push(Entry { opener: index, bracket, indent: self.indent }),
            Kind::Close(bracket) => {
                if by_indent && bracket == Bracket::Brace && token.first {
                    self.leave_deeper_blocks(index);
                }
                self.close(index, bracket);
            }
            // Documentation in the middle of something is another mistake.
            Kind::Doc if self.is_in_parentheses() => {}
            _ if self.draft.begins_statement(index) => self.statement(index, by_indent),
            _ if by_indent && token.first && self.is_tail(index) => self.leave_blocks(index),
            _ => {}
        }
    }

    fn is_in_parentheses(&self) -> bool {
        matches!(self.open.last(), Some(Entry { bracket: Bracket::Paren | Bracket::Square, .. }))
    }

    fn is_tail(&self, index: usize) -> bool {
        matches!(self.draft.word(index), "between" | "finally" | "undo" | "else")
    }

    fn close(&mut self, index: usize, bracket: Bracket) {
        let Some(at) = self.open.iter().rposition(|entry| entry.bracket == bracket) else {
            return self.close_nothing(index);
        };
        let at_once = at + 1 == self.open.len();
        // `foo(a]` inside of a list is rather a wrong bracket than one that is missing.
        let in_block = self.open[at..].iter().any(|entry| entry.bracket == Bracket::Brace);
        if !at_once && in_block && bracket != Bracket::Brace {
            return self.close_nothing(index);
        }
        while self.open.len() > at + 1 {
            let Some(entry) = self.open.pop() else { break };
            self.faults.push(Fault::Unclosed { opener: entry.opener, before: index });
        }
        self.indent = self.open.pop().map_or(0, |entry| entry.indent);
    }

    fn close_nothing(&mut self, index: usize) {
        match self.open.last() {
            Some(Entry { opener, bracket: Bracket::Paren | Bracket::Square, .. }) if self.draft.word(index) != "}" => {
                self.faults.push(Fault::Crossed { opener: *opener, closer: index });
                self.open.pop();
            }
            _ => self.faults.push(Fault::Stray { closer: index }),
        }
    }

    /// A statement begins: no parenthesis before it can still be open.
    fn statement(&mut self, index: usize, by_indent: bool) {
        let token = self.draft.tokens()[index];
        let indent = if token.first { self.draft.indent(&token) } else { self.indent };
        let surely = self.draft.begins_surely(index);
        while let Some(Entry { opener, bracket: Bracket::Paren | Bracket::Square, indent: outer }) = self.open.last() {
            // A call at the beginning of a line may be an argument whose comma is missing, unless it stands too far left.
            if !surely && indent > *outer {
                return;
            }
            self.faults.push(Fault::Unclosed { opener: *opener, before: index });
            self.open.pop();
        }
        if by_indent && token.first {
            self.leave_blocks(index);
        }
        self.indent = indent;
    }

    /// Leaves the blocks whose statement is indented as far as this token or further.
    fn leave_blocks(&mut self, index: usize) {
        let indent = self.draft.indent(&self.draft.tokens()[index]);
        while let Some(Entry { opener, bracket: Bracket::Brace, indent: outer }) = self.open.last() {
            if indent > *outer {
                return;
            }
            self.faults.push(Fault::Unclosed { opener: *opener, before: index });
            self.open.pop();
        }
    }

    /// A `}` closes the block whose statement is indented as it is, if there is one.
    fn leave_deeper_blocks(&mut self, index: usize) {
        let indent = self.draft.indent(&self.draft.tokens()[index]);
        let is_meant = |entry: &Entry| entry.bracket == Bracket::Brace && entry.indent == indent;
        if !self.open.iter().any(is_meant) {
            return;
        }
        while let Some(entry) = self.open.last() {
            if is_meant(entry) {
                return;
            }
            self.faults.push(Fault::Unclosed { opener: entry.opener, before: index });
            self.open.pop();
        }
    }
}
