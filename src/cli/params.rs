//! What the caller gives a playbook: `--set name=value`, `--params FILE`, and where secrets come from.
//!
//! The text of a secret is read from a file or the environment, never from the command line, where `ps` shows it; it goes
//! to the run's memory and nowhere else, no message holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value as Json;

use crate::catalog::types::Type;
use crate::catalog::value::Value;
use crate::check::program::Param;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan::{Given, parameter_from_json, parse_parameter};
use crate::source::SourceMap;

use super::{Exit, Failed};

/// Parameters of a playbook.
#[derive(Debug, Args)]
pub(super) struct ParameterArgs {
    /// A parameter; a secret as NAME=@FILE or NAME=env:VARIABLE
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Parameters by name, YAML or JSON; --set wins
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
}

/// Parameters by name, each of its type, and the texts of those that are secrets.
#[derive(Default)]
pub(super) struct Parameters {
    /// What the plan is made with; a secret stands there as its name.
    pub(super) given: Given,
    /// Name to text.
    pub(super) secrets: BTreeMap<String, String>,
}

/// What was given for one parameter, before its type is known.
#[derive(Debug, Clone)]
enum Raw {
    Set(String),
    File(Json),
}

impl ParameterArgs {
    /// Every parameter that was given, of its type.
    ///
    /// # Errors
    /// Exit 2, with every mistake: names that the playbook does not have, values of another type, what is missing.
    pub(super) fn read(&self, params: &[Param]) -> Result<Parameters, Failed> {
        let raw = self.raw()?;
        let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
        let mut mistakes: Vec<Diagnostic> =
            raw.keys().filter(|name| !names.contains(&name.as_str())).map(|name| unknown(name, &names)).collect();
        let mut parameters = Parameters::default();
        for param in params {
            match raw.get(&param.name) {
                Some(raw) => {
                    if let Err(mistake) = parameters.take(param, raw) {
                        mistakes.push(mistake);
                    }
                }
                None if param.default.is_none() => mistakes.push(missing(param)),
                None => {}
            }
        }
        if mistakes.is_empty() { Ok(parameters) } else { Err(refused(mistakes)) }
    }

    /// The texts of the secrets called `wanted`, of a run whose other parameters are in its journal.
    ///
    /// # Errors
    /// Exit 2: one that is missing, or a parameter that is no secret.
    pub(super) fn secrets(&self, wanted: &[&str]) -> Result<BTreeMap<String, String>, Failed> {
        let raw = self.raw()?;
        let mut mistakes = Vec::new();
        for name in raw.keys().filter(|name| !wanted.contains(&name.as_str())) {
            mistakes
                .push(Diagnostic::error("E401", format!("`{name}` is not a secret of the run")).help(
                    "leave it out: a run keeps the parameters that it began with, secrets alone are given again",
                ));
        }
        let mut texts = BTreeMap::new();
        for name in wanted {
            match raw.get(*name).map(|raw| secret(name, raw)) {
                Some(Ok(text)) => drop(texts.insert((*name).to_owned(), text)),
                Some(Err(mistake)) => mistakes.push(mistake),
                None => mistakes.push(
                    Diagnostic::error("E402", format!("the secret `{name}` is missing: no journal keeps it"))
                        .help(format!("give it again: {}", secret_help(name))),
                ),
            }
        }
        if mistakes.is_empty() { Ok(texts) } else { Err(refused(mistakes)) }
    }

    fn raw(&self) -> Result<BTreeMap<String, Raw>, Failed> {
        let mut raw = BTreeMap::new();
        if let Some(file) = &self.params {
            raw.extend(read_file(file)?.into_iter().map(|(name, value)| (name, Raw::File(value))));
        }
        let mut seen = BTreeSet::new();
        for one in &self.set {
            let (name, value) = split(one)?;
            if !seen.insert(name) {
                return Err(Failed::usage(format!("`{name}` is given twice by `--set`")).help("leave one of them out"));
            }
            raw.insert(name.to_owned(), Raw::Set(value.to_owned()));
        }
        Ok(raw)
    }
}

