//! Reading a playbook's files: the playbook itself and every module that it reaches, each parsed once.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::catalog::CLAUSE_WORDS;
use crate::diagnostic::{Diagnostic, did_you_mean, has_errors};
use crate::source::{FileId, SourceMap, Span};
use crate::syntax::ast::{Ast, Fn, Statement, StatementKind, StringLit, Task, Use};

use super::Modules;

/// A file with what stands at its top. Units are in the order of dependency: the playbook is the last.
pub(super) struct Unit {
    /// The file.
    pub(super) file: FileId,
    /// What qualifies its constants: its name, with a number where another file has the same.
    pub(super) prefix: String,
    /// Its tree.
    pub(super) ast: Ast,
    /// Whether something of it could not be read: it is told, and the rest is not checked.
    pub(super) is_broken: bool,
    /// The modules that it brings in; `None` where one could not be read and that is told.
    pub(super) uses: BTreeMap<String, (Span, Option<usize>)>,
}

/// What stands at the top of a file, found by name.
#[derive(Default)]
pub(super) struct Tops<'a> {
    /// Functions.
    pub(super) fns: BTreeMap<&'a str, &'a Fn>,
    /// Tasks.
    pub(super) tasks: BTreeMap<&'a str, &'a Task>,
    /// Parameters, `let` and `record`: where each is defined.
    pub(super) values: BTreeMap<&'a str, Span>,
}

impl Unit {
    /// The names at the top; of two alike the first.
    pub(super) fn tops(&self) -> Tops<'_> {
        let mut tops = Tops::default();
        for statement in &self.ast.statements {
            match &statement.kind {
                StatementKind::Fn(function) => {
                    tops.fns.entry(&function.name.name).or_insert(function);
                }
                StatementKind::Task(task) => {
                    tops.tasks.entry(&task.name.name).or_insert(task);
                }
                StatementKind::Param(param) => {
                    tops.values.entry(&param.name.name).or_insert(param.name.span);
                }
                StatementKind::Let { name, .. } | StatementKind::Record { name, .. } => {
                    tops.values.entry(&name.name).or_insert(name.span);
                }
                _ => {}
            }
        }
        tops
    }
}

/// What makes a module the same module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Standard(String),
    File(PathBuf),
}

/// Reads files and keeps what it found.
pub(super) struct Loader<'m> {
    pub(super) sources: &'m mut SourceMap,
    pub(super) modules: &'m mut dyn Modules,
    pub(super) units: Vec<Unit>,
    pub(super) diagnostics: Vec<Diagnostic>,
    read: BTreeMap<Key, Option<usize>>,
    under_way: Vec<(Key, String)>,
}

impl<'m> Loader<'m> {
    pub(super) fn new(sources: &'m mut SourceMap, modules: &'m mut dyn Modules) -> Self {
        let (units, diagnostics, read, under_way) = Default::default();
        Self { sources, modules, units, diagnostics, read, under_way }
    }

    /// Reads the playbook and all that it reaches.
    pub(super) fn load_playbook(&mut self, file: FileId) {
        let source = self.sources.file(file);
        let path = source.path.clone().unwrap_or_else(|| PathBuf::from(&source.name));
        let name = source.name.clone();
        self.under_way.push((Key::File(normal(&path)), name));
        self.load(file, String::new());
        self.under_way.pop();
    }

    fn load(&mut self, file: FileId, name: String) -> usize {
        let (ast, diagnostics) = crate::syntax::parse(self.sources, file);
        let is_broken = has_errors(&diagnostics);
        self.diagnostics.extend(diagnostics);
        let mut uses = BTreeMap::new();
        for statement in &ast.statements {
            if let StatementKind::Use(used) = &statement.kind {
                self.load_used(file, used, statement, &mut uses);
            }
        }
        let alike = self.units.iter().filter(|unit| unit.prefix.split('@').next() == Some(&name)).count();
        let prefix = if alike == 0 { name } else { format!("{name}@{}", alike + 1) };
        self.units.push(Unit { file, prefix, ast, is_broken, uses });
        self.units.len() - 1
    }

    fn load_used(
        &mut self,
        file: FileId,
        used: &Use,
        statement: &Statement,
        uses: &mut BTreeMap<String, (Span, Option<usize>)>,
    ) {
        let (name, span) = match used {
            Use::Std(name) => (name.name.clone(), name.span),
            Use::File(path) => match self.module_name(path) {
                Some(name) => (name, path.span),
                None => return,
            },
        };
        if let Some((first, _)) = uses.get(&name) {
            self.diagnostics.push(
                Diagnostic::error("E113", format!("two modules are called `{name}`"))
                    .at(span, "the second")
                    .at(*first, "the first")
                    .help("a module bears the name of its file: rename one of the files, or drop one `use`"),
            );
            return;
        }
        let unit = match used {
            Use::Std(_) => self.load_standard(&name, span),
            Use::File(path) => self.load_file(file, path, &name),
        };
        uses.insert(name, (statement.span, unit));
    }

