//! The plan as a tree: what a tired person reads before anything starts (SCREENS.md).

use std::collections::BTreeMap;

use crate::catalog::actions::Class;
use crate::catalog::value::{Value, format_duration};
use crate::facts::Single;
use crate::plan::graph::{
    Action, Away, Block, Code, Gate, Graph, Group, Guard, Node, NodeKind, OnFailure, Rollout, Size,
};
use crate::plan::{has_drain, path};

use super::counts::{
    batches_of, class_of, commits_in, counted, element_word, is_commit, nodes_of, side_by_side, steps_of, steps_of_node,
};
use super::page::Page;

/// How many batches are drawn before the rest is counted.
const DRAWN: usize = 8;

/// How many elements of a batch are named.
const NAMED: usize = 3;

/// How many single replicas are named.
const SINGLES: usize = 3;

const POINT: &str = "▲ no way back";

/// Name, versions, counts; where and when it was made; with which parameters.
pub(super) fn head(graph: &Graph, page: &mut Page) {
    let versions = versions(graph).map(|versions| format!("  {versions}")).unwrap_or_default();
    let nodes = match nodes_of(&graph.root) {
        0 => String::new(),
        n => format!("   {}", counted(n, "node")),
    };
    let steps = steps_of(&graph.root).words();
    page.line(0, "", &format!("{}{versions}{nodes}   {steps}", graph.name), "");
    let (cluster, as_of) = (&graph.cluster, time(graph.cluster.as_of));
    let digest = graph.digest.get(..8).unwrap_or(&graph.digest);
    page.line(0, "", &format!("made from {} ({}) as of {as_of}   digest {digest}", cluster.name, cluster.version), "");
    if !graph.params.is_empty() {
        let params: Vec<String> = graph.params.iter().map(|(name, value)| format!("{name} {value}")).collect();
        page.line(0, "", &format!("with {}", params.join(", ")), "");
    }
}

/// From the lowest kubelet to the one version that was asked for.
fn versions(graph: &Graph) -> Option<String> {
    let mut asked = graph.params.values().filter(|value| matches!(value, Value::Version(_)));
    match (&graph.seen.kubelet, asked.next(), asked.next()) {
        (Some(lowest), Some(target), None) if lowest != target => Some(format!("{lowest} → {target}")),
        _ => None,
    }
}

fn time(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}

/// Every statement, rollouts as templates, tasks folded.
pub(super) fn tree(graph: &Graph, page: &mut Page) {
    Tree { graph, page, away: None }.block(&graph.root, "", 2);
}

struct Tree<'t> {
    graph: &'t Graph,
    page: &'t mut Page,
    /// Of the rollout around: what its first drain takes away, until it is told.
    away: Option<&'t Away>,
}

