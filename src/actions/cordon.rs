//! `cordon`, `uncordon`: the mark that a cordon leaves is the ownership, and only what bears it is lifted.

use serde_json::{Value, json};

use super::args::{Read, object};
use super::context::{Args, Attempt, StepContext};
use super::node::{Change, NodeNow, Patch, change};
use super::ownership::{KnownRuns, MARK_PATH, Mark, run_key};

const CORDON_PATH: [&str; 2] = ["spec", "unschedulable"];

/// Whose cordon a node bears.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    /// This run's.
    Us,
    /// Another run's.
    Run(Mark),
    /// Nobody left a mark, or one that is not ours to read.
    Someone,
}

impl Owner {
    fn of(node: &NodeNow, run: &str, key: &str) -> Self {
        match Mark::on(node) {
            Some(mark) if mark.is_of(run, key) => Self::Us,
            Some(mark) => Self::Run(mark),
            None => Self::Someone,
        }
    }
}

/// What a cordon replaces: whether the node is schedulable, and the mark that it bears.
pub(super) async fn pre_image(args: &Args, context: &StepContext) -> Read<Value> {
    let node = NodeNow::read(&*object(args, "node")?, &context.requests).await?;
    Ok(json!({"unschedulable": node.is_cordoned(), "mark": node.at(&MARK_PATH)}))
}

pub(super) async fn cordon(args: &Args, context: &StepContext) -> Read<Attempt> {
    let mark = Mark::of(context);
    let decide = |node: &NodeNow| Ok(cordoned(node, &mark, &*context.runs, context.now()));
    change(&*object(args, "node")?, context, decide).await
}

pub(super) async fn uncordon(args: &Args, context: &StepContext) -> Read<Attempt> {
    let key = run_key(context.seed);
    change(&*object(args, "node")?, context, |node| Ok(uncordoned(node, &context.run, &key))).await
}

fn cordoned(node: &NodeNow, mark: &Mark, runs: &dyn KnownRuns, now: i64) -> Change {
    let set = || {
        let text = Value::String(json!(mark).to_string());
        Patch::of(node).set(&CORDON_PATH, Value::Bool(true)).set(&MARK_PATH, text).change()
    };
    if !node.is_cordoned() {
        // A mark on a node that is not cordoned is what is left of a cordon that somebody lifted by hand.
        return set();
    }
    match Owner::of(node, &mark.run, &mark.key) {
        Owner::Us => Change::None(None),
        Owner::Run(theirs) => match theirs.heir(runs, now) {
            Ok(note) => set().told(note),
            Err(why) => Change::None(Some(why)),
        },
        Owner::Someone => Change::None(Some("was cordoned by someone else: it stays theirs".to_owned())),
    }
}

/// Puts back what a cordon replaced, while the node still bears this run's mark: the mark that was inherited, or no cordon.
pub(super) async fn undo(args: &Args, was: &Value, context: &StepContext) -> Read<Attempt> {
    let key = run_key(context.seed);
    let inherited = was["mark"].as_str().filter(|_| was["unschedulable"] == true);
    change(&*object(args, "node")?, context, |node| Ok(undone(node, &context.run, &key, inherited))).await
}

fn undone(node: &NodeNow, run: &str, key: &str, inherited: Option<&str>) -> Change {
    match (Owner::of(node, run, key), inherited) {
        (Owner::Us, Some(mark)) => Patch::of(node).set(&MARK_PATH, Value::from(mark)).change(),
        (Owner::Us, None) => uncordoned(node, run, key),
        _ => Change::None(Some("the cordon is not this run's: it stays as it is".to_owned())),
    }
}

/// What lifts a run's cordon, and leaves every other.
pub(super) fn uncordoned(node: &NodeNow, run: &str, key: &str) -> Change {
    let owner = Owner::of(node, run, key);
    match (owner, node.is_cordoned()) {
        (Owner::Us, true) => Patch::of(node).remove(&CORDON_PATH).remove(&MARK_PATH).change(),
        (Owner::Us, false) => {
            Patch::of(node).remove(&MARK_PATH).change().told("was uncordoned by someone else".to_owned())
        }
        (Owner::Run(Mark { run, .. }), true) => {
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
    use super::super::ownership::Standing;
    use super::super::ownership::tests::All;
    use super::*;

    const MARK: &str = MARK_PATH[2];

    /// While every other run can be resumed here.
    fn cordoned(node: &NodeNow, mark: &Mark) -> Change {
        super::cordoned(node, mark, &All(Standing::Open), 0)
    }

    fn uncordoned(node: &NodeNow, run: &str) -> Change {
        super::uncordoned(node, run, "")
    }

    fn mark(run: &str) -> Mark {
        Mark {
            run: run.to_owned(),
            key: String::new(),
            step: "n/cordon".to_owned(),
            by: "h/u".to_owned(),
            at: "t".to_owned(),
        }
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
        let (Change::Patch(Value::Array(operations)) | Change::Told(Value::Array(operations), _)) = change else {
            panic!("{change:?}")
        };
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
            Change::Patch(patch) | Change::Told(patch, _) => patch.to_string(),
        };
        assert_eq!(of(None), "was cordoned by someone else: it stays theirs");
        assert_eq!(of(Some(&mark("other"))), "was cordoned by run other, which can be resumed: it stays theirs");
        assert_eq!(of(Some(&mark("r"))), "");
    }

    #[test]
    fn the_mark_of_a_run_that_has_ended_is_taken_over() {
        let theirs = node(Some(true), Some(&mark("old")));
        let change = super::cordoned(&theirs, &mark("r"), &All(Standing::Ended), 0);
        let Change::Told(_, note) = &change else { panic!("{change:?}") };
        assert_eq!(note, "taken over from run old, which has ended");
        assert_eq!(
            patch(change),
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
            Change::Patch(patch) | Change::Told(patch, _) => patch.to_string(),
        };
        assert!(left(None).starts_with("stays cordoned: it bears no mark of this run"));
        assert!(left(Some(&mark("other"))).contains("run other cordoned it"));
        assert_eq!(
            patch(uncordoned(&node(None, Some(&mark("r"))), "r"))[1..],
            ["test /metadata/annotations/sprag.dev~1cordon", "remove /metadata/annotations/sprag.dev~1cordon"]
        );
    }
}
