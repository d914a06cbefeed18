//! Names, ordinals, claims and pods of a StatefulSet (k8s.io/kubernetes v1.37, controller/statefulset/stateful_set_utils.go).

use std::sync::Arc;

use serde_json::{Value, json};

use super::Look;
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::revision::{REVISION, Revision};
use crate::rehearse::controllers::template::{Named, Template};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Key, Object};
use crate::rehearse::status::Refused;

/// The number at the end of a pod's name, if the rest is the set's.
pub(super) fn ordinal(set: &Object, pod: &Object) -> Option<i64> {
    let (parent, ordinal) = pod.meta.name.rsplit_once('-')?;
    let ordinal: i64 = ordinal.parse().ok()?;
    (*parent == *set.meta.name && ordinal >= 0).then_some(ordinal)
}

/// The name of the revision that a pod is of.
pub(super) fn revision_of(pod: &Object) -> &str {
    pod.meta.label(REVISION).unwrap_or_default()
}

impl Look {
    /// Makes a pod, and the claims that it lacks.
    pub(super) fn make(&self, ordinal: i64, cluster: &mut Cluster) -> Result<(), Refused> {
        let name = format!("{}-{ordinal}", self.object.meta.name);
        let key = Key::new(Kind::Pod, self.object.meta.namespace.clone(), name.as_str());
        let revision = self.revision_for(ordinal);
        let template = Template::read(&key, &revision.template, cluster)?
            .labelled("statefulset.kubernetes.io/pod-name", &name)
            .labelled("apps.kubernetes.io/pod-index", &ordinal.to_string())
            .labelled(REVISION, &revision.name);
        let volumes = self.volumes(ordinal);
        let subdomain = self.spec.service_name.clone().unwrap_or_default();
        let template = template.changed(&key, |spec| {
            spec.insert("hostname".to_owned(), name.as_str().into());
            if !subdomain.is_empty() {
                spec.insert("subdomain".to_owned(), subdomain.into());
            }
            if !volumes.is_empty() {
                let named: Vec<Value> = volumes.iter().map(|volume| volume["name"].clone()).collect();
                let given = spec.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
                let others = given.into_iter().filter(|volume| !named.contains(&volume["name"]));
                spec.insert("volumes".to_owned(), volumes.into_iter().chain(others).collect());
            }
        })?;
        self.make_claims(ordinal, cluster);
        cluster.create(template.pod(&self.object, Named::Fully(&name))).map(drop)
    }

    /// Below the partition pods are of the template before the update.
    fn revision_for(&self, ordinal: i64) -> &Revision {
        if self.is_rolling() && ordinal < self.start + self.partition() { &self.before } else { &self.after }
    }

    fn claims(&self) -> impl Iterator<Item = (&Value, &str)> {
        let templates = self.object.spec("/volumeClaimTemplates").and_then(Value::as_array);
        templates.into_iter().flatten().filter_map(|claim| Some((claim, claim["metadata"]["name"].as_str()?)))
    }

    fn claim_name(&self, claim: &str, ordinal: i64) -> String {
        format!("{claim}-{}-{ordinal}", self.object.meta.name)
    }

    fn volumes(&self, ordinal: i64) -> Vec<Value> {
        let volume = |claim: &str| json!({ "name": claim, "persistentVolumeClaim": { "claimName": self.claim_name(claim, ordinal) } });
        self.claims().map(|(_, claim)| volume(claim)).collect()
    }

    /// Makes the claims of a pod that are not there. Nobody in the cluster in a box provisions a volume for them.
    pub(super) fn make_claims(&self, ordinal: i64, cluster: &mut Cluster) {
        let mut missing = Vec::new();
        for (claim, stem) in self.claims() {
            let name = self.claim_name(stem, ordinal);
            if cluster.store.find(Kind::PersistentVolumeClaim, &self.object.meta.namespace, &name).is_some() {
                continue;
            }
            let mut made = claim.clone();
            made["metadata"]["name"] = name.into();
            made["metadata"]["namespace"] = (*self.object.meta.namespace).into();
            for (label, value) in self.spec.selector.match_labels.iter().flatten() {
                made["metadata"]["labels"][label] = value.as_str().into();
            }
            made["status"] = json!({ "phase": "Pending" });
            missing.extend(Object::read(Kind::PersistentVolumeClaim, made));
        }
        for claim in missing {
            // In a namespace that is being deleted nothing is made any more, and the pod neither.
            let _: Result<Arc<Object>, Refused> = cluster.create(claim);
        }
    }
}
