//! Expressions, bottom up: literals, names, fields, items, texts. An expected type helps what has none of its own.

use crate::catalog::facts::{REGRESSED, fact, field, fields};
use crate::catalog::functions::{Receiver, VERSION_PARTS, method};
use crate::catalog::quantity::Quantity;
use crate::catalog::types::{Kind, Moment, Type};
use crate::catalog::value::Value;
use crate::catalog::version::Version;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::expr::ir::{BinaryOp, Node, TextPart, Typed};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Ident, Path, StringLit, StringPart, TypeExpr, TypeExprKind};

use super::call::Found;
use super::scope::{Checker, What};
use super::types::{Fit, fit, hint, is_mistake, is_text, join, phrase};

/// How deep an expression may be: the stages after this one walk it by recursion.
const DEEPEST: u32 = 200;

/// The keys that `allocatable`, `capacity` and `requests` always have.
const ALWAYS_THERE: [&str; 3] = ["cpu", "memory", "pods"];

/// What stands where a mistake was told.
pub(super) fn mistake(span: Span) -> Typed {
    Typed { ty: Type::Mistake, moment: Moment::Plan, span, node: Node::Mistake }
}

impl<'a> Checker<'a> {
    /// An expression that must give a value of that type; `what` says what takes it (`` `within` ``).
    pub(super) fn value(&mut self, expr: &'a Expr, want: &Type, what: &str) -> Typed {
        let typed = self.expr(expr, Some(want));
        self.fitted(typed, want, what)
    }

    /// An expression that something gives: a function, a closure.
    pub(super) fn given(&mut self, expr: &'a Expr, want: &Type, what: &str) -> Typed {
        let typed = self.expr(expr, Some(want));
        self.fitted_by(typed, want, &format!("{what} must give"))
    }

    /// An expression that must be true or false.
    pub(super) fn truth(&mut self, expr: &'a Expr, what: &str) -> Typed {
        self.value(expr, &Type::Bool, what)
    }

    /// Holds a value against the type that is needed: warns where it may be `none`, converts an int.
    pub(super) fn fitted(&mut self, typed: Typed, want: &Type, what: &str) -> Typed {
        self.fitted_by(typed, want, &format!("{what} takes"))
    }

    /// `demand` says what needs it: `` `within` takes ``.
    fn fitted_by(&mut self, typed: Typed, want: &Type, demand: &str) -> Typed {
        match fit(want, &typed.ty) {
            Fit::Yes => typed,
            Fit::UnlessNone => {
                self.warn_none(&typed);
                typed
            }
            Fit::No => converted(typed, want).unwrap_or_else(|typed| {
                self.tell_mismatch(&typed, want, demand);
                mistake(typed.span)
            }),
        }
    }

    fn tell_mismatch(&mut self, typed: &Typed, want: &Type, demand: &str) {
        let text = self.text(typed.span);
        let code = if *typed.ty.required() == Type::Secret { "E212" } else { "E201" };
        let error = Diagnostic::error(code, format!("{demand} {}, not {}", phrase(want.required()), phrase(&typed.ty)))
            .at(typed.span, format!("this is {}", phrase(&typed.ty)));
        let help = if typed.ty == Type::None { None } else { hint(want, &typed.ty, text) };
        self.tell(match help {
            Some(help) => error.help(help),
            None => error,
        });
    }

    /// Warns that a value is needed where there may be none.
    pub(super) fn warn_none(&mut self, typed: &Typed) {
        let text = self.text(typed.span);
        if self.is_present(text) {
            return;
        }
        if let Node::Name(name) = &typed.node {
            let defined = self.seen(name).and_then(|binding| binding.span);
            if defined.is_some_and(|span| !self.warned.insert(span)) {
                return;
            }
        }
        self.tell(
            Diagnostic::warning("L201", format!("`{text}` may be none, and a value is needed here"))
                .at(typed.span, format!("this is {}", phrase(&typed.ty)))
                .help(format!("say what holds then: `{text} ?? …`; unsaid, the plan fails and a condition is unknown")),
        );
    }

    /// The value itself where it may be `none`: warns, and gives its type without `none`.
    pub(super) fn needed(&mut self, typed: &Typed) -> Type {
        if typed.ty.may_be_none() && typed.ty != Type::None {
            self.warn_none(typed);
        }
        typed.ty.required().clone()
    }

