//! What the language knows, each thing declared once: types and values, facts and their fields, functions and methods,
//! actions with their signature, doc, rights, resume class, undo and estimate.
//!
//! The checker, docs, hovers, completions and `sprag rbac` read these tables; nothing else repeats them.

pub mod actions;
pub mod facts;
pub mod functions;
pub mod quantity;
pub mod types;
pub mod value;
pub mod version;

/// Words that begin a statement or stand in expressions: no name may be one of them.
pub const RESERVED: &[&str] = &[
    "use", "param", "let", "record", "fn", "task", "wait", "assert", "rollout", "parallel", "group", "if", "approve",
    "halt", "rollback", "pause", "on", "in", "true", "false", "none", "else",
];

/// Words of clauses: keywords in their place only, but no task, action, function or module may bear one.
pub const CLAUSE_WORDS: &[&str] = &[
    "until",
    "for",
    "within",
    "every",
    "when",
    "done",
    "takes",
    "undo",
    "as",
    "retry",
    "by",
    "between",
    "finally",
    "batches",
    "concurrency",
    "one",
    "at",
    "rest",
    "order",
    "defer",
    "blocked",
    "after",
    "max_failures",
    "failure",
    "continue",
    "where",
    "unless",
];
