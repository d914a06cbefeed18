//! Statements → nodes: ids, slots, and for each expression the moment at which its place reads it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::actions::{ActionDecl, ParamDecl, action};
use crate::catalog::types::{Moment, Type};
use crate::catalog::value::Value;
use crate::check::program::{self, Program, Statement, StatementKind};
use crate::diagnostic::Diagnostic;
use crate::expr::ir::Typed;
use crate::expr::{Bindings, FactSource};
use crate::facts::reads::Reads;
use crate::source::{SourceMap, Span};

use super::estimate::{Estimate, Estimator};
use super::graph::{Action, Block, Code, Gate, Group, Guard, Node, NodeKind, OnFailure, Place, Seen};
use super::headline::headline;
use super::ids::{Numbered, path};
use super::names::Names;
use super::values::{Range, literal_as};

/// How many nodes a plan may have.
const LARGEST: usize = 100_000;

/// How long `retry` waits where it does not say, in milliseconds (LANGUAGE.md section 2).
const RETRY_PAUSE: i64 = 10_000;

/// The segment of what a block does when it is over.
const FINALLY: &str = "finally";

/// Makes the graph of one program.
pub(super) struct Planner<'a> {
    pub(super) program: &'a Program,
    pub(super) sources: &'a SourceMap,
    pub(super) facts: &'a Arc<dyn FactSource>,
    pub(super) names: Names,
    /// Slot to value, of everything that is known now.
    pub(super) values: Bindings,
    /// Slots whose value could not be told, which is told.
    pub(super) broken: BTreeSet<String>,
    /// The pins of each rollout whose body is around, innermost last.
    pub(super) pins: Vec<Vec<(String, Code)>>,
    /// The id of the block around.
    pub(super) at: String,
    pub(super) seen: Seen,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Whether something stands before that will have changed the cluster by then.
    is_changed: bool,
    /// How many choices are left to rollouts' bodies.
    pub(super) choices: u32,
    nodes: usize,
}

impl<'a> Planner<'a> {
    pub(super) fn new(program: &'a Program, sources: &'a SourceMap, facts: &'a Arc<dyn FactSource>) -> Self {
        Self {
            program,
            sources,
            facts,
            names: Names::new(),
            values: Bindings::new(),
            broken: BTreeSet::new(),
            pins: Vec::new(),
            at: String::new(),
            seen: Seen::default(),
            diagnostics: Vec::new(),
            is_changed: false,
            choices: 0,
            nodes: 0,
        }
    }

    /// The playbook's own statements.
    pub(super) fn root(&mut self) -> Block {
        self.statements(&self.program.body, &mut Numbered::default())
    }

    /// Notes what the head of a picture says of the cluster.
    pub(super) fn see_cluster(&mut self) {
        let mut reads = Reads::default();
        if let Ok(Value::Object(cluster)) = self.facts.fact("cluster", &mut reads) {
            self.seen.kubelet = self.facts.field(&cluster, "oldest_kubelet", &mut reads).ok();
        }
    }

    /// How long the whole mostly takes.
    pub(super) fn estimate(&self, root: &Block) -> Estimate {
        let names = |slot: &str| self.values.get(slot).cloned();
        Estimator::new(self.facts, &names, &self.seen.keys).block(root, "")
    }

    /// Whether what stands here is outside every rollout's body, so that its early values are known now.
    pub(super) fn is_at_top(&self) -> bool {
        self.pins.is_empty()
    }

    /// A block in a scope of its own, below `id`.
    pub(super) fn block(&mut self, block: &program::Block, id: &str, has_finally: bool) -> Block {
        let mut ids = Numbered::default();
        if has_finally {
            // The segment is taken: a step that bears the name is the second.
            ids.next(FINALLY);
        }
        self.names.enter();
        let around = std::mem::replace(&mut self.at, id.to_owned());
        let block = self.statements(block, &mut ids);
        self.at = around;
        self.names.leave();
        block
    }

    pub(super) fn finally(&mut self, block: Option<&program::Block>, id: &str) -> Option<Block> {
        block.map(|block| self.block(block, &path(id, FINALLY), false))
    }

