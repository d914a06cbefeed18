//! The way to a cluster: login, requests with one retry layer, the lock, the snapshot.

mod credentials;
mod identity;
pub mod lock;
mod login;
mod pod;
mod requests;
mod rights;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod tests;

pub use identity::{Identity, identity};
pub use login::{Connection, LoginError, LoginOptions, connect};
pub use pod::{OwnPlace, PodNames, own_place};
pub(crate) use requests::WATCH_SECONDS;
pub use requests::{Listed, RequestError, Requests, Watching};
pub use rights::{Right, missing as missing_rights};
