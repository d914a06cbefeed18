//! One pod on its node, from being bound to being gone.

use super::{COMPLETE, INITIALIZED, Kubelets, REMOVE, RUNS, START, is_alive, status, timings};
use crate::rehearse::cluster::{Cluster, REACTION};
use crate::rehearse::effects;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Object, Phase, Pod};
use crate::rehearse::write::DeleteOptions;

/// The annotation of a Job of sprag's that names its step.
const STEP: &str = "sprag.dev/step";
/// The first pause after an image could not be pulled, in milliseconds.
const BACK_OFF: i64 = 10_000;

impl Kubelets {
    /// The pod is bound: its image is there after a while, and its init containers begin.
    pub(super) fn start(&mut self, object: &Object, cluster: &mut Cluster) {
        let Some(pod) = object.pod().filter(|pod| pod.status.phase == Phase::Pending && !object.is_terminating())
        else {
            return;
        };
        let key = object.key();
        if let Some(image) = self.missing_image(pod) {
            let message = format!("Back-off pulling image {image:?}");
            let now = cluster.now;
            write(cluster, object, |pod| {
                status::sandboxed(pod, now);
                status::waiting(pod, "ImagePullBackOff", &message);
            });
            cluster.again(BACK_OFF, START, &key);
            return;
        }
        let mut times = self.timings.of(object, &mut cluster.random);
        let has_init = times.init > 0;
        let first = if has_init { times.pull + times.init } else { times.pull + times.start + times.ready };
        times.until = cluster.now + first;
        self.times.insert(object.meta.uid.clone(), times);
        if has_init {
            let now = cluster.now;
            write(cluster, object, |pod| {
                status::sandboxed(pod, now);
                status::waiting(pod, "PodInitializing", "");
            });
            cluster.again(first, INITIALIZED, &key);
        } else {
            cluster.again(first, RUNS, &key);
        }
    }

    fn missing_image(&self, pod: &Pod) -> Option<String> {
        let containers = pod.spec.typed.init_containers.iter().flatten().chain(&pod.spec.typed.containers);
        containers.filter_map(|container| container.image.clone()).find(|image| self.missing.contains(image))
    }

    /// Whether a part of a pod's start is over: what is in the queue may be of an earlier pod of its name, which was to be
    /// over sooner.
    fn is_over(&self, object: &Object, why: &'static str, cluster: &mut Cluster) -> bool {
        let Some(times) = self.times.get(&object.meta.uid) else { return false };
        let left = times.until - cluster.now;
        if left > 0 {
            cluster.again(left, why, &object.key());
        }
        left <= 0
    }

    /// The init containers are over.
    pub(super) fn initialized(&mut self, object: &Object, cluster: &mut Cluster) {
        if object.is_terminating() || !self.is_over(object, INITIALIZED, cluster) {
            return;
        }
        let now = cluster.now;
        write(cluster, object, |pod| {
            pod.status.set_condition(crate::rehearse::object::Condition::new("Initialized", true, now));
        });
        if let Some(times) = self.times.get_mut(&object.meta.uid) {
            let left = times.start + times.ready;
            times.until = now + left;
            cluster.again(left, RUNS, &object.key());
        }
    }

    /// The containers run and are ready, or never will be.
    pub(super) fn runs(&mut self, object: &Object, cluster: &mut Cluster) {
        let Some(pod) = object.pod().filter(|pod| pod.status.phase == Phase::Pending && !object.is_terminating())
        else {
            return;
        };
        if !self.is_over(object, RUNS, cluster) {
            return;
        }
        self.times.remove(&object.meta.uid);
        let is_ready = !timings::is_never_ready(object);
        let is_of_job = object.meta.controller().is_some_and(|owner| owner.kind == "Job");
        let is_to_end = is_of_job || pod.spec.typed.restart_policy.as_deref() == Some("Never");
        let now = cluster.now;
        write(cluster, object, |pod| status::running(pod, is_ready, now));
        if is_to_end && is_ready {
            let takes = self.part_of(object, cluster).map_or_else(|| self.timings.complete(object), |part| part.takes);
            cluster.again(takes, COMPLETE, &object.key());
        }
    }

    /// What the script says of the Job of a step that a pod is of.
    fn part_of(&self, object: &Object, cluster: &Cluster) -> Option<crate::rehearse::script::Part> {
        let owner = object.meta.controller().filter(|owner| owner.kind == "Job")?;
        let job = cluster.store.find(Kind::Job, &object.meta.namespace, &owner.name)?;
        self.script.read(job.meta.annotation(STEP)?)
    }

    /// The pod of a Job is over.
    pub(super) fn complete(&mut self, object: &Object, cluster: &mut Cluster) {
        let is_running = object.pod().is_some_and(|pod| pod.status.phase == Phase::Running);
        if !is_running || object.is_terminating() {
            return;
        }
        let part = self.part_of(object, cluster).unwrap_or_default();
        if part.code == 0 {
            part.effects.iter().for_each(|effect| {
                effects::apply(cluster, effect);
            });
        }
        let now = cluster.now;
        write(cluster, object, |pod| status::over(pod, part.code, now));
    }

    /// The containers of a pod that is being deleted have stopped.
    pub(super) fn stopped(&mut self, object: &Object, cluster: &mut Cluster) {
        let Some(pod) = object.pod().filter(|_| object.is_terminating()) else { return };
        if !pod.is_terminal() {
            let now = cluster.now;
            write(cluster, object, |pod| status::over(pod, 0, now));
        }
        cluster.again(REACTION, REMOVE, &object.key());
    }
}

/// The containers are over: the object goes, but for finalizers.
pub(super) fn remove(object: &Object, cluster: &mut Cluster) {
    let is_over = object.is_terminating() && object.pod().is_some_and(Pod::is_terminal);
    if is_over {
        let options =
            DeleteOptions { grace: Some(0), uid: Some(object.meta.uid.to_string()), ..DeleteOptions::default() };
        // It may be another of its name by now: then there is nothing to do.
        let _ = cluster.delete(&object.key(), &options);
    }
}

/// What the node controller said of a pod while its kubelet was silent is set right.
pub(super) fn post(object: &Object, cluster: &mut Cluster) {
    let is_wrong = object
        .pod()
        .is_some_and(|pod| pod.status.phase == Phase::Running && !pod.is_ready() && status::is_ready_inside(pod));
    let is_there = object.pod().and_then(|pod| pod.node.clone()).is_some_and(|node| is_alive(&cluster.store, &node));
    if is_wrong && is_there && !object.is_terminating() {
        let now = cluster.now;
        write(cluster, object, |pod| status::set_ready(pod, true, now));
    }
}

fn write(cluster: &mut Cluster, object: &Object, change: impl FnOnce(&mut Pod)) {
    let uid = object.meta.uid.clone();
    cluster.change(&object.key(), |object| {
        let is_same = object.meta.uid == uid;
        change(object.pod_mut().filter(|_| is_same)?);
        Some(())
    });
}
