//! How long the whole body of an element mostly takes, and whether that still fits into a window.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::value::Value;
use crate::expr::windows_in;
use crate::plan::estimate::{Estimate, Estimator};
use crate::plan::graph::{Guard, NodeKind};
use crate::plan::path;

use super::driver::Driver;
use super::event::Id;
use super::locate::locate;

impl Driver<'_> {
    /// How long the whole body of an element mostly takes, with what was pinned for it; nothing for what is no element.
    pub(super) fn estimate_of(&self, rollout: &Id, element: usize) -> Estimate {
        let located = locate(&self.state.graph, rollout);
        let element = self.state.rollouts.get(rollout).and_then(|state| state.elements.get(element));
        let (Some(located), Some(element)) = (located, element) else { return Estimate::default() };
        let NodeKind::Rollout(template) = &located.node.kind else { return Estimate::default() };
        let names = |slot: &str| self.state.bindings(&located, &BTreeSet::from([slot.to_owned()])).remove(slot);
        let mut pinned: BTreeMap<String, Value> = element.values.clone();
        pinned.insert(template.slot.clone(), element.value.clone());
        let mut estimator = Estimator::new(&self.source, &names, &self.state.graph.seen.keys);
        estimator.element(template, &path(rollout, &element.name), pinned, &element.choices)
    }

    /// Whether the whole body of an element would mostly be over before a pause begins: before the windows close that
    /// `pause unless` asks for, or those open that `pause when` does. In a pause there is no room; nothing is predicted of
    /// other conditions.
    #[expect(dead_code, reason = "for guards of kind `pause`, as an element is about to begin")]
    pub(super) fn fits(&self, pause: &Guard, rollout: &Id, element: usize) -> bool {
        let now = self.now();
        let is_unless = pause.kind == "pause unless";
        let windows = windows_in(&pause.condition);
        let begins = windows.iter().filter_map(|window| match is_unless {
            true => window.closes_after(now),
            false => window.opens_after(now),
        });
        begins.min().is_none_or(|begins| now + self.estimate_of(rollout, element).total() <= begins)
    }
}
