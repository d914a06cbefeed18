//! From a file to a checked playbook, and from that to a plan.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::check::program::Program;
use crate::check::{Checked, Modules, check};
use crate::cluster::Connection;
use crate::cluster::snapshot::{Snapshot, SnapshotError};
use crate::diagnostic::{Diagnostic, has_errors};
use crate::expr::FactSource;
use crate::facts::{Needs, SharedFacts};
use crate::outside::Outside;
use crate::plan::graph::{ClusterInfo, Graph};
use crate::plan::{Given, unsupported};
use crate::source::{FileId, SourceMap, Span};
use crate::stdlib::STANDARD;
use crate::syntax::{MAX_FILE, canonical, decode, parse, too_large};

pub(super) use crate::facts::Watched;

use super::output::Output;
use super::{Exit, Failed};

/// The largest file of parameters that is read, in bytes.
pub(super) const MAX_INPUT: u64 = MAX_FILE as u64;

/// The largest snapshot that is read, in bytes.
const MAX_SNAPSHOT: u64 = 4 << 30;

/// A playbook without mistakes.
pub(super) struct Loaded {
    /// What it says.
    pub(super) program: Program,
    /// Its files.
    pub(super) sources: SourceMap,
    /// Its file's stem.
    pub(super) name: String,
}

/// A plan of a cluster that is watched from then on.
pub(super) struct Planned {
    /// The plan.
    pub(super) graph: Graph,
    /// The facts that it was made from, kept up to date.
    pub(super) facts: Watched,
}

/// Reads and checks a playbook; shows its warnings.
///
/// # Errors
/// Exit 2 for a file that cannot be read, 3 with every mistake in it.
pub(super) fn load(file: &Path, output: &Output) -> Result<Loaded, Failed> {
    let (checked, sources) = check_file(file)?;
    match checked.program {
        Some(program) => {
            output.diagnostics(&checked.diagnostics, &sources);
            Ok(Loaded { program, sources, name: stem(file) })
        }
        None => Err(Failed::diagnosed(checked.diagnostics, sources, Exit::Playbook)),
    }
}

/// Reads and checks a file with the modules that it reaches.
///
/// # Errors
/// Exit 2 for a file that cannot be read, 3 for one that is no text or too large.
pub(super) fn check_file(file: &Path) -> Result<(Checked, SourceMap), Failed> {
    let name = file.display().to_string();
    let text = read_text(file, &name)?;
    let mut sources = SourceMap::default();
    let id = sources.add(name, Some(file), text);
    let checked = check(&mut sources, id, &mut Files);
    Ok((checked, sources))
}

fn read_text(file: &Path, name: &str) -> Result<String, Failed> {
    let wrong = |mistake| Failed::diagnosed(vec![mistake], SourceMap::default(), Exit::Playbook);
    let size = std::fs::metadata(file).map_or(0, |found| if found.is_file() { found.len() } else { 0 });
    if let Ok(size) = usize::try_from(size)
        && size > MAX_FILE
    {
        return Err(wrong(too_large(name, size)));
    }
    let bytes = read_bytes(file, MAX_INPUT + 1).map_err(|why| {
        Failed::told("E000", format!("the playbook `{name}` cannot be read: {why}"), Exit::Usage)
            .help("a playbook is a file whose name ends in `.sprag`")
    })?;
    decode(name, &bytes).map_err(wrong)
}

/// What a file or a pipe holds, `limit` bytes of it at most, or in a few words why it cannot be read.
pub(super) fn read_bytes(file: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let why = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    };
    let mut bytes = Vec::new();
    File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(why)?;
    Ok(bytes)
}

fn stem(file: &Path) -> String {
    file.file_stem().map_or_else(|| "playbook".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Modules on the disk, and the library in the binary.
struct Files;

impl Modules for Files {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        read_bytes(path, MAX_INPUT + 1)
    }

    fn standard(&self, name: &str) -> Option<&'static str> {
        STANDARD.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    fn standard_names(&self) -> Vec<&'static str> {
        STANDARD.iter().map(|(name, _)| *name).collect()
    }
}

/// Whether two texts of one file say different things: layout and comments say nothing.
pub(super) fn differs(name: &str, one: &str, other: &str) -> bool {
    let tree = |text: &str| {
        let mut sources = SourceMap::default();
        let file = sources.add(name, None, text);
        let (ast, mistakes) = parse(&sources, file);
        (!has_errors(&mistakes)).then(|| canonical(&ast))
    };
    match (tree(one), tree(other)) {
        (Some(one), Some(other)) => one != other,
        _ => one != other,
    }
}

/// Makes the plan from the cluster as it is now.
///
/// # Errors
/// Exit 4 with every reason why there is none, 13 if the cluster cannot be read.
pub(super) async fn plan_live(
    loaded: &Loaded,
    given: &Given,
    connection: &Connection,
    outside: &Outside,
) -> Result<Planned, Failed> {
    let text: String = loaded.program.canonical.values().map(String::as_str).collect();
    let facts = facts(&text, connection, outside).await?;
    let now = outside.clock.now();
    facts.facts.set_now(now);
    let cluster = ClusterInfo {
        uid: connection.uid.clone(),
        name: connection.context.clone(),
        version: connection.version.clone(),
        as_of: now,
    };
    let graph = plan(loaded, given, facts.facts.clone(), cluster)?;
    Ok(Planned { graph, facts })
}

