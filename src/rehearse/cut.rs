//! A driver that is gone before or after a mutation: as with `kill -9`, nothing more is heard of it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use kube::client::Body;
use tokio::sync::Notify;

use super::server::{AnswerBody, Server};
use super::simulation::Side;

/// The way to a server, which is cut at a mutation.
#[derive(Clone)]
pub(super) struct Cut {
    server: Server,
    /// How many mutations are still let through, and what becomes of the one after.
    left: Arc<Mutex<Option<(usize, Side)>>>,
    gone: Arc<Notify>,
}

impl Cut {
    /// Cuts at the nth mutation from now, from 1; never where none is said.
    pub(super) fn new(server: Server, at: Option<(usize, Side)>) -> Self {
        let left = at.map(|(nth, side)| (nth.saturating_sub(1), side));
        Self { server, left: Arc::new(Mutex::new(left)), gone: Arc::default() }
    }

    /// Comes back once the driver is gone.
    pub(super) async fn is_cut(&self) {
        self.gone.notified().await;
    }

    /// What becomes of this request; none: it goes through.
    fn weigh(&self, request: &Request<Body>) -> Option<Side> {
        let is_review = request.uri().path().contains("/selfsubject");
        if request.method() == Method::GET || is_review {
            return None;
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        match left.as_mut() {
            Some((0, side)) => Some(*side),
            Some((more, _)) => {
                *more -= 1;
                None
            }
            None => None,
        }
    }
}

impl tower::Service<Request<Body>> for Cut {
    type Response = Response<AnswerBody>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Response<AnswerBody>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        tower::Service::<Request<Body>>::poll_ready(&mut self.server, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let side = self.weigh(&request);
        let (mut server, gone) = (self.server.clone(), self.gone.clone());
        Box::pin(async move {
            if side != Some(Side::Before) {
                let answer = server.call(request).await;
                if side.is_none() {
                    return answer;
                }
            }
            gone.notify_one();
            std::future::pending().await
        })
    }
}
