//! The quoting of a POSIX shell command, so that a value put into it can never become code.
//!
//! A command with values is not pasted together: each value travels in an environment variable, and the text holds a
//! reference that fits the quoting at its place. This module tells the quoting at each place, and where no reference is
//! safe: a shell may expand the text again there (arithmetic, backquotes) or not at all (quoted here-documents, comments).
//! The rules are those of POSIX.1-2024, XCU 2.2 to 2.7; of bash, `$'…'`, `[[ … ]]` and `((…))`, since `sh` may be bash.

/// A piece of a command as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text of the author.
    Text(&'t str),
    /// A place where a value goes.
    Value,
}

/// The quoting at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Outside quotes.
    Bare,
    /// Within `"…"`.
    Double,
    /// Within `'…'`.
    Single,
}

/// Why a value cannot stand at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Danger {
    /// In a here-document or its delimiter.
    HereDocument,
    /// In `$'…'`.
    AnsiQuote,
    /// In `` `…` ``.
    Backquote,
    /// In `$(…)` within `"…"`.
    SubstitutionInQuotes,
    /// After `#`.
    Comment,
    /// In `$((…))` or `((…))`, where a shell evaluates what a variable holds.
    Arithmetic,
    /// In `${…}` of the shell's own.
    Expansion,
    /// In `[[ … ]]`, where bash evaluates what a variable holds.
    DoubleBracket,
    /// Right behind a backslash.
    AfterBackslash,
    /// Right behind a `$`.
    AfterDollar,
    /// Behind a `case` in `$(…)` within `"…"`, whose end cannot be told by brackets.
    AfterCase,
}

/// What was found out about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analysis {
    /// For each value in order: its quoting, or why it cannot stand there.
    pub values: Vec<Result<Quoting, Danger>>,
    /// What is still open at the end, as it would be closed.
    pub open: Option<&'static str>,
}

/// Tells the quoting at each value's place.
pub fn analyse(pieces: &[Piece<'_>]) -> Analysis {
    let mut units = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => units.extend(text.chars().map(Unit::Char)),
            Piece::Value => units.push(Unit::Value),
        }
    }
    let mut scanner = Scanner {
        units,
        at: 0,
        stack: vec![Context::Bare],
        at_word_start: true,
        word: String::new(),
        here_documents: Vec::new(),
        is_lost: false,
        values: Vec::new(),
    };
    scanner.run();
    let open = scanner.stack.last().and_then(|context| context.closed_by()).filter(|_| !scanner.is_lost);
    Analysis { values: scanner.values, open }
}

/// The command with each value replaced by a reference to `SPRAG_ARG_1`, `SPRAG_ARG_2`, … that fits its quoting.
pub fn script(pieces: &[Piece<'_>], quoting: &[Quoting]) -> String {
    let mut out = String::new();
    let mut quoting = quoting.iter().enumerate();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value => {
                let Some((index, quoting)) = quoting.next() else { continue };
                let reference = format!("${{SPRAG_ARG_{}}}", index + 1);
                out.push_str(&match quoting {
                    Quoting::Bare => format!("\"{reference}\""),
                    Quoting::Double => reference,
                    Quoting::Single => format!("'\"{reference}\"'"),
                });
            }
        }
    }
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Char(char),
    Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    /// The command itself.
    Bare,
    /// `(…)` or `$(…)`
    Paren,
    Double,
    Single,
    Ansi,
    Backquote,
    /// `${…}`
    Expansion,
    /// `$((…))` or `((…))`, with brackets still open.
    Arithmetic(u32),
    /// `$[…]`
    OldArithmetic,
    DoubleBracket,
}

impl Context {
    fn closed_by(self) -> Option<&'static str> {
        Some(match self {
            Self::Bare => return None,
            Self::Paren => ")",
            Self::Double => "\"",
            Self::Single | Self::Ansi => "'",
            Self::Backquote => "`",
            Self::Expansion => "}",
            Self::Arithmetic(_) => "))",
            Self::OldArithmetic => "]",
            Self::DoubleBracket => "]]",
        })
    }

    fn is_bare(self) -> bool {
        matches!(self, Self::Bare | Self::Paren | Self::DoubleBracket)
    }
}

struct HereDocument {
    delimiter: String,
    strips_tabs: bool,
}

struct Scanner {
    units: Vec<Unit>,
    at: usize,
    /// Never empty: the command itself is at the bottom.
    stack: Vec<Context>,
    at_word_start: bool,
    word: String,
    here_documents: Vec<HereDocument>,
    is_lost: bool,
    values: Vec<Result<Quoting, Danger>>,
}

impl Scanner {
    fn run(&mut self) {
        while let Some(unit) = self.next() {
            match unit {
                Unit::Value => self.value(),
                Unit::Char(c) => self.character(c),
            }
        }
    }

