//! Statements: each rule of the grammar to its form in the tree, and what the grammar leaves to be refused here.

use pest::iterators::Pair;

use super::Rule;
use super::tree::{Around, Builder, Statements, child};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::*;

impl Builder<'_> {
    /// Adds the statements that are children of a pair.
    pub(super) fn statements(&mut self, pair: Pair<'_, Rule>, around: Around, into: &mut Statements) {
        for inner in pair.into_inner().filter(|pair| pair.as_rule() == Rule::statement) {
            let statement = self.statement(inner, around, into.first_step);
            if into.first_step.is_none() && is_step(&statement.kind) {
                into.first_step = Some(statement.span);
            }
            into.list.push(statement);
        }
    }

    fn block(&mut self, pair: Pair<'_, Rule>, around: Around) -> Block {
        let span = self.span(&pair);
        let mut statements = Statements::default();
        self.statements(pair, around, &mut statements);
        Block { span, statements: statements.list }
    }

    /// The block that is a child; the grammar has one wherever this is asked.
    fn block_in(&mut self, pair: &Pair<'_, Rule>, around: Around) -> Block {
        child(pair, Rule::block).map_or_else(Block::default, |block| self.block(block, around))
    }

    fn statement(&mut self, pair: Pair<'_, Rule>, around: Around, first_step: Option<Span>) -> Statement {
        let mut doc = None;
        let mut form = pair.clone();
        for part in pair.into_inner() {
            if part.as_rule() == Rule::doc {
                doc = Some(self.join_docs(doc, &part));
            }
            form = part;
        }
        let span = self.trimmed_span(&form);
        let kind = self.kind(&form, span);
        self.check_place(&kind, span, around, first_step);
        Statement { doc, span, kind }
    }

    fn kind(&mut self, form: &Pair<'_, Rule>, span: Span) -> StatementKind {
        match form.as_rule() {
            Rule::use_statement => StatementKind::Use(self.use_statement(form)),
            Rule::param_statement => StatementKind::Param(self.param(form)),
            Rule::let_statement => StatementKind::Let { name: self.name_in(form), value: self.expression_in(form) },
            Rule::record_statement => self.record(form),
            Rule::fn_statement => StatementKind::Fn(self.function(form)),
            Rule::task_statement => StatementKind::Task(self.task(form)),
            Rule::wait_statement => self.wait(form),
            Rule::wait_until_statement => StatementKind::WaitUntil(self.wait_until(form, span)),
            Rule::assert_statement => StatementKind::Assert(self.assert(form)),
            Rule::rollout_statement => StatementKind::Rollout(Box::new(self.rollout(form))),
            Rule::parallel_statement => self.parallel(form),
            Rule::group_statement => StatementKind::Group(self.group(form)),
            Rule::if_statement => StatementKind::If(self.conditional(form)),
            Rule::approve_statement => self.approve(form),
            Rule::guard_statement => StatementKind::Guard(self.guard(form)),
            Rule::on_failure_statement => StatementKind::OnFailure(match child(form, Rule::on_rollback) {
                Some(_) => OnFailure::Rollback,
                None => OnFailure::Continue,
            }),
            _ => self.call_statement(form),
        }
    }

    // ----- declarations

    fn name_in(&self, pair: &Pair<'_, Rule>) -> Ident {
        child(pair, Rule::name)
            .map_or_else(|| Ident { name: String::new(), span: self.span(pair) }, |name| self.ident(&name))
    }

    fn use_statement(&mut self, form: &Pair<'_, Rule>) -> Use {
        if let Some(module) = child(form, Rule::std_module) {
            return Use::Std(self.name_in(&module));
        }
        let path = self.string_in(form);
        if path.plain().is_none() {
            let error = Diagnostic::error("E026", "the path of a `use` is plain text: nothing is interpolated in it");
            self.tell(error.at(path.span, "").help("a file is found before any value is known"));
        }
        Use::File(path)
    }

    fn param(&mut self, form: &Pair<'_, Rule>) -> Param {
        Param {
            name: self.name_in(form),
            ty: self.type_in(form),
            default: child(form, Rule::default).map(|default| self.expression_in(&default)),
            condition: child(form, Rule::where_clause).map(|clause| self.expression_in(&clause)),
            why: child(form, Rule::else_clause).map(|clause| self.expression_in(&clause)),
        }
    }

    fn type_in(&mut self, pair: &Pair<'_, Rule>) -> TypeExpr {
        match child(pair, Rule::type_expression) {
            Some(inner) => self.type_expression(&inner),
            None => TypeExpr { span: self.span(pair), kind: TypeExprKind::Name(String::new()) },
        }
    }

    fn type_expression(&mut self, pair: &Pair<'_, Rule>) -> TypeExpr {
        let span = self.trimmed_span(pair);
        let mut ty = TypeExpr { span, kind: TypeExprKind::Name(String::new()) };
        for part in pair.clone().into_inner() {
            let span = self.trimmed_span(&part);
            ty = match part.as_rule() {
                Rule::list_type => TypeExpr { span, kind: TypeExprKind::List(Box::new(self.type_in(&part))) },
                Rule::map_type => TypeExpr { span, kind: TypeExprKind::Map(Box::new(self.type_in(&part))) },
                Rule::optional => TypeExpr { span: ty.span.to(span), kind: TypeExprKind::Optional(Box::new(ty)) },
                _ => TypeExpr { span, kind: TypeExprKind::Name(part.as_str().to_owned()) },
            };
        }
        ty
    }

    fn function(&mut self, form: &Pair<'_, Rule>) -> Fn {
        let name = self.name_in(form);
        self.check_callable(&name);
        let (params, result) = (self.formals(form), self.type_in(form));
        Fn { name, params, result, body: self.expression_in(form) }
    }

    fn task(&mut self, form: &Pair<'_, Rule>) -> Task {
        let name = self.name_in(form);
        self.check_callable(&name);
        let params = self.formals(form);
        let body = self.block_in(form, Around::Block);
        let undo = child(form, Rule::undo_block).map(|undo| self.block_in(&undo, Around::Block));
        Task { name, params, body, undo }
    }

    fn formals(&mut self, form: &Pair<'_, Rule>) -> Vec<Formal> {
        let Some(formals) = child(form, Rule::formals) else { return Vec::new() };
        let formals = formals.into_inner().filter(|pair| pair.as_rule() == Rule::formal);
        formals
            .map(|pair| Formal {
                name: self.name_in(&pair),
                ty: self.type_in(&pair),
                default: child(&pair, Rule::default).map(|default| self.expression_in(&default)),
            })
            .collect()
    }

    // ----- steps

    fn record(&mut self, form: &Pair<'_, Rule>) -> StatementKind {
        let name = self.name_in(form);
        let value = self.expression_in(form);
        for refused in [Rule::when_clause, Rule::done_when] {
            if let Some(clause) = child(form, refused) {
                let word = if refused == Rule::done_when { "done when" } else { "when" };
                let error = Diagnostic::error("E017", format!("a `record` takes no `{word}`"));
                let error = error.at(self.trimmed_span(&clause), "");
                self.tell(error.help("what comes later reads the value, so it is always recorded"));
            }
        }
        StatementKind::Record { name, value, modifiers: self.modifiers(form) }
    }

    fn call_statement(&mut self, form: &Pair<'_, Rule>) -> StatementKind {
        let call = child(form, Rule::call).unwrap_or_else(|| form.clone());
        StatementKind::Call { call: self.call(call), modifiers: self.modifiers(form) }
    }

    fn modifiers(&mut self, form: &Pair<'_, Rule>) -> Modifiers {
        Modifiers {
            retry: self.clause(form, Rule::retry, "retry").map(|pair| self.retry(&pair)),
            when: self.expression_of(form, Rule::when_clause, "when"),
            done_when: self.expression_of(form, Rule::done_when, "done when"),
            takes: self.expression_of(form, Rule::takes, "takes"),
            undo: self.clause(form, Rule::undo_block, "undo").map(|undo| self.block_in(&undo, Around::Block)),
            alias: self.alias(form),
        }
    }

    fn retry(&mut self, pair: &Pair<'_, Rule>) -> Retry {
        Retry {
            span: self.trimmed_span(pair),
            count: self.expression_in(pair),
            every: child(pair, Rule::every).map(|every| self.expression_in(&every)),
        }
    }

    fn wait(&mut self, form: &Pair<'_, Rule>) -> StatementKind {
        StatementKind::Wait { duration: self.expression_in(form), alias: self.alias(form) }
    }

    fn wait_until(&mut self, form: &Pair<'_, Rule>, span: Span) -> WaitUntil {
        let wait = WaitUntil {
            condition: self.expression_in(form),
            hold: self.expression_of(form, Rule::for_clause, "for"),
            every: self.expression_of(form, Rule::every, "every"),
            within: self.expression_of(form, Rule::within, "within"),
            alias: self.alias(form),
        };
        if wait.within.is_none() {
            let error = Diagnostic::error("E015", "`wait until` does not say how long it may take");
            self.tell(error.at(span, "").help("add `within 10m`: nothing waits for ever unsaid"));
        }
        wait
    }

    fn assert(&mut self, form: &Pair<'_, Rule>) -> Assert {
        let assert = Assert {
            condition: self.expression_in(form),
            hold: self.expression_of(form, Rule::for_clause, "for"),
            every: self.expression_of(form, Rule::every, "every"),
            why: self.expression_of(form, Rule::else_clause, "else"),
            alias: self.alias(form),
        };
        if let (None, Some(every)) = (&assert.hold, child(form, Rule::every)) {
            let error = Diagnostic::error("E017", "an `assert` takes `every` only with `for`");
            let error = error.at(self.trimmed_span(&every), "");
            self.tell(error.help("without `for` it looks once; `assert C for 1h every 5m` looks again and again"));
        }
        assert
    }

    fn approve(&mut self, form: &Pair<'_, Rule>) -> StatementKind {
        StatementKind::Approve {
            question: self.expression_in(form),
            within: self.expression_of(form, Rule::within, "within"),
            by: self.expression_of(form, Rule::by, "by"),
            alias: self.alias(form),
        }
    }

    fn guard(&mut self, form: &Pair<'_, Rule>) -> Guard {
        let is = |rule| child(form, rule).is_some();
        let kind = match () {
            () if is(Rule::halt_when) => GuardKind::Halt,
            () if is(Rule::rollback_when) => GuardKind::Rollback,
            () if is(Rule::pause_when) => GuardKind::PauseWhen,
            () => GuardKind::PauseUnless,
        };
        Guard {
            kind,
            condition: self.expression_in(form),
            hold: self.expression_of(form, Rule::for_clause, "for"),
            why: self.expression_of(form, Rule::else_clause, "else"),
        }
    }

    // ----- blocks of steps

    fn rollout(&mut self, form: &Pair<'_, Rule>) -> Rollout {
        Rollout {
            element: self.name_in(form),
            list: self.expression_in(form),
            batches: self.clause(form, Rule::batches, "batches").map(|pair| self.batches(&pair)),
            one: self.expression_of(form, Rule::one_at_a_time, "one"),
            order: self.expression_of(form, Rule::order_by, "order by"),
            concurrency: self.expression_of(form, Rule::concurrency, "concurrency"),
            max_failures: self.expression_of(form, Rule::max_failures, "max_failures"),
            defer: self.expression_of(form, Rule::defer, "defer"),
            when: self.expression_of(form, Rule::when_clause, "when"),
            alias: self.alias(form),
            body: self.block_in(form, Around::Block),
            between: self.clause(form, Rule::between, "between").map(|pair| self.block_in(&pair, Around::Block)),
            finally: self.clause(form, Rule::finally, "finally").map(|pair| self.block_in(&pair, Around::Block)),
        }
    }

    fn batches(&mut self, pair: &Pair<'_, Rule>) -> Batches {
        let span = self.span(pair);
        let mut batches = Batches { span, sizes: Vec::new(), rest: None };
        let mut misplaced = None;
        for part in pair.clone().into_inner() {
            match part.as_rule() {
                Rule::rest => {
                    let place = self.trimmed_span(&part);
                    misplaced = misplaced.or(batches.rest);
                    batches.rest = Some(place);
                }
                Rule::expression => {
                    misplaced = misplaced.or(batches.rest);
                    batches.sizes.push(self.expression(part));
                }
                _ => {}
            }
        }
        if let Some(place) = misplaced {
            let error = Diagnostic::error("E017", "`rest` stands last in `batches`, once");
            self.tell(
                error.at(place, "more follows this").help("it takes all that is left: write `batches [1, 10%, rest]`"),
            );
        }
        if batches.sizes.is_empty() && batches.rest.is_none() {
            let error = Diagnostic::error("E025", "`batches` names no size").at(span, "");
            self.tell(error.help("write `batches [1, 10%, rest]`, or leave it out for a single batch"));
        }
        batches
    }

    fn parallel(&mut self, form: &Pair<'_, Rule>) -> StatementKind {
        StatementKind::Parallel {
            concurrency: self.expression_of(form, Rule::concurrency, "concurrency"),
            alias: self.alias(form),
            body: self.block_in(form, Around::Parallel),
        }
    }

    fn group(&mut self, form: &Pair<'_, Rule>) -> Group {
        Group {
            name: self.string_in(form),
            when: self.expression_of(form, Rule::when_clause, "when"),
            alias: self.alias(form),
            body: self.block_in(form, Around::Block),
            finally: child(form, Rule::finally).map(|pair| self.block_in(&pair, Around::Block)),
        }
    }

    fn conditional(&mut self, form: &Pair<'_, Rule>) -> If {
        let mut arms = vec![(self.expression_in(form), self.block_in(form, Around::Block))];
        for arm in form.clone().into_inner().filter(|pair| pair.as_rule() == Rule::else_if) {
            arms.push((self.expression_in(&arm), self.block_in(&arm, Around::Block)));
        }
        let otherwise = child(form, Rule::else_block).map(|pair| self.block_in(&pair, Around::Block));
        If { arms, otherwise }
    }

    // ----- clauses

    /// The first clause of a rule; a second one is told.
    fn clause<'i>(&mut self, form: &Pair<'i, Rule>, rule: Rule, word: &str) -> Option<Pair<'i, Rule>> {
        let mut all = form.clone().into_inner().filter(|pair| pair.as_rule() == rule);
        let first = all.next()?;
        for again in all {
            let error = Diagnostic::error("E016", format!("`{word}` is said twice"))
                .at(self.trimmed_span(&again), "said again here")
                .at(self.trimmed_span(&first), "said first here");
            self.tell(error.help("say it once"));
        }
        Some(first)
    }

    fn expression_of(&mut self, form: &Pair<'_, Rule>, rule: Rule, word: &str) -> Option<Expr> {
        self.clause(form, rule, word).map(|clause| self.expression_in(&clause))
    }

    fn alias(&mut self, form: &Pair<'_, Rule>) -> Option<StringLit> {
        self.clause(form, Rule::alias, "as").map(|clause| self.string_in(&clause))
    }

    // ----- places

    /// Refuses a statement that may not stand where it stands. It is kept all the same.
    fn check_place(&mut self, kind: &StatementKind, span: Span, around: Around, first_step: Option<Span>) {
        let word = word_of(kind);
        if around != Around::Top && is_declaration(kind) {
            let error = Diagnostic::error("E018", format!("`{word}` stands at the top of a file only"));
            return self.tell(error.at(span, "this is inside a block").help("move it out of the block"));
        }
        match (kind, first_step) {
            (StatementKind::OnFailure(_), Some(step)) => {
                let error = Diagnostic::error("E018", "`on failure` stands before the first step of its block")
                    .at(span, "it would come too late here")
                    .at(step, "the first step");
                self.tell(error.help("move it to the beginning of the block"));
            }
            (StatementKind::Guard(_), Some(step)) if around == Around::Parallel => {
                let error = Diagnostic::error("E018", "in a `parallel` the guards stand before the branches")
                    .at(span, "")
                    .at(step, "the first branch");
                self.tell(error.help("move it to the beginning of the block"));
            }
            _ if around == Around::Parallel && !is_branch(kind) => {
                let error = Diagnostic::error("E018", format!("`{word}` is no branch of a `parallel`")).at(span, "");
                self.tell(
                    error.help("branches are steps, task calls, groups and rollouts: put it into a `group \"…\" { }`"),
                );
            }
            _ => {}
        }
    }
}

