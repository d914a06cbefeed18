//! How long each element of a rollout took.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Rehearsed;
use crate::engine::event::Event;

/// An element of a rollout, and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ElementTime {
    /// The rollout.
    pub rollout: String,
    /// The element's name.
    pub element: String,
    /// Its batch, from 1.
    pub batch: usize,
    /// How many batches there are.
    pub batches: usize,
    /// After how long its turn came, in milliseconds.
    pub after: i64,
    /// How long it took, in milliseconds.
    pub took: i64,
}

/// The elements of all rollouts in the order in which their turn came.
pub(super) fn times(one: &Rehearsed) -> Vec<ElementTime> {
    let mut all: Vec<ElementTime> = Vec::new();
    let mut names: BTreeMap<&str, (Vec<&str>, &[usize])> = BTreeMap::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    for record in &one.records {
        match &record.event {
            Event::RolloutStarted { rollout, elements, batches, .. } => {
                names.insert(rollout, (elements.iter().map(|element| element.name.as_str()).collect(), batches));
            }
            Event::ElementStarted { rollout, element } => {
                let Some((elements, batches)) = names.get(rollout.as_str()) else { continue };
                let Some(name) = elements.get(*element) else { continue };
                at.insert(format!("{rollout}/{name}/"), all.len());
                all.push(ElementTime {
                    rollout: rollout.clone(),
                    element: (*name).to_owned(),
                    batch: batch_of(*element, batches),
                    batches: batches.len().max(1),
                    after: record.at - one.span.0,
                    took: 0,
                });
            }
            Event::StepEnded { step, .. } => {
                for (end, _) in step.match_indices('/') {
                    if let Some(index) = at.get(&step[..=end]) {
                        all[*index].took = record.at - one.span.0 - all[*index].after;
                    }
                }
            }
            _ => {}
        }
    }
    all
}

fn batch_of(element: usize, batches: &[usize]) -> usize {
    let mut end = 0;
    let batch = batches.iter().position(|size| {
        end += size;
        element < end
    });
    batch.map_or(1, |batch| batch + 1)
}

/// The elements that were under way at a time: the first of them, and how many more.
pub(super) fn under_way(one: &Rehearsed, at: i64) -> Option<String> {
    let after = at - one.span.0;
    let is_open = |time: &ElementTime| time.after <= after && after <= time.after + time.took;
    let open: Vec<String> = times(one).into_iter().filter(is_open).map(|time| time.element).collect();
    match open.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        [first, more @ ..] => Some(format!("{first} and {} more", more.len())),
    }
}
