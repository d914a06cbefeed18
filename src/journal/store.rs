//! Where the engine appends to: a thread with the journal's file in a run, memory in a rehearsal.

use std::collections::VecDeque;
use std::future::ready;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::chain::Chain;
use super::epoch::EpochGuard;
use super::error::JournalError;
use super::file::Journal;
use super::record::{Header, Payload, Record};

/// The answer to an append, once it is durable or has failed.
pub type Appended<E> = BoxFuture<'static, Result<Vec<Record<E>>, JournalError>>;

/// Takes events and keeps them.
pub trait Store<E>: Send + Sync {
    /// Appends `events` as one group and answers with their records once they are durable. Appends are
    /// made in the order of the calls, awaited or not; a call never waits. After an error every later
    /// append fails.
    fn append(&self, events: Vec<E>, at_ms: i64) -> Appended<E>;

    /// Notes that a driver is alive at `now_ms` (unix milliseconds). Never waits, never fails: a note
    /// that is lost makes an absence look longer.
    fn touch_alive(&self, now_ms: i64);

    /// The `at_ms` of the oldest append that is not answered yet, by which a hung disk is noticed.
    fn pending_since(&self) -> Option<i64>;
}

/// A journal's file behind a thread and a queue, so that a disk that hangs stops the appends and
/// nothing else. When every handle is gone, the thread carries out what is queued and lets the lock go.
#[derive(Debug)]
pub struct StoreHandle<E> {
    jobs: Sender<Job<E>>,
    pending: Pending,
    guard: EpochGuard,
}

#[derive(Debug)]
enum Job<E> {
    Append { events: Vec<E>, at_ms: i64, answer: oneshot::Sender<Result<Vec<Record<E>>, JournalError>> },
    TouchAlive(i64),
    Close(oneshot::Sender<()>),
}

impl<E: Payload> StoreHandle<E> {
    /// Hands the journal to a thread of its own.
    pub fn spawn(journal: Journal) -> Result<Self, JournalError> {
        let (jobs, queue) = mpsc::channel();
        let guard = journal.epoch_guard();
        let pending = Pending::default();
        let answered = pending.clone();
        thread::Builder::new()
            .name("sprag-store".to_owned())
            .spawn(move || serve(journal, &queue, &answered))
            .map_err(|error| thread_gone(&error))?;
        Ok(Self { jobs, pending, guard })
    }

    /// Tells whether a later epoch has begun; good for as long as it is kept, like the journal's own.
    pub fn epoch_guard(&self) -> EpochGuard {
        self.guard.clone()
    }

    /// Waits until everything queued is carried out and the lock is let go. Not for a disk that hangs:
    /// there, drop the handle and exit.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).is_ok() {
            // An error means that the thread has ended, and with it the lock.
            let _ = closed.await;
        }
    }
}

impl<E: Payload> Store<E> for StoreHandle<E> {
    fn append(&self, events: Vec<E>, at_ms: i64) -> Appended<E> {
        let (answer, answered) = oneshot::channel();
        self.pending.begin(at_ms);
        let job = Job::Append { events, at_ms, answer };
        if self.jobs.send(job).is_err() {
            // The thread has ended. The job is dropped with its `answer`, which `answered` tells.
            self.pending.forget();
        }
        Box::pin(async move { answered.await.unwrap_or_else(|gone| Err(thread_gone(&io::Error::other(gone)))) })
    }

    fn touch_alive(&self, now_ms: i64) {
        let _ = self.jobs.send(Job::TouchAlive(now_ms));
    }

    fn pending_since(&self) -> Option<i64> {
        self.pending.oldest()
    }
}

fn serve<E: Payload>(mut journal: Journal, queue: &Receiver<Job<E>>, pending: &Pending) {
    for job in queue {
        match job {
            Job::Append { events, at_ms, answer } => {
                let result = journal.append(events, at_ms);
                pending.end_oldest();
                // Who asked may have gone; what is recorded stays recorded.
                let _ = answer.send(result);
            }
            Job::TouchAlive(now_ms) => {
                // A heartbeat that cannot be written is no reason to halt a run.
                let _ = journal.touch_alive(now_ms);
            }
            Job::Close(done) => {
                drop(journal);
                let _ = done.send(());
                return;
            }
        }
    }
}

