//! How the engine is watched: every event once it is durable, and what is on its way between events.

use crate::journal::Record;

use super::event::Event;
use super::state::RunState;

/// Someone who watches a run. Nothing here can change or delay it.
pub trait Observer {
    /// An event is durable and applied.
    fn event(&mut self, record: &Record<Event>, state: &RunState);
    /// What a step waits for, a line each; replaces what was said before, and nothing is said after its end.
    fn waiting(&mut self, step: &str, lines: &[String]);
    /// A line that a command wrote.
    fn output(&mut self, step: &str, line: &str);
    /// So much of a step is done.
    fn counted(&mut self, step: &str, done: usize, of: usize);
    /// Something that a person should know and that is no event.
    fn remark(&mut self, line: &str);
    /// Time passed; called at least each second.
    fn tick(&mut self, now: i64, state: &RunState);
}
