//! The confirming read: before what waiting cannot take back, what a condition read is read again from the server.

use crate::cluster::{RequestError, Requests};

use super::SharedFacts;
use super::reads::ReadKey;

impl SharedFacts {
    /// Comes back once the caches hold what the server holds, of everything that `reads` covers.
    ///
    /// # Errors
    /// What the server refused.
    pub async fn confirm(&self, _requests: &Requests, _reads: &[ReadKey]) -> Result<(), RequestError> {
        Ok(())
    }
}
