//! A request, read once: method, path, query, what form the answer is to have, the body.

use std::collections::BTreeMap;

use http::request::Parts;
use http::{HeaderMap, Method, header};
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::rehearse::status::Refused;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// The method.
    pub(super) method: Method,
    /// The parts of the path, decoded.
    pub(super) path: Vec<String>,
    query: BTreeMap<String, String>,
    /// What the answer looks like.
    pub(super) form: Form,
    is_acceptable: bool,
    /// The body's media type, in small letters and without parameters.
    pub(super) content: String,
    agent: String,
    /// The body.
    pub(super) body: Bytes,
}

/// How objects are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Objects,
    /// Their metadata alone (meta/v1 PartialObjectMetadata).
    Metadata,
    /// Rows for people (meta/v1 Table).
    Table,
}

impl Request {
    /// Reads it.
    pub(super) fn read(head: &Parts, body: Bytes) -> Self {
        let path = head.uri.path().split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let query = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let query = query.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let query = query.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " "))));
        let content = text(&head.headers, header::CONTENT_TYPE).split(';').next().unwrap_or_default();
        let form = form(text(&head.headers, header::ACCEPT));
        Self {
            method: head.method.clone(),
            path,
            query: query.collect(),
            is_acceptable: form.is_some(),
            form: form.unwrap_or(Form::Objects),
            content: content.trim().to_ascii_lowercase(),
            agent: text(&head.headers, header::USER_AGENT).to_owned(),
            body,
        }
    }

    /// # Errors
    /// 406 where only something else than JSON is accepted.
    pub(super) fn check_acceptable(&self) -> Result<(), Refused> {
        let why = "only the following media types are accepted: application/json";
        if self.is_acceptable { Ok(()) } else { Err(Refused::new(406, "NotAcceptable", why)) }
    }

    /// A parameter of the query; empty where it is not given.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Whether a parameter says yes (strconv.ParseBool).
    pub(super) fn is_set(&self, name: &str) -> bool {
        matches!(self.parameter(name), "1" | "t" | "T" | "true" | "TRUE" | "True")
    }

    /// A parameter that is a number.
    ///
    /// # Errors
    /// 400
    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Refused> {
        match self.parameter(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refused::bad_request(format!("strconv.ParseUint: parsing {text:?}: `{name}` is no number"))
            }),
        }
    }

    /// Whether nothing is to be done.
    ///
    /// # Errors
    /// 422 for another value than `All` (apimachinery, ValidateDryRun).
    pub(super) fn is_dry_run(&self) -> Result<bool, Refused> {
        match self.parameter("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(unsupported_dry_run(self.options(), &[other])),
        }
    }

    /// What the parameters of a mutation are read as.
    fn options(&self) -> &'static str {
        match self.method.as_str() {
            "POST" => "CreateOptions",
            "PUT" => "UpdateOptions",
            "PATCH" => "PatchOptions",
            _ => "DeleteOptions",
        }
    }

    /// Who manages the fields that it writes: as it says, or its program's name (apiserver, managerOrUserAgent).
    pub(super) fn manager(&self) -> &str {
        match self.parameter("fieldManager") {
            "" => self.agent.split('/').next().unwrap_or_default(),
            manager => manager,
        }
    }

    /// The body as JSON; YAML is taken too. An empty body is null.
    ///
    /// # Errors
    /// 400 for what cannot be read, 415 for another media type.
    pub(super) fn json(&self) -> Result<Value, Refused> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        let broken = |why: String| Refused::bad_request(format!("the body of the request cannot be read: {why}"));
        match self.content.as_str() {
            "" | "*/*" | "application/json" => {
                serde_json::from_slice(&self.body).map_err(|error| broken(error.to_string()))
            }
            "application/yaml" => serde_yaml_ng::from_slice(&self.body).map_err(|error| broken(error.to_string())),
            other => Err(unsupported_media_type(other, &["application/json", "application/yaml"])),
        }
    }
}

/// 415
pub(super) fn unsupported_media_type(given: &str, accepted: &[&str]) -> Refused {
    let why = format!(
        "the body of the request was in an unknown format - accepted media types include: {} (not {given:?})",
        accepted.join(", ")
    );
    Refused::new(415, "UnsupportedMediaType", why)
}

/// 422: a dry run is `All` or none.
pub(super) fn unsupported_dry_run(options: &str, given: &[&str]) -> Refused {
    let why = format!("Unsupported value: {}: supported values: \"All\"", json!(given));
    let mut refused = Refused::new(422, "Invalid", format!("{options}.meta.k8s.io \"\" is invalid: dryRun: {why}"));
    let causes = json!([{ "reason": "FieldValueNotSupported", "message": why, "field": "dryRun" }]);
    refused.details = json!({ "group": "meta.k8s.io", "kind": options, "causes": causes });
    refused
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The first that we know of what a client accepts; `None` where there is none.
fn form(accept: &str) -> Option<Form> {
    let mut accepted = accept.split(',').map(|one| one.replace(' ', "")).filter(|one| !one.is_empty()).peekable();
    if accepted.peek().is_none() {
        return Some(Form::Objects);
    }
    accepted.find_map(|one| {
        let mut parts = one.split(';');
        let is_json = matches!(parts.next(), Some("application/json" | "application/*" | "*/*"));
        let parameters: BTreeMap<&str, &str> = parts.filter_map(|part| part.split_once('=')).collect();
        match (is_json, parameters.get("as").copied(), parameters.get("v").copied()) {
            (true, None, _) => Some(Form::Objects),
            (true, Some("Table"), Some("v1")) => Some(Form::Table),
            (true, Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("v1")) => Some(Form::Metadata),
            _ => None,
        }
    })
}

/// Undoes %-escapes; one that is none stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let digits = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(decoded("spec.nodeName%3Dn-1%2c%zz%"), "spec.nodeName=n-1,%zz%");
    }

    #[test]
    fn the_first_form_that_is_known_is_answered() {
        let known = form;
        assert_eq!(known(""), Some(Form::Objects));
        assert_eq!(known("application/vnd.kubernetes.protobuf, application/json"), Some(Form::Objects));
        assert_eq!(known("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Some(Form::Table));
        assert_eq!(
            known("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"),
            Some(Form::Metadata)
        );
        assert_eq!(
            known("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"),
            Some(Form::Objects)
        );
        assert_eq!(known("application/vnd.kubernetes.protobuf"), None);
    }
}
