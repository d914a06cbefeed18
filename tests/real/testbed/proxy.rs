//! A way to the API server that can be disturbed: plain HTTP on a loopback port, every request sent on as an
//! administrator's, and between the two the faults of real networks.
//!
//! It knows HTTP and watches, so that a fault is what its name says: a watch that lags, a mutation whose answer is lost.

use super::{Error, Result};
use futures_util::{Stream, StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// What the network does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weather {
    /// No byte moves; connections stay open.
    pub frozen: bool,
    /// Every connection is broken, and none comes about.
    pub partitioned: bool,
    /// What a watch says comes so much later.
    pub watch_lag: Duration,
    /// What a watch says comes twice.
    pub doubled: bool,
    /// Every watch ends with 410, now and as it begins, until the weather changes.
    pub expired: bool,
    /// Requests whose path holds this text are answered with this status.
    pub refused: Option<(String, u16)>,
}

/// How many mutations of paths that hold a text are still carried out and never answered.
type Losses = Arc<Mutex<(usize, String)>>;

/// A running proxy; it ends when this is dropped.
pub struct Proxy {
    weather: watch::Sender<Weather>,
    losses: Losses,
    kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one in front of the cluster of a kubeconfig.
    pub fn start(upstream: &Path) -> Result<Proxy> {
        let folder = tempfile::TempDir::new()?;
        let kubeconfig = folder.path().join("proxy.kubeconfig");
        let (weather, seen) = watch::channel(Weather::default());
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let upstream = upstream.to_owned();
        let losses = Losses::default();
        let shared = losses.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async move {
                match listen(&upstream).await {
                    Ok((listener, client)) => {
                        let _ = ready.send(listener.local_addr().map_err(Error::from));
                        let way = Way { client, weather: seen, losses: shared };
                        tokio::select! {
                            () = serve(listener, way) => {}
                            _ = stopped => {}
                        }
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        });
        let address = started.recv().map_err(|_| Error::Start("the proxy has no runtime".into()))??;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
            "current-context": "proxy",
        });
        fs::write(&kubeconfig, config.to_string())?;
        Ok(Proxy { weather, losses, kubeconfig, _folder: folder, stop: Some(stop), thread: Some(thread) })
    }

    /// A kubeconfig by which the cluster is reached through the proxy.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// Changes the weather, for connections that are open too.
    pub fn set(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }

    /// The next `count` mutations of paths that hold `text` are carried out, and their connections broken unanswered.
    pub fn lose(&self, count: usize, text: &str) {
        *self.losses.lock().unwrap_or_else(PoisonError::into_inner) = (count, text.to_owned());
    }

    /// How many of those are left.
    pub fn left_to_lose(&self) -> usize {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Calm again.
    pub fn calm(&self) {
        self.set(|weather| *weather = Weather::default());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen(upstream: &Path) -> Result<(TcpListener, Client)> {
    let client = super::api::client(upstream, None).await?;
    Ok((TcpListener::bind("127.0.0.1:0").await?, client))
}

/// Where a request goes, and through what.
#[derive(Clone)]
struct Way {
    client: Client,
    weather: watch::Receiver<Weather>,
    losses: Losses,
}

impl Way {
    fn loses(&self, path: &str) -> bool {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = losses.0 > 0 && path.contains(losses.1.as_str());
        losses.0 -= usize::from(taken);
        taken
    }
}

async fn serve(listener: TcpListener, way: Way) {
    while let Ok((stream, _)) = listener.accept().await {
        if !way.weather.borrow().partitioned {
            tokio::spawn(connection(stream, way.clone()));
        }
    }
}

/// One connection, broken as soon as there is a partition, or an answer to lose.
async fn connection(stream: TcpStream, way: Way) {
    let broken = Arc::new(tokio::sync::Notify::new());
    let mut partition = way.weather.clone();
    let breaks = broken.clone();
    let service = service_fn(move |request| answer(request, way.clone(), breaks.clone()));
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = serving => {}
        _ = partition.wait_for(|weather| weather.partitioned) => {}
        () = broken.notified() => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    way: Way,
    broken: Arc<tokio::sync::Notify>,
) -> std::result::Result<Answer, Infallible> {
    let mut weather = way.weather.clone();
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let is_watch = path.contains("watch=true") || path.contains("watch=1");
    let is_mutation = request.method() != Method::GET;
    let _ = weather.wait_for(|weather| !weather.frozen).await;
    let refused = weather.borrow().refused.clone().filter(|(text, _)| path.contains(text.as_str()));
    if let Some((_, code)) = refused {
        return Ok(status(code, "the proxy refuses"));
    }
    if is_watch && weather.borrow().expired {
        return Ok(Response::new(whole(expired())));
    }
    let (mut parts, body) = request.into_parts();
    parts.headers.remove("host");
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(status(400, "no body")),
    };
    let response = match way.client.send(Request::from_parts(parts, Body::from(body.to_vec()))).await {
        Ok(response) => response,
        Err(error) => return Ok(status(502, &error.to_string())),
    };
    if is_mutation && way.loses(&path) {
        broken.notify_one();
        std::future::pending::<()>().await;
    }
    let (parts, body) = response.into_parts();
    let chunks = body.into_data_stream().map(|chunk| chunk.map_err(io::Error::other));
    let chunks = disturbed(Box::pin(chunks), weather, is_watch);
    Ok(Response::from_parts(parts, StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync()))
}

type Chunks = std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// An answer on its way.
struct Passing {
    chunks: mpsc::UnboundedReceiver<(Instant, io::Result<Bytes>)>,
    weather: watch::Receiver<Weather>,
    is_watch: bool,
    /// Of a watch: the beginning of a line whose end has not come.
    begun: Vec<u8>,
    over: bool,
}

/// The bytes of an answer as the weather lets them through.
fn disturbed(mut chunks: Chunks, weather: watch::Receiver<Weather>, is_watch: bool) -> Chunks {
    let (sender, received) = mpsc::unbounded_channel();
    // Taken as they come: a lag delays what is said, and does not pile up.
    tokio::spawn(async move {
        while let Some(chunk) = chunks.next().await {
            if sender.send((Instant::now(), chunk)).is_err() {
                return;
            }
        }
    });
    let passing = Passing { chunks: received, weather, is_watch, begun: Vec::new(), over: false };
    Box::pin(stream::unfold(passing, |mut passing| async move {
        let chunk = passing.next().await?;
        Some((chunk, passing))
    }))
}

impl Passing {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.over {
            return None;
        }
        let mut change = self.weather.clone();
        let is_watch = self.is_watch;
        let (came, chunk) = tokio::select! {
            chunk = self.chunks.recv() => chunk?,
            _ = change.wait_for(|weather| is_watch && weather.expired) => {
                self.over = true;
                return Some(Ok(expired()));
            }
        };
        let now = self.weather.borrow().clone();
        if self.is_watch && !now.watch_lag.is_zero() {
            tokio::time::sleep_until(came + now.watch_lag).await;
        }
        let _ = self.weather.wait_for(|weather| !weather.frozen).await;
        Some(chunk.map(|chunk| if self.is_watch { self.lines(&chunk, now.doubled) } else { chunk }))
    }

    /// The whole lines that there are by now, each twice where everything is said twice: half an event would be another
    /// fault.
    fn lines(&mut self, chunk: &[u8], doubled: bool) -> Bytes {
        self.begun.extend_from_slice(chunk);
        let end = self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = self.begun.split_off(end);
        let whole = std::mem::replace(&mut self.begun, rest);
        let copies = if doubled { 2 } else { 1 };
        whole.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line.repeat(copies)).collect()
    }
}

fn expired() -> Bytes {
    let gone = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 1 (2)", "reason": "Expired", "code": 410,
    }});
    Bytes::from(format!("{gone}\n"))
}

fn status(code: u16, message: &str) -> Answer {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "", "code": code});
    let mut answer = Response::new(whole(Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    answer
}

fn whole(bytes: Bytes) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
