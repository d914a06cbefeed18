//! The loop: selects over finished steps, notes of running ones, changed facts, timers and signals, turns each into
//! events, appends, applies, asks the state what can begin, begins it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::actions::ownership::KnownRuns;
use crate::actions::{Accounts, Args, Attempt, Note, Stagger, Stop};
use crate::catalog::value::Value;
use crate::cluster::lock::{Fence, LockLost};
use crate::cluster::{OwnPlace, RequestError, Requests};
use crate::expr::{Bindings, Compiled, EvalError, FactSource};
use crate::facts::SharedFacts;
use crate::facts::reads::Reads;
use crate::journal::{JournalError, Record, Store};
use crate::outside::Outside;
use crate::plan::graph::{Code, Graph, NodeKind};

use super::absence::ABSENT_AFTER;
use super::event::{Event, Failure, HaltReason, Id, Outcome, Progress, RunOutcome};
use super::gate::LiveGate;
use super::guards::LiveGuard;
use super::locate::{Located, locate};
use super::next::Status;
use super::observe::Observer;
use super::people::Letter;
use super::state::{IllegalEvent, Phase, RunState, StepStatus};

/// A condition is evaluated at most this often, in milliseconds.
pub(super) const EVALUATE_EVERY: i64 = 100;
/// How often a driver leaves a sign of life.
const HEARTBEAT: i64 = 5_000;
/// An append that takes longer is shown.
const SLOW_APPEND: Duration = Duration::from_secs(5);
/// An append that takes longer halts the run.
const HUNG_APPEND: Duration = Duration::from_secs(20);
/// How long a run that is over waits for what removes leftovers.
const TIDY_AT_END: Duration = Duration::from_secs(5);

/// What a person can set about how a run is carried out; times in milliseconds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For how long what needs an answer waits for facts that are unknown.
    pub blind_after: i64,
    /// For how long a cluster that is out of reach is awaited.
    pub give_up_after: i64,
    /// Whether a difference between the plan and what is there halts the run.
    pub exact: bool,
    /// The run is left alone once nothing in it needs watching for so long.
    pub park: Option<i64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { blind_after: 300_000, give_up_after: 1_800_000, exact: false, park: None }
    }
}

/// Everything that a run needs.
pub struct Run {
    /// Its id.
    pub id: Arc<str>,
    /// What is carried out.
    pub graph: Arc<Graph>,
    /// What the journal holds so far.
    pub records: Vec<Record<Event>>,
    /// The journal.
    pub store: Arc<dyn Store<Event>>,
    /// The way to the cluster.
    pub requests: Requests,
    /// Whether this process may still drive the run.
    pub fence: Fence,
    /// What is known of it, already in step with it.
    pub facts: SharedFacts,
    /// Clock and processes.
    pub outside: Outside,
    /// Texts of the secret parameters.
    pub secrets: BTreeMap<String, String>,
    /// The namespace of what names none.
    pub namespace: Arc<str>,
    /// Added to the environment of commands.
    pub environment: Vec<(String, String)>,
    /// For every choice that is left to chance, of a run that begins.
    pub seed: u64,
    /// When a driver was last there (Unix milliseconds), of a run that is resumed.
    pub last_seen: i64,
    /// This host's name and process.
    pub host: (String, u32),
    /// Where sprag itself runs, if that is in the cluster.
    pub own: Option<Arc<OwnPlace>>,
    /// The runs that are known here.
    pub runs: Arc<dyn KnownRuns>,
    /// How it is carried out.
    pub settings: Settings,
    /// What people say meanwhile.
    pub letters: mpsc::UnboundedReceiver<Letter>,
}

/// How a driver came to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Over for good.
    Ended(RunOutcome),
    /// Let go; `resume` goes on.
    Halted(HaltReason),
}

