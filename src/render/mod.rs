//! Graph → text, JSON: one file each.

use crate::plan::graph::Graph;

/// What [`text`] shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextOptions {
    /// Every step with its id.
    pub steps: bool,
}

/// The plan as a tree of text, at most 100 columns wide.
pub fn text(_graph: &Graph, _options: TextOptions) -> String {
    todo!()
}

/// The plan as versioned JSON, pretty.
pub fn json(_graph: &Graph) -> String {
    todo!()
}
