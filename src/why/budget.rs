//! What a budget allows: at rest, from its numbers (W101), and now, from its status (W102, W103, W107).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::pod::{shown_name, standing};
use super::{Reason, SHOWN};
use crate::facts::objects::{Budget, BudgetSpec, Condition, Pod, condition};

/// A workload that a budget covers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Workload {
    kind: String,
    /// How many pods it is to have.
    desired: i64,
    /// How many an autoscaler may give it at most, where that is more.
    most: Option<i64>,
}

/// Whom a budget covers, counted as the disruption controller counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covered {
    /// By UID.
    workloads: BTreeMap<String, Workload>,
    /// Pods without a controller: they can be healthy, and no scale counts them.
    bare: i64,
}

impl Covered {
    /// Counts a workload, once however many of its pods are covered; `most` is how far an autoscaler may scale it.
    pub fn add_workload(&mut self, uid: &str, kind: &str, desired: i64, most: Option<i64>) {
        let most = most.filter(|most| *most > desired);
        self.workloads.insert(uid.to_owned(), Workload { kind: kind.to_owned(), desired, most });
    }

    /// Counts a pod without a controller, unless it is going or has ended.
    pub fn add_bare(&mut self, pod: &Pod) {
        self.bare += i64::from(!pod.metadata.is_terminating() && !pod.is_finished());
    }

    fn replicas(&self) -> i64 {
        self.workloads.values().map(|workload| workload.desired).sum()
    }

    /// The same with every workload scaled as far as its autoscaler may; `None` where none may.
    fn scaled_out(&self) -> Option<Self> {
        let mut scaled = self.clone();
        for workload in scaled.workloads.values_mut() {
            workload.desired = workload.most.take().unwrap_or(workload.desired);
        }
        (scaled.replicas() > self.replicas()).then_some(scaled)
    }

    /// How many of its pods can be healthy at once while nobody rolls them out.
    fn most_healthy(&self) -> i64 {
        self.replicas() + self.bare
    }

    /// `the StatefulSet has 3 replicas`
    fn worded(&self) -> String {
        let count = self.most_healthy();
        match self.workloads.values().next().filter(|_| self.workloads.len() == 1 && self.bare == 0) {
            Some(Workload { kind, desired, most }) => {
                let replicas = if *desired == 1 { "replica" } else { "replicas" };
                let scaled = most.map(|most| format!(", {most} at most by its autoscaler")).unwrap_or_default();
                format!("the {kind} has {desired} {replicas}{scaled}")
            }
            None if count == 1 => "it covers 1 pod".to_owned(),
            None => format!("it covers {count} pods"),
        }
    }
}

/// A number of pods as a budget writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    Count(i64),
    /// Per cent, rounded up in both fields (disruption.go).
    Share(i64),
}

impl Amount {
    /// `None` for what the server would not have taken.
    fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::Number(count) => count.as_i64().map(Self::Count),
            Value::String(text) => text.strip_suffix('%')?.parse().ok().map(Self::Share),
            _ => None,
        }
    }

    fn of(self, whole: i64) -> i64 {
        match self {
            Self::Count(count) => count,
            Self::Share(percent) => (percent * whole + 99).div_euclid(100),
        }
    }
}

/// What a budget demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    MinAvailable(Amount),
    MaxUnavailable(Amount),
    Nothing,
}

impl Demand {
    /// `None` for an amount that cannot be read.
    fn read(spec: &BudgetSpec) -> Option<Self> {
        match (&spec.max_unavailable, &spec.min_available) {
            (Some(most), _) => Amount::parse(most).map(Self::MaxUnavailable),
            (None, Some(least)) => Amount::parse(least).map(Self::MinAvailable),
            (None, None) => Some(Self::Nothing),
        }
    }

    /// How many evictions are allowed when every pod that can be healthy is.
    fn most_allowed(self, covered: &Covered) -> i64 {
        let (replicas, healthy) = (covered.replicas(), covered.most_healthy());
        let (expected, desired) = match self {
            Self::MinAvailable(Amount::Count(count)) => (healthy, count),
            Self::MinAvailable(share @ Amount::Share(_)) => (replicas, share.of(replicas)),
            Self::MaxUnavailable(most) => (replicas, (replicas - most.of(replicas)).max(0)),
            Self::Nothing => (0, 0),
        };
        if expected <= 0 { 0 } else { (healthy - desired).max(0) }
    }
}

/// Says that a budget can never allow an eviction of those that it covers, as they are scaled and as far as an autoscaler
/// may scale them (W101, without `who`); `None` if it can. A budget that covers nothing is nobody's trouble.
pub fn never_allows(budget: &Budget, covered: &Covered) -> Option<Reason> {
    let demand = Demand::read(&budget.spec)?;
    // No demand allows less of more replicas.
    let allows = |covered: &Covered| demand.most_allowed(covered) > 0;
    if covered.most_healthy() == 0 || allows(covered) || covered.scaled_out().as_ref().is_some_and(allows) {
        return None;
    }
    let because = match demand {
        Demand::Nothing => "it says neither minAvailable nor maxUnavailable".to_owned(),
        Demand::MaxUnavailable(Amount::Count(0) | Amount::Share(0)) => {
            format!("maxUnavailable is {}", written(&budget.spec.max_unavailable))
        }
        Demand::MinAvailable(Amount::Share(_)) | Demand::MaxUnavailable(_) if covered.replicas() == 0 => {
            "it counts the replicas of controllers, and its pods have none".to_owned()
        }
        Demand::MinAvailable(_) | Demand::MaxUnavailable(_) => {
            format!("minAvailable is {} and {}", written(&budget.spec.min_available), covered.worded())
        }
    };
    let why = format!("budget {} never allows an eviction: {because}", named(budget));
    Some(Reason { code: "W101", who: Vec::new(), why, since: None, help: Some(mended(budget, demand, covered)) })
}

