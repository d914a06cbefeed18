//! The closures of a drain, asked about one pod: `only`, `emptydir`, `order`. They read the facts as they are now.

use std::sync::Arc;

use super::fate::{Fate, Obstacle, fate};
use super::options::{Loss, Options};
use super::run::reference;
use crate::actions::context::StepContext;
use crate::catalog::value::Value;
use crate::expr::{EvalError, FactSource};
use crate::facts::objects::Pod;

/// What is to be done about a pod, as the arguments and their closures say.
pub(super) fn judged(pod: &Pod, has_daemon_set: bool, options: &Options, context: &StepContext) -> Fate {
    let fate = match fate(pod, has_daemon_set, options) {
        Fate::Refused(Obstacle::EmptyDir) => match truth("emptydir", pod, context) {
            Some(Ok(true)) => fate(pod, has_daemon_set, &Options { emptydir: Loss::Accepted, ..*options }),
            Some(Err(unknown)) => Fate::Refused(unknown),
            Some(Ok(false)) | None => Fate::Refused(Obstacle::EmptyDir),
        },
        fate => fate,
    };
    if fate == Fate::Stays {
        return fate;
    }
    match truth("only", pod, context) {
        Some(Ok(false)) => Fate::Stays,
        Some(Err(unknown)) => Fate::Refused(unknown),
        Some(Ok(true)) | None => fate,
    }
}

/// The pod's key by `order`, or why it is not known; `None` where nothing is ordered.
pub(super) fn key(pod: &Pod, context: &StepContext) -> Option<Result<Value, String>> {
    ask("order", pod, context).map(|key| key.map_err(|error| error.to_string()))
}

fn truth(name: &'static str, pod: &Pod, context: &StepContext) -> Option<Result<bool, Obstacle>> {
    let why = match ask(name, pod, context)? {
        Ok(Value::Bool(truth)) => return Some(Ok(truth)),
        Ok(other) => format!("it is `{other}`"),
        Err(error) => error.to_string(),
    };
    Some(Err(Obstacle::Unknown { name, why }))
}

fn ask(name: &str, pod: &Pod, context: &StepContext) -> Option<Result<Value, EvalError>> {
    let closure = context.closures.get(name)?;
    let facts: Arc<dyn FactSource> = Arc::new(context.facts.clone());
    Some(closure.call(Value::Object(Arc::new(reference(pod))), &facts))
}
