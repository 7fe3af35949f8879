//! What an operator may order just now, and what a bundle becomes that its agent has not accepted. Nothing is changed here.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use protocol::{BundleId, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version};

use crate::fleet::live::Live;
use crate::fleet::state::{Fleet, Rollout, RolloutState, TargetState};
use crate::overrides::Rule;
use crate::plan::Plan;
use crate::record::Order;

/// What becomes of an open bundle when its agent is back and has not accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unaccepted {
    /// It is offered again.
    Offer(BundleId),
    /// Its rollout was aborted, or stands still, or the server does, or its site is closed by now, or a guard rail holds it by now, or the
    /// override is over under which it was issued, or the agent has accepted a later one in a life of the log that is lost: it is
    /// withdrawn.
    Withdraw(Generation),
}

impl Fleet {
    /// Tells whether an order may be carried out.
    ///
    /// # Errors
    /// With the reason, when it may not.
    pub fn may_order(
        &self,
        id: RolloutId,
        order: &Order,
        live: &Live,
        now: Timestamp,
    ) -> Result<(), String> {
        let rollout = self
            .rollouts
            .get(&id)
            .ok_or_else(|| format!("there is no rollout {id}"))?;
        if rollout.state == RolloutState::Aborted
            && matches!(
                order,
                Order::Pause
                    | Order::Resume { .. }
                    | Order::Retry { .. }
                    | Order::Limits { .. }
                    | Order::SiteLimit { .. }
                    | Order::AcceptDifference { .. }
            )
        {
            return Err(format!(
                "{id} was aborted, which is its end; plan and apply again"
            ));
        }
        if let Order::Skip { reason, .. } | Order::Resolve { reason, .. } = order
            && reason.trim().is_empty()
        {
            let what = if matches!(order, Order::Skip { .. }) {
                "skipped"
            } else {
                "resolved"
            };
            return Err(format!("why it is {what} is not said: --reason"));
        }
        let whole = matches!(
            order,
            Order::Pause
                | Order::Resume { .. }
                | Order::Abort
                | Order::Limits { .. }
                | Order::SiteLimit { .. }
                | Order::Retry { target: None }
        );
        if whole && rollout.work.values().all(|work| work.state.is_settled()) {
            return Err(format!(
                "{id} is over: everything in it is done, skipped or resolved"
            ));
        }
        let named = match order {
            Order::Retry { target } => {
                self.may_try_again(id, rollout, target.as_ref())?;
                target.as_ref()
            }
            Order::Skip { target, .. } | Order::Resolve { target, .. } => Some(target),
            Order::Limits {
                in_flight,
                failures,
                unreachable,
            } => {
                if in_flight.is_none() && failures.is_none() && unreachable.is_none() {
                    return Err(
                        "no limit was given: --in-flight, --failures, --unreachable".to_owned()
                    );
                }
                if *in_flight == Some(0) || *failures == Some(0) {
                    return Err("a limit of 0 lets nothing begin; pause the rollout".to_owned());
                }
                // Neither of two servers that change places comes to its end without the other: with fewer places each would wait
                // for the other's.
                let both = rollout.plan.waves.iter().map(Vec::len).sum::<usize>();
                let few = |limit: &Option<u32>| limit.is_some_and(|limit| (limit as usize) < both);
                if rollout.plan.kind.switches() && (few(in_flight) || few(failures)) {
                    return Err(format!(
                        "{both} servers of {id} change places and need a place each at once: a limit below {both} would hold each for the other; pause the rollout"
                    ));
                }
                None
            }
            Order::SiteLimit { site, in_flight } => {
                may_limit(id, rollout, site, *in_flight)?;
                None
            }
            Order::AcceptDifference { difference, reason } => {
                let stand = self.differences(id);
                if reason.trim().is_empty() {
                    return Err("why it is approved is not said: --reason".to_owned());
                }
                if !stand.iter().any(|one| one.digest == *difference) {
                    let now: Vec<String> = stand
                        .iter()
                        .map(|one| format!("{} ({} and {})", one.digest, one.first, one.second))
                        .collect();
                    return Err(format!(
                        "{id} has no such difference of settings just now{}{}",
                        if now.is_empty() { "" } else { ": it is " },
                        now.join(", ")
                    ));
                }
                None
            }
            Order::Resume { after_restore } => {
                rollout.may_resume(id, *after_restore)?;
                None
            }
            Order::Pause | Order::Abort => None,
        };
        let Some(target) = named else { return Ok(()) };
        let work = rollout
            .work
            .get(target)
            .ok_or_else(|| format!("{id} has no work on {target}"))?;
        let word = work.state.word();
        match order {
            // That the server is off is said of the run that was given up on it, whatever it is at since: unless it is here and may
            // speak of that run itself.
            Order::Resolve { off: true, .. }
                if self.was_abandoned(id, target, now)
                    && !(live.connected.contains(target) && self.is_lost_in(id, target)) =>
            {
                Ok(())
            }
            Order::Retry { .. }
                if work.state == TargetState::Pending
                    && rollout.plan.reads_again(target, work.phase).is_some() =>
            {
                Ok(())
            }
            // Whatever word is shown of it: held, soaking, or waiting for its turn.
            Order::Retry { .. } if work.state == TargetState::Pending => Err(format!(
                "{target} has not failed: there is nothing to retry; entrain why tells what it waits for"
            )),
            Order::Retry { .. } if !work.state.is_bad() => {
                Err(format!("{target} is {word}: there is nothing to retry"))
            }
            Order::Resolve { .. }
                if work.state.is_terminal()
                    && !matches!(
                        work.state,
                        TargetState::Unknown | TargetState::Inconclusive(_)
                    ) =>
            {
                Err(format!("{target} is {word}: there is nothing to resolve"))
            }
            // What a probe could not tell is a person's to say, wherever the agent is.
            Order::Resolve { .. } if matches!(work.state, TargetState::Inconclusive(_)) => Ok(()),
            // It has told all that it has; that its agent is here says nothing of a run that it is not at.
            Order::Resolve { .. }
                if work.state == TargetState::Unknown && !self.may_be_at(id, target) =>
            {
                Ok(())
            }
            Order::Resolve { .. }
                if work.state == TargetState::Unknown && live.connected.contains(target) =>
            {
                Err(format!(
                    "{target} is back and may be in the middle of that run: its end says what became of it"
                ))
            }
            Order::Resolve { .. } if live.connected.contains(target) => Err(format!(
                "{target} is connected, so it will say itself what becomes of it; abort the rollout, or wait for its end"
            )),
            Order::Skip { .. } if work.state.is_settled() => {
                Err(format!("{target} is {word}: there is nothing to skip"))
            }
            Order::Skip { .. }
                if self.is_open(id, target) && work.state == TargetState::Unknown =>
            {
                Err(format!(
                    "{target} may be at work until its bundle ends; its return says what became of it, or a resolve"
                ))
            }
            Order::Skip { .. } if self.is_open(id, target) && work.state.is_terminal() => {
                Err(format!(
                    "{target} is {word}, and its run has not ended yet: it does in a moment, and then it can be skipped"
                ))
            }
            Order::Skip { .. } if self.is_open(id, target) => Err(format!(
                "{target} is under way; abort the rollout, or wait for its end"
            )),
            Order::Retry { .. }
            | Order::Resolve { .. }
            | Order::Skip { .. }
            | Order::Limits { .. }
            | Order::SiteLimit { .. }
            | Order::AcceptDifference { .. }
            | Order::Pause
            | Order::Resume { .. }
            | Order::Abort => Ok(()),
        }
    }

