//! What people read of a drain: what it waits for, why it failed, what it left.

use std::collections::BTreeSet;

use super::fate::Obstacle;
use super::state::{Drain, Stage, Tracked};
use crate::actions::context::Attempt;
use crate::catalog::value::ObjectRef;
use crate::engine::event::Failure;
use crate::facts::Facts;
use crate::why::{self, Reason};

/// How many lines say what it waits for.
const LINES: usize = 6;

/// The node is schedulable as the drain begins.
pub(super) fn open(node: &ObjectRef) -> Attempt {
    let message = format!("node `{node}` is schedulable: what is evicted from it could come back");
    Attempt::Refused(Failure::new("E551", message).help("`cordon(node)` before `drain(node)`"))
}

/// The node was made schedulable while it was drained.
pub(super) fn opened(node: &ObjectRef) -> Attempt {
    let message = format!("node `{node}` was made schedulable while it was drained: no further pod is evicted");
    Attempt::Refused(
        Failure::new("E551", message).help("find out who uncordoned it; `cordon(node)` before `drain(node)`"),
    )
}

/// Pods that would lose something, as the drain begins or later: nothing further is evicted.
pub(super) fn refused(node: &ObjectRef, obstacles: &[(String, Obstacle)], evicted: usize) -> Attempt {
    let nothing = if evicted == 0 { "nothing" } else { "nothing more" };
    let pods = match obstacles.len() {
        1 => "a pod stands".to_owned(),
        count => format!("{count} pods stand"),
    };
    let message = format!("drain of `{node}` evicts {nothing}: {pods} in the way");
    let told = obstacles.iter().fold(Failure::new("E550", message), |failure, (pod, obstacle)| {
        failure.detail(format!("{pod} {}", obstacle.why()))
    });
    let accepted: BTreeSet<&str> = obstacles.iter().filter_map(|(_, obstacle)| obstacle.accepted_by()).collect();
    let accepted = accepted.into_iter().collect::<Vec<_>>().join(" and ");
    Attempt::Refused(told.help(match accepted.as_str() {
        "" => "say in the closure what holds then: `… ?? …`".to_owned(),
        accepted => format!("move them away yourself, or accept the loss with {accepted}"),
    }))
}

/// A reason that no waiting can mend.
pub(super) fn cannot_end(node: &ObjectRef, reason: &Reason, evicted: usize) -> Attempt {
    // What is the matter stands in the headline, because of what below it.
    let (what, because) = reason.why.split_once(": ").unwrap_or((&reason.why, ""));
    let failure = Failure::new(reason.code, format!("drain of `{node}` cannot end: {what}"));
    let mut failure = failure.detail(format!("who    {}", reason.who.join(", ")));
    if !because.is_empty() {
        failure = failure.detail(format!("why    {because}"));
    }
    let done = match evicted {
        0 => "nothing was evicted from it".to_owned(),
        count => format!("{count} evicted before, nothing was forced"),
    };
    failure = failure.detail(format!("state  `{node}` stays cordoned, {done}"));
    failure.help.clone_from(&reason.help);
    Attempt::Refused(failure)
}

/// The time is over: the reason of each pod that is left. Nothing is forced.
pub(super) fn late(node: &ObjectRef, timeout: &str, drain: &Drain, reasons: &[Reason], now: i64) -> Attempt {
    let left = match drain.left().count() {
        0 => "its pods are gone".to_owned(),
        1 => "1 pod is left".to_owned(),
        count => format!("{count} pods are left"),
    };
    let message = format!("drain of `{node}` did not end within its timeout of {timeout}: {left}");
    let lines = reasons.iter().flat_map(|reason| reason.details(now));
    let failure = lines.fold(Failure::new("E552", message), Failure::detail);
    let mut failure = failure.detail(format!("state  `{node}` stays cordoned, {}, nothing was forced", evicted(drain)));
    failure.help = reasons.iter().find_map(|reason| reason.help.clone());
    Attempt::Failed(failure)
}

