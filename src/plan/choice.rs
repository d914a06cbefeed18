//! `if`: decided now outside rollouts' bodies, left to the rollout in them.

use crate::catalog::value::Value;
use crate::check::program::{self, StatementKind};
use crate::diagnostic::Diagnostic;
use crate::expr::ir::Typed;

use super::expand::Planner;
use super::graph::{Node, NodeKind};
use super::ids::Numbered;

impl Planner<'_> {
    /// An `if` that is decided now: the chosen branch stands in its place, the others only count for ids.
    pub(super) fn decide(
        &mut self,
        arms: &[(Typed, program::Block)],
        otherwise: Option<&program::Block>,
        ids: &mut Numbered,
        nodes: &mut Vec<Node>,
    ) {
        let mut is_decided = false;
        for (condition, block) in arms {
            let holds = !is_decided && self.known(condition, "`if`") == Some(Value::Bool(true));
            self.branch(block, holds, ids, nodes);
            is_decided |= holds;
        }
        if let Some(block) = otherwise {
            self.branch(block, !is_decided, ids, nodes);
        }
    }

    fn branch(&mut self, block: &program::Block, is_taken: bool, ids: &mut Numbered, nodes: &mut Vec<Node>) {
        if !is_taken {
            return self.pass_over(block, ids);
        }
        self.refuse_scoped(block);
        self.names.enter();
        nodes.extend(self.statements(block, ids).nodes);
        self.names.leave();
    }

    /// The branch stands in the block around, so what holds to the end of a block would hold too long.
    fn refuse_scoped(&mut self, block: &program::Block) {
        let guards = block.statements.iter().filter(|one| matches!(one.kind, StatementKind::Guard { .. }));
        let scoped = block.on_failure.map(|(_, span)| span).into_iter().chain(guards.map(|guard| guard.span));
        for span in scoped {
            self.diagnostics.push(
                Diagnostic::error("E414", "an `if` that is decided by the plan has no block of its own")
                    .at(span, "this is about a block")
                    .help("put what stands in the `if` into a `group`"),
            );
        }
    }

    /// Counts the ids of a branch that is not taken.
    fn pass_over(&mut self, block: &program::Block, ids: &mut Numbered) {
        for statement in &block.statements {
            if let StatementKind::If { arms, otherwise } = &statement.kind {
                for block in arms.iter().map(|(_, block)| block).chain(otherwise) {
                    self.pass_over(block, ids);
                }
                continue;
            }
            // A name that uses what the branch itself would define cannot be told, and meets no other.
            let told = self.diagnostics.len();
            if let Some(name) = self.called(statement) {
                ids.next(&name);
            }
            self.diagnostics.truncate(told);
        }
    }

    /// An `if` of a body: both branches, decided as the rollout begins.
    pub(super) fn choice(
        &mut self,
        arms: &[(Typed, program::Block)],
        otherwise: Option<&program::Block>,
        ids: &mut Numbered,
    ) -> NodeKind {
        let choice = self.choices;
        self.choices += 1;
        let mut branch = |this: &mut Self, block: &program::Block| {
            this.names.enter();
            let block = this.statements(block, ids);
            this.names.leave();
            block
        };
        let arms = arms.iter().map(|(condition, block)| (self.live(condition), branch(self, block))).collect();
        let otherwise = otherwise.map(|block| branch(self, block)).unwrap_or_default();
        NodeKind::If { choice, arms, otherwise }
    }
}