    /// Types an expression.
    pub(super) fn expr(&mut self, expr: &'a Expr, expected: Option<&Type>) -> Typed {
        if self.frame.depth >= DEEPEST {
            if !std::mem::replace(&mut self.frame.is_too_deep, true) {
                self.tell(
                    Diagnostic::error("E218", "this expression is too deep")
                        .at(expr.span, format!("{DEEPEST} levels down"))
                        .help("put parts of it into a `let` or a `fn`"),
                );
            }
            return mistake(expr.span);
        }
        self.frame.depth += 1;
        let typed = self.expr_of_kind(expr, expected);
        self.frame.depth -= 1;
        typed
    }

    fn expr_of_kind(&mut self, expr: &'a Expr, expected: Option<&Type>) -> Typed {
        let span = expr.span;
        let literal = |ty: Type, value: Value| Typed { ty, moment: Moment::Plan, span, node: Node::Literal(value) };
        match &expr.kind {
            ExprKind::Bool(value) => literal(Type::Bool, Value::Bool(*value)),
            ExprKind::Int(value) => literal(Type::Int, Value::Int(*value)),
            ExprKind::Float(value) => literal(Type::Float, Value::Float(*value)),
            ExprKind::Duration(ms) => literal(Type::Duration, Value::Duration(*ms)),
            ExprKind::Percent(share) => literal(Type::Percent, Value::Percent(*share)),
            ExprKind::None => literal(Type::None, Value::None),
            ExprKind::Version(text) => match text.parse::<Version>() {
                Ok(version) => literal(Type::Version, Value::Version(version)),
                Err(why) => {
                    self.tell(Diagnostic::error("E217", why).at(span, ""));
                    mistake(span)
                }
            },
            ExprKind::String(string) => self.string(string, expected),
            ExprKind::List(items) => self.list(span, items, expected),
            ExprKind::Name(path) => self.name(path),
            ExprKind::Call(call) => self.call(call),
            ExprKind::Field(of, name) => self.field(of, name, span),
            ExprKind::Method(of, name, args) => self.method(of, name, args, span),
            ExprKind::Index(of, key) => self.index(of, key, span),
            ExprKind::Unary(op, of) => self.unary(*op, of, span),
            ExprKind::Binary(op, at, left, right) => self.binary(*op, *at, left, right, span, expected),
            ExprKind::Closure(_, _) => {
                self.tell(Diagnostic::error("E208", "a closure may not stand here").at(span, "").help(
                    "it is an argument of a list's method (`nodes.filter(|n| n.ready)`) or of an action that takes one",
                ));
                mistake(span)
            }
            ExprKind::Paren(inner) => self.expr(inner, expected),
        }
    }

    /// A string; where a quantity is expected, one that reads as a quantity is it.
    pub(super) fn string(&mut self, string: &'a StringLit, expected: Option<&Type>) -> Typed {
        let span = string.span;
        if let Some(text) = string.plain() {
            let quantity = match expected.map(Type::required) {
                Some(Type::Quantity) => text.parse::<Quantity>().ok(),
                _ => None,
            };
            let (ty, value) = match quantity {
                Some(quantity) => (Type::Quantity, Value::Quantity(quantity)),
                None => (Type::String, Value::string(text)),
            };
            return Typed { ty, moment: Moment::Plan, span, node: Node::Literal(value) };
        }
        let mut parts = Vec::new();
        let mut moment = Moment::Plan;
        let mut is_secret = false;
        for part in &string.parts {
            parts.push(match part {
                StringPart::Text { text, .. } => TextPart::Text(text.clone()),
                StringPart::Interpolation(expr) => {
                    let value = self.expr(expr, None);
                    let value = self.shown_value(value);
                    is_secret |= *value.ty.required() == Type::Secret;
                    moment = moment.max(value.moment);
                    TextPart::Value(value)
                }
            });
        }
        let ty = if is_secret { Type::Secret } else { Type::String };
        Typed { ty, moment, span, node: Node::Text(parts) }
    }

    /// What `${…}` is to show, held against what it can.
    pub(super) fn shown_value(&mut self, value: Typed) -> Typed {
        if is_text(&value.ty) {
            self.needed(&value);
            return value;
        }
        self.tell_not_shown(&value);
        mistake(value.span)
    }

