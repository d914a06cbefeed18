//! Cases as text: `tests/cases/**/*.md`.
//!
//! A case is prose with fenced blocks. Blocks that give something (`sprag`, with `file=lib.sprag` for a further file)
//! make a scene; a block that expects something of the scene (`diagnostics`, with `reading` those of reading alone;
//! `ast`; `console`) is compared with what comes out. A block that gives something after one that expects begins the
//! next scene. `BLESS=1` writes what comes out into the file.
//!
//! With a `cluster` (see `harness/world.rs`) and `params` (a `name=value` a line) a scene can be planned: `plan` is the
//! tree, `steps` every step, `graph` the JSON, `digests` and `left-out` what they say; `diagnostics` then go on to the
//! plan's. `run` carries it out on a paused clock (see `harness/running.rs`), and `resume`, `decide`,
//! `approve` and `abort` go on with it.

#[path = "harness/checking.rs"]
mod checking;
#[path = "harness/console.rs"]
mod console;
#[path = "harness/markdown.rs"]
mod markdown;
#[path = "harness/planning.rs"]
mod planning;
#[path = "harness/running.rs"]
mod running;
#[path = "harness/tree.rs"]
mod tree;
#[path = "harness/world.rs"]
mod world;

use std::path::Path;

use markdown::{Case, Fence};
use sprag::diagnostic::render_text;

/// What comes out for a block that expects something; `None` for one that gives something.
fn outcome(expected: &Fence, scene: &[Fence]) -> Option<String> {
    match expected.kind.as_str() {
        "plan" => Some(planning::text(scene, false)),
        "steps" => Some(planning::text(scene, true)),
        "graph" => Some(planning::json(scene)),
        "digests" => Some(planning::digests(scene)),
        "left-out" => Some(planning::left_out(scene)),
        "diagnostics" if scene.iter().any(|fence| fence.kind == "cluster") => Some(planning::diagnostics(scene)),
        "diagnostics" => {
            let (sources, diagnostics) = checking::diagnostics(scene, expected.has("reading"));
            Some(render_text(&diagnostics, &sources, false))
        }
        "ast" => {
            let (_, ast, _) = checking::read(scene);
            Some(tree::dump(&ast))
        }
        _ => None,
    }
}

fn case(path: &Path, text: String) -> datatest_stable::Result<()> {
    let mut case = Case::parse(&text)?;
    let mut scene: Vec<Fence> = Vec::new();
    let mut ends = false;
    let mut run: Option<running::Running> = None;
    let mut differences = String::new();
    for index in 0..case.fences.len() {
        let fence = case.fences[index].clone();
        let actual = match fence.kind.as_str() {
            "console" => Some(console::outcome(&fence, &scene)?),
            "run" => {
                let (text, begun) = running::run(&fence, &scene);
                run = begun;
                Some(text)
            }
            "resume" => run.as_mut().map(|run| run.resume(&fence)),
            "approve" | "abort" => run.as_mut().map(|run| run.say(&fence)),
            "decide" => run.as_mut().map(|run| run.decide(&fence)),
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
