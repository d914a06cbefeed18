//! Typed expressions, from the checker's tree to values: the only folder that knows rhai.
//!
//! - [`ir`]: what the checker makes of an expression
//! - [`lower`]: ir → [`Code`](crate::plan::graph::Code), a text of host calls that the journal can keep
//! - [`load`]: that text → [`Compiled`], the one door by which a journalled expression comes back
//! - [`Compiled::evaluate`]: a value, or why it is unknown, and what was read
//! - [`Closure`]: an argument that its action calls
//! - [`assume`]: what would make a condition true, for a rehearsal
//!
//! Invariants: nothing here does I/O or asks the time; every operator of the language is a function of ours, chosen over
//! Rhai's own because those are silently false across types; an unknown read ends the evaluation at once.

pub mod assume;
mod closure;
pub mod evaluate;
mod form;
pub mod ir;
pub mod lower;
mod operators;
#[cfg(test)]
mod tests;

pub use closure::{Closure, is_closure};
pub use evaluate::{
    Bindings, Compiled, EvalError, FactSource, Memo, facts_in, load, reads_field, secret_marker, windows_in,
};
pub use form::comparisons;
pub use operators::total_order;
