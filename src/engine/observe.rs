//! How the engine is watched: every event once it is durable, and what is on its way between events.

use std::fmt;

use crate::journal::Record;

use super::event::Event;
use super::state::RunState;

/// How far a drain is: `14 of 19 pods gone, 2 of them by others`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PodsGone {
    /// Pods that are gone.
    pub gone: usize,
    /// Pods that were there, or came late.
    pub of: usize,
    /// Those of the pods that are gone that somebody else evicted or deleted.
    pub by_others: usize,
}

impl fmt::Display for PodsGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} pods gone", self.gone, self.of)?;
        match self.by_others {
            0 => Ok(()),
            others => write!(f, ", {others} of them by others"),
        }
    }
}

/// Someone who watches a run. Nothing here can change or delay it.
pub trait Observer {
    /// An event is durable and applied.
    fn event(&mut self, record: &Record<Event>, state: &RunState);
    /// What a step waits for, a line each; replaces what was said before, and nothing is said after its end.
    fn waiting(&mut self, step: &str, lines: &[String]);
    /// A line that a command wrote.
    fn output(&mut self, step: &str, line: &str);
    /// So much of a drain is done.
    fn counted(&mut self, step: &str, pods: PodsGone);
    /// Something that a person should know and that is no event.
    fn remark(&mut self, line: &str);
    /// Time passed; called at least each second.
    fn tick(&mut self, now: i64, state: &RunState);
}
