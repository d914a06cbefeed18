//! `drain`: a cordoned node's pods go through the Eviction API, and the step ends when they are gone.
//!
//! - Nothing is evicted before all that stands in the way was told; nothing is ever deleted past a budget.
//! - A pod is its UID: gone means that UID, and one accepted eviction of it is enough.
//! - [`state::Drain`] decides and is pure; [`run`] asks the server and the facts and tells it what they said.
//!
//! | file | does |
//! |---|---|
//! | `options` | arguments |
//! | `asked` | the closures among them |
//! | `fate` | which pods go, stay, or stand in the way |
//! | `stagger` | how many of a workload without a budget are out at a time |
//! | `ledger` | how many evictions a budget has left for us |
//! | `state` | what was done about each pod, and what is next |
//! | `run` | the loop around it |
//! | `budgets` | budgets that never allow it, and the check of what the cache shows of them |
//! | `evict` | one eviction on the wire |
//! | `missing` | StatefulSets that cannot create replacements |
//! | `told` | what people read: waiting lines, failures, the note |

mod asked;
mod budgets;
mod evict;
mod fate;
mod ledger;
mod missing;
mod options;
mod run;
mod stagger;
mod state;
#[cfg(test)]
mod tests;
mod told;

use super::args::{Read, object};
use super::context::{Args, Attempt, StepContext};
use super::failure::{late, out_of_reach};
use super::own::check_own_node;
use options::Options;
use run::Running;

pub(super) use evict::evict;
pub use ledger::Accounts;
pub use stagger::Stagger;
pub(super) use state::Answer;

/// Evicts the pods of a node and waits until they are gone. When it is asked to stop it posts no further eviction; when
/// its time is over nothing is forced.
pub(super) async fn drain(args: &Args, context: &StepContext) -> Read<Attempt> {
    let node = object(args, "node")?;
    let options = Options::read(args)?;
    check_own_node(&node, context.own.as_deref())?;
    let mut running = tokio::select! {
        biased;
        begun = Running::begin(&node, &options, context) => begun?,
        () = context.stopped() => return Ok(Attempt::Interrupted),
        () = context.late() => return Ok(late("drain", args, context)),
    };
    tokio::select! {
        biased;
        attempt = running.finish() => attempt,
        () = context.stopped() => {
            running.settle().await;
            Ok(Attempt::Interrupted)
        }
        () = context.late() => Ok(out_of_reach(context).unwrap_or_else(|| running.late(args))),
    }
}
