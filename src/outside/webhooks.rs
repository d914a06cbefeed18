//! Real requests to webhooks, with the HTTP client that the cluster is asked with.

use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, StatusCode, Uri, header};
use kube::client::Body;

use super::{WebhookError, Webhooks};

/// How long a webhook may take for its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests over the network; through a proxy where `HTTPS_PROXY` or `HTTP_PROXY` name one.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpWebhooks;

impl Webhooks for HttpWebhooks {
    fn post(
        &self,
        url: &str,
        headers: Vec<(String, String)>,
        body: String,
    ) -> BoxFuture<'static, Result<(), WebhookError>> {
        let request = request(url, headers, body);
        Box::pin(async move {
            let (client, request) = request.map_err(for_good)?;
            match tokio::time::timeout(TIMEOUT, client.send(request)).await {
                Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
                Ok(Ok(answer)) => Err(refused(answer.status())),
                Ok(Err(error)) => Err(WebhookError { why: root_cause(&error), may_pass: true }),
                Err(_) => Err(WebhookError { why: "no answer within 10s".to_owned(), may_pass: true }),
            }
        })
    }
}

/// The request, and a client that stands at its address.
fn request(url: &str, headers: Vec<(String, String)>, body: String) -> Result<(kube::Client, Request<Body>), String> {
    let address: Uri = url.trim().parse().map_err(|_| "the address is no URL".to_owned())?;
    let parts = (address.scheme_str(), address.authority());
    let (Some(scheme @ ("http" | "https")), Some(authority)) = parts else {
        return Err("the address is no `https://` or `http://` URL".to_owned());
    };
    let base: Uri = format!("{scheme}://{authority}/").parse().map_err(|_| "the address is no URL".to_owned())?;
    let mut config = kube::Config::new(base);
    config.default_retry = false;
    config.proxy_url = if goes_direct(authority.host()) { None } else { proxy(scheme) };
    let client = kube::Client::try_from(config).map_err(|error| error.to_string())?;
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("sprag/", env!("CARGO_PKG_VERSION")));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(body.into_bytes()));
    Ok((client, request.map_err(|_| "a header cannot be sent".to_owned())?))
}

fn proxy(scheme: &str) -> Option<Uri> {
    let names = if scheme == "https" { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    names.into_iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// Whether no proxy stands between: this host, and what `NO_PROXY` names with its subdomains.
fn goes_direct(host: &str) -> bool {
    let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let listed = ["NO_PROXY", "no_proxy"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    let mut listed = listed.split(',').map(|one| one.trim().trim_start_matches('.')).filter(|one| !one.is_empty());
    is_here || listed.any(|one| one == "*" || host == one || host.ends_with(&format!(".{one}")))
}

fn for_good(why: String) -> WebhookError {
    WebhookError { why, may_pass: false }
}

fn refused(status: StatusCode) -> WebhookError {
    let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    WebhookError { why: format!("it answered {}", status.as_u16()), may_pass }
}

/// The innermost cause; what wraps it can show the address.
fn root_cause(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
