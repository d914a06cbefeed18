//! Calls in expressions: arguments matched to parameters, functions of the language and of the playbook.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::catalog::functions::{FunctionDecl, function};
use crate::catalog::types::{Moment, Type};
use crate::catalog::value::Value;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::expr::ir::{Node, Typed};
use crate::source::Span;
use crate::syntax::ast::{Arg, Call, Expr, Fn, Formal, Ident, Path};

use super::expression::mistake;
use super::inline::{Inlining, Replacement};
use super::program::TaskKey;
use super::scope::{Checker, Level, Progress, What};

/// How many nodes one call may bring in.
const LARGEST_BODY: usize = 10_000;

/// What a parameter says about its argument.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'s> {
    pub(super) name: &'s str,
    pub(super) is_required: bool,
    /// Whether it may be given without its name.
    pub(super) is_positional: bool,
}

/// A parameter of a task or a function.
pub(super) struct FormalInfo {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) default: Option<Typed>,
}

/// A checked function.
pub(super) struct FnInfo {
    params: Vec<FormalInfo>,
    /// What its parameters are called in the body.
    locals: Vec<String>,
    result: Type,
    body: Typed,
}

/// What a path names: nothing where that is told.
pub(super) enum Found<T> {
    Here(usize, T),
    Told,
}

impl<'a> Checker<'a> {
    /// Matches arguments to parameters, one place each; tells what is unknown, missing, given twice or misplaced.
    pub(super) fn match_args(
        &mut self,
        callee: &str,
        slots: &[Slot<'_>],
        args: &'a [Arg],
        span: Span,
    ) -> Vec<Option<&'a Expr>> {
        let mut matched: Vec<Option<&'a Expr>> = vec![None; slots.len()];
        let mut is_named = false;
        let mut told = false;
        for (index, arg) in args.iter().enumerate() {
            let at = match &arg.name {
                Some(name) => {
                    is_named = true;
                    self.named_slot(callee, slots, name)
                }
                None => self.positional_slot(callee, slots, index, is_named, arg.value.span),
            };
            let Some(at) = at else {
                told = true;
                continue;
            };
            if let Some(first) = matched[at] {
                self.tell(
                    Diagnostic::error("E122", format!("`{callee}` is given `{}` twice", slots[at].name))
                        .at(arg.value.span, "again")
                        .at(first.span, "the first time"),
                );
                continue;
            }
            matched[at] = Some(&arg.value);
        }
        let missing: Vec<_> = slots
            .iter()
            .zip(&matched)
            .filter(|(slot, arg)| slot.is_required && arg.is_none())
            .map(|(s, _)| s)
            .collect();
        if !missing.is_empty() && !told {
            let names = missing.iter().map(|slot| format!("`{}`", slot.name)).collect::<Vec<_>>().join(" and ");
            let signature = signature(callee, slots);
            self.tell(
                Diagnostic::error("E121", format!("`{callee}` needs {names}"))
                    .at(span, "")
                    .help(format!("it takes {signature}")),
            );
        }
        matched
    }

