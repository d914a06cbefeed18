//! The confirming read: before what waiting cannot take back, what a condition read is read again from the server.
//!
//! One request a kind: one object is read as it is, of a node's or a workload's pods the list by selector, of anything
//! wider the names and versions of all. What the cache lacks it is given, or it is waited for until the watch has brought
//! it: a list's own resourceVersion would be reached only with the next bookmark, a minute later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;
use crate::cluster::{RequestError, Requests};

use super::objects::Meta;
use super::reads::ReadKey;
use super::resource::Resource;
use super::{Facts, SharedFacts};

/// What is read again of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    /// One object.
    One(Arc<ObjectRef>),
    /// The pods of one node.
    PodsOn(Arc<str>),
    /// Names and versions of all.
    All,
}

impl SharedFacts {
    /// Comes back once the caches hold what the server holds, of everything that `reads` covers.
    ///
    /// # Errors
    /// What the server refused.
    pub async fn confirm(&self, requests: &Requests, reads: &[ReadKey]) -> Result<(), RequestError> {
        for (resource, scope) in scopes(reads) {
            match scope {
                Scope::One(object) => self.read_one(requests, resource, &object).await?,
                Scope::PodsOn(node) => {
                    let path = format!("{}?fieldSelector=spec.nodeName%3D{node}", resource.path());
                    let listed = requests.list(&path).await?;
                    self.write(|facts| take_in_pods(facts, &node, listed.items));
                }
                Scope::All => self.until_same(requests, resource).await?,
            }
        }
        Ok(())
    }

