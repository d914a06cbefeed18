//! Whom the server takes the login for.

use serde_json::json;

use super::{Reply, server};
use crate::cluster::{RequestError, identity};

#[tokio::test(start_paused = true)]
async fn the_server_says_who_is_there() {
    let mut times = 0;
    let (requests, _, log) = server(move |_, _| {
        times += 1;
        let user = json!({ "username": "anna@example.com", "uid": "1", "groups": ["sre", "system:authenticated"] });
        // An answer that is lost changes nothing: it is asked for again.
        if times == 1 { Reply::Break } else { Reply::good(&json!({ "status": { "userInfo": user } })) }
    });
    let who = identity(&requests).await.unwrap().unwrap();
    assert_eq!((who.name.as_str(), who.groups.join(" ").as_str()), ("anna@example.com", "sre system:authenticated"));
    let (_, method, path) = log.lock().unwrap().pop().unwrap();
    assert_eq!(format!("{method} {path}"), "POST /apis/authentication.k8s.io/v1/selfsubjectreviews");
}

#[tokio::test(start_paused = true)]
async fn one_that_has_no_such_review_does_not_know() {
    let (requests, ..) = server(|_, _| Reply::no(404, &json!({ "message": "the server could not find it" })));
    assert_eq!(identity(&requests).await.unwrap(), None);
    let (requests, ..) = server(|_, _| Reply::no(403, &json!({ "message": "no" })));
    assert!(matches!(identity(&requests).await, Err(RequestError::Forbidden(_))));
}