    /// The stem of a module's file, if a name can be made of it.
    fn module_name(&mut self, path: &StringLit) -> Option<String> {
        let text = path.plain()?;
        let stem = Path::new(&text).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let mut chars = stem.chars();
        let begins = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        let is_name = begins && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_word = CLAUSE_WORDS.contains(&stem.as_str()) || crate::catalog::is_reserved(&stem);
        if is_name && !is_word && text.ends_with(".sprag") {
            return Some(stem);
        }
        let help = if !text.ends_with(".sprag") {
            "a module's file ends in `.sprag`"
        } else if is_word {
            "rename the file: that is a word of the language"
        } else {
            "rename the file: a module is called as its file, in letters, digits and `_`"
        };
        self.diagnostics.push(
            Diagnostic::error("E117", format!("`{text}` cannot be the name of a module")).at(path.span, "").help(help),
        );
        None
    }

    fn load_standard(&mut self, name: &str, span: Span) -> Option<usize> {
        let key = Key::Standard(name.to_owned());
        if let Some(known) = self.known(&key, &format!("std::{name}"), span) {
            return known;
        }
        let Some(text) = self.modules.standard(name) else {
            let names = self.modules.standard_names();
            let near = did_you_mean(name, names.iter().copied());
            let mut error = Diagnostic::error("E110", format!("the standard library has no module `{name}`"))
                .at(span, near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default());
            if !names.is_empty() {
                error = error.help(format!("it has: {}", names.join(", ")));
            }
            self.diagnostics.push(error);
            self.read.insert(key, None);
            return None;
        };
        let file = self.sources.add(format!("std::{name}"), None, text);
        self.load_module(key, file, name)
    }

    fn load_file(&mut self, from: FileId, path: &StringLit, name: &str) -> Option<usize> {
        let written = path.plain()?;
        let source = self.sources.file(from);
        let shown = normal(&beside(Path::new(&source.name), &written));
        let place = normal(&beside(source.path.as_deref().unwrap_or(Path::new(&source.name)), &written));
        let shown = shown.display().to_string();
        if source.name.starts_with("std::") {
            let error = Diagnostic::error("E111", "a module of the standard library brings in no files");
            self.diagnostics.push(error.at(path.span, ""));
            return None;
        }
        let key = Key::File(place.clone());
        if let Some(known) = self.known(&key, &shown, path.span) {
            return known;
        }
        let text = match self.modules.read(&place) {
            Err(why) => Err(Diagnostic::error("E111", format!("the module `{written}` cannot be read: {why}"))
                .at(path.span, format!("looked for at {}", place.display()))
                .help("the path is relative to the file that says it")),
            Ok(bytes) => crate::syntax::decode(&shown, &bytes).map_err(|error| error.at(path.span, "brought in here")),
        };
        match text {
            Ok(text) => {
                let file = self.sources.add(shown, Some(&place), text);
                self.load_module(key, file, name)
            }
            Err(error) => {
                self.diagnostics.push(error);
                self.read.insert(key, None);
                None
            }
        }
    }

    /// What an earlier `use` made of the module, or that it is being read: then it would need itself.
    fn known(&mut self, key: &Key, shown: &str, span: Span) -> Option<Option<usize>> {
        if let Some(at) = self.under_way.iter().position(|(under_way, _)| under_way == key) {
            let mut chain: Vec<_> = self.under_way[at..].iter().map(|(_, name)| format!("`{name}`")).collect();
            chain.push(format!("`{shown}`"));
            self.diagnostics.push(
                Diagnostic::error("E112", "modules bring each other in, in a circle")
                    .at(span, "closes the circle")
                    .help(format!("{}: move what they share into a module of its own", chain.join(" → "))),
            );
            return Some(None);
        }
        self.read.get(key).copied()
    }

    fn load_module(&mut self, key: Key, file: FileId, name: &str) -> Option<usize> {
        self.under_way.push((key.clone(), self.sources.file(file).name.clone()));
        let unit = self.load(file, name.to_owned());
        self.under_way.pop();
        let unit = Some(unit).filter(|unit| !self.units[*unit].is_broken);
        self.read.insert(key, unit);
        unit
    }
}

/// `relative`, seen from the folder that holds `file`.
fn beside(file: &Path, relative: &str) -> PathBuf {
    file.parent().map_or_else(|| PathBuf::from(relative), |folder| folder.join(relative))
}

/// The path without `.` and, as far as its text says, without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
