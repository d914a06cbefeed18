//! The namespace controller: what is in a namespace that is being deleted is deleted, then the namespace itself
//! (k8s.io/kubernetes v1.37, controller/namespace).

use crate::rehearse::cluster::{Cluster, Controller, Queue, Task};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::Key;
use crate::rehearse::store::{Change, What};
use crate::rehearse::write::DeleteOptions;

/// How long it waits before it begins, in milliseconds: what is being made at that moment is to be seen.
const DELAY: i64 = 5000;
const END: &str = "namespace";

/// The controller.
#[derive(Debug, Default)]
pub struct Namespaces;

impl Controller for Namespaces {
    fn name(&self) -> &'static str {
        "namespace"
    }

    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>) {
        if change.kind() == Kind::Namespace && change.what != What::Deleted && change.object.is_terminating() {
            queue.after(DELAY, END, &change.object.key());
        }
    }

    fn look(&mut self, task: &Task, cluster: &mut Cluster) {
        let is_ending = cluster.store.get(&task.key).is_some_and(|namespace| namespace.is_terminating());
        if !is_ending {
            return;
        }
        let contents = contents(&task.key.name, cluster);
        for key in &contents {
            // What is gone by now is what was wanted.
            let _ = cluster.delete(key, &DeleteOptions::default());
        }
        let left: Vec<i64> = contents
            .iter()
            .filter_map(|key| cluster.store.get(key))
            .map(|object| object.meta.grace.unwrap_or(0))
            .collect();
        match left.into_iter().max() {
            // Half of the longest grace, as deletion.ResourcesRemainingError estimates; what only has finalizers: 15 s.
            Some(grace) => {
                let estimate = if grace > 0 { grace } else { 15 };
                cluster.again((estimate / 2 + 1) * 1000, END, &task.key);
            }
            None => drop(cluster.store.remove(&task.key)),
        }
    }
}

fn contents(namespace: &str, cluster: &Cluster) -> Vec<Key> {
    let kinds = cluster.store.kinds().into_iter();
    kinds
        .flat_map(|kind| cluster.store.in_namespace(kind, namespace).map(|object| object.key()).collect::<Vec<_>>())
        .collect()
}
