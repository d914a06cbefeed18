//! The embedded API server: what clients see of a world, in process as a [`kube::Client`] and over HTTP on loopback.
//!
//! - [`room`]: the world behind its one mutex, and [`clockwork`], which lets it move with the clock
//! - [`service`], [`faults`], [`http`]: a request from its first byte to its last, what goes wrong on the way, the socket
//! - [`request`], [`route`], [`selector`]: what is asked for; [`answer`], [`view`], [`table`]: what is answered
//! - [`discovery`], [`read`], [`watch`], [`write`], [`patch`], [`subresource`], [`eviction`], [`review`]: the verbs
//! - [`leases`]: heartbeats as a function of time; [`event`]: events.k8s.io as another view of v1 Events
//!
//! Rules and words are those of Kubernetes 1.37 (apiserver `endpoints/handlers`, `registry/generic`, `storage/cacher`;
//! KUBERNETES.md 10). Left out, and answered with a Status that says so: protobuf and CBOR (406, 415), `proxy`, `exec`, `log`,
//! `attach`, `portforward` and `ephemeralcontainers` (404), OpenAPI v2 (404; v3 says nothing but that the server itself looks at
//! fields), the deprecated `/watch/` paths (404), strategic merge patches of opaque kinds (415).
//!
//! Left out in silence: who asks is not looked at, everything is allowed; validation but for names, versions, immutable fields
//! of pods and the two numbers of a budget; unknown fields but for those of Evictions; conversion between versions; quotas;
//! webhooks; `managedFields` of pods, nodes, Leases and Events.

mod answer;
mod clock;
mod clockwork;
mod discovery;
mod event;
mod eviction;
pub mod faults;
pub mod http;
mod leases;
mod patch;
mod read;
mod request;
mod review;
mod room;
mod route;
mod selector;
mod service;
mod subresource;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod watch;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::cluster::World;
use crate::outside::Clock;
use room::Room;

pub use answer::AnswerBody;
pub use clock::WorldClock;
pub use faults::{Fault, FaultKind};

/// A world that is served. Cheap to clone; the world stands still once the last clone and client is gone.
#[derive(Clone)]
pub struct Server {
    room: Arc<Room>,
    /// Aborted as it is dropped.
    _clockwork: Arc<JoinSet<()>>,
}

impl Server {
    /// Serves a world from now on: it moves with the clock, and each request takes `latency` of tokio's time. Call it inside a
    /// tokio runtime.
    pub fn start(world: World, clock: Arc<dyn Clock>, latency: Duration) -> Self {
        let room = Arc::new(Room::new(world, clock, latency));
        let mut clockwork = JoinSet::new();
        clockwork.spawn(clockwork::run(Arc::clone(&room)));
        Self { room, _clockwork: Arc::new(clockwork) }
    }

    /// A client of it. It sends nothing a second time by itself.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// Does something with the world as of now; who watches is told.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.room.with(|state| act(&mut state.world))
    }

    /// What goes wrong from now on, in the place of what did before.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.room.faults().set(faults);
    }
}
