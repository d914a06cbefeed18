//! POST of an Eviction: the checks of its body, before the budgets are asked (k8s.io/kubernetes, registry/core/pod/storage/eviction.go).

use serde_json::{Value, json};

use super::answer::Answer;
use super::request::Request;
use super::room::State;
use super::route::Place;
use super::write::read_delete_options;
use crate::rehearse::kinds::Kind;
use crate::rehearse::status::Refused;

/// The fields of an Eviction.
const FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "deleteOptions"];

/// Evicts a pod.
pub(super) fn evict(state: &mut State, request: &Request, place: &Place, pod: &str) -> Result<Answer, Refused> {
    let body = request.json()?;
    let warnings = check_head(request, &body)?;
    let named = body["metadata"]["name"].as_str().unwrap_or_default();
    if named != pod {
        return Err(Refused::bad_request("name in URL does not match name in Eviction object"));
    }
    if body["deleteOptions"]["ignoreStoreReadErrorWithClusterBreakingPotential"] == true {
        return Err(unsafe_deletion(pod));
    }
    let in_query = request.is_dry_run()?;
    let dry: Vec<&str> =
        body["deleteOptions"]["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // Both may say it, but not in other words; one may leave it to the other (propagateDryRun).
    if in_query && !matches!(dry.as_slice(), [] | ["All"]) {
        let why = format!("Non-matching dry-run options in request and content: [All] and [{}]", dry.join(" "));
        return Err(Refused::new(500, "", why));
    }
    let mut options = read_delete_options(&body["deleteOptions"], Kind::Pod)?;
    options.is_dry_run |= in_query;
    state.world.cluster.evict(&place.key(pod), &options)?;
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(Answer::value(&status).code(201).warn(warnings))
}

/// That it is an Eviction, and what to warn of: fields that it has not, unless the client wants them refused or not mentioned.
fn check_head(request: &Request, body: &Value) -> Result<Vec<String>, Refused> {
    let fields = body.as_object().ok_or_else(|| Refused::bad_request("the body of the request is no Eviction"))?;
    let word = |field: &str| body[field].as_str().unwrap_or_default();
    if !matches!(word("apiVersion"), "" | "policy/v1" | "policy/v1beta1") || !matches!(word("kind"), "" | "Eviction") {
        let why = format!("not an Eviction: {} {}", word("apiVersion"), word("kind"));
        return Err(Refused::bad_request(why));
    }
    let unknown = fields.keys().filter(|field| !FIELDS.contains(&field.as_str()));
    let unknown: Vec<String> = unknown.map(|field| format!("unknown field {field:?}")).collect();
    match request.parameter("fieldValidation") {
        "Strict" if !unknown.is_empty() => {
            let why = format!(
                "Eviction in version \"v1\" cannot be handled as a Eviction: strict decoding error: {}",
                unknown.join(", ")
            );
            Err(Refused::bad_request(why))
        }
        "Ignore" => Ok(Vec::new()),
        _ => Ok(unknown),
    }
}

fn unsafe_deletion(pod: &str) -> Refused {
    let field = "deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential";
    let why = "Invalid value: true: can not be set for pod eviction, try after removing the option";
    let mut refused = Refused::new(422, "Invalid", format!("Eviction.policy {pod:?} is invalid: {field}: {why}"));
    let causes = json!([{ "reason": "FieldValueInvalid", "message": why, "field": field }]);
    refused.details = json!({ "name": pod, "group": "policy", "kind": "Eviction", "causes": causes });
    refused
}
