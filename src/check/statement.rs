//! Statements and blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::actions::action;
use crate::catalog::types::{Moment, Type};
use crate::catalog::value::Value;
use crate::diagnostic::Diagnostic;
use crate::expr::ir::{Node, Typed, UnaryOp};
use crate::source::Span;
use crate::syntax::ast::{
    self, Assert, Block, Call, Doc, Expr, ExprKind, Group, Guard, Ident, If, Modifiers, Statement, StatementKind,
    StringLit, WaitUntil,
};

use super::moments::{COUNT, DURATION, GROUP, IF, LET, NAME, Place};
use super::program::{self, Gate, Param, Program};
use super::scope::{Checker, Progress, What};
use super::types::is_mistake;

/// What rules hold for the statements of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// The playbook itself.
    Top,
    /// In braces.
    Plain,
    /// The branches of `parallel`.
    Parallel,
}

impl<'a> Checker<'a> {
    /// Checks every unit, modules first; good only if no error was told.
    pub(super) fn check_units(&mut self) -> Program {
        let mut body = program::Block::default();
        let last = self.units.len().saturating_sub(1);
        for unit in 0..self.units.len() {
            self.enter_unit(unit);
            if self.units[unit].is_broken {
                continue;
            }
            self.check_tops(unit);
            let statements = &self.units[unit].ast.statements;
            if unit == last {
                body = self.statements(statements, BlockKind::Top);
            } else {
                self.module(statements);
            }
            self.check_uncalled(unit);
        }
        Program {
            file: self.units[last].file,
            doc: self.units[last].ast.doc.as_ref().map(joined),
            params: self.params.clone(),
            constants: self.constants.clone(),
            tasks: self.reached_tasks(),
            body,
            canonical: super::canonical(self.sources, self.units),
        }
    }

    /// Holds the names of functions and tasks against the language's and against each other.
    fn check_tops(&mut self, unit: usize) {
        let mut first: BTreeMap<&str, Span> = BTreeMap::new();
        for statement in &self.units[unit].ast.statements {
            let name = match &statement.kind {
                StatementKind::Fn(function) => &function.name,
                StatementKind::Task(task) => &task.name,
                _ => continue,
            };
            if self.refuse_language(name, true) {
                continue;
            }
            match first.get(name.name.as_str()) {
                Some(span) => self.tell_taken(name, *span),
                None => {
                    first.insert(&name.name, name.span);
                }
            }
        }
    }

    /// Functions and tasks that no statement calls are checked too.
    fn check_uncalled(&mut self, unit: usize) {
        for statement in &self.units[unit].ast.statements {
            match &statement.kind {
                StatementKind::Fn(function) => self.check_uncalled_fn(unit, function),
                StatementKind::Task(task) => {
                    self.task_info(unit, task, task.name.span);
                }
                _ => {}
            }
        }
    }

    fn reached_tasks(&self) -> BTreeMap<program::TaskKey, Arc<program::Task>> {
        let mut reached = BTreeMap::new();
        let mut open: Vec<_> = self.called.iter().collect();
        while let Some(key) = open.pop() {
            if let (false, Some(Progress::Done(info))) = (reached.contains_key(key), self.tasks.get(key)) {
                reached.insert(key.clone(), Arc::clone(&info.task));
                open.extend(&info.found.calls);
            }
        }
        reached
    }

    /// A module holds `use`, `let` of constants, `fn` and `task`.
    fn module(&mut self, statements: &'a [Statement]) {
        for statement in statements {
            match &statement.kind {
                StatementKind::Use(_) | StatementKind::Fn(_) | StatementKind::Task(_) => {}
                StatementKind::Let { name, value } => self.constant(name, value),
                _ => {
                    let text = self.text(statement.span);
                    let first = text.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
                    self.tell(
                        Diagnostic::error("E114", "a module does nothing by itself")
                            .at(statement.span, format!("`{first}` may not stand at its top"))
                            .help("a module holds `use`, `let` of constants, `fn` and `task`: put steps into a `task`"),
                    );
                }
            }
        }
    }

    fn constant(&mut self, name: &'a Ident, value: &'a Expr) {
        self.begin();
        let typed = self.expr(value, None);
        self.hold(&typed, Place::Constant);
        let typed = self.definite(typed);
        let key = format!("{}::{}", self.units[self.frame.unit].prefix, name.name);
        self.define(name, What::Constant, typed.ty.clone(), Moment::Plan, Node::Name(key.clone()));
        self.constants.insert(key, typed);
    }

