//! The way to a cluster: login, requests with one retry layer, the snapshot.

mod login;
mod requests;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod tests;

pub use login::{Connection, LoginError, LoginOptions, connect};
pub(crate) use requests::WATCH_SECONDS;
pub use requests::{Listed, RequestError, Requests, Watching};
