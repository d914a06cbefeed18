//! Reading the arguments of a step. The checker held them against the signature: what does not fit is a fault of ours,
//! but for choices, which may be computed.

use std::sync::Arc;

use crate::catalog::value::{ObjectRef, Value};
use crate::engine::event::Failure;

use super::context::{Args, Attempt};

/// An argument, or the attempt that is over for want of it.
pub(super) type Read<T> = Result<T, Attempt>;

/// The object that `name` holds.
pub(super) fn object(args: &Args, name: &str) -> Read<Arc<ObjectRef>> {
    args.get(name).and_then(Value::as_object).cloned().ok_or_else(|| unfit(args, name))
}

/// The text that `name` holds.
pub(super) fn text<'a>(args: &'a Args, name: &str) -> Read<&'a str> {
    optional_text(args, name)?.ok_or_else(|| unfit(args, name))
}

/// The text that `name` holds, or none.
pub(super) fn optional_text<'a>(args: &'a Args, name: &str) -> Read<Option<&'a str>> {
    match args.get(name) {
        None | Some(Value::None) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(unfit(args, name)),
    }
}

/// The milliseconds that `name` holds, or none.
pub(super) fn optional_duration(args: &Args, name: &str) -> Read<Option<i64>> {
    match args.get(name) {
        None | Some(Value::None) => Ok(None),
        Some(Value::Duration(ms)) => Ok(Some(*ms)),
        Some(_) => Err(unfit(args, name)),
    }
}

/// The list that `name` holds; empty where it is not given.
pub(super) fn list<'a>(args: &'a Args, name: &str) -> Read<&'a [Value]> {
    match args.get(name) {
        None | Some(Value::None) => Ok(&[]),
        Some(Value::List(items)) => Ok(items),
        Some(_) => Err(unfit(args, name)),
    }
}

/// Which of the `choices` stands in `name`; the first where it is not given.
pub(super) fn choice(args: &Args, name: &str, choices: &[&'static str]) -> Read<&'static str> {
    let Some(text) = optional_text(args, name)? else { return Ok(choices.first().copied().unwrap_or_default()) };
    choices.iter().copied().find(|choice| *choice == text).ok_or_else(|| {
        let all = choices.iter().map(|choice| format!("`\"{choice}\"`")).collect::<Vec<_>>().join(", ");
        let message = format!("`{name}` cannot be \"{text}\"");
        Attempt::Refused(Failure::new("E530", message).help(format!("it is one of {all}")))
    })
}

fn unfit(args: &Args, name: &str) -> Attempt {
    let value = args.get(name).unwrap_or(&Value::None);
    Attempt::Refused(Failure::new("E599", format!("`{name}` cannot be `{value}`")))
}
