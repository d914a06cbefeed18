//! Fields of objects and facts that stand alone, read from the tables, each noting what it read.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::quantity::Quantity;
use crate::catalog::types::Kind;
use crate::catalog::value::{ObjectRef, Value};
use crate::catalog::version::Version;

use super::objects::{Budget, Container, ContainerStatus, Event, Job, Meta, Node, Pod, Webhook, condition};
use super::reads::{ReadKey, Reads, Unknown};
use super::resource::Resource;
use super::tables::{Facts, desired, reference};

type Read = Result<Value, Unknown>;

impl Facts {
    /// A fact that stands alone.
    pub(super) fn fact(&self, name: &str, reads: &mut Reads) -> Read {
        match name {
            "cluster" => Ok(object(ObjectRef {
                kind: Kind::Cluster,
                namespace: String::new(),
                name: "cluster".to_owned(),
                uid: "cluster".to_owned(),
            })),
            "nodes" => self.all(Kind::Node, reads, self.nodes.iter().map(|node| &node.metadata)),
            "pods" => {
                let running = self.pods.iter().filter(|pod| pod.is_meant_to_run());
                self.all(Kind::Pod, reads, running.map(|pod| &pod.metadata))
            }
            "all_pods" => self.all(Kind::Pod, reads, self.pods.iter().map(|pod| &pod.metadata)),
            "workloads" => self.all(Kind::Workload, reads, self.workloads().into_iter().map(|(_, one)| &one.metadata)),
            "budgets" => self.all(Kind::Budget, reads, self.budgets.iter().map(|budget| &budget.metadata)),
            "jobs" => self.all(Kind::Job, reads, self.jobs.iter().map(|job| &job.metadata)),
            "events" => self.all(Kind::Event, reads, self.events.iter().map(|event| &event.metadata)),
            "webhooks" => self.webhook_list(reads),
            "start" => {
                reads.note(ReadKey::Run);
                self.run.started.map(Value::Time).ok_or_else(|| Unknown::new("the run has not begun"))
            }
            other => Err(Unknown::new(format!("there is no fact `{other}`"))),
        }
    }

