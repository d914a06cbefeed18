//! sprag's own facts follow the embedded server, as they would a real one.

use std::sync::Mutex;

use crate::catalog::types::Kind as FactKind;
use crate::catalog::value::ObjectRef;
use crate::cluster::Requests;
use crate::expr::FactSource;
use crate::facts::reads::Reads;
use crate::facts::{Needs, watch};

use super::*;

#[tokio::test(start_paused = true)]
async fn facts_list_and_watch_for_an_hour_without_an_error() {
    let talk = Talk::with(Vec::new(), Duration::from_millis(2), |stage| {
        stage.has(Kind::Namespace, json!({ "metadata": { "name": "kube-node-lease" } }));
        for name in ["n-1", "n-2"] {
            stage.has_node(name, "a");
            let metadata = json!({ "name": name, "namespace": "kube-node-lease" });
            stage.has(Kind::Lease, json!({ "metadata": metadata, "spec": { "holderIdentity": name } }));
            pod(stage, &format!("web-{name}"), name);
        }
    });
    let answers = Arc::new(Mutex::new(Vec::new()));
    let (server, noted) = (talk.server.clone(), Arc::clone(&answers));
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let (mut server, noted, path) = (server.clone(), Arc::clone(&noted), request.uri().to_string());
        async move {
            let answer = server.call(request).await?;
            noted.lock().expect("no test panics").push((path, answer.status().as_u16()));
            Ok::<_, std::io::Error>(answer)
        }
    });
    let clock: Arc<dyn crate::outside::Clock> = Arc::new(WorldClock::begin(START));
    let requests = Requests::new(kube::Client::new(service, "default"), Arc::clone(&clock), 7);
    let needs = Needs {
        jobs: true,
        events: true,
        webhooks: true,
        heartbeats: true,
        autoscalers: true,
        attachments: true,
        ..Needs::default()
    };
    let watched = watch(&requests, needs, Arc::clone(&clock)).await.expect("every kind is listed");
    let node = |name: &str| {
        let uid = talk
            .server
            .with(|world| world.cluster.store.find(Kind::Node, "", name).map(|node| node.meta.uid.to_string()));
        Arc::new(ObjectRef {
            kind: FactKind::Node,
            namespace: String::new(),
            name: name.to_owned(),
            uid: uid.unwrap_or_default(),
        })
    };
    let field = |name: &str, field: &str| {
        watched
            .facts
            .field(&node(name), field, &mut Reads::default())
            .map(|value| value.to_string())
            .map_err(|unknown| unknown.why)
    };
    assert_eq!(field("n-1", "schedulable"), Ok("true".to_owned()));
    tokio::time::sleep(Duration::from_secs(1800)).await;
    talk.ask("PATCH", "/api/v1/nodes/n-1", Some(&json!({ "spec": { "unschedulable": true } }))).await;
    tokio::time::sleep(Duration::from_secs(1795)).await;
    assert_eq!(field("n-1", "schedulable"), Ok("false".to_owned()));
    // A change brings the facts' clock to now: the last heartbeat was at the full ten seconds.
    talk.ask("PATCH", "/api/v1/nodes/n-1", Some(&json!({ "spec": { "unschedulable": null } }))).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(field("n-1", "schedulable"), Ok("true".to_owned()));
    // Five seconds, and what the requests took.
    assert_eq!(field("n-2", "silent_for").as_deref(), Ok("5s8ms"));
    let answers = answers.lock().expect("no test panics");
    let bad: Vec<_> = answers.iter().filter(|(_, code)| *code != 200).collect();
    assert!(bad.is_empty() && requests.trouble().is_none(), "{bad:?}");
    // A list each at the start, and a watch each minute: nothing was listed again.
    let lists = answers.iter().filter(|(path, _)| path.contains("limit=")).count();
    assert_eq!((lists, answers.len() > 14 * 60), (14, true), "{}", answers.len());
}
