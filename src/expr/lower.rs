//! Typed expression → a text of host calls, the form in which a graph keeps it.
//!
//! The text is Rhai's syntax with nothing of Rhai in it but calls, closures, `&&`, `||` and `??`: every operator of the
//! language is a call chosen here, names are calls with the slot, so that no closure captures a list. It is part of the
//! graph's format: a call that is no longer wanted stays readable.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::catalog::types::Type;
use crate::catalog::value::Value;
use crate::plan::graph::Code;
use crate::source::SourceMap;

use super::ir::{BinaryOp, Node, TextPart, Typed, UnaryOp};

/// What lowering has to know about names.
pub struct LowerNames<'a> {
    /// Name as used at this place to slot of the graph.
    pub slots: &'a BTreeMap<String, String>,
    /// For the text that people see.
    pub sources: &'a SourceMap,
}

/// Lowers a checked expression. A name without a slot keeps its own name as slot.
pub fn lower(expr: &Typed, names: &LowerNames<'_>) -> Code {
    let lowering = Lowering { names };
    Code { text: one_line(names.sources.text(expr.span)), code: lowering.value(expr), ty: expr.ty.clone() }
}

/// The code of a value that is known already.
pub fn literal(value: &Value, ty: Type) -> Code {
    Code { text: value.to_string(), code: literal_call(value), ty }
}

/// A text on one line: runs of white space become one blank, comments are left out, strings stay as they are.
pub fn one_line(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let mut quote: Option<char> = None;
    while let Some(c) = chars.next() {
        match quote {
            Some(end) => {
                out.push(if c == '\n' { ' ' } else { c });
                if c == '\\' && end == '"' {
                    out.extend(chars.next());
                } else if c == end {
                    quote = None;
                }
            }
            None if c == '"' || c == '`' => {
                quote = Some(c);
                out.push(c);
            }
            None if c == '/' && chars.peek() == Some(&'/') => while chars.next_if(|c| *c != '\n').is_some() {},
            None if c.is_whitespace() => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            None => out.push(c),
        }
    }
    out.trim_end().to_owned()
}

struct Lowering<'a> {
    names: &'a LowerNames<'a>,
}

