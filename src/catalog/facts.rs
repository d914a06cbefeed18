//! The facts and the fields of objects: type, whether it may be `none`, and a doc.

use super::types::{Kind, Type};

/// A fact that stands alone: `nodes`, `cluster`, `start`.
pub struct FactDecl {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: fn() -> Type,
    /// One sentence.
    pub doc: &'static str,
}

/// A field of an object.
pub struct FieldDecl {
    /// Of which kind of object.
    pub owner: Kind,
    /// Its name.
    pub name: &'static str,
    /// Its type; `T?` where it may be `none`.
    pub ty: fn() -> Type,
    /// One sentence.
    pub doc: &'static str,
}

fn list(kind: Kind) -> Type {
    Type::list(Type::Object(kind))
}
fn bool() -> Type {
    Type::Bool
}
fn int() -> Type {
    Type::Int
}
fn string() -> Type {
    Type::String
}
fn string_opt() -> Type {
    Type::String.optional()
}
fn version() -> Type {
    Type::Version
}
fn duration() -> Type {
    Type::Duration
}
fn time() -> Type {
    Type::Time
}
fn json() -> Type {
    Type::Json
}
fn texts() -> Type {
    Type::list(Type::String)
}
fn text_map() -> Type {
    Type::map(Type::String)
}
fn quantities() -> Type {
    Type::map(Type::Quantity)
}
fn cluster() -> Type {
    Type::Object(Kind::Cluster)
}
fn nodes() -> Type {
    list(Kind::Node)
}
fn pods() -> Type {
    list(Kind::Pod)
}
fn workloads() -> Type {
    list(Kind::Workload)
}
fn budgets() -> Type {
    list(Kind::Budget)
}
fn jobs() -> Type {
    list(Kind::Job)
}
fn events() -> Type {
    list(Kind::Event)
}
fn webhooks() -> Type {
    list(Kind::Webhook)
}
fn node_opt() -> Type {
    Type::Object(Kind::Node).optional()
}
fn workload_opt() -> Type {
    Type::Object(Kind::Workload).optional()
}
fn versions() -> Type {
    Type::list(Type::Version)
}

macro_rules! facts {
    ($($name:literal $ty:ident $doc:literal)*) => {
        /// Every fact.
        pub const FACTS: &[FactDecl] = &[$(FactDecl { name: $name, ty: $ty, doc: $doc }),*];
    };
}

macro_rules! fields {
    ($($owner:ident { $($name:literal $ty:ident $doc:literal)* })*) => {
        /// Every field of every kind.
        pub const FIELDS: &[FieldDecl] =
            &[$($(FieldDecl { owner: Kind::$owner, name: $name, ty: $ty, doc: $doc }),*),*];
    };
}

facts! {
    "cluster" cluster "the cluster as a whole"
    "nodes" nodes "every node, by name"
    "pods" pods "the pods that are meant to run: not finished, not being deleted, not sprag's own"
    "all_pods" pods "every pod"
    "workloads" workloads "every Deployment, StatefulSet, DaemonSet and ReplicaSet without an owner"
    "budgets" budgets "every PodDisruptionBudget"
    "jobs" jobs "every Job"
    "events" events "the recent events"
    "webhooks" webhooks "every admission webhook"
    "start" time "when the run began"
}

