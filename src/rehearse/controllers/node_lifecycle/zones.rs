//! How fast nodes get their `NoExecute` taints, zone by zone: one in 10 s; in a zone of which 55 % (and at least three nodes)
//! are down one in 100 s, or none if it has 50 nodes or fewer; none at all while every zone is down altogether
//! (handleDisruption, ComputeZoneState).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{has_taint, is_down};
use crate::rehearse::cluster::Cluster;
use crate::rehearse::controllers::taints::{self, NOT_READY, UNREACHABLE};
use crate::rehearse::kinds::Kind;
use crate::rehearse::object::{Key, Object};

/// Milliseconds from node to node.
const USUAL: i64 = 10_000;
const SLOW: i64 = 100_000;
/// A zone with more nodes than this goes on slowly.
const LARGE: usize = 50;
/// How often the queues are looked at, in milliseconds.
const STEP: i64 = 100;
/// Nodes with this label do not count.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";

/// How a zone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Initial,
    Normal,
    Partial,
    Full,
}

#[derive(Debug)]
struct Zone {
    state: State,
    /// Nodes that wait for their taint.
    queue: VecDeque<Arc<str>>,
    /// Milliseconds from node to node; `None` where there is no next.
    pace: Option<i64>,
    /// When the next may be, Unix milliseconds.
    free_at: i64,
}

impl Default for Zone {
    fn default() -> Self {
        Self { state: State::Initial, queue: VecDeque::new(), pace: Some(USUAL), free_at: i64::MIN }
    }
}

/// The zones by region and zone.
#[derive(Debug, Default)]
pub(super) struct Zones(BTreeMap<(String, String), Zone>);

fn zone_of(node: &Object) -> (String, String) {
    let label = |key: &str| node.meta.label(key).unwrap_or_default().to_owned();
    (label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

impl Zone {
    /// Another pace; who had to wait, waits a whole step of it (rate_limited_queue.go, SwapLimiter).
    fn go_at(&mut self, pace: Option<i64>, now: i64) {
        let has_to_wait = self.pace.is_none() || now < self.free_at;
        self.free_at = if has_to_wait { now + pace.unwrap_or(0) } else { i64::MIN };
        self.pace = pace;
    }
}

impl Zones {
    /// A node is to get its taint when it is its turn.
    pub(super) fn await_taint(&mut self, node: &Object) {
        let zone = self.0.entry(zone_of(node)).or_default();
        if !zone.queue.contains(&node.meta.name) {
            zone.queue.push_back(node.meta.name.clone());
        }
    }

    /// A node is to get none.
    pub(super) fn forget(&mut self, node: &str) {
        self.0.values_mut().for_each(|zone| zone.queue.retain(|one| &**one != node));
    }

    /// Whether some node waits.
    pub(super) fn has_work(&self) -> bool {
        self.0.values().any(|zone| !zone.queue.is_empty())
    }

    /// Takes the nodes whose turn it is.
    pub(super) fn take_due(&mut self, now: i64) -> Vec<Arc<str>> {
        let mut due = Vec::new();
        for zone in self.0.values_mut() {
            if let Some(pace) = zone.pace
                && now >= zone.free_at
                && let Some(node) = zone.queue.pop_front()
            {
                zone.free_at = now + pace;
                due.push(node);
            }
        }
        due
    }

    /// When the next one's turn is, Unix milliseconds.
    pub(super) fn next_due(&self) -> Option<i64> {
        let due = self.0.values().filter(|zone| zone.pace.is_some() && !zone.queue.is_empty());
        due.map(|zone| (zone.free_at + STEP - 1).div_euclid(STEP) * STEP).min()
    }

    /// How the zones are now, and what that means for their pace.
    pub(super) fn judge(&mut self, cluster: &mut Cluster) {
        let mut counts: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
        for node in cluster.store.all(Kind::Node).filter(|node| node.meta.label(EXCLUDED).is_none()) {
            let (ready, down) = counts.entry(zone_of(node)).or_default();
            let is_ready = node.node().is_some_and(|node| node.is_ready());
            *(if is_ready { ready } else { down }) += 1;
        }
        let was_all_down = !self.0.is_empty() && self.0.values().all(|zone| zone.state == State::Full);
        self.0.retain(|zone, _| counts.contains_key(zone));
        let is_all_down = counts.values().all(|(ready, _)| *ready == 0);
        match (was_all_down, is_all_down) {
            (true, true) => {}
            (false, true) => self.stop(&counts, cluster),
            (was_all_down, false) => {
                for (name, count) in counts {
                    self.0.entry(name).or_default().turn(count, was_all_down, cluster.now);
                }
            }
        }
    }

    /// Every node is down: it is more likely that it is the controller that is cut off. Nodes lose their taints again.
    fn stop(&mut self, counts: &BTreeMap<(String, String), (usize, usize)>, cluster: &mut Cluster) {
        for name in counts.keys() {
            let zone = self.0.entry(name.clone()).or_default();
            zone.state = State::Full;
            zone.go_at(None, cluster.now);
        }
        let nodes: Vec<Arc<Object>> = cluster.store.all(Kind::Node).cloned().collect();
        for node in nodes {
            if has_taint(&node, NOT_READY) || has_taint(&node, UNREACHABLE) {
                let both = [(UNREACHABLE, "NoExecute"), (NOT_READY, "NoExecute")];
                taints::swap(cluster, &Key::node(node.meta.name.clone()), &[], &both);
            }
            if is_down(&node) {
                self.await_taint(&node);
            }
        }
    }
}

impl Zone {
    fn turn(&mut self, (ready, down): (usize, usize), is_forced: bool, now: i64) {
        let state = match (ready, down) {
            (0, 1..) => State::Full,
            // 55 %, in whole numbers.
            (ready, down) if down > 2 && down * 100 >= (down + ready) * 55 => State::Partial,
            _ => State::Normal,
        };
        if state == self.state && !is_forced {
            return;
        }
        self.state = state;
        let pace = match state {
            State::Partial if ready + down <= LARGE => None,
            State::Partial => Some(SLOW),
            _ => Some(USUAL),
        };
        self.go_at(pace, now);
    }
}
