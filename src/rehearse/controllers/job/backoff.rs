//! The pause after failures: 10 s, doubled with each failure since the last success, at most 10 minutes (backoff_utils.go).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Indexes;
use crate::rehearse::object::{ContainerState, Object, READY, Time};

const FIRST: i64 = 10_000;
const LONGEST: i64 = 600_000;

/// The failures of a Job. They are not in its status: a Job of a snapshot begins without any.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Since the last success.
    count: u32,
    /// When the last of them was, Unix milliseconds.
    last: i64,
    /// By index, of those that count.
    by_index: BTreeMap<i64, i64>,
}

impl Failures {
    pub(super) fn add(&mut self, succeeded: &[&Arc<Object>], failed: &[&Arc<Object>]) {
        let ends = |pods: &[&Arc<Object>]| -> Vec<i64> { pods.iter().map(|pod| finished(pod)).collect() };
        let (succeeded, failed) = (ends(succeeded), ends(failed));
        let success = succeeded.into_iter().max();
        if success.is_some() {
            self.count = 0;
        }
        for at in failed.into_iter().filter(|at| success.is_none_or(|success| *at > success)) {
            self.last = if self.count == 0 { at } else { self.last.max(at) };
            self.count += 1;
        }
    }

    pub(super) fn add_by_index(&mut self, failed: &[&Arc<Object>]) {
        for index in failed.iter().filter_map(|pod| Indexes::of(pod)) {
            *self.by_index.entry(index).or_default() += 1;
        }
    }

    /// The indexes that failed more often than they may.
    pub(super) fn lost(&self, limit: i64) -> Indexes {
        self.by_index.iter().filter(|(_, failed)| **failed > limit).map(|(index, _)| *index).collect()
    }

    /// Milliseconds until pods are made again, if they are not now.
    pub(super) fn pause_left(&self, now: i64) -> Option<i64> {
        let doublings = self.count.checked_sub(1)?.min(16);
        let pause = (FIRST << doublings).min(LONGEST);
        let left = pause - (now - self.last);
        (left > 0).then_some(left)
    }
}

/// When a pod finished: its last container, else when it was not ready any more, else when it was deleted.
fn finished(pod: &Object) -> i64 {
    let whole = |time: Time| time.whole_seconds().as_millisecond();
    let status = pod.pod().map(|pod| &pod.status);
    let containers = status.map(|status| status.container_statuses.as_slice()).unwrap_or_default();
    let ends: Option<Vec<i64>> = containers
        .iter()
        .map(|container| match container.state {
            ContainerState::Terminated { finished_at: Some(at), .. } => Some(whole(at)),
            _ => None,
        })
        .collect();
    let not_ready = status.and_then(|status| status.condition(READY)).filter(|ready| ready.status == "False");
    ends.and_then(|ends| ends.into_iter().max())
        .or_else(|| not_ready.and_then(|ready| ready.last_transition_time).map(whole))
        .or_else(|| pod.meta.deleted.map(|at| whole(at) - pod.meta.grace.unwrap_or(0) * 1000))
        .or_else(|| pod.meta.created.map(whole))
        .unwrap_or(0)
}
