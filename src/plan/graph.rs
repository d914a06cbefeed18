//! The step graph: what a run carries out, resolved and versioned; the journal keeps it whole.
//!
//! Series-parallel: blocks of nodes, rollouts as templates with a selection. A node's `id` is one segment; the path of
//! segments from the root is the step's id (`workers/ip-10-0-3-7/drain`), put together by [`crate::plan::path`].
//! Expressions are [`Code`]: their text for people, and the lowered form that `expr::load` reads back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::types::Type;
use crate::catalog::value::Value;
use crate::facts::Single;

use super::estimate::Estimate;

/// The schema that [`Graph`] is written in; a reader refuses a higher one.
pub const SCHEMA: u32 = 1;

/// A place in the playbook as screens show it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// An expression that a run evaluates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Code {
    /// As the person wrote it, on one line.
    pub text: String,
    /// The lowered form (see `expr::lower`); names are slots of the graph.
    pub code: String,
    /// What it gives.
    pub ty: Type,
}

/// A whole plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The playbook's name: its file's stem.
    pub name: String,
    /// 64 hex digits: of the canonical playbook, its modules, parameters and pinned facts.
    pub digest: String,
    /// 64 hex digits: of the canonical playbook and its modules alone, by which an edit is told.
    pub sources: String,
    /// The version of sprag that made it.
    pub sprag: String,
    /// Which cluster it was made from.
    pub cluster: ClusterInfo,
    /// Parameters as given or defaulted, in order of name; a secret is its own name.
    pub params: BTreeMap<String, Value>,
    /// Slot to value, of everything known at plan time (parameters too).
    pub values: BTreeMap<String, Value>,
    /// What the cluster showed beside that, for pictures of the plan; no part of the digest, and nothing of a run reads it.
    #[serde(default, skip_serializing_if = "Seen::is_empty")]
    pub seen: Seen,
    /// The statements.
    pub root: Block,
}

/// What was seen of the cluster when the plan was made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The lowest version of the kubelets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubelet: Option<Value>,
    /// By the id of an assertion outside rollouts: whether it held.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asserts: BTreeMap<String, bool>,
    /// By the id of a rollout: the key of `one … at a time` of each planned element.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, Vec<Value>>,
    /// By the id of a rollout that drains nodes: the single replicas on its planned elements.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub away: BTreeMap<String, Away>,
    /// How long the whole mostly takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

/// Workloads of one replica that a rollout's drains take away until a replacement is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// How many there are.
    pub count: usize,
    /// The first of them: those that are away longest first, those of which that is not known last.
    pub longest: Vec<Single>,
}

impl Seen {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which cluster a plan was made from, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// The UID of the namespace kube-system; empty when it could not be read.
    pub uid: String,
    /// The context's name or the snapshot's file.
    pub name: String,
    /// The API server's version.
    pub version: String,
    /// When the facts were read, Unix milliseconds.
    pub as_of: i64,
}

/// Nodes one after the other.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Block {
    /// `on failure continue` or `on failure rollback`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// In order.
    pub nodes: Vec<Node>,
}

/// What the failure of a block does beside ending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The block around it goes on.
    Continue,
    /// What it did is undone.
    Rollback,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its segment of the path; empty for `let`, `if` and guards, which add none.
    pub id: String,
    /// As screens show it: the statement on one line, without its blocks.
    pub text: String,
    /// Where it is written.
    pub place: Place,
    /// What it is.
    pub kind: NodeKind,
}

