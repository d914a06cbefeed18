//! What events say about rollouts, and how their elements stand after each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{ElementStatus, IllegalEvent, RolloutState, RunState, illegal, prefixes_of};
use crate::catalog::value::{ObjectRef, Value};
use crate::engine::event::{Element, Event, Id};
use crate::engine::locate::locate;
use crate::engine::next::Status;
use crate::plan::graph::NodeKind;

impl RunState {
    pub(super) fn rollout_started(&mut self, at: i64, event: &Event) -> Result<(), IllegalEvent> {
        let Event::RolloutStarted { rollout, elements, batches, concurrency, max_failures, joined, gone } = event
        else {
            return Err(illegal("no rollout begins"));
        };
        let located = locate(&self.graph, rollout).ok_or_else(|| illegal(format!("the graph has no `{rollout}`")))?;
        if !matches!(located.node.kind, NodeKind::Rollout(_)) || self.rollouts.contains_key(rollout) {
            return Err(illegal(format!("`{rollout}` is no rollout that can begin")));
        }
        let mut bounds = vec![0];
        for size in batches {
            bounds.push(bounds.last().copied().unwrap_or(0) + size);
        }
        let by_name: BTreeMap<_, _> = elements.iter().enumerate().map(|(at, one)| (one.name.clone(), at)).collect();
        if bounds.last() != Some(&elements.len()) || by_name.len() != elements.len() || *concurrency == 0 {
            return Err(illegal(format!("the batches of `{rollout}` do not add up")));
        }
        let state = RolloutState {
            status: vec![ElementStatus::Waiting; elements.len()],
            elements: elements.clone(),
            waiting: (0..bounds.get(1).copied().unwrap_or(0)).collect(),
            bounds,
            batch: 0,
            concurrency: *concurrency,
            max_failures: *max_failures,
            joined: joined.clone(),
            gone: gone.clone(),
            started: at,
            active: BTreeSet::new(),
            failed: BTreeSet::new(),
            by_name,
        };
        self.rollouts.insert(rollout.clone(), state);
        Ok(())
    }

    pub(super) fn element_turn(&mut self, id: &Id, element: usize, status: ElementStatus) -> Result<(), IllegalEvent> {
        let rollout = self.rollouts.get_mut(id).ok_or_else(|| illegal(format!("`{id}` has not begun")))?;
        if !rollout.waiting.remove(&element) {
            return Err(illegal(format!("element {element} of `{id}` has no turn")));
        }
        rollout.status[element] = status;
        if status == ElementStatus::Active {
            rollout.active.insert(element);
        }
        Ok(())
    }

    pub(super) fn element_replaced(&mut self, id: &Id, element: usize, by: &ObjectRef) -> Result<(), IllegalEvent> {
        let rollout = self.rollouts.get_mut(id).ok_or_else(|| illegal(format!("`{id}` has not begun")))?;
        match rollout.elements.get_mut(element) {
            Some(replaced) if replaced.value.as_object().is_some_and(|was| was.name == by.name) => {
                replaced.value = Value::Object(Arc::new(by.clone()));
                Ok(())
            }
            _ => Err(illegal(format!("element {element} of `{id}` has not the name of what replaces it"))),
        }
    }

    /// Brings the elements' statuses up to date with what an event said about something below them.
    pub(super) fn refresh(&mut self, event: &Event) {
        let Some(id) = event.subject() else { return };
        let mut ancestors: Vec<Id> =
            prefixes_of(id).chain([id]).filter(|id| self.rollouts.contains_key(*id)).map(str::to_owned).collect();
        ancestors.sort_by_key(|id| std::cmp::Reverse(id.len()));
        for rollout in ancestors {
            let below = id.get(rollout.len() + 1..).and_then(|rest| rest.split('/').next());
            let element = below.and_then(|name| self.rollouts[&rollout].by_name.get(name).copied());
            self.refresh_rollout(&rollout, element);
        }
    }

    pub(super) fn refresh_all(&mut self) {
        let mut ids: Vec<Id> = self.rollouts.keys().cloned().collect();
        ids.sort_by_key(|id| std::cmp::Reverse(id.len()));
        for id in ids {
            let rollout = &self.rollouts[&id];
            let elements: Vec<usize> = rollout.active.union(&rollout.failed).copied().collect();
            for element in elements {
                self.refresh_rollout(&id, Some(element));
            }
        }
    }

    pub(super) fn refresh_rollout(&mut self, id: &Id, element: Option<usize>) {
        if let Some(element) = element
            && matches!(self.rollouts[id].status[element], ElementStatus::Active | ElementStatus::Failed)
        {
            let status = match self.element_status(id, element) {
                Status::Done => ElementStatus::Done,
                Status::Failed | Status::Asks => ElementStatus::Failed,
                Status::Active | Status::Idle | Status::Paused => ElementStatus::Active,
            };
            if let Some(rollout) = self.rollouts.get_mut(id) {
                rollout.set(element, status);
            }
        }
        while self.batch_is_over(id) {
            if let Some(rollout) = self.rollouts.get_mut(id) {
                rollout.next_batch();
            }
        }
    }

    /// Whether the batch that is on is over, and what stands between it and the next is done.
    pub(super) fn batch_is_over(&self, id: &Id) -> bool {
        let rollout = &self.rollouts[id];
        if rollout.batch >= rollout.batches() || !rollout.waiting.is_empty() || !rollout.active.is_empty() {
            return false;
        }
        if rollout.failed.len() > rollout.max_failures {
            return false;
        }
        rollout.batch + 1 == rollout.batches() || self.between_is_done(id, rollout.batch + 1)
    }
}

impl RolloutState {
    /// How many batches there are.
    pub fn batches(&self) -> usize {
        self.bounds.len() - 1
    }

    /// The element of that segment.
    pub fn element(&self, name: &str) -> Option<&Element> {
        self.by_name.get(name).map(|at| &self.elements[*at])
    }

    /// How many elements are done or were skipped.
    pub fn finished(&self) -> usize {
        self.status.iter().filter(|status| matches!(status, ElementStatus::Done | ElementStatus::Skipped)).count()
    }

    pub(super) fn set(&mut self, element: usize, status: ElementStatus) {
        self.active.remove(&element);
        self.failed.remove(&element);
        match status {
            ElementStatus::Active => self.active.insert(element),
            ElementStatus::Failed => self.failed.insert(element),
            ElementStatus::Waiting | ElementStatus::Done | ElementStatus::Skipped => false,
        };
        self.status[element] = status;
    }

    pub(super) fn next_batch(&mut self) {
        self.batch += 1;
        let range = match (self.bounds.get(self.batch), self.bounds.get(self.batch + 1)) {
            (Some(from), Some(to)) => *from..*to,
            _ => 0..0,
        };
        self.waiting = range.collect();
    }
}
