//! Claims and volumes of a pod: VolumeRestrictions, NodeVolumeLimits, VolumeBinding and VolumeZone
//! (plugins/volumerestrictions, nodevolumelimits, volumebinding, volumezone).
//!
//! Left out: volumes named in the pod itself (GCE, EBS, RBD, iSCSI), CSIStorageCapacity, migration of in-tree volumes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, PersistentVolumeSpec, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use serde_json::Value;

use super::cache::{Cache, Node};
use super::filters::{Failure, Plugin};
use super::selector;
use crate::catalog::quantity::Quantity;
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Detail, Key, Object};
use crate::rehearse::select;
use crate::rehearse::store::Store;

const NODE_CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";
const BIND_CONFLICT: &str = "node(s) didn't find available persistent volumes to bind";
const IN_USE: &str =
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";
const TOO_MANY: &str = "node(s) exceed max volume count";
const OTHER_ZONE: &str = "node(s) had no available volume zone";

/// Where a claim goes that waits for its first consumer: the node that was chosen for it.
pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const ZONES: [&str; 4] = [
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
];

/// A claim that waits, with the volume that it would get; `None` for one that would be made for it.
pub(super) type Planned = (Arc<Object>, Option<Arc<Object>>);

/// What a pod's claims mean for the choice of a node.
#[derive(Debug, Clone, Default)]
pub(super) struct Volumes {
    /// The volumes of claims that are bound.
    bound: Vec<Arc<Object>>,
    /// Claims that wait for this pod.
    pub(super) waiting: Vec<Arc<Object>>,
    /// All claims of the pod.
    claims: Vec<Key>,
    /// How many of its claims for one pod at a time another pod has.
    in_use: i64,
    once: BTreeSet<Key>,
}

/// The claims that a pod uses, and whether each was made for it (core/v1, ephemeral volumes: `<pod>-<volume>`).
pub(super) fn claims_of(object: &Object) -> impl Iterator<Item = (Key, bool)> {
    let volumes = object.pod().and_then(|pod| pod.spec.typed.volumes.as_ref());
    volumes.into_iter().flatten().filter_map(|volume| {
        let of = |name: &str| Key::new(Kind::PersistentVolumeClaim, object.meta.namespace.clone(), name);
        let named = volume.persistent_volume_claim.as_ref().map(|claim| (of(&claim.claim_name), false));
        let made = || volume.ephemeral.as_ref().map(|_| (of(&format!("{}-{}", object.meta.name, volume.name)), true));
        named.or_else(made)
    })
}

/// Whether a pod uses a claim.
pub(super) fn uses_claims(spec: &PodSpec) -> bool {
    let mut volumes = spec.volumes.iter().flatten();
    volumes.any(|volume| volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some())
}

fn claim_spec(object: &Object) -> Option<&PersistentVolumeClaimSpec> {
    match &object.detail {
        Detail::Claim(spec) => Some(spec),
        _ => None,
    }
}

fn volume_spec(object: &Object) -> Option<&PersistentVolumeSpec> {
    match &object.detail {
        Detail::Volume(spec) => Some(spec),
        _ => None,
    }
}

/// The class of a claim; empty where it has none.
pub(super) fn class_of(claim: &Object) -> &str {
    let annotated = claim.meta.annotation("volume.beta.kubernetes.io/storage-class");
    annotated.or_else(|| claim_spec(claim)?.storage_class_name.as_deref()).unwrap_or_default()
}

fn volume_name(claim: &Object) -> &str {
    claim_spec(claim).and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default()
}

/// A claim is bound when the volume controller says so (volume/persistentvolume, pv.kubernetes.io/bind-completed); by its
/// phase where a snapshot lost the annotation.
fn is_bound(claim: &Object) -> bool {
    let is_completed = claim.meta.annotation("pv.kubernetes.io/bind-completed").is_some();
    !volume_name(claim).is_empty() && (is_completed || phase(claim) == "Bound")
}

fn phase(object: &Object) -> &str {
    object.status("/phase").and_then(Value::as_str).unwrap_or_default()
}

