//! Names of the playbook → slots of the graph, each of which is one place that holds a value.

use std::collections::BTreeMap;

use crate::catalog::types::Moment;
use crate::expr::ir::Typed;

use super::ids::Numbered;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Bound {
    /// A slot, and when its value is known.
    Slot(String, Moment),
    /// A task's parameter that was given recorded values: what the caller wrote, with slots for names.
    Given(Box<Typed>),
}

/// The names that are seen, innermost block last. The first block is the playbook's own.
#[derive(Debug)]
pub(super) struct Names {
    scopes: Vec<BTreeMap<String, Bound>>,
    slots: Numbered,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { scopes: vec![BTreeMap::new()], slots: Numbered::default() }
    }

    /// What the name stands for here; nothing for a module's constant and for `outcome`, which are their own slots.
    pub(super) fn get(&self, name: &str) -> Option<&Bound> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// A slot of its own for what bears that name.
    pub(super) fn fresh(&mut self, name: &str) -> String {
        self.slots.next(name)
    }

    /// Binds a name in the innermost block.
    pub(super) fn bind(&mut self, name: &str, bound: Bound) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), bound);
        }
    }

    /// Binds a name in the innermost block to a slot of its own, which is returned.
    pub(super) fn define(&mut self, name: &str, moment: Moment) -> String {
        let slot = self.fresh(name);
        self.bind(name, Bound::Slot(slot.clone(), moment));
        slot
    }

    /// Opens a block.
    pub(super) fn enter(&mut self) {
        self.scopes.push(BTreeMap::new());
    }

    /// Closes the innermost block.
    pub(super) fn leave(&mut self) {
        self.scopes.pop();
    }

    /// Enters a task, which sees its parameters and, in the playbook's own file, the names at its top. Gives what
    /// [`Names::leave_task`] needs to come back.
    pub(super) fn enter_task(
        &mut self,
        sees_top: bool,
        formals: BTreeMap<String, Bound>,
    ) -> Vec<BTreeMap<String, Bound>> {
        let top = if sees_top { self.scopes.first().cloned().unwrap_or_default() } else { BTreeMap::new() };
        std::mem::replace(&mut self.scopes, vec![top, formals])
    }

    /// Leaves a task.
    pub(super) fn leave_task(&mut self, around: Vec<BTreeMap<String, Bound>>) {
        self.scopes = around;
    }
}
