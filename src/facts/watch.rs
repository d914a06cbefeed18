//! List and watch of each resource: one task each, from the list's resourceVersion on, for as long as the facts are wanted.
//!
//! - A watch lasts 60 s and has bookmarks; one that does not end by itself soon after is given up, so that a dead connection
//!   is noticed long before anyone relies on old news.
//! - A word of the server is an opened watch, an event or a bookmark. The end of a stream is none: a broken connection
//!   looks the same.
//! - 410 begins anew with a list, and what vanished meanwhile is gone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use kube::core::WatchEvent;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::objects::Meta;
use super::resource::Resource;
use super::{Facts, Needs, SharedFacts};
use crate::cluster::{RequestError, Requests, WATCH_SECONDS};
use crate::outside::Clock;

/// How much longer than it asked for a watch may stay open.
const GRACE: Duration = Duration::from_secs(5);
/// A watch that ends sooner than that has failed: it is not opened again at once.
const SHORTEST: Duration = Duration::from_secs(1);
/// After so many failures in a row the resource is listed anew: the version itself may be what the server cannot serve.
const FAILURES: u32 = 4;
/// How long the server's version may take, which is asked for on the way.
const VERSION: Duration = Duration::from_secs(5);

/// Facts that are kept up to date until this is dropped.
pub struct Watched {
    /// The facts.
    pub facts: SharedFacts,
    /// Aborted as it is dropped.
    _tasks: JoinSet<()>,
}

/// Lists every kind that is needed and keeps it up to date by watch; comes back once every list was read.
///
/// # Errors
/// What the server refused. Kinds that a cluster can be worked on without (jobs, events, webhooks, leases, autoscalers,
/// volume attachments) are unknown then.
pub async fn watch(requests: &Requests, needs: Needs, clock: Arc<dyn Clock>) -> Result<Watched, RequestError> {
    let facts = SharedFacts::new(Facts::new(clock.now(), true, needs.raw, Vec::new()));
    let watcher = Watcher { requests: requests.clone(), facts: facts.clone(), clock };
    watcher.look_at_server().await;
    let needed = Resource::ALL.into_iter().filter(|resource| resource.is_needed(needs));
    let listed = try_join_all(needed.map(|resource| watcher.first_list(resource))).await?;
    let mut tasks = JoinSet::new();
    for (resource, version) in listed.into_iter().flatten() {
        tasks.spawn(watcher.clone().keep(resource, version));
    }
    facts.set_now(watcher.clock.now());
    Ok(Watched { facts, _tasks: tasks })
}

#[derive(Clone)]
struct Watcher {
    requests: Requests,
    facts: SharedFacts,
    clock: Arc<dyn Clock>,
}

/// How a watch ended.
enum End {
    /// The server closed it, or the connection broke: go on from the version that was reached.
    Closed,
    /// It failed: the same, after a pause.
    Failed,
    /// The version is too old: begin anew.
    Expired,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerVersion {
    git_version: String,
}

impl Watcher {
    /// The first list of a resource; `None` where it is optional and refused.
    async fn first_list(&self, resource: Resource) -> Result<Option<(Resource, String)>, RequestError> {
        match self.list(resource).await {
            Ok(version) => Ok(Some((resource, version))),
            Err(error) if resource.is_optional() && !matches!(error, RequestError::Unauthorized(_)) => {
                self.unreadable(resource, &error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Lists a resource into its table, and gives the version from which to watch.
    async fn list(&self, resource: Resource) -> Result<String, RequestError> {
        let listed = self.requests.list(resource.path()).await?;
        let now = self.clock.now();
        self.facts.write(|facts| {
            facts.set_now(now);
            facts.list(resource, listed.items, &listed.version);
        });
        Ok(listed.version)
    }

    /// Watches for ever.
    async fn keep(self, resource: Resource, mut version: String) {
        let mut failures = 0;
        loop {
            let opened = Instant::now();
            let end = self.follow(resource, &mut version).await;
            let has_lasted = opened.elapsed() >= SHORTEST;
            failures = match end {
                End::Closed | End::Expired if has_lasted => 0,
                End::Closed | End::Expired | End::Failed => failures + 1,
            };
            if failures > 0 {
                sleep(self.requests.pause(failures)).await;
            }
            if matches!(end, End::Expired) || failures >= FAILURES {
                match self.list(resource).await {
                    Ok(listed) => version = listed,
                    Err(error) => self.unreadable(resource, &error.to_string()),
                }
            }
        }
    }

    /// One watch, to its end.
    async fn follow(&self, resource: Resource, version: &mut String) -> End {
        let mut events = match self.requests.watch(resource.path(), version).await {
            Ok(events) => events,
            Err(RequestError::Expired(_)) => return End::Expired,
            Err(RequestError::Lost(_)) => return End::Failed,
            Err(error) => {
                self.unreadable(resource, &error.to_string());
                return End::Failed;
            }
        };
        self.heard(resource, "");
        if resource == Resource::Nodes {
            self.look_at_server().await;
        }
        let end = Instant::now() + Duration::from_secs(WATCH_SECONDS) + GRACE;
        loop {
            let event = match timeout_at(end, events.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(RequestError::Expired(_)))) => return End::Expired,
                Ok(Some(Err(_))) => return End::Failed,
                Ok(None) | Err(_) => return End::Closed,
            };
            if let Err(end) = self.apply(resource, event, version) {
                return end;
            }
        }
    }

    fn apply(&self, resource: Resource, event: WatchEvent<Value>, version: &mut String) -> Result<(), End> {
        let (value, is_deleted) = match event {
            WatchEvent::Added(value) | WatchEvent::Modified(value) => (value, false),
            WatchEvent::Deleted(value) => (value, true),
            WatchEvent::Bookmark(bookmark)
                if self.facts.read(|facts| facts.is_past(resource, &bookmark.metadata.resource_version)) =>
            {
                // The server is behind what it said before.
                return Err(End::Expired);
            }
            WatchEvent::Bookmark(bookmark) => {
                *version = bookmark.metadata.resource_version;
                self.heard(resource, version);
                return Ok(());
            }
            WatchEvent::Error(status) if status.code == 410 => return Err(End::Expired),
            WatchEvent::Error(_) => return Err(End::Failed),
        };
        let meta: Meta = serde_json::from_value(value["metadata"].clone()).map_err(|_| End::Failed)?;
        meta.resource_version.clone_into(version);
        let now = self.clock.now();
        self.facts.write(|facts| {
            facts.set_now(now);
            if is_deleted {
                facts.remove(resource, &meta);
            } else {
                facts.put(resource, value);
            }
            facts.hear(resource, version);
        });
        Ok(())
    }

    /// Asks which version the server is of: as each watch of the nodes is opened, so that a control plane that is being
    /// upgraded is seen.
    async fn look_at_server(&self) {
        if let Ok(Ok(server)) = timeout(VERSION, self.requests.get::<ServerVersion>("/version")).await {
            self.facts.write(|facts| facts.set_server(&server.git_version));
        }
    }

    fn heard(&self, resource: Resource, reached: &str) {
        let now = self.clock.now();
        self.facts.write(|facts| {
            facts.set_now(now);
            facts.hear(resource, reached);
        });
    }

    fn unreadable(&self, resource: Resource, why: &str) {
        self.facts.write(|facts| facts.refuse(resource, why));
    }
}
