//! The reader on any text: it ends soon, never panics, tells what is wrong in places that exist.

use std::path::Path;

use proptest::prelude::*;

use super::{MAX_FILE, canonical, decode, parse};
use crate::diagnostic::{Diagnostic, has_errors};
use crate::source::{FileId, SourceMap};
use crate::syntax::ast::Ast;

fn read(text: &str) -> (SourceMap, Ast, Vec<Diagnostic>) {
    let mut sources = SourceMap::default();
    let file = sources.add("playbook.sprag", None, text);
    let (ast, diagnostics) = parse(&sources, file);
    (sources, ast, diagnostics)
}

fn codes(text: &str) -> Vec<&'static str> {
    read(text).2.iter().map(|diagnostic| diagnostic.code).collect()
}

/// Whole playbooks, and the library.
fn playbooks() -> Vec<String> {
    let mut texts = Vec::new();
    for folder in ["playbooks", "stdlib"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            texts.extend((!text.is_empty()).then_some(text));
        }
    }
    texts.sort();
    texts
}

// ----- bytes

#[test]
fn a_file_that_is_no_text_is_refused() {
    for (bytes, code, says) in [
        (&b"let a = \"\xff\"\n"[..], "E003", "line 1 holds the byte 0xff"),
        (b"let a = 1\nlet b = \"caf\xe9\"", "E003", "line 2 holds the byte 0xe9"),
        (b"\xff\xfel\0e\0t\0", "E003", "line 1 holds the byte 0xff"),
        (b"log(\"\xc3", "E003", "line 1 holds the byte 0xc3"),
    ] {
        let error = decode("playbook.sprag", bytes).unwrap_err();
        assert_eq!(error.code, code);
        assert!(error.message.ends_with(says), "{}", error.message);
    }
    assert_eq!(decode("a", "\u{feff}let a = 1".as_bytes()).unwrap(), "let a = 1");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let large = "let a = 1\n".repeat(MAX_FILE);
    assert_eq!(decode("a", large.as_bytes()).unwrap_err().code, "E004");
    assert!(decode("a", large.as_bytes()).unwrap_err().message.contains("10 MiB"));
    assert_eq!(codes(&large), ["E004"]);
}

#[test]
fn a_file_as_large_as_may_be_is_read() {
    let line = "let abcdef = nodes.filter(|n| n.ready && n.kubelet < v1.31.4).len() + 1 // why\n";
    let text = line.repeat(MAX_FILE / line.len());
    let (_, ast, diagnostics) = read(&text);
    assert_eq!(diagnostics, []);
    assert_eq!(ast.statements.len(), MAX_FILE / line.len());
}

// ----- depth

