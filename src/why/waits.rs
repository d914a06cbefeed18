//! Why a drain waits with a pod that no budget holds, and for what beside pods.

use std::sync::Arc;

use super::{Reason, pod_name};
use crate::catalog::value::ObjectRef;
use crate::facts::objects::{Controller, Event, Node, Pod, VolumeAttachment, condition};
use jiff::Timestamp;

/// How many volumes a line names before it counts the rest.
const VOLUMES: usize = 2;

/// As many of a workload without a budget are out as may be (W108).
pub fn staggered(pod: &Pod, out: usize, most: usize) -> Reason {
    let are = if out == 1 { "is" } else { "are" };
    let why = format!(
        "no budget covers its workload: {out} of it {are} out until a replacement is ready, at most {most} at a time"
    );
    of_pod("W108", pod, why, None)
}

/// An admission webhook or policy refuses the eviction, or the webhook does not answer the server (W109).
pub fn admission(pod: &Pod, said: &str) -> Reason {
    let (holder, resources) = if said.contains("ValidatingAdmissionPolicy") {
        ("policy", "validatingadmissionpolicies,validatingadmissionpolicybindings")
    } else {
        ("webhook", "validatingwebhookconfigurations,mutatingwebhookconfigurations")
    };
    let why = format!("its eviction is held by an admission {holder}: {said}");
    of_pod("W109", pod, why, Some(format!("ask whoever runs the {holder}: kubectl get {resources}")))
}

/// Others go first by `order` (W110).
pub fn not_its_turn(pod: &Pod) -> Reason {
    of_pod("W110", pod, "waits for its turn: pods that come before it by `order` are not gone".to_owned(), None)
}

/// Its place in `order` is not known (W110).
pub fn no_turn(pod: &Pod, why: &str) -> Reason {
    let help = "say what holds then: `… ?? …`".to_owned();
    of_pod("W110", pod, format!("waits: its place by `order` is not known: {why}"), Some(help))
}

/// A pod of a Job that is let end by itself (W111).
pub fn ends_by_itself(pod: &Pod) -> Reason {
    of_pod("W111", pod, "is of a Job and ends by itself (`jobs: \"finish\"`)".to_owned(), None)
}

/// Volumes of pods that are gone are still attached to their node (W112); `None` where none is.
///
/// The node's status stops to name a volume as its detachment begins (attachdetach/reconciler.go), the VolumeAttachment
/// goes as it ends: so that one is told where there is one.
pub fn attached(node: &Node, attachments: &[&VolumeAttachment]) -> Option<Reason> {
    let names: Vec<String> = if attachments.is_empty() {
        node.status.volumes_attached.iter().map(|volume| format!("`{}`", volume.name)).collect()
    } else {
        attachments.iter().map(|attachment| volume_name(attachment)).collect()
    };
    let shown = names.iter().take(VOLUMES).cloned().collect::<Vec<_>>().join(", ");
    let (volumes, are) = match names.len() {
        0 => return None,
        1 => ("the volume".to_owned(), "is"),
        count => (format!("{count} volumes, among them"), "are"),
    };
    let name = &node.metadata.name;
    let why = format!("its pods are gone, and {volumes} {shown} {are} still attached");
    let help = format!("kubectl get volumeattachments | grep {name}");
    Some(Reason { code: "W112", who: vec![format!("`{name}`")], why, since: None, help: Some(help) })
}

fn volume_name(attachment: &VolumeAttachment) -> String {
    let volume = attachment.spec.source.persistent_volume_name.as_ref().unwrap_or(&attachment.metadata.name);
    format!("`{volume}` of `{}`", attachment.spec.attacher)
}

/// Whether a node's volumes are detached is not known (W112).
pub fn attachments_unknown(node: &Node, why: &str) -> Reason {
    let why = format!("its pods are gone, and whether their volumes are detached is not known: {why}");
    let help = Some("see whether the API server answers and the rights suffice".to_owned());
    Reason { code: "W112", who: vec![format!("`{}`", node.metadata.name)], why, since: None, help }
}

/// The replacements of a workload's pods cannot be created, for a quota or a webhook (W113): the controller's words.
pub fn not_created(controller: &Arc<Controller>) -> Option<Reason> {
    let failure = condition(&controller.status.conditions, "ReplicaFailure").filter(|found| found.status == "True")?;
    let meta = &controller.metadata;
    let since = failure.last_transition_time.map(Timestamp::as_millisecond);
    Some(uncreated(&meta.namespace, &meta.name, &failure.message, since))
}

/// The same of a StatefulSet, which has no such condition and says it in an event (W113; stateful_pod_control.go).
pub fn refused_by(set: &ObjectRef, event: &Event) -> Reason {
    let message = event.message.split_once(" failed error: ").map_or(event.message.as_str(), |(_, why)| why);
    uncreated(&set.namespace, &set.name, message, None)
}

fn uncreated(namespace: &str, name: &str, message: &str, since: Option<i64>) -> Reason {
    let why = format!("a replacement cannot be created: {}", message.trim_end_matches('.'));
    let help = Some(format!("kubectl -n {namespace} get events --field-selector reason=FailedCreate"));
    Reason { code: "W113", who: vec![format!("{namespace}/{name}")], why, since, help }
}

/// What decides on evictions is not known (W114).
pub fn unknown(why: &str) -> Reason {
    let help = Some("see whether the API server answers and the rights suffice".to_owned());
    Reason { code: "W114", who: Vec::new(), why: format!("nothing more is evicted: {why}"), since: None, help }
}

fn of_pod(code: &'static str, pod: &Pod, why: String, help: Option<String>) -> Reason {
    Reason { code, who: vec![pod_name(pod)], why, since: None, help }
}
