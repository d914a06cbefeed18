//! A world written by hand, in a few lines of YAML.
//!
//! ```yaml
//! version: v1.37.2                       # the API server's
//! nodes:
//!   - {name: w, count: 12, zones: [a, b, c], kubelet: v1.36.3, labels: {pool: workers}, cpu: 4, memory: 16Gi, pods: 110,
//!      taints: ["odd=yes:NoSchedule"], annotations: {}, ready: true, cordoned: false}
//! workloads:                             # with their pods, one a node in turn
//!   - {name: shop/cart, kind: Deployment, replicas: 3, nodes: [w-1, w-2], cpu: 250m, memory: 256Mi, grace: 30s,
//!      ready_after: 20s, init: 10s, stop_after: 2s, priority: 0, spread: zone, apart: host, never_ready: false,
//!      emptydir: false, host_port: 0, tolerates: [odd], select: {pool: workers}, image: "shop/cart:1"}
//! budgets:                               # of the workload of that name, or of what `selector` selects
//!   - {name: shop/cart, max_unavailable: 1}
//! bare_pods:                             # of nobody
//!   - {name: shop/debug, node: w-1}
//! ```
//!
//! `count` makes `w-1`, `w-2`, …; without it there is one, called as it says.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::source::{FileId, SourceMap, Span};

/// More objects than this are a slip of the pen.
const MOST: usize = 200_000;

/// A world as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldFile {
    /// The API server's version.
    #[serde(default = "default_version")]
    pub version: String,
    /// The context's name.
    #[serde(default = "default_name")]
    pub name: String,
    /// Its nodes.
    #[serde(default)]
    pub nodes: Vec<NodeRow>,
    /// Its workloads, with their pods.
    #[serde(default)]
    pub workloads: Vec<WorkloadRow>,
    /// Its budgets.
    #[serde(default)]
    pub budgets: Vec<BudgetRow>,
    /// Pods of nobody.
    #[serde(default)]
    pub bare_pods: Vec<BarePodRow>,
}

/// Some nodes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRow {
    /// Their name, or what it begins with.
    pub name: String,
    /// How many.
    pub count: Option<usize>,
    /// In turn.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Their kubelet's version.
    #[serde(default = "default_version")]
    pub kubelet: String,
    /// Their labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Their annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// `key=value:Effect`
    #[serde(default)]
    pub taints: Vec<String>,
    /// Whether they are ready.
    #[serde(default = "yes")]
    pub ready: bool,
    /// Whether somebody cordoned them.
    #[serde(default)]
    pub cordoned: bool,
    /// Processors.
    #[serde(default = "four")]
    pub cpu: Amount,
    /// Memory.
    #[serde(default = "sixteen")]
    pub memory: Amount,
    /// How many pods fit on one.
    #[serde(default = "hundred_and_ten")]
    pub pods: u32,
}

/// A workload.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRow {
    /// `namespace/name`
    pub name: String,
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    #[serde(default = "deployment")]
    pub kind: String,
    /// How many pods; of a DaemonSet, one a node.
    #[serde(default = "one")]
    pub replicas: usize,
    /// Where its pods are, in turn; every node in turn where none is said.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// What each pod asks for.
    pub cpu: Option<Amount>,
    /// What each pod asks for.
    pub memory: Option<Amount>,
    /// Its grace period.
    pub grace: Option<String>,
    /// From being bound until ready.
    pub ready_after: Option<String>,
    /// How long its init containers take; it has one then.
    pub init: Option<String>,
    /// From the deletion until its containers have stopped.
    pub stop_after: Option<String>,
    /// Whether its pods never become ready.
    #[serde(default)]
    pub never_ready: bool,
    /// Its priority.
    pub priority: Option<i64>,
    /// `zone` or `host`: a spread constraint that must hold.
    pub spread: Option<String>,
    /// `zone` or `host`: no two of its pods in one.
    pub apart: Option<String>,
    /// Whether its pods have an emptyDir.
    #[serde(default)]
    pub emptydir: bool,
    /// A port of the node that each pod takes.
    pub host_port: Option<u16>,
    /// Keys of taints that its pods tolerate.
    #[serde(default)]
    pub tolerates: Vec<String>,
    /// Labels of the nodes that its pods need.
    #[serde(default)]
    pub select: BTreeMap<String, String>,
    /// Its image.
    pub image: Option<String>,
    /// Seconds that a pod must be ready for before it counts as available.
    #[serde(default)]
    pub min_ready: u32,
}

