//! A scenario is played on a cluster, through a client: the same code for both.

use super::names::Names;
use super::observe::{Change, Observer, get};
use super::scenario::{Act, Ask, Made, Scenario};
use super::story::{Story, Telling};
use super::words;
use crate::testbed::workload::Workload;
use futures_util::future::join_all;
use futures_util::{TryStreamExt, pin_mut};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::WatchEvent;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// A scene has settled once nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(3_500);
/// A scene that does not settle is no scene.
const SETTLES: Duration = Duration::from_secs(90);

/// An answer: what was asked, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What was asked.
    pub of: String,
    /// What came of it.
    pub is: String,
    /// Times in it, in seconds from the start.
    pub times: Vec<f64>,
}

/// What was seen of a scenario.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// In the order of the acts.
    pub answers: Vec<Answer>,
    /// All changes.
    pub story: Story,
}

/// The events of a watch, a few words each.
type Events = Result<Vec<String>, String>;

/// A cluster to play on.
pub struct Cluster<'a> {
    /// Its client.
    pub client: Client,
    /// The namespace, of which its nodes are called.
    pub pool: &'a str,
    /// Its time, Unix milliseconds.
    pub now: &'a dyn Fn() -> i64,
    /// The real kubectl's program, and a kubeconfig with which it reaches the cluster.
    pub kubectl: (&'a Path, &'a Path),
}

/// Somebody who plays.
struct Player<'a> {
    cluster: Cluster<'a>,
    scenario: &'a Scenario,
    observer: Observer,
    answers: Vec<Answer>,
    versions: BTreeMap<String, usize>,
    watches: Vec<(String, JoinHandle<Events>)>,
    /// How many changes the scene made.
    before: usize,
    start: (Instant, jiff::Timestamp),
}

/// Plays a scenario on a cluster that has its nodes and its namespace.
pub async fn play(cluster: Cluster<'_>, scenario: &Scenario) -> Result<Seen, String> {
    let observer = Observer::begin(&cluster.client, cluster.pool).await?;
    let mut player = Player {
        cluster,
        scenario,
        observer,
        answers: Vec::new(),
        versions: BTreeMap::new(),
        watches: Vec::new(),
        before: 0,
        start: (Instant::now(), jiff::Timestamp::UNIX_EPOCH),
    };
    player.set().await?;
    player.before = player.observer.changes()?.len();
    player.start = (Instant::now(), player.time()?);
    for act in &scenario.acts {
        player.act(act).await?;
    }
    sleep(Duration::from_secs_f64(scenario.look)).await;
    player.end().await
}

