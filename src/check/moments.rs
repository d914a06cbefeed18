//! When a value is known, held against when its place needs it (LANGUAGE.md, "The place decides when an expression is
//! read"). An expression's own moment counts its names alone; facts are read whenever the place reads.

use crate::catalog::facts::IDENTITY;
use crate::catalog::types::{Kind, Moment, Type};
use crate::diagnostic::Diagnostic;
use crate::expr::ir::{Node, TextPart, Typed};
use crate::source::Span;

use super::scope::{Checker, Level, What};
use super::task::Demand;

/// Why a place needs a value before its steps run, and what to do about one that is recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Early {
    /// `` `if` is decided ``
    pub(super) subject: &'static str,
    help: &'static str,
}

pub(super) const IF: Early =
    Early { subject: "`if` is decided", help: "use `when` on the steps, which is decided as they start" };
pub(super) const LET: Early =
    Early { subject: "a `let` is known", help: "use `record`, which is read as its step runs" };
pub(super) const DURATION: Early = Early { subject: "a duration is known", help: FROM_PARAM };
pub(super) const COUNT: Early = Early { subject: "a count is known", help: FROM_PARAM };
pub(super) const NAME: Early = Early { subject: "a name is known", help: FROM_PARAM };
pub(super) const GROUP: Early = Early { subject: "who may answer is known", help: FROM_PARAM };
pub(super) const SIZES: Early = Early { subject: "`batches` is known", help: FROM_PARAM };
pub(super) const LIST: Early = Early {
    subject: "what is rolled over is known",
    help: "roll over what facts, parameters and `let`s say, and leave elements out by `when` on the steps",
};
pub(super) const ORDER: Early = Early { subject: "the order of elements is known", help: FROM_PARAM };
const FROM_PARAM: &str = "take it from a parameter or a `let`";

/// What a place asks of an expression.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// A parameter's default or condition: nothing of the cluster.
    Param,
    /// A constant of a module: nothing of the cluster.
    Constant,
    /// Known when the plan is made, in a rollout's body as the rollout begins.
    Early(Early),
    /// Known as the rollout that is about to begin begins.
    Select(Early),
    /// An action's argument: put together as its step starts, from what is known by then.
    Argument,
    /// An action's argument that is a duration of the plan.
    Timeout,
    /// Read while the run is on, as often as it matters.
    Live,
}

/// A sub-expression as a person finds it.
#[derive(Clone, Copy)]
struct Spot {
    /// The whole chain of fields and methods that it begins.
    chain: Span,
    /// The call of a function, in whose body it stands.
    call: Option<Span>,
}

impl Spot {
    fn shown(self) -> Span {
        self.call.unwrap_or(self.chain)
    }
}

/// What an argument would read.
struct Reading {
    spot: Spot,
    label: String,
}

