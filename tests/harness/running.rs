//! From a scene to a run of it: the very engine, on a paused clock, with commands that do what a `commands` block says and
//! a cluster that stands still.
//!
//! A line of `commands` is `NAME [takes D] [exit N,N,…]`: the codes of its starts in turn, the last of them for ever; one
//! that is not named ends at once, and well. `run` and `resume` take `signal=D` (SIGTERM then, and again with `signal=D,D`)
//! and `crash=N` (the driver is gone after the nth record), `park=D`, `approve=D,STEP` and `abort=D` (a person says so then,
//! with `groups=a,b` as one of these groups, with `rollback` to have it undone), and `asleep=D,E` (the machine sleeps then,
//! for so long). `approve` and `abort` blocks are what a person says while nobody drives the run.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value as Json, json};
use sprag::actions::ownership::{KnownRuns, Standing};
use sprag::cluster::Requests;
use sprag::cluster::snapshot::Snapshot;
use sprag::engine::driver::fold;
use sprag::engine::event::{Decision, Event, Process, RunOutcome};
use sprag::engine::observe::{Observer, PodsGone};
use sprag::engine::people::{Letter, Login, Message, Person, Word};
use sprag::engine::state::RunState;
use sprag::engine::{Run, Settings, drive};
use sprag::facts::{Resource, SharedFacts};
use sprag::journal::{Header, MemoryStore, Record, Store};
use sprag::outside::{
    Clock, CommandEnd, CommandSpec, Commands, HeldCommand, OutputLine, Outside, WebhookError, Webhooks,
};
use sprag::plan::graph::Graph;
use sprag::report::{Lines, render_resumed, render_summary};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::markdown::Fence;
use crate::planning;

/// A run between two drivers.
pub(crate) struct Running {
    graph: Arc<Graph>,
    snapshot: Snapshot,
    store: MemoryStore<Event>,
    commands: Arc<Script>,
    /// When the last driver let go, Unix milliseconds.
    at: i64,
}

/// What a `run` block shows, and the run for the blocks after it.
pub(crate) fn run(expected: &Fence, scene: &[Fence]) -> (String, Option<Running>) {
    let (graph, snapshot) = match planning::graph(scene) {
        Ok(planned) => planned,
        Err(told) => return (told, None),
    };
    let script = scene.iter().filter(|fence| fence.kind == "commands").map(|fence| fence.text.as_str()).collect();
    let mut running = Running {
        store: MemoryStore::new(&Header::new("case", &graph.digest, "", snapshot.as_of)),
        graph: Arc::new(graph),
        at: snapshot.as_of,
        snapshot,
        commands: Arc::new(Script::read(script)),
    };
    (running.go_on(expected), Some(running))
}

impl Running {
    /// What a `resume` block shows; `after=D` is how long nobody was there.
    pub(crate) fn resume(&mut self, expected: &Fence) -> String {
        self.at += duration(expected.value("after").unwrap_or("1s"));
        let state = self.state();
        let absent = self.at - state.last_driven;
        self.store = self.store.reopen();
        format!("{}{}", render_resumed("case", &state, absent), self.go_on(expected))
    }

    /// What a `decide` block notes; its words are the step and the decision.
    pub(crate) fn decide(&mut self, expected: &Fence) -> String {
        let step = expected.value("step").unwrap_or_default().to_owned();
        let decision = match expected.value("as") {
            Some("done") => Decision::Done,
            Some("fail") => Decision::Fail,
            _ => Decision::Retry,
        };
        self.store = self.store.reopen();
        let event = Event::Decided { step, decision, by: "anna".to_owned() };
        let mut state = self.state();
        if let Err(error) = state.apply(state.last, &event) {
            return format!("{error}\n");
        }
        let appended = futures_util::FutureExt::now_or_never(self.store.append(vec![event], state.last));
        if appended.is_some_and(|result| result.is_ok()) { "noted\n".to_owned() } else { "not noted\n".to_owned() }
    }