impl Lowering<'_> {
    /// An expression of host calls that gives a value.
    fn value(&self, expr: &Typed) -> String {
        match &expr.node {
            Node::Literal(value) => literal_call(value),
            Node::Name(name) => {
                let slot = self.names.slots.get(name).unwrap_or(name);
                format!("name({})", quoted(slot))
            }
            Node::Local(name) => local(name),
            Node::Fact(name) => format!("fact({})", quoted(name)),
            Node::Field(of, field) => self.field(of, field),
            Node::Index(of, key) => format!("index({}, {})", self.value(of), self.value(key)),
            Node::Method(of, name, args) => self.method(of, name, args),
            Node::Closure(param, body) => format!("|{}| {}", local(param), self.value(body)),
            Node::Call(name, args) if name == "shell" => format!("shell([{}])", self.values(args)),
            Node::Call(name, args) => format!("call_{name}([{}])", self.values(args)),
            Node::Inline(bindings, body) => self.inline(bindings, body),
            Node::Unary(UnaryOp::Not, of) => format!("v(!{})", self.truth(of)),
            Node::Unary(UnaryOp::Neg, of) => format!("neg({})", self.needed(of)),
            Node::Binary(op, left, right) => self.binary(*op, expr, left, right),
            Node::Text(parts) => self.text(parts),
            Node::List(items) => format!("list([{}])", self.values(items)),
            Node::Mistake => "mistake()".to_owned(),
        }
    }

    fn values(&self, items: &[Typed]) -> String {
        items.iter().map(|item| self.value(item)).collect::<Vec<_>>().join(", ")
    }

    /// A truth value of Rhai's own, for its operators that stop early.
    fn truth(&self, expr: &Typed) -> String {
        match &expr.node {
            Node::Binary(op @ (BinaryOp::And | BinaryOp::Or), ..) => self.chain(*op, expr),
            Node::Unary(UnaryOp::Not, of) => format!("!{}", self.truth(of)),
            _ => format!("b({})", self.needed(expr)),
        }
    }

    /// A value where `none` will not do: says what was none.
    fn needed(&self, expr: &Typed) -> String {
        let value = self.value(expr);
        if !expr.ty.may_be_none() {
            return value;
        }
        format!("need({value}, {})", quoted(&one_line(self.names.sources.text(expr.span))))
    }

    fn field(&self, of: &Typed, field: &str) -> String {
        match &of.node {
            Node::Fact(fact) if fact == "workloads" && field == "regressed" => "regressed()".to_owned(),
            _ => format!("field({}, {})", self.needed(of), quoted(field)),
        }
    }

    fn method(&self, of: &Typed, name: &str, args: &[Typed]) -> String {
        let receiver = self.needed(of);
        let zero = (name == "sum").then(|| zero_of(&of.ty));
        match (args.first(), zero) {
            (Some(closure), _) if matches!(closure.node, Node::Closure(..)) => {
                format!("each({receiver}, {}, {})", quoted(name), self.value(closure))
            }
            (Some(arg), _) => format!("method({receiver}, {}, {})", quoted(name), self.value(arg)),
            (None, Some(zero)) => format!("method({receiver}, {}, {zero})", quoted(name)),
            (None, None) => format!("method({receiver}, {}, none())", quoted(name)),
        }
    }

    fn inline(&self, bindings: &[(String, Typed)], body: &Typed) -> String {
        let mut out = self.value(body);
        for (name, value) in bindings.iter().rev() {
            out = format!("bind({}, |{}| {out})", self.value(value), local(name));
        }
        out
    }

    fn binary(&self, op: BinaryOp, expr: &Typed, left: &Typed, right: &Typed) -> String {
        let call = match op {
            BinaryOp::And | BinaryOp::Or => return format!("v({})", self.chain(op, expr)),
            BinaryOp::Else => return format!("(opt({}) ?? {})", self.value(left), self.value(right)),
            BinaryOp::Eq | BinaryOp::Ne => {
                let call = if op == BinaryOp::Eq { "eq" } else { "ne" };
                return format!("{call}({}, {})", self.value(left), self.value(right));
            }
            BinaryOp::In => return format!("isin({}, {})", self.value(left), self.needed(right)),
            BinaryOp::Lt => "lt",
            BinaryOp::Le => "le",
            BinaryOp::Gt => "gt",
            BinaryOp::Ge => "ge",
            BinaryOp::Add => "add",
            BinaryOp::Sub => "sub",
            BinaryOp::Mul => "mul",
            BinaryOp::Div => "div",
        };
        format!("{call}({}, {})", self.needed(left), self.needed(right))
    }

    /// A chain of one of `&&`, `||` as a balanced tree, so that a long one is not a deep one.
    fn chain(&self, op: BinaryOp, expr: &Typed) -> String {
        let mut operands = Vec::new();
        collect(op, expr, &mut operands);
        self.balanced(op, &operands)
    }

    fn balanced(&self, op: BinaryOp, operands: &[&Typed]) -> String {
        match operands {
            [one] => self.truth(one),
            many => {
                let (left, right) = many.split_at(many.len() / 2);
                format!("({} {} {})", self.balanced(op, left), op.symbol(), self.balanced(op, right))
            }
        }
    }

    fn text(&self, parts: &[TextPart]) -> String {
        let pieces: Vec<_> = parts
            .iter()
            .map(|part| match part {
                TextPart::Text(text) => format!("s({})", quoted(text)),
                TextPart::Value(value) => self.needed(value),
            })
            .collect();
        format!("text([{}])", pieces.join(", "))
    }
}

fn collect<'a>(op: BinaryOp, expr: &'a Typed, operands: &mut Vec<&'a Typed>) {
    match &expr.node {
        Node::Binary(this, left, right) if *this == op => {
            collect(op, left, operands);
            collect(op, right, operands);
        }
        _ => operands.push(expr),
    }
}

fn zero_of(list: &Type) -> String {
    let item = match list.required() {
        Type::List(item) => item.required(),
        other => other,
    };
    literal_call(&match item {
        Type::Float => Value::Float(0.0),
        Type::Duration => Value::Duration(0),
        Type::Percent => Value::Percent(0.0),
        Type::Quantity => Value::Quantity(crate::catalog::quantity::Quantity::whole(0)),
        _ => Value::Int(0),
    })
}

/// A local's name in the lowered text: Rhai's words and ours never meet.
fn local(name: &str) -> String {
    let mut out = String::from("l_");
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c)
        } else {
            let _ = write!(out, "_{:x}_", u32::from(c));
        }
    }
    out
}

fn literal_call(value: &Value) -> String {
    match value {
        Value::None => "none()".to_owned(),
        Value::Bool(value) => format!("v({value})"),
        Value::Int(value) => format!("i({})", quoted(&value.to_string())),
        Value::String(text) => format!("s({})", quoted(text)),
        Value::Duration(ms) => format!("d({})", quoted(&ms.to_string())),
        other => format!("json({})", quoted(&serde_json::to_string(other).unwrap_or_default())),
    }
}

/// A string literal of Rhai's: only what its lexer treats specially is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_on_one_line() {
        assert_eq!(one_line("a\n    && b // why\n    && \"x  // y\""), "a && b && \"x  // y\"");
    }
}
