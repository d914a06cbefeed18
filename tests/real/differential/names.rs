//! Names that are the same on both clusters: `web-#1` for the first that `web` made, in the order in which they appeared.
//!
//! What was there before anything was done is counted by node: so the pods that a scheduler spread over the nodes bear the
//! same names. What the same controller makes at one time is in no order; a scenario that tells such apart compares chance.

use super::observe::Change;
use serde_json::Value;
use std::collections::BTreeMap;

/// The objects that were made with generated names.
#[derive(Debug, Default)]
pub struct Names {
    by_uid: BTreeMap<String, String>,
    /// Names as they are and as they are told, the longest first.
    pairs: Vec<(String, String)>,
    uids: Vec<(String, String)>,
}

impl Names {
    /// Of all changes so far; the first `before` of them were there before anything was done.
    pub fn of(changes: &[Change], before: usize) -> Self {
        let mut names = Self::default();
        let (scene, later) = changes.split_at(before.min(changes.len()));
        let mut scene: Vec<&Value> = scene.iter().map(|change| &*change.object).collect();
        let mut counts = BTreeMap::new();
        // A change in which it has a node comes after one in which it has none.
        let node = |object: &Value| object["spec"]["nodeName"].as_str().unwrap_or("~").to_owned();
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        scene.sort_by_cached_key(|object| (node(object), name(object)));
        let later: Vec<&Value> = later.iter().map(|change| &*change.object).collect();
        // Owners first: watches of several kinds are in no order.
        let rank = |object: &Value| match object["kind"].as_str() {
            Some("Pod") => 2,
            Some("ReplicaSet") => 1,
            _ => 0,
        };
        for turn in 0..=2 {
            for object in scene.iter().chain(&later).filter(|object| rank(object) == turn) {
                names.count(object, &mut counts);
            }
        }
        names.pairs.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names
    }

    fn count(&mut self, object: &Value, counts: &mut BTreeMap<String, usize>) {
        let meta = &object["metadata"];
        let (Some(uid), Some(name)) = (meta["uid"].as_str(), meta["name"].as_str()) else { return };
        let owner = meta["ownerReferences"][0]["uid"].as_str().and_then(|uid| self.by_uid.get(uid));
        // The pods of a StatefulSet bear numbers, though a stem is said of them.
        let has_number = meta["ownerReferences"][0]["kind"] == "StatefulSet";
        let is_generated = !has_number && (meta["generateName"].is_string() || object["kind"] == "ReplicaSet");
        if self.by_uid.contains_key(uid) {
            return;
        }
        let told = match owner.filter(|_| is_generated) {
            Some(owner) => {
                let count = counts.entry(owner.clone()).or_default();
                *count += 1;
                format!("{owner}-#{count}")
            }
            None => name.to_owned(),
        };
        self.by_uid.insert(uid.to_owned(), told.clone());
        self.uids.push((uid.to_owned(), format!("<uid of {told}>")));
        if told != name {
            self.pairs.push((name.to_owned(), told));
        }
    }

    /// What an object is called.
    pub fn of_object(&self, object: &Value) -> String {
        let meta = &object["metadata"];
        let known = meta["uid"].as_str().and_then(|uid| self.by_uid.get(uid));
        known.cloned().unwrap_or_else(|| meta["name"].as_str().unwrap_or_default().to_owned())
    }

    /// A text with the names as they are in the place of those that are told: `<web-#1>`.
    pub fn real(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, told) in &self.pairs {
            text = text.replace(&format!("<{told}>"), name);
        }
        text
    }

    /// A text with the names that are told.
    pub fn told(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, told) in self.uids.iter().chain(&self.pairs) {
            text = text.replace(name, told);
        }
        text
    }
}