impl Ending {
    /// The exit code that stands for it (LANGUAGE.md section 8); `is_stuck` says that an undo did not succeed.
    pub fn exit_code(&self, is_stuck: bool) -> u8 {
        match self {
            Self::Ended(RunOutcome::Done) => 0,
            Self::Halted(HaltReason::StepFailed) => 10,
            Self::Halted(HaltReason::Guard { .. }) => 11,
            Self::Halted(HaltReason::Asks) => 12,
            Self::Halted(HaltReason::OutOfReach { .. }) => 13,
            Self::Halted(HaltReason::Interrupted { .. } | HaltReason::Parked { .. }) => 14,
            Self::Ended(RunOutcome::RolledBack) if is_stuck => 21,
            Self::Ended(RunOutcome::RolledBack) => 20,
            Self::Ended(RunOutcome::Aborted) => 22,
        }
    }
}

/// Why a driver could not go on; nothing was done to the cluster after it.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The journal could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal says what cannot be: it is damaged, or sprag is at fault.
    #[error("the journal says what cannot be: {0}")]
    Illegal(#[from] IllegalEvent),
    /// The lock is not ours any more: another may drive the run.
    #[error("the lock is lost: {0}")]
    LockLost(LockLost),
    /// An append did not come back for 20 s.
    #[error("the journal's disk does not answer: an append has been waiting for 20s")]
    Hung,
}

/// Carries out a run until it is over or has to be let go. `signals` brings the names of signals as they come.
pub async fn drive(
    run: Run,
    signals: mpsc::UnboundedReceiver<String>,
    observer: &mut dyn Observer,
) -> Result<Ending, DriveError> {
    let mut driver = Driver::new(run, observer)?;
    driver.begin().await?;
    driver.run(signals).await
}

/// Folds records into a state, as `status` and a resume do.
pub fn fold(graph: Arc<Graph>, records: &[Record<Event>]) -> Result<RunState, IllegalEvent> {
    let mut state = RunState::new(graph);
    for record in records {
        state.apply(record.at, &record.event)?;
    }
    Ok(state)
}

/// The evictions that a journal holds of pods that no budget covers: when, the workload's UID, the pod's.
fn evicted(records: &[Record<Event>]) -> impl Iterator<Item = (i64, &str, &str)> {
    records.iter().filter_map(|record| match &record.event {
        Event::StepProgress { progress: Progress::Evicted { pod, workload: Some(workload) }, .. } => {
            Some((record.at, workload.as_str(), pod.uid.as_str()))
        }
        _ => None,
    })
}

/// What a task of the driver came to.
pub(super) enum Finished {
    /// The pre-image of a step is known: its intent can be written.
    Prepared { step: Id, args: Args, pre_image: Result<Option<serde_json::Value>, Attempt> },
    /// An attempt is over.
    Performed { step: Id, attempt: Attempt },
    /// What was to be decided on was read again from the server.
    Confirmed { what: Confirming, result: Result<(), RequestError> },
}

/// How an action under way is told of its time and of a stop.
pub(super) struct Performing {
    /// When its time is over, Unix milliseconds.
    pub(super) deadline: watch::Sender<i64>,
    /// How far it is asked to stop.
    pub(super) stop: watch::Sender<Stop>,
}

/// What waits for a confirming read (ARCHITECTURE.md, "Freshness").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Confirming {
    /// A gate that is about to be decided.
    Gate(Id),
    /// A guard that is about to fire.
    Guard(Id),
    /// An element of a rollout, by index, whose turn has come.
    Element(Id, usize),
}

