//! StatefulSets that lack pods while a drain waits for them. A ReplicaSet says in a condition that it cannot create one, a
//! StatefulSet only in an event: that is asked for, since events are not watched.

use futures_util::future::join_all;
use serde_json::Value as Json;

use super::run::Running;
use crate::actions::context::StepContext;
use crate::catalog::value::ObjectRef;
use crate::facts::Resource;
use crate::facts::objects::Event;
use crate::why::{self, Reason};

/// For how many milliseconds a StatefulSet has to lack a pod until it is asked why: mostly it makes one at once.
const LACKS_FOR: i64 = 2_000;
/// After how many milliseconds it is asked again.
const AGAIN: i64 = 30_000;
/// How much older than the lack, by our clock, an event may be, in milliseconds: clocks differ.
const CLOCKS_DIFFER: i64 = 60_000;

/// What is known of StatefulSets that lack pods.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Since when one lacks a pod, Unix milliseconds.
    since: Option<i64>,
    /// When it was asked why.
    asked: Option<i64>,
    /// The answers.
    pub(super) reasons: Vec<Reason>,
}

impl Missing {
    /// When it is to be asked why, Unix milliseconds.
    pub(super) fn due(&self) -> Option<i64> {
        let since = self.since?;
        Some(self.asked.map_or(since + LACKS_FOR, |asked| asked + AGAIN))
    }
}

impl Running<'_> {
    /// Asks why StatefulSets lack pods that this drain waits for, once they have lacked them for a while.
    pub(super) fn look_for_missing(&mut self) {
        let now = self.context.now();
        let sets = self.lacking();
        if sets.is_empty() {
            self.missing = Missing::default();
            return;
        }
        let since = *self.missing.since.get_or_insert(now);
        if self.missing.due().is_some_and(|due| now >= due) {
            self.missing.asked = Some(now);
            let context = self.context;
            self.looks.push(Box::pin(async move {
                let asked = sets.iter().map(|set| refused(set, since - CLOCKS_DIFFER, context));
                join_all(asked).await.into_iter().flatten().collect()
            }));
        }
    }

    /// StatefulSets with waiting pods that have fewer pods than they are to have, those that go among them.
    fn lacking(&self) -> Vec<ObjectRef> {
        self.context.facts.read(|facts| {
            let mut sets: Vec<ObjectRef> = self.drain.waiting().filter_map(|pod| facts.workload_of(pod)).collect();
            sets.sort_by(|a, b| a.uid.cmp(&b.uid));
            sets.dedup_by(|a, b| a.uid == b.uid);
            sets.retain(|set| {
                let there = i64::try_from(facts.pods_of_workload(&set.uid).len()).unwrap_or(i64::MAX);
                let lacks = facts.replicas(&set.uid).is_some_and(|(desired, _)| there < desired);
                lacks && facts.resource_of(&set.uid) == Some(Resource::StatefulSets)
            });
            sets
        })
    }
}

/// Why a StatefulSet could not create a pod, as far as it has said so since that time and events may be read.
async fn refused(set: &ObjectRef, since: i64, context: &StepContext) -> Option<Reason> {
    let path = format!(
        "/api/v1/namespaces/{}/events?fieldSelector=involvedObject.uid%3D{}%2Creason%3DFailedCreate",
        set.namespace, set.uid
    );
    let listed = context.requests.list(&path).await.ok()?;
    let events = listed.items.into_iter().filter_map(|event: Json| serde_json::from_value::<Event>(event).ok());
    let at = |event: &Event| event.last_timestamp.or(event.event_time).map_or(0, jiff::Timestamp::as_millisecond);
    let newest = events.filter(|event| at(event) >= since).max_by_key(at)?;
    Some(why::refused_by(set, &newest))
}