    /// The statements of a block, in the scope that is open.
    pub(super) fn statements(&mut self, block: &program::Block, ids: &mut Numbered) -> Block {
        let mut nodes = Vec::new();
        for statement in &block.statements {
            self.statement(statement, ids, &mut nodes);
        }
        Block { on_failure: block.on_failure.map(|(what, _)| on_failure(what)), nodes }
    }

    fn statement(&mut self, statement: &Statement, ids: &mut Numbered, nodes: &mut Vec<Node>) {
        self.nodes += 1;
        if self.nodes > LARGEST {
            if self.nodes == LARGEST + 1 {
                let error = Diagnostic::error("E415", format!("the plan grows larger than {LARGEST} statements"));
                self.diagnostics.push(error.at(statement.span, "").help("call fewer tasks within tasks"));
            }
            return;
        }
        let node = match &statement.kind {
            StatementKind::Let { name, value } => self.pin_let(statement.span, name, value),
            StatementKind::If { arms, otherwise } if self.is_at_top() => {
                self.decide(arms, otherwise.as_ref(), ids, nodes);
                None
            }
            StatementKind::If { arms, otherwise } => {
                let kind = self.choice(arms, otherwise.as_ref(), ids);
                Some(self.node(statement.span, String::new(), kind))
            }
            StatementKind::Guard { kind, condition, hold, why } => {
                let guard = Guard {
                    kind: guard_words(*kind).to_owned(),
                    condition: self.live(condition),
                    hold: self.early_if(hold.as_ref(), Range::Time, "`for`"),
                    why: self.live_if(why.as_ref()),
                };
                Some(self.node(statement.span, String::new(), NodeKind::Guard(Box::new(guard))))
            }
            _ => {
                let id = self.id_of(statement, ids);
                let kind = self.step_or_block(statement, &id);
                kind.map(|kind| self.node(statement.span, id, kind))
            }
        };
        nodes.extend(node);
    }

    fn step_or_block(&mut self, statement: &Statement, id: &str) -> Option<NodeKind> {
        let below = path(&self.at, id);
        Some(match &statement.kind {
            StatementKind::Record { name, value, .. } => {
                let value = self.live(value);
                NodeKind::Record { slot: self.names.define(name, Moment::Live), value }
            }
            StatementKind::Action(action) => NodeKind::Action(Box::new(self.action(action))),
            StatementKind::Task(call) => return self.task(call, statement.span, &below),
            StatementKind::Wait { duration, .. } => {
                NodeKind::Wait { duration: self.early(duration, Range::Time, "`wait`") }
            }
            StatementKind::WaitUntil(gate) => NodeKind::WaitUntil(Box::new(self.gate(gate))),
            StatementKind::Assert(gate) => {
                self.see_assertion(gate, &below);
                NodeKind::Assert(Box::new(self.gate(gate)))
            }
            StatementKind::Rollout(rollout) => {
                let rollout = self.rollout(rollout, &below);
                self.is_changed = true;
                NodeKind::Rollout(Box::new(rollout))
            }
            StatementKind::Parallel { concurrency, body, .. } => NodeKind::Parallel {
                concurrency: self.early_if(concurrency.as_ref(), Range::AtLeast(1), "`concurrency`"),
                body: self.block(body, &below, false),
            },
            StatementKind::Group { when, body, finally, .. } => NodeKind::Group(Box::new(Group {
                task: None,
                when: self.live_if(when.as_ref()),
                body: self.block(body, &below, finally.is_some()),
                finally: self.finally(finally.as_ref(), &below),
                undo: None,
            })),
            StatementKind::Approve { question, within, by, .. } => NodeKind::Approve {
                question: self.live(question),
                within: self.early_if(within.as_ref(), Range::Time, "`within`"),
                by: self.early_if(by.as_ref(), Range::Any, "`by`"),
            },
            StatementKind::Let { .. } | StatementKind::If { .. } | StatementKind::Guard { .. } => return None,
        })
    }

    pub(super) fn node(&self, span: Span, id: String, kind: NodeKind) -> Node {
        Node { id, text: headline(self.sources.text(span)), place: self.place(span), kind }
    }

    fn place(&self, span: Span) -> Place {
        let file = self.sources.file(span.file);
        let at = file.position(span.start);
        Place { file: file.name.clone(), line: at.line, column: at.column, start: span.start, end: span.end }
    }

