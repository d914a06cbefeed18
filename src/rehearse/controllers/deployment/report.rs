//! The status of a Deployment: numbers, and whether it progresses (k8s.io/kubernetes v1.37, controller/deployment/progress.go).

use serde_json::{Value, json};

use super::Look;
use super::sets::{Sets, told};
use crate::rehearse::cluster::{Cluster, Task};
use crate::rehearse::controllers::draft::Draft;
use crate::rehearse::controllers::replicaset::FAILURE;
use crate::rehearse::object::{Object, Time};
use crate::rehearse::status::Refused;

const PROGRESSING: &str = "Progressing";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

impl Look {
    /// Whether all its pods are of its template and available, as its status says.
    pub(super) fn is_complete(&self, object: &Object) -> bool {
        let is_all = |field: &str| told(object, field) == self.replicas;
        is_all("updatedReplicas")
            && is_all("replicas")
            && is_all("availableReplicas")
            && told(object, "observedGeneration") >= object.meta.generation
    }

    pub(super) fn has_progress(&self) -> bool {
        Draft::of(&self.object).condition(PROGRESSING).is_some()
    }

    /// Says how it stands, without a word on its progress.
    pub(super) fn tell(&self, sets: &Sets, cluster: &mut Cluster) {
        self.numbers(sets, cluster).write(&self.key, cluster);
    }

