//! How well things are known: when a resource was heard of, and what the server does not let us read.

use std::collections::BTreeSet;

use crate::catalog::types::Kind;
use crate::catalog::version::Version;

use super::{Facts, RunFacts, SILENT_AFTER, number};
use crate::facts::reads::Unknown;
use crate::facts::resource::Resource;

impl Facts {
    /// The server spoke of a resource; `version` is the resourceVersion that the cache now has.
    pub(crate) fn hear(&mut self, resource: Resource, version: &str) {
        let now = self.now;
        let heard = self.heard.entry(resource).or_default();
        heard.at = Some(now);
        heard.refused = None;
        self.words += 1;
        if !version.is_empty() {
            version.clone_into(&mut heard.version);
        }
        self.look_at_silence();
    }

    /// The server does not let us read a resource.
    pub(crate) fn refuse(&mut self, resource: Resource, why: &str) {
        self.heard.entry(resource).or_default().refused = Some(why.to_owned());
        self.words += 1;
        self.look_at_silence();
    }

    /// Why the server does not let us read a resource that it let us read before, or that is always needed.
    pub fn refused(&self) -> Option<&str> {
        self.heard.values().filter(|heard| heard.at.is_some()).find_map(|heard| heard.refused.as_deref())
    }

    /// Whether a resource was read, and is followed since.
    pub(in crate::facts) fn is_watched(&self, resource: Resource) -> bool {
        self.was_read(resource) && !self.is_refused(resource)
    }

    /// Whether a resource that was read is not known any more.
    pub fn is_lost(&self, resource: Resource) -> bool {
        self.was_read(resource) && self.is_known(resource).is_err()
    }

    fn was_read(&self, resource: Resource) -> bool {
        self.heard.get(&resource).is_some_and(|heard| heard.at.is_some())
    }

    /// Whether the server does not let us read a resource.
    pub(super) fn is_refused(&self, resource: Resource) -> bool {
        self.heard.get(&resource).is_some_and(|heard| heard.refused.is_some())
    }

    /// The API server's version, as it says it.
    pub(in crate::facts) fn set_server(&mut self, version: &str) {
        let versions: Vec<Version> = version.parse().into_iter().collect();
        if versions != self.api_versions {
            self.api_versions = versions;
            self.versions.run = self.versions.next();
        }
    }

    pub(in crate::facts) fn set_now(&mut self, now: i64) {
        self.now = now.max(self.now);
        self.look_at_silence();
    }

    pub(in crate::facts) fn set_run(&mut self, run: RunFacts) {
        let nodes: BTreeSet<String> = self.run.held.symmetric_difference(&run.held).cloned().collect();
        self.run = run;
        self.versions.run = self.versions.next();
        for name in nodes {
            if let Some(uid) = self.nodes.named("", &name).map(|node| node.metadata.uid.clone()) {
                self.versions.changed(Kind::Node, &uid);
            }
        }
    }

    /// Kinds that fell silent, or are heard again, are another version as a whole.
    pub(super) fn look_at_silence(&mut self) {
        for kind in [Kind::Node, Kind::Pod, Kind::Workload, Kind::Budget, Kind::Job, Kind::Event, Kind::Webhook] {
            let is_silent = self.known(kind).is_err();
            let entry = self.versions.silent.entry(kind).or_default();
            if entry.0 != is_silent {
                *entry = (is_silent, entry.1 + 1);
                self.versions.last += 1;
            }
        }
    }

    /// Whether a kind is known: listed, readable, and heard of lately.
    pub(in crate::facts) fn known(&self, kind: Kind) -> Result<(), Unknown> {
        Resource::of(kind).iter().try_for_each(|resource| self.is_known(*resource))
    }

    /// Whether a resource is known.
    pub(in crate::facts) fn is_known(&self, resource: Resource) -> Result<(), Unknown> {
        let name = resource.name();
        if let Some(why) = self.strange.get(&resource).and_then(|strange| strange.values().next()) {
            return Err(Unknown::new(format!("{name} cannot be read: {why}")));
        }
        if !self.is_live {
            return Ok(());
        }
        let heard = self.heard.get(&resource);
        if let Some(why) = heard.and_then(|heard| heard.refused.as_deref()) {
            return Err(Unknown::new(format!("{name} cannot be read: {why}")));
        }
        let Some(at) = heard.and_then(|heard| heard.at) else {
            return Err(Unknown::new(format!("{name} are not watched")));
        };
        if self.now - at > SILENT_AFTER {
            let silent = (self.now - at) / 1000;
            return Err(Unknown::new(format!("{name} were last heard of {silent} s ago")));
        }
        Ok(())
    }

    /// The resourceVersion that the cache of a resource has reached. Versions are counted by the server's store, as one
    /// number for all (etcd's revision; KEP-5504 makes it a promise).
    pub(in crate::facts) fn reached(&self, resource: Resource) -> Option<u128> {
        number(&self.heard.get(&resource)?.version)
    }

    /// Whether the cache of a resource has come as far as that resourceVersion.
    pub fn has_reached(&self, resource: Resource, version: &str) -> bool {
        number(version).is_some_and(|wanted| self.reached(resource).is_some_and(|reached| reached >= wanted))
    }

    /// Whether the cache of a resource has come further than that resourceVersion.
    pub(in crate::facts) fn is_past(&self, resource: Resource, version: &str) -> bool {
        number(version).is_some_and(|given| self.reached(resource).is_some_and(|reached| reached > given))
    }

    /// Whether what the server had at that version of an object of a kind has been seen. A snapshot has nothing to come.
    pub(in crate::facts) fn has_seen(&self, kind: Kind, version: &str) -> bool {
        let has_come = |resource: &Resource| self.metas(*resource).iter().any(|meta| meta.resource_version == version);
        !self.is_live
            || Resource::of(kind).iter().all(|resource| self.has_reached(*resource, version))
            // Of several resources only the object's own has come so far for certain.
            || (Resource::single(kind).is_none() && Resource::of(kind).iter().any(has_come))
    }
}
