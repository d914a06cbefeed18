//! The retry layer against a server that says what it is told to, on the paused clock.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::credentials::{Credentials, Login};
use crate::cluster::{RequestError, Requests};
use crate::outside::Clock;

/// What the server does with a request.
#[derive(Clone)]
enum Says {
    Code(u16, Value),
    /// With a header `Retry-After`, in seconds.
    After(u16, u64),
    /// The connection is not made, or is broken once the request was sent.
    Breaks(io::ErrorKind),
    /// Nothing, ever.
    Nothing,
}

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// A server with answers in a row; the last one it gives for ever.
#[derive(Clone)]
struct Server {
    answers: Arc<Mutex<VecDeque<Says>>>,
    /// Each request with the time at which it came, in milliseconds, and its headers.
    seen: Arc<Mutex<Vec<(u128, String, http::HeaderMap)>>>,
    begun: Instant,
}

impl Server {
    fn new(answers: impl IntoIterator<Item = Says>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { answers, seen: Arc::default(), begun: Instant::now() }
    }

    fn client(&self) -> kube::Client {
        let server = self.clone();
        kube::Client::new(
            tower::service_fn(move |request: Request<Body>| {
                let server = server.clone();
                async move { server.answer(request).await }
            }),
            "default",
        )
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, io::Error> {
        let (head, _) = request.into_parts();
        let line = format!("{} {}", head.method, head.uri);
        self.seen.lock().unwrap().push((self.begun.elapsed().as_millis(), line, head.headers));
        let says = {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        };
        let (code, after, body) = match says.unwrap_or(Says::Nothing) {
            Says::Code(code, body) => (code, None, body),
            Says::After(code, after) => (code, Some(after), json!({"message": "later"})),
            Says::Breaks(kind) => return Err(io::Error::from(kind)),
            Says::Nothing => std::future::pending().await,
        };
        let mut response = Response::builder().status(code);
        if let Some(after) = after {
            response = response.header("retry-after", after);
        }
        Ok(response.body(Body::from(body.to_string().into_bytes())).unwrap())
    }

    fn requests(&self) -> Requests {
        Requests::new(self.client(), Arc::new(TestClock(self.begun)), 7)
    }

    /// Milliseconds between one request and the next.
    fn pauses(&self) -> Vec<u128> {
        let seen = self.seen.lock().unwrap();
        seen.windows(2).map(|two| two[1].0 - two[0].0).collect()
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn ok() -> Says {
    Says::Code(200, json!({"metadata": {"name": "n"}}))
}

fn code(code: u16) -> Says {
    Says::Code(code, json!({"kind": "Status", "apiVersion": "v1", "code": code, "message": "no"}))
}

#[tokio::test(start_paused = true)]
async fn a_read_is_sent_again_until_it_is_answered_with_growing_jittered_pauses() {
    let refused = || Says::Breaks(io::ErrorKind::ConnectionRefused);
    let server = Server::new([refused(), code(500), code(503), code(504), Says::Nothing, ok()]);
    let node: Value = server.requests().get("/api/v1/nodes/n").await.unwrap();
    assert_eq!(node["metadata"]["name"], "n");
    let pauses = server.pauses();
    for (pause, whole) in pauses.iter().zip([100, 200, 400, 800]) {
        assert!((whole / 2..=whole).contains(pause), "{pauses:?}");
    }
    assert!(pauses[4] >= 15_000, "an answer that does not come is given 15 s: {pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn no_pause_is_longer_than_ten_seconds_and_the_caller_bounds_it_all() {
    let server = Server::new([Says::Breaks(io::ErrorKind::ConnectionRefused)]);
    let requests = server.requests();
    let asked = tokio::time::timeout(Duration::from_secs(120), requests.get::<Value>("/version")).await;
    assert!(asked.is_err(), "it does not give up by itself");
    let pauses = server.pauses();
    assert!(pauses.iter().all(|pause| *pause <= 10_000) && pauses.iter().any(|pause| *pause >= 5_000), "{pauses:?}");
    let (since, _) = requests.trouble_since().unwrap();
    assert_eq!(since, 0, "in trouble since the first that failed");
    assert!(requests.trouble().unwrap().contains("no answer for 2m"), "{:?}", requests.trouble());
}

#[tokio::test(start_paused = true)]
async fn the_server_s_retry_after_is_honoured() {
    let server = Server::new([Says::After(429, 7), ok()]);
    let requests = server.requests();
    requests.get::<Value>("/version").await.unwrap();
    assert_eq!(server.pauses(), [7_000]);
    assert_eq!(requests.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn a_mutation_whose_answer_was_lost_is_left_to_the_caller() {
    for lost in [code(504), code(502), Says::Nothing, Says::Breaks(io::ErrorKind::ConnectionReset)] {
        let server = Server::new([lost, ok()]);
        let answer = server.requests().json_patch("/api/v1/nodes/n", &json!([])).await;
        assert!(matches!(answer, Err(RequestError::Lost(_))), "{answer:?}");
        assert_eq!(server.count(), 1, "it is not sent again unseen");
    }
    for not_begun in [code(503), code(500), code(429), Says::Breaks(io::ErrorKind::ConnectionRefused)] {
        let server = Server::new([not_begun, ok()]);
        server.requests().json_patch("/api/v1/nodes/n", &json!([])).await.unwrap();
        assert_eq!(server.count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_s_no_is_told_by_its_cause() {
    let cause = json!({"reason": "DisruptionBudget", "message": "the disruption budget web needs 2 healthy pods"});
    let no = Says::Code(429, json!({"message": "Cannot evict pod", "details": {"causes": [cause]}}));
    let server = Server::new([no]);
    let answer = server.requests().create("/api/v1/namespaces/a/pods/p/eviction", &json!({})).await;
    assert!(matches!(&answer, Err(RequestError::Budget(why)) if why.contains("2 healthy")), "{answer:?}");
    let several = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    let server = Server::new([Says::Code(500, json!({"message": several})), ok()]);
    let answer = server.requests().create("/api/v1/namespaces/a/pods/p/eviction", &json!({})).await;
    assert!(matches!(answer, Err(RequestError::Other(500, _))), "{answer:?}");
    assert_eq!(server.count(), 1, "waiting does not mend it");
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_said_with_each_request_and_watches_have_bookmarks() {
    let bookmark = json!({"type": "BOOKMARK", "object": {"kind": "Node", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}}});
    let server = Server::new([ok(), Says::Code(200, bookmark)]);
    let requests = server.requests();
    requests.get::<Value>("/version").await.unwrap();
    let events = requests.watch("/api/v1/nodes", "7").await.unwrap().collect::<Vec<_>>().await;
    assert!(matches!(events[..], [Ok(kube::core::WatchEvent::Bookmark(_))]), "{events:?}");
    let seen = server.seen.lock().unwrap();
    for (_, line, headers) in seen.iter() {
        assert!(headers["user-agent"].to_str().unwrap().starts_with("sprag/"), "{line}");
    }
    let asked = "GET /api/v1/nodes?watch=1&allowWatchBookmarks=true&timeoutSeconds=60&resourceVersion=7";
    assert_eq!(seen[1].1, asked);
}

/// Requests whose logins are counted; `fresh` is what a login gives.
fn with_login(server: &Server, fresh: Result<Server, String>) -> (Requests, Arc<AtomicU32>) {
    let logins = Arc::new(AtomicU32::new(0));
    let count = logins.clone();
    let login: Login = Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let fresh = fresh.as_ref().map(Server::client).map_err(String::clone);
        Box::pin(async move { fresh })
    });
    let credentials = Credentials::new(server.client(), Some(login));
    (Requests::over(credentials, Arc::new(TestClock(server.begun)), 7), logins)
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_refused_is_made_anew_once() {
    let (requests, logins) = with_login(&Server::new([code(401)]), Ok(Server::new([ok()])));
    requests.json_patch("/api/v1/nodes/n", &json!([])).await.unwrap();
    requests.get::<Value>("/version").await.unwrap();
    assert_eq!(logins.load(Ordering::Relaxed), 1, "the fresh login is kept");
}

#[tokio::test(start_paused = true)]
async fn those_who_are_refused_together_log_in_once() {
    let (requests, logins) = with_login(&Server::new([code(401)]), Ok(Server::new([ok()])));
    let (one, other) = tokio::join!(requests.get::<Value>("/version"), requests.get::<Value>("/version"));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(logins.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_afresh_is_not_asked_for_again_and_again() {
    for fresh in [Ok(Server::new([code(401)])), Err("the plugin wants a person".to_owned())] {
        let (requests, logins) = with_login(&Server::new([code(401)]), fresh);
        for _ in 0..3 {
            let answer = requests.get::<Value>("/version").await;
            assert!(matches!(answer, Err(RequestError::Unauthorized(_))), "{answer:?}");
            let watch = requests.watch("/api/v1/nodes", "7").await.map(drop);
            assert!(matches!(watch, Err(RequestError::Unauthorized(_))), "{watch:?}");
        }
        assert_eq!(logins.load(Ordering::Relaxed), 1);
    }
}
