//! The subresource `pods/eviction`.

use super::cluster::Cluster;
use super::object::Key;
use super::status::Refused;
use super::write::DeleteOptions;

impl Cluster {
    /// Evicts a pod: deletes it; budgets are not asked yet.
    ///
    /// # Errors
    /// As [`Cluster::delete`].
    pub fn evict(&mut self, pod: &Key, options: &DeleteOptions) -> Result<(), Refused> {
        self.delete(pod, options).map(drop)
    }
}
