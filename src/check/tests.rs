//! The checker on anything that can be read: it never panics, and every place that it names exists.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::{Checked, Modules, check};
use crate::diagnostic::{has_errors, render_text};
use crate::source::SourceMap;
use crate::stdlib::STANDARD;

/// The standard library, and one file that brings the playbook in.
struct Library;

impl Modules for Library {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        match path.to_str() {
            Some("lib.sprag") => {
                Ok(b"let least = 3\nfn twice(n: int) -> int = n * 2\ntask close(n: node) { cordon(n) }\n".to_vec())
            }
            Some("circle.sprag") => Ok(b"use \"circle.sprag\"\nuse \"playbook.sprag\"\n".to_vec()),
            _ => Err("no such file".to_owned()),
        }
    }

    fn standard(&self, name: &str) -> Option<&'static str> {
        STANDARD.iter().find(|(module, _)| *module == name).map(|(_, text)| *text)
    }

    fn standard_names(&self) -> Vec<&'static str> {
        STANDARD.iter().map(|(name, _)| *name).collect()
    }
}

fn checked(text: &str) -> (SourceMap, Checked) {
    let mut sources = SourceMap::default();
    let file = sources.add("playbook.sprag", None, text);
    let checked = check(&mut sources, file, &mut Library);
    (sources, checked)
}

/// Checks a text and holds what came out against what is always true.
fn hold(text: &str) {
    let (sources, checked) = checked(text);
    assert_eq!(checked.program.is_none(), has_errors(&checked.diagnostics));
    for diagnostic in &checked.diagnostics {
        assert!(!diagnostic.message.ends_with('.'), "{diagnostic:?}");
        for label in &diagnostic.labels {
            let text = &sources.file(label.span.file).text;
            assert!(text.get(label.span.start as usize..label.span.end as usize).is_some(), "{diagnostic:?}");
        }
    }
    render_text(&checked.diagnostics, &sources, false);
}

fn playbooks() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks");
    let mut texts: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    texts.sort();
    texts
}

/// The codes of the table in this folder's documentation.
fn table() -> BTreeSet<&'static str> {
    let lines = include_str!("mod.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
    let codes = lines.filter_map(|line| line.split(" |").next());
    codes.filter(|code| code.len() == 4 && code[1..].bytes().all(|byte| byte.is_ascii_digit())).collect()
}

#[test]
fn every_code_has_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/check");
    let cases: String = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let missing: Vec<_> = table().into_iter().filter(|code| !cases.contains(&format!("[{code}]: "))).collect();
    assert_eq!(missing, [] as [&str; 0]);
}

#[test]
fn every_code_that_is_told_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check");
    let table = table();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for (at, _) in text.match_indices("(\"E").chain(text.match_indices("(\"L")) {
            let code = &text[at + 2..at + 6];
            let is_code = code[1..].bytes().all(|byte| byte.is_ascii_digit());
            assert!(!is_code || table.contains(code), "{code}");
        }
    }
}

#[test]
fn a_long_playbook_is_checked_soon() {
    let line = |n: usize| {
        format!("let a{n} = nodes.filter(|n| n.ready && n.kubelet < v1.31.4 && n.zone != none).len() + {n}\n")
    };
    let text: String = (0..5_000).map(line).collect();
    assert_eq!(checked(&text).1.diagnostics, []);
}

#[test]
fn what_is_deep_is_refused_or_checked() {
    for (head, link, tail) in [
        ("assert a", " && a", ""),
        ("let b = 1", " + 1", ""),
        ("let b = nodes", ".filter(|n| n.ready)", ""),
        ("let b = none", " ?? 1", ""),
        ("let b = nodes.first()", "[0]", ""),
        ("if true { } ", "else if true { } ", ""),
    ] {
        for count in [10, 190, 1_000, 20_000] {
            hold(&format!("{head}{}{tail}", link.repeat(count)));
        }
    }
}

