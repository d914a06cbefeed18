//! One event a line, as the journal holds it: for programs.

use std::io::Write;

use crate::engine::event::Event;
use crate::engine::observe::{Observer, PodsGone};
use crate::engine::state::RunState;
use crate::journal::Record;

/// Writes JSON lines to a stream.
pub struct JsonLines<W> {
    out: W,
}

impl<W: Write> JsonLines<W> {
    /// Lines to `out`; an error of the stream is not an error of the run.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    fn write(&mut self, value: &serde_json::Value) {
        let _ = writeln!(self.out, "{value}");
        let _ = self.out.flush();
    }
}

impl<W: Write> Observer for JsonLines<W> {
    fn event(&mut self, record: &Record<Event>, _state: &RunState) {
        if let Ok(value) = serde_json::to_value(record) {
            self.write(&value);
        }
    }

    fn waiting(&mut self, _step: &str, _lines: &[String]) {}

    fn output(&mut self, step: &str, line: &str) {
        self.write(&serde_json::json!({ "output": { "step": step, "line": line } }));
    }

    fn counted(&mut self, _step: &str, _pods: PodsGone) {}

    fn remark(&mut self, line: &str) {
        self.write(&serde_json::json!({ "remark": line }));
    }

    fn tick(&mut self, _now: i64, _state: &RunState) {}
}
