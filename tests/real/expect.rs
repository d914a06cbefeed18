//! What trials expect: that something holds, that a command ended so, who was evicted how often.

use crate::sprag::Done;
use crate::testbed::world::Pool;
use libtest_mimic::Failed;
use std::collections::BTreeMap;

/// What a trial comes to.
pub type Outcome = Result<(), Failed>;

/// Fails and says what, unless it holds.
pub fn ensure(holds: bool, what: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(what.into().into()) }
}

/// Fails unless a command ended with this code, and shows what it wrote.
pub fn ended(done: &Done, code: i32) -> Outcome {
    ensure(done.code == Some(code), format!("exit {:?}, not {code}\n{}\n{}", done.code, done.stdout, done.stderr))
}

/// How often each pod of a pool was evicted, by name.
pub fn evictions(pool: &Pool) -> Result<BTreeMap<String, usize>, Failed> {
    let mut evictions = BTreeMap::new();
    for entry in pool.lab().audit()? {
        let is_eviction = entry.subresource == "eviction" && entry.namespace == pool.name() && entry.code == 201;
        if is_eviction && entry.stage == "ResponseComplete" {
            *evictions.entry(entry.name).or_default() += 1;
        }
    }
    Ok(evictions)
}
