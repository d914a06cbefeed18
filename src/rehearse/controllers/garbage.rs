//! The garbage collector: what becomes of objects whose owner is deleted (k8s.io/kubernetes v1.37, controller/garbagecollector).
//!
//! - Background: they are deleted when the last of their owners is gone.
//! - Foreground: they are deleted first; the owner waits for those that block it.
//! - Orphan: they stay, without that owner.
//!
//! An owner that was never there (a snapshot lacks some kinds) is not missed: only what is seen to go is followed.

use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Key, Object, Owner};
use crate::rehearse::store::{Change, Store, What};
use crate::rehearse::write::{DeleteOptions, FOREGROUND, ORPHAN, Propagation};

const DEPENDENT: &str = "dependent";
const OWNER: &str = "owner";

/// The controller.
#[derive(Debug, Default)]
pub struct Garbage;

impl Controller for Garbage {
    fn name(&self) -> &'static str {
        "garbage"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let object = &change.object;
        let is_gone = change.what == What::Deleted;
        let is_held = has(object, FOREGROUND) || has(object, ORPHAN);
        if is_gone || (object.is_terminating() && has(object, FOREGROUND)) {
            let dependents: Vec<Key> = queue.store.owned_by(&object.meta.uid).map(|one| one.key()).collect();
            dependents.iter().for_each(|key| queue.soon(DEPENDENT, key));
        }
        if !is_gone && object.is_terminating() && is_held {
            queue.soon(OWNER, &object.key());
        }
        if is_gone || change.previous.as_ref().is_some_and(|previous| previous.meta.owners != object.meta.owners) {
            let before = change.previous.as_ref().map_or(&object.meta.owners, |previous| &previous.meta.owners);
            for owner in before {
                let owner =
                    find(owner, object, queue.store).filter(|owner| owner.is_terminating() && has(owner, FOREGROUND));
                if let Some(key) = owner.map(Object::key) {
                    queue.soon(OWNER, &key);
                }
            }
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        match task.why {
            OWNER => release_owner(&task.key, cluster),
            _ => collect(&task.key, cluster),
        }
    }
}

fn has(object: &Object, finalizer: &str) -> bool {
    object.meta.finalizers.iter().any(|one| one == finalizer)
}

/// The owner of an object, if it is there.
fn find<'a>(owner: &Owner, of: &Object, store: &'a Store) -> Option<&'a Object> {
    let kind = Kind::of_object(&owner.api_version, &owner.kind)?;
    let is_namespaced = kind.info().is_some_and(|info| info.is_namespaced);
    let namespace = if is_namespaced { &*of.meta.namespace } else { "" };
    store.find(kind, namespace, &owner.name).map(|found| &**found).filter(|found| *found.meta.uid == *owner.uid)
}

/// What the owners of an object are to it.
#[derive(Debug, Default)]
struct Owners {
    /// They stay. Of kinds that are not known here, nothing else can be told.
    solid: usize,
    /// UIDs of those that are gone.
    dangling: Vec<String>,
    /// UIDs of those that wait for it.
    waiting: Vec<String>,
}

fn owners_of(object: &Object, store: &Store) -> Owners {
    let mut owners = Owners::default();
    for owner in &object.meta.owners {
        let is_known = Kind::of_object(&owner.api_version, &owner.kind).is_some();
        match find(owner, object, store) {
            Some(found) if found.is_terminating() && has(found, FOREGROUND) => owners.waiting.push(owner.uid.clone()),
            Some(_) => owners.solid += 1,
            None if is_known => owners.dangling.push(owner.uid.clone()),
            None => owners.solid += 1,
        }
    }
    owners
}

/// Deletes an object whose owners are gone or wait for it, or takes those owners from it (attemptToDeleteItem).
fn collect(key: &Key, cluster: &mut Cluster) {
    let Some(object) = cluster.store.get(key).cloned() else { return };
    if object.is_terminating() || object.meta.owners.is_empty() {
        return;
    }
    let Owners { solid, dangling, waiting } = owners_of(&object, &cluster.store);
    if dangling.is_empty() && waiting.is_empty() {
        return;
    }
    if solid > 0 {
        cluster.change(key, |object| {
            object.meta.owners.retain(|owner| !dangling.contains(&owner.uid) && !waiting.contains(&owner.uid));
            Some(())
        });
        return;
    }
    let has_dependents = cluster.store.owned_by(&object.meta.uid).next().is_some();
    let propagation = match () {
        () if !waiting.is_empty() && has_dependents => Propagation::Foreground,
        () if has(&object, ORPHAN) => Propagation::Orphan,
        () if has(&object, FOREGROUND) => Propagation::Foreground,
        () => Propagation::Background,
    };
    // One that is gone by now is what was wanted.
    let _ = cluster.delete(key, &DeleteOptions { propagation, ..DeleteOptions::default() });
}

/// Lets an owner go when nothing blocks it any more.
fn release_owner(key: &Key, cluster: &mut Cluster) {
    let Some(owner) = cluster.store.get(key).cloned() else { return };
    if has(&owner, ORPHAN) {
        let dependents: Vec<Key> = cluster.store.owned_by(&owner.meta.uid).map(|one| one.key()).collect();
        for dependent in dependents {
            cluster.change(&dependent, |object| {
                object.meta.owners.retain(|one| *one.uid != *owner.meta.uid);
                Some(())
            });
        }
        return remove(key, ORPHAN, cluster);
    }
    let is_blocking =
        |object: &Object| object.meta.owners.iter().any(|one| *one.uid == *owner.meta.uid && one.block_owner_deletion);
    if has(&owner, FOREGROUND) && !cluster.store.owned_by(&owner.meta.uid).any(|object| is_blocking(object)) {
        remove(key, FOREGROUND, cluster);
    }
}

fn remove(key: &Key, finalizer: &str, cluster: &mut Cluster) {
    cluster.change(key, |object| {
        object.meta.finalizers.retain(|one| one != finalizer);
        Some(())
    });
}
