//! `rollout`: what is rolled over, in which sizes and order, and its blocks.

use crate::catalog::types::{Kind, Moment, Type};
use crate::catalog::value::Value;
use crate::diagnostic::Diagnostic;
use crate::expr::ir::{Node, Typed};
use crate::source::Span;
use crate::syntax::ast::{Batches, Expr, Rollout};

use super::moments::{COUNT, Early, LIST, ORDER, Place, SIZES};
use super::program;
use super::scope::{Checker, Level, What};
use super::statement::{BlockKind, literal};
use super::types::{is_sort_key, phrase};

/// What the smallest size is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Least {
    Nothing,
    One,
}

impl<'a> Checker<'a> {
    pub(super) fn rollout(&mut self, rollout: &'a Rollout) -> Option<program::Rollout> {
        self.begin();
        let list = self.expr(&rollout.list, None);
        self.hold(&list, Place::Select(LIST));
        let element_type = self.element_type(&list);
        let batches = rollout.batches.as_ref().map(|batches| self.batches(batches));
        if let (Some(between), None) = (&rollout.between, &rollout.batches) {
            self.tell(
                Diagnostic::error("E333", "`between` needs `batches`")
                    .at(Span { end: between.span.start + 1, ..between.span }, "without them all elements are one batch")
                    .help("one element a batch is `batches [1]`"),
            );
        }
        let concurrency = rollout.concurrency.as_ref().map(|e| self.size(e, "`concurrency`", COUNT, Least::One));
        let max_failures = rollout.max_failures.as_ref().map(|e| self.size(e, "`max_failures`", COUNT, Least::Nothing));
        self.warn_unreachable(max_failures.as_ref(), concurrency.as_ref());
        let defer = rollout.defer.as_ref().map(|after| self.duration(after, "`defer blocked after`"));
        let when = rollout.when.as_ref().map(|when| self.at(when, &Type::Bool, "`when`", Place::Live));
        let alias = self.alias(rollout.alias.as_ref());
        let around = std::mem::replace(&mut self.frame.level, Level::Body);
        let (one, order, body) = self.in_scope(&[], |this| {
            let node = Node::Name(rollout.element.name.clone());
            this.define(&rollout.element, What::Element, element_type.clone(), Moment::Begin, node);
            let one = rollout.one.as_ref().map(|key| this.one_key(key));
            let order = rollout.order.as_ref().map(|key| this.order_key(key));
            (one, order, this.block(&rollout.body, BlockKind::Plain))
        });
        self.frame.level = around;
        let between = rollout.between.as_ref().map(|block| self.block(block, BlockKind::Plain));
        let finally = self.finally(rollout.finally.as_ref());
        let element = rollout.element.name.clone();
        Some(program::Rollout {
            element,
            element_type,
            list,
            batches,
            one,
            order,
            concurrency,
            max_failures,
            defer,
            when,
            alias,
            body,
            between,
            finally,
        })
    }

    /// What an element is: something that has a name to tell it by.
    fn element_type(&mut self, list: &Typed) -> Type {
        let item = match &list.ty {
            Type::Mistake => return Type::Mistake,
            Type::List(item) => (**item).clone(),
            Type::Optional(inner) if matches!(**inner, Type::List(_)) => {
                self.warn_none(list);
                match &**inner {
                    Type::List(item) => (**item).clone(),
                    _ => Type::Mistake,
                }
            }
            other => {
                let error =
                    Diagnostic::error("E215", format!("`rollout` goes over a list, not over {}", phrase(other)))
                        .at(list.span, format!("this is {}", phrase(other)));
                self.tell(match other.required() {
                    Type::Object(Kind::Cluster) => error.help("`nodes` is every node"),
                    Type::Object(_) => error.help(format!("a list of this one alone is `[{}]`", self.text(list.span))),
                    Type::Int => error.help("there are no counted loops: roll over what the steps are about"),
                    _ => error,
                });
                return Type::Mistake;
            }
        };
        let is_told_apart = match &item {
            Type::String | Type::Int | Type::Version | Type::Duration | Type::Mistake => true,
            Type::Object(kind) => !matches!(kind, Kind::Cluster | Kind::Outcome),
            _ => false,
        };
        if is_told_apart {
            return item;
        }
        let error = Diagnostic::error(
            "E215",
            format!("a rollout cannot tell the items of {} apart by a name", phrase(&list.ty)),
        )
        .at(list.span, format!("each is {}", phrase(&item)));
        self.tell(match &item {
            Type::Optional(_) => error.help("say what stands for none: `.map(|x| … ?? …)`"),
            _ => error.help("roll over objects, strings, ints or versions"),
        });
        Type::Mistake
    }

