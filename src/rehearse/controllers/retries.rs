//! Tries that failed: how long until the next (client-go, util/workqueue: 5 ms, doubled with each, at most 1,000 s).

use std::collections::BTreeMap;

use crate::rehearse::cluster::{Cluster, Task};
use crate::rehearse::object::Key;

const FIRST: i64 = 5;
const LONGEST: i64 = 1_000_000;

/// How often a look at an object has failed since it last went well.
#[derive(Debug, Default)]
pub struct Retries(BTreeMap<Key, u32>);

impl Retries {
    /// It went well.
    pub fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// It failed: to be looked at again after a while.
    pub fn again(&mut self, task: &Task, cluster: &mut Cluster) {
        let failed = self.0.entry(task.key.clone()).or_default();
        let wait = FIRST.saturating_mul(1_i64.checked_shl((*failed).min(40)).unwrap_or(i64::MAX)).min(LONGEST);
        *failed += 1;
        cluster.again(wait, task.why, &task.key);
    }
}