    /// A bundle of that rollout is open on a target.
    fn is_open(&self, id: RolloutId, target: &TargetId) -> bool {
        let open = self.open.get(target);
        open.is_some_and(|open| open.rollout == id)
    }

    /// It went unknown with a run of that rollout, and is heard when it speaks of it.
    fn is_lost_in(&self, id: RolloutId, target: &TargetId) -> bool {
        let lost = self.lost.get(target);
        lost.is_some_and(|lost| lost.rollout == id)
    }

    /// An unknown target may be at its run of that rollout, as far as it was ever told to have taken it up.
    fn may_be_at(&self, id: RolloutId, target: &TargetId) -> bool {
        let lost = self.lost.get(target);
        self.is_open(id, target) || lost.is_some_and(|lost| lost.rollout == id && lost.accepted)
    }

    /// Tells whether the whole fleet may be made to stand still.
    ///
    /// # Errors
    /// With the reason: it stands still already.
    pub fn may_freeze(&self) -> Result<(), String> {
        self.stopped.as_ref().map_or(Ok(()), |order| {
            Err(format!(
                "{} froze the fleet before: {}",
                order.by, order.why
            ))
        })
    }

    /// Tells whether the whole fleet may be let go on.
    ///
    /// # Errors
    /// With the reason: it does not stand still.
    pub fn may_thaw(&self) -> Result<(), String> {
        match self.stopped {
            Some(_) => Ok(()),
            None => Err("the fleet is not frozen".to_owned()),
        }
    }

