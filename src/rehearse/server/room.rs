//! The world behind its one mutex, which is never held across an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::faults::Faults;
use super::leases::Beat;
use crate::outside::Clock;
use crate::rehearse::cluster::World;
use crate::rehearse::kinds::Kind;

/// What all requests share.
pub(super) struct Room {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// What a request takes on the way.
    pub(super) latency: Duration,
    /// Something is due earlier than the clockwork knows.
    pub(super) woken: Notify,
    faults: Mutex<Faults>,
}

/// What the mutex holds.
pub(super) struct State {
    /// The world.
    pub(super) world: World,
    /// The last heartbeat of the kubelets.
    pub(super) beat: Beat,
    /// What is told to those who watch a kind: the version of its latest change.
    listeners: BTreeMap<Kind, watch::Sender<u64>>,
    /// When the clockwork wakes by itself.
    due: Option<i64>,
}

impl Room {
    pub(super) fn new(world: World, clock: Arc<dyn Clock>, latency: Duration) -> Self {
        let state = State { world, beat: Beat::default(), listeners: BTreeMap::new(), due: None };
        Self { state: Mutex::new(state), clock, latency, woken: Notify::new(), faults: Mutex::default() }
    }

    /// Unix milliseconds.
    pub(super) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Acts in the world as of now, tells who watches, and wakes the clockwork where something is due earlier.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.come_to(self.now());
        let result = act(&mut state);
        if let Some(next) = state.tell()
            && state.due.is_none_or(|due| next < due)
        {
            state.due = Some(next);
            self.woken.notify_one();
        }
        result
    }

    /// Lets happen what is due, and gives when the next thing is.
    pub(super) fn wind(&self) -> Option<i64> {
        let mut state = self.lock();
        state.come_to(self.now());
        state.due = state.tell();
        state.due
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world as it is, without letting it come to now.
    #[cfg(test)]
    pub(super) fn peek<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock().world)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn come_to(&mut self, now: i64) {
        self.world.advance(now);
        self.beat.come_to(now, self.world.cluster.store.version());
    }

    /// A receiver that is told of changes of a kind from now on.
    pub(super) fn listen(&mut self, kind: Kind) -> watch::Receiver<u64> {
        let latest = self.world.cluster.store.latest(kind);
        self.listeners.entry(kind).or_insert_with(|| watch::Sender::new(latest)).subscribe()
    }

    /// Tells the controllers and those who watch what has changed; gives when something is due next.
    fn tell(&mut self) -> Option<i64> {
        let next = self.world.next();
        let store = &self.world.cluster.store;
        self.listeners.retain(|kind, sender| {
            let latest = store.latest(*kind);
            sender.send_if_modified(|told| std::mem::replace(told, latest) != latest);
            sender.receiver_count() > 0
        });
        next
    }
}
