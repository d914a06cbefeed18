//! Methods of lists, strings and json, and the closures that they take.

use crate::catalog::functions::{METHODS, MethodDecl, Receiver, Shape, method};
use crate::catalog::types::{Moment, Type};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::expr::ir::{Node, Typed};
use crate::source::Span;
use crate::syntax::ast::{Arg, Expr, ExprKind, Ident};

use super::expression::mistake;
use super::scope::{Checker, What};
use super::types::{has_order, hint, is_comparable, is_mistake, is_sort_key, phrase};

/// What other languages call our methods.
const ELSEWHERE: &[(&str, &str)] = &[
    ("size", "len"),
    ("length", "len"),
    ("some", "any"),
    ("every", "all"),
    ("includes", "contains"),
    ("has", "contains"),
    ("find", "filter(…).first"),
    ("sort", "sort_by"),
    ("order_by", "sort_by"),
    ("startswith", "starts_with"),
    ("endswith", "ends_with"),
    ("strip", "trim"),
    ("distinct", "unique"),
    ("to_int", "as_int"),
    ("to_string", "as_text"),
    ("as_string", "as_text"),
];

impl<'a> Checker<'a> {
    pub(super) fn method(&mut self, of: &'a Expr, name: &'a Ident, args: &'a [Arg], span: Span) -> Typed {
        let of = self.expr(of, None);
        let receiver = match of.ty.required() {
            Type::List(_) => Some(Receiver::List),
            Type::String => Some(Receiver::String),
            Type::Json => Some(Receiver::Json),
            _ => None,
        };
        let Some(decl) = receiver.and_then(|receiver| method(receiver, &name.name)) else {
            if !is_mistake(&of.ty) {
                self.tell_no_method(&of, receiver, name);
            }
            self.skip_args(args);
            return mistake(span);
        };
        self.needed(&of);
        let Some(arg) = self.only_arg(decl, args, span) else { return mistake(span) };
        let item = match of.ty.required() {
            Type::List(item) => (**item).clone(),
            other => other.clone(),
        };
        let Some((ty, arg)) = self.shape(decl, &of, &item, arg) else { return mistake(span) };
        let moment = arg.iter().map(|arg| arg.moment).fold(of.moment, Moment::max);
        let args = arg.into_iter().collect();
        Typed { ty, moment, span, node: Node::Method(Box::new(of), name.name.clone(), args) }
    }

    /// Looks at arguments of a call that is a mistake: their names are not unknown for it.
    fn skip_args(&mut self, args: &'a [Arg]) {
        for arg in args {
            if !matches!(arg.value.kind, ExprKind::Closure(..)) {
                self.expr(&arg.value, None);
            }
        }
    }

