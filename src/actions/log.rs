//! `log`: a line for people.

use super::args::{Read, choice, text};
use super::context::{Args, Attempt};

/// The line is the note that the step ends with.
pub(super) fn log(args: &Args) -> Read<Attempt> {
    let text = text(args, "text")?;
    let note = match choice(args, "level", &["info", "warn", "error"])? {
        "info" => text.to_owned(),
        level => format!("{level}: {text}"),
    };
    Ok(Attempt::Done { value: None, note: Some(note) })
}