    fn all<'a>(&self, kind: Kind, reads: &mut Reads, metas: impl Iterator<Item = &'a Meta>) -> Read {
        reads.note(ReadKey::Members(kind));
        self.known(kind)?;
        Ok(Value::list(metas.map(|meta| object(reference(kind, meta))).collect()))
    }

    /// One object a webhook; they share the UID of their configuration, so that the name tells them apart.
    fn webhook_list(&self, reads: &mut Reads) -> Read {
        reads.note(ReadKey::Members(Kind::Webhook));
        self.known(Kind::Webhook)?;
        let configurations = self.webhooks.values().flat_map(super::tables::Table::iter);
        let webhooks = configurations.flat_map(|one| one.webhooks.iter().map(move |webhook| (one, webhook)));
        let webhooks = webhooks.map(|(one, webhook)| {
            object(ObjectRef {
                kind: Kind::Webhook,
                namespace: String::new(),
                name: webhook.name.clone(),
                uid: one.metadata.uid.clone(),
            })
        });
        Ok(Value::list(webhooks.collect()))
    }

    /// `workloads.regressed`: whole when the run began, not whole now, and not rolled out by their owner since.
    pub(super) fn regressed(&self, reads: &mut Reads) -> Read {
        reads.note(ReadKey::Run);
        reads.note(ReadKey::List(Kind::Workload));
        self.known(Kind::Workload)?;
        self.known(Kind::Pod)?;
        let mut regressed = Vec::new();
        for (resource, controller) in self.workloads() {
            let was_whole = self.run.whole.get(&controller.metadata.uid) == Some(&controller.spec.template_hash);
            if !was_whole {
                continue;
            }
            let (available, next) = self.available(&controller.metadata.uid, controller);
            reads.keys.extend(next.map(ReadKey::Clock));
            if available < desired(resource, controller) {
                regressed.push(object(reference(Kind::Workload, &controller.metadata)));
            }
        }
        Ok(Value::list(regressed))
    }

    /// A field of an object.
    pub(super) fn field(&self, of: &Arc<ObjectRef>, field: &str, reads: &mut Reads) -> Read {
        match field {
            "name" => return Ok(Value::string(of.name.as_str())),
            "namespace" => return Ok(Value::string(of.namespace.as_str())),
            "uid" => return Ok(Value::string(of.uid.as_str())),
            _ => {}
        }
        if of.kind != Kind::Cluster {
            reads.note(ReadKey::Object(of.clone()));
            self.known(of.kind)?;
        }
        let gone = || Unknown::new(format!("{} `{of}` is gone", of.kind.word()));
        let value = match of.kind {
            Kind::Cluster => self.cluster_field(field, reads)?,
            Kind::Node => self.node_field(self.nodes.get(&of.uid).ok_or_else(gone)?, field, reads)?,
            Kind::Pod => self.pod_field(self.pods.get(&of.uid).ok_or_else(gone)?, field, reads)?,
            Kind::Workload => self.workload_field(of, field, reads)?.ok_or_else(gone)?,
            Kind::Budget => self.budget_field(self.budgets.get(&of.uid).ok_or_else(gone)?, field, reads)?,
            Kind::Job => self.job_field(self.jobs.get(&of.uid).ok_or_else(gone)?, field, reads),
            Kind::Event => self.event_field(self.events.get(&of.uid).ok_or_else(gone)?, field, reads),
            Kind::Webhook => webhook_field(self.webhook(of).ok_or_else(gone)?, field),
            Kind::Outcome => None,
        };
        value.ok_or_else(|| Unknown::new(format!("a {} has no field `{field}`", of.kind.word())))
    }

    fn cluster_field(&self, field: &str, reads: &mut Reads) -> Result<Option<Value>, Unknown> {
        // The server's version is noted with what the run itself knows: there is one of each.
        reads.note(ReadKey::Run);
        let lowest = |versions: &[Version]| versions.iter().min().cloned();
        Ok(match field {
            "version" => Some(Value::Version(
                lowest(&self.api_versions).ok_or_else(|| Unknown::new("the API server's version cannot be read"))?,
            )),
            "versions" => Some(Value::list(self.api_versions.iter().cloned().map(Value::Version).collect())),
            "oldest_kubelet" | "newest_kubelet" => {
                reads.note(ReadKey::List(Kind::Node));
                self.known(Kind::Node)?;
                let kubelets = self.nodes.iter().map(|node| kubelet(node)).collect::<Result<Vec<_>, _>>()?;
                let found = if field == "oldest_kubelet" { kubelets.iter().min() } else { kubelets.iter().max() };
                Some(Value::Version(found.cloned().ok_or_else(|| Unknown::new("there are no nodes"))?))
            }
            _ => None,
        })
    }

    fn node_field(&self, node: &Node, field: &str, reads: &mut Reads) -> Result<Option<Value>, Unknown> {
        let (meta, info) = (&node.metadata, &node.status.node_info);
        let label = |key: &str| Value::optional_text(meta.labels.get(key).map(String::as_str));
        Ok(Some(match field {
            "ready" => {
                Value::Bool(condition(&node.status.conditions, "Ready").is_some_and(|ready| ready.status == "True"))
            }
            "schedulable" => Value::Bool(!node.spec.unschedulable),
            "held" => {
                reads.note(ReadKey::Run);
                Value::Bool(self.run.held.contains(&meta.name))
            }
            "kubelet" => Value::Version(kubelet(node)?),
            "runtime" => Value::string(info.container_runtime_version.as_str()),
            "os_image" => Value::string(info.os_image.as_str()),
            "kernel" => Value::string(info.kernel_version.as_str()),
            "boot_id" => Value::string(info.boot_id.as_str()),
            "zone" => label("topology.kubernetes.io/zone"),
            "region" => label("topology.kubernetes.io/region"),
            "provider_id" => Value::optional_text(node.spec.provider_id.as_deref()),
            "taints" => Value::list(
                node.spec
                    .taints
                    .iter()
                    .map(|taint| Value::string(format!("{}={}:{}", taint.key, taint.value, taint.effect)))
                    .collect(),
            ),
            "allocatable" => quantities(&node.status.allocatable),
            "capacity" => quantities(&node.status.capacity),
            "conditions" => Value::text_map(
                &node.status.conditions.iter().map(|one| (one.kind.clone(), one.status.clone())).collect(),
            ),
            "silent_for" => self.silent_for(node, reads)?,
            "pods" => {
                reads.note(ReadKey::PodsOfNode(meta.name.as_str().into()));
                self.known(Kind::Pod)?;
                running(&self.pods_on(&meta.name))
            }
            "raw" => self.raw_of(Kind::Node, meta)?,
            _ => return Ok(self.meta_field(meta, field, reads)),
        }))
    }

    /// How long its kubelet has not renewed its lease, by our clock.
    fn silent_for(&self, node: &Node, reads: &mut Reads) -> Read {
        reads.note(ReadKey::Clock(self.now + 1000));
        // Our own silence is not the kubelet's.
        self.is_known(Resource::Leases)?;
        let lease = self.leases.named("kube-node-lease", &node.metadata.name);
        let renewed = lease.and_then(|lease| lease.spec.renew_time);
        let renewed = renewed.ok_or_else(|| Unknown::new(format!("node `{}` has no lease", node.metadata.name)))?;
        Ok(Value::Duration((self.now - renewed.as_millisecond()).max(0)))
    }

    fn raw_of(&self, kind: Kind, meta: &Meta) -> Read {
        let raw = self.raw(&reference(kind, meta)).cloned();
        raw.map(Value::Json)
            .ok_or_else(|| Unknown::new(format!("the object of {} `{}` is not kept", kind.word(), meta.name)))
    }

    fn pod_field(&self, pod: &Pod, field: &str, reads: &mut Reads) -> Result<Option<Value>, Unknown> {
        let meta = &pod.metadata;
        Ok(Some(match field {
            "node" => {
                reads.note(ReadKey::Members(Kind::Node));
                self.known(Kind::Node)?;
                let node = self.node(&pod.spec.node_name);
                node.map_or(Value::None, |node| object(reference(Kind::Node, &node.metadata)))
            }
            "phase" => Value::string(pod.status.phase.as_str()),
            "ready" => Value::Bool(pod.is_ready()),
            "restarts" => {
                Value::Int(pod.status.container_statuses.iter().map(|container| container.restart_count).sum())
            }
            "owner" => match meta.controller() {
                Some(owner) => Value::string(format!("{}/{}", owner.kind, owner.name)),
                None => Value::None,
            },
            "workload" => {
                // Its ReplicaSet may come later than it does.
                reads.note(ReadKey::Members(Kind::Workload));
                self.known(Kind::Workload)?;
                self.workload_of(pod).map_or(Value::None, object)
            }
            "priority" => Value::Int(pod.spec.priority),
            "requests" => requests(pod),
            "terminating" => Value::Bool(meta.is_terminating()),
            "reason" => Value::optional_text(reason(pod).as_deref()),
            "raw" => self.raw_of(Kind::Pod, meta)?,
            _ => return Ok(self.meta_field(meta, field, reads)),
        }))
    }

    fn workload_field(
        &self,
        of: &Arc<ObjectRef>,
        field: &str,
        reads: &mut Reads,
    ) -> Result<Option<Option<Value>>, Unknown> {
        let Some((resource, controller)) = self.workload(&of.uid) else { return Ok(None) };
        let mut of_pods = || {
            reads.note(ReadKey::PodsOfWorkload(of.uid.as_str().into()));
            self.known(Kind::Pod)
        };
        Ok(Some(Some(match field {
            "kind" => Value::string(resource.controller_kind().unwrap_or_default()),
            "desired" => Value::Int(desired(resource, controller)),
            "ready" => {
                of_pods()?;
                Value::Int(self.replicas(&of.uid).map_or(0, |(_, ready)| ready))
            }
            "available" => {
                of_pods()?;
                let (available, next) = self.available(&of.uid, controller);
                reads.keys.extend(next.map(ReadKey::Clock));
                Value::Int(available)
            }
            "pods" => {
                of_pods()?;
                running(&self.pods_of_workload(&of.uid))
            }
            "budgets" => {
                of_pods()?;
                reads.note(ReadKey::List(Kind::Budget));
                self.known(Kind::Budget)?;
                let pods = self.pods_of_workload(&of.uid);
                let budgets = self.budgets.iter().filter(|budget| pods.iter().any(|pod| budget.covers(pod)));
                Value::list(budgets.map(|budget| object(reference(Kind::Budget, &budget.metadata))).collect())
            }
            _ => return Ok(Some(self.meta_field(&controller.metadata, field, reads))),
        })))
    }

    fn budget_field(&self, budget: &Budget, field: &str, reads: &mut Reads) -> Result<Option<Value>, Unknown> {
        let status = &budget.status;
        Ok(Some(match field {
            "allowed" => Value::Int(status.disruptions_allowed),
            "healthy" => Value::Int(status.current_healthy),
            "desired" => Value::Int(status.desired_healthy),
            "expected" => Value::Int(status.expected_pods),
            "disrupted" => Value::Int(i64::try_from(status.disrupted_pods.len()).unwrap_or(i64::MAX)),
            "pods" => {
                reads.note(ReadKey::Members(Kind::Pod));
                self.known(Kind::Pod)?;
                running(&self.pods_of_budget(budget))
            }
            "policy" => {
                Value::string(budget.spec.unhealthy_pod_eviction_policy.as_deref().unwrap_or("IfHealthyBudget"))
            }
            _ => return Ok(self.meta_field(&budget.metadata, field, reads)),
        }))
    }

    fn job_field(&self, job: &Job, field: &str, reads: &mut Reads) -> Option<Value> {
        Some(match field {
            "active" => Value::Int(job.status.active),
            "succeeded" => Value::Int(job.status.succeeded),
            "failed" => Value::Int(job.status.failed),
            "complete" => {
                Value::Bool(condition(&job.status.conditions, "Complete").is_some_and(|one| one.status == "True"))
            }
            _ => return self.meta_field(&job.metadata, field, reads),
        })
    }

    fn event_field(&self, event: &Event, field: &str, reads: &mut Reads) -> Option<Value> {
        Some(match field {
            "type" => Value::string(event.severity.as_str()),
            "reason" => Value::string(event.reason.as_str()),
            "message" => Value::string(event.message.as_str()),
            "about" => Value::string(format!("{}/{}", event.involved_object.kind, event.involved_object.name)),
            "count" => Value::Int(event.count.unwrap_or(1)),
            "age" => {
                let seen = event.last_timestamp.or(event.event_time).or(event.metadata.creation_timestamp);
                self.since(seen.map(jiff::Timestamp::as_millisecond), reads)
            }
            _ => return None,
        })
    }

    fn webhook(&self, of: &ObjectRef) -> Option<&Webhook> {
        let configuration = self.webhooks.values().find_map(|table| table.get(&of.uid))?;
        configuration.webhooks.iter().find(|webhook| webhook.name == of.name)
    }

    /// The fields that every object has.
    fn meta_field(&self, meta: &Meta, field: &str, reads: &mut Reads) -> Option<Value> {
        Some(match field {
            "labels" => Value::text_map(&meta.labels),
            "annotations" => Value::text_map(&meta.annotations),
            "age" => self.since(meta.creation_timestamp.map(jiff::Timestamp::as_millisecond), reads),
            _ => return None,
        })
    }

    fn since(&self, then: Option<i64>, reads: &mut Reads) -> Value {
        reads.note(ReadKey::Clock(self.now + 1000));
        Value::Duration((self.now - then.unwrap_or(self.now)).max(0))
    }
}

