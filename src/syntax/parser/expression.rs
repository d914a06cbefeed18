//! Expressions: a flat row of operands and operators becomes a tree by their binding.

use std::cell::RefCell;
use std::sync::LazyLock;

use pest::iterators::Pair;
use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::Rule;
use super::scan::CLAUSE_WORDS;
use super::tree::{Builder, child};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{Arg, BinaryOp, Call, Expr, ExprKind, Ident, Path, UnaryOp};

/// How many operators may stand on top of each other in one expression. What walks a tree recurses that deep.
const MAX_HEIGHT: usize = 256;

/// Loose to tight, as the grammar lists them.
static BINDING: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let infix = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(infix(Rule::or))
        .op(infix(Rule::and))
        .op(infix(Rule::equal) | infix(Rule::not_equal))
        .op(infix(Rule::is_in))
        .op(infix(Rule::less) | infix(Rule::less_equal) | infix(Rule::greater) | infix(Rule::greater_equal))
        .op(infix(Rule::coalesce))
        .op(infix(Rule::plus) | infix(Rule::minus))
        .op(infix(Rule::times) | infix(Rule::divided))
        .op(Op::prefix(Rule::not) | Op::prefix(Rule::negative))
        .op(Op::postfix(Rule::member) | Op::postfix(Rule::index))
});

/// An expression and how high it is.
struct Tree {
    expr: Expr,
    height: usize,
}

