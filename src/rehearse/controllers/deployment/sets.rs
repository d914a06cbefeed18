//! The ReplicaSets of a Deployment: which is the newest, revisions, and the hash of a template.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Look;
use super::scale::new_size;
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::members::{managed, owned};
use crate::rehearse::controllers::template::{hash, is_same};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Object;
use crate::rehearse::write::DeleteOptions;

/// The label by which the pods of one template are told from those of another.
pub const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MOST: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of a Deployment that its ReplicaSets do not get.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];

/// The ReplicaSets of a Deployment as they stand.
#[derive(Debug, Clone)]
pub(super) struct Sets {
    /// The one of its template; `None` where it is not made yet.
    pub(super) new: Option<Arc<Object>>,
    /// The others, from old to new.
    pub(super) old: Vec<Arc<Object>>,
}

impl Sets {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.old.iter().chain(&self.new)
    }

    /// How many pods they are to have.
    pub(super) fn size(&self) -> i64 {
        self.all().map(|set| size(set)).sum()
    }

    /// The sum of a number of their status.
    pub(super) fn sum(&self, field: &str) -> i64 {
        self.all().map(|set| told(set, field)).sum()
    }
}

/// How many pods a ReplicaSet is to have.
pub(super) fn size(set: &Object) -> i64 {
    set.spec("/replicas").and_then(Value::as_i64).unwrap_or(1)
}

/// A number of its status.
pub(super) fn told(set: &Object, field: &str) -> i64 {
    set.status.as_ref().and_then(|status| status[field].as_i64()).unwrap_or(0)
}

