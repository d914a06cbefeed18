//! What statements are called: the segments of their ids (LANGUAGE.md section 7).

use crate::check::program::{Statement, StatementKind};
use crate::diagnostic::Diagnostic;
use crate::expr::ir::Typed;

use super::expand::Planner;
use super::ids::{Numbered, segment};

impl Planner<'_> {
    /// The segment of a statement, numbered among those alike.
    pub(super) fn id_of(&mut self, statement: &Statement, ids: &mut Numbered) -> String {
        match self.called(statement) {
            Some(name) => ids.next(&name),
            None => String::new(),
        }
    }

    /// What a statement is called: `as`, or what its kind of statement goes by. `None` for what adds no segment, or where
    /// the name cannot be told, which is told.
    pub(super) fn called(&mut self, statement: &Statement) -> Option<String> {
        let (alias, word): (Option<&Typed>, &str) = match &statement.kind {
            StatementKind::Record { name, alias, .. } => (alias.as_ref(), name),
            StatementKind::Action(action) => (action.alias.as_ref(), action.record.as_deref().unwrap_or(action.name)),
            StatementKind::Task(call) => (call.alias.as_ref(), &call.task.name),
            StatementKind::Wait { alias, .. } => (alias.as_ref(), "wait"),
            StatementKind::WaitUntil(gate) => (gate.alias.as_ref(), "wait"),
            StatementKind::Assert(gate) => (gate.alias.as_ref(), "assert"),
            StatementKind::Rollout(rollout) => (rollout.alias.as_ref(), &rollout.element),
            StatementKind::Parallel { alias, .. } => (alias.as_ref(), "parallel"),
            StatementKind::Group { name, alias, .. } => (Some(alias.as_ref().unwrap_or(name)), ""),
            StatementKind::Approve { alias, .. } => (alias.as_ref(), "approve"),
            StatementKind::Let { .. } | StatementKind::If { .. } | StatementKind::Guard { .. } => return None,
        };
        match alias {
            Some(alias) => self.name_of(alias),
            None => Some(word.to_owned()),
        }
    }

    /// The segment that a text gives: the same for every element.
    fn name_of(&mut self, text: &Typed) -> Option<String> {
        let resolved = self.resolve(text);
        if !self.is_known_now(&resolved) {
            self.diagnostics.push(
                Diagnostic::error("E412", "a name is the same for every element of a rollout")
                    .at(text.span, "this one is known only as the rollout begins")
                    .help("leave the element out: its own name stands in every id before this one"),
            );
            return None;
        }
        let value = self.evaluate(&resolved, text.span, "a name")?;
        let name = value.as_str().unwrap_or_default();
        if name.trim().is_empty() {
            self.diagnostics.push(Diagnostic::error("E412", "a name is empty").at(text.span, ""));
            return None;
        }
        Some(segment(name))
    }
}
