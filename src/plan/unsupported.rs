//! What of a plan this version does not carry out: the catalog's `later`, and statements that the engine does not know.

use std::collections::BTreeSet;

use crate::catalog::actions;
use crate::catalog::functions::FUNCTIONS;

use super::graph::{Action, Block, Code, Gate, Graph, Group, Node, NodeKind, Place, Rollout, Size};

/// What of a plan this version does not carry out: each statement's place and what it is, such as ``the action `job` ``.
pub fn unsupported(graph: &Graph) -> Vec<(Place, String)> {
    let mut found = Found::default();
    found.block(&graph.root);
    found.all
}

#[derive(Default)]
struct Found {
    all: Vec<(Place, String)>,
}

impl Found {
    fn tell(&mut self, place: &Place, what: impl Into<String>) {
        let one = (place.clone(), what.into());
        // A task that is called twice is told once.
        if !self.all.contains(&one) {
            self.all.push(one);
        }
    }

    fn block(&mut self, block: &Block) {
        for node in &block.nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        let place = &node.place;
        match &node.kind {
            NodeKind::Action(action) => self.action(action, place),
            NodeKind::Record { value, .. } | NodeKind::Let { value, .. } => self.code(value, place),
            NodeKind::Wait { duration } => self.code(duration, place),
            NodeKind::WaitUntil(gate) | NodeKind::Assert(gate) => self.gate(gate, place),
            NodeKind::Approve { question, within, by } => {
                self.code(question, place);
                self.codes([within, by].into_iter().flatten(), place);
            }
            NodeKind::Rollout(rollout) => self.rollout(rollout, place),
            NodeKind::Parallel { concurrency, body } => {
                self.codes(concurrency, place);
                self.block(body);
            }
            NodeKind::Group(group) => self.group(group, place),
            NodeKind::If { arms, otherwise, .. } => {
                for (condition, block) in arms {
                    self.code(condition, place);
                    self.block(block);
                }
                self.block(otherwise);
            }
            NodeKind::Guard(guard) => {
                self.code(&guard.condition, place);
            }
        }
    }

    fn action(&mut self, action: &Action, place: &Place) {
        if let Some(decl) = actions::action(&action.name).filter(|decl| decl.later) {
            self.tell(place, format!("the action `{}`", decl.name));
        }
        self.codes(action.args.iter().map(|(_, code)| code), place);
        self.codes([&action.when, &action.done_when].into_iter().flatten(), place);
        if let Some(undo) = &action.undo {
            self.block(undo);
        }
    }

    fn gate(&mut self, gate: &Gate, place: &Place) {
        self.code(&gate.condition, place);
        self.codes(&gate.why, place);
    }

    fn rollout(&mut self, rollout: &Rollout, place: &Place) {
        if rollout.defer.is_some() {
            self.tell(place, "`defer blocked after`");
        }
        self.code(&rollout.list, place);
        self.codes([&rollout.one, &rollout.order, &rollout.when].into_iter().flatten(), place);
        self.codes(rollout.pins.iter().map(|(_, code)| code), place);
        for size in rollout.batches.iter().chain([&rollout.concurrency, &rollout.max_failures]) {
            if let Size::Code(code) = size {
                self.code(code, place);
            }
        }
        self.block(&rollout.body);
        for block in [&rollout.between, &rollout.finally].into_iter().flatten() {
            self.block(block);
        }
    }

    fn group(&mut self, group: &Group, place: &Place) {
        self.codes(&group.when, place);
        self.block(&group.body);
        if let Some(finally) = &group.finally {
            self.block(finally);
        }
        if let Some(undo) = &group.undo {
            self.block(undo);
        }
    }

    fn codes<'c>(&mut self, codes: impl IntoIterator<Item = &'c Code>, place: &Place) {
        for code in codes {
            self.code(code, place);
        }
    }

    fn code(&mut self, code: &Code, place: &Place) {
        let calls = calls_in(&code.code);
        for function in FUNCTIONS.iter().filter(|function| function.later) {
            if calls.contains(format!("call_{}", function.name).as_str()) {
                self.tell(place, format!("the function `{}`", function.name));
            }
        }
    }
}

/// The names of the functions that lowered code calls; what stands in its strings is none.
fn calls_in(code: &str) -> BTreeSet<&str> {
    let bytes = code.as_bytes();
    let mut calls = BTreeSet::new();
    let (mut at, mut word) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                word = at + 1;
            }
            b'(' => {
                calls.insert(&code[word..at]);
                word = at + 1;
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => {}
            _ => word = at + 1,
        }
        at += 1;
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_in_strings_are_none() {
        let calls = calls_in("and(call_now([]), s(\"call_prom(\\\"x\\\")é\"), |l_n| b(name(\"n\")))");
        assert_eq!(calls.into_iter().collect::<Vec<_>>(), ["and", "b", "call_now", "name", "s"]);
    }
}
