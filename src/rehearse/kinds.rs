//! The kinds that the embedded API server knows, each declared once: group, version, names and subresources.
//!
//! Kinds of a snapshot that stand in no row here are kept as opaque objects ([`Kind::Opaque`]): they can be listed and read.

/// The namespace of the nodes' Leases, by which kubelets say that they live.
pub const NODE_LEASES: &str = "kube-node-lease";

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// v1 Node.
    Node,
    /// v1 Pod.
    Pod,
    /// v1 Namespace.
    Namespace,
    /// v1 Event; events.k8s.io/v1 shows the same objects.
    Event,
    /// v1 ConfigMap.
    ConfigMap,
    /// v1 Secret.
    Secret,
    /// v1 Service.
    Service,
    /// v1 ServiceAccount.
    ServiceAccount,
    /// v1 PersistentVolume.
    PersistentVolume,
    /// v1 PersistentVolumeClaim.
    PersistentVolumeClaim,
    /// v1 ResourceQuota: kept, not enforced.
    ResourceQuota,
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 ReplicaSet.
    ReplicaSet,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// apps/v1 ControllerRevision.
    ControllerRevision,
    /// batch/v1 Job.
    Job,
    /// batch/v1 CronJob: kept, starts nothing.
    CronJob,
    /// policy/v1 PodDisruptionBudget.
    PodDisruptionBudget,
    /// coordination.k8s.io/v1 Lease.
    Lease,
    /// scheduling.k8s.io/v1 PriorityClass.
    PriorityClass,
    /// storage.k8s.io/v1 StorageClass.
    StorageClass,
    /// storage.k8s.io/v1 CSINode.
    CsiNode,
    /// storage.k8s.io/v1 VolumeAttachment.
    VolumeAttachment,
    /// autoscaling/v2 HorizontalPodAutoscaler: kept, scales nothing.
    HorizontalPodAutoscaler,
    /// admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration: kept, asks nobody.
    ValidatingWebhookConfiguration,
    /// admissionregistration.k8s.io/v1 MutatingWebhookConfiguration: kept, asks nobody.
    MutatingWebhookConfiguration,
    /// A kind that a snapshot brought; its place in the store's register.
    Opaque(u16),
}

/// What the server says of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// The kind.
    pub kind: Kind,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The version.
    pub version: &'static str,
    /// The resource's name in paths.
    pub plural: &'static str,
    /// The kind's name in objects.
    pub name: &'static str,
    /// Short names, as kubectl takes them.
    pub short: &'static [&'static str],
    /// Whether its objects lie in namespaces.
    pub is_namespaced: bool,
    /// Whether it has the subresource `status`.
    pub has_status: bool,
    /// Whether it has the subresource `scale`.
    pub has_scale: bool,
}

impl KindInfo {
    const fn status(mut self) -> Self {
        self.has_status = true;
        self
    }

    const fn scale(mut self) -> Self {
        self.has_scale = true;
        self.has_status = true;
        self
    }