    fn numbers(&self, sets: &Sets, cluster: &Cluster) -> Draft {
        let current = cluster.store.get(&self.key).unwrap_or(&self.object);
        let mut draft = Draft::of(current);
        let available = sets.sum("availableReplicas");
        draft.number("observedGeneration", self.object.meta.generation);
        draft.number("replicas", sets.sum("replicas"));
        draft.number("updatedReplicas", sets.new.as_ref().map_or(0, |new| told(new, "replicas")));
        draft.number("readyReplicas", sets.sum("readyReplicas"));
        draft.number("availableReplicas", available);
        draft.number("unavailableReplicas", (sets.size() - available).max(0));
        if cluster.about.minor >= 35 {
            draft.set("terminatingReplicas", sets.sum("terminatingReplicas").into());
        }
        let (word, reason, message) = if available >= self.replicas - self.posts.unavailable {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        say(&mut draft, "Available", word, reason, message, cluster.now);
        draft
    }

    /// Says how it stands and whether its rollout goes on, and looks again when it might be stuck.
    pub(super) fn tell_rollout(&self, task: &Task, cluster: &mut Cluster) {
        let sets = self.sets(cluster);
        let Some(object) = cluster.store.get(&self.key).cloned() else { return };
        let before = Draft::of(&object);
        let mut draft = self.numbers(&sets, cluster);
        let was_complete =
            before.reason(PROGRESSING) == COMPLETE && draft.get("replicas") == draft.get("updatedReplicas");
        match self.deadline() {
            None => draft.remove_condition(PROGRESSING),
            Some(deadline) if !was_complete => self.say_progress(&before, &mut draft, &sets, deadline, cluster.now),
            Some(_) => {}
        }
        match failure(&sets) {
            Some(failure) => draft.put_condition(failure),
            None => draft.remove_condition(FAILURE),
        }
        let again = self.deadline().and_then(|deadline| self.until_stuck(&draft, deadline, cluster.now));
        draft.write(&self.key, cluster);
        if let Some(wait) = again {
            cluster.again(wait, task.why, &task.key);
        }
    }

    fn say_progress(&self, before: &Draft, draft: &mut Draft, sets: &Sets, deadline: i64, now: i64) {
        let named = sets.new.as_ref().map_or_else(
            || format!("Deployment {:?}", self.object.meta.name),
            |new| format!("ReplicaSet {:?}", new.meta.name),
        );
        let all = |draft: &Draft, field: &str| draft.get(field) == self.replicas;
        let is_complete = all(draft, "updatedReplicas") && all(draft, "replicas") && all(draft, "availableReplicas");
        let old = |draft: &Draft| draft.get("replicas") - draft.get("updatedReplicas");
        let is_more = |field: &str| draft.get(field) > before.get(field);
        let moves = is_more("updatedReplicas")
            || old(draft) < old(before)
            || is_more("readyReplicas")
            || is_more("availableReplicas");
        if is_complete {
            say(draft, PROGRESSING, "True", COMPLETE, &format!("{named} has successfully progressed."), now);
        } else if moves {
            let message = format!("{named} is progressing.");
            let since = before.condition(PROGRESSING).filter(|known| known["status"] == "True");
            let since = since.map_or_else(|| json!(Time(now)), |known| known["lastTransitionTime"].clone());
            draft.put_condition(entry(PROGRESSING, "True", "ReplicaSetUpdated", &message, now, since));
        } else if is_timed_out(draft, deadline, now) {
            say(draft, PROGRESSING, "False", TIMED_OUT, &format!("{named} has timed out progressing."), now);
        }
    }

    /// How long until it counts as stuck, in milliseconds; `None` where it is complete, or stuck already.
    fn until_stuck(&self, draft: &Draft, deadline: i64, now: i64) -> Option<i64> {
        let is_over = [COMPLETE, TIMED_OUT, ""].contains(&draft.reason(PROGRESSING));
        let since = progress_since(draft).filter(|_| !is_over)?;
        Some((since + deadline * 1000 - now).max(0) + 1000)
    }

    /// Says that it was paused, or goes on. Whether that was to be said.
    pub(super) fn tell_paused(&self, cluster: &mut Cluster) -> bool {
        let draft = Draft::of(&self.object);
        let reason = draft.reason(PROGRESSING);
        if self.deadline().is_none() || reason == TIMED_OUT {
            return false;
        }
        match (self.is_paused(), reason == PAUSED) {
            (true, false) => self.tell_progress("Unknown", PAUSED, "Deployment is paused", cluster),
            (false, true) => self.tell_progress("Unknown", "DeploymentResumed", "Deployment is resumed", cluster),
            _ => return false,
        }
        true
    }

    pub(super) fn tell_progress(&self, word: &str, reason: &str, message: &str, cluster: &mut Cluster) {
        let Some(object) = cluster.store.get(&self.key) else { return };
        let mut draft = Draft::of(object);
        say(&mut draft, PROGRESSING, word, reason, message, cluster.now);
        draft.write(&self.key, cluster);
    }

    /// Another template has the same hash: it is made anew with one more collision.
    pub(super) fn tell_collision(&self, collisions: i64, cluster: &mut Cluster) {
        let mut draft = Draft::of(&self.object);
        draft.number("collisionCount", collisions);
        draft.write(&self.key, cluster);
    }

    pub(super) fn tell_failed(&self, set: &str, refused: &Refused, cluster: &mut Cluster) {
        let is_ending = crate::rehearse::controllers::replicaset::is_of_ending_namespace(refused);
        if self.deadline().is_some() && !is_ending {
            let message = format!("Failed to create new replica set {set:?}: {}", refused.message);
            self.tell_progress("False", "ReplicaSetCreateError", &message, cluster);
        }
    }
}

/// Sets a condition unless it says so already; its time moves with its status alone.
fn say(draft: &mut Draft, kind: &str, word: &str, reason: &str, message: &str, now: i64) {
    let known = draft.condition(kind);
    if known.is_some_and(|known| known["status"] == word && known["reason"] == reason) {
        return;
    }
    let same = known.filter(|known| known["status"] == word).map(|known| known["lastTransitionTime"].clone());
    let since = same.unwrap_or_else(|| json!(Time(now)));
    draft.remove_condition(kind);
    draft.put_condition(entry(kind, word, reason, message, now, since));
}

fn entry(kind: &str, word: &str, reason: &str, message: &str, now: i64, since: Value) -> Value {
    json!({ "type": kind, "status": word, "reason": reason, "message": message,
            "lastUpdateTime": Time(now), "lastTransitionTime": since })
}

fn progress_since(draft: &Draft) -> Option<i64> {
    let condition = draft.condition(PROGRESSING)?;
    condition["lastUpdateTime"].as_str().and_then(Time::parse).map(|time| time.0)
}

fn is_timed_out(draft: &Draft, deadline: i64, now: i64) -> bool {
    match draft.reason(PROGRESSING) {
        "" | COMPLETE => false,
        TIMED_OUT => true,
        _ => progress_since(draft).is_some_and(|since| since + deadline * 1000 < now),
    }
}

/// Why a ReplicaSet cannot make its pods: of the newest, else of any.
fn failure(sets: &Sets) -> Option<Value> {
    let of = |set: &Object| {
        let failure = Draft::of(set).condition(FAILURE)?.clone();
        let (word, reason) = (failure["status"].as_str()?, failure["reason"].as_str()?);
        let message = failure["message"].as_str().unwrap_or_default();
        let since = failure["lastTransitionTime"].clone();
        let mut entry = entry(FAILURE, word, reason, message, 0, since.clone());
        entry["lastUpdateTime"] = since;
        Some(entry)
    };
    sets.new.iter().chain(&sets.old).find_map(|set| of(set))
}
