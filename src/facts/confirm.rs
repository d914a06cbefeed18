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
use crate::cluster::{Listed, RequestError, Requests};

use super::objects::Meta;
use super::reads::ReadKey;
use super::resource::Resource;
use super::tables::number;
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
        for (resource, scope) in
            self.read(|facts| scopes(reads, |pod| facts.pod(pod).map(|pod| pod.spec.node_name.clone())))
        {
            match scope {
                Scope::One(object) => self.read_one(requests, resource, &object).await?,
                Scope::PodsOn(node) => {
                    let path = format!("{}?fieldSelector=spec.nodeName%3D{node}", resource.path());
                    let listed = requests.list(&path).await?;
                    self.write(|facts| take_in_pods(facts, &node, listed));
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
        let (metas, version) = requests.list_names(resource.path()).await?;
        let listed = Names::new(&metas, &version);
        self.until(|facts| listed.are_held(&facts.held(resource), facts.reached(resource))).await;
        Ok(())
    }
}

/// What the server had of a resource at one moment.
struct Names {
    /// Namespace and name to UID and resourceVersion.
    objects: World,
    /// The moment: the list's own resourceVersion.
    version: Option<u128>,
}

/// Namespace and name to UID and resourceVersion.
type World = BTreeMap<(String, String), (String, String)>;

impl Names {
    fn new(metas: &[Meta], version: &str) -> Self {
        let objects = metas.iter().map(|meta| {
            ((meta.namespace.clone(), meta.name.clone()), (meta.uid.clone(), meta.resource_version.clone()))
        });
        Self { objects: objects.collect(), version: number(version) }
    }

    /// Whether a cache that has come as far as `reached` holds every object at least as new as it was then, and nothing that
    /// was gone by then.
    fn are_held(&self, held: &World, reached: Option<u128>) -> bool {
        if self.version.is_some() && reached >= self.version {
            return true;
        }
        let has = |(key, (uid, version)): (&(String, String), &(String, String))| match held.get(key) {
            Some((there, reached)) if there == uid => number(reached) >= number(version),
            // Replaced since: the cache is ahead.
            Some((_, reached)) => number(reached) > number(version),
            // It has not come yet, unless the cache is past it: then it was removed since.
            None => number(version).is_some() && reached >= number(version),
        };
        let is_newer = |(_, version): &(String, String)| number(version) > self.version;
        let mut surplus = held.iter().filter(|(key, _)| !self.objects.contains_key(*key));
        self.objects.iter().all(has) && surplus.all(|(_, object)| is_newer(object))
    }
}

fn meta_of(object: &ObjectRef) -> Meta {
    Meta { namespace: object.namespace.clone(), name: object.name.clone(), uid: object.uid.clone(), ..Meta::default() }
}

/// The pods that the server has on a node; those of the cache that are not among them are gone from it, but for those that
/// came there since.
fn take_in_pods(facts: &mut Facts, node: &str, listed: Listed) {
    let there: BTreeSet<&str> =
        listed.items.iter().filter_map(|item| item.pointer("/metadata/uid").and_then(Json::as_str)).collect();
    for pod in facts.pods_on(node) {
        let meta = &pod.metadata;
        if !there.contains(meta.uid.as_str()) && number(&meta.resource_version) <= number(&listed.version) {
            facts.remove(Resource::Pods, meta);
        }
    }
    for item in listed.items {
        facts.put(Resource::Pods, item);
    }
}

/// What is to be read again, one scope a resource: the widest that the reads ask for. `node_of` says on which node the pod
/// of a UID is, if it is there.
fn scopes(reads: &[ReadKey], node_of: impl Fn(&str) -> Option<String>) -> BTreeMap<Resource, Scope> {
    let mut scopes: BTreeMap<Resource, Scope> = BTreeMap::new();
    let mut widen = |resource: Resource, scope: Scope| {
        scopes.entry(resource).and_modify(|there| *there = wider(there.clone(), scope.clone())).or_insert(scope);
    };
    // A condition over the pods of a node reads each of them too: the node's list covers them. A pod that is gone stays so.
    let nodes: BTreeSet<&str> = reads
        .iter()
        .filter_map(|key| match key {
            ReadKey::PodsOfNode(node) => Some(&**node),
            _ => None,
        })
        .collect();
    let is_covered = |uid: &str| !nodes.is_empty() && node_of(uid).is_none_or(|node| nodes.contains(node.as_str()));
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
            ReadKey::Object(object) if object.kind == Kind::Pod && is_covered(&object.uid) => {}
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

    fn object(kind: Kind, name: &str) -> ReadKey {
        let name = name.to_owned();
        ReadKey::Object(Arc::new(ObjectRef { kind, namespace: String::new(), uid: name.clone(), name }))
    }

    #[test]
    fn one_request_a_kind_as_narrow_as_the_reads() {
        let node_of = |pod: &str| (pod != "gone").then(|| "a".to_owned());
        let told = |reads: &[ReadKey]| {
            format!("{:?}", scopes(reads, node_of).into_iter().map(|(r, s)| (r.name(), s)).collect::<Vec<_>>())
        };
        let (node, pod) = (|name| object(Kind::Node, name), |name| object(Kind::Pod, name));
        let on = |node: &str| ReadKey::PodsOfNode(node.into());
        assert!(told(&[node("a")]).contains("One"));
        assert_eq!(told(&[node("a"), node("b")]), r#"[("nodes", All)]"#);
        assert_eq!(told(&[on("a")]), r#"[("pods", PodsOn("a"))]"#);
        assert_eq!(told(&[on("a"), pod("p"), pod("gone")]), r#"[("pods", PodsOn("a"))]"#);
        assert_eq!(told(&[on("b"), pod("p")]), r#"[("pods", All)]"#);
        assert_eq!(told(&[on("a"), on("b")]), r#"[("pods", All)]"#);
        assert_eq!(told(&[ReadKey::Run, ReadKey::Clock(3)]), "[]");
    }

    #[test]
    fn a_cache_that_is_ahead_holds_and_one_that_lags_does_not() {
        let world = |objects: &[(&str, &str, &str)]| -> World {
            let objects = objects.iter();
            objects
                .map(|(name, uid, rv)| ((String::new(), (*name).to_owned()), ((*uid).to_owned(), (*rv).to_owned())))
                .collect()
        };
        let listed = Names { objects: world(&[("a", "1", "10"), ("b", "2", "20")]), version: Some(30) };
        for (what, held, reached, expected) in [
            ("the same", world(&[("a", "1", "10"), ("b", "2", "20")]), 20, true),
            ("an old object", world(&[("a", "1", "9"), ("b", "2", "20")]), 9, false),
            ("a newer one", world(&[("a", "1", "10"), ("b", "2", "25")]), 25, true),
            ("one that has not come", world(&[("a", "1", "10")]), 10, false),
            ("one that has gone again", world(&[("a", "1", "10")]), 21, true),
            ("one that was gone", world(&[("a", "1", "10"), ("b", "2", "20"), ("c", "3", "25")]), 25, false),
            ("one that came since", world(&[("a", "1", "10"), ("b", "2", "20"), ("c", "3", "31")]), 20, true),
            ("one that was replaced since", world(&[("a", "9", "40"), ("b", "2", "20")]), 20, true),
            ("the whole list's version", world(&[]), 30, true),
        ] {
            assert_eq!(listed.are_held(&held, Some(reached)), expected, "{what}");
        }
    }
}
