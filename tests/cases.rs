//! Cases as text: `tests/cases/**/*.md`.
//!
//! A case is prose with fenced blocks. Blocks that give something (`sprag`, with `file=lib.sprag` for a further file)
//! make a scene; a block that expects something of the scene (`diagnostics`, `ast`, `console`) is compared with what comes out. A
//! block that gives something after one that expects begins the next scene. `BLESS=1` writes what comes out into the file.

#[path = "harness/console.rs"]
mod console;
#[path = "harness/markdown.rs"]
mod markdown;
#[path = "harness/tree.rs"]
mod tree;

use std::path::Path;

use markdown::{Case, Fence};
use sprag::diagnostic::{Diagnostic, render_text};
use sprag::source::{FileId, SourceMap};
use sprag::syntax::{self, ast::Ast};

/// What comes out for a block that expects something; `None` for one that gives something.
fn outcome(expected: &Fence, scene: &[Fence]) -> Option<String> {
    match expected.kind.as_str() {
        "diagnostics" => {
            let (sources, _, diagnostics) = parsed(scene);
            Some(render_text(&diagnostics, &sources, false))
        }
        "ast" => {
            let (_, ast, _) = parsed(scene);
            Some(tree::dump(&ast))
        }
        _ => None,
    }
}

/// Every `sprag` block of a scene, read; the diagnostics of all of them, the tree of the first.
fn parsed(scene: &[Fence]) -> (SourceMap, Ast, Vec<Diagnostic>) {
    let mut sources = SourceMap::default();
    let mut first = None;
    let mut diagnostics = Vec::new();
    for fence in scene.iter().filter(|fence| fence.kind == "sprag") {
        let file: FileId = sources.add(fence.value("file").unwrap_or("playbook.sprag"), None, fence.source());
        let (ast, found) = syntax::parse(&sources, file);
        first.get_or_insert(ast);
        diagnostics.extend(found);
    }
    (sources, first.unwrap_or_default(), diagnostics)
}

fn case(path: &Path, text: String) -> datatest_stable::Result<()> {
    let mut case = Case::parse(&text)?;
    let mut scene: Vec<Fence> = Vec::new();
    let mut ends = false;
    let mut differences = String::new();
    for index in 0..case.fences.len() {
        let fence = case.fences[index].clone();
        let actual = match fence.kind.as_str() {
            "console" => Some(console::outcome(&fence, &scene)?),
            _ => outcome(&fence, &scene),
        };
        match actual {
            Some(actual) => {
                ends = true;
                if actual.trim_end() != fence.text.trim_end() {
                    differences.push_str(&markdown::difference(&fence, &actual));
                    case.fences[index].text = actual;
                }
            }
            None => {
                if std::mem::take(&mut ends) {
                    scene.clear();
                }
                scene.push(fence);
            }
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    if std::env::var_os("BLESS").is_some() {
        return Ok(std::fs::write(path, case.text())?);
    }
    Err(format!("{differences}BLESS=1 writes what came out into {}", path.display()).into())
}

datatest_stable::harness! {
    { test = case, root = "tests/cases", pattern = r"\.md$" },
}
