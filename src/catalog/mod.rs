//! What the language knows, each thing declared once: types and values, facts and their fields, functions and methods,
//! actions with their signature, doc, rights, resume class, undo and estimate; windows of time.
//!
//! The checker, docs, hovers, completions and `sprag rbac` read these tables; nothing else repeats them.

pub mod actions;
pub mod facts;
pub mod functions;
pub mod quantity;
pub mod types;
pub mod value;
pub mod version;
pub mod window;

/// The words that begin a statement; all are reserved.
pub const STATEMENT_WORDS: [&str; 17] = [
    "use", "param", "let", "record", "fn", "task", "wait", "assert", "rollout", "parallel", "group", "if", "approve",
    "halt", "rollback", "pause", "on",
];

/// The words that stand in expressions; all are reserved.
pub const EXPRESSION_WORDS: [&str; 5] = ["in", "true", "false", "none", "else"];

/// The words that are keywords in their place only; but no task, action, function or module may bear one.
pub const CLAUSE_WORDS: [&str; 27] = [
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

/// Whether a word is reserved: no name may be like it.
pub fn is_reserved(word: &str) -> bool {
    STATEMENT_WORDS.contains(&word) || EXPRESSION_WORDS.contains(&word)
}
