//! The first words with a server: what each way of not answering means for a person.

use serde_json::json;

use super::{Reply, server};
use crate::cluster::LoginError;
use crate::cluster::login::greet;

/// A server that gives the same answer to both questions, and another one for kube-system.
async fn greeted(version: fn() -> Reply, namespace: fn() -> Reply) -> Result<(String, String), LoginError> {
    let (requests, _, _) = server(move |_, path| if path == "/version" { version() } else { namespace() });
    greet(&requests, "https://api:6443/", "prod").await
}

fn version() -> Reply {
    Reply::good(&json!({ "gitVersion": "v1.37.2" }))
}

fn kube_system() -> Reply {
    Reply::good(&json!({ "metadata": { "uid": "8c2f" } }))
}

fn forbidden() -> Reply {
    Reply::no(403, &json!({ "message": "you may not" }))
}

#[tokio::test(start_paused = true)]
async fn a_cluster_tells_its_version_and_who_it_is() {
    assert_eq!(greeted(version, kube_system).await.unwrap(), ("v1.37.2".to_owned(), "8c2f".to_owned()));
    // Who may not read the namespace can still work; the cluster has no name then.
    assert_eq!(greeted(version, forbidden).await.unwrap(), ("v1.37.2".to_owned(), String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_told_from_a_server_that_is_away() {
    let refused = [
        (
            (|| Reply::no(401, &json!({ "message": "Unauthorized" }))) as fn() -> Reply,
            "the login of context `prod` is refused: unauthorized",
        ),
        (forbidden, "the login of context `prod` may not even ask for the version: you may not"),
    ];
    for (reply, told) in refused {
        let error = greeted(reply, kube_system).await.unwrap_err();
        assert!(matches!(error, LoginError::Refused(_)), "{error:?}");
        assert_eq!(error.to_string(), told);
    }
    let away = [
        ((|| Reply::Refuse) as fn() -> Reply, "https://api:6443/ (context `prod`) is out of reach: connection refused"),
        (
            || Reply::Answer(200, Vec::new(), "<html>".to_owned()),
            "https://api:6443/ does not answer like an API server",
        ),
        (|| Reply::Answer(404, Vec::new(), String::new()), "https://api:6443/ does not answer like an API server"),
    ];
    for (reply, told) in away {
        let error = greeted(reply, kube_system).await.unwrap_err();
        assert!(matches!(error, LoginError::OutOfReach(_)), "{error:?}");
        assert!(error.to_string().starts_with(told), "{error}");
    }
}
