//! What the caller gave: read from text or JSON by type, held against `where`, defaults filled in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::catalog::quantity::Quantity;
use crate::catalog::types::{Moment, Type};
use crate::catalog::value::Value;
use crate::check::program::Param;
use crate::diagnostic::{Diagnostic, did_you_mean};

use super::Given;
use super::expand::Planner;
use super::names::Bound;

/// The units of a duration with their milliseconds.
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Planner<'_> {
    /// Binds every parameter to what was given or to its default, and gives them by name.
    pub(super) fn parameters(&mut self, given: &Given) -> BTreeMap<String, Value> {
        let params = &self.program.params;
        for name in given.keys().filter(|name| !params.iter().any(|param| param.name == **name)) {
            self.diagnostics.push(unknown(name, params));
        }
        let mut known = BTreeMap::new();
        for param in params {
            let slot = self.names.fresh(&param.name);
            self.names.bind(&param.name, Bound::Slot(slot.clone(), Moment::Plan));
            let value = self.parameter(param, given.get(&param.name));
            if let Some(value) = &value {
                known.insert(param.name.clone(), value.clone());
            }
            self.keep(slot, value);
            self.check_condition(param);
        }
        known
    }

    fn parameter(&mut self, param: &Param, given: Option<&Value>) -> Option<Value> {
        let name = &param.name;
        let error = match (given, &param.default) {
            (Some(value), _) if fits(value, &param.ty) => return Some(value.clone()),
            (Some(Value::String(_)), _) if *param.ty.required() == Type::Secret => {
                let error = Diagnostic::error("E405", format!("the secret `{name}` is given as plain text"));
                error.at(param.span, "").help(secret_help(name))
            }
            (Some(value), _) => {
                let error = Diagnostic::error("E403", format!("the parameter `{name}` cannot be `{value}`"));
                error.at(param.span, format!("it is of type {}", param.ty)).help(format!(
                    "{}: {}",
                    param.ty,
                    form(&param.ty)
                ))
            }
            (None, Some(default)) => return self.known(default, &format!("the default of `{name}`")),
            (None, None) if param.ty.may_be_none() => return Some(Value::None),
            (None, None) => {
                let error = Diagnostic::error("E402", format!("the parameter `{name}` ({}) is missing", param.ty));
                error.at(param.span, "it has no default").help(match param.ty.required() {
                    Type::Secret => secret_help(name),
                    ty => format!("give it by `--set {name}=…`, {}", form(ty)),
                })
            }
        };
        self.diagnostics.push(error);
        None
    }

    fn check_condition(&mut self, param: &Param) {
        let Some(condition) = &param.condition else { return };
        if self.known(condition, "`where`") != Some(Value::Bool(false)) {
            return;
        }
        let value = self.values.get(&param.name).cloned().unwrap_or(Value::None);
        let why = param.why.as_ref().and_then(|why| self.known(why, "`else`"));
        let message = match why {
            Some(why) => format!("the parameter `{}` cannot be `{value}`: {why}", param.name),
            None => format!("the parameter `{}` cannot be `{value}`", param.name),
        };
        self.diagnostics.push(Diagnostic::error("E406", message).at(condition.span, "this does not hold"));
    }
}

fn unknown(name: &str, params: &[Param]) -> Diagnostic {
    let error = Diagnostic::error("E401", format!("the playbook has no parameter `{name}`"));
    let names = || params.iter().map(|param| param.name.as_str());
    match did_you_mean(name, names()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None if params.is_empty() => error.help("it has no parameters"),
        None => error.help(format!("it has: {}", names().collect::<Vec<_>>().join(", "))),
    }
}

fn secret_help(name: &str) -> String {
    format!("give it from the environment or a file: `--set {name}=env:VARIABLE` or `--set {name}=@FILE`")
}

/// Whether a value is of that type.
fn fits(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (Value::None, ty) => ty.may_be_none(),
        (value, Type::Optional(inner)) => fits(value, inner),
        (Value::List(items), Type::List(item)) => items.iter().all(|value| fits(value, item)),
        (Value::Map(map), Type::Map(item)) => map.values().all(|value| fits(value, item)),
        (Value::Float(value), Type::Float) | (Value::Percent(value), Type::Percent) => value.is_finite(),
        (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Int)
        | (Value::String(_), Type::String)
        | (Value::Version(_), Type::Version)
        | (Value::Duration(_), Type::Duration)
        | (Value::Time(_), Type::Time)
        | (Value::Quantity(_), Type::Quantity)
        | (Value::Secret(_), Type::Secret)
        | (Value::Json(_), Type::Json) => true,
        _ => false,
    }
}

