//! Requests on a paused clock, against a server that answers as a script tells it to.

mod greeting;
mod knowing;
mod retrying;
mod sending;

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::channel::{Channel, Sender};
use hyper::body::Bytes;
use kube::client::Body;
use serde_json::Value;
use tokio::time::Instant;
use tower::BoxError;

use super::Requests;
use crate::outside::Clock;

/// When the tests' clock begins, Unix milliseconds.
pub(crate) const BEGAN: i64 = 1_764_000_000_000;

/// Tokio's clock as wall time.
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> i64 {
        BEGAN + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

type Answering = Channel<Bytes, BoxError>;

/// What the server does about one request.
pub(crate) enum Reply {
    /// Answers: code, headers, body.
    Answer(u16, Vec<(&'static str, &'static str)>, String),
    /// Nobody listens there.
    Refuse,
    /// Breaks the connection once it has the request.
    Break,
    /// Never answers.
    Hang,
    /// Answers with a body that the test goes on writing.
    Stream(Answering),
}

impl Reply {
    pub(crate) fn good(body: &Value) -> Self {
        Self::Answer(200, Vec::new(), body.to_string())
    }

    pub(crate) fn no(code: u16, status: &Value) -> Self {
        Self::Answer(code, Vec::new(), status.to_string())
    }

    /// A body, and the pen to write it with: dropped, the body ends.
    pub(crate) fn stream() -> (Pen, Self) {
        let (sender, body) = Channel::new(64);
        (Pen(sender), Self::Stream(body))
    }
}

/// Writes a watch's events.
pub(crate) struct Pen(Sender<Bytes, BoxError>);

impl Pen {
    pub(crate) async fn write(&mut self, event: &str, object: &Value) {
        let line = format!("{}\n", serde_json::json!({ "type": event, "object": object }));
        self.0.send_data(line.into()).await.unwrap();
    }
}

/// A request as the server got it: when (milliseconds since the beginning), method, path and query.
pub(crate) type Asked = (u128, String, String);

/// Requests to a server that does what `reply` says to each request's method and path.
pub(crate) fn server(
    reply: impl FnMut(&str, &str) -> Reply + Send + 'static,
) -> (Requests, Arc<TokioClock>, Arc<Mutex<Vec<Asked>>>) {
    let clock = TokioClock::begin();
    let (log, reply) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(reply)));
    let (noted, began) = (log.clone(), Instant::now());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        assert_eq!(request.headers()["user-agent"], concat!("sprag/", env!("CARGO_PKG_VERSION")));
        let reply = (reply.lock().unwrap())(&method, &path);
        noted.lock().unwrap().push((began.elapsed().as_millis(), method, path));
        answer(reply)
    });
    (Requests::new(kube::Client::new(service, "default"), clock.clone(), 7), clock, log)
}

async fn answer(reply: Reply) -> Result<Response<Answering>, BoxError> {
    let (code, headers, body) = match reply {
        Reply::Answer(code, headers, body) => (code, headers, body),
        Reply::Stream(body) => return Ok(Response::new(body)),
        Reply::Hang => std::future::pending().await,
        Reply::Refuse => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()),
        Reply::Break => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
    };
    let (mut sender, channel) = Channel::new(1);
    sender.send_data(body.into()).await?;
    let mut response = Response::builder().status(code);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(channel)?)
}