/// A budget.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetRow {
    /// `namespace/name`; it covers the workload of that name where no selector is said.
    pub name: String,
    /// A count or a percentage.
    pub max_unavailable: Option<Value>,
    /// A count or a percentage.
    pub min_available: Option<Value>,
    /// Labels of the pods that it covers.
    pub selector: Option<BTreeMap<String, String>>,
    /// `AlwaysAllow` or `IfHealthyBudget`.
    pub unhealthy: Option<String>,
}

/// A pod of nobody.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BarePodRow {
    /// `namespace/name`
    pub name: String,
    /// Its node.
    pub node: String,
}

/// A quantity, written as a number or a text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// `4`
    Number(i64),
    /// `500m`, `16Gi`
    Text(String),
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn default_version() -> String {
    "v1.36.3".to_owned()
}
fn default_name() -> String {
    "world".to_owned()
}
fn deployment() -> String {
    "Deployment".to_owned()
}
fn yes() -> bool {
    true
}
fn one() -> usize {
    1
}
fn four() -> Amount {
    Amount::Number(4)
}
fn sixteen() -> Amount {
    Amount::Text("16Gi".to_owned())
}
fn hundred_and_ten() -> u32 {
    110
}

/// Reads a world file, whole.
///
/// # Errors
/// Every mistake in it, each with its place: E484 what is no world, E485 what a world cannot have.
pub fn read(sources: &SourceMap, file: FileId) -> Result<WorldFile, Vec<Diagnostic>> {
    let text = sources.text(whole(sources, file)).to_owned();
    let world: WorldFile = serde_yaml_ng::from_str(&text).map_err(|error| vec![no_world(file, &text, &error)])?;
    let mut check = Check { file, text: &text, mistakes: Vec::new() };
    check.world(&world);
    if check.mistakes.is_empty() { Ok(world) } else { Err(check.mistakes) }
}

fn whole(sources: &SourceMap, file: FileId) -> Span {
    let end = sources.iter().find(|(id, _)| *id == file).map_or(0, |(_, source)| source.text.len());
    Span::new(file, 0, end)
}

fn no_world(file: FileId, text: &str, error: &serde_yaml_ng::Error) -> Diagnostic {
    let said = error.to_string();
    let message = said.split(" at line ").next().unwrap_or(&said).to_owned();
    let told = Diagnostic::error("E484", format!("this is no world: {message}"));
    let told = match error.location() {
        Some(place) => {
            let start = place.index().min(text.len());
            let end = text[start..].find(['\n', ',', '}']).map_or(text.len(), |length| start + length);
            told.at(Span::new(file, start, end), "")
        }
        None => told,
    };
    told.help("a world has `version`, `nodes`, `workloads`, `budgets` and `bare_pods`; see `sprag rehearse --help`")
}

struct Check<'a> {
    file: FileId,
    text: &'a str,
    mistakes: Vec<Diagnostic>,
}

