//! The syntax tree as compact s-expressions, one statement a line, blocks indented.

use sprag::syntax::ast::*;

/// The whole tree.
pub(crate) fn dump(ast: &Ast) -> String {
    let mut out = String::new();
    if let Some(doc) = &ast.doc {
        out.push_str(&format!("(file-doc {:?})\n", doc.lines));
    }
    statements(&ast.statements, 0, &mut out);
    for comment in &ast.comments {
        out.push_str(&format!("(comment {:?})\n", comment.text));
    }
    out
}

fn statements(list: &[Statement], depth: usize, out: &mut String) {
    for statement in list {
        let indent = "  ".repeat(depth);
        if let Some(doc) = &statement.doc {
            out.push_str(&format!("{indent}(doc {:?})\n", doc.lines));
        }
        let mut dump = Dump { text: String::new(), blocks: Vec::new() };
        dump.statement(&statement.kind);
        out.push_str(&format!("{indent}({})\n", dump.text));
        for (name, block) in dump.blocks {
            let head = if name == "body" { String::new() } else { format!("{indent} {name}\n") };
            out.push_str(&head);
            statements(&block.statements, depth + 1, out);
        }
    }
}

struct Dump<'a> {
    text: String,
    blocks: Vec<(&'static str, &'a Block)>,
}

impl<'a> Dump<'a> {
    fn word(&mut self, word: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(word);
    }

    fn clause(&mut self, name: &str, value: Option<&Expr>) {
        if let Some(value) = value {
            self.word(&format!("{name}={}", expr(value)));
        }
    }

    fn alias(&mut self, alias: Option<&StringLit>) {
        if let Some(alias) = alias {
            self.word(&format!("as={}", string(alias)));
        }
    }

    fn block(&mut self, name: &'static str, block: Option<&'a Block>) {
        self.blocks.extend(block.map(|block| (name, block)));
    }

    fn statement(&mut self, kind: &'a StatementKind) {
        match kind {
            StatementKind::Use(Use::Std(name)) => self.word(&format!("use std::{}", name.name)),
            StatementKind::Use(Use::File(path)) => self.word(&format!("use {}", string(path))),
            StatementKind::Param(param) => {
                self.word(&format!("param {}: {}", param.name.name, ty(&param.ty)));
                self.clause("default", param.default.as_ref());
                self.clause("where", param.condition.as_ref());
                self.clause("else", param.why.as_ref());
            }
            StatementKind::Let { name, value } => self.word(&format!("let {} {}", name.name, expr(value))),
            StatementKind::Record { name, value, modifiers } => {
                self.word(&format!("record {} {}", name.name, expr(value)));
                self.modifiers(modifiers);
            }
            StatementKind::Fn(function) => {
                let (params, result) = (formals(&function.params), ty(&function.result));
                self.word(&format!("fn {}({params}) -> {result} {}", function.name.name, expr(&function.body)));
            }
            StatementKind::Task(task) => {
                self.word(&format!("task {}({})", task.name.name, formals(&task.params)));
                self.block("body", Some(&task.body));
                self.block("undo", task.undo.as_ref());
            }
            StatementKind::Call { call: called, modifiers } => {
                self.word(&call(called));
                self.modifiers(modifiers);
            }
            other => self.step(other),
        }
    }

    fn step(&mut self, kind: &'a StatementKind) {
        match kind {
            StatementKind::Wait { duration, alias } => {
                self.word(&format!("wait {}", expr(duration)));
                self.alias(alias.as_ref());
            }
            StatementKind::WaitUntil(wait) => {
                self.word(&format!("wait-until {}", expr(&wait.condition)));
                self.clause("for", wait.hold.as_ref());
                self.clause("every", wait.every.as_ref());
                self.clause("within", wait.within.as_ref());
                self.alias(wait.alias.as_ref());
            }
            StatementKind::Assert(assert) => {
                self.word(&format!("assert {}", expr(&assert.condition)));
                self.clause("for", assert.hold.as_ref());
                self.clause("every", assert.every.as_ref());
                self.clause("else", assert.why.as_ref());
                self.alias(assert.alias.as_ref());
            }
            StatementKind::Approve { question, within, by, alias } => {
                self.word(&format!("approve {}", expr(question)));
                self.clause("within", within.as_ref());
                self.clause("by", by.as_ref());
                self.alias(alias.as_ref());
            }
            StatementKind::Guard(guard) => {
                let kind = format!("{:?}", guard.kind).to_lowercase();
                self.word(&format!("{kind} {}", expr(&guard.condition)));
                self.clause("for", guard.hold.as_ref());
                self.clause("else", guard.why.as_ref());
            }
            StatementKind::OnFailure(what) => self.word(&format!("on-failure {what:?}").to_lowercase()),
            other => self.holder(other),
        }
    }

