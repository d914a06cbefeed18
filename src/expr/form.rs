//! The form of lowered code, read back: calls, conjunctions, comparisons. What is lowered is written in [`super::lower`].

use crate::catalog::types::Type;
use crate::plan::graph::Code;

/// The comparisons that a condition consists of, with their two sides: what it weighs.
pub fn comparisons(condition: &Code) -> Vec<(Code, &'static str, Code)> {
    let mut found = Vec::new();
    collect(&condition.code, &mut found);
    found
}

fn collect(text: &str, found: &mut Vec<(Code, &'static str, Code)>) {
    let text = text.trim().trim_start_matches('!');
    let parts = operands(text);
    if parts.len() > 1 {
        parts.into_iter().for_each(|part| collect(part, found));
        return;
    }
    let Some((name, args)) = call(text) else { return };
    let sign = match name {
        "v" | "b" => return args.into_iter().for_each(|inner| collect(inner, found)),
        "eq" => "==",
        "ne" => "!=",
        "lt" => "<",
        "le" => "<=",
        "gt" => ">",
        "ge" => ">=",
        "isin" => "in",
        _ => return,
    };
    if let [left, right] = args.as_slice() {
        found.push((code(left), sign, code(right)));
    }
}

/// The sides of `(a && b)` or `(a || b)`; the text itself where it is neither.
fn operands(text: &str) -> Vec<&str> {
    let Some(inner) = whole(text) else { return vec![text] };
    ["&&", "||"].into_iter().map(|sign| split(inner, sign)).find(|parts| parts.len() > 1).unwrap_or_else(|| vec![text])
}

/// A part of a condition as code of its own.
pub(super) fn code(text: &str) -> Code {
    Code { text: text.to_owned(), code: text.to_owned(), ty: Type::Json }
}

/// `name(a, b)` as a whole: the name and the arguments.
pub(super) fn call(text: &str) -> Option<(&str, Vec<&str>)> {
    let text = text.trim();
    let open = text.find('(')?;
    let name = &text[..open];
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let inner = whole(&text[open..])?;
    Some((name, split(inner, ",")))
}

/// What stands in the brackets that a text begins and ends with.
pub(super) fn whole(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('(')?;
    let end = levels(text).find(|(_, depth)| *depth == 0).map(|(at, _)| at)?;
    (end + 1 == text.len()).then(|| &inner[..inner.len() - 1])
}

/// The parts between separators that stand in no brackets.
pub(super) fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, depth) in levels(text) {
        if depth == 0 && at >= start && text[at..].starts_with(separator) {
            parts.push(text[start..at].trim());
            start = at + separator.len();
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// Each character that stands in no string, with how many brackets are open behind it.
fn levels(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    text.char_indices().filter_map(move |(at, c)| {
        if in_string {
            (in_string, escaped) = (escaped || c != '"', !escaped && c == '\\');
            return None;
        }
        match c {
            '"' => {
                in_string = true;
                return None;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        Some((at, depth))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_tells_what_it_compares() {
        let told = |text: &str| -> Vec<String> {
            let all = comparisons(&code(text)).into_iter();
            all.map(|(left, sign, right)| format!("{} {sign} {}", left.code, right.code)).collect()
        };
        let count = r#"each(fact("nodes"), "count", |l_n| v((!b(field(l_n, "ready")) && b(a()))))"#;
        assert_eq!(told(&format!("gt({count}, i(\"2\"))")), [format!("{count} > i(\"2\")")]);
        let both = r#"v((b(gt(a(), i("1"))) && (b(eq(c(), s(")"))) || !b(lt(d(), i("3"))))))"#;
        assert_eq!(told(both), [r#"a() > i("1")"#, r#"c() == s(")")"#, r#"d() < i("3")"#]);
    }
}