impl Tree<'_> {
    fn block(&mut self, block: &Block, prefix: &str, indent: usize) {
        match block.on_failure {
            Some(OnFailure::Continue) => self.page.line(indent, "  ", "on failure continue", ""),
            Some(OnFailure::Rollback) => self.page.line(indent, "  ", "on failure rollback", ""),
            None => {}
        }
        for node in &block.nodes {
            self.node(node, prefix, indent);
            if has_drain(node) {
                self.away(indent + 4);
            }
        }
    }

    fn node(&mut self, node: &Node, prefix: &str, indent: usize) {
        let id = path(prefix, &node.id);
        match &node.kind {
            NodeKind::Action(action) => self.page.line(indent, "  ", &node.text, &action_remark(action)),
            NodeKind::Record { .. } | NodeKind::Let { .. } => self.page.line(indent, "  ", &node.text, ""),
            NodeKind::Wait { .. } => self.page.line(indent, "◷ ", &node.text, ""),
            NodeKind::WaitUntil(gate) => {
                let within = gate.within.as_ref().map(|within| format!("within {}", shown(within))).unwrap_or_default();
                self.page.line(indent, "  ", &format!("wait until {}", condition(gate)), &within);
            }
            NodeKind::Assert(gate) => self.assert(gate, &id, indent),
            NodeKind::Approve { question, within, by } => {
                let by = by.as_ref().map(|by| format!("by {}", shown(by)));
                let within = within.as_ref().map(|within| format!("within {}", shown(within)));
                let remark = [by, within].into_iter().flatten().collect::<Vec<_>>().join(", ");
                self.page.line(indent, "? ", &format!("approve {}", question.text), &remark);
            }
            NodeKind::Rollout(rollout) => self.rollout(rollout, &id, indent),
            NodeKind::Parallel { body, .. } => {
                self.page.line(indent, "  ", &node.text, "side by side");
                self.block(body, &id, indent + 2);
            }
            NodeKind::Group(group) => self.group(node, group, &id, indent),
            NodeKind::If { arms, otherwise, .. } => self.choice(arms, otherwise, prefix, indent),
            NodeKind::Guard(guard) => self.page.line(indent, "│ ", &guard_text(guard), ""),
        }
    }

    /// How long single replicas are away.
    fn away(&mut self, indent: usize) {
        let Some(away) = self.away.take() else { return };
        for single in away.longest.iter().take(SINGLES) {
            self.page.line(indent, "", &single_text(single), "");
        }
        if let Some(more @ 1..) = away.count.checked_sub(SINGLES) {
            self.page.line(indent, "", &format!("away: {more} more of 1 replica"), "");
        }
    }

    fn assert(&mut self, gate: &Gate, id: &str, indent: usize) {
        let (mark, remark) = match (self.graph.seen.asserts.get(id), &gate.hold, &gate.every) {
            (Some(true), ..) => ("✓ ", "true now".to_owned()),
            (Some(false), ..) => ("✗ ", "false now".to_owned()),
            (None, Some(_), Some(every)) => ("◷ ", format!("looked at each {}", shown(every))),
            (None, Some(_), None) => ("◷ ", String::new()),
            (None, None, _) => ("  ", String::new()),
        };
        self.page.line(indent, mark, &format!("assert {}", condition(gate)), &remark);
    }

    fn group(&mut self, node: &Node, group: &Group, id: &str, indent: usize) {
        if group.task.is_some() {
            let steps = steps_of_node(node).words();
            let remark = if commits_in(&group.body) > 0 { format!("{POINT}   {steps}") } else { steps };
            return self.page.line(indent, "▸ ", &node.text, &remark);
        }
        self.page.line(indent, "  ", &node.text, "");
        self.block(&group.body, id, indent + 2);
        self.part("finally", group.finally.as_ref(), &path(id, "finally"), indent + 2);
    }

    fn choice(&mut self, arms: &[(Code, Block)], otherwise: &Block, prefix: &str, indent: usize) {
        for (index, (condition, block)) in arms.iter().enumerate() {
            let word = if index == 0 { "if" } else { "else if" };
            self.page.line(indent, "  ", &format!("{word} {}", condition.text), "");
            self.block(block, prefix, indent + 2);
        }
        if !otherwise.nodes.is_empty() {
            self.part("else", Some(otherwise), prefix, indent);
        }
    }

    fn part(&mut self, title: &str, block: Option<&Block>, prefix: &str, indent: usize) {
        if let Some(block) = block {
            self.page.line(indent, "  ", title, "");
            self.block(block, prefix, indent + 2);
        }
    }

    fn rollout(&mut self, rollout: &Rollout, id: &str, indent: usize) {
        let word = element_word(&rollout.list, &rollout.element);
        let when = rollout.when.as_ref().map(|when| format!(" when {}", when.text)).unwrap_or_default();
        let text = format!("rollout {} in {}{when}", rollout.element, rollout.list.text);
        self.page.line(indent, "▸ ", &text, &rollout_remark(rollout, word));
        self.batches(rollout, id, word, indent + 2);
        let inner = indent + 3;
        self.page.line(inner, "  ", &format!("each {word}"), "");
        let around = std::mem::replace(&mut self.away, self.graph.seen.away.get(id));
        self.block(&rollout.body, &path(id, &rollout.element), inner + 2);
        self.away = around;
        self.part("between batches", rollout.between.as_ref(), &path(id, "between@"), inner);
        self.part("finally", rollout.finally.as_ref(), &path(id, "finally"), inner);
    }

    fn batches(&mut self, rollout: &Rollout, id: &str, word: &str, indent: usize) {
        let (Some(planned), Some(sizes)) = (&rollout.planned, batches_of(rollout)) else { return };
        let keys = self.graph.seen.keys.get(id);
        let mut from = 0;
        for (index, size) in sizes.iter().enumerate() {
            let to = from + size;
            let is_last = index + 1 == sizes.len();
            if index < DRAWN || is_last {
                let title =
                    if sizes.len() == 1 { String::new() } else { format!("batch {} of {}", index + 1, sizes.len()) };
                let what = summary(&planned[from..to], keys.and_then(|keys| keys.get(from..to)));
                let branch = if is_last { "└─ " } else { "├─ " };
                self.page.line(indent, branch, &format!("{title:<18}{:<16}{what}", counted(*size, word)), "");
            } else if index == DRAWN {
                self.page.line(indent, "┆  ", &format!("{} more batches", sizes.len() - DRAWN - 1), "");
            }
            from = to;
        }
    }
}

