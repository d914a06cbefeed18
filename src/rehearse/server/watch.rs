//! WATCH: what changes of the objects that are meant, read from the store's history whenever it has grown.
//!
//! - A selector's transitions are told with the state before (apiserver, storage/cacher/cache_watcher.go convertToWatchEvent)
//! - Bookmarks come each minute and 2 s before the end (cacher.go, bookmarkFrequency; cache_watcher.go, nextBookmarkTime)
//! - A version that is too old is told by an event, not by the answer's code

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use http::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Server;
use super::faults::FaultKind;
use super::leases;
use super::read;
use super::request::Request;
use super::room::State;
use super::route::Place;
use super::selector::Selector;
use super::view::View;
use crate::rehearse::kinds::{Kind, NODE_LEASES};
use crate::rehearse::object::Object;
use crate::rehearse::status::Refused;
use crate::rehearse::store::{Change, What};

/// How often a bookmark comes.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// How long before the end the last one comes.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// How long a watch lasts at least that does not say it, in seconds; it may be up to twice as long.
const SHORTEST: u64 = 1800;

/// A watch under way.
pub(super) struct Watch {
    server: Server,
    /// The path with its query: what faults are told by.
    path: String,
    place: Place,
    selector: Selector,
    view: View,
    /// The version up to which everything was told.
    reached: u64,
    /// The heartbeat that was told last, Unix milliseconds.
    heard: i64,
    /// Told of the version of the kind's latest change.
    news: watch::Receiver<u64>,
    bookmark: Option<Instant>,
    end: Instant,
    /// What is to be said before anything else.
    first: Vec<u8>,
    is_over: bool,
}

/// What a watch does about what it is about to say.
enum Say {
    It,
    Nothing,
    Break,
    Expired,
}

impl Watch {
    /// Begins one; what it says first is read at once.
    ///
    /// # Errors
    /// 400 for a selector or a version that is none, 422 for options that do not go together.
    pub(super) fn begin(
        server: &Server,
        state: &mut State,
        request: &Request,
        place: Place,
        path: String,
    ) -> Result<Self, Refused> {
        let initial = Initial::read(request)?;
        let selector = Selector::read(request, &place)?;
        let lasts = match request.number::<u64>("timeoutSeconds")? {
            None | Some(0) => SHORTEST + state.world.cluster.random.next() % SHORTEST,
            Some(seconds) => seconds,
        };
        let (asked, begun) = (read::version(request)?, Instant::now());
        let mut watch = Self {
            server: server.clone(),
            path,
            view: View::new(&place, request, state),
            selector,
            reached: asked.unwrap_or(0),
            heard: state.beat.at,
            news: state.listen(place.info.kind),
            bookmark: None,
            end: begun + Duration::from_secs(lasts),
            first: Vec::new(),
            is_over: false,
            place,
        };
        if request.is_set("allowWatchBookmarks") {
            watch.bookmark = watch.next_bookmark(begun);
        }
        watch.say_first(state, initial, asked.is_none());
        Ok(watch)
    }

    /// The version that it begins from is too old, whatever the store says.
    pub(super) fn expire(&mut self) {
        self.first = self.expired(self.reached);
        self.is_over = true;
    }

    /// The state as it is, where it is asked for, or else what has happened since the version that it begins from.
    fn say_first(&mut self, state: &State, initial: Initial, is_from_now: bool) {
        let store = &state.world.cluster.store;
        let is_told = initial.is_sent || (is_from_now && !initial.is_refused);
        if is_told {
            let namespace = self.place.namespace.clone();
            let all: Box<dyn Iterator<Item = &Arc<Object>>> = match &namespace {
                Some(namespace) => Box::new(store.in_namespace(self.place.info.kind, namespace)),
                None => Box::new(store.all(self.place.info.kind)),
            };
            let mut out = Vec::new();
            for object in all.filter(|object| self.selector.matches(object)) {
                self.write("ADDED", object, &mut out);
            }
            self.first = out;
        }
        if is_told || is_from_now {
            self.reached = store.version();
        }
        if initial.is_sent && initial.has_bookmark {
            self.first.extend(self.bookmark_of(self.reached, true));
        }
        if !is_told {
            let mut out = Vec::new();
            self.collect(state, &mut out);
            self.first = out;
        }
    }

