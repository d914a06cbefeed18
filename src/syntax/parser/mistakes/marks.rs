//! Mistakes of punctuation.

use super::{Mistake, Spot, shortened};
use crate::source::Span;
use crate::syntax::parser::Rule;
use crate::syntax::parser::scan::{Bracket, Kind, STATEMENT_WORDS, is_reserved};

/// `///` where no statement follows.
pub(super) fn documents_nothing(spot: &Spot<'_>) -> Option<Mistake> {
    let is_doc = |index: usize| spot.kind(index) == Some(Kind::Doc);
    let last = if is_doc(spot.at) { spot.at } else { spot.at.checked_sub(1).filter(|before| is_doc(*before))? };
    let first = (0..last).rev().take_while(|index| is_doc(*index)).last().unwrap_or(last);
    let range = spot.range(first).start..spot.range(last).end;
    let span = spot.span(first).to(spot.span(last));
    let message = if spot.is_over() && last != spot.at {
        "`///` documents a statement, and none follows"
    } else {
        "`///` documents a statement, and stands in the middle of one here"
    };
    let mistake = Mistake::new("E023", message).at(span, "");
    Some(mistake.help("a remark is written `//`").blank(range))
}

pub(super) fn comma_between_statements(spot: &Spot<'_>) -> Option<Mistake> {
    let is_outside = matches!(spot.bracket(spot.at), None | Some(Bracket::Brace));
    (spot.word(spot.at) == "," && is_outside).then(|| {
        Mistake::new("E021", "statements and clauses are not separated by `,`")
            .at(spot.here(), "")
            .help("leave it out: commas separate arguments and the elements of lists")
            .blank(spot.range(spot.at))
    })
}

/// `drain(node, timeout=20m)`
pub(super) fn named_by_equals(spot: &Spot<'_>) -> Option<Mistake> {
    let is_argument = spot.in_list() && spot.bracket(spot.at) == Some(Bracket::Paren);
    let named = spot.word(spot.at) == "=" && is_argument && matches!(spot.back(2), "(" | ",");
    named.then(|| {
        let name = spot.back(1);
        Mistake::new("E024", "an argument is named with `:`, not with `=`")
            .at(spot.here(), "")
            .help(format!("write `{name}: …`"))
            .write(spot.range(spot.at), ":")
    })
}

/// `param size = 3`, `task t(node)`
pub(super) fn missing_type(spot: &Spot<'_>) -> Option<Mistake> {
    let is_missing = spot.expects(Rule::colon) && matches!(spot.word(spot.at), "=" | "," | ")");
    is_missing.then(|| {
        let name = spot.back(1);
        Mistake::new("E001", format!("`{name}` has no type"))
            .at(spot.span(spot.at - 1), "")
            .help(format!("write `{name}: int`, or whatever type it has"))
    })
}

/// `fn f() = 1`
pub(super) fn missing_result(spot: &Spot<'_>) -> Option<Mistake> {
    (spot.expects(Rule::arrow) && spot.word(spot.at) == "=").then(|| {
        let mistake = Mistake::new("E001", "this `fn` does not say the type of its value").at(spot.here(), "");
        mistake.help("write `-> int = …`, or whatever type it has")
    })
}

/// `x = 5` as a statement
pub(super) fn assignment(spot: &Spot<'_>) -> Option<Mistake> {
    let name = spot.back(1);
    let is_assignment =
        spot.word(spot.at) == "=" && !is_reserved(name) && spot.is_at_beginning(spot.at.checked_sub(1)?);
    is_assignment.then(|| {
        Mistake::new("E019", "a statement does not begin with a name and `=`")
            .at(spot.span(spot.at - 1).to(spot.here()), "")
            .help(format!("`let {name} = …` binds a name, once; nothing is changed later"))
            .past_statement()
    })
}

pub(super) fn equals_for_comparison(spot: &Spot<'_>) -> Option<Mistake> {
    let is_meant = spot.word(spot.at) == "=" && spot.expects_operator();
    is_meant.then(|| {
        Mistake::new("E011", "a comparison is written `==`, not `=`")
            .at(spot.here(), "")
            .help("write `==`")
            .doubled(spot, "==")
    })
}

/// `a | b`, and closures where none can stand
pub(super) fn bar(spot: &Spot<'_>) -> Option<Mistake> {
    if spot.word(spot.at) != "|" {
        return None;
    }
    if spot.expects_operator() {
        let mistake =
            Mistake::new("E011", "there is no operator `|`").at(spot.here(), "").help("\"or\" is written `||`");
        return Some(mistake.doubled(spot, "||"));
    }
    (!spot.expects(Rule::bar)).then(|| {
        Mistake::new("E022", "a closure stands only as an argument")
            .at(spot.here(), "")
            .help("pass it where it is used: `nodes.filter(|n| n.ready)`; a named expression is `fn name(n: node) -> bool = …`")
    })
}

impl Mistake {
    /// Writes an operator of two characters over one, if there is a blank behind or before it.
    fn doubled(self, spot: &Spot<'_>, operator: &str) -> Self {
        let range = spot.range(spot.at);
        if spot.draft.blanks_from(range.end) > 0 {
            return self.write(range.start..range.end + 1, operator);
        }
        let before = spot.at.checked_sub(1).map_or(0, |before| spot.range(before).end);
        if before < range.start { self.write(range.start - 1..range.end, operator) } else { self }
    }
}

