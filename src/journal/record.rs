//! What the lines of a journal hold: one header, then records.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::epoch::Takeover;
use super::error::JournalError;

/// The format that this version writes, and the newest that it reads. It changes when framing,
/// header or the envelope of a record change their meaning.
pub const FORMAT: u32 = 1;

/// How much this version understands within [`FORMAT`]; a header's `min_reader` may not be more.
pub const READER: u32 = 1;

/// The version of a record's envelope.
pub const RECORD_VERSION: u32 = 1;

/// What the JSON of every header begins with.
pub(super) const HEADER_OPENING: &[u8] = br#"{"magic":"sprag-journal""#;

const MAGIC: &str = "sprag-journal";

/// What a journal can record: plain data that survives a trip through JSON. An event whose JSON has
/// `"optional": true` at its top may be passed over by a version that does not know it, so enums of
/// events are to be tagged internally (`#[serde(tag = "…")]`).
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {}

/// The first line of a file: what run this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    magic: String,
    format: u32,
    min_reader: u32,
    /// The run's id, which is its folder's name.
    pub run: String,
    /// The digest of what the run carries out, in hex.
    pub digest: String,
    /// The cluster: the UID of its namespace `kube-system`.
    pub cluster: String,
    /// When the run was created, unix milliseconds.
    pub created: i64,
    /// How the file goes on with an earlier one; the first file of a run has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takeover: Option<Takeover>,
}

impl Header {
    /// A header in today's format.
    pub fn new(run: impl Into<String>, digest: impl Into<String>, cluster: impl Into<String>, created_ms: i64) -> Self {
        Self {
            magic: MAGIC.to_owned(),
            format: FORMAT,
            min_reader: READER,
            run: run.into(),
            digest: digest.into(),
            cluster: cluster.into(),
            created: created_ms,
            takeover: None,
        }
    }

    /// The header of the same run for a later epoch, in today's format.
    pub(super) fn of_epoch(&self, takeover: Takeover) -> Self {
        let fresh = Self::new(&self.run, &self.digest, &self.cluster, self.created);
        Self { takeover: Some(takeover), ..fresh }
    }

    /// Whether both are headers of one run.
    pub(super) fn is_same_run(&self, other: &Self) -> bool {
        let run = |header: &Self| (header.run.clone(), header.digest.clone(), header.cluster.clone(), header.created);
        run(self) == run(other)
    }

    /// The header in the JSON of the first line of `path`; refuses one that this version cannot read.
    pub(super) fn parse(json: &[u8], path: &Path) -> Result<Self, JournalError> {
        let not_a_journal = || JournalError::NotAJournal { path: path.to_path_buf() };
        let marks: Marks = serde_json::from_slice(json).map_err(|_| not_a_journal())?;
        if marks.magic != MAGIC {
            return Err(not_a_journal());
        }
        if marks.format > FORMAT {
            let what = format!("its format is {}, this version reads up to {FORMAT}", marks.format);
            return Err(newer(path, what));
        }
        if marks.min_reader > READER {
            let what = format!("it asks for a reader of level {}, this version has {READER}", marks.min_reader);
            return Err(newer(path, what));
        }
        serde_json::from_slice(json).map_err(|_| not_a_journal())
    }
}

/// What every format of the header has.
#[derive(Deserialize)]
struct Marks {
    magic: String,
    format: u32,
    min_reader: u32,
}

/// One event as it was written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record<E> {
    /// The version of this envelope, [`RECORD_VERSION`].
    pub v: u32,
    /// The number of the record in its run, from 1.
    pub seq: u64,
    /// When it was appended, unix milliseconds of the driver's clock.
    pub at: i64,
    /// Which driver appended it: 1 is the process that began the run, each after it is one more.
    pub driver: u32,
    /// The first 16 hex digits of the SHA-256 of the line before, newline included.
    pub prev: String,
    /// What happened.
    pub event: E,
}

/// What is looked at before an event is understood.
#[derive(Deserialize)]
pub(super) struct Envelope {
    pub(super) v: u32,
    pub(super) seq: u64,
    pub(super) driver: u32,
    pub(super) prev: String,
}

/// The record in `json`; `None` when its event is not known here and says `"optional": true`.
/// An unknown event that does not say so is an error that tells why.
pub(super) fn parse_record<E: Payload>(json: &[u8]) -> Result<Option<Record<E>>, String> {
    let why = match serde_json::from_slice(json) {
        Ok(record) => return Ok(Some(record)),
        Err(why) => why,
    };
    let is_optional = serde_json::from_slice::<Record<serde_json::Value>>(json)
        .is_ok_and(|record| record.event.get("optional") == Some(&serde_json::Value::Bool(true)));
    if is_optional { Ok(None) } else { Err(why.to_string()) }
}

pub(super) fn newer(path: &Path, what: String) -> JournalError {
    JournalError::Newer { path: path.to_path_buf(), what }
}