/// The value of a parameter as a person writes it after `--set name=`: a literal of the type, strings bare, lists by comma.
///
/// # Errors
/// What is wrong with it and what it should look like.
pub fn parse_parameter(text: &str, param: &Param) -> Result<Value, String> {
    match param.ty.required() {
        Type::Secret if text.starts_with('@') || text.starts_with("env:") => {
            Ok(Value::Secret(param.name.as_str().into()))
        }
        Type::Secret => Err(secret_help(&param.name)),
        _ => parse(text, &param.ty),
    }
}

/// The value of a parameter from a file of YAML or JSON.
///
/// # Errors
/// What is wrong with it and what it should look like.
pub fn parameter_from_json(json: &Json, param: &Param) -> Result<Value, String> {
    match param.ty.required() {
        Type::Secret => Err(secret_help(&param.name)),
        _ => from_json(json, &param.ty),
    }
}

fn parse(text: &str, ty: &Type) -> Result<Value, String> {
    let wrong = || format!("`{text}` is not {}: write {}", phrase(ty), form(ty));
    let value = match ty {
        Type::Optional(_) if text == "none" => Some(Value::None),
        Type::Optional(inner) => return parse(text, inner),
        Type::String => Some(Value::string(text)),
        Type::Bool => text.parse().ok().map(Value::Bool),
        Type::Int => text.parse().ok().map(Value::Int),
        Type::Float => number(text).map(Value::Float),
        Type::Version => text.parse().ok().map(Value::Version),
        Type::Duration => parse_duration(text).map(Value::Duration),
        Type::Time => text.parse::<jiff::Timestamp>().ok().map(|time| Value::Time(time.as_millisecond())),
        Type::Percent => text.strip_suffix('%').and_then(number).map(Value::Percent),
        Type::Quantity => text.parse().ok().map(Value::Quantity),
        Type::Json => serde_json::from_str(text).ok().map(|json: Json| Value::Json(Arc::new(json))),
        Type::List(item) => return parse_list(text, item),
        Type::Map(item) => return parse_map(text, item),
        Type::Secret | Type::Object(_) | Type::None | Type::Mistake => None,
    };
    value.ok_or_else(wrong)
}

fn parse_list(text: &str, item: &Type) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::list(Vec::new()));
    }
    text.split(',').map(|one| parse(one.trim(), item)).collect::<Result<Vec<_>, _>>().map(Value::list)
}

fn parse_map(text: &str, item: &Type) -> Result<Value, String> {
    let mut map = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not of the form `key=value`"))?;
        map.insert(key.trim().to_owned(), parse(value.trim(), item)?);
    }
    Ok(Value::Map(Arc::new(map)))
}

fn from_json(json: &Json, ty: &Type) -> Result<Value, String> {
    let wrong = || format!("`{json}` is not {}: write {}", phrase(ty), form(ty));
    match (json, ty) {
        (_, Type::Json) => Ok(Value::Json(Arc::new(json.clone()))),
        (Json::Null, ty) if ty.may_be_none() => Ok(Value::None),
        (json, Type::Optional(inner)) => from_json(json, inner),
        (Json::Bool(value), Type::Bool) => Ok(Value::Bool(*value)),
        (Json::Number(number), Type::Int) => number.as_i64().map(Value::Int).ok_or_else(wrong),
        (Json::Number(number), Type::Float) => number.as_f64().map(Value::Float).ok_or_else(wrong),
        (Json::Number(number), Type::Quantity) => {
            number.as_i64().map(Quantity::whole).map(Value::Quantity).ok_or_else(wrong)
        }
        (Json::Array(items), Type::List(item)) => {
            items.iter().map(|json| from_json(json, item)).collect::<Result<Vec<_>, _>>().map(Value::list)
        }
        (Json::Object(pairs), Type::Map(item)) => pairs
            .iter()
            .map(|(key, json)| Ok((key.clone(), from_json(json, item)?)))
            .collect::<Result<BTreeMap<_, _>, String>>()
            .map(|map| Value::Map(Arc::new(map))),
        (Json::String(text), Type::String) => Ok(Value::string(text.as_str())),
        (Json::String(text), Type::Version | Type::Duration | Type::Time | Type::Percent | Type::Quantity) => {
            parse(text, ty)
        }
        _ => Err(wrong()),
    }
}

