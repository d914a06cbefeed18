//! From a path to what it stands for.

use crate::rehearse::kinds::{Kind, KindInfo};
use crate::rehearse::object::Key;
use crate::rehearse::status::Refused;

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/version`
    Version,
    /// `/healthz`, `/livez`, `/readyz`
    Health,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/GROUP`
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`: group and version.
    Resources(String, String),
    /// `/openapi/v3`
    Schemas,
    /// `/openapi/v3/api/v1`, `/openapi/v3/apis/GROUP/VERSION`: group and version.
    Schema(String, String),
    /// A review, which is asked and not kept: its resource's name.
    Review(String),
    /// Objects.
    Objects(Place),
}

/// Where objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Their kind.
    pub(super) info: &'static KindInfo,
    /// Whether they are Events as events.k8s.io shows them.
    pub(super) is_new_event: bool,
    /// Their namespace; none for objects of the cluster, and for those of all namespaces.
    pub(super) namespace: Option<String>,
    /// The one that is meant.
    pub(super) name: Option<String>,
    /// What is meant of it; empty for itself.
    pub(super) subresource: String,
}

/// The group of what asks who one is and what one may.
pub(super) const REVIEWS: [(&str, &str, &str); 3] = [
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
];
/// The other group of Events.
pub(super) const NEW_EVENTS: &str = "events.k8s.io";

impl Route {
    /// # Errors
    /// 404 where nothing is served there.
    pub(super) fn find(path: &[String]) -> Result<Self, Refused> {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        Ok(match parts.as_slice() {
            ["version"] => Self::Version,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["api", "v1"] => Self::Resources(String::new(), "v1".to_owned()),
            ["apis", group, version] => Self::Resources((*group).to_owned(), (*version).to_owned()),
            ["openapi", "v3"] => Self::Schemas,
            ["openapi", "v3", "api", version] => Self::Schema(String::new(), (*version).to_owned()),
            ["openapi", "v3", "apis", group, version] => Self::Schema((*group).to_owned(), (*version).to_owned()),
            ["api", "v1", rest @ ..] => Self::Objects(Place::find("", "v1", rest)?),
            ["apis", group, "v1", name] if is_review(group, name) => Self::Review((*name).to_owned()),
            ["apis", group, version, rest @ ..] => Self::Objects(Place::find(group, version, rest)?),
            _ => return Err(nothing_there()),
        })
    }
}

fn is_review(group: &str, name: &str) -> bool {
    REVIEWS.iter().any(|(known, plural, _)| *known == group && *plural == name)
}

impl Place {
    fn find(group: &str, version: &str, rest: &[&str]) -> Result<Self, Refused> {
        let (namespace, rest) = match rest {
            // `namespaces/x`, `namespaces/x/status` and `namespaces/x/finalize` are the namespace itself.
            ["namespaces", namespace, more @ ..] if !matches!(more, [] | ["status" | "finalize"]) => {
                (Some((*namespace).to_owned()), more)
            }
            rest => (None, rest),
        };
        let (plural, rest) = rest.split_first().ok_or_else(nothing_there)?;
        let is_new_event = group == NEW_EVENTS && version == "v1" && *plural == "events";
        let info = if is_new_event { Kind::Event.info() } else { Kind::served(group, version, plural) };
        let info = info.ok_or_else(nothing_there)?;
        let (name, subresource) = match rest {
            [] => (None, ""),
            [name] => (Some((*name).to_owned()), ""),
            [name, subresource] => (Some((*name).to_owned()), *subresource),
            _ => return Err(nothing_there()),
        };
        let is_misplaced = namespace.is_some() != info.is_namespaced && (name.is_some() || namespace.is_some());
        if is_misplaced || !has_subresource(info, subresource) {
            return Err(nothing_there());
        }
        Ok(Self { info, is_new_event, namespace, name, subresource: subresource.to_owned() })
    }

    /// The key of an object there.
    pub(super) fn key(&self, name: &str) -> Key {
        Key::new(self.info.kind, self.namespace.as_deref().unwrap_or_default(), name)
    }

    /// Whether an object of its kind lies there.
    pub(super) fn holds(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
    }

    /// `apiVersion` and `kind` of the objects there.
    pub(super) fn head(&self) -> (String, &'static str) {
        let version = if self.is_new_event { format!("{NEW_EVENTS}/v1") } else { self.info.api_version() };
        (version, self.info.name)
    }
}

fn has_subresource(info: &KindInfo, name: &str) -> bool {
    match name {
        "" => true,
        "status" => info.has_status,
        "scale" => info.has_scale,
        "eviction" | "binding" => info.kind == Kind::Pod,
        "finalize" => info.kind == Kind::Namespace,
        _ => false,
    }
}

/// 404 for a path, in the server's words.
pub(super) fn nothing_there() -> Refused {
    Refused::new(404, "NotFound", "the server could not find the requested resource")
}

/// 405
pub(super) fn not_allowed() -> Refused {
    Refused::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
}
