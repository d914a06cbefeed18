//! What runs on a pool's nodes, as a test describes it.

use serde_json::{Value, json};

/// A workload to be created in a pool; its pods bear the label `app` with its name, and stay on the pool's nodes.
///
/// Its pods ask for 100m cpu and 64Mi, become ready after a second and stop a second after their deletion, unless it
/// says otherwise.
#[derive(Debug, Clone)]
pub struct Workload {
    kind: Kind,
    name: String,
    /// `spec` of the object, without selector and template.
    spec: Value,
    /// Metadata and spec of its pods.
    template: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    Pod,
}

impl Workload {
    /// A Deployment of `replicas` pods.
    pub fn deployment(name: &str, replicas: u32) -> Workload {
        Workload::new(Kind::Deployment, name, json!({"replicas": replicas}))
    }

    /// A StatefulSet of `replicas` pods.
    pub fn stateful_set(name: &str, replicas: u32) -> Workload {
        Workload::new(Kind::StatefulSet, name, json!({"replicas": replicas, "serviceName": name}))
    }

    /// A DaemonSet, with a pod on each node of the pool.
    pub fn daemon_set(name: &str) -> Workload {
        Workload::new(Kind::DaemonSet, name, json!({}))
    }

    /// A Job of `completions` pods, all of them at once.
    pub fn job(name: &str, completions: u32) -> Workload {
        let job = Workload::new(Kind::Job, name, json!({"completions": completions, "parallelism": completions}));
        job.pod_spec("restartPolicy", json!("Never"))
    }

    /// A pod that nobody owns.
    pub fn pod(name: &str) -> Workload {
        Workload::new(Kind::Pod, name, json!({}))
    }

    fn new(kind: Kind, name: &str, spec: Value) -> Workload {
        let requests = json!({"cpu": "100m", "memory": "64Mi"});
        let template = json!({
            "metadata": {"labels": {"app": name}, "annotations": {}},
            "spec": {"containers": [{"name": "main", "image": "app:1", "resources": {"requests": requests}}]},
        });
        Workload { kind, name: name.into(), spec, template }
    }

    /// Sets a field of the pods' spec.
    pub fn pod_spec(mut self, field: &str, value: Value) -> Workload {
        self.template["spec"][field] = value;
        self
    }

    /// Sets a field of the object's own spec, such as a Job's `backoffLimit`.
    pub fn spec(mut self, field: &str, value: Value) -> Workload {
        self.spec[field] = value;
        self
    }

    /// Puts a label on the pods.
    pub fn label(mut self, key: &str, value: &str) -> Workload {
        self.template["metadata"]["labels"][key] = json!(value);
        self
    }

    /// Puts an annotation on the pods.
    pub fn annotation(mut self, key: &str, value: &str) -> Workload {
        self.template["metadata"]["annotations"][key] = json!(value);
        self
    }

    /// The time from a pod's binding to a node until it is ready, in seconds, such as `2s` or `0.5s`.
    pub fn ready_after(self, time: &str) -> Workload {
        self.annotation("sprag.test/ready-after", time)
    }

    /// The pods run, but never become ready.
    pub fn never_ready(self) -> Workload {
        self.annotation("sprag.test/never-ready", "true")
    }

    /// The time from a pod's deletion until its containers have stopped; the grace period cuts it off.
    pub fn stop_after(self, time: &str) -> Workload {
        self.annotation("sprag.test/stop-after", time)
    }

    /// The time from a Job's pod being ready until it has succeeded.
    pub fn complete_after(self, time: &str) -> Workload {
        self.annotation("sprag.test/complete-after", time)
    }

    /// The pods' grace period; 30 seconds by Kubernetes' default.
    pub fn grace(self, seconds: u32) -> Workload {
        self.pod_spec("terminationGracePeriodSeconds", json!(seconds))
    }

    /// A finalizer that holds up the removal of each pod.
    pub fn finalizer(mut self, name: &str) -> Workload {
        self.template["metadata"]["finalizers"] = json!([name]);
        self
    }

    /// What each pod asks for.
    pub fn requests(mut self, cpu: &str, memory: &str) -> Workload {
        self.template["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": cpu, "memory": memory});
        self
    }

    /// The pods tolerate every taint.
    pub fn tolerates_everything(self) -> Workload {
        self.pod_spec("tolerations", json!([{"operator": "Exists"}]))
    }

    /// The pods are bound to this node, past the scheduler.
    pub fn on(self, node: &str) -> Workload {
        self.pod_spec("nodeName", json!(node))
    }

    /// The path to post the object to.
    pub fn path(&self, namespace: &str) -> String {
        match self.kind {
            Kind::Deployment => format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
            Kind::StatefulSet => format!("/apis/apps/v1/namespaces/{namespace}/statefulsets"),
            Kind::DaemonSet => format!("/apis/apps/v1/namespaces/{namespace}/daemonsets"),
            Kind::Job => format!("/apis/batch/v1/namespaces/{namespace}/jobs"),
            Kind::Pod => format!("/api/v1/namespaces/{namespace}/pods"),
        }
    }

    /// The object to post, whose pods can run on the nodes of `pool` only.
    pub fn object(mut self, pool: &str) -> Value {
        let term = json!({"matchExpressions": [{"key": super::world::POOL, "operator": "In", "values": [pool]}]});
        self.template["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!({"nodeSelectorTerms": [term]});
        let mut object = match self.kind {
            Kind::Pod => self.template,
            _ => self.owner(),
        };
        object["metadata"]["name"] = json!(self.name);
        object
    }

    fn owner(&self) -> Value {
        let mut spec = self.spec.clone();
        if self.kind != Kind::Job {
            spec["selector"] = json!({"matchLabels": {"app": self.name}});
        }
        spec["template"] = self.template.clone();
        json!({"metadata": {"labels": {"app": self.name}}, "spec": spec})
    }
}
