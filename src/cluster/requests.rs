//! Requests to the API server with the one retry layer: nothing above it sends anything again, nothing below it does.
//!
//! - A read is sent again until it is answered. A mutation is sent again only where the server cannot have begun it (no
//!   connection, 429, 503 and its kin); where its answer was lost, [`RequestError::Lost`] leaves it to the caller to look.
//! - No bound but the caller's: dropping the future ends it.
//! - Before each attempt of a mutation the [`Fence`] is asked, so that a process that has lost its lock changes nothing.
//! - Pauses are taken on tokio's clock and are the same for the same seed.

use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{BoxStream, Stream, StreamExt};
use http::{HeaderMap, Method, Request, StatusCode, header};
use kube::core::WatchEvent;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::credentials::Credentials;
use super::lock::{Fence, LockLost};
use crate::catalog::value::format_duration;
use crate::facts::objects::Meta;
use crate::outside::Clock;

/// How long an answer may take before it counts as lost. Not of watches, whose answers do not end.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause that we choose ourselves.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The longest `Retry-After` that is honoured.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// How many objects a page of a list has.
const PAGE: usize = 500;
/// How long the server keeps a watch open, in seconds.
pub(crate) const WATCH_SECONDS: u64 = 60;

/// What is asked for: objects as they are.
const JSON: &str = "application/json";
/// Or their metadata alone (meta/v1 PartialObjectMetadataList).
const NAMES_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Sends requests. Reads, and what the server did not begin, are sent again (connection errors, timeouts, 5xx, 429 without
/// a `DisruptionBudget` cause) after 0.1 to 10 s with jitter until the caller drops the future: the step's deadline is the
/// caller's. Cheap to clone.
#[derive(Clone)]
pub struct Requests {
    credentials: Arc<Credentials>,
    clock: Arc<dyn Clock>,
    seed: u64,
    fence: Fence,
    shared: Arc<Shared>,
}

/// What all clones know together.
#[derive(Default)]
struct Shared {
    pauses: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
}

/// What went wrong since the last answer.
struct Trouble {
    since: i64,
    last: String,
}

/// What the server said no with, or why nobody knows what it did.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 409: somebody else was faster, or it exists.
    #[error("{0}")]
    Conflict(String),
    /// 422: a `test` of a patch that did not hold among them.
    #[error("{0}")]
    Invalid(String),
    /// 401: the login is not accepted (any more).
    #[error("{0}")]
    Unauthorized(String),
    /// 403.
    #[error("{0}")]
    Forbidden(String),
    /// 410: a list or watch has to begin anew.
    #[error("{0}")]
    Expired(String),
    /// 429 with the cause `DisruptionBudget`: the cause's message.
    #[error("{0}")]
    Budget(String),
    /// The answer of a mutation was lost: look before it is sent again.
    #[error("{0}")]
    Lost(String),
    /// It was not sent: this process has lost its lock, and may change nothing any more.
    #[error("{0}")]
    Fenced(String),
    /// Another code: code and message.
    #[error("{1}")]
    Other(u16, String),
}

/// A list, all its pages.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// The objects; the server leaves out their `apiVersion` and `kind`.
    pub items: Vec<Value>,
    /// The list's resourceVersion: a watch goes on from it.
    pub version: String,
}

/// The events of one watch, until the server closes it; an error ends it.
pub type Watching = BoxStream<'static, Result<WatchEvent<Value>, RequestError>>;

/// How one attempt came out.
enum Answer {
    /// The server did it.
    Good(Vec<u8>),
    /// The server's last word.
    No(RequestError),
    /// It may be sent again.
    Again(Again),
}

/// Why an attempt may be followed by another.
struct Again {
    why: String,
    /// The server asked for this pause.
    after: Option<Duration>,
    /// Whether the server may have carried it out.
    may_be_done: bool,
    /// False where the server is there and only asks for patience.
    is_trouble: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    metadata: PageMeta,
    items: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    metadata: PageMeta,
    items: Option<Vec<Named>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    metadata: Meta,
}

/// `Status` of meta/v1, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    message: String,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Details {
    causes: Option<Vec<Cause>>,
    retry_after_seconds: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

impl Requests {
    /// Over a client whose own retries are off.
    pub fn new(client: kube::Client, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self::over(Credentials::new(client, None), clock, seed)
    }

    /// The same over a client that can log in anew.
    pub(super) fn over(credentials: Credentials, clock: Arc<dyn Clock>, seed: u64) -> Self {
        let (credentials, fence) = (Arc::new(credentials), Fence::default());
        Self { credentials, clock, seed, fence, shared: Arc::default() }
    }

    /// The same way, whose mutations `fence` lets through. What this one does is not fenced.
    #[must_use]
    pub fn fenced(&self, fence: Fence) -> Self {
        Self { fence, ..self.clone() }
    }

