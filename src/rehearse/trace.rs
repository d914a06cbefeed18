//! What changed of an object, in a few words: how tests read a story, of the cluster in a box and of a real one alike.
//!
//! Pods tell their place, phase, readiness, conditions that matter and their end; budgets their numbers; nodes cordon, taints
//! and conditions; workloads the numbers of their status; other kinds only that they were made, changed and removed.

use serde_json::Value;

/// What happened between two states of an object, a phrase each; `None` stands for not being there.
pub fn told(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let (Some(object), Some(kind)) = (after.or(before), after.or(before).and_then(|object| object["kind"].as_str()))
    else {
        return Vec::new();
    };
    match (before, after) {
        (Some(_), None) => vec!["gone".to_owned()],
        (None, Some(_)) if !matches!(kind, "Pod") => {
            let mut made = vec!["made".to_owned()];
            made.extend(changes(kind, &Value::Null, object));
            made
        }
        (None, _) => {
            let mut made = vec!["made".to_owned()];
            made.extend(changes(kind, &Value::Null, object).into_iter().filter(|phrase| phrase != "Pending"));
            made
        }
        (Some(before), Some(after)) => changes(kind, before, after),
    }
}

fn changes(kind: &str, before: &Value, after: &Value) -> Vec<String> {
    let mut phrases = match kind {
        "Pod" => pod(before, after),
        "Node" => node(before, after),
        "PodDisruptionBudget" => budget(before, after),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" => numbers(before, after),
        _ => Vec::new(),
    };
    if before["metadata"]["deletionTimestamp"].is_null() && after["metadata"]["deletionTimestamp"].is_string() {
        let grace = after["metadata"]["deletionGracePeriodSeconds"].as_i64();
        phrases.push(grace.map_or_else(|| "terminating".to_owned(), |grace| format!("terminating, {grace} s")));
    }
    phrases
}

fn pod(before: &Value, after: &Value) -> Vec<String> {
    let mut phrases = Vec::new();
    if before["spec"]["nodeName"] != after["spec"]["nodeName"]
        && let Some(node) = after["spec"]["nodeName"].as_str()
    {
        phrases.push(format!("on {node}"));
    }
    let conditions: [&[&str]; 2] = [&["PodScheduled", "DisruptionTarget"], &["Ready"]];
    for kind in conditions[0] {
        phrases.extend(condition(before, after, kind).filter(|phrase| phrase != "PodScheduled"));
    }
    if before["status"]["phase"] != after["status"]["phase"] {
        phrases.extend(after["status"]["phase"].as_str().map(str::to_owned));
    }
    for (list, at) in [("initContainerStatuses", "init "), ("containerStatuses", "")] {
        let waiting = |pod: &Value| -> Vec<String> {
            let statuses = pod["status"][list].as_array().map(Vec::as_slice).unwrap_or_default();
            let reasons = statuses.iter().filter_map(|status| status["state"]["waiting"]["reason"].as_str());
            reasons.map(|reason| format!("{at}{reason}")).collect()
        };
        let known = waiting(before);
        phrases.extend(waiting(after).into_iter().filter(|reason| !known.contains(reason)));
    }
    match (is_true(before, "Ready"), is_true(after, "Ready")) {
        (false, true) => phrases.push("ready".to_owned()),
        (true, false) => phrases.push("not ready".to_owned()),
        _ => {}
    }
    phrases
}

fn node(before: &Value, after: &Value) -> Vec<String> {
    let mut phrases = Vec::new();
    let is_cordoned = |node: &Value| node["spec"]["unschedulable"] == true;
    match (is_cordoned(before), is_cordoned(after)) {
        (false, true) => phrases.push("cordoned".to_owned()),
        (true, false) => phrases.push("uncordoned".to_owned()),
        _ => {}
    }
    let taints = |node: &Value| -> Vec<String> {
        let taints = node["spec"]["taints"].as_array().map(Vec::as_slice).unwrap_or_default();
        let word = |taint: &Value, field: &str| taint[field].as_str().unwrap_or_default().to_owned();
        taints.iter().map(|taint| format!("{}:{}", word(taint, "key"), word(taint, "effect"))).collect()
    };
    let (known, now) = (taints(before), taints(after));
    phrases.extend(now.iter().filter(|taint| !known.contains(taint)).map(|taint| format!("+{taint}")));
    phrases.extend(known.iter().filter(|taint| !now.contains(taint)).map(|taint| format!("-{taint}")));
    let status = |node: &Value| find(node, "Ready").and_then(|ready| ready["status"].as_str()).unwrap_or("").to_owned();
    if status(before) != status(after) {
        phrases.push(format!("Ready={}", status(after)));
    }
    phrases
}

fn budget(before: &Value, after: &Value) -> Vec<String> {
    let numbers = |budget: &Value| -> Option<String> {
        let status = budget.get("status").filter(|status| status.get("expectedPods").is_some())?;
        let number = |field: &str| status[field].as_i64().unwrap_or(0);
        Some(format!(
            "allows {}, healthy {} of {}, expects {}",
            number("disruptionsAllowed"),
            number("currentHealthy"),
            number("desiredHealthy"),
            number("expectedPods")
        ))
    };
    let (known, now) = (numbers(before), numbers(after));
    let mut phrases: Vec<String> = now.filter(|now| known.as_ref() != Some(now)).into_iter().collect();
    phrases.extend(condition(before, after, "DisruptionAllowed").filter(|phrase| phrase.contains("SyncFailed")));
    phrases
}

fn numbers(before: &Value, after: &Value) -> Vec<String> {
    const FIELDS: [&str; 12] = [
        "replicas",
        "readyReplicas",
        "availableReplicas",
        "updatedReplicas",
        "currentNumberScheduled",
        "desiredNumberScheduled",
        "numberReady",
        "numberAvailable",
        "updatedNumberScheduled",
        "active",
        "succeeded",
        "failed",
    ];
    let number = |object: &Value, field: &str| object["status"][field].as_i64().unwrap_or(0);
    let differ = |field: &&&str| number(before, field) != number(after, field);
    let mut phrases: Vec<String> =
        FIELDS.iter().filter(differ).map(|field| format!("{field} {}", number(after, field))).collect();
    for kind in ["Complete", "Failed", "ReplicaFailure"] {
        phrases.extend(condition(before, after, kind));
    }
    phrases
}

/// A condition that is another than before: its type, and what it says where it is not plainly true.
fn condition<'a>(before: &Value, after: &'a Value, kind: &'a str) -> impl Iterator<Item = String> + use<'a> {
    let key = |condition: Option<&Value>| {
        condition.map(|condition| {
            (condition["status"].clone(), condition["reason"].clone(), condition["message"].as_str().map(str::to_owned))
        })
    };
    let is_new = key(find(before, kind)) != key(find(after, kind));
    find(after, kind).filter(|_| is_new).into_iter().map(move |condition| {
        let word = |field: &str| condition[field].as_str().unwrap_or_default();
        match (word("status"), word("reason"), word("message")) {
            ("True", "", _) => kind.to_owned(),
            ("True", reason, _) => format!("{kind} {reason}"),
            (status, reason, "") => format!("{kind}={status} {reason}"),
            (status, reason, message) => format!("{kind}={status} {reason}: {message}"),
        }
    })
}

fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn is_true(object: &Value, kind: &str) -> bool {
    find(object, kind).is_some_and(|condition| condition["status"] == "True")
}