    fn named_slot(&mut self, callee: &str, slots: &[Slot<'_>], name: &Ident) -> Option<usize> {
        let found = slots.iter().position(|slot| slot.name == name.name);
        if found.is_none() {
            let error = Diagnostic::error("E120", format!("`{callee}` has no argument `{}`", name.name));
            self.tell(match did_you_mean(&name.name, slots.iter().map(|slot| slot.name)) {
                Some(near) => error.at(name.span, format!("did you mean `{near}`?")),
                None => error.at(name.span, "").help(format!("it takes {}", signature(callee, slots))),
            });
        }
        found
    }

    fn positional_slot(
        &mut self,
        callee: &str,
        slots: &[Slot<'_>],
        index: usize,
        is_named: bool,
        span: Span,
    ) -> Option<usize> {
        let wrong = |message: String, label: String| {
            Diagnostic::error("E123", message).at(span, label).help(format!("it takes {}", signature(callee, slots)))
        };
        let diagnostic = if is_named {
            wrong(format!("an argument of `{callee}` without a name stands after one with a name"), String::new())
        } else {
            match slots.get(index) {
                Some(slot) if slot.is_positional => return Some(index),
                Some(slot) => wrong(
                    format!("`{callee}` takes this argument by its name"),
                    format!("which one is it? `{}: …`?", slot.name),
                ),
                None if slots.is_empty() => wrong(format!("`{callee}` takes no argument"), "one too many".to_owned()),
                None => {
                    wrong(format!("`{callee}` takes {} and no more", counted(slots.len())), "one too many".to_owned())
                }
            }
        };
        self.tell(diagnostic);
        None
    }

    /// A call in an expression.
    pub(super) fn call(&mut self, call: &'a Call) -> Typed {
        if call.path.module.is_none()
            && let Some(decl) = function(&call.path.name.name)
        {
            return self.call_builtin(decl, call);
        }
        match self.find_fn(&call.path) {
            Found::Here(unit, function) => self.call_fn(unit, function, call),
            Found::Told => {
                for arg in &call.args {
                    self.expr(&arg.value, None);
                }
                mistake(call.span)
            }
        }
    }

    fn call_builtin(&mut self, decl: &'static FunctionDecl, call: &'a Call) -> Typed {
        let slots: Vec<_> = decl
            .params
            .iter()
            .map(|(name, _, is_required)| Slot { name, is_required: *is_required, is_positional: *is_required })
            .collect();
        let matched = self.match_args(decl.name, &slots, &call.args, call.span);
        let mut args = Vec::new();
        for ((name, ty, _), arg) in decl.params.iter().zip(matched) {
            args.push(match arg {
                Some(arg) if *name == "headers" => self.secret_texts(arg, name),
                Some(arg) if decl.name == "window" => {
                    self.refuse_no_window(arg);
                    self.value(arg, &ty(), &format!("`{name}`"))
                }
                Some(arg) => self.value(arg, &ty(), &format!("`{name}`")),
                None => omitted(name, ty(), call.span),
            });
        }
        let moment = args.iter().map(|arg| arg.moment).max().unwrap_or(Moment::Plan);
        Typed { ty: (decl.result)(), moment, span: call.span, node: Node::Call(decl.name.to_owned(), args) }
    }

    /// The function that a path names, with the unit that defines it.
    fn find_fn(&mut self, path: &'a Path) -> Found<&'a Fn> {
        let unit = match self.unit_of(path) {
            Found::Here(unit, ()) => unit,
            Found::Told => return Found::Told,
        };
        let name = path.name.name.as_str();
        if let Some(function) = self.tops[unit].fns.get(name).copied() {
            return Found::Here(unit, function);
        }
        let diagnostic = match &path.module {
            Some(module) => self.missing_in_module(unit, module, &path.name, true),
            None => self.unknown_function(&path.name),
        };
        self.tell(diagnostic);
        Found::Told
    }

    /// The unit that a path means: the file itself or a module that it brings in.
    pub(super) fn unit_of(&mut self, path: &Path) -> Found<()> {
        let Some(module) = &path.module else { return Found::Here(self.frame.unit, ()) };
        let uses = &self.units[self.frame.unit].uses;
        match uses.get(&module.name) {
            Some((_, Some(unit))) => Found::Here(*unit, ()),
            Some((_, None)) => Found::Told,
            None => {
                let near = did_you_mean(&module.name, uses.keys().map(String::as_str));
                self.tell(
                    Diagnostic::error("E115", format!("no module `{}` was brought in", module.name))
                        .at(module.span, near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default())
                        .help(format!("write `use std::{0}` or `use \"./{0}.sprag\"` at the top", module.name)),
                );
                Found::Told
            }
        }
    }

    /// Tells that a module does not have a name, or has it as something else.
    pub(super) fn missing_in_module(
        &self,
        unit: usize,
        module: &Ident,
        name: &Ident,
        is_expression: bool,
    ) -> Diagnostic {
        let tops = &self.tops[unit];
        let (text, module) = (name.name.as_str(), &module.name);
        if tops.tasks.contains_key(text) && is_expression {
            return Diagnostic::error("E106", format!("`{module}::{text}` is a task: it gives no value"))
                .at(name.span, "")
                .help("its call is a statement of its own");
        }
        if tops.fns.contains_key(text) || tops.values.contains_key(text) {
            let what = if tops.fns.contains_key(text) { "a function" } else { "a constant" };
            return Diagnostic::error("E106", format!("`{module}::{text}` is {what}")).at(name.span, "").help(
                if what == "a function" {
                    format!("call it in an expression: `{module}::{text}(…)`")
                } else {
                    format!("it is not called: `{module}::{text}`")
                },
            );
        }
        let all: Vec<_> = tops.tasks.keys().chain(tops.fns.keys()).chain(tops.values.keys()).copied().collect();
        let near = did_you_mean(text, all.iter().copied());
        let error = Diagnostic::error("E116", format!("the module `{module}` has no `{text}`"))
            .at(name.span, near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default());
        if all.is_empty() { error } else { error.help(format!("it has: {}", all.join(", "))) }
    }

    fn unknown_function(&self, name: &Ident) -> Diagnostic {
        let text = name.name.as_str();
        if crate::catalog::actions::action(text).is_some() {
            return Diagnostic::error("E106", format!("`{text}` is an action: it stands as a statement of its own"))
                .at(name.span, "not in an expression")
                .help("what `exec` and `job` came to is kept by `record result = exec(…)`");
        }
        if self.tops[self.frame.unit].tasks.contains_key(text) {
            return Diagnostic::error("E106", format!("`{text}` is a task: it gives no value"))
                .at(name.span, "")
                .help("its call is a statement of its own");
        }
        if self.seen(text).is_some() || crate::catalog::facts::fact(text).is_some() {
            let help = if text == "objects" { String::new() } else { format!("it is not called: `{text}`") };
            return Diagnostic::error("E106", format!("`{text}` is a value, not a function"))
                .at(name.span, "")
                .help(help);
        }
        let near = did_you_mean(text, self.function_names());
        Diagnostic::error("E102", format!("there is no function `{text}`"))
            .at(name.span, near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default())
    }

    fn call_fn(&mut self, unit: usize, function: &'a Fn, call: &'a Call) -> Typed {
        let Some(info) = self.fn_info(unit, function, call.span) else {
            for arg in &call.args {
                self.expr(&arg.value, None);
            }
            return mistake(call.span);
        };
        let slots = formal_slots(&info.params);
        let matched = self.match_args(&call.path.text(), &slots, &call.args, call.span);
        let mut bindings = Vec::new();
        let mut replacements = BTreeMap::new();
        for ((formal, local), arg) in info.params.iter().zip(&info.locals).zip(matched) {
            let value = match (arg, &formal.default) {
                (Some(arg), _) => self.value(arg, &formal.ty, &format!("`{}`", formal.name)),
                (None, Some(default)) => self.inlined(default, BTreeMap::new(), call.span),
                (None, None) => mistake(call.span),
            };
            let replacement = if is_simple(&value) {
                Replacement::Argument(value)
            } else {
                let name = self.fresh(&formal.name);
                let moment = value.moment;
                bindings.push((name.clone(), value));
                Replacement::Renamed(name, moment)
            };
            replacements.insert(local.clone(), replacement);
        }
        let body = self.inlined(&info.body, replacements, call.span);
        let moment = bindings.iter().map(|(_, value)| value.moment).fold(body.moment, Moment::max);
        Typed { ty: info.result.clone(), moment, span: call.span, node: Node::Inline(bindings, Box::new(body)) }
    }

    /// A copy of an expression, its locals named for the expression that is being checked.
    pub(super) fn inlined(&mut self, typed: &Typed, replacements: BTreeMap<String, Replacement>, span: Span) -> Typed {
        let mut inlining = Inlining { replacements, locals: &mut self.frame.locals, room: LARGEST_BODY };
        let copy = inlining.copy(typed);
        copy.unwrap_or_else(|| {
            self.tell(
                Diagnostic::error("E218", "this call brings in too large an expression")
                    .at(span, format!("more than {LARGEST_BODY} parts, with the functions that it calls"))
                    .help("a `let` keeps a value that several functions need"),
            );
            mistake(span)
        })
    }

    /// The checked function, checked at its first call; `None` if it calls itself, which is told.
    fn fn_info(&mut self, unit: usize, function: &'a Fn, call: Span) -> Option<Rc<FnInfo>> {
        let key = TaskKey { file: self.units[unit].file, name: function.name.name.clone() };
        match self.fns.get(&key) {
            Some(Progress::Done(info)) => return Some(Rc::clone(info)),
            Some(Progress::UnderWay) => {
                self.tell_recursion(&key, call);
                return None;
            }
            None => {}
        }
        self.fns.insert(key.clone(), Progress::UnderWay);
        self.chain.push(key.clone());
        let info = Rc::new(self.in_frame(unit, Level::Body, |this| this.check_fn(function)));
        self.chain.pop();
        self.fns.insert(key, Progress::Done(Rc::clone(&info)));
        Some(info)
    }

    /// Checks a function that nothing calls.
    pub(super) fn check_uncalled_fn(&mut self, unit: usize, function: &'a Fn) {
        self.fn_info(unit, function, function.name.span);
    }

    fn check_fn(&mut self, function: &'a Fn) -> FnInfo {
        let params = self.formals(&function.params);
        let result = self.resolve_type(&function.result);
        self.in_scope(&[], |this| {
            let mut locals = Vec::new();
            for (formal, info) in function.params.iter().zip(&params) {
                let local = this.fresh(&info.name);
                let node = Node::Local(local.clone());
                this.define(&formal.name, What::Local, info.ty.clone(), Moment::Plan, node);
                locals.push(local);
            }
            let body = this.given(&function.body, &result, &format!("`{}`", function.name.name));
            FnInfo { params, locals, result, body }
        })
    }

    /// The parameters of a task or a function; their defaults see parameters of the playbook and constants.
    pub(super) fn formals(&mut self, formals: &'a [Formal]) -> Vec<FormalInfo> {
        let mut infos: Vec<FormalInfo> = Vec::new();
        for formal in formals {
            let ty = self.resolve_type(&formal.ty);
            let default = formal.default.as_ref().map(|default| {
                self.frame.locals = 0;
                self.value(default, &ty, &format!("the default of `{}`", formal.name.name))
            });
            infos.push(FormalInfo { name: formal.name.name.clone(), ty, default });
        }
        infos
    }

    /// Tells that a task or a function reaches itself.
    pub(super) fn tell_recursion(&mut self, key: &TaskKey, call: Span) {
        let from = self.chain.iter().position(|under_way| under_way == key).unwrap_or(0);
        let mut chain: Vec<_> = self.chain[from..].iter().map(|key| format!("`{}`", key.name)).collect();
        chain.push(format!("`{}`", key.name));
        self.tell(
            Diagnostic::error("E107", format!("`{}` reaches itself", key.name)).at(call, chain.join(" → ")).help(
                "tasks and functions do not recurse: a `rollout` repeats steps, list methods repeat an expression",
            ),
        );
    }
}

/// What stands for an argument that was left out.
fn omitted(name: &str, ty: Type, span: Span) -> Typed {
    let node = match name {
        "every" => Node::Literal(Value::Duration(15_000)),
        _ => Node::List(Vec::new()),
    };
    Typed { ty, moment: Moment::Plan, span, node }
}

pub(super) fn formal_slots(params: &[FormalInfo]) -> Vec<Slot<'_>> {
    params
        .iter()
        .map(|formal| Slot { name: &formal.name, is_required: formal.default.is_none(), is_positional: true })
        .collect()
}

/// Whether an argument can stand in the body itself: a name, a literal, or fields of a name, so that what an element's
/// field is stays in sight for what pins it.
fn is_simple(typed: &Typed) -> bool {
    match &typed.node {
        Node::Name(_) | Node::Local(_) | Node::Literal(_) | Node::Fact(_) => true,
        Node::Field(of, _) => is_simple(of),
        _ => false,
    }
}

fn signature(callee: &str, slots: &[Slot<'_>]) -> String {
    let show = |slot: &Slot<'_>| match (slot.is_positional, slot.is_required) {
        (true, true) => slot.name.to_owned(),
        (_, true) => format!("{}: …", slot.name),
        (_, false) => format!("{}: …?", slot.name),
    };
    if slots.is_empty() {
        return "nothing".to_owned();
    }
    format!("`{callee}({})`", slots.iter().map(show).collect::<Vec<_>>().join(", "))
}

fn counted(count: usize) -> String {
    match count {
        1 => "one argument".to_owned(),
        n => format!("{n} arguments"),
    }
}
