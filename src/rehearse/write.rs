//! Making, changing and deleting objects by the rules of the API server, for clients and controllers alike.

use std::sync::Arc;

use super::cluster::Cluster;
use super::kinds::Kind;
use super::object::{Condition, Detail, Key, Malformed, Object, Phase, Time};
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
        let meta = &mut object.meta;
        if meta.name.is_empty()
            && let Some(stem) = meta.generate_name.clone()
        {
            meta.name = format!("{stem}{}", self.random.suffix()).into();
        }
        if meta.name.is_empty() {
            let key = object.key();
            return Err(Refused::invalid(&key, "metadata.name", "Required value: name or generateName is required"));
        }
        let key = object.key();
        self.admit_to_namespace(&key)?;
        if self.store.get(&key).is_some() {
            return Err(Refused::already_exists(&key));
        }
        object.meta.uid = self.new_uid();
        object.meta.created = Some(Time(self.now));
        object.meta.deleted = None;
        object.meta.grace = None;
        object.meta.generation = i64::from(has_generation(object.kind));
        if object.kind == Kind::Pod {
            self.admit_pod(&mut object);
        }
        Ok(self.store.put(object))
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

    /// What admission sets of a new pod's status; tolerations and priority are of its spec, which its maker completes once
    /// for all of a template (`controllers/template.rs`).
    fn admit_pod(&self, object: &mut Object) {
        if let Detail::Pod(pod) = &mut object.detail {
            pod.status.phase = Phase::Pending;
            pod.status.conditions.clear();
            pod.status.container_statuses.clear();
            pod.status.init_container_statuses.clear();
            if pod.spec.typed.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
                let why = "Scheduling is blocked due to non-empty scheduling gates";
                let gated = Condition::new("PodScheduled", false, self.now).because("SchedulingGated", why);
                pod.status.set_condition(gated);
            }
        }
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

    /// Deletes an object: at once, after its grace period (pods), or when its finalizers are gone. Rules: KUBERNETES.md 1,
    /// "Deletion mechanics" (registry/core/pod/strategy.go CheckGracefulDelete, apiserver registry/rest/delete.go).
    ///
    /// # Errors
    /// 404, and 409 where a precondition does not hold.
    pub fn delete(&mut self, key: &Key, options: &DeleteOptions) -> Result<Deleted, Refused> {
        let object = self.store.get(key).cloned().ok_or_else(|| Refused::not_found(key))?;
        check_preconditions(&object, options)?;
        if options.is_dry_run {
            return Ok(Deleted::Gone(object));
        }
        let mut changed = (*object).clone();
        let was_terminating = object.is_terminating();
        let grace = grace_of(&object, options.grace);
        if !was_terminating {
            match options.propagation {
                Propagation::Background => {}
                Propagation::Foreground => changed.meta.finalizers.push(FOREGROUND.to_owned()),
                Propagation::Orphan => changed.meta.finalizers.push(ORPHAN.to_owned()),
            }
        }
        if grace == 0 && changed.meta.finalizers.is_empty() {
            return Ok(Deleted::Gone(self.store.remove(key).unwrap_or(object)));
        }
        // A second deletion may only shorten, and does not count from anew.
        let deadline = Time(self.now + grace * 1000);
        let is_sooner = changed.meta.deleted.is_none_or(|known| deadline < known) || grace == 0;
        if was_terminating && (!is_sooner || changed.meta.grace == Some(grace)) {
            return Ok(Deleted::Terminating(object));
        }
        changed.meta.deleted = Some(changed.meta.deleted.map_or(deadline, |known| known.min(deadline)));
        changed.meta.grace = Some(grace);
        if !was_terminating && changed.meta.generation > 0 {
            changed.meta.generation += 1;
        }
        Ok(Deleted::Terminating(self.store.put(changed)))
    }
}

fn has_same_spec(one: &Object, other: &Object) -> bool {
    let of_pods = match (one.pod(), other.pod()) {
        (Some(one), Some(other)) => Arc::ptr_eq(&one.spec, &other.spec) || one.spec.raw == other.spec.raw,
        _ => true,
    };
    of_pods && (Arc::ptr_eq(&one.body, &other.body) || one.body.get("spec") == other.body.get("spec"))
}

fn check_preconditions(object: &Object, options: &DeleteOptions) -> Result<(), Refused> {
    let key = object.key();
    if let Some(uid) = &options.uid
        && **uid != *object.meta.uid
    {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", object.meta.uid);
        return Err(Refused::conflict(&key, &why));
    }
    if let Some(version) = options.version
        && version != object.meta.resource_version
    {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {}",
            object.meta.resource_version
        );
        return Err(Refused::conflict(&key, &why));
    }
    Ok(())
}

/// The grace period of a deletion in seconds: pods alone have one.
fn grace_of(object: &Object, asked: Option<i64>) -> i64 {
    let Some(pod) = object.pod() else { return 0 };
    if pod.node.is_none() || pod.is_terminal() {
        return 0;
    }
    match asked {
        Some(grace) if grace < 0 => 1,
        Some(grace) => grace,
        None => pod.spec.grace().max(0),
    }
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
