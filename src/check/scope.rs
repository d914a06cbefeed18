//! Names: what is seen where, and the checker's state around it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::catalog::actions::{ACTIONS, action};
use crate::catalog::facts::{FACTS, fact};
use crate::catalog::functions::{FUNCTIONS, function};
use crate::catalog::types::{Moment, Type};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::expr::ir::{Node, Typed};
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{Ident, Statement, StatementKind};

use super::call::FnInfo;
use super::modules::{Tops, Unit};
use super::program::{Param, TaskKey};
use super::task::{TaskFrame, TaskInfo};

/// What a `finally` is told about the block that it belongs to.
pub(super) const OUTCOME: &str = "outcome";

/// Where in a playbook a statement stands, as far as moments go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Outside every rollout's body: what is known early is known when the plan is made.
    Top,
    /// In a task, outside its own rollouts' bodies: as at the place of the call.
    Task,
    /// In a rollout's body: what is known early is known as the rollout begins.
    Body,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Param,
    Let,
    /// A recorded value, or the result of that action.
    Record(Option<&'static str>),
    Element,
    /// The task's parameter of that index.
    Formal(usize),
    Constant,
    /// The parameter of a closure or a function.
    Local,
    Outcome,
}

/// A name that is seen.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    pub(super) what: What,
    pub(super) span: Option<Span>,
    pub(super) ty: Type,
    pub(super) moment: Moment,
    pub(super) level: Level,
    pub(super) node: Node,
}

/// The names of one block.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) names: BTreeMap<String, Binding>,
    /// Names that the block defines further down.
    later: BTreeMap<&'a str, Span>,
    /// Expressions, as text, that the condition of the block shows not to be `none`.
    present: Vec<&'a str>,
}

/// What surrounds the expression being checked. A task or a function is checked in a frame of its own.
pub(super) struct Frame<'a> {
    pub(super) unit: usize,
    pub(super) scopes: Vec<Scope<'a>>,
    pub(super) level: Level,
    /// The task being checked.
    pub(super) task: Option<TaskFrame>,
    /// Whether names defined outside every block belong to the file.
    at_top: bool,
    /// Names of blocks that have ended, to say why one is not seen.
    ended: BTreeMap<String, Span>,
    /// How many locals the expression has, so that each name is its own.
    pub(super) locals: u32,
    /// Expressions, as text, that the conditions around this one show not to be `none`.
    pub(super) present: Vec<&'a str>,
    /// How deep the expression is.
    pub(super) depth: u32,
    /// Whether it was told that the expression is too deep.
    pub(super) is_too_deep: bool,
}

impl Frame<'_> {
    fn new(unit: usize, level: Level) -> Self {
        Self {
            unit,
            scopes: Vec::new(),
            level,
            task: None,
            at_top: false,
            ended: BTreeMap::new(),
            locals: 0,
            present: Vec::new(),
            depth: 0,
            is_too_deep: false,
        }
    }
}

/// How far a function or a task is checked.
pub(super) enum Progress<T> {
    UnderWay,
    Done(Rc<T>),
}

