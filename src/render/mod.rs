//! Graph → text, JSON: one file each.
//!
//! Pure: the same graph gives the same text, on every machine.

mod counts;
mod length;
mod page;
mod steps;
mod tree;

use crate::plan::graph::Graph;

/// What [`text`] shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextOptions {
    /// Every step with its id.
    pub steps: bool,
}

/// The plan as a tree of text, at most 100 columns wide; with every step by its id instead where that is asked for.
pub fn text(graph: &Graph, options: TextOptions) -> String {
    let mut page = page::Page::default();
    tree::head(graph, &mut page);
    page.blank();
    if options.steps {
        steps::list(graph, &mut page);
    } else {
        tree::tree(graph, &mut page);
    }
    if let Some(estimate) = graph.seen.estimate.filter(|estimate| estimate.total() > 0) {
        page.blank();
        page.line(0, "", &length::words(estimate), "");
    }
    page.finish()
}

/// The plan as versioned JSON, pretty: the form in which a journal keeps it.
pub fn json(graph: &Graph) -> String {
    // A graph is of strings, numbers and lists alone: nothing in it that JSON cannot hold.
    serde_json::to_string_pretty(graph).map(|text| text + "\n").unwrap_or_default()
}
