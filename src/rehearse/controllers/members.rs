//! What controllers ask of the pods that they own: which count, since when they are available, which of them goes first.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rehearse::cluster::{Cluster, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Key, Object, Owner, Phase, Pod, READY};
use crate::rehearse::store::{Change, Store, What};

/// The reference by which an object is owned and managed by another.
pub fn owned(owner: &Object) -> Owner {
    let info = owner.kind.info();
    Owner {
        api_version: info.map(|info| info.api_version()).unwrap_or_default(),
        kind: info.map_or("", |info| info.name).to_owned(),
        name: owner.meta.name.to_string(),
        uid: owner.meta.uid.to_string(),
        controller: true,
        block_owner_deletion: true,
    }
}

/// The key of what manages an object, if that is of a kind and there; it may be another of that name.
pub fn manager(object: &Object, kind: Kind, store: &Store) -> Option<Key> {
    let owner = object.meta.controller().filter(|owner| kind.info().is_some_and(|info| info.name == owner.kind))?;
    let key = Key::new(kind, object.meta.namespace.clone(), owner.name.as_str());
    store.get(&key).filter(|found| *found.meta.uid == *owner.uid).map(|_| key)
}

/// The objects of a kind that an object manages, in order of their names.
pub fn managed<'a>(owner: &Object, kind: Kind, store: &'a Store) -> impl Iterator<Item = &'a Arc<Object>> {
    let uid = owner.meta.uid.clone();
    store.owned_by(&owner.meta.uid).filter(move |object| {
        object.kind == kind && object.meta.controller().is_some_and(|controller| *controller.uid == *uid)
    })
}

/// Puts into the queue what manages a changed object of a kind, if it can feel the change.
pub fn notice_member(change: &Change, kind: Kind, why: &'static str, queue: &mut Queue<'_>) {
    if change.kind() == Kind::Pod && !is_felt(change) {
        return;
    }
    if let Some(key) = manager(&change.object, kind, queue.store) {
        queue.soon(why, &key);
    }
}

/// Whether a change of a pod changes what its controller sees of it.
pub fn is_felt(change: &Change) -> bool {
    let (Some(previous), What::Modified) = (&change.previous, change.what) else { return true };
    let object = &change.object;
    let (Some(before), Some(after)) = (previous.pod(), object.pod()) else { return true };
    previous.is_terminating() != object.is_terminating()
        || before.status.phase != after.status.phase
        || before.is_ready() != after.is_ready()
        || before.node != after.node
        || previous.meta.labels != object.meta.labels
        || previous.meta.finalizers != object.meta.finalizers
}

/// Whether a pod counts for its controller: neither finished nor terminating (controller_utils.go IsPodActive).
pub fn is_active(object: &Object) -> bool {
    !object.is_terminating() && object.pod().is_some_and(|pod| !pod.is_terminal())
}

/// Whether a pod is on its way out and not yet finished (controller_utils.go IsPodTerminating).
pub fn is_leaving(object: &Object) -> bool {
    object.is_terminating() && object.pod().is_some_and(|pod| !pod.is_terminal())
}

/// Whether a pod is ready.
pub fn is_ready(object: &Object) -> bool {
    object.pod().is_some_and(Pod::is_ready)
}

/// Since when a pod is ready, in whole seconds as it is written, Unix milliseconds; `None` if it is not.
pub fn ready_since(object: &Object) -> Option<i64> {
    let condition = object.pod()?.status.condition(READY).filter(|condition| condition.status == "True")?;
    Some(condition.last_transition_time.map_or(0, |time| time.whole_seconds().as_millisecond()))
}

/// How long until a pod that is ready counts as available, in milliseconds, 0 once it does; `None` if it is not ready
/// (api/v1/pod/util.go IsPodAvailable).
pub fn until_available(object: &Object, min_ready_seconds: Option<i32>, now: i64) -> Option<i64> {
    let since = ready_since(object)?;
    match i64::from(min_ready_seconds.unwrap_or(0)) {
        0 => Some(0),
        seconds => Some((since + seconds * 1000 - now).max(0)),
    }
}

/// Whether a pod is available.
pub fn is_available(object: &Object, min_ready_seconds: Option<i32>, now: i64) -> bool {
    until_available(object, min_ready_seconds, now) == Some(0)
}

/// Looks again when the next of these pods becomes available, if one is about to.
pub fn await_availability<'a>(
    pods: impl Iterator<Item = &'a Arc<Object>>,
    min_ready_seconds: Option<i32>,
    task: &Task,
    cluster: &mut Cluster,
) {
    let waits = pods.filter_map(|pod| until_available(pod, min_ready_seconds, cluster.now));
    if let Some(wait) = waits.filter(|wait| *wait > 0).min() {
        cluster.again(wait, task.why, &task.key);
    }
}

/// In which order pods go when there are too many: the first goes first (controller_utils.go ActivePodsWithRanks). `doubled`
/// says how many pods of the same workload are on a node; where it says nothing, that is not looked at.
pub fn order_of_removal(pods: &mut [Arc<Object>], doubled: &BTreeMap<Arc<str>, usize>, now: i64) {
    pods.sort_by(|one, other| compare(one, other, doubled, now));
}

fn compare(one: &Object, other: &Object, doubled: &BTreeMap<Arc<str>, usize>, now: i64) -> Ordering {
    let (Some(a), Some(b)) = (one.pod(), other.pod()) else { return Ordering::Equal };
    let rank = |pod: &Pod| pod.node.as_ref().and_then(|node| doubled.get(node)).copied().unwrap_or(0);
    let restarts =
        |pod: &Pod| pod.status.container_statuses.iter().map(|status| status.restart_count).max().unwrap_or(0);
    a.node
        .is_some()
        .cmp(&b.node.is_some())
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| a.is_ready().cmp(&b.is_ready()))
        .then_with(|| deletion_cost(one).cmp(&deletion_cost(other)))
        .then_with(|| rank(b).cmp(&rank(a)))
        .then_with(|| age(ready_since(one), now).cmp(&age(ready_since(other), now)))
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| age(made(one), now).cmp(&age(made(other), now)))
        .then_with(|| one.meta.uid.cmp(&other.meta.uid))
}

fn phase(pod: &Pod) -> u8 {
    match pod.status.phase {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        _ => 2,
    }
}

fn deletion_cost(object: &Object) -> i32 {
    object.meta.annotation("controller.kubernetes.io/pod-deletion-cost").and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

fn made(object: &Object) -> Option<i64> {
    object.meta.created.map(|time| time.whole_seconds().as_millisecond())
}

/// An age by powers of two of nanoseconds, so that the younger goes first, and among those of about the same age one by
/// chance: by its UID.
fn age(since: Option<i64>, now: i64) -> i64 {
    match since.map(|since| now - since) {
        Some(age @ 1..) => i64::from((i128::from(age) * 1_000_000).ilog2()),
        _ => -1,
    }
}
