//! Leave for a section: what keeps it back, and what of that is overridden.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{TargetId, Timestamp, limits};

use crate::fleet::behind::all_held;
use crate::fleet::decide::{frozen, still};
use crate::fleet::hold::{Cause, Hold, because, held};
use crate::fleet::live::Live;
use crate::fleet::overriding::Passed;
use crate::fleet::state::{Fleet, Gate, RolloutState, covers};
use crate::overrides::Rule;

impl Fleet {
    /// Why leave is not given; `None` when it may be.
    #[must_use]
    pub fn permit_hold(
        &self,
        target: &TargetId,
        asked: &Gate,
        gates: &BTreeMap<TargetId, Gate>,
        live: &Live,
        now: Timestamp,
    ) -> Option<Hold> {
        self.leave(target, asked, gates, live, now).err()
    }

    /// It asks once more for the section that it is in: its agent began anew, and what others changed of a gMSA object before is told
    /// with the leave.
    pub(super) fn is_in(&self, target: &TargetId, asked: &Gate) -> bool {
        let gate = self.gates.get(target);
        let gate = gate.filter(|gate| gate.generation == asked.generation);
        let entered = gate.and_then(Gate::entered);
        entered.is_some_and(|(step, is)| step == asked.step && covers(is, &asked.section))
    }

    /// Why leave is not given, or else the rules that would have kept it back if they were not overridden.
    pub(super) fn leave(
        &self,
        target: &TargetId,
        asked: &Gate,
        gates: &BTreeMap<TargetId, Gate>,
        live: &Live,
        now: Timestamp,
    ) -> Result<Passed, Hold> {
        let mut passed = Passed::new();
        let open = self.open.get(target);
        let open = open.filter(|open| open.generation == asked.generation);
        let rollout = open.and_then(|open| Some((open, self.rollouts.get(&open.rollout)?)));
        let Some((open, rollout)) = rollout else {
            return held(Cause::NoBundle, "no such bundle is open on it");
        };
        if let Some(doubted) = self.doubted.get(target) {
            return held(Cause::Doubted, doubted.sentence(target));
        }
        if !live.connected.contains(target) {
            let why = "what it has journaled while it was away is not here yet";
            return held(Cause::JournalComes, why);
        }
        match rollout.state {
            RolloutState::Paused => return held(Cause::Paused, rollout.paused(open.rollout)),
            RolloutState::Aborted => return held(Cause::Aborted, "the rollout was aborted"),
            RolloutState::Running => {}
        }
        if let Some(order) = &self.stopped {
            return held(Cause::FleetFrozen, still(order));
        }
        if let Some(freeze) = self.freeze_in_force(target, live, now) {
            return held(Cause::ServerFrozen, frozen(freeze));
        }
        // It began before its agent did, and what it claims was never free.
        if self.is_in(target, asked) {
            return Ok(passed);
        }
        let nobody = BTreeSet::new();
        passed.extend(self.lawful((open.rollout, rollout), target, &nobody, (live, now))?);
        let mut let_pass = |rule, hold| self.let_pass(rule, hold, target, now, &mut passed);
        if let Some((site, rule)) = rollout.plan.site_of(target)
            && let Some(closed) = rule.closed(now)
        {
            let_pass(
                Rule::Window,
                because(Cause::SiteClosed, format!("site {site}: {}", closed.why)),
            )?;
        }
        if let Some(other) = self.unmet.iter().next() {
            return held(
                Cause::OtherUnmet,
                format!(
                    "{other} was not heard of since the controller was restored and may be in a section of its own; its return lifts it, or its revocation"
                ),
            );
        }
        if let Some(object) = &asked.section.gmsa
            && let Some((other, _)) = self
                .inside(target, gates, (live, now))
                .find(|(_, section)| section.gmsa.as_ref() == Some(object))
        {
            let hold = because(
                Cause::GmsaBusy,
                format!(
                    "{other} changes the same gMSA in {}; its end lifts it (G3)",
                    object.domain
                ),
            );
            let its = self.stands_in_a_section(other, (live, now));
            let hold = hold.map(|hold| match its {
                Some(its) => hold.through((other.clone(), its)),
                None => hold,
            });
            let_pass(Rule::G3, hold)?;
        }
        if asked.section.outage {
            let short = self.short_of_service(target, gates, live, now);
            let hold = short.map(|short| {
                // Others are out and come back, or the agents have not told yet what they do.
                let mut others = short.servers.iter().filter(|other| **other != target);
                let early = now.since(live.began) < limits::FRESH_FACTS
                    || others.any(|other| live.tells_soon(other, now));
                if short.out.is_empty() && !early {
                    return Hold::of(Cause::TooFewServe, short.why);
                }
                let hold = Hold::of(Cause::ServiceComesBack, short.why);
                let out = short.out.into_iter();
                let held = out.map(|out| (out, self.stands_in_a_section(out, (live, now))));
                match all_held(held).filter(|_| !early) {
                    Some(first) => hold.through(first),
                    None => hold,
                }
            });
            let_pass(Rule::G2, hold)?;
        }
        Ok(passed)
    }
}
