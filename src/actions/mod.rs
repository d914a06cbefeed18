//! Actions: what a step does to the world, one family a file.
//!
//! - Nothing here is done twice unseen: what mutates reads first, and its patches test what they replace.
//! - Nothing here decides when a step is tried again: an action makes one attempt and says how it came out.
//! - Codes: E505 gone, E530 arguments, E54x commands, E55x drains, E56x nodes, E59x faults of ours, E71x the cluster.

mod args;
mod chance;
mod context;
mod cordon;
mod drain;
mod exec;
mod failure;
mod labels;
mod log;
mod mask;
mod node;
mod own;
pub mod ownership;
mod taints;
#[cfg(test)]
mod tests;

use crate::engine::event::Failure;
use args::Read;
use labels::Place;

pub use context::{Args, Attempt, Note, StepContext, Stop};
pub use drain::Stagger;
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
        // These two end by an interrupt class of their own, and say themselves what was left as their time was over.
        "exec" => exec::exec(args, context).await,
        "drain" => drain::drain(args, context).await,
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

async fn changed(name: &str, args: &Args, context: &StepContext) -> Read<Attempt> {
    match name {
        "cordon" => cordon::cordon(args, context).await,
        "uncordon" => cordon::uncordon(args, context).await,
        "label" => labels::set(Place::Labels, args, context).await,
        "annotate" => labels::set(Place::Annotations, args, context).await,
        "taint" => taints::taint(args, context).await,
        "untaint" => taints::untaint(args, context).await,
        "log" => log::log(args),
        _ => Err(Attempt::Refused(Failure::new("E598", format!("this version does not carry out `{name}`")))),
    }
}
