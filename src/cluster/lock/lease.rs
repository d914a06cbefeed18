//! The Lease as the server has it, and what sprag writes into it (coordination.k8s.io/v1).

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DURATION, Domain};
use crate::catalog::value::format_duration;
use crate::journal::Holder;

/// The annotation that says for people who holds the lock: a [`HolderNote`] as JSON.
pub(super) const NOTE: &str = "sprag.dev/holder";

/// Who holds the lock, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderNote {
    /// The run.
    pub run: String,
    /// Who started it.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process on it.
    pub pid: u32,
    /// Since when that process drives the run, Unix milliseconds.
    pub since: i64,
    /// The version of sprag.
    pub sprag: String,
}

impl HolderNote {
    /// The note of the process that drives `run`; `holder` is to be the one that the run's own lock names, so that the
    /// two can be told to be the same.
    pub fn new(run: impl Into<String>, holder: &Holder, user: impl Into<String>) -> Self {
        Self {
            run: run.into(),
            user: user.into(),
            host: holder.host.clone(),
            pid: holder.pid,
            since: holder.since,
            sprag: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The text for `spec.holderIdentity`.
    pub(super) fn identity(&self) -> String {
        format!("{}@{}:{}", self.run, self.host, self.pid)
    }
}

/// Who holds a Lease, or held it, as far as it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// `spec.holderIdentity`.
    pub identity: String,
    /// sprag's own note, unless somebody else wrote the Lease.
    pub note: Option<HolderNote>,
    /// Since when, Unix milliseconds of the holder's clock.
    pub since: Option<i64>,
    /// When it renewed the Lease last, Unix milliseconds of the holder's clock.
    pub renewed: Option<i64>,
    /// How long ago that was by our clock as it was read, milliseconds; for people, nothing is decided by it.
    pub age: Option<i64>,
}

impl fmt::Display for LeaseHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.note {
            Some(note) => {
                write!(f, "run `{}` of `{}` (process {} on `{}`)", note.run, note.user, note.pid, note.host)?;
            }
            None => write!(f, "`{}`", self.identity)?,
        }
        if let Some(since) = self.since.and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
            write!(f, " since {since:.0}")?;
        }
        match self.age {
            Some(age) => write!(f, ", renewed {} ago", format_duration(age.max(0) / 1000 * 1000)),
            None => Ok(()),
        }
    }
}

/// A Lease. Fields that sprag does not know stay as they are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lease(Value);

impl Lease {
    /// One that does not exist yet.
    pub(super) fn new(domain: &Domain) -> Self {
        Self(json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": domain.name(), "namespace": domain.namespace()},
            "spec": {},
        }))
    }

    /// One that the server answered with; `None` for what is none, or has no resourceVersion: to write over such a one could
    /// be to write over anyone's.
    pub(super) fn parse(value: Value) -> Option<Self> {
        let is_map = |value: &Value| value.is_object() || value.is_null();
        let has_version = value["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty());
        (has_version && is_map(&value["spec"]) && is_map(&value["metadata"]["annotations"])).then_some(Self(value))
    }

    /// As it is sent.
    pub(super) fn body(&self) -> &Value {
        &self.0
    }

    /// Who holds it, as text; empty when nobody does.
    pub(super) fn identity(&self) -> &str {
        self.0["spec"]["holderIdentity"].as_str().unwrap_or_default()
    }

    fn note(&self) -> Option<HolderNote> {
        let note: HolderNote = serde_json::from_str(self.0["metadata"]["annotations"][NOTE].as_str()?).ok()?;
        // Another program that took the Lease has left our annotation as it was.
        (note.identity() == self.identity()).then_some(note)
    }

    /// Whether the very process of `note` holds it.
    pub(super) fn is_held_by(&self, note: &HolderNote) -> bool {
        self.note().as_ref() == Some(note)
    }

    /// Who holds it, as read at `now` (Unix milliseconds).
    pub(super) fn holder(&self, now: i64) -> LeaseHolder {
        let renewed = self.time("renewTime");
        LeaseHolder {
            identity: self.identity().to_owned(),
            note: self.note(),
            since: self.time("acquireTime"),
            renewed,
            age: renewed.map(|renewed| now - renewed),
        }
    }

    /// For how long it is held after it was renewed: its own word, since its holder goes by that.
    pub(super) fn duration(&self) -> Duration {
        let seconds = self.0["spec"]["leaseDurationSeconds"].as_u64().filter(|seconds| *seconds > 0);
        seconds.map_or(DURATION, Duration::from_secs)
    }

    /// What a holder that is alive changes.
    pub(super) fn record(&self) -> &Value {
        &self.0["spec"]
    }

    /// Makes it held by the process of `note`.
    pub(super) fn take(&mut self, note: &HolderNote, now: i64) {
        let is_ours = self.is_held_by(note);
        // As client-go: whoever is not the holder already counts one up.
        if !is_ours {
            let transitions = self.0["spec"]["leaseTransitions"].as_i64().map_or(0, |count| count + 1);
            self.0["spec"]["leaseTransitions"] = json!(transitions);
            self.0["spec"]["acquireTime"] = json!(micro_time(now));
        }
        self.0["spec"]["holderIdentity"] = json!(note.identity());
        self.0["metadata"]["annotations"][NOTE] = json!(json!(note).to_string());
        self.0["spec"]["leaseDurationSeconds"] = json!(DURATION.as_secs());
        self.0["spec"]["renewTime"] = json!(micro_time(now));
    }

    /// Makes it held by nobody, as client-go does.
    pub(super) fn release(&mut self, now: i64) {
        self.0["spec"]["holderIdentity"] = json!("");
        self.0["spec"]["leaseDurationSeconds"] = json!(1);
        self.0["spec"]["renewTime"] = json!(micro_time(now));
    }

    fn time(&self, field: &str) -> Option<i64> {
        let time: Timestamp = self.0["spec"][field].as_str()?.parse().ok()?;
        Some(time.as_millisecond())
    }
}

/// The text of a MicroTime (meta/v1 micro_time.go): always six decimals.
fn micro_time(ms: i64) -> String {
    format!("{:.6}", Timestamp::from_millisecond(ms).unwrap_or_default())
}