fn object(of: ObjectRef) -> Value {
    Value::Object(Arc::new(of))
}

fn running(pods: &[Arc<Pod>]) -> Value {
    let running = pods.iter().filter(|pod| pod.is_meant_to_run());
    Value::list(running.map(|pod| object(reference(Kind::Pod, &pod.metadata))).collect())
}

fn kubelet(node: &Node) -> Result<Version, Unknown> {
    let text = &node.status.node_info.kubelet_version;
    text.parse().map_err(|_| Unknown::new(format!("the kubelet of `{}` says the version `{text}`", node.metadata.name)))
}

/// What a map of amounts says; `cpu`, `memory` and `pods` are always there.
fn quantities(amounts: &BTreeMap<String, String>) -> Value {
    let always = ["cpu", "memory", "pods"].map(|name| (name.to_owned(), Quantity::whole(0)));
    let mut all: BTreeMap<String, Quantity> = always.into_iter().collect();
    all.extend(amounts.iter().filter_map(|(name, text)| Some((name.clone(), text.parse().ok()?))));
    Value::Map(Arc::new(all.into_iter().map(|(name, amount)| (name, Value::Quantity(amount))).collect()))
}

/// What the scheduler counts for a pod: its containers and sidecars together, or its largest init container, and the
/// overhead of its sandbox (KEP-753, "Resources calculation for scheduling").
fn requests(pod: &Pod) -> Value {
    let mut all: BTreeMap<String, i128> = BTreeMap::new();
    let amounts = |container: &Container| -> Vec<(String, i128)> {
        let requests = container.resources.requests.iter();
        requests.filter_map(|(name, text)| Some((name.clone(), text.parse::<Quantity>().ok()?.milli))).collect()
    };
    let mut sidecars: BTreeMap<String, i128> = BTreeMap::new();
    let mut largest: BTreeMap<String, i128> = BTreeMap::new();
    for container in &pod.spec.init_containers {
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        for (name, amount) in amounts(container) {
            let before = sidecars.entry(name.clone()).or_default();
            if is_sidecar {
                *before += amount;
            }
            let needed = if is_sidecar { *before } else { *before + amount };
            let most = largest.entry(name).or_default();
            *most = needed.max(*most);
        }
    }
    for container in &pod.spec.containers {
        for (name, amount) in amounts(container) {
            *all.entry(name).or_default() += amount;
        }
    }
    for (name, amount) in sidecars {
        *all.entry(name).or_default() += amount;
    }
    for (name, amount) in largest {
        let most = all.entry(name).or_default();
        *most = amount.max(*most);
    }
    for (name, text) in &pod.spec.overhead {
        if let Ok(amount) = text.parse::<Quantity>() {
            *all.entry(name.clone()).or_default() += amount.milli;
        }
    }
    all.entry("cpu".to_owned()).or_default();
    all.entry("memory".to_owned()).or_default();
    all.insert("pods".to_owned(), Quantity::whole(1).milli);
    Value::Map(Arc::new(all.into_iter().map(|(name, milli)| (name, Value::Quantity(Quantity { milli }))).collect()))
}