fn thread_gone(why: &io::Error) -> JournalError {
    let because = format!("the store's thread is gone ({why})");
    JournalError::Poisoned { because }
}

/// The times of appends that are not answered, oldest first.
#[derive(Debug, Clone, Default)]
struct Pending(Arc<Mutex<VecDeque<i64>>>);

impl Pending {
    fn begin(&self, at_ms: i64) {
        held(&self.0).push_back(at_ms);
    }

    fn end_oldest(&self) {
        held(&self.0).pop_front();
    }

    fn forget(&self) {
        held(&self.0).clear();
    }

    fn oldest(&self) -> Option<i64> {
        held(&self.0).front().copied()
    }
}

/// A journal in memory, byte for byte what the file would hold. It answers at once and waits for no
/// thread, so that it can be used on a paused clock.
#[derive(Debug)]
pub struct MemoryStore<E> {
    shared: Arc<Mutex<Memory<E>>>,
    opened: u64,
    driver: u32,
}

#[derive(Debug)]
struct Memory<E> {
    bytes: Vec<u8>,
    records: Vec<Record<E>>,
    chain: Chain,
    /// How often it was opened; only the handle of the last time may append.
    opened: u64,
    alive_ms: Option<i64>,
    poisoned: Option<String>,
}

impl<E: Payload + Clone> MemoryStore<E> {
    /// An empty journal with that header.
    pub fn new(header: &Header) -> Self {
        let (bytes, chain) = Chain::start(header).expect("a header is plain strings and numbers");
        let driver = chain.driver;
        let memory = Memory { bytes, records: Vec::new(), chain, opened: 1, alive_ms: None, poisoned: None };
        Self { shared: Arc::new(Mutex::new(memory)), opened: 1, driver }
    }

    /// The same journal for the next driver, as after a crash; the handles of drivers before it are
    /// refused from now on.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut memory = held(&self.shared);
        memory.chain.driver = memory.records.last().map_or(0, |last| last.driver) + 1;
        memory.opened += 1;
        memory.poisoned = None;
        Self { shared: Arc::clone(&self.shared), opened: memory.opened, driver: memory.chain.driver }
    }

    /// Which driver this handle is for, from 1.
    pub fn driver(&self) -> u32 {
        self.driver
    }

    /// Everything that was recorded.
    pub fn records(&self) -> Vec<Record<E>> {
        held(&self.shared).records.clone()
    }

    /// What the file would hold.
    pub fn bytes(&self) -> Vec<u8> {
        held(&self.shared).bytes.clone()
    }

    /// When a driver was last alive, unix milliseconds.
    pub fn alive_ms(&self) -> Option<i64> {
        held(&self.shared).alive_ms
    }
}

impl<E: Payload + Clone> Store<E> for MemoryStore<E> {
    fn append(&self, events: Vec<E>, at_ms: i64) -> Appended<E> {
        Box::pin(ready(held(&self.shared).append(events, at_ms, self.opened)))
    }

    fn touch_alive(&self, now_ms: i64) {
        held(&self.shared).alive_ms = Some(now_ms);
    }

    fn pending_since(&self) -> Option<i64> {
        None
    }
}

impl<E: Payload + Clone> Memory<E> {
    fn append(&mut self, events: Vec<E>, at_ms: i64, opened: u64) -> Result<Vec<Record<E>>, JournalError> {
        if opened != self.opened {
            let because = format!("driver {} has taken the run over", self.chain.driver);
            return Err(JournalError::Poisoned { because });
        }
        if let Some(because) = self.poisoned.clone() {
            return Err(JournalError::Poisoned { because });
        }
        let group = self.chain.encode(events, at_ms).map_err(|error| {
            self.poisoned = Some(error.to_string());
            JournalError::append("memory".as_ref())(error)
        })?;
        self.bytes.extend_from_slice(&group.bytes);
        self.records.extend_from_slice(&group.records);
        self.chain = group.after;
        Ok(group.records)
    }
}

/// What a mutex guards. A panic elsewhere leaves nothing half done here: each change is one call.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