    /// The watch as what it says, piece by piece.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
        stream::unfold(self, |mut watch| async move { watch.next().await.map(|piece| (piece, watch)) })
    }

    /// What it says next: several events at once where several have happened. `None` is its end.
    async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        loop {
            let mut piece = std::mem::take(&mut self.first);
            if piece.is_empty() {
                if self.is_over {
                    return None;
                }
                let is_alive = self.wait().await;
                let server = self.server.clone();
                server.room.with(|state| self.go_on(state, &mut piece));
                self.is_over |= !is_alive || Instant::now() >= self.end;
            }
            if piece.is_empty() {
                continue;
            }
            match self.fate() {
                Say::It => return Some(Ok(piece)),
                Say::Nothing => std::future::pending().await,
                Say::Break => {
                    self.is_over = true;
                    return Some(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Say::Expired => {
                    self.is_over = true;
                    return Some(Ok(self.expired(self.reached)));
                }
            }
        }
    }

    /// Waits until something has changed, or a bookmark, a heartbeat or the end is due; false where nothing can come any more.
    async fn wait(&mut self) -> bool {
        let mut until = self.bookmark.map_or(self.end, |bookmark| bookmark.min(self.end));
        if self.has_heartbeats() {
            let pause = self.heard + leases::EVERY - self.server.room.now();
            let pause = Duration::from_millis(u64::try_from(pause).unwrap_or(0));
            until = until.min(Instant::now() + pause);
        }
        tokio::select! {
            biased;
            changed = self.news.changed() => changed.is_ok(),
            () = sleep_until(until) => true,
        }
    }

    fn go_on(&mut self, state: &State, out: &mut Vec<u8>) {
        self.view = self.view.at(state);
        self.collect(state, out);
        if self.is_over {
            return;
        }
        if self.has_heartbeats() && state.beat.at > self.heard {
            self.heard = state.beat.at;
            let leases = state.world.cluster.store.in_namespace(Kind::Lease, NODE_LEASES);
            for lease in leases.filter(|lease| leases::is_alive(lease) && self.selector.matches(lease)) {
                self.write("MODIFIED", lease, out);
            }
        }
        let now = Instant::now();
        if self.bookmark.is_some_and(|due| due <= now) {
            out.extend(self.bookmark_of(self.reached, false));
            self.bookmark = self.next_bookmark(now);
        }
    }

    /// What has happened since what was told last.
    fn collect(&mut self, state: &State, out: &mut Vec<u8>) {
        let store = &state.world.cluster.store;
        let Some(changes) = store.since(self.place.info.kind, self.reached) else {
            *out = self.expired(store.lost(self.place.info.kind));
            self.is_over = true;
            return;
        };
        for (_, change) in changes.filter(|(_, change)| self.place.holds(&change.object.meta.namespace)) {
            self.tell(change, out);
        }
        self.reached = self.reached.max(store.version());
    }

    fn tell(&self, change: &Change, out: &mut Vec<u8>) {
        let was = change.previous.as_ref().filter(|previous| self.selector.matches(previous));
        let is = change.what != What::Deleted && self.selector.matches(&change.object);
        match (was, is) {
            (None, false) => {}
            (None, true) => self.write("ADDED", &change.object, out),
            (Some(_), true) => self.write("MODIFIED", &change.object, out),
            (Some(_), false) if change.what == What::Deleted => self.write("DELETED", &change.object, out),
            (Some(previous), false) => {
                let mut last = (**previous).clone();
                last.meta.resource_version = change.object.meta.resource_version;
                self.write("DELETED", &Arc::new(last), out);
            }
        }
    }

    fn write(&self, what: &str, object: &Arc<Object>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{\"type\":\"{what}\",\"object\":").as_bytes());
        self.view.write(object, out);
        out.extend_from_slice(b"}\n");
    }

    fn bookmark_of(&self, version: u64, is_end_of_initial: bool) -> Vec<u8> {
        let (api_version, kind) = self.place.head();
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if is_end_of_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata });
        line("BOOKMARK", &object)
    }

    fn expired(&self, oldest: u64) -> Vec<u8> {
        let message = format!("too old resource version: {} ({oldest})", self.reached);
        line("ERROR", &Refused::new(410, "Expired", message).body())
    }

    fn next_bookmark(&self, now: Instant) -> Option<Instant> {
        let last = self.end.checked_sub(LAST_BOOKMARK)?;
        Some((now + BOOKMARKS).min(last)).filter(|next| *next > now)
    }

    fn has_heartbeats(&self) -> bool {
        self.place.info.kind == Kind::Lease && self.place.holds(NODE_LEASES)
    }

    /// What a scenario does to what is about to be said.
    fn fate(&self) -> Say {
        match self.server.room.faults().meet(self.server.room.now(), &Method::GET, &self.path) {
            Some(FaultKind::Reset | FaultKind::Lose) => Say::Break,
            Some(FaultKind::Stall) => Say::Nothing,
            Some(FaultKind::Expire) => Say::Expired,
            Some(FaultKind::Answer(_) | FaultKind::Delay(_)) | None => Say::It,
        }
    }
}

fn line(what: &str, object: &serde_json::Value) -> Vec<u8> {
    format!("{}\n", json!({ "type": what, "object": object })).into_bytes()
}

/// What is asked for of the state as a watch begins.
#[derive(Debug, Clone, Copy)]
struct Initial {
    /// It is to come, with a bookmark behind it.
    is_sent: bool,
    /// It is not to come.
    is_refused: bool,
    has_bookmark: bool,
}

impl Initial {
    /// # Errors
    /// 422 (apimachinery, internalversion/validation validateWatchOptions)
    fn read(request: &Request) -> Result<Self, Refused> {
        let (asked, wanted) = (request.parameter("sendInitialEvents"), request.parameter("resourceVersionMatch"));
        let why = match (asked.is_empty(), wanted) {
            (true, "") | (false, "NotOlderThan") => {
                let is_sent = request.is_set("sendInitialEvents");
                let has_bookmark = request.is_set("allowWatchBookmarks");
                return Ok(Self { is_sent, is_refused: !asked.is_empty() && !is_sent, has_bookmark });
            }
            (true, _) => "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            (false, _) => "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        };
        Err(read::forbidden("resourceVersionMatch", why))
    }
}