    fn next(&mut self) -> Option<Unit> {
        let unit = self.units.get(self.at).copied();
        self.at += 1;
        unit
    }

    fn peek(&self) -> Option<Unit> {
        self.units.get(self.at).copied()
    }

    fn is_next(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.units.get(self.at + i) == Some(&Unit::Char(c)))
    }

    fn top(&self) -> Context {
        self.stack.last().copied().unwrap_or(Context::Bare)
    }

    fn push(&mut self, context: Context) {
        self.stack.push(context);
        self.begin_word();
    }

    fn pop(&mut self) {
        if self.stack.len() > 1 {
            self.stack.pop();
        }
        self.at_word_start = false;
    }

    fn begin_word(&mut self) {
        self.at_word_start = true;
        self.word.clear();
    }

    fn value(&mut self) {
        let found = self.danger().map_or_else(|| Ok(self.quoting()), Err);
        self.values.push(found);
        self.at_word_start = false;
    }

    fn quoting(&self) -> Quoting {
        match self.top() {
            Context::Double => Quoting::Double,
            Context::Single => Quoting::Single,
            _ => Quoting::Bare,
        }
    }

    /// What of the surroundings makes a value dangerous here.
    fn danger(&self) -> Option<Danger> {
        if self.is_lost {
            return Some(Danger::AfterCase);
        }
        let mut in_double = false;
        for context in &self.stack {
            match context {
                Context::Bare | Context::Single => {}
                Context::Double => in_double = true,
                Context::Paren if in_double => return Some(Danger::SubstitutionInQuotes),
                Context::Paren => {}
                Context::Ansi => return Some(Danger::AnsiQuote),
                Context::Backquote => return Some(Danger::Backquote),
                Context::Expansion => return Some(Danger::Expansion),
                Context::Arithmetic(_) | Context::OldArithmetic => return Some(Danger::Arithmetic),
                Context::DoubleBracket => return Some(Danger::DoubleBracket),
            }
        }
        None
    }

    fn character(&mut self, c: char) {
        match self.top() {
            Context::Single => {
                if c == '\'' {
                    self.pop();
                }
            }
            Context::Ansi | Context::Backquote => match c {
                '\\' => self.skip_escaped(),
                '\'' if self.top() == Context::Ansi => self.pop(),
                '`' if self.top() == Context::Backquote => self.pop(),
                _ => {}
            },
            Context::Double => match c {
                '\\' => self.skip_escaped(),
                '"' => self.pop(),
                '`' => self.push(Context::Backquote),
                '$' => self.dollar(),
                _ => {}
            },
            Context::Expansion => self.within(c, '}'),
            Context::OldArithmetic => self.within(c, ']'),
            Context::Arithmetic(open) => self.arithmetic(c, open),
            Context::Bare | Context::Paren | Context::DoubleBracket => self.bare(c),
        }
    }

    /// A character behind a backslash is itself; a value cannot be.
    fn skip_escaped(&mut self) {
        if self.next() == Some(Unit::Value) {
            self.values.push(Err(Danger::AfterBackslash));
        }
        self.at_word_start = false;
    }

    fn within(&mut self, c: char, end: char) {
        match c {
            '\\' => self.skip_escaped(),
            '\'' if !self.stack.contains(&Context::Double) => self.push(Context::Single),
            '"' => self.push(Context::Double),
            '`' => self.push(Context::Backquote),
            '$' => self.dollar(),
            c if c == end => self.pop(),
            _ => {}
        }
    }

    fn arithmetic(&mut self, c: char, open: u32) {
        let now = match c {
            '(' => open + 1,
            ')' => open - 1,
            _ => return self.within(c, '\0'),
        };
        self.stack.pop();
        if now > 0 {
            self.stack.push(Context::Arithmetic(now));
        }
        self.at_word_start = false;
    }

    fn dollar(&mut self) {
        let is_bare = self.top().is_bare();
        self.at_word_start = false;
        match self.peek() {
            Some(Unit::Value) => {
                self.at += 1;
                self.values.push(Err(Danger::AfterDollar));
            }
            Some(Unit::Char('$')) => self.at += 1,
            Some(Unit::Char('\'')) if is_bare => self.skip_and_push(1, Context::Ansi),
            Some(Unit::Char('"')) if is_bare => self.skip_and_push(1, Context::Double),
            Some(Unit::Char('{')) => self.skip_and_push(1, Context::Expansion),
            Some(Unit::Char('[')) => self.skip_and_push(1, Context::OldArithmetic),
            Some(Unit::Char('(')) if self.is_next("((") => self.skip_and_push(2, Context::Arithmetic(2)),
            Some(Unit::Char('(')) => self.skip_and_push(1, Context::Paren),
            _ => {}
        }
    }

    fn skip_and_push(&mut self, skipped: usize, context: Context) {
        self.at += skipped;
        self.push(context);
    }

    fn bare(&mut self, c: char) {
        let was_word_start = self.at_word_start;
        match c {
            '\\' => self.skip_escaped(),
            '\'' => self.push(Context::Single),
            '"' => self.push(Context::Double),
            '`' => self.push(Context::Backquote),
            '$' => self.dollar(),
            '#' if was_word_start => self.comment(),
            '(' if self.is_next("(") => self.skip_and_push(1, Context::Arithmetic(2)),
            '(' => self.push(Context::Paren),
            ')' => {
                if self.top() == Context::Paren {
                    self.pop();
                }
                self.begin_word();
            }
            '<' if self.is_next("<<") => self.at += 2,
            '<' if self.is_next("<") => self.here_document(),
            '[' if was_word_start && (self.is_next("[ ") || self.is_next("[\n")) => {
                self.skip_and_push(1, Context::DoubleBracket);
            }
            ']' if self.top() == Context::DoubleBracket && was_word_start && self.is_next("]") => {
                self.at += 1;
                self.pop();
            }
            '\n' => {
                self.begin_word();
                self.here_bodies();
            }
            ' ' | '\t' | ';' | '&' | '|' => self.begin_word(),
            other => self.word_character(other),
        }
    }

    /// The brackets of `case` patterns do not pair, so within quotes the end of its `$(…)` cannot be told.
    fn word_character(&mut self, c: char) {
        self.at_word_start = false;
        self.word.push(c);
        let ends = !matches!(self.peek(), Some(Unit::Char(next)) if next.is_alphanumeric() || next == '_');
        let in_quotes = self.stack.contains(&Context::Double);
        self.is_lost |= self.word == "case" && ends && in_quotes;
    }

    fn comment(&mut self) {
        while let Some(unit) = self.peek() {
            match unit {
                Unit::Char('\n') => return,
                Unit::Char(_) => {}
                Unit::Value => self.values.push(Err(Danger::Comment)),
            }
            self.at += 1;
        }
    }

    /// Reads `<<` and the delimiter behind it.
    fn here_document(&mut self) {
        self.at += 1;
        let strips_tabs = self.is_next("-");
        self.at += usize::from(strips_tabs);
        while matches!(self.peek(), Some(Unit::Char(' ' | '\t'))) {
            self.at += 1;
        }
        let mut delimiter = String::new();
        while let Some(unit) = self.peek() {
            match unit {
                Unit::Value => self.values.push(Err(Danger::HereDocument)),
                Unit::Char(c) if c.is_whitespace() || matches!(c, ';' | '&' | '|' | '<' | '>' | '(' | ')') => break,
                Unit::Char('\'' | '"' | '\\') => {}
                Unit::Char(c) => delimiter.push(c),
            }
            self.at += 1;
        }
        self.at_word_start = false;
        self.here_documents.push(HereDocument { delimiter, strips_tabs });
    }

    /// Reads the bodies of the here-documents that the line before announced.
    fn here_bodies(&mut self) {
        for document in std::mem::take(&mut self.here_documents) {
            while self.at < self.units.len() {
                let line = self.line();
                let line = if document.strips_tabs { line.trim_start_matches('\t') } else { &line };
                if line == document.delimiter {
                    break;
                }
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        while let Some(unit) = self.next() {
            match unit {
                Unit::Char('\n') => break,
                Unit::Char(c) => line.push(c),
                Unit::Value => {
                    self.values.push(Err(Danger::HereDocument));
                    // No line with a value in it is the delimiter.
                    line.push('\0');
                }
            }
        }
        line
    }
}

impl Danger {
    /// Where the value stands, for a label.
    pub fn place(self) -> &'static str {
        match self {
            Self::HereDocument => "in a here-document",
            Self::AnsiQuote => "in `$'…'`",
            Self::Backquote => "in backquotes",
            Self::SubstitutionInQuotes => "in `$(…)` within `\"…\"`",
            Self::Comment => "in a comment",
            Self::Arithmetic => "in arithmetic, where a shell evaluates what it is given",
            Self::Expansion => "in the shell's own `${…}`",
            Self::DoubleBracket => "in `[[ … ]]`, where a shell evaluates what it is given",
            Self::AfterBackslash => "right behind a backslash",
            Self::AfterDollar => "right behind a `$`",
            Self::AfterCase => "behind a `case` in `$(…)` within `\"…\"`",
        }
    }

    /// What to do instead.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Comment => "leave it out of the comment",
            Self::AfterBackslash => "leave the backslash out: the value is quoted by itself",
            Self::AfterDollar => "leave the `$` out: `${…}` alone stands for the value",
            Self::DoubleBracket => "use `[ … ]`",
            Self::SubstitutionInQuotes | Self::AfterCase => {
                "keep what `$(…)` gives in a shell variable first, outside quotes: `v=$(…)`, then `\"$v\"`"
            }
            Self::Backquote => "use `$(…)` outside quotes",
            Self::Arithmetic => "compute it in the playbook, or check it first and use `env: [\"N=${…}\"]` and `$N`",
            Self::HereDocument | Self::AnsiQuote | Self::Expansion => {
                "give it as a variable, `env: [\"NAME=${…}\"]`, and write `$NAME` here"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `@` stands for a value.
    fn pieces(command: &str) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        for (index, text) in command.split('@').enumerate() {
            if index > 0 {
                pieces.push(Piece::Value);
            }
            pieces.push(Piece::Text(text));
        }
        pieces
    }

    #[test]
    fn the_quoting_at_a_place_is_told() {
        use Quoting::{Bare, Double, Single};
        for (command, expected) in [
            ("echo @", vec![Bare]),
            ("echo \"a @ b\" @", vec![Double, Bare]),
            ("echo 'it is @' \"'@'\"", vec![Single, Double]),
            ("echo \\\" @", vec![Bare]),
            ("echo \"\\\"@\\\"\"", vec![Double]),
            ("echo a#@ # don't\necho @", vec![Bare, Bare]),
            ("x=$(get @) && (cd @; ls)", vec![Bare, Bare]),
            ("x=\"$(date)\" y='@'", vec![Single]),
            ("echo \"$(echo \"a\" 'b')@\"", vec![Double]),
            ("echo $(( 1 + (2) )) @ ${X:-\"}\"} @", vec![Bare, Bare]),
            ("cat <<E\nit's\nE\necho @", vec![Bare]),
            ("cat <<-'E' > @\n\tit's\n\tE\necho '@'", vec![Bare, Single]),
            ("cat <<<@", vec![Bare]),
            ("echo $$@ \"$$@\"", vec![Bare, Double]),
            ("[ @ = 1 ] && [[ -n $X ]] && echo @", vec![Bare, Bare]),
            ("case $x in a) echo @;; esac", vec![Bare]),
        ] {
            let analysis = analyse(&pieces(command));
            assert_eq!(analysis.values, expected.into_iter().map(Ok).collect::<Vec<_>>(), "{command}");
            assert_eq!(analysis.open, None, "{command}");
        }
    }

    #[test]
    fn where_a_value_could_become_code_is_told() {
        for (command, expected) in [
            ("cat <<E\n@\nE\n", Danger::HereDocument),
            ("cat <<@\n", Danger::HereDocument),
            ("cat <<'E'; cat <<F\nE\n@\nF\n", Danger::HereDocument),
            ("echo $'@'", Danger::AnsiQuote),
            ("echo `@`", Danger::Backquote),
            ("echo \"`@`\"", Danger::Backquote),
            ("echo \"$(echo @)\"", Danger::SubstitutionInQuotes),
            ("echo \"$(echo '@')\"", Danger::SubstitutionInQuotes),
            ("echo # @", Danger::Comment),
            ("echo $((@ + 1))", Danger::Arithmetic),
            ("((@ > 1))", Danger::Arithmetic),
            ("echo $[@]", Danger::Arithmetic),
            ("echo ${X:-@}", Danger::Expansion),
            ("[[ @ -gt 1 ]]", Danger::DoubleBracket),
            ("echo \\@", Danger::AfterBackslash),
            ("echo \"\\@\"", Danger::AfterBackslash),
            ("echo \"$@\"", Danger::AfterDollar),
            ("echo \"$(case x in a) echo;; esac)\" '@'", Danger::AfterCase),
        ] {
            assert_eq!(analyse(&pieces(command)).values, vec![Err(expected)], "{command}");
        }
    }

    #[test]
    fn what_is_left_open_is_told() {
        for (command, open) in [("echo 'a", "'"), ("echo \"a", "\""), ("echo $(a", ")"), ("echo `a", "`")] {
            assert_eq!(analyse(&pieces(command)).open, Some(open), "{command}");
        }
    }

    #[test]
    fn references_fit_the_quoting() {
        let pieces = pieces("a @ \"@\" '@'");
        let quoting: Vec<_> = analyse(&pieces).values.into_iter().map(Result::unwrap).collect();
        assert_eq!(script(&pieces, &quoting), "a \"${SPRAG_ARG_1}\" \"${SPRAG_ARG_2}\" ''\"${SPRAG_ARG_3}\"''",);
    }
}