/// `away: pay/api about 35s (1 replica, node n-1)`
fn single_text(single: &Single) -> String {
    let Single { workload, node, start, is_after_end } = single;
    let how_long = match start {
        Some(start) => format!(" about {}", format_duration((*start).max(1_000))),
        None => ", its pod does not tell how long".to_owned(),
    };
    let after_end = if *is_after_end && start.is_some() { " after it has ended" } else { "" };
    format!("away: {workload}{how_long}{after_end} (1 replica, node {node})")
}

/// A few elements by name; more by how many have each key, or as far as they can be named.
fn summary(elements: &[Value], keys: Option<&[Value]>) -> String {
    if let (true, Some(keys)) = (elements.len() > NAMED, keys) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for key in keys {
            *counts.entry(key.to_string()).or_default() += 1;
        }
        if counts.len() <= NAMED * 2 {
            return counts.iter().map(|(key, count)| format!("{key} {count}")).collect::<Vec<_>>().join("   ");
        }
    }
    let named: Vec<String> = elements.iter().take(NAMED).map(ToString::to_string).collect();
    match elements.len().saturating_sub(NAMED) {
        0 => named.join("  "),
        more => format!("{}  and {more} more", named.join("  ")),
    }
}

fn rollout_remark(rollout: &Rollout, word: &str) -> String {
    let mut parts = vec![match &rollout.planned {
        None => format!("{word}s are selected as it begins"),
        Some(planned) if planned.is_empty() => "nothing is selected now".to_owned(),
        Some(planned) => {
            let now = if rollout.list.code.contains("fact(\"") { " as of now" } else { "" };
            format!("{}{now}", counted(planned.len(), word))
        }
    }];
    if let Some(one) = &rollout.one {
        let key = one.text.strip_prefix(&format!("{}.", rollout.element)).unwrap_or(&one.text);
        parts.push(format!("one {key} at a time"));
    }
    if let Some(order) = &rollout.order {
        parts.push(format!("by {}", order.text));
    }
    match (side_by_side(rollout), &rollout.concurrency) {
        (_, Size::Count(1)) => {}
        (Some(n), _) => parts.push(format!("{n} side by side")),
        (None, size) => parts.push(format!("{} side by side", size_text(size))),
    }
    if rollout.max_failures != Size::Count(0) {
        parts.push(format!("{} may fail", size_text(&rollout.max_failures)));
    }
    if let Some(defer) = &rollout.defer {
        parts.push(format!("deferred when blocked for {}", shown(defer)));
    }
    parts.join(", ")
}

fn size_text(size: &Size) -> String {
    match size {
        Size::Count(count) => count.to_string(),
        Size::Share(percent) => format!("{percent}%"),
        Size::Rest => "all".to_owned(),
        Size::Code(code) => code.text.clone(),
    }
}

fn action_remark(action: &Action) -> String {
    if is_commit(action) {
        return POINT.to_owned();
    }
    match (&action.undo, class_of(action)) {
        (Some(undo), _) => format!("undo: {}", steps_of(undo).words()),
        (None, Class::Reversible) => "undo: as it was before".to_owned(),
        (None, Class::Neutral | Class::CommitUnlessUndo | Class::Commit) => String::new(),
    }
}

fn condition(gate: &Gate) -> String {
    match &gate.hold {
        Some(hold) => format!("{} for {}", gate.condition.text, shown(hold)),
        None => gate.condition.text.clone(),
    }
}

fn guard_text(guard: &Guard) -> String {
    let hold = guard.hold.as_ref().map(|hold| format!(" for {}", shown(hold))).unwrap_or_default();
    format!("{} {}{hold}", guard.kind, guard.condition.text)
}

/// What is known is shown as its value, anything else as it is written.
fn shown(code: &Code) -> String {
    let known = code.code.strip_prefix("d(\"").and_then(|rest| rest.strip_suffix("\")")).and_then(|ms| ms.parse().ok());
    known.map_or_else(|| code.text.clone(), format_duration)
}
