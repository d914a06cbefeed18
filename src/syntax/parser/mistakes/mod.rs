//! The words for what is wrong.
//!
//! [`lexical`] tells what is wrong wherever it stands. The others look at the spot where pest stopped: each function of
//! [`CLASSICS`] knows one mistake that people make, the first that recognises it tells it. What none of them knows is
//! told by what the grammar expected.

pub(super) mod lexical;
mod marks;
mod words;

use std::ops::Range;

use super::draft::Draft;
use super::recover::Layout;
use super::scan::{Bracket, CLAUSE_WORDS, Kind, STATEMENT_WORDS, Token, is_reserved};
use super::{Failure, Rule, brackets, names, too_deep};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// What is told, and what to write where so that reading can go on; no edits if that is not known.
pub(super) struct Mistake {
    pub(super) diagnostic: Diagnostic,
    pub(super) then: Then,
}

/// How reading goes on.
pub(super) enum Then {
    /// With these texts in the place of these ranges.
    Mended(Vec<(Range<usize>, String)>),
    /// Behind the clause, or what else stands around the spot.
    PastClause,
    /// Behind the clause that begins with that token.
    PastClauseOf(usize),
    /// Without the statement, but with what stands in its blocks.
    PastStatement,
}

impl Mistake {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { diagnostic: Diagnostic::error(code, message), then: Then::PastClause }
    }

    fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.diagnostic = self.diagnostic.at(span, text);
        self
    }

    fn help(mut self, text: impl Into<String>) -> Self {
        self.diagnostic = self.diagnostic.help(text);
        self
    }

    /// Mends it by writing a text in the place of a range.
    fn write(mut self, range: Range<usize>, text: impl Into<String>) -> Self {
        let edit = (range, text.into());
        match &mut self.then {
            Then::Mended(edits) => edits.push(edit),
            _ => self.then = Then::Mended(vec![edit]),
        }
        self
    }

    /// Leaves out what begins with a token, up to the next clause.
    fn past_clause_of(mut self, index: usize) -> Self {
        self.then = Then::PastClauseOf(index);
        self
    }

    /// Leaves the statement out.
    fn past_statement(mut self) -> Self {
        self.then = Then::PastStatement;
        self
    }

    /// Mends it by taking a range away.
    fn blank(self, range: Range<usize>) -> Self {
        self.write(range, "")
    }
}

/// Recognises one mistake.
type Classic = fn(&Spot<'_>) -> Option<Mistake>;

/// What cannot be anything else, wherever it is met; what is surer comes first.
const SURE: &[Classic] = &[
    marks::documents_nothing,
    marks::comma_between_statements,
    marks::named_by_equals,
    marks::missing_type,
    marks::missing_result,
    marks::assignment,
    marks::equals_for_comparison,
    marks::bar,
    marks::quote_in_string,
    marks::ternary_or_range,
    marks::nothing_behind_dot,
    words::operator_in_words,
    words::unit_apart,
    words::guard_with_if,
    words::reserved_name,
    words::misspelt_clause,
    words::statement_of_another_language,
    words::misspelt_statement,
];

/// What might follow from a mistake that was told before.
const LIKELY: &[Classic] = &[
    words::keyword_without_expression,
    words::call_without_parentheses,
    words::else_without_if,
    words::foreign_clause,
    marks::block_of_nothing,
    marks::braces_in_expression,
    marks::missing_comma,
    marks::missing_operator,
    words::unfinished,
];

/// What is wrong at a spot. `is_fresh`: nothing that was told of the statement can have led to it; else only what is sure.
pub(super) fn find(spot: &Spot<'_>, is_fresh: bool) -> Option<Mistake> {
    if spot.expected.is_empty() {
        return Some(Mistake { diagnostic: too_deep(spot.here()), then: Then::PastStatement });
    }
    let first = |classics: &[Classic]| classics.iter().find_map(|classic| classic(spot));
    let sure = first(SURE);
    if sure.is_some() || !is_fresh { sure } else { first(LIKELY).or_else(|| Some(unexpected(spot))) }
}

fn unexpected(spot: &Spot<'_>) -> Mistake {
    let found = spot.found();
    let message = match spot.wanted() {
        Some(wanted) => format!("expected {wanted}, found {found}"),
        None => format!("unexpected {found}"),
    };
    let mistake = Mistake::new("E001", message).at(spot.here(), "");
    match spot.string_around() {
        Some(raw) => mistake.help(brackets::shell_help(raw)),
        None => mistake,
    }
}

/// The place where pest stopped, and what is around it.
pub(super) struct Spot<'a> {
    draft: &'a Draft,
    layout: &'a Layout,
    expected: &'a [Rule],
    /// The token that could not be taken; one past the last at the end.
    pub(super) at: usize,
    /// The tokens of the statement that it stands in.
    pub(super) statement: Range<usize>,
    /// The word that follows the text in the file.
    after: &'a str,
}

