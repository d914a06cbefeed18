//! Mistakes of words: operators, statements and clauses that are called otherwise, misspelt, or out of their place.

use super::lexical::{duration_unit, in_units};
use super::{Mistake, Spot, listed, names, nearest_clause, nearest_statement, shortened};
use crate::syntax::parser::Rule;
use crate::syntax::parser::scan::{Bracket, CLAUSE_WORDS, Kind, STATEMENT_WORDS, is_reserved};

// ----- operators

/// `and`, `or`, `is`, `not`, `not in`
pub(super) fn operator_in_words(spot: &Spot<'_>) -> Option<Mistake> {
    spot.suspects().find_map(|index| infix_in_words(spot, index)).or_else(|| not_in_words(spot))
}

fn infix_in_words(spot: &Spot<'_>, index: usize) -> Option<Mistake> {
    let word = spot.word(index);
    if spot.kind(index) != Some(Kind::Word) || !spot.follows_operand(index) {
        return None;
    }
    let symbol = match word.to_ascii_lowercase().as_str() {
        "not" if spot.word(index + 1) == "in" => {
            let span = spot.span(index).to(spot.span(index + 1));
            let mistake = Mistake::new("E011", "there is no `not in`").at(span, "");
            return Some(mistake.help("write `!(x in y)`").blank(spot.range(index)));
        }
        "and" => "&&",
        "or" => "||",
        "is" | "equals" | "eq" => "==",
        _ => return None,
    };
    let mistake = Mistake::new("E011", format!("`{word}` is written `{symbol}`")).at(spot.span(index), "");
    Some(mistake.help(format!("write `{symbol}`")).write(spot.range(index), symbol))
}

/// `not x`: the word was read as a name, and what follows it perhaps as a call.
fn not_in_words(spot: &Spot<'_>) -> Option<Mistake> {
    let behind = spot.suspects().find(|index| {
        let is_not = index.checked_sub(1).is_some_and(|not| spot.word(not).eq_ignore_ascii_case("not"));
        is_not && spot.begins_operand(*index)
    })?;
    let not = behind - 1;
    let mistake = Mistake::new("E011", format!("`{}` is written `!`", spot.word(not))).at(spot.span(not), "");
    Some(mistake.help(format!("write `!{}`", shortened(spot.word(behind)))).write(spot.range(not), "!"))
}

/// `10 min`
pub(super) fn unit_apart(spot: &Spot<'_>) -> Option<Mistake> {
    let is_whole = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_apart = |index: &usize| {
        let number = index.checked_sub(1).map_or("", |number| spot.word(number));
        is_whole(number) && duration_unit(spot.word(*index)).is_some()
    };
    let index = spot.suspects().find(is_apart)?;
    let (number, unit) = (spot.word(index - 1), duration_unit(spot.word(index))?);
    let mistake = Mistake::new("E010", "a unit stands right behind its number");
    let mistake = mistake.at(spot.span(index - 1).to(spot.span(index)), "");
    Some(mistake.help(format!("write {}", in_units(number, unit))).blank(spot.range(index)))
}

// ----- names

/// `let group = …`
pub(super) fn reserved_name(spot: &Spot<'_>) -> Option<Mistake> {
    let word = spot.word(spot.at);
    let is_name = matches!(spot.back(1), "let" | "param" | "record" | "fn" | "task" | "rollout" | "|" | "(" | ",")
        && matches!(spot.word(spot.at + 1), "=" | ":" | "(" | "in" | "|" | "," | ")" | ".");
    if !is_reserved(word) || !is_name || !spot.expects(Rule::name) && !spot.expects(Rule::formal) {
        return None;
    }
    let range = spot.range(spot.at);
    let mistake = Mistake::new("E014", format!("`{word}` is a word of the language and cannot be a name"));
    let mistake = mistake.at(spot.here(), "").help("choose another name");
    // Any name will do, of the same length.
    Some(mistake.write(range, format!("_{}", &word[1..])))
}

// ----- statements

