//! A file's canonical text: what it says without how it is laid out, so that a digest tells an edit from a reformatting.
//!
//! S-expressions, one line a statement, blocks indented by two blanks. No places, comments, documentation or brackets
//! that change nothing; a text is the same in either quotes, a duration the same in any units. The form is part of every
//! digest: it changes only together with the language.

use std::fmt::Write as _;

use super::ast::{
    Arg, Assert, Ast, Batches, Block, Call, Expr, ExprKind, Formal, Group, Guard, GuardKind, If, Modifiers, OnFailure,
    Param, Rollout, Statement, StatementKind, StringLit, StringPart, TypeExpr, TypeExprKind, UnaryOp, Use, WaitUntil,
};

/// The canonical text of a tree.
pub fn canonical(ast: &Ast) -> String {
    let mut out = Canonical { text: String::new(), depth: 0 };
    out.statements(&ast.statements);
    out.text
}

struct Canonical {
    text: String,
    depth: usize,
}

impl Canonical {
    fn statements(&mut self, statements: &[Statement]) {
        for statement in statements {
            self.statement(&statement.kind);
        }
    }

    /// A line of its own: its words, each after a blank.
    fn line(&mut self, words: &[String]) {
        let indent = "  ".repeat(self.depth);
        let words: Vec<_> = words.iter().filter(|word| !word.is_empty()).map(String::as_str).collect();
        let _ = writeln!(self.text, "{indent}({})", words.join(" "));
    }

    fn block(&mut self, name: &str, block: Option<&Block>) {
        let Some(block) = block else { return };
        self.depth += 1;
        self.line(&[name.to_owned()]);
        self.depth += 1;
        self.statements(&block.statements);
        self.depth -= 2;
    }

    fn statement(&mut self, statement: &StatementKind) {
        match statement {
            StatementKind::Use(Use::Std(name)) => self.line(&[format!("use std::{}", name.name)]),
            StatementKind::Use(Use::File(path)) => self.line(&["use".to_owned(), string(path)]),
            StatementKind::Param(param) => self.param(param),
            StatementKind::Let { name, value } => self.line(&[format!("let {}", name.name), expr(value)]),
            StatementKind::Record { name, value, modifiers } => {
                self.modified(vec![format!("record {}", name.name), expr(value)], modifiers);
            }
            StatementKind::Fn(function) => self.line(&[
                format!("fn {}", function.name.name),
                formals(&function.params),
                ty(&function.result),
                expr(&function.body),
            ]),
            StatementKind::Task(task) => {
                self.line(&[format!("task {}", task.name.name), formals(&task.params)]);
                self.block("body", Some(&task.body));
                self.block("undo", task.undo.as_ref());
            }
            StatementKind::Call { call: called, modifiers } => self.modified(vec![call(called)], modifiers),
            StatementKind::Wait { duration, alias } => {
                self.line(&["wait".to_owned(), expr(duration), name(alias.as_ref())]);
            }
            StatementKind::WaitUntil(wait) => self.wait_until(wait),
            StatementKind::Assert(assert) => self.assert(assert),
            StatementKind::Rollout(rollout) => self.rollout(rollout),
            StatementKind::Parallel { concurrency, alias, body } => {
                let words = ["parallel".to_owned(), clause("concurrency", concurrency.as_ref()), name(alias.as_ref())];
                self.line(&words);
                self.block("body", Some(body));
            }
            StatementKind::Group(group) => self.group(group),
            StatementKind::If(choice) => self.choice(choice),
            StatementKind::Approve { question, within, by, alias } => self.line(&[
                "approve".to_owned(),
                expr(question),
                clause("within", within.as_ref()),
                clause("by", by.as_ref()),
                name(alias.as_ref()),
            ]),
            StatementKind::Guard(guard) => self.guard(guard),
            StatementKind::OnFailure(OnFailure::Rollback) => self.line(&["on failure rollback".to_owned()]),
            StatementKind::OnFailure(OnFailure::Continue) => self.line(&["on failure continue".to_owned()]),
        }
    }

    fn param(&mut self, param: &Param) {
        self.line(&[
            format!("param {}", param.name.name),
            ty(&param.ty),
            clause("default", param.default.as_ref()),
            clause("where", param.condition.as_ref()),
            clause("else", param.why.as_ref()),
        ]);
    }

    fn modified(&mut self, mut words: Vec<String>, modifiers: &Modifiers) {
        if let Some(retry) = &modifiers.retry {
            words.push(clause("retry", Some(&retry.count)));
            words.push(clause("every", retry.every.as_ref()));
        }
        words.push(clause("when", modifiers.when.as_ref()));
        words.push(clause("done-when", modifiers.done_when.as_ref()));
        words.push(clause("takes", modifiers.takes.as_ref()));
        words.push(name(modifiers.alias.as_ref()));
        self.line(&words);
        self.block("undo", modifiers.undo.as_ref());
    }

    fn wait_until(&mut self, wait: &WaitUntil) {
        self.line(&[
            "wait-until".to_owned(),
            expr(&wait.condition),
            clause("for", wait.hold.as_ref()),
            clause("every", wait.every.as_ref()),
            clause("within", wait.within.as_ref()),
            name(wait.alias.as_ref()),
        ]);
    }

    fn assert(&mut self, assert: &Assert) {
        self.line(&[
            "assert".to_owned(),
            expr(&assert.condition),
            clause("for", assert.hold.as_ref()),
            clause("every", assert.every.as_ref()),
            clause("else", assert.why.as_ref()),
            name(assert.alias.as_ref()),
        ]);
    }

