//! The very engine against a cluster in a box: one world, one journal in memory, as many drivers as it takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use super::cluster::World;
use super::commands::{Heard, ScriptedCommands};
use super::cut::Cut;
use super::effects::{self, Assumed};
use super::ledger::Ledger;
use super::script::{Part, Script};
use super::server::{Server, WorldClock};
use super::verdict::Rehearsed;
use crate::actions::ownership::{KnownRuns, Standing};
use crate::catalog::value::Value;
use crate::cluster::Requests;
use crate::cluster::lock::Fence;
use crate::engine::driver::{DriveError, fold};
use crate::engine::event::Event;
use crate::engine::locate::locate;
use crate::engine::observe::Observer;
use crate::engine::people::{Letter, Message, Person, Word};
use crate::engine::state::RunState;
use crate::engine::{Ending, Run, Settings, drive};
use crate::expr::{self, FactSource};
use crate::facts::reads::Reads;
use crate::facts::{Needs, SharedFacts};
use crate::journal::{Appended, Header, JournalError, MemoryStore, Record, Store};
use crate::outside::{Clock, Outside};
use crate::plan::graph::{Graph, NodeKind};

/// How long the server takes for a request: without it, no time would pass where many of them follow each other.
const LATENCY: Duration = Duration::from_millis(2);
/// How long a command takes of which nobody said it, in milliseconds.
const TAKES: i64 = 1_000;
/// A run that is not over after so long never will be.
const LONGEST: Duration = Duration::from_secs(90 * 86_400);
/// The id of a run that is rehearsed.
const RUN: &str = "rehearsal";

/// What a rehearsal needs.
pub struct Setting {
    /// What is carried out.
    pub graph: Arc<Graph>,
    /// The cluster, with the keeper of `ledger` among its controllers and `script` known to its kubelets.
    pub world: World,
    /// What is kept of the workloads.
    pub ledger: Ledger,
    /// What commands and jobs do.
    pub script: Script,
    /// What a scenario says of steps.
    pub rules: Arc<dyn Rules>,
    /// For every choice that is left to chance.
    pub seed: u64,
    /// How it is carried out.
    pub settings: Settings,
    /// Texts of the secret parameters.
    pub secrets: BTreeMap<String, String>,
}

/// What a scenario says of the commands and jobs of steps.
pub trait Rules: Send + Sync {
    /// What the given attempt of a step does, if the scenario says anything of it. `takes` is what the playbook says, in
    /// milliseconds; `effects` are those that would be assumed.
    fn part(&self, step: &str, node: Option<&str>, attempt: u32, assumed: &Part) -> Option<Part>;
}

/// No scenario.
pub struct NoRules;

impl Rules for NoRules {
    fn part(&self, _step: &str, _node: Option<&str>, _attempt: u32, _assumed: &Part) -> Option<Part> {
        None
    }
}

/// Where a driver is to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Once so many records are durable, counted from the first of the run.
    AfterRecord(usize),
    /// As the nth mutation since the driver began is about to be sent, or was answered, from 1.
    AtMutation(usize, Side),
}

/// Before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It is not sent.
    Before,
    /// It was carried out, and nobody hears of it.
    After,
}

/// A run on a cluster in a box. The cluster outlives drivers.
pub struct Simulation {
    runtime: Runtime,
    server: Server,
    clock: Arc<WorldClock>,
    /// The time of the world at first, Unix milliseconds.
    at: i64,
    graph: Arc<Graph>,
    store: MemoryStore<Event>,
    ledger: Ledger,
    stage: Arc<Stage>,
    commands: Arc<ScriptedCommands>,
    settings: Settings,
    secrets: BTreeMap<String, String>,
    seed: u64,
}

