//! Who may become a tenant's active Connect server (G1): whoever is active, may be, or is on the way to it stands against every other one.

use std::collections::BTreeSet;
use std::ops::Bound;

use protocol::{RolloutId, TargetId, TenantId};

use crate::fleet::hold::{Cause, Hold, because};
use crate::fleet::state::{Fleet, Rollout, TargetState};
use crate::plan::{Plan, TargetPlan, installs_active, stranger};

/// How a server stands against every other one of its tenant that would become active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It is active.
    Active,
    /// It has Connect, and does not tell its mode.
    Untold,
    /// It was active when it was last heard of, and has no agent any more.
    NoMoreOfTheFleet,
    /// It is being made active.
    OnTheWay,
    /// It was being made active when it went unknown.
    Unheard,
    /// Its work ended before its end: a person may still be about to make it active.
    AtItsWizard,
}

impl Stands {
    /// What it is, why that holds another one, and what lifts it.
    fn sentence(self, server: &TargetId) -> String {
        let (is, lifts) = match self {
            Self::Active => (
                "is the tenant's active Connect server",
                "staging mode there lifts it".to_owned(),
            ),
            Self::Untold => (
                "has Connect, and whether it is active cannot be told",
                "that it tells staging mode lifts it".to_owned(),
            ),
            Self::NoMoreOfTheFleet => (
                "was the tenant's active Connect server when it was last heard of, and its agent is none of the fleet any more",
                format!(
                    "enroll it again, so that it tells what it is, or, when it is off for good, say so: entrain agents revoke {server} --off"
                ),
            ),
            Self::OnTheWay => (
                "is being made the tenant's active Connect server",
                "the end of that work lifts it, where the server is not active then".to_owned(),
            ),
            Self::Unheard => (
                "may have become the tenant's active Connect server, and was not heard of since",
                "its return lifts it, or a resolve".to_owned(),
            ),
            Self::AtItsWizard => (
                "may still be taken out of staging mode by whoever is at its wizard, since that work did not come to its end",
                "a later swap that has verified it lifts it, or its skip".to_owned(),
            ),
        };
        format!("{server} {is}: a second one would break G1; {lifts}")
    }
}

impl Fleet {
    /// The claim on a tenant's active Connect server: whoever is active, may be, or is on the way to it keeps every other
    /// server of the tenant from becoming it (G1), also where another topology and another rollout named it. `started` has
    /// what is issued in the same breath.
    pub(in crate::fleet) fn active_claim(
        &self,
        id: RolloutId,
        target: &TargetId,
        part: &TargetPlan,
        started: &BTreeSet<TargetId>,
    ) -> Option<Hold> {
        let phase = |id: RolloutId, target: &TargetId| {
            let work = self.rollouts.get(&id)?.work.get(target)?;
            Some(work.phase)
        };
        if !part.claims_active(phase(id, target)?) {
            return None;
        }
        if let Some(why) = self.strange(id) {
            return because(Cause::Stranger, why);
        }
        let begun = |id: RolloutId, target: &TargetId| {
            let work = self
                .rollouts
                .get(&id)
                .and_then(|rollout| rollout.work.get(target));
            work.is_some_and(|work| !work.state.is_terminal() && work.has_begun())
        };
        let mine = begun(id, target);
        for (other_id, rollout) in &self.rollouts {
            for (other, theirs) in &rollout.plan.targets {
                if other == target || theirs.tenant != part.tenant {
                    continue;
                }
                let state = rollout.work.get(other).map(|work| &work.state);
                let unknown = state == Some(&TargetState::Unknown);
                let ended = state.is_some_and(TargetState::is_terminal);
                // It was staging when it was last seen, and a person may be taking it out of that just now.
                let switches =
                    theirs.switches_to_active_in(phase(*other_id, other).unwrap_or_default());
                let switching = started.contains(other) && switches
                    || theirs.switches_to_active() && self.may_switch(*other_id, other);
                let moving = rollout.work.get(other).is_some_and(|work| {
                    theirs.moves_in(work.phase)
                        && (work.state.is_under_way() || unknown || started.contains(other))
                });
                if moving {
                    return because(
                        Cause::TenantMoves,
                        format!(
                            "the tenant is being moved to cloud sync on {other}: no Connect server becomes active meanwhile (G1, G7); the end of that work lifts it, or a resolve"
                        ),
                    );
                }
                // Once the installation of an active one has begun, that it reads as staging says nothing of what a person makes of it.
                // What another rollout has open there makes nobody active by this one.
                let open = self.open.get(other);
                let open = open.is_some_and(|open| open.rollout == *other_id);
                let is_open = !ended && open;
                let installing =
                    installs_active(theirs) && (unknown || is_open || begun(*other_id, other));
                let mode = self.modes.get(other);
                let mode = mode.filter(|mode| **mode != Some(true) || !installing);
                let stands = match mode {
                    Some(Some(true)) if switching && unknown => Stands::Unheard,
                    Some(Some(true)) if switching && ended => Stands::AtItsWizard,
                    Some(Some(true)) if switching => Stands::OnTheWay,
                    Some(Some(true)) => continue,
                    Some(Some(false)) if !self.known.contains_key(other) => {
                        Stands::NoMoreOfTheFleet
                    }
                    Some(Some(false)) => Stands::Active,
                    Some(None) => Stands::Untold,
                    None if !theirs.makes_active() => continue,
                    None if open || started.contains(other) => Stands::OnTheWay,
                    // Of two that are both between their phases, the one that was ordered first goes on.
                    None if begun(*other_id, other)
                        && (!mine || (*other_id, other) < (id, target)) =>
                    {
                        Stands::OnTheWay
                    }
                    None if unknown => Stands::Unheard,
                    None => continue,
                };
                return because(Cause::ActiveClaim, stands.sentence(other));
            }
        }
        None
    }

