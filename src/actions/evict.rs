//! `evict`: one pod goes through the Eviction API, as in a drain, and is awaited.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::value::ObjectRef;
use crate::cluster::RequestError;
use crate::facts::Resource;
use crate::facts::objects::Pod;
use crate::why;

use super::args::{Read, object, optional_duration};
use super::chance::Chance;
use super::context::{Args, Attempt, StepContext};
use super::drain::{self, Answer};
use super::failure::by_server;

/// After how many milliseconds an eviction that a budget refused is posted again though nothing was seen to change, in
/// case the cache lies.
const FALLBACK: (u32, u32) = (10_000, 30_000);
/// The same for one whose answer was lost or that ran into another change.
const AGAIN: (u32, u32) = (1_000, 3_000);

/// Evicts a pod by its UID and waits until it is gone; one that is gone already is as it is to be.
pub(super) async fn evict(args: &Args, context: &StepContext) -> Read<Attempt> {
    let object = object(args, "pod")?;
    // As in a drain: zero would mean a pod that is removed before it has ended.
    let grace = optional_duration(args, "grace")?.map(|ms| ((ms + 999) / 1_000).max(1));
    let Some(pod) = read(&object, context).await? else { return Ok(gone_already()) };
    let chance = Chance::of(context);
    let mut changed = context.facts.changed();
    loop {
        changed.mark_unchanged();
        let pause = match drain::evict(&pod, grace, context).await? {
            Answer::Accepted | Answer::Leaves => break,
            Answer::Gone => return Ok(gone_already()),
            Answer::Held => {
                context.waiting(held(&pod, context));
                FALLBACK
            }
            Answer::Barred(why) => {
                context.waiting(vec![why]);
                FALLBACK
            }
            Answer::Again => AGAIN,
        };
        let pause = Duration::from_millis(chance.between(pause.0, pause.1).into());
        tokio::select! {
            biased;
            () = credited(&pod, context) => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    until_gone(&object, &pod, context).await;
    Ok(Attempt::Done { value: None, note: None })
}

/// The pod as the server has it; `None` where it is gone, or another one of its name is there.
async fn read(object: &ObjectRef, context: &StepContext) -> Read<Option<Arc<Pod>>> {
    match context.requests.get::<Pod>(&Resource::Pods.object_path(&object.namespace, &object.name)).await {
        Ok(pod) if pod.metadata.uid == object.uid => Ok(Some(Arc::new(pod))),
        Ok(_) | Err(RequestError::NotFound(_)) => Ok(None),
        Err(error) => Err(by_server(error, "get", "pods")),
    }
}

/// Comes back once a budget's status allows the eviction that it refused.
async fn credited(pod: &Pod, context: &StepContext) {
    let allows = || {
        context.facts.read(|facts| {
            facts.budgets_of(pod).iter().map(|budget| budget.status.disruptions_allowed).min().unwrap_or_default()
        })
    };
    let mut changed = context.facts.changed();
    // The cache may not show yet what the server has already given away: wait for a change from none to some.
    let mut was_none = allows() <= 0;
    loop {
        changed.changed().await;
        let is_some = allows() > 0;
        if is_some && was_none {
            return;
        }
        was_none |= !is_some;
    }
}

fn held(pod: &Pod, context: &StepContext) -> Vec<String> {
    let (who, now) = (why::pod_name(pod), context.now());
    context.facts.read(|facts| {
        let budgets = facts.budgets_of(pod);
        let reasons = budgets.iter().flat_map(|budget| why::held_by(facts, budget, vec![who.clone()], now));
        reasons.map(|reason| reason.line(now)).collect()
    })
}

async fn until_gone(object: &ObjectRef, pod: &Pod, context: &StepContext) {
    let mut changed = context.facts.changed();
    while !context.facts.is_gone(object) {
        let now = context.now();
        let reason = context.facts.read(|facts| facts.pod(&object.uid).and_then(|pod| why::terminating(pod, now)));
        let line =
            reason.map_or_else(|| format!("{} is evicted and about to go", why::pod_name(pod)), |one| one.line(now));
        context.waiting(vec![line]);
        changed.changed().await;
    }
}

fn gone_already() -> Attempt {
    Attempt::Done { value: None, note: Some("was gone already".to_owned()) }
}