fields! {
    Cluster {
        "version" version "the lowest version of the API servers that can be seen"
        "versions" versions "the versions of the API servers that can be seen"
        "oldest_kubelet" version "the lowest kubelet version"
        "newest_kubelet" version "the highest kubelet version"
    }
    Node {
        "name" string "its name"
        "uid" string "its UID"
        "labels" text_map "its labels"
        "annotations" text_map "its annotations"
        "taints" texts "its taints as `key=value:effect`"
        "ready" bool "whether its condition Ready is True"
        "schedulable" bool "whether it is not cordoned"
        "held" bool "whether this run has it under way"
        "kubelet" version "the kubelet's version"
        "runtime" string "the container runtime and its version"
        "os_image" string "the operating system"
        "kernel" string "the kernel's version"
        "boot_id" string "changes with each boot"
        "zone" string_opt "its label topology.kubernetes.io/zone"
        "region" string_opt "its label topology.kubernetes.io/region"
        "provider_id" string_opt "the cloud's name for it"
        "allocatable" quantities "what pods may use; `cpu`, `memory` and `pods` are always there"
        "capacity" quantities "what it has; `cpu`, `memory` and `pods` are always there"
        "conditions" text_map "condition type to status: True, False or Unknown"
        "silent_for" duration "how long its kubelet has not renewed its lease"
        "pods" pods "the pods on it that are meant to run"
        "age" duration "since it was created"
        "raw" json "the object as the server has it"
    }
    Pod {
        "name" string "its name"
        "namespace" string "its namespace"
        "uid" string "its UID"
        "node" node_opt "the node that it is bound to"
        "phase" string "Pending, Running, Succeeded, Failed or Unknown"
        "ready" bool "whether its condition Ready is True"
        "restarts" int "restarts of its containers, summed"
        "owner" string_opt "its controller as `Kind/name`"
        "workload" workload_opt "the workload that it belongs to"
        "labels" text_map "its labels"
        "annotations" text_map "its annotations"
        "priority" int "its priority"
        "requests" quantities "what its containers request, summed"
        "terminating" bool "whether it is being deleted"
        "reason" string_opt "why it does not run: the scheduler's or the kubelet's word"
        "age" duration "since it was created"
        "raw" json "the object as the server has it"
    }
    Workload {
        "kind" string "Deployment, StatefulSet, DaemonSet or ReplicaSet"
        "name" string "its name"
        "namespace" string "its namespace"
        "uid" string "its UID"
        "desired" int "how many pods it is to have"
        "ready" int "how many of its pods are ready, counted from the pods"
        "available" int "how many have been ready for its minReadySeconds, counted from the pods"
        "pods" pods "its pods that are meant to run"
        "budgets" budgets "the budgets that cover one of its pods"
        "labels" text_map "its labels"
        "age" duration "since it was created"
    }
    Budget {
        "name" string "its name"
        "namespace" string "its namespace"
        "uid" string "its UID"
        "allowed" int "how many evictions its status allows now"
        "healthy" int "how many of its pods are healthy"
        "desired" int "how many must be"
        "expected" int "how many pods it counts"
        "disrupted" int "evictions that its status has not yet seen through"
        "pods" pods "the pods that it covers"
        "policy" string "its unhealthyPodEvictionPolicy: IfHealthyBudget or AlwaysAllow"
    }
    Job {
        "name" string "its name"
        "namespace" string "its namespace"
        "uid" string "its UID"
        "active" int "pods that run"
        "succeeded" int "pods that ended well"
        "failed" int "pods that failed"
        "complete" bool "whether its condition Complete is True"
        "labels" text_map "its labels"
        "age" duration "since it was created"
    }
    Event {
        "namespace" string "its namespace"
        "name" string "its name"
        "uid" string "its UID"
        "type" string "Normal or Warning"
        "reason" string "one word"
        "message" string "a sentence"
        "about" string "the object that it is about, as `Kind/name`"
        "count" int "how often it was seen"
        "age" duration "since it was last seen"
    }
    Webhook {
        "name" string "its name"
        "uid" string "the UID of its configuration"
        "failure_policy" string "Fail or Ignore"
        "service" string_opt "the service that answers, as `namespace/name`"
    }
    Outcome {
        "code" int "the exit code"
        "stdout" string "what it wrote, without the last line end"
    }
}

/// The fact of that name.
pub fn fact(name: &str) -> Option<&'static FactDecl> {
    FACTS.iter().find(|fact| fact.name == name)
}

/// The field of that name of that kind of object.
pub fn field(owner: Kind, name: &str) -> Option<&'static FieldDecl> {
    FIELDS.iter().find(|field| field.owner == owner && field.name == name)
}

/// The fields of a kind of object.
pub fn fields(owner: Kind) -> impl Iterator<Item = &'static FieldDecl> {
    FIELDS.iter().filter(move |field| field.owner == owner)
}

/// The fields that are known of an object even when it is gone.
pub const IDENTITY: &[&str] = &["name", "namespace", "uid"];

/// `workloads.regressed`: the one field that a list of objects has.
pub const REGRESSED: &str = "regressed";