/// Makes the plan from a snapshot in a file.
///
/// # Errors
/// Exit 4: no snapshot in that file, or with every reason why there is no plan.
pub(super) fn plan_from(loaded: &Loaded, given: &Given, file: &Path) -> Result<Graph, Failed> {
    let snapshot = read_snapshot(file)?;
    let name = if snapshot.context.is_empty() { file.display().to_string() } else { snapshot.context.clone() };
    plan_on(loaded, given, &snapshot, &name)
}

/// Makes the plan from a snapshot, of a cluster of that name.
///
/// # Errors
/// Exit 4 with every reason why there is none.
pub(super) fn plan_on(loaded: &Loaded, given: &Given, snapshot: &Snapshot, name: &str) -> Result<Graph, Failed> {
    let facts = SharedFacts::from_snapshot(snapshot);
    facts.set_now(snapshot.as_of);
    let cluster = ClusterInfo {
        uid: snapshot.cluster.clone(),
        name: name.to_owned(),
        version: snapshot.version.clone(),
        as_of: snapshot.as_of,
    };
    plan(loaded, given, facts, cluster)
}

fn plan(loaded: &Loaded, given: &Given, facts: SharedFacts, cluster: ClusterInfo) -> Result<Graph, Failed> {
    let facts: Arc<dyn FactSource> = Arc::new(facts);
    crate::plan::plan(&loaded.program, &loaded.sources, &loaded.name, given, &facts, cluster).map_err(|mistakes| {
        let exit = exit_of(&mistakes);
        Failed::diagnosed(mistakes, loaded.sources.clone(), exit)
    })
}

/// A parameter that its `where` refuses is a wrong argument as any other.
fn exit_of(mistakes: &[Diagnostic]) -> Exit {
    let are_all = |codes: &[&str]| mistakes.iter().all(|mistake| codes.contains(&mistake.code));
    if are_all(&["E401", "E402", "E403", "E405", "E406"]) {
        Exit::Usage
    } else if are_all(&["E499"]) {
        Exit::Fault
    } else {
        Exit::Plan
    }
}

pub(super) fn read_snapshot(file: &Path) -> Result<Snapshot, Failed> {
    let shown = file.display();
    let take_one = "`sprag snapshot -o FILE` takes one";
    let bytes = read_bytes(file, MAX_SNAPSHOT).map_err(|why| {
        Failed::told("E481", format!("the snapshot `{shown}` cannot be read: {why}"), Exit::Plan).help(take_one)
    })?;
    Snapshot::read(&bytes).map_err(|error| {
        let (code, help) = match error {
            SnapshotError::NotJson(_) | SnapshotError::NotSnapshot(_) => ("E482", take_one),
            SnapshotError::Newer(_) => ("E483", "use the sprag that took it, or a newer one"),
        };
        Failed::told(code, format!("`{shown}` is no snapshot for this sprag: {error}"), Exit::Plan).help(help)
    })
}

/// What a resumed run reads, kept up to date.
///
/// # Errors
/// Exit 13 if the cluster cannot be read.
pub(super) async fn watch(graph: &Graph, connection: &Connection, outside: &Outside) -> Result<Watched, Failed> {
    let text = serde_json::to_string(graph).map_err(|error| Failed::fault(error.to_string()))?;
    let facts = facts(&text, connection, outside).await?;
    facts.facts.set_now(outside.clock.now());
    Ok(facts)
}

/// The facts that a text may read, and the basic ones.
async fn facts(text: &str, connection: &Connection, outside: &Outside) -> Result<Watched, Failed> {
    let needs = Needs::in_text(text);
    Ok(crate::facts::watch(&connection.requests, needs, outside.clock.clone()).await?)
}

/// Refuses a plan that holds what this version does not carry out.
///
/// # Errors
/// Exit 3: each such statement with its place.
pub(super) fn refuse_unsupported(graph: &Graph, loaded: &Loaded) -> Result<(), Failed> {
    let mistakes = unsupported_in(graph, loaded, Diagnostic::error);
    if !mistakes.is_empty() {
        return Err(Failed::diagnosed(mistakes, loaded.sources.clone(), Exit::Playbook));
    }
    Ok(())
}

/// What of a plan this version does not carry out, as errors or warnings.
pub(super) fn unsupported_in(
    graph: &Graph,
    loaded: &Loaded,
    told: fn(&'static str, String) -> Diagnostic,
) -> Vec<Diagnostic> {
    let file_of = |name: &str| -> Option<FileId> {
        loaded.sources.iter().find(|(_, source)| source.name == name).map(|(file, _)| file)
    };
    let each = unsupported(graph).into_iter().map(|(place, what)| {
        let mistake = told("E505", format!("this version of sprag does not carry out {what}"));
        match file_of(&place.file) {
            Some(file) => mistake.at(Span { file, start: place.start, end: place.end }, ""),
            None => mistake.help(format!("it stands at {}:{}:{}", place.file, place.line, place.column)),
        }
    });
    each.collect()
}
