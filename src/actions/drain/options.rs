//! What a drain is asked to do beside draining.

use crate::actions::args::{Read, choice, optional_duration};
use crate::actions::context::Args;

/// What to do about a pod that would lose something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// It stands in the way of the whole drain.
    Refused,
    /// The loss is accepted.
    Accepted,
}

/// What to do about pods of Jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jobs {
    /// They are evicted as all others.
    Evicted,
    /// They end by themselves, and are awaited.
    Awaited,
}

/// What to do about pods that no budget covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unbudgeted {
    /// A part of each workload at a time.
    Staggered,
    /// All at once, as kubectl does.
    Together,
}

/// The arguments beside the node and the closures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    /// Seconds that each pod has to end; its own where none is said.
    pub(super) grace: Option<i64>,
    /// About pods with an emptyDir, where no closure decides.
    pub(super) emptydir: Loss,
    /// About pods that nothing would start again.
    pub(super) orphans: Loss,
    /// About pods of Jobs.
    pub(super) jobs: Jobs,
    /// About pods that no budget covers.
    pub(super) unbudgeted: Unbudgeted,
}

impl Options {
    pub(super) fn read(args: &Args) -> Read<Self> {
        let loss = |name| -> Read<Loss> {
            let is_accepted = choice(args, name, &["refuse", "delete"])? == "delete";
            Ok(if is_accepted { Loss::Accepted } else { Loss::Refused })
        };
        let jobs = match choice(args, "jobs", &["evict", "finish"])? {
            "finish" => Jobs::Awaited,
            _ => Jobs::Evicted,
        };
        let unbudgeted = match choice(args, "unbudgeted", &["stagger", "together"])? {
            "together" => Unbudgeted::Together,
            _ => Unbudgeted::Staggered,
        };
        // A grace of less than a second is still one: zero would mean a pod that is removed before it has ended.
        let grace = optional_duration(args, "grace")?.map(|ms| ((ms + 999) / 1_000).max(1));
        Ok(Self { grace, emptydir: loss("emptydir")?, orphans: loss("orphans")?, jobs, unbudgeted })
    }
}
