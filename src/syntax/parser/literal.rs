//! Literals: their values, and what of them is out of range.

use pest::iterators::Pair;

use super::Rule;
use super::tree::{Builder, child};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{ExprKind, StringLit, StringPart};

/// The units of a duration with their milliseconds, largest first.
pub(super) const UNITS: [(&str, i64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Splits `1h30m` into numbers and units; `None` if it is not of that form or too large.
pub(super) fn duration_parts(text: &str) -> Option<Vec<(i64, &str)>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit())?;
        let unit_end = rest[digits..].find(|char: char| char.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        parts.push((rest[..digits].parse().ok()?, &rest[digits..unit_end]));
        rest = &rest[unit_end..];
    }
    (!parts.is_empty()).then_some(parts)
}

/// The milliseconds of numbers with units; `None` for an unknown unit or too much.
pub(super) fn duration_sum(parts: &[(i64, &str)]) -> Option<i64> {
    parts.iter().try_fold(0_i64, |sum, (count, unit)| {
        let (_, millis) = UNITS.iter().find(|(name, _)| name == unit)?;
        sum.checked_add(count.checked_mul(*millis)?)
    })
}

/// The milliseconds of a duration as it is written, such as `1h30m`.
pub(in crate::syntax) fn parse_duration(text: &str) -> Option<i64> {
    duration_sum(&duration_parts(text)?)
}

/// A duration as it is written, the largest unit first: `1h30m`.
pub(super) fn duration_text(millis: i64) -> String {
    let mut rest = millis;
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

impl Builder<'_> {
    /// A literal that is one token.
    pub(super) fn literal(&mut self, pair: &Pair<'_, Rule>) -> ExprKind {
        let text = pair.as_str();
        let value = match pair.as_rule() {
            Rule::boolean => Some(ExprKind::Bool(text == "true")),
            Rule::version => Some(ExprKind::Version(text.to_owned())),
            Rule::percent => text.trim_end_matches('%').parse().ok().filter(is_exact).map(ExprKind::Percent),
            Rule::duration => duration_parts(text).and_then(|parts| duration_sum(&parts)).map(ExprKind::Duration),
            Rule::float => text.parse().ok().filter(is_exact).map(ExprKind::Float),
            Rule::int => text.parse().ok().map(ExprKind::Int),
            _ => Some(ExprKind::None),
        };
        value.unwrap_or_else(|| {
            let span = self.span(pair);
            self.tell(Diagnostic::error("E010", "this number is too large").at(span, "").help(match pair.as_rule() {
                Rule::duration => "the longest duration is 106751991167d",
                _ => "the largest whole number is 9223372036854775807",
            }));
            ExprKind::None
        })
    }

    /// A string in quotes or backticks.
    pub(super) fn string(&mut self, pair: Pair<'_, Rule>) -> StringLit {
        let span = self.span(&pair);
        let raw = pair.as_rule() == Rule::raw;
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::quoted_text | Rule::raw_text => {
                    push_text(&mut parts, &piece.as_str().replace("\r\n", "\n"), self.span(&piece))
                }
                Rule::escape => push_text(&mut parts, unescape(piece.as_str()), self.span(&piece)),
                Rule::interpolation => parts.push(StringPart::Interpolation(self.expression_in(&piece))),
                _ => {}
            }
        }
        StringLit { span, raw, parts }
    }

    /// The string that is a child of a clause.
    pub(super) fn string_in(&mut self, pair: &Pair<'_, Rule>) -> StringLit {
        let inner = child(pair, Rule::quoted).or_else(|| child(pair, Rule::raw));
        match inner {
            Some(inner) => self.string(inner),
            // The grammar has one wherever this is asked.
            None => StringLit { span: self.span(pair), raw: false, parts: Vec::new() },
        }
    }
}

/// Text and escapes that follow each other are one piece.
fn push_text(parts: &mut Vec<StringPart>, more: &str, place: Span) {
    if let Some(StringPart::Text { text, span }) = parts.last_mut() {
        text.push_str(more);
        *span = span.to(place);
    } else {
        parts.push(StringPart::Text { text: more.to_owned(), span: place });
    }
}

fn unescape(escape: &str) -> &str {
    match escape {
        "\\n" => "\n",
        "\\t" => "\t",
        other => other.strip_prefix('\\').unwrap_or(other),
    }
}

/// Whether a float holds the number that was written, and not infinity.
fn is_exact(number: &f64) -> bool {
    number.is_finite()
}
