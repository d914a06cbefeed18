//! How one line follows another: numbers count up, and each record names the hash of the line before.

use std::io;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::digest::hex;

use super::frame;
use super::record::{Header, Payload, RECORD_VERSION, Record};

/// Where a journal ends, which is all that the next append needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    /// The number of the last record; 0 is the header.
    pub(super) last_seq: u64,
    /// The hash of the last line, 16 hex digits.
    pub(super) head: String,
    /// Who appends.
    pub(super) driver: u32,
}

/// Events encoded as the lines that follow a chain.
pub(super) struct Group<E> {
    /// All lines.
    pub(super) bytes: Vec<u8>,
    /// Where each line ends in `bytes`.
    pub(super) ends: Vec<usize>,
    /// What the lines say, decoded from them.
    pub(super) records: Vec<Record<E>>,
    /// The chain once they are written.
    pub(super) after: Chain,
}

impl Chain {
    /// The first line of a journal, and the chain that begins with it.
    pub(super) fn start(header: &Header) -> Result<(Vec<u8>, Self), io::Error> {
        let nothing = Self { last_seq: 0, head: String::new(), driver: 1 };
        nothing.go_on(header)
    }

    /// The first line of a file whose records follow those of this chain, and the chain that goes on with it.
    pub(super) fn go_on(&self, header: &Header) -> Result<(Vec<u8>, Self), io::Error> {
        let line = line_of(header)?;
        let head = hash_line(&line[..line.len() - 1]);
        Ok((line, Self { head, ..self.clone() }))
    }

    /// The lines for `events`. Each is decoded again, so that a value that JSON cannot carry (a NaN)
    /// is an error before anything is written, as is a line that no reader would take.
    pub(super) fn encode<E: Payload>(&self, events: Vec<E>, at_ms: i64) -> Result<Group<E>, io::Error> {
        let mut group = Group {
            bytes: Vec::new(),
            ends: Vec::with_capacity(events.len()),
            records: Vec::with_capacity(events.len()),
            after: self.clone(),
        };
        for event in events {
            group.push(&event, at_ms)?;
        }
        Ok(group)
    }
}

impl<E: Payload> Group<E> {
    fn push(&mut self, event: &E, at_ms: i64) -> Result<(), io::Error> {
        let chain = &mut self.after;
        let json = serde_json::to_vec(&Record {
            v: RECORD_VERSION,
            seq: chain.last_seq + 1,
            at: at_ms,
            driver: chain.driver,
            prev: chain.head.clone(),
            event,
        })?;
        check_len(&json)?;
        self.records.push(serde_json::from_slice(&json)?);
        let start = self.bytes.len();
        frame::write_line(&mut self.bytes, &json);
        chain.last_seq += 1;
        chain.head = hash_line(&self.bytes[start..self.bytes.len() - 1]);
        self.ends.push(self.bytes.len());
        Ok(())
    }
}

/// The hash of a line that is given without its newline, which is hashed with it all the same.
pub(super) fn hash_line(frame: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(frame);
    hash.update(b"\n");
    hex(&hash.finalize()[..8])
}

fn check_len(json: &[u8]) -> io::Result<()> {
    if json.len() <= frame::MAX_JSON {
        return Ok(());
    }
    let what = format!("a record has {} bytes, the most is {}", json.len(), frame::MAX_JSON);
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

fn line_of(value: &impl Serialize) -> Result<Vec<u8>, io::Error> {
    let mut line = Vec::new();
    frame::write_line(&mut line, &serde_json::to_vec(value)?);
    Ok(line)
}
