//! `apply`: the objects of a YAML file by server-side apply. It never forces: a field that someone else manages is theirs.
//! An object that names no namespace is applied in that of the context, as kubectl does.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cluster::{RequestError, Requests};
use crate::engine::event::Failure;
use crate::facts::Resource;

use super::args::{Read, text};
use super::context::{Args, Attempt, StepContext};
use super::failure::by_server;

/// `APIResourceList` of meta/v1, as far as it is read.
#[derive(Deserialize)]
struct Resources {
    resources: Vec<ApiResource>,
}

/// One resource that a group serves.
#[derive(Debug, Clone, Deserialize)]
struct ApiResource {
    name: String,
    kind: String,
    namespaced: bool,
}

/// Applies every document of the file, in its order.
pub(super) async fn apply(args: &Args, context: &StepContext) -> Read<Attempt> {
    let file = text(args, "file")?;
    let mut objects = objects(file).map_err(|why| unfit(file, &why))?;
    let mut kinds = Kinds { requests: &context.requests, groups: BTreeMap::new() };
    let (count, mut unnamed) = (objects.len(), 0);
    for (at, object) in objects.iter_mut().enumerate() {
        context.waiting(vec![format!("{} of {count}: {}", at + 1, shown(object))]);
        let place = kinds.place(file, object).await?;
        if place.lacks_namespace(object) {
            object["metadata"]["namespace"] = Value::from(&*context.namespace);
            unnamed += 1;
        }
        apply_one(&place, object, context).await?;
    }
    let applied = match objects.as_slice() {
        [one] => format!("applied {}", shown(one)),
        all => format!("applied {} objects", all.len()),
    };
    let note = match (unnamed, count) {
        (0, _) => applied,
        (_, 1) => format!("{applied}, in the namespace of the context"),
        (some, _) => format!("{applied}, {some} of them in `{}`, the namespace of the context", context.namespace),
    };
    Ok(Attempt::Done { value: None, note: Some(note) })
}

/// Applies an object and waits until the facts show it as it was written, where they follow its kind.
async fn apply_one(place: &Place, object: &Value, context: &StepContext) -> Read<()> {
    let path = place.path(object);
    let written = match context.requests.apply(&path, object).await {
        // Applied a second time it changes nothing.
        Err(RequestError::Lost(_)) => context.requests.apply(&path, object).await,
        answer => answer,
    };
    let written = written.map_err(|error| refused(error, place, object))?;
    let watched =
        Resource::ALL.into_iter().find(|resource| resource.path() == format!("{}/{}", place.group, place.plural));
    if let Some(resource) = watched {
        context.facts.until_seen_as(resource, &written).await;
    }
    Ok(())
}

fn refused(error: RequestError, place: &Place, object: &Value) -> Attempt {
    match error {
        RequestError::Conflict(why) => {
            let failure = Failure::new("E563", format!("{} has fields that someone else manages", shown(object)));
            Attempt::Refused(
                failure
                    .detail(format!("why    {why}"))
                    .help("leave these fields out of the file, or let their manager give them up"),
            )
        }
        RequestError::Invalid(why) | RequestError::Other(400, why) => {
            Attempt::Refused(Failure::new("E562", format!("the server does not take {}: {why}", shown(object))))
        }
        error => by_server(error, "patch", &place.plural),
    }
}

/// Where the server has objects of a kind.
struct Place {
    /// The path of the group and version.
    group: String,
    plural: String,
    is_namespaced: bool,
}

impl Place {
    fn lacks_namespace(&self, object: &Value) -> bool {
        self.is_namespaced && field(object, "/metadata/namespace").is_empty()
    }

    fn path(&self, object: &Value) -> String {
        let Self { group, plural, is_namespaced } = self;
        let (namespace, name) = (field(object, "/metadata/namespace"), field(object, "/metadata/name"));
        if *is_namespaced {
            format!("{group}/namespaces/{namespace}/{plural}/{name}")
        } else {
            format!("{group}/{plural}/{name}")
        }
    }
}

fn field<'o>(object: &'o Value, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The kinds that the server knows, each group asked for once.
struct Kinds<'a> {
    requests: &'a Requests,
    groups: BTreeMap<String, Vec<ApiResource>>,
}

impl Kinds<'_> {
    /// Where an object is to be.
    async fn place(&mut self, file: &str, object: &Value) -> Read<Place> {
        let of = |pointer| field(object, pointer);
        let (version, kind, name) = (of("/apiVersion"), of("/kind"), of("/metadata/name"));
        if version.is_empty() || kind.is_empty() || name.is_empty() {
            return Err(unfit(file, "a document has no `apiVersion`, `kind` or `metadata.name`"));
        }
        let group = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let found = self.resources(&group).await?.iter().find(|one| one.kind == kind && !one.name.contains('/'));
        let Some(resource) = found else {
            return Err(unfit(file, &format!("the server knows no `{kind}` of `{version}`")));
        };
        let (plural, is_namespaced) = (resource.name.clone(), resource.namespaced);
        Ok(Place { group, plural, is_namespaced })
    }

    async fn resources(&mut self, group: &str) -> Read<&[ApiResource]> {
        if !self.groups.contains_key(group) {
            let resources = match self.requests.get::<Resources>(group).await {
                Ok(list) => list.resources,
                Err(RequestError::NotFound(_)) => Vec::new(),
                Err(error) => return Err(by_server(error, "get", group)),
            };
            // A group that is not there may come with an object of this very file.
            if resources.is_empty() {
                return Ok(&[]);
            }
            self.groups.insert(group.to_owned(), resources);
        }
        Ok(self.groups.get(group).map(Vec::as_slice).unwrap_or_default())
    }
}

/// The objects of the file; those of a `List` one by one, documents without content left out.
fn objects(file: &str) -> Result<Vec<Value>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("it cannot be read: {error}"))?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Value>, String> {
    let mut objects = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let object = Value::deserialize(document).map_err(|error| format!("it is no YAML: {error}"))?;
        match (object.get("kind").and_then(Value::as_str), object.get("items")) {
            (Some(kind), Some(Value::Array(items))) if kind.ends_with("List") => objects.extend(items.iter().cloned()),
            _ if object.is_null() => {}
            _ => objects.push(object),
        }
    }
    if objects.is_empty() { Err("there is no object in it".to_owned()) } else { Ok(objects) }
}

fn shown(object: &Value) -> String {
    let (namespace, name) = (field(object, "/metadata/namespace"), field(object, "/metadata/name"));
    let name = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    format!("{} `{name}`", field(object, "/kind"))
}

fn unfit(file: &str, why: &str) -> Attempt {
    Attempt::Refused(Failure::new("E562", format!("`{file}` cannot be applied: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_documents_and_lists() {
        let text =
            "---\nkind: A\nmetadata: {name: a}\n---\n# nothing\n---\nkind: List\nitems: [{kind: B}, {kind: C}]\n";
        let kinds = parse(text).map(|all| all.iter().map(|one| one["kind"].clone()).collect::<Vec<_>>());
        assert_eq!(kinds, Ok(vec!["A".into(), "B".into(), "C".into()]));
        assert_eq!(parse("# empty\n"), Err("there is no object in it".to_owned()));
        assert!(parse("a: [").is_err_and(|why| why.starts_with("it is no YAML")));
    }
}
