//! `notify`: tells people through a webhook. An upgrade does not stop because a chat does not answer: that nobody could
//! be told is said in the step's note, and the step is done.

use std::time::Duration;

use serde_json::json;

use crate::outside::WebhookError;

use super::args::{Read, list, optional_text, text};
use super::context::{Args, Attempt, StepContext};
use super::exec::reveal;

/// Names the address where the playbook says none; `--notify-to` comes here, too.
pub const NOTIFY_ADDRESS: &str = "SPRAG_NOTIFY_URL";
/// The pauses between the tries.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];

/// Posts `{"text": …}`, which is what Slack, Mattermost, Google Chat and Teams' workflows take.
pub(super) async fn notify(args: &Args, context: &StepContext) -> Read<Attempt> {
    let body = json!({"text": text(args, "text")?}).to_string();
    let headers = headers(args, context)?;
    let Some(to) = address(args, context)? else {
        return Ok(told_nobody(&format!("neither `to:`, `--notify-to` nor {NOTIFY_ADDRESS} says where to")));
    };
    let mut pauses = PAUSES.into_iter();
    loop {
        let Err(error) = context.outside.webhooks.post(&to, headers.clone(), body.clone()).await else {
            return Ok(Attempt::Done { value: None, note: None });
        };
        match (error, pauses.next()) {
            (WebhookError { may_pass: true, why }, Some(pause)) => {
                context
                    .waiting(vec![format!("the webhook was not reached ({why}), once more in {}s", pause.as_secs())]);
                tokio::time::sleep(pause).await;
            }
            (WebhookError { why, .. }, _) => return Ok(told_nobody(&why)),
        }
    }
}

fn told_nobody(why: &str) -> Attempt {
    Attempt::Done { value: None, note: Some(format!("nobody was told: {why}")) }
}

fn address(args: &Args, context: &StepContext) -> Read<Option<String>> {
    if let Some(to) = optional_text(args, "to")? {
        return Ok(Some(to.to_owned()));
    }
    let given = context.environment.iter().find(|(name, _)| name == NOTIFY_ADDRESS);
    Ok(given.map(|(_, to)| to.clone()).filter(|to| !to.is_empty()))
}

/// `Name: text` with the texts of secrets in their places; an item without a colon is a name without a text.
fn headers(args: &Args, context: &StepContext) -> Read<Vec<(String, String)>> {
    let items = list(args, "headers")?.iter().map(|item| {
        let item = item.to_string();
        let (name, value) = item.split_once(':').unwrap_or((&item, ""));
        Ok((name.trim().to_owned(), reveal(value.trim(), context)?.trim().to_owned()))
    });
    items.collect()
}
