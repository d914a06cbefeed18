//! How many steps, nodes and points of no return a plan has.

use std::collections::BTreeSet;

use crate::catalog::actions::{Class, action};
use crate::catalog::types::{Kind, Type};
use crate::plan::graph::{Action, Block, Code, Node, NodeKind, Rollout};
use crate::plan::{at_most, batch_sizes};

/// A number of steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// How many, with every planned element of every rollout; of an `if` its longest branch.
    pub(super) count: usize,
    /// Whether a rollout is among them whose elements are not known yet.
    pub(super) or_more: bool,
}

impl Steps {
    /// `1 step`, `at least 12 steps`
    pub(super) fn words(self) -> String {
        let least = if self.or_more { "at least " } else { "" };
        format!("{least}{}", counted(self.count, "step"))
    }

    fn plus(self, other: Self) -> Self {
        Self { count: self.count + other.count, or_more: self.or_more || other.or_more }
    }

    fn times(self, n: usize) -> Self {
        Self { count: self.count * n, ..self }
    }
}

/// The steps of a block.
pub(super) fn steps_of(block: &Block) -> Steps {
    block.nodes.iter().map(steps_of_node).fold(Steps::default(), Steps::plus)
}

pub(super) fn steps_of_node(node: &Node) -> Steps {
    let of = |block: &Option<Block>| block.as_ref().map(steps_of).unwrap_or_default();
    match &node.kind {
        NodeKind::Rollout(rollout) => {
            let batches = batches_of(rollout).map_or(1, |batches| batches.len());
            let body = steps_of(&rollout.body);
            let bodies = match &rollout.planned {
                Some(planned) => body.times(planned.len()),
                None => Steps { or_more: true, ..body },
            };
            bodies.plus(of(&rollout.between).times(batches.saturating_sub(1))).plus(of(&rollout.finally))
        }
        NodeKind::Parallel { body, .. } => steps_of(body),
        NodeKind::Group(group) => steps_of(&group.body).plus(of(&group.finally)),
        NodeKind::If { arms, otherwise, .. } => {
            let branches = arms.iter().map(|(_, block)| block).chain([otherwise]).map(steps_of);
            branches.max_by_key(|steps| steps.count).unwrap_or_default()
        }
        _ => Steps { count: usize::from(node.kind.is_step()), or_more: false },
    }
}

/// The sizes of the batches, as far as they can be told now.
pub(super) fn batches_of(rollout: &Rollout) -> Option<Vec<usize>> {
    batch_sizes(&rollout.batches, rollout.planned.as_ref()?.len())
}

/// How many bodies run side by side, as far as it can be told now.
pub(super) fn side_by_side(rollout: &Rollout) -> Option<usize> {
    Some(at_most(&rollout.concurrency, rollout.planned.as_ref()?.len())?.max(1))
}

/// How many different nodes are planned to be rolled over.
pub(super) fn nodes_of(block: &Block) -> usize {
    let mut nodes = BTreeSet::new();
    collect_nodes(block, &mut nodes);
    nodes.len()
}

fn collect_nodes<'b>(block: &'b Block, nodes: &mut BTreeSet<&'b str>) {
    for node in &block.nodes {
        match &node.kind {
            NodeKind::Rollout(rollout) => {
                let objects = rollout.planned.iter().flatten().filter_map(|value| value.as_object());
                nodes.extend(objects.filter(|object| object.kind == Kind::Node).map(|object| object.uid.as_str()));
            }
            NodeKind::Group(group) => collect_nodes(&group.body, nodes),
            NodeKind::Parallel { body, .. } => collect_nodes(body, nodes),
            _ => {}
        }
    }
}

/// Whether an action is a point of no return (LANGUAGE.md section 6).
pub(super) fn is_commit(step: &Action) -> bool {
    match class_of(step) {
        Class::Commit => true,
        Class::CommitUnlessUndo => step.undo.is_none(),
        Class::Reversible | Class::Neutral => false,
    }
}

/// What undo can do about an action; one that this version does not know is held to be final.
pub(super) fn class_of(step: &Action) -> Class {
    action(&step.name).map_or(Class::Commit, |decl| decl.class)
}

/// How many points of no return a block has as written.
pub(super) fn commits_in(block: &Block) -> usize {
    let of = |node: &Node| match &node.kind {
        NodeKind::Action(action) => usize::from(is_commit(action)),
        NodeKind::Group(group) => commits_in(&group.body),
        NodeKind::Parallel { body, .. } => commits_in(body),
        NodeKind::If { arms, otherwise, .. } => {
            arms.iter().map(|(_, block)| block).chain([otherwise]).map(commits_in).sum()
        }
        NodeKind::Rollout(rollout) => commits_in(&rollout.body),
        _ => 0,
    };
    block.nodes.iter().map(of).sum()
}

/// `1 node`, `2 nodes`
pub(super) fn counted(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// The word for one element of a list: what kind of object it is, or the playbook's own name for it.
pub(super) fn element_word<'w>(list: &Code, name: &'w str) -> &'w str {
    match list.ty.required() {
        Type::List(item) => match item.required() {
            Type::Object(kind) => kind.word(),
            _ => name,
        },
        _ => name,
    }
}
