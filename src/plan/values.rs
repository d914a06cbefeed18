//! Expressions of the plan: names to slots, what is evaluated now, and what is pinned as a rollout begins.

use crate::catalog::facts::IDENTITY;
use crate::catalog::types::{Kind, Moment, Type};
use crate::catalog::value::{Value, format_duration};
use crate::diagnostic::Diagnostic;
use crate::expr::ir::{Node, TextPart, Typed};
use crate::expr::lower::{LowerNames, literal, lower, one_line};
use crate::expr::{EvalError, load};
use crate::facts::reads::Reads;
use crate::source::Span;

use super::expand::Planner;
use super::graph::Code;
use super::names::Bound;

/// Which values a place takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// A duration longer than nothing.
    Time,
    /// A whole number, at least that.
    AtLeast(i64),
    /// Every value of the type.
    Any,
}

impl Planner<'_> {
    /// A copy with slots for names.
    pub(super) fn resolve(&mut self, typed: &Typed) -> Typed {
        let Node::Name(name) = &typed.node else {
            let copy = rebuilt(typed, &mut |part| self.resolve(part));
            return self.with_window(copy);
        };
        let (slot, moment) = match self.names.get(name) {
            Some(Bound::Slot(slot, moment)) => (slot.clone(), *moment),
            Some(Bound::Given(given)) => return (**given).clone(),
            None => {
                self.constant(name);
                (name.clone(), typed.moment)
            }
        };
        Typed { moment, node: Node::Name(slot), ..typed.clone() }
    }

    /// Evaluates the constant of a module when it is first used.
    fn constant(&mut self, name: &str) {
        if self.values.contains_key(name) || self.broken.contains(name) {
            return;
        }
        if let Some(constant) = self.program.constants.get(name) {
            let resolved = self.resolve(constant);
            let value = self.evaluate(&resolved, constant.span, &format!("`{name}`"));
            self.keep(name.to_owned(), value);
        }
    }

    /// Keeps what a slot holds; without a value, what uses it is not told again.
    pub(super) fn keep(&mut self, slot: String, value: Option<Value>) {
        match value {
            Some(value) => {
                self.values.insert(slot, value);
            }
            None => {
                self.broken.insert(slot);
            }
        }
    }

    /// The value of an expression now; `what` says what needs it. What it comes to otherwise is told.
    pub(super) fn known(&mut self, typed: &Typed, what: &str) -> Option<Value> {
        let resolved = self.resolve(typed);
        self.evaluate(&resolved, typed.span, what)
    }

    /// The value now of an expression that has slots for names.
    pub(super) fn evaluate(&mut self, resolved: &Typed, written: Span, what: &str) -> Option<Value> {
        if any(resolved, &mut |part| matches!(&part.node, Node::Name(slot) if self.broken.contains(slot))) {
            return None;
        }
        match self.try_evaluate(resolved, written) {
            Ok(value) => Some(value),
            Err(EvalError::Unknown(unknown)) => {
                let error = Diagnostic::error("E410", format!("{what} cannot be told when the plan is made"));
                let error = error.at(written, &unknown.why);
                self.diagnostics.push(if unknown.why.contains("none") {
                    error.help("say what holds then, `… ?? …`, or leave out what has none: `.filter(|x| … != none)`")
                } else {
                    error
                });
                None
            }
            Err(EvalError::Fault(what)) => {
                self.diagnostics.push(Diagnostic::error("E499", what).at(written, ""));
                None
            }
        }
    }

    /// As [`Planner::evaluate`], without telling.
    pub(super) fn try_evaluate(&mut self, resolved: &Typed, written: Span) -> Result<Value, EvalError> {
        let compiled = load(&self.code(resolved, written)).map_err(EvalError::Fault)?;
        compiled.evaluate(&self.values, self.facts, &mut Reads::default(), None)
    }

    /// The code of an expression that has slots for names.
    pub(super) fn code(&self, resolved: &Typed, written: Span) -> Code {
        let slots = std::collections::BTreeMap::new();
        let names = LowerNames { slots: &slots, sources: self.sources };
        Code { text: one_line(self.sources.text(written)), ..lower(resolved, &names) }
    }

    /// What is read where it stands: conditions, texts, what a rollout goes over.
    pub(super) fn live(&mut self, typed: &Typed) -> Code {
        let resolved = self.resolve(typed);
        self.code(&resolved, typed.span)
    }

    pub(super) fn live_if(&mut self, typed: Option<&Typed>) -> Option<Code> {
        typed.map(|typed| self.live(typed))
    }

    /// What an action is given: fields of elements and of what `let` pins are read as the rollout begins.
    pub(super) fn argument(&mut self, typed: &Typed) -> Code {
        let resolved = self.resolve(typed);
        let pinned = self.pinned(&resolved);
        self.code(&pinned, typed.span)
    }

    /// What is known when the plan is made, or in a body as its rollout begins: durations and counts.
    pub(super) fn early(&mut self, typed: &Typed, range: Range, what: &str) -> Code {
        let resolved = self.resolve(typed);
        if self.is_known_now(&resolved) {
            let Some(value) = self.evaluate(&resolved, typed.span, what) else {
                return self.code(&resolved, typed.span);
            };
            self.check_range(&value, range, typed.span, what);
            return Code { text: one_line(self.sources.text(typed.span)), ..literal(&value, typed.ty.clone()) };
        }
        if !reads_cluster(&resolved) {
            return self.code(&resolved, typed.span);
        }
        let code = self.code(&resolved, typed.span);
        self.pin(&resolved, code, what.trim_matches('`'))
    }

    pub(super) fn early_if(&mut self, typed: Option<&Typed>, range: Range, what: &str) -> Option<Code> {
        typed.map(|typed| self.early(typed, range, what))
    }

    /// Whether a value can be told now: outside rollouts' bodies always, in them where only the plan's values are used.
    pub(super) fn is_known_now(&self, resolved: &Typed) -> bool {
        self.is_at_top() || !(reads_cluster(resolved) || uses(resolved, Moment::Begin))
    }

    fn check_range(&mut self, value: &Value, range: Range, span: Span, what: &str) {
        let message = match (range, value) {
            (Range::Any, _) => return,
            (_, Value::None) => {
                let error = Diagnostic::error("E410", format!("{what} cannot be told when the plan is made"));
                self.diagnostics.push(error.at(span, "this is none").help("say what holds then: `… ?? …`"));
                return;
            }
            (Range::Time, Value::Duration(ms)) if *ms <= 0 => {
                format!("{what} takes a duration longer than nothing, and is {}", format_duration(*ms))
            }
            (Range::AtLeast(least), Value::Int(n)) if n < &least => format!("{what} is at least {least}, and is {n}"),
            (Range::Time | Range::AtLeast(_), _) => return,
        };
        self.diagnostics.push(Diagnostic::error("E413", message).at(span, ""));
    }

    /// A copy in which every chain of fields that reads an object is a slot, read as the innermost rollout begins.
    fn pinned(&mut self, typed: &Typed) -> Typed {
        if !is_pinnable(typed) {
            return rebuilt(typed, &mut |part| self.pinned(part));
        }
        let name = chain_text(typed);
        if self.is_at_top() {
            let value = self.evaluate(typed, typed.span, &format!("`{name}`"));
            let slot = self.names.fresh(&name);
            self.keep(slot.clone(), value);
            return Typed { moment: Moment::Plan, node: Node::Name(slot), ..typed.clone() };
        }
        let code = self.code(typed, typed.span);
        let slot = self.pin_slot(code, &name);
        Typed { node: Node::Name(slot), ..typed.clone() }
    }

    /// Pins a whole expression; gives the code that reads its slot.
    fn pin(&mut self, resolved: &Typed, code: Code, name: &str) -> Code {
        let written = code.text.clone();
        let slot = self.pin_slot(code, name);
        let read = Typed { node: Node::Name(slot), ..resolved.clone() };
        Code { text: written, ..self.code(&read, resolved.span) }
    }

    fn pin_slot(&mut self, code: Code, name: &str) -> String {
        let pins = self.pins.last().into_iter().flatten();
        if let Some((slot, _)) = pins.clone().find(|(_, pinned)| pinned.code == code.code) {
            return slot.clone();
        }
        let slot = self.names.fresh(name);
        if let Some(pins) = self.pins.last_mut() {
            pins.push((slot.clone(), code));
        }
        slot
    }
}

