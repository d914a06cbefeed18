//! Whose a cordon is: the mark that a run leaves on a node, what is known of the runs that left marks, and the marks of a
//! whole cluster, for `sprag nodes` and `sprag release`.
//!
//! A run's id is unique in one folder of runs alone, so a mark bears the run's key as well: a random number that the run
//! journals as it begins.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;
use crate::cluster::{RequestError, Requests};
use crate::engine::event::Failure;
use crate::outside::host_name;

use super::chance::Chance;
use super::context::{Attempt, StepContext};
use super::cordon;
use super::node::{NodeNow, settle};

/// The annotation that holds the mark.
const MARK: &str = "sprag.dev/cordon";
/// Where it stands in a node.
pub(super) const MARK_PATH: [&str; 3] = ["metadata", "annotations", MARK];
/// A mark whose run nobody here knows is nobody's once it is older, in milliseconds: a person who halted a run elsewhere
/// for the night finds the node theirs in the morning.
const NOBODYS_AFTER: i64 = 86_400_000;

/// Who cordoned a node. Fields that a later version adds are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The run's id.
    pub run: String,
    /// The run's key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The step's id.
    pub step: String,
    /// Host and user.
    pub by: String,
    /// RFC 3339.
    pub at: String,
}

/// What is known here of a run that left a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Somebody drives it now.
    Driven,
    /// It is halted, or its driver died: it can be resumed here.
    Open,
    /// It is over for good.
    Ended,
    /// Its journal is not here.
    Unknown,
}

/// The runs that are known here.
pub trait KnownRuns: Send + Sync {
    /// How the run of that id and key stands; a mark without a key is of any run of that id.
    fn standing(&self, run: &str, key: &str) -> Standing;
}

/// A node that is cordoned or bears a mark.
#[derive(Debug, Clone, PartialEq)]
pub struct Cordoned {
    /// Which node.
    pub node: Arc<ObjectRef>,
    /// Whether it is cordoned.
    pub is_cordoned: bool,
    /// The mark that it bears, if it is one that can be read.
    pub mark: Option<Mark>,
}

/// The key of a run with that seed.
pub fn run_key(seed: u64) -> String {
    format!("{seed:016x}")
}

impl Mark {
    /// The mark of a step.
    pub(super) fn of(context: &StepContext) -> Self {
        let user = std::env::var("USER").unwrap_or_else(|_| "a person".to_owned());
        let at = jiff::Timestamp::from_millisecond(context.now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self {
            run: context.run.to_string(),
            key: run_key(context.seed),
            step: context.step.clone(),
            by: format!("{}/{user}", host_name()),
            at: at.to_string(),
        }
    }

    /// The mark that a node bears; `None` where there is none, or one that is not ours to read.
    pub(super) fn on(node: &NodeNow) -> Option<Self> {
        serde_json::from_str(node.at(&MARK_PATH)?.as_str()?).ok()
    }

    /// Whether it is of that run.
    pub(super) fn is_of(&self, run: &str, key: &str) -> bool {
        self.run == run && (self.key.is_empty() || key.is_empty() || self.key == key)
    }

    /// Unix milliseconds; `None` where its time cannot be read.
    pub fn since(&self) -> Option<i64> {
        self.at.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
    }

    /// Why another run may take the node over, or why not.
    pub(super) fn heir(&self, runs: &dyn KnownRuns, now: i64) -> Result<String, String> {
        let Self { run, by, .. } = self;
        match runs.standing(run, &self.key) {
            Standing::Ended => Ok(format!("taken over from run {run}, which has ended")),
            Standing::Driven => Err(format!("was cordoned by run {run}, which is under way: it stays theirs")),
            Standing::Open => Err(format!("was cordoned by run {run}, which can be resumed: it stays theirs")),
            Standing::Unknown => match self.since() {
                Some(since) if now - since > NOBODYS_AFTER => {
                    Ok(format!("taken over from run {run} of {by}, whose journal is not here, marked {}", self.at))
                }
                _ => Err(format!("was cordoned by run {run} of {by}, whose journal is not here: it stays theirs")),
            },
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} of {}", self.run, self.by)
    }
}

impl Cordoned {
    fn of(object: Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
        let (name, uid) = (text("/metadata/name")?, text("/metadata/uid")?);
        let node = Arc::new(ObjectRef { kind: Kind::Node, namespace: String::new(), name, uid });
        let now = NodeNow::new(object);
        let (is_cordoned, mark) = (now.is_cordoned(), Mark::on(&now));
        (is_cordoned || now.at(&MARK_PATH).is_some()).then_some(Self { node, is_cordoned, mark })
    }
}

/// The nodes of a cluster that are cordoned or bear a mark, by name.
///
/// # Errors
/// What the server refused.
pub async fn cordoned(requests: &Requests) -> Result<Vec<Cordoned>, RequestError> {
    let listed = requests.list("/api/v1/nodes").await?;
    let mut nodes: Vec<Cordoned> = listed.items.into_iter().filter_map(Cordoned::of).collect();
    nodes.sort_by(|a, b| a.node.name.cmp(&b.node.name));
    Ok(nodes)
}

/// Lifts the cordon that bears this mark, and says what it left.
///
/// # Errors
/// Why the node could not be changed.
pub async fn release(requests: &Requests, node: &ObjectRef, mark: &Mark) -> Result<Option<String>, Failure> {
    let chance = Chance::new(0, &node.name, 1);
    let changed = settle(node, requests, &chance, |now| Ok(cordon::uncordoned(now, &mark.run, &mark.key))).await;
    changed.map(|changed| changed.note).map_err(|attempt| match attempt {
        Attempt::Failed(failure) | Attempt::Refused(failure) => failure,
        other => Failure::new("E599", format!("the change of node `{node}` came out as {other:?}")),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every run stands like that.
    pub(crate) struct All(pub(crate) Standing);

    impl KnownRuns for All {
        fn standing(&self, _run: &str, _key: &str) -> Standing {
            self.0
        }
    }

    fn mark(run: &str, key: &str) -> Mark {
        Mark {
            run: run.to_owned(),
            key: key.to_owned(),
            step: "n/cordon".to_owned(),
            by: "h/u".to_owned(),
            at: "2027-01-15T08:00:00Z".to_owned(),
        }
    }

    #[test]
    fn a_run_of_another_folder_with_the_same_id_is_another_run() {
        assert!(mark("7c1f-01", "a").is_of("7c1f-01", "a"));
        assert!(!mark("7c1f-01", "a").is_of("7c1f-01", "b"));
        assert!(mark("7c1f-01", "").is_of("7c1f-01", "b"), "of a version that left no key");
        assert!(!mark("7c1f-02", "a").is_of("7c1f-01", "a"));
    }

    #[test]
    fn what_has_ended_or_is_nobodys_is_inherited() {
        let at = mark("r", "k").since().unwrap();
        let day = NOBODYS_AFTER;
        for (standing, later, inherits) in [
            (Standing::Ended, 0, true),
            (Standing::Open, 9 * day, false),
            (Standing::Driven, 9 * day, false),
            (Standing::Unknown, day, false),
            (Standing::Unknown, day + 1, true),
        ] {
            let heir = mark("r", "k").heir(&All(standing), at + later);
            assert_eq!(heir.is_ok(), inherits, "{standing:?} after {later}: {heir:?}");
        }
        let broken = Mark { at: "yesterday".to_owned(), ..mark("r", "k") };
        assert!(broken.heir(&All(Standing::Unknown), at + 9 * day).is_err(), "its age cannot be told");
    }
}