    fn batches(&mut self, batches: &'a Batches) -> (Vec<Typed>, bool) {
        let sizes = batches.sizes.iter().map(|size| self.size(size, "a batch", SIZES, Least::One)).collect();
        (sizes, batches.rest.is_some())
    }

    /// A count or a share of the whole.
    fn size(&mut self, expr: &'a Expr, what: &str, early: Early, least: Least) -> Typed {
        self.begin();
        let typed = self.expr(expr, None);
        self.hold(&typed, Place::Early(early));
        match self.needed(&typed) {
            Type::Int | Type::Percent | Type::Mistake => {}
            other => {
                let error =
                    Diagnostic::error("E201", format!("{what} takes an int or a percentage, not {}", phrase(&other)))
                        .at(typed.span, format!("this is {}", phrase(&other)));
                self.tell(if other == Type::Float {
                    error.help("a share of the whole is written `10%`")
                } else {
                    error
                });
            }
        }
        let message = match literal(&typed) {
            Some(Value::Int(n)) if least == Least::One && n < 1 => format!("{what} is at least 1"),
            Some(Value::Int(n)) if n < 0 => format!("{what} is at least 0"),
            Some(Value::Percent(share)) if share < 0.0 || (least == Least::One && share == 0.0) => {
                format!("{what} is more than 0%")
            }
            Some(Value::Percent(share)) if share > 100.0 => format!("{what} is at most 100%"),
            _ => return typed,
        };
        self.tell(Diagnostic::error("E210", message).at(typed.span, ""));
        typed
    }

    /// Failed elements keep their places: with as many as there are places, no other begins, and the count never passes.
    fn warn_unreachable(&mut self, max_failures: Option<&Typed>, concurrency: Option<&Typed>) {
        let Some(failures) = max_failures else { return };
        let places = concurrency.map_or(Some(Value::Int(1)), literal);
        let is_unreachable = match (literal(failures), places) {
            (Some(Value::Int(failures)), Some(Value::Int(places))) => failures >= places,
            (Some(Value::Percent(failures)), Some(Value::Percent(places))) => failures >= places,
            _ => false,
        };
        if !is_unreachable {
            return;
        }
        let warning = Diagnostic::warning("L001", "`max_failures` can never be exceeded").at(
            failures.span,
            "a failed element keeps its place: with this many failed, none is left to begin another",
        );
        let warning = match concurrency {
            Some(places) => warning.at(places.span, "so many places"),
            None => warning,
        };
        self.tell(warning.help(match concurrency {
            Some(_) => "allow fewer failures than there are places, or raise `concurrency`",
            None => "there is one place where no `concurrency` is said: raise it above `max_failures`",
        }));
    }

    fn one_key(&mut self, key: &'a Expr) -> Typed {
        self.begin();
        let typed = self.expr(key, None);
        self.hold(&typed, Place::Select(ORDER));
        let is_key = !matches!(
            typed.ty.required(),
            Type::List(_) | Type::Map(_) | Type::None | Type::Secret | Type::Object(Kind::Cluster | Kind::Outcome)
        );
        if !is_key {
            self.tell(
                Diagnostic::error(
                    "E201",
                    format!("`one … at a time` takes what elements share, not {}", phrase(&typed.ty)),
                )
                .at(typed.span, "")
                .help("such as `one node.zone at a time`"),
            );
        }
        typed
    }

    fn order_key(&mut self, key: &'a Expr) -> Typed {
        self.begin();
        let typed = self.expr(key, None);
        self.hold(&typed, Place::Select(ORDER));
        if !is_sort_key(&typed.ty) {
            self.tell(
                Diagnostic::error(
                    "E205",
                    format!("`order by` needs something that has an order, not {}", phrase(&typed.ty)),
                )
                .at(typed.span, ""),
            );
        }
        typed
    }
}
