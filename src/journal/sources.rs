//! Names of source files ↔ paths below `sources/`, so that no name leads out of the folder.
//!
//! Folders stay folders. In each part of a name, bytes outside `[A-Za-z0-9._@-]` are %-escaped, as are
//! the dots of `.` and `..`; an empty part, as before the slash of an absolute path, is `%2F`.

use std::path::{Path, PathBuf};

/// Where the source called `name` lies, relative to the folder of sources.
pub(super) fn path_of(name: &str) -> PathBuf {
    name.split('/').map(escape).collect()
}

/// The name of the source that lies at `path`; `None` for a path that [`path_of`] does not give.
pub(super) fn name_of(path: &Path) -> Option<String> {
    let parts: Option<Vec<String>> = path.iter().map(|part| part.to_str().and_then(unescape)).collect();
    Some(parts?.join("/"))
}

fn escape(part: &str) -> String {
    match part {
        "" => "%2F".to_owned(),
        "." | ".." => "%2E".repeat(part.len()),
        _ => part.bytes().map(escape_byte).collect(),
    }
}

fn escape_byte(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'@' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

fn unescape(part: &str) -> Option<String> {
    if part == "%2F" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}
