//! The operators of the language on values. The checker has made sure that the types go together; what can still go
//! wrong while running is that a value is `none`, does not fit, or is divided by nothing.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::catalog::quantity::Quantity;
use crate::catalog::value::Value;
use crate::facts::reads::Unknown;

use super::evaluate::EvalError;

type Evaluated = Result<Value, EvalError>;

/// `==`: scalars by value (an int equals a float of its size), versions as the language compares them, objects by UID;
/// `none` equals only `none`; json equals the scalar that it holds.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Version(a), Value::Version(b)) => a.compare(b) == Ordering::Equal,
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_))
        | (Value::Percent(_) | Value::Float(_), Value::Percent(_) | Value::Float(_))
        | (Value::Quantity(_) | Value::Int(_), Value::Quantity(_) | Value::Int(_)) => {
            compare(a, b) == Some(Ordering::Equal)
        }
        (Value::Object(a), Value::Object(b)) => a.kind == b.kind && a.uid == b.uid,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b)),
        (Value::Json(json), other) | (other, Value::Json(json)) => equal_json(json, other),
        _ => a == b,
    }
}

fn equal_json(json: &serde_json::Value, other: &Value) -> bool {
    match other {
        Value::None => json.is_null(),
        Value::Bool(value) => json.as_bool() == Some(*value),
        Value::Int(value) => json.as_i64() == Some(*value),
        Value::Float(value) => json.as_f64() == Some(*value),
        Value::String(text) => json.as_str() == Some(text),
        Value::Version(version) => json.as_str().and_then(|text| text.parse().ok()).as_ref() == Some(version),
        Value::Json(other) => json == &**other,
        _ => false,
    }
}

/// The order of two values of types that go together; `None` when there is none (NaN, or types that do not mix).
pub(super) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Quantity(a), Value::Quantity(b)) => Some(a.cmp(b)),
        (Value::Quantity(a), Value::Int(b)) => Some(a.compare_whole(*b)),
        (Value::Int(a), Value::Quantity(b)) => Some(b.compare_whole(*a).reverse()),
        (Value::Version(a), Value::Version(b)) => Some(a.compare(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) | (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => number(a)?.partial_cmp(&number(b)?),
    }
}

/// A number, where an int, a float or a percentage (25 % is 0.25) is one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Percent(share) => Some(*share / 100.0),
        _ => None,
    }
}

/// The total order in which `sort_by`, `min`, `max` and `order by` put values: `none` first, versions by every part.
pub fn total_order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::None, Value::None) => Ordering::Equal,
        (Value::None, _) => Ordering::Less,
        (_, Value::None) => Ordering::Greater,
        (Value::Version(a), Value::Version(b)) => a.cmp(b),
        (Value::Object(a), Value::Object(b)) => (&a.namespace, &a.name, &a.uid).cmp(&(&b.namespace, &b.name, &b.uid)),
        _ => compare(a, b).unwrap_or(Ordering::Equal),
    }
}

/// `<`, `<=`, `>`, `>=`.
pub(super) fn ordered(a: &Value, b: &Value, holds: impl Fn(Ordering) -> bool) -> Result<bool, EvalError> {
    some(a)?;
    some(b)?;
    compare(a, b).map(holds).ok_or_else(|| unknown(format!("`{a}` and `{b}` have no order")))
}

/// `+`
pub(super) fn add(a: &Value, b: &Value) -> Evaluated {
    arithmetic(a, b, "+", |a, b| {
        Some(match (a, b) {
            (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_add(*b)?),
            (Value::Quantity(a), Value::Quantity(b)) => {
                Value::Quantity(Quantity { milli: a.milli.checked_add(b.milli)? })
            }
            (Value::Quantity(a), Value::Int(b)) | (Value::Int(b), Value::Quantity(a)) => {
                Value::Quantity(Quantity { milli: a.milli.checked_add(Quantity::whole(*b).milli)? })
            }
            (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.checked_add(*b)?),
            (Value::Time(a), Value::Duration(b)) | (Value::Duration(b), Value::Time(a)) => {
                Value::Time(a.checked_add(*b)?)
            }
            (Value::Percent(a), Value::Percent(b)) => Value::Percent(a + b),
            (Value::String(a), Value::String(b)) => Value::string(format!("{a}{b}")),
            (Value::List(a), Value::List(b)) => Value::list(a.iter().chain(b.iter()).cloned().collect()),
            _ => Value::Float(number(a)? + number(b)?),
        })
    })
}

