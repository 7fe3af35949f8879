//! Who may become a tenant's active Connect server (G1): whoever is active, may be, or is on the way to it stands against every other one.

use std::collections::BTreeSet;
use std::ops::Bound;

use protocol::{RolloutId, TargetId, TenantId};

use crate::fleet::hold::{Cause, Hold, because};
use crate::fleet::state::{Fleet, Rollout, TargetState};
use crate::plan::{Plan, TargetPlan, installs_active, stranger};

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
                let why = match mode {
                    Some(Some(true)) if switching && unknown => {
                        "may have become the tenant's active Connect server, and was not heard of since; its return lifts it, or a resolve"
                    }
                    Some(Some(true)) if switching && ended => {
                        "may still be taken out of staging mode by whoever is at its wizard, since that work did not come to its end; a later swap that has verified it lifts it, or its skip"
                    }
                    Some(Some(true)) if switching => {
                        "is being made the tenant's active Connect server"
                    }
                    Some(Some(true)) => continue,
                    Some(Some(false)) if !self.known.contains_key(other) => {
                        "was the tenant's active Connect server when it was last heard of, and its agent is none of the fleet any more; enroll it again, or, when it is off for good, say so: entrain agents revoke SERVER --off"
                    }
                    Some(Some(false)) => "is the tenant's active Connect server",
                    Some(None) => "has Connect, and whether it is active cannot be told",
                    None if !theirs.makes_active() => continue,
                    None if open || started.contains(other) => {
                        "is being made the tenant's active Connect server"
                    }
                    // Of two that are both between their phases, the one that was ordered first goes on.
                    None if begun(*other_id, other)
                        && (!mine || (*other_id, other) < (id, target)) =>
                    {
                        "is being made the tenant's active Connect server"
                    }
                    None if unknown => {
                        "may have become the tenant's active Connect server, and was not heard of since; its return lifts it, or a resolve"
                    }
                    None => continue,
                };
                return because(
                    Cause::ActiveClaim,
                    format!(
                        "{other} {why}: a second one would break G1; staging mode there lifts it"
                    ),
                );
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
