//! Expressions as written → their values: checked, lowered, evaluated over a small cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::lower::{LowerNames, lower};
use super::{Bindings, Compiled, EvalError, FactSource, Memo, facts_in, load, reads_field};
use crate::catalog::types::Kind;
use crate::catalog::value::{ObjectRef, Value};
use crate::check::program::StatementKind;
use crate::check::{Modules, check};
use crate::facts::reads::{ReadKey, Reads, Unknown};
use crate::plan::graph::Code;
use crate::source::SourceMap;

/// 2026-01-01T00:00:00Z in Unix milliseconds.
const NOW: i64 = 1_767_225_600_000;

/// Three nodes; the third is not read any more.
struct Cluster {
    fields: Mutex<BTreeMap<(&'static str, &'static str), Value>>,
    versions: Mutex<BTreeMap<String, u64>>,
    clock: AtomicU64,
    reads: AtomicUsize,
}

impl Cluster {
    fn new() -> Arc<Self> {
        let version = |text: &str| Value::Version(text.parse().unwrap());
        let quantity = |text: &str| Value::Quantity(text.parse().unwrap());
        let labels = |pairs: &[(&str, &str)]| {
            Value::text_map(&pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
        };
        let memory = |text: &str| Value::Map(Arc::new(BTreeMap::from([("memory".to_owned(), quantity(text))])));
        let raw = serde_json::json!({
            "spec": {"unschedulable": true, "taints": [{"key": "a"}], "podCIDR": "10.0.0.0/24"}, "count": 3, "part": 0.5,
            "version": "v1.31.4", "nothing": null
        });
        let fields = BTreeMap::from([
            (("a", "ready"), Value::Bool(true)),
            (("a", "kubelet"), version("v1.31.4")),
            (("a", "zone"), Value::string("eu-1a")),
            (("a", "labels"), labels(&[("pool", "workers")])),
            (("a", "allocatable"), memory("8Gi")),
            (("a", "age"), Value::Duration(3_600_000)),
            (("a", "raw"), Value::Json(Arc::new(raw))),
            (("b", "ready"), Value::Bool(false)),
            (("b", "kubelet"), version("v1.30.9")),
            (("b", "zone"), Value::None),
            (("b", "labels"), labels(&[])),
            (("b", "allocatable"), memory("4Gi")),
            (("b", "age"), Value::Duration(60_000)),
        ]);
        Arc::new(Self {
            fields: Mutex::new(fields),
            versions: Mutex::default(),
            clock: AtomicU64::new(NOW as u64),
            reads: AtomicUsize::new(0),
        })
    }

    fn set(&self, node: &'static str, field: &'static str, value: Value) {
        self.fields.lock().unwrap().insert((node, field), value);
        *self.versions.lock().unwrap().entry(node.to_owned()).or_default() += 1;
    }

    fn take_reads(&self) -> usize {
        self.reads.swap(0, Ordering::SeqCst)
    }
}

fn object(name: &str) -> Arc<ObjectRef> {
    Arc::new(ObjectRef {
        kind: Kind::Node,
        namespace: String::new(),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
    })
}

impl FactSource for Cluster {
    fn fact(&self, name: &str, reads: &mut Reads) -> Result<Value, Unknown> {
        match name {
            "nodes" => {
                reads.note(ReadKey::Members(Kind::Node));
                Ok(Value::list(["a", "b"].map(|name| Value::Object(object(name))).into()))
            }
            "all_pods" => Ok(Value::list(vec![Value::Object(object("gone"))])),
            "pods" => Ok(Value::list(Vec::new())),
            "start" => Ok(Value::Time(NOW - 90_000)),
            other => Err(Unknown::new(format!("`{other}` is not watched"))),
        }
    }

    fn field(&self, object: &Arc<ObjectRef>, field: &str, reads: &mut Reads) -> Result<Value, Unknown> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        reads.note(ReadKey::Object(object.clone()));
        if field == "name" {
            return Ok(Value::string(object.name.as_str()));
        }
        let fields = self.fields.lock().unwrap();
        let found = fields.iter().find(|((node, name), _)| *node == object.name && *name == field);
        found.map(|(_, value)| value.clone()).ok_or_else(|| Unknown::new(format!("`{field}` cannot be read")))
    }

