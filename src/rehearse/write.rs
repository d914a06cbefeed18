//! Making, changing and deleting objects by the rules of the API server, for clients and controllers alike.

use std::sync::Arc;

use super::admission;
use super::cluster::Cluster;
use super::kinds::Kind;
use super::object::{Condition, Detail, Key, Malformed, Object, Phase, PodStatus, Time};
use super::status::Refused;

/// What a deletion asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds until the containers are killed; the pod's own where none are said.
    pub grace: Option<i64>,
    /// Only if it is this object.
    pub uid: Option<String>,
    /// Only if it is this version.
    pub version: Option<u64>,
    /// What becomes of what it owns.
    pub propagation: Propagation,
    /// Nothing is to be done.
    pub is_dry_run: bool,
}

/// What becomes of what an object owns when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// It is deleted afterwards.
    #[default]
    Background,
    /// It is deleted first.
    Foreground,
    /// It stays, without that owner.
    Orphan,
}

/// What a deletion came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Deleted {
    /// It is gone; its last state.
    Gone(Arc<Object>),
    /// It is on its way: a grace period, or finalizers.
    Terminating(Arc<Object>),
}

/// The finalizers by which the garbage collector deletes in the foreground, or orphans.
pub const FOREGROUND: &str = "foregroundDeletion";
/// See [`FOREGROUND`].
pub const ORPHAN: &str = "orphan";

impl Cluster {
    /// Makes an object: name, UID, time and generation are given here, and what admission adds to a pod.
    ///
    /// # Errors
    /// 409 where one of that name exists; 403 in a namespace that is being deleted; 404 in one that is not there.
    pub fn create(&mut self, mut object: Object) -> Result<Arc<Object>, Refused> {
        if object.meta.name.is_empty() {
            self.make_name(&mut object);
        }
        let key = object.key();
        if key.name.is_empty() {
            return Err(Refused::invalid(&key, "metadata.name", "Required value: name or generateName is required"));
        }
        self.admit_to_namespace(&key)?;
        if self.store.get(&key).is_some() {
            return Err(Refused::already_exists(&key));
        }
        object.meta.uid = self.new_uid();
        object.meta.created = Some(Time(self.now));
        object.meta.deleted = None;
        object.meta.grace = None;
        object.meta.generation = i64::from(has_generation(object.kind));
        match object.kind {
            Kind::Pod => self.admit_pod(&key, &mut object)?,
            Kind::Job => {
                admission::admit_job(&mut object);
                object.look().map_err(|error| Refused::bad_request(error.to_string()))?;
            }
            _ => {}
        }
        Ok(self.store.put(object))
    }

    /// Makes a name from `generateName`; one that is taken is tried again (registry/generic/registry/store.go: eight times).
    fn make_name(&mut self, object: &mut Object) {
        let Some(stem) = object.meta.generate_name.clone() else { return };
        for _ in 0..8 {
            object.meta.name = format!("{stem}{}", self.random.suffix()).into();
            if self.store.get(&object.key()).is_none() {
                return;
            }
        }
    }

    fn admit_to_namespace(&self, key: &Key) -> Result<(), Refused> {
        if key.namespace.is_empty() {
            return Ok(());
        }
        let namespace = Key::new(Kind::Namespace, "", key.namespace.clone());
        let found = self.store.get(&namespace).ok_or_else(|| Refused::not_found(&namespace))?;
        if found.is_terminating() {
            let why =
                format!("unable to create new content in namespace {} because it is being terminated", namespace.name);
            let cause = format!("namespace {} is being terminated", namespace.name);
            return Err(Refused::forbidden(key, &why).caused_by("NamespaceTerminating", &cause));
        }
        Ok(())
    }

