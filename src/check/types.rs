//! Which types go together: assignment, comparison, arithmetic (LANGUAGE.md section 3).
//!
//! Plain functions over [`Type`]; whoever asks writes the message.

use crate::catalog::quantity::Quantity;
use crate::catalog::types::{Kind, Type};
use crate::syntax::ast::BinaryOp;

/// Whether a value of one type may stand where another is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It may.
    Yes,
    /// It may unless it is `none`: the checker warns.
    UnlessNone,
    /// It may not.
    No,
}

/// Whether a value of type `have` may stand where `want` is wanted.
pub(super) fn fit(want: &Type, have: &Type) -> Fit {
    match (want, have) {
        (Type::Mistake, _) | (_, Type::Mistake) | (Type::Optional(_), Type::None) => Fit::Yes,
        (Type::Optional(want), Type::Optional(have)) => fit(want, have),
        (Type::Optional(want), have) => fit(want, have),
        (want, Type::Optional(have)) => match fit(want, have) {
            Fit::No => Fit::No,
            Fit::Yes | Fit::UnlessNone => Fit::UnlessNone,
        },
        (Type::List(want), Type::List(have)) | (Type::Map(want), Type::Map(have)) => fit(want, have),
        (want, have) if want == have => Fit::Yes,
        _ => Fit::No,
    }
}

/// Whether a type holds a mistake that was already told.
pub(super) fn is_mistake(ty: &Type) -> bool {
    match ty {
        Type::Mistake => true,
        Type::List(inner) | Type::Map(inner) | Type::Optional(inner) => is_mistake(inner),
        _ => false,
    }
}

/// Whether two types mix as numbers do: int with float, percent with float, quantity with int.
fn is_mixed_pair(a: &Type, b: &Type) -> bool {
    use Type::{Float, Int, Percent, Quantity};
    let one_way = |a: &Type, b: &Type| matches!((a, b), (Int | Percent, Float) | (Quantity, Int));
    one_way(a, b) || one_way(b, a)
}

fn is_scalar(ty: &Type) -> bool {
    matches!(ty, Type::Bool | Type::Int | Type::Float | Type::String | Type::Version)
}

/// Whether `==` is defined; `none` and what may be `none` compare with everything that their values do.
pub(super) fn is_comparable(a: &Type, b: &Type) -> bool {
    match (a.required(), b.required()) {
        (Type::Mistake | Type::None, _) | (_, Type::Mistake | Type::None) => true,
        (Type::Secret, _) | (_, Type::Secret) => false,
        (Type::Json, other) | (other, Type::Json) => *other == Type::Json || is_scalar(other),
        (Type::List(a), Type::List(b)) | (Type::Map(a), Type::Map(b)) => is_comparable(a, b),
        (a, b) => a == b || is_mixed_pair(a, b),
    }
}

/// Whether values can be sorted by it: `none` comes first, and `false` before `true`.
pub(super) fn is_sort_key(ty: &Type) -> bool {
    has_order(ty.required()) || *ty.required() == Type::Bool
}

/// Whether values of the type have an order: what `<`, `min`, `max` need.
pub(super) fn has_order(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Int
            | Type::Float
            | Type::String
            | Type::Version
            | Type::Duration
            | Type::Time
            | Type::Percent
            | Type::Quantity
            | Type::Mistake
    )
}

/// Whether `<` is defined; both without `none`.
pub(super) fn is_ordered_pair(a: &Type, b: &Type) -> bool {
    *a == Type::Mistake || *b == Type::Mistake || (has_order(a) && a == b) || is_mixed_pair(a, b)
}

/// What `+ - * /` give; both without `none`. `/` always gives a float.
pub(super) fn arithmetic(op: BinaryOp, a: &Type, b: &Type) -> Option<Type> {
    use BinaryOp::{Add, Div, Mul, Sub};
    use Type::{Duration, Float, Int, Percent, Quantity, Time};
    Some(match (op, a, b) {
        (Div, Int, Int) => Float,
        (_, Int, Int) => Int,
        (_, Int | Float | Percent, Float) | (_, Float, Int | Percent) => Float,
        (Add | Sub, Percent, Percent) => Percent,
        (Add | Sub, Quantity, Quantity | Int) | (Add | Sub, Int, Quantity) => Quantity,
        (Mul, Quantity, Int) | (Mul, Int, Quantity) => Quantity,
        (Add | Sub, Duration, Duration) => Duration,
        (Mul, Duration, Int | Float) | (Mul, Int | Float, Duration) => Duration,
        (Sub, Time, Time) => Duration,
        (Add | Sub, Time, Duration) | (Add, Duration, Time) => Time,
        (Div, Percent, Percent) | (Div, Quantity, Quantity | Int) | (Div, Duration, Duration) => Float,
        _ => return None,
    })
}

/// The type that holds both, for the items of a list and the two sides of `??`.
pub(super) fn join(a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        (Type::Mistake, _) | (_, Type::Mistake) => Some(Type::Mistake),
        (Type::None, other) | (other, Type::None) => Some(other.clone().optional()),
        (Type::Optional(a), Type::Optional(b)) => join(a, b).map(Type::optional),
        (Type::Optional(a), b) | (b, Type::Optional(a)) => join(a, b).map(Type::optional),
        (Type::List(a), Type::List(b)) => join(a, b).map(Type::list),
        (Type::Map(a), Type::Map(b)) => join(a, b).map(Type::map),
        (a, b) => (a == b).then(|| a.clone()),
    }
}

