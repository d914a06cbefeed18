//! Events and states → what a person sees: lines, a live terminal, JSON, and the summary at the end.
//!
//! Every renderer watches the same events that the journal holds ([`crate::engine::observe::Observer`]).

mod json;
mod lines;
mod resumed;
mod status;
mod summary;
mod terminal;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

pub use json::JsonLines;
pub use lines::Lines;
pub use resumed::render_resumed;
pub use status::{render_runs, render_status, status_json};
pub use summary::{render_failure, render_summary};
pub use terminal::Terminal;
pub use verdict::render_verdict;
pub(crate) use words::took;