    /// What admission sets of a new pod: its spec is completed, and its status begins. The spec of a template's pods is
    /// complete already, once for all of them (`controllers/template.rs`).
    fn admit_pod(&self, key: &Key, object: &mut Object) -> Result<(), Refused> {
        if let Detail::Pod(pod) = &mut object.detail {
            admission::admit_pod(key, pod, &self.store)?;
            pod.status = PodStatus::default();
            pod.status.phase = Phase::Pending;
            if pod.spec.typed.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
                let why = "Scheduling is blocked due to non-empty scheduling gates";
                let gated = Condition::new("PodScheduled", false, self.now).because("SchedulingGated", why);
                pod.status.set_condition(gated);
            }
        }
        Ok(())
    }

    /// Keeps another state of an object that is there: its generation moves with its spec. One whose deletion waited for
    /// finalizers is gone with the last.
    pub fn put(&mut self, mut object: Object) -> Arc<Object> {
        if let Some(kept) = self.store.get(&object.key())
            && has_generation(object.kind)
            && object.meta.generation == kept.meta.generation
            && !has_same_spec(&object, kept)
        {
            object.meta.generation += 1;
        }
        let is_over =
            object.is_terminating() && object.meta.finalizers.is_empty() && object.meta.grace.unwrap_or(0) == 0;
        let kept = self.store.put(object);
        if is_over {
            return self.store.remove(&kept.key()).unwrap_or(kept);
        }
        kept
    }

    /// Changes an object if it is there, and gives it as it is then; `None` where it is gone. The change may say no by
    /// giving `None`. What controllers read of the object follows its body and status.
    pub fn change(&mut self, key: &Key, change: impl FnOnce(&mut Object) -> Option<()>) -> Option<Arc<Object>> {
        let mut object = (**self.store.get(key)?).clone();
        change(&mut object)?;
        object.look().ok()?;
        Some(self.put(object))
    }

    /// Gives an object another status, as JSON.
    ///
    /// # Errors
    /// A status that is none of its kind: a mistake of a controller of ours.
    pub fn set_status(&mut self, key: &Key, status: serde_json::Value) -> Result<(), Malformed> {
        if let Some(object) = self.store.get(key) {
            let changed = object.with_status(status)?;
            self.put(changed);
        }
        Ok(())
    }

    /// Deletes an object: at once, after its grace period (pods), when its finalizers are gone, or when it is empty
    /// (namespaces; `controllers/namespace.rs`). Rules: KUBERNETES.md 1, "Deletion mechanics" (apiserver,
    /// registry/rest/delete.go BeforeDelete, registry/generic/registry/store.go).
    ///
    /// # Errors
    /// 404, and 409 where a precondition does not hold.
    pub fn delete(&mut self, key: &Key, options: &DeleteOptions) -> Result<Deleted, Refused> {
        let object = self.store.get(key).cloned().ok_or_else(|| Refused::not_found(key))?;
        check_preconditions(&object, options)?;
        if options.is_dry_run {
            return Ok(Deleted::Gone(object));
        }
        let grace = Grace::of(&object, options.grace, self.now);
        if grace == Grace::Pending {
            return Ok(Deleted::Terminating(object));
        }
        let mut changed = (*object).clone();
        if !object.is_terminating() {
            match options.propagation {
                Propagation::Background => {}
                Propagation::Foreground => changed.meta.finalizers.push(FOREGROUND.to_owned()),
                Propagation::Orphan => changed.meta.finalizers.push(ORPHAN.to_owned()),
            }
        }
        let is_held = !changed.meta.finalizers.is_empty() || key.kind == Kind::Namespace;
        match grace {
            Grace::Set { deadline, seconds } => mark(&mut changed, deadline, seconds),
            _ if is_held && !object.is_terminating() => mark(&mut changed, Time(self.now), 0),
            _ => {}
        }
        if key.kind == Kind::Namespace {
            changed.meta.grace = None;
            changed.status = Some(Arc::new(serde_json::json!({ "phase": "Terminating" })));
        }
        // Whoever watches sees a pod's mark even where it is gone at once.
        let marked = self.store.put(changed);
        let is_due = !matches!(grace, Grace::Set { seconds: 1.., .. });
        if is_held || !is_due {
            return Ok(Deleted::Terminating(marked));
        }
        Ok(Deleted::Gone(self.store.remove(key).unwrap_or(marked)))
    }
}

