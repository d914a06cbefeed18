//! The syntax tree: what a person wrote, every piece with its span, nothing resolved.

use crate::source::Span;

/// A parsed file. What could not be read is left out; the diagnostics say so.
#[derive(Debug, Clone, Default)]
pub struct Ast {
    /// The documentation of the file: its first `///` block, followed by a blank line or `use`.
    pub doc: Option<Doc>,
    /// The statements at the top, in order.
    pub statements: Vec<Statement>,
    /// Every `//` comment (without `///`), in order of place, for the formatter.
    pub comments: Vec<Comment>,
}

/// A `///` block: its lines without the slashes and one following space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    /// The whole block.
    pub span: Span,
    /// Its lines.
    pub lines: Vec<String>,
}

/// A `//` comment with its text as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// From the first slash to before the line's end.
    pub span: Span,
    /// The text, slashes included.
    pub text: String,
}

/// A name and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub name: String,
    /// Its place.
    pub span: Span,
}

/// A name that may be in a module: `drain` or `kubeadm::upgrade_node`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The module, where one is named.
    pub module: Option<Ident>,
    /// The last part.
    pub name: Ident,
}

impl Path {
    /// The whole path's place.
    pub fn span(&self) -> Span {
        self.module.as_ref().map_or(self.name.span, |module| module.span.to(self.name.span))
    }

    /// `module::name` or `name`.
    pub fn text(&self) -> String {
        match &self.module {
            Some(module) => format!("{}::{}", module.name, self.name.name),
            None => self.name.name.clone(),
        }
    }
}

/// A block in braces.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// From `{` to `}`.
    pub span: Span,
    /// The statements, in order.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The `///` block right before it.
    pub doc: Option<Doc>,
    /// From its first word to its end, blocks included.
    pub span: Span,
    /// What it says.
    pub kind: StatementKind,
}

/// Every form of statement, as LANGUAGE.md section 2 lists them.
#[derive(Debug, Clone)]
pub enum StatementKind {
    /// `use std::node` or `use "./lib.sprag"`
    Use(Use),
    /// `param name: type = default where C else "why"`
    Param(Param),
    /// `let name = expr`
    Let {
        /// The name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `record name = expr` or `record name = action(…) …`
    Record {
        /// The name.
        name: Ident,
        /// The value: an expression, or a call that names an action (told apart by the checker).
        value: Expr,
        /// Modifiers after it.
        modifiers: Modifiers,
    },
    /// `fn name(a: type) -> type = expr`
    Fn(Fn),
    /// `task name(a: type) { … } undo { … }`
    Task(Task),
    /// A call of an action or a task, alone as a statement.
    Call {
        /// The call.
        call: Call,
        /// Modifiers after it.
        modifiers: Modifiers,
    },
    /// `wait D`
    Wait {
        /// How long.
        duration: Expr,
        /// `as "name"`
        alias: Option<StringLit>,
    },
    /// `wait until C for D every D within T`
    WaitUntil(WaitUntil),
    /// `assert C for D every D else "…"`
    Assert(Assert),
    /// `rollout x in list … { … }`
    Rollout(Box<Rollout>),
    /// `parallel concurrency n { … }`
    Parallel {
        /// `concurrency n`
        concurrency: Option<Expr>,
        /// `as "name"`
        alias: Option<StringLit>,
        /// The branches.
        body: Block,
    },
    /// `group "name" { … } finally { … }`
    Group(Group),
    /// `if C { … } else if … else { … }`
    If(If),
    /// `approve "question" within T by "group"`
    Approve {
        /// What a person is asked.
        question: Expr,
        /// `within T`
        within: Option<Expr>,
        /// `by "group"`
        by: Option<Expr>,
        /// `as "name"`
        alias: Option<StringLit>,
    },
    /// `halt when`, `rollback when`, `pause when`, `pause unless`
    Guard(Guard),
    /// `on failure rollback` or `on failure continue`
    OnFailure(OnFailure),
}

/// What a `use` brings in.
#[derive(Debug, Clone)]
pub enum Use {
    /// `use std::name`
    Std(Ident),
    /// `use "./file.sprag"`; the literal holds no interpolation.
    File(StringLit),
}

/// A parameter of the playbook.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: TypeExpr,
    /// `= default`
    pub default: Option<Expr>,
    /// `where C`
    pub condition: Option<Expr>,
    /// `else "why"`
    pub why: Option<Expr>,
}

