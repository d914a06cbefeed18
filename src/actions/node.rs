//! Changing a node: it is read, and what replaces a part of it is sent with tests of everything that was read. A typed
//! node is never written: fields that are newer than our types would be lost.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;
use crate::cluster::{RequestError, Requests};
use crate::engine::event::Failure;

use super::args::Read;
use super::chance::Chance;
use super::context::{Attempt, StepContext};
use super::failure::{by_server, gone};

/// A node as the server has it.
#[derive(Debug, Clone)]
pub(super) struct NodeNow {
    object: Value,
}

/// What is to be done about a node as it is now.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// It is as it is to be, or stays as it is; a person may want to know why.
    None(Option<String>),
    /// This JSON patch.
    Patch(Value),
    /// This JSON patch, of which a person should know.
    Told(Value, String),
}

impl Change {
    /// The same with what a person should know, where anything is changed.
    pub(super) fn told(self, note: String) -> Self {
        match self {
            Self::Patch(patch) | Self::Told(patch, _) => Self::Told(patch, note),
            Self::None(_) => self,
        }
    }
}

/// How a change of a node came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    /// The node's version on the server, of what was written or was found to be as it should.
    pub(super) version: String,
    /// What a person should know.
    pub(super) note: Option<String>,
}

impl NodeNow {
    /// Reads the node; one that is gone, or another of its name, ends the attempt.
    pub(super) async fn read(node: &ObjectRef, requests: &Requests) -> Read<Self> {
        match requests.get::<Value>(&path(node)).await {
            Ok(object) => Some(Self { object }).filter(|now| now.uid() == node.uid).ok_or_else(|| gone(node)),
            Err(RequestError::NotFound(_)) => Err(gone(node)),
            Err(error) => Err(by_server(error, "get", "nodes")),
        }
    }

    /// Of an object that was read already.
    pub(super) fn new(object: Value) -> Self {
        Self { object }
    }

    fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// Its version on the server.
    pub(super) fn resource_version(&self) -> &str {
        self.text("/metadata/resourceVersion")
    }

    /// Whether it is cordoned.
    pub(super) fn is_cordoned(&self) -> bool {
        self.object.pointer("/spec/unschedulable") == Some(&Value::Bool(true))
    }

    /// What stands at the path of these segments.
    pub(super) fn at(&self, segments: &[&str]) -> Option<&Value> {
        self.object.pointer(&pointer(segments))
    }

    fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Changes a node for a step, and comes back once the facts have what was written.
pub(super) async fn change(
    node: &ObjectRef,
    context: &StepContext,
    decide: impl Fn(&NodeNow) -> Read<Change>,
) -> Read<Attempt> {
    let changed = settle(node, &context.requests, &Chance::of(context), decide).await?;
    // Also where nothing was to be done: it may be our own write, of an answer that was lost.
    context.facts.until_seen(Kind::Node, &changed.version).await;
    Ok(Attempt::Done { value: None, note: changed.note })
}

/// Reads, decides and patches until the decision is that nothing is to be done, or the patch was taken.
pub(super) async fn settle(
    node: &ObjectRef,
    requests: &Requests,
    chance: &Chance,
    decide: impl Fn(&NodeNow) -> Read<Change>,
) -> Read<Changed> {
    let mut refused_at = None;
    // What the last patch is to be told with: its answer may be lost.
    let mut told = None;
    loop {
        let now = NodeNow::read(node, requests).await?;
        let patch = match decide(&now)? {
            Change::None(note) => {
                return Ok(Changed { version: now.resource_version().to_owned(), note: note.or(told) });
            }
            Change::Patch(patch) => {
                told = None;
                patch
            }
            Change::Told(patch, note) => {
                told = Some(note);
                patch
            }
        };
        match requests.json_patch(&path(node), &patch).await {
            Ok(object) => {
                return Ok(Changed { version: NodeNow { object }.resource_version().to_owned(), note: told });
            }
            // A test that did not hold means that the node has changed; of an unchanged node the value is refused.
            Err(RequestError::Invalid(why)) => {
                let version = Some(now.resource_version().to_owned());
                if refused_at == version {
                    let message = format!("the server refuses the change of node `{node}`: {why}");
                    return Err(Attempt::Refused(Failure::new("E560", message)));
                }
                refused_at = version;
            }
            Err(RequestError::Conflict(_) | RequestError::Lost(_)) => {}
            Err(RequestError::NotFound(_)) => return Err(gone(node)),
            Err(error) => return Err(by_server(error, "patch", "nodes")),
        }
        tokio::time::sleep(Duration::from_millis(chance.between(50, 500).into())).await;
    }
}

/// A JSON patch (RFC 6902) that the server takes only while what it replaces is what was read.
#[derive(Debug)]
pub(super) struct Patch<'a> {
    node: &'a NodeNow,
    operations: Vec<Value>,
    made: BTreeSet<String>,
    relies_on_absence: bool,
}

impl<'a> Patch<'a> {
    pub(super) fn of(node: &'a NodeNow) -> Self {
        let uid = json!({"op": "test", "path": "/metadata/uid", "value": node.uid()});
        Self { node, operations: vec![uid], made: BTreeSet::new(), relies_on_absence: false }
    }

    /// Sets what stands at the path of these segments; maps on the way that are missing are made.
    pub(super) fn set(mut self, segments: &[&str], value: Value) -> Self {
        for end in 1..segments.len() {
            let parent = pointer(&segments[..end]);
            if self.node.object.pointer(&parent).is_none() && self.made.insert(parent.clone()) {
                self.operations.push(json!({"op": "add", "path": parent, "value": {}}));
            }
        }
        self.expect(segments);
        self.operations.push(json!({"op": "add", "path": pointer(segments), "value": value}));
        self
    }

    /// Removes what stands at the path of these segments, if anything does.
    pub(super) fn remove(mut self, segments: &[&str]) -> Self {
        self.expect(segments);
        if self.node.at(segments).is_some() {
            self.operations.push(json!({"op": "remove", "path": pointer(segments)}));
        }
        self
    }

    fn expect(&mut self, segments: &[&str]) {
        match self.node.at(segments) {
            Some(was) => self.operations.push(json!({"op": "test", "path": pointer(segments), "value": was})),
            None => self.relies_on_absence = true,
        }
    }

    /// The change. That something is absent no `test` can say (of a missing path it fails): then the whole node has to
    /// be the version that was read.
    pub(super) fn change(mut self) -> Change {
        if self.relies_on_absence {
            let version = self.node.resource_version();
            self.operations.insert(1, json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
        }
        Change::Patch(Value::Array(self.operations))
    }
}

/// A JSON pointer (RFC 6901) of these segments.
fn pointer(segments: &[&str]) -> String {
    segments.iter().map(|segment| format!("/{}", segment.replace('~', "~0").replace('/', "~1"))).collect()
}

fn path(node: &ObjectRef) -> String {
    format!("/api/v1/nodes/{}", node.name)
}
