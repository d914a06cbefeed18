//! What commands and jobs do in a rehearsal: how long they take, how they end, what they change.
//!
//! A part is written as a step begins: what a scenario says of it, or else that it succeeds after its `takes` and makes its
//! `done when` true.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::effects::Effect;

/// The parts of all steps that have begun, by id. Cheap to clone: all clones are the same script.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<BTreeMap<String, Part>>>);

/// What the command or job of one step does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// How long it takes, in milliseconds.
    pub takes: i64,
    /// Its exit code.
    pub code: i64,
    /// What it writes on stdout.
    pub stdout: String,
    /// What it changes as it ends, where it ends well.
    pub effects: Vec<Effect>,
}

impl Script {
    /// Writes the part of a step, in the place of what it did in an earlier attempt.
    pub fn write(&self, step: &str, part: Part) {
        self.parts().insert(step.to_owned(), part);
    }

    /// The part of a step that has begun.
    pub fn read(&self, step: &str) -> Option<Part> {
        self.parts().get(step).cloned()
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<String, Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
