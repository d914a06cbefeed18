//! The failures that every action can have: late, gone, not allowed, out of reach.

use crate::catalog::value::{ObjectRef, Value, format_duration};
use crate::cluster::RequestError;
use crate::engine::event::Failure;

use super::context::{Args, Attempt, StepContext};

/// The timeout of an action that was given none (LANGUAGE.md section 2), in milliseconds.
const TIMEOUT: i64 = 600_000;

/// The step's `timeout:` as a person wrote it.
pub(super) fn timeout(args: &Args) -> String {
    match args.get("timeout") {
        Some(Value::Duration(ms)) => format_duration(*ms),
        _ => format_duration(TIMEOUT),
    }
}

/// The attempt whose time is over.
pub(super) fn late(name: &str, args: &Args, context: &StepContext) -> Attempt {
    out_of_reach(context).unwrap_or_else(|| {
        let message = format!("`{name}` did not end within its timeout of {}", timeout(args));
        Attempt::Failed(
            Failure::new("E501", message).help("look at what it waited for, or give it a longer `timeout:`"),
        )
    })
}

/// The attempt that failed because the cluster does not answer, if it does not.
pub(super) fn out_of_reach(context: &StepContext) -> Option<Attempt> {
    let trouble = context.requests.trouble()?;
    Some(Attempt::Failed(Failure::new("E710", format!("the cluster is out of reach: {trouble}"))))
}

/// The attempt whose object is not there any more, or is another one of its name.
pub(super) fn gone(object: &ObjectRef) -> Attempt {
    let message = format!("{} `{object}` is gone or replaced", object.kind.word());
    Attempt::Refused(Failure::new("E505", message).help("run the playbook anew: it then takes what is there"))
}

/// The attempt that the server ended, told as what sprag was about to do: a verb and a resource of RBAC.
pub(super) fn by_server(error: RequestError, verb: &str, resource: &str) -> Attempt {
    match error {
        RequestError::Unauthorized(why) => {
            let failure = Failure::new("E711", format!("the login is not accepted any more: {why}"));
            Attempt::Failed(failure.help("log in to the cluster, then resume the run"))
        }
        RequestError::Forbidden(why) => {
            let failure = Failure::new("E712", format!("sprag may not {verb} `{resource}`: {why}"));
            Attempt::Refused(failure.help(format!("grant the verb `{verb}` on `{resource}`, then resume the run")))
        }
        RequestError::Fenced(why) => Attempt::Failed(
            Failure::new("E725", format!("the lock was lost: {why}"))
                .help("`sprag status` shows how the run stands; resume it once nobody else drives it"),
        ),
        RequestError::NotFound(why)
        | RequestError::Conflict(why)
        | RequestError::Invalid(why)
        | RequestError::Expired(why)
        | RequestError::Budget(why)
        | RequestError::Lost(why)
        | RequestError::Other(_, why) => {
            Attempt::Failed(Failure::new("E713", format!("the server did not {verb} `{resource}`: {why}")))
        }
    }
}
