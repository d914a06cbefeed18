//! Lines of text of a fixed width: something on the left, a remark on the right.

use std::fmt::Write as _;

/// How many columns a screen has.
pub(super) const WIDTH: usize = 100;

/// Where remarks stand if what is left of them leaves room.
const REMARK: usize = 60;

/// The lines of a picture.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// An empty line.
    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line behind a mark, with a remark; folded where it is too long, continued further in.
    pub(super) fn line(&mut self, indent: usize, mark: &str, text: &str, remark: &str) {
        let start = format!("{}{mark}", " ".repeat(indent));
        let inner = indent + mark.chars().count();
        let mut lines = folded(text, WIDTH - inner.min(WIDTH / 2), 2);
        let last = lines.pop().unwrap_or_default();
        let mut lead = start;
        for line in lines {
            self.put(&format!("{lead}{line}"));
            lead = " ".repeat(inner + 2);
        }
        self.with_remark(&format!("{lead}{last}"), remark, inner + 4);
    }

    /// A text behind a head, folded in a column of its own.
    pub(super) fn entry(&mut self, head: &str, text: &str) {
        let column = head.chars().count();
        let mut lead = head.to_owned();
        for line in folded(text, WIDTH - column.min(WIDTH / 2), 0) {
            self.put(&format!("{lead}{line}"));
            lead = " ".repeat(column);
        }
    }

    fn with_remark(&mut self, left: &str, remark: &str, below: usize) {
        let used = left.chars().count();
        let column = if used + 2 <= REMARK { REMARK } else { used + 2 };
        let needed = remark.chars().count();
        if remark.is_empty() {
            self.put(left);
        } else if column + needed <= WIDTH {
            self.put(&format!("{left}{}{remark}", " ".repeat(column - used)));
        } else if used + 2 + needed <= WIDTH {
            self.put(&format!("{left}{}{remark}", " ".repeat(WIDTH - used - needed)));
        } else {
            self.put(left);
            for line in folded(remark, WIDTH - below.min(WIDTH / 2), 0) {
                self.put(&format!("{}{line}", " ".repeat(below)));
            }
        }
    }

    fn put(&mut self, line: &str) {
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// A text in lines of at most `width` columns, broken between words; a longer word stays whole. Lines after the first
/// stand further in by `hang`, and are that much shorter.
fn folded(text: &str, width: usize, hang: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let room = if lines.is_empty() { width } else { width.saturating_sub(hang) };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}
