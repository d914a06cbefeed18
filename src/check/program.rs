//! The checked program: names resolved, arguments matched to signatures, every expression typed.
//!
//! What it guarantees: every [`Typed`] is free of mistakes, every action and task named exists, every argument is there
//! once and of its type (defaults filled in), tasks do not recurse, each expression's moment fits its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::types::Type;
use crate::expr::ir::Typed;
use crate::source::{FileId, Span};
pub use crate::syntax::ast::{GuardKind, OnFailure};

/// A playbook with its modules, checked.
#[derive(Debug, Clone)]
pub struct Program {
    /// The playbook's file.
    pub file: FileId,
    /// Its documentation, lines joined.
    pub doc: Option<String>,
    /// Its parameters, in order.
    pub params: Vec<Param>,
    /// Constants of modules: name as used (`module::name`, qualified by the file that defines it) to value.
    pub constants: BTreeMap<String, Typed>,
    /// Every task that can be reached, by the key that [`Callee`] holds.
    pub tasks: BTreeMap<TaskKey, Arc<Task>>,
    /// The playbook's statements.
    pub body: Block,
    /// The canonical text of every file (formatted tree without comments), for the digest, in order of name.
    pub canonical: BTreeMap<String, String>,
}

/// The file that defines a task, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The file.
    pub file: FileId,
    /// The name.
    pub name: String,
}

/// A parameter of the playbook.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its type.
    pub ty: Type,
    /// Its default.
    pub default: Option<Typed>,
    /// `where C`
    pub condition: Option<Typed>,
    /// `else "why"`
    pub why: Option<Typed>,
    /// Its documentation.
    pub doc: Option<String>,
}

/// A task.
#[derive(Debug, Clone)]
pub struct Task {
    /// Which one.
    pub key: TaskKey,
    /// Parameters in order: name and type.
    pub params: Vec<(String, Type)>,
    /// Its steps.
    pub body: Block,
    /// `undo { … }`
    pub undo: Option<Block>,
}

/// A block: what holds in it, and its statements in order.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// `on failure …`, first in the block.
    pub on_failure: Option<(OnFailure, Span)>,
    /// The statements.
    pub statements: Vec<Statement>,
}

/// One statement of a block.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its place.
    pub span: Span,
    /// What it does.
    pub kind: StatementKind,
}

/// The statements that a block may hold.
#[derive(Debug, Clone)]
pub enum StatementKind {
    /// `let`
    Let {
        /// The name.
        name: String,
        /// Its value.
        value: Typed,
    },
    /// `record name = expr`
    Record {
        /// The name.
        name: String,
        /// Its value.
        value: Typed,
        /// `as "name"`, or else the recorded name is the step's.
        alias: Option<Typed>,
    },
    /// An action.
    Action(Box<Action>),
    /// A task's call.
    Task(Box<TaskCall>),
    /// `wait D`
    Wait {
        /// How long.
        duration: Typed,
        /// `as`
        alias: Option<Typed>,
    },
    /// `wait until`
    WaitUntil(Box<Gate>),
    /// `assert`
    Assert(Box<Gate>),
    /// `rollout`
    Rollout(Box<Rollout>),
    /// `parallel`
    Parallel {
        /// `concurrency n`
        concurrency: Option<Typed>,
        /// `as`
        alias: Option<Typed>,
        /// The branches.
        body: Block,
    },
    /// `group`
    Group {
        /// Its name.
        name: Typed,
        /// `as`
        alias: Option<Typed>,
        /// `when C`
        when: Option<Typed>,
        /// The body.
        body: Block,
        /// `finally { … }`
        finally: Option<Block>,
    },
    /// `if`
    If {
        /// Conditions with blocks.
        arms: Vec<(Typed, Block)>,
        /// `else`
        otherwise: Option<Block>,
    },
    /// `approve`
    Approve {
        /// The question.
        question: Typed,
        /// `within T`
        within: Option<Typed>,
        /// `by`
        by: Option<Typed>,
        /// `as`
        alias: Option<Typed>,
    },
    /// A guard.
    Guard {
        /// What it does.
        kind: GuardKind,
        /// Its condition.
        condition: Typed,
        /// `for D`
        hold: Option<Typed>,
        /// `else`
        why: Option<Typed>,
    },
}

/// An action with its modifiers. Arguments stand in the order of the signature; `None` where the signature's own default
/// (no value) holds.
#[derive(Debug, Clone)]
pub struct Action {
    /// Its name in the catalog.
    pub name: &'static str,
    /// Parameter to argument; defaults of the signature are filled in.
    pub args: Vec<(&'static str, Typed)>,
    /// `record name = action(…)`
    pub record: Option<String>,
    /// `retry N`
    pub retry: Option<Retry>,
    /// `when C`
    pub when: Option<Typed>,
    /// `done when C`
    pub done_when: Option<Typed>,
    /// `takes D`
    pub takes: Option<Typed>,
    /// `undo { … }`
    pub undo: Option<Block>,
    /// `as`
    pub alias: Option<Typed>,
}

/// `retry N every D`
#[derive(Debug, Clone)]
pub struct Retry {
    /// How many more times.
    pub count: Typed,
    /// The pause between; 10 s where none is said.
    pub every: Option<Typed>,
}

/// A task's call: every parameter has its argument (defaults filled in), in order.
#[derive(Debug, Clone)]
pub struct TaskCall {
    /// Which task.
    pub task: TaskKey,
    /// One argument a parameter.
    pub args: Vec<Typed>,
    /// `when C`
    pub when: Option<Typed>,
    /// `as`
    pub alias: Option<Typed>,
}

/// `wait until` or `assert`
#[derive(Debug, Clone)]
pub struct Gate {
    /// The condition.
    pub condition: Typed,
    /// `for D`
    pub hold: Option<Typed>,
    /// `every D`
    pub every: Option<Typed>,
    /// `within T`: always there for a `wait until`
    pub within: Option<Typed>,
    /// `else`
    pub why: Option<Typed>,
    /// `as`
    pub alias: Option<Typed>,
}

/// `rollout`
#[derive(Debug, Clone)]
pub struct Rollout {
    /// The element's name.
    pub element: String,
    /// Its type.
    pub element_type: Type,
    /// What is rolled over.
    pub list: Typed,
    /// Sizes of batches (int or percent) and whether `rest` follows.
    pub batches: Option<(Vec<Typed>, bool)>,
    /// `one … at a time`, over the element's name.
    pub one: Option<Typed>,
    /// `order by`, over the element's name.
    pub order: Option<Typed>,
    /// Int or percent.
    pub concurrency: Option<Typed>,
    /// Int or percent.
    pub max_failures: Option<Typed>,
    /// `defer blocked after T`
    pub defer: Option<Typed>,
    /// `when C`
    pub when: Option<Typed>,
    /// `as`
    pub alias: Option<Typed>,
    /// The body.
    pub body: Block,
    /// `between`
    pub between: Option<Block>,
    /// `finally`
    pub finally: Option<Block>,
}