/// The checker: reads units, collects diagnostics, makes the program.
pub(super) struct Checker<'a> {
    pub(super) sources: &'a SourceMap,
    pub(super) units: &'a [Unit],
    pub(super) tops: Vec<Tops<'a>>,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) globals: Vec<Scope<'a>>,
    pub(super) fns: BTreeMap<TaskKey, Progress<FnInfo>>,
    pub(super) tasks: BTreeMap<TaskKey, Progress<TaskInfo>>,
    /// The functions and tasks under way, outermost first.
    pub(super) chain: Vec<TaskKey>,
    /// The tasks that the playbook itself calls.
    pub(super) called: BTreeSet<TaskKey>,
    pub(super) params: Vec<Param>,
    pub(super) constants: BTreeMap<String, Typed>,
    /// Names that may be `none`, each warned of once, by where they are defined.
    pub(super) warned: BTreeSet<Span>,
    pub(super) frame: Frame<'a>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(sources: &'a SourceMap, units: &'a [Unit]) -> Self {
        let tops: Vec<_> = units.iter().map(Unit::tops).collect();
        let globals = tops.iter().map(|tops| Scope { later: tops.values.clone(), ..Scope::default() }).collect();
        Self {
            sources,
            units,
            tops,
            diagnostics: Vec::new(),
            globals,
            fns: BTreeMap::new(),
            tasks: BTreeMap::new(),
            chain: Vec::new(),
            called: BTreeSet::new(),
            params: Vec::new(),
            constants: BTreeMap::new(),
            warned: BTreeSet::new(),
            frame: Frame::new(0, Level::Top),
        }
    }

    pub(super) fn tell(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// What was written there.
    pub(super) fn text(&self, span: Span) -> &'a str {
        self.sources.text(span)
    }

    /// Begins the statements at the top of a unit.
    pub(super) fn enter_unit(&mut self, unit: usize) {
        self.frame = Frame { at_top: true, ..Frame::new(unit, Level::Top) };
    }

    /// Checks a task or a function of `unit` in a frame of its own.
    pub(super) fn in_frame<T>(&mut self, unit: usize, level: Level, check: impl FnOnce(&mut Self) -> T) -> T {
        let around = std::mem::replace(&mut self.frame, Frame::new(unit, level));
        let result = check(self);
        self.frame = around;
        result
    }

    /// Checks a block in a scope of its own.
    pub(super) fn in_scope<T>(&mut self, statements: &'a [Statement], check: impl FnOnce(&mut Self) -> T) -> T {
        let later = statements.iter().filter_map(defined).map(|name| (name.name.as_str(), name.span)).collect();
        self.frame.scopes.push(Scope { later, ..Scope::default() });
        let result = check(self);
        let ended = self.frame.scopes.pop().unwrap_or_default();
        for (name, binding) in ended.names {
            if let (Some(span), false) = (binding.span, binding.what == What::Local) {
                self.frame.ended.insert(name, span);
            }
        }
        result
    }

    /// Defines a name in the innermost block, unless it is taken.
    pub(super) fn define(&mut self, name: &Ident, what: What, ty: Type, moment: Moment, node: Node) {
        if self.refuse_language(name, false) {
            return;
        }
        self.refuse_taken(name);
        let binding = Binding { what, span: Some(name.span), ty, moment, level: self.frame.level, node };
        self.innermost().names.entry(name.name.clone()).or_insert(binding);
    }

    /// Defines `outcome` in a `finally`.
    pub(super) fn define_outcome(&mut self) {
        let (what, ty, moment) = (What::Outcome, Type::String, Moment::Live);
        let node = Node::Name(OUTCOME.to_owned());
        let binding = Binding { what, span: None, ty, moment, level: self.frame.level, node };
        self.innermost().names.insert(OUTCOME.to_owned(), binding);
    }

    fn innermost(&mut self) -> &mut Scope<'a> {
        let unit = self.frame.unit;
        match self.frame.scopes.last_mut() {
            Some(scope) => scope,
            None => &mut self.globals[unit],
        }
    }

    /// A local's own name: no two of an expression are alike.
    pub(super) fn fresh(&mut self, name: &str) -> String {
        self.frame.locals += 1;
        format!("{name}_{}", self.frame.locals)
    }

    /// The name, if it is seen here; facts are not among them.
    pub(super) fn seen(&self, name: &str) -> Option<&Binding> {
        let inner = self.frame.scopes.iter().rev().find_map(|scope| scope.names.get(name));
        inner.or_else(|| self.globals[self.frame.unit].names.get(name))
    }

    fn refuse_taken(&mut self, name: &Ident) {
        let tops = &self.tops[self.frame.unit];
        let callable = tops.fns.get(name.name.as_str()).map(|f| f.name.span);
        let callable = callable.or_else(|| tops.tasks.get(name.name.as_str()).map(|task| task.name.span));
        // A task's body stands apart from the file's statements, so what they define later is seen there too.
        let elsewhere = (!self.frame.at_top).then(|| tops.values.get(name.name.as_str()).copied()).flatten();
        let seen = self.seen(&name.name).and_then(|binding| binding.span);
        if let Some(first) = seen.or(elsewhere).or(callable).filter(|first| *first != name.span) {
            self.tell_taken(name, first);
        }
    }

    /// Tells that a name is defined twice where both are seen.
    pub(super) fn tell_taken(&mut self, name: &Ident, first: Span) {
        self.tell(
            Diagnostic::error("E103", format!("the name `{}` is taken", name.name))
                .at(name.span, "defined again")
                .at(first, "already defined here")
                .help("call one of them something else: names are not shadowed"),
        );
    }

    /// Tells that a name belongs to the language; tasks and functions may bear fewer names than values.
    pub(super) fn refuse_language(&mut self, name: &Ident, is_callable: bool) -> bool {
        let text = name.name.as_str();
        let owner = if fact(text).is_some() {
            "a fact"
        } else if function(text).is_some() {
            "a function"
        } else if text == OUTCOME {
            "what a `finally` is told"
        } else if is_callable && action(text).is_some() {
            "an action"
        } else if is_callable && crate::catalog::CLAUSE_WORDS.contains(&text) {
            "a word of the language"
        } else {
            return false;
        };
        self.tell(
            Diagnostic::error("E104", format!("`{text}` cannot be redefined"))
                .at(name.span, format!("this is {owner}"))
                .help("call it something else"),
        );
        true
    }

    /// Tells that no value has that name, and what was probably meant.
    pub(super) fn tell_unknown(&mut self, name: &Ident) {
        let diagnostic = self.unknown_name(name);
        self.tell(diagnostic);
    }

    fn unknown_name(&self, name: &Ident) -> Diagnostic {
        let text = name.name.as_str();
        let scopes = self.frame.scopes.iter().rev().chain(std::iter::once(&self.globals[self.frame.unit]));
        if let Some(later) = scopes.clone().find_map(|scope| scope.later.get(text)) {
            return Diagnostic::error("E105", format!("`{text}` is used before it is defined"))
                .at(name.span, "used here")
                .at(*later, "defined only here")
                .help("move the definition up");
        }
        if let Some(diagnostic) = self.not_a_value(name) {
            return diagnostic;
        }
        let error = Diagnostic::error("E101", format!("nothing here is called `{text}`"));
        if let Some(span) = self.frame.ended.get(text) {
            return error
                .at(name.span, "not seen here")
                .at(*span, "its name ends with the block that it belongs to")
                .help(
                    "a name is seen from its definition to the end of its block, not by what stands beside the block",
                );
        }
        if text == OUTCOME {
            return error.at(name.span, "known in a `finally` only");
        }
        let known = scopes.flat_map(|scope| scope.names.keys()).map(String::as_str);
        let near = did_you_mean(text, known.chain(FACTS.iter().map(|fact| fact.name)));
        error.at(name.span, near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default())
    }

    /// What else has the name: a function, a task, an action, a module.
    fn not_a_value(&self, name: &Ident) -> Option<Diagnostic> {
        let text = name.name.as_str();
        let tops = &self.tops[self.frame.unit];
        let (what, help) = if function(text).is_some() || tops.fns.contains_key(text) {
            ("a function", format!("call it: `{text}(…)`"))
        } else if tops.tasks.contains_key(text) {
            ("a task", format!("its call is a statement of its own: `{text}(…)`"))
        } else if action(text).is_some() {
            ("an action", format!("it is a statement of its own: `{text}(…)`"))
        } else if self.units[self.frame.unit].uses.contains_key(text) {
            ("a module", format!("say what of it: `{text}::name`"))
        } else {
            return None;
        };
        let error = Diagnostic::error("E106", format!("`{text}` is {what}, not a value"));
        Some(error.at(name.span, "").help(help))
    }

    /// Hides what a branch of `parallel` recorded from the branches beside it.
    pub(super) fn hide_branch(&mut self, branch: &Statement) {
        let Some(name) = defined(branch) else { return };
        self.innermost().later.remove(name.name.as_str());
        if let Some(binding) = self.innermost().names.remove(&name.name) {
            self.frame.ended.extend(binding.span.map(|span| (name.name.clone(), span)));
        }
    }

    /// Notes what the condition of a block shows not to be `none`.
    pub(super) fn note_present_in_block(&mut self, present: Vec<&'a str>) {
        self.innermost().present = present;
    }

    /// Whether conditions around show that this is not `none`.
    pub(super) fn is_present(&self, text: &str) -> bool {
        let blocks = self.frame.scopes.iter().flat_map(|scope| &scope.present);
        blocks.chain(&self.frame.present).any(|present| *present == text)
    }

    /// Every name that can be called here as a statement.
    pub(super) fn callable_names(&self) -> impl Iterator<Item = &str> {
        let tasks = self.tops[self.frame.unit].tasks.keys().copied();
        ACTIONS.iter().map(|action| action.name).chain(tasks)
    }

    /// Every name that can be called here in an expression.
    pub(super) fn function_names(&self) -> impl Iterator<Item = &str> {
        let own = self.tops[self.frame.unit].fns.keys().copied();
        FUNCTIONS.iter().map(|function| function.name).chain(own)
    }
}

/// The name that a statement defines for those after it.
fn defined(statement: &Statement) -> Option<&Ident> {
    match &statement.kind {
        StatementKind::Let { name, .. } | StatementKind::Record { name, .. } => Some(name),
        _ => None,
    }
}
