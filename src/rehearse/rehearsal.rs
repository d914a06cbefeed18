//! One playbook on one world, as often as there are seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cluster::{About, World};
use super::controllers::{self, kubelet};
use super::kinds::Kind;
use super::ledger::Ledger;
use super::object::Object;
use super::script::Script;
use super::simulation::{NoRules, Setting, Simulation};
use super::verdict::Rehearsed;
use super::world::seed::{SeedError, seed};
use crate::cluster::snapshot::Snapshot;
use crate::engine::Settings;
use crate::engine::driver::DriveError;
use crate::engine::observe::Observer;
use crate::plan::graph::Graph;

/// What is rehearsed, and on what.
pub struct Rehearsal<'a> {
    /// What is carried out.
    pub graph: Arc<Graph>,
    /// What the world begins as.
    pub snapshot: &'a Snapshot,
    /// How it is carried out.
    pub settings: Settings,
    /// Texts of the secret parameters.
    pub secrets: BTreeMap<String, String>,
    /// What its kubelets take their times from, for all seeds.
    timings: kubelet::Timings,
}

/// Why there is no rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// A snapshot that is no cluster.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// No runtime.
    #[error("there is no runtime: {0}")]
    Runtime(#[from] std::io::Error),
    /// What the engine could not go on for: a fault of ours.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

impl<'a> Rehearsal<'a> {
    /// A plan on a snapshot, from whose pods it is learnt how long starts take.
    pub fn new(
        graph: Arc<Graph>,
        snapshot: &'a Snapshot,
        settings: Settings,
        secrets: BTreeMap<String, String>,
    ) -> Self {
        Self { graph, snapshot, settings, secrets, timings: timings(snapshot) }
    }

    /// The cluster in a box, and a run on it that has not begun.
    ///
    /// # Errors
    /// A snapshot that is no cluster.
    pub fn simulation(&self, number: u64) -> Result<Simulation, RehearsalError> {
        let (script, ledger) = (Script::default(), Ledger::default());
        let world = world(self.snapshot, &self.timings, number, &script, &ledger)?;
        let setting = Setting {
            graph: self.graph.clone(),
            world,
            ledger,
            script,
            rules: Arc::new(NoRules),
            seed: number,
            settings: self.settings.clone(),
            secrets: self.secrets.clone(),
        };
        Ok(Simulation::new(setting)?)
    }

    /// Rehearses with one seed, from the beginning to the end.
    ///
    /// # Errors
    /// See [`RehearsalError`].
    pub fn with_seed(&self, number: u64, observer: &mut dyn Observer) -> Result<Rehearsed, RehearsalError> {
        let mut simulation = self.simulation(number)?;
        let ending = simulation.drive(None, observer)?;
        let mut seen = simulation.seen(ending);
        for assumed in self.timings.assumed() {
            seen.assumed.insert(assumed, 0);
        }
        Ok(seen)
    }
}

/// What the pods of a snapshot tell of how long starts take.
pub fn timings(snapshot: &Snapshot) -> kubelet::Timings {
    let pods = snapshot.objects.get("pods").into_iter().flatten();
    let pods: Vec<Object> = pods.filter_map(|pod| Object::read(Kind::Pod, pod.clone()).ok()).collect();
    kubelet::Timings::learnt(pods.iter())
}

/// A world as of a snapshot, with all its controllers.
///
/// # Errors
/// A snapshot that is no cluster.
pub fn world(
    snapshot: &Snapshot,
    timings: &kubelet::Timings,
    number: u64,
    script: &Script,
    ledger: &Ledger,
) -> Result<World, SeedError> {
    let mut all = controllers::all();
    all.push(Box::new(kubelet::Kubelets::new(timings.clone(), script.clone(), BTreeSet::new())));
    all.push(ledger.keeper());
    let about = About { minor: minor_of(&snapshot.version), version: snapshot.version.clone() };
    let mut world = World::new(about, snapshot.as_of, number, all);
    seed(snapshot, &mut world)?;
    Ok(world)
}

/// The minor of `v1.37.2`; that of this Kubernetes where the text says none.
fn minor_of(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(37)
}

/// Somebody who is told nothing.
pub struct Nobody;

impl Observer for Nobody {
    fn event(&mut self, _: &crate::journal::Record<crate::engine::event::Event>, _: &crate::engine::state::RunState) {}
    fn waiting(&mut self, _: &str, _: &[String]) {}
    fn output(&mut self, _: &str, _: &str) {}
    fn counted(&mut self, _: &str, _: crate::engine::observe::PodsGone) {}
    fn remark(&mut self, _: &str) {}
    fn tick(&mut self, _: i64, _: &crate::engine::state::RunState) {}
}
