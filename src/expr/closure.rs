//! Closures that an action calls by itself, such as `drain`'s `order`: one argument, read live.

use std::sync::Arc;

use super::{Bindings, Compiled, EvalError, FactSource, load};
use crate::catalog::value::Value;
use crate::facts::reads::Reads;
use crate::plan::graph::Code;

/// The slot of the argument; no name of a playbook holds such a character.
const ARGUMENT: &str = "closure#argument";

/// A closure of an action's argument, with the names that it uses bound.
#[derive(Debug, Clone)]
pub struct Closure {
    compiled: Compiled,
    bindings: Bindings,
    text: String,
}

/// Whether an argument is a closure: it has no value of its own, and its action calls it.
pub fn is_closure(code: &Code) -> bool {
    code.code.starts_with('|')
}

impl Closure {
    /// Compiles a lowered closure; `bind` is asked for the values of the names that it uses.
    ///
    /// # Errors
    /// What is wrong with the text, which only an edited journal can cause.
    pub fn load(code: &Code, bind: impl FnOnce(&Compiled) -> Bindings) -> Result<Self, String> {
        let call = Code { code: format!("bind(name(\"{ARGUMENT}\"), {})", code.code), ..code.clone() };
        let compiled = load(&call)?;
        let bindings = bind(&compiled);
        Ok(Self { compiled, bindings, text: code.text.clone() })
    }

    /// As the person wrote it, on one line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value for one argument, as the facts are now.
    pub fn call(&self, argument: Value, facts: &Arc<dyn FactSource>) -> Result<Value, EvalError> {
        let mut bindings = self.bindings.clone();
        bindings.insert(ARGUMENT.to_owned(), argument);
        self.compiled.evaluate(&bindings, facts, &mut Reads::default(), None)
    }
}
