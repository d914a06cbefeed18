//! Typed expressions: what the checker makes of an expression, and what lowering turns into Rhai.

use crate::catalog::types::{Moment, Type};
use crate::catalog::value::Value;
use crate::source::Span;
pub use crate::syntax::ast::{BinaryOp, UnaryOp};

/// An expression whose type and moment are known.
#[derive(Debug, Clone)]
pub struct Typed {
    /// What it gives.
    pub ty: Type,
    /// When it is known, seen by itself: the place decides when it is read.
    pub moment: Moment,
    /// Where it is written.
    pub span: Span,
    /// What it does.
    pub node: Node,
}

/// The forms of a typed expression. Every operator has operands of types that go together.
#[derive(Debug, Clone)]
pub enum Node {
    /// A literal.
    Literal(Value),
    /// A parameter, `let`, record, element, formal of a task, or constant of a module (`module::name`).
    Name(String),
    /// The parameter of an enclosing closure or inlined function; unique in the expression.
    Local(String),
    /// `cluster`, `nodes`, `pods`, `start`, …
    Fact(String),
    /// A field of an object.
    Field(Box<Typed>, String),
    /// `map["key"]`, `list[0]`, `json["key"]`
    Index(Box<Typed>, Box<Typed>),
    /// A method of a list, string, version or json; `args` may hold one closure.
    Method(Box<Typed>, String, Vec<Typed>),
    /// `|x| body`: only as an argument of a method or an action.
    Closure(String, Box<Typed>),
    /// `now()`, `window("…")`, `prom(…)`, `http(…)`, `objects(…)` with arguments in the order of the signature.
    Call(String, Vec<Typed>),
    /// A call of a `fn`, inlined: locals bound in order, then the body.
    Inline(Vec<(String, Typed)>, Box<Typed>),
    /// `-x`, `!x`
    Unary(UnaryOp, Box<Typed>),
    /// `a < b`
    Binary(BinaryOp, Box<Typed>, Box<Typed>),
    /// A string with interpolations.
    Text(Vec<TextPart>),
    /// `[a, b]`
    List(Vec<Typed>),
    /// What was wrong; its mistake is told, and nothing with it in it is ever lowered.
    Mistake,
}

/// A piece of a string.
#[derive(Debug, Clone)]
pub enum TextPart {
    /// Characters.
    Text(String),
    /// `${expr}`
    Value(Typed),
}
