//! Actions: what a step does to the world, one family a file.
//!
//! - Nothing here is done twice unseen: what mutates reads first, and its patches test what they replace.
//! - Nothing here decides when a step is tried again: an action makes one attempt and says how it came out.
//! - Codes: E505 gone, E530 arguments, E54x commands and jobs, E55x drains, E56x objects, E59x faults of ours, E71x the
//!   cluster.

mod apply;
mod args;
mod chance;
mod context;
mod cordon;
mod delete;
mod drain;
mod evict;
mod exec;
mod failure;
mod job;
mod labels;
mod log;
mod mask;
mod node;
mod notify;
mod own;
pub mod ownership;
mod taints;
#[cfg(test)]
mod tests;
mod workload;

use crate::engine::event::Failure;
use args::Read;
use labels::Place;

pub use context::{Args, Attempt, Note, StepContext, Stop};
pub use drain::{Accounts, Stagger};
pub use notify::NOTIFY_ADDRESS;
pub use own::{KEEP_JOURNAL, lost_with};

/// What the mutation of a step replaces, captured before its intent; `None` for what replaces nothing.
///
/// # Errors
/// The attempt that is over before it began.
pub async fn pre_image(name: &str, args: &Args, context: &StepContext) -> Result<Option<serde_json::Value>, Attempt> {
    let captured = async {
        match name {
            "cordon" => cordon::pre_image(args, context).await.map(Some),
            "label" => labels::pre_image(Place::Labels, args, context).await.map(Some),
            "annotate" => labels::pre_image(Place::Annotations, args, context).await.map(Some),
            "taint" => taints::pre_image(args, context).await.map(Some),
            "scale" => workload::pre_image(args, context).await.map(Some),
            _ => Ok(None),
        }
    };
    tokio::select! {
        biased;
        captured = captured => captured,
        () = context.asked(Stop::Stop) => Err(Attempt::Interrupted),
        () = context.late() => Err(failure::late(name, args, context)),
    }
}

/// Carries out one attempt of a step whose intent is durable. The pre-image is for what puts it back, not for the step.
pub async fn perform(name: &str, args: &Args, _pre_image: Option<&serde_json::Value>, context: StepContext) -> Attempt {
    let context = &context;
    let attempt = match name {
        // These end by an interrupt class of their own, and say themselves what was left as their time was over.
        "exec" => exec::exec(args, context).await,
        "drain" => drain::drain(args, context).await,
        "job" => job::job(args, context).await,
        "apply" | "delete" | "delete_node" | "restart" => Ok(to_its_end(name, args, context).await),
        _ => Ok(at_once(name, args, context).await),
    };
    attempt.unwrap_or_else(|attempt| attempt)
}

/// An action that ends at once when it is asked to stop, and fails when its time is over.
async fn at_once(name: &str, args: &Args, context: &StepContext) -> Attempt {
    tokio::select! {
        biased;
        attempt = changed(name, args, context) => attempt.unwrap_or_else(|attempt| attempt),
        () = context.stopped() => Attempt::Interrupted,
        () = context.late() => failure::late(name, args, context),
    }
}

/// An action that is never interrupted: it ends, or its time is over. Left at once, its step stays open and is begun again.
async fn to_its_end(name: &str, args: &Args, context: &StepContext) -> Attempt {
    tokio::select! {
        biased;
        attempt = changed(name, args, context) => attempt.unwrap_or_else(|attempt| attempt),
        () = context.asked(Stop::Out) => Attempt::Interrupted,
        () = context.late() => failure::late(name, args, context),
    }
}

/// Puts back what an attempt of a step replaced, if the value is still ours; of a step that replaced nothing there is nothing
/// to do. One attempt, which ends at once when it is asked to stop.
pub async fn undo(name: &str, args: &Args, pre_image: Option<&serde_json::Value>, context: StepContext) -> Attempt {
    let context = &context;
    let Some(was) = pre_image else { return Attempt::Done { value: None, note: None } };
    let undone = async {
        match name {
            "cordon" => cordon::undo(args, was, context).await,
            "label" => labels::undo(Place::Labels, args, was, context).await,
            "annotate" => labels::undo(Place::Annotations, args, was, context).await,
            "taint" => taints::undo(args, was, context).await,
            "scale" => workload::undo(args, was, context).await,
            _ => Err(Attempt::Refused(Failure::new("E598", format!("nothing puts back what `{name}` did")))),
        }
    };
    tokio::select! {
        biased;
        attempt = undone => attempt.unwrap_or_else(|attempt| attempt),
        () = context.stopped() => Attempt::Interrupted,
        () = context.late() => failure::late(name, args, context),
    }
}

/// Removes what a step left behind, after its outcome is durable. Nothing depends on it: what is not removed goes by
/// itself.
pub async fn tidy(name: &str, args: &Args, context: &StepContext) {
    if name == "job" {
        job::tidy(args, context).await;
    }
}

async fn changed(name: &str, args: &Args, context: &StepContext) -> Read<Attempt> {
    match name {
        "cordon" => cordon::cordon(args, context).await,
        "uncordon" => cordon::uncordon(args, context).await,
        "label" => labels::set(Place::Labels, args, context).await,
        "annotate" => labels::set(Place::Annotations, args, context).await,
        "taint" => taints::taint(args, context).await,
        "untaint" => taints::untaint(args, context).await,
        "log" => log::log(args),
        "evict" => evict::evict(args, context).await,
        "restart" => workload::restart(args, context).await,
        "scale" => workload::scale(args, context).await,
        "apply" => apply::apply(args, context).await,
        "delete" => delete::delete(args, context).await,
        "delete_node" => delete::delete_node(args, context).await,
        "notify" => notify::notify(args, context).await,
        _ => Err(Attempt::Refused(Failure::new("E598", format!("this version does not carry out `{name}`")))),
    }
}
