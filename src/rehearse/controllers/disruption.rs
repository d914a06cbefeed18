//! The disruption controller: how many evictions a budget allows (k8s.io/kubernetes v1.37, controller/disruption).
//!
//! - What a budget covers is kept from change to change, so that a look costs no walk over its pods.
//! - The scale of a workload is read when a pod of it changes, not when the scale does: as with the real one.
//! - Where the scale of an owner cannot be told, nothing is allowed, and the condition says why ([`scale`]).

mod scale;

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::policy::v1::PodDisruptionBudgetStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as Written;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::count::scaled;
use crate::rehearse::cluster::{Cluster, Controller, Queue, REACTION, Task};
use crate::rehearse::eviction::DISRUPTION_TARGET;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Budget, Condition, Key, Object, Owner, SYNC_FAILED, tell, tell_allowed};
use crate::rehearse::store::{Change, Store, What};

/// How long an eviction counts that was accepted and whose pod is not yet terminating, in milliseconds; and how long a pod
/// that is not terminating is a target of disruption.
const PATIENCE: i64 = 120_000;

const SYNC: &str = "budget";
/// The same, when an eviction has lost its patience.
const RECHECK: &str = "budget again";
const STALE: &str = "target of disruption";

/// The controller, and what each budget covers.
#[derive(Debug, Default)]
pub struct Disruption {
    budgets: BTreeMap<Key, Covered>,
    of_pod: HashMap<Key, Vec<Key>>,
}

/// The pods of a budget.
#[derive(Debug, Default)]
struct Covered {
    pods: BTreeMap<Key, Member>,
    /// How many of them are ready and not terminating.
    healthy: i64,
    /// Who manages them, by UID, and how many each.
    owners: BTreeMap<String, (usize, Owner)>,
}

/// What a budget asks of one of its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    is_healthy: bool,
    is_terminating: bool,
    owner: Option<String>,
}

impl Covered {
    /// Whether it was otherwise before.
    fn put(&mut self, key: &Key, pod: &Object) -> bool {
        let owner = pod.meta.controller();
        let member = Member {
            is_healthy: !pod.is_terminating() && pod.pod().is_some_and(|pod| pod.is_ready()),
            is_terminating: pod.is_terminating(),
            owner: owner.map(|owner| owner.uid.clone()),
        };
        if self.pods.get(key) == Some(&member) {
            return false;
        }
        self.remove(key);
        self.healthy += i64::from(member.is_healthy);
        if let Some(owner) = owner {
            self.owners.entry(owner.uid.clone()).or_insert_with(|| (0, owner.clone())).0 += 1;
        }
        self.pods.insert(key.clone(), member);
        true
    }

    fn remove(&mut self, key: &Key) -> bool {
        let Some(member) = self.pods.remove(key) else { return false };
        self.healthy -= i64::from(member.is_healthy);
        if let Some(uid) = member.owner
            && let Some((count, _)) = self.owners.get_mut(&uid)
        {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&uid);
            }
        }
        true
    }

    /// The first of its pods that an owner manages.
    fn pod_of(&self, owner: &str) -> &str {
        let is_its = |member: &Member| member.owner.as_deref() == Some(owner);
        self.pods.iter().find(|(_, member)| is_its(member)).map_or("", |(key, _)| &key.name)
    }

    /// How many pods are expected, and how many of them must be healthy.
    fn expected(&self, budget: &Budget, namespace: &str, store: &Store) -> Result<(i64, i64), String> {
        if let Some(most) = &budget.spec.max_unavailable {
            let expected = self.scale(namespace, store)?;
            return Ok((expected, (expected - scaled(most, expected, true)?).max(0)));
        }
        match &budget.spec.min_available {
            Some(IntOrString::Int(least)) => Ok((self.pods.len() as i64, i64::from(*least))),
            Some(share) => {
                let expected = self.scale(namespace, store)?;
                Ok((expected, scaled(share, expected, true)?))
            }
            None => Ok((0, 0)),
        }
    }

    /// The scales of those who manage its pods, each once. Pods that nobody manages count for nothing.
    fn scale(&self, namespace: &str, store: &Store) -> Result<i64, String> {
        let mut scales = BTreeMap::new();
        for (uid, (_, owner)) in &self.owners {
            let found = scale::of(owner, namespace, store)?;
            let (of, scale) = found.ok_or_else(|| format!("found no controllers for pod {:?}", self.pod_of(uid)))?;
            scales.insert(of, scale);
        }
        Ok(scales.values().sum())
    }
}

