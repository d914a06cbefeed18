//! Operators: what their operands must be, and what they give.

use crate::catalog::types::Type;
use crate::diagnostic::Diagnostic;
use crate::expr::ir::{BinaryOp, Node, Typed, UnaryOp};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind};

use super::expression::{converted, mistake};
use super::scope::Checker;
use super::types::{Fit, arithmetic, fit, hint, is_comparable, is_ordered_pair, join, phrase};

/// The two sides of an operator.
struct Sides {
    op: BinaryOp,
    /// Where the operator stands.
    at: Span,
    left: Typed,
    right: Typed,
}

impl<'a> Checker<'a> {
    pub(super) fn unary(&mut self, op: UnaryOp, of: &'a Expr, span: Span) -> Typed {
        let of = match op {
            UnaryOp::Not => self.truth(of, "`!`"),
            UnaryOp::Neg => self.expr(of, None),
        };
        let ty = match (op, self.needed(&of)) {
            (UnaryOp::Not, Type::Mistake) | (_, Type::Mistake) => return mistake(span),
            (UnaryOp::Not, _) => Type::Bool,
            (UnaryOp::Neg, ty @ (Type::Int | Type::Float | Type::Duration | Type::Percent | Type::Quantity)) => ty,
            (UnaryOp::Neg, other) => {
                self.tell(Diagnostic::error("E205", format!("{} has no negative", phrase(&other))).at(of.span, ""));
                return mistake(span);
            }
        };
        Typed { ty, moment: of.moment, span, node: Node::Unary(op, Box::new(of)) }
    }

    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        at: Span,
        left: &'a Expr,
        right: &'a Expr,
        span: Span,
        expected: Option<&Type>,
    ) -> Typed {
        let sides = match op {
            BinaryOp::And | BinaryOp::Or => self.logic(op, at, left, right),
            BinaryOp::Else => {
                let left = self.expr(left, expected);
                let right = self.expr(right, Some(left.ty.required()).filter(|ty| **ty != Type::None).or(expected));
                let right = converted(right, &left.ty).unwrap_or_else(|right| right);
                Sides { op, at, left, right }
            }
            _ => {
                let left = self.expr(left, None);
                let like = match op {
                    BinaryOp::In => Type::list(left.ty.clone()),
                    _ => left.ty.clone(),
                };
                let is_equality = matches!(op, BinaryOp::Eq | BinaryOp::Ne | BinaryOp::In);
                let right = self.expr(right, Some(&like).filter(|_| is_equality && !matches!(like, Type::Quantity)));
                Sides { op, at, left, right }
            }
        };
        let Some(ty) = self.result(&sides) else { return mistake(span) };
        let Sides { left, right, .. } = sides;
        let moment = left.moment.max(right.moment);
        Typed { ty, moment, span, node: Node::Binary(op, Box::new(left), Box::new(right)) }
    }

    /// `a && b`: b is read only where a is true, so what a shows not to be `none` is there in b; `||` the other way.
    fn logic(&mut self, op: BinaryOp, at: Span, left: &'a Expr, right: &'a Expr) -> Sides {
        let what = format!("`{}`", op.symbol());
        let left_typed = self.truth(left, &what);
        let before = self.frame.present.len();
        let mut present = std::mem::take(&mut self.frame.present);
        self.present_where(left, op == BinaryOp::And, &mut present);
        self.frame.present = present;
        let right = self.truth(right, &what);
        self.frame.present.truncate(before);
        Sides { op, at, left: left_typed, right }
    }

    /// Collects the texts of what is not `none` where `condition` is `holds`.
    pub(super) fn present_where(&self, condition: &Expr, holds: bool, present: &mut Vec<&'a str>) {
        match &condition.kind {
            ExprKind::Paren(inner) => self.present_where(inner, holds, present),
            ExprKind::Unary(UnaryOp::Not, inner) => self.present_where(inner, !holds, present),
            ExprKind::Binary(op, _, a, b) => match (op, holds) {
                (BinaryOp::And, true) | (BinaryOp::Or, false) => {
                    self.present_where(a, holds, present);
                    self.present_where(b, holds, present);
                }
                (BinaryOp::Ne, true) | (BinaryOp::Eq, false) => {
                    for (value, other) in [(a, b), (b, a)] {
                        if matches!(other.kind, ExprKind::None) {
                            present.push(self.sources.text(value.span));
                        }
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn result(&mut self, sides: &Sides) -> Option<Type> {
        if sides.left.ty == Type::Mistake || sides.right.ty == Type::Mistake {
            return None;
        }
        match sides.op {
            BinaryOp::And | BinaryOp::Or => Some(Type::Bool),
            BinaryOp::Eq | BinaryOp::Ne => self.equality(sides),
            BinaryOp::In => self.membership(sides),
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => self.order(sides),
            BinaryOp::Else => self.fallback(sides),
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div => self.sum(sides),
        }
    }

    fn equality(&mut self, sides: &Sides) -> Option<Type> {
        let (left, right) = (&sides.left, &sides.right);
        if !is_comparable(&left.ty, &right.ty) {
            self.tell_different(sides);
            return None;
        }
        for (none, value) in [(left, right), (right, left)] {
            if none.ty == Type::None && !value.ty.may_be_none() && value.ty != Type::Json {
                let gives = sides.op == BinaryOp::Ne;
                self.tell(
                    Diagnostic::warning("L002", format!("`{}` is never none", self.text(value.span)))
                        .at(value.span, format!("this is {}", phrase(&value.ty)))
                        .help(format!("the comparison is always {gives}: leave it out")),
                );
            }
        }
        Some(Type::Bool)
    }

    fn order(&mut self, sides: &Sides) -> Option<Type> {
        let (left, right) = (sides.left.ty.required(), sides.right.ty.required());
        if !is_ordered_pair(left, right) {
            if left == right || *left == Type::None || *right == Type::None {
                let which = if *left == Type::None { right } else { left };
                let symbol = sides.op.symbol();
                let message = if *left == Type::None || *right == Type::None {
                    format!("`{symbol}` needs a value on both sides, not none")
                } else {
                    format!("`{symbol}`: {} has no order", phrase(which))
                };
                self.tell(Diagnostic::error("E206", message).at(sides.at, ""));
            } else {
                self.tell_different(sides);
            }
            return None;
        }
        self.needed(&sides.left);
        self.needed(&sides.right);
        Some(Type::Bool)
    }

    fn tell_different(&mut self, sides: &Sides) {
        let (left, right) = (&sides.left, &sides.right);
        let is_secret = [left, right].iter().any(|side| *side.ty.required() == Type::Secret);
        let (code, message) = if is_secret {
            ("E212", "a secret is compared with nothing".to_owned())
        } else {
            ("E206", format!("`{}` compares {} with {}", sides.op.symbol(), phrase(&left.ty), phrase(&right.ty)))
        };
        let error = Diagnostic::error(code, message)
            .at(left.span, format!("this is {}", phrase(&left.ty)))
            .at(right.span, format!("this is {}", phrase(&right.ty)));
        let help = self.hint_for(left, right);
        self.tell(match help {
            Some(help) if !is_secret => error.help(help),
            _ => error,
        });
    }

    /// What would make two sides go together.
    fn hint_for(&self, left: &Typed, right: &Typed) -> Option<String> {
        for (this, other) in [(left, right), (right, left)] {
            if let Type::List(item) = this.ty.required()
                && is_comparable(item, &other.ty)
            {
                let (list, item) = (self.text(this.span), self.text(other.span));
                return Some(format!("whether it is one of them is `{item} in {list}`"));
            }
        }
        let is_literal = |side: &Typed| matches!(side.node, Node::Literal(_));
        let sides = if is_literal(left) { [(right, left), (left, right)] } else { [(left, right), (right, left)] };
        sides.into_iter().find_map(|(want, have)| hint(&want.ty, &have.ty, self.text(have.span)))
    }

    fn membership(&mut self, sides: &Sides) -> Option<Type> {
        let (item, whole) = (&sides.left, &sides.right);
        let (is_fine, help) = match whole.ty.required() {
            Type::List(of) => (is_comparable(&item.ty, of), self.hint_for_item(item, of, whole)),
            Type::Map(_) => {
                (fit(&Type::String.optional(), &item.ty) == Fit::Yes, Some("a map's keys are strings".to_owned()))
            }
            Type::String => {
                let (text, part) = (self.text(whole.span), self.text(item.span));
                (false, Some(format!("whether a text holds another is `{text}.contains({part})`")))
            }
            Type::Json => (false, Some("say what it is: `.as_list()`".to_owned())),
            _ => (false, Some("`in` looks for an item in a list or for a key in a map".to_owned())),
        };
        if *item.ty.required() == Type::Secret {
            self.tell_different(sides);
            return None;
        }
        if is_fine {
            self.needed(whole);
            return Some(Type::Bool);
        }
        let error = Diagnostic::error("E206", format!("`in` looks for {} in {}", phrase(&item.ty), phrase(&whole.ty)))
            .at(item.span, format!("this is {}", phrase(&item.ty)))
            .at(whole.span, format!("this is {}", phrase(&whole.ty)));
        self.tell(match help {
            Some(help) => error.help(help),
            None => error,
        });
        None
    }

    fn hint_for_item(&self, item: &Typed, of: &Type, whole: &Typed) -> Option<String> {
        match (of, item.ty.required()) {
            (Type::Object(kind), Type::String) => {
                let (list, name) = (self.text(whole.span), self.text(item.span));
                Some(format!("look among the names: `{list}.any(|{0}| {0}.name == {name})`", &kind.word()[..1]))
            }
            _ => hint(of, &item.ty, self.text(item.span)),
        }
    }

    fn fallback(&mut self, sides: &Sides) -> Option<Type> {
        let (left, right) = (&sides.left, &sides.right);
        let joined = join(left.ty.required(), &right.ty);
        if joined.is_some() && !left.ty.may_be_none() && left.ty != Type::Json {
            self.tell(
                Diagnostic::warning("L003", format!("`{}` is never none", self.text(left.span)))
                    .at(left.span, format!("this is {}", phrase(&left.ty)))
                    .help("leave `??` and what follows it out"),
            );
        }
        if joined.is_none() {
            let error = Diagnostic::error(
                "E205",
                format!("`??` gives {} or {}", phrase(left.ty.required()), phrase(&right.ty)),
            )
            .at(left.span, format!("this is {}", phrase(&left.ty)))
            .at(right.span, format!("this is {}", phrase(&right.ty)));
            let help = hint(&left.ty, &right.ty, self.text(right.span)).or_else(|| {
                (left.ty == Type::Json).then(|| "say what it is: `.as_text() ?? …`, `.as_int() ?? …`".to_owned())
            });
            self.tell(match help {
                Some(help) => error.help(help),
                None => error,
            });
        }
        joined
    }

    fn sum(&mut self, sides: &Sides) -> Option<Type> {
        let (left, right) = (sides.left.ty.required(), sides.right.ty.required());
        if let Some(ty) = arithmetic(sides.op, left, right) {
            self.needed(&sides.left);
            self.needed(&sides.right);
            return Some(ty);
        }
        let symbol = sides.op.symbol();
        let error =
            Diagnostic::error("E205", format!("`{symbol}` does not go with {} and {}", phrase(left), phrase(right)))
                .at(sides.left.span, format!("this is {}", phrase(left)))
                .at(sides.right.span, format!("this is {}", phrase(right)));
        let (a, b) = (self.text(sides.left.span), self.text(sides.right.span));
        let help = match (sides.op, left, right) {
            (BinaryOp::Add, Type::String, _) | (BinaryOp::Add, _, Type::String) => {
                let piece = |side: &Typed, text: &str| match &side.node {
                    Node::Literal(_) => text.trim_matches(['"', '`']).to_owned(),
                    _ => format!("${{{text}}}"),
                };
                Some(format!("write one text: `\"{}{}\"`", piece(&sides.left, a), piece(&sides.right, b)))
            }
            (_, Type::Percent, Type::Int) | (_, Type::Int, Type::Percent) => {
                Some("a percentage goes with a float: `5.0 * 10%`".to_owned())
            }
            (BinaryOp::Div, Type::Duration, _) => Some(format!("multiply: `{a} * 0.5`")),
            _ => hint(left, right, b).or_else(|| hint(right, left, a)),
        };
        self.tell(match help {
            Some(help) => error.help(help),
            None => error,
        });
        None
    }
}