/// Words that change what a playbook means.
const WORDS: &[&str] = &[
    "nodes",
    "pods",
    "workloads",
    "workloads.regressed",
    "cluster",
    "node",
    "n",
    "target",
    "pool",
    "old",
    "none",
    "true",
    "5m",
    "10%",
    "v1.31",
    "1",
    "0.5",
    "\"a\"",
    "\"${node}\"",
    "[1]",
    "[]",
    "nodes.first()",
    "n.pods",
    "n.labels",
    "n.labels[\"a\"]",
    "n.raw.a.b",
    "now()",
    "start",
    "prom(\"a\")",
    "filter",
    "map",
    "first",
    "min",
    "sum",
    "kubelet",
    "ready",
    "name",
    "zone",
    "allocatable",
    "drain",
    "cordon",
    "exec",
    "log",
    "label",
    "record",
    "let",
    "|x| x",
    "x",
    "lib::least",
    "lib::twice(1)",
    "(",
    ")",
    "==",
    "<",
    "+",
    "??",
    "in",
    "&&",
    "-",
    "string",
    "int",
    "secret",
    "list<node>",
    "node?",
    "version",
    "outcome",
];

/// A playbook in which some words are others.
fn reworded() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), prop::sample::select(WORDS));
    (prop::sample::select(playbooks()), prop::collection::vec(edit, 1..5)).prop_map(|(text, edits)| {
        let mut words: Vec<String> = split(&text);
        for (at, word) in edits {
            let at = at.index(words.len());
            if !words[at].trim().is_empty() {
                words[at] = word.to_owned();
            }
        }
        format!("use \"lib.sprag\"\n{}", words.concat())
    })
}

/// Words and what stands between them, in turn.
fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for c in text.chars() {
        match words.last_mut() {
            Some(last) if is_word(c) && last.ends_with(is_word) => last.push(c),
            _ => words.push(c.to_string()),
        }
    }
    words
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(&WORDS[..32]).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(&["==", "!=", "<", ">=", "+", "-", "*", "/", "??", "&&", "||", "in"][..]);
        let method = prop::sample::select(
            &[
                "filter",
                "map",
                "all",
                "any",
                "count",
                "len",
                "is_empty",
                "first",
                "sort_by",
                "min",
                "max",
                "sum",
                "unique",
                "contains",
                "split",
                "trim",
                "as_int",
                "as_list",
                "starts_with",
            ][..],
        );
        let field =
            prop::sample::select(&["name", "ready", "pods", "labels", "kubelet", "zone", "raw", "patch", "code"][..]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), method.clone()).prop_map(|(of, name)| format!("{of}.{name}()")),
            (inner.clone(), method.clone(), inner.clone()).prop_map(|(of, name, arg)| format!("{of}.{name}({arg})")),
            (inner.clone(), method, inner.clone()).prop_map(|(of, name, body)| format!("{of}.{name}(|x| {body})")),
            (inner.clone(), field).prop_map(|(of, name)| format!("{of}.{name}")),
            (inner.clone(), inner.clone()).prop_map(|(of, key)| format!("{of}[{key}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            inner.clone().prop_map(|of| format!("!{of}")),
            inner.clone().prop_map(|of| format!("-{of}")),
            inner.clone().prop_map(|of| format!("\"a ${{{of}}} b\"")),
            inner.prop_map(|of| format!("lib::twice({of})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reworded_playbook_is_checked_without_panic(text in reworded()) {
        hold(&text);
    }

    #[test]
    fn any_expression_is_checked_without_panic(a in expression(), b in expression()) {
        hold(&format!(
            "use \"lib.sprag\"\nparam target: version\nparam pool: string\nlet old = {a}\nrecord node = {b}\n\
             rollout n in {a} order by {b} {{\n    let c = {b}\n    log(\"${{{a}}}\")\n    exec(\"echo ${{{b}}}\")\n\
             wait until {a} == {b} within 5m\n}}\nassert {a}\n"
        ));
    }

    #[test]
    fn any_modules_are_checked_without_panic(names in prop::collection::vec("lib|circle|playbook|node|a", 0..4)) {
        let uses: String = names.iter().map(|name| format!("use \"{name}.sprag\"\n")).collect();
        hold(&format!("{uses}use std::node\nlet a = lib::least + lib::twice(circle::x)\n"));
    }
}
