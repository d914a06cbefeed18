//! What a drain does about budgets beside waiting for their credit: those that can never give one, and the check of the cache.

use super::ledger::Check;
use super::run::{Running, SAY_EVERY};
use super::state::Stage;
use super::told;
use crate::actions::args::Read;
use crate::actions::failure::by_server;
use crate::catalog::types::Kind;
use crate::cluster::RequestError;
use crate::facts::reads::ReadKey;
use crate::why::{self, Reason};

/// For how many milliseconds a budget that had allowed evictions has to look as if it never could, until the drain fails:
/// between a pod and its replacement a budget covers one workload less.
const NEVER_FOR: i64 = 2_000;

impl Running<'_> {
    /// Refuses what no waiting can mend, before anything is evicted.
    pub(super) fn check_budgets(&self) -> Read<()> {
        let waits = |stage| matches!(stage, Stage::Waits(_));
        let mut several = self.drain.left().filter(|tracked| waits(tracked.stage)).filter_map(|tracked| {
            let budgets = tracked.several()?;
            Some(why::several(&why::pod_name(&tracked.pod), budgets))
        });
        if let Some(reason) = several.next() {
            return Err(told::cannot_end(self.node, &reason, 0));
        }
        self.never().map_or(Ok(()), |reason| Err(told::cannot_end(self.node, &reason, 0)))
    }

    /// A budget that holds pods and can never let them go.
    fn never(&self) -> Option<Reason> {
        self.context.facts.read(|facts| {
            self.drain.held().into_iter().find_map(|(budget, who)| {
                let never = why::never_allows(&budget, &why::covered(facts, &budget)?)?;
                Some(Reason { who, ..never })
            })
        })
    }

    /// Ends a drain that a budget can let end no more.
    pub(super) fn look_at_budgets(&mut self) -> Read<()> {
        let now = self.context.now();
        if now < self.check_at || self.blind.is_some() {
            return Ok(());
        }
        self.check_at = now + SAY_EVERY;
        let Some(reason) = self.never() else {
            self.never_since = None;
            return Ok(());
        };
        let since = *self.never_since.get_or_insert(now);
        if now - since < NEVER_FOR {
            return Ok(());
        }
        Err(told::cannot_end(self.node, &reason, self.drain.evicted))
    }

    /// Has the cache of budgets checked against the server, once they have held pods for long.
    pub(super) fn check(&mut self) {
        if self.blind.is_some() {
            return;
        }
        let context = self.context;
        if let Some(check) = self.drain.begin_check(context.now()) {
            self.checks.push(Box::pin(async move {
                let result = context.facts.confirm(&context.requests, &[ReadKey::List(Kind::Budget)]).await;
                (check, result)
            }));
        }
    }

    pub(super) fn checked(&mut self, check: Check, result: Result<(), RequestError>) -> Read<()> {
        result.map_err(|error| by_server(error, "list", "poddisruptionbudgets"))?;
        check.done(self.context.now(), &self.chance);
        Ok(())
    }
}
