//! `restart`, `scale`: what changes a workload as a whole.

use serde_json::{Value, json};

use crate::catalog::value::{ObjectRef, Value as Argument};
use crate::cluster::RequestError;
use crate::engine::event::Failure;
use crate::facts::Resource;

use super::args::{Read, object};
use super::context::{Args, Attempt, StepContext};
use super::failure::{by_server, gone};

/// What `kubectl rollout restart` writes into the pod template (polymorphichelpers/objectrestarter.go).
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// Beside it, the run and step: a resume sees by it that the restart was done.
const RESTARTED_BY: &str = "sprag.dev/restarted-by";
/// How often a change is made anew because someone else changed the object meanwhile.
const TRIES: usize = 10;

/// A workload on the server.
struct Target<'a> {
    workload: &'a ObjectRef,
    resource: Resource,
    context: &'a StepContext,
}

impl<'a> Target<'a> {
    /// The workload, if it is of a kind that the action can change.
    fn of(workload: &'a ObjectRef, action: &str, kinds: &[Resource], context: &'a StepContext) -> Read<Self> {
        let Some(resource) = context.facts.read(|facts| facts.resource_of(&workload.uid)) else {
            return Err(gone(workload));
        };
        if kinds.contains(&resource) {
            return Ok(Self { workload, resource, context });
        }
        let kind = resource.controller_kind().unwrap_or_default();
        let message = format!("`{action}` cannot change `{workload}`: it is a {kind}");
        let able = kinds.iter().filter_map(|kind| kind.controller_kind()).collect::<Vec<_>>().join(", ");
        Err(Attempt::Refused(Failure::new("E530", message).help(format!("it can change: {able}"))))
    }

    fn path(&self) -> String {
        self.resource.object_path(&self.workload.namespace, &self.workload.name)
    }

    /// What stands at the path; another object of the name is gone.
    async fn read(&self, path: &str) -> Read<Value> {
        match self.context.requests.get::<Value>(path).await {
            Ok(now) if now.pointer("/metadata/uid").and_then(Value::as_str) == Some(&self.workload.uid) => Ok(now),
            Ok(_) | Err(RequestError::NotFound(_)) => Err(gone(self.workload)),
            Err(error) => Err(by_server(error, "get", self.resource.name())),
        }
    }

    /// It is done once the facts show the workload as the server has it: no condition after this step sees it as it was before.
    /// A Scale bears the version of what it scales.
    async fn done(&self, answer: &Value) -> Attempt {
        self.context.facts.until_seen_as(self.resource, answer).await;
        Attempt::Done { value: None, note: None }
    }

    /// Reads and patches until the server takes the patch; `decide` gives none where nothing is to be done.
    async fn change(&self, path: &str, decide: impl Fn(&Value) -> Option<Vec<Value>>) -> Read<Attempt> {
        let mut why = String::new();
        for _ in 0..TRIES {
            let now = self.read(path).await?;
            let Some(operations) = decide(&now) else { return Ok(self.done(&now).await) };
            // The version that was read, so that nobody's change in between is overwritten unseen.
            let tests = ["/metadata/uid", "/metadata/resourceVersion"].into_iter();
            let tests = tests.map(|path| json!({"op": "test", "path": path, "value": now.pointer(path)}));
            let patch = Value::Array(tests.chain(operations).collect());
            match self.context.requests.json_patch(path, &patch).await {
                Ok(written) => return Ok(self.done(&written).await),
                Err(RequestError::Conflict(text) | RequestError::Invalid(text) | RequestError::Lost(text)) => {
                    why = text
                }
                Err(RequestError::NotFound(_)) => return Err(gone(self.workload)),
                Err(error) => return Err(by_server(error, "patch", self.resource.name())),
            }
        }
        let message = format!("the server did not take the change of `{}`: {why}", self.workload);
        Ok(Attempt::Failed(Failure::new("E560", message)))
    }
}

/// Rolls a workload out anew: its pod template gets a new annotation, once for each step.
pub(super) async fn restart(args: &Args, context: &StepContext) -> Read<Attempt> {
    let workload = object(args, "workload")?;
    let kinds = [Resource::Deployments, Resource::StatefulSets, Resource::DaemonSets];
    let target = Target::of(&workload, "restart", &kinds, context)?;
    let at = jiff::Timestamp::from_millisecond(context.now() / 1_000 * 1_000).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let by = format!("{} {}", context.run, context.step);
    target.change(&target.path(), |now| restarted(now, &at.to_string(), &by)).await
}