    /// The one argument that a method takes, or none; `None` where the arguments are a mistake.
    fn only_arg(&mut self, decl: &MethodDecl, args: &'a [Arg], span: Span) -> Option<Option<&'a Expr>> {
        let wants = match decl.shape {
            Shape::Filter | Shape::Map | Shape::Test | Shape::SortBy => "a closure, `|x| …`",
            Shape::ContainsItem => "an item",
            Shape::ContainsText | Shape::Split => "a string",
            Shape::Count if args.is_empty() => return Some(None),
            Shape::Count => "a closure, `|x| …`",
            _ => {
                let Some(arg) = args.first() else { return Some(None) };
                self.tell(
                    Diagnostic::error("E123", format!("`{}` takes no argument", decl.name))
                        .at(arg.value.span, "one too many"),
                );
                return None;
            }
        };
        match args {
            [arg] if arg.name.is_none() => return Some(Some(&arg.value)),
            [arg] => {
                let name = arg.name.as_ref().map_or(arg.value.span, |name| name.span);
                self.tell(
                    Diagnostic::error("E123", format!("the argument of `{}` bears no name", decl.name)).at(name, ""),
                );
            }
            [] => self.tell(Diagnostic::error("E121", format!("`{}` needs {wants}", decl.name)).at(span, "")),
            [_, second, ..] => {
                let error = Diagnostic::error("E123", format!("`{}` takes one argument, {wants}", decl.name));
                self.tell(error.at(second.value.span, "one too many"));
            }
        }
        None
    }

    /// The method's type and its argument, typed.
    fn shape(
        &mut self,
        decl: &MethodDecl,
        of: &Typed,
        item: &Type,
        arg: Option<&'a Expr>,
    ) -> Option<(Type, Option<Typed>)> {
        let what = format!("`{}`", decl.name);
        Some(match (decl.shape, arg) {
            (Shape::Filter, Some(arg)) => (Type::list(item.clone()), Some(self.test(arg, item, of.moment, &what)?)),
            (Shape::Test, Some(arg)) => (Type::Bool, Some(self.test(arg, item, of.moment, &what)?)),
            (Shape::Count, Some(arg)) => (Type::Int, Some(self.test(arg, item, of.moment, &what)?)),
            (Shape::Count | Shape::Len, _) => (Type::Int, None),
            (Shape::Map, Some(arg)) => {
                let closure = self.closure(arg, item, of.moment, &what, None)?;
                (Type::list(self.mapped(&closure)?), Some(closure))
            }
            (Shape::SortBy, Some(arg)) => {
                let closure = self.sort_key(arg, item, of.moment, &what)?;
                (Type::list(item.clone()), Some(closure))
            }
            (Shape::IsEmpty, _) => (Type::Bool, None),
            (Shape::First, _) => (item.clone().optional(), None),
            (Shape::Unique, _) => (Type::list(item.clone()), None),
            (Shape::Extreme, _) => (self.extreme(decl, of, item)?, None),
            (Shape::Sum, _) => (self.total(of, item)?, None),
            (Shape::ContainsItem, Some(arg)) => (Type::Bool, Some(self.item(arg, item)?)),
            (Shape::ContainsText, Some(arg)) => (Type::Bool, Some(self.value(arg, &Type::String, &what))),
            (Shape::Split, Some(arg)) => (Type::list(Type::String), Some(self.value(arg, &Type::String, &what))),
            (Shape::Trim, _) => (Type::String, None),
            (Shape::AsInt, _) => (Type::Int.optional(), None),
            (Shape::AsFloat, _) => (Type::Float.optional(), None),
            (Shape::AsText, _) => (Type::String.optional(), None),
            (Shape::AsBool, _) => (Type::Bool.optional(), None),
            (Shape::AsList, _) => (Type::list(Type::Json).optional(), None),
            (_, None) => return None,
        })
    }

    fn mapped(&mut self, closure: &Typed) -> Option<Type> {
        match &closure.ty {
            Type::Mistake => None,
            Type::None | Type::Secret => {
                let error = Diagnostic::error("E208", format!("`map` makes {} of each item", phrase(&closure.ty)));
                self.tell(error.at(closure.span, "nothing can be done with a list of these"));
                None
            }
            ty => Some(ty.clone()),
        }
    }

    fn extreme(&mut self, decl: &MethodDecl, of: &Typed, item: &Type) -> Option<Type> {
        if has_order(item.required()) {
            return Some(item.clone().optional());
        }
        self.tell(
            Diagnostic::error("E205", format!("`{}` needs items that have an order, not {}", decl.name, phrase(item)))
                .at(of.span, format!("this is {}", phrase(&of.ty)))
                .help(format!("map them first: `.map(|x| …).{}()`", decl.name)),
        );
        None
    }

    fn total(&mut self, of: &Typed, item: &Type) -> Option<Type> {
        let ty = item.required();
        if matches!(ty, Type::Int | Type::Float | Type::Quantity | Type::Duration | Type::Percent) {
            if item.may_be_none() {
                self.warn_none(of);
            }
            return Some(ty.clone());
        }
        self.tell(
            Diagnostic::error("E205", format!("`sum` adds up numbers, quantities or durations, not {}", phrase(item)))
                .at(of.span, format!("this is {}", phrase(&of.ty)))
                .help("map them first: `.map(|x| …).sum()`"),
        );
        None
    }

    fn item(&mut self, arg: &'a Expr, item: &Type) -> Option<Typed> {
        let typed = self.expr(arg, Some(item));
        if is_comparable(item, &typed.ty) {
            return Some(typed);
        }
        let error = Diagnostic::error("E206", format!("a {} contains no {}", Type::list(item.clone()), typed.ty))
            .at(typed.span, format!("this is {}", phrase(&typed.ty)));
        let help = hint(item, &typed.ty, self.text(typed.span));
        self.tell(match help {
            Some(help) => error.help(help),
            None => error,
        });
        None
    }

    fn test(&mut self, arg: &'a Expr, item: &Type, moment: Moment, what: &str) -> Option<Typed> {
        self.closure(arg, item, moment, what, Some(&Type::Bool))
    }

    /// A closure to what a list can be sorted by.
    pub(super) fn sort_key(&mut self, arg: &'a Expr, item: &Type, moment: Moment, what: &str) -> Option<Typed> {
        let closure = self.closure(arg, item, moment, what, None)?;
        if is_sort_key(&closure.ty) {
            return Some(closure);
        }
        let error =
            Diagnostic::error("E205", format!("{what} needs something that has an order, not {}", phrase(&closure.ty)));
        self.tell(error.at(closure.span, ""));
        None
    }

    /// A closure over an item; its type is that of what it gives.
    pub(super) fn closure(
        &mut self,
        arg: &'a Expr,
        item: &Type,
        moment: Moment,
        what: &str,
        want: Option<&Type>,
    ) -> Option<Typed> {
        let ExprKind::Closure(params, body) = &arg.kind else {
            let typed = self.expr(arg, None);
            if typed.ty != Type::Mistake {
                self.tell(
                    Diagnostic::error("E208", format!("{what} takes a closure"))
                        .at(arg.span, format!("this is {}", phrase(&typed.ty)))
                        .help(format!("write `|x| …`, where `x` is {}", phrase(item))),
                );
            }
            return None;
        };
        let [param] = params.as_slice() else {
            let span = params.get(1).map_or(arg.span, |second| second.span);
            self.tell(Diagnostic::error("E208", format!("the closure of {what} has one parameter")).at(span, ""));
            return None;
        };
        let local = self.fresh(&param.name);
        let body = self.in_scope(&[], |this| {
            this.define(param, What::Local, item.clone(), moment, Node::Local(local.clone()));
            match want {
                Some(want) => this.given(body, want, &format!("the closure of {what}")),
                None => this.expr(body, None),
            }
        });
        let node = Node::Closure(local, Box::new(body));
        let Node::Closure(_, body) = &node else { return None };
        Some(Typed { ty: body.ty.clone(), moment: body.moment, span: arg.span, node })
    }

    fn tell_no_method(&mut self, of: &Typed, receiver: Option<Receiver>, name: &Ident) {
        let text = name.name.as_str();
        let ours = || METHODS.iter().filter(move |method| Some(method.receiver) == receiver);
        let elsewhere = ELSEWHERE.iter().find(|(other, _)| other.eq_ignore_ascii_case(text)).map(|(_, ours)| *ours);
        let elsewhere = elsewhere.filter(|name| ours().any(|method| name.ends_with(method.name)));
        let near = elsewhere.or_else(|| did_you_mean(text, ours().map(|method| method.name))).or_else(|| {
            let other = did_you_mean(text, ELSEWHERE.iter().map(|(other, _)| *other))?;
            let (_, name) = ELSEWHERE.iter().find(|(known, _)| *known == other)?;
            ours().any(|method| name.ends_with(method.name)).then_some(*name)
        });
        let error = Diagnostic::error("E204", format!("{} has no method `{text}`", phrase(of.ty.required())))
            .at(name.span, near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default());
        let is_field = match of.ty.required() {
            Type::Object(kind) => crate::catalog::facts::field(*kind, text).is_some(),
            _ => false,
        };
        let all = ours().map(|method| method.name).collect::<Vec<_>>().join(", ");
        self.tell(if is_field {
            error.help(format!("it is a field: leave the parentheses out, `.{text}`"))
        } else if near.is_none() && !all.is_empty() {
            error.help(format!("it has: {all}"))
        } else {
            error
        });
    }
}
