//! The lock on a server in memory and a paused clock: taking, keeping, losing.

mod keeping;
mod server;
mod taking;

use serde_json::{Value, json};

use super::*;
use server::{BEGIN, Fault, Server, Station};

fn domain() -> Domain {
    Domain::new(Domain::DEFAULT, Domain::NAMESPACE).expect("a domain")
}

/// Process `pid` on `host`, which drives run `7c1f-01` since the beginning.
fn holder(host: &str, pid: u32) -> Holder {
    Holder { host: host.to_owned(), pid, since: BEGIN }
}

fn claimant(host: &str, pid: u32) -> Claimant {
    Claimant { note: HolderNote::new("7c1f-01", &holder(host, pid), "jo"), previous: Vec::new() }
}

async fn take(station: &Station, claimant: Claimant) -> Result<Lock, LockError> {
    Lock::acquire(&station.requests, &station.clock, domain(), claimant, Patience::Refuse).await
}

async fn taken(station: &Station, host: &str, pid: u32) -> Lock {
    take(station, claimant(host, pid)).await.expect("the lock")
}

/// A change that is fenced.
async fn change(station: &Station, fence: Fence) -> Result<Value, RequestError> {
    station.requests.fenced(fence).json_patch("/api/v1/nodes/n", &json!([])).await
}
