//! Our own list and watch.

use std::sync::Arc;

use super::{Needs, SharedFacts};
use crate::cluster::{RequestError, Requests};

/// Facts that are kept up to date until this is dropped.
pub struct Watched {
    /// The facts.
    pub facts: SharedFacts,
}

/// Lists every kind that is needed and keeps it up to date by watch; comes back once every list was read.
///
/// # Errors
/// What the server refused.
pub async fn watch(
    _requests: &Requests,
    _needs: Needs,
    _api_version: &str,
    _clock: Arc<dyn crate::outside::Clock>,
) -> Result<Watched, RequestError> {
    todo!()
}