impl Builder<'_> {
    /// The first child that is an expression; the grammar has one wherever this is asked.
    pub(super) fn expression_in(&mut self, pair: &Pair<'_, Rule>) -> Expr {
        match child(pair, Rule::expression) {
            Some(inner) => self.expression(inner),
            None => Expr { span: self.span(pair), kind: ExprKind::None },
        }
    }

    pub(super) fn expression(&mut self, pair: Pair<'_, Rule>) -> Expr {
        // The four functions need the builder one after the other.
        let builder = RefCell::new(&mut *self);
        let tree = BINDING
            .map_primary(|pair| builder.borrow_mut().primary(pair))
            .map_prefix(|op, operand| builder.borrow_mut().unary(&op, operand))
            .map_postfix(|operand, op| builder.borrow_mut().postfix(operand, op))
            .map_infix(|left, op, right| builder.borrow_mut().binary(left, &op, right))
            .parse(pair.into_inner());
        self.height = self.height.max(tree.height);
        tree.expr
    }

    /// Builds something that holds expressions, and how high the highest of them is.
    fn measured<T>(&mut self, build: impl FnOnce(&mut Self) -> T) -> (T, usize) {
        let outside = std::mem::take(&mut self.height);
        let built = build(self);
        (built, std::mem::replace(&mut self.height, outside))
    }

    /// One more storey. What is too high is told once and left out, so that no tree is ever deeper than that.
    fn raised(&mut self, span: Span, kind: ExprKind, below: usize) -> Tree {
        if below < MAX_HEIGHT {
            return Tree { expr: Expr { span, kind }, height: below + 1 };
        }
        if !self.told_too_long {
            self.told_too_long = true;
            let message =
                format!("this expression is too long: it has more than {MAX_HEIGHT} operators upon each other");
            self.tell(Diagnostic::error("E005", message).at(span, "").help("give parts of it a name with `let`"));
        }
        Tree { expr: Expr { span, kind: ExprKind::None }, height: 1 }
    }

    fn primary(&mut self, pair: Pair<'_, Rule>) -> Tree {
        let span = self.span(&pair);
        let (kind, below) = self.measured(|builder| match pair.as_rule() {
            Rule::nested => ExprKind::Paren(Box::new(builder.expression_in(&pair))),
            Rule::list => ExprKind::List(builder.elements(pair)),
            Rule::quoted | Rule::raw => ExprKind::String(builder.string(pair)),
            Rule::reference => builder.reference(pair),
            _ => builder.literal(&pair),
        });
        // A name with nothing behind it may be followed by blanks that pest passed looking for its arguments.
        let span = match &kind {
            ExprKind::Name(path) => path.span(),
            _ => span,
        };
        self.raised(span, kind, below)
    }

    fn elements(&mut self, pair: Pair<'_, Rule>) -> Vec<Expr> {
        let elements = pair.into_inner().filter(|pair| pair.as_rule() == Rule::expression);
        elements.map(|pair| self.expression(pair)).collect()
    }

    fn unary(&mut self, op: &Pair<'_, Rule>, operand: Tree) -> Tree {
        let span = self.span(op).to(operand.expr.span);
        let which = if op.as_rule() == Rule::not { UnaryOp::Not } else { UnaryOp::Neg };
        self.raised(span, ExprKind::Unary(which, Box::new(operand.expr)), operand.height)
    }

    fn postfix(&mut self, operand: Tree, op: Pair<'_, Rule>) -> Tree {
        let start = operand.expr.span;
        let end = self.trimmed_span(&op);
        let inner = Box::new(operand.expr);
        let (kind, below) = self.measured(|builder| {
            if op.as_rule() == Rule::index {
                return ExprKind::Index(inner, Box::new(builder.expression_in(&op)));
            }
            let field =
                child(&op, Rule::word).map_or(Ident { name: String::new(), span: end }, |word| builder.ident(&word));
            match child(&op, Rule::arguments) {
                Some(arguments) => ExprKind::Method(inner, field, builder.arguments(arguments)),
                None => ExprKind::Field(inner, field),
            }
        });
        self.raised(start.to(end), kind, below.max(operand.height))
    }

    fn binary(&mut self, left: Tree, op: &Pair<'_, Rule>, right: Tree) -> Tree {
        let place = self.span(op);
        let which = binary_op(op.as_rule());
        self.check_comparison(which, place, &left.expr, &right.expr);
        let span = left.expr.span.to(right.expr.span);
        let below = left.height.max(right.height);
        self.raised(span, ExprKind::Binary(which, place, Box::new(left.expr), Box::new(right.expr)), below)
    }

    /// Refuses what binds otherwise than it looks.
    fn check_comparison(&mut self, op: BinaryOp, place: Span, left: &Expr, right: &Expr) {
        match &left.kind {
            ExprKind::Binary(first, _, _, middle) if is_comparison(op) && is_comparison(*first) => {
                let help = match (self.written(left.span), self.written(middle.span), self.written(right.span)) {
                    (Some(left), Some(middle), Some(right)) => {
                        format!("write `{left} && {middle} {} {right}`", op.symbol())
                    }
                    _ => "join two comparisons with `&&`".to_owned(),
                };
                let error = Diagnostic::error("E012", "comparisons do not chain");
                self.tell(error.at(place, "compares the answer of the comparison before it").help(help));
            }
            ExprKind::Unary(UnaryOp::Not, operand) if op == BinaryOp::In => {
                let help = match (self.written(operand.span), self.written(right.span)) {
                    (Some(operand), Some(right)) => format!("write `!({operand} in {right})`"),
                    _ => "put the whole test in parentheses: `!(x in y)`".to_owned(),
                };
                let error = Diagnostic::error("E013", "`!` belongs to the operand alone, not to the `in`");
                self.tell(error.at(left.span, "this is negated first").help(help));
            }
            _ => {}
        }
    }

    fn reference(&mut self, pair: Pair<'_, Rule>) -> ExprKind {
        match child(&pair, Rule::arguments) {
            Some(_) => ExprKind::Call(self.call(pair)),
            None => ExprKind::Name(self.path(&pair)),
        }
    }

    /// `f(args)`, of a pair that holds a path and arguments.
    pub(super) fn call(&mut self, pair: Pair<'_, Rule>) -> Call {
        let path = self.path(&pair);
        let span = self.trimmed_span(&pair);
        if path.module.is_none() {
            self.check_callable(&path.name);
        }
        let args = child(&pair, Rule::arguments).map_or_else(Vec::new, |pair| self.arguments(pair));
        Call { path, args, span }
    }

    /// Refuses a name that no task, action or function can have.
    pub(super) fn check_callable(&mut self, name: &Ident) {
        let error = match name.name.as_str() {
            "not" => Diagnostic::error("E011", "`not` is written `!`").help("write `!(…)`"),
            word if CLAUSE_WORDS.contains(&word) => Diagnostic::error(
                "E014",
                format!("`{word}` is a word of clauses: no task, action or function bears it"),
            )
            .help("choose another name"),
            _ => return,
        };
        self.tell(error.at(name.span, ""));
    }

    fn path(&self, pair: &Pair<'_, Rule>) -> Path {
        let path = child(pair, Rule::path).unwrap_or_else(|| pair.clone());
        let names: Vec<_> = path.clone().into_inner().filter(|pair| pair.as_rule() == Rule::name).collect();
        match names.as_slice() {
            [module, name] => Path { module: Some(self.ident(module)), name: self.ident(name) },
            [name] => Path { module: None, name: self.ident(name) },
            _ => Path { module: None, name: self.ident(&path) },
        }
    }

    fn arguments(&mut self, pair: Pair<'_, Rule>) -> Vec<Arg> {
        let arguments = pair.into_inner().filter(|pair| pair.as_rule() == Rule::argument);
        arguments.map(|pair| self.argument(&pair)).collect()
    }

    fn argument(&mut self, pair: &Pair<'_, Rule>) -> Arg {
        let name = child(pair, Rule::label).and_then(|label| child(&label, Rule::word)).map(|word| self.ident(&word));
        let value = match child(pair, Rule::closure) {
            Some(closure) => self.closure(&closure),
            None => self.expression_in(pair),
        };
        Arg { name, value }
    }

    fn closure(&mut self, pair: &Pair<'_, Rule>) -> Expr {
        let names = pair.clone().into_inner().filter(|pair| pair.as_rule() == Rule::name);
        let names = names.map(|pair| self.ident(&pair)).collect();
        let (body, below) = self.measured(|builder| builder.expression_in(pair));
        let span = self.trimmed_span(pair);
        let tree = self.raised(span, ExprKind::Closure(names, Box::new(body)), below);
        self.height = self.height.max(tree.height);
        tree.expr
    }
}

fn is_comparison(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge)
}

/// Only infix rules come here.
fn binary_op(rule: Rule) -> BinaryOp {
    match rule {
        Rule::or => BinaryOp::Or,
        Rule::and => BinaryOp::And,
        Rule::equal => BinaryOp::Eq,
        Rule::not_equal => BinaryOp::Ne,
        Rule::is_in => BinaryOp::In,
        Rule::less => BinaryOp::Lt,
        Rule::less_equal => BinaryOp::Le,
        Rule::greater => BinaryOp::Gt,
        Rule::greater_equal => BinaryOp::Ge,
        Rule::coalesce => BinaryOp::Else,
        Rule::plus => BinaryOp::Add,
        Rule::minus => BinaryOp::Sub,
        Rule::times => BinaryOp::Mul,
        _ => BinaryOp::Div,
    }
}
