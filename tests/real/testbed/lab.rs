//! A control plane with its kubelets, and pools of nodes in it that do not see each other.

use super::binaries::{self, Binaries};
use super::controlplane::ControlPlane;
use super::world::{Node, Pool};
use super::{Result, kwok};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A running testbed, ended when the last handle is dropped. All that a [`ControlPlane`] can do, it can.
pub struct Lab {
    plane: ControlPlane,
    names: Mutex<BTreeMap<String, usize>>,
}

impl Lab {
    /// Finds or builds the programs and starts them; half a minute at most once they are built.
    pub fn start() -> Result<Arc<Lab>> {
        Lab::start_with(binaries::find_or_build()?)
    }

    fn start_with(binaries: Binaries) -> Result<Arc<Lab>> {
        let plane = ControlPlane::start(binaries)?;
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

/// A lab that one trial has for itself, beside the one that all share.
///
/// There is at most one at a time, since a control plane takes a gigabyte; starting another waits for its end.
pub struct OwnLab {
    lab: Arc<Lab>,
    _turn: MutexGuard<'static, ()>,
}

/// Whose turn it is to have a lab for itself.
static TURN: Mutex<()> = Mutex::new(());

impl OwnLab {
    /// Starts one with these programs.
    pub fn start(binaries: Binaries) -> Result<OwnLab> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(OwnLab { lab: Lab::start_with(binaries)?, _turn: turn })
    }
}

impl Deref for OwnLab {
    type Target = Arc<Lab>;

    fn deref(&self) -> &Arc<Lab> {
        &self.lab
    }
}

impl Deref for Lab {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.plane
    }
}
