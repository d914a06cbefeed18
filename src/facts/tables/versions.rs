//! A version for everything that can be read: it moves when that may have changed.

use std::collections::{BTreeMap, HashMap};

use crate::catalog::types::Kind;

use super::Facts;
use crate::facts::reads::ReadKey;

#[derive(Debug, Default)]
pub(super) struct Versions {
    pub(super) last: u64,
    pub(super) lists: BTreeMap<Kind, u64>,
    pub(super) members: BTreeMap<Kind, u64>,
    pub(super) objects: HashMap<String, u64>,
    pub(super) nodes: HashMap<String, u64>,
    pub(super) workloads: HashMap<String, u64>,
    pub(super) run: u64,
    /// Kinds that are silent or refused now; each change of it makes everything of the kind another version.
    pub(super) silent: BTreeMap<Kind, (bool, u64)>,
}

impl Versions {
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn changed(&mut self, kind: Kind, uid: &str) {
        let next = self.next();
        self.lists.insert(kind, next);
        self.objects.insert(uid.to_owned(), next);
    }

    pub(super) fn came_or_went(&mut self, kind: Kind) {
        let next = self.next();
        self.lists.insert(kind, next);
        self.members.insert(kind, next);
    }
}

impl Facts {
    /// The version of something that was read.
    pub(in crate::facts) fn version(&self, key: &ReadKey) -> u64 {
        let versions = &self.versions;
        let (kind, version) = match key {
            ReadKey::List(kind) => (*kind, versions.lists.get(kind).copied()),
            ReadKey::Members(kind) => (*kind, versions.members.get(kind).copied()),
            ReadKey::Object(object) => {
                let there = versions.objects.get(&object.uid).copied();
                (object.kind, there.or_else(|| versions.members.get(&object.kind).copied()))
            }
            ReadKey::PodsOfNode(node) => (Kind::Pod, versions.nodes.get(&**node).copied()),
            ReadKey::PodsOfWorkload(uid) => (Kind::Pod, versions.workloads.get(&**uid).copied()),
            ReadKey::Run => return versions.run,
            ReadKey::Clock(_) => return 0,
        };
        let silent = versions.silent.get(&kind).map_or(0, |(_, changes)| *changes);
        version.unwrap_or(0) + (silent << 48)
    }
    /// How often the server spoke.
    pub(in crate::facts) fn words(&self) -> u64 {
        self.words
    }

    /// The number of the last change of anything.
    pub(in crate::facts) fn last_change(&self) -> u64 {
        self.versions.last
    }
}