/// A parameter of a task or a function.
#[derive(Debug, Clone)]
pub struct Formal {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: TypeExpr,
    /// `= default`
    pub default: Option<Expr>,
}

/// A named expression.
#[derive(Debug, Clone)]
pub struct Fn {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<Formal>,
    /// `-> type`
    pub result: TypeExpr,
    /// The expression.
    pub body: Expr,
}

/// A named procedure.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<Formal>,
    /// Its steps.
    pub body: Block,
    /// `undo { … }`
    pub undo: Option<Block>,
}

/// `wait until …`
#[derive(Debug, Clone)]
pub struct WaitUntil {
    /// What must become true.
    pub condition: Expr,
    /// `for D`
    pub hold: Option<Expr>,
    /// `every D`
    pub every: Option<Expr>,
    /// `within T`; the parser reports its absence.
    pub within: Option<Expr>,
    /// `as "name"`
    pub alias: Option<StringLit>,
}

/// `assert …`
#[derive(Debug, Clone)]
pub struct Assert {
    /// What must be true.
    pub condition: Expr,
    /// `for D`
    pub hold: Option<Expr>,
    /// `every D`
    pub every: Option<Expr>,
    /// `else "…"`
    pub why: Option<Expr>,
    /// `as "name"`
    pub alias: Option<StringLit>,
}

/// `rollout x in list clauses { … } between { … } finally { … }`
#[derive(Debug, Clone)]
pub struct Rollout {
    /// The element's name.
    pub element: Ident,
    /// What is rolled over.
    pub list: Expr,
    /// `batches [ … ]`
    pub batches: Option<Batches>,
    /// `one expr at a time`
    pub one: Option<Expr>,
    /// `order by expr`
    pub order: Option<Expr>,
    /// `concurrency n`
    pub concurrency: Option<Expr>,
    /// `max_failures n`
    pub max_failures: Option<Expr>,
    /// `defer blocked after T`
    pub defer: Option<Expr>,
    /// `when C`
    pub when: Option<Expr>,
    /// `as "name"`
    pub alias: Option<StringLit>,
    /// The body.
    pub body: Block,
    /// `between { … }`
    pub between: Option<Block>,
    /// `finally { … }`
    pub finally: Option<Block>,
}

/// `batches [1, 10%, rest]`
#[derive(Debug, Clone)]
pub struct Batches {
    /// From `batches` to `]`.
    pub span: Span,
    /// The sizes, without `rest`.
    pub sizes: Vec<Expr>,
    /// Where `rest` stands, if it does.
    pub rest: Option<Span>,
}

/// `group "name" …`
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: StringLit,
    /// `when C`
    pub when: Option<Expr>,
    /// `as "name"`
    pub alias: Option<StringLit>,
    /// The body.
    pub body: Block,
    /// `finally { … }`
    pub finally: Option<Block>,
}

/// `if … else if … else …`
#[derive(Debug, Clone)]
pub struct If {
    /// Conditions with their blocks, in order.
    pub arms: Vec<(Expr, Block)>,
    /// `else { … }`
    pub otherwise: Option<Block>,
}

/// What a guard does when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardKind {
    /// `halt when`
    Halt,
    /// `rollback when`
    Rollback,
    /// `pause when`
    PauseWhen,
    /// `pause unless`
    PauseUnless,
}

/// A guard.
#[derive(Debug, Clone)]
pub struct Guard {
    /// What it does.
    pub kind: GuardKind,
    /// Its condition.
    pub condition: Expr,
    /// `for D`
    pub hold: Option<Expr>,
    /// `else "…"`
    pub why: Option<Expr>,
}

/// What the failure of a block does beside ending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// `on failure rollback`
    Rollback,
    /// `on failure continue`
    Continue,
}