impl Parameters {
    fn take(&mut self, param: &Param, raw: &Raw) -> Result<(), Diagnostic> {
        let name = &param.name;
        let value = if *param.ty.required() == Type::Secret {
            self.secrets.insert(name.clone(), secret(name, raw)?);
            Value::Secret(name.as_str().into())
        } else {
            let value = match raw {
                Raw::Set(text) => parse_parameter(text, param),
                Raw::File(json) => parameter_from_json(json, param),
            };
            value.map_err(|what| Diagnostic::error("E403", format!("the parameter `{name}` is wrong: {what}")))?
        };
        self.given.insert(name.clone(), value);
        Ok(())
    }
}

/// Milliseconds of a duration as the language writes it.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    crate::syntax::parse_duration(text).ok_or_else(|| "a duration is written as `90s`, `5m` or `1h30m`".to_owned())
}

/// `name=value`; the text is not repeated in the message, since it may be a secret.
fn split(set: &str) -> Result<(&str, &str), Failed> {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match set.split_once('=') {
        Some((name, value)) if is_name(name) => Ok((name, value)),
        Some(_) | None => {
            Err(Failed::usage("a `--set` is not of the form NAME=VALUE").help("such as `--set target=v1.37.2`"))
        }
    }
}

fn read_file(file: &Path) -> Result<BTreeMap<String, Json>, Failed> {
    let shown = file.display();
    let bytes = super::load::read_bytes(file, super::load::MAX_INPUT).map_err(|why| {
        Failed::told("E000", format!("the file of parameters `{shown}` cannot be read: {why}"), Exit::Usage)
            .help("--params takes a file of YAML or JSON")
    })?;
    let broken = |what: String| {
        Failed::told("E404", format!("`{shown}` is no file of parameters: {what}"), Exit::Usage)
            .help("it holds one parameter a line, such as `target: v1.37.2`")
    };
    match serde_yaml_ng::from_slice(&bytes).map_err(|error| broken(error.to_string()))? {
        Json::Object(map) => Ok(map.into_iter().collect()),
        Json::Null => Ok(BTreeMap::new()),
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            Err(broken("it does not hold names with values".to_owned()))
        }
    }
}

/// The text of a secret, without the line end that an editor puts behind it.
fn secret(name: &str, raw: &Raw) -> Result<String, Diagnostic> {
    let place = match raw {
        Raw::Set(text) | Raw::File(Json::String(text)) => text.as_str(),
        Raw::File(_) => "",
    };
    let wrong = |what: String| Diagnostic::error("E405", what).help(secret_help(name));
    let text = if let Some(file) = place.strip_prefix('@') {
        std::fs::read_to_string(file)
            .map_err(|error| wrong(format!("the secret `{name}` cannot be read from `{file}`: {error}")))?
    } else if let Some(variable) = place.strip_prefix("env:") {
        std::env::var(variable)
            .map_err(|_| wrong(format!("the secret `{name}` is not in the environment: `{variable}` is not set")))?
    } else {
        return Err(wrong(format!("`{name}` is a secret, and its text was to stand where others can see it")));
    };
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() { Err(wrong(format!("the secret `{name}` is empty"))) } else { Ok(text.to_owned()) }
}

fn secret_help(name: &str) -> String {
    format!("`--set {name}=@FILE` reads a file, `--set {name}=env:VARIABLE` the environment")
}

fn unknown(name: &str, names: &[&str]) -> Diagnostic {
    let mistake = Diagnostic::error("E401", format!("the playbook has no parameter `{name}`"));
    match (did_you_mean(name, names.iter().copied()), names) {
        (Some(meant), _) => mistake.help(format!("did you mean `{meant}`?")),
        (None, []) => mistake.help("it has none"),
        (None, _) => mistake.help(format!("it has: {}", names.join(", "))),
    }
}

fn missing(param: &Param) -> Diagnostic {
    let Param { name, ty, doc, .. } = param;
    let what = doc.as_deref().and_then(|doc| doc.lines().next()).map(|doc| format!(": {doc}")).unwrap_or_default();
    let help = if *ty.required() == Type::Secret { secret_help(name) } else { format!("`--set {name}=…` gives it") };
    Diagnostic::error("E402", format!("the parameter `{name}` ({ty}) is missing{what}")).help(help)
}

fn refused(mistakes: Vec<Diagnostic>) -> Failed {
    Failed::diagnosed(mistakes, SourceMap::default(), Exit::Usage)
}