    async fn read_one(&self, requests: &Requests, resource: Resource, object: &ObjectRef) -> Result<(), RequestError> {
        let path = resource.object_path(&object.namespace, &object.name);
        match requests.get::<Json>(&path).await {
            Ok(found) => {
                self.write(|facts| {
                    if found.pointer("/metadata/uid").and_then(Json::as_str) != Some(&object.uid) {
                        facts.remove(resource, &meta_of(object));
                    }
                    facts.put(resource, found);
                });
                Ok(())
            }
            Err(RequestError::NotFound(_)) => {
                self.write(|facts| facts.remove(resource, &meta_of(object)));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until the watch has brought every change that the server knew of when it was asked.
    async fn until_same(&self, requests: &Requests, resource: Resource) -> Result<(), RequestError> {
        let listed = requests.list_names(resource.path()).await?;
        let wanted: BTreeMap<(String, String), (String, String)> = listed
            .iter()
            .map(|meta| {
                ((meta.namespace.clone(), meta.name.clone()), (meta.uid.clone(), meta.resource_version.clone()))
            })
            .collect();
        let mut changed = self.changed();
        loop {
            changed.mark_unchanged();
            if self.read(|facts| holds(&facts.held(resource), &wanted)) {
                return Ok(());
            }
            if changed.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Whether the cache has every object at least as new as wanted, and no other that is older than the list.
fn holds(
    held: &BTreeMap<(String, String), (String, String)>,
    wanted: &BTreeMap<(String, String), (String, String)>,
) -> bool {
    let newest = wanted.values().filter_map(|(_, version)| number(version)).max().unwrap_or(0);
    let has = |(key, (uid, version)): (&(String, String), &(String, String))| match held.get(key) {
        Some((there, reached)) if there == uid => number(reached) >= number(version),
        // Replaced or removed since the list was made: the cache is ahead.
        Some((_, reached)) => number(reached) > number(version),
        None => false,
    };
    let surplus = held.iter().filter(|(key, _)| !wanted.contains_key(*key));
    wanted.iter().all(has) && surplus.into_iter().all(|(_, (_, version))| number(version) > Some(newest))
}

fn number(version: &str) -> Option<u128> {
    version.parse().ok()
}

fn meta_of(object: &ObjectRef) -> Meta {
    Meta { namespace: object.namespace.clone(), name: object.name.clone(), uid: object.uid.clone(), ..Meta::default() }
}

/// The pods that the server has on a node; those of the cache that are not among them are gone from it.
fn take_in_pods(facts: &mut Facts, node: &str, items: Vec<Json>) {
    let there: BTreeSet<String> =
        items.iter().filter_map(|item| item.pointer("/metadata/uid")?.as_str().map(str::to_owned)).collect();
    for pod in facts.pods_on(node) {
        if !there.contains(&pod.metadata.uid) {
            facts.remove(Resource::Pods, &pod.metadata);
        }
    }
    for item in items {
        facts.put(Resource::Pods, item);
    }
}

/// What is to be read again, one scope a resource: the widest that the reads ask for.
fn scopes(reads: &[ReadKey]) -> BTreeMap<Resource, Scope> {
    let mut scopes: BTreeMap<Resource, Scope> = BTreeMap::new();
    let mut widen = |resource: Resource, scope: Scope| {
        scopes.entry(resource).and_modify(|there| *there = wider(there.clone(), scope.clone())).or_insert(scope);
    };
    // A condition over the pods of a node reads each of them too: the node's list covers them.
    let nodes: BTreeSet<&Arc<str>> = reads
        .iter()
        .filter_map(|key| match key {
            ReadKey::PodsOfNode(node) => Some(node),
            _ => None,
        })
        .collect();
    for key in reads {
        match key {
            ReadKey::List(kind) | ReadKey::Members(kind) => {
                for resource in Resource::of(*kind) {
                    widen(*resource, Scope::All);
                }
                if *kind == Kind::Workload {
                    widen(Resource::Pods, Scope::All);
                }
            }
            ReadKey::Object(object) if object.kind == Kind::Pod && !nodes.is_empty() => {}
            ReadKey::Object(object) => match Resource::single(object.kind) {
                Some(resource) => widen(resource, Scope::One(object.clone())),
                None => {
                    for resource in Resource::of(object.kind) {
                        widen(*resource, Scope::All);
                    }
                }
            },
            ReadKey::PodsOfNode(node) => widen(Resource::Pods, Scope::PodsOn(node.clone())),
            ReadKey::PodsOfWorkload(_) => widen(Resource::Pods, Scope::All),
            ReadKey::Run | ReadKey::Clock(_) => {}
        }
    }
    scopes
}

fn wider(one: Scope, other: Scope) -> Scope {
    if one == other { one } else { Scope::All }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> ReadKey {
        let (kind, name) = (Kind::Node, name.to_owned());
        ReadKey::Object(Arc::new(ObjectRef { kind, namespace: String::new(), uid: name.clone(), name }))
    }

    #[test]
    fn one_request_a_kind_as_narrow_as_the_reads() {
        let told = |reads: &[ReadKey]| {
            format!("{:?}", scopes(reads).into_iter().map(|(r, s)| (r.name(), s)).collect::<Vec<_>>())
        };
        assert!(told(&[node("a")]).contains("One"));
        assert_eq!(told(&[node("a"), node("b")]), r#"[("nodes", All)]"#);
        assert_eq!(told(&[ReadKey::PodsOfNode("a".into())]), r#"[("pods", PodsOn("a"))]"#);
        assert_eq!(told(&[ReadKey::PodsOfNode("a".into()), ReadKey::PodsOfNode("b".into())]), r#"[("pods", All)]"#);
        assert_eq!(told(&[ReadKey::Run, ReadKey::Clock(3)]), "[]");
    }

    #[test]
    fn a_cache_that_is_ahead_holds_and_one_that_lags_does_not() {
        let world = |objects: &[(&str, &str, &str)]| -> BTreeMap<(String, String), (String, String)> {
            let objects = objects.iter();
            objects
                .map(|(name, uid, rv)| ((String::new(), (*name).to_owned()), ((*uid).to_owned(), (*rv).to_owned())))
                .collect()
        };
        let wanted = world(&[("a", "1", "10"), ("b", "2", "20")]);
        for (held, expected) in [
            (world(&[("a", "1", "10"), ("b", "2", "20")]), true),
            (world(&[("a", "1", "9"), ("b", "2", "20")]), false),
            (world(&[("a", "1", "10"), ("b", "2", "25")]), true),
            (world(&[("b", "2", "20")]), false),
            (world(&[("a", "1", "10"), ("b", "2", "20"), ("c", "3", "15")]), false),
            (world(&[("a", "1", "10"), ("b", "2", "20"), ("c", "3", "30")]), true),
            (world(&[("a", "9", "40"), ("b", "2", "20")]), true),
        ] {
            assert_eq!(holds(&held, &wanted), expected, "{held:?}");
        }
    }
}
