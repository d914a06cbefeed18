//! Texts that are the same on both clusters: without times, without other tests' nodes.

use serde_json::{Map, Value};

/// The nodes of others, as the scheduler speaks of them: pods of the testbed name their nodes.
const OTHERS: &str = "node(s) didn't satisfy plugin(s) [NodeAffinity]";
const NO_HELP: &str = "Preemption is not helpful for scheduling";
const AVAILABLE: &str = " nodes are available: ";

/// What the scheduler says of a pod, without the nodes of others.
///
/// In `0/9 nodes are available: 2 node(s) were unschedulable, 7 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption:
/// 0/9 nodes are available: 9 Preemption is not helpful for scheduling.` seven of the nine are not the pool's.
pub fn without_others(text: &str) -> String {
    let Some((head, said)) = text.split_once("0/").filter(|(_, said)| said.contains(AVAILABLE)) else {
        return text.to_owned();
    };
    let mut parts = said.split(" preemption: 0/");
    let (filtered, others) = parts.next().map_or_else(Default::default, |part| shrink(part, OTHERS, None));
    let mut told = format!("{head}0/{filtered}");
    if let Some(preemption) = parts.next() {
        told.push_str(" preemption: 0/");
        told.push_str(&shrink(preemption, NO_HELP, Some(others)).0);
    }
    told
}

/// Takes `count` nodes (all, where it does not say) of one reason out of `9 nodes are available: 2 a, 7 b.`; how many it took.
fn shrink(text: &str, reason: &str, count: Option<u64>) -> (String, u64) {
    let Some((all, reasons)) = text.split_once(AVAILABLE) else { return (text.to_owned(), 0) };
    let all: u64 = all.parse().unwrap_or(0);
    let mut taken = 0;
    let mut kept = Vec::new();
    for one in reasons.trim_end_matches('.').split(", ") {
        let (number, why) = one.split_once(' ').unwrap_or(("", one));
        let number: u64 = number.parse().unwrap_or(0);
        if why == reason {
            taken = count.unwrap_or(number).min(number);
            if number > taken {
                kept.push(format!("{} {why}", number - taken));
            }
        } else {
            kept.push(one.to_owned());
        }
    }
    // As the scheduler sorts them: as texts, numbers and all.
    kept.sort();
    (format!("{}{AVAILABLE}{}.", all - taken.min(all), kept.join(", ")), taken)
}

/// A body with the same words for what no two clusters have in common: versions and times; its texts by `told`.
pub fn body(value: &Value, told: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Object(fields) => {
            let each = fields.iter().map(|(key, value)| (key.clone(), body(value, told)));
            Value::Object(each.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(|item| body(item, told)).collect(),
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => "<time>".into(),
        Value::String(text) => without_versions(&told(text)).into(),
        other => other.clone(),
    }
}

/// Versions stand in parentheses, or at the end after `current: `.
fn without_versions(text: &str) -> String {
    let mut told = String::new();
    for (index, part) in text.split('(').enumerate() {
        let digits = part.chars().take_while(char::is_ascii_digit).count();
        let is_version = index > 0 && digits > 0 && part[digits..].starts_with(')');
        told.push_str(if index > 0 { "(" } else { "" });
        told.push_str(if is_version { "<version>" } else { &part[..digits] });
        told.push_str(&part[digits..]);
    }
    match told.rsplit_once("current: ") {
        Some((head, tail)) if tail.parse::<u64>().is_ok() => format!("{head}current: <version>"),
        _ => told,
    }
}