    /// Begins an expression of its own.
    pub(super) fn begin(&mut self) {
        self.frame.locals = 0;
        self.frame.is_too_deep = false;
        self.frame.present.clear();
    }

    /// An expression of its own, of that type, at that place.
    pub(super) fn at(&mut self, expr: &'a Expr, want: &Type, what: &str, place: Place) -> Typed {
        self.begin();
        let typed = self.value(expr, want, what);
        self.hold(&typed, place);
        typed
    }

    /// A duration of the plan: longer than nothing.
    pub(super) fn duration(&mut self, expr: &'a Expr, what: &str) -> Typed {
        let typed = self.at(expr, &Type::Duration, what, Place::Early(DURATION));
        self.refuse_no_time(&typed, what);
        typed
    }

    /// Tells of a duration that is nothing or less, where that can be read off.
    pub(super) fn refuse_no_time(&mut self, typed: &Typed, what: &str) {
        if matches!(literal(typed), Some(Value::Duration(ms)) if ms <= 0) {
            self.tell(
                Diagnostic::error("E210", format!("{what} takes a duration longer than nothing")).at(typed.span, ""),
            );
        }
    }

    fn optional_duration(&mut self, expr: Option<&'a Expr>, what: &str) -> Option<Typed> {
        expr.map(|expr| self.duration(expr, what))
    }

    /// A whole number of the plan, at least `least`.
    pub(super) fn count(&mut self, expr: &'a Expr, what: &str, least: i64) -> Typed {
        let typed = self.at(expr, &Type::Int, what, Place::Early(COUNT));
        if matches!(literal(&typed), Some(Value::Int(n)) if n < least) {
            self.tell(Diagnostic::error("E210", format!("{what} is at least {least}")).at(typed.span, ""));
        }
        typed
    }

    /// A text that is put together when it is shown.
    fn shown(&mut self, expr: Option<&'a Expr>, what: &str) -> Option<Typed> {
        expr.map(|expr| self.at(expr, &Type::String, what, Place::Live))
    }

    /// `as "name"`
    pub(super) fn alias(&mut self, alias: Option<&'a StringLit>) -> Option<Typed> {
        alias.map(|alias| self.text_of_plan(alias, "`as`"))
    }

    fn text_of_plan(&mut self, text: &'a StringLit, what: &str) -> Typed {
        self.begin();
        let typed = self.string(text, None);
        let typed = self.fitted(typed, &Type::String, what);
        self.hold(&typed, Place::Early(NAME));
        if text.plain().is_some_and(|text| text.trim().is_empty()) {
            self.tell(Diagnostic::error("E210", format!("{what} takes a name that is not empty")).at(text.span, ""));
        }
        typed
    }

    /// A block in a scope of its own.
    pub(super) fn block(&mut self, block: &'a Block, kind: BlockKind) -> program::Block {
        self.in_scope(&block.statements, |this| this.statements(&block.statements, kind))
    }

    /// A `finally`, which is told how it ended.
    pub(super) fn finally(&mut self, block: Option<&'a Block>) -> Option<program::Block> {
        block.map(|block| {
            self.in_scope(&block.statements, |this| {
                this.define_outcome();
                this.statements(&block.statements, BlockKind::Plain)
            })
        })
    }

    /// The statements of a block, in the scope that is open.
    pub(super) fn statements(&mut self, statements: &'a [Statement], kind: BlockKind) -> program::Block {
        let mut block = program::Block::default();
        for statement in statements {
            match &statement.kind {
                StatementKind::OnFailure(what) => match block.on_failure {
                    None => block.on_failure = Some((*what, statement.span)),
                    Some((_, first)) => self.tell(
                        Diagnostic::error("E331", "a block says once what its failure does")
                            .at(statement.span, "said again here")
                            .at(first, "said first here"),
                    ),
                },
                StatementKind::Param(param) if kind == BlockKind::Top => self.param(param, statement.doc.as_ref()),
                _ => {
                    if let Some(kind) = self.statement(statement) {
                        block.statements.push(program::Statement { span: statement.span, kind });
                    }
                }
            }
            if kind == BlockKind::Parallel {
                self.hide_branch(statement);
            }
        }
        block
    }

