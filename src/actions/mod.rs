//! Actions: what a step does to the world, one family a file.

mod args;
mod context;
mod exec;
mod log;
mod mask;

pub use context::{Args, Attempt, Note, StepContext, Stop};

/// What the mutation of a step replaces, captured before its intent; `None` for what replaces nothing.
///
/// # Errors
/// The attempt that is over before it began.
pub async fn pre_image(
    _name: &str,
    _args: &Args,
    _context: &StepContext,
) -> Result<Option<serde_json::Value>, Attempt> {
    todo!()
}

/// Carries out one attempt of a step whose intent is durable.
pub async fn perform(
    _name: &str,
    _args: &Args,
    _pre_image: Option<&serde_json::Value>,
    _context: StepContext,
) -> Attempt {
    todo!()
}
