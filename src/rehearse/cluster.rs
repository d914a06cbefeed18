//! The cluster in a box: objects, the time, one queue of what is to be looked at and when; and the controllers that look.
//!
//! A change is told to every controller at once, which says what it wants to look at and how soon; nothing is looked at but
//! from the queue. So there is one order of all that happens, and it is the same for the same world and seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::object::Key;
use super::random::Random;
use super::store::{Change, Store};

/// How long a controller takes from a change to what it does about it, in milliseconds: what is measured of the real ones in
/// a calm cluster is 5 to 50.
pub const REACTION: i64 = 10;

/// One of the controllers, the scheduler, or the kubelets.
pub trait Controller: Send {
    /// Its name, for traces.
    fn name(&self) -> &'static str;
    /// Told of every change, in order: puts what it makes necessary into the queue, and changes nothing.
    fn notice(&mut self, change: &Change, queue: &mut Queue<'_>);
    /// Looks at what it put into the queue, and does what is to be done now.
    fn look(&mut self, task: &Task, cluster: &mut Cluster);
}

/// What a controller wants to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Task {
    /// What for: a controller's own word.
    pub why: &'static str,
    /// The object; it may be gone by then.
    pub key: Key,
}

/// What is shared by all that happens in the cluster.
#[derive(Debug)]
pub struct Cluster {
    /// The objects.
    pub store: Store,
    /// The time, Unix milliseconds.
    pub now: i64,
    /// For every choice that is left to chance.
    pub random: Random,
    /// What is to be known of it besides its objects.
    pub about: Arc<About>,
    agenda: Agenda,
    /// The place of the controller that looks now.
    turn: usize,
}

/// What is to be known of a cluster besides its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The API server's version, such as `v1.37.2`.
    pub version: String,
    /// The minor of that version: some messages and defaults differ.
    pub minor: u32,
}

/// Where a controller puts what it wants to look at.
pub struct Queue<'a> {
    agenda: &'a mut Agenda,
    controller: usize,
    /// The time, Unix milliseconds.
    pub now: i64,
    /// The objects.
    pub store: &'a Store,
}

impl Queue<'_> {
    /// To be looked at after so many milliseconds, or earlier where it is due earlier already.
    pub fn after(&mut self, delay: i64, why: &'static str, key: &Key) {
        self.agenda.put(self.controller, self.now + delay.max(0), Task { why, key: key.clone() });
    }

    /// To be looked at after a controller's usual delay.
    pub fn soon(&mut self, why: &'static str, key: &Key) {
        self.after(REACTION, why, key);
    }
}

/// What is to be looked at, by time.
#[derive(Debug, Default)]
struct Agenda {
    heap: BinaryHeap<Reverse<(i64, u64, usize)>>,
    /// What stands behind a number in the heap.
    tasks: HashMap<u64, Task>,
    /// When a task is due, and its number: it stands once.
    due: HashMap<(usize, Task), (i64, u64)>,
    last: u64,
}

impl Agenda {
    fn put(&mut self, controller: usize, at: i64, task: Task) {
        let key = (controller, task.clone());
        if let Some((known, number)) = self.due.get(&key).copied() {
            if known <= at {
                return;
            }
            self.tasks.remove(&number);
        }
        self.last += 1;
        self.due.insert(key, (at, self.last));
        self.tasks.insert(self.last, task);
        self.heap.push(Reverse((at, self.last, controller)));
    }

    fn forget(&mut self, controller: usize, task: &Task) {
        if let Some((_, number)) = self.due.remove(&(controller, task.clone())) {
            self.tasks.remove(&number);
        }
    }

    /// When the next task is due.
    fn next(&mut self) -> Option<i64> {
        loop {
            let Reverse((at, number, _)) = self.heap.peek()?;
            if self.tasks.contains_key(number) {
                return Some(*at);
            }
            self.heap.pop();
        }
    }

    fn take(&mut self) -> Option<(usize, Task)> {
        self.next()?;
        let Reverse((_, number, controller)) = self.heap.pop()?;
        let task = self.tasks.remove(&number)?;
        self.due.remove(&(controller, task.clone()));
        Some((controller, task))
    }
}

impl Cluster {
    /// To be looked at again by the controller that looks now, after so many milliseconds.
    pub fn again(&mut self, delay: i64, why: &'static str, key: &Key) {
        self.agenda.put(self.turn, self.now + delay.max(0), Task { why, key: key.clone() });
    }

    /// Not to be looked at any more by the controller that looks now.
    pub fn never_mind(&mut self, why: &'static str, key: &Key) {
        self.agenda.forget(self.turn, &Task { why, key: key.clone() });
    }

    /// A UID that no other object of this cluster has.
    pub fn new_uid(&mut self) -> Arc<str> {
        self.random.uid().into()
    }
}

/// A cluster and what moves it.
pub struct World {
    /// The cluster.
    pub cluster: Cluster,
    controllers: Vec<Box<dyn Controller>>,
}

impl World {
    /// An empty cluster at a time (Unix milliseconds) with these controllers.
    pub fn new(about: About, now: i64, seed: u64, controllers: Vec<Box<dyn Controller>>) -> Self {
        let cluster = Cluster {
            store: Store::default(),
            now,
            random: Random::new(seed),
            about: Arc::new(about),
            agenda: Agenda::default(),
            turn: 0,
        };
        Self { cluster, controllers }
    }

    /// Tells the controllers what has changed: call it after every write from outside.
    pub fn settle(&mut self) {
        while let Some(change) = self.cluster.store.next_untold() {
            let Cluster { store, now, agenda, .. } = &mut self.cluster;
            for (controller, one) in self.controllers.iter_mut().enumerate() {
                one.notice(&change, &mut Queue { agenda, controller, now: *now, store });
            }
        }
    }

    /// When something happens next by itself, Unix milliseconds.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<i64> {
        self.settle();
        self.cluster.agenda.next()
    }

    /// Lets everything happen that is due up to a time, in its order, and sets the time.
    pub fn advance(&mut self, now: i64) {
        while let Some(at) = self.next().filter(|at| *at <= now) {
            self.cluster.now = self.cluster.now.max(at);
            if let Some((controller, task)) = self.cluster.agenda.take() {
                self.cluster.turn = controller;
                self.controllers[controller].look(&task, &mut self.cluster);
            }
        }
        self.cluster.now = self.cluster.now.max(now);
    }
}