/// `3 evicted`, and how many went without us.
fn evicted(drain: &Drain) -> String {
    match drain.counted().by_others {
        0 => format!("{} evicted", drain.evicted),
        others => format!("{} evicted, {others} gone by others", drain.evicted),
    }
}

/// Every pod is gone; those that others took away are counted, and what came back is named.
pub(super) fn done(drain: &Drain) -> Attempt {
    let returned: Vec<String> = drain.returned.iter().map(|name| format!("`{name}`")).collect();
    let verb = if returned.len() == 1 {
        "tolerates the cordon, came back and is left"
    } else {
        "tolerate the cordon, came back and are left"
    };
    let returned = (!returned.is_empty()).then(|| format!("{} {verb}", returned.join(", ")));
    let pods = drain.counted();
    let by_others = (pods.by_others > 0).then(|| pods.to_string());
    let notes: Vec<String> = by_others.into_iter().chain(returned).collect();
    Attempt::Done { value: None, note: (!notes.is_empty()).then(|| notes.join("; ")) }
}

/// Why the pods that are left are not gone: those that a budget holds first.
pub(super) fn reasons(drain: &Drain, facts: &Facts, now: i64) -> Vec<Reason> {
    let held = drain.held().into_iter().flat_map(|(budget, who)| why::held_by(facts, &budget, who, now));
    let going = drain.left().filter(|tracked| tracked.stage == Stage::Goes).map(|tracked| going(tracked, now));
    let staggered = drain.left().filter(|tracked| matches!(tracked.stage, Stage::Waits(_)) && !tracked.ends);
    let staggered = staggered.filter_map(|tracked| Some((tracked, tracked.waits.clone()?)));
    let waits = staggered.flat_map(|(tracked, reason)| match reason.code {
        "W108" => why::staggered_by(facts, &tracked.pod, reason),
        _ => vec![reason],
    });
    let asked = drain.left().filter_map(|tracked| match tracked.stage {
        Stage::Posted => Some(plain(tracked, "its eviction is asked for")),
        Stage::Waits(_) if tracked.ends => Some(why::ends_by_itself(&tracked.pod)),
        Stage::Waits(_) if tracked.waits.is_none() && !tracked.is_held() => {
            Some(plain(tracked, "its eviction is asked for again soon"))
        }
        Stage::Waits(_) | Stage::Goes | Stage::Gone => None,
    });
    let mut reasons: Vec<Reason> = Vec::new();
    for reason in held.chain(waits).chain(going).chain(asked) {
        // Two budgets can wait for the same pod, and two pods for the same reason.
        let is_same =
            |other: &&mut Reason| (other.code, &other.why, other.since) == (reason.code, &reason.why, reason.since);
        match reasons.iter_mut().find(is_same) {
            Some(same) => {
                let who = reason.who.into_iter().filter(|name| !same.who.contains(name)).collect::<Vec<_>>();
                same.who.extend(who);
            }
            None => reasons.push(reason),
        }
    }
    reasons
}

fn going(tracked: &Tracked, now: i64) -> Reason {
    why::terminating(&tracked.pod, now).unwrap_or_else(|| plain(tracked, "is evicted and about to go"))
}

fn plain(tracked: &Tracked, why: &str) -> Reason {
    let who = vec![why::pod_name(&tracked.pod)];
    Reason { code: "W104", who, why: why.to_owned(), since: None, help: None }
}

/// One line for each reason, and how many more there are.
pub(super) fn waiting(reasons: &[Reason], now: i64) -> Vec<String> {
    let shown = if reasons.len() > LINES { LINES - 1 } else { LINES };
    let mut lines: Vec<String> = reasons.iter().take(shown).map(|reason| reason.line(now)).collect();
    if let Some(more @ 1..) = reasons.len().checked_sub(shown) {
        lines.push(format!("and {more} more"));
    }
    lines
}
