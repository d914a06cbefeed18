//! Label and field selectors of lists, watches and collections (apimachinery, pkg/labels and pkg/fields).

use std::borrow::Cow;

use super::request::Request;
use super::route::Place;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Labels, Object};
use crate::rehearse::status::Refused;

/// Which objects are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<LabelRule>,
    fields: Vec<FieldRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LabelRule {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRule {
    field: String,
    value: String,
    is_equal: bool,
}

impl Selector {
    /// Of a request for the objects of a place; the name of one is a field like others.
    ///
    /// # Errors
    /// 400 for what is no selector, and for a field by which nothing can be selected.
    pub(super) fn read(request: &Request, place: &Place) -> Result<Self, Refused> {
        let labels = labels(request.parameter("labelSelector"))?;
        let mut fields = fields(request.parameter("fieldSelector"))?;
        for rule in &mut fields {
            check_field(place, &mut rule.field)?;
        }
        if let Some(name) = &place.name {
            fields.push(FieldRule { field: "metadata.name".to_owned(), value: name.clone(), is_equal: true });
        }
        Ok(Self { labels, fields })
    }

    /// Whether everything is meant.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is meant.
    pub(super) fn matches(&self, object: &Object) -> bool {
        self.fields.iter().all(|rule| (field(object, &rule.field) == rule.value) == rule.is_equal)
            && self.labels.iter().all(|rule| rule.holds(&object.meta.labels))
    }

    /// The node that the pods which are meant are bound to, if it is said.
    pub(super) fn node(&self) -> Option<&str> {
        let rule = self.fields.iter().find(|rule| rule.is_equal && rule.field == "spec.nodeName");
        rule.map(|rule| rule.value.as_str()).filter(|node| !node.is_empty())
    }
}

impl LabelRule {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::In(known) => value.is_some_and(|value| known.contains(value)),
            Test::NotIn(known) => !value.is_some_and(|value| known.contains(value)),
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
            Test::Above(limit) => number().is_some_and(|number| number > *limit),
            Test::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

fn labels(text: &str) -> Result<Vec<LabelRule>, Refused> {
    // Commas within brackets part values, not requirements.
    let mut depth = 0;
    let parts = text.split(|sign: char| {
        depth += i32::from(sign == '(') - i32::from(sign == ')');
        sign == ',' && depth == 0
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| label(part).ok_or_else(|| unparsable(part))).collect()
}

fn unparsable(part: &str) -> Refused {
    Refused::bad_request(format!("unable to parse requirement: {part:?} is no requirement of labels"))
}

fn label(part: &str) -> Option<LabelRule> {
    let rule = |key: &str, test: Test| {
        let key = key.trim();
        is_label_key(key).then(|| LabelRule { key: key.to_owned(), test })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some(key) = part.strip_prefix('!') {
        return rule(key, Test::Missing);
    }
    if let Some((head, list)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => rule(key, Test::In(values)),
            "notin" => rule(key, Test::NotIn(values)),
            _ => None,
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return rule(key, Test::NotIn(one(value)));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return rule(key, Test::In(one(value)));
    }
    if let Some((key, value)) = part.split_once('>') {
        return rule(key, Test::Above(value.trim().parse().ok()?));
    }
    if let Some((key, value)) = part.split_once('<') {
        return rule(key, Test::Below(value.trim().parse().ok()?));
    }
    rule(part, Test::Exists)
}

fn is_label_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.' | '/'))
}

fn fields(text: &str) -> Result<Vec<FieldRule>, Refused> {
    let parts = unescaped_split(text, ',');
    let rules = parts.iter().filter(|part| !part.is_empty()).map(|part| {
        let parted = part.split_once("!=").map(|(field, value)| (field, value, false));
        let parted = parted.or_else(|| part.split_once("==").map(|(field, value)| (field, value, true)));
        let parted = parted.or_else(|| part.split_once('=').map(|(field, value)| (field, value, true)));
        let (field, value, is_equal) = parted
            .ok_or_else(|| Refused::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'")))?;
        let value = value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\");
        Ok(FieldRule { field: field.to_owned(), value, is_equal })
    });
    rules.collect()
}

fn unescaped_split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for sign in text.chars() {
        if sign == at && !is_escaped {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(sign);
        }
        is_escaped = sign == '\\' && !is_escaped;
    }
    parts
}

const OF_PODS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];
const OF_EVENTS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// Refuses a field by which objects of a kind cannot be selected; one of events.k8s.io gets its name in v1
/// (k8s.io/kubernetes, pkg/apis/*/v1/conversion.go).
fn check_field(place: &Place, field: &mut String) -> Result<(), Refused> {
    if place.is_new_event {
        if let Some(rest) = field.strip_prefix("regarding.") {
            *field = format!("involvedObject.{rest}");
        } else if field == "reportingController" {
            *field = "reportingComponent".to_owned();
        }
    }
    let (own, is_told): (&[&str], bool) = match place.info.kind {
        Kind::Pod => (OF_PODS, true),
        Kind::Node => (&["spec.unschedulable"], true),
        Kind::Event => (OF_EVENTS, true),
        Kind::Namespace => (&["status.phase"], true),
        Kind::Secret => (&["type"], true),
        Kind::Service => (&["spec.clusterIP", "spec.type"], true),
        Kind::Job => (&["status.successful"], true),
        _ => (&[], false),
    };
    let is_known = matches!(field.as_str(), "metadata.name" | "metadata.namespace") || own.contains(&field.as_str());
    match (is_known, is_told) {
        (true, _) => Ok(()),
        (false, true) => Err(Refused::bad_request(format!("field label not supported: {field}"))),
        (false, false) => Err(Refused::bad_request(format!(
            "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ))),
    }
}

/// A field's value as selectors compare it: text, empty where there is none.
fn field<'a>(object: &'a Object, field: &str) -> Cow<'a, str> {
    let text = |value: Option<&'a str>| Cow::Borrowed(value.unwrap_or_default());
    match field {
        "metadata.name" => return Cow::Borrowed(&object.meta.name),
        "metadata.namespace" => return Cow::Borrowed(&object.meta.namespace),
        _ => {}
    }
    if let Some(pod) = object.pod() {
        let spec = &pod.spec.typed;
        return match field {
            "spec.nodeName" => text(pod.node.as_deref()),
            "spec.restartPolicy" => text(spec.restart_policy.as_deref().or(Some("Always"))),
            "spec.schedulerName" => text(spec.scheduler_name.as_deref().or(Some("default-scheduler"))),
            "spec.serviceAccountName" => text(spec.service_account_name.as_deref()),
            "spec.hostNetwork" => text(Some(if spec.host_network == Some(true) { "true" } else { "false" })),
            "status.phase" => Cow::Owned(format!("{:?}", pod.status.phase)),
            "status.nominatedNodeName" => text(pod.status.nominated_node_name.as_deref()),
            "status.podIP" => text(pod.status.rest.get("podIP").and_then(serde_json::Value::as_str)),
            _ => Cow::Borrowed(""),
        };
    }
    let body = |pointer: &str| {
        let (head, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
        let value = object.body.get(head)?;
        if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) }
    };
    let value = match (object.kind, field) {
        (Kind::Node, "spec.unschedulable") => {
            let is_cordoned = object.node().is_some_and(|node| node.is_cordoned);
            return Cow::Borrowed(if is_cordoned { "true" } else { "false" });
        }
        (Kind::Event, "source") => body("source/component").or_else(|| body("reportingComponent")),
        (Kind::Job, "status.successful") => {
            let succeeded = object.status("/succeeded").and_then(serde_json::Value::as_i64).unwrap_or(0);
            return Cow::Owned(succeeded.to_string());
        }
        (_, "status.phase") => object.status("/phase"),
        (_, path) => body(&path.replace('.', "/")),
    };
    text(value.and_then(serde_json::Value::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selects(selector: &str, of: serde_json::Value) -> bool {
        let object = json!({ "metadata": { "name": "x", "namespace": "shop", "labels": of } });
        let object = Object::read(Kind::ConfigMap, object).expect("an object");
        Selector { labels: labels(selector).expect("a selector"), fields: Vec::new() }.matches(&object)
    }

    #[test]
    fn labels_are_selected_as_kubectl_writes_them() {
        let of = json!({ "app": "web", "tier": "front", "n": "5" });
        for yes in [
            "",
            "app=web",
            "app==web",
            "app!=db",
            "app in (db, web)",
            "app notin (db),tier",
            "!gone",
            "gone!=x",
            "n>4",
            "n<6",
            "app in (web),tier=front,!gone",
        ] {
            assert!(selects(yes, of.clone()), "{yes}");
        }
        for no in ["app=db", "app!=web", "app in (db)", "app notin (web)", "!app", "gone", "n>5", "n<5", "app=web,gone"]
        {
            assert!(!selects(no, of.clone()), "{no}");
        }
        for broken in ["a b", "=x", "a in x", "a like (x)", "n>x"] {
            assert!(labels(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn fields_are_parted_where_no_escape_says_otherwise() {
        let rule = |field: &str, value: &str, is_equal| FieldRule {
            field: field.to_owned(),
            value: value.to_owned(),
            is_equal,
        };
        let read = fields("spec.nodeName=n\\,1,status.phase!=Failed,metadata.name==a");
        let expected = vec![
            rule("spec.nodeName", "n,1", true),
            rule("status.phase", "Failed", false),
            rule("metadata.name", "a", true),
        ];
        assert_eq!(read, Ok(expected));
        assert!(fields("spec.nodeName").is_err());
    }
}