pub(super) struct Driver<'o> {
    pub(super) run: Run,
    pub(super) state: RunState,
    pub(super) observer: &'o mut dyn Observer,
    /// Steps whose pre-image is being captured.
    pub(super) preparing: BTreeSet<Id>,
    /// Actions under way.
    pub(super) performing: BTreeMap<Id, Performing>,
    /// Gates, waits and records under way.
    pub(super) gates: BTreeMap<Id, LiveGate>,
    /// Guards in force.
    pub(super) guards: BTreeMap<Id, LiveGuard>,
    /// `done when` of actions under way.
    pub(super) effects: BTreeMap<Id, LiveGate>,
    /// Since when an answer that is needed is unknown, and when it was last asked for.
    pub(super) blind: BTreeMap<Id, Blind>,
    /// Elements whose object is being read again (false), or was (true) and may begin.
    pub(super) confirmed: BTreeMap<(Id, usize), bool>,
    pub(super) tasks: JoinSet<Finished>,
    /// Actions that remove what they left behind.
    pub(super) tidying: JoinSet<()>,
    pub(super) notes: mpsc::UnboundedSender<Note>,
    received: mpsc::UnboundedReceiver<Note>,
    pub(super) stop: watch::Sender<Stop>,
    pub(super) source: Arc<dyn FactSource>,
    compiled: HashMap<String, Compiled>,
    pub(super) secrets: Arc<BTreeMap<String, String>>,
    pub(super) environment: Arc<Vec<(String, String)>>,
    pub(super) stagger: Arc<Stagger>,
    /// What its drains draw on budgets.
    pub(super) accounts: Arc<Accounts>,
    held: BTreeSet<String>,
    /// Since when the server refuses to let us read what the run needs.
    pub(super) refused: Option<i64>,
    beat: i64,
    /// When the loop last knew itself awake, and until when nobody was there.
    pub(super) awake: i64,
    pub(super) absent_until: i64,
    /// Why the run has to be let go, once nothing is under way any more.
    pub(super) halting: Option<HaltReason>,
}

/// An answer that is needed and not known.
pub(super) struct Blind {
    pub(super) since: i64,
    pub(super) asked: i64,
}

impl<'o> Driver<'o> {
    fn new(mut run: Run, observer: &'o mut dyn Observer) -> Result<Self, DriveError> {
        let state = fold(run.graph.clone(), &run.records)?;
        let (notes, received) = mpsc::unbounded_channel();
        let secrets = Arc::new(std::mem::take(&mut run.secrets));
        let environment = Arc::new(std::mem::take(&mut run.environment));
        let stagger = Arc::new(Stagger::resumed(evicted(&run.records), &run.facts));
        let source: Arc<dyn FactSource> = Arc::new(run.facts.clone());
        let now = run.outside.clock.now();
        Ok(Self {
            run,
            state,
            observer,
            preparing: BTreeSet::new(),
            performing: BTreeMap::new(),
            gates: BTreeMap::new(),
            guards: BTreeMap::new(),
            effects: BTreeMap::new(),
            blind: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            tasks: JoinSet::new(),
            tidying: JoinSet::new(),
            notes,
            received,
            stop: watch::Sender::new(Stop::No),
            source,
            compiled: HashMap::new(),
            secrets,
            environment,
            stagger,
            accounts: Arc::default(),
            held: BTreeSet::new(),
            refused: None,
            beat: 0,
            awake: now,
            absent_until: 0,
            halting: None,
        })
    }

    pub(super) fn now(&self) -> i64 {
        self.run.outside.clock.now()
    }

    /// The first events of a driver, and what an earlier one left under way.
    async fn begin(&mut self) -> Result<(), DriveError> {
        let now = self.now();
        let mut events = Vec::new();
        let mut absent = 0;
        if self.state.phase == Phase::New {
            let whole = self.run.facts.read(|facts| facts.whole());
            events.push(Event::RunStarted { digest: self.run.graph.digest.clone(), seed: self.run.seed, whole });
        } else {
            // While the cluster was out of reach nobody was there for it either.
            let seen = self.run.last_seen.max(self.state.last_driven);
            absent = (now - self.state.out_of_reach.map_or(seen, |since| since.min(seen))).max(0);
        }
        events.push(Event::DriverStarted {
            driver: self.state.driver + 1,
            host: self.run.host.0.clone(),
            pid: self.run.host.1,
            sprag: env!("CARGO_PKG_VERSION").to_owned(),
            absent,
        });
        self.emit(events).await?;
        self.show_run_to_facts(true);
        if self.state.abort.is_some() {
            self.stop_for_abort().await?;
        }
        let open: Vec<Id> = self
            .state
            .steps
            .iter()
            .filter(|(_, step)| step.status == StepStatus::Running)
            .map(|(id, _)| id.clone())
            .collect();
        for id in open {
            self.take_up(&id).await?;
        }
        Ok(())
    }

