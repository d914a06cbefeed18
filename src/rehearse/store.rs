//! What the embedded server keeps: objects by key, one counter of versions for all of them, the latest changes of each kind
//! for those who watch, and what the controllers have not looked at yet.
//!
//! - A write that changes nothing moves no version and is told to nobody, as with etcd.
//! - What is kept is in order of kind, namespace and name: lists and controllers see the same order in every run.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::kinds::Kind;
use super::object::{Key, Object};

/// How many changes of a kind are kept for watches that begin in the past.
const HISTORY: usize = 4096;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It was made.
    Added,
    /// It is another version.
    Modified,
    /// It is gone; the object is its last state, with the version of its removal.
    Deleted,
}

/// A change of an object.
#[derive(Debug, Clone)]
pub struct Change {
    /// What happened.
    pub what: What,
    /// The object after it; of one that is gone, as it was last.
    pub object: Arc<Object>,
    /// The object before it.
    pub previous: Option<Arc<Object>>,
}

impl Change {
    /// The object's kind.
    pub fn kind(&self) -> Kind {
        self.object.kind
    }
}

/// The objects of a cluster.
#[derive(Debug, Default)]
pub struct Store {
    version: u64,
    objects: BTreeMap<Key, Arc<Object>>,
    history: BTreeMap<Kind, History>,
    /// Changes that the controllers have not been told of.
    untold: VecDeque<Change>,
    pods_on: HashMap<Arc<str>, BTreeSet<Key>>,
    owned_by: HashMap<String, BTreeSet<Key>>,
}

/// The latest changes of a kind.
#[derive(Debug, Default)]
struct History {
    changes: VecDeque<(u64, Change)>,
    /// The version of the newest change that is not kept any more.
    lost: u64,
}

impl Store {
    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// An object.
    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// An object, by the parts of its key.
    pub fn find(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(&Key::new(kind, namespace, name))
    }

    /// All objects of a kind, in order of namespace and name.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Arc<Object>> {
        self.from(kind, "").map(|(_, object)| object)
    }

    /// The objects of a kind in a namespace, in order of their names.
    pub fn in_namespace<'a>(&'a self, kind: Kind, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        self.from(kind, namespace).take_while(move |(key, _)| &*key.namespace == namespace).map(|(_, object)| object)
    }

    fn from(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
        let first = Key::new(kind, namespace, "");
        self.objects.range((Bound::Included(first), Bound::Unbounded)).take_while(move |(key, _)| key.kind == kind)
    }

    /// The pods that are bound to a node, finished ones among them, in order of namespace and name.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.pods_on.get(node).into_iter().flatten().filter_map(|key| self.objects.get(key))
    }

    /// The objects that name an owner of this UID, in order of kind, namespace and name.
    pub fn owned_by(&self, uid: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.owned_by.get(uid).into_iter().flatten().filter_map(|key| self.objects.get(key))
    }

    /// Keeps an object, new or in the place of what has its key; gives it as it is kept, with its version. One that is as
    /// what is kept already changes nothing.
    pub fn put(&mut self, mut object: Object) -> Arc<Object> {
        let key = object.key();
        let previous = self.objects.get(&key).cloned();
        if let Some(kept) = &previous {
            object.meta.resource_version = kept.meta.resource_version;
            if object == **kept {
                return kept.clone();
            }
        }
        self.version += 1;
        object.meta.resource_version = self.version;
        let object = Arc::new(object);
        self.index(&key, previous.as_deref(), Some(&object));
        self.objects.insert(key, object.clone());
        let what = if previous.is_some() { What::Modified } else { What::Added };
        self.note(Change { what, object: object.clone(), previous });
        object
    }

    /// Removes an object at once, whatever its finalizers say; gives its last state with the version of the removal.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Object>> {
        let previous = self.objects.remove(key)?;
        self.index(key, Some(&previous), None);
        self.version += 1;
        let mut last = (*previous).clone();
        last.meta.resource_version = self.version;
        let object = Arc::new(last);
        self.note(Change { what: What::Deleted, object: object.clone(), previous: Some(previous) });
        Some(object)
    }

    fn index(&mut self, key: &Key, previous: Option<&Object>, object: Option<&Object>) {
        let node = |object: Option<&Object>| object.and_then(Object::pod).and_then(|pod| pod.node.clone());
        let (before, after) = (node(previous), node(object));
        if before != after {
            if let Some(pods) = before.and_then(|node| self.pods_on.get_mut(&node)) {
                pods.remove(key);
            }
            if let Some(node) = after {
                self.pods_on.entry(node).or_default().insert(key.clone());
            }
        }
        let owners = |object: Option<&Object>| object.map(|object| object.meta.owners.clone()).unwrap_or_default();
        let (before, after) = (owners(previous), owners(object));
        if before != after {
            for owner in before {
                if let Some(owned) = self.owned_by.get_mut(&owner.uid) {
                    owned.remove(key);
                }
            }
            for owner in after {
                self.owned_by.entry(owner.uid).or_default().insert(key.clone());
            }
        }
    }

    fn note(&mut self, change: Change) {
        let history = self.history.entry(change.kind()).or_default();
        history.changes.push_back((self.version, change.clone()));
        if history.changes.len() > HISTORY
            && let Some((lost, _)) = history.changes.pop_front()
        {
            history.lost = lost;
        }
        self.untold.push_back(change);
    }

    /// The next change that the controllers have not been told of.
    pub(super) fn next_untold(&mut self) -> Option<Change> {
        self.untold.pop_front()
    }

    /// The changes of a kind after a version, with their versions; `None` where some of them are not kept any more.
    pub fn since(&self, kind: Kind, version: u64) -> Option<impl Iterator<Item = &(u64, Change)>> {
        let history = self.history.get(&kind);
        if history.is_some_and(|history| version < history.lost) {
            return None;
        }
        let changes = history.map(|history| &history.changes);
        let first = changes.map_or(0, |changes| changes.partition_point(|(at, _)| *at <= version));
        Some(changes.into_iter().flat_map(move |changes| changes.range(first..)))
    }

    /// The version of the latest change of a kind, 0 where none is known.
    pub fn latest(&self, kind: Kind) -> u64 {
        let history = self.history.get(&kind);
        history.map_or(0, |history| history.changes.back().map_or(history.lost, |(version, _)| *version))
    }

    /// The version of the newest change of a kind that is not kept any more, 0 where all are.
    pub fn lost(&self, kind: Kind) -> u64 {
        self.history.get(&kind).map_or(0, |history| history.lost)
    }

    /// Forgets the changes of a kind up to now: a watch from before it is told 410, as after a compaction.
    pub fn compact(&mut self, kind: Kind) {
        let history = self.history.entry(kind).or_default();
        history.changes.clear();
        history.lost = self.version;
    }
}