impl Volumes {
    /// What a pod's claims mean.
    ///
    /// # Errors
    /// Why no node at all will do.
    pub(super) fn new(pod: &Object, cache: &Cache, store: &Store) -> Result<Self, Failure> {
        let mut volumes = Self::default();
        for (key, is_made_for_it) in claims_of(pod) {
            let missing =
                || Failure::last(Plugin::VolumeRestrictions, format!("persistentvolumeclaim {:?} not found", key.name));
            match store.get(&key) {
                None if !is_made_for_it => return Err(missing()),
                Some(claim) if !is_made_for_it && is_for_one_pod(claim) => {
                    volumes.in_use += i64::from(cache.claims.contains_key(&key));
                    volumes.once.insert(key.clone());
                }
                _ => {}
            }
            volumes.claims.push(key);
        }
        let found: Vec<Arc<Object>> =
            claims_of(pod).map(|(key, is_made)| usable(store, &key, is_made)).collect::<Result<_, _>>()?;
        for claim in found {
            volumes.sort_in(store, claim)?;
        }
        Ok(volumes)
    }

    /// A claim without a volume waits for its first consumer, if its class says so; otherwise it should have one.
    fn sort_in(&mut self, store: &Store, claim: Arc<Object>) -> Result<(), Failure> {
        if is_bound(&claim) {
            let missing = || format!("persistentvolume {:?} not found", volume_name(&claim));
            let volume = store.find(Kind::PersistentVolume, "", volume_name(&claim)).cloned();
            self.bound.push(volume.ok_or_else(|| Failure::last(Plugin::VolumeZone, missing()))?);
            return Ok(());
        }
        let class = store.find(Kind::StorageClass, "", class_of(&claim));
        let waits =
            class.is_some_and(|class| class.body.get("volumeBindingMode") == Some(&"WaitForFirstConsumer".into()));
        if !waits || !volume_name(&claim).is_empty() {
            return Err(Failure::last(Plugin::VolumeBinding, "pod has unbound immediate PersistentVolumeClaims"));
        }
        self.waiting.push(claim);
        Ok(())
    }

    /// Counts another pod in (1) or out (-1), to see what would be without it.
    pub(super) fn shift(&mut self, other: &Object, sign: i64) {
        self.in_use += claims_of(other).filter(|(claim, _)| self.once.contains(claim)).map(|_| sign).sum::<i64>();
    }

    /// The filters, in their order.
    pub(super) fn check(&self, store: &Store, node: &Node) -> Result<(), Failure> {
        if self.claims.is_empty() {
            return Ok(());
        }
        if self.in_use > 0 {
            return Err(Failure::new(Plugin::VolumeRestrictions, IN_USE));
        }
        if !self.is_below_limits(store, node) {
            return Err(Failure::new(Plugin::NodeVolumeLimits, TOO_MANY));
        }
        let mut failure = Failure { plugin: Plugin::VolumeBinding, reasons: Vec::new(), is_last: true };
        if !self.bound.iter().all(|volume| is_reachable(volume, node)) {
            failure.reasons.push(NODE_CONFLICT.into());
        }
        if !self.waiting.is_empty() && self.plan(store, node).is_none() {
            failure.reasons.push(BIND_CONFLICT.into());
        }
        if !failure.reasons.is_empty() {
            return Err(failure);
        }
        if !self.bound.iter().all(|volume| is_in_zone(volume, node)) {
            return Err(Failure::last(Plugin::VolumeZone, OTHER_ZONE));
        }
        Ok(())
    }