    fn statement(&mut self, statement: &'a Statement) -> Option<program::StatementKind> {
        use program::StatementKind as Out;
        Some(match &statement.kind {
            StatementKind::Let { name, value } => self.pin(name, value),
            StatementKind::Record { name, value, modifiers } => self.record(name, value, modifiers)?,
            StatementKind::Call { call, modifiers } => match self.action_of(call) {
                Some(decl) => Out::Action(Box::new(self.action(decl, call, modifiers))),
                None => Out::Task(Box::new(self.task_call(call, modifiers)?)),
            },
            StatementKind::Wait { duration, alias } => {
                let duration = self.duration(duration, "`wait`");
                Out::Wait { duration, alias: self.alias(alias.as_ref()) }
            }
            StatementKind::WaitUntil(wait) => Out::WaitUntil(Box::new(self.wait_until(wait))),
            StatementKind::Assert(assert) => Out::Assert(Box::new(self.assert(assert))),
            StatementKind::Rollout(rollout) => Out::Rollout(Box::new(self.rollout(rollout)?)),
            StatementKind::Parallel { concurrency, alias, body } => Out::Parallel {
                concurrency: concurrency.as_ref().map(|count| self.count(count, "`concurrency`", 1)),
                alias: self.alias(alias.as_ref()),
                body: self.block(body, BlockKind::Parallel),
            },
            StatementKind::Group(group) => self.group(group),
            StatementKind::If(choice) => self.choice(choice),
            StatementKind::Approve { question, within, by, alias } => Out::Approve {
                question: self.at(question, &Type::String, "`approve`", Place::Live),
                within: self.optional_duration(within.as_ref(), "`within`"),
                by: by.as_ref().map(|by| self.group_of_people(by)),
                alias: self.alias(alias.as_ref()),
            },
            StatementKind::Guard(guard) => self.guard(guard),
            // What stands at the top of a file is taken elsewhere, and the parser keeps it there.
            StatementKind::Use(_)
            | StatementKind::Param(_)
            | StatementKind::Fn(_)
            | StatementKind::Task(_)
            | StatementKind::OnFailure(_) => return None,
        })
    }

    /// The group whose people may approve.
    fn group_of_people(&mut self, by: &'a Expr) -> Typed {
        if super::expression::plain_text(by).is_some_and(|group| group.trim().is_empty()) {
            self.tell(
                Diagnostic::error("E220", "nobody can approve this: no group has an empty name")
                    .at(by.span, "")
                    .help("name a group that `kubectl auth whoami` shows, or leave `by` out: then anyone may"),
            );
        }
        self.at(by, &Type::String, "`by`", Place::Early(GROUP))
    }

    fn param(&mut self, param: &'a ast::Param, doc: Option<&Doc>) {
        let ty = self.resolve_type(&param.ty);
        if let Some(why) = unfit_for_param(&ty) {
            self.tell(
                Diagnostic::error("E202", format!("a parameter cannot be {why}"))
                    .at(param.ty.span, "")
                    .help("take its name, as a string, and look it up: `nodes.filter(|n| n.name == name)`"),
            );
        }
        let default = param.default.as_ref().map(|default| {
            if ty == Type::Secret {
                self.tell(
                    Diagnostic::error("E212", "a secret has no default")
                        .at(default.span, "it would stand in the playbook")
                        .help(format!(
                            "give it as the run starts: `--set {0}=env:VAR` or `--set {0}=@FILE`",
                            param.name.name
                        )),
                );
                return super::expression::mistake(default.span);
            }
            self.at(default, &ty, &format!("the default of `{}`", param.name.name), Place::Param)
        });
        let name = param.name.name.clone();
        self.define(&param.name, What::Param, ty.clone(), Moment::Plan, Node::Name(name.clone()));
        let condition = param.condition.as_ref().map(|c| self.at(c, &Type::Bool, "`where`", Place::Param));
        let why = param.why.as_ref().map(|why| self.at(why, &Type::String, "`else`", Place::Param));
        let doc = doc.map(joined);
        self.params.push(Param { name, span: param.name.span, ty, default, condition, why, doc });
    }

    fn pin(&mut self, name: &'a Ident, value: &'a Expr) -> program::StatementKind {
        self.begin();
        let value = self.expr(value, None);
        self.hold(&value, Place::Early(LET));
        let value = self.definite(value);
        let moment = match self.frame.level {
            super::scope::Level::Top => Moment::Plan,
            _ => Moment::Begin,
        };
        self.define(name, What::Let, value.ty.clone(), moment, Node::Name(name.name.clone()));
        program::StatementKind::Let { name: name.name.clone(), value }
    }