/// `-`
pub(super) fn subtract(a: &Value, b: &Value) -> Evaluated {
    arithmetic(a, b, "-", |a, b| {
        Some(match (a, b) {
            (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_sub(*b)?),
            (Value::Quantity(a), Value::Quantity(b)) => {
                Value::Quantity(Quantity { milli: a.milli.checked_sub(b.milli)? })
            }
            (Value::Quantity(a), Value::Int(b)) => {
                Value::Quantity(Quantity { milli: a.milli.checked_sub(Quantity::whole(*b).milli)? })
            }
            (Value::Int(a), Value::Quantity(b)) => {
                Value::Quantity(Quantity { milli: Quantity::whole(*a).milli.checked_sub(b.milli)? })
            }
            (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.checked_sub(*b)?),
            (Value::Time(a), Value::Time(b)) => Value::Duration(a.checked_sub(*b)?),
            (Value::Time(a), Value::Duration(b)) => Value::Time(a.checked_sub(*b)?),
            (Value::Percent(a), Value::Percent(b)) => Value::Percent(a - b),
            _ => Value::Float(number(a)? - number(b)?),
        })
    })
}

/// `*`
pub(super) fn multiply(a: &Value, b: &Value) -> Evaluated {
    arithmetic(a, b, "*", |a, b| {
        Some(match (a, b) {
            (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_mul(*b)?),
            (Value::Duration(a), Value::Int(b)) | (Value::Int(b), Value::Duration(a)) => {
                Value::Duration(a.checked_mul(*b)?)
            }
            (Value::Duration(ms), factor) | (factor, Value::Duration(ms)) => scaled(*ms as f64 * number(factor)?)?,
            (Value::Quantity(a), Value::Int(b)) | (Value::Int(b), Value::Quantity(a)) => {
                Value::Quantity(Quantity { milli: a.milli.checked_mul(i128::from(*b))? })
            }
            _ => Value::Float(number(a)? * number(b)?),
        })
    })
}

/// `/`: always a float, but a duration by a number is a duration.
pub(super) fn divide(a: &Value, b: &Value) -> Evaluated {
    arithmetic(a, b, "/", |a, b| {
        let amount = |value: &Value| match value {
            Value::Quantity(quantity) => Some(quantity.as_f64()),
            Value::Duration(ms) => Some(*ms as f64),
            other => number(other),
        };
        let (above, below) = (amount(a)?, amount(b)?);
        if below == 0.0 {
            return None;
        }
        match (a, b) {
            (Value::Duration(_), Value::Duration(_)) => Some(Value::Float(above / below)),
            (Value::Duration(_), _) => scaled(above / below),
            _ => Some(Value::Float(above / below)),
        }
    })
}

fn scaled(ms: f64) -> Option<Value> {
    (ms.is_finite() && ms.abs() < 9e15).then(|| Value::Duration(ms.round() as i64))
}

fn arithmetic(a: &Value, b: &Value, symbol: &str, compute: impl Fn(&Value, &Value) -> Option<Value>) -> Evaluated {
    some(a)?;
    some(b)?;
    compute(a, b).ok_or_else(|| unknown(format!("`{a} {symbol} {b}` has no value")))
}

/// `-x`
pub(super) fn negate(value: &Value) -> Evaluated {
    some(value)?;
    subtract(&zero_like(value), value)
}

fn zero_like(value: &Value) -> Value {
    match value {
        Value::Duration(_) => Value::Duration(0),
        Value::Quantity(_) => Value::Quantity(Quantity::whole(0)),
        Value::Percent(_) => Value::Percent(0.0),
        Value::Float(_) => Value::Float(0.0),
        _ => Value::Int(0),
    }
}

/// `x in list`, `key in map`, `text in text` is not of the language.
pub(super) fn contains(item: &Value, collection: &Value) -> Result<bool, EvalError> {
    match collection {
        Value::List(items) => Ok(items.iter().any(|candidate| equal(item, candidate))),
        Value::Map(map) => Ok(item.as_str().is_some_and(|key| map.contains_key(key))),
        Value::Json(json) => Ok(match &**json {
            serde_json::Value::Object(map) => item.as_str().is_some_and(|key| map.contains_key(key)),
            serde_json::Value::Array(items) => items.iter().any(|json| equal_json(json, item)),
            _ => false,
        }),
        Value::None => Err(unknown("what stands after `in` is none")),
        other => Err(EvalError::Fault(format!("`in` over `{other}`"))),
    }
}

