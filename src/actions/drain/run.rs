//! The loop around the state of a drain: the facts and the server's answers go in, evictions and notes come out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;

use super::asked;
use super::evict::evict;
use super::fate::{Fate, Obstacle};
use super::ledger::Check;
use super::missing::Missing;
use super::options::{Options, Unbudgeted};
use super::stagger::Crew;
use super::state::{Answer, Drain, LATE_ARRIVALS, Shown};
use super::told;
use crate::actions::args::Read;
use crate::actions::chance::Chance;
use crate::actions::context::{Args, Attempt, Note, StepContext};
use crate::actions::failure::{by_server, gone, timeout};
use crate::actions::node::NodeNow;
use crate::catalog::types::Kind;
use crate::catalog::value::ObjectRef;
use crate::cluster::RequestError;
use crate::engine::event::Progress;
use crate::engine::observe::PodsGone;
use crate::facts::Facts;
use crate::facts::objects::Pod;
use crate::why::{self, Reason};

/// How long a drain that ends early waits for the answers of evictions that are on their way.
const SETTLES: Duration = Duration::from_secs(5);
/// What it waits for is said again after so many milliseconds at the earliest.
pub(super) const SAY_EVERY: i64 = 1_000;
/// How long it sleeps at most, in milliseconds; waking costs no request.
const SLEEPS: i64 = 30_000;

/// What has to be known for an eviction.
const DECIDE: [Kind; 4] = [Kind::Node, Kind::Pod, Kind::Workload, Kind::Budget];

/// A list of pods as the server has them.
#[derive(Deserialize)]
struct PodList {
    items: Vec<Pod>,
}

/// A drain under way.
pub(super) struct Running<'a> {
    pub(super) node: &'a ObjectRef,
    pub(super) options: &'a Options,
    pub(super) context: &'a StepContext,
    pub(super) chance: Chance,
    pub(super) drain: Drain,
    posts: FuturesUnordered<BoxFuture<'a, (Arc<Pod>, Read<Answer>)>>,
    /// At most one: the read that the cache of budgets is checked with.
    pub(super) checks: FuturesUnordered<BoxFuture<'a, (Check, Result<(), RequestError>)>>,
    /// What is known of StatefulSets that cannot replace pods, and what is being asked about them.
    pub(super) missing: Missing,
    pub(super) looks: FuturesUnordered<BoxFuture<'a, Vec<Reason>>>,
    /// When the watch first showed the cordon.
    cordon_seen: Option<i64>,
    /// When the node's pods were listed last.
    listed: i64,
    said: Vec<String>,
    counted: PodsGone,
    say_at: i64,
    /// Why nothing is posted at all: what decides on it is not known.
    pub(super) blind: Option<String>,
    /// Workloads of the evictions on their way that are staggered, by the pod's UID.
    admitted: BTreeMap<String, String>,
    /// Since when a budget looks as if it never allowed an eviction, and when that is looked at again.
    pub(super) never_since: Option<i64>,
    pub(super) check_at: i64,
}

impl<'a> Running<'a> {
    /// Looks at everything that can stand in the way, from the server and not from what was known before.
    pub(super) async fn begin(node: &'a ObjectRef, options: &'a Options, context: &'a StepContext) -> Read<Self> {
        let now = NodeNow::read(node, &context.requests).await?;
        if !now.is_cordoned() {
            return Err(told::open(node));
        }
        context.facts.until_seen(Kind::Node, now.resource_version()).await;
        let mut running = Self {
            node,
            options,
            context,
            chance: Chance::of(context),
            drain: Drain::drawing_on(context.accounts.clone()),
            posts: FuturesUnordered::new(),
            checks: FuturesUnordered::new(),
            missing: Missing::default(),
            looks: FuturesUnordered::new(),
            cordon_seen: None,
            listed: 0,
            said: Vec::new(),
            counted: PodsGone::default(),
            say_at: 0,
            blind: None,
            admitted: BTreeMap::new(),
            never_since: None,
            check_at: 0,
        };
        let obstacles = running.list().await?;
        if !obstacles.is_empty() {
            return Err(told::refused(node, &obstacles, 0));
        }
        running.look()?;
        running.check_budgets()?;
        Ok(running)
    }

    /// Until the last pod is gone. Dropped, nothing is lost but answers that are on their way.
    pub(super) async fn finish(&mut self) -> Read<Attempt> {
        let ended = self.drive().await;
        if ended.is_err() {
            self.settle().await;
        }
        ended
    }