    fn tell_not_shown(&mut self, value: &Typed) {
        let text = self.text(value.span);
        let help = match value.ty.required() {
            Type::List(_) => format!("show how many there are, `${{{text}.len()}}`, or one of them"),
            Type::Map(_) => format!("show one of its values: `${{{text}[\"key\"]}}`"),
            Type::Json => format!("say what it is: `${{{text}.as_text()}}`"),
            Type::Object(Kind::Outcome) => {
                format!("show its code, `${{{text}.code}}`, or what it wrote, `${{{text}.stdout}}`")
            }
            Type::Object(Kind::Cluster) => "show its version: `${cluster.version}`".to_owned(),
            _ => "leave it out".to_owned(),
        };
        self.tell(
            Diagnostic::error("E207", format!("`${{…}}` cannot show {}", phrase(&value.ty)))
                .at(value.span, "")
                .help(help),
        );
    }

    fn list(&mut self, span: Span, items: &'a [Expr], expected: Option<&Type>) -> Typed {
        let expected = match expected.map(Type::required) {
            Some(Type::List(item)) => Some(&**item),
            _ => None,
        };
        let Some(first) = items.first() else {
            let Some(item) = expected else {
                self.tell(
                    Diagnostic::error("E211", "an empty list says nothing about what it could hold")
                        .at(span, "")
                        .help("as a parameter or an argument it would have a type: `param names: list<string> = []`"),
                );
                return mistake(span);
            };
            let node = Node::List(Vec::new());
            return Typed { ty: Type::list(item.clone()), moment: Moment::Plan, span, node };
        };
        let mut typed: Vec<Typed> = Vec::new();
        let mut ty: Option<Type> = None;
        for item in items {
            let mut value = self.expr(item, expected);
            if let Some(want) = expected {
                value = converted(value, want).unwrap_or_else(|value| value);
            }
            if *value.ty.required() == Type::Secret {
                self.tell_secret_in_list(&value);
                value = mistake(value.span);
            }
            let joined = ty.as_ref().map_or_else(|| Some(value.ty.clone()), |ty| join(ty, &value.ty));
            ty = Some(joined.unwrap_or_else(|| {
                self.tell_mixed_list(&value, ty.as_ref().unwrap_or(&Type::Mistake), first.span);
                Type::Mistake
            }));
            typed.push(value);
        }
        let moment = typed.iter().map(|item| item.moment).max().unwrap_or(Moment::Plan);
        Typed { ty: Type::list(ty.unwrap_or(Type::Mistake)), moment, span, node: Node::List(typed) }
    }

    fn tell_secret_in_list(&mut self, value: &Typed) {
        self.tell(
            Diagnostic::error("E212", "a secret stands in no list but those of `env:` and `headers:`")
                .at(value.span, "this is a secret")
                .help("put it where it is used: `env: [\"TOKEN=${token}\"]` of `exec` and `job`, or `headers:`"),
        );
    }

    fn tell_mixed_list(&mut self, value: &Typed, before: &Type, first: Span) {
        let error = Diagnostic::error("E201", "the items of a list are of one type")
            .at(value.span, format!("this is {}", phrase(&value.ty)))
            .at(first, format!("but this is {}", phrase(before)));
        let help = match (before, &value.ty) {
            (Type::Int, Type::Float) => Some(format!("write `{}.0`", self.text(first))),
            (Type::Float, Type::Int) => Some(format!("write `{}.0`", self.text(value.span))),
            _ => hint(before, &value.ty, self.text(value.span)),
        };
        self.tell(match help {
            Some(help) => error.help(help),
            None => error,
        });
    }

    fn name(&mut self, path: &'a Path) -> Typed {
        let span = path.span();
        let name = &path.name;
        if let Some(module) = &path.module {
            let Found::Here(unit, ()) = self.unit_of(path) else { return mistake(span) };
            let Some(binding) = self.globals[unit].names.get(&name.name) else {
                if !self.tops[unit].values.contains_key(name.name.as_str()) {
                    let diagnostic = self.missing_in_module(unit, module, name, true);
                    self.tell(diagnostic);
                }
                return mistake(span);
            };
            return Typed { ty: binding.ty.clone(), moment: binding.moment, span, node: binding.node.clone() };
        }
        if let Some(binding) = self.seen(&name.name) {
            return Typed { ty: binding.ty.clone(), moment: binding.moment, span, node: binding.node.clone() };
        }
        if let Some(fact) = fact(&name.name) {
            return Typed { ty: (fact.ty)(), moment: Moment::Plan, span, node: Node::Fact(name.name.clone()) };
        }
        self.tell_unknown(name);
        mistake(span)
    }