    /// The first Connect server that a directory or the tenant has named by now and that the rollout's topology does not know: whether it is
    /// the active one cannot be told (G1).
    fn strange(&self, id: RolloutId) -> Option<String> {
        let rollout = self.rollouts.get(&id)?;
        self.strangers(&rollout.plan).into_iter().next()
    }

    /// Connect servers that a directory or the tenant has named by now beside those that the topology of a plan knows, a sentence each.
    /// None is looked for where the plan makes no server active.
    #[must_use]
    pub fn strangers(&self, plan: &Plan) -> Vec<String> {
        let claims = |part: &TargetPlan| (0..part.phases.len()).any(|at| part.claims_active(at));
        let claimed: BTreeSet<&TenantId> = plan
            .targets
            .values()
            .filter(|part| claims(part))
            .map(|part| &part.tenant)
            .collect();
        let lanes = plan.lanes.values();
        let lanes = lanes.filter(|lane| {
            // What is no Connect entry, or was planned before its servers stood in plans, says nothing.
            !lane.connect.is_empty() && claimed.contains(&lane.tenant)
        });
        lanes
            .flat_map(|lane| {
                let servers: Vec<&TargetId> = lane.connect.iter().collect();
                let beyond = &self.beyond;
                beyond.strange_connect(&lane.tenant, &lane.covers, &servers, &self.known)
            })
            .map(|(name, shown)| stranger(&name, &shown))
            .collect()
    }

    /// Whether a staging server may be on its way out of that mode by an older rollout's work that did not come to its end.
    /// A later swap that has looked at it lifts that, and an operator who leaves it out.
    fn may_switch(&self, id: RolloutId, target: &TargetId) -> bool {
        let work = |id: RolloutId| self.rollouts.get(&id)?.work.get(target);
        let given = work(id).is_some_and(|work| {
            work.switching
                && !matches!(
                    work.state,
                    TargetState::Skipped(_) | TargetState::Resolved(_)
                )
        });
        let seen = |(_, rollout): (&RolloutId, &Rollout)| {
            let work = rollout.work.get(target);
            rollout.plan.kind.switches()
                && work.is_some_and(|work| matches!(work.state, TargetState::Done(_)))
        };
        let mut later = self.rollouts.range((Bound::Excluded(id), Bound::Unbounded));
        given && !later.any(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That a server is to be in staging mode helps nobody who waits for one that was not heard of, or is none of the fleet.
    #[test]
    fn a_claim_names_what_lifts_it_and_nothing_else() {
        let server: TargetId = "c1.a.test".parse().expect("a name");
        let lifts = [
            (Stands::Active, "staging mode there lifts it"),
            (Stands::Untold, "that it tells staging mode lifts it"),
            (
                Stands::NoMoreOfTheFleet,
                "enroll it again, so that it tells what it is, or, when it is off for good, say so: entrain agents revoke c1.a.test --off",
            ),
            (
                Stands::OnTheWay,
                "the end of that work lifts it, where the server is not active then",
            ),
            (Stands::Unheard, "its return lifts it, or a resolve"),
            (
                Stands::AtItsWizard,
                "a later swap that has verified it lifts it, or its skip",
            ),
        ];
        for (stands, lift) in lifts {
            let sentence = stands.sentence(&server);
            let (is, behind) = sentence
                .split_once(": a second one would break G1; ")
                .expect("it says why");
            assert_eq!(behind, lift);
            assert!(
                is.starts_with("c1.a.test ") && !is.contains("lifts"),
                "{is}"
            );
        }
    }
}