    /// What an `approve` or `abort` block notes while nobody drives the run; `after=D` is how long after the driver let go.
    pub(crate) fn say(&mut self, said: &Fence) -> String {
        self.at += duration(said.value("after").unwrap_or("1s"));
        let word = match said.value("step") {
            Some(step) => Word::Approve { step: step.to_owned() },
            None => Word::Abort { rollback: said.has("rollback") },
        };
        let message = Message { word, by: anna(said) };
        let mut state = self.state();
        if let Err(why) = state.can_be_said(&message, self.at) {
            return format!("{why}\n");
        }
        let mut events = vec![message.event()];
        state.apply(self.at, &events[0]).expect("what can be said can be noted");
        if state.ends_without_driver() {
            events.push(Event::RunEnded { outcome: RunOutcome::Aborted });
        }
        self.store = self.store.reopen();
        let appended = futures_util::FutureExt::now_or_never(self.store.append(events, self.at));
        assert!(appended.is_some_and(|result| result.is_ok()), "noted");
        render_summary("case", &self.state())
    }

    fn state(&self) -> RunState {
        fold(self.graph.clone(), &self.store.records()).expect("a journal of ours")
    }

    fn go_on(&mut self, expected: &Fence) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(self.drive(expected))
    }

    async fn drive(&mut self, expected: &Fence) -> String {
        let asleep = pair(expected.value("asleep")).map(|(at, ms)| (duration(at), duration(ms)));
        let clock = Arc::new(Paused { began: Instant::now(), at: self.at, asleep });
        let facts = SharedFacts::from_snapshot(&self.snapshot);
        let client = still(&self.snapshot);
        let (signals, received) = mpsc::unbounded_channel();
        for after in expected.value("signal").into_iter().flat_map(|times| times.split(',')).map(duration) {
            let signals = signals.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(after.unsigned_abs())).await;
                let _ = signals.send("SIGTERM".to_owned());
            });
        }
        let (letters, posted) = mpsc::unbounded_channel();
        post(expected, &letters);
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut observer = Told {
            lines: Lines::new(Shared(said.clone()), self.at),
            said,
            out: String::new(),
            began: self.at,
            at: self.at,
        };
        let records = self.store.records();
        let crash = expected.value("crash").and_then(|number| number.parse().ok());
        let run = Run {
            id: "case".into(),
            graph: self.graph.clone(),
            last_seen: if records.is_empty() { self.at } else { self.state().last_driven },
            records,
            store: Arc::new(Crashing { store: self.store.reopen(), left: Mutex::new(crash) }),
            requests: Requests::new(client, clock.clone(), 1),
            fence: sprag::cluster::lock::Fence::default(),
            own: None,
            runs: Arc::new(NoRuns),
            facts,
            outside: Outside { clock: clock.clone(), commands: self.commands.clone(), webhooks: Arc::new(Heard) },
            secrets: BTreeMap::new(),
            namespace: "default".into(),
            environment: Vec::new(),
            seed: 1,
            host: ("here".to_owned(), 1),
            settings: Settings { park: expected.value("park").map(duration), ..Settings::default() },
            letters: posted,
        };
        let ending = tokio::time::timeout(Duration::from_secs(30 * 86_400), drive(run, received, &mut observer)).await;
        drop(signals);
        self.at = clock.now();
        let mut out = observer.out;
        match ending {
            Err(_) => out.push_str("still not over after 30 days\n"),
            Ok(Err(error)) => out.push_str(&format!("the driver is gone: {error}\n")),
            Ok(Ok(_)) => out.push_str(&render_summary("case", &self.state())),
        }
        out
    }
}

fn duration(text: &str) -> i64 {
    sprag::syntax::parse_duration(text).unwrap_or_else(|| panic!("`{text}` is no duration"))
}

fn pair(text: Option<&str>) -> Option<(&str, &str)> {
    text?.split_once(',')
}

/// Who says what is said: one of the groups that a block names, whom the cluster does not know where it names none.
fn anna(said: &Fence) -> Person {
    let groups = said.value("groups").map(|groups| groups.split(',').map(str::to_owned).collect());
    let login = groups.map(|groups| Login { name: "anna@example.com".to_owned(), groups });
    Person { user: "anna".to_owned(), host: "ws12".to_owned(), login }
}

