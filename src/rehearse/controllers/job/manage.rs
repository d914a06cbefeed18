//! The pods of a Job that are missing or too many (job_controller.go manageJob).

use serde_json::{Map, Value};

use super::track::Counted;
use super::{Failures, Indexes, Look, TRACKING, release};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::replicaset::is_of_ending_namespace;
use crate::rehearse::controllers::template::{Named, Template, Templates};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;
use crate::rehearse::status::Refused;
use crate::rehearse::write::DeleteOptions;

/// How many pods are made or deleted in one look at most.
const BURST: i64 = 500;
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Managed {
    /// How many pods are active now.
    pub(super) active: i64,
    /// Milliseconds until pods are made again after failures.
    pub(super) wait: Option<i64>,
    pub(super) failed: Option<Refused>,
}

impl Look {
    pub(super) fn manage(
        &mut self,
        counted: &Counted,
        failures: &Failures,
        templates: &mut Templates,
        cluster: &mut Cluster,
    ) -> Managed {
        let active = self.active.len() as i64;
        let wanted = if self.is_suspended() { 0 } else { self.wanted(counted.succeeded) };
        let surplus = self.surplus(usize::try_from(active - wanted).unwrap_or(0));
        if !surplus.is_empty() {
            let removed = self.remove(surplus, cluster);
            return Managed { active: active - removed, ..Managed::default() };
        }
        let awaited = if self.waits_for_failed() { self.leaving } else { 0 };
        let missing = (wanted - awaited - active).min(BURST);
        if missing <= 0 {
            return Managed { active, ..Managed::default() };
        }
        let wait = failures.pause_left(self.now).filter(|_| self.spec.backoff_limit_per_index.is_none());
        if let Some(wait) = wait {
            return Managed { active, wait: Some(wait), failed: None };
        }
        self.make(missing, counted, failures, templates, cluster)
    }

    fn wanted(&self, succeeded: i64) -> i64 {
        match self.completions() {
            Some(completions) => (completions - succeeded).min(self.parallelism()).max(0),
            None if succeeded > 0 => self.active.len() as i64,
            None => self.parallelism(),
        }
    }

    /// Deletes pods that are too many; they are not counted.
    fn remove(&mut self, pods: Vec<Key>, cluster: &mut Cluster) -> i64 {
        let pods: Vec<Key> = pods.into_iter().take(usize::try_from(BURST).unwrap_or(0)).collect();
        for pod in &pods {
            release(pod, cluster);
            // One that is gone by now is what was wanted.
            let _ = cluster.delete(pod, &DeleteOptions::default());
        }
        let gone = |pod: &std::sync::Arc<crate::rehearse::object::Object>| pods.contains(&pod.key());
        self.active.retain(|pod| !gone(pod));
        self.leaving += pods.iter().filter(|pod| cluster.store.get(pod).is_some()).count() as i64;
        pods.len() as i64
    }

    fn make(
        &self,
        missing: i64,
        counted: &Counted,
        failures: &Failures,
        templates: &mut Templates,
        cluster: &mut Cluster,
    ) -> Managed {
        let mut managed = Managed { active: self.active.len() as i64, ..Managed::default() };
        let indexes = self.pending(missing, counted, failures);
        let pods = indexes.into_iter().map(Some).chain(std::iter::repeat(None));
        let count = if self.is_indexed() { usize::MAX } else { usize::try_from(missing).unwrap_or(0) };
        for index in pods.take_while(|index| index.is_some() == self.is_indexed()).take(count) {
            match self.make_one(index, templates, cluster) {
                Ok(()) => managed.active += 1,
                Err(refused) if is_of_ending_namespace(&refused) => {}
                Err(refused) => {
                    managed.failed = Some(refused);
                    break;
                }
            }
        }
        managed
    }

    /// The lowest numbers that nobody works at and that are neither completed nor lost.
    fn pending(&self, count: i64, counted: &Counted, failures: &Failures) -> Vec<i64> {
        if !self.is_indexed() {
            return Vec::new();
        }
        let mut taken = counted.completed.clone();
        taken.extend(self.active.iter().filter_map(|pod| Indexes::of(pod)));
        if self.waits_for_failed() {
            taken.extend(self.pods.iter().filter(|pod| pod.is_terminating()).filter_map(|pod| Indexes::of(pod)));
        }
        let lost = self.spec.backoff_limit_per_index.map(|limit| failures.lost(i64::from(limit))).unwrap_or_default();
        let all = 0..self.completions().unwrap_or(0);
        let free = all.filter(|index| !taken.has(*index) && !lost.has(*index));
        free.take(usize::try_from(count).unwrap_or(0)).collect()
    }

    fn make_one(&self, index: Option<i64>, templates: &mut Templates, cluster: &mut Cluster) -> Result<(), Refused> {
        let name = &self.object.meta.name;
        let mut template: Template = (*templates.of(&self.object, cluster)?).clone();
        if !template.finalizers.iter().any(|finalizer| finalizer == TRACKING) {
            template.finalizers.push(TRACKING.to_owned());
        }
        let Some(index) = index else {
            return cluster.create(template.pod(&self.object, Named::Stem(&format!("{name}-")))).map(drop);
        };
        let key = Key::new(Kind::Pod, self.object.meta.namespace.clone(), name.clone());
        let number = index.to_string();
        let hostname = Value::String(format!("{name}-{index}"));
        let pinned = |spec: &mut Map<String, Value>| {
            spec.insert("hostname".to_owned(), hostname);
        };
        let template = template.labelled(INDEX, &number).annotated(INDEX, &number).changed(&key, pinned)?;
        cluster.create(template.pod(&self.object, Named::Stem(&format!("{name}-{index}-")))).map(drop)
    }
}