    /// What each claim that waits would get on a node; nothing where one can have no volume (binder.go, FindPodVolumes).
    pub(super) fn plan(&self, store: &Store, node: &Node) -> Option<Vec<Planned>> {
        let mut claims = self.waiting.clone();
        claims
            .sort_by_key(|claim| amount(claim_spec(claim).and_then(|spec| spec.resources.as_ref()?.requests.as_ref())));
        let mut chosen: Vec<Planned> = Vec::new();
        for claim in claims {
            let selected = claim.meta.annotation(SELECTED_NODE);
            if selected.is_some_and(|selected| selected != &*node.name) {
                return None;
            }
            let taken: Vec<Arc<str>> =
                chosen.iter().flat_map(|(_, one)| one).map(|one| one.meta.name.clone()).collect();
            let found = if selected.is_some() { None } else { matching(store, &claim, node, &taken) };
            if found.is_none() && !can_be_made(store, class_of(&claim), node) {
                return None;
            }
            chosen.push((claim, found));
        }
        Some(chosen)
    }

    /// Whether the node's drivers take the volumes of this pod too. Claims and attachments are counted first: looking each of
    /// them up is for nodes that are nearly full.
    fn is_below_limits(&self, store: &Store, node: &Node) -> bool {
        let limits = limits_of(store, node);
        let roughly = node.claims.len() + node.attachments.len() + self.claims.len();
        if limits.values().all(|limit| roughly <= *limit) {
            return true;
        }
        let handle = |claim: &Key| handle_of(store, claim);
        let mut attached: BTreeSet<(String, String)> = node.claims.keys().filter_map(handle).collect();
        let new: Vec<(String, String)> = self.claims.iter().filter_map(handle).collect();
        if new.iter().all(|one| attached.contains(one)) {
            return true;
        }
        attached.extend(node.attachments.values().filter_map(|attachment| attached_handle(store, attachment)));
        attached.extend(new.iter().cloned());
        let count = |driver: &str| attached.iter().filter(|(name, _)| name == driver).count();
        limits.iter().all(|(driver, limit)| !new.iter().any(|(name, _)| name == driver) || count(driver) <= *limit)
    }
}

fn is_for_one_pod(claim: &Object) -> bool {
    let modes = claim_spec(claim).and_then(|spec| spec.access_modes.as_ref());
    modes.is_some_and(|modes| modes.iter().any(|mode| mode == "ReadWriteOncePod"))
}

/// A claim that a pod can use (volume_binding.go, podHasPVCs).
fn usable(store: &Store, key: &Key, is_made_for_it: bool) -> Result<Arc<Object>, Failure> {
    let fail = |why: String| Err(Failure::last(Plugin::VolumeBinding, why));
    let Some(claim) = store.get(key) else {
        return match is_made_for_it {
            true => fail(format!(
                "waiting for ephemeral volume controller to create the persistentvolumeclaim {:?}",
                key.name
            )),
            false => fail(format!("persistentvolumeclaim {:?} not found", key.name)),
        };
    };
    if phase(claim) == "Lost" {
        let volume = volume_name(claim);
        return fail(format!("persistentvolumeclaim {:?} bound to non-existent persistentvolume {volume:?}", key.name));
    }
    if claim.is_terminating() {
        return fail(format!("persistentvolumeclaim {:?} is being deleted", key.name));
    }
    Ok(claim.clone())
}

/// Whether a volume's node affinity lets it be used on a node.
fn is_reachable(volume: &Object, node: &Node) -> bool {
    let affinity = volume_spec(volume).and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    affinity.is_none_or(|required| selector::selects(required, &node.name, &node.labels))
}

/// Whether a volume's labels of zone and region are the node's; a node without any takes every volume.
fn is_in_zone(volume: &Object, node: &Node) -> bool {
    if !ZONES.iter().any(|zone| node.labels.contains_key(*zone)) {
        return true;
    }
    let own = |key: &str| {
        let new = key.replace("failure-domain.beta", "topology");
        node.label(key).or_else(|| node.label(&new)).map(str::to_owned)
    };
    let labelled = ZONES.iter().filter_map(|zone| Some((zone, volume.meta.label(zone)?)));
    labelled.into_iter().all(|(zone, values)| own(zone).is_some_and(|own| values.split("__").any(|one| one == own)))
}

fn amount(list: Option<&BTreeMap<String, Written>>) -> Option<Quantity> {
    list?.get("storage")?.0.parse().ok()
}

