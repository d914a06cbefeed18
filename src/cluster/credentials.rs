//! The client, and how it comes by fresh credentials when the server accepts the old ones no more.
//!
//! kube's own client reads a token file again each minute and calls a login plugin when what it gave expires; that the
//! server said 401 is nothing to it (kube-client, `client/auth`). So a token that was revoked, and a certificate that was
//! replaced on disk, would be sent for ever: at a 401 the whole login is made anew, once until the server accepts one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

/// How long a login may take: a plugin may ask a server of its own.
const LOGIN: Duration = Duration::from_secs(30);

/// Logs in anew: a client, or why there is none.
pub(super) type Login = Box<dyn Fn() -> BoxFuture<'static, Result<kube::Client, String>> + Send + Sync>;

/// A client with credentials that can be replaced.
pub(super) struct Credentials {
    current: Mutex<Current>,
    login: Option<Login>,
    /// Held while logging in: those who were refused together log in once.
    one_at_a_time: tokio::sync::Mutex<()>,
}

struct Current {
    client: kube::Client,
    /// Counts logins.
    generation: u64,
    /// Whether fresh credentials were refused too.
    is_spent: bool,
}

impl Credentials {
    pub(super) fn new(client: kube::Client, login: Option<Login>) -> Self {
        let current = Mutex::new(Current { client, generation: 0, is_spent: false });
        Self { current, login, one_at_a_time: tokio::sync::Mutex::default() }
    }

    /// The client, and of which login it is.
    pub(super) fn client(&self) -> (kube::Client, u64) {
        let current = self.current();
        (current.client.clone(), current.generation)
    }

    /// The server answered: whatever it said, it accepted the login.
    pub(super) fn were_accepted(&self) {
        self.current().is_spent = false;
    }

    /// The server refused those of this login; true if there are fresh ones now, to be tried once.
    pub(super) async fn renew(&self, refused: u64) -> bool {
        let Some(login) = &self.login else { return false };
        let _alone = self.one_at_a_time.lock().await;
        {
            let current = self.current();
            if current.is_spent {
                return false;
            }
            if current.generation > refused {
                return true;
            }
        }
        let fresh = match tokio::time::timeout(LOGIN, login()).await {
            Ok(Ok(client)) => Some(client),
            Ok(Err(why)) => {
                tracing::debug!(why, "no fresh credentials");
                None
            }
            Err(_) => None,
        };
        let mut current = self.current();
        let Some(client) = fresh else {
            current.is_spent = true;
            return false;
        };
        current.client = client;
        current.generation += 1;
        true
    }

    /// Fresh credentials were refused too: no further login until the server accepts one.
    pub(super) fn were_spent(&self) {
        self.current().is_spent = true;
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
