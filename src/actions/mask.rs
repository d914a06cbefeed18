//! Taking secrets out of what a command wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What stands in a secret's place.
const STARS: &str = "***";
/// A line of a secret of several lines is masked by itself if it has at least so many bytes: an encoded key has, `}` has not.
const LINE: usize = 4;

/// The texts to take out, longest first, so that a secret that holds another is taken out whole.
#[derive(Debug, Default)]
pub(super) struct Mask {
    texts: Vec<String>,
}

impl Mask {
    pub(super) fn new(secrets: &BTreeMap<String, String>) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for secret in secrets.values() {
            texts.push(secret.clone());
            // From a file it mostly ends with a line end, and a command writes it line by line.
            texts.extend(secret.lines().map(str::trim).filter(|line| line.len() >= LINE).map(str::to_owned));
            texts.push(secret.trim().to_owned());
        }
        texts.retain(|text| !text.is_empty());
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        texts.dedup();
        Self { texts }
    }

    fn apply(&self, text: &str) -> String {
        self.texts.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), STARS) } else { text }
        })
    }

    /// Everything that a command wrote; of a secret that was cut at its end nothing is left.
    pub(super) fn whole(&self, text: &str, is_cut: bool) -> String {
        let mut text = self.apply(text);
        if is_cut {
            text.truncate(text.len() - self.begun(&text));
        }
        text
    }

    /// How many bytes at the end of the text may be the beginning of a secret.
    fn begun(&self, text: &str) -> usize {
        let of = |secret: &String| {
            let begins = |len: &usize| secret.is_char_boundary(*len) && text.ends_with(&secret[..*len]);
            (1..secret.len()).rev().find(begins).unwrap_or(0)
        };
        self.texts.iter().map(of).max().unwrap_or(0)
    }
}

/// One output, masked line by line.
#[derive(Debug)]
pub(super) struct Masked {
    mask: Arc<Mask>,
    /// The end of a piece, which may be the beginning of a secret that goes on in the next.
    held: String,
}

impl Masked {
    pub(super) fn new(mask: Arc<Mask>) -> Self {
        Self { mask, held: String::new() }
    }

    /// The masked line; `None` if all of it is held back.
    pub(super) fn line(&mut self, text: &str, is_cut: bool) -> Option<String> {
        let text = std::mem::take(&mut self.held) + text;
        let mut masked = self.mask.apply(&text);
        if is_cut {
            self.held = masked.split_off(masked.len() - self.mask.begun(&masked));
        }
        (!is_cut || !masked.is_empty()).then_some(masked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        Mask::new(&secrets.iter().enumerate().map(|(at, text)| (at.to_string(), (*text).to_owned())).collect())
    }

    #[test]
    fn takes_out_whole_and_line_by_line() {
        let mask = mask(&["hunter2", "hunter2-and-more", "-- key --\nabcdef\n}\n", ""]);
        assert_eq!(mask.apply("a hunter2-and-more b hunter2"), "a *** b ***");
        assert_eq!(mask.apply("abcdef"), "***");
        assert_eq!(mask.apply("}"), "}");
        assert_eq!(mask.whole("x -- key --\nabcdef\n}\n y", false), "x *** y");
    }

    #[test]
    fn a_secret_that_is_cut_in_two_is_not_shown() {
        let mask = Arc::new(mask(&["hunter2"]));
        assert_eq!(mask.whole("ab hunt", true), "ab ");
        let mut masked = Masked::new(mask);
        assert_eq!(masked.line("ab hunt", true).as_deref(), Some("ab "));
        assert_eq!(masked.line("er2 cd", false).as_deref(), Some("*** cd"));
        assert_eq!(masked.line("hunt", true), None);
        assert_eq!(masked.line("ed", false).as_deref(), Some("hunted"));
    }
}
