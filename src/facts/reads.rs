//! What an evaluation read, so that it is done again only when one of these changes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;

/// One thing that was read, with a version of its own in `Facts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadKey {
    /// The list of a kind: it changes when any object of it does.
    List(Kind),
    /// Which objects a kind has: it changes when one comes or goes.
    Members(Kind),
    /// One object.
    Object(Arc<ObjectRef>),
    /// The pods bound to a node, by its name.
    PodsOfNode(Arc<str>),
    /// The pods of a workload, by its UID.
    PodsOfWorkload(Arc<str>),
    /// What the run itself knows: held nodes, workloads whole at the start.
    Run,
    /// The clock: the earliest time (Unix milliseconds) at which the value can differ.
    Clock(i64),
}

/// Everything that one evaluation read.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    /// In order, each once.
    pub keys: BTreeSet<ReadKey>,
}

impl Reads {
    /// Notes that `key` was read.
    pub fn note(&mut self, key: ReadKey) {
        self.keys.insert(key);
    }
}

/// Why a fact could not be read: unknown never passes a gate and never fires a guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// One line: what could not be read, and why.
    pub why: String,
}

impl Unknown {
    /// Unknown for that reason.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
