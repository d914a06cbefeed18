//! What is sent again, when, and what never is.

use std::time::Duration;

use serde_json::{Value, json};

use super::{BEGAN, Reply, server};
use crate::cluster::{RequestError, Requests};

type Replying = fn() -> Reply;
type Meaning = fn(&RequestError) -> bool;

/// The replies of a script, one a request; the last one is given for ever.
fn script(mut replies: Vec<Replying>) -> impl FnMut(&str, &str) -> Reply {
    replies.reverse();
    move |_, _| if replies.len() > 1 { replies.pop().unwrap()() } else { replies[0]() }
}

fn fine() -> Reply {
    Reply::good(&json!({ "fine": true }))
}

fn unavailable() -> Reply {
    Reply::no(503, &json!({ "message": "not ready" }))
}

fn over_the_limit() -> Reply {
    Reply::Answer(429, vec![("retry-after", "7")], "Too many requests, please try again later.".to_owned())
}

fn over_budget() -> Reply {
    let cause = json!({ "reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods" });
    Reply::no(429, &json!({ "message": "Cannot evict pod", "details": { "causes": [cause] } }))
}

fn two_budgets() -> Reply {
    let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    Reply::no(500, &json!({ "message": message }))
}

async fn get(requests: &Requests) -> Result<Value, RequestError> {
    requests.get("/x").await
}

async fn create(requests: &Requests) -> Result<Value, RequestError> {
    requests.create("/x", &json!({})).await
}