    async fn drive(&mut self) -> Read<Attempt> {
        let mut changed = self.context.facts.changed();
        loop {
            changed.mark_unchanged();
            self.look()?;
            self.look_at_budgets()?;
            self.post();
            self.check();
            self.look_for_missing();
            if self.is_time_for_the_last_list() {
                let obstacles = self.list().await?;
                if !obstacles.is_empty() {
                    return Err(told::refused(self.node, &obstacles, self.drain.evicted));
                }
                if self.drain.is_empty() {
                    return Ok(told::done(&self.drain));
                }
                continue;
            }
            self.say();
            let pause = Duration::from_millis(self.pause().unsigned_abs());
            tokio::select! {
                biased;
                Some((pod, answer)) = self.posts.next() => self.answered(&pod, answer)?,
                Some((check, result)) = self.checks.next() => self.checked(check, result)?,
                Some(reasons) = self.looks.next() => self.missing.reasons = reasons,
                () = changed.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes the answers of evictions that are on their way, and posts no further ones.
    pub(super) async fn settle(&mut self) {
        let _ = tokio::time::timeout(SETTLES, async {
            while let Some((pod, answer)) = self.posts.next().await {
                // The drain is over for another reason.
                let _ = self.answered(&pod, answer);
            }
        })
        .await;
    }

    /// The attempt whose time is over: the reason of each pod that is left.
    pub(super) fn late(&self, args: &Args) -> Attempt {
        let now = self.context.now();
        let reasons = self.reasons();
        told::late(self.node, &timeout(args), &self.drain, &reasons, now)
    }

    /// Why it is not over.
    fn reasons(&self) -> Vec<Reason> {
        let now = self.context.now();
        let reasons = self.context.facts.read(|facts| told::reasons(&self.drain, facts, now));
        let blind = self.blind.as_deref().map(why::unknown);
        let missing = self.missing.reasons.iter().cloned();
        blind.into_iter().chain(missing).chain(reasons).chain(self.attached()).collect()
    }

    /// Lists the node's pods from the server, and comes back once the facts are not older than that.
    async fn list(&mut self) -> Read<Vec<(String, Obstacle)>> {
        self.listed = self.context.now();
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", self.node.name);
        let list: PodList = self.context.requests.get(&path).await.map_err(|error| by_server(error, "list", "pods"))?;
        let newest = list.items.iter().filter_map(|pod| pod.metadata.resource_version.parse::<u64>().ok()).max();
        if let Some(newest) = newest {
            self.context.facts.until_seen(Kind::Pod, &newest.to_string()).await;
        }
        let own = self.context.own.as_deref().map(|own| own.pod_uid.as_str()).filter(|uid| !uid.is_empty());
        let judge = |pod: Pod| {
            let has_daemon_set = self.context.facts.read(|facts| has_daemon_set(facts, &pod));
            let fate = match own {
                Some(uid) if pod.metadata.uid == uid => Fate::Stays,
                _ => asked::judged(&pod, has_daemon_set, self.options, self.context),
            };
            (Arc::new(pod), fate)
        };
        let listed = list.items.into_iter().map(judge).collect();
        Ok(self.drain.listed(listed))
    }

    /// Takes what the facts show of the node and of the pods that are left.
    fn look(&mut self) -> Read<()> {
        let now = self.context.now();
        let facts = &self.context.facts;
        let is_cordoned = facts.read(|facts| {
            facts
                .node(&self.node.name)
                .filter(|node| node.metadata.uid == self.node.uid)
                .map(|node| node.spec.unschedulable)
        });
        match is_cordoned {
            Some(true) => _ = self.cordon_seen.get_or_insert(now),
            Some(false) => return Err(told::opened(self.node)),
            None if facts.is_gone(self.node) => return Err(gone(self.node)),
            None => {}
        }
        let left: Vec<Arc<Pod>> = self.drain.left().map(|tracked| tracked.pod.clone()).collect();
        let gone: Vec<bool> = left.iter().map(|pod| facts.is_gone(&reference(pod))).collect();
        let shown = facts.read(|facts| {
            let shown = left.iter().zip(gone).filter_map(|(pod, is_gone)| {
                let uid = pod.metadata.uid.clone();
                match facts.pod(&uid) {
                    Some(pod) => Some((uid, Shown::There(pod.clone(), facts.budgets_of(pod)))),
                    None => is_gone.then_some((uid, Shown::Gone)),
                }
            });
            shown.collect::<BTreeMap<_, _>>()
        });
        self.drain.look(&shown, now, &self.chance);
        // Nothing is decided on old news.
        self.blind = facts.unknown(&DECIDE);
        self.drain.order(|pod| asked::key(pod, self.context));
        Ok(())
    }

    fn post(&mut self) {
        if self.context.is_stopped() || self.blind.is_some() {
            return;
        }
        let (context, grace, now) = (self.context, self.options.grace, self.context.now());
        let is_staggered = self.options.unbudgeted == Unbudgeted::Staggered;
        let admitted = &mut self.admitted;
        let admit = |pod: &Pod| {
            let crew = if is_staggered { context.facts.read(|facts| Crew::of(pod, facts)) } else { None };
            let Some(crew) = crew else { return Ok(()) };
            let stagger = context.stagger.admit(&crew, &pod.metadata.uid, now);
            stagger.map_err(|out| why::staggered(pod, out, crew.most_out()))?;
            admitted.insert(pod.metadata.uid.clone(), crew.uid);
            Ok(())
        };
        for pod in self.drain.next(now, &self.chance, admit) {
            self.posts.push(Box::pin(async move {
                let answer = evict(&pod, grace, context).await;
                (pod, answer)
            }));
        }
    }

    fn answered(&mut self, pod: &Pod, answer: Read<Answer>) -> Read<()> {
        let workload = self.admitted.remove(&pod.metadata.uid);
        let accepted = matches!(answer, Ok(Answer::Accepted));
        if let Some(workload) = workload.as_ref().filter(|_| !accepted) {
            self.context.stagger.give_back(workload, &pod.metadata.uid);
        }
        let answer = answer?;
        if accepted {
            let progress = Progress::Evicted { pod: reference(pod), workload };
            self.context.note(Note::Progress(self.context.step.clone(), progress));
        }
        self.drain.answered(&pod.metadata.uid, &answer, self.context.now(), &self.chance);
        Ok(())
    }

    /// What keeps the node though its pods are gone: volumes. Not while a pod that is left uses a claim: they may be its.
    fn attached(&self) -> Option<Reason> {
        if !self.drain.is_empty() {
            return None;
        }
        self.context.facts.read(|facts| {
            let claims = |pod: &Arc<Pod>| !pod.is_finished() && uses_claim(pod);
            let node = facts.node(&self.node.name).filter(|node| node.metadata.uid == self.node.uid)?;
            let reason = match facts.attachments_of(&self.node.name) {
                Ok(attachments) => why::attached(node, &attachments),
                Err(unknown) => Some(why::attachments_unknown(node, &unknown.why)),
            };
            reason.filter(|_| !facts.pods_on(&self.node.name).iter().any(claims))
        })
    }

    fn is_time_for_the_last_list(&self) -> bool {
        self.last_list_at().is_some_and(|at| self.context.now() >= at)
    }

    /// When a list can be the last; `None` while pods or volumes are left, or the watch has not shown the cordon.
    fn last_list_at(&self) -> Option<i64> {
        let seen = self.cordon_seen.filter(|_| self.drain.is_empty() && self.attached().is_none())?;
        Some(seen.max(self.listed) + LATE_ARRIVALS)
    }

    /// Says what it waits for, when that has changed.
    fn say(&mut self) {
        let counted = self.drain.counted();
        if counted != self.counted {
            self.counted = counted;
            self.context.note(Note::Counted(self.context.step.clone(), counted));
        }
        let now = self.context.now();
        if now < self.say_at {
            return;
        }
        self.say_at = now + SAY_EVERY;
        let lines = match self.cordon_seen {
            None if self.drain.is_empty() && self.blind.is_none() => {
                vec!["the watch does not show the cordon yet".to_owned()]
            }
            _ => told::waiting(&self.reasons(), now),
        };
        if lines != self.said {
            self.said.clone_from(&lines);
            self.context.waiting(lines);
        }
    }

    /// Milliseconds until something is to be done though no fact changes.
    fn pause(&self) -> i64 {
        let now = self.context.now();
        let say = Some(self.say_at).filter(|at| *at > now);
        let check = self.never_since.map(|_| self.check_at);
        // Blind, nothing is posted whatever the time.
        let next = if self.blind.is_some() { Some(now + SAY_EVERY) } else { self.drain.wakes_at(now) };
        [next, self.last_list_at(), self.missing.due(), say, check]
            .into_iter()
            .flatten()
            .fold(SLEEPS, |pause, at| pause.min(at - now))
            .max(1)
    }
}

/// Whether the DaemonSet of a pod that names one exists, as far as that is known.
fn has_daemon_set(facts: &Facts, pod: &Pod) -> bool {
    let controller = pod.metadata.controller();
    controller.is_none_or(|controller| facts.has_controller(&controller.kind, &controller.uid) != Some(false))
}

/// Whether one of the pod's volumes is a claim, which is attached to its node.
fn uses_claim(pod: &Pod) -> bool {
    pod.spec.volumes.iter().any(|volume| volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some())
}

/// The pod as events name it.
pub(super) fn reference(pod: &Pod) -> ObjectRef {
    let meta = &pod.metadata;
    ObjectRef { kind: Kind::Pod, namespace: meta.namespace.clone(), name: meta.name.clone(), uid: meta.uid.clone() }
}
