//! Ids: the segments of paths, the same for the same playbook whatever the cluster (LANGUAGE.md section 7).

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A segment of an id: bytes outside `[A-Za-z0-9._:@-]` are %-escaped.
pub fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The id of what stands under `segment` in `around`; at the root, where `around` is empty, the segment alone.
pub fn path(around: &str, segment: &str) -> String {
    if around.is_empty() { segment.to_owned() } else { format!("{around}/{segment}") }
}

/// Tells things of one name apart in the order in which they come: `drain`, `drain#2`, `drain#3`.
///
/// `#` is in no name and no segment, so that a number never meets a name.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbered {
    counts: BTreeMap<String, u32>,
}

impl Numbered {
    /// The name, with a number if it came before.
    pub(super) fn next(&mut self, name: &str) -> String {
        let count = self.counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        if *count == 1 { name.to_owned() } else { format!("{name}#{count}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_keeps_what_reads_well_and_escapes_the_rest() {
        assert_eq!(segment("ip-10-0-3-7.eu"), "ip-10-0-3-7.eu");
        assert_eq!(segment("shop/cart #2 é"), "shop%2Fcart%20%232%20%C3%A9");
        assert_eq!(path("", "a"), "a");
        assert_eq!(path("a", "b"), "a/b");
    }

    #[test]
    fn the_second_alike_is_numbered() {
        let mut names = Numbered::default();
        assert_eq!(["wait", "wait", "log", "wait"].map(|name| names.next(name)), ["wait", "wait#2", "log", "wait#3"]);
    }
}