/// Adds to the reason of a budget that it allows no eviction before an autoscaler scales a workload that it covers.
pub fn needs_scaling(reason: Reason, budget: &Budget, covered: &Covered) -> Reason {
    let Some(demand) = Demand::read(&budget.spec) else { return reason };
    let scaled = covered.scaled_out().filter(|scaled| demand.most_allowed(scaled) > 0);
    if scaled.is_none() || demand.most_allowed(covered) > 0 {
        return reason;
    }
    let why =
        format!("{}; it allows none before an autoscaler scales what it covers: {}", reason.why, covered.worded());
    Reason { why, help: Some(mended(budget, demand, covered)), ..reason }
}

/// What would make a budget allow one eviction at a time.
fn mended(budget: &Budget, demand: Demand, covered: &Covered) -> String {
    let (namespace, name) = (&budget.metadata.namespace, &budget.metadata.name);
    let least = covered.most_healthy() - 1;
    let spec = match demand {
        Demand::MinAvailable(_) => format!(r#""minAvailable":{least}"#),
        Demand::MaxUnavailable(_) if covered.replicas() == 0 => {
            format!(r#""maxUnavailable":null,"minAvailable":{least}"#)
        }
        Demand::MaxUnavailable(_) | Demand::Nothing => r#""maxUnavailable":1"#.to_owned(),
    };
    let patch = format!("kubectl -n {namespace} patch pdb {name} -p '{{\"spec\":{{{spec}}}}}'");
    let scaled = match (demand, covered.workloads.values().next()) {
        (Demand::MinAvailable(Amount::Count(count)), Some(workload)) if covered.workloads.len() == 1 => {
            let (kind, enough) = (&workload.kind, count + 1 - covered.bare);
            match workload.most {
                Some(most) if most >= enough => format!(", or let its autoscaler's minReplicas be {enough} meanwhile"),
                _ => format!(", or scale the {kind} to {enough} for the time of the upgrade"),
            }
        }
        _ => String::new(),
    };
    format!("{patch}{scaled}")
}

/// Why a budget allows no eviction as its status stands: W107 if that is not of its present spec, else W102.
pub fn allows_none_now(budget: &Budget, pods: &[Arc<Pod>], who: Vec<String>, now: i64) -> Reason {
    let name = named(budget);
    let status = &budget.status;
    if status.observed_generation < budget.metadata.generation {
        let why = format!("budget {name} was changed, and its status is not of that change yet");
        return Reason { code: "W107", who, why, since: None, help: None };
    }
    let disruption = condition(&status.conditions, "DisruptionAllowed");
    if let Some(failed) = disruption.filter(|condition| condition.reason == "SyncFailed") {
        let why = format!("budget {name} allows none: its pods cannot be counted: {}", failed.message);
        let help = Some(format!("kubectl -n {} describe pdb {}", budget.metadata.namespace, budget.metadata.name));
        return Reason { code: "W102", who, why, since: since(failed, now), help };
    }
    let (needs, has) = (status.desired_healthy, status.current_healthy);
    let why = format!("budget {name} needs {needs} healthy and has {has}{}", unhealthy(pods));
    let since = disruption.filter(|condition| condition.status == "False").and_then(|condition| since(condition, now));
    Reason { code: "W102", who, why, since, help: None }
}

/// Several budgets cover a pod (W103); the eviction API answers 500 to that (eviction.go).
pub fn several(pod: &str, budgets: &[Arc<Budget>]) -> Reason {
    let names = budgets.iter().map(|budget| named(budget)).collect::<Vec<_>>().join(" and ");
    Reason {
        code: "W103",
        who: vec![pod.to_owned()],
        why: format!("budgets {names} cover it, and a pod with more than one cannot be evicted"),
        since: None,
        help: Some("change the selector of one of them, so that one budget covers the pod".to_owned()),
    }
}

/// The pods that a budget does not count as healthy and that are meant to be.
fn unhealthy(pods: &[Arc<Pod>]) -> String {
    let is_missed = |pod: &&Arc<Pod>| !pod.is_ready() && !pod.is_finished() && !pod.metadata.is_terminating();
    let missed: Vec<&Arc<Pod>> = pods.iter().filter(is_missed).collect();
    let mut text = String::new();
    for pod in missed.iter().take(SHOWN) {
        text.push_str(&format!("; {} {}", shown_name(pod), standing(pod)));
    }
    match missed.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{text}; {more} more are not ready"),
        _ => text,
    }
}

fn since(condition: &Condition, now: i64) -> Option<i64> {
    condition.last_transition_time.map(Timestamp::as_millisecond).filter(|since| *since <= now)
}

fn named(budget: &Budget) -> String {
    format!("`{}/{}`", budget.metadata.namespace, budget.metadata.name)
}

fn written(amount: &Option<Value>) -> String {
    match amount {
        Some(Value::String(text)) => text.clone(),
        Some(amount) => amount.to_string(),
        None => "not set".to_owned(),
    }
}
