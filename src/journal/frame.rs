//! One line of a journal: `<crc32 8 hex> <len decimal> <json>`, and a newline.
//!
//! The checksum is CRC-32/IEEE of the JSON. There is one way to write a frame (lower case, no leading
//! zeros), so that any changed byte of it is noticed. JSON from serde has no raw newline, so a person
//! can read the file with grep and tail.

use std::io::Write;

/// The longest JSON that a line may hold, in bytes: far more than any record needs.
pub(super) const MAX_JSON: usize = 64 << 20;

/// How many digits [`MAX_JSON`] has.
const MAX_DIGITS: usize = 8;

/// A frame that checks out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// What it holds.
    pub(super) json: &'a [u8],
    /// All of it but the newline.
    pub(super) bytes: &'a [u8],
}

/// Appends the line of `json` to `out`, newline and all.
pub(super) fn write_line(out: &mut Vec<u8>, json: &[u8]) {
    let crc = crc32fast::hash(json);
    write!(out, "{crc:08x} {} ", json.len()).expect("a vector takes all bytes");
    out.extend_from_slice(json);
    out.push(b'\n');
}

/// The frame that `bytes` begins with; what follows it is not looked at.
pub(super) fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    let (crc, rest) = bytes.split_at_checked(8)?;
    if !crc.iter().all(is_lower_hex) {
        return None;
    }
    let rest = rest.strip_prefix(b" ")?;
    let digits = rest.iter().take(MAX_DIGITS + 1).position(|byte| *byte == b' ')?;
    let len = parse_len(&rest[..digits]).filter(|len| *len <= MAX_JSON)?;
    let json = rest.get(digits + 1..)?.get(..len)?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    if crc32fast::hash(json) != crc {
        return None;
    }
    let bytes = &bytes[..8 + 1 + digits + 1 + len];
    Some(Frame { json, bytes })
}

/// Whether `bytes` is what a process could leave that was killed while it wrote a first line whose
/// JSON begins with `opening`: nothing, a beginning of the line, or a block of zeros.
pub(super) fn is_begun(bytes: &[u8], opening: &[u8]) -> bool {
    if bytes.iter().all(|byte| *byte == 0) {
        return true;
    }
    let (crc, rest) = bytes.split_at(bytes.len().min(8));
    let mut parts = rest.splitn(3, |byte| *byte == b' ');
    let nothing = parts.next().unwrap_or_default();
    let digits = parts.next().unwrap_or_default();
    let json = parts.next().unwrap_or_default();
    crc.iter().all(is_lower_hex)
        && nothing.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
        && (json.starts_with(opening) || opening.starts_with(json))
}

fn parse_len(digits: &[u8]) -> Option<usize> {
    if !digits.iter().all(u8::is_ascii_digit) || digits.first() == Some(&b'0') {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_lower_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