    const fn short(mut self, short: &'static [&'static str]) -> Self {
        self.short = short;
        self
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether that is its `apiVersion`.
    pub fn has_api_version(&self, api_version: &str) -> bool {
        match api_version.split_once('/') {
            Some((group, version)) => group == self.group && version == self.version,
            None => self.group.is_empty() && api_version == self.version,
        }
    }

    /// The resource with its group, as messages and snapshots name it: `deployments.apps`, `pods`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

const fn row(
    kind: Kind,
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    name: &'static str,
    is_namespaced: bool,
) -> KindInfo {
    KindInfo { kind, group, version, plural, name, short: &[], is_namespaced, has_status: false, has_scale: false }
}

const ADMISSION: &str = "admissionregistration.k8s.io";

/// Every kind but the opaque ones, in the order in which discovery names them.
pub const KINDS: &[KindInfo] = &[
    row(Kind::Node, "", "v1", "nodes", "Node", false).status().short(&["no"]),
    row(Kind::Pod, "", "v1", "pods", "Pod", true).status().short(&["po"]),
    row(Kind::Namespace, "", "v1", "namespaces", "Namespace", false).status().short(&["ns"]),
    row(Kind::Event, "", "v1", "events", "Event", true).short(&["ev"]),
    row(Kind::ConfigMap, "", "v1", "configmaps", "ConfigMap", true).short(&["cm"]),
    row(Kind::Secret, "", "v1", "secrets", "Secret", true),
    row(Kind::Service, "", "v1", "services", "Service", true).status().short(&["svc"]),
    row(Kind::ServiceAccount, "", "v1", "serviceaccounts", "ServiceAccount", true).short(&["sa"]),
    row(Kind::PersistentVolume, "", "v1", "persistentvolumes", "PersistentVolume", false).status().short(&["pv"]),
    row(Kind::PersistentVolumeClaim, "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true)
        .status()
        .short(&["pvc"]),
    row(Kind::ResourceQuota, "", "v1", "resourcequotas", "ResourceQuota", true).status().short(&["quota"]),
    row(Kind::Deployment, "apps", "v1", "deployments", "Deployment", true).scale().short(&["deploy"]),
    row(Kind::ReplicaSet, "apps", "v1", "replicasets", "ReplicaSet", true).scale().short(&["rs"]),
    row(Kind::StatefulSet, "apps", "v1", "statefulsets", "StatefulSet", true).scale().short(&["sts"]),
    row(Kind::DaemonSet, "apps", "v1", "daemonsets", "DaemonSet", true).status().short(&["ds"]),
    row(Kind::ControllerRevision, "apps", "v1", "controllerrevisions", "ControllerRevision", true),
    row(Kind::Job, "batch", "v1", "jobs", "Job", true).status(),
    row(Kind::CronJob, "batch", "v1", "cronjobs", "CronJob", true).status().short(&["cj"]),
    row(Kind::PodDisruptionBudget, "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true)
        .status()
        .short(&["pdb"]),
    row(Kind::Lease, "coordination.k8s.io", "v1", "leases", "Lease", true),
    row(Kind::PriorityClass, "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false).short(&["pc"]),
    row(Kind::StorageClass, "storage.k8s.io", "v1", "storageclasses", "StorageClass", false).short(&["sc"]),
    row(Kind::CsiNode, "storage.k8s.io", "v1", "csinodes", "CSINode", false),
    row(Kind::VolumeAttachment, "storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", false).status(),
    row(
        Kind::HorizontalPodAutoscaler,
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        true,
    )
    .status()
    .short(&["hpa"]),
    row(
        Kind::ValidatingWebhookConfiguration,
        ADMISSION,
        "v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        false,
    ),
    row(
        Kind::MutatingWebhookConfiguration,
        ADMISSION,
        "v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        false,
    ),
];

impl Kind {
    /// What the server says of it; `None` for an opaque one, which the store's register knows.
    pub fn info(self) -> Option<&'static KindInfo> {
        KINDS.iter().find(|info| info.kind == self)
    }

    /// The kind that a resource's name with its group stands for, as snapshots write it (`deployments.apps`).
    pub fn of_resource(resource: &str) -> Option<Self> {
        KINDS.iter().find(|info| info.resource() == resource).map(|info| info.kind)
    }

    /// What is served as this resource of a group's version.
    pub fn served(group: &str, version: &str, plural: &str) -> Option<&'static KindInfo> {
        KINDS.iter().find(|info| info.plural == plural && info.group == group && info.version == version)
    }

    /// The kind that objects of this `apiVersion` and `kind` are of.
    pub fn of_object(api_version: &str, name: &str) -> Option<Self> {
        KINDS.iter().find(|info| info.name == name && info.has_api_version(api_version)).map(|info| info.kind)
    }
}
