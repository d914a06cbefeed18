//! An API server that holds one Lease, and the ways of several processes to it.

use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::Requests;
use crate::outside::Clock;

/// Where the wall clocks begin, Unix milliseconds.
pub(super) const BEGIN: i64 = 1_764_000_000_000;

/// What is wrong with one process's way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Nothing,
    /// No connection.
    Down,
    /// No answer.
    Silent,
    /// The next mutation is carried out, and its answer lost.
    LosesAnAnswer,
    /// Every mutation and look at leases is refused.
    Forbids,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) lease: Option<Value>,
    version: u64,
    /// Method and path of each mutation that came through.
    pub(super) log: Vec<String>,
}

#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<State>>);

/// One process's view: its way to the server, and its clocks.
pub(super) struct Station {
    pub(super) requests: Requests,
    pub(super) clock: Arc<dyn Clock>,
    fault: Arc<Mutex<Fault>>,
    slept: Arc<AtomicI64>,
}

struct Wall {
    begun: Instant,
    slept: Arc<AtomicI64>,
}

impl Clock for Wall {
    fn now(&self) -> i64 {
        let awake = i64::try_from(self.begun.elapsed().as_millis()).expect("a time");
        BEGIN + awake + self.slept.load(Ordering::SeqCst)
    }
}

impl Station {
    pub(super) fn set(&self, fault: Fault) {
        *self.fault.lock().expect("a fault") = fault;
    }

    /// The machine sleeps: the wall clock goes on, the monotonic one does not.
    pub(super) fn sleep(&self, ms: i64) {
        self.slept.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Server {
    pub(super) fn station(&self) -> Station {
        let slept = Arc::new(AtomicI64::new(0));
        let clock: Arc<dyn Clock> = Arc::new(Wall { begun: Instant::now(), slept: slept.clone() });
        let fault = Arc::new(Mutex::new(Fault::Nothing));
        let (server, of_this) = (self.clone(), fault.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, fault) = (server.clone(), of_this.clone());
            async move { server.serve(request, &fault).await }
        });
        let requests = Requests::new(kube::Client::new(service, "default"), clock.clone(), 7);
        Station { requests, clock, fault, slept }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("the state")
    }

    /// The Lease as it is.
    pub(super) fn lease(&self) -> Value {
        self.state().lease.clone().expect("a lease")
    }

    /// Somebody else writes the Lease.
    pub(super) fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let mut lease = state.lease.take().expect("a lease");
        edit(&mut lease);
        state.keep(lease);
    }

    pub(super) fn count(&self, words: &str) -> usize {
        self.state().log.iter().filter(|line| line.starts_with(words)).count()
    }

    async fn serve(&self, request: Request<Body>, fault: &Mutex<Fault>) -> Result<Response<Body>, Error> {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.map_err(Error::other)?.to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let now = *fault.lock().expect("a fault");
        match now {
            Fault::Down => return Err(ErrorKind::ConnectionRefused.into()),
            Fault::Silent => std::future::pending().await,
            Fault::Forbids => return answer(403, &json!({"message": "leases is forbidden"})),
            Fault::Nothing | Fault::LosesAnAnswer => {}
        }
        let (code, object) = self.state().carry_out(&head.method, head.uri.path(), body);
        if now == Fault::LosesAnAnswer && head.method != Method::GET {
            *fault.lock().expect("a fault") = Fault::Nothing;
            return Err(ErrorKind::ConnectionReset.into());
        }
        answer(code, &object)
    }
}

impl State {
    fn carry_out(&mut self, method: &Method, path: &str, body: Value) -> (u16, Value) {
        const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
        if *method != Method::GET {
            self.log.push(format!("{method} {path}"));
        }
        let is_the_one = path.strip_prefix(LEASES) == Some("/sprag-cluster");
        match (method, &self.lease) {
            (&Method::POST, _) if path != LEASES => (404, json!({"message": "namespaces \"away\" not found"})),
            (&Method::POST, Some(_)) => (409, json!({"message": "leases \"sprag-cluster\" already exists"})),
            (&Method::POST, None) => (201, self.keep(body)),
            (&Method::PATCH, _) => (200, json!({})),
            (_, None) => (404, json!({"message": "leases \"sprag-cluster\" not found"})),
            (_, Some(_)) if !is_the_one => (404, json!({"message": "not found"})),
            (&Method::GET, Some(lease)) => (200, lease.clone()),
            (_, Some(lease)) if lease["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] => {
                (409, json!({"message": "the object has been modified"}))
            }
            (_, Some(_)) => (200, self.keep(body)),
        }
    }

    fn keep(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        lease
    }
}

fn answer(code: u16, object: &Value) -> Result<Response<Body>, Error> {
    let body = Body::from(object.to_string().into_bytes());
    Response::builder().status(code).body(body).map_err(Error::other)
}