/// What people write who come from elsewhere, and what it is here.
const ELSEWHERE: [(&[&str], &str); 12] = [
    (&["for", "foreach", "loop", "while", "each"], "the only loop is `rollout node in nodes { … }`"),
    (&["sleep", "delay"], "waiting is written `wait 5m`"),
    (&["var", "const", "set", "val"], "a name is bound by `let name = …`"),
    (
        &["def", "function", "func", "proc"],
        "a named expression is `fn name(a: int) -> int = …`, a named procedure `task name(a: node) { … }`",
    ),
    (&["import", "include", "require", "from"], "a module is brought in by `use std::node` or `use \"./lib.sprag\"`"),
    (&["run", "shell", "sh", "bash", "command", "kubectl"], "a command is run by `exec(\"…\")`"),
    (&["echo", "print", "println", "printf"], "a line is written by `log(\"…\")`"),
    (&["elif", "elsif", "elseif"], "write `else if … { … }`"),
    (&["return", "break", "exit", "throw", "fail"], "a run ends where a step fails: `assert … else \"why\"`"),
    (
        &["try", "catch", "rescue", "ensure"],
        "`on failure continue` keeps a failure in its block, `finally { … }` comes last in any case",
    ),
    (&["confirm", "ask", "prompt"], "a person is asked by `approve \"question\" within 24h`"),
    (&["block", "step", "stage", "phase", "section"], "steps are put together by `group \"name\" { … }`"),
];

pub(super) fn statement_of_another_language(spot: &Spot<'_>) -> Option<Mistake> {
    let before = spot.at.checked_sub(1);
    let at = [before, Some(spot.at)].into_iter().flatten().find(|index| {
        let is_known = ELSEWHERE.iter().any(|(words, _)| words.contains(&spot.word(*index)));
        is_known && spot.is_at_beginning(*index)
    })?;
    let word = spot.word(at);
    let (_, help) = ELSEWHERE.iter().find(|(words, _)| words.contains(&word))?;
    let mistake = Mistake::new("E019", format!("there is no statement `{word}`")).at(spot.span(at), "");
    Some(mistake.help(*help).past_statement())
}

/// `rolout node in …`
pub(super) fn misspelt_statement(spot: &Spot<'_>) -> Option<Mistake> {
    let at = spot.at.checked_sub(1).filter(|before| spot.kind(*before) == Some(Kind::Word))?;
    let word = spot.word(at);
    let can_be = spot.expects_parentheses() && !is_reserved(word) && spot.is_at_beginning(at);
    let meant = nearest_statement(word).filter(|_| can_be)?;
    let mistake = Mistake::new("E019", format!("there is no statement `{word}`")).at(spot.span(at), "");
    Some(mistake.help(format!("did you mean `{meant}`?")).past_statement())
}

/// `drain node`
pub(super) fn call_without_parentheses(spot: &Spot<'_>) -> Option<Mistake> {
    let at = spot.at.checked_sub(1).filter(|before| spot.kind(*before) == Some(Kind::Word))?;
    let name = spot.word(at);
    let first = if at >= 2 && spot.word(at - 1) == "::" { at - 2 } else { at };
    if is_reserved(name) || !spot.expects_parentheses() || !spot.is_at_beginning(first) {
        return None;
    }
    let path = if first == at { name.to_owned() } else { format!("{}::{name}", spot.word(first)) };
    let mistake = Mistake::new("E020", format!("`{path}` is called without parentheses"));
    let mistake = mistake.at(spot.span(first).to(spot.span(at)), "").past_statement();
    let on_line = spot.begins_operand(spot.at) && spot.token(spot.at).is_some_and(|token| !token.first);
    if !on_line {
        // What stands here is the next statement already.
        let range = spot.range(first).start..spot.range(at).end;
        return Some(mistake.help(format!("write `{path}(…)`")).blank(range));
    }
    let operands = spot.range(spot.at).start..spot.range(last_operand(spot)).end;
    let mistake = mistake.help(format!("write `{path}({})`", shortened(&spot.draft.text()[operands.clone()])));
    let open = spot.range(at).end;
    if spot.draft.blanks_from(operands.end) == 0 {
        return Some(mistake);
    }
    Some(mistake.write(open..open + 1, "(").write(operands.end..operands.end + 1, ")"))
}