/// What a deletion makes of an object's grace period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grace {
    /// It is being deleted already, and this one is not sooner.
    Pending,
    /// It has none, or it is over.
    None,
    /// It is to be gone by then.
    Set { deadline: Time, seconds: i64 },
}

impl Grace {
    /// Pods alone have one: those on no node, and those that are finished, of 0 s. A second deletion may only shorten it,
    /// counted from the first; what has passed already becomes 1 s, or nothing where 0 is asked for.
    fn of(object: &Object, asked: Option<i64>, now: i64) -> Self {
        let Some(pod) = object.pod() else { return Self::None };
        let asked = asked.map(|seconds| if seconds < 0 { 1 } else { seconds });
        let Some(known) = object.meta.deleted else {
            let is_idle = pod.node.is_none() || pod.is_terminal();
            let own = || pod.spec.grace();
            let seconds = if is_idle { 0 } else { asked.unwrap_or_else(own) };
            let seconds = if seconds < 0 { 1 } else { seconds };
            return Self::Set { deadline: Time(now + seconds * 1000), seconds };
        };
        let left = object.meta.grace.unwrap_or(0);
        if left == 0 {
            return Self::None;
        }
        let Some(seconds) = asked.filter(|seconds| *seconds < left) else { return Self::Pending };
        let deadline = known.0 - left * 1000 + seconds * 1000;
        if deadline < now {
            return Self::Set { deadline: Time(now), seconds: seconds.min(1) };
        }
        Self::Set { deadline: Time(deadline), seconds }
    }
}

fn mark(object: &mut Object, deadline: Time, seconds: i64) {
    if !object.is_terminating() && object.meta.generation > 0 {
        object.meta.generation += 1;
    }
    object.meta.deleted = Some(deadline);
    object.meta.grace = Some(seconds);
}

fn has_same_spec(one: &Object, other: &Object) -> bool {
    let of_pods = match (one.pod(), other.pod()) {
        (Some(one), Some(other)) => Arc::ptr_eq(&one.spec, &other.spec) || one.spec.raw == other.spec.raw,
        _ => true,
    };
    of_pods && (Arc::ptr_eq(&one.body, &other.body) || one.body.get("spec") == other.body.get("spec"))
}

/// Whether a deletion is of this object and version.
///
/// # Errors
/// 409 in the words of apiserver, registry/rest/delete.go, which names the kind in the place of the resource.
pub(super) fn check_preconditions(object: &Object, options: &DeleteOptions) -> Result<(), Refused> {
    let uid = options.uid.as_ref().filter(|uid| !uid.is_empty() && ***uid != *object.meta.uid);
    if let Some(uid) = uid {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted \
             and then recreated",
            object.meta.uid
        );
        return Err(conflict(object, &why));
    }
    if let Some(version) = options.version.filter(|version| *version != object.meta.resource_version) {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The \
             object might have been modified",
            object.meta.resource_version
        );
        return Err(conflict(object, &why));
    }
    Ok(())
}

fn conflict(object: &Object, why: &str) -> Refused {
    let (group, kind) = object.kind.info().map_or(("", "Object"), |info| (info.group, info.name));
    let name = &*object.meta.name;
    let named = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let message = format!("Operation cannot be fulfilled on {named} {name:?}: {why}");
    let mut refused = Refused::new(409, "Conflict", message);
    refused.details = serde_json::json!({ "name": name, "kind": kind });
    if !group.is_empty() {
        refused.details["group"] = group.into();
    }
    refused
}

/// Whether objects of a kind count their generations from 1.
fn has_generation(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Pod
            | Kind::Deployment
            | Kind::ReplicaSet
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::Job
            | Kind::CronJob
            | Kind::PodDisruptionBudget
            | Kind::ValidatingWebhookConfiguration
            | Kind::MutatingWebhookConfiguration
    )
}
