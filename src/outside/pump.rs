//! Reads one output of a command to its end: lines as they come, and the beginning of the whole.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::OutputLine;

/// How much of stdout is kept, in bytes.
const KEPT: usize = 1 << 20;
/// A line that is longer is sent in pieces of at most this many bytes.
const PIECE: usize = 8 << 10;

/// An output that is being read.
pub(super) struct Pump {
    kept: Arc<Mutex<Kept>>,
    open: watch::Receiver<()>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Pump {
    /// Waits until the output is closed, which what the command left behind can delay.
    pub(super) async fn ended(&self) {
        let _ = self.open.clone().changed().await;
    }

    /// The first MiB of what came so far, and whether there was more.
    pub(super) fn captured(&self) -> (String, bool) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = kept.bytes.as_slice();
        if kept.is_cut {
            bytes = &bytes[..whole_chars(bytes, bytes.len())];
        }
        (String::from_utf8_lossy(bytes).into_owned(), kept.is_cut)
    }
}

/// Reads `pipe` until it is closed; only stdout is kept.
pub(super) fn pump(
    mut pipe: impl AsyncRead + Unpin + Send + 'static,
    stderr: bool,
    lines: UnboundedSender<OutputLine>,
) -> Pump {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let (closes, open) = watch::channel(());
    let pump = Pump { kept: kept.clone(), open };
    tokio::spawn(async move {
        let mut splitter = Splitter { stderr, rest: Vec::new(), lines };
        let mut chunk = vec![0; PIECE];
        while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
            if !stderr {
                keep(&kept, &chunk[..count]);
            }
            splitter.push(&chunk[..count]);
        }
        splitter.finish();
        drop(closes);
    });
    pump
}

fn keep(kept: &Mutex<Kept>, bytes: &[u8]) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let room = KEPT - kept.bytes.len();
    kept.is_cut |= bytes.len() > room;
    kept.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

struct Splitter {
    stderr: bool,
    rest: Vec<u8>,
    lines: UnboundedSender<OutputLine>,
}

impl Splitter {
    fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        loop {
            let rest = &self.rest[from..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            if let Some(end) = end.filter(|end| *end <= PIECE) {
                self.send(&rest[..end], false);
                from += end + 1;
            } else if rest.len() > PIECE {
                let end = whole_chars(rest, PIECE);
                self.send(&rest[..end], true);
                from += end;
            } else {
                break;
            }
        }
        self.rest.drain(..from);
    }

    fn finish(&self) {
        if !self.rest.is_empty() {
            self.send(&self.rest, false);
        }
    }

    fn send(&self, line: &[u8], is_cut: bool) {
        let line = if is_cut { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        let text = String::from_utf8_lossy(line).into_owned();
        // Nobody may listen any more.
        let _ = self.lines.send(OutputLine { stderr: self.stderr, text, is_cut });
    }
}

/// The end at or shortly before `end` that cuts no character of UTF-8 in two.
fn whole_chars(bytes: &[u8], end: usize) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    if end < bytes.len() {
        return (end.saturating_sub(3)..=end).rev().find(|at| !is_inside(*at)).unwrap_or(end);
    }
    // What follows is not known: the last character is whole if it has all the bytes that its first one announces.
    let Some(first) = (end.saturating_sub(4)..end).rev().find(|at| !is_inside(*at)) else { return end };
    let announced = match bytes[first] {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    };
    if end - first < announced { first } else { end }
}