#[test]
fn what_nests_too_deep_is_refused_before_it_is_read() {
    for depth in [65, 1_000, 10_000, 50_000] {
        for (open, inner, close) in [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("!", "true", ""),
            ("-", "1", ""),
            ("- ", "1", ""),
            ("f(", "1", ")"),
            ("a[", "1", "]"),
            ("\"${", "1", "}\""),
            ("group \"a\" { ", "", "}"),
            ("if true { ", "", "}"),
            ("!(", "1", ")"),
        ] {
            let is_statement = open.ends_with("{ ");
            let head = if is_statement { "" } else { "let a = " };
            let text = format!("{head}{}{inner}{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(codes(&text), ["E005"], "{depth} times {open}");
        }
        let types = format!("param a: {}int{}", "list<".repeat(depth), ">".repeat(depth));
        assert_eq!(codes(&types), ["E005"], "{depth} types");
    }
}

#[test]
fn what_nests_as_deep_as_may_be_is_read() {
    for (open, inner, close) in
        [("(", "1", ")"), ("[", "1", "]"), ("!", "true", ""), ("f(", "1", ")"), ("\"${", "1", "}\"")]
    {
        let depth = if open.starts_with('"') { 32 } else { 64 };
        let text = format!("let a = {}{inner}{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(codes(&text), [] as [&str; 0], "{open}");
    }
}

#[test]
fn what_opens_and_never_closes_ends_soon() {
    for open in [
        "(",
        "[",
        "{",
        "\"",
        "`",
        "\"${",
        "`${",
        "f(",
        "group \"a\" {",
        "|x| ",
        "a.",
        "a +",
        "!",
        "::",
        "<",
        "list<",
        "/*",
        "'",
    ] {
        for head in ["", "let a = "] {
            let (_, _, diagnostics) = read(&format!("{head}{}", open.repeat(20_000)));
            assert!(has_errors(&diagnostics), "{open}");
            assert!(diagnostics.len() <= 20, "{open}: {}", diagnostics.len());
        }
    }
}

#[test]
fn long_chains_are_read_or_refused() {
    for (link, count) in
        [(" + 1", 50_000), (".a", 50_000), ("()", 20_000), ("[0]", 20_000), (" && a", 50_000), (" ?? a", 50_000)]
    {
        let (_, ast, diagnostics) = read(&format!("let b = a{}", link.repeat(count)));
        let told: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert!(told.is_empty() || told == ["E005"] || link == "()", "{link}: {told:?}");
        drop(ast);
    }
    let (_, ast, diagnostics) = read(&format!("let b = [{}1]", "1, ".repeat(50_000)));
    assert_eq!((ast.statements.len(), diagnostics.len()), (1, 0));
}

#[test]
fn a_chain_of_else_if_is_read_or_refused() {
    let text = format!("if true {{ }} {}", "else if true { } ".repeat(20_000));
    let told = codes(&text);
    assert!(told.is_empty() || told == ["E005"], "{told:?}");
}

// ----- any text

/// What may stand in a playbook, and what may not.
const PIECES: &[&str] = &[
    "let",
    "a",
    "=",
    "==",
    "1",
    "5m",
    "v1.31",
    "25%",
    "\"",
    "`",
    "${",
    "}",
    "{",
    "(",
    ")",
    "[",
    "]",
    ",",
    ";",
    ":",
    "::",
    ".",
    "|",
    "||",
    "&&",
    "!",
    "-",
    "+",
    "/",
    "//",
    "///",
    "\n",
    " ",
    "\n\n",
    "rollout",
    "in",
    "nodes",
    "batches",
    "rest",
    "wait",
    "until",
    "within",
    "for",
    "every",
    "if",
    "else",
    "task",
    "fn",
    "->",
    "int",
    "list<",
    ">",
    "param",
    "use",
    "std",
    "group",
    "between",
    "finally",
    "undo",
    "on",
    "failure",
    "rollback",
    "when",
    "retry",
    "as",
    "drain(node)",
    "é",
    "\u{feff}",
    "\u{a0}",
    "'",
    "#",
    "\\",
    "$",
    "\t",
    "\r\n",
    "10 min",
    "and",
    "not",
    "<",
    "??",
    "one",
    "at",
    "approve",
    "halt",
    "record",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec((prop::sample::select(PIECES), prop::bool::ANY), 0..120).prop_map(|pieces| {
        pieces.iter().map(|(piece, blank)| format!("{piece}{}", if *blank { " " } else { "" })).collect()
    })
}

/// A playbook in which pieces were taken away, put in, or said twice.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (0.0..1.0_f64, 0_usize..30, prop::sample::select(PIECES), 0..3_u8);
    (prop::sample::select(playbooks()), prop::collection::vec(edit, 1..6)).prop_map(|(mut text, edits)| {
        for (at, length, piece, kind) in edits {
            let char = |at: usize| (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            let start = char((at * text.len() as f64) as usize);
            let end = char((start + length).min(text.len()));
            match kind {
                0 => text.replace_range(start..end, ""),
                1 => text.insert_str(start, piece),
                _ => {
                    let again = text[start..end].to_owned();
                    text.insert_str(end, &again);
                }
            }
        }
        text
    })
}

/// Reads a text and holds what came out against what is always true.
fn hold(text: &str) {
    let (sources, ast, diagnostics) = read(text);
    let source = sources.file(FileId(0));
    for diagnostic in &diagnostics {
        assert!(!diagnostic.labels.is_empty() || matches!(diagnostic.code, "E002" | "E004"), "{diagnostic:?}");
        for label in &diagnostic.labels {
            let (start, end) = (label.span.start as usize, label.span.end as usize);
            let is_in = start <= end && end <= source.text.len();
            assert!(
                is_in && source.text.is_char_boundary(start) && source.text.is_char_boundary(end),
                "{diagnostic:?}"
            );
        }
    }
    let mut places: Vec<_> = diagnostics.iter().map(|d| (d.code, d.labels.first().map(|label| label.span))).collect();
    let count = places.len();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), count, "told twice: {diagnostics:?}");
    for statement in &ast.statements {
        assert!(statement.span.start <= statement.span.end && statement.span.end as usize <= source.text.len());
    }
    crate::diagnostic::render_text(&diagnostics, &sources, true);
}

/// A playbook and the same one laid out otherwise: indented, spread out, remarked on.
fn laid_out() -> impl Strategy<Value = (String, String)> {
    (prop::sample::select(playbooks()), prop::collection::vec(0..6_u8, 200)).prop_map(|(text, choices)| {
        // Within a script every blank counts.
        let mut is_script = false;
        let lines = text.lines().zip(choices.iter().cycle()).map(|(line, choice)| {
            let was_script = is_script;
            is_script ^= line.matches('`').count() % 2 == 1;
            match choice {
                _ if was_script || is_script => format!("{line}\n"),
                // What documents something is followed by it, and begins its line.
                _ if line.trim_start().starts_with("///") => format!("{line}\n"),
                0 => format!("{}\n", line.trim()),
                1 => format!("\t  {line} // remark \"{{\n"),
                2 => format!("//// remark\n{line}\n\n"),
                3 => format!("{line}\r\n"),
                4 => format!("{} ", line.split("//").next().unwrap_or_default()),
                _ => format!("{line}\n"),
            }
        });
        let other = lines.collect();
        (text, other)
    })
}

#[test]
fn what_once_went_wrong_goes_right() {
    for text in ["{", "𐀍¡⑀a:×{#     AA  ", "attask\nalet", "} beetween {"] {
        hold(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,200}|[\\x00-\\x7f]{0,200}") {
        hold(&text);
    }

    #[test]
    fn any_row_of_words_is_read_without_panic(text in soup()) {
        hold(&text);
    }

    #[test]
    fn the_layout_says_nothing((text, other) in laid_out()) {
        let ((_, ast, told), (_, same, other_told)) = (read(&text), read(&other));
        prop_assert_eq!((told, other_told), (Vec::new(), Vec::new()), "{}", other);
        prop_assert_eq!(canonical(&ast), canonical(&same), "{}", other);
    }

    #[test]
    fn a_damaged_playbook_is_read_without_panic(text in mutated()) {
        hold(&text);
    }
}