/// The kinds of nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A step: an action.
    Action(Box<Action>),
    /// A step: `record name = expr`.
    Record {
        /// Where the value goes.
        slot: String,
        /// What is recorded.
        value: Code,
    },
    /// A step: `wait D`.
    Wait {
        /// Milliseconds of wall time.
        duration: Code,
    },
    /// A step: `wait until`.
    WaitUntil(Box<Gate>),
    /// A step: `assert`.
    Assert(Box<Gate>),
    /// A step: `approve`.
    Approve {
        /// The question.
        question: Code,
        /// How long a person has, wall time.
        within: Option<Code>,
        /// Which group.
        by: Option<Code>,
    },
    /// A rollout.
    Rollout(Box<Rollout>),
    /// Branches side by side, each a node of its own.
    Parallel {
        /// How many at a time; none: all.
        concurrency: Option<Code>,
        /// Guards and `on failure`, then branches.
        body: Block,
    },
    /// A group, or a task's call expanded in place.
    Group(Box<Group>),
    /// Decided as the rollout around it begins. (What is decided when the plan is made is not in the graph.)
    If {
        /// A number unique in the graph, by which the choice is journalled.
        choice: u32,
        /// Conditions with blocks.
        arms: Vec<(Code, Block)>,
        /// `else`
        otherwise: Block,
    },
    /// In a rollout's body: known as the rollout begins.
    Let {
        /// Where the value goes.
        slot: String,
        /// Its value.
        value: Code,
    },
    /// A guard, in force from here to the end of its block.
    Guard(Box<Guard>),
}

/// An action's step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its name in the catalog.
    pub name: String,
    /// Parameter to argument, in the order of the signature, `timeout` among them.
    pub args: Vec<(String, Code)>,
    /// Where its result goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// How many more times, and the pause between in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<(Code, Code)>,
    /// Decided as the step starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Code>,
    /// How to see the effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_when: Option<Code>,
    /// For estimates and rehearsals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<Code>,
    /// What undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Block>,
}

/// `wait until` or `assert`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The condition.
    pub condition: Code,
    /// For how long it must be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Code>,
    /// How often a hold is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Code>,
    /// How long it is awaited; none for an `assert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Code>,
    /// What to say when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Code>,
}

/// A rollout: a template, a selection, limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// The element's name, for screens.
    pub element: String,
    /// Where the element stands for its body.
    pub slot: String,
    /// What is rolled over, read as it begins.
    pub list: Code,
    /// What `list` gave when the plan was made; `None` when it could not be read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Vec<Value>>,
    /// Sizes in order; the last repeats. Empty: one batch.
    pub batches: Vec<Size>,
    /// Only elements of different keys run side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one: Option<Code>,
    /// Who comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Code>,
    /// How many bodies run side by side.
    pub concurrency: Size,
    /// How many elements may fail.
    pub max_failures: Size,
    /// `defer blocked after T`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defer: Option<Code>,
    /// Decided as it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Code>,
    /// Slots that are read as it begins for each element, because arguments use them: slot to field access.
    pub pins: Vec<(String, Code)>,
    /// Once for each element.
    pub body: Block,
    /// After each batch but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<Block>,
    /// Once, when it is over for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<Block>,
}

/// A count or a share of the whole; as it begins where it is an expression of a body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// That many.
    Count(i64),
    /// That share: 10.0 is 10 %.
    Share(f64),
    /// What is left.
    Rest,
    /// Known as the rollout around it begins: an int or a percentage.
    Code(Code),
}

/// A named block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The task that was expanded here, `module::name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Decided as it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Code>,
    /// Its nodes.
    pub body: Block,
    /// Once, when it is over for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<Block>,
    /// A task's `undo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Block>,
}

/// A guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// `halt when`, `rollback when`, `pause when`, `pause unless`
    pub kind: String,
    /// Its condition.
    pub condition: Code,
    /// For how long.
    pub hold: Option<Code>,
    /// What to say.
    pub why: Option<Code>,
}

impl NodeKind {
    /// Whether it is a step: what has an id, an intent and an outcome.
    pub fn is_step(&self) -> bool {
        match self {
            Self::Action(_)
            | Self::Record { .. }
            | Self::Wait { .. }
            | Self::WaitUntil(_)
            | Self::Assert(_)
            | Self::Approve { .. } => true,
            Self::Rollout(_)
            | Self::Parallel { .. }
            | Self::Group(_)
            | Self::If { .. }
            | Self::Let { .. }
            | Self::Guard(_) => false,
        }
    }
}
