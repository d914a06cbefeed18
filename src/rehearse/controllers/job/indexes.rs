//! Sets of completion indexes, as they are written in a Job's status: `0-2,5` (indexed_job_utils.go).

use std::collections::BTreeSet;
use std::fmt;

use crate::rehearse::object::Object;

/// Some of a Job's indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<i64>);

impl Indexes {
    /// The index that a pod works at.
    pub(super) fn of(pod: &Object) -> Option<i64> {
        let index = pod.meta.annotation("batch.kubernetes.io/job-completion-index")?.parse().ok()?;
        (0..).contains(&index).then_some(index)
    }

    /// Reads those below a limit.
    pub(super) fn read(text: &str, limit: i64) -> Self {
        let mut indexes = Self::default();
        for interval in text.split(',') {
            let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
            if let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) {
                indexes.extend(first.max(0)..=last.min(limit - 1));
            }
        }
        indexes
    }

    pub(super) fn has(&self, index: i64) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn len(&self) -> i64 {
        self.0.len() as i64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<i64> for Indexes {
    fn extend<T: IntoIterator<Item = i64>>(&mut self, indexes: T) {
        self.0.extend(indexes);
    }
}

impl FromIterator<i64> for Indexes {
    fn from_iter<T: IntoIterator<Item = i64>>(indexes: T) -> Self {
        Self(indexes.into_iter().collect())
    }
}

/// Three and more in a row are written as an interval.
impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<(i64, i64)> = Vec::new();
        for index in &self.0 {
            match rows.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => rows.push((*index, *index)),
            }
        }
        for (place, (first, last)) in rows.into_iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_read_and_written_alike() {
        for text in ["", "0", "0,1", "0-2", "0-2,5", "1,3,5-7,9,10"] {
            assert_eq!(Indexes::read(text, 20).to_string(), text);
        }
        assert_eq!(Indexes::read("0-9", 4).to_string(), "0-3");
        assert_eq!(Indexes::read("nonsense,2", 4).to_string(), "2");
    }
}
