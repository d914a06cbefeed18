//! From a step's id to its node in the graph, and the elements around it.

use crate::plan::graph::{Block, Graph, Group, Node, NodeKind, Rollout};
use crate::plan::path;

use super::state::UNDO;

/// Where an id leads.
#[derive(Debug, Clone)]
pub struct Located<'g> {
    /// The node.
    pub node: &'g Node,
    /// The rollouts around it, outermost first.
    pub frames: Vec<Frame<'g>>,
    /// The id of the group or rollout whose `finally` it stands in, if it does.
    pub finally_of: Option<String>,
    /// Whether the id is that of what undoes the node, an action with an undo of its own.
    pub is_undo: bool,
}

/// One rollout around a node, and the element that the id goes through.
#[derive(Debug, Clone)]
pub struct Frame<'g> {
    /// The rollout's id.
    pub id: String,
    /// The rollout.
    pub rollout: &'g Rollout,
    /// The element's segment.
    pub element: String,
}

impl Frame<'_> {
    /// The id of the element: what its body's ids begin with.
    pub fn prefix(&self) -> String {
        path(&self.id, &self.element)
    }
}

/// The segment under which a `finally` block's steps stand.
pub const FINALLY: &str = "finally";

/// The segment of the block between batch `batch` (from 1) and the next.
pub fn between(batch: usize) -> String {
    format!("between@{batch}")
}

/// What the segment of a guard begins with; its place in the block follows.
pub const GUARD: &str = "guard@";

/// The segment of the guard that stands at that place of its block.
pub fn guard_segment(index: usize) -> String {
    format!("{GUARD}{index}")
}

/// Whether an id is the prefix of a block: the whole, a group, a parallel, an element of a rollout, or a part of one.
pub fn is_block(graph: &Graph, id: &str) -> bool {
    if id.is_empty() {
        return true;
    }
    let is_named = locate(graph, id)
        .is_some_and(|located| matches!(located.node.kind, NodeKind::Group(_) | NodeKind::Parallel { .. }));
    let is_part = || {
        let (parent, last) = id.rsplit_once('/')?;
        let located = locate(graph, parent)?;
        match &located.node.kind {
            NodeKind::Rollout(_) => Some(()),
            NodeKind::Group(group) => (last == FINALLY && group.finally.is_some()).then_some(()),
            _ => None,
        }
    };
    is_named || is_part().is_some()
}

/// Follows an id through the graph; `None` when it leads nowhere.
pub fn locate<'g>(graph: &'g Graph, id: &str) -> Option<Located<'g>> {
    let segments: Vec<&str> = id.split('/').collect();
    let mut walk = Walk { frames: Vec::new(), finally_of: None, is_undo: false };
    let node = walk.block(&graph.root, "", &segments)?;
    Some(Located { node, frames: walk.frames, finally_of: walk.finally_of, is_undo: walk.is_undo })
}

struct Walk<'g> {
    frames: Vec<Frame<'g>>,
    finally_of: Option<String>,
    is_undo: bool,
}

impl<'g> Walk<'g> {
    fn block(&mut self, block: &'g Block, prefix: &str, segments: &[&str]) -> Option<&'g Node> {
        let (first, rest) = segments.split_first()?;
        if let Some(index) = first.strip_prefix(GUARD) {
            let node = block.nodes.get(index.parse::<usize>().ok()?)?;
            return matches!(node.kind, NodeKind::Guard(_)).then_some(node).filter(|_| rest.is_empty());
        }
        for node in &block.nodes {
            if let NodeKind::If { arms, otherwise, .. } = &node.kind {
                let blocks = arms.iter().map(|(_, block)| block).chain([otherwise]);
                for block in blocks {
                    if let Some(found) = self.block(block, prefix, segments) {
                        return Some(found);
                    }
                }
            } else if !node.id.is_empty() && node.id == *first {
                return self.below(node, &path(prefix, first), rest);
            }
        }
        None
    }

    fn below(&mut self, node: &'g Node, id: &str, rest: &[&str]) -> Option<&'g Node> {
        if rest.is_empty() {
            return Some(node);
        }
        match &node.kind {
            NodeKind::Group(group) => self.group(group, id, rest),
            NodeKind::Parallel { body, .. } => self.block(body, id, rest),
            NodeKind::Rollout(rollout) => self.rollout(rollout, id, rest),
            NodeKind::Action(action) => match (rest, &action.undo) {
                ([UNDO], None) => {
                    self.is_undo = true;
                    Some(node)
                }
                ([UNDO, rest @ ..], Some(block)) => self.block(block, &path(id, UNDO), rest),
                _ => None,
            },
            _ => None,
        }
    }

    fn group(&mut self, group: &'g Group, id: &str, rest: &[&str]) -> Option<&'g Node> {
        if let Some(found) = self.block(&group.body, id, rest) {
            return Some(found);
        }
        if let (Some(undo), Some(rest)) = (&group.undo, rest.strip_prefix(&[UNDO]))
            && let Some(found) = self.block(undo, &path(id, UNDO), rest)
        {
            return Some(found);
        }
        let (finally, rest) = (group.finally.as_ref()?, rest.strip_prefix(&[FINALLY])?);
        self.finally_of = Some(id.to_owned());
        self.block(finally, &path(id, FINALLY), rest)
    }

    fn rollout(&mut self, rollout: &'g Rollout, id: &str, rest: &[&str]) -> Option<&'g Node> {
        let (first, below) = rest.split_first()?;
        if *first == FINALLY
            && let Some(finally) = &rollout.finally
        {
            self.finally_of = Some(id.to_owned());
            return self.block(finally, &path(id, first), below);
        }
        if first.starts_with("between@")
            && let Some(block) = &rollout.between
        {
            return self.block(block, &path(id, first), below);
        }
        self.frames.push(Frame { id: id.to_owned(), rollout, element: (*first).to_owned() });
        self.block(&rollout.body, &path(id, first), below)
    }
}
