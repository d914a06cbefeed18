//! How long the kubelets' work takes, pod by pod: what the pod's own annotations say, what the pods of a snapshot tell of
//! their siblings, or else a default that the verdict names as assumed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::rehearse::object::{Object, Pod, READY};
use crate::rehearse::random::Random;

/// From being bound until ready, where nothing tells, in milliseconds.
const READY_AFTER: i64 = 5_000;
/// From the deletion until the containers have stopped, where nothing tells, in milliseconds; at most the grace period.
const STOP_AFTER: i64 = 2_000;
/// How long the pod of a Job runs, where nothing tells, in milliseconds.
const COMPLETE_AFTER: i64 = 60_000;
/// A start that took longer waited for something else than its image and its containers, in milliseconds.
const LONGEST_START: i64 = 3_600_000;
/// What annotations begin with that a world file, or a testbed, puts on pods.
const PREFIXES: [&str; 2] = ["sprag.dev/", "sprag.test/"];

/// How long one pod takes, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// When its next part is over, Unix milliseconds.
    pub until: i64,
    /// From being bound until its init containers begin.
    pub pull: i64,
    /// All its init containers, one after the other.
    pub init: i64,
    /// From then until its containers run.
    pub start: i64,
    /// From then until it is ready.
    pub ready: i64,
}

/// Where times are taken from. Cheap to clone: all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Timings {
    /// Times of starts in a snapshot, by what the pods have in common.
    learnt: Arc<BTreeMap<String, Vec<Start>>>,
    assumed: Arc<Mutex<BTreeSet<String>>>,
}

/// How long a pod of a snapshot took to be ready, and its init containers of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Start {
    took: i64,
    init: i64,
}

impl Timings {
    /// What the pods of a cluster tell: those that were never restarted, from their making to their being ready.
    pub fn learnt<'a>(pods: impl Iterator<Item = &'a Object>) -> Self {
        let mut learnt: BTreeMap<String, Vec<Start>> = BTreeMap::new();
        for object in pods {
            if let (Some(pod), Some(start)) = (object.pod(), start_of(object)) {
                learnt.entry(family(object, pod)).or_default().push(start);
            }
        }
        learnt.values_mut().for_each(|starts| starts.sort_unstable());
        Self { learnt: Arc::new(learnt), assumed: Arc::default() }
    }

    /// How long a pod takes to be ready.
    pub fn of(&self, object: &Object, random: &mut Random) -> Times {
        let Some(pod) = object.pod() else { return Times::default() };
        let said = |what: &str| annotation(object, what).and_then(milliseconds);
        let pull = said("pull").unwrap_or(0);
        let init = said("init-after");
        if let Some(ready) = said("ready-after") {
            return Times { pull, init: init.unwrap_or(0), ready, ..Times::default() };
        }
        let family = family(object, pod);
        if let Some(starts) = self.learnt.get(&family) {
            let Start { took, init } = starts[random.below(starts.len())];
            return Times { init, ready: (took - init).max(0), ..Times::default() };
        }
        self.assume(&format!("pods of {family} are ready {} s after they are bound", READY_AFTER / 1000));
        Times { pull, init: init.unwrap_or(0), ready: READY_AFTER, ..Times::default() }
    }

    /// How long the containers of a pod take to stop, in milliseconds: never longer than its grace period and the two
    /// seconds that a kubelet gives a container whose hook used it up (kuberuntime_container.go).
    pub fn stop(&self, object: &Object) -> i64 {
        let Some(pod) = object.pod() else { return 0 };
        let grace = object.meta.grace.unwrap_or(0) * 1000;
        let hook = hook_of(pod);
        if let Some(said) = annotation(object, "stop-after").and_then(milliseconds) {
            return said.min(grace);
        }
        if hook == 0 {
            self.assume(&format!(
                "containers that are asked to stop do so in {} s, or in their grace period",
                STOP_AFTER / 1000
            ));
        }
        match hook {
            0 => STOP_AFTER.min(grace),
            hook if hook >= grace => grace + 2_000,
            hook => (hook + STOP_AFTER).min(grace),
        }
    }

    /// How long the pod of a Job runs, in milliseconds.
    pub fn complete(&self, object: &Object) -> i64 {
        annotation(object, "complete-after").and_then(milliseconds).unwrap_or(COMPLETE_AFTER)
    }

    /// What was assumed so far, in the order of the words.
    pub fn assumed(&self) -> BTreeSet<String> {
        self.assumed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn assume(&self, what: &str) {
        let mut assumed = self.assumed.lock().unwrap_or_else(PoisonError::into_inner);
        if !assumed.contains(what) {
            assumed.insert(what.to_owned());
        }
    }
}

/// Whether a pod's annotations say that it never becomes ready.
pub(super) fn is_never_ready(object: &Object) -> bool {
    annotation(object, "never-ready") == Some("true")
}

fn annotation<'a>(object: &'a Object, what: &str) -> Option<&'a str> {
    PREFIXES.iter().find_map(|prefix| object.meta.annotation(&format!("{prefix}{what}")))
}

/// `2s`, `0.5s`, `1m` in milliseconds.
fn milliseconds(text: &str) -> Option<i64> {
    if let Some(duration) = crate::syntax::parse_duration(text) {
        return Some(duration);
    }
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Some((seconds * 1000.0) as i64)
}

/// What pods have in common that start alike: their owner without the hash of a template, or their images.
fn family(object: &Object, pod: &Pod) -> String {
    let owner = object.meta.controller().map(|owner| match object.meta.label("pod-template-hash") {
        Some(hash) => owner.name.trim_end_matches(hash).trim_end_matches('-').to_owned(),
        None => owner.name.clone(),
    });
    let name = owner.unwrap_or_else(|| {
        let images = pod.spec.typed.containers.iter().filter_map(|container| container.image.as_deref());
        images.collect::<Vec<_>>().join(" ")
    });
    format!("{}/{name}", object.meta.namespace)
}

fn start_of(object: &Object) -> Option<Start> {
    let pod = object.pod().filter(|pod| pod.is_ready())?;
    let statuses = || pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
    if statuses().any(|status| status.restart_count > 0) {
        return None;
    }
    let since = |kind: &str| pod.status.condition(kind).and_then(|condition| condition.last_transition_time);
    let begun = since("PodScheduled").or(object.meta.created)?;
    let took = since(READY)?.0 - begun.0;
    let init = match (since("PodReadyToStartContainers"), since("Initialized")) {
        (Some(sandbox), Some(over)) if !pod.status.init_container_statuses.is_empty() => (over.0 - sandbox.0).max(0),
        _ => 0,
    };
    (0..LONGEST_START).contains(&took).then_some(Start { took, init: init.min(took) })
}

/// How long the hook before the stop sleeps, in milliseconds.
fn hook_of(pod: &Pod) -> i64 {
    let sleeps = pod.spec.typed.containers.iter().filter_map(|container| {
        let hook = container.lifecycle.as_ref()?.pre_stop.as_ref()?;
        hook.sleep.as_ref().map(|sleep| sleep.seconds * 1000)
    });
    sleeps.max().unwrap_or(0)
}
