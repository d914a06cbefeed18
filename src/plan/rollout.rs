//! Rollouts: the selection as of now, sizes, keys, and the body as a template.

use std::collections::BTreeSet;

use crate::catalog::types::Moment;
use crate::catalog::value::Value;
use crate::check::program;
use crate::diagnostic::Diagnostic;
use crate::expr::ir::Typed;
use crate::expr::{EvalError, total_order};
use crate::facts::reads::Reads;
use crate::source::Span;

use super::expand::Planner;
use super::graph::{Block, Code, Rollout, Size};
use super::ids::{path, segment};
use super::values::{Range, reads_cluster};

impl Planner<'_> {
    pub(super) fn rollout(&mut self, rollout: &program::Rollout, id: &str) -> Rollout {
        let list = self.live(&rollout.list);
        let planned = self.selection(&rollout.list, &list);
        let batches = self.batches(rollout.batches.as_ref());
        let concurrency = self.size(rollout.concurrency.as_ref(), 1, 1, "`concurrency`");
        let max_failures = self.size(rollout.max_failures.as_ref(), 0, 0, "`max_failures`");
        let defer = self.early_if(rollout.defer.as_ref(), Range::Time, "`defer blocked after`");
        let when = self.live_if(rollout.when.as_ref());
        self.names.enter();
        let slot = self.names.define(&rollout.element, Moment::Begin);
        let one = self.live_if(rollout.one.as_ref());
        let order = self.live_if(rollout.order.as_ref());
        let planned = planned.map(|planned| self.in_order(planned, &slot, order.as_ref()));
        self.see_keys(id, planned.as_deref(), &slot, one.as_ref());
        let (body, pins) = self.body(rollout, id);
        self.see_away(id, planned.as_deref(), &body);
        self.names.leave();
        Rollout {
            element: rollout.element.clone(),
            slot,
            list,
            planned,
            batches,
            one,
            order,
            concurrency,
            max_failures,
            defer,
            when,
            pins,
            body,
            between: rollout.between.as_ref().map(|block| self.block(block, &path(id, "between@"), false)),
            finally: self.finally(rollout.finally.as_ref(), id),
        }
    }

    fn body(&mut self, rollout: &program::Rollout, id: &str) -> (Block, Vec<(String, Code)>) {
        self.pins.push(Vec::new());
        let body = self.block(&rollout.body, &path(id, &rollout.element), false);
        (body, self.pins.pop().unwrap_or_default())
    }

    /// What the list gives now; `None` where it cannot be told before the rollout begins.
    fn selection(&mut self, written: &Typed, list: &Code) -> Option<Vec<Value>> {
        let resolved = self.resolve(written);
        if !self.is_at_top() {
            return None;
        }
        let items = match self.try_evaluate(&resolved, written.span) {
            Ok(Value::List(items)) => items,
            // A list that the plan pinned and that is not there was told.
            Ok(_) | Err(EvalError::Unknown(_)) => return None,
            Err(EvalError::Fault(what)) => {
                self.diagnostics.push(Diagnostic::error("E499", what).at(written.span, &list.text));
                return None;
            }
        };
        self.check_elements(&items, written.span);
        Some(items.to_vec())
    }

    /// Elements are told apart by their names, which are segments of ids.
    fn check_elements(&mut self, items: &[Value], span: Span) {
        let mut names = BTreeSet::new();
        for item in items {
            let name = segment(&item.to_string());
            let error = if name == "finally" || name.starts_with("between@") {
                Diagnostic::error("E411", format!("an element cannot be called `{item}`"))
                    .at(span, "it is in this list")
            } else if name.is_empty() {
                Diagnostic::error("E411", "an element is an empty text").at(span, "it is in this list")
            } else if names.insert(name) {
                continue;
            } else {
                Diagnostic::error("E411", format!("`{item}` is in the list twice"))
                    .at(span, "a rollout's elements are different")
                    .help("`.unique()` keeps each once")
            };
            self.diagnostics.push(error);
            return;
        }
    }

    /// The elements in the order in which they would take their turn now.
    fn in_order(&self, planned: Vec<Value>, slot: &str, order: Option<&Code>) -> Vec<Value> {
        let Some(keys) = order.and_then(|order| self.of_each(&planned, slot, order)) else { return planned };
        let mut both: Vec<(Value, Value)> = keys.into_iter().zip(planned).collect();
        both.sort_by(|(a, _), (b, _)| total_order(a, b));
        both.into_iter().map(|(_, element)| element).collect()
    }

    fn see_keys(&mut self, id: &str, planned: Option<&[Value]>, slot: &str, one: Option<&Code>) {
        let (Some(planned), Some(one)) = (planned, one) else { return };
        if let Some(keys) = self.of_each(planned, slot, one) {
            self.seen.keys.insert(id.to_owned(), keys);
        }
    }

    /// What an expression over the element gives for each; `None` if it is not known of every one.
    fn of_each(&self, elements: &[Value], slot: &str, code: &Code) -> Option<Vec<Value>> {
        let compiled = crate::expr::load(code).ok()?;
        let mut bindings = self.values.clone();
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            bindings.insert(slot.to_owned(), element.clone());
            values.push(compiled.evaluate(&bindings, self.facts, &mut Reads::default(), None).ok()?);
        }
        Some(values)
    }

    fn batches(&mut self, batches: Option<&(Vec<Typed>, bool)>) -> Vec<Size> {
        let Some((sizes, has_rest)) = batches else { return Vec::new() };
        let mut all: Vec<Size> = sizes.iter().map(|size| self.size(Some(size), 1, 1, "a batch")).collect();
        if *has_rest {
            all.push(Size::Rest);
        }
        all
    }

    /// A count or a share: known now, or in a body as the rollout around it begins.
    fn size(&mut self, written: Option<&Typed>, unsaid: i64, least: i64, what: &str) -> Size {
        let Some(written) = written else { return Size::Count(unsaid) };
        let resolved = self.resolve(written);
        if !self.is_known_now(&resolved) {
            let code = if reads_cluster(&resolved) {
                self.early(written, Range::Any, what)
            } else {
                self.code(&resolved, written.span)
            };
            return Size::Code(code);
        }
        let value = self.evaluate(&resolved, written.span, what);
        let message = match value {
            Some(Value::Int(count)) if count >= least => return Size::Count(count),
            Some(Value::Int(count)) => format!("{what} is at least {least}, and is {count}"),
            Some(Value::Percent(share)) if share > 100.0 => format!("{what} is at most 100%, and is {share}%"),
            Some(Value::Percent(share)) if share > 0.0 || (least == 0 && share == 0.0) => return Size::Share(share),
            Some(Value::Percent(share)) => format!("{what} is more than 0%, and is {share}%"),
            Some(other) => format!("{what} is a count or a share, and is {other}"),
            None => return Size::Count(unsaid),
        };
        self.diagnostics.push(Diagnostic::error("E413", message).at(written.span, ""));
        Size::Count(unsaid)
    }
}