    fn field(&mut self, of: &'a Expr, name: &'a Ident, span: Span) -> Typed {
        let of = self.expr(of, None);
        let text = name.name.as_str();
        let ty = match of.ty.required() {
            Type::Mistake => return mistake(span),
            Type::Object(kind) => self.object_field(&of, *kind, name),
            Type::Version => self.version_part(name),
            Type::List(item) if **item == Type::Object(Kind::Workload) && text == REGRESSED => {
                if matches!(&of.node, Node::Fact(name) if name == "workloads") {
                    Some(of.ty.clone())
                } else {
                    self.tell(
                        Diagnostic::error("E203", "`regressed` is a field of the fact `workloads` alone")
                            .at(name.span, "")
                            .help("filter afterwards: `workloads.regressed.filter(|w| …)`"),
                    );
                    None
                }
            }
            Type::Map(_) | Type::Json => return self.key(of, name, span),
            _ => {
                self.tell_no_field(&of, name);
                None
            }
        };
        let Some(ty) = ty else { return mistake(span) };
        self.needed(&of);
        Typed { ty, moment: of.moment, span, node: Node::Field(Box::new(of), name.name.clone()) }
    }

    /// `m.key` is `m["key"]`.
    fn key(&mut self, of: Typed, name: &Ident, span: Span) -> Typed {
        self.needed(&of);
        let ty = item_type(&of.ty, Some(&name.name));
        let moment = of.moment;
        let node = Node::Literal(Value::string(name.name.as_str()));
        let key = Typed { ty: Type::String, moment: Moment::Plan, span: name.span, node };
        Typed { ty, moment, span, node: Node::Index(Box::new(of), Box::new(key)) }
    }

    fn object_field(&mut self, of: &Typed, kind: Kind, name: &Ident) -> Option<Type> {
        if kind == Kind::Outcome && name.name == "stdout" && self.is_outcome_of_job(of) {
            self.tell(
                Diagnostic::error("E203", "a job's outcome has no field `stdout`")
                    .at(name.span, "")
                    .help("the logs of a job are out of reach while a kubelet restarts; `code` is there"),
            );
            return None;
        }
        if let Some(decl) = field(kind, &name.name) {
            return Some((decl.ty)());
        }
        let word = phrase(&Type::Object(kind));
        let near = did_you_mean(&name.name, fields(kind).map(|field| field.name));
        let error = Diagnostic::error("E203", format!("{word} has no field `{}`", name.name))
            .at(name.span, near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default());
        let all = fields(kind).map(|field| field.name).collect::<Vec<_>>().join(", ");
        self.tell(if near.is_some() { error } else { error.help(format!("{word} has: {all}")) });
        None
    }

    fn is_outcome_of_job(&self, of: &Typed) -> bool {
        let Node::Name(name) = &of.node else { return false };
        self.seen(name).is_some_and(|binding| binding.what == What::Record(Some("job")))
    }

    fn version_part(&mut self, name: &Ident) -> Option<Type> {
        if let Some((_, ty)) = VERSION_PARTS.iter().find(|(part, _)| *part == name.name) {
            return Some(ty());
        }
        let near = did_you_mean(&name.name, VERSION_PARTS.iter().map(|(part, _)| *part));
        let label = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
        let error = Diagnostic::error("E203", format!("a version has no part `{}`", name.name)).at(name.span, label);
        self.tell(error.help("a version has: major, minor, patch, suffix, text"));
        None
    }

    fn tell_no_field(&mut self, of: &Typed, name: &Ident) {
        let text = name.name.as_str();
        let receiver = match of.ty.required() {
            Type::List(_) => Some(Receiver::List),
            Type::String => Some(Receiver::String),
            _ => None,
        };
        let error = Diagnostic::error("E203", format!("{} has no field `{text}`", phrase(&of.ty))).at(name.span, "");
        self.tell(if receiver.is_some_and(|receiver| method(receiver, text).is_some()) {
            error.help(format!("call it: `.{text}()`"))
        } else if let Type::List(item) = of.ty.required() {
            match **item {
                Type::Object(kind) if field(kind, text).is_some() => {
                    error.help(format!("each {} has one: `.map(|x| x.{text})`", kind.word()))
                }
                _ => error,
            }
        } else {
            error
        });
    }

