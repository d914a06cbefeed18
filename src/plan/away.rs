//! What a drain takes away for a while: workloads of one replica (LANGUAGE.md section 5), for pictures of the plan.

use crate::catalog::types::Kind;
use crate::catalog::value::Value;
use crate::facts::Single;

use super::expand::Planner;
use super::graph::{Away, Block, Node, NodeKind};

/// How many a plan keeps of one rollout.
const KEPT: usize = 20;

impl Planner<'_> {
    /// Notes the single replicas on the nodes that a rollout drains: those that are away longest first, those that do not
    /// tell last.
    pub(super) fn see_away(&mut self, id: &str, planned: Option<&[Value]>, body: &Block) {
        if !body.nodes.iter().any(has_drain) {
            return;
        }
        let nodes = planned.into_iter().flatten().filter_map(Value::as_object);
        let nodes = nodes.filter(|object| object.kind == Kind::Node);
        let mut singles: Vec<Single> = nodes.flat_map(|node| self.facts.singles_on(&node.name)).collect();
        if singles.is_empty() {
            return;
        }
        singles.sort_by(|a, b| b.start.cmp(&a.start).then_with(|| a.workload.cmp(&b.workload)));
        let count = singles.len();
        singles.truncate(KEPT);
        self.seen.away.insert(id.to_owned(), Away { count, longest: singles });
    }
}

/// Whether a node holds a drain of all pods: one with `only` takes what its closure says.
pub fn has_drain(node: &Node) -> bool {
    let in_block = |block: &Block| block.nodes.iter().any(has_drain);
    match &node.kind {
        NodeKind::Action(action) => {
            action.name == "drain" && !action.args.iter().any(|(name, code)| name == "only" && !code.text.is_empty())
        }
        NodeKind::Group(group) => in_block(&group.body),
        NodeKind::Parallel { body, .. } => in_block(body),
        NodeKind::If { arms, otherwise, .. } => arms.iter().map(|(_, block)| block).chain([otherwise]).any(in_block),
        _ => false,
    }
}
