//! A cluster of a few objects and some of the controllers, and its story.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::rehearse::cluster::{About, Controller, World};
use crate::rehearse::kinds::Kind;
use crate::rehearse::merge_patch::merge;
use crate::rehearse::object::{Key, Object};
use crate::rehearse::store::Change;
use crate::rehearse::trace;

/// When every story begins: 2026-01-31 14:00:00 UTC.
pub(in crate::rehearse) const START: i64 = 1_769_868_000_000;

/// A world, and what was seen of it.
pub(in crate::rehearse) struct Stage {
    pub(in crate::rehearse) world: World,
    story: std::sync::Arc<std::sync::Mutex<String>>,
}

/// Writes down what happens.
struct Teller(std::sync::Arc<std::sync::Mutex<String>>, i64);

impl Controller for Teller {
    fn name(&self) -> &'static str {
        "teller"
    }

    fn notice(&mut self, change: &Change, queue: &mut crate::rehearse::cluster::Queue<'_>) {
        let gone = change.what == crate::rehearse::store::What::Deleted;
        let before = change.previous.as_ref().map(|object| object.to_value());
        let after = (!gone).then(|| change.object.to_value());
        let key = change.object.key();
        for phrase in trace::told(before.as_ref(), after.as_ref()) {
            let seconds = (queue.now - self.1) as f64 / 1000.0;
            let kind = key.kind.info().map_or("object", |info| info.plural);
            let _ = writeln!(self.0.lock().unwrap(), "+{seconds:<7.2}{kind} {key}  {phrase}");
        }
    }

    fn look(&mut self, _: &crate::rehearse::cluster::Task, _: &mut crate::rehearse::cluster::Cluster) {}
}

impl Stage {
    /// A cluster v1.37.2 with the namespaces `default` and `shop` and these controllers.
    pub(in crate::rehearse) fn new(mut controllers: Vec<Box<dyn Controller>>) -> Self {
        let story = std::sync::Arc::default();
        controllers.insert(0, Box::new(Teller(std::sync::Arc::clone(&story), START)));
        let about = About { version: "v1.37.2".to_owned(), minor: 37 };
        let mut stage = Self { world: World::new(about, START, 7, controllers), story };
        for name in ["default", "shop"] {
            stage.has(Kind::Namespace, json!({ "metadata": { "name": name } }));
        }
        stage.story();
        stage
    }

    /// Puts an object there as it is said, status and all; it gets a UID and a time if it has none.
    pub(in crate::rehearse) fn has(&mut self, kind: Kind, mut value: Value) -> Key {
        let cluster = &mut self.world.cluster;
        if value["metadata"]["uid"].is_null() {
            value["metadata"]["uid"] = (*cluster.new_uid()).into();
        }
        if value["metadata"]["creationTimestamp"].is_null() {
            value["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        let object = Object::read(kind, value).expect("an object");
        let key = object.key();
        cluster.store.put(object);
        self.world.settle();
        key
    }

    /// A ready node with 4 processors, 16 GiB and room for 110 pods.
    pub(in crate::rehearse) fn has_node(&mut self, name: &str, zone: &str) -> Key {
        let labels = json!({ "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone });
        let resources = json!({ "cpu": "4", "memory": "16Gi", "pods": "110" });
        let ready = json!([{ "type": "Ready", "status": "True", "reason": "KubeletReady" }]);
        self.has(
            Kind::Node,
            json!({
                "metadata": { "name": name, "labels": labels },
                "spec": {},
                "status": { "allocatable": resources, "capacity": resources, "conditions": ready,
                            "nodeInfo": { "kubeletVersion": "v1.37.2" } },
            }),
        )
    }

    /// Makes an object as a client would.
    pub(in crate::rehearse) fn create(&mut self, kind: Kind, value: Value) -> Key {
        let object = Object::read(kind, value).expect("an object");
        let key = self.world.cluster.create(object).expect("it can be made").key();
        self.world.settle();
        key
    }

    /// Changes an object by a JSON merge patch, as a client would.
    pub(in crate::rehearse) fn patch(&mut self, key: &Key, patch: Value) {
        let mut value = self.get(key);
        merge(&mut value, patch);
        let object = Object::read(key.kind, value).expect("an object");
        self.world.cluster.put(object);
        self.world.settle();
    }

    /// An object as a client sees it; null where it is gone.
    pub(in crate::rehearse) fn get(&self, key: &Key) -> Value {
        self.world.cluster.store.get(key).map(|object| object.to_value()).unwrap_or_default()
    }

    /// Lets so many seconds pass.
    pub(in crate::rehearse) fn pass(&mut self, seconds: f64) {
        let now = self.world.cluster.now + (seconds * 1000.0) as i64;
        self.world.advance(now);
    }

    /// What was seen since the last call: `+seconds kind namespace/name  what`.
    pub(in crate::rehearse) fn story(&mut self) -> String {
        self.world.settle();
        std::mem::take(&mut *self.story.lock().unwrap())
    }

    /// What was seen since the last call, of one kind only.
    pub(in crate::rehearse) fn story_of(&mut self, plural: &str) -> String {
        let story = self.story();
        story
            .lines()
            .filter(|line| line.split_whitespace().nth(1) == Some(plural))
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

#[test]
fn a_story_tells_what_changed() {
    let mut stage = Stage::new(Vec::new());
    let node = stage.has_node("n-1", "a");
    stage.patch(&node, json!({ "spec": { "unschedulable": true } }));
    stage.pass(2.5);
    stage.patch(&node, json!({ "spec": { "unschedulable": null } }));
    let expected = "+0.00   nodes n-1  made\n+0.00   nodes n-1  Ready=True\n+0.00   nodes n-1  cordoned\n\
                    +2.50   nodes n-1  uncordoned\n";
    assert_eq!(stage.story(), expected);
}

#[test]
fn what_is_read_is_written_alike() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "a", "namespace": "shop", "uid": "u", "resourceVersion": "0",
                      "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "app": "a" } , "selfLink": "x" },
        "spec": { "nodeName": "n-1", "containers": [{ "name": "c", "image": "i", "odd": 1 }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True", "odd": [1] }],
                    "containerStatuses": [{ "name": "c", "image": "i", "imageID": "", "ready": true, "started": true,
                                            "restartCount": 2, "state": { "running": { "startedAt": "2026-01-01T00:00:03Z" } },
                                            "lastState": {} }], "podIP": "10.0.0.1" },
    });
    assert_eq!(Object::read(Kind::Pod, pod.clone()).expect("a pod").to_value(), pod);
}