    /// Whether a mutation would be let through now; for changes that do not go this way, such as a command's.
    ///
    /// # Errors
    /// [`RequestError::Fenced`]
    pub async fn confirm_fence(&self) -> Result<(), RequestError> {
        self.fence.confirm().await.map_err(|lost: LockLost| RequestError::Fenced(lost.to_string()))
    }

    /// GET.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RequestError> {
        read(&self.call(&Call { method: Method::GET, path, content: "", body: Vec::new(), accept: JSON }).await?)
    }

    /// Every page of a list; begun anew where its pages expire on the way.
    pub async fn list(&self, path: &str) -> Result<Listed, RequestError> {
        match self.pages(path).await {
            // As client-go's pager does: what cannot be had in pages is asked for as a whole.
            Err(RequestError::Expired(_)) => {
                let page: Page = self.get(path).await?;
                Ok(Listed { items: page.items.unwrap_or_default(), version: page.metadata.resource_version })
            }
            listed => listed,
        }
    }

    /// The metadata of every object of a list, and the list's resourceVersion, in one answer: a fraction of what the objects
    /// themselves take.
    pub async fn list_names(&self, path: &str) -> Result<(Vec<Meta>, String), RequestError> {
        let call = Call { method: Method::GET, path, content: "", body: Vec::new(), accept: NAMES_ONLY };
        let list: Names = read(&self.call(&call).await?)?;
        let metas = list.items.unwrap_or_default().into_iter().map(|item| item.metadata).collect();
        Ok((metas, list.metadata.resource_version))
    }

    async fn pages(&self, path: &str) -> Result<Listed, RequestError> {
        let first = with_query(path, &format!("limit={PAGE}"));
        let mut listed = Listed::default();
        let mut next: Option<String> = None;
        loop {
            let path = match &next {
                None => first.clone(),
                Some(token) => format!("{first}&continue={}", escaped(token)),
            };
            let page: Page = self.get(&path).await?;
            listed.items.extend(page.items.unwrap_or_default());
            listed.version = page.metadata.resource_version;
            next = page.metadata.next.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(listed);
            }
        }
    }

    /// POST of an object.
    pub async fn create(&self, path: &str, body: &Value) -> Result<Value, RequestError> {
        self.mutate(Method::POST, path, "application/json", body).await
    }

    /// PUT of an object; give it the resourceVersion that it replaces.
    pub async fn replace(&self, path: &str, body: &Value) -> Result<Value, RequestError> {
        self.mutate(Method::PUT, path, "application/json", body).await
    }

    /// PATCH with a JSON patch (RFC 6902); give it `test` operations for what it replaces.
    pub async fn json_patch(&self, path: &str, patch: &Value) -> Result<Value, RequestError> {
        self.mutate(Method::PATCH, path, "application/json-patch+json", patch).await
    }

    /// PATCH with a merge patch (RFC 7386).
    pub async fn merge_patch(&self, path: &str, patch: &Value) -> Result<Value, RequestError> {
        self.mutate(Method::PATCH, path, "application/merge-patch+json", patch).await
    }

    /// PATCH by server-side apply, as the field manager `sprag` and without force.
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Value, RequestError> {
        let path = with_query(path, "fieldManager=sprag&fieldValidation=Strict");
        self.mutate(Method::PATCH, &path, "application/apply-patch+yaml", object).await
    }

    /// DELETE; `options` is a `DeleteOptions`, with the UID as precondition.
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value, RequestError> {
        self.mutate(Method::DELETE, path, "application/json", options).await
    }

    async fn mutate(&self, method: Method, path: &str, content: &str, body: &Value) -> Result<Value, RequestError> {
        read(&self.call(&Call { method, path, content, body: body.to_string().into_bytes(), accept: JSON }).await?)
    }

    /// Opens one watch from a resourceVersion on, with bookmarks, for [`WATCH_SECONDS`]. Not tried again here: who watches
    /// also decides from where to go on.
    pub async fn watch(&self, path: &str, version: &str) -> Result<Watching, RequestError> {
        let query =
            format!("watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}");
        let path = with_query(path, &query);
        let call = Call { method: Method::GET, path: &path, content: "", body: Vec::new(), accept: JSON };
        let (client, generation) = self.credentials.client();
        let events = match self.open(&client, &call).await {
            Err(RequestError::Unauthorized(_)) if self.credentials.renew(generation).await => {
                let opened = self.open(&self.credentials.client().0, &call).await;
                if matches!(opened, Err(RequestError::Unauthorized(_))) {
                    self.credentials.were_spent();
                }
                opened?
            }
            opened => opened?,
        };
        self.answered();
        self.credentials.were_accepted();
        let this = self.clone();
        Ok(events.map(move |event| event.map_err(|error| this.watch_error(error))).boxed())
    }

    async fn open(
        &self,
        client: &kube::Client,
        call: &Call<'_>,
    ) -> Result<impl Stream<Item = Result<WatchEvent<Value>, kube::Error>> + Send + 'static + use<>, RequestError> {
        match tokio::time::timeout(TIMEOUT, client.request_events::<Value>(call.request()?)).await {
            Ok(opened) => opened.map_err(|error| self.watch_error(error)),
            Err(_) => Err(self.in_trouble(no_answer())),
        }
    }

    fn watch_error(&self, error: kube::Error) -> RequestError {
        match error {
            kube::Error::Api(status) if status.code < 500 => refusal(status.code, status.message),
            kube::Error::Api(status) => self.in_trouble(format!("{} {}", status.code, status.message)),
            kube::Error::Auth(error) => RequestError::Unauthorized(error.to_string()),
            error => self.in_trouble(root_cause(&error)),
        }
    }

    fn in_trouble(&self, why: String) -> RequestError {
        self.troubled(&why);
        RequestError::Lost(why)
    }

    /// Since the last success nothing but connection errors, timeouts and 5xx came: the last of them, and for how long.
    pub fn trouble(&self) -> Option<String> {
        self.trouble_since().map(|(since, last)| {
            let lasted = (self.clock.now() - since).max(0) / 1000 * 1000;
            format!("{last} (no answer for {})", format_duration(lasted))
        })
    }

    /// The last trouble, and since when no request has succeeded (Unix milliseconds).
    pub fn trouble_since(&self) -> Option<(i64, String)> {
        let trouble = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map(|trouble| (trouble.since, trouble.last.clone()))
    }

    fn troubled(&self, why: &str) {
        let mut trouble = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let since = trouble.as_ref().map_or_else(|| self.clock.now(), |trouble| trouble.since);
        *trouble = Some(Trouble { since, last: why.to_owned() });
    }

    fn answered(&self) {
        *self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Sends until there is an answer, or the answer of a mutation was lost.
    async fn call(&self, call: &Call<'_>) -> Result<Vec<u8>, RequestError> {
        let mut has_renewed = false;
        for attempt in 0.. {
            if call.method != Method::GET {
                self.confirm_fence().await?;
            }
            let (client, generation) = self.credentials.client();
            let again = match self.attempt(&client, call).await? {
                Answer::Good(body) => {
                    self.answered();
                    self.credentials.were_accepted();
                    return Ok(body);
                }
                // Refused like this nothing was done: also a mutation is sent again.
                Answer::No(RequestError::Unauthorized(_))
                    if !has_renewed && self.credentials.renew(generation).await =>
                {
                    has_renewed = true;
                    continue;
                }
                Answer::No(error) => {
                    self.answered();
                    match error {
                        RequestError::Unauthorized(_) => self.credentials.were_spent(),
                        _ => self.credentials.were_accepted(),
                    }
                    return Err(error);
                }
                Answer::Again(again) => again,
            };
            if again.is_trouble {
                self.troubled(&again.why);
            } else {
                self.answered();
            }
            if again.may_be_done && call.method != Method::GET {
                return Err(RequestError::Lost(again.why));
            }
            tracing::debug!(method = %call.method, path = call.path, why = again.why, attempt, "sent again");
            tokio::time::sleep(self.pause(attempt).max(again.after.unwrap_or_default())).await;
        }
        // Not reached: attempts are not counted to an end.
        Err(no_attempt())
    }

    /// The pause after attempt `attempt` (from 0): half of it to the whole of it, at random.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        let whole = FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE);
        let count = self.shared.pauses.fetch_add(1, Ordering::Relaxed);
        let share = (scrambled(self.seed.wrapping_add(count)) >> 11) as f64 / (1u64 << 53) as f64;
        whole.mul_f64(0.5 + share / 2.0)
    }

    async fn attempt(&self, client: &kube::Client, call: &Call<'_>) -> Result<Answer, RequestError> {
        let request = call.request()?.map(kube::client::Body::from);
        let exchange = async {
            let response = client.send(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect_bytes().await?;
            Ok::<_, kube::Error>((head.status, head.headers, body))
        };
        Ok(match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(Ok((status, _, body))) if status.is_success() => Answer::Good(body.to_vec()),
            Ok(Ok((status, headers, body))) => judge(status, &headers, &body),
            Ok(Err(kube::Error::Auth(error))) => Answer::No(RequestError::Unauthorized(error.to_string())),
            Ok(Err(error)) => Answer::Again(Again {
                why: root_cause(&error),
                after: None,
                may_be_done: !is_unconnected(&error),
                is_trouble: true,
            }),
            Err(_) => Answer::Again(Again { why: no_answer(), after: None, may_be_done: true, is_trouble: true }),
        })
    }
}

