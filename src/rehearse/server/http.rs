//! The same server on a socket, for everything that speaks Kubernetes: kubectl above all.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::Service;

use super::Server;

/// How long nothing is accepted after that has failed.
const PAUSE: Duration = Duration::from_millis(50);

/// A socket that is served until this is dropped, and its connections with it.
#[derive(Debug)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// Aborted as it is dropped.
    _tasks: JoinSet<Infallible>,
}

/// Serves on an address, without TLS and to everyone who can reach it: make it one of loopback. Port 0 takes a free one.
///
/// # Errors
/// What the operating system says.
pub async fn serve(server: Server, address: SocketAddr) -> io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(server, listener));
    Ok(Listening { address, _tasks: tasks })
}

async fn accept(server: Server, listener: TcpListener) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.map(|(stream, _)| stream),
            Some(_) = connections.join_next() => continue,
        };
        // A connection that was lost before it was accepted, or no more file descriptors: others may come.
        let Ok(stream) = stream else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let server = server.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| server.clone().call(request));
            // A client that goes away, or an error that is a fault's: the connection is over either way.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A kubeconfig for a server on an address: one cluster, one context, no credentials.
pub fn kubeconfig(address: SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: rehearsal\n  cluster:\n    server: http://{address}\nusers:\n- name: \
         rehearsal\n  user: {{}}\ncontexts:\n- name: rehearsal\n  context:\n    cluster: rehearsal\n    user: rehearsal\n    \
         namespace: default\ncurrent-context: rehearsal\n"
    )
}
