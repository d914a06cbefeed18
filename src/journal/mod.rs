//! The journal: what a run did, written down before it is done, so that the run survives its process.
//!
//! A run is a folder, `.sprag/runs/<id>`:
//!
//! | file | holds | written |
//! |---|---|---|
//! | `journal` | a header and one record a line | by appends, each synced before it counts |
//! | `journal.<n>` | the same for epoch n, from 2: what was recorded since the n-1st takeover | as `journal` |
//! | `journal.lock`, `journal.<n>.lock` | who drives the run; the kernel holds the lock, the text is for people | by each driver |
//! | `graph.json.gz`, `sources/…` | what the run carries out, and the text that it was made of | once, before the first record |
//! | `alive`, `alive.<n>` | when a driver was last alive, unix milliseconds; locked too, for those who only look | now and then, not synced |
//! | `inbox/…` | what people say to whoever drives the run | by them, synced; removed by the driver |
//! | `journal.torn-<offset>`, `journal.<n>.torn-<offset>` | what was cut off after a crash | on repair |
//!
//! A line is `<crc32 of the json, 8 hex> <bytes of the json, decimal> <json>\n`. The first holds a
//! [`Header`], every other a [`Record`]; each record names the hash of the line before it, so that
//! what was swapped, dropped, spliced in or edited is found. The header of a later epoch names the line
//! that it goes on with ([`Takeover`]), and what stands behind that line in its file does not count.
//!
//! What holds here:
//!
//! - An append that was answered with records is durable; one that was answered with an error may be
//!   there in part or not at all, and nothing can be appended after it by this process.
//! - A driver whose epoch is not the latest can append nothing: what it manages to write all the same,
//!   because it hung in the middle of that, is answered with an error.
//! - Of two takeovers at once, one wins; a takeover waits for nobody and leaves earlier files as they are.
//! - What [`Journal::append`] returns was decoded from the very bytes that were written, so that a
//!   live run and its resumption fold the same values.
//! - Opening gives a prefix of what was written, or refuses; never another record.
//! - Reading ([`read_only`], [`salvage`], [`RunsDir::list`]) never changes a file.
//! - Nothing here looks at a clock: time comes in as unix milliseconds.

mod chain;
mod durable;
mod epoch;
mod error;
mod file;
mod frame;
mod inbox;
mod lock;
mod read;
mod record;
mod runs;
mod scan;
mod sources;
mod store;
mod takeover;

#[cfg(test)]
mod tests;

pub use crate::digest::sha256_hex;
pub use epoch::{EpochGuard, Takeover};
pub use error::JournalError;
pub use file::{CrashPoint, Journal, MayAppend, Opened};
pub use inbox::{Delivery, Inbox};
pub use lock::{Holder, LockState};
pub use read::{Read, Salvaged, TornTail, read_only, salvage};
pub use record::{FORMAT, Header, Payload, READER, RECORD_VERSION, Record};
pub use runs::{RunDir, RunSummaryRaw, RunsDir};
pub use store::{Appended, MemoryStore, Store, StoreHandle};
