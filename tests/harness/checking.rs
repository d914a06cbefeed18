//! A scene's playbook, read and checked, with modules out of the scene's own files.

use std::path::Path;

use sprag::check::{self, Modules};
use sprag::diagnostic::{Diagnostic, has_errors};
use sprag::source::SourceMap;
use sprag::stdlib::STANDARD;
use sprag::syntax::{self, ast::Ast};

use crate::markdown::Fence;

/// The modules of the standard library that a case sees: a new one changes no message.
const LIBRARY: &[&str] = &["node"];

/// What is to be told about the scene's playbook: of reading it, and if it could be read, of checking it, unless only
/// reading is asked for.
pub(crate) fn diagnostics(scene: &[Fence], only_reading: bool) -> (SourceMap, Vec<Diagnostic>) {
    let (mut sources, _, found) = read(scene);
    if only_reading || has_errors(&found) {
        return (sources, found);
    }
    let Some((file, _)) = sources.iter().next() else { return (sources, found) };
    let checked = check::check(&mut sources, file, &mut Scene(scene));
    (sources, checked.diagnostics)
}

/// The scene's playbook, read: its first `sprag` block that is no further file.
pub(crate) fn read(scene: &[Fence]) -> (SourceMap, Ast, Vec<Diagnostic>) {
    let mut sources = SourceMap::default();
    let playbook = scene.iter().find(|fence| fence.kind == "sprag" && fence.value("file").is_none());
    let Some(playbook) = playbook else { return (sources, Ast::default(), Vec::new()) };
    let file = sources.add("playbook.sprag", None, playbook.source());
    let (ast, found) = syntax::parse(&sources, file);
    (sources, ast, found)
}

/// Further files of a scene: `sprag file=lib.sprag`.
pub(crate) struct Scene<'s>(pub(crate) &'s [Fence]);

impl Modules for Scene<'_> {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        let is_it =
            |fence: &&Fence| fence.kind == "sprag" && fence.value("file").is_some_and(|file| Path::new(file) == path);
        self.0.iter().find(is_it).map(|fence| fence.source().into_bytes()).ok_or_else(|| "no such file".to_owned())
    }

    fn standard(&self, name: &str) -> Option<&'static str> {
        let is_it = |(module, _): &&(&str, &str)| *module == name && LIBRARY.contains(module);
        STANDARD.iter().find(is_it).map(|(_, text)| *text)
    }

    fn standard_names(&self) -> Vec<&'static str> {
        LIBRARY.to_vec()
    }
}