fn restarted(now: &Value, at: &str, by: &str) -> Option<Vec<Value>> {
    const METADATA: &str = "/spec/template/metadata";
    const ANNOTATIONS: &str = "/spec/template/metadata/annotations";
    let annotations = now.pointer(ANNOTATIONS);
    if annotations.and_then(|annotations| annotations.get(RESTARTED_BY)).and_then(Value::as_str) == Some(by) {
        return None;
    }
    let mut operations = Vec::new();
    for path in [METADATA, ANNOTATIONS] {
        if now.pointer(path).is_none_or(Value::is_null) {
            operations.push(json!({"op": "add", "path": path, "value": {}}));
        }
    }
    for (key, value) in [(RESTARTED_AT, at), (RESTARTED_BY, by)] {
        let path = format!("{ANNOTATIONS}/{}", key.replace('/', "~1"));
        operations.push(json!({"op": "add", "path": path, "value": value}));
    }
    Some(operations)
}

/// How many replicas there are to be now.
pub(super) async fn pre_image(args: &Args, context: &StepContext) -> Read<Value> {
    let workload = object(args, "workload")?;
    let target = scalable(&workload, context)?;
    let now = target.read(&format!("{}/scale", target.path())).await?;
    Ok(json!({"replicas": replicas_of(&now)}))
}

/// Sets the replicas through the scale subresource.
pub(super) async fn scale(args: &Args, context: &StepContext) -> Read<Attempt> {
    let workload = object(args, "workload")?;
    let wanted = match args.get("replicas") {
        Some(Argument::Int(wanted)) if (0..=i64::from(i32::MAX)).contains(wanted) => *wanted,
        other => {
            let shown = other.map(ToString::to_string).unwrap_or_default();
            return Err(Attempt::Refused(Failure::new("E530", format!("`replicas` cannot be {shown}"))));
        }
    };
    let target = scalable(&workload, context)?;
    target
        .change(&format!("{}/scale", target.path()), |now| {
            let operation = json!({"op": "add", "path": "/spec/replicas", "value": wanted});
            (replicas_of(now) != wanted).then(|| vec![operation])
        })
        .await
}

/// Puts the replicas back, if they are still what this step set.
pub(super) async fn undo(args: &Args, was: &Value, context: &StepContext) -> Read<Attempt> {
    let workload = object(args, "workload")?;
    let (Some(Argument::Int(ours)), Some(was)) = (args.get("replicas"), was["replicas"].as_i64()) else {
        return Err(Attempt::Refused(Failure::new("E599", "what `scale` replaced is not known".to_owned())));
    };
    let target = scalable(&workload, context)?;
    target
        .change(&format!("{}/scale", target.path()), |now| {
            let operation = json!({"op": "add", "path": "/spec/replicas", "value": was});
            (replicas_of(now) == *ours && was != *ours).then(|| vec![operation])
        })
        .await
}

fn scalable<'a>(workload: &'a ObjectRef, context: &'a StepContext) -> Read<Target<'a>> {
    Target::of(workload, "scale", &[Resource::Deployments, Resource::StatefulSets, Resource::ReplicaSets], context)
}

/// Kubernetes leaves out zeros.
fn replicas_of(scale: &Value) -> i64 {
    scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_made_once_for_each_step() {
        let bare = json!({"spec": {"template": {"metadata": {}}}});
        let paths = |operations: Vec<Value>| -> Vec<String> {
            operations.iter().map(|one| one["path"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let operations = restarted(&bare, "t", "r s").expect("it is to be restarted");
        let prefix = "/spec/template/metadata/annotations";
        let keys = ["kubectl.kubernetes.io~1restartedAt", "sprag.dev~1restarted-by"];
        assert_eq!(
            paths(operations),
            [prefix.to_owned(), format!("{prefix}/{}", keys[0]), format!("{prefix}/{}", keys[1])]
        );
        let done = json!({"spec": {"template": {"metadata": {"annotations": {"sprag.dev/restarted-by": "r s"}}}}});
        assert_eq!(restarted(&done, "later", "r s"), None);
        assert_eq!(restarted(&done, "later", "r other").map(|operations| operations.len()), Some(2));
    }
}
