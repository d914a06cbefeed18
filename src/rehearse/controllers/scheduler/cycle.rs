//! One attempt to place one pod: what it asks for, worked out once for all nodes, and the search for a node
//! (schedule_one.go, schedulePod).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{PodSpec, Toleration};

use super::affinity::Affinity;
use super::cache::Cache;
use super::filters::{self, Failure, Plugin};
use super::ports::{HostPort, host_ports};
use super::preemption::{self, Preemption};
use super::spread::Spread;
use super::volumes::Volumes;
use super::{message, score, selector};
use crate::rehearse::object::{Object, Pod, Resources};
use crate::rehearse::random::Random;
use crate::rehearse::store::Store;

/// A pod that is to be placed, and the cluster as the attempt finds it.
#[derive(Clone)]
pub(super) struct Cycle<'a> {
    pub(super) store: &'a Store,
    pub(super) cache: &'a Cache,
    pub(super) object: &'a Object,
    pub(super) pod: &'a Pod,
    pub(super) spec: &'a PodSpec,
    pub(super) requests: &'a Resources,
    pub(super) tolerations: &'a [Toleration],
    pub(super) minor: u32,
    pub(super) ports: Vec<HostPort>,
    pub(super) volumes: Volumes,
    pub(super) spread: Spread,
    pub(super) affinity: Affinity,
}

/// Why there is no node for a pod.
#[derive(Debug, Clone)]
pub(super) struct Rejection {
    /// As the pod's condition and the Event have it.
    pub(super) message: String,
    /// Who said no; empty where there was nobody to ask.
    pub(super) rejectors: BTreeSet<Plugin>,
    /// What would make room, were it done.
    pub(super) preemption: Option<Preemption>,
}

/// With fewer nodes than this all that will do are compared.
const FEW: usize = 100;

impl<'a> Cycle<'a> {
    fn new(object: &'a Object, pod: &'a Pod, cache: &'a Cache, store: &'a Store, minor: u32) -> Result<Self, Failure> {
        let spec = &pod.spec.typed;
        if selector::named(spec).is_some_and(|names| names.is_empty()) {
            return Err(Failure::last(Plugin::NodeAffinity, "pod affinity terms conflict"));
        }
        Ok(Self {
            store,
            cache,
            object,
            pod,
            spec,
            requests: &pod.spec.requests,
            tolerations: spec.tolerations.as_deref().unwrap_or_default(),
            minor,
            ports: host_ports(spec).collect(),
            volumes: Volumes::new(object, cache, store)?,
            spread: Spread::new(object, spec, cache),
            affinity: Affinity::new(object, cache, store),
        })
    }
}

/// What the search came to: the nodes that will do, and why others will not.
struct Search {
    feasible: Vec<usize>,
    failures: BTreeMap<usize, Failure>,
    /// Whether only nodes were looked at that the pod names.
    is_by_name: bool,
}

/// Looks for a node for a pod; gives its place in the cache. `start` is where the search begins: it goes round.
pub(super) fn place(
    object: &Object,
    (cache, store): (&Cache, &Store),
    random: &mut Random,
    minor: u32,
    start: &mut usize,
) -> Result<usize, Rejection> {
    let nobody =
        |message: &str| Rejection { message: message.to_owned(), rejectors: BTreeSet::new(), preemption: None };
    let pod = object.pod().ok_or_else(|| nobody("no pod"))?;
    if cache.order.is_empty() {
        return Err(nobody("no nodes available to schedule pods"));
    }
    let cycle = Cycle::new(object, pod, cache, store, minor)
        .map_err(|failure| refused_by_all(cache, &pod.spec.typed, minor, &failure))?;
    let search = cycle.search(*start);
    *start = (*start + search.feasible.len() + search.failures.len()) % cache.order.len();
    match search.feasible.as_slice() {
        [] => Err(cycle.rejection(&search, random)),
        [only] => Ok(*only),
        several => Ok(score::choose(&cycle, several, random)),
    }
}

impl Cycle<'_> {
    fn search(&self, start: usize) -> Search {
        let named = selector::named(self.spec);
        let is_by_name = named.is_some();
        let by_name = named.map(|names| names.iter().filter_map(|name| self.cache.find(name)).collect());
        let nodes: Cow<'_, [usize]> =
            by_name.map_or(Cow::Borrowed(self.cache.order.as_slice()), Cow::<'_, [usize]>::Owned);
        let enough = how_many_to_find(nodes.len());
        let mut search = Search { feasible: Vec::new(), failures: BTreeMap::new(), is_by_name };
        for index in 0..nodes.len() {
            let slot = nodes[(start + index) % nodes.len()];
            match filters::check(self, &self.cache.nodes[slot]) {
                Ok(()) => search.feasible.push(slot),
                Err(failure) => drop(search.failures.insert(slot, failure)),
            }
            if search.feasible.len() == enough {
                break;
            }
        }
        search
    }

    fn rejection(&self, search: &Search, random: &mut Random) -> Rejection {
        let total = self.cache.order.len();
        let mut reasons: BTreeMap<Cow<'_, str>, usize> = BTreeMap::new();
        for reason in search.failures.values().flat_map(|failure| &failure.reasons) {
            *reasons.entry(Cow::Borrowed(reason)).or_default() += 1;
        }
        let mut rejectors: BTreeSet<Plugin> = search.failures.values().map(|failure| failure.plugin).collect();
        if search.is_by_name {
            rejectors.insert(Plugin::NodeAffinity);
            if search.failures.len() < total {
                let others = "node(s) didn't satisfy plugin(s) [NodeAffinity]".into();
                *reasons.entry(others).or_default() += total - search.failures.len();
            }
        }
        let potential: Vec<usize> =
            search.failures.iter().filter(|(_, failure)| !failure.is_last).map(|(slot, _)| *slot).collect();
        let (after, preemption) = preemption::look_for(self, &potential, random);
        let message = message::with_preemption(&message::of_reasons(total, &reasons), &after, self.minor);
        Rejection { message, rejectors, preemption }
    }
}

/// When a pod is refused before any node is looked at, as every node would refuse it.
fn refused_by_all(cache: &Cache, spec: &PodSpec, minor: u32, failure: &Failure) -> Rejection {
    let total = cache.order.len();
    let before = format!("0/{total} nodes are available: {}.", failure.reasons.join(", "));
    let after = preemption::forbidden(spec).or_else(|| message::preemption_of_none(total, &BTreeMap::new()));
    let message = message::with_preemption(&before, &after, minor);
    Rejection { message, rejectors: BTreeSet::from([failure.plugin]), preemption: None }
}

/// How many nodes that will do are enough (schedule_one.go, numFeasibleNodesToFind): the larger the cluster, the fewer of a
/// hundred.
fn how_many_to_find(all: usize) -> usize {
    if all < FEW {
        return all;
    }
    let percentage = 50_usize.saturating_sub(all / 125).max(5);
    (all * percentage / 100).max(FEW)
}