impl Check<'_> {
    fn world(&mut self, world: &WorldFile) {
        let objects: usize = world.nodes.iter().map(|node| node.count.unwrap_or(1)).sum::<usize>()
            + world.workloads.iter().map(|workload| workload.replicas).sum::<usize>();
        if objects > MOST {
            self.tell(
                "",
                format!("{objects} nodes and pods are more than {MOST}, the most of a world"),
                "lower the counts",
            );
            return;
        }
        let nodes: BTreeSet<String> = world.nodes.iter().flat_map(names).collect();
        for node in &world.nodes {
            self.node(node);
        }
        for workload in &world.workloads {
            self.workload(workload, &nodes);
        }
        let workloads: BTreeSet<&str> = world.workloads.iter().map(|workload| workload.name.as_str()).collect();
        for budget in &world.budgets {
            self.budget(budget, &workloads);
        }
        for pod in &world.bare_pods {
            self.is_namespaced(&pod.name);
            self.has_node(&pod.node, &nodes);
        }
    }

    fn node(&mut self, node: &NodeRow) {
        for taint in &node.taints {
            let is_taint = taint.rsplit_once(':').is_some_and(|(key, effect)| {
                !key.is_empty() && matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute")
            });
            if !is_taint {
                self.tell(taint, format!("`{taint}` is no taint"), "write `key=value:NoSchedule`");
            }
        }
        for amount in [&node.cpu, &node.memory] {
            self.is_amount(amount);
        }
        if node.count == Some(0) {
            self.tell(&node.name, format!("no node `{}` at all", node.name), "leave the row out, or say how many");
        }
    }

    fn workload(&mut self, workload: &WorkloadRow, nodes: &BTreeSet<String>) {
        self.is_namespaced(&workload.name);
        if !matches!(workload.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") {
            let told = format!("`{}` is no kind of workload", workload.kind);
            self.tell(&workload.kind, told, "Deployment, ReplicaSet, StatefulSet or DaemonSet");
        }
        for node in &workload.nodes {
            self.has_node(node, nodes);
        }
        for amount in [&workload.cpu, &workload.memory].into_iter().flatten() {
            self.is_amount(amount);
        }
        let times = [&workload.grace, &workload.ready_after, &workload.init, &workload.stop_after];
        for time in times.into_iter().flatten() {
            if crate::syntax::parse_duration(time).is_none() {
                self.tell(time, format!("`{time}` is no duration"), "write `30s`, `1m30s` or `500ms`");
            }
        }
        for place in [&workload.spread, &workload.apart].into_iter().flatten() {
            if !matches!(place.as_str(), "zone" | "host") {
                self.tell(place, format!("`{place}` is no place to spread over"), "`zone` or `host`");
            }
        }
    }

    fn budget(&mut self, budget: &BudgetRow, workloads: &BTreeSet<&str>) {
        self.is_namespaced(&budget.name);
        if budget.selector.is_none() && !workloads.contains(budget.name.as_str()) {
            let told = format!("the budget `{}` covers nothing: there is no workload of that name", budget.name);
            self.tell(&budget.name, told, "say `selector: {label: value}`, or name it as the workload that it is for");
        }
        match (&budget.max_unavailable, &budget.min_available) {
            (Some(_), Some(_)) => {
                let told = format!("the budget `{}` says both `max_unavailable` and `min_available`", budget.name);
                self.tell(&budget.name, told, "a budget has one of them");
            }
            (None, None) => {
                let told = format!("the budget `{}` allows nothing in particular", budget.name);
                self.tell(&budget.name, told, "say `max_unavailable` or `min_available`, a count or a percentage");
            }
            (Some(amount), None) | (None, Some(amount)) => self.is_share(amount),
        }
    }

    fn is_share(&mut self, amount: &Value) {
        let is_good = match amount {
            Value::Number(number) => number.as_i64().is_some_and(|number| number >= 0),
            Value::String(text) => text
                .strip_suffix('%')
                .and_then(|number| number.parse::<u32>().ok())
                .is_some_and(|percent| percent <= 100),
            _ => false,
        };
        if !is_good {
            let shown = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
            self.tell(&shown, format!("`{shown}` is no count and no percentage up to 100%"), "write `1` or `25%`");
        }
    }

    fn is_amount(&mut self, amount: &Amount) {
        let text = amount.to_string();
        if text.parse::<crate::catalog::quantity::Quantity>().is_err() {
            self.tell(&text, format!("`{text}` is no quantity"), "write `2`, `500m` or `4Gi`");
        }
    }

    fn is_namespaced(&mut self, name: &str) {
        if !name.split_once('/').is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty()) {
            self.tell(name, format!("`{name}` says no namespace"), "write `namespace/name`");
        }
    }

    fn has_node(&mut self, node: &str, nodes: &BTreeSet<String>) {
        if !nodes.contains(node) {
            let help = match crate::diagnostic::did_you_mean(node, nodes.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "a row of `name: w` with `count: 3` makes `w-1`, `w-2` and `w-3`".to_owned(),
            };
            self.tell(node, format!("there is no node `{node}`"), &help);
        }
    }

    /// Tells a mistake at the place where these words stand.
    fn tell(&mut self, words: &str, message: String, help: &str) {
        let told = Diagnostic::error("E485", message).help(help);
        let place = self.text.find(words).filter(|_| !words.is_empty());
        self.mistakes.push(match place {
            Some(start) => told.at(Span::new(self.file, start, start + words.len()), ""),
            None => told,
        });
    }
}

/// The names of the nodes of a row.
pub(super) fn names(row: &NodeRow) -> Vec<String> {
    match row.count {
        Some(count) => (1..=count).map(|index| format!("{}-{index}", row.name)).collect(),
        None => vec![row.name.clone()],
    }
}