fn is_declaration(kind: &StatementKind) -> bool {
    matches!(kind, StatementKind::Use(_) | StatementKind::Param(_) | StatementKind::Fn(_) | StatementKind::Task(_))
}

/// Whether it is a step or holds steps: from there on something can fail.
fn is_step(kind: &StatementKind) -> bool {
    let is_name = matches!(kind, StatementKind::Let { .. });
    !is_declaration(kind) && !is_name && !matches!(kind, StatementKind::Guard(_) | StatementKind::OnFailure(_))
}

/// Whether it may stand in a `parallel`.
fn is_branch(kind: &StatementKind) -> bool {
    !matches!(kind, StatementKind::Let { .. } | StatementKind::If(_) | StatementKind::Parallel { .. })
}

fn word_of(kind: &StatementKind) -> &'static str {
    match kind {
        StatementKind::Use(_) => "use",
        StatementKind::Param(_) => "param",
        StatementKind::Let { .. } => "let",
        StatementKind::Record { .. } => "record",
        StatementKind::Fn(_) => "fn",
        StatementKind::Task(_) => "task",
        StatementKind::Call { .. } => "call",
        StatementKind::Wait { .. } | StatementKind::WaitUntil(_) => "wait",
        StatementKind::Assert(_) => "assert",
        StatementKind::Rollout(_) => "rollout",
        StatementKind::Parallel { .. } => "parallel",
        StatementKind::Group(_) => "group",
        StatementKind::If(_) => "if",
        StatementKind::Approve { .. } => "approve",
        StatementKind::Guard(guard) => match guard.kind {
            GuardKind::Halt => "halt",
            GuardKind::Rollback => "rollback",
            GuardKind::PauseWhen | GuardKind::PauseUnless => "pause",
        },
        StatementKind::OnFailure(_) => "on failure",
    }
}