impl Controller for Disruption {
    fn name(&self) -> &'static str {
        "disruption"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        match change.kind() {
            Kind::PodDisruptionBudget => self.notice_budget(change, queue),
            Kind::Pod => self.notice_pod(change, queue),
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        match task.why {
            STALE => reset_stale(&task.key, cluster),
            _ => self.sync(&task.key, cluster),
        }
    }
}

impl Disruption {
    fn notice_budget(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let key = change.object.key();
        let had_same = |budget: &Budget| {
            change
                .previous
                .as_ref()
                .and_then(|one| one.budget())
                .is_some_and(|one| one.spec.selector == budget.spec.selector)
        };
        match change.object.budget().filter(|_| change.what != What::Deleted) {
            Some(budget) if self.budgets.contains_key(&key) && had_same(budget) => {}
            Some(budget) => {
                self.forget(&key);
                self.cover(&key, budget, queue.store);
            }
            None => return self.forget(&key),
        }
        queue.soon(SYNC, &key);
    }

    fn cover(&mut self, key: &Key, budget: &Budget, store: &Store) {
        let mut covered = Covered::default();
        for pod in store.in_namespace(Kind::Pod, &key.namespace).filter(|pod| budget.covers(&pod.meta.labels)) {
            covered.put(&pod.key(), pod);
            self.of_pod.entry(pod.key()).or_default().push(key.clone());
        }
        self.budgets.insert(key.clone(), covered);
    }

    fn forget(&mut self, key: &Key) {
        for pod in self.budgets.remove(key).into_iter().flat_map(|covered| covered.pods.into_keys()) {
            if let Some(budgets) = self.of_pod.get_mut(&pod) {
                budgets.retain(|one| one != key);
            }
        }
    }

    fn notice_pod(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let (key, pod) = (change.object.key(), &change.object);
        if change.what == What::Deleted {
            for budget in self.of_pod.remove(&key).unwrap_or_default() {
                if self.budgets.get_mut(&budget).is_some_and(|covered| covered.remove(&key)) {
                    queue.soon(SYNC, &budget);
                }
            }
            return;
        }
        if let Some(wait) = patience_left(pod, queue.now) {
            queue.after(wait, STALE, &key);
        }
        let is_known = self.of_pod.contains_key(&key);
        if !is_known || change.previous.as_ref().is_none_or(|previous| previous.meta.labels != pod.meta.labels) {
            self.cover_pod(&key, pod, queue);
        }
        for budget in self.of_pod.get(&key).into_iter().flatten() {
            if self.budgets.get_mut(budget).is_some_and(|covered| covered.put(&key, pod)) {
                queue.soon(SYNC, budget);
            }
        }
    }

    /// Finds out which budgets cover a pod, which is new or has other labels.
    fn cover_pod(&mut self, key: &Key, pod: &Object, queue: &mut Queue<'_>) {
        let mut covering = Vec::new();
        for object in queue.store.in_namespace(Kind::PodDisruptionBudget, &key.namespace) {
            let budget = object.key();
            if object.budget().is_some_and(|one| one.covers(&pod.meta.labels)) && self.budgets.contains_key(&budget) {
                covering.push(budget);
            }
        }
        for budget in self.of_pod.get(key).into_iter().flatten().filter(|known| !covering.contains(known)) {
            if self.budgets.get_mut(budget).is_some_and(|covered| covered.remove(key)) {
                queue.soon(SYNC, budget);
            }
        }
        self.of_pod.insert(key.clone(), covering);
    }

