//! The driver's side of a run's inbox: a task that looks into it, beside the loop, so that a disk that hangs stops nobody.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::engine::people::{Letter, Message};
use crate::journal::{Inbox, JournalError};

/// How often it is looked into.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The messages of an inbox as they come.
pub(super) fn letters(inbox: Inbox) -> mpsc::UnboundedReceiver<Letter> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while deliver(&inbox, &sender).await.is_some() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    receiver
}

/// Hands over what waits, each once the one before it was answered; `None` once nobody takes any.
async fn deliver(inbox: &Inbox, driver: &mpsc::UnboundedSender<Letter>) -> Option<()> {
    // An inbox that cannot be read now is looked into again.
    let names = on_disk(inbox, Inbox::waiting).await.unwrap_or_default();
    for name in names {
        let (answer, answered) = oneshot::channel();
        let read = name.clone();
        let result = match on_disk(inbox, move |inbox| inbox.read::<Message>(&read)).await {
            Some(Ok(message)) => {
                driver.send(Letter { message, answer }).ok()?;
                // A driver that is gone has not taken it: the next one does.
                answered.await.ok()?
            }
            Some(Err(why)) => Err(format!("the message cannot be read: {why}")),
            None => continue,
        };
        on_disk(inbox, move |inbox| match result {
            Ok(()) => inbox.take_out(&name),
            Err(why) => inbox.refuse(&name, &why),
        })
        .await;
    }
    Some(())
}

/// Does something with the folder on a thread that may hang.
async fn on_disk<T: Send + 'static>(
    inbox: &Inbox,
    work: impl FnOnce(&Inbox) -> Result<T, JournalError> + Send + 'static,
) -> Option<T> {
    let inbox = inbox.clone();
    tokio::task::spawn_blocking(move || work(&inbox)).await.ok()?.ok()
}