/// One request, as it is sent each time.
struct Call<'a> {
    method: Method,
    path: &'a str,
    content: &'a str,
    body: Vec<u8>,
    accept: &'static str,
}

impl Call<'_> {
    fn request(&self) -> Result<Request<Vec<u8>>, RequestError> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.path)
            .header(header::USER_AGENT, concat!("sprag/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, self.accept);
        if !self.content.is_empty() {
            request = request.header(header::CONTENT_TYPE, self.content);
        }
        request
            .body(self.body.clone())
            .map_err(|error| RequestError::Other(400, format!("`{}` cannot be asked for: {error}", self.path)))
    }
}

/// What an answer that is no success means.
fn judge(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    let status = serde_json::from_slice::<Status>(body).unwrap_or_default();
    let message = if status.message.is_empty() { plain_message(code, body) } else { status.message };
    let details = status.details.unwrap_or_default();
    let in_header = headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let after =
        in_header.or(details.retry_after_seconds).map(|after| Duration::from_secs(after).min(LONGEST_RETRY_AFTER));
    let is_from_store = message.starts_with("etcdserver: ");
    match code.as_u16() {
        // A webhook says no with the code of its choice, whatever that means of the server's: 429 is not that the server is
        // busy, 404 not that the object is gone.
        number if is_denied(&message) && !matches!(number, 403 | 422) => {
            Answer::No(RequestError::Other(number, message))
        }
        429 => {
            let causes = details.causes.unwrap_or_default();
            match causes.into_iter().find(|cause| cause.reason == "DisruptionBudget") {
                Some(cause) => Answer::No(RequestError::Budget(cause.message)),
                None => Answer::Again(Again { why: message, after, may_be_done: false, is_trouble: false }),
            }
        }
        // Permanent, whatever its code says: the eviction subresource's word for several budgets (eviction.go).
        500 if message.contains("more than one PodDisruptionBudget") => Answer::No(RequestError::Other(500, message)),
        // The server is there, the webhook that it has to ask is not: whoever asks says so, and asks again.
        500 if message.contains("failed calling webhook") => Answer::No(RequestError::Other(500, message)),
        501 | 505 => Answer::No(RequestError::Other(code.as_u16(), message)),
        number @ 500..=599 => Answer::Again(Again {
            why: format!("{number} {message}"),
            after,
            // A gateway's word, the server's that it gave up waiting, or that its store did: it may be written all the same.
            may_be_done: matches!(number, 502 | 504) || is_from_store,
            is_trouble: true,
        }),
        number => Answer::No(refusal(number, message)),
    }
}