    async fn run(&mut self, mut signals: mpsc::UnboundedReceiver<String>) -> Result<Ending, DriveError> {
        let mut changed = self.run.facts.changed();
        let fence = self.run.fence.clone();
        let lost = fence.lost();
        tokio::pin!(lost);
        loop {
            self.advance().await?;
            if let Some(ending) = self.ending().await? {
                // What is left behind then goes by itself.
                let _ = tokio::time::timeout(TIDY_AT_END, async { while self.tidying.join_next().await.is_some() {} })
                    .await;
                return Ok(ending);
            }
            if self.goes_on_aborting() {
                continue;
            }
            let now = self.now();
            let wake = self.next_wake(now);
            tokio::select! {
                biased;
                lost = &mut lost => return Err(DriveError::LockLost(lost)),
                Some(signal) = signals.recv() => self.on_signal(signal).await?,
                Some(letter) = self.run.letters.recv() => self.on_letter(letter).await?,
                Some(note) = self.received.recv() => self.on_notes(note).await?,
                Some(finished) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    // A task that panicked is a fault of ours: it goes on as a panic of the whole.
                    match finished {
                        Ok(finished) => self.on_finished(finished).await?,
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    }
                }
                () = changed.changed() => self.look_at_gates().await?,
                () = tokio::time::sleep(Duration::from_millis(u64::try_from(wake - now).unwrap_or(0))) => {
                    self.on_timer().await?;
                }
            }
        }
    }

    /// Appends events, and once they are durable applies and shows them.
    pub(super) async fn emit(&mut self, events: Vec<Event>) -> Result<(), DriveError> {
        if events.is_empty() {
            return Ok(());
        }
        let at = self.now().max(self.state.last);
        // Folded before it is written, so that what cannot follow never gets into the journal. Nothing acts on the new
        // state before the append is durable: this function is awaited first.
        for event in &events {
            self.state.apply(at, event)?;
        }
        let append = self.run.store.append(events, at);
        tokio::pin!(append);
        let records = match tokio::time::timeout(SLOW_APPEND, &mut append).await {
            Ok(records) => records?,
            Err(_) => {
                self.observer.remark("the journal's disk is slow: an append has been waiting for 5s");
                match tokio::time::timeout(HUNG_APPEND - SLOW_APPEND, &mut append).await {
                    Ok(records) => records?,
                    Err(_) => return Err(DriveError::Hung),
                }
            }
        };
        for record in &records {
            self.observer.event(record, &self.state);
        }
        // Many events in one turn of the loop are no absence.
        let now = self.now();
        if now - self.awake < ABSENT_AFTER {
            self.awake = now;
        }
        self.show_run_to_facts(false);
        Ok(())
    }

    /// Lets the facts know which nodes this run has under way, and what was whole when it began.
    fn show_run_to_facts(&mut self, first: bool) {
        let held = self.state.held_nodes();
        if first || held != self.held {
            self.held.clone_from(&held);
            let (started, whole) = (self.state.started, self.state.whole.clone());
            self.run.facts.set_run(started, whole, held);
        }
    }

    /// Asks everything under way to stop at least that far.
    pub(super) fn ask_to_stop(&self, far: Stop) {
        for stop in self.performing.values().map(|one| &one.stop).chain([&self.stop]) {
            stop.send_if_modified(|stop| {
                let is_more = *stop < far;
                *stop = far.max(*stop);
                is_more
            });
        }
    }

    async fn on_signal(&mut self, signal: String) -> Result<(), DriveError> {
        if *self.stop.borrow() == Stop::No {
            self.ask_to_stop(Stop::Stop);
            self.observer.remark(&format!("{signal}: stopping; once more to leave at once"));
            self.halting = Some(HaltReason::Interrupted { signal: signal.clone() });
            if matches!(self.state.phase, Phase::Running) {
                self.emit(vec![Event::StopRequested { signal }]).await?;
            }
            return self.end_gates().await;
        }
        self.ask_to_stop(Stop::Out);
        self.observer.remark("leaving at once: commands are ended, their steps stay open");
        Ok(())
    }

    /// Ends everything that only waits; its steps can be begun again.
    pub(super) async fn end_gates(&mut self) -> Result<(), DriveError> {
        self.end_gates_of(|driver, id| !driver.keeps_its_time(id)).await?;
        self.gates.clear();
        Ok(())
    }

    /// Ends what only waits of some steps.
    pub(super) async fn end_gates_of(&mut self, is_to_end: impl Fn(&Self, &Id) -> bool) -> Result<(), DriveError> {
        let retrying = self.state.steps.iter().filter(|(_, step)| matches!(step.status, StepStatus::Retrying(_)));
        let waiting = self.gates.keys().chain(retrying.map(|(id, _)| id));
        let ended: Vec<Id> = waiting.filter(|id| is_to_end(self, id)).cloned().collect();
        self.gates.retain(|id, _| !ended.contains(id));
        let events = ended.into_iter().map(|step| Event::StepEnded { step, outcome: Outcome::Interrupted }).collect();
        self.emit(events).await
    }

    /// A `wait D` or a question that is stopped stays begun: its time runs whether or not sprag does. Not in a run that was
    /// given up.
    fn keeps_its_time(&self, id: &str) -> bool {
        let keeps =
            |located: Located<'_>| matches!(located.node.kind, NodeKind::Wait { .. } | NodeKind::Approve { .. });
        self.state.abort.is_none() && locate(&self.state.graph, id).is_some_and(keeps)
    }

    async fn on_notes(&mut self, first: Note) -> Result<(), DriveError> {
        let mut notes = vec![first];
        while let Ok(note) = self.received.try_recv() {
            notes.push(note);
        }
        let mut events = Vec::new();
        let mut answers: Vec<oneshot::Sender<()>> = Vec::new();
        for note in notes {
            match note {
                Note::Progress(step, progress) => events.push(Event::StepProgress { step, progress }),
                Note::Durable(step, progress, answer) => {
                    events.push(Event::StepProgress { step, progress });
                    answers.push(answer);
                }
                Note::Waiting(step, lines) => self.observer.waiting(&step, &lines),
                Note::Output(step, line) => self.observer.output(&step, &line),
                Note::Counted(step, pods) => self.observer.counted(&step, pods),
            }
        }
        // A step that ended in the meantime has no progress any more.
        events.retain(|event| event.subject().is_some_and(|step| self.performing.contains_key(step)));
        self.emit(events).await?;
        for answer in answers {
            let _ = answer.send(());
        }
        Ok(())
    }

    async fn on_timer(&mut self) -> Result<(), DriveError> {
        self.note_absence().await?;
        let now = self.now();
        if now - self.beat >= HEARTBEAT {
            self.beat = now;
            self.run.store.touch_alive(now);
        }
        self.run.facts.set_now(now);
        self.look_at_reach(now).await?;
        self.observer.tick(now, &self.state);
        self.look_at_gates().await
    }

    /// When the loop has to look again though nothing happened, Unix milliseconds.
    fn next_wake(&self, now: i64) -> i64 {
        if self.state.out_of_reach.is_some() {
            return now + 1000;
        }
        let gates = self.gates.values().chain(self.effects.values()).filter_map(|gate| gate.wake());
        let gates = gates.chain(self.guards.values().filter_map(LiveGuard::wake));
        let retries = self.state.steps.values().filter_map(|step| match step.status {
            StepStatus::Retrying(next) => Some(next),
            _ => None,
        });
        let blind = self.blind.values().map(|blind| blind.asked + EVALUATE_EVERY);
        gates.chain(retries).chain(blind).chain([now + 1000]).min().unwrap_or(now).clamp(now + 1, now + 1000)
    }

    /// Whether the run is over, or nothing more can be done about it now.
    async fn ending(&mut self) -> Result<Option<Ending>, DriveError> {
        if let Some(reason) = self.parked() {
            self.emit(vec![Event::RunHalted { reason: reason.clone() }]).await?;
            return Ok(Some(Ending::Halted(reason)));
        }
        let busy = !self.tasks.is_empty() || !self.gates.is_empty();
        if busy && !self.leaves_now() {
            return Ok(None);
        }
        if let Some(reason) = self.halting.take() {
            self.emit(vec![Event::RunHalted { reason: reason.clone() }]).await?;
            return Ok(Some(Ending::Halted(reason)));
        }
        if self.state.abort.is_some() && *self.stop.borrow() != Stop::No {
            return Ok(None);
        }
        let status = self.state.next().status;
        if self.state.abort.as_ref().is_some_and(|abort| !abort.rollback) && status != Status::Active {
            self.emit(vec![Event::RunEnded { outcome: RunOutcome::Aborted }]).await?;
            return Ok(Some(Ending::Ended(RunOutcome::Aborted)));
        }
        let reason = match status {
            Status::Active | Status::Paused => return Ok(None),
            Status::Done => {
                self.emit(vec![Event::RunEnded { outcome: RunOutcome::Done }]).await?;
                return Ok(Some(Ending::Ended(RunOutcome::Done)));
            }
            Status::Asks => HaltReason::Asks,
            Status::Failed if self.state.is_undone("") => {
                self.emit(vec![Event::RunEnded { outcome: RunOutcome::RolledBack }]).await?;
                return Ok(Some(Ending::Ended(RunOutcome::RolledBack)));
            }
            Status::Failed | Status::Idle => self.state.fired().unwrap_or(HaltReason::StepFailed),
        };
        self.emit(vec![Event::RunHalted { reason: reason.clone() }]).await?;
        Ok(Some(Ending::Halted(reason)))
    }

    /// After a second signal nothing is awaited but commands that are being ended.
    fn leaves_now(&self) -> bool {
        *self.stop.borrow() == Stop::Out && self.performing.is_empty()
    }

    /// The compiled form of an expression of the graph.
    pub(super) fn compile(&mut self, code: &Code) -> Result<Compiled, Failure> {
        if let Some(compiled) = self.compiled.get(&code.code) {
            return Ok(compiled.clone());
        }
        let compiled = crate::expr::load(code).map_err(|what| Failure::new("E599", what))?;
        self.compiled.insert(code.code.clone(), compiled.clone());
        Ok(compiled)
    }

    /// The value of an expression at the place of a step, as things are now.
    pub(super) fn evaluate(&mut self, located: &Located<'_>, code: &Code) -> Result<Value, EvalError> {
        self.evaluate_with(located, code, &Bindings::new())
    }

    /// As [`Driver::evaluate`], with further names.
    pub(super) fn evaluate_with(
        &mut self,
        located: &Located<'_>,
        code: &Code,
        more: &Bindings,
    ) -> Result<Value, EvalError> {
        let compiled = self.compile(code).map_err(|failure| EvalError::Fault(failure.message))?;
        let mut bindings = self.state.bindings(located, compiled.slots());
        bindings.extend(more.iter().map(|(slot, value)| (slot.clone(), value.clone())));
        compiled.evaluate(&bindings, &self.source, &mut Reads::default(), None)
    }

    /// Notes that an answer is needed and unknown. Fails once that lasts too long.
    pub(super) fn is_blind(&mut self, id: &Id, why: &str) -> Option<Failure> {
        let now = self.now();
        let blind = self.blind.entry(id.clone()).or_insert(Blind { since: now, asked: now });
        blind.asked = now;
        let since = blind.since;
        self.observer.waiting(id, &[format!("unknown: {why}")]);
        (now - since >= self.run.settings.blind_after).then(|| {
            self.blind.remove(id);
            let lasted = crate::catalog::value::format_duration(now - since);
            Failure::new("E510", format!("what it needs to know was unknown for {lasted}"))
                .detail(why.to_owned())
                .help("see whether the API server answers and the rights suffice, then `sprag resume`")
        })
    }

    /// Whether something that is unknown was asked for a moment ago.
    pub(super) fn asked_lately(&self, id: &str) -> bool {
        self.blind.get(id).is_some_and(|blind| self.now() - blind.asked < EVALUATE_EVERY)
    }
}