    /// A value that a name can stand for: of a type that can be told, and no secret.
    fn definite(&mut self, value: Typed) -> Typed {
        match &value.ty {
            ty if *ty == Type::None || *ty == Type::list(Type::None) => self.tell(
                Diagnostic::error("E211", "`none` says nothing about what could be there")
                    .at(value.span, "")
                    .help("write it where it is used, or give its place a type: `param name: string? = none`"),
            ),
            Type::Secret => self.tell(
                Diagnostic::error("E212", "a secret bears no second name")
                    .at(value.span, "this is a secret")
                    .help("put it where it is used: `env: [\"TOKEN=${token}\"]` of `exec` and `job`, or `headers:`"),
            ),
            _ => return value,
        }
        super::expression::mistake(value.span)
    }

    fn record(&mut self, name: &'a Ident, value: &'a Expr, modifiers: &'a Modifiers) -> Option<program::StatementKind> {
        if let ExprKind::Call(call) = &value.kind
            && let Some(decl) = self.action_of(call)
        {
            return self.record_action(name, decl, call, modifiers);
        }
        self.refuse_modifiers(modifiers, "a recorded value", &["as"]);
        self.begin();
        let typed = self.expr(value, None);
        let value = self.definite(typed);
        let alias = self.alias(modifiers.alias.as_ref());
        self.define(name, What::Record(None), value.ty.clone(), Moment::Live, Node::Name(name.name.clone()));
        Some(program::StatementKind::Record { name: name.name.clone(), value, alias })
    }

    fn record_action(
        &mut self,
        name: &'a Ident,
        decl: &'static crate::catalog::actions::ActionDecl,
        call: &'a Call,
        modifiers: &'a Modifiers,
    ) -> Option<program::StatementKind> {
        self.refuse_modifiers(modifiers, "a recorded action", &["retry", "takes", "undo", "as"]);
        let mut action = self.action(decl, call, modifiers);
        action.record = Some(name.name.clone());
        let ty = match decl.result {
            Some(kind) => Type::Object(kind),
            None => {
                self.tell(
                    Diagnostic::error("E106", format!("`{}` gives nothing to record", decl.name))
                        .at(call.path.name.span, "")
                        .help("`exec` and `job` do; of others, record what the cluster shows afterwards"),
                );
                Type::Mistake
            }
        };
        self.define(name, What::Record(Some(decl.name)), ty, Moment::Live, Node::Name(name.name.clone()));
        Some(program::StatementKind::Action(Box::new(action)))
    }

