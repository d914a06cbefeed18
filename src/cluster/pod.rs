//! Sprag in a pod of the cluster that it works on: which pod and node that is, and whether the journal outlives the node.
//!
//! The pod is named by `SPRAG_POD_NAME` and `SPRAG_POD_NAMESPACE` (of the downward API), else, where sprag logs in with the
//! pod's service account, by `HOSTNAME` and the account's namespace. `SPRAG_NODE_NAME` stands for the node where the pod
//! cannot be read.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{RequestError, Requests};

/// Where the kubelet writes the namespace of a pod's service account.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// What the environment says of the pod that this process is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodNames {
    /// The pod's name.
    pub pod: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its node.
    pub node: Option<String>,
}

/// Where sprag itself runs in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPlace {
    /// The UID of its pod; empty where the pod cannot be read.
    pub pod_uid: String,
    /// The pod as `namespace/name`; empty where it is not known.
    pub pod: String,
    /// The name of its node.
    pub node: String,
    /// Whether the runs' folder is on a volume that can follow the pod to another node.
    pub outlives_node: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
    volumes: Vec<Volume>,
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Volume {
    name: String,
    persistent_volume_claim: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    volume_mounts: Vec<Mount>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Mount {
    name: String,
    mount_path: PathBuf,
}

impl PodNames {
    /// What this process's environment says. `HOSTNAME` counts only where sprag logged in as the pod: with a kubeconfig the
    /// pod may be in another cluster than the one that is worked on.
    pub fn of_environment(is_in_cluster: bool) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let of_pod = |name: &str| variable(name).filter(|_| is_in_cluster);
        let account = || std::fs::read_to_string(NAMESPACE_FILE).ok().map(|text| text.trim().to_owned());
        Self {
            pod: variable("SPRAG_POD_NAME").or_else(|| of_pod("HOSTNAME")),
            namespace: variable("SPRAG_POD_NAMESPACE").or_else(account),
            node: variable("SPRAG_NODE_NAME"),
        }
    }
}

/// Finds the pod that sprag is in; `None` where it is in none that the cluster knows. `folder` is that of the runs.
///
/// # Errors
/// What the server answered, if it did not say that there is no such pod or that it may not be read.
pub async fn own_place(requests: &Requests, names: &PodNames, folder: &Path) -> Result<Option<OwnPlace>, RequestError> {
    if let (Some(name), Some(namespace)) = (&names.pod, &names.namespace) {
        match requests.get::<Pod>(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await {
            Ok(pod) if !pod.spec.node_name.is_empty() => {
                return Ok(Some(OwnPlace {
                    outlives_node: is_on_claim(&pod.spec, folder),
                    pod_uid: pod.metadata.uid,
                    pod: format!("{namespace}/{name}"),
                    node: pod.spec.node_name,
                }));
            }
            Ok(_) | Err(RequestError::NotFound(_) | RequestError::Forbidden(_)) => {}
            Err(error) => return Err(error),
        }
    }
    // Of a pod that cannot be read nothing says that its volumes follow it.
    let unread = |node: &String| OwnPlace {
        pod_uid: String::new(),
        pod: String::new(),
        node: node.clone(),
        outlives_node: false,
    };
    Ok(names.node.as_ref().map(unread))
}

/// Whether every container that has a volume over the folder has it from a claim. A hostPath stays on its node, an
/// emptyDir and the container's own file system end with the pod.
fn is_on_claim(spec: &Spec, folder: &Path) -> bool {
    let is_claim =
        |name: &str| spec.volumes.iter().any(|volume| volume.name == name && volume.persistent_volume_claim.is_some());
    let mut over = spec.containers.iter().filter_map(|container| {
        let mounts = container.volume_mounts.iter().filter(|mount| folder.starts_with(&mount.mount_path));
        mounts.max_by_key(|mount| mount.mount_path.components().count())
    });
    let is_first = over.next().is_some_and(|mount| is_claim(&mount.name));
    is_first && over.all(|mount| is_claim(&mount.name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::outside::SystemClock;

    /// A server that has one pod, and says this code to whoever asks for another.
    fn server(pod: Value, otherwise: u16) -> Requests {
        let service = tower::service_fn(move |request: Request<Body>| {
            let is_it = request.uri().path() == "/api/v1/namespaces/ops/pods/sprag-0";
            let (code, body) = if is_it { (200, pod.clone()) } else { (otherwise, json!({"message": "no"})) };
            let response = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
            async move { Ok::<_, std::io::Error>(response.expect("a response")) }
        });
        Requests::new(kube::Client::new(service, "default"), Arc::new(SystemClock), 7)
    }

    fn names(pod: &str, node: Option<&str>) -> PodNames {
        PodNames { pod: Some(pod.to_owned()), namespace: Some("ops".to_owned()), node: node.map(str::to_owned) }
    }

    fn pod() -> Value {
        json!({
            "metadata": {"uid": "u"},
            "spec": {
                "nodeName": "n",
                "volumes": [
                    {"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}},
                    {"name": "host", "hostPath": {"path": "/var"}},
                    {"name": "empty", "emptyDir": {}},
                ],
                "containers": [
                    {"volumeMounts": [
                        {"name": "runs", "mountPath": "/data"},
                        {"name": "empty", "mountPath": "/data/cache"},
                        {"name": "host", "mountPath": "/host"},
                    ]},
                    {},
                ],
            },
        })
    }

    #[tokio::test]
    async fn the_pod_tells_its_node_and_whether_the_folder_follows_it() {
        for (folder, outlives_node) in [
            ("/data/.sprag/runs", true),
            ("/data/cache/runs", false),
            ("/host/runs", false),
            ("/database/runs", false),
            ("/tmp/runs", false),
        ] {
            let place = own_place(&server(pod(), 404), &names("sprag-0", None), Path::new(folder)).await;
            let expected = OwnPlace { pod_uid: "u".into(), pod: "ops/sprag-0".into(), node: "n".into(), outlives_node };
            assert_eq!(place.unwrap(), Some(expected), "{folder}");
        }
    }

    #[tokio::test]
    async fn a_pod_that_is_not_there_or_not_to_be_read_leaves_what_the_environment_says() {
        for code in [404, 403] {
            let server = server(pod(), code);
            let place = own_place(&server, &names("laptop", None), Path::new("/data")).await;
            assert_eq!(place.unwrap(), None, "a laptop's HOSTNAME names no pod");
            let place = own_place(&server, &names("laptop", Some("n")), Path::new("/data")).await.unwrap().unwrap();
            assert_eq!((place.node.as_str(), place.outlives_node), ("n", false));
        }
        let refused = own_place(&server(pod(), 401), &names("laptop", None), Path::new("/data")).await;
        assert!(matches!(refused, Err(RequestError::Unauthorized(_))));
    }
}
