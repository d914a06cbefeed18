//! Every step with its id, in the order of the playbook and of the batches.

use crate::plan::graph::{Block, Graph, Node, NodeKind, Rollout};
use crate::plan::{path, segment};

use super::counts::batches_of;
use super::page::Page;

/// The longest id that makes the column of ids wider.
const WIDEST: usize = 48;

/// Lists every step. What is not known yet stands in `<…>`: the element of a rollout that looks as it begins.
pub(super) fn list(graph: &Graph, page: &mut Page) {
    let mut steps = Steps::default();
    steps.block(&graph.root, "");
    let widths = steps.rows.iter().map(|(id, _)| id.chars().count()).filter(|width| *width <= WIDEST);
    let width = widths.max().unwrap_or(0);
    for (id, text) in &steps.rows {
        page.entry(&format!("  {id:width$}  "), text);
    }
}

#[derive(Default)]
struct Steps {
    rows: Vec<(String, String)>,
    /// The conditions of the branches around.
    conditions: Vec<String>,
}

impl Steps {
    fn block(&mut self, block: &Block, prefix: &str) {
        for node in &block.nodes {
            self.node(node, prefix);
        }
    }

    fn node(&mut self, node: &Node, prefix: &str) {
        let id = path(prefix, &node.id);
        match &node.kind {
            NodeKind::Group(group) => {
                self.block(&group.body, &id);
                self.optional(group.finally.as_ref(), &path(&id, "finally"));
            }
            NodeKind::Parallel { body, .. } => self.block(body, &id),
            NodeKind::Rollout(rollout) => self.rollout(rollout, &id),
            NodeKind::If { arms, otherwise, .. } => {
                for (condition, block) in arms {
                    self.branch(&format!("if {}", condition.text), block, prefix);
                }
                self.branch("else", otherwise, prefix);
            }
            NodeKind::Let { .. } | NodeKind::Guard(_) => {}
            NodeKind::Action(_)
            | NodeKind::Record { .. }
            | NodeKind::Wait { .. }
            | NodeKind::WaitUntil(_)
            | NodeKind::Assert(_)
            | NodeKind::Approve { .. } => self.rows.push((id, self.shown(&node.text))),
        }
    }

    fn shown(&self, text: &str) -> String {
        match self.conditions.last() {
            Some(condition) => format!("{text}   ({condition})"),
            None => text.to_owned(),
        }
    }

    fn optional(&mut self, block: Option<&Block>, prefix: &str) {
        if let Some(block) = block {
            self.block(block, prefix);
        }
    }

    fn branch(&mut self, condition: &str, block: &Block, prefix: &str) {
        self.conditions.push(condition.to_owned());
        self.block(block, prefix);
        self.conditions.pop();
    }

    fn rollout(&mut self, rollout: &Rollout, id: &str) {
        match (&rollout.planned, batches_of(rollout)) {
            (Some(planned), Some(sizes)) => {
                let mut elements = planned.iter();
                for (batch, size) in sizes.iter().enumerate() {
                    for element in elements.by_ref().take(*size) {
                        self.block(&rollout.body, &path(id, &segment(&element.to_string())));
                    }
                    if batch + 1 < sizes.len() {
                        self.optional(rollout.between.as_ref(), &path(id, &format!("between@{}", batch + 1)));
                    }
                }
            }
            _ => {
                self.block(&rollout.body, &path(id, &format!("<{}>", rollout.element)));
                self.optional(rollout.between.as_ref(), &path(id, "between@<batch>"));
            }
        }
        self.optional(rollout.finally.as_ref(), &path(id, "finally"));
    }
}
