//! The way to a cluster: login, requests with one retry layer, the snapshot.

mod login;
mod requests;
pub mod snapshot;

pub use login::{Connection, LoginError, LoginOptions, connect};
pub use requests::{RequestError, Requests};
