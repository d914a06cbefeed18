//! Tasks: checked once each, at their first call; what one demands of its arguments is held against every call.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crate::catalog::types::{Moment, Type};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::expr::ir::Node;
use crate::source::Span;
use crate::syntax::ast::{Call, Modifiers, Task};

use super::call::{FormalInfo, Found, formal_slots};
use super::expression::mistake;
use super::moments::Place;
use super::program::{self, TaskCall, TaskKey};
use super::scope::{Checker, Level, Progress, What};
use super::statement::BlockKind;

/// Why a task needs an argument early.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    /// Where.
    pub(super) span: Span,
    /// `` `if` is decided ``
    pub(super) subject: &'static str,
}

/// What is found out about a task while its body is checked.
#[derive(Debug, Default)]
pub(super) struct TaskFrame {
    /// Parameters that must be known before the task's steps run.
    pub(super) early: BTreeMap<usize, Demand>,
    /// Where fields are put into an argument that only a rollout's body can pin.
    pub(super) body: Option<Span>,
    /// The tasks that it calls.
    pub(super) calls: BTreeSet<TaskKey>,
}

/// A checked task.
pub(super) struct TaskInfo {
    pub(super) params: Vec<FormalInfo>,
    pub(super) found: TaskFrame,
    pub(super) task: Arc<program::Task>,
}

impl<'a> Checker<'a> {
    /// A task's call as a statement.
    pub(super) fn task_call(&mut self, call: &'a Call, modifiers: &'a Modifiers) -> Option<TaskCall> {
        self.refuse_modifiers(modifiers, "a task's call", &["when", "as"]);
        let when = modifiers.when.as_ref().map(|when| self.at(when, &Type::Bool, "`when`", Place::Live));
        let alias = self.alias(modifiers.alias.as_ref());
        let (unit, task) = match self.find_task(call) {
            Found::Here(unit, task) => (unit, task),
            Found::Told => {
                for arg in &call.args {
                    self.begin();
                    self.expr(&arg.value, None);
                }
                return None;
            }
        };
        let info = self.task_info(unit, task, call.span)?;
        let key = info.task.key.clone();
        self.note_call(&key);
        self.hold_place(&info, call);
        let slots = formal_slots(&info.params);
        let matched = self.match_args(&call.path.text(), &slots, &call.args, call.span);
        let mut args = Vec::new();
        for (index, (formal, arg)) in info.params.iter().zip(matched).enumerate() {
            self.begin();
            let value = match (arg, &formal.default) {
                (Some(arg), _) => self.value(arg, &formal.ty, &format!("`{}`", formal.name)),
                (None, Some(default)) => default.clone(),
                (None, None) => mistake(call.span),
            };
            self.hold_task_argument(&value, info.found.early.get(&index).copied());
            args.push(value);
        }
        Some(TaskCall { task: key, args, when, alias })
    }

    fn note_call(&mut self, key: &TaskKey) {
        match &mut self.frame.task {
            Some(task) => task.calls.insert(key.clone()),
            None => self.called.insert(key.clone()),
        };
    }

    /// Holds a call's place against what the task puts into arguments.
    fn hold_place(&mut self, info: &TaskInfo, call: &Call) {
        let Some(span) = info.found.body else { return };
        match self.frame.level {
            Level::Body => {}
            Level::Task => {
                if let Some(task) = &mut self.frame.task {
                    task.body.get_or_insert(span);
                }
            }
            Level::Top => {
                let text = self.text(span);
                self.tell(
                    Diagnostic::error("E314", format!("`{}` can be called only in a rollout's body", call.path.text()))
                        .at(call.span, "here nothing pins the fields of what it is given")
                        .at(span, format!("but the task puts a field of `{text}` into an argument"))
                        .help("in the task, `record` the field on a line before and use what was recorded"),
                );
            }
        }
    }

    fn find_task(&mut self, call: &'a Call) -> Found<&'a Task> {
        let unit = match self.unit_of(&call.path) {
            Found::Here(unit, ()) => unit,
            Found::Told => return Found::Told,
        };
        let name = call.path.name.name.as_str();
        if let Some(task) = self.tops[unit].tasks.get(name).copied() {
            return Found::Here(unit, task);
        }
        let diagnostic = match &call.path.module {
            Some(module) => self.missing_in_module(unit, module, &call.path.name, false),
            None => self.unknown_statement(call),
        };
        self.tell(diagnostic);
        Found::Told
    }

    fn unknown_statement(&self, call: &Call) -> Diagnostic {
        let name = &call.path.name;
        let text = name.name.as_str();
        if self.function_names().any(|function| function == text) {
            return Diagnostic::error("E106", format!("`{text}` is a function: by itself it does nothing"))
                .at(name.span, "")
                .help(format!("use what it gives: `assert {0}`, `let x = {0}`", self.text(call.span)));
        }
        let near = did_you_mean(text, self.callable_names());
        let error = Diagnostic::error("E102", format!("there is no action or task `{text}`"))
            .at(name.span, near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default());
        let uses = &self.units[self.frame.unit].uses;
        let module = uses.iter().find_map(|(module, (_, unit))| {
            unit.filter(|unit| self.tops[*unit].tasks.contains_key(text)).map(|_| module)
        });
        match module {
            Some(module) => error.help(format!("the module `{module}` has one: `{module}::{text}(…)`")),
            None => error,
        }
    }

    /// The checked task; `None` if it reaches itself, which is told.
    pub(super) fn task_info(&mut self, unit: usize, task: &'a Task, call: Span) -> Option<Rc<TaskInfo>> {
        let key = TaskKey { file: self.units[unit].file, name: task.name.name.clone() };
        match self.tasks.get(&key) {
            Some(Progress::Done(info)) => return Some(Rc::clone(info)),
            Some(Progress::UnderWay) => {
                self.tell_recursion(&key, call);
                return None;
            }
            None => {}
        }
        self.tasks.insert(key.clone(), Progress::UnderWay);
        self.chain.push(key.clone());
        let info = Rc::new(self.in_frame(unit, Level::Task, |this| this.check_task(task, key.clone())));
        self.chain.pop();
        self.tasks.insert(key, Progress::Done(Rc::clone(&info)));
        Some(info)
    }

    fn check_task(&mut self, task: &'a Task, key: TaskKey) -> TaskInfo {
        let params = self.formals(&task.params);
        self.frame.task = Some(TaskFrame::default());
        let (body, undo) = self.in_scope(&task.body.statements, |this| {
            for (index, (formal, info)) in task.params.iter().zip(&params).enumerate() {
                let node = Node::Name(info.name.clone());
                this.define(&formal.name, What::Formal(index), info.ty.clone(), Moment::Begin, node);
            }
            let body = this.statements(&task.body.statements, BlockKind::Plain);
            (body, task.undo.as_ref().map(|undo| this.block(undo, BlockKind::Plain)))
        });
        let found = self.frame.task.take().unwrap_or_default();
        let names = params.iter().map(|formal| (formal.name.clone(), formal.ty.clone())).collect();
        let task = Arc::new(program::Task { key, params: names, body, undo });
        TaskInfo { params, found, task }
    }
}