/// `"he said "no" to it"`
pub(super) fn quote_in_string(spot: &Spot<'_>) -> Option<Mistake> {
    let is_glued = |word: &usize| {
        let before = word.checked_sub(1).filter(|before| spot.kind(*before) == Some(Kind::Close(Bracket::Quote)));
        let ends = before.is_some_and(|before| spot.range(before).end == spot.range(*word).start);
        ends && spot.kind(*word) == Some(Kind::Word)
    };
    let word = spot.suspects().find(is_glued)?;
    let mistake = Mistake::new("E007", "the string ends here, before more text").at(spot.span(word - 1), "");
    Some(mistake.help("a quote inside of a string is written `\\\"`; in backticks it is plain").past_statement())
}

pub(super) fn ternary_or_range(spot: &Spot<'_>) -> Option<Mistake> {
    let (message, help) = match spot.word(spot.at) {
        "?" if spot.expects_operator() => {
            ("there is no `c ? a : b`", "`x ?? y` gives y where x is `none`; steps are chosen by `when` or `if`")
        }
        ".." | "..." => ("there are no ranges", "write the list: `[1, 2, 3]`"),
        "." if spot.word(spot.at + 1) == "." => ("there are no ranges", "write the list: `[1, 2, 3]`"),
        _ => return None,
    };
    Some(Mistake::new("E011", message).at(spot.here(), "").help(help))
}

/// `{` where an expression is needed
pub(super) fn braces_in_expression(spot: &Spot<'_>) -> Option<Mistake> {
    let is_brace = spot.kind(spot.at) == Some(Kind::Open(Bracket::Brace)) && !spot.expects(Rule::open_brace);
    let wanted = spot.wanted()?;
    if !is_brace || !wanted.contains("expression") && !wanted.contains("argument") {
        return None;
    }
    let is_value = matches!(spot.back(1), "=" | "(" | "," | "[" | "|" | ":");
    let mistake = Mistake::new("E001", format!("expected {wanted}, found `{{`")).at(spot.here(), "");
    if !is_value {
        return Some(mistake);
    }
    let mistake = mistake.help("expressions have no braces: there are no maps and no blocks in them");
    Some(match spot.layout.closer(spot.at) {
        Some(closer) => mistake.write(spot.range(spot.at).start..spot.range(closer).end, "0"),
        None => mistake,
    })
}

/// `assert a { … }`
pub(super) fn block_of_nothing(spot: &Spot<'_>) -> Option<Mistake> {
    let takes_block = spot.expects(Rule::open_brace) || spot.expects(Rule::block);
    let has_block = matches!(spot.statement_word(), "rollout" | "group" | "parallel" | "if" | "task");
    let is_block = spot.kind(spot.at) == Some(Kind::Open(Bracket::Brace)) && !takes_block && !has_block;
    (is_block && (spot.expects_operator() || spot.expects(Rule::statement))).then(|| {
        let word = spot.statement_word();
        let name = if is_reserved(word) { format!("`{word}`") } else { "a call".to_owned() };
        Mistake::new("E017", format!("{name} takes no block"))
            .at(spot.here(), "")
            .help("a choice is `if C { … }`, steps with a name are `group \"name\" { … }`")
            .past_statement()
    })
}

/// `a.` at the end of a line, after which the next statement is read as a field
pub(super) fn nothing_behind_dot(spot: &Spot<'_>) -> Option<Mistake> {
    let is_statement = |index: &usize| {
        let is_first = spot.token(*index).is_some_and(|token| token.first);
        is_first && STATEMENT_WORDS.contains(&spot.word(*index)) && spot.word(index - 1) == "."
    };
    let word = (spot.at.saturating_sub(3).max(1)..=spot.at).rev().find(is_statement)?;
    let mistake = Mistake::new("E025", "a field or a method is missing behind this `.`");
    Some(mistake.at(spot.span(word - 1), "").blank(spot.range(word - 1)))
}

/// `let a = b c`
pub(super) fn missing_operator(spot: &Spot<'_>) -> Option<Mistake> {
    let is_pair = |index: &usize| spot.follows_operand(*index) && spot.begins_operand(*index);
    let here = Some(spot.at).filter(|_| spot.expects_operator() || spot.expects(Rule::statement));
    let second = spot.suspect().or(here).filter(is_pair)?;
    let is_same_line = spot.token(second).is_some_and(|token| !token.first);
    is_same_line.then(|| {
        let (one, other) = (shortened(spot.word(second - 1)), shortened(spot.word(second)));
        let message = format!("nothing stands between `{one}` and `{other}`");
        Mistake::new("E001", message)
            .at(spot.span(second - 1).to(spot.span(second)), "an operator or a word is missing here")
    })
}

/// Two things in a row where a list of them stands.
pub(super) fn missing_comma(spot: &Spot<'_>) -> Option<Mistake> {
    let is_pair = spot.in_list() && spot.follows_operand(spot.at) && spot.begins_operand(spot.at);
    if !is_pair || !(spot.expects(Rule::comma) || spot.expects_operator()) {
        return None;
    }
    let before = spot.range(spot.at - 1);
    let room = before.end..spot.range(spot.at).start;
    let is_name = spot.kind(spot.at - 1) == Some(Kind::Word)
        && matches!(spot.back(2), "(" | ",")
        && spot.bracket(spot.at) == Some(Bracket::Paren)
        && spot.kind(spot.at) != Some(Kind::Word);
    let (missing, message) = if is_name {
        (":", format!("the argument `{}` is named with `:`", spot.back(1)))
    } else {
        (",", format!("a `,` is missing before {}", spot.found()))
    };
    let gap = behind(spot.span(spot.at - 1));
    let mistake = Mistake::new("E024", message).at(gap, format!("`{missing}` belongs here"));
    Some(if room.is_empty() { mistake } else { mistake.write(room.start..room.start + 1, missing) })
}

/// The place right behind another.
fn behind(span: Span) -> Span {
    Span { start: span.end, ..span }
}