    fn sync(&mut self, key: &Key, cluster: &mut Cluster) {
        let Some(object) = cluster.store.get(key).cloned() else { return };
        let (Some(budget), Some(covered)) = (object.budget(), self.budgets.get(key)) else { return };
        let (expected, desired) = match covered.expected(budget, &key.namespace, &cluster.store) {
            Ok(numbers) => numbers,
            Err(why) => return fail_safe(&object, budget, &why, cluster),
        };
        let pod = |name: &str| covered.pods.get(&Key::new(Kind::Pod, key.namespace.clone(), name));
        let (disrupted, recheck) = disrupted(budget, pod, cluster.now);
        let is_disrupted = |name: &&String| pod(name).is_some_and(|member| member.is_healthy);
        let healthy = covered.healthy - disrupted.keys().filter(is_disrupted).count() as i64;
        let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
        let number = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
        let mut status = PodDisruptionBudgetStatus {
            current_healthy: number(healthy),
            desired_healthy: number(desired),
            expected_pods: number(expected),
            disruptions_allowed: number(allowed),
            disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
            observed_generation: Some(object.meta.generation),
            conditions: budget.status.conditions.clone(),
        };
        if status != budget.status || !budget.has_fitting_condition() {
            tell_allowed(&mut status, cluster.now);
            cluster.put(object.with_budget_status(status));
        }
        if let Some(at) = recheck {
            cluster.again((at - cluster.now).max(0) + REACTION, RECHECK, key);
        }
    }
}

/// The evictions that were accepted and not yet seen through, and when the first of them is not counted any more.
fn disrupted<'a>(
    budget: &Budget,
    pod: impl Fn(&str) -> Option<&'a Member>,
    now: i64,
) -> (BTreeMap<String, Written>, Option<i64>) {
    let mut kept = BTreeMap::new();
    let mut recheck: Option<i64> = None;
    for (name, at) in budget.status.disrupted_pods.iter().flatten() {
        let expected_gone = at.0.as_millisecond() + PATIENCE;
        if expected_gone >= now && pod(name).is_some_and(|member| !member.is_terminating) {
            recheck = Some(recheck.map_or(expected_gone, |known| known.min(expected_gone)));
            kept.insert(name.clone(), at.clone());
        }
    }
    (kept, recheck)
}

/// Allows nothing, since nothing is known for sure.
fn fail_safe(object: &Object, budget: &Budget, why: &str, cluster: &mut Cluster) {
    let mut status = budget.status.clone();
    status.disruptions_allowed = 0;
    tell(&mut status, "False", SYNC_FAILED, why, cluster.now);
    if status != budget.status {
        cluster.put(object.with_budget_status(status));
    }
}

/// How long a pod is still a target of disruption that is not terminating, in milliseconds; `None` if it is none. A mark by
/// its kubelet stays.
fn patience_left(pod: &Object, now: i64) -> Option<i64> {
    let status = &pod.pod().filter(|one| !one.is_terminal() && !pod.is_terminating())?.status;
    let marked = status.condition(DISRUPTION_TARGET).filter(|condition| {
        condition.status == "True" && condition.reason.as_deref() != Some("TerminationByKubelet")
    })?;
    let since = marked.last_transition_time.map_or(now, |time| time.whole_seconds().as_millisecond());
    Some((since + PATIENCE - now).max(0))
}

fn reset_stale(key: &Key, cluster: &mut Cluster) {
    let left = cluster.store.get(key).and_then(|pod| patience_left(pod, cluster.now));
    match left {
        Some(0) => {
            let condition = Condition::new(DISRUPTION_TARGET, false, cluster.now);
            cluster.change(key, |pod| {
                pod.pod_mut()?.status.set_condition(condition);
                Some(())
            });
        }
        Some(left) => cluster.again(left, STALE, key),
        None => {}
    }
}