    fn regressed(&self, _: &mut Reads) -> Result<Value, Unknown> {
        Err(Unknown::new("no run has begun"))
    }

    fn version(&self, key: &ReadKey) -> u64 {
        match key {
            ReadKey::Object(object) => self.versions.lock().unwrap().get(&object.name).copied().unwrap_or_default(),
            _ => 0,
        }
    }

    fn now(&self) -> i64 {
        self.clock.load(Ordering::SeqCst) as i64
    }
}

struct NoModules;

impl Modules for NoModules {
    fn read(&mut self, _: &Path) -> Result<Vec<u8>, String> {
        Err("no such file".to_owned())
    }

    fn standard(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn standard_names(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// What may be used in an expression beside facts.
const HEAD: &str = "param target: version\nparam least: quantity\nparam pool: string?\n\
    fn old(node: node, than: version = v1.31) -> bool = node.kubelet < than\n\
    fn twice(count: int) -> int = count + count\n";

fn lowered(expression: &str) -> Code {
    let mut sources = SourceMap::default();
    let file = sources.add("playbook.sprag", None, format!("{HEAD}record value = {expression}\n"));
    let checked = check(&mut sources, file, &mut NoModules);
    let Some(program) = checked.program else { panic!("{expression}: {:?}", checked.diagnostics) };
    let Some(StatementKind::Record { value, .. }) = program.body.statements.last().map(|statement| &statement.kind)
    else {
        panic!("{expression}: no record")
    };
    lower(value, &LowerNames { slots: &BTreeMap::new(), sources: &sources })
}

fn compiled(expression: &str) -> Compiled {
    load(&lowered(expression)).unwrap()
}

fn bindings() -> Bindings {
    BTreeMap::from([
        ("target".to_owned(), Value::Version("v1.31.4".parse().unwrap())),
        ("least".to_owned(), Value::Quantity("4Gi".parse().unwrap())),
        ("pool".to_owned(), Value::None),
    ])
}

fn evaluated(expression: &str) -> Result<Value, EvalError> {
    let facts: Arc<dyn FactSource> = Cluster::new();
    compiled(expression).evaluate(&bindings(), &facts, &mut Reads::default(), None)
}

/// Each expression gives what is shown so.
fn hold(table: &[(&str, &str)]) {
    for (expression, shown) in table {
        match evaluated(expression) {
            Ok(value) => assert_eq!(value.to_string(), *shown, "{expression}"),
            Err(error) => panic!("{expression}: {error}"),
        }
    }
}

/// Each expression is unknown for that reason.
fn hold_unknown(table: &[(&str, &str)]) {
    for (expression, why) in table {
        match evaluated(expression) {
            Err(EvalError::Unknown(unknown)) => assert_eq!(unknown.why, *why, "{expression}"),
            other => panic!("{expression}: {other:?}"),
        }
    }
}

#[test]
fn numbers_are_computed() {
    hold(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 - 2 - 1", "4"),
        ("1 / 2", "0.5"),
        ("4 / 2", "2"),
        ("-5 + 3", "-2"),
        ("2 + 0.5", "2.5"),
        ("1 == 1.0", "true"),
        ("1 < 1.5", "true"),
        ("9223372036854775807 == 9223372036854775807", "true"),
        ("twice(twice(3))", "12"),
        ("[1, 2, 3].sum()", "6"),
        ("[0.5, 0.25].max() ?? 0.0", "0.5"),
        ("[3, 1, 2].sort_by(|x| -x)", "[3, 2, 1]"),
    ]);
    hold_unknown(&[
        ("9223372036854775807 + 1", "`9223372036854775807 + 1` has no value"),
        ("1 / 0", "`1 / 0` has no value"),
        ("5 * 9223372036854775807", "`5 * 9223372036854775807` has no value"),
    ]);
}

#[test]
fn durations_and_times_are_computed() {
    hold(&[
        ("1h30m + 30m", "2h"),
        ("90s", "1m30s"),
        ("5m * 2", "10m"),
        ("2 * 5m", "10m"),
        ("1m * 0.5", "30s"),
        ("-5m", "-5m"),
        ("5m - 5m", "0s"),
        ("1h / 30m", "2"),
        ("90s == 1m30s", "true"),
        ("5m < 1h", "true"),
        ("now() - start", "1m30s"),
        ("start + 1m30s == now()", "true"),
        ("start < now()", "true"),
        ("nodes.map(|n| n.age).sum()", "1h1m"),
        ("now()", "2026-01-01T00:00:00Z"),
    ]);
    hold_unknown(&[("106751991167d + 106751991167d", "`106751991167d + 106751991167d` has no value")]);
}

#[test]
fn shares_and_quantities_are_computed() {
    hold(&[
        ("25% + 25%", "50%"),
        ("25% == 0.25", "true"),
        ("10% < 0.2", "true"),
        ("50% * 3.0", "1.5"),
        ("10% > 5%", "true"),
        ("10% / 20%", "0.5"),
        ("least == least", "true"),
        ("least + least", "8Gi"),
        ("least * 2", "8Gi"),
        ("least - 1", "4294967295"),
        ("least / least", "1"),
        ("least > 4294967295", "true"),
        ("least == 4294967296", "true"),
        ("nodes.map(|n| n.allocatable.memory).sum()", "12Gi"),
        ("nodes.map(|n| n.allocatable.memory).min() ?? least", "4Gi"),
        ("nodes.filter(|n| n.allocatable.memory > least).map(|n| n.name)", "[a]"),
    ]);
}

#[test]
fn versions_compare_as_the_language_says() {
    for (a, b, sign) in [
        ("v1.31", "v1.31.4", "=="),
        ("v1.31.4", "v1.31.4", "=="),
        ("v1.31", "v1.31", "=="),
        ("v1.31", "v1.32.0", "<"),
        ("v1.31.9", "v1.32", "<"),
        ("v1.31.10", "v1.31.9", ">"),
        ("v1.31.4-gke.9", "v1.31.4-gke.10", "<"),
        ("v1.31.4-gke.9", "v1.31.4", "=="),
        ("v1.31.4+k3s1", "v1.31.4+k3s2", "<"),
        ("v2.0", "v1.99", ">"),
    ] {
        // Exactly one of the three holds; `<=` and `>=` follow.
        for operator in ["<", "==", ">"] {
            hold(&[(&format!("{a} {operator} {b}"), if operator == sign { "true" } else { "false" })]);
        }
        hold(&[
            (&format!("{a} <= {b}"), if sign == ">" { "false" } else { "true" }),
            (&format!("{a} >= {b}"), if sign == "<" { "false" } else { "true" }),
            (&format!("{a} != {b}"), if sign == "==" { "false" } else { "true" }),
        ]);
    }
}

#[test]
fn versions_are_sorted_by_every_part() {
    hold(&[
        ("[v1.31.10, v1.31.9, v1.30.1].sort_by(|v| v)", "[v1.30.1, v1.31.9, v1.31.10]"),
        ("[v1.31.4, v1.31.4-gke.2, v1.31.4-gke.10].max() ?? v1.0.0", "v1.31.4-gke.10"),
        ("[v1.31.4-gke.2, v1.31.4].min() ?? v1.0.0", "v1.31.4"),
        ("[v1.31.4, v1.31.4-gke.2, v1.31.4].unique()", "[v1.31.4, v1.31.4-gke.2]"),
        ("nodes.sort_by(|n| n.kubelet).map(|n| n.name)", "[b, a]"),
        ("v1.31 in [v1.31.4]", "true"),
        ("(v1.31.4-gke.7).suffix", "-gke.7"),
        ("v1.31.4.minor + v1.31.4.major", "32"),
        ("v1.31.4.text", "1.31.4"),
        ("(v1.31.4.patch ?? 0) + 1", "5"),
        ("v1.31.patch ?? -1", "-1"),
        ("\"${v1.31} ${target}\"", "v1.31 v1.31.4"),
    ]);
    let why = "`v1.31` stands for all its patches and cannot be sorted";
    hold_unknown(&[
        ("[v1.31, v1.32.0].max() ?? v1.0.0", why),
        ("[v1.31, v1.32.0].sort_by(|v| v)", why),
        ("[v1.32.0, v1.31].unique()", why),
    ]);
}

#[test]
fn none_is_taken_where_it_may_stand() {
    hold(&[
        ("pool == none", "true"),
        ("pool != \"a\"", "true"),
        ("pool ?? \"workers\"", "workers"),
        ("pool in [\"a\", none]", "true"),
        ("pods.first() == none", "true"),
        ("pods.map(|p| p.age).min() ?? 5m", "5m"),
        ("nodes.filter(|n| n.zone == none).map(|n| n.name)", "[b]"),
        ("nodes.filter(|n| n.labels[\"pool\"] == \"workers\").len()", "1"),
        ("nodes.sort_by(|n| n.zone).map(|n| n.name)", "[b, a]"),
        ("nodes.map(|n| n.zone).unique()", "[eu-1a, none]"),
        ("nodes.map(|n| n.labels[n.zone] ?? \"-\")", "[-, -]"),
        ("nodes.any(|n| \"pool\" in n.labels)", "true"),
        ("nodes[5] == none", "true"),
        ("nodes[0] == nodes.first()", "true"),
    ]);
    hold_unknown(&[
        ("pool < \"a\"", "`pool` is none"),
        ("\"${pool}\"", "`pool` is none"),
        ("pool.len()", "`pool` is none"),
        ("nodes.all(|n| n.zone < \"z\")", "`n.zone` is none (node b)"),
        ("pods.first().ready", "`pods.first()` is none"),
        (
            "nodes.map(|n| n.zone).max() < \"z\" && nodes.map(|n| n.zone).min() < \"z\"",
            "`nodes.map(|n| n.zone).min()` is none",
        ),
    ]);
}

#[test]
fn what_is_unknown_ends_the_evaluation_unless_it_is_not_reached() {
    hold(&[
        ("false && webhooks.is_empty()", "false"),
        ("true || webhooks.is_empty()", "true"),
        ("nodes.any(|n| n.ready || webhooks.is_empty())", "true"),
        ("pool ?? \"a\" == \"a\" || webhooks.is_empty()", "true"),
    ]);
    hold_unknown(&[
        ("webhooks.is_empty()", "`webhooks` is not watched"),
        ("webhooks.is_empty() || true", "`webhooks` is not watched"),
        ("webhooks.is_empty() && false", "`webhooks` is not watched"),
        ("!webhooks.is_empty()", "`webhooks` is not watched"),
        ("nodes.all(|n| n.kernel == \"6\")", "`kernel` cannot be read (node a)"),
        ("all_pods.map(|p| p.ready)", "`ready` cannot be read (node gone)"),
        ("workloads.regressed.is_empty()", "no run has begun"),
        ("jobs.len() + webhooks.len()", "`jobs` is not watched"),
        ("prom(\"up\") > 1", "`prom` is not carried out by this version"),
    ]);
}

#[test]
fn lists_and_texts_have_their_methods() {
    hold(&[
        ("nodes.map(|n| n.name)", "[a, b]"),
        ("nodes", "[a, b]"),
        ("nodes.count(|n| n.ready)", "1"),
        ("nodes.count()", "2"),
        ("nodes.all(|n| n.ready)", "false"),
        ("nodes.any(|n| n.ready)", "true"),
        ("pods.all(|p| p.ready)", "true"),
        ("pods.any(|p| p.ready)", "false"),
        ("pods.is_empty()", "true"),
        ("pods.map(|p| p.restarts).sum()", "0"),
        ("pods.map(|p| p.age).sum()", "0s"),
        ("nodes.filter(|n| nodes.any(|m| m.name != n.name && m.ready)).map(|n| n.name)", "[b]"),
        ("nodes.filter(|n| old(n)).map(|n| n.name)", "[b]"),
        ("nodes.filter(|n| old(n, than: target)).map(|n| n.name)", "[b]"),
        ("nodes.contains(nodes.filter(|n| n.ready)[0])", "true"),
        ("\"a,b,,c\".split(\",\")", "[a, b, , c]"),
        ("\"  a \".trim().len()", "1"),
        ("\"äö\".len()", "2"),
        ("\"abc\".contains(\"b\") && \"abc\".starts_with(\"a\") && \"abc\".ends_with(\"c\")", "true"),
        ("[\"b\", \"a\"].min() ?? \"\"", "a"),
        ("\"${[1, 2].len()} ${true} ${1h30m} ${25%}\"", "2 true 1h30m 25%"),
        ("nodes.map(|n| \"${n}\")", "[a, b]"),
        ("\"a\\\"b\\\\n${1}\\n\"", "a\"b\\n1\n"),
    ]);
}

#[test]
fn json_gives_what_it_is_or_none() {
    let node = |path: &str| format!("nodes.filter(|n| n.ready).map(|n| {path})");
    for (path, shown) in [
        ("n.raw.spec.unschedulable == true", "[true]"),
        ("n.raw.spec[\"podCIDR\"] == \"10.0.0.0/24\"", "[true]"),
        ("n.raw.spec.taints[0].key == \"a\"", "[true]"),
        ("n.raw.spec.taints[7].key == none", "[true]"),
        ("n.raw.no.such.field == none", "[true]"),
        ("n.raw.nothing == none", "[true]"),
        ("n.raw.count == 3", "[true]"),
        ("n.raw.count == 4", "[false]"),
        ("n.raw.part == 0.5", "[true]"),
        ("n.raw.version == v1.31.4", "[true]"),
        ("n.raw.count == \"3\"", "[false]"),
        ("n.raw.count.as_int() ?? 0", "[3]"),
        ("n.raw.part.as_int() ?? 0", "[0]"),
        ("n.raw.count.as_float() ?? 0.0", "[3]"),
        ("n.raw.count.as_text() ?? \"-\"", "[-]"),
        ("n.raw.spec.unschedulable.as_bool() ?? false", "[true]"),
        ("(n.raw.spec.taints.as_list() ?? []).len()", "[1]"),
    ] {
        hold(&[(&node(path), shown)]);
    }
}

#[test]
fn what_an_expression_reads_is_told() {
    let code = lowered("nodes.count(|n| n.ready) > 1 && jobs.is_empty() || pool == \"fact(\\\"pods\\\")\"");
    assert_eq!(facts_in(&code).into_iter().collect::<Vec<_>>(), ["jobs", "nodes"]);
    assert!(reads_field(&code, "ready") && !reads_field(&code, "kubelet"));
    assert_eq!(load(&code).unwrap().slots().iter().collect::<Vec<_>>(), ["pool"]);
    assert_eq!(code.text, "nodes.count(|n| n.ready) > 1 && jobs.is_empty() || pool == \"fact(\\\"pods\\\")\"");

    let facts: Arc<dyn FactSource> = Cluster::new();
    let mut reads = Reads::default();
    compiled("nodes.any(|n| n.ready)").evaluate(&bindings(), &facts, &mut reads, None).unwrap();
    let keys: Vec<_> = reads.keys.into_iter().collect();
    assert_eq!(keys, [ReadKey::Members(Kind::Node), ReadKey::Object(object("a"))], "b was not looked at");
}

#[test]
fn a_change_costs_one_closure() {
    let cluster = Cluster::new();
    let facts: Arc<dyn FactSource> = cluster.clone();
    let condition = compiled("nodes.count(|n| n.ready && n.kubelet < v1.32) == 1");
    let mut memo = Memo::default();
    let mut look = |cluster: &Cluster| {
        let mut reads = Reads::default();
        let holds = condition.is_true(&bindings(), &facts, &mut reads, Some(&mut memo)).unwrap();
        assert_eq!(reads.keys.len(), 3, "what was remembered counts as read");
        (holds, cluster.take_reads())
    };
    assert_eq!(look(&cluster), (true, 3), "b is not ready: its kubelet is not read");
    assert_eq!(look(&cluster), (true, 0));
    cluster.set("b", "ready", Value::Bool(true));
    assert_eq!(look(&cluster), (false, 2), "b alone");
    cluster.set("a", "ready", Value::Bool(false));
    assert_eq!(look(&cluster), (true, 1), "a alone");
    assert_eq!(look(&cluster), (true, 0));
}

#[test]
fn a_closure_that_uses_another_name_is_not_remembered_for_it() {
    let cluster = Cluster::new();
    let facts: Arc<dyn FactSource> = cluster.clone();
    let condition = compiled("nodes.map(|n| nodes.count(|m| m.name != n.name && m.ready))");
    let mut memo = Memo::default();
    let mut look =
        || condition.evaluate(&bindings(), &facts, &mut Reads::default(), Some(&mut memo)).unwrap().to_string();
    assert_eq!(look(), "[0, 1]");
    assert_eq!(look(), "[0, 1]");
    cluster.set("b", "ready", Value::Bool(true));
    assert_eq!(look(), "[1, 1]");
}

#[test]
fn what_reads_the_clock_is_remembered_until_it_may_differ() {
    let cluster = Cluster::new();
    let facts: Arc<dyn FactSource> = cluster.clone();
    let condition = compiled("nodes.map(|n| now() - start + n.age)");
    let mut memo = Memo::default();
    let mut look =
        || condition.evaluate(&bindings(), &facts, &mut Reads::default(), Some(&mut memo)).unwrap().to_string();
    assert_eq!(look(), "[1h1m30s, 2m30s]");
    cluster.clock.fetch_add(2_000, Ordering::SeqCst);
    assert_eq!(look(), "[1h1m32s, 2m32s]");
}

#[test]
fn a_command_carries_its_values_beside_it() {
    let mut sources = SourceMap::default();
    let text = "param pool: string\nexec(\"get -l pool=${pool} '${pool}' \\\"${pool}\\\"\")\n";
    let file = sources.add("playbook.sprag", None, text);
    let program = check(&mut sources, file, &mut NoModules).program.unwrap();
    let Some(StatementKind::Action(action)) = program.body.statements.last().map(|statement| &statement.kind) else {
        panic!("no action")
    };
    let command = &action.args.iter().find(|(name, _)| *name == "command").unwrap().1;
    let code = lower(command, &LowerNames { slots: &BTreeMap::new(), sources: &sources });
    let facts: Arc<dyn FactSource> = Cluster::new();
    let bindings = BTreeMap::from([("pool".to_owned(), Value::string("a'; rm -rf / #"))]);
    let value = load(&code).unwrap().evaluate(&bindings, &facts, &mut Reads::default(), None).unwrap();
    let Value::Map(map) = value else { panic!("{value}") };
    assert_eq!(
        map["script"],
        Value::string("get -l pool=\"${SPRAG_ARG_1}\" ''\"${SPRAG_ARG_2}\"'' \"${SPRAG_ARG_3}\"")
    );
    assert_eq!(map["values"], Value::list(vec![Value::string("a'; rm -rf / #"); 3]));
}

#[test]
fn what_nests_as_deep_as_the_checker_takes_is_evaluated() {
    hold(&[
        (&format!("{}1{}", "(".repeat(60), ")".repeat(60)), "1"),
        (&format!("1{}", " + 1".repeat(150)), "151"),
        (&format!("true{}", " && true".repeat(150)), "true"),
        (&format!("nodes{}.len()", ".filter(|n| n.ready)".repeat(90)), "1"),
    ]);
}
