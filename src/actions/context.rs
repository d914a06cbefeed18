//! What an action is given: the way to the cluster, the facts, and the way back to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::catalog::value::Value;
use crate::cluster::{OwnPlace, Requests};
use crate::engine::event::{Failure, Id, Process, Progress};
use crate::engine::observe::PodsGone;
use crate::expr::Closure;
use crate::facts::SharedFacts;
use crate::outside::Outside;

use super::drain::{Accounts, Stagger};
use super::ownership::KnownRuns;

/// How far a step is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// End by the interrupt class: waits at once, a drain posts no further eviction, commands are awaited.
    Stop,
    /// Out at once: commands get SIGTERM, and their steps stay open.
    Out,
}

/// What a step tells the engine while it runs.
#[derive(Debug)]
pub enum Note {
    /// Goes into the journal with the next flush, and nobody waits for it.
    Progress(Id, Progress),
    /// Goes into the journal now; the sender is answered once it is durable.
    Durable(Id, Progress, oneshot::Sender<()>),
    /// For the screen alone: what it waits for, a line each, most important first. Replaces what was said before.
    Waiting(Id, Vec<String>),
    /// For the screen alone: a line that a command wrote, already masked.
    Output(Id, String),
    /// For the screen alone: how far a drain is.
    Counted(Id, PodsGone),
}

/// One attempt of one step.
#[derive(Clone)]
pub struct StepContext {
    /// The way to the cluster.
    pub requests: Requests,
    /// What is known of it.
    pub facts: SharedFacts,
    /// Clock and processes.
    pub outside: Outside,
    /// The run's id.
    pub run: Arc<str>,
    /// The step's id.
    pub step: Id,
    /// From 1.
    pub attempt: u32,
    /// The run's own number: for jittered pauses, and for the key of its marks.
    pub seed: u64,
    /// Where sprag itself runs, if that is in the cluster.
    pub own: Option<Arc<OwnPlace>>,
    /// The runs that are known here.
    pub runs: Arc<dyn KnownRuns>,
    /// Unix milliseconds at which the attempt has failed; it moves when attended time stands still. Once its sender is
    /// gone nobody wants the attempt any more: it stops as if asked to.
    pub deadline: watch::Receiver<i64>,
    /// Whether to stop.
    pub stop: watch::Receiver<Stop>,
    /// The way back.
    pub notes: mpsc::UnboundedSender<Note>,
    /// Texts of the secret parameters, by name.
    pub secrets: Arc<BTreeMap<String, String>>,
    /// The namespace of what names none.
    pub namespace: Arc<str>,
    /// Added to a command's environment: `KUBECONFIG` of the chosen context.
    pub environment: Arc<Vec<(String, String)>>,
    /// Arguments that are closures, by parameter; the others are values.
    pub closures: Arc<BTreeMap<String, Closure>>,
    /// What the drains of the run have out of workloads that no budget covers.
    pub stagger: Arc<Stagger>,
    /// What the drains of the run draw on budgets.
    pub accounts: Arc<Accounts>,
    /// A process that an earlier driver started for this attempt and that may be alive.
    pub process: Option<Process>,
    /// Whether a `done when` tells the step's effect, whatever the action says.
    pub has_effect: bool,
}

/// The arguments of a step, put together: parameter to value.
pub type Args = BTreeMap<String, Value>;

/// How an attempt came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Attempt {
    /// It did what it was to do.
    Done {
        /// Its result, for `record`.
        value: Option<Value>,
        /// What a person should know.
        note: Option<String>,
    },
    /// It failed; `retry` may begin another.
    Failed(Failure),
    /// It failed in a way that no further attempt can mend, such as a refusal.
    Refused(Failure),
    /// It stopped because it was asked to, in a way that lets it be begun again.
    Interrupted,
    /// It cannot be told whether it happened.
    InDoubt(String),
}

impl StepContext {
    /// Tells the engine; a driver that is gone does not listen, and nothing is lost by that.
    pub fn note(&self, note: Note) {
        let _ = self.notes.send(note);
    }

    /// Says what the step waits for.
    pub fn waiting(&self, lines: Vec<String>) {
        self.note(Note::Waiting(self.step.clone(), lines));
    }

    /// Writes progress into the journal and waits until it is durable; false if the driver is gone.
    pub async fn durable(&self, progress: Progress) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.note(Note::Durable(self.step.clone(), progress, sender));
        receiver.await.is_ok()
    }

    /// Unix milliseconds.
    pub(crate) fn now(&self) -> i64 {
        self.outside.clock.now()
    }

    /// Milliseconds until the attempt has failed for being late.
    pub(crate) fn left(&self) -> i64 {
        (*self.deadline.borrow() - self.now()).max(0)
    }

    /// Comes back once the attempt is late, however often the deadline moves before.
    pub(crate) async fn late(&self) {
        let mut deadline = self.deadline.clone();
        loop {
            let left = *deadline.borrow_and_update() - self.now();
            if left <= 0 {
                return;
            }
            let left = Duration::from_millis(left.unsigned_abs());
            tokio::select! {
                biased;
                () = tokio::time::sleep(left) => {}
                Ok(()) = deadline.changed() => {}
            }
        }
    }

    /// Comes back once the step is asked to stop, or nobody wants its end any more.
    pub(crate) async fn stopped(&self) {
        let mut deadline = self.deadline.clone();
        tokio::select! {
            biased;
            () = self.asked(Stop::Stop) => {}
            () = async { while deadline.changed().await.is_ok() {} } => {}
        }
    }

    /// Comes back once the step is asked to stop at least that far, or its driver is gone.
    pub(crate) async fn asked(&self, far: Stop) {
        let _ = self.stop.clone().wait_for(|stop| *stop >= far).await;
    }

    /// Whether the step is asked to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stop.borrow() != Stop::No || self.deadline.has_changed().is_err()
    }
}