/// The last token on the line of the spot that is not of a clause.
fn last_operand(spot: &Spot<'_>) -> usize {
    let mut last = spot.at;
    while let Some(next) = spot.token(last + 1) {
        let is_clause = CLAUSE_WORDS.contains(&spot.word(last + 1)) && spot.bracket(last + 1) == spot.bracket(spot.at);
        let is_block = matches!(next.kind, Kind::Open(Bracket::Brace) | Kind::Close(Bracket::Brace));
        if next.first || is_clause || is_block {
            break;
        }
        last += 1;
    }
    last
}

/// `halt if a`
pub(super) fn guard_with_if(spot: &Spot<'_>) -> Option<Mistake> {
    let guard = spot.back(1);
    let is_meant = spot.word(spot.at) == "if" && matches!(guard, "halt" | "rollback" | "pause");
    is_meant.then(|| {
        let mistake = Mistake::new("E017", format!("`{guard} if` is written `{guard} when`")).at(spot.here(), "");
        let range = spot.range(spot.at - 1).start..spot.range(spot.at).end;
        // Another statement that takes a condition: there is no room for the right one.
        mistake.help(format!("write `{guard} when`")).write(range, "assert")
    })
}

/// A statement that ends too early.
pub(super) fn unfinished(spot: &Spot<'_>) -> Option<Mistake> {
    let before = spot.at.checked_sub(1).filter(|_| spot.is_over())?;
    let wanted = spot.wanted()?;
    let word = spot.statement_word();
    let name = if is_reserved(word) { format!("this `{word}`") } else { "this statement".to_owned() };
    let mistake = Mistake::new("E025", format!("{name} is not finished"));
    Some(mistake.at(spot.span(before), format!("expected {wanted} after this")).past_statement())
}

// ----- clauses

/// `halt when for 3m`, `wait for 5m`
pub(super) fn keyword_without_expression(spot: &Spot<'_>) -> Option<Mistake> {
    let word = spot.back(1);
    let before = spot.at.checked_sub(1)?;
    let is_keyword = |word: &str| is_reserved(word) || CLAUSE_WORDS.contains(&word) || word == "=";
    let follows_keyword = before.checked_sub(1).is_some_and(|first| is_keyword(spot.word(first)));
    if !CLAUSE_WORDS.contains(&word) || !follows_keyword || !spot.expects_operator() || !spot.begins_operand(spot.at) {
        return None;
    }
    if word == "for" && spot.back(2) == "wait" {
        let mistake = Mistake::new("E017", "`wait` takes its duration without `for`").at(spot.span(before), "");
        return Some(mistake.help("write `wait 5m`, or `wait until C for 1m within 5m`").blank(spot.range(before)));
    }
    let needs = format!("`{}` needs one", spot.back(2));
    let mistake = Mistake::new("E025", format!("an expression is missing before `{word}`"));
    Some(mistake.at(spot.span(before), "").at(spot.span(before - 1), needs).past_statement())
}

/// `untill`, `withn`, `concurency`
pub(super) fn misspelt_clause(spot: &Spot<'_>) -> Option<Mistake> {
    let is_meant = |index: &usize| {
        let word = spot.word(*index);
        let is_plain = spot.kind(*index) == Some(Kind::Word) && !is_reserved(word) && !CLAUSE_WORDS.contains(&word);
        is_plain && nearest_clause(word).is_some() && !matches!(spot.word(index + 1), "(" | "::")
    };
    let takes_clause = spot.expected.iter().any(|rule| names::is_word(*rule)) && !spot.in_list();
    let here = Some(spot.at).filter(|_| takes_clause);
    // `wait untill a`: read as a duration, and then a call.
    let after_word = spot
        .suspect()
        .and_then(|suspect| suspect.checked_sub(1))
        .filter(|index| index.checked_sub(1).is_some_and(|first| STATEMENT_WORDS.contains(&spot.word(first))));
    // `} beetween {`: what stands before it may have been read already.
    let before_block = spot.at.checked_sub(1).filter(|index| {
        spot.word(spot.at) == "{" && matches!(nearest_clause(spot.word(*index)), Some("between" | "finally"))
    });
    let index = [spot.suspect(), here, after_word, before_block].into_iter().flatten().find(is_meant)?;
    let word = spot.word(index);
    let mistake = Mistake::new("E017", format!("there is no clause `{word}`")).at(spot.span(index), "");
    let mistake = mistake.help(format!("did you mean `{}`?", nearest_clause(word)?));
    Some(if after_word == Some(index) || before_block == Some(index) {
        mistake.past_statement()
    } else {
        mistake.past_clause_of(index)
    })
}

