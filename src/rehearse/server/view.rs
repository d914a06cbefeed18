//! Objects as a client sees them: heartbeats, the form that it asked for, the group of its Events.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::leases::Beat;
use super::request::{Form, Request};
use super::room::State;
use super::route::Place;
use super::{event, table};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Item, Object};

/// How a client sees objects of a place, as of a moment.
#[derive(Debug, Clone)]
pub(super) struct View {
    kind: Kind,
    is_new_event: bool,
    form: Form,
    /// Whether the rows of a table have their objects whole.
    is_whole: bool,
    beat: Beat,
    /// Unix milliseconds.
    now: i64,
}

impl View {
    /// As of now.
    pub(super) fn new(place: &Place, request: &Request, state: &State) -> Self {
        Self {
            kind: place.info.kind,
            is_new_event: place.is_new_event,
            form: request.form,
            is_whole: request.parameter("includeObject") == "Object",
            beat: state.beat,
            now: state.world.cluster.now,
        }
    }

    /// The same as of now.
    pub(super) fn at(&self, state: &State) -> Self {
        Self { beat: state.beat, now: state.world.cluster.now, ..self.clone() }
    }

    /// Writes an object by itself.
    pub(super) fn write(&self, object: &Arc<Object>, out: &mut Vec<u8>) {
        let object = self.beat.shown(object);
        match self.form {
            Form::Objects if self.is_new_event => put(&event::to_new(object.to_value()), out),
            Form::Objects => put(&**object, out),
            Form::Metadata => put(&metadata_of(&object), out),
            Form::Table => put(&table::of(self.kind, &[&object], self.is_whole, self.now), out),
        }
    }

    /// Writes an item of a list.
    fn write_item(&self, object: &Arc<Object>, out: &mut Vec<u8>) {
        let object = self.beat.shown(object);
        match self.form {
            Form::Metadata => put(&metadata_of(&object), out),
            Form::Objects if self.is_new_event => {
                put(&event::to_new(serde_json::to_value(Item(&object)).unwrap_or_default()), out);
            }
            Form::Objects | Form::Table => put(&Item(&object), out),
        }
    }

    /// A list of objects with its `metadata`.
    pub(super) fn list(&self, place: &Place, metadata: &Value, items: &[&Arc<Object>]) -> Vec<u8> {
        let mut out = Vec::new();
        if self.form == Form::Table {
            let mut table = table::of(self.kind, items, self.is_whole, self.now);
            table["metadata"] = metadata.clone();
            put(&table, &mut out);
            return out;
        }
        let (version, kind) = match self.form {
            Form::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned()),
            _ => {
                let (version, kind) = place.head();
                (version, format!("{kind}List"))
            }
        };
        out.extend(
            format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[").bytes(),
        );
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.write_item(item, &mut out);
        }
        out.extend_from_slice(b"]}");
        out
    }
}

fn metadata_of(object: &Object) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.meta })
}

/// What cannot fail into memory is written as far as it goes.
fn put(value: &impl Serialize, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}
