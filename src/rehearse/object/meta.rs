//! `metadata`, and the key that an object is kept under.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Time;
use crate::rehearse::kinds::Kind;

/// Labels or annotations; shared between all that were made of one template.
pub type Labels = Arc<BTreeMap<String, String>>;

/// What an object is kept under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for objects of the cluster.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl Key {
    /// The key of an object; an empty namespace for one of the cluster.
    pub fn new(kind: Kind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The key of a node.
    pub fn node(name: impl Into<Arc<str>>) -> Self {
        Self::new(Kind::Node, "", name)
    }
}

impl fmt::Display for Key {
    /// `namespace/name`, or the name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}", self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// `metadata`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Its name.
    #[serde(deserialize_with = "shared")]
    pub name: Arc<str>,
    /// What its name was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate_name: Option<String>,
    /// Its namespace; empty for objects of the cluster.
    #[serde(skip_serializing_if = "is_empty", deserialize_with = "shared")]
    pub namespace: Arc<str>,
    /// Its identity.
    #[serde(deserialize_with = "shared")]
    pub uid: Arc<str>,
    /// The version of this state of it.
    #[serde(serialize_with = "write_version", deserialize_with = "read_version")]
    pub resource_version: u64,
    /// Moves with the spec; 0 where the kind has none.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// When it was made.
    #[serde(rename = "creationTimestamp")]
    pub created: Option<Time>,
    /// When it is to be gone at the latest, if it is being deleted.
    #[serde(rename = "deletionTimestamp", skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Time>,
    /// Its grace period in seconds, if it is being deleted.
    #[serde(rename = "deletionGracePeriodSeconds", skip_serializing_if = "Option::is_none")]
    pub grace: Option<i64>,
    /// `labels`
    #[serde(skip_serializing_if = "is_empty_map", deserialize_with = "labels")]
    pub labels: Labels,
    /// `annotations`
    #[serde(skip_serializing_if = "is_empty_map", deserialize_with = "labels")]
    pub annotations: Labels,
    /// Who owns it.
    #[serde(rename = "ownerReferences", skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<Owner>,
    /// What must be done before it is gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// All other fields.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One of `ownerReferences`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// `apps/v1`
    pub api_version: String,
    /// `ReplicaSet`
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uid: String,
    /// Whether it is the one that manages the object.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub controller: bool,
    /// Whether it may not be gone before the object, in the foreground.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub block_owner_deletion: bool,
}

impl Meta {
    /// The owner that manages the object.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}

fn is_empty(text: &Arc<str>) -> bool {
    text.is_empty()
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_empty_map(labels: &Labels) -> bool {
    labels.is_empty()
}

fn shared<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default().into())
}

fn labels<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    Ok(Arc::new(Option::<BTreeMap<String, String>>::deserialize(deserializer)?.unwrap_or_default()))
}

fn write_version<S: serde::Serializer>(version: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(version)
}

/// A version of another cluster says nothing here: what is no number counts as none.
fn read_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    Ok(text.parse().unwrap_or(0))
}
