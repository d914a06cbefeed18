//! A control plane with its kubelets, and pools of nodes in it that do not see each other.

use super::controlplane::ControlPlane;
use super::world::{Node, Pool};
use super::{Result, binaries, kwok};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A running testbed, ended when the last handle is dropped. All that a [`ControlPlane`] can do, it can.
pub struct Lab {
    plane: ControlPlane,
    names: Mutex<BTreeMap<String, usize>>,
}

impl Lab {
    /// Finds or builds the programs and starts them; half a minute at most once they are built.
    pub fn start() -> Result<Arc<Lab>> {
        let plane = ControlPlane::start(binaries::find_or_build()?)?;
        kwok::start(&plane)?;
        Ok(Arc::new(Lab { plane, names: Mutex::default() }))
    }

    /// A pool of `nodes` ready nodes, spread over `zones` in turn (none: nodes without a zone), and a namespace.
    ///
    /// The pool, its namespace and the value of its nodes' label `pool` bear one name: `name`, or `name-2` and so on
    /// where that is taken. Nodes are called `NAME-0`, `NAME-1`, ... Dropping the pool takes all of it away.
    pub fn pool(self: &Arc<Self>, name: &str, nodes: usize, zones: &[&str]) -> Result<Pool> {
        let mut pool = Pool::new(self, &self.name(name))?;
        let mut zones = zones.iter().cycle();
        for index in 0..nodes {
            let node = Node::new(&format!("{}-{index}", pool.name()));
            pool.add(match zones.next() {
                Some(zone) => node.zone(zone),
                None => node,
            })?;
        }
        pool.wait_for_nodes(Duration::from_secs(30))?;
        Ok(pool)
    }

    fn name(&self, name: &str) -> String {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let count = names.entry(name.to_owned()).or_default();
        *count += 1;
        if *count == 1 { name.to_owned() } else { format!("{name}-{count}") }
    }
}

impl Deref for Lab {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.plane
    }
}