    fn holder(&mut self, kind: &'a StatementKind) {
        match kind {
            StatementKind::Rollout(rollout) => self.rollout(rollout),
            StatementKind::Parallel { concurrency, alias, body } => {
                self.word("parallel");
                self.clause("concurrency", concurrency.as_ref());
                self.alias(alias.as_ref());
                self.block("body", Some(body));
            }
            StatementKind::Group(group) => {
                self.word(&format!("group {}", string(&group.name)));
                self.clause("when", group.when.as_ref());
                self.alias(group.alias.as_ref());
                self.block("body", Some(&group.body));
                self.block("finally", group.finally.as_ref());
            }
            StatementKind::If(choice) => {
                for (condition, block) in &choice.arms {
                    self.word(&format!("if {}", expr(condition)));
                    self.block("then", Some(block));
                }
                self.block("else", choice.otherwise.as_ref());
            }
            _ => {}
        }
    }

    fn rollout(&mut self, rollout: &'a Rollout) {
        self.word(&format!("rollout {} {}", rollout.element.name, expr(&rollout.list)));
        if let Some(batches) = &rollout.batches {
            let rest = batches.rest.map(|_| "rest".to_owned());
            let sizes: Vec<_> = batches.sizes.iter().map(expr).chain(rest).collect();
            self.word(&format!("batches=[{}]", sizes.join(" ")));
        }
        self.clause("one", rollout.one.as_ref());
        self.clause("order", rollout.order.as_ref());
        self.clause("concurrency", rollout.concurrency.as_ref());
        self.clause("max_failures", rollout.max_failures.as_ref());
        self.clause("defer", rollout.defer.as_ref());
        self.clause("when", rollout.when.as_ref());
        self.alias(rollout.alias.as_ref());
        self.block("body", Some(&rollout.body));
        self.block("between", rollout.between.as_ref());
        self.block("finally", rollout.finally.as_ref());
    }

    fn modifiers(&mut self, modifiers: &'a Modifiers) {
        if let Some(retry) = &modifiers.retry {
            self.clause("retry", Some(&retry.count));
            self.clause("every", retry.every.as_ref());
        }
        self.clause("when", modifiers.when.as_ref());
        self.clause("done-when", modifiers.done_when.as_ref());
        self.clause("takes", modifiers.takes.as_ref());
        self.alias(modifiers.alias.as_ref());
        self.block("undo", modifiers.undo.as_ref());
    }
}

fn formals(list: &[Formal]) -> String {
    let one = |formal: &Formal| {
        let default = formal.default.as_ref().map(|value| format!(" = {}", expr(value))).unwrap_or_default();
        format!("{}: {}{default}", formal.name.name, ty(&formal.ty))
    };
    list.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn ty(ty_expr: &TypeExpr) -> String {
    match &ty_expr.kind {
        TypeExprKind::Name(name) => name.clone(),
        TypeExprKind::List(inner) => format!("list<{}>", ty(inner)),
        TypeExprKind::Map(inner) => format!("map<{}>", ty(inner)),
        TypeExprKind::Optional(inner) => format!("{}?", ty(inner)),
    }
}

fn expr(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Float(value) => format!("{value:?}"),
        ExprKind::Duration(millis) => format!("{millis}ms"),
        ExprKind::Percent(value) => format!("{value}%"),
        ExprKind::Version(text) => text.clone(),
        ExprKind::None => "none".to_owned(),
        ExprKind::String(literal) => string(literal),
        ExprKind::List(items) => format!("[{}]", joined(items)),
        ExprKind::Name(path) => path.text(),
        ExprKind::Call(inner) => format!("({})", call(inner)),
        ExprKind::Field(of, name) => format!("(. {} {})", expr(of), name.name),
        ExprKind::Method(of, name, args) => format!("(.{} {})", name.name, with_args(expr(of), args)),
        ExprKind::Index(of, key) => format!("(at {} {})", expr(of), expr(key)),
        ExprKind::Unary(UnaryOp::Neg, operand) => format!("(- {})", expr(operand)),
        ExprKind::Unary(UnaryOp::Not, operand) => format!("(! {})", expr(operand)),
        ExprKind::Binary(op, _, left, right) => format!("({} {} {})", op.symbol(), expr(left), expr(right)),
        ExprKind::Closure(names, body) => {
            let names: Vec<_> = names.iter().map(|name| name.name.as_str()).collect();
            format!("(|{}| {})", names.join(" "), expr(body))
        }
        ExprKind::Paren(inner) => format!("(paren {})", expr(inner)),
    }
}

fn joined(items: &[Expr]) -> String {
    items.iter().map(expr).collect::<Vec<_>>().join(" ")
}

fn call(call: &Call) -> String {
    format!("call {}", with_args(call.path.text(), &call.args))
}

fn with_args(head: String, args: &[Arg]) -> String {
    args.iter().fold(head, |text, arg| {
        let name = arg.name.as_ref().map(|name| format!("{}:", name.name)).unwrap_or_default();
        format!("{text} {name}{}", expr(&arg.value))
    })
}

fn string(literal: &StringLit) -> String {
    let parts: Vec<_> = literal
        .parts
        .iter()
        .map(|part| match part {
            StringPart::Text { text, .. } => format!("{text:?}"),
            StringPart::Interpolation(inner) => format!("${{{}}}", expr(inner)),
        })
        .collect();
    let raw = if literal.raw { "raw" } else { "str" };
    match parts.as_slice() {
        [] if !literal.raw => "\"\"".to_owned(),
        [one] if one.starts_with('"') && !literal.raw => one.clone(),
        _ => format!("({raw} {})", parts.join(" ")),
    }
}
