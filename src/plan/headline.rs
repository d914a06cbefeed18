//! A statement as screens show it: on one line, without its blocks.

use crate::expr::lower::one_line;

/// The statement on one line: without the blocks that end it, and without its `undo { … }`.
pub(super) fn headline(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some((open, close)) = first_block(rest) {
        let before = rest[..open].trim_end();
        match before.strip_suffix("undo") {
            Some(head) => {
                out.push_str(head);
                rest = &rest[close..];
            }
            None => {
                out.push_str(before);
                rest = "";
            }
        }
    }
    out.push_str(rest);
    one_line(&out)
}

/// The first `{ … }` outside strings and comments: its first byte, and the one after its last.
fn first_block(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut open) = (0, 0_u32, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'`' => {
                at = after_string(bytes, at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = text[at..].find('\n').map_or(bytes.len(), |end| at + end);
                continue;
            }
            b'{' => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            b'}' if depth == 1 => return Some((open, at + 1)),
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// One past the end of the string whose quote stands at `start`.
fn after_string(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 2,
            b'$' if bytes.get(at + 1) == Some(&b'{') => at = after_interpolation(bytes, at + 2),
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// One past the `}` of an interpolation; its expression holds no braces but those of strings within.
fn after_interpolation(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'`' => at = after_string(bytes, at),
            b'}' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_left_out() {
        assert_eq!(headline("cordon(node)"), "cordon(node)");
        assert_eq!(headline("group \"a { b\" {\n  wait 1s\n}"), "group \"a { b\"");
        assert_eq!(
            headline("rollout n in l // why {\n batches [1]\n{ a() } between { b() }"),
            "rollout n in l batches [1]"
        );
        assert_eq!(
            headline("exec(`{\"a\": ${x[\"k\"]}}`) undo { log(\"{\") } as \"x\""),
            "exec(`{\"a\": ${x[\"k\"]}}`) as \"x\""
        );
    }
}