/// `map[key]`, `list[index]`, `json[key]`: `none` for what is not there.
pub(super) fn index(collection: &Value, key: &Value) -> Evaluated {
    match (collection, key) {
        (_, Value::None) | (Value::None, _) => Ok(Value::None),
        (Value::Map(map), Value::String(key)) => Ok(map.get(&**key).cloned().unwrap_or(Value::None)),
        (Value::List(items), Value::Int(at)) => {
            Ok(usize::try_from(*at).ok().and_then(|at| items.get(at)).cloned().unwrap_or(Value::None))
        }
        (Value::Json(json), Value::String(key)) => Ok(piece(json.get(&**key))),
        (Value::Json(json), Value::Int(at)) => Ok(piece(usize::try_from(*at).ok().and_then(|at| json.get(at)))),
        (collection, key) => Err(EvalError::Fault(format!("`{collection}` has no `[{key}]`"))),
    }
}

fn piece(json: Option<&serde_json::Value>) -> Value {
    match json {
        None | Some(serde_json::Value::Null) => Value::None,
        Some(json) => Value::Json(Arc::new(json.clone())),
    }
}

/// The parts of a version.
pub(super) fn version_part(version: &crate::catalog::version::Version, part: &str) -> Option<Value> {
    Some(match part {
        "major" => Value::Int(version.major.into()),
        "minor" => Value::Int(version.minor.into()),
        "patch" => version.patch.map_or(Value::None, |patch| Value::Int(patch.into())),
        "suffix" => Value::string(version.suffix.0.as_str()),
        "text" => Value::string(version.to_string().trim_start_matches('v')),
        _ => return None,
    })
}

/// A value that is needed: `none` makes the expression unknown.
pub(super) fn some(value: &Value) -> Result<&Value, EvalError> {
    match value {
        Value::None => Err(unknown("a value that is needed is none")),
        other => Ok(other),
    }
}

pub(super) fn unknown(why: impl Into<String>) -> EvalError {
    EvalError::Unknown(Unknown::new(why))
}

/// A value of a list that can be summed.
pub(super) fn sum(items: &[Value], zero: Value) -> Evaluated {
    items.iter().try_fold(zero, |total, item| add(&total, item))
}

/// The methods of strings and json that take no closure.
pub(super) fn scalar_method(receiver: &Value, name: &str, argument: Option<&Value>) -> Evaluated {
    some(receiver)?;
    let text = argument.and_then(Value::as_str);
    let wrong = || EvalError::Fault(format!("`{receiver}` has no method `{name}`"));
    Ok(match (receiver, name, text) {
        (Value::String(of), "contains", Some(text)) => Value::Bool(of.contains(text)),
        (Value::String(of), "starts_with", Some(text)) => Value::Bool(of.starts_with(text)),
        (Value::String(of), "ends_with", Some(text)) => Value::Bool(of.ends_with(text)),
        (Value::String(of), "split", Some("")) => {
            Value::list(of.chars().map(|c| Value::string(c.to_string())).collect())
        }
        (Value::String(of), "split", Some(text)) => Value::list(of.split(text).map(Value::string).collect()),
        (Value::String(of), "trim", _) => Value::string(of.trim()),
        (Value::String(of), "len", _) => Value::Int(i64::try_from(of.chars().count()).unwrap_or(i64::MAX)),
        (Value::Json(json), "as_int", _) => json.as_i64().map_or(Value::None, Value::Int),
        (Value::Json(json), "as_float", _) => json.as_f64().map_or(Value::None, Value::Float),
        (Value::Json(json), "as_text", _) => Value::optional_text(json.as_str()),
        (Value::Json(json), "as_bool", _) => json.as_bool().map_or(Value::None, Value::Bool),
        (Value::Json(json), "as_list", _) => json
            .as_array()
            .map_or(Value::None, |items| Value::list(items.iter().map(|item| piece(Some(item))).collect())),
        (Value::String(_), "contains" | "starts_with" | "ends_with" | "split", None) => {
            return Err(unknown("a value that is needed is none"));
        }
        _ => return Err(wrong()),
    })
}
