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
use tokio::sync::{oneshot, watch};

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

/// The bytes of an answer as the weather lets them through.
fn disturbed(chunks: Chunks, weather: watch::Receiver<Weather>, is_watch: bool) -> Chunks {
    let state = (chunks, weather, None::<Bytes>, false);
    Box::pin(stream::unfold(state, move |(mut chunks, mut weather, again, over)| async move {
        if over {
            return None;
        }
        if let Some(chunk) = again {
            return Some((Ok(chunk), (chunks, weather, None, false)));
        }
        let chunk = {
            let mut change = weather.clone();
            tokio::select! {
                chunk = chunks.next() => chunk?,
                _ = change.wait_for(|weather| is_watch && weather.expired) => {
                    return Some((Ok(expired()), (chunks, weather, None, true)));
                }
            }
        };
        let now = weather.borrow().clone();
        if is_watch && !now.watch_lag.is_zero() {
            tokio::time::sleep(now.watch_lag).await;
        }
        let _ = weather.wait_for(|weather| !weather.frozen).await;
        // Only whole lines are said twice: half an event would be another fault.
        let whole_lines = chunk.as_ref().is_ok_and(|chunk| chunk.ends_with(b"\n"));
        let again = chunk.as_ref().ok().filter(|_| is_watch && now.doubled && whole_lines).cloned();
        Some((chunk, (chunks, weather, again, false)))
    }))
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