    /// `let`: known now, or in a body as its rollout begins.
    fn pin_let(&mut self, span: Span, name: &str, value: &Typed) -> Option<Node> {
        if self.is_at_top() {
            let known = self.known(value, &format!("`{name}`"));
            let slot = self.names.define(name, Moment::Plan);
            self.keep(slot, known);
            return None;
        }
        let value = self.live(value);
        let slot = self.names.define(name, Moment::Begin);
        Some(self.node(span, String::new(), NodeKind::Let { slot, value }))
    }

    fn gate(&mut self, gate: &program::Gate) -> Gate {
        Gate {
            condition: self.live(&gate.condition),
            hold: self.early_if(gate.hold.as_ref(), Range::Time, "`for`"),
            every: self.early_if(gate.every.as_ref(), Range::Time, "`every`"),
            within: self.early_if(gate.within.as_ref(), Range::Time, "`within`"),
            why: self.live_if(gate.why.as_ref()),
        }
    }

    /// Notes whether an assertion holds, where nothing before it changes the cluster.
    fn see_assertion(&mut self, gate: &program::Gate, id: &str) {
        if self.is_changed || !self.is_at_top() || gate.hold.is_some() {
            return;
        }
        let resolved = self.resolve(&gate.condition);
        if let Ok(Value::Bool(holds)) = self.try_evaluate(&resolved, gate.condition.span) {
            self.seen.asserts.insert(id.to_owned(), holds);
        }
    }

    fn action(&mut self, written: &program::Action) -> Action {
        self.is_changed = true;
        let decl = action(written.name);
        let args =
            written.args.iter().map(|(name, value)| ((*name).to_owned(), self.given(decl, name, value))).collect();
        let made = Action {
            name: written.name.to_owned(),
            args,
            record: None,
            retry: written.retry.as_ref().map(|retry| self.retry(retry)),
            when: self.live_if(written.when.as_ref()),
            done_when: self.live_if(written.done_when.as_ref()),
            takes: self.early_if(written.takes.as_ref(), Range::Time, "`takes`"),
            undo: written.undo.as_ref().map(|undo| {
                let below = self.at.clone();
                self.block(undo, &below, false)
            }),
        };
        let record = written.record.as_ref().map(|name| self.names.define(name, Moment::Live));
        Action { record, ..made }
    }

    /// One argument; the signature's own default is shown as the signature writes it.
    fn given(&mut self, decl: Option<&ActionDecl>, name: &str, value: &Typed) -> Code {
        let default = decl.and_then(|decl| decl.param(name).filter(|_| self.is_default(decl, value)));
        let code = match name {
            "timeout" => self.early(value, Range::Time, "`timeout`"),
            _ => self.argument(value),
        };
        match default.and_then(|param: &ParamDecl| param.default) {
            Some(text) => Code { text: text.trim_matches('"').to_owned(), ..code },
            None => code,
        }
    }

    /// A default bears the place of the whole call: no argument as written begins with the action's name and a bracket.
    fn is_default(&self, decl: &ActionDecl, value: &Typed) -> bool {
        let text = self.sources.text(value.span);
        text.strip_prefix(decl.name).is_some_and(|rest| rest.trim_start().starts_with('('))
    }

    fn retry(&mut self, retry: &program::Retry) -> (Code, Code) {
        let count = self.early(&retry.count, Range::AtLeast(1), "`retry`");
        let pause = match &retry.every {
            Some(every) => self.early(every, Range::Time, "`every`"),
            None => literal_as(&Value::Duration(RETRY_PAUSE), Type::Duration, "10s"),
        };
        (count, pause)
    }
}

fn on_failure(what: program::OnFailure) -> OnFailure {
    match what {
        program::OnFailure::Rollback => OnFailure::Rollback,
        program::OnFailure::Continue => OnFailure::Continue,
    }
}

fn guard_words(kind: program::GuardKind) -> &'static str {
    match kind {
        program::GuardKind::Halt => "halt when",
        program::GuardKind::Rollback => "rollback when",
        program::GuardKind::PauseWhen => "pause when",
        program::GuardKind::PauseUnless => "pause unless",
    }
}
