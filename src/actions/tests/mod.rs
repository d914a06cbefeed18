//! Actions against a scripted server on a paused clock.

mod drains;
mod nodes;
mod world;
