//! A Job that reboots its node is cut off by its own success: before it is judged, the node has to be seen alive again.

use std::time::Duration;

use futures_util::StreamExt;
use kube::core::WatchEvent;
use serde_json::Value;

use super::Work;
use super::follow::silence;
use crate::catalog::value::Value as Fact;
use crate::expr::FactSource;
use crate::facts::Resource;
use crate::facts::objects::Lease;
use crate::facts::reads::Reads;

/// How long after a Job has failed a node may take to be seen going down; longer than its lease's renewal.
const GOES_DOWN: i64 = 20_000;
/// How long after a Job has failed a node that is Ready is taken as alive where its lease may not be read: the node
/// controller has taken Ready away by then (node-monitor-grace-period, 50 s, looked at each 5 s).
const SURELY_SEEN: Duration = Duration::from_secs(60);

impl Work<'_> {
    /// Comes back once the node has renewed its lease after it could have gone down, and is Ready; at once if it is gone.
    pub(super) async fn until_node_is_back(&self) {
        let alive_from = self.context.now() + GOES_DOWN;
        self.context.waiting(vec![format!("the job failed; `{}` is awaited before it is judged", self.node)]);
        tokio::select! {
            biased;
            () = self.until_node(false) => {}
            () = async {
                if !self.until_renewed(alive_from).await {
                    tokio::time::sleep(SURELY_SEEN).await;
                }
                self.until_node(true).await;
            } => {}
        }
    }

    /// Comes back once the facts show that the node is gone, or, if that is asked for, Ready.
    async fn until_node(&self, or_ready: bool) {
        let mut changed = self.context.facts.changed();
        loop {
            changed.mark_unchanged();
            let is_ready =
                || self.context.facts.field(&self.node, "ready", &mut Reads::default()) == Ok(Fact::Bool(true));
            if self.context.facts.is_gone(&self.node) || (or_ready && is_ready()) {
                return;
            }
            changed.changed().await;
        }
    }

    /// Watches the node's lease until it was renewed at or after that time, Unix milliseconds; false if it may not be read.
    async fn until_renewed(&self, from: i64) -> bool {
        let path = format!("{}?fieldSelector=metadata.name%3D{}", Resource::Leases.path(), self.node.name);
        let is_renewed = |lease: Value| {
            let lease: Option<Lease> = serde_json::from_value(lease).ok();
            lease.and_then(|lease| lease.spec.renew_time).is_some_and(|at| at.as_millisecond() >= from)
        };
        loop {
            let Ok(listed) = self.context.requests.list(&path).await else { return false };
            if listed.items.into_iter().any(is_renewed) {
                return true;
            }
            let mut events = match self.context.requests.watch(&path, &listed.version).await {
                Ok(events) => events,
                Err(error) => match self.pause(error, Resource::Leases.name()).await {
                    Ok(()) => continue,
                    Err(_) => return false,
                },
            };
            while let Ok(Some(Ok(event))) = tokio::time::timeout(silence(), events.next()).await {
                match event {
                    WatchEvent::Added(lease) | WatchEvent::Modified(lease) if is_renewed(lease.clone()) => return true,
                    WatchEvent::Error(_) => break,
                    WatchEvent::Added(_)
                    | WatchEvent::Modified(_)
                    | WatchEvent::Deleted(_)
                    | WatchEvent::Bookmark(_) => {}
                }
            }
        }
    }
}