fn revision(object: &Object) -> i64 {
    object.meta.annotation(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl Look {
    /// Its ReplicaSets as they are now.
    pub(super) fn sets(&self, cluster: &Cluster) -> Sets {
        let mut all: Vec<Arc<Object>> = managed(&self.object, Kind::ReplicaSet, &cluster.store).cloned().collect();
        all.sort_by(|one, other| one.meta.created.cmp(&other.meta.created).then(one.meta.name.cmp(&other.meta.name)));
        let fitting: Vec<&Arc<Object>> = all.iter().filter(|set| self.is_fitting(set)).collect();
        // The oldest, as with the real one; but in a snapshot, whose templates lack what may hold a secret, several may look
        // alike: there the Deployment's own revision tells.
        let current = fitting.iter().find(|set| revision(set) == revision(&self.object));
        let new = current.or(fitting.first()).map(|set| (*set).clone());
        let is_old = |set: &Arc<Object>| new.as_ref().is_none_or(|new| new.meta.uid != set.meta.uid);
        let old = all.iter().filter(|set| is_old(set)).cloned().collect();
        Sets { new, old }
    }

    fn is_fitting(&self, set: &Object) -> bool {
        let template = self.object.spec("/template").unwrap_or(&Value::Null);
        let look = || set.spec("/template").is_some_and(|one| is_same(one, template));
        match self.fitting.lock() {
            Ok(mut known) => *known.entry(set.meta.uid.clone()).or_insert_with(look),
            Err(_) => look(),
        }
    }

    /// Its ReplicaSets, the newest with its revision and annotations, made if that is asked for. `None` where it could not be
    /// made: what was said of that brings the Deployment here again.
    pub(super) fn newest(&self, cluster: &mut Cluster, is_made: bool) -> Option<Sets> {
        let sets = self.sets(cluster);
        let revision = sets.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
        match &sets.new {
            Some(new) => self.keep(new, revision, cluster),
            None if is_made => self.make(&sets, revision, cluster)?,
            None => {}
        }
        Some(self.sets(cluster))
    }

    /// Gives the newest its annotations and the Deployment its revision.
    fn keep(&self, new: &Object, revision: i64, cluster: &mut Cluster) {
        let annotations = self.annotations(new, revision);
        let min_ready = self.object.spec("/minReadySeconds").and_then(Value::as_i64).unwrap_or(0);
        let has_other = new.spec("/minReadySeconds").and_then(Value::as_i64).unwrap_or(0) != min_ready;
        if annotations != *new.meta.annotations || has_other {
            cluster.change(&new.key(), |set| {
                set.meta.annotations = Arc::new(annotations);
                if has_other {
                    Arc::make_mut(&mut set.body)["spec"]["minReadySeconds"] = min_ready.into();
                }
                Some(())
            });
            return;
        }
        let own = new.meta.annotation(REVISION).unwrap_or_default().to_owned();
        self.mark(&own, &format!("Found new replica set {:?}", new.meta.name), "FoundNewReplicaSet", cluster);
    }

    /// What the newest is to be annotated with: what the Deployment is, and its revision, if that is higher than before.
    fn annotations(&self, new: &Object, revision_wanted: i64) -> BTreeMap<String, String> {
        let mut annotations = (*new.meta.annotations).clone();
        let given = self.object.meta.annotations.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        annotations.extend(given.map(|(name, value)| (name.clone(), value.clone())));
        if revision(new) < revision_wanted
            && let Some(before) = annotations.insert(REVISION.to_owned(), revision_wanted.to_string())
        {
            let history = annotations.entry(HISTORY.to_owned()).or_default();
            *history = if history.is_empty() { before } else { format!("{history},{before}") };
        }
        annotations
    }

    /// Makes the ReplicaSet of its template.
    fn make(&self, sets: &Sets, revision: i64, cluster: &mut Cluster) -> Option<()> {
        let template = self.object.spec("/template").cloned().unwrap_or_default();
        let collisions = self.object.status("/collisionCount").and_then(Value::as_i64).unwrap_or(0);
        let hash = hash(&template, collisions);
        let name = format!("{}-{hash}", self.object.meta.name);
        let mut set = json!({
            "metadata": { "name": name, "namespace": &*self.object.meta.namespace, "labels": {},
                          "ownerReferences": [owned(&self.object)] },
            "spec": { "replicas": new_size(self, sets.size(), 0), "selector": self.object.spec("/selector"),
                      "template": template },
        });
        if let Some(seconds) = self.object.spec("/minReadySeconds") {
            set["spec"]["minReadySeconds"] = seconds.clone();
        }
        set["spec"]["selector"]["matchLabels"][HASH] = hash.as_str().into();
        set["spec"]["template"]["metadata"]["labels"][HASH] = hash.as_str().into();
        set["metadata"]["labels"] = set["spec"]["template"]["metadata"]["labels"].clone();
        let mut set = Object::read(Kind::ReplicaSet, set).ok()?;
        let mut annotations = self.annotations(&set, revision);
        annotations.insert(DESIRED.to_owned(), self.replicas.to_string());
        annotations.insert(MOST.to_owned(), (self.replicas + self.posts.surge).to_string());
        set.meta.annotations = Arc::new(annotations);
        let taken = set.key();
        match cluster.create(set) {
            Ok(_) => {
                let message = format!("Created new replica set {name:?}");
                self.mark(&revision.to_string(), &message, "NewReplicaSetCreated", cluster);
                Some(())
            }
            Err(refused) if cluster.store.get(&taken).is_some() => {
                self.tell_collision(collisions + 1, cluster);
                debug_assert_eq!(refused.code, 409);
                None
            }
            Err(refused) => {
                self.tell_failed(&name, &refused, cluster);
                None
            }
        }
    }

    /// Gives the Deployment its revision, and the condition that it progresses if it has none, or a set was made.
    fn mark(&self, revision: &str, message: &str, reason: &str, cluster: &mut Cluster) {
        let is_new = reason == "NewReplicaSetCreated";
        let is_silent = self.deadline().is_some() && (is_new || !self.has_progress());
        let is_marked = self.object.meta.annotation(REVISION) == Some(revision);
        if is_marked && !is_silent {
            return;
        }
        cluster.change(&self.key, |object| {
            let annotations = Arc::make_mut(&mut object.meta.annotations);
            annotations.insert(REVISION.to_owned(), revision.to_owned());
            Some(())
        });
        if is_silent {
            self.tell_progress("True", reason, message, cluster);
        }
    }

    /// Deletes old ReplicaSets beyond `revisionHistoryLimit` that are empty.
    pub(super) fn forget_history(&self, sets: &Sets, cluster: &mut Cluster) {
        let limit = self.spec.revision_history_limit.unwrap_or(10);
        let mut old: Vec<&Arc<Object>> = sets.old.iter().filter(|set| !set.is_terminating()).collect();
        let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        old.sort_by_key(|set| revision(set));
        for set in old.into_iter().take(surplus) {
            let is_empty = told(set, "replicas") == 0 && size(set) == 0;
            if is_empty && told(set, "observedGeneration") >= set.meta.generation {
                let _ = cluster.delete(&set.key(), &DeleteOptions::default());
            }
        }
    }
}
