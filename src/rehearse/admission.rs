//! What the server adds to what a client asks for, before it is kept: defaults and admission, as far as a drain can feel them.
//!
//! - A pod: restart policy, grace, scheduler, priority, the tolerations of 300 s (core/v1/defaults.go; plugin/pkg/admission:
//!   priority, defaulttolerationseconds)
//! - A Job: selector and labels by its UID, numbers (registry/batch/job/strategy.go, batch/v1/defaults.go)
//!
//! Other defaults are those of the controllers that read the fields. Quotas, webhooks and service accounts are not asked.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::object::{Key, Object, Pod, PodSpec};
use super::status::Refused;
use super::store::Store;

/// The taints whose tolerations of 300 s every pod gets that has none of its own.
const OUTAGES: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// Completes a pod's spec; one that is complete is left as it is, shared with its siblings.
///
/// # Errors
/// 403 where its PriorityClass is not there, in a cluster of which any is known.
pub fn admit_pod(key: &Key, pod: &mut Pod, store: &Store) -> Result<(), Refused> {
    if is_complete(&pod.spec.typed) {
        return Ok(());
    }
    let mut raw = pod.spec.raw.clone();
    complete(key, &mut raw, store)?;
    let malformed = |error: super::object::Malformed| Refused::bad_request(error.to_string());
    pod.spec = Arc::new(PodSpec::read(raw).map_err(malformed)?);
    Ok(())
}

fn is_complete(spec: &core::PodSpec) -> bool {
    spec.priority.is_some()
        && spec.scheduler_name.is_some()
        && spec.restart_policy.is_some()
        && spec.termination_grace_period_seconds.is_some()
        && OUTAGES.iter().all(|taint| spec.tolerations.iter().flatten().any(|one| tolerates(one, taint)))
}

fn tolerates(toleration: &core::Toleration, taint: &str) -> bool {
    let is_any =
        |text: &Option<String>, wanted: &str| text.as_deref().is_none_or(|text| text.is_empty() || text == wanted);
    is_any(&toleration.key, taint) && is_any(&toleration.effect, "NoExecute")
}

/// Completes the spec of a pod or of a template, as it is written.
///
/// # Errors
/// As [`admit_pod`].
pub fn complete(key: &Key, spec: &mut Map<String, Value>, store: &Store) -> Result<(), Refused> {
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
    ] {
        if spec.get(field).is_none_or(Value::is_null) {
            spec.insert(field.to_owned(), value);
        }
    }
    set_priority(key, spec, store)?;
    let list = spec.entry("tolerations").or_insert_with(|| json!([]));
    let known: Vec<core::Toleration> = serde_json::from_value(list.clone()).unwrap_or_default();
    if list.is_null() {
        *list = json!([]);
    }
    for taint in OUTAGES.iter().filter(|taint| !known.iter().any(|one| tolerates(one, taint))) {
        let added = json!({ "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
        list.as_array_mut().into_iter().for_each(|list| list.push(added.clone()));
    }
    Ok(())
}

/// The number of a PriorityClass, and whether it preempts; of the global default where the pod names none.
fn set_priority(key: &Key, spec: &mut Map<String, Value>, store: &Store) -> Result<(), Refused> {
    let name = spec.get("priorityClassName").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned);
    let body = |object: &Arc<Object>, field: &str| object.body.get(field).cloned();
    let class = match &name {
        Some(name) => store.find(Kind::PriorityClass, "", name),
        None => {
            store.all(Kind::PriorityClass).find(|class| class.body.get("globalDefault") == Some(&Value::Bool(true)))
        }
    };
    let built_in = match name.as_deref() {
        Some("system-node-critical") => 2_000_001_000,
        Some("system-cluster-critical") => 2_000_000_000,
        _ => 0,
    };
    if let Some(name) = name.filter(|_| class.is_none() && built_in == 0)
        && store.all(Kind::PriorityClass).next().is_some()
    {
        return Err(Refused::forbidden(key, &format!("no PriorityClass with name {name} was found")));
    }
    // Of a snapshot without classes only the pods themselves tell their priority.
    let given = spec.get("priority").and_then(Value::as_i64).unwrap_or(built_in);
    let value = class.and_then(|class| body(class, "value")).unwrap_or_else(|| json!(given));
    let preemption =
        class.and_then(|class| body(class, "preemptionPolicy")).unwrap_or_else(|| json!("PreemptLowerPriority"));
    spec.insert("priority".to_owned(), value);
    spec.entry("preemptionPolicy").or_insert(preemption);
    if let (None, Some(class)) = (spec.get("priorityClassName"), class) {
        spec.insert("priorityClassName".to_owned(), (*class.meta.name).into());
    }
    Ok(())
}

/// Completes a Job that has its UID: its selector, the labels of its pods, its numbers.
pub fn admit_job(job: &mut Object) {
    let (uid, name) = (job.meta.uid.to_string(), job.meta.name.to_string());
    let body = Arc::make_mut(&mut job.body);
    let Some(spec) = body.entry("spec").or_insert_with(|| json!({})).as_object_mut() else { return };
    let is_manual = spec.get("manualSelector") == Some(&Value::Bool(true));
    if !is_manual && spec.get("selector").is_none_or(Value::is_null) {
        spec.insert("selector".to_owned(), json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } }));
        let template = spec.entry("template").or_insert_with(|| json!({}));
        for (label, value) in [
            ("controller-uid", &uid),
            ("job-name", &name),
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
        ] {
            template["metadata"]["labels"][label] = value.as_str().into();
        }
    }
    let is_one = spec.get("completions").is_none() && spec.get("parallelism").is_none();
    let has_limit_per_index = spec.get("backoffLimitPerIndex").is_some();
    let policy = if spec.get("podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
    let mut set = |field: &str, value: Value| {
        spec.entry(field).or_insert(value);
    };
    if is_one {
        set("completions", json!(1));
    }
    set("parallelism", json!(1));
    set("backoffLimit", json!(if has_limit_per_index { i32::MAX } else { 6 }));
    set("completionMode", json!("NonIndexed"));
    set("podReplacementPolicy", json!(policy));
    set("suspend", json!(false));
}