/// Whether it is the word of admission (apiserver's plugin/webhook/errors, plugin/policy/validating/dispatcher.go).
fn is_denied(message: &str) -> bool {
    let by_webhook = message.contains("admission webhook") && message.contains("denied the request");
    by_webhook || (message.contains("ValidatingAdmissionPolicy") && message.contains("denied request"))
}

fn refusal(code: u16, message: String) -> RequestError {
    match code {
        401 => RequestError::Unauthorized(message),
        403 => RequestError::Forbidden(message),
        404 => RequestError::NotFound(message),
        409 => RequestError::Conflict(message),
        410 => RequestError::Expired(message),
        422 => RequestError::Invalid(message),
        other => RequestError::Other(other, message),
    }
}

/// The first line of an answer that is no `Status`, such as a proxy's page.
fn plain_message(code: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
    match text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['<', '{'])) {
        Some(line) => line.to_owned(),
        None => code.canonical_reason().unwrap_or("an answer without a reason").to_lowercase(),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, RequestError> {
    serde_json::from_slice(body)
        .map_err(|error| RequestError::Other(200, format!("the server's answer cannot be read: {error}")))
}

/// Whether a request failed before there was a connection to send it over.
fn is_unconnected(error: &kube::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if let Some(client) = one.downcast_ref::<hyper_util::client::legacy::Error>() {
            return client.is_connect();
        }
        if let Some(io) = one.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
            );
        }
        cause = one.source();
    }
    false
}

/// The innermost cause: what wraps it says only that something went wrong.
pub(super) fn root_cause(error: &kube::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        text = one.to_string();
        cause = one.source();
    }
    text
}

fn no_answer() -> String {
    format!("no answer within {}", format_duration(i64::try_from(TIMEOUT.as_millis()).unwrap_or(i64::MAX)))
}

fn no_attempt() -> RequestError {
    RequestError::Lost("it was never answered".to_owned())
}

fn with_query(path: &str, query: &str) -> String {
    format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' })
}

/// %-escapes what has a meaning in a query.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// SplitMix64's output function (Steele, Lea, Flood 2014): consecutive numbers become unrelated ones.
fn scrambled(number: u64) -> u64 {
    let mut x = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
