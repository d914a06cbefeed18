//! The cluster in a box held against a real control plane: the same scenario played on both, through the same client, and
//! what was answered and what changed compared.
//!
//! A [`scenario`] is data: what there is, what is done, how long it is looked at. On the real control plane it has a
//! namespace and nodes of its own; in the box it begins with copies of these nodes. [`play`] acts and [`observe`] watches,
//! the same for both; [`names`] and [`words`] make names and texts comparable; a [`story`] says what became of each field of
//! each object, and when; [`compare`] finds what differs. A difference that is known is listed with its scenario, and the
//! trial fails once it is gone. `SPRAG_SHOW=1` shows all that was seen.
//!
//! Compared are: answers exactly, but for names, UIDs, versions and times; values in their order, each within 1.5 s and a
//! tenth of the time; nodes where there is no choice. Not compared: values that stood for less than 0.8 s, since controllers
//! that are faster or slower skip them, and who of two that go at once is served first.
//!
//! Known and met by no scenario, for chance decides it: where several budgets cover a pod, the real controller looks at one of
//! them, "chosen arbitrarily", as the pod changes, and the others stay as they were; in the box all of them follow.
//!
//! | | what | |
//! |---|---|---|
//! | T01 | without a budget a pod goes | compared |
//! | T02 | an eviction takes the credit of a budget | compared |
//! | T03 | a budget without credit refuses | compared |
//! | T04 | of two at once one is let go | compared: the codes, which of both is chance |
//! | T05 | two budgets are a mistake | compared |
//! | T06 | a pod that waits goes past its budget | compared |
//! | T07 | a finished pod goes at once | compared |
//! | T08 | a second eviction may only shorten | compared |
//! | T09 | an unready pod goes while enough others are ready | compared |
//! | T10 | an unready pod stays where too few are ready | compared |
//! | T11 | a budget that its controller has not seen | compared: of one that cannot be synchronised, for its controller cannot be stopped alone |
//! | T12 | dry runs, unknown fields | compared |
//! | T13 | bodies of other versions and of other pods | compared |
//! | T14 | preconditions | compared |
//! | T15 | what budgets count | compared: replicas of 1 to 7, all ready and none |
//! | T16 | pods of nobody | compared; their Event is left out, for Events are not watched |
//! | T17 | pods whose scale nobody tells | compared |
//! | T18 | a budget over two Deployments | compared |
//! | T19 | an eviction without consequence | compared; two minutes |
//! | T20 | selectors that cover all and nothing | compared |
//! | T21 | a cordoned node takes no pod | compared, to the words of 1.37 |
//! | T22 | an uncordoned node takes what waits | compared |
//! | T23 | spread over hosts | compared, with taints ignored and honored |
//! | T24 | spread over zones | compared, as a rule and as a wish |
//! | T25 | pods that keep apart | compared |
//! | T26 | a pod waits for cpus | compared, of one pod that waits: which of two is first is chance |
//! | T27 | too many pods, a port that is taken | compared |
//! | T28 | a pod waits for the node of its volume | compared |
//! | T29 | preemption | left out: the box says who would go and lets nobody go |
//! | T30 | a pod that is tried again without an event | left out: five minutes of nothing; `rehearse/tests/scheduler_queue.rs` holds it |
//! | T31 | when pods are replaced | compared: Deployment, StatefulSet, both policies of Jobs |
//! | T32 | StatefulSets, ordered and parallel | compared |
//! | T33 | a StatefulSet's update, two at a time | compared, as 1.37 does it; 1.36 is not built here |
//! | T34 | rollouts, rolling and recreating | compared |
//! | T35 | a daemon on a cordoned node | compared; what drains do with it is T40 |
//! | T36 | evicted pods of Jobs | compared, counted and not |
//! | T37 | EndpointSlices | left out: the box serves none |
//! | T38 | a node that is not ready | compared, where its kubelet says so; silence is left out, for the testbed renews all Leases at once |
//! | T39 | a node that is gone | compared; a minute and a half |
//! | T40 | kubectl's drain | compared, to its words; ours is held against it in `scenario_drains` |
//! | T41 | watches | compared, by their events |
//! | T42 | stale versions | compared |
//! | T43 | the grace of a deletion, finalizers | compared |
//! | T44 | what a deleted Deployment takes along | compared; not of the list |

mod budgets;
mod clusters;
mod compare;
mod evictions;
mod itself;
mod kubectl;
mod names;
mod nodes;
mod observe;
mod play;
mod protocol;
mod scenario;
mod scheduling;
mod story;
mod words;
mod workloads;

use crate::testbed::bed::Bed;
use libtest_mimic::Trial;
use std::sync::Arc;

/// A trial of each scenario; those first that take longest.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    let mut scenarios = [
        evictions::scenarios(),
        budgets::scenarios(),
        scheduling::scenarios(),
        workloads::scenarios(),
        nodes::scenarios(),
        protocol::scenarios(),
        kubectl::scenarios(),
    ]
    .concat();
    scenarios.sort_by(|one, other| other.look.total_cmp(&one.look));
    let each = scenarios.into_iter().map(|scenario| {
        let name = format!("differential::{}", scenario.name);
        bed.trial(&name, move |lab| clusters::run(lab, &scenario))
    });
    each.chain(itself::trials()).collect()
}
