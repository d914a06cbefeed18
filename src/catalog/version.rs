//! Versions of Kubernetes: a total order for sorting, and the language's comparison in which `v1.31` is all its patches.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `v1.31`, `v1.31.4` or `v1.31.4-gke.1200`. The suffix is what the vendor put after the patch, with its `-` or `+`.
///
/// Not semver: `v1.33.1-gke.1` is a build *of* 1.33.1, not something before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// Mostly 1.
    pub major: u32,
    /// The minor.
    pub minor: u32,
    /// The patch; `None` stands for all of them.
    pub patch: Option<u32>,
    /// Such as `-gke.1200` or `+k3s1`; empty where there is none.
    pub suffix: Suffix,
}

/// A vendor's suffix, ordered by its runs of digits (as numbers) and of other characters (as text).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Suffix(pub String);

impl Suffix {
    fn pieces(&self) -> Vec<(bool, &str)> {
        let mut pieces = Vec::new();
        let mut rest = self.0.as_str();
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
            pieces.push((digits, &rest[..end]));
            rest = &rest[end..];
        }
        pieces
    }
}

impl Ord for Suffix {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (self.pieces(), other.pieces());
        for (a, b) in ours.iter().zip(&theirs) {
            let order = match (a, b) {
                ((true, a), (true, b)) => {
                    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
                    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
                }
                ((_, a), (_, b)) => a.cmp(b),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        ours.len().cmp(&theirs.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Suffix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Version {
    /// The language's comparison: of `<`, `==`, `>` exactly one holds. A two-part version stands for all its patches,
    /// and a suffix that one side lacks is not compared.
    pub fn compare(&self, other: &Self) -> Ordering {
        let minor = (self.major, self.minor).cmp(&(other.major, other.minor));
        let patch = || match (self.patch, other.patch) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => Ordering::Equal,
        };
        let suffix = || {
            let both = self.patch.is_some() && other.patch.is_some();
            if !both || self.suffix.0.is_empty() || other.suffix.0.is_empty() {
                Ordering::Equal
            } else {
                self.suffix.cmp(&other.suffix)
            }
        };
        minor.then_with(patch).then_with(suffix)
    }

    /// Whether it stands for all the patches of a minor.
    pub fn is_two_part(&self) -> bool {
        self.patch.is_none()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)?;
        if let Some(patch) = self.patch {
            write!(f, ".{patch}{}", self.suffix.0)?;
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = String;

    /// Reads `1.31`, `v1.31.4`, `v1.31.4+k3s1`; tells what is wrong with anything else.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a version like v1.31 or v1.31.4");
        let body = text.strip_prefix('v').unwrap_or(text);
        let number = |part: &str| -> Result<u32, String> {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong());
            }
            part.parse().map_err(|_| wrong())
        };
        let (major, rest) = body.split_once('.').ok_or_else(wrong)?;
        let Some((minor, rest)) = rest.split_once('.') else {
            return Ok(Self { major: number(major)?, minor: number(rest)?, patch: None, suffix: Suffix::default() });
        };
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (patch, suffix) = rest.split_at(end);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
        if !suffix.is_empty() && (!suffix.starts_with(['-', '+']) || !suffix.chars().all(allowed)) {
            return Err(wrong());
        }
        Ok(Self {
            major: number(major)?,
            minor: number(minor)?,
            patch: Some(number(patch)?),
            suffix: Suffix(suffix.to_owned()),
        })
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_two_part_version_is_all_its_patches() {
        for (a, order, b) in [
            ("v1.31", Ordering::Equal, "v1.31.4"),
            ("v1.31", Ordering::Less, "v1.32.0"),
            ("v1.31.9", Ordering::Less, "v1.32"),
            ("v1.31.10", Ordering::Greater, "v1.31.9"),
            ("v1.31.4-gke.9", Ordering::Less, "v1.31.4-gke.10"),
            ("v1.31.4-gke.9", Ordering::Equal, "v1.31.4"),
            ("v1.31.4+k3s1", Ordering::Less, "v1.31.4+k3s2"),
        ] {
            assert_eq!(version(a).compare(&version(b)), order, "{a} {b}");
            assert_eq!(version(b).compare(&version(a)), order.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "v", "1", "v1.", "v1.x", "v1.31.", "v1.31.4gke", "v1.31.4- x", "v1.99999999999"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