pub(super) fn else_without_if(spot: &Spot<'_>) -> Option<Mistake> {
    let is_branch = spot.word(spot.at) == "else" && matches!(spot.word(spot.at + 1), "{" | "if");
    is_branch.then(|| {
        Mistake::new("E017", "this `else` follows no `if`")
            .at(spot.here(), "")
            .help("`else { … }` stands right behind the `}` of an `if`")
    })
}

/// What each statement takes behind it, in words.
const TAKES: [(&str, &[&str]); 14] = [
    ("use", &[]),
    ("param", &["`= default`", "`where … else \"why\"`"]),
    ("let", &[]),
    ("record", &["`retry`", "`takes`", "`undo`", "`as`"]),
    ("fn", &[]),
    ("task", &["`undo { }`"]),
    ("assert", &["`for`", "`every`", "`else`", "`as`"]),
    (
        "rollout",
        &[
            "`batches`",
            "`one … at a time`",
            "`order by`",
            "`concurrency`",
            "`max_failures`",
            "`defer blocked after`",
            "`when`",
            "`as`",
            "then `{ }`",
            "`between { }`",
            "`finally { }`",
        ],
    ),
    ("parallel", &["`concurrency`", "`as`", "then `{ }`"]),
    ("group", &["`when`", "`as`", "then `{ }`", "`finally { }`"]),
    ("approve", &["`within`", "`by`", "`as`"]),
    ("halt", &["`for`", "`else`"]),
    ("rollback", &["`for`", "`else`"]),
    ("pause", &["`for`", "`else`"]),
];

/// A clause that belongs to other statements.
pub(super) fn foreign_clause(spot: &Spot<'_>) -> Option<Mistake> {
    let word = spot.word(spot.at);
    let is_clause = CLAUSE_WORDS.contains(&word) || word == "else";
    let in_statements = matches!(spot.bracket(spot.at), None | Some(Bracket::Brace));
    let may_end = [Rule::equal, Rule::statement, Rule::call_statement, Rule::block, Rule::open_brace];
    let is_behind = may_end.into_iter().any(|rule| spot.expects(rule)) || matches!(spot.back(1), "}" | ")");
    if !is_clause || !in_statements || !is_behind {
        return None;
    }
    let statement = spot.statement_word();
    let is_until = statement == "wait" && spot.statement.clone().any(|index| spot.word(index) == "until");
    let (name, takes): (&str, &[&str]) = match statement {
        "wait" if is_until => ("wait until", &["`for`", "`every`", "`within`", "`as`"]),
        "wait" => ("wait", &["`as`"]),
        "if" => ("if", &["`else if`", "`else`"]),
        "on" => ("on failure", &[]),
        word if STATEMENT_WORDS.contains(&word) => *TAKES.iter().find(|(name, _)| *name == word)?,
        _ if spot.at == 0 || matches!(spot.back(1), "{" | "}") => ("a block", &[]),
        _ => ("a call", &["`retry`", "`when`", "`done when`", "`takes`", "`undo`", "`as`"]),
    };
    let shown = if name.starts_with("a ") { name.to_owned() } else { format!("`{name}`") };
    let mistake = Mistake::new("E017", format!("{shown} takes no `{word}`")).at(spot.here(), "");
    Some(match takes {
        [] => mistake.help("nothing follows it"),
        _ => mistake.help(format!("it takes {}", listed(takes).replace(" or ", " and "))),
    })
}