    fn rollout(&mut self, rollout: &Rollout) {
        self.line(&[
            format!("rollout {}", rollout.element.name),
            expr(&rollout.list),
            rollout.batches.as_ref().map(batches).unwrap_or_default(),
            clause("one", rollout.one.as_ref()),
            clause("order", rollout.order.as_ref()),
            clause("concurrency", rollout.concurrency.as_ref()),
            clause("max_failures", rollout.max_failures.as_ref()),
            clause("defer", rollout.defer.as_ref()),
            clause("when", rollout.when.as_ref()),
            name(rollout.alias.as_ref()),
        ]);
        self.block("body", Some(&rollout.body));
        self.block("between", rollout.between.as_ref());
        self.block("finally", rollout.finally.as_ref());
    }

    fn group(&mut self, group: &Group) {
        let words =
            ["group".to_owned(), string(&group.name), clause("when", group.when.as_ref()), name(group.alias.as_ref())];
        self.line(&words);
        self.block("body", Some(&group.body));
        self.block("finally", group.finally.as_ref());
    }

    fn choice(&mut self, choice: &If) {
        self.line(&["if".to_owned()]);
        for (condition, block) in &choice.arms {
            self.block(&format!("when {}", expr(condition)), Some(block));
        }
        self.block("else", choice.otherwise.as_ref());
    }

    fn guard(&mut self, guard: &Guard) {
        let word = match guard.kind {
            GuardKind::Halt => "halt-when",
            GuardKind::Rollback => "rollback-when",
            GuardKind::PauseWhen => "pause-when",
            GuardKind::PauseUnless => "pause-unless",
        };
        let (hold, why) = (clause("for", guard.hold.as_ref()), clause("else", guard.why.as_ref()));
        self.line(&[word.to_owned(), expr(&guard.condition), hold, why]);
    }
}

fn clause(word: &str, value: Option<&Expr>) -> String {
    value.map(|value| format!("({word} {})", expr(value))).unwrap_or_default()
}

fn name(alias: Option<&StringLit>) -> String {
    alias.map(|alias| format!("(as {})", string(alias))).unwrap_or_default()
}

fn batches(batches: &Batches) -> String {
    let mut sizes: Vec<_> = batches.sizes.iter().map(expr).collect();
    sizes.extend(batches.rest.map(|_| "rest".to_owned()));
    format!("(batches {})", sizes.join(" "))
}

fn formals(formals: &[Formal]) -> String {
    let one = |formal: &Formal| match &formal.default {
        Some(default) => format!("({} {} {})", formal.name.name, ty(&formal.ty), expr(default)),
        None => format!("({} {})", formal.name.name, ty(&formal.ty)),
    };
    format!("({})", formals.iter().map(one).collect::<Vec<_>>().join(" "))
}

fn ty(written: &TypeExpr) -> String {
    match &written.kind {
        TypeExprKind::Name(name) => name.clone(),
        TypeExprKind::List(item) => format!("list<{}>", ty(item)),
        TypeExprKind::Map(item) => format!("map<{}>", ty(item)),
        TypeExprKind::Optional(inner) => format!("{}?", ty(inner)),
    }
}

fn call(call: &Call) -> String {
    format!("(call {}{})", call.path.text(), args(&call.args))
}

fn args(args: &[Arg]) -> String {
    args.iter()
        .map(|arg| match &arg.name {
            Some(name) => format!(" {}: {}", name.name, expr(&arg.value)),
            None => format!(" {}", expr(&arg.value)),
        })
        .collect()
}

fn string(text: &StringLit) -> String {
    let part = |part: &StringPart| match part {
        StringPart::Text { text, .. } => format!("{text:?}"),
        StringPart::Interpolation(value) => expr(value),
    };
    match text.parts.as_slice() {
        [] => "\"\"".to_owned(),
        [StringPart::Text { text, .. }] => format!("{text:?}"),
        parts => format!("(text {})", parts.iter().map(part).collect::<Vec<_>>().join(" ")),
    }
}

fn expr(written: &Expr) -> String {
    match &written.kind {
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Float(value) => format!("{value:?}"),
        ExprKind::Duration(ms) => format!("{ms}ms"),
        ExprKind::Percent(share) => format!("{share:?}%"),
        ExprKind::Version(text) => text.clone(),
        ExprKind::None => "none".to_owned(),
        ExprKind::String(text) => string(text),
        ExprKind::List(items) => format!("[{}]", items.iter().map(expr).collect::<Vec<_>>().join(" ")),
        ExprKind::Name(path) => path.text(),
        ExprKind::Call(called) => call(called),
        ExprKind::Field(of, field) => format!("(. {} {})", expr(of), field.name),
        ExprKind::Method(of, method, arguments) => format!("(.{} {}{})", method.name, expr(of), args(arguments)),
        ExprKind::Index(of, key) => format!("(index {} {})", expr(of), expr(key)),
        ExprKind::Unary(UnaryOp::Neg, of) => format!("(- {})", expr(of)),
        ExprKind::Unary(UnaryOp::Not, of) => format!("(! {})", expr(of)),
        ExprKind::Binary(op, _, left, right) => format!("({} {} {})", op.symbol(), expr(left), expr(right)),
        ExprKind::Closure(params, body) => {
            let params: Vec<_> = params.iter().map(|param| param.name.as_str()).collect();
            format!("(|{}| {})", params.join(" "), expr(body))
        }
        ExprKind::Paren(inner) => expr(inner),
    }
}
