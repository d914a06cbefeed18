//! Syntax tree to checked program: names, modules, types, moments, and the rules about where statements stand.
//!
//! The checker never does I/O: files come through [`Modules`]. It goes on after a mistake, tells each once, and gives a
//! [`Program`] only when there was none. A file that could not be read whole is not checked: what the parser mended was
//! not said by anyone. What the tree shows by itself (clauses twice, statements out of place) the parser has told.
//!
//! - `modules`: which files there are; `scope`: which names are seen where
//! - `types`: which types go together; `expression`, `operator`, `method`, `call`, `inline`: typing, bottom up
//! - `moments`: when a value is known against when its place needs it
//! - `statement`, `rollout`, `action`, `task`: statements; `shell`: the quoting of a command
//!
//! Expressions of a task count its parameters as known when a rollout begins; what a task demands of an argument
//! beyond that (known early, fields that can be pinned) is held against each call.
//!
//! | code | what it says |
//! |---|---|
//! | E101 | a name that nothing here has |
//! | E102 | a call of what does not exist |
//! | E103 | a name that is taken |
//! | E104 | a name that the language has taken |
//! | E105 | a name used before it is defined |
//! | E106 | a function, task or action used as what it is not |
//! | E107 | a task or a function that reaches itself |
//! | E110 | no such module in the standard library |
//! | E111 | a module's file that cannot be read |
//! | E112 | modules that bring each other in |
//! | E113 | two modules of one name |
//! | E114 | a statement that a module may not hold |
//! | E115 | a module that was not brought in |
//! | E116 | a name that a module does not have |
//! | E117 | a file that cannot be a module |
//! | E120 | an argument that is not known |
//! | E121 | an argument that is missing |
//! | E122 | an argument given twice |
//! | E123 | an argument at a place where it cannot stand |
//! | E124 | a modifier that does not go with the statement |
//! | E201 | a value of another type than is needed |
//! | E202 | a type that does not exist, or may not stand here |
//! | E203 | a field that does not exist |
//! | E204 | a method that does not exist |
//! | E205 | operands that do not go together |
//! | E206 | a comparison of different types |
//! | E207 | what `${…}` cannot show |
//! | E208 | a closure where none belongs, or of the wrong form |
//! | E209 | a text that is none of those to choose from |
//! | E210 | a number, duration or share out of its range |
//! | E211 | a value whose type cannot be told |
//! | E212 | a secret where it could be seen |
//! | E213 | a command that is computed |
//! | E214 | a value in a command where it could become code |
//! | E215 | a rollout over what it cannot take one by one |
//! | E216 | `[…]` on what has no items |
//! | E217 | a version that cannot be read |
//! | E218 | an expression that grows too large |
//! | E219 | a text that is no window of time |
//! | E220 | an approval that nobody can give |
//! | E311 | a value that is known only while running, where an earlier moment is needed |
//! | E312 | an argument that would read the cluster |
//! | E313 | a parameter or a module's constant that would read the cluster |
//! | E314 | a task called where its arguments cannot be pinned |
//! | E331 | `on failure` said twice |
//! | E333 | `between` without `batches` |
//! | L001 | `max_failures` that can never be reached |
//! | L002 | a comparison with `none` that always gives the same |
//! | L003 | `??` after what is never `none` |
//! | L201 | a value that may be `none` where one is needed |

mod action;
mod call;
mod expression;
mod inline;
mod method;
mod modules;
mod moments;
mod operator;
pub mod program;
mod rollout;
mod scope;
pub mod shell;
mod statement;
mod task;
#[cfg(test)]
mod tests;
mod types;
mod window;

use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::{Diagnostic, has_errors};
use crate::source::{FileId, SourceMap};
use modules::Loader;
use program::{Param, Program};
use scope::Checker;

/// Where modules come from.
pub trait Modules {
    /// The bytes of a file.
    ///
    /// # Errors
    /// Why it cannot be read, in a few words such as `no such file`.
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, String>;

    /// The text of `std::name`.
    fn standard(&self, name: &str) -> Option<&'static str>;

    /// The modules of the standard library, in order of name.
    fn standard_names(&self) -> Vec<&'static str>;
}

/// What became of a playbook.
#[derive(Debug)]
pub struct Checked {
    /// The program; `None` if there was an error.
    pub program: Option<Program>,
    /// Every mistake and warning, in order of file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// The parameters as far as they could be understood, with errors too.
    pub params: Vec<Param>,
}

/// Checks the playbook in `file`; modules that it reaches are added to `sources`.
pub fn check(sources: &mut SourceMap, file: FileId, modules: &mut dyn Modules) -> Checked {
    let mut loader = Loader::new(sources, modules);
    loader.load_playbook(file);
    let (units, mut diagnostics) = (loader.units, loader.diagnostics);
    let mut checker = Checker::new(sources, &units);
    let program = checker.check_units();
    diagnostics.append(&mut checker.diagnostics);
    let params = checker.params;
    let diagnostics = in_order(diagnostics);
    let program = (!has_errors(&diagnostics)).then_some(program);
    Checked { program, diagnostics, params }
}

/// In order of file and place, each once: a mistake in a function shows at the first of its calls alone.
fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let place = |d: &Diagnostic| d.labels.first().map(|label| (label.span.file, label.span.start, label.span.end));
    diagnostics.sort_by_key(place);
    diagnostics.dedup_by(|a, b| a.code == b.code && a.message == b.message && place(a) == place(b));
    diagnostics
}

/// The canonical text of every file, by name.
fn canonical(sources: &SourceMap, units: &[modules::Unit]) -> BTreeMap<String, String> {
    units.iter().map(|unit| (sources.file(unit.file).name.clone(), crate::syntax::canonical(&unit.ast))).collect()
}