impl Simulation {
    /// Sets everything up; the clock stands at the time of the world.
    ///
    /// # Errors
    /// No runtime.
    pub fn new(setting: Setting) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let at = setting.world.cluster.now;
        let guard = runtime.enter();
        let clock = Arc::new(WorldClock::begin(at));
        let server = Server::start(setting.world, clock.clone(), LATENCY);
        drop(guard);
        let graph = setting.graph;
        let stage = Arc::new(Stage {
            state: Mutex::new(RunState::new(graph.clone())),
            facts: Mutex::new(None),
            letters: Mutex::new(None),
            script: setting.script.clone(),
            rules: setting.rules,
            assumed: Mutex::default(),
        });
        Ok(Self {
            store: MemoryStore::new(&Header::new(RUN, &graph.digest, "", at)),
            commands: Arc::new(ScriptedCommands::new(setting.script, server.clone())),
            runtime,
            server,
            clock,
            at,
            graph,
            ledger: setting.ledger,
            stage,
            settings: setting.settings,
            secrets: setting.secrets,
            seed: setting.seed,
        })
    }

    /// The server, to look at the world or to change it between drivers.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Everything that was recorded.
    pub fn records(&self) -> Vec<Record<Event>> {
        self.store.records()
    }

    /// Lets time pass with no driver.
    pub fn pass(&self, duration: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(duration).await });
    }

    /// Drives the run until it ends, is let go, or the driver crashes.
    ///
    /// # Errors
    /// What the driver could not go on for: a crash is a poisoned journal.
    pub fn drive(&mut self, crash: Option<Crash>, observer: &mut dyn Observer) -> Result<Ending, DriveError> {
        let records = self.store.records();
        let _entered = self.runtime.enter();
        let (clock, server) = (self.clock.clone(), self.server.clone());
        let watched = Arc::new(Watched {
            store: self.store.reopen(),
            stage: self.stage.clone(),
            left: Mutex::new(match crash {
                Some(Crash::AfterRecord(count)) => Some(count.saturating_sub(records.len())),
                _ => None,
            }),
        });
        let run = Prepared {
            graph: self.graph.clone(),
            last_seen: records.last().map_or(clock.now(), |last| last.at),
            records,
            store: watched,
            commands: self.commands.clone(),
            settings: self.settings.clone(),
            secrets: self.secrets.clone(),
            seed: self.seed,
        };
        let cut = Cut::new(
            server,
            match crash {
                Some(Crash::AtMutation(nth, side)) => Some((nth, side)),
                _ => None,
            },
        );
        let (ledger, stage) = (self.ledger.clone(), self.stage.clone());
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = cut.is_cut() => Err(gone("the driver is gone")),
                ending = run.drive(clock, cut.clone(), ledger, stage, observer) => ending,
            }
        })
    }

    /// What was seen, after the last driver.
    pub fn seen(&self, ending: Ending) -> Rehearsed {
        let records = self.store.records();
        let began = records.first().map_or(self.at, |first| first.at);
        let ended = records.last().map_or(began, |last| last.at);
        Rehearsed {
            seed: self.seed,
            ending,
            span: (began, ended),
            pages: self.ledger.close(ended),
            assumed: self.stage.assumed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            records,
        }
    }
}

struct Prepared {
    graph: Arc<Graph>,
    last_seen: i64,
    records: Vec<Record<Event>>,
    store: Arc<Watched>,
    commands: Arc<ScriptedCommands>,
    settings: Settings,
    secrets: BTreeMap<String, String>,
    seed: u64,
}

impl Prepared {
    async fn drive(
        self,
        clock: Arc<WorldClock>,
        server: Cut,
        ledger: Ledger,
        stage: Arc<Stage>,
        observer: &mut dyn Observer,
    ) -> Result<Ending, DriveError> {
        let requests = Requests::new(kube::Client::new(server, "default"), clock.clone(), self.seed);
        let text = serde_json::to_string(&self.graph).unwrap_or_default();
        let watched = crate::facts::watch(&requests, Needs::in_text(&text), clock.clone()).await;
        let watched = watched.map_err(|error| gone(&error.to_string()))?;
        watched.facts.set_now(clock.now());
        let (sender, letters) = mpsc::unbounded_channel();
        stage.look_through(watched.facts.clone(), sender);
        if self.records.is_empty() {
            ledger.begin(clock.now());
        }
        let run = Run {
            id: RUN.into(),
            graph: self.graph,
            records: self.records,
            store: self.store,
            requests,
            fence: Fence::default(),
            facts: watched.facts.clone(),
            outside: Outside { clock, commands: self.commands, webhooks: Arc::new(Heard) },
            secrets: self.secrets,
            environment: Vec::new(),
            seed: self.seed,
            last_seen: self.last_seen,
            host: (RUN.to_owned(), 1),
            own: None,
            runs: Arc::new(NoRuns),
            settings: self.settings,
            namespace: "default".into(),
            letters,
        };
        let (signals, received) = mpsc::unbounded_channel();
        let ending = tokio::time::timeout(LONGEST, drive(run, received, observer)).await;
        drop(signals);
        ending.unwrap_or_else(|_| Err(gone("it was still not over after 90 days")))
    }
}

fn gone(because: &str) -> DriveError {
    DriveError::Journal(JournalError::Poisoned { because: because.to_owned() })
}

/// What is known of the run beside the driver: as each step begins, its part is written.
struct Stage {
    state: Mutex<RunState>,
    facts: Mutex<Option<Arc<dyn FactSource>>>,
    /// Where what people say goes.
    letters: Mutex<Option<mpsc::UnboundedSender<Letter>>>,
    script: Script,
    rules: Arc<dyn Rules>,
    assumed: Mutex<Assumed>,
}

