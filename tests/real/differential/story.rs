//! A trace of a cluster: of each object and each of its fields, what it became and when.

use super::names::Names;
use super::observe::Change;
use super::words;
use serde_json::Value;
use sprag::rehearse::trace;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::time::Instant;

/// A value that stood for less time than this was on the way to the next, in seconds: what a controller writes in two steps
/// on one cluster, it writes in one on the other.
const PASSING: f64 = 0.8;

/// What became of a field, with the time of each in seconds.
pub type Course = Vec<(f64, String)>;

/// All fields, by `resource name` and field.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// What became of each.
    pub courses: BTreeMap<(String, String), Course>,
}

/// How a story is told.
pub struct Telling<'a> {
    /// All changes.
    pub changes: &'a [Change],
    /// How many of them were before `start`.
    pub before: usize,
    /// When time begins.
    pub start: Instant,
    /// What things are called.
    pub names: &'a Names,
    /// Nodes that are as good as each other.
    pub feasible: &'a [String],
}

impl Telling<'_> {
    /// The story from the start on.
    pub fn tell(&self) -> Story {
        let mut known: HashMap<String, Arc<Value>> = HashMap::new();
        let mut stood: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut story = Story::default();
        for (index, change) in self.changes.iter().enumerate() {
            let uid = change.object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            let before = known.insert(uid, change.object.clone());
            let mut phrases = trace::told(before.as_deref(), Some(&change.object));
            if !change.is_there {
                phrases.push("gone".to_owned());
            }
            let object = format!("{} {}", change.resource, self.names.of_object(&change.object));
            for phrase in phrases {
                let phrase = self.word(&phrase);
                let key = (object.clone(), field_of(&phrase));
                if index < self.before {
                    stood.insert(key, phrase);
                } else {
                    let at = change.at.saturating_duration_since(self.start).as_secs_f64();
                    story.courses.entry(key).or_default().push((at, phrase));
                }
            }
        }
        for (key, course) in &mut story.courses {
            if key.1 != "there" {
                settle(course, stood.get(key));
            }
        }
        story.courses.retain(|_, course| !course.is_empty());
        story
    }

    fn word(&self, phrase: &str) -> String {
        if let Some(node) = phrase.strip_prefix("on ")
            && self.feasible.iter().any(|name| name == node)
        {
            return "on a feasible node".to_owned();
        }
        self.names.told(&words::without_others(phrase))
    }
}

/// Leaves out what stood for a moment only, and what is no change then.
fn settle(course: &mut Course, stood: Option<&String>) {
    let passing = |index: usize| course.get(index + 1).is_some_and(|next| next.0 - course[index].0 < PASSING);
    let lasting = (0..course.len()).filter(|index| !passing(*index)).map(|index| course[index].clone());
    let mut last = stood.cloned();
    let mut kept = Course::new();
    for (at, phrase) in lasting {
        if last.as_ref() != Some(&phrase) {
            last = Some(phrase.clone());
            kept.push((at, phrase));
        }
    }
    *course = kept;
}

/// Of what a phrase tells: a later phrase of the same field takes its place.
fn field_of(phrase: &str) -> String {
    let word = phrase.trim_start_matches(['+', '-']).split([' ', '=', ',']).next().unwrap_or_default();
    match word {
        "made" | "gone" => "there",
        "on" => "place",
        "terminating" => "end",
        "not" | "ready" => "ready",
        "cordoned" | "uncordoned" => "cordon",
        "Pending" | "Running" | "Succeeded" => "phase",
        "Failed" if phrase == "Failed" => "phase",
        word => word,
    }
    .to_owned()
}
