//! What people call the things of the grammar.

use std::borrow::Cow;

use super::Rule;

/// The words for a rule in "expected …"; `None` for what only clutters such a list.
pub(super) fn name(rule: Rule) -> Option<Cow<'static, str>> {
    // The rule of a word is called after it.
    let own = format!("{rule:?}");
    match own.strip_prefix("kw_") {
        Some("a" | "at" | "time") => Some("`at a time`".into()),
        Some("in") => Some(OPERATOR.into()),
        Some(word) => Some(format!("`{word}`").into()),
        None => phrase(rule).map(Cow::from),
    }
}

/// What may stand behind an operand, in one word.
pub(super) const OPERATOR: &str = "an operator";
/// What has a value.
pub(super) const EXPRESSION: &str = "an expression";

fn phrase(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::EOI => "the end of the file",
        Rule::statement | Rule::call_statement => "a statement",
        Rule::expression
        | Rule::nested
        | Rule::list
        | Rule::reference
        | Rule::boolean
        | Rule::nothing
        | Rule::version
        | Rule::percent
        | Rule::float
        | Rule::int
        | Rule::duration
        | Rule::not
        | Rule::negative
        | Rule::argument
        | Rule::closure
        | Rule::label => EXPRESSION,
        Rule::quoted | Rule::raw => "a string",
        Rule::or
        | Rule::and
        | Rule::equal
        | Rule::not_equal
        | Rule::less_equal
        | Rule::less
        | Rule::greater_equal
        | Rule::greater
        | Rule::coalesce
        | Rule::plus
        | Rule::minus
        | Rule::times
        | Rule::divided
        | Rule::is_in => OPERATOR,
        Rule::name | Rule::word | Rule::path | Rule::call => "a name",
        Rule::type_expression | Rule::type_name | Rule::list_type | Rule::map_type => "a type",
        Rule::formal => "a parameter",
        Rule::std_module => "`std::…`",
        Rule::block | Rule::open_brace => "`{`",
        Rule::close_brace | Rule::close_interpolation => "`}`",
        Rule::open_paren | Rule::formals => "`(`",
        Rule::close_paren => "`)`",
        Rule::open_bracket => "`[`",
        Rule::close_bracket => "`]`",
        Rule::close_quote => "`\"`",
        Rule::close_backtick => "a backtick",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::equals | Rule::default => "`=`",
        Rule::arrow => "`->`",
        Rule::bar => "`|`",
        Rule::at_a_time => "`at a time`",
        Rule::when_clause => "`when`",
        Rule::on_rollback => "`rollback`",
        Rule::on_continue => "`continue`",
        Rule::by => "`by`",
        Rule::else_if => "`else if`",
        Rule::else_block => "`else`",
        Rule::alias => "`as`",
        Rule::every => "`every`",
        Rule::within => "`within`",
        Rule::for_clause => "`for`",
        Rule::else_clause => "`else`",
        Rule::where_clause => "`where`",
        Rule::retry => "`retry`",
        Rule::takes => "`takes`",
        Rule::done_when => "`done when`",
        Rule::undo_block => "`undo`",
        Rule::batches => "`batches`",
        Rule::one_at_a_time => "`one … at a time`",
        Rule::order_by => "`order by`",
        Rule::concurrency => "`concurrency`",
        Rule::max_failures => "`max_failures`",
        Rule::defer => "`defer blocked after`",
        Rule::between => "`between`",
        Rule::finally => "`finally`",
        _ => return None,
    })
}

/// Whether a rule is, or begins with, a word of the language.
pub(super) fn is_word(rule: Rule) -> bool {
    name(rule)
        .is_some_and(|name| name.starts_with('`') && name[1..].starts_with(|char: char| char.is_ascii_lowercase()))
}