/// The value as code, with the text that a person wrote for it.
pub(super) fn literal_as(value: &Value, ty: Type, text: &str) -> Code {
    Code { text: text.to_owned(), ..literal(value, ty) }
}

/// A chain of fields that begins with a name known before the steps run, and reads more than an object's identity.
fn is_pinnable(typed: &Typed) -> bool {
    let mut reads = false;
    let mut at = typed;
    while let Node::Field(of, field) = &at.node {
        if let Type::Object(kind) = of.ty.required() {
            reads |= *kind != Kind::Outcome && !IDENTITY.contains(&field.as_str());
        }
        at = of;
    }
    reads && matches!(at.node, Node::Name(_)) && at.moment < Moment::Live
}

/// `node.zone`, the name of a slot.
fn chain_text(typed: &Typed) -> String {
    match &typed.node {
        Node::Field(of, field) => format!("{}.{field}", chain_text(of)),
        Node::Name(slot) => slot.split('#').next().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// Whether it uses a name that is known at that moment or later.
pub(super) fn uses(typed: &Typed, moment: Moment) -> bool {
    any(typed, &mut |part| matches!(part.node, Node::Name(_)) && part.moment >= moment)
}

/// Whether it reads the cluster, a probe or the clock.
pub(super) fn reads_cluster(typed: &Typed) -> bool {
    any(typed, &mut |part| match &part.node {
        Node::Fact(_) => true,
        Node::Call(name, _) => name != "shell",
        Node::Field(of, field) => match of.ty.required() {
            Type::Object(Kind::Outcome) => false,
            Type::Object(_) => !IDENTITY.contains(&field.as_str()),
            _ => false,
        },
        _ => false,
    })
}

/// Whether that holds for an expression or a part of it.
pub(super) fn any(typed: &Typed, holds: &mut dyn FnMut(&Typed) -> bool) -> bool {
    holds(typed) || parts(typed).into_iter().any(|part| any(part, holds))
}

fn parts(typed: &Typed) -> Vec<&Typed> {
    match &typed.node {
        Node::Literal(_) | Node::Name(_) | Node::Local(_) | Node::Fact(_) | Node::Mistake => Vec::new(),
        Node::Field(of, _) | Node::Closure(_, of) | Node::Unary(_, of) => vec![of],
        Node::Index(a, b) | Node::Binary(_, a, b) => vec![a, b],
        Node::Method(of, _, args) => std::iter::once(&**of).chain(args).collect(),
        Node::Call(_, items) | Node::List(items) => items.iter().collect(),
        Node::Inline(bindings, body) => bindings.iter().map(|(_, value)| value).chain([&**body]).collect(),
        Node::Text(pieces) => pieces
            .iter()
            .filter_map(|piece| match piece {
                TextPart::Value(value) => Some(value),
                TextPart::Text(_) => None,
            })
            .collect(),
    }
}

/// A copy with each of its direct parts replaced.
fn rebuilt(typed: &Typed, part: &mut dyn FnMut(&Typed) -> Typed) -> Typed {
    let node = match &typed.node {
        Node::Literal(_) | Node::Name(_) | Node::Local(_) | Node::Fact(_) | Node::Mistake => typed.node.clone(),
        Node::Field(of, field) => Node::Field(Box::new(part(of)), field.clone()),
        Node::Closure(param, body) => Node::Closure(param.clone(), Box::new(part(body))),
        Node::Unary(op, of) => Node::Unary(*op, Box::new(part(of))),
        Node::Index(a, b) => Node::Index(Box::new(part(a)), Box::new(part(b))),
        Node::Binary(op, a, b) => Node::Binary(*op, Box::new(part(a)), Box::new(part(b))),
        Node::Method(of, name, args) => {
            Node::Method(Box::new(part(of)), name.clone(), args.iter().map(&mut *part).collect())
        }
        Node::Call(name, args) => Node::Call(name.clone(), args.iter().map(&mut *part).collect()),
        Node::List(items) => Node::List(items.iter().map(&mut *part).collect()),
        Node::Inline(bindings, body) => {
            let bindings = bindings.iter().map(|(name, value)| (name.clone(), part(value))).collect();
            Node::Inline(bindings, Box::new(part(body)))
        }
        Node::Text(pieces) => Node::Text(
            pieces
                .iter()
                .map(|piece| match piece {
                    TextPart::Text(text) => TextPart::Text(text.clone()),
                    TextPart::Value(value) => TextPart::Value(part(value)),
                })
                .collect(),
        ),
    };
    Typed { ty: typed.ty.clone(), moment: typed.moment, span: typed.span, node }
}
