//! What holds a target by what was read elsewhere: in its tenant (G7, G8), and of the settings of Connect servers (G4).

use protocol::probe::tenant as catalogue;
use protocol::{RolloutId, TargetId, Timestamp};

use crate::fleet::hold::{Cause, Hold, because};
use crate::fleet::state::{Fleet, Rollout, Work};
use crate::plan::{Compare, TargetPlan};
use crate::scope::{self, Question, Verdict};
use crate::settings::Difference;
use crate::tenant;

/// Whether a server of a rollout becomes active where the rollout has put the active one into staging mode: none is active by then,
/// and that is meant.
fn follows(rollout: &Rollout, part: &TargetPlan) -> bool {
    let mut others = rollout.plan.targets.iter();
    part.switches_to_active()
        && others.any(|(target, other)| {
            let went = rollout.work.get(target).map_or(0, |work| work.phase);
            (0..went).any(|phase| other.switches_to_staging_in(phase))
        })
}

impl Fleet {
    /// What the tenant showed stops whatever it is about, before anything is touched (G8). A tenant that nobody read stops nothing:
    /// to let Entrain look into it is its administrator's choice.
    pub(super) fn tenant_blocks(
        &self,
        rollout: &Rollout,
        part: &TargetPlan,
        work: &Work,
        now: Timestamp,
    ) -> Option<Hold> {
        let wants = &rollout.plan.tenants.get(&part.tenant)?.wants;
        let seen = self.beyond.tenants.get(&part.tenant)?;
        // In place of a server that is gone another one becomes active whatever a tenant showed before; G1 asks the servers' facts.
        if part.phases.get(work.phase)?.is_read_only() || rollout.plan.off.is_some() {
            return None;
        }
        let found = tenant::findings(&seen.observation, wants, &self.known, &self.beyond);
        let follows = follows(rollout, part);
        let stops = found.into_iter().find(|one| {
            // What was read of the tenant may be older than what the rollout itself has done.
            tenant::stops(one, part, work.phase) && !(follows && one.nobody_active)
        })?;
        let (finding, at) = (stops.finding, seen.observation.at);
        because(
            Cause::TenantBlocks,
            format!(
                "{} of tenant {}, as {} read it {}: {}; wanted: {} (G8); {}; then `entrain tenant read {}` again lifts it",
                finding.id,
                wants.name,
                seen.by,
                scope::age(at, now),
                finding.read,
                finding.wanted,
                finding.fix,
                wants.name
            ),
        )
    }

    /// A domain is configured for cloud sync only where what was read lately shows that no object of it could be in Connect's scope
    /// too (G7).
    pub(super) fn in_both(
        &self,
        rollout: &Rollout,
        part: &TargetPlan,
        work: &Work,
        now: Timestamp,
    ) -> Option<Hold> {
        let wants = &rollout.plan.tenants.get(&part.tenant)?.wants;
        let domains = part.phases.get(work.phase)?.configures();
        let seen = self.beyond.tenants.get(&part.tenant);
        let asked = domains.iter().flat_map(|domain| {
            let question = move |entry| Question {
                domain,
                wants,
                entry,
                seen: seen.map(|seen| &seen.observation),
            };
            wants.shares(domain).map(question)
        });
        asked.into_iter().find_map(|question| {
            let (domain, entry) = (question.domain, &question.entry.name);
            let verdict = question.answer(&self.beyond, &self.known, Some(now));
            let (what, lifts) = match verdict {
                Verdict::Disjoint(_) => return None,
                Verdict::Overlap(words) => (words, format!("; {}", catalogue::PF67.fix)),
                Verdict::CannotTell(why) => (
                    format!("whether its units are disjoint with those of Connect entry {entry} cannot be told: {why}"),
                    String::new(),
                ),
            };
            because(Cause::InBoth, format!("{domain} is in both tools: {what}{lifts} (G7; whoever runs tenant {})", wants.name))
        })
    }

    /// The difference that a comparison of a rollout's plan finds, or why there is none: a server was not read. `None` where
    /// nobody is to read the other one, and it never told.
    fn compared(&self, id: RolloutId, compare: &Compare) -> Option<Result<Difference, String>> {
        let (own, other) = (&compare.target, &compare.other);
        let read = |server: &TargetId| self.rollouts.get(&id)?.read.get(server);
        let unread = |server: &TargetId| {
            Some(Err(format!(
                "what decides what {server} synchronizes was not read in this rollout"
            )))
        };
        let theirs = if compare.last {
            &self.beyond.settings.get(other)?.settings
        } else {
            match read(other) {
                Some(theirs) => theirs,
                None => return unread(other),
            }
        };
        match read(own) {
            Some(mine) => Some(Ok(Difference::of((own, mine), (other, theirs)))),
            None => unread(own),
        }
    }

    /// The differences of settings that stand between a rollout's servers, approved or not.
    #[must_use]
    pub fn differences(&self, id: RolloutId) -> Vec<Difference> {
        let compares = self.rollouts.get(&id).map(|rollout| &rollout.plan.compares);
        let compares = compares.into_iter().flatten();
        let found = compares.filter_map(|compare| self.compared(id, compare)?.ok());
        found.filter(|difference| !difference.is_none()).collect()
    }

    /// The settings of two Connect servers must be equal, or their difference approved, before one of them changes its mode (G4).
    /// What could not be read is a difference.
    pub(super) fn differs(
        &self,
        id: RolloutId,
        target: &TargetId,
        part: &TargetPlan,
        work: &Work,
    ) -> Option<Hold> {
        let rollout = self.rollouts.get(&id)?;
        let compares = rollout.plan.compares.iter();
        let mut own = compares.filter(|compare| {
            compare.target == *target
                && part.place_of(compare.phase, compare.place) == Some(work.phase)
        });
        // Whose reading may be repeated, and what else there is to do.
        let again = |servers: [&TargetId; 2]| {
            let may = |server: &&TargetId| {
                let work = rollout.work.get(*server);
                work.is_some_and(|work| rollout.plan.reads_again(server, work.phase).is_some())
            };
            let servers = servers.into_iter().filter(may);
            let orders: Vec<String> = servers
                .map(|server| format!("`entrain retry {id} {server}`"))
                .collect();
            if orders.is_empty() {
                return format!(
                    "neither is read again here: `entrain abort {id}` and a new swap do it"
                );
            }
            format!("{} reads anew", orders.join(" or "))
        };
        own.find_map(|compare| match self.compared(id, compare)? {
            Err(why) => {
                let again = again([&compare.target, &compare.other]);
                because(Cause::SettingsDiffer, format!("{why} (G4); {again}"))
            }
            Ok(difference) if difference.is_none() || rollout.accepted.contains(&difference.digest) => None,
            Ok(difference) => {
                let (first, second) = (&difference.first, &difference.second);
                because(Cause::SettingsDiffer, format!(
                    "the settings of {first} and {second} differ in {}: {} (G4); `entrain diff {first} {second}` shows it all; once it is mended, {}; or `entrain accept {id} {} --reason WHY` approves this difference",
                    difference.rows.len(),
                    difference.shortly(),
                    again([first, second]),
                    difference.digest
                ))
            }
        })
    }
}
