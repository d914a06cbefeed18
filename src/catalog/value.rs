//! The values that expressions give, and the form in which they are journalled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::quantity::Quantity;
use super::types::Kind;
use super::version::Version;

/// Which object is meant: fixed by its UID, known by its name even when it is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// What it is.
    pub kind: Kind,
    /// Empty for what lives in no namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID; for a workload that of its top owner.
    pub uid: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// What an `exec` or a `job` came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandOutcome {
    /// The exit code; 128 + n for signal n.
    pub code: i64,
    /// What it wrote, for `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
}

/// A value of the language. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// `none`
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    String(Arc<str>),
    /// A version.
    Version(Version),
    /// Milliseconds.
    Duration(i64),
    /// Milliseconds since 1970.
    Time(i64),
    /// 25.0 is 25 %.
    Percent(f64),
    /// An amount.
    Quantity(Quantity),
    /// The secret that the parameter of this name holds: the text itself never stands in a value.
    Secret(Arc<str>),
    /// A piece of an object.
    Json(Arc<serde_json::Value>),
    /// Several.
    List(Arc<Vec<Value>>),
    /// By name.
    Map(Arc<BTreeMap<String, Value>>),
    /// An object: which one, not its fields.
    Object(Arc<ObjectRef>),
    /// The result of a command.
    Outcome(Arc<CommandOutcome>),
}

impl Value {
    /// Text as a value.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// A list as a value.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(Arc::new(items))
    }

    /// A map of texts as a value.
    pub fn text_map(map: &BTreeMap<String, String>) -> Self {
        Self::Map(Arc::new(map.iter().map(|(key, text)| (key.clone(), Self::string(text.as_str()))).collect()))
    }

    /// `none` for nothing, else the text.
    pub fn optional_text(text: Option<&str>) -> Self {
        text.map_or(Self::None, Self::string)
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Arc<ObjectRef>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

/// As interpolation and screens show it: a version as `v1.31.4`, a duration as `1h30m`, an object by its name.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::String(text) => f.write_str(text),
            Self::Version(version) => write!(f, "{version}"),
            Self::Duration(ms) => f.write_str(&format_duration(*ms)),
            Self::Time(ms) => match jiff::Timestamp::from_millisecond(*ms) {
                Ok(time) => write!(f, "{time}"),
                Err(_) => write!(f, "{ms}ms"),
            },
            Self::Percent(share) => write!(f, "{share}%"),
            Self::Quantity(quantity) => write!(f, "{quantity}"),
            Self::Secret(_) => f.write_str("***"),
            Self::Json(json) => write!(f, "{json}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
            Self::Map(map) => {
                f.write_str("{")?;
                for (index, (key, item)) in map.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{key}: {item}")?;
                }
                f.write_str("}")
            }
            Self::Object(object) => write!(f, "{object}"),
            Self::Outcome(outcome) => write!(f, "exit code {}", outcome.code),
        }
    }
}

/// A span of milliseconds as the language writes it: whole numbers, largest first, `0s` for nothing.
pub fn format_duration(ms: i64) -> String {
    const UNITS: [(u64, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut rest = ms.unsigned_abs();
    let mut out = String::new();
    if ms < 0 {
        out.push('-');
    }
    for (size, unit) in UNITS {
        if rest >= size {
            out.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if rest == 0 && ms == 0 { "0s".to_owned() } else { out }
}
