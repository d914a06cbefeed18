//! An admission webhook that says no to all that it is asked, over TLS on a loopback port.

use super::controlplane::ControlPlane;
use super::{Error, Result};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What it says no with: code and message of a `Status`.
#[derive(Debug, Clone, Copy)]
pub struct No(pub u16, pub &'static str);

/// A running webhook; it ends when this is dropped.
pub struct Webhook {
    client_config: Value,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Webhook {
    /// Starts one that the control plane can ask.
    pub fn start(plane: &ControlPlane, no: No) -> Result<Webhook> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let pair = plane.certificate(&format!("webhook-{}", listener.local_addr()?.port()))?;
        let acceptor = acceptor(&pair.cert, &pair.key)?;
        listener.set_nonblocking(true)?;
        let url = format!("https://{}/admit", listener.local_addr()?);
        let authority = ByteString(fs::read(plane.folder().join("ca.crt"))?);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = serve(listener, acceptor, no) => {}
                    _ = stopped => {}
                }
            });
        });
        let client_config = json!({"url": url, "caBundle": authority});
        Ok(Webhook { client_config, stop: Some(stop), thread: Some(thread) })
    }

    /// The `clientConfig` by which a webhook configuration names it.
    pub fn client_config(&self) -> Value {
        self.client_config.clone()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor> {
    let failed = |error: &dyn std::fmt::Display| Error::Start(format!("the webhook's certificate: {error}"));
    let cert = CertificateDer::from_pem_file(cert).map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(&error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .map_err(|error| failed(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, no: No) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, no));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An AdmissionReview (admission.k8s.io/v1) that does not allow what was asked.
async fn answer(request: Request<Incoming>, no: No) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let No(code, message) = no;
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {
            "uid": asked.pointer("/request/uid"), "allowed": false, "status": {"code": code, "message": message},
        },
    });
    let mut answer = Response::new(Full::new(Bytes::from(review.to_string())));
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(answer)
}