fn number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    text.parse().ok().filter(|value: &f64| is_plain && value.is_finite())
}

/// Milliseconds of a duration as the language writes it: whole numbers, largest first.
fn parse_duration(text: &str) -> Option<i64> {
    let mut units = UNITS.iter();
    let mut sum = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, tail) = rest.split_at(unit_at);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (_, size) = units.find(|(unit, _)| *unit == &tail[..end])?;
        sum = sum.checked_add(count.parse::<i64>().ok()?.checked_mul(*size)?)?;
        rest = &tail[end..];
    }
    (!text.is_empty()).then_some(sum)
}

fn phrase(ty: &Type) -> String {
    let name = ty.required().to_string();
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// What a value of the type looks like.
fn form(ty: &Type) -> String {
    match ty.required() {
        Type::Bool => "`true` or `false`".to_owned(),
        Type::Int => "a whole number such as `3`".to_owned(),
        Type::Float => "a number such as `0.5`".to_owned(),
        Type::String => "any text".to_owned(),
        Type::Version => "a version such as `v1.37.2`".to_owned(),
        Type::Duration => "a duration such as `90s` or `1h30m`".to_owned(),
        Type::Time => "a time such as `2026-01-31T12:00:00Z`".to_owned(),
        Type::Percent => "a share such as `25%`".to_owned(),
        Type::Quantity => "a quantity such as `500m` or `4Gi`".to_owned(),
        Type::Secret => "from a file or the environment".to_owned(),
        Type::Json => "JSON".to_owned(),
        Type::List(item) => format!("several with commas between, each {}", form(item)),
        Type::Map(item) => format!("`key=value` with commas between, each value {}", form(item)),
        Type::Object(_) | Type::Optional(_) | Type::None | Type::Mistake => "its name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;

    fn param(ty: Type) -> Param {
        Param { name: "x".to_owned(), span: Span::default(), ty, default: None, condition: None, why: None, doc: None }
    }

    #[test]
    fn texts_are_read_by_type() {
        let read = |text: &str, ty: Type| parse_parameter(text, &param(ty)).map(|value| value.to_string());
        assert_eq!(read("1h30m", Type::Duration), Ok("1h30m".to_owned()));
        assert_eq!(read("v1.31", Type::Version), Ok("v1.31".to_owned()));
        assert_eq!(read("a, b", Type::list(Type::String)), Ok("[a, b]".to_owned()));
        assert_eq!(read("", Type::list(Type::Int)), Ok("[]".to_owned()));
        assert_eq!(read("a=1,b=2", Type::map(Type::Int)), Ok("{a: 1, b: 2}".to_owned()));
        assert_eq!(read("none", Type::Int.optional()), Ok("none".to_owned()));
        assert_eq!(read("12.5%", Type::Percent), Ok("12.5%".to_owned()));
        assert_eq!(read("env:TOKEN", Type::Secret), Ok("***".to_owned()));
        for (text, ty) in [
            ("30m1h", Type::Duration),
            ("5", Type::Duration),
            ("x", Type::Int),
            ("1", Type::Percent),
            ("hunter2", Type::Secret),
            ("inf", Type::Float),
        ] {
            assert!(read(text, ty.clone()).is_err(), "{text} as {ty}");
        }
    }

    #[test]
    fn json_is_read_by_type() {
        let read = |json: Json, ty: Type| parameter_from_json(&json, &param(ty)).map(|value| value.to_string());
        assert_eq!(
            read(serde_json::json!(["v1.35", "v1.36"]), Type::list(Type::Version)),
            Ok("[v1.35, v1.36]".to_owned())
        );
        assert_eq!(read(serde_json::json!(null), Type::Int.optional()), Ok("none".to_owned()));
        assert_eq!(read(serde_json::json!(2), Type::Float), Ok("2".to_owned()));
        assert!(read(serde_json::json!("2"), Type::Int).is_err());
        assert!(read(serde_json::json!("text"), Type::Secret).is_err());
    }
}
