//! Which module may know which: the direction in which data flows, read from the source.
//!
//! What a file knows is what its paths begin with: `crate::engine`, `super::super::engine`, a member of `crate::{…}`, or a
//! crate's name before `::`. Comments, strings and tests are passed over.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Modules, and the modules that they may not know.
const NEVER: &[(&[&str], &[&str])] = &[
    (
        &["syntax", "catalog", "check", "plan", "render", "expr"],
        &["engine", "actions", "cluster", "journal", "outside", "report", "cli"],
    ),
    (&["engine", "actions", "facts", "why", "journal"], &["syntax", "check", "report", "cli"]),
    (&["cluster", "outside"], &["syntax", "check", "plan", "report", "cli"]),
    (&["report"], &["syntax", "check", "cli"]),
    (&["source", "diagnostic", "stdlib"], &["syntax", "check", "plan", "engine", "actions", "cluster", "cli"]),
];

/// Crates, and the modules that alone may know them.
const CRATES: &[(&[&str], &[&str])] = &[
    (&["pest", "pest_derive"], &["syntax"]),
    (&["rhai"], &["expr"]),
    (&["kube", "k8s_openapi"], &["cluster", "outside", "facts", "actions", "journal", "why", "preflight", "rehearse"]),
    (&["clap"], &["cli"]),
    (&["miette"], &["diagnostic"]),
    (&["indicatif"], &["report"]),
];

/// What prints or ends the process; `cli` alone does.
const PRINTS: &[&str] =
    &["println!", "print!", "eprintln!", "eprint!", "dbg!", "process::exit", "stdout()", "stderr()"];

/// Calls of [`PRINTS`] that are no printing of ours.
const NOT_PRINTING: &[&str] = &["ProgressDrawTarget::stderr()"];

#[test]
fn modules_know_only_what_lies_before_them() -> io::Result<()> {
    let mut wrong = Vec::new();
    for file in sources()? {
        for (modules, forbidden) in NEVER {
            if modules.contains(&file.module.as_str()) {
                let known = file.modules();
                wrong.extend(
                    forbidden
                        .iter()
                        .filter(|name| known.contains(**name))
                        .map(|name| format!("{} knows `{name}`, and `{}` may not", file.path.display(), file.module)),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn a_crate_is_known_where_it_belongs() -> io::Result<()> {
    let mut wrong = Vec::new();
    for file in sources()? {
        for (crates, modules) in CRATES {
            if !modules.contains(&file.module.as_str()) {
                let known = crates.iter().filter(|name| file.knows_crate(name));
                wrong.extend(known.map(|name| {
                    format!("{} knows the crate `{name}`, which is for {}", file.path.display(), modules.join(", "))
                }));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn the_command_line_alone_prints_and_exits() -> io::Result<()> {
    let mut wrong = Vec::new();
    for file in sources()?.iter().filter(|file| file.module != "cli") {
        let text = NOT_PRINTING.iter().fold(file.code.clone(), |text, call| text.replace(call, ""));
        wrong.extend(
            PRINTS
                .iter()
                .filter(|call| has_word(&text, call))
                .map(|call| format!("{} has `{call}`, which is for `cli`", file.path.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A rehearsal gives the same events for the same seed: nothing may be chosen by chance that is not the seed's.
#[test]
fn what_is_selected_has_an_order() -> io::Result<()> {
    let mut wrong = Vec::new();
    for file in sources()? {
        let parts: Vec<&str> = file.code.split("select!").skip(1).collect();
        let unordered =
            parts.iter().filter(|part| !part.trim_start().trim_start_matches('{').trim_start().starts_with("biased;"));
        wrong.extend(unordered.map(|_| format!("{} selects without `biased;`", file.path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn paths_are_found_in_every_spelling() {
    let file = |path: &str, text: &str| File::new(Path::new(path), text).modules();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(file("check/call.rs", "use crate::engine::drive;"), set(&["engine"]));
    assert_eq!(file("check/call.rs", "use crate::{catalog::{types, value}, engine};"), set(&["catalog", "engine"]));
    assert_eq!(file("check/call.rs", "fn f() { crate::actions::log() }"), set(&["actions"]));
    assert_eq!(file("check/call.rs", "use super::super::engine::drive;"), set(&["engine"]));
    assert_eq!(file("check/mod.rs", "use super::engine::drive;"), set(&["engine"]));
    assert_eq!(file("check/call.rs", "use super::engine; // crate::plan\nlet a = \"crate::cli\";"), set(&[]));
    assert_eq!(file("check/call.rs", "use a::b;\n#[cfg(test)]\nmod tests { use crate::cli; }"), set(&[]));
    let knows = |text: &str| File::new(Path::new("check/call.rs"), text).knows_crate("kube");
    assert!(knows("use kube::Client;") && knows("fn f(a: kube::Client) {}") && knows("use ::kube::Client;"));
    assert!(!knows("use crate::kube::Client;") && !knows("use mykube::Client;") && !knows("let kube = 1;"));
}

/// A source file.
struct File {
    path: PathBuf,
    /// The module at the top of the crate that it belongs to.
    module: String,
    /// How many modules stand between it and the crate, itself counted.
    depth: usize,
    /// Its text without comments, strings and tests.
    code: String,
}

impl File {
    /// The file at `path`, seen from `src`.
    fn new(path: &Path, text: &str) -> Self {
        let names: Vec<String> =
            path.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let depth = names.iter().filter(|name| *name != "mod").count();
        let module = names.first().cloned().unwrap_or_default();
        Self { path: Path::new("src").join(path), module, depth, code: code(text) }
    }

    /// The modules at the top of the crate that its paths name.
    fn modules(&self) -> BTreeSet<String> {
        let up = "super::".repeat(self.depth);
        let rests = ["crate::", up.as_str()].into_iter().flat_map(|start| behind(&self.code, start));
        rests.flat_map(first_names).collect()
    }

    fn knows_crate(&self, name: &str) -> bool {
        behind(&self.code, &format!("{name}::")).next().is_some()
    }
}

/// What stands behind each `start` that begins a path.
fn behind<'a>(code: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(start).filter_map(move |(at, _)| {
        let before = code[..at].trim_end_matches("::");
        let is_absolute = before.len() < at && !before.ends_with(is_name);
        let begins = before.len() == at && !before.ends_with(is_name);
        (begins || is_absolute).then(|| &code[at + start.len()..])
    })
}

/// The first names of a path, or of each path in `{…}`.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| is_name(*c)).collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let mut names = vec![name(group)];
    let mut depth = 0;
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether `word` stands in the text with no name running into it.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(is_name))
}

/// A text without its tests, comments and strings.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    text.lines().map(|line| format!("{}\n", without_strings(line))).collect()
}

/// A line up to its comment, with nothing in its strings. (A string over several lines is not seen as one.)
fn without_strings(line: &str) -> String {
    let mut out = String::new();
    let mut in_string = false;
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if in_string => drop(chars.next()),
            '\'' if !in_string && chars.peek() == Some(&'"') => drop(chars.next()),
            '"' => in_string = !in_string,
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            _ if !in_string => out.push(char),
            _ => {}
        }
    }
    out
}

/// Every source file but the crate's root and what is for tests alone.
fn sources() -> io::Result<Vec<File>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name == "tests" || name == "tests.rs" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && (folder != root || (name != "lib.rs" && name != "main.rs")) {
                let text = fs::read_to_string(&path)?;
                files.push(File::new(path.strip_prefix(&root).unwrap_or(&path), &text));
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.len() > 50, "the sources were not found");
    Ok(files)
}