/// Why a pod does not run: the kubelet's word for a container, else the scheduler's, else its own.
pub(crate) fn reason(pod: &Pod) -> Option<String> {
    let word = |status: &ContainerStatus| {
        let state = &status.state;
        let waiting = state.waiting.as_ref().or(state.terminated.as_ref());
        waiting.map(|one| one.reason.clone()).filter(|reason| !reason.is_empty() && reason != "Completed")
    };
    let statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    let scheduled = condition(&pod.status.conditions, "PodScheduled").filter(|one| one.status == "False");
    statuses
        .filter(|status| !status.ready)
        .find_map(word)
        .or_else(|| scheduled.map(|one| one.reason.clone()))
        .or_else(|| pod.status.reason.clone())
        .filter(|reason| !reason.is_empty())
}

fn webhook_field(webhook: &Webhook, field: &str) -> Option<Value> {
    Some(match field {
        "failure_policy" => Value::string(webhook.failure_policy.as_deref().unwrap_or("Fail")),
        "service" => match &webhook.client_config.service {
            Some(service) => Value::string(format!("{}/{}", service.namespace, service.name)),
            None => Value::None,
        },
        _ => return None,
    })
}

impl Resource {
    /// The resource of an object of the language, of those that are one resource.
    pub(super) fn single(kind: Kind) -> Option<Self> {
        match Self::of(kind) {
            [one] => Some(*one),
            _ => None,
        }
    }
}
