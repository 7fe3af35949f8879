//! What holds a target by what was read since its plan: in its tenant (G7, G8, G10), of its own products (G4, G9), and of the settings
//! of Connect servers (G4).

use protocol::probe::tenant as catalogue;
use protocol::step::{Product, Step};
use protocol::{RolloutId, TargetId, Timestamp};

use crate::fleet::hold::{Cause, Hold, because};
use crate::fleet::state::{Fleet, Rollout, Work};
use crate::plan::{Compare, TargetPlan, installs_active, still_configured, switched_on};
use crate::recipe::PhaseWork;
use crate::scope::{self, Question, Verdict};
use crate::settings::Difference;
use crate::tenant::{self, Kept, Read};

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

/// Whether that phase is of work that makes a server active: an installation is not even prepared where it may not come to its end, and the
/// active server is not put into staging mode for one that would then be held.
fn switches_on(rollout: &Rollout, part: &TargetPlan, phase: usize) -> bool {
    let mut others = rollout.plan.targets.values();
    installs_active(part)
        || part.switches_to_active_in(phase)
        || part.switches_to_staging_in(phase) && others.any(TargetPlan::switches_to_active)
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
        let finding = stops.finding;
        // A later reading that did not see what it is about is not the one that shows it.
        let own = Kept::of_probe(&finding.id);
        let Read { at, by } = own.map_or_else(|| seen.whole(), |part| seen.read(part));
        // Who is to sign in is looked at where he is named alone.
        let operator = seen.observation.operator.seen();
        let named = match operator.filter(|_| own == Some(Kept::Operator)) {
            Some(account) => format!(" --operator {}", account.user),
            None => String::new(),
        };
        because(
            Cause::TenantBlocks,
            format!(
                "{} of tenant {}, as {by} read it {}: {}; wanted: {} (G8); {}; what is put right in the tenant is seen by `entrain tenant read {}{named}` again, which lifts it",
                finding.id,
                wants.name,
                scope::age(at, now),
                finding.read,
                finding.wanted,
                finding.fix,
                wants.name
            ),
        )
    }

    /// Its provisioning agent has turned out to be another tenant's: nothing of its own is configured there (G9). What Connect asks
    /// before its work names the tenant too, and configures no agent.
    pub(super) fn registered_elsewhere(
        &self,
        target: &TargetId,
        part: &TargetPlan,
        phase: &PhaseWork,
    ) -> Option<Hold> {
        let configures = |step: &Step| {
            if let Step::Preflight(preflight) = step {
                return preflight.product == Product::ProvisioningAgent;
            }
            step.tenant().is_some()
        };
        if !phase.steps.iter().any(configures) {
            return None;
        }
        let (_, facts) = self.known.get(target)?.facts.as_ref()?;
        // What was taken off leaves its tenant in the registry.
        let agent = facts.provisioning_agent.as_ref();
        let agent = agent.filter(|agent| !agent.is_removed())?;
        let other = agent
            .tenant
            .as_ref()
            .filter(|other| **other != part.tenant)?;
        because(
            Cause::OtherTenant,
            format!(
                "the agent on it is registered with another tenant by now, {other} (G9); that it is taken off there lifts it, or an abort and a corrected topology"
            ),
        )
    }

    /// Its tenant shows by now that the work would do what cannot be undone and what its plan does not name (G10): nobody could accept
    /// that. A tenant that nobody read shows nothing, and its plan says so. In place of a server that is gone another one becomes active
    /// whatever is read afterwards: nobody synchronizes meanwhile, and that its tenant once did is what whoever said that it is off knows.
    /// What was read before stands in that plan too, and is accepted by number.
    pub(super) fn unforeseen(
        &self,
        rollout: &Rollout,
        part: &TargetPlan,
        work: &Work,
        now: Timestamp,
    ) -> Option<Hold> {
        let lane = rollout.plan.lanes.get(&part.lane)?;
        let seen = self.beyond.tenants.get(&part.tenant)?;
        let name = &lane.tenant_name;
        let on = seen.observation.organization.seen()?.sync_enabled;
        if on
            || rollout.plan.off.is_some()
            || !switches_on(rollout, part, work.phase)
            || rollout.plan.irreversible.contains(&switched_on(name))
        {
            return None;
        }
        let Read { at, by } = seen.read(Kept::Organization);
        because(
            Cause::Unforeseen,
            format!(
                "directory synchronization of tenant {name} is off, as {by} read it {}: this work would switch it on, which cannot be undone and does not stand in its plan (G10); abort it and plan anew, or `entrain tenant read {name}` once it is on",
                scope::age(at, now)
            ),
        )
    }

    /// The last agent of a domain goes once its tenant shows no configuration at work for it any more (G10).
    pub(super) fn still_configured(&self, rollout: &Rollout, target: &TargetId) -> Option<Hold> {
        let plan = &rollout.plan;
        let why = still_configured(plan, target, &self.known, &self.beyond)?;
        because(Cause::StillConfigured, why)
    }

    /// A staging server becomes active only with the version that its plan has verified, as it tells it now (G4).
    pub(super) fn unverified(
        &self,
        target: &TargetId,
        part: &TargetPlan,
        work: &Work,
    ) -> Option<Hold> {
        if !part.switches_to_active_in(work.phase) {
            return None;
        }
        let steps = part.phases.iter().flat_map(|phase| &phase.steps);
        let verified = steps.filter_map(|step| {
            if let Step::VerifyConnect(verify) = step {
                Some(verify.at_least)
            } else {
                None
            }
        });
        let wanted = verified.max()?;
        let (_, facts) = self.known.get(target)?.facts.as_ref()?;
        let connect = facts.connect.as_ref();
        let there = match connect.and_then(|connect| connect.version) {
            Some(version) if version >= wanted => return None,
            Some(version) => format!("{version} by now"),
            None => "by now, in a version that cannot be told".to_owned(),
        };
        because(
            Cause::OtherVersion,
            format!(
                "it has Connect {there}, and {wanted} was to be verified before it becomes active (G4); that it tells that version again lifts it, or an abort and a plan that upgrades it first"
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
            wants.shares(&self.beyond.suffixes, domain).map(question)
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
