//! What pods ask for and nodes have, as a scheduler counts it.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

use crate::catalog::quantity::Quantity;

/// Amounts of resources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes of the node's own disk.
    pub ephemeral: i64,
    /// Pods.
    pub pods: i64,
    /// Whole units of anything else, by name.
    pub extended: BTreeMap<String, i64>,
}

impl Resources {
    /// What a list of resources says; what is no quantity counts as nothing.
    pub fn read(list: Option<&BTreeMap<String, Written>>) -> Self {
        let mut amounts = Self::default();
        for (name, written) in list.into_iter().flatten() {
            let Ok(quantity) = written.0.parse::<Quantity>() else { continue };
            amounts.set(name, quantity);
        }
        amounts
    }

    fn set(&mut self, name: &str, quantity: Quantity) {
        let milli = i64::try_from(quantity.milli).unwrap_or(i64::MAX);
        // Rounded up, as Quantity.Value() does.
        let whole = i64::try_from(quantity.milli.div_euclid(1000) + i128::from(quantity.milli.rem_euclid(1000) != 0))
            .unwrap_or(i64::MAX);
        match name {
            "cpu" => self.cpu = milli,
            "memory" => self.memory = whole,
            "ephemeral-storage" => self.ephemeral = whole,
            "pods" => self.pods = whole,
            _ => {
                self.extended.insert(name.to_owned(), whole);
            }
        }
    }

    /// What a scheduler counts for a pod: its containers and sidecars together, or the largest of its init containers with
    /// the sidecars before it, if that is more; and the overhead (component-helpers, resource/helpers.go, PodRequests). What
    /// is asked for the pod as a whole counts instead of its containers' for cpu and memory.
    pub fn of_pod(spec: &PodSpec) -> Self {
        let requests = |container: &Container| {
            Self::read(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
        };
        let mut sum = Self::default();
        spec.containers.iter().for_each(|container| sum += &requests(container));
        let (mut sidecars, mut peak) = (Self::default(), Self::default());
        for container in spec.init_containers.iter().flatten() {
            let own = requests(container);
            if container.restart_policy.as_deref() == Some("Always") {
                sum += &own;
                sidecars += &own;
                peak.raise_to(&sidecars);
            } else {
                let mut with = sidecars.clone();
                with += &own;
                peak.raise_to(&with);
            }
        }
        sum.raise_to(&peak);
        if let Some(whole) = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()) {
            let pod = Self::read(Some(whole));
            sum.cpu = if whole.contains_key("cpu") { pod.cpu } else { sum.cpu };
            sum.memory = if whole.contains_key("memory") { pod.memory } else { sum.memory };
        }
        sum += &Self::read(spec.overhead.as_ref());
        sum.pods = 1;
        sum
    }

    /// What the scores count for a pod, thousandths of a processor and bytes: as [`Resources::of_pod`], but a container that
    /// asks for none of one counts for 100m and 200 MiB (scheduler/util/pod_resources.go).
    pub fn scored(spec: &PodSpec) -> [i64; 2] {
        const UNSAID: [(&str, &str); 2] = [("cpu", "100m"), ("memory", "200Mi")];
        let mut with = spec.clone();
        let containers = with.containers.iter_mut().chain(with.init_containers.iter_mut().flatten());
        for container in containers {
            let requests = container.resources.get_or_insert_default().requests.get_or_insert_default();
            for (name, amount) in UNSAID {
                requests.entry(name.to_owned()).or_insert_with(|| Written(amount.to_owned()));
            }
        }
        let sum = Self::of_pod(&with);
        [sum.cpu, sum.memory]
    }

    fn raise_to(&mut self, other: &Self) {
        self.cpu = self.cpu.max(other.cpu);
        self.memory = self.memory.max(other.memory);
        self.ephemeral = self.ephemeral.max(other.ephemeral);
        for (name, amount) in &other.extended {
            let own = self.extended.entry(name.clone()).or_default();
            *own = (*own).max(*amount);
        }
    }
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.ephemeral += other.ephemeral;
        self.pods += other.pods;
        for (name, amount) in &other.extended {
            *self.extended.entry(name.clone()).or_default() += amount;
        }
    }
}

impl SubAssign<&Resources> for Resources {
    fn sub_assign(&mut self, other: &Self) {
        self.cpu -= other.cpu;
        self.memory -= other.memory;
        self.ephemeral -= other.ephemeral;
        self.pods -= other.pods;
        for (name, amount) in &other.extended {
            *self.extended.entry(name.clone()).or_default() -= amount;
        }
    }
}
