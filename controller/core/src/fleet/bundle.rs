//! What a bundle says: made here for whoever signs it, from the plan and from what is known.

use protocol::signed::{Assumed, Manifest};
use protocol::step::Step;
use protocol::{Fingerprint, RolloutId, TargetId, Timestamp};

use crate::fleet::decide::BUNDLE_LIFE;
use crate::fleet::state::Fleet;

/// How many more openings of its site's window a bundle outlives at most: as many as there are servers of a domain that go one
/// after another, and no more than this, since a server that died counts as under way until its bundle has ended.
const MOST_OPENINGS: usize = 8;

impl Fleet {
    /// The manifest of a target's next bundle: the given phase of its work in a rollout, for the key under which it is
    /// enrolled. `None` when the rollout has no such work.
    #[must_use]
    pub fn manifest(
        &self,
        id: RolloutId,
        target: &TargetId,
        phase: usize,
        key: Fingerprint,
        now: Timestamp,
    ) -> Option<Manifest> {
        let rollout = self.rollouts.get(&id)?;
        let part = rollout.plan.targets.get(target)?;
        let work = part.phases.get(phase)?;
        let person = work.steps.iter().any(Step::needs_person);
        let life = if person { BUNDLE_LIFE.1 } else { BUNDLE_LIFE.0 };
        // What does not fit into a site's window goes on in its next one.
        let rule = rollout.plan.site_of(target);
        let until = match rule.and_then(|(_, rule)| rule.closed(now.plus(life))) {
            Some(closed) => closed.opens.unwrap_or_else(|| now.plus(life)),
            None => now,
        };
        let expires = until.plus(life);
        // Those that serve a domain go one after another, and a window may be as short as one of them.
        let row = rollout.serves.get(target).into_iter().flatten();
        let row = row.filter_map(|domain| rollout.plan.domains.get(domain));
        let row = row.map(|part| part.servers.len() + part.leaving.len());
        let times = row.max().unwrap_or(1).clamp(1, MOST_OPENINGS);
        let openings = rule.filter(|_| !work.is_read_only());
        let openings = openings.and_then(|(_, rule)| rule.end_of_opening(now, times));
        let expires = openings.map_or(expires, |end| expires.max(end));
        let essence = self.assumes(id, target, phase);
        Some(Manifest {
            format: 1,
            tenant: part.tenant.clone(),
            target: target.clone(),
            target_key: key,
            generation: self.next_generation(target),
            rollout: id,
            plan: rollout.plan_id,
            change: rollout.change.clone(),
            phase: work.phase,
            issued: now,
            not_before: now,
            expires,
            assumed: essence.map(|essence| Assumed { essence }),
            steps: self.steps(target, work, now),
            artifacts: work.artifacts.clone(),
            approval: None,
        })
    }
}
