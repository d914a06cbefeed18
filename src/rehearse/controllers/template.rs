//! Pods from a template: read and completed once for all siblings, which share spec, labels and annotations.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::members::owned;
use crate::rehearse::admission;
use crate::rehearse::cluster::Cluster;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Key, Labels, Meta, Object, Pod, PodSpec, PodStatus};
use crate::rehearse::status::Refused;

/// A template, ready to be made pods of.
#[derive(Debug, Clone)]
pub struct Template {
    /// The pods' labels.
    pub labels: Labels,
    /// The pods' annotations.
    pub annotations: Labels,
    /// The pods' finalizers.
    pub finalizers: Vec<String>,
    /// The pods' spec, complete.
    pub spec: Arc<PodSpec>,
}

impl Template {
    /// Reads a template as it stands in a workload; the key is that of a pod, for the message.
    ///
    /// # Errors
    /// What admission has against its pods; 422 where it is none.
    pub fn read(key: &Key, template: &Value, cluster: &Cluster) -> Result<Self, Refused> {
        let malformed = |why: String| Refused::invalid(key, "spec.template", &why);
        let meta: Meta = match template.get("metadata").filter(|meta| !meta.is_null()) {
            Some(meta) => serde_json::from_value(meta.clone()).map_err(|error| malformed(error.to_string()))?,
            None => Meta::default(),
        };
        let mut spec = template.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        admission::complete(key, &mut spec, &cluster.store)?;
        let spec = PodSpec::read(spec).map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            spec: Arc::new(spec),
        })
    }

    /// With one more label.
    pub fn labelled(mut self, label: &str, value: &str) -> Self {
        Arc::make_mut(&mut self.labels).insert(label.to_owned(), value.to_owned());
        self
    }

    /// With one more annotation.
    pub fn annotated(mut self, annotation: &str, value: &str) -> Self {
        Arc::make_mut(&mut self.annotations).insert(annotation.to_owned(), value.to_owned());
        self
    }

    /// With a spec that was changed as JSON.
    ///
    /// # Errors
    /// 422 where it is none afterwards.
    pub fn changed(mut self, key: &Key, change: impl FnOnce(&mut Map<String, Value>)) -> Result<Self, Refused> {
        let mut raw = self.spec.raw.clone();
        change(&mut raw);
        let spec = PodSpec::read(raw).map_err(|error| Refused::invalid(key, "spec.template", &error.to_string()))?;
        self.spec = Arc::new(spec);
        Ok(self)
    }

    /// A pod of it, owned by a workload; it gets the name given, or one of its own from that stem.
    pub fn pod(&self, owner: &Object, name: Named<'_>) -> Object {
        let mut meta = Meta {
            namespace: owner.meta.namespace.clone(),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            owners: vec![owned(owner)],
            finalizers: self.finalizers.clone(),
            ..Meta::default()
        };
        match name {
            Named::Fully(name) => {
                meta.name = name.into();
                // The real controllers say the stem of a name all the same (controller_utils.go, GetPodFromTemplate).
                meta.generate_name = Some(format!("{}-", owner.meta.name));
            }
            Named::Stem(stem) => meta.generate_name = Some(stem.to_owned()),
        }
        let pod = Pod { spec: self.spec.clone(), node: None, status: PodStatus::default() };
        Object { kind: Kind::Pod, meta, body: Arc::default(), status: None, detail: Detail::Pod(pod) }
    }
}

/// How a pod gets its name.
#[derive(Debug, Clone, Copy)]
pub enum Named<'a> {
    /// It is said.
    Fully(&'a str),
    /// It begins so and ends by chance.
    Stem(&'a str),
}

/// Templates that were read, by owner; of each the latest generation.
#[derive(Debug, Default)]
pub struct Templates(HashMap<Arc<str>, (i64, Arc<Template>)>);

impl Templates {
    /// The template of a workload, read if it is of another generation than the last time.
    ///
    /// # Errors
    /// As [`Template::read`].
    pub fn of(&mut self, owner: &Object, cluster: &Cluster) -> Result<Arc<Template>, Refused> {
        let generation = owner.meta.generation;
        if let Some((known, template)) = self.0.get(&owner.meta.uid)
            && *known == generation
        {
            return Ok(template.clone());
        }
        let key = Key::new(Kind::Pod, owner.meta.namespace.clone(), owner.meta.name.clone());
        let written = owner.spec("/template").cloned().unwrap_or_default();
        let template = Arc::new(Template::read(&key, &written, cluster)?);
        self.0.insert(owner.meta.uid.clone(), (generation, template.clone()));
        Ok(template)
    }

    /// Forgets the template of a workload that is gone.
    pub fn forget(&mut self, owner: &Object) {
        self.0.remove(&owner.meta.uid);
    }
}

/// What tells one template from another in names and labels: a hash in the letters that Kubernetes uses (util/rand
/// SafeEncodeString). It is not the number of the real one, which hashes Go's own structs.
pub fn hash(template: &Value, collisions: i64) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = Fnv::default();
    hash.value(template);
    if collisions > 0 {
        hash.bytes(collisions.to_string().as_bytes());
    }
    hash.0.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

/// FNV-1a of 32 bits, over JSON in order of its names.
struct Fnv(u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811C_9DC5)
    }
}

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                let mut names: Vec<&String> = fields.keys().filter(|name| !fields[*name].is_null()).collect();
                names.sort();
                for name in names {
                    self.bytes(name.as_bytes());
                    self.bytes(b":");
                    self.value(&fields[name]);
                }
                self.bytes(b"}");
            }
            Value::Array(items) => {
                items.iter().for_each(|item| self.value(item));
                self.bytes(b"]");
            }
            plain => self.bytes(plain.to_string().as_bytes()),
        }
    }
}

/// Whether two templates are the same but for the hash label and for what is null.
pub fn is_same(one: &Value, other: &Value) -> bool {
    comparable(one) == comparable(other)
}

fn comparable(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(fields) = template.as_object_mut() {
        fields.shift_remove("$patch");
    }
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.shift_remove(super::deployment::HASH);
    }
    prune(&mut template);
    template
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}