/// The smallest free volume that a claim could have on a node, or the one that is kept for it (pv_helpers.go,
/// FindMatchingVolume).
fn matching(store: &Store, claim: &Object, node: &Node, taken: &[Arc<str>]) -> Option<Arc<Object>> {
    let wanted = claim_spec(claim)?;
    let size = amount(wanted.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
    let fits = |volume: &&Arc<Object>| {
        let Some(spec) = volume_spec(volume) else { return false };
        let is_kept = spec.claim_ref.as_ref().map(|of| {
            of.name.as_deref() == Some(&*claim.meta.name) && of.namespace.as_deref() == Some(&*claim.meta.namespace)
        });
        let is_open = is_kept.unwrap_or_else(|| phase(volume) == "Available");
        let modes = spec.access_modes.as_deref().unwrap_or_default();
        is_open
            && !taken.contains(&volume.meta.name)
            && !volume.is_terminating()
            && amount(spec.capacity.as_ref()) >= size
            && spec.volume_mode.as_deref().unwrap_or("Filesystem")
                == wanted.volume_mode.as_deref().unwrap_or("Filesystem")
            && spec.storage_class_name.as_deref().unwrap_or_default() == class_of(claim)
            && wanted.access_modes.iter().flatten().all(|mode| modes.contains(mode))
            && wanted.selector.as_ref().is_none_or(|selector| select::matches(selector, &volume.meta.labels))
            && is_reachable(volume, node)
    };
    let all = store.all(Kind::PersistentVolume).filter(fits);
    all.min_by_key(|volume| amount(volume_spec(volume).and_then(|spec| spec.capacity.as_ref()))).cloned()
}

/// Whether a class has a provisioner that may make a volume for a node.
fn can_be_made(store: &Store, class: &str, node: &Node) -> bool {
    let Some(class) = store.find(Kind::StorageClass, "", class) else { return false };
    let provisioner = class.body.get("provisioner").and_then(Value::as_str).unwrap_or_default();
    let terms = class.body.get("allowedTopologies").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let holds = |one: &Value| {
        let own = one["key"].as_str().and_then(|key| node.label(key));
        one["values"].as_array().is_some_and(|values| values.iter().any(|value| value.as_str() == own))
    };
    let matches = |term: &Value| term["matchLabelExpressions"].as_array().is_some_and(|all| all.iter().all(holds));
    !matches!(provisioner, "" | "kubernetes.io/no-provisioner") && (terms.is_empty() || terms.iter().any(matches))
}

/// How many volumes each driver takes on a node, as its CSINode says.
fn limits_of(store: &Store, node: &Node) -> BTreeMap<String, usize> {
    let Some(known) = store.find(Kind::CsiNode, "", &node.name) else { return BTreeMap::new() };
    let drivers = known.spec("/drivers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let limit = |driver: &Value| {
        let count = usize::try_from(driver["allocatable"]["count"].as_u64()?).ok()?;
        Some((driver["name"].as_str()?.to_owned(), count))
    };
    drivers.iter().filter_map(limit).collect()
}

/// Driver and handle of a claim's volume. One that is not made yet counts as one of its class's provisioner.
fn handle_of(store: &Store, claim: &Key) -> Option<(String, String)> {
    let found = store.get(claim)?;
    if volume_name(found).is_empty() {
        let class = store.find(Kind::StorageClass, "", class_of(found))?;
        let provisioner = class.body.get("provisioner")?.as_str()?;
        return Some((provisioner.to_owned(), format!("{provisioner}-{claim}")));
    }
    driver_of(store.find(Kind::PersistentVolume, "", volume_name(found))?)
}

fn driver_of(volume: &Object) -> Option<(String, String)> {
    let csi = volume_spec(volume)?.csi.as_ref()?;
    Some((csi.driver.clone(), csi.volume_handle.clone()))
}

fn attached_handle(store: &Store, attachment: &Object) -> Option<(String, String)> {
    let volume = attachment.spec("/source/persistentVolumeName")?.as_str()?;
    driver_of(store.find(Kind::PersistentVolume, "", volume)?)
}