/// What people say while the run goes on.
fn post(expected: &Fence, letters: &mpsc::UnboundedSender<Letter>) {
    let approve =
        pair(expected.value("approve")).map(|(after, step)| (duration(after), Word::Approve { step: step.to_owned() }));
    let rollback = expected.has("rollback");
    let abort = expected.value("abort").map(|after| (duration(after), Word::Abort { rollback }));
    for (after, word) in approve.into_iter().chain(abort) {
        let (letters, message) = (letters.clone(), Message { word, by: anna(expected) });
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after.unsigned_abs())).await;
            let _ = letters.send(Letter { message, answer: oneshot::channel().0 });
        });
    }
}

/// Wall time that moves with tokio's paused clock, and alone while the machine is asleep.
struct Paused {
    began: Instant,
    at: i64,
    /// After how long it falls asleep, and for how long.
    asleep: Option<(i64, i64)>,
}

impl Clock for Paused {
    fn now(&self) -> i64 {
        let awake = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let asleep = self.asleep.filter(|(after, _)| awake >= *after).map_or(0, |(_, ms)| ms);
        self.at + awake + asleep
    }
}

/// The lines that a person without a terminal sees, with seconds since the driver began for the time of day.
struct Told {
    lines: Lines<Shared>,
    said: Arc<Mutex<Vec<u8>>>,
    out: String,
    began: i64,
    at: i64,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Told {
    fn take(&mut self) {
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        let seconds = (self.at - self.began) as f64 / 1000.0;
        for line in String::from_utf8_lossy(&said).lines() {
            self.out.push_str(&format!("+{seconds:<7.1}{}\n", line.get(10..).unwrap_or(line)));
        }
    }
}

impl Observer for Told {
    fn event(&mut self, record: &Record<Event>, state: &RunState) {
        self.at = record.at;
        self.lines.event(record, state);
        self.take();
    }
    fn waiting(&mut self, step: &str, lines: &[String]) {
        self.lines.waiting(step, lines);
    }
    fn output(&mut self, step: &str, line: &str) {
        self.lines.output(step, line);
        self.take();
    }
    fn counted(&mut self, step: &str, pods: PodsGone) {
        self.lines.counted(step, pods);
    }
    fn remark(&mut self, line: &str) {
        self.lines.remark(line);
        self.take();
    }
    fn tick(&mut self, now: i64, state: &RunState) {
        self.at = now;
        self.lines.tick(now, state);
        self.take();
    }
}

/// A store whose driver is gone after so many records.
struct Crashing {
    store: MemoryStore<Event>,
    left: Mutex<Option<usize>>,
}

impl Store<Event> for Crashing {
    fn append(&self, events: Vec<Event>, at_ms: i64) -> sprag::journal::Appended<Event> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = events.len();
        let kept = left.map_or(whole, |left| left.min(whole));
        *left = left.map(|left| left - kept);
        let events = events.into_iter().take(kept).collect();
        let appended = self.store.append(events, at_ms);
        if kept == whole && *left != Some(0) {
            return appended;
        }
        Box::pin(async move {
            appended.await?;
            Err(sprag::journal::JournalError::Poisoned { because: "the case says so".to_owned() })
        })
    }
    fn touch_alive(&self, now_ms: i64) {
        self.store.touch_alive(now_ms);
    }
    fn pending_since(&self) -> Option<i64> {
        None
    }
}

/// A folder without other runs.
struct NoRuns;

impl KnownRuns for NoRuns {
    fn standing(&self, _run: &str, _key: &str) -> Standing {
        Standing::Unknown
    }
}

/// Whoever is told something hears it.
struct Heard;