impl Checker<'_> {
    /// Holds an expression against its place.
    pub(super) fn hold(&mut self, typed: &Typed, place: Place) {
        match place {
            Place::Live => {}
            Place::Param | Place::Constant => self.hold_still(typed, place),
            Place::Early(early) => self.hold_early(typed, early, self.early_moment()),
            Place::Select(early) => self.hold_early(typed, early, "as the rollout begins"),
            Place::Argument => self.hold_argument(typed),
            Place::Timeout => {
                self.hold_early(typed, DURATION, self.early_moment());
                self.hold_argument(typed);
            }
        }
    }

    fn early_moment(&self) -> &'static str {
        match self.frame.level {
            Level::Top => "when the plan is made",
            Level::Task => "before the task's steps run",
            Level::Body => "as the rollout begins",
        }
    }

    fn hold_still(&mut self, typed: &Typed, place: Place) {
        let mut found = None;
        each(typed, Spot { chain: typed.span, call: None }, &mut |part, spot| {
            if found.is_none() {
                found = label_of_reading(part).map(|label| (label, spot.shown()));
            }
        });
        let Some((label, span)) = found else { return };
        let (message, help) = match place {
            Place::Constant => (
                "a module's constant cannot read the cluster",
                "make it a `fn`: that is read at the place that calls it",
            ),
            _ => (
                "a parameter cannot read the cluster: it is checked before anything is looked at",
                "check it by an `assert` below, or leave the default out",
            ),
        };
        self.tell(Diagnostic::error("E313", message).at(span, label).help(help));
    }

    fn hold_early(&mut self, typed: &Typed, early: Early, moment: &str) {
        self.demand_early(typed, Demand { span: typed.span, subject: early.subject });
        let Some((name, spot)) = first_live(typed) else { return };
        let error = self.known_only_live(&name).at(spot.shown(), format!("but {} {moment}", early.subject));
        let error = self.at_record(error, &name);
        self.tell(error.help(early.help));
    }

    fn known_only_live(&self, name: &str) -> Diagnostic {
        Diagnostic::error("E311", format!("`{name}` is known only while running"))
    }

    fn at_record(&self, error: Diagnostic, name: &str) -> Diagnostic {
        match self.seen(name).and_then(|binding| binding.span) {
            Some(span) => error.at(span, "recorded here, when the step runs"),
            None => error,
        }
    }

    /// Notes that the parameters of the task around, where an expression uses them, must be known early.
    fn demand_early(&mut self, typed: &Typed, demand: Demand) {
        let mut formals = Vec::new();
        each(typed, Spot { chain: typed.span, call: None }, &mut |part, _| {
            if let Node::Name(name) = &part.node
                && let Some(What::Formal(index)) = self.seen(name).map(|binding| binding.what)
            {
                formals.push(index);
            }
        });
        if let Some(task) = &mut self.frame.task {
            for index in formals {
                task.early.entry(index).or_insert(demand);
            }
        }
    }

    fn hold_argument(&mut self, typed: &Typed) {
        if let Some(reading) = self.reading(typed, Spot { chain: typed.span, call: None }) {
            self.tell_reading(&reading);
        }
    }

    fn tell_reading(&mut self, reading: &Reading) {
        let span = reading.spot.shown();
        let text = crate::expr::lower::one_line(self.text(span));
        let early = match self.frame.level {
            Level::Top => "as planned",
            Level::Task => "as it is before the task's steps run",
            Level::Body => "as it is when the rollout begins",
        };
        let mut error =
            Diagnostic::error("E312", "an argument cannot read the cluster by itself").at(span, &reading.label);
        if reading.spot.call.is_some() {
            error = error.at(reading.spot.chain, "read here");
        }
        self.tell(error.help(format!(
            "say which is meant on a line before: `let x = {text}` ({early}) or `record x = {text}` (as it is at that step)"
        )));
    }

    /// What an argument would read of the cluster: facts, probes, the clock, fields of what is not pinned.
    fn reading(&mut self, typed: &Typed, spot: Spot) -> Option<Reading> {
        if let Some(label) = label_of_reading(typed) {
            return Some(Reading { spot, label });
        }
        if let Node::Field(of, field) = &typed.node {
            let within = self.reading(of, spot);
            return within.or_else(|| self.reading_field(of, field, spot));
        }
        let mut found = None;
        for (part, at) in parts(typed, spot) {
            found = found.or_else(|| self.reading(part, at));
        }
        found
    }

    /// A field in an argument: known of an element and of what a `let` of the body pins, journalled with the element.
    fn reading_field(&mut self, of: &Typed, field: &str, spot: Spot) -> Option<Reading> {
        let kind = match of.ty.required() {
            Type::Object(Kind::Outcome) => return None,
            Type::Object(_) if IDENTITY.contains(&field) => return None,
            Type::Object(kind) => *kind,
            _ => return None,
        };
        let unpinned = |label| Some(Reading { spot, label });
        let Some(binding) = root(of).and_then(|name| self.seen(name)) else {
            return unpinned(format!("this reads the `{field}` of a {}", kind.word()));
        };
        let name = root(of).unwrap_or_default();
        match (binding.what, binding.level) {
            (What::Element, _) | (What::Let, Level::Body) => None,
            (What::Formal(index), _) => {
                self.demand_pin(of.span, Some(index));
                None
            }
            (What::Let, Level::Task) => {
                self.demand_pin(of.span, None);
                None
            }
            (What::Record(_), _) => unpinned(format!("`{name}` says which {}, not what its `{field}` is", kind.word())),
            _ => unpinned(format!("`let {name}` pins which {}, not what its `{field}` is", kind.word())),
        }
    }

    fn demand_pin(&mut self, span: Span, formal: Option<usize>) {
        let demand = Demand { span, subject: "fields of it are put into an argument, so it is known" };
        if let Some(task) = &mut self.frame.task {
            task.body.get_or_insert(span);
            if let Some(index) = formal {
                task.early.entry(index).or_insert(demand);
            }
        }
    }

    /// Holds an argument of a task against what the task does with it. Like a `let` it may read facts, unless it uses
    /// recorded values: then there is no moment at which both could be read.
    pub(super) fn hold_task_argument(&mut self, typed: &Typed, demand: Option<Demand>) {
        let mut reads = false;
        each(typed, Spot { chain: typed.span, call: None }, &mut |part, _| reads |= label_of_reading(part).is_some());
        let own = Demand { span: typed.span, subject: "what it is given is read" };
        if let Some(demand) = demand.or(reads.then_some(own)) {
            self.demand_early(typed, demand);
        }
        let Some((name, spot)) = first_live(typed) else { return };
        if let Some(demand) = demand {
            let error = self
                .known_only_live(&name)
                .at(spot.shown(), "but the task needs it earlier")
                .at(demand.span, format!("{} before the task's steps run", demand.subject));
            let error = self.at_record(error, &name);
            self.tell(error.help("take it from a parameter or a `let`, or let the task record it itself"));
        } else {
            self.hold_argument(typed);
        }
    }
}

