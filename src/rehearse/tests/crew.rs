//! A crew that plays scheduler and kubelets in stories of workloads: plain, and always in the same time.
//!
//! A pod is bound 50 ms after it is made, to the node that it is pinned to, else to the one of the fewest pods that is not
//! cordoned; it is ready 2 s later; its containers end 3 s after its deletion, and it is gone then.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::Stage;
use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::controllers;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Condition, Key, Object, Phase};
use crate::rehearse::store::{Change, What};
use crate::rehearse::write::{DeleteOptions, Deleted};

/// Plays scheduler and kubelets.
pub(super) struct Crew;

impl Controller for Crew {
    fn name(&self) -> &'static str {
        "crew"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        let Some(pod) = change.object.pod().filter(|_| change.what != What::Deleted) else { return };
        let key = change.object.key();
        match (&pod.node, change.object.is_terminating(), pod.status.phase) {
            (None, _, _) => queue.after(50, "bind", &key),
            (Some(_), true, _) => queue.after(3000, "end", &key),
            (Some(_), false, Phase::Pending) => queue.after(2000, "start", &key),
            _ => {}
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        let Some(object) = cluster.store.get(&task.key).cloned() else { return };
        let phase = object.pod().map(|pod| pod.status.phase);
        match task.why {
            "bind" => bind(&object, cluster),
            "start" if !object.is_terminating() && phase == Some(Phase::Pending) => {
                set_phase(&task.key, Phase::Running, true, cluster)
            }
            // A pod of the same name may be there by now.
            "end" if object.is_terminating() => {
                if !object.pod().is_some_and(|pod| pod.is_terminal()) {
                    set_phase(&task.key, Phase::Failed, false, cluster);
                }
                let options = DeleteOptions { grace: Some(0), ..DeleteOptions::default() };
                let _ = cluster.delete(&task.key, &options);
            }
            _ => {}
        }
    }
}

fn bind(object: &Object, cluster: &mut Cluster) {
    let pod = object.pod().expect("a pod");
    let pinned = pod.spec.raw.get("affinity").and_then(|affinity| {
        let required = &affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0].as_str().map(str::to_owned)
    });
    let open = cluster.store.all(Kind::Node).filter(|node| !node.node().is_some_and(|node| node.is_cordoned));
    let emptiest =
        open.min_by_key(|node| cluster.store.pods_on(&node.meta.name).count()).map(|node| node.meta.name.to_string());
    if let Some(node) = pinned.or(emptiest) {
        cluster.change(&object.key(), |pod| {
            pod.pod_mut()?.node = Some(Arc::from(node));
            Some(())
        });
    }
}

fn set_phase(key: &Key, phase: Phase, is_ready: bool, cluster: &mut Cluster) {
    let now = cluster.now;
    cluster.change(key, |pod| {
        let status = &mut pod.pod_mut()?.status;
        status.phase = phase;
        status.set_condition(Condition::new("Ready", is_ready, now));
        Some(())
    });
}

impl Stage {
    /// A cluster of three nodes with the controllers of workloads and the crew.
    pub(super) fn crewed() -> Self {
        Self::crewed_of(37)
    }

    /// The same of another minor version.
    pub(super) fn crewed_of(minor: u32) -> Self {
        let mut controllers = controllers::workloads();
        controllers.push(Box::new(Crew));
        let mut stage = Self::new(controllers);
        let about = Arc::make_mut(&mut stage.world.cluster.about);
        about.minor = minor;
        for (name, zone) in [("n-1", "a"), ("n-2", "b"), ("n-3", "c")] {
            stage.has_node(name, zone);
        }
        stage.story();
        stage
    }

    /// A budget of the pods with the label `app`, whose controller has looked at it by the time this is back.
    pub(super) fn has_budget(&mut self, name: &str, spec: serde_json::Value) -> Key {
        let mut spec = spec;
        if spec.get("selector").is_none() {
            spec["selector"] = json!({ "matchLabels": { "app": name } });
        }
        let metadata = json!({ "name": name, "namespace": "shop" });
        let key = self.create(Kind::PodDisruptionBudget, json!({ "metadata": metadata, "spec": spec }));
        self.pass(0.1);
        key
    }

    /// A pod of nobody that runs on a node, ready or not.
    pub(super) fn has_pod(&mut self, name: &str, app: &str, is_ready: bool) -> Key {
        let ready = if is_ready { "True" } else { "False" };
        self.has(
            Kind::Pod,
            json!({
                "metadata": { "name": name, "namespace": "shop", "labels": { "app": app } },
                "spec": { "nodeName": "n-1", "containers": [{ "name": "c", "image": "i" }],
                          "terminationGracePeriodSeconds": 30 },
                "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] },
            }),
        )
    }

    /// Evicts a pod: the code of the answer, and of one that is no success its body.
    pub(super) fn evict(&mut self, pod: &Key) -> String {
        self.evict_with(pod, &DeleteOptions::default())
    }

    pub(super) fn evict_with(&mut self, pod: &Key, options: &DeleteOptions) -> String {
        let answer = self.world.cluster.evict(pod, options);
        self.world.settle();
        match answer {
            Ok(()) => "201".to_owned(),
            Err(refused) => {
                let pause = refused.retry_after.map(|seconds| format!(" after {seconds}")).unwrap_or_default();
                format!("{}{pause} {}", refused.code, refused.body())
            }
        }
    }

    pub(super) fn delete(&mut self, key: &Key, options: &DeleteOptions) -> Deleted {
        let deleted = self.world.cluster.delete(key, options).expect("it can be deleted");
        self.world.settle();
        deleted
    }

    /// The story with the pods of a template called by their order: `web-5d4~1`.
    pub(super) fn tale(&mut self) -> String {
        self.tale_of(&[])
    }

    /// The same of some kinds only, and without what comes with each pod: its place and phase.
    pub(super) fn tale_of(&mut self, plurals: &[&str]) -> String {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut tale = String::new();
        for line in self.story().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (plural, key) = (words[1], words[2]);
            if !plurals.is_empty() && !plurals.contains(&plural) {
                continue;
            }
            let mut told = line.to_owned();
            if let Some((stem, suffix)) = key.rsplit_once('-')
                && plural == "pods"
                && suffix.len() == 5
            {
                let name = names.entry(key.to_owned()).or_insert_with(|| {
                    let count = counts.entry(stem.to_owned()).or_default();
                    *count += 1;
                    format!("{stem}~{count}")
                });
                told = told.replace(key, name);
            }
            tale.push_str(&told);
            tale.push('\n');
        }
        tale
    }

    /// The pods of a namespace that are there: name, node, whether ready, whether terminating.
    pub(super) fn pods(&self) -> Vec<Key> {
        self.world.cluster.store.in_namespace(Kind::Pod, "shop").map(|pod| pod.key()).collect()
    }
}

/// A template of pods with the label `app`.
pub(super) fn template(app: &str) -> serde_json::Value {
    json!({ "metadata": { "labels": { "app": app } }, "spec": { "containers": [{ "name": "c", "image": "i:1" }] } })
}

/// A workload of pods with the label `app`, which is its name.
pub(super) fn workload(app: &str, replicas: i64) -> serde_json::Value {
    json!({
        "metadata": { "name": app, "namespace": "shop" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": app } }, "template": template(app) },
    })
}
