//! The types of the language.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an expression gives, as LANGUAGE.md section 3 names the types.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// `true`, `false`
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// A number of double precision.
    Float,
    /// Text.
    String,
    /// A version of Kubernetes, perhaps of two parts.
    Version,
    /// A span of time in milliseconds.
    Duration,
    /// A point in time.
    Time,
    /// A share, 100 % being the whole.
    Percent,
    /// An amount of a resource, as Kubernetes writes them.
    Quantity,
    /// Text that is shown nowhere.
    Secret,
    /// A piece of an object as the server sent it: the only dynamic type.
    Json,
    /// Several of one type, in order.
    List(Box<Type>),
    /// Values by name.
    Map(Box<Type>),
    /// An object of the cluster, or a result that has fields.
    Object(Kind),
    /// A value that may be `none`.
    Optional(Box<Type>),
    /// The type of `none` itself.
    None,
    /// What stands where a mistake was already told; it goes with everything.
    Mistake,
}

/// What kinds of objects have fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The cluster as a whole; not the name of a type.
    Cluster,
    /// A v1 Node.
    Node,
    /// A v1 Pod.
    Pod,
    /// A Deployment, StatefulSet, DaemonSet or bare ReplicaSet.
    Workload,
    /// A policy/v1 PodDisruptionBudget.
    Budget,
    /// A batch/v1 Job.
    Job,
    /// An events.k8s.io/v1 Event.
    Event,
    /// A validating or mutating webhook.
    Webhook,
    /// What an `exec` or `job` came to: `code`, `stdout`; not the name of a type.
    Outcome,
}

impl Kind {
    /// The word for one of them.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Node => "node",
            Self::Pod => "pod",
            Self::Workload => "workload",
            Self::Budget => "budget",
            Self::Job => "job",
            Self::Event => "event",
            Self::Webhook => "webhook",
            Self::Outcome => "outcome",
        }
    }
}

impl Type {
    /// `list<item>`
    pub fn list(item: Type) -> Self {
        Self::List(Box::new(item))
    }

    /// `map<item>`
    pub fn map(item: Type) -> Self {
        Self::Map(Box::new(item))
    }

    /// `T?`; an optional of an optional is one optional.
    pub fn optional(self) -> Self {
        match self {
            Self::Optional(_) | Self::None | Self::Mistake => self,
            other => Self::Optional(Box::new(other)),
        }
    }

    /// The type without `none`.
    pub fn required(&self) -> &Self {
        match self {
            Self::Optional(inner) => inner,
            other => other,
        }
    }

    /// Whether a value of it may be `none`.
    pub fn may_be_none(&self) -> bool {
        matches!(self, Self::Optional(_) | Self::None)
    }

    /// The simple type of that name, as it may be written in a playbook.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bool" => Self::Bool,
            "int" => Self::Int,
            "float" => Self::Float,
            "string" => Self::String,
            "version" => Self::Version,
            "duration" => Self::Duration,
            "time" => Self::Time,
            "percent" => Self::Percent,
            "quantity" => Self::Quantity,
            "secret" => Self::Secret,
            "json" => Self::Json,
            "node" => Self::Object(Kind::Node),
            "pod" => Self::Object(Kind::Pod),
            "workload" => Self::Object(Kind::Workload),
            "budget" => Self::Object(Kind::Budget),
            "job" => Self::Object(Kind::Job),
            "event" => Self::Object(Kind::Event),
            _ => return None,
        })
    }

    /// Every name that [`Type::named`] knows.
    pub const NAMES: &[&str] = &[
        "bool", "int", "float", "string", "version", "duration", "time", "percent", "quantity", "secret", "json",
        "node", "pod", "workload", "budget", "job", "event",
    ];
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::String => f.write_str("string"),
            Self::Version => f.write_str("version"),
            Self::Duration => f.write_str("duration"),
            Self::Time => f.write_str("time"),
            Self::Percent => f.write_str("percent"),
            Self::Quantity => f.write_str("quantity"),
            Self::Secret => f.write_str("secret"),
            Self::Json => f.write_str("json"),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Map(item) => write!(f, "map<{item}>"),
            Self::Object(kind) => f.write_str(kind.word()),
            Self::Optional(inner) => write!(f, "{inner}?"),
            Self::None => f.write_str("none"),
            Self::Mistake => f.write_str("?"),
        }
    }
}

/// When an expression's value is known (LANGUAGE.md section 3): each moment knows what the one before knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// When the plan is made.
    Plan,
    /// When the rollout around it begins.
    Begin,
    /// While its step runs.
    Live,
}