impl Player<'_> {
    async fn set(&self) -> Result<(), String> {
        for made in &self.scenario.scene {
            match made {
                Made::Workload(workload) => self.create(workload).await?,
                Made::Object(path, object) => {
                    let ask = Ask::new("POST", path, object.clone());
                    let (code, _, body) = self.send(&ask).await?;
                    if code != 201 {
                        return Err(format!("{path}: {code} {body}"));
                    }
                }
            }
        }
        self.settled().await
    }

    async fn settled(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let last = self.observer.changes()?.last().map_or(begun, |change| change.at.max(begun));
            if last.elapsed() >= QUIET {
                return Ok(());
            }
            if begun.elapsed() > SETTLES {
                return Err("the scene does not settle".to_owned());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn create(&self, workload: &Workload) -> Result<(), String> {
        let object = pinned(workload.clone().object(self.cluster.pool), self.cluster.pool, self.scenario.nodes.len());
        let ask = Ask::new("POST", &workload.path(self.cluster.pool), object);
        let (code, _, body) = self.send(&ask).await?;
        if code == 201 { Ok(()) } else { Err(format!("{}: {code} {body}", ask.path)) }
    }

    async fn act(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Send(code, ask) => {
                let answer = self.send(ask).await?;
                self.answered(&[*code], std::slice::from_ref(ask), vec![answer])
            }
            Act::Together(codes, asks) => {
                let answers = join_all(asks.iter().map(|ask| self.send(ask))).await;
                self.answered(codes, asks, answers.into_iter().collect::<Result<_, _>>()?)
            }
            Act::Create(workload) => self.create(workload).await,
            Act::Wait(seconds) => {
                sleep(Duration::from_secs_f64(*seconds)).await;
                Ok(())
            }
            Act::Read(path, pointers) => self.read(path, pointers).await,
            Act::Kubectl(code, args) => self.kubectl(*code, args).await,
            Act::Watch(path) => {
                let watch = tokio::spawn(watched(self.cluster.client.clone(), self.real(path)?));
                self.watches.push((path.clone(), watch));
                Ok(())
            }
        }
    }

    fn time(&self) -> Result<jiff::Timestamp, String> {
        jiff::Timestamp::from_millisecond((self.cluster.now)()).map_err(|error| error.to_string())
    }

    fn names(&self) -> Result<Names, String> {
        Ok(Names::of(&self.observer.changes()?, self.before))
    }

    /// A text with the names of this cluster.
    fn real(&self, text: &str) -> Result<String, String> {
        let now = format!("{:.0}", self.time()?);
        let text = text.replace("$NS", self.cluster.pool).replace("$NOW", &now);
        let mut text = self.names()?.real(&text);
        for index in 0..self.scenario.nodes.len() {
            text = text.replace(&format!("${index}"), &format!("{}-{index}", self.cluster.pool));
        }
        Ok(text)
    }

    async fn send(&self, ask: &Ask) -> Result<(u16, HeaderMap, Value), String> {
        let path = self.real(&ask.path)?;
        let mut request = Request::builder().method(ask.method).uri(&path).header("accept", "application/json");
        let mut body = Vec::new();
        if !ask.body.is_null() {
            request = request.header("content-type", ask.content_type);
            body = self.real(&ask.body.to_string())?.into_bytes();
        }
        let request = request.body(Body::from(body)).map_err(|error| format!("{path}: {error}"))?;
        let answer = self.cluster.client.send(request).await.map_err(|error| format!("{path}: {error}"))?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| format!("{path}: {error}"))?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        let value = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
        Ok((parts.status.as_u16(), parts.headers, value))
    }

    /// Notes answers that came at once; those that have to have these codes.
    fn answered(&mut self, codes: &[u16], asks: &[Ask], answers: Vec<(u16, HeaderMap, Value)>) -> Result<(), String> {
        let mut answers = answers;
        answers.sort_by_key(|(code, ..)| *code);
        let is: Vec<u16> = answers.iter().map(|(code, ..)| *code).collect();
        let of: Vec<String> = asks.iter().map(|ask| format!("{} {}", ask.method, ask.path)).collect();
        if is != codes {
            return Err(format!("{}: {is:?}, not {codes:?}: {answers:?}", of.join(", ")));
        }
        let names = self.names()?;
        for (code, headers, body) in answers {
            let body = words::body(&body, &|text| names.told(text));
            let mut is = match body["kind"].as_str() {
                // How far the budget had come when the second was looked at is a matter of milliseconds.
                Some("Status") if asks.len() > 1 => format!("{code} {}", body["reason"]),
                Some("Status") => format!("{code} {}", sorted(&body)),
                Some(kind) => format!("{code} {kind}"),
                None => format!("{code} {body}"),
            };
            for header in ["retry-after", "warning"] {
                for value in headers.get_all(header) {
                    is.push_str(&format!("\n  {header}: {}", value.to_str().unwrap_or_default()));
                }
            }
            self.answers.push(Answer { of: of.join(", "), is, times: Vec::new() });
        }
        Ok(())
    }

    async fn read(&mut self, path: &str, pointers: &[&str]) -> Result<(), String> {
        let (code, _, body) = self.send(&Ask::new("GET", path, Value::Null)).await?;
        let names = self.names()?;
        let mut told = vec![code.to_string()];
        let mut times = Vec::new();
        for pointer in pointers {
            let value = body.pointer(pointer).cloned().unwrap_or_default();
            let text = value.as_str().unwrap_or_default();
            if pointer.ends_with("resourceVersion") {
                let next = self.versions.len() + 1;
                let number = self.versions.entry(text.to_owned()).or_insert(next);
                told.push(format!("{pointer} version #{number}"));
            } else if let Ok(time) = text.parse::<jiff::Timestamp>() {
                times.push(time.duration_since(self.start.1).as_secs_f64());
                told.push(format!("{pointer} a time"));
            } else {
                told.push(format!("{pointer} {}", sorted(&words::body(&value, &|text| names.told(text)))));
            }
        }
        self.answers.push(Answer { of: format!("read {path}"), is: told.join(", "), times });
        Ok(())
    }

    /// Runs kubectl; what it says is noted, each line once.
    async fn kubectl(&mut self, code: i32, args: &[String]) -> Result<(), String> {
        let (program, kubeconfig) = self.cluster.kubectl;
        let real: Vec<String> = args.iter().map(|arg| self.real(arg)).collect::<Result<_, _>>()?;
        let mut command = tokio::process::Command::new(program);
        command.arg("--kubeconfig").arg(kubeconfig).env("KUBECACHEDIR", kubeconfig.with_extension("cache")).args(&real);
        let output = command.output().await.map_err(|error| format!("start kubectl: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(code) {
            return Err(format!("kubectl {}: {:?}, not {code}: {said}", real.join(" "), output.status.code()));
        }
        let names = self.names()?;
        let lines: BTreeSet<String> = said.lines().map(|line| in_order(&names.told(line))).collect();
        let is = format!("{code}\n    {}", Vec::from_iter(lines).join("\n    "));
        self.answers.push(Answer { of: format!("kubectl {}", args.join(" ")), is, times: Vec::new() });
        Ok(())
    }

    async fn end(mut self) -> Result<Seen, String> {
        for (path, watch) in std::mem::take(&mut self.watches) {
            let events = watch.await.map_err(|error| error.to_string())??;
            self.answers.push(Answer { of: format!("watch {path}"), is: events.join("; "), times: Vec::new() });
        }
        let changes: Vec<Change> = self.observer.changes()?;
        let names = Names::of(&changes, self.before);
        let feasible: Vec<String> =
            self.scenario.feasible.iter().map(|node| format!("{}-{node}", self.cluster.pool)).collect();
        let telling =
            Telling { changes: &changes, before: self.before, start: self.start.0, names: &names, feasible: &feasible };
        let mut story = telling.tell();
        let only = &self.scenario.only;
        let is_told = |object: &str| only.is_empty() || only.iter().any(|one| object.split(' ').next() == Some(one));
        story.courses.retain(|(object, _), _| is_told(object));
        Ok(Seen { answers: self.answers, story })
    }
}

