//! Which pods of a node go, which stay, and which stand in the way of the whole drain.

use super::options::{Jobs, Loss, Options};
use crate::facts::objects::{Pod, Toleration};

/// Set on the copy that the API server has of a static pod: deleting it does nothing on the node.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// The taint that a cordon becomes.
const CORDON_TAINT: (&str, &str) = ("node.kubernetes.io/unschedulable", "NoSchedule");

/// What a drain does about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is evicted, unless it is going already, and awaited.
    Goes,
    /// It is not evicted: it ends by itself, and is awaited.
    Ends,
    /// It is not looked at any more.
    Stays,
    /// Nothing is evicted while it is there.
    Refused(Obstacle),
}

/// Why a pod stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    /// What is in its emptyDir would be lost.
    EmptyDir,
    /// Nothing would start it again.
    Orphan,
    /// A closure has no answer for it.
    Unknown {
        /// The argument.
        name: &'static str,
        /// Why there is none.
        why: String,
    },
}

impl Obstacle {
    /// What is the matter, following the pod's name.
    pub(super) fn why(&self) -> String {
        match self {
            Self::EmptyDir => "has an emptyDir, whose content would be lost".to_owned(),
            Self::Orphan => "has no controller: nothing would start it again".to_owned(),
            Self::Unknown { name, why } => format!("is not decided by `{name}`: {why}"),
        }
    }

    /// The argument that accepts it; `None` for what no argument does.
    pub(super) fn accepted_by(&self) -> Option<&'static str> {
        match self {
            Self::EmptyDir => Some("`emptydir: \"delete\"`"),
            Self::Orphan => Some("`orphans: \"delete\"`"),
            Self::Unknown { .. } => None,
        }
    }
}

/// What is to be done about a pod. `has_daemon_set` says whether the DaemonSet of a pod that names one exists: the pod
/// of one that is gone is an orphan, as for kubectl.
pub(super) fn fate(pod: &Pod, has_daemon_set: bool, options: &Options) -> Fate {
    let controller = pod.metadata.controller();
    let is_daemon = controller.is_some_and(|controller| controller.kind == "DaemonSet");
    let is_mirror = pod.metadata.annotations.contains_key(MIRROR);
    if is_mirror || pod.is_own() || pod.is_finished() || (is_daemon && has_daemon_set) {
        return Fate::Stays;
    }
    let is_orphan = controller.is_none() || is_daemon;
    let is_awaited = options.jobs == Jobs::Awaited && controller.is_some_and(|controller| controller.kind == "Job");
    let has_emptydir = pod.spec.volumes.iter().any(|volume| volume.empty_dir.is_some());
    if pod.metadata.is_terminating() {
        Fate::Goes
    } else if is_awaited {
        Fate::Ends
    } else if is_orphan && options.orphans == Loss::Refused {
        Fate::Refused(Obstacle::Orphan)
    } else if has_emptydir && options.emptydir == Loss::Refused {
        Fate::Refused(Obstacle::EmptyDir)
    } else {
        Fate::Goes
    }
}

/// Whether the scheduler may put such a pod on a cordoned node: evicted, it can come back.
pub(super) fn tolerates_cordon(pod: &Pod) -> bool {
    pod.spec.tolerations.iter().any(tolerates)
}

/// core/v1/toleration.go `ToleratesTaint`, for a taint without a value.
fn tolerates(toleration: &Toleration) -> bool {
    let (key, effect) = CORDON_TAINT;
    let is_exists = toleration.operator == "Exists";
    let of_effect = toleration.effect.is_empty() || toleration.effect == effect;
    let of_key = toleration.key == key || (toleration.key.is_empty() && is_exists);
    of_effect && of_key && (is_exists || toleration.value.is_empty())
}