impl<'a> Spot<'a> {
    pub(super) fn new(draft: &'a Draft, layout: &'a Layout, failure: &'a Failure, after: &'a str) -> Self {
        let at = draft.tokens().partition_point(|token| token.end <= failure.place);
        let mut spot = Self { draft, layout, expected: &failure.expected, at, statement: 0..0, after };
        // Where parentheses are wanted, a name was read, and what stands here may be the next statement.
        spot.statement = layout.statement(draft, at, !spot.expects_parentheses());
        spot
    }

    /// Whether the word before was taken for the name of a call.
    fn expects_parentheses(&self) -> bool {
        self.expects(Rule::open_paren) && !self.expects_operator()
    }

    /// The word that was taken for the name of a call though it stands behind an operand: it may be anything.
    fn suspect(&self) -> Option<usize> {
        let before = self.at.checked_sub(1)?;
        let is_plain = self.kind(before) == Some(Kind::Word) && !is_reserved(self.word(before));
        let follows = self.follows_operand(before) || before > 0 && self.word(before - 1) == "}";
        (is_plain && follows && self.expects_parentheses()).then_some(before)
    }

    /// The words that may be meant as something else: the one here, and the one that was taken for a call.
    fn suspects(&self) -> impl Iterator<Item = usize> {
        self.suspect().into_iter().chain([self.at])
    }

    fn token(&self, index: usize) -> Option<&Token> {
        self.draft.tokens().get(index)
    }

    fn kind(&self, index: usize) -> Option<Kind> {
        self.token(index).map(|token| token.kind)
    }

