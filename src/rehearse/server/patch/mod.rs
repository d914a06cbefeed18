//! PATCH: the four ways in which a change of an object can be written.
//!
//! - [`json`]: RFC 6902; [`merge`]: RFC 7386; [`strategic`]: merge patches that know the lists of Kubernetes
//! - [`apply`]: server-side apply, with [`fields`]: sets of fields and who manages them
//! - [`lists`]: by what the elements of a list are told apart

mod apply;
mod fields;
mod json;
mod lists;
mod strategic;

use serde_json::Value;

use super::request::{Request, unsupported_media_type};
use crate::rehearse::kinds::{Kind, KindInfo};
use crate::rehearse::merge_patch::merge;
use crate::rehearse::status::Refused;

pub(super) use apply::{applied, record};

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// Server-side apply.
pub(super) const APPLY: &str = "application/apply-patch+yaml";

/// What a patch makes of an object.
///
/// # Errors
/// 400 for what is no patch, 415 for another way, 422 where a JSON patch cannot be carried out, its `test` among them.
pub(super) fn patched(mut object: Value, request: &Request, info: &KindInfo) -> Result<Value, Refused> {
    let accepted: &[&str] =
        if matches!(info.kind, Kind::Opaque(_)) { &[JSON, MERGE, APPLY] } else { &[JSON, MERGE, STRATEGIC, APPLY] };
    if !accepted.contains(&request.content.as_str()) {
        return Err(unsupported_media_type(&request.content, accepted));
    }
    let patch: Value = serde_json::from_slice(&request.body).map_err(|_| Refused::bad_request("invalid JSON patch"))?;
    match request.content.as_str() {
        JSON => json::patch(&mut object, &patch)?,
        MERGE => merge(&mut object, patch),
        _ => strategic::patch(&mut object, patch)?,
    }
    if object.is_object() { Ok(object) } else { Err(Refused::bad_request("what is left is no object")) }
}