#[tokio::test(start_paused = true)]
async fn a_read_is_sent_until_it_is_answered() {
    let replies: Vec<Replying> = vec![|| Reply::Refuse, || Reply::Break, || Reply::Hang, unavailable, fine];
    let (requests, _, log) = server(script(replies));
    assert_eq!(get(&requests).await.unwrap(), json!({ "fine": true }));
    let log = log.lock().unwrap();
    let pauses: Vec<u128> = log.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let bounds = [50..=100, 100..=200, 15_200..=15_400, 400..=801];
    assert_eq!(pauses.len(), bounds.len());
    for (pause, bounds) in pauses.iter().zip(bounds) {
        assert!(bounds.contains(pause), "{pause} is not in {bounds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mutation_is_sent_again_only_where_it_was_not_begun() {
    let cases: [(&str, Replying, bool); 9] = [
        ("nobody listens", || Reply::Refuse, true),
        ("it is not ready", unavailable, true),
        ("it is busy", over_the_limit, true),
        ("it failed", || Reply::no(500, &json!({ "message": "internal error" })), true),
        ("the connection broke", || Reply::Break, false),
        ("no answer came", || Reply::Hang, false),
        ("it gave up waiting", || Reply::no(504, &json!({ "message": "Timeout" })), false),
        ("its store did", || Reply::no(500, &json!({ "message": "etcdserver: request timed out" })), false),
        ("the gateway did", || Reply::Answer(502, Vec::new(), "<html>".to_owned()), false),
    ];
    for (what, reply, is_sent_again) in cases {
        let (requests, _, log) = server(script(vec![reply, fine]));
        let answer = create(&requests).await;
        assert_eq!(answer.is_ok(), is_sent_again, "{what}: {answer:?}");
        assert_eq!(matches!(answer, Err(RequestError::Lost(_))), !is_sent_again, "{what}: {answer:?}");
        assert_eq!(log.lock().unwrap().len(), if is_sent_again { 2 } else { 1 }, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_says_how_long_to_wait() {
    let (requests, _, log) = server(script(vec![over_the_limit, fine]));
    create(&requests).await.unwrap();
    let log = log.lock().unwrap();
    let (first, second) = (log[0].0, log[1].0);
    assert!((7000..7100).contains(&(second - first)), "{first} {second}");
    assert_eq!(requests.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn a_no_is_told_by_what_it_means() {
    let cases: [(Replying, Meaning, &str); 9] = [
        (over_budget, |e| matches!(e, RequestError::Budget(_)), "The disruption budget web needs 2 healthy pods"),
        (
            two_budgets,
            |e| matches!(e, RequestError::Other(500, _)),
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ),
        (|| Reply::no(401, &json!({})), |e| matches!(e, RequestError::Unauthorized(_)), "unauthorized"),
        (|| Reply::no(403, &json!({ "message": "no" })), |e| matches!(e, RequestError::Forbidden(_)), "no"),
        (|| Reply::Answer(404, Vec::new(), String::new()), |e| matches!(e, RequestError::NotFound(_)), "not found"),
        (|| Reply::no(409, &json!({ "message": "no" })), |e| matches!(e, RequestError::Conflict(_)), "no"),
        (|| Reply::no(410, &json!({ "message": "no" })), |e| matches!(e, RequestError::Expired(_)), "no"),
        (|| Reply::no(422, &json!({ "message": "no" })), |e| matches!(e, RequestError::Invalid(_)), "no"),
        (|| Reply::no(400, &json!({ "message": "no" })), |e| matches!(e, RequestError::Other(400, _)), "no"),
    ];
    for (reply, is_meant, text) in cases {
        let (requests, _, log) = server(script(vec![reply]));
        let error = create(&requests).await.unwrap_err();
        assert!(is_meant(&error), "{error:?}");
        assert_eq!(error.to_string(), text);
        assert_eq!(log.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn admission_says_no_with_the_code_of_its_choice() {
    let webhook = "admission webhook \"guard.example.com\" denied the request: frozen";
    for code in [400, 401, 404, 409, 410, 429, 500, 503] {
        let (requests, _, log) = server(move |_, _| Reply::no(code, &json!({ "message": webhook })));
        let answer = create(&requests).await;
        assert!(matches!(&answer, Err(RequestError::Other(_, why)) if why == webhook), "{code}: {answer:?}");
        assert_eq!(log.lock().unwrap().len(), 1, "{code}: it is the webhook's word, and final");
    }
    let policy =
        "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'freeze' with binding 'all' denied request: frozen";
    let (requests, _, _) = server(move |_, _| Reply::no(401, &json!({ "message": policy })));
    assert!(matches!(create(&requests).await, Err(RequestError::Other(401, _))));
}

#[tokio::test(start_paused = true)]
async fn trouble_lasts_until_something_is_answered() {
    let (requests, _, _) = server(script(vec![|| Reply::Hang, || Reply::Hang, fine]));
    assert_eq!(requests.trouble(), None);
    let asked = tokio::time::timeout(Duration::from_secs(20), get(&requests)).await;
    assert!(asked.is_err());
    assert_eq!(requests.trouble_since(), Some((BEGAN + 15_000, "no answer within 15s".to_owned())));
    assert_eq!(requests.trouble().unwrap(), "no answer within 15s (no answer for 5s)");
    get(&requests).await.unwrap();
    assert_eq!(requests.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_pauses() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (requests, _, log) = server(script(vec![unavailable, unavailable, unavailable, fine]));
        get(&requests).await.unwrap();
        runs.push(log.lock().unwrap().clone());
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_in_pages_and_as_a_whole_where_they_expire() {
    let page = |name: &str, next: &str| {
        Reply::good(&json!({ "metadata": { "resourceVersion": "9", "continue": next }, "items": [{ "name": name }] }))
    };
    let (requests, _, log) = server(move |_, path| match path {
        "/x?limit=500" => page("a", "to/ken"),
        "/x?limit=500&continue=to%2Fken" => page("b", ""),
        _ => Reply::no(404, &json!({})),
    });
    let listed = requests.list("/x").await.unwrap();
    assert_eq!((listed.items.len(), listed.version.as_str()), (2, "9"));
    assert_eq!(log.lock().unwrap().len(), 2);

    let (requests, _, _) = server(move |_, path| match path {
        "/x?limit=500" => page("a", "old"),
        "/x" => page("whole", ""),
        _ => Reply::no(410, &json!({})),
    });
    assert_eq!(requests.list("/x").await.unwrap().items, vec![json!({ "name": "whole" })]);
}
