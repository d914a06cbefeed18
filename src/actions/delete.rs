//! `delete`, `delete_node`: an object goes, bound to its UID; one that is gone already is as it is to be.

use serde_json::{Value, json};

use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;
use crate::cluster::RequestError;
use crate::engine::event::Failure;
use crate::facts::Resource;

use super::args::{Read, object};
use super::context::{Args, Attempt, StepContext};
use super::failure::by_server;

pub(super) async fn delete(args: &Args, context: &StepContext) -> Read<Attempt> {
    let object = object(args, "object")?;
    let resource = resource(&object, context)?;
    delete_bound(&object, resource, context).await
}

/// Deletes the node's object. Its pods are deleted by Kubernetes within a minute (podgc): it should be drained before.
pub(super) async fn delete_node(args: &Args, context: &StepContext) -> Read<Attempt> {
    delete_bound(&*object(args, "node")?, Resource::Nodes, context).await
}

/// Where the server has what is to be deleted; a workload that is gone is nowhere any more, and its kind not known.
fn resource(object: &ObjectRef, context: &StepContext) -> Read<Resource> {
    match object.kind {
        Kind::Node => Ok(Resource::Nodes),
        Kind::Pod => Ok(Resource::Pods),
        Kind::Budget => Ok(Resource::Budgets),
        Kind::Job => Ok(Resource::Jobs),
        Kind::Event => Ok(Resource::Events),
        Kind::Workload => context.facts.read(|facts| facts.resource_of(&object.uid)).ok_or_else(gone_already),
        Kind::Webhook | Kind::Cluster | Kind::Outcome => {
            let message = format!("{} `{object}` cannot be deleted", object.kind.word());
            Err(Attempt::Refused(Failure::new("E530", message).help("delete a node, pod, workload, budget or job")))
        }
    }
}

async fn delete_bound(object: &ObjectRef, resource: Resource, context: &StepContext) -> Read<Attempt> {
    let path = resource.object_path(&object.namespace, &object.name);
    let options = json!({"preconditions": {"uid": object.uid}, "propagationPolicy": "Background"});
    match context.requests.delete(&path, &options).await {
        Ok(_) => {}
        Err(RequestError::NotFound(_)) => return Ok(gone_already()),
        Err(RequestError::Conflict(_) | RequestError::Lost(_)) => {
            if !is_there(&path, object, resource, context).await? {
                return Ok(gone_already());
            }
            let message = format!("{} `{object}` was not deleted: the server could not tell", object.kind.word());
            return Ok(Attempt::Failed(Failure::new("E561", message)));
        }
        Err(error) => return Err(by_server(error, "delete", resource.name())),
    }
    until_gone(&path, object, resource, context).await?;
    Ok(Attempt::Done { value: None, note: None })
}

/// Waits until the object is not there any more: a grace has to pass, finalizers have to be removed.
async fn until_gone(path: &str, object: &ObjectRef, resource: Resource, context: &StepContext) -> Read<()> {
    let mut changed = context.facts.changed();
    if !is_there(path, object, resource, context).await? {
        return until_shown(object, context).await;
    }
    context.waiting(vec![format!("{} `{object}` is on its way out", object.kind.word())]);
    loop {
        changed.mark_unchanged();
        if context.facts.is_gone(object) {
            return Ok(());
        }
        changed.changed().await;
    }
}

/// Waits until the facts show that it is gone, so that nothing after this step still sees it. What is not watched cannot
/// be seen by anything.
async fn until_shown(object: &ObjectRef, context: &StepContext) -> Read<()> {
    let is_watched = matches!(object.kind, Kind::Node | Kind::Pod | Kind::Workload | Kind::Budget);
    let mut changed = context.facts.changed();
    while is_watched && !context.facts.is_gone(object) {
        changed.changed().await;
    }
    Ok(())
}

/// Whether the server has that object, and no other of its name.
async fn is_there(path: &str, object: &ObjectRef, resource: Resource, context: &StepContext) -> Read<bool> {
    match context.requests.get::<Value>(path).await {
        Ok(now) => Ok(now.pointer("/metadata/uid").and_then(Value::as_str) == Some(&object.uid)),
        Err(RequestError::NotFound(_)) => Ok(false),
        Err(error) => Err(by_server(error, "get", resource.name())),
    }
}

fn gone_already() -> Attempt {
    Attempt::Done { value: None, note: Some("was gone already".to_owned()) }
}
