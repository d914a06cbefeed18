//! Heartbeats as a function of time. The Lease of a node whose kubelet lives is kept without `spec.renewTime` and shown as
//! renewed at the last tenth second (kubelet config, v1beta1/defaults.go: 40 s, renewed after a quarter of that); one that fell
//! silent is kept with the time when it was last heard.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::rehearse::kinds::{Kind, NODE_LEASES};
use crate::rehearse::object::{Object, Time};

/// How often a kubelet renews its Lease, in milliseconds.
pub(super) const EVERY: i64 = 10_000;

/// The last moment at which all living kubelets were heard, the same for all who look until the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Beat {
    /// Unix milliseconds.
    pub(super) at: i64,
    /// The server's version by then: no Lease is shown as older.
    version: u64,
}

impl Beat {
    /// The beat as of now, where the server has come to a version.
    pub(super) fn come_to(&mut self, now: i64, version: u64) {
        let at = now.div_euclid(EVERY) * EVERY;
        if at > self.at {
            *self = Self { at, version };
        }
    }

    /// The Lease as it is shown; what is none of a living kubelet, as it is kept.
    pub(super) fn shown<'a>(self, object: &'a Arc<Object>) -> Cow<'a, Arc<Object>> {
        if !is_alive(object) {
            return Cow::Borrowed(object);
        }
        let mut lease = (**object).clone();
        if let Some(spec) = spec_of(&mut lease) {
            spec.insert("renewTime".to_owned(), Time(self.at).micro().into());
        }
        lease.meta.resource_version = lease.meta.resource_version.max(self.version);
        Cow::Owned(Arc::new(lease))
    }

    /// What a client wrote of a Lease that lives: the heartbeat that it read is not written down.
    pub(super) fn kept(self, mut written: Object, kept: &Object) -> Object {
        if is_alive(kept)
            && written.spec("/renewTime") == Some(&Time(self.at).micro().into())
            && let Some(spec) = spec_of(&mut written)
        {
            spec.shift_remove("renewTime");
        }
        written
    }
}

/// Whether an object is the Lease of a node whose kubelet lives.
pub(super) fn is_alive(object: &Object) -> bool {
    object.kind == Kind::Lease && *object.meta.namespace == *NODE_LEASES && object.spec("/renewTime").is_none()
}

fn spec_of(lease: &mut Object) -> Option<&mut Map<String, Value>> {
    Arc::make_mut(&mut lease.body).entry("spec").or_insert_with(|| json!({})).as_object_mut()
}
