//! From a scene (`sprag`, `params`, `cluster`) to a plan of it, or to what is wrong.

use std::sync::Arc;

use sprag::check::{Checked, check};
use sprag::cluster::snapshot::Snapshot;
use sprag::diagnostic::{Diagnostic, has_errors, render_text};
use sprag::expr::FactSource;
use sprag::facts::SharedFacts;
use sprag::plan::graph::{ClusterInfo, Graph};
use sprag::plan::{Given, parse_parameter, plan, unsupported};
use sprag::render::{self, TextOptions};
use sprag::source::SourceMap;

use crate::checking::Scene;
use crate::markdown::Fence;
use crate::world;

/// The plan as a tree, or as a list of steps; mistakes where there is none.
pub(crate) fn text(scene: &[Fence], steps: bool) -> String {
    let (graph, sources, told) = planned(scene);
    match graph {
        Some(graph) => render::text(&graph, TextOptions { steps }),
        None => render_text(&told, &sources, false),
    }
}

/// The plan as JSON. What differs with every version of sprag is left out.
pub(crate) fn json(scene: &[Fence]) -> String {
    match planned(scene) {
        (Some(graph), ..) => render::json(&Graph { sprag: "…".to_owned(), ..graph }),
        (None, sources, told) => render_text(&told, &sources, false),
    }
}

/// Every digest of a plan, a line each: of the plan, and of its texts.
pub(crate) fn digests(scene: &[Fence]) -> String {
    match planned(scene) {
        (Some(graph), ..) => format!("plan    {}\nsources {}\n", &graph.digest[..16], &graph.sources[..16]),
        (None, sources, told) => render_text(&told, &sources, false),
    }
}

/// What this version leaves out of a plan, a line each.
pub(crate) fn left_out(scene: &[Fence]) -> String {
    match planned(scene) {
        (Some(graph), ..) => unsupported(&graph)
            .into_iter()
            .map(|(place, what)| format!("{}:{}:{} {what}\n", place.file, place.line, place.column))
            .collect(),
        (None, sources, told) => render_text(&told, &sources, false),
    }
}

/// The plan and what it was made from; what is wrong, as text, where there is none.
pub(crate) fn graph(scene: &[Fence]) -> Result<(Graph, Snapshot), String> {
    match planned(scene) {
        (Some(graph), ..) => Ok((graph, snapshot(scene)?)),
        (None, sources, told) => Err(render_text(&told, &sources, false)),
    }
}

/// Everything that is told on the way to a plan.
pub(crate) fn diagnostics(scene: &[Fence]) -> String {
    let (_, sources, told) = planned(scene);
    render_text(&told, &sources, false)
}

fn planned(scene: &[Fence]) -> (Option<Graph>, SourceMap, Vec<Diagnostic>) {
    let mut sources = SourceMap::default();
    let playbook = of_kind(scene, "sprag").find(|fence| fence.value("file").is_none());
    let text = playbook.map(Fence::source).unwrap_or_default();
    let file = sources.add("playbook.sprag", None, text);
    let Checked { program, mut diagnostics, params } = check(&mut sources, file, &mut Scene(scene));
    let (Some(program), false) = (program, has_errors(&diagnostics)) else { return (None, sources, diagnostics) };
    let mut given = Given::new();
    for line in of_kind(scene, "params").flat_map(|fence| fence.text.lines()) {
        let (name, text) = line.split_once('=').unwrap_or((line, ""));
        let value = params.iter().find(|param| param.name == name).map(|param| parse_parameter(text, param));
        match value {
            Some(Ok(value)) => given.insert(name.to_owned(), value),
            Some(Err(why)) => {
                diagnostics.push(Diagnostic::error("E403", format!("the parameter `{name}` is wrong: {why}")));
                None
            }
            None => given.insert(name.to_owned(), sprag::catalog::value::Value::string(text)),
        };
    }
    let snapshot = match snapshot(scene) {
        Ok(snapshot) => snapshot,
        Err(why) => return (None, sources, vec![Diagnostic::error("E400", why)]),
    };
    let facts = SharedFacts::from_snapshot(&snapshot);
    facts.set_now(snapshot.as_of);
    let facts: Arc<dyn FactSource> = Arc::new(facts);
    let (uid, name, version, as_of) = (snapshot.cluster, snapshot.context, snapshot.version, snapshot.as_of);
    match plan(&program, &sources, "playbook", &given, &facts, ClusterInfo { uid, name, version, as_of }) {
        Ok(graph) if !has_errors(&diagnostics) => (Some(graph), sources, diagnostics),
        Ok(_) => (None, sources, diagnostics),
        Err(mistakes) => {
            diagnostics.extend(mistakes);
            (None, sources, diagnostics)
        }
    }
}

fn snapshot(scene: &[Fence]) -> Result<Snapshot, String> {
    let world: String = of_kind(scene, "cluster").map(|fence| fence.text.as_str()).collect();
    world::snapshot(&world)
}

fn of_kind<'s>(scene: &'s [Fence], kind: &'static str) -> impl Iterator<Item = &'s Fence> {
    scene.iter().filter(move |fence| fence.kind == kind)
}