impl Webhooks for Heard {
    fn post(
        &self,
        _url: &str,
        _headers: Vec<(String, String)>,
        _body: String,
    ) -> BoxFuture<'static, Result<(), WebhookError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What each command does.
#[derive(Default)]
struct Script {
    rules: BTreeMap<String, (u64, Vec<i64>)>,
    started: Mutex<BTreeMap<String, usize>>,
    alive: Mutex<BTreeMap<i32, watch::Sender<bool>>>,
}

impl Script {
    fn read(text: String) -> Self {
        let mut rules = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default().to_owned();
            let (mut takes, mut codes) = (0, vec![0]);
            while let (Some(word), Some(value)) = (words.next(), words.next()) {
                match word {
                    "takes" => takes = duration(value).unsigned_abs(),
                    _ => codes = value.split(',').map(|code| code.parse().expect("an exit code")).collect(),
                }
            }
            rules.insert(name, (takes, codes));
        }
        Self { rules, ..Self::default() }
    }
}

impl Commands for Script {
    fn start(&self, spec: CommandSpec) -> BoxFuture<'static, Result<Box<dyn HeldCommand>, String>> {
        let name = spec.argv.first().cloned().unwrap_or_default();
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let count = started.entry(name.clone()).or_default();
        let (takes, codes) = self.rules.get(&name).cloned().unwrap_or((0, vec![0]));
        let code = codes[(*count).min(codes.len() - 1)];
        *count += 1;
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = 100 + i32::try_from(alive.len()).unwrap_or(0);
        let (sender, ended) = watch::channel(false);
        alive.insert(pid, sender);
        let held = Held { pid, takes: Duration::from_millis(takes), code, ended, argv: spec.argv };
        Box::pin(async move { Ok(Box::new(held) as Box<dyn HeldCommand>) })
    }

    /// A process of a driver that is gone has ended with it here: what came of it is not known.
    fn is_alive(&self, _process: &Process) -> Option<bool> {
        Some(false)
    }

    fn end(&self, process: &Process, _kill: bool) {
        if let Some(sender) = self.alive.lock().unwrap_or_else(PoisonError::into_inner).get(&process.pid) {
            sender.send_replace(true);
        }
    }
}

struct Held {
    pid: i32,
    takes: Duration,
    code: i64,
    ended: watch::Receiver<bool>,
    argv: Vec<String>,
}

impl HeldCommand for Held {
    fn process(&self) -> Process {
        Process { host: "here".to_owned(), pid: self.pid, started: "boot".to_owned() }
    }

    fn let_go(
        mut self: Box<Self>,
        _lines: mpsc::UnboundedSender<OutputLine>,
    ) -> BoxFuture<'static, Result<CommandEnd, String>> {
        Box::pin(async move {
            let code = tokio::select! {
                () = tokio::time::sleep(self.takes) => self.code,
                _ = self.ended.wait_for(|ended| *ended) => 143,
            };
            Ok(CommandEnd { code, stdout: format!("{}\n", self.argv[1..].join(" ")), is_cut: false })
        })
    }
}

/// An API server that has what the snapshot has, and changes nothing.
fn still(snapshot: &Snapshot) -> kube::Client {
    let objects: Arc<BTreeMap<&'static str, Vec<Json>>> = Arc::new(
        Resource::ALL
            .into_iter()
            .map(|resource| (resource.path(), snapshot.objects.get(resource.name()).cloned().unwrap_or_default()))
            .collect(),
    );
    let service = tower::service_fn(move |request: Request<Body>| {
        let (objects, path) = (objects.clone(), request.uri().path().to_owned());
        async move {
            let (code, body) = match objects.get(path.as_str()) {
                Some(items) => (200, json!({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})),
                None => found(&objects, &path),
            };
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    kube::Client::new(service, "default")
}

/// One object, by the name that its path ends with.
fn found(objects: &BTreeMap<&'static str, Vec<Json>>, path: &str) -> (u16, Json) {
    let name = path.rsplit('/').next().unwrap_or_default();
    let plural = path.rsplit('/').nth(1).unwrap_or_default();
    let lists = objects.iter().filter(|(list, _)| list.ends_with(&format!("/{plural}")));
    let object = lists.flat_map(|(_, items)| items).find(|item| item["metadata"]["name"] == name);
    match object {
        Some(object) => (200, object.clone()),
        None => (404, json!({"kind": "Status", "status": "Failure", "message": "not found", "code": 404})),
    }
}