impl Stage {
    fn look_through(&self, facts: SharedFacts, letters: mpsc::UnboundedSender<Letter>) {
        *self.letters.lock().unwrap_or_else(PoisonError::into_inner) = Some(letters);
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(facts));
        // What an earlier driver asked is still to be answered.
        let asked = self.state.lock().unwrap_or_else(PoisonError::into_inner).questions();
        asked.iter().for_each(|question| self.approve(&question.step));
    }

    fn apply(&self, at: i64, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The driver folds the same events and says what is illegal.
        let _ = state.apply(at, event);
        if let Event::StepStarted { step, attempt, .. } = event {
            self.begin(&state, step, *attempt);
        }
    }

    /// A person says yes at once.
    fn approve(&self, step: &str) {
        let by = Person { user: "somebody".to_owned(), host: RUN.to_owned(), login: None };
        let message = Message { word: Word::Approve { step: step.to_owned() }, by };
        let (answer, _) = oneshot::channel();
        if let Some(letters) = &*self.letters.lock().unwrap_or_else(PoisonError::into_inner) {
            // A driver that is gone asks again when it is back.
            let _ = letters.send(Letter { message, answer });
        }
        let told = "what a person is asked is answered yes, at once".to_owned();
        *self.assumed.lock().unwrap_or_else(PoisonError::into_inner).entry(told).or_default() += 1;
    }

    /// Writes the part of a command or job that begins.
    fn begin(&self, state: &RunState, step: &str, attempt: u32) {
        let graph = state.graph.clone();
        let Some(located) = locate(&graph, step) else { return };
        if let NodeKind::Approve { .. } = &located.node.kind {
            return self.approve(step);
        }
        let NodeKind::Action(action) = &located.node.kind else { return };
        if !matches!(action.name.as_str(), "exec" | "job") {
            return;
        }
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(facts) = facts else { return };
        let takes = action.takes.as_ref().and_then(|code| {
            let compiled = expr::load(code).ok()?;
            let bindings = state.bindings(&located, compiled.slots());
            match compiled.evaluate(&bindings, &facts, &mut Reads::default(), None) {
                Ok(Value::Duration(takes)) => Some(takes),
                _ => None,
            }
        });
        let found = effects::of_step(state, &facts, step);
        let mut part =
            Part { takes: takes.unwrap_or(TAKES), effects: found.clone().unwrap_or_default(), ..Part::default() };
        let node = located.frames.last().map(|frame| frame.element.clone());
        match self.rules.part(step, node.as_deref(), attempt, &part) {
            Some(ruled) => part = ruled,
            None => {
                let word = if action.name == "job" { "a job" } else { "a command" };
                let takes = match takes {
                    Some(_) => "after its `takes`",
                    None => "after a second, since it has no `takes`",
                };
                let effect = match (&found, action.done_when.is_some()) {
                    (Ok(_), true) => " and makes its `done when` true".to_owned(),
                    (Ok(_), false) => String::new(),
                    (Err(why), _) => format!(", and changes nothing: {why}"),
                };
                let told = format!("{word} without a scenario succeeds {takes}{effect}");
                *self.assumed.lock().unwrap_or_else(PoisonError::into_inner).entry(told).or_default() += 1;
            }
        }
        self.script.write(step, part);
    }
}

/// The journal in memory, which tells the stage what is durable, and whose driver may be gone after so many records.
struct Watched {
    store: MemoryStore<Event>,
    stage: Arc<Stage>,
    left: Mutex<Option<usize>>,
}

impl Store<Event> for Watched {
    fn append(&self, events: Vec<Event>, at_ms: i64) -> Appended<Event> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = events.len();
        let kept = left.map_or(whole, |left| left.min(whole));
        *left = left.map(|left| left - kept);
        let is_over = *left == Some(0);
        let events: Vec<Event> = events.into_iter().take(kept).collect();
        for event in &events {
            self.stage.apply(at_ms, event);
        }
        let appended = self.store.append(events, at_ms);
        if !is_over {
            return appended;
        }
        Box::pin(async move {
            appended.await?;
            Err(JournalError::Poisoned { because: "the driver is gone".to_owned() })
        })
    }

    fn touch_alive(&self, now_ms: i64) {
        self.store.touch_alive(now_ms);
    }

    fn pending_since(&self) -> Option<i64> {
        None
    }
}

/// No other run is known in a rehearsal.
struct NoRuns;

impl KnownRuns for NoRuns {
    fn standing(&self, _run: &str, _key: &str) -> Standing {
        Standing::Unknown
    }
}

/// Folds what was recorded.
///
/// # Errors
/// What cannot follow: a fault of ours.
pub fn state_of(graph: &Arc<Graph>, rehearsed: &Rehearsed) -> Result<RunState, DriveError> {
    Ok(fold(graph.clone(), &rehearsed.records)?)
}
