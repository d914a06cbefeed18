//! A function's body put in the place of its call: every local gets a name of its own, moments follow the arguments.

use std::collections::BTreeMap;

use crate::catalog::types::Moment;
use crate::expr::ir::{Node, TextPart, Typed};

/// What a local of the body becomes.
pub(super) enum Replacement {
    /// Another local, known at that moment.
    Renamed(String, Moment),
    /// What the caller wrote.
    Argument(Typed),
}

/// A copy of an expression with its locals replaced.
pub(super) struct Inlining<'c> {
    pub(super) replacements: BTreeMap<String, Replacement>,
    /// Numbers the locals of the expression that the copy goes into.
    pub(super) locals: &'c mut u32,
    /// How many more nodes may be copied.
    pub(super) room: usize,
}

impl Inlining<'_> {
    /// The copy; `None` if there is no room for it.
    pub(super) fn copy(&mut self, typed: &Typed) -> Option<Typed> {
        self.room = self.room.checked_sub(1)?;
        let (node, moment) = match &typed.node {
            Node::Local(name) => match self.replacements.get(name) {
                Some(Replacement::Renamed(name, moment)) => (Node::Local(name.clone()), *moment),
                Some(Replacement::Argument(argument)) => return Some(argument.clone()),
                None => (Node::Local(name.clone()), typed.moment),
            },
            Node::Literal(_) | Node::Name(_) | Node::Fact(_) | Node::Mistake => (typed.node.clone(), typed.moment),
            Node::Field(of, field) => {
                let of = self.copy(of)?;
                let moment = of.moment;
                (Node::Field(Box::new(of), field.clone()), moment)
            }
            Node::Unary(op, of) => {
                let of = self.copy(of)?;
                let moment = of.moment;
                (Node::Unary(*op, Box::new(of)), moment)
            }
            Node::Index(a, b) => self.pair(a, b, Node::Index)?,
            Node::Binary(op, a, b) => self.pair(a, b, |a, b| Node::Binary(*op, a, b))?,
            Node::Method(of, name, args) => {
                let of = self.copy(of)?;
                let (args, moment) = self.all_after(args, of.moment)?;
                (Node::Method(Box::new(of), name.clone(), args), moment)
            }
            Node::Call(name, args) => {
                let (args, moment) = self.all_after(args, Moment::Plan)?;
                (Node::Call(name.clone(), args), moment)
            }
            Node::List(items) => {
                let (items, moment) = self.all_after(items, Moment::Plan)?;
                (Node::List(items), moment)
            }
            Node::Closure(param, body) => self.bind(param, typed.moment, |this, param| {
                let body = this.copy(body)?;
                let moment = body.moment;
                Some((Node::Closure(param, Box::new(body)), moment))
            })?,
            Node::Inline(bindings, body) => self.inline(bindings, body)?,
            Node::Text(parts) => self.text(parts)?,
        };
        Some(Typed { ty: typed.ty.clone(), moment, span: typed.span, node })
    }

    fn pair(
        &mut self,
        a: &Typed,
        b: &Typed,
        make: impl FnOnce(Box<Typed>, Box<Typed>) -> Node,
    ) -> Option<(Node, Moment)> {
        let (a, b) = (self.copy(a)?, self.copy(b)?);
        let moment = a.moment.max(b.moment);
        Some((make(Box::new(a), Box::new(b)), moment))
    }

    fn all_after(&mut self, items: &[Typed], moment: Moment) -> Option<(Vec<Typed>, Moment)> {
        let items = items.iter().map(|item| self.copy(item)).collect::<Option<Vec<_>>>()?;
        let moment = items.iter().map(|item| item.moment).fold(moment, Moment::max);
        Some((items, moment))
    }

    /// Renames a local that the copied expression itself defines.
    fn bind<T>(&mut self, param: &str, moment: Moment, copy: impl FnOnce(&mut Self, String) -> Option<T>) -> Option<T> {
        *self.locals += 1;
        let stem = param.rsplit_once('_').map_or(param, |(stem, _)| stem);
        let name = format!("{stem}_{}", self.locals);
        self.replacements.insert(param.to_owned(), Replacement::Renamed(name.clone(), moment));
        copy(self, name)
    }

    fn inline(&mut self, bindings: &[(String, Typed)], body: &Typed) -> Option<(Node, Moment)> {
        let mut copied = Vec::new();
        let mut moment = Moment::Plan;
        for (name, value) in bindings {
            let value = self.copy(value)?;
            moment = moment.max(value.moment);
            let name = self.bind(name, value.moment, |_, name| Some(name))?;
            copied.push((name, value));
        }
        let body = self.copy(body)?;
        moment = moment.max(body.moment);
        Some((Node::Inline(copied, Box::new(body)), moment))
    }

    fn text(&mut self, parts: &[TextPart]) -> Option<(Node, Moment)> {
        let mut copied = Vec::new();
        let mut moment = Moment::Plan;
        for part in parts {
            copied.push(match part {
                TextPart::Text(text) => TextPart::Text(text.clone()),
                TextPart::Value(value) => {
                    let value = self.copy(value)?;
                    moment = moment.max(value.moment);
                    TextPart::Value(value)
                }
            });
        }
        Some((Node::Text(copied), moment))
    }
}
