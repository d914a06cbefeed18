//! The resources that facts are made of: where the server has them, and which kind of the language they feed.

use crate::catalog::types::Kind;

use super::Needs;

/// One resource that is listed and watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// v1 nodes.
    Nodes,
    /// v1 pods.
    Pods,
    /// apps/v1 deployments.
    Deployments,
    /// apps/v1 replicasets.
    ReplicaSets,
    /// apps/v1 statefulsets.
    StatefulSets,
    /// apps/v1 daemonsets.
    DaemonSets,
    /// policy/v1 poddisruptionbudgets.
    Budgets,
    /// autoscaling/v2 horizontalpodautoscalers.
    Autoscalers,
    /// batch/v1 jobs.
    Jobs,
    /// v1 events.
    Events,
    /// Leases of the nodes, in kube-node-lease.
    Leases,
    /// storage.k8s.io/v1 volumeattachments.
    VolumeAttachments,
    /// admissionregistration.k8s.io/v1 validatingwebhookconfigurations.
    ValidatingWebhooks,
    /// admissionregistration.k8s.io/v1 mutatingwebhookconfigurations.
    MutatingWebhooks,
}

impl Resource {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::Nodes,
        Self::Pods,
        Self::Deployments,
        Self::ReplicaSets,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::Budgets,
        Self::Autoscalers,
        Self::Jobs,
        Self::Events,
        Self::Leases,
        Self::VolumeAttachments,
        Self::ValidatingWebhooks,
        Self::MutatingWebhooks,
    ];

    /// The path of its list on the server.
    pub fn path(self) -> &'static str {
        match self {
            Self::Nodes => "/api/v1/nodes",
            Self::Pods => "/api/v1/pods",
            Self::Deployments => "/apis/apps/v1/deployments",
            Self::ReplicaSets => "/apis/apps/v1/replicasets",
            Self::StatefulSets => "/apis/apps/v1/statefulsets",
            Self::DaemonSets => "/apis/apps/v1/daemonsets",
            Self::Budgets => "/apis/policy/v1/poddisruptionbudgets",
            Self::Autoscalers => "/apis/autoscaling/v2/horizontalpodautoscalers",
            Self::Jobs => "/apis/batch/v1/jobs",
            Self::Events => "/api/v1/events",
            Self::Leases => "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
            Self::VolumeAttachments => "/apis/storage.k8s.io/v1/volumeattachments",
            Self::ValidatingWebhooks => "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            Self::MutatingWebhooks => "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        }
    }

    /// The path of one object.
    pub fn object_path(self, namespace: &str, name: &str) -> String {
        let list = self.path();
        match (namespace, list.rsplit_once('/')) {
            ("", _) | (_, None) => format!("{list}/{name}"),
            (_, Some(_)) if list.contains("/namespaces/") => format!("{list}/{name}"),
            (_, Some((group, plural))) => format!("{group}/namespaces/{namespace}/{plural}/{name}"),
        }
    }

    /// Its name in snapshots, and in messages: `deployments.apps`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
            Self::Deployments => "deployments.apps",
            Self::ReplicaSets => "replicasets.apps",
            Self::StatefulSets => "statefulsets.apps",
            Self::DaemonSets => "daemonsets.apps",
            Self::Budgets => "poddisruptionbudgets.policy",
            Self::Autoscalers => "horizontalpodautoscalers.autoscaling",
            Self::Jobs => "jobs.batch",
            Self::Events => "events",
            Self::Leases => "leases.coordination.k8s.io",
            Self::VolumeAttachments => "volumeattachments.storage.k8s.io",
            Self::ValidatingWebhooks => "validatingwebhookconfigurations.admissionregistration.k8s.io",
            Self::MutatingWebhooks => "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        }
    }

    /// The kind of the language that it feeds. No kind of their own are leases, which feed the nodes' `silent_for`, autoscalers,
    /// which tell how far workloads may be scaled, and volume attachments; drains read the latter two.
    pub fn kind(self) -> Kind {
        match self {
            Self::Nodes | Self::Leases | Self::VolumeAttachments => Kind::Node,
            Self::Pods => Kind::Pod,
            Self::Deployments | Self::ReplicaSets | Self::StatefulSets | Self::DaemonSets | Self::Autoscalers => {
                Kind::Workload
            }
            Self::Budgets => Kind::Budget,
            Self::Jobs => Kind::Job,
            Self::Events => Kind::Event,
            Self::ValidatingWebhooks | Self::MutatingWebhooks => Kind::Webhook,
        }
    }

    /// The resources that must be heard of for a kind to be known.
    pub fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Node => &[Self::Nodes],
            Kind::Pod => &[Self::Pods],
            Kind::Workload => &[Self::Deployments, Self::ReplicaSets, Self::StatefulSets, Self::DaemonSets],
            Kind::Budget => &[Self::Budgets],
            Kind::Job => &[Self::Jobs],
            Kind::Event => &[Self::Events],
            Kind::Webhook => &[Self::ValidatingWebhooks, Self::MutatingWebhooks],
            Kind::Cluster | Kind::Outcome => &[],
        }
    }

    /// Whether a cluster can be worked on without it: what reads it is unknown then.
    pub(super) fn is_optional(self) -> bool {
        match self {
            Self::Autoscalers | Self::Jobs | Self::Events | Self::Leases | Self::VolumeAttachments => true,
            Self::ValidatingWebhooks | Self::MutatingWebhooks => true,
            Self::Nodes | Self::Pods | Self::Budgets => false,
            Self::Deployments | Self::ReplicaSets | Self::StatefulSets | Self::DaemonSets => false,
        }
    }

    /// Whether it is watched for these needs.
    pub(super) fn is_needed(self, needs: Needs) -> bool {
        match self {
            Self::Autoscalers => needs.autoscalers,
            Self::Jobs => needs.jobs,
            Self::Events => needs.events,
            Self::Leases => needs.heartbeats,
            Self::VolumeAttachments => needs.attachments,
            Self::ValidatingWebhooks | Self::MutatingWebhooks => needs.webhooks,
            _ => true,
        }
    }

    /// The kind of Kubernetes, of what owns pods.
    pub fn controller_kind(self) -> Option<&'static str> {
        match self {
            Self::Deployments => Some("Deployment"),
            Self::ReplicaSets => Some("ReplicaSet"),
            Self::StatefulSets => Some("StatefulSet"),
            Self::DaemonSets => Some("DaemonSet"),
            _ => None,
        }
    }
}
