//! Plans of small playbooks over a world in a few lines: what is known now, what is pinned, how things are called.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::catalog::types::Kind;
use crate::catalog::value::{ObjectRef, Value};
use crate::check::program::Param;
use crate::check::{Modules, check};
use crate::diagnostic::Diagnostic;
use crate::expr::FactSource;
use crate::facts::reads::{ReadKey, Reads, Unknown};
use crate::plan::graph::{Block, ClusterInfo, Graph, Node, NodeKind, Rollout, Size};
use crate::plan::{Given, parse_parameter, path, plan, unsupported};
use crate::render::{TextOptions, json, text};
use crate::source::SourceMap;

/// Nodes: name, zone (none where empty), version.
struct World(Vec<(&'static str, &'static str, &'static str)>);

const WORLD: &[(&str, &str, &str)] =
    &[("n1", "a", "v1.36.3"), ("n2", "a", "v1.36.3"), ("n3", "b", "v1.36.3"), ("n4", "", "v1.37.2")];

impl FactSource for World {
    fn fact(&self, name: &str, _: &mut Reads) -> Result<Value, Unknown> {
        let object = |kind, name: &str| {
            let name = name.to_owned();
            Value::Object(Arc::new(ObjectRef { kind, namespace: String::new(), uid: format!("uid-{name}"), name }))
        };
        match name {
            "nodes" => Ok(Value::list(self.0.iter().map(|(name, ..)| object(Kind::Node, name)).collect())),
            "cluster" => Ok(object(Kind::Cluster, "cluster")),
            other => Err(Unknown::new(format!("`{other}` is not known"))),
        }
    }

    fn field(&self, object: &Arc<ObjectRef>, field: &str, _: &mut Reads) -> Result<Value, Unknown> {
        let version = |text: &str| text.parse().map(Value::Version).map_err(Unknown::new);
        if object.kind == Kind::Cluster {
            return version("v1.36.3");
        }
        let node = self.0.iter().find(|(name, ..)| *name == object.name);
        match (field, node) {
            ("name", _) => Ok(Value::string(object.name.as_str())),
            ("zone", Some((_, zone, _))) => Ok(Value::optional_text(Some(*zone).filter(|zone| !zone.is_empty()))),
            ("kubelet", Some((.., kubelet))) => version(kubelet),
            ("ready", Some(_)) => Ok(Value::Bool(true)),
            ("labels", Some(_)) => Ok(Value::Map(Arc::default())),
            _ => Err(Unknown::new(format!("`{field}` is not known"))),
        }
    }

    fn regressed(&self, _: &mut Reads) -> Result<Value, Unknown> {
        Ok(Value::list(Vec::new()))
    }

    fn version(&self, _: &ReadKey) -> u64 {
        0
    }

    fn now(&self) -> i64 {
        1_700_000_000_000
    }
}

struct Files(&'static [(&'static str, &'static str)]);

impl Modules for Files {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        let name = path.file_name().unwrap_or_default();
        self.0
            .iter()
            .find(|(file, _)| name == *file)
            .map(|(_, text)| text.as_bytes().to_vec())
            .ok_or("no such file".to_owned())
    }

    fn standard(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn standard_names(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

const LIB: &[(&str, &str)] = &[(
    "lib.sprag",
    "let limit = 5m\ntask upgrade(node: node, within: duration = limit) {\n  log(\"${node.zone ?? \"none\"} in ${within}\")\n  wait until node.ready within within\n}\n",
)];

fn planned_from(playbook: &str, give: impl FnOnce(&[Param]) -> Given) -> Result<Graph, Vec<Diagnostic>> {
    let mut sources = SourceMap::default();
    let file = sources.add("playbook.sprag", None, playbook);
    let checked = check(&mut sources, file, &mut Files(LIB));
    let Some(program) = checked.program else { panic!("{:#?}", checked.diagnostics) };
    let facts: Arc<dyn FactSource> = Arc::new(World(WORLD.to_vec()));
    let cluster = ClusterInfo { name: "test".to_owned(), version: "v1.37.2".to_owned(), ..ClusterInfo::default() };
    plan(&program, &sources, "playbook", &give(&checked.params), &facts, cluster)
}

fn planned_with(playbook: &str, given: &[(&str, &str)]) -> Result<Graph, Vec<Diagnostic>> {
    planned_from(playbook, |params| {
        let value = |name: &str, text: &str| match params.iter().find(|param| param.name == name) {
            Some(param) => parse_parameter(text, param).unwrap(),
            None => Value::None,
        };
        given.iter().map(|(name, text)| ((*name).to_owned(), value(name, text))).collect()
    })
}

fn planned(playbook: &str) -> Graph {
    planned_with(playbook, &[]).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn mistakes(playbook: &str) -> Vec<String> {
    planned_with(playbook, &[]).expect_err("a mistake").iter().map(ToString::to_string).collect()
}

/// Every id of a block, as written.
fn ids(block: &Block, prefix: &str, out: &mut Vec<String>) {
    for node in &block.nodes {
        let id = path(prefix, &node.id);
        if node.kind.is_step() {
            out.push(id.clone());
        }
        match &node.kind {
            NodeKind::Group(group) => ids(&group.body, &id, out),
            NodeKind::Parallel { body, .. } => ids(body, &id, out),
            NodeKind::Rollout(rollout) => ids(&rollout.body, &path(&id, "*"), out),
            NodeKind::If { arms, otherwise, .. } => {
                for block in arms.iter().map(|(_, block)| block).chain([otherwise]) {
                    ids(block, prefix, out);
                }
            }
            _ => {}
        }
    }
}

fn ids_of(graph: &Graph) -> Vec<String> {
    let mut all = Vec::new();
    ids(&graph.root, "", &mut all);
    all
}

fn rollout(node: &Node) -> &Rollout {
    match &node.kind {
        NodeKind::Rollout(rollout) => rollout,
        other => panic!("{other:?}"),
    }
}

fn args(node: &Node) -> BTreeMap<&str, &str> {
    match &node.kind {
        NodeKind::Action(action) => {
            action.args.iter().map(|(name, code)| (name.as_str(), code.code.as_str())).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_read_as_paths_and_count_both_branches() {
    let graph = planned(
        "task twice() { log(\"a\") log(\"b\") }\n\
         group \"a/b\" { wait 1s wait until true within 1s as \"x y\" }\n\
         if nodes.len() > 100 { log(\"1\") twice() } else { log(\"2\") }\n\
         log(\"3\") as \"named\"\n\
         twice() log(\"4\")\n\
         record n = nodes.len()\n\
         parallel { log(\"5\") twice() }\n\
         rollout n2 in nodes as \"all\" { if n2.ready { log(\"6\") } else { log(\"7\") } }",
    );
    let expected = "a%2Fb/wait a%2Fb/x%20y log#2 named twice#2/log twice#2/log#2 log#3 n parallel/log parallel/twice/log \
                    parallel/twice/log#2 all/*/log all/*/log#2";
    assert_eq!(ids_of(&graph).join(" "), expected);
}

#[test]
fn what_a_body_puts_into_arguments_is_pinned_once() {
    let graph = planned(
        "use \"./lib.sprag\"\n\
         let first = nodes.first()\n\
         rollout node in nodes {\n\
           let zone = node.zone ?? \"-\"\n\
           label(node, \"zone\", node.zone) label(node, \"name\", \"${zone} ${node.name}\")\n\
           lib::upgrade(node) lib::upgrade(node, within: 1m)\n\
         }",
    );
    let template = rollout(&graph.root.nodes[0]);
    let pins: Vec<_> = template.pins.iter().map(|(slot, code)| format!("{slot} = {}", code.code)).collect();
    assert_eq!(pins, ["node.zone = field(name(\"node\"), \"zone\")"]);
    assert_eq!(args(&template.body.nodes[1])["value"], "name(\"node.zone\")");
    assert_eq!(
        args(&template.body.nodes[2])["value"],
        "text([name(\"zone\"), s(\" \"), field(name(\"node\"), \"name\")])"
    );
    assert_eq!(args(&template.body.nodes[2])["timeout"], "d(\"600000\")");
    let NodeKind::Group(second) = &template.body.nodes[4].kind else { panic!() };
    assert_eq!(second.task.as_deref(), Some("lib::upgrade"));
    assert!(args(&second.body.nodes[0])["text"].contains("name(\"node.zone\")"), "the same pin");
    assert_eq!(graph.values["lib::limit"], Value::Duration(300_000));
    assert_eq!(graph.values["within"], Value::Duration(60_000), "the default is the constant's own slot");
}

#[test]
fn slots_are_never_shared() {
    let graph = planned(
        "rollout n in nodes { let x = n.ready record y = n.kubelet log(\"${x} ${y}\") }\n\
         rollout n in nodes { let x = n.ready record y = n.kubelet log(\"${x} ${y}\") }",
    );
    let (first, second) = (rollout(&graph.root.nodes[0]), rollout(&graph.root.nodes[1]));
    assert_eq!((first.slot.as_str(), second.slot.as_str()), ("n", "n#2"));
    assert_eq!(args(&second.body.nodes[2])["text"], "text([name(\"x#2\"), s(\" \"), name(\"y#2\")])");
}

#[test]
fn sizes_are_known_now_or_as_the_rollout_around_begins() {
    let graph = planned(
        "param n: int = 2\n\
         rollout x in nodes batches [1, n, 50%, rest] concurrency n max_failures 10% order by x.zone one x.zone at a time {\n\
           rollout y in nodes batches [x.name.len()] { log(\"${y}\") }\n\
         }",
    );
    let outer = rollout(&graph.root.nodes[0]);
    assert_eq!(outer.batches, [Size::Count(1), Size::Count(2), Size::Share(50.0), Size::Rest]);
    assert_eq!((&outer.concurrency, &outer.max_failures), (&Size::Count(2), &Size::Share(10.0)));
    let names: Vec<_> = outer.planned.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(names, ["n4", "n1", "n2", "n3"], "none sorts first");
    assert_eq!(graph.seen.keys["x"].len(), 4);
    let inner = rollout(&outer.body.nodes[0]);
    assert_eq!(inner.planned, None);
    assert!(matches!(&inner.batches[0], Size::Code(_)));
}

#[test]
fn a_task_may_be_given_what_is_recorded() {
    let graph = planned(
        "task say(text: string) { log(text) }\nrecord n = nodes.len()\nsay(\"${n} nodes\")\nsay(\"${nodes.len()}\")",
    );
    let NodeKind::Group(group) = &graph.root.nodes[1].kind else { panic!() };
    assert_eq!(args(&group.body.nodes[0])["text"], "text([name(\"n\"), s(\" nodes\")])");
    assert_eq!(graph.values["text"], Value::string("4"), "what reads facts is known as a `let` there would be");
}

#[test]
fn what_the_plan_needs_and_cannot_be_told_is_a_mistake() {
    assert_eq!(
        mistakes("let zones = nodes.map(|n| \"${n.zone}\")\nlet more = zones.len()\nlog(\"${more}\")"),
        ["E410: `zones` cannot be told when the plan is made"]
    );
    assert_eq!(mistakes("rollout x in [\"a\", \"a\"] { log(x) }"), ["E411: `a` is in the list twice"]);
    assert_eq!(mistakes("rollout x in [\"finally\"] { log(x) }"), ["E411: an element cannot be called `finally`"]);
    assert_eq!(
        mistakes("param d: duration = 0s\nwait d"),
        ["E413: `wait` takes a duration longer than nothing, and is 0s"]
    );
    assert_eq!(
        mistakes("rollout n in nodes { group \"for ${n}\" { log(\"a\") } }"),
        ["E412: a name is the same for every element of a rollout"]
    );
    assert_eq!(
        mistakes("if true { on failure continue log(\"a\") }"),
        ["E414: an `if` that is decided by the plan has no block of its own"]
    );
}

#[test]
fn parameters_are_held_against_the_playbook() {
    let playbook = "param size: int where size > 0 else \"a pool needs nodes\"\nparam token: secret\nexec([\"x\"], env: [\"T=${token}\"])";
    let told = |given: &[(&str, &str)]| -> Vec<String> {
        planned_with(playbook, given)
            .map_or_else(|errors| errors.iter().map(ToString::to_string).collect(), |_| Vec::new())
    };
    assert_eq!(
        told(&[("sise", "1")]),
        [
            "E401: the playbook has no parameter `sise`",
            "E402: the parameter `size` (int) is missing",
            "E402: the parameter `token` (secret) is missing"
        ]
    );
    assert_eq!(
        told(&[("size", "0"), ("token", "env:T")]),
        ["E406: the parameter `size` cannot be `0`: a pool needs nodes"]
    );
    assert!(told(&[("size", "1"), ("token", "env:T")]).is_empty());
    let given = [("size".to_owned(), Value::Int(1)), ("token".to_owned(), Value::string("hunter2"))];
    let errors = planned_from(playbook, |_| given.into_iter().collect()).expect_err("a secret as plain text");
    assert_eq!(errors[0].to_string(), "E405: the secret `token` is given as plain text");
}

#[test]
fn the_digest_is_of_what_is_said_and_known() {
    let digest = |playbook: &str| planned(playbook).digest;
    let first = digest("let n = nodes.len()\nlog(\"${n}\")");
    assert_eq!(first, digest("// said otherwise\nlet n =  nodes.len()\n\nlog(\"${n}\")"));
    assert_ne!(first, digest("let n = nodes.len() + 0\nlog(\"${n}\")"));
    let given = |n: &str| planned_with("param n: int\nlog(\"${n}\")", &[("n", n)]).unwrap();
    assert_ne!(given("1").digest, given("2").digest);
    assert_eq!(given("1").sources, given("2").sources);
}

#[test]
fn a_graph_comes_back_from_its_json() {
    let graph = planned(
        "use \"./lib.sprag\"\nassert cluster.version >= v1.36\nrollout n in nodes batches [1] { lib::upgrade(n) } between { wait 1s }",
    );
    assert!(graph.seen.asserts["assert"]);
    let back: Graph = serde_json::from_str(&json(&graph)).unwrap();
    assert_eq!(back, graph);
}

#[test]
fn what_this_version_leaves_out_is_listed() {
    let graph = planned(
        "halt when nodes.len() > 9\n\
         approve \"sure?\"\n\
         rollout n in nodes defer blocked after 1m {\n\
           drain(n, jobs: \"finish\") drain(n, order: |p| p.priority)\n\
           exec([\"a\"]) undo { log(\"call_prom(\") }\n\
           wait until window(\"daily 01:00-02:00 Europe/Berlin\") within 1d\n\
         }",
    );
    let all: Vec<_> = unsupported(&graph).into_iter().map(|(place, what)| format!("{} {what}", place.line)).collect();
    assert_eq!(all, ["3 `defer blocked after`"]);
}

#[test]
fn pictures_fit_a_screen() {
    let graph = planned(
        "use \"./lib.sprag\"\n\
         assert cluster.version >= v1.36 && nodes.all(|n| n.kubelet >= v1.36) && nodes.all(|n| n.ready) && nodes.len() > 3 && nodes.len() < 5000\n\
         rollout n in nodes.filter(|n| n.kubelet < v1.37) batches [1, rest] concurrency 2 one n.zone at a time {\n\
           cordon(n) lib::upgrade(n) exec([\"upgrade\", n.name])\n\
         } between { wait 1m } finally { log(\"${outcome}\") }",
    );
    let tree = text(&graph, TextOptions { steps: false });
    let steps = text(&graph, TextOptions { steps: true });
    for line in tree.lines().chain(steps.lines()) {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(steps.contains("n/n3/upgrade/wait"), "{steps}");
    assert!(steps.contains("n/between@1/wait"), "{steps}");
    assert!(tree.contains("▲ no way back"), "{tree}");
}