/// What it reads of the cluster, a probe or the clock, if it does.
fn label_of_reading(typed: &Typed) -> Option<String> {
    match &typed.node {
        Node::Fact(name) => Some(format!("this reads `{name}`")),
        Node::Call(name, _) if name != "shell" => Some(format!("this reads `{name}(…)`")),
        _ => None,
    }
}

/// The first name that is known only while running.
fn first_live(typed: &Typed) -> Option<(String, Spot)> {
    if typed.moment < Moment::Live {
        return None;
    }
    let mut found = None;
    each(typed, Spot { chain: typed.span, call: None }, &mut |part, spot| {
        if let (None, Node::Name(name), Moment::Live) = (&found, &part.node, part.moment) {
            found = Some((name.clone(), Spot { chain: part.span, call: spot.call }));
        }
    });
    found
}

/// The name that a chain of fields begins with.
fn root(typed: &Typed) -> Option<&str> {
    match &typed.node {
        Node::Name(name) => Some(name),
        Node::Field(of, _) => root(of),
        _ => None,
    }
}

/// Visits an expression and all its parts, outermost first.
fn each(typed: &Typed, spot: Spot, visit: &mut dyn FnMut(&Typed, Spot)) {
    visit(typed, spot);
    for (part, at) in parts(typed, spot) {
        each(part, at, visit);
    }
}

/// The parts of an expression, each with its spot.
fn parts(typed: &Typed, spot: Spot) -> Vec<(&Typed, Spot)> {
    let own = |part: &'_ Typed| Spot { chain: part.span, call: spot.call };
    match &typed.node {
        Node::Literal(_) | Node::Name(_) | Node::Local(_) | Node::Fact(_) | Node::Mistake => Vec::new(),
        Node::Field(of, _) => vec![(&**of, spot)],
        Node::Index(of, key) => vec![(&**of, spot), (&**key, own(key))],
        Node::Method(of, _, args) => {
            // What a closure reads of an item means nothing without the list.
            let at = |arg: &Typed| if matches!(arg.node, Node::Closure(..)) { spot } else { own(arg) };
            std::iter::once((&**of, spot)).chain(args.iter().map(|arg| (arg, at(arg)))).collect()
        }
        Node::Closure(_, body) => vec![(&**body, spot)],
        Node::Unary(_, body) => vec![(&**body, own(body))],
        Node::Call(_, items) | Node::List(items) => items.iter().map(|item| (item, own(item))).collect(),
        Node::Binary(_, left, right) => vec![(&**left, own(left)), (&**right, own(right))],
        Node::Text(pieces) => pieces
            .iter()
            .filter_map(|piece| match piece {
                TextPart::Value(value) => Some((value, own(value))),
                TextPart::Text(_) => None,
            })
            .collect(),
        Node::Inline(bindings, body) => {
            let call = Spot { chain: body.span, call: spot.call.or(Some(typed.span)) };
            bindings.iter().map(|(_, value)| (value, own(value))).chain([(&**body, call)]).collect()
        }
    }
}
