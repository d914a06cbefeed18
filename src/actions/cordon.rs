//! `cordon`, `uncordon`: the mark that a cordon leaves is the ownership, and only what bears it is lifted.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::outside::host_name;

use super::args::{Read, object};
use super::context::{Args, Attempt, StepContext};
use super::node::{Change, NodeNow, Patch, change};

/// The annotation that holds the mark.
pub(super) const MARK: &str = "sprag.dev/cordon";
const MARK_PATH: [&str; 3] = ["metadata", "annotations", MARK];
const CORDON_PATH: [&str; 2] = ["spec", "unschedulable"];

/// Who cordoned a node. Fields that a later version adds are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// The run's id.
    run: String,
    /// The step's id.
    step: String,
    /// Host and user.
    by: String,
    /// RFC 3339.
    at: String,
}

impl Mark {
    fn of(context: &StepContext) -> Self {
        let user = std::env::var("USER").unwrap_or_else(|_| "a person".to_owned());
        let at = jiff::Timestamp::from_millisecond(context.now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self {
            run: context.run.to_string(),
            step: context.step.clone(),
            by: format!("{}/{user}", host_name()),
            at: at.to_string(),
        }
    }
}

/// Whose cordon a node bears.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    /// This run's.
    Us,
    /// Another run's, of that id.
    Run(String),
    /// Nobody left a mark, or one that is not ours to read.
    Someone,
}

impl Owner {
    fn of(node: &NodeNow, run: &str) -> Self {
        let mark = node.at(&MARK_PATH).and_then(Value::as_str);
        match mark.and_then(|mark| serde_json::from_str::<Mark>(mark).ok()) {
            Some(mark) if mark.run == run => Self::Us,
            Some(mark) => Self::Run(mark.run),
            None => Self::Someone,
        }
    }
}

/// What a cordon replaces: whether the node is schedulable, and the mark that it bears.
pub(super) async fn pre_image(args: &Args, context: &StepContext) -> Read<Value> {
    let node = NodeNow::read(&*object(args, "node")?, context).await?;
    Ok(json!({"unschedulable": node.is_cordoned(), "mark": node.at(&MARK_PATH)}))
}

pub(super) async fn cordon(args: &Args, context: &StepContext) -> Read<Attempt> {
    let mark = Mark::of(context);
    change(&*object(args, "node")?, context, |node| Ok(cordoned(node, &mark))).await
}

pub(super) async fn uncordon(args: &Args, context: &StepContext) -> Read<Attempt> {
    change(&*object(args, "node")?, context, |node| Ok(uncordoned(node, &context.run))).await
}

fn cordoned(node: &NodeNow, mark: &Mark) -> Change {
    if !node.is_cordoned() {
        // A mark on a node that is not cordoned is what is left of a cordon that somebody lifted by hand.
        let text = json!(mark).to_string();
        return Patch::of(node).set(&CORDON_PATH, Value::Bool(true)).set(&MARK_PATH, Value::String(text)).change();
    }
    Change::None(match Owner::of(node, &mark.run) {
        Owner::Us => None,
        Owner::Run(run) => Some(format!("was cordoned by run {run}: it stays theirs")),
        Owner::Someone => Some("was cordoned by someone else: it stays theirs".to_owned()),
    })
}

fn uncordoned(node: &NodeNow, run: &str) -> Change {
    let owner = Owner::of(node, run);
    match (owner, node.is_cordoned()) {
        (Owner::Us, true) => Patch::of(node).remove(&CORDON_PATH).remove(&MARK_PATH).change(),
        (Owner::Us, false) => Patch::of(node).remove(&MARK_PATH).change(),
        (Owner::Run(run), true) => {
            Change::None(Some(format!("stays cordoned: run {run} cordoned it, and lifts it or is to be released")))
        }
        (Owner::Someone, true) => {
            Change::None(Some("stays cordoned: it bears no mark of this run, someone else cordoned it".to_owned()))
        }
        (Owner::Run(_) | Owner::Someone, false) => Change::None(Some("was not cordoned".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(run: &str) -> Mark {
        Mark { run: run.to_owned(), step: "n/cordon".to_owned(), by: "h/u".to_owned(), at: "t".to_owned() }
    }

    fn node(cordoned: Option<bool>, mark: Option<&Mark>) -> NodeNow {
        let mut object = json!({"metadata": {"uid": "u", "resourceVersion": "7"}, "spec": {}});
        if let Some(cordoned) = cordoned {
            object["spec"]["unschedulable"] = json!(cordoned);
        }
        if let Some(mark) = mark {
            object["metadata"]["annotations"] = json!({ MARK: json!(mark).to_string() });
        }
        NodeNow::new(object)
    }

    fn patch(change: Change) -> Vec<String> {
        let Change::Patch(Value::Array(operations)) = change else { panic!("{change:?}") };
        let word = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
        operations.iter().map(|one| format!("{} {}", word(one, "op"), word(one, "path"))).collect()
    }

    #[test]
    fn a_cordon_tests_what_it_replaces() {
        assert_eq!(
            patch(cordoned(&node(None, None), &mark("r"))),
            [
                "test /metadata/uid",
                "test /metadata/resourceVersion",
                "add /spec/unschedulable",
                "add /metadata/annotations",
                "add /metadata/annotations/sprag.dev~1cordon",
            ]
        );
        assert_eq!(
            patch(cordoned(&node(Some(false), Some(&mark("old"))), &mark("r"))),
            [
                "test /metadata/uid",
                "test /spec/unschedulable",
                "add /spec/unschedulable",
                "test /metadata/annotations/sprag.dev~1cordon",
                "add /metadata/annotations/sprag.dev~1cordon",
            ]
        );
    }

    #[test]
    fn a_cordon_of_someone_else_stays_theirs() {
        let of = |owner: Option<&Mark>| match cordoned(&node(Some(true), owner), &mark("r")) {
            Change::None(note) => note.unwrap_or_default(),
            Change::Patch(patch) => patch.to_string(),
        };
        assert_eq!(of(None), "was cordoned by someone else: it stays theirs");
        assert_eq!(of(Some(&mark("other"))), "was cordoned by run other: it stays theirs");
        assert_eq!(of(Some(&mark("r"))), "");
    }

    #[test]
    fn only_what_bears_the_mark_is_lifted() {
        assert_eq!(
            patch(uncordoned(&node(Some(true), Some(&mark("r"))), "r")),
            [
                "test /metadata/uid",
                "test /spec/unschedulable",
                "remove /spec/unschedulable",
                "test /metadata/annotations/sprag.dev~1cordon",
                "remove /metadata/annotations/sprag.dev~1cordon",
            ]
        );
        let left = |owner: Option<&Mark>| match uncordoned(&node(Some(true), owner), "r") {
            Change::None(note) => note.unwrap_or_default(),
            Change::Patch(patch) => patch.to_string(),
        };
        assert!(left(None).starts_with("stays cordoned: it bears no mark of this run"));
        assert!(left(Some(&mark("other"))).contains("run other cordoned it"));
        assert_eq!(
            patch(uncordoned(&node(None, Some(&mark("r"))), "r"))[1..],
            ["test /metadata/annotations/sprag.dev~1cordon", "remove /metadata/annotations/sprag.dev~1cordon"]
        );
    }
}
