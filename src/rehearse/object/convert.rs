//! From JSON to an object and back: at the client's edge, from a snapshot, and nowhere else.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Budget, Detail, Meta, NodeDetail, Object, Pod, PodSpec, PodStatus, Resources};
use crate::rehearse::kinds::Kind;

/// Why a JSON value is no object of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {why}")]
pub struct Malformed {
    /// The field that is not as it should be, such as `spec`.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Object {
    /// Reads an object of a kind; `apiVersion` and `kind` are not looked at, and kept only of opaque ones.
    ///
    /// # Errors
    /// A field that controllers read and that is not as Kubernetes has it.
    pub fn read(kind: Kind, value: Value) -> Result<Self, Malformed> {
        let Value::Object(mut body) = value else {
            return Err(Malformed { field: "object", why: "it is no JSON object".to_owned() });
        };
        if !matches!(kind, Kind::Opaque(_)) {
            body.shift_remove("apiVersion");
            body.shift_remove("kind");
        }
        let meta: Meta = typed("metadata", body.shift_remove("metadata"))?;
        let status = body.shift_remove("status").filter(|status| !status.is_null());
        if kind == Kind::Pod {
            let pod = Pod::read(body.shift_remove("spec"), status)?;
            return Ok(Self { kind, meta, body: Arc::new(body), status: None, detail: Detail::Pod(pod) });
        }
        let mut object = Self { kind, meta, body: Arc::new(body), status: status.map(Arc::new), detail: Detail::Plain };
        object.look()?;
        Ok(object)
    }

    /// Makes the detail from body and status: call it after either was changed. A pod's is kept by itself.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub fn look(&mut self) -> Result<(), Malformed> {
        let spec = || self.body.get("spec").cloned();
        let status = || self.status.as_deref().cloned();
        self.detail = match self.kind {
            Kind::Pod => return Ok(()),
            Kind::Node => Detail::Node(Arc::new(NodeDetail::new(typed("spec", spec())?, &typed("status", status())?))),
            Kind::PodDisruptionBudget => {
                Detail::Budget(Arc::new(Budget { spec: typed("spec", spec())?, status: typed("status", status())? }))
            }
            Kind::ReplicaSet => Detail::ReplicaSet(typed("spec", spec())?),
            Kind::Deployment => Detail::Deployment(typed("spec", spec())?),
            Kind::StatefulSet => Detail::StatefulSet(typed("spec", spec())?),
            Kind::DaemonSet => Detail::DaemonSet(typed("spec", spec())?),
            Kind::Job => Detail::Job(typed("spec", spec())?),
            Kind::PersistentVolume => Detail::Volume(typed("spec", spec())?),
            Kind::PersistentVolumeClaim => Detail::Claim(typed("spec", spec())?),
            _ => Detail::Plain,
        };
        Ok(())
    }

    /// The object with another status; the detail follows.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub fn with_status(&self, status: Value) -> Result<Self, Malformed> {
        let mut changed = self.clone();
        if let Detail::Pod(pod) = &mut changed.detail {
            pod.status = typed("status", Some(status))?;
        } else {
            changed.status = Some(Arc::new(status));
            changed.look()?;
        }
        Ok(changed)
    }

    /// The object as a client sees it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Pod {
    fn read(spec: Option<Value>, status: Option<Value>) -> Result<Self, Malformed> {
        let Some(Value::Object(mut raw)) = spec else {
            return Err(Malformed { field: "spec", why: "a pod needs one".to_owned() });
        };
        let node = match raw.shift_remove("nodeName") {
            Some(Value::String(node)) if !node.is_empty() => Some(node.into()),
            _ => None,
        };
        Ok(Self { spec: Arc::new(PodSpec::read(raw)?), node, status: typed("status", status)? })
    }
}

impl PodSpec {
    /// Reads a spec without `nodeName`, such as a template's.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub fn read(raw: Map<String, Value>) -> Result<Self, Malformed> {
        let typed: k8s_openapi::api::core::v1::PodSpec = typed("spec", Some(Value::Object(raw.clone())))?;
        let (requests, scored) = (Resources::of_pod(&typed), Resources::scored(&typed));
        Ok(Self { raw, typed, requests, scored })
    }
}

impl Default for Pod {
    fn default() -> Self {
        let spec =
            PodSpec { raw: Map::new(), typed: Default::default(), requests: Resources::default(), scored: [0; 2] };
        Self { spec: Arc::new(spec), node: None, status: PodStatus::default() }
    }
}

fn typed<T: DeserializeOwned + Default>(field: &'static str, value: Option<Value>) -> Result<T, Malformed> {
    match value {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => T::deserialize(value).map_err(|error| Malformed { field, why: error.to_string() }),
    }
}

/// As a client sees it.
impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(info) = self.kind.info() {
            map.serialize_entry("apiVersion", &info.api_version())?;
            map.serialize_entry("kind", info.name)?;
        } else {
            for field in ["apiVersion", "kind"] {
                if let Some(value) = self.body.get(field) {
                    map.serialize_entry(field, value)?;
                }
            }
        }
        map.serialize_entry("metadata", &self.meta)?;
        let is_head = |field: &str| matches!(field, "apiVersion" | "kind");
        for (field, value) in self.body.iter().filter(|(field, _)| !is_head(field)) {
            map.serialize_entry(field, value)?;
        }
        if let Detail::Pod(pod) = &self.detail {
            map.serialize_entry("spec", &Bound(pod))?;
            map.serialize_entry("status", &pod.status)?;
        } else if let Some(status) = &self.status {
            map.serialize_entry("status", &**status)?;
        }
        map.end()
    }
}

/// A pod's spec with its node.
struct Bound<'a>(&'a Pod);

impl Serialize for Bound<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(node) = &self.0.node {
            map.serialize_entry("nodeName", &**node)?;
        }
        for (field, value) in &self.0.spec.raw {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}
