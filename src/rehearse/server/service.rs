//! A request from its first byte to its last: read, delayed, met by faults, carried out under the mutex, answered.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};

use super::answer::{Answer, AnswerBody, refusal};
use super::faults::FaultKind;
use super::request::Request;
use super::room::State;
use super::route::{Place, Route, not_allowed};
use super::watch::Watch;
use super::{Server, discovery, eviction, read, review, subresource, write};
use crate::rehearse::status::Refused;

/// An answer on its way.
type Answering = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, io::Error>> + Send>>;

impl<B> tower::Service<http::Request<B>> for Server
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = io::Error;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Answering {
        let server = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| io::Error::other(error.into()))?.to_bytes();
            server.answer(head, body).await
        })
    }
}

impl Server {
    /// Answers a request.
    ///
    /// # Errors
    /// The connection breaks.
    pub(super) async fn answer(&self, head: http::request::Parts, body: Bytes) -> io::Result<Response<AnswerBody>> {
        let path = head.uri.path_and_query().map_or_else(String::new, |path| path.as_str().to_owned());
        let fault = self.room.faults().meet(self.room.now(), &head.method, &path);
        let delay = match fault {
            Some(FaultKind::Delay(more)) => self.room.latency + Duration::from_millis(more),
            _ => self.room.latency,
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match fault {
            Some(FaultKind::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(FaultKind::Answer(code)) => return Ok(refusal(&of_code(code))),
            Some(FaultKind::Expire) if !path.contains("watch=") => return Ok(refusal(&of_code(410))),
            Some(FaultKind::Stall) if !path.contains("watch=") => return std::future::pending().await,
            Some(FaultKind::Expire | FaultKind::Stall | FaultKind::Delay(_) | FaultKind::Lose) | None => {}
        }
        let request = Request::read(&head, body);
        let mut answered = self.room.with(|state| self.carry_out(state, &request, path));
        if let (Some(FaultKind::Expire), Ok(Answer::Watch(watch))) = (fault, &mut answered) {
            watch.expire();
        }
        if fault == Some(FaultKind::Lose) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(match answered {
            Ok(answer) => answer.into_response(),
            Err(refused) => refusal(&refused),
        })
    }

    fn carry_out(&self, state: &mut State, request: &Request, path: String) -> Result<Answer, Refused> {
        let route = Route::find(&request.path)?;
        request.check_acceptable()?;
        let is_get = request.method == Method::GET;
        match route {
            Route::Review(name) if request.method == Method::POST => review::review(request, &name),
            Route::Objects(place) if is_get && is_watch(request, &place) => {
                let watch = Watch::begin(self, state, request, place, path)?;
                Ok(Answer::Watch(Box::new(watch)))
            }
            Route::Objects(place) => on_objects(state, request, &place),
            _ if !is_get && request.method != Method::HEAD => Err(not_allowed()),
            Route::Version => Ok(Answer::value(&discovery::version(&state.world.cluster.about))),
            Route::Health => Ok(Answer::Text("ok")),
            Route::Schemas => Ok(Answer::value(&discovery::schemas())),
            Route::Schema(group, version) => discovery::schema(&group, &version).map(|schema| Answer::value(&schema)),
            Route::CoreVersions => Ok(Answer::value(&discovery::core_versions())),
            Route::Groups => Ok(Answer::value(&discovery::groups())),
            Route::Group(name) => discovery::one_group(&name).map(|group| Answer::value(&group)),
            Route::Resources(group, version) => discovery::resources(&group, &version).map(|list| Answer::value(&list)),
            Route::Review(_) => Err(not_allowed()),
        }
    }
}

fn is_watch(request: &Request, place: &Place) -> bool {
    request.is_set("watch") && place.subresource.is_empty()
}

fn on_objects(state: &mut State, request: &Request, place: &Place) -> Result<Answer, Refused> {
    let (method, part) = (request.method.as_str(), place.subresource.as_str());
    let Some(name) = place.name.as_deref() else {
        return match method {
            "GET" => read::list(state, request, place),
            "POST" if place.namespace.is_some() == place.info.is_namespaced => write::create(state, request, place),
            "DELETE" if place.namespace.is_some() == place.info.is_namespaced => {
                write::delete_all(state, request, place)
            }
            _ => Err(not_allowed()),
        };
    };
    match (method, part) {
        ("POST", "eviction") => eviction::evict(state, request, place, name),
        ("POST", "binding") => subresource::bind(state, request, place, name),
        (_, "eviction" | "binding") => Err(not_allowed()),
        ("GET", "scale") => subresource::scale(state, place, name),
        ("PUT" | "PATCH", "scale") => subresource::set_scale(state, request, place, name),
        ("GET", _) => read::get(state, request, place, name),
        ("PUT", "" | "status" | "finalize") => write::update(state, request, place, name),
        ("PATCH", "" | "status") => write::patch(state, request, place, name),
        ("DELETE", "") => write::delete(state, request, place, name),
        _ => Err(not_allowed()),
    }
}

/// A Status as a code alone makes it (apimachinery, api/errors NewGenericServerResponse).
fn of_code(code: u16) -> Refused {
    let (reason, message) = match code {
        401 => ("Unauthorized", "the server has asked for the client to provide credentials"),
        403 => ("Forbidden", "forbidden"),
        404 => ("NotFound", "the server could not find the requested resource"),
        409 => ("Conflict", "the server reported a conflict"),
        410 => ("Expired", "The resourceVersion for the provided list is too old."),
        429 => {
            let message = "the server has received too many requests and has asked us to try again later";
            return Refused::new(429, "TooManyRequests", message).after(1);
        }
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => (
            "Timeout",
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        500.. => ("InternalError", "an error on the server (\"\") has prevented the request from succeeding"),
        _ => ("Unknown", "the server responded with a status code but did not return more information"),
    };
    Refused::new(code, reason, message)
}