    fn index(&mut self, of: &'a Expr, key: &'a Expr, span: Span) -> Typed {
        let of = self.expr(of, None);
        let (want, key_text) = match of.ty.required() {
            Type::Map(_) => (Some(Type::String.optional()), plain_text(key)),
            Type::List(_) => (Some(Type::Int), None),
            Type::Json | Type::Mistake => (None, None),
            other => {
                self.tell(
                    Diagnostic::error("E216", format!("{} has no items", phrase(other)))
                        .at(of.span, "`[…]` takes an item of a list or the value of a map's key"),
                );
                self.expr(key, None);
                return mistake(span);
            }
        };
        let key = match &want {
            Some(want) => self.value(key, want, if *want == Type::Int { "an item's place" } else { "a key" }),
            None => self.json_key(key),
        };
        self.needed(&of);
        let ty = item_type(&of.ty, key_text.as_deref());
        let moment = of.moment.max(key.moment);
        Typed { ty, moment, span, node: Node::Index(Box::new(of), Box::new(key)) }
    }

    fn json_key(&mut self, key: &'a Expr) -> Typed {
        let key = self.expr(key, None);
        if matches!(key.ty.required(), Type::Int | Type::Mistake) {
            return key;
        }
        self.fitted(key, &Type::String, "a key of json")
    }

    /// A type as written; a name that is none is told.
    pub(super) fn resolve_type(&mut self, written: &TypeExpr) -> Type {
        match &written.kind {
            TypeExprKind::List(item) => self.resolve_part(item).map_or(Type::Mistake, Type::list),
            TypeExprKind::Map(item) => self.resolve_part(item).map_or(Type::Mistake, Type::map),
            TypeExprKind::Optional(inner) => self.resolve_part(inner).map_or(Type::Mistake, Type::optional),
            TypeExprKind::Name(name) => Type::named(name).unwrap_or_else(|| {
                let near = did_you_mean(name, Type::NAMES.iter().copied().chain(["list", "map"]));
                let other = match name.as_str() {
                    "str" | "text" | "String" => Some("string"),
                    "boolean" => Some("bool"),
                    "integer" | "number" => Some("int"),
                    "list" => Some("list<…>"),
                    "map" => Some("map<…>"),
                    _ => near,
                };
                self.tell(
                    Diagnostic::error("E202", format!("there is no type `{name}`"))
                        .at(written.span, other.map(|other| format!("did you mean `{other}`?")).unwrap_or_default())
                        .help(format!(
                            "the types are {}, list<…>, map<…>, and `?` after one that may be none",
                            Type::NAMES.join(", ")
                        )),
                );
                Type::Mistake
            }),
        }
    }

    /// A type within another: no secret, which must not be seen by accident.
    fn resolve_part(&mut self, written: &TypeExpr) -> Option<Type> {
        let ty = self.resolve_type(written);
        if ty == Type::Secret {
            self.tell(Diagnostic::error("E202", "a secret stands alone").at(written.span, "not within another type"));
            return None;
        }
        (!is_mistake(&ty)).then_some(ty)
    }
}

/// What an item of a map, a list or json is; json knows for itself whether it is `none`.
fn item_type(of: &Type, key: Option<&str>) -> Type {
    match of.required() {
        Type::Map(item) if **item == Type::Quantity && key.is_some_and(|key| ALWAYS_THERE.contains(&key)) => {
            Type::Quantity
        }
        Type::Map(item) | Type::List(item) => (**item).clone().optional(),
        other => other.clone(),
    }
}

/// The text of a plain string literal.
pub(super) fn plain_text(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::String(string) => string.plain(),
        ExprKind::Paren(inner) => plain_text(inner),
        _ => None,
    }
}

/// An int where a float or a quantity is needed, as one; anything else comes back.
pub(super) fn converted(typed: Typed, want: &Type) -> Result<Typed, Typed> {
    let (Type::Int, want @ (Type::Float | Type::Quantity)) = (&typed.ty, want.required()) else { return Err(typed) };
    let (moment, span) = (typed.moment, typed.span);
    let node = match (&typed.node, want) {
        (Node::Literal(Value::Int(value)), Type::Float) => Node::Literal(Value::Float(*value as f64)),
        (Node::Literal(Value::Int(value)), _) => Node::Literal(Value::Quantity(Quantity::whole(*value))),
        (_, want) => {
            let one = if *want == Type::Float { Value::Float(1.0) } else { Value::Quantity(Quantity::whole(1)) };
            let one = Typed { ty: want.clone(), moment: Moment::Plan, span, node: Node::Literal(one) };
            Node::Binary(BinaryOp::Mul, Box::new(typed), Box::new(one))
        }
    };
    Ok(Typed { ty: want.clone(), moment, span, node })
}
