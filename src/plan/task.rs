//! A task's call, expanded in place: its parameters are what a `let` at the place of the call would be.

use std::collections::BTreeMap;

use crate::catalog::types::Moment;
use crate::check::program::TaskCall;
use crate::diagnostic::Diagnostic;
use crate::expr::ir::{Node as Form, Typed};
use crate::source::Span;

use super::expand::Planner;
use super::graph::{Group, Node, NodeKind};
use super::ids::Numbered;
use super::names::Bound;
use super::values::uses;

impl Planner<'_> {
    /// The group that a call stands for.
    pub(super) fn task(&mut self, call: &TaskCall, span: Span, id: &str) -> Option<NodeKind> {
        let Some(task) = self.program.tasks.get(&call.task).cloned() else {
            let what = format!("the task `{}` was not checked", call.task.name);
            self.diagnostics.push(Diagnostic::error("E499", what).at(span, ""));
            return None;
        };
        let when = self.live_if(call.when.as_ref());
        let mut lets = Vec::new();
        let mut formals = BTreeMap::new();
        for ((name, _), arg) in task.params.iter().zip(&call.args) {
            formals.insert(name.clone(), self.formal(name, arg, span, &mut lets));
        }
        let around = self.names.enter_task(task.key.file == self.program.file, formals);
        let at = std::mem::replace(&mut self.at, id.to_owned());
        let mut body = self.statements(&task.body, &mut Numbered::default());
        let undo = task.undo.as_ref().map(|undo| self.block(undo, id, false));
        self.at = at;
        self.names.leave_task(around);
        body.nodes.splice(0..0, lets);
        Some(NodeKind::Group(Box::new(Group { task: Some(self.written_name(span)), when, body, finally: None, undo })))
    }

    /// What a parameter stands for: a name is passed on, what is recorded is put in its place, anything else is known now
    /// or becomes a `let` of the body.
    fn formal(&mut self, name: &str, arg: &Typed, call: Span, lets: &mut Vec<Node>) -> Bound {
        let resolved = self.resolve(arg);
        if let Form::Name(slot) = &resolved.node {
            return Bound::Slot(slot.clone(), resolved.moment);
        }
        if uses(&resolved, Moment::Live) {
            return Bound::Given(Box::new(resolved));
        }
        let slot = self.names.fresh(name);
        if self.is_known_now(&resolved) {
            let value = self.evaluate(&resolved, arg.span, &format!("`{name}`"));
            self.keep(slot.clone(), value);
            return Bound::Slot(slot, Moment::Plan);
        }
        let value = self.code(&resolved, arg.span);
        let text = format!("let {name} = {}", value.text);
        let node = self.node(call, String::new(), NodeKind::Let { slot: slot.clone(), value });
        lets.push(Node { text, ..node });
        Bound::Slot(slot, Moment::Begin)
    }

    /// `module::name`, as the call writes it.
    fn written_name(&self, call: Span) -> String {
        let text = self.sources.text(call);
        text.split('(').next().unwrap_or_default().split_whitespace().collect()
    }
}