    /// Rollouts that bring agents to that release and were not aborted: whoever takes it back aborts them. One that is over needs no order.
    #[must_use]
    pub fn with_release(&self, version: Version) -> Vec<RolloutId> {
        let with_it = self.rollouts.iter().filter(|(_, rollout)| {
            rollout.state != RolloutState::Aborted && rollout.plan.release() == Some(version)
        });
        with_it.map(|(id, _)| *id).collect()
    }

    /// The step at a target of which a person may say that it is done, and its run.
    ///
    /// # Errors
    /// When it is not enrolled, when no step there waits for a person, and when nobody may go on at its wizard (G1): that it is done would then say that a second
    /// server is active. What was done there its agent sees by itself.
    pub fn may_attest(
        &self,
        target: &TargetId,
        now: Timestamp,
    ) -> Result<(Generation, StepIndex), String> {
        if !self.known.contains_key(target) {
            return Err(format!(
                "{target} is not enrolled: entrain agents lists who is"
            ));
        }
        if let Some(stop) = self.must_stop(target, now) {
            return Err(format!(
                "nothing is attested at {target} just now: {}",
                stop.why
            ));
        }
        let open = self.open.get(target);
        // An older rollout's question, or an ask for a secret, is no work that a person could say is done.
        let work = open.and_then(|open| self.rollouts.get(&open.rollout)?.work.get(target));
        match (open, work.map(|work| &work.state)) {
            (Some(open), Some(TargetState::AwaitingPerson { step, .. })) => {
                Ok((open.generation, *step))
            }
            (Some(_), Some(TargetState::AwaitingSecret { .. })) => Err(format!(
                "{target} waits for a secret, which no word stands for: entrain secret give --target {target}"
            )),
            _ => Err(format!(
                "no work at {target} waits for a person just now; entrain tasks shows what does"
            )),
        }
    }

    /// What a failover ends before it begins: whatever is not over on a server that it fences, or may be heard again when that is
    /// back. Its fence is the first thing that it gets then, and ends there what its agent still has open.
    #[must_use]
    pub fn ends_elsewhere(&self, plan: &Plan, now: Timestamp) -> Vec<(RolloutId, Order)> {
        let Some(off) = &plan.off else {
            return Vec::new();
        };
        // Those that were said to be off before are fenced by it as well.
        let before = self.beyond.said_off.iter().filter(|target| {
            let part = plan.targets.get(*target);
            *target != off && part.is_some_and(|part| !part.is_read_only())
        });
        let words = std::iter::once(off)
            .chain(before)
            .flat_map(|target| self.ends_on(target, now));
        // Whoever was to take its place by a swap would go on without it, beside the one that does so now.
        let swaps = self.active().filter(|(_, rollout)| {
            let named = rollout.plan.targets.contains_key(off);
            named && rollout.plan.kind.switches() && rollout.state != RolloutState::Aborted
        });
        let swaps = swaps.map(|(id, _)| (id, Order::Abort));
        swaps.chain(words).collect()
    }

    /// The words that end whatever is not over on a server that is off.
    fn ends_on(&self, off: &TargetId, now: Timestamp) -> Vec<(RolloutId, Order)> {
        let open = self.open.get(off).map(|open| open.rollout);
        let lost = self.lost.get(off).map(|lost| lost.rollout);
        let ends = self.rollouts.iter().filter(|(id, rollout)| {
            let work = rollout.work.get(off);
            let goes_on = work.is_some_and(|work| !work.state.is_terminal());
            goes_on || open == Some(**id) || lost == Some(**id)
        });
        let reason = "it is said to be off, and another server takes its place: its fence comes first when it is back";
        let resolve = || Order::Resolve {
            target: off.clone(),
            reason: reason.to_owned(),
            off: true,
        };
        let words = ends.flat_map(|(id, _)| {
            // The first word may be taken for one of a run that was given up before.
            let of_before = self.frees_alone(*id, off, true, now);
            let times = if of_before { 2 } else { 1 };
            (0..times).map(|_| (*id, resolve()))
        });
        words.collect()
    }

