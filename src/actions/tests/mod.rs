//! Actions against a scripted server on a paused clock.

mod drain_options;
mod drains;
mod evictions;
mod jobs;
mod nodes;
mod objects;
mod server;
mod world;