/// Whether `${…}` can show it.
pub(super) fn is_text(ty: &Type) -> bool {
    match ty.required() {
        Type::Object(kind) => !matches!(kind, Kind::Cluster | Kind::Outcome),
        Type::List(_) | Type::Map(_) | Type::None | Type::Json => false,
        _ => true,
    }
}

/// The type with its article: `an int`, `a list<node>`, `none`.
pub(super) fn phrase(ty: &Type) -> String {
    match ty {
        Type::None => "none".to_owned(),
        other => {
            let name = other.to_string();
            let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
            format!("{article} {name}")
        }
    }
}

/// What a person who wrote `have` where `want` is needed probably meant. `text` is what was written.
pub(super) fn hint(want: &Type, have: &Type, text: &str) -> Option<String> {
    let unquoted = text.trim_matches('"');
    let is_written = is_plain_literal(text);
    Some(match (want.required(), have.required()) {
        (Type::Duration, Type::Int) if is_written => {
            format!("a duration has a unit: `{text}s`, `{text}m`, `{text}h`")
        }
        (Type::Duration, Type::Int) => format!("a duration has a unit: `{text} * 1m`"),
        (Type::Version, Type::Float) if is_written => format!("a version is written with a `v`: `v{text}`"),
        (Type::Version, Type::String) if is_version(unquoted) => {
            format!("a version is written without quotes: `v{}`", unquoted.trim_start_matches('v'))
        }
        (Type::Version, Type::String) => "a version is written without quotes: `v1.31` or `v1.31.4`".to_owned(),
        (Type::Percent, Type::Int) if is_written => format!("a percentage is written with its sign: `{text}%`"),
        (Type::Bool | Type::Int | Type::Float | Type::Duration | Type::Percent, Type::String)
            if text.starts_with('"') && is_plain_literal(unquoted) =>
        {
            format!("write it without quotes: `{unquoted}`")
        }
        (Type::Bool, Type::Json) => "say what it should be: `.as_bool()`, or compare it with `==`".to_owned(),
        (Type::Int, Type::Json) => "say what it should be: `.as_int()`".to_owned(),
        (Type::Float, Type::Json) => "say what it should be: `.as_float()`".to_owned(),
        (Type::String, Type::Json) => "say what it should be: `.as_text()`".to_owned(),
        (Type::List(_), Type::Json) => "say what it should be: `.as_list()`".to_owned(),
        (Type::List(item), have) if fit(item, have) == Fit::Yes => format!("put it into a list: `[{text}]`"),
        (Type::String, Type::Object(kind)) if !matches!(kind, Kind::Cluster | Kind::Outcome) => {
            format!("its name is `{text}.name`")
        }
        (Type::String, Type::Secret) => {
            "a secret may stand only as `${…}` in the `env:` of `exec` and `job` and in `headers:`".to_owned()
        }
        (Type::String, Type::Float | Type::Int | Type::Bool | Type::Duration | Type::Version | Type::Percent)
            if is_written =>
        {
            format!("as a string it is `\"{text}\"`")
        }
        (Type::String, Type::Float | Type::Int | Type::Bool | Type::Duration | Type::Version | Type::Percent) => {
            format!("as a string it is `\"${{{text}}}\"`")
        }
        (Type::Quantity, Type::String) if text.starts_with('"') && unquoted.parse::<Quantity>().is_err() => {
            "a quantity is written as Kubernetes does: `\"500m\"`, `\"4Gi\"`".to_owned()
        }
        (Type::Quantity, Type::String) => {
            "a quantity comes from the cluster or from a parameter: `param least: quantity = \"4Gi\"`".to_owned()
        }
        (Type::Object(kind), Type::String) if text.ends_with(".name") => {
            format!("give the {} itself: `{}`", kind.word(), text.trim_end_matches(".name"))
        }
        (Type::Object(kind), Type::String) if !matches!(kind, Kind::Cluster | Kind::Outcome) => {
            format!("`{text}` is a text; the {}'s own name is its field `name`", kind.word())
        }
        _ => return None,
    })
}

/// Whether a text is a number, a duration, a percentage, a version or a truth value as written.
fn is_plain_literal(text: &str) -> bool {
    let is_number = text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '%');
    matches!(text, "true" | "false") || is_number && text.chars().all(is_part)
}

fn is_version(text: &str) -> bool {
    text.parse::<crate::catalog::version::Version>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mix_as_the_language_says() {
        use BinaryOp::{Add, Div, Mul, Sub};
        use Type::{Duration, Float, Int, Percent, Quantity, String, Time, Version};
        for (op, a, b, gives) in [
            (Div, Int, Int, Some(Float)),
            (Add, Int, Float, Some(Float)),
            (Mul, Percent, Float, Some(Float)),
            (Mul, Percent, Int, None),
            (Sub, Quantity, Int, Some(Quantity)),
            (Mul, Duration, Float, Some(Duration)),
            (Div, Duration, Int, None),
            (Sub, Time, Time, Some(Duration)),
            (Add, Time, Time, None),
            (Add, String, String, None),
            (Add, Version, Int, None),
        ] {
            assert_eq!(arithmetic(op, &a, &b), gives, "{a} {} {b}", op.symbol());
        }
    }

    #[test]
    fn what_may_be_none_fits_with_a_warning() {
        let zone = Type::String.optional();
        assert_eq!(fit(&Type::String, &zone), Fit::UnlessNone);
        assert_eq!(fit(&zone, &Type::String), Fit::Yes);
        assert_eq!(fit(&zone, &Type::None), Fit::Yes);
        assert_eq!(fit(&Type::String, &Type::None), Fit::No);
        assert_eq!(fit(&Type::list(Type::String), &Type::list(zone)), Fit::UnlessNone);
    }
}
