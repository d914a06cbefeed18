//! Lets the world move with the clock: asleep until something is due, or until a request made something due earlier.

use std::sync::Arc;
use std::time::Duration;

use super::room::Room;

/// Runs for as long as the world is served.
pub(super) async fn run(room: Arc<Room>) {
    loop {
        let due = room.wind();
        let Some(pause) = due.map(|due| due.saturating_sub(room.now())) else {
            room.woken.notified().await;
            continue;
        };
        let pause = Duration::from_millis(u64::try_from(pause).unwrap_or(0));
        tokio::select! {
            biased;
            () = room.woken.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
