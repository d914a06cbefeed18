//! Times as Kubernetes writes them.

use std::fmt;

use jiff::{Timestamp, Unit};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Unix milliseconds; written as RFC 3339 with whole seconds, as metav1.Time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

impl Time {
    /// Reads RFC 3339, with or without a fraction.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|time| Self(time.as_millisecond()))
    }

    /// Without what is less than a second: what a client and a controller read of a time that was written.
    pub fn whole_seconds(self) -> Timestamp {
        Timestamp::from_millisecond(self.0.div_euclid(1000) * 1000).unwrap_or_default()
    }

    /// With microseconds, as metav1.MicroTime is written (Leases, events.k8s.io).
    pub fn micro(self) -> String {
        let time = Timestamp::from_millisecond(self.0).unwrap_or_default();
        format!("{time:.6}")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.whole_seconds();
        debug_assert!(time.round(Unit::Second).is_ok_and(|round| round == time));
        write!(f, "{time}")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no time like 2026-01-31T14:02:11Z")))
    }
}