    /// The first rollout that changes a server which that plan would change, and is not over there. One that was aborted does not
    /// count: what it has open there ends at its next gate. Nor does one that only reads, nor what a failover ends itself.
    #[must_use]
    pub fn works_on(&self, plan: &Plan) -> Option<(RolloutId, TargetId)> {
        let changed = plan.targets.iter().filter(|(_, part)| !part.is_read_only());
        // So are those that were said to be off before: what holds their fence until now is ended with this one's beginning.
        let ends = |target: &TargetId| {
            plan.off
                .as_ref()
                .is_some_and(|off| off == target || self.beyond.said_off.contains(target))
        };
        let changed = changed.filter(|(target, _)| !ends(target));
        changed
            .into_iter()
            .find_map(|(target, _)| Some((self.at_work_on(target, None)?, target.clone())))
    }

    /// What becomes of the open bundle of an agent that is back; `newest` is the newest generation that it has accepted.
    #[must_use]
    pub fn unaccepted(
        &self,
        target: &TargetId,
        newest: Generation,
        live: &Live,
        now: Timestamp,
    ) -> Option<Unaccepted> {
        let open = self.open.get(target).filter(|open| !open.accepted)?;
        match open.generation.cmp(&newest) {
            // It has accepted that number, and what it has journaled of it says of which bundle.
            Ordering::Equal => return None,
            // It was issued before a backup, and withdrawn in a life of the log that is lost: the agent has been through later ones since,
            // and takes up none that is older. No word ends what it does not have.
            Ordering::Less => return Some(Unaccepted::Withdraw(open.generation)),
            Ordering::Greater => {}
        }
        let rollout = self.rollouts.get(&open.rollout);
        let runs = rollout.is_some_and(|rollout| rollout.state == RolloutState::Running);
        // Nothing begins while it stands still; when it goes on, it is offered under a number of its own.
        let still = self.stopped.is_some() || self.frozen.contains_key(target);
        let closed = rollout.is_some_and(|rollout| {
            let rule = rollout.plan.site_of(target);
            let phase = rollout.work.get(target).map_or(0, |work| work.phase);
            rollout.plan.needs_open_site(target, phase)
                && rule.is_some_and(|(_, rule)| rule.closed(now).is_some())
                // One that was issued under an override of that is withdrawn with it; one that was not is issued anew under it, so
                // that the record shows what it let through.
                && !open.overridden.contains(&Rule::Window)
        });
        // What let it be issued, or what it carries, holds no more.
        let mut under = open.overridden.iter();
        let lapsed = under.any(|rule| !self.overrides.is_in_force(target, *rule, now));
        // What no guard rail held then, or an override let through then, is asked for once more.
        let lawful = || {
            rollout.is_none_or(|rollout| {
                let nobody = BTreeSet::new();
                let asked = self.lawful((open.rollout, rollout), target, &nobody, (live, now));
                asked.is_ok_and(|passed| passed.is_subset(&open.overridden))
            })
        };
        let stale = || self.is_stale(target, open);
        Some(
            if !runs || still || closed || lapsed || stale() || !lawful() {
                Unaccepted::Withdraw(open.generation)
            } else {
                Unaccepted::Offer(open.bundle)
            },
        )
    }
}

/// Tells whether as many servers may be under way at a site from now on.
fn may_limit(id: RolloutId, rollout: &Rollout, site: &str, in_flight: u32) -> Result<(), String> {
    let parts = rollout.work.keys();
    let parts = parts.filter_map(|target| rollout.plan.targets.get(target)?.site.as_deref());
    let sites: Vec<&str> = parts.collect();
    let there = sites.iter().filter(|of| **of == site).count();
    if there == 0 {
        let known: BTreeSet<&str> = sites.into_iter().collect();
        let known: Vec<&str> = known.into_iter().collect();
        return Err(match known.join(", ") {
            none if none.is_empty() => {
                format!("{id} has no work at site \"{site}\": none of its servers stands at a site")
            }
            known => format!("{id} has no work at site \"{site}\": its servers are at {known}"),
        });
    }
    if in_flight == 0 {
        return Err("a limit of 0 lets nothing begin there; pause the rollout".to_owned());
    }
    // As for the limit of the whole: neither of two servers that change places comes to its end without the other.
    if rollout.plan.kind.switches() && (in_flight as usize) < there {
        return Err(format!(
            "{there} servers of {id} at site {site} change places and need a place each at once: a limit below {there} would hold each for the other; pause the rollout"
        ));
    }
    Ok(())
}