    /// What a token is written as.
    fn word(&self, index: usize) -> &'a str {
        self.draft.word(index)
    }

    /// The word that many tokens before the spot; nothing where there are not so many.
    fn back(&self, count: usize) -> &'a str {
        self.at.checked_sub(count).map_or("", |index| self.word(index))
    }

    fn span(&self, index: usize) -> Span {
        self.token(index).map_or_else(|| self.end(), |token| self.draft.span(&token.range()))
    }

    fn here(&self) -> Span {
        self.span(self.at)
    }

    /// Right behind the last token of the text.
    fn end(&self) -> Span {
        let end = self.draft.tokens().last().map_or(0, |last| last.end);
        self.draft.span(&(end..end))
    }

    fn range(&self, index: usize) -> Range<usize> {
        self.token(index).map_or(0..0, Token::range)
    }

    /// Whether an operand may end right before a token.
    fn follows_operand(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1) else { return false };
        let is_keyword = is_reserved(self.word(before)) && !matches!(self.word(before), "true" | "false" | "none");
        self.token(before).is_some_and(Token::ends_operand) && !is_keyword
    }

    /// Whether an operand may begin with a token.
    fn begins_operand(&self, index: usize) -> bool {
        self.token(index).is_some_and(Token::begins_operand) || matches!(self.word(index), "!" | "-")
    }

    /// Whether the grammar would take that here.
    fn expects(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// Whether an operator could follow here: what stands before is a whole expression.
    fn expects_operator(&self) -> bool {
        self.expects(Rule::equal)
    }

    /// The innermost bracket around a token.
    fn bracket(&self, index: usize) -> Option<Bracket> {
        match self.kind(self.layout.bracket.get(index).copied().flatten()?)? {
            Kind::Open(bracket) => Some(bracket),
            _ => None,
        }
    }

    /// Whether the spot stands between parentheses or brackets that take a list of things.
    fn in_list(&self) -> bool {
        let Some(opener) = self.layout.bracket.get(self.at).copied().flatten() else { return false };
        match self.kind(opener) {
            Some(Kind::Open(Bracket::Square)) => true,
            Some(Kind::Open(Bracket::Paren)) => opener > 0 && self.kind(opener - 1) == Some(Kind::Word),
            _ => false,
        }
    }

    /// Whether the spot stands in a `${…}`, and then whether that is in backticks.
    fn string_around(&self) -> Option<bool> {
        let mut around =
            self.layout.bracket.get(self.at.min(self.layout.bracket.len().checked_sub(1)?)).copied().flatten();
        while let Some(opener) = around {
            around = self.layout.bracket[opener];
            if self.kind(opener) == Some(Kind::Open(Bracket::Interpolation)) {
                return Some(around.and_then(|string| self.kind(string)) == Some(Kind::Open(Bracket::Backtick)));
            }
        }
        None
    }

    /// The word that the statement around the spot begins with.
    fn statement_word(&self) -> &'a str {
        let begins = |index: &usize| self.kind(*index) != Some(Kind::Doc);
        self.statement.clone().find(begins).map_or("", |index| self.word(index))
    }

    /// Whether a plain word stands where a statement begins.
    fn is_at_beginning(&self, index: usize) -> bool {
        let in_statements = matches!(self.bracket(index), None | Some(Bracket::Brace));
        in_statements && self.kind(index) == Some(Kind::Word) && self.draft.may_begin_here(index)
    }

    /// Whether nothing more of the statement can come: another begins, its block ends, or the text does.
    fn is_over(&self) -> bool {
        let is_next =
            matches!(self.bracket(self.at), None | Some(Bracket::Brace)) && self.draft.begins_statement(self.at);
        is_next || matches!(self.kind(self.at), None | Some(Kind::Close(Bracket::Brace)))
    }

    /// What stands here, in words.
    fn found(&self) -> String {
        match self.kind(self.at) {
            None if self.after.is_empty() => "the end of the file".to_owned(),
            None => format!("`{}`", self.after),
            Some(Kind::Open(Bracket::Quote | Bracket::Backtick)) => "a string".to_owned(),
            Some(_) => format!("`{}`", shortened(self.word(self.at))),
        }
    }

    /// What the grammar would take here, in words; `None` if that is too much to be of help.
    fn wanted(&self) -> Option<String> {
        const MANY: usize = 4;
        let mut names: Vec<_> = self.expected.iter().filter_map(|rule| names::name(*rule)).collect();
        // Behind the element of a `rollout` it is no operator.
        if self.expects(Rule::kw_in) && !self.expects_operator() {
            names.iter_mut().filter(|name| *name == names::OPERATOR).for_each(|name| *name = "`in`".into());
        }
        names.sort_by_key(|name| (name.starts_with('`'), name.clone()));
        names.dedup();
        let has = |name: &str| names.iter().any(|other| other == name);
        // One name for what is only a part of another, and nothing that is true everywhere.
        let mut hidden: Vec<&str> = Vec::new();
        if has(names::EXPRESSION) {
            hidden.extend(["a name", "a string", "`[`", "`(`", "`|`", names::OPERATOR]);
        }
        if has(names::OPERATOR) {
            hidden.extend(["`[`", "`(`"]);
        }
        if self.is_over() {
            hidden.extend([names::OPERATOR, "`[`", "`(`"]);
        }
        if has("a statement") {
            hidden.push("the end of the file");
        }
        let kept: Vec<_> = names.iter().map(AsRef::as_ref).filter(|name| !hidden.contains(name)).collect();
        let kept = if kept.is_empty() { names.iter().map(AsRef::as_ref).collect() } else { kept };
        (!kept.is_empty() && kept.len() <= MANY).then(|| listed(&kept))
    }
}

/// `a`, `a or b`, `a, b or c`
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn shortened(word: &str) -> String {
    const LONG: usize = 30;
    if word.chars().count() <= LONG { word.to_owned() } else { word.chars().take(LONG).chain(['…']).collect() }
}

/// The nearest of some words to a misspelt one. Stricter than for names: `taint` is not `wait`.
fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_ascii_lowercase();
    let limit = if word.len() >= 6 { 2 } else { 1 };
    let distance = |candidate: &'w str| {
        let is_stem =
            word.len() >= 4 && (candidate.starts_with(&word) || word.starts_with(candidate) && candidate.len() >= 4);
        (if is_stem { 1 } else { strsim::damerau_levenshtein(&word, candidate) }, candidate)
    };
    let near = words.into_iter().filter(|candidate| *candidate != word).map(distance);
    near.filter(|(distance, _)| *distance <= limit && word.len() > 2).min().map(|(_, candidate)| candidate)
}

/// The nearest word that begins a statement.
fn nearest_statement(word: &str) -> Option<&'static str> {
    nearest(word, STATEMENT_WORDS)
}

/// Whether a word looks like one of a clause and is none.
pub(super) fn is_nearly_clause(word: &str) -> bool {
    nearest_clause(word).is_some()
}

/// The nearest word of a clause.
fn nearest_clause(word: &str) -> Option<&'static str> {
    nearest(word, CLAUSE_WORDS)
}