/// The events of a watch until the server ends it.
async fn watched(client: Client, path: String) -> Events {
    let events = client.request_events::<Value>(get(&path)?).await.map_err(|error| error.to_string())?;
    pin_mut!(events);
    let mut told = Vec::new();
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    while let Some(event) = events.try_next().await.map_err(|error| error.to_string())? {
        told.push(match event {
            WatchEvent::Added(object) => format!("ADDED {}", name(&object)),
            WatchEvent::Modified(object) => format!("MODIFIED {}", name(&object)),
            WatchEvent::Deleted(object) => format!("DELETED {} {}", name(&object), object["metadata"]["labels"]),
            WatchEvent::Bookmark(bookmark) => format!("BOOKMARK {:?}", bookmark.metadata.annotations),
            WatchEvent::Error(status) => {
                let message = words::body(&json!(status.message), &|text| text.to_owned());
                format!("ERROR {} {} {message}", status.code, status.reason)
            }
        });
    }
    // How often a server says how far it is, it may choose.
    told.dedup();
    Ok(told)
}

/// The pods of a workload may stand on these nodes by their names: so the scheduler does not look at those of others.
fn pinned(mut object: Value, pool: &str, nodes: usize) -> Value {
    let term = |index: usize| {
        let field = json!({"key": "metadata.name", "operator": "In", "values": [format!("{pool}-{index}")]});
        json!({"matchFields": [field]})
    };
    let terms: Vec<Value> = (0..nodes).map(term).collect();
    for base in ["/spec/template/spec", "/spec"] {
        let place = format!("{base}/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");
        if let Some(place) = object.pointer_mut(&place) {
            *place = json!({"nodeSelectorTerms": terms});
        }
    }
    object
}

/// A line with what stands in its brackets sorted: kubectl lists errors in the order of a Go map, which is chance.
fn in_order(line: &str) -> String {
    let Some((head, (list, tail))) = line.split_once('[').and_then(|(head, rest)| Some((head, rest.rsplit_once(']')?)))
    else {
        return line.to_owned();
    };
    let mut items: Vec<&str> = list.split(", ").collect();
    items.sort_unstable();
    format!("{head}[{}]{tail}", items.join(", "))
}

/// JSON with its fields in the order of their names.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, String> = fields.iter().map(|(key, value)| (key, sorted(value))).collect();
            let each: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            format!("{{{}}}", each.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