    /// The action that a call names.
    fn action_of(&self, call: &Call) -> Option<&'static crate::catalog::actions::ActionDecl> {
        if call.path.module.is_some() { None } else { action(&call.path.name.name) }
    }

    fn wait_until(&mut self, wait: &'a WaitUntil) -> Gate {
        let gate = Gate {
            condition: self.at(&wait.condition, &Type::Bool, "`wait until`", Place::Live),
            hold: self.optional_duration(wait.hold.as_ref(), "`for`"),
            every: self.optional_duration(wait.every.as_ref(), "`every`"),
            within: self.optional_duration(wait.within.as_ref(), "`within`"),
            why: None,
            alias: self.alias(wait.alias.as_ref()),
        };
        self.refuse_endless_hold(&gate);
        gate
    }

    /// What must hold for longer than there is time never has.
    fn refuse_endless_hold(&mut self, gate: &Gate) {
        let (Some(hold), Some(within)) = (&gate.hold, &gate.within) else { return };
        let (Some(Value::Duration(needs)), Some(Value::Duration(has))) = (literal(hold), literal(within)) else {
            return;
        };
        if needs > has {
            self.tell(
                Diagnostic::error("E210", "this can never pass: it must hold for longer than it may take")
                    .at(hold.span, "for so long")
                    .at(within.span, "within this time")
                    .help("`within` counts from the beginning, the hold included: make it longer than `for`"),
            );
        }
    }

    fn assert(&mut self, assert: &'a Assert) -> Gate {
        Gate {
            condition: self.at(&assert.condition, &Type::Bool, "`assert`", Place::Live),
            hold: self.optional_duration(assert.hold.as_ref(), "`for`"),
            every: self.optional_duration(assert.every.as_ref(), "`every`"),
            within: None,
            why: self.shown(assert.why.as_ref(), "`else`"),
            alias: self.alias(assert.alias.as_ref()),
        }
    }

    fn group(&mut self, group: &'a Group) -> program::StatementKind {
        program::StatementKind::Group {
            name: self.text_of_plan(&group.name, "`group`"),
            alias: self.alias(group.alias.as_ref()),
            when: group.when.as_ref().map(|when| self.at(when, &Type::Bool, "`when`", Place::Live)),
            body: self.block(&group.body, BlockKind::Plain),
            finally: self.finally(group.finally.as_ref()),
        }
    }

    /// A branch sees what its condition shows not to be `none`, the ones after it what it shows by failing.
    fn choice(&mut self, choice: &'a If) -> program::StatementKind {
        let mut arms = Vec::new();
        let mut failed = Vec::new();
        for (condition, block) in &choice.arms {
            let typed = self.at(condition, &Type::Bool, "`if`", Place::Early(IF));
            let mut present = failed.clone();
            self.present_where(condition, true, &mut present);
            self.present_where(condition, false, &mut failed);
            arms.push((typed, self.branch(block, present)));
        }
        let otherwise = choice.otherwise.as_ref().map(|block| self.branch(block, failed));
        program::StatementKind::If { arms, otherwise }
    }

    fn branch(&mut self, block: &'a Block, present: Vec<&'a str>) -> program::Block {
        self.in_scope(&block.statements, |this| {
            this.note_present_in_block(present);
            this.statements(&block.statements, BlockKind::Plain)
        })
    }

    fn guard(&mut self, guard: &'a Guard) -> program::StatementKind {
        let what = match guard.kind {
            ast::GuardKind::Halt => "`halt when`",
            ast::GuardKind::Rollback => "`rollback when`",
            ast::GuardKind::PauseWhen => "`pause when`",
            ast::GuardKind::PauseUnless => "`pause unless`",
        };
        program::StatementKind::Guard {
            kind: guard.kind,
            condition: self.at(&guard.condition, &Type::Bool, what, Place::Live),
            hold: self.optional_duration(guard.hold.as_ref(), "`for`"),
            why: self.shown(guard.why.as_ref(), "`else`"),
        }
    }

    /// Tells of modifiers that do not go with a statement; `when` and `done when` of a record the parser has told.
    pub(super) fn refuse_modifiers(&mut self, modifiers: &Modifiers, what: &str, allowed: &[&str]) {
        let given = [
            ("retry", modifiers.retry.as_ref().map(|retry| retry.span)),
            ("when", modifiers.when.as_ref().map(|when| when.span)),
            ("done when", modifiers.done_when.as_ref().map(|done| done.span)),
            ("takes", modifiers.takes.as_ref().map(|takes| takes.span)),
            ("undo", modifiers.undo.as_ref().map(|undo| undo.span)),
            ("as", modifiers.alias.as_ref().map(|alias| alias.span)),
        ];
        for (word, span) in given {
            let is_told = what.starts_with("a recorded") && word.ends_with("when");
            let Some(span) = span.filter(|_| !allowed.contains(&word) && !is_told) else { continue };
            let names = allowed.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
            let names = match names.split_last() {
                Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
                _ => names.join(""),
            };
            self.tell(
                Diagnostic::error("E124", format!("`{word}` does not go with {what}"))
                    .at(span, "")
                    .help(format!("{what} takes {names}")),
            );
        }
    }
}

/// The value that an expression obviously has.
pub(super) fn literal(typed: &Typed) -> Option<Value> {
    match &typed.node {
        Node::Literal(value) => Some(value.clone()),
        Node::Unary(UnaryOp::Neg, of) => match literal(of)? {
            Value::Int(n) => Some(Value::Int(-n)),
            Value::Duration(ms) => Some(Value::Duration(-ms)),
            Value::Percent(share) => Some(Value::Percent(-share)),
            _ => None,
        },
        _ => None,
    }
}

/// What a caller cannot give.
fn unfit_for_param(ty: &Type) -> Option<String> {
    match ty {
        Type::Object(kind) => Some(format!("a {}", kind.word())),
        Type::List(inner) | Type::Map(inner) | Type::Optional(inner) => unfit_for_param(inner),
        _ if is_mistake(ty) => None,
        _ => None,
    }
}

fn joined(doc: &Doc) -> String {
    doc.lines.join("\n")
}
