//! Plain lines, one per change: for CI and for people without a terminal.

use std::collections::BTreeMap;
use std::io::Write;

use crate::engine::event::Event;
use crate::engine::observe::{Observer, PodsGone};
use crate::engine::state::RunState;
use crate::journal::Record;

use super::words::{clock, line};

/// What a step waits for is said again, as it is then, each so many milliseconds.
const REMIND: i64 = 60_000;
/// And for the first time after so many, so that a wait of a moment makes no line.
const QUIET: i64 = 5_000;

/// Writes lines to a stream.
pub struct Lines<W> {
    out: W,
    now: i64,
    waiting: BTreeMap<String, Said>,
}

struct Said {
    lines: Vec<String>,
    at: i64,
    since: i64,
}

impl<W: Write> Lines<W> {
    /// Lines to `out`; an error of the stream is not an error of the run.
    pub fn new(out: W, now: i64) -> Self {
        Self { out, now, waiting: BTreeMap::new() }
    }

    fn say(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}  {text}", clock(self.now));
    }
}

impl<W: Write> Observer for Lines<W> {
    fn event(&mut self, record: &Record<Event>, state: &RunState) {
        self.now = record.at;
        if let Event::StepEnded { step, .. } = &record.event {
            self.waiting.remove(step);
        }
        if let Some(text) = line(&record.event, state) {
            self.say(&text);
        }
    }

    fn waiting(&mut self, step: &str, lines: &[String]) {
        let now = self.now;
        let said = self.waiting.entry(step.to_owned()).or_insert(Said { lines: Vec::new(), at: 0, since: now });
        said.lines = lines.to_vec();
    }

    fn output(&mut self, step: &str, text: &str) {
        self.say(&format!("{step}  | {text}"));
    }

    fn counted(&mut self, _step: &str, _pods: PodsGone) {}

    fn remark(&mut self, text: &str) {
        self.say(text);
    }

    /// What steps wait for is told here: it changes with every second that it counts.
    fn tick(&mut self, now: i64, _state: &RunState) {
        self.now = now;
        let mut due = Vec::new();
        for (step, said) in &mut self.waiting {
            let first = said.at == 0 && now - said.since >= QUIET;
            if first || (said.at > 0 && now - said.at >= REMIND) {
                said.at = now;
                due.extend(said.lines.iter().map(|line| format!("{step}  {line}")));
            }
        }
        for text in due {
            self.say(&text);
        }
    }
}