/// Modifiers after an action, a task's call or a record, each at most once (the parser reports a second).
#[derive(Debug, Clone, Default)]
pub struct Modifiers {
    /// `retry N every D`: count, pause, place
    pub retry: Option<Retry>,
    /// `when C`
    pub when: Option<Expr>,
    /// `done when C`
    pub done_when: Option<Expr>,
    /// `takes D`
    pub takes: Option<Expr>,
    /// `undo { … }`
    pub undo: Option<Block>,
    /// `as "name"`
    pub alias: Option<StringLit>,
}

/// `retry N every D`
#[derive(Debug, Clone)]
pub struct Retry {
    /// From `retry` to its end.
    pub span: Span,
    /// How many more times.
    pub count: Expr,
    /// `every D`
    pub every: Option<Expr>,
}

/// A type as written.
#[derive(Debug, Clone)]
pub struct TypeExpr {
    /// Its place.
    pub span: Span,
    /// What it says.
    pub kind: TypeExprKind,
}

/// The forms of a type.
#[derive(Debug, Clone)]
pub enum TypeExprKind {
    /// `int`, `node`, …
    Name(String),
    /// `list<T>`
    List(Box<TypeExpr>),
    /// `map<T>`
    Map(Box<TypeExpr>),
    /// `T?`
    Optional(Box<TypeExpr>),
}

/// An expression.
#[derive(Debug, Clone)]
pub struct Expr {
    /// Its place.
    pub span: Span,
    /// What it says.
    pub kind: ExprKind,
}

/// Every form of expression, as LANGUAGE.md section 3 lists them.
#[derive(Debug, Clone)]
pub enum ExprKind {
    /// `true`, `false`
    Bool(bool),
    /// `12`
    Int(i64),
    /// `0.5`
    Float(f64),
    /// `1h30m`, in milliseconds
    Duration(i64),
    /// `25%`: 25.0
    Percent(f64),
    /// `v1.31` or `v1.31.4-gke.5`, as written with the `v`
    Version(String),
    /// `none`
    None,
    /// `"…"` or `` `…` ``
    String(StringLit),
    /// `[a, b]`
    List(Vec<Expr>),
    /// A name, perhaps of a module's constant: `node`, `lib::limit`
    Name(Path),
    /// `f(…)`, `module::f(…)`
    Call(Call),
    /// `x.field`
    Field(Box<Expr>, Ident),
    /// `x.method(…)`
    Method(Box<Expr>, Ident, Vec<Arg>),
    /// `x[key]`
    Index(Box<Expr>, Box<Expr>),
    /// `-x`, `!x`
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`, with the place of the operator
    Binary(BinaryOp, Span, Box<Expr>, Box<Expr>),
    /// `|x| …`
    Closure(Vec<Ident>, Box<Expr>),
    /// `( … )`, kept for the formatter
    Paren(Box<Expr>),
}

/// `f(args)`
#[derive(Debug, Clone)]
pub struct Call {
    /// What is called.
    pub path: Path,
    /// The arguments, in order.
    pub args: Vec<Arg>,
    /// From the path to `)`.
    pub span: Span,
}

/// One argument, named or not.
#[derive(Debug, Clone)]
pub struct Arg {
    /// `name:`
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// A string literal.
#[derive(Debug, Clone)]
pub struct StringLit {
    /// Quotes included.
    pub span: Span,
    /// Whether it is written in backticks, where nothing but `${…}` is special.
    pub raw: bool,
    /// Text and interpolations, in order; escapes are already resolved.
    pub parts: Vec<StringPart>,
}

impl StringLit {
    /// The text, if nothing is interpolated.
    pub fn plain(&self) -> Option<String> {
        self.parts
            .iter()
            .map(|part| match part {
                StringPart::Text { text, .. } => Some(text.as_str()),
                StringPart::Interpolation(_) => None,
            })
            .collect()
    }
}

/// A piece of a string literal.
#[derive(Debug, Clone)]
pub enum StringPart {
    /// Characters, escapes resolved.
    Text {
        /// The characters.
        text: String,
        /// Where they stand (as written).
        span: Span,
    },
    /// `${expr}`
    Interpolation(Expr),
}

/// `-` and `!`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
}

/// The infix operators, loose to tight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `in`
    In,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `??`
    Else,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
}

impl BinaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::In => "in",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Else => "??",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
        }
    }
}
