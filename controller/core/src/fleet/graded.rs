//! What a tenant settles of work that has ended: the grade that no server can see of itself, and whether cloud sync went through a cycle
//! while its agent soaked.

use std::collections::BTreeSet;

use protocol::event::Grade;
use protocol::step::Product;
use protocol::{DomainName, RolloutId, TargetId, Timestamp};

use crate::fleet::decide::soaks_until;
use crate::fleet::state::{Fleet, Rollout, TargetState, Work};
use crate::plan::{Kind, Plan, TargetPlan};
use crate::tenant::{Cycles, Seen};

/// Grades above "configured" are those of the provisioning agent; Connect's own end at "configured".
pub(super) fn is_graded(plan: &Plan, part: &TargetPlan) -> bool {
    plan.kind == Kind::Install && part.is_of(Product::ProvisioningAgent) && !part.retires()
}

/// What work lacks that was done to its end, as the question that a person answers.
pub(super) fn lacks(plan: &Plan, target: &TargetId, work: &Work) -> Option<String> {
    let (need, mut lacks) = (plan.need, Vec::new());
    if work.short {
        let seen = work.grade.map_or("none", Grade::as_str);
        let how = if need > Grade::Registered {
            "; entrain tenant read brings what the tenant shows"
        } else {
            ""
        };
        lacks.push(format!(
            "the grade \"{}\" is needed, seen was: {seen}{how}",
            need.as_str()
        ));
    }
    if let Some(Cycles::Untold(why)) = &work.cycles {
        let part = plan.targets.get(target);
        let lane = part.and_then(|part| plan.lanes.get(&part.lane));
        let name = lane.map_or("TENANT", |lane| lane.tenant_name.as_str());
        lacks.push(format!(
            "whether cloud sync went through a cycle while it soaked was not seen: {why}; `entrain tenant read {name}` by whoever has access settles it once it shows that, or skip or resolve it"
        ));
    }
    (!lacks.is_empty()).then(|| lacks.join("; and "))
}

impl Fleet {
    /// What is issued next ends a watch: since when that went on is kept, for whoever asks what came within.
    pub(super) fn ends_a_watch(&mut self, rollout: RolloutId, target: &TargetId) {
        let Some(rollout) = self.rollouts.get_mut(&rollout) else {
            return;
        };
        let part = rollout.plan.targets.get(target);
        rollout.work.change(target, |work| {
            let watched = part.filter(|part| soaks_until(part, work).is_some());
            work.soaked_from = watched.map(|_| work.since);
        });
    }

    /// What the newest reading of its tenant tells of the cycles of a watch that ends at `now`; `None` where it ends none, or where its
    /// own probes tell.
    pub(super) fn cycles_of(
        &self,
        id: RolloutId,
        target: &TargetId,
        now: Timestamp,
    ) -> Option<Cycles> {
        let rollout = self.rollouts.get(&id)?;
        let part = rollout.plan.targets.get(target)?;
        let from = rollout.work.get(target)?.soaked_from?;
        is_graded(&rollout.plan, part).then(|| {
            let known = self.known.get(target);
            let served = known.and_then(|known| known.domains.as_ref());
            let seen = self.beyond.tenants.get(&part.tenant);
            Cycles::of(seen, &asked(part, served), (from, now))
        })
    }

    /// What whoever has access to its tenant may show before a watch ends, and what is asked of them then; empty where nobody has shown its
    /// jobs, and where that was told already.
    pub(super) fn asks_to_be_read(
        &self,
        rollout: &Rollout,
        (target, part): (&TargetId, &TargetPlan),
        (from, now): (Timestamp, Timestamp),
    ) -> String {
        let served = self.known.get(target);
        let served = served.and_then(|known| known.domains.as_ref());
        let seen = self.beyond.tenants.get(&part.tenant);
        let lane = rollout.plan.lanes.get(&part.lane);
        let name = lane.map_or("TENANT", |lane| lane.tenant_name.as_str());
        if !is_graded(&rollout.plan, part) {
            return String::new();
        }
        let shows = seen.is_some_and(|seen| seen.observation.configurations.seen().is_some());
        match Cycles::of(seen, &asked(part, served), (from, now)) {
            Cycles::Untold(why) => {
                format!(
                    "; that it went through a cycle is asked then ({why}): `entrain tenant read {name}` before its end answers it"
                )
            }
            Cycles::NotSeen(why) if shows => {
                format!(
                    "; a cycle of it is {why}; `entrain tenant read {name}` before its end would show it"
                )
            }
            Cycles::NotSeen(_) | Cycles::Seen(_) => String::new(),
        }
    }

    /// A tenant shows what no server can see of itself. Of its grade it counts for work that ended before the tenant was read.
    pub(super) fn tenant_seen(&mut self, seen: Seen, now: Timestamp) {
        let observation = &seen.observation;
        let all: BTreeSet<&TargetId> = self.known.keys().collect();
        let mut settled = Vec::new();
        for (id, rollout) in &mut self.rollouts {
            let Rollout { plan, work, .. } = rollout;
            if plan.kind != Kind::Install {
                continue;
            }
            let (known, need) = (&self.known, plan.need);
            work.change_all(|target, work| {
                let part = plan.targets.get(target);
                let part =
                    part.filter(|part| part.tenant == observation.tenant && is_graded(plan, part));
                let Some(part) = part else {
                    return;
                };
                let asks = lacks(plan, target, work).is_some()
                    && matches!(work.state, TargetState::Inconclusive(_));
                if !asks && !matches!(work.state, TargetState::Done(_)) {
                    return;
                }
                let domains = known.get(target).and_then(|known| known.domains.as_ref());
                cycled(work, &seen, &asked(part, domains));
                let grade = observation.grade(target, &all, domains);
                if work.since <= observation.at && grade > work.grade {
                    work.grade = grade;
                    work.seen = Some((observation.at, seen.by.clone()));
                    work.short &= grade < Some(need);
                }
                match lacks(plan, target, work) {
                    Some(question) => work.state = TargetState::Inconclusive(question),
                    None => work.state = TargetState::Done(work.grade),
                }
                if asks && matches!(work.state, TargetState::Done(_)) {
                    work.phase += 1;
                    work.since = now;
                    settled.push(*id);
                }
            });
        }
        for id in settled {
            self.active.insert(id);
            self.retire(id);
        }
        self.beyond.saw(seen);
    }
}

/// The domains whose jobs are asked: those that the agent is known to serve, or else those that its plan has it serve.
fn asked(part: &TargetPlan, served: Option<&BTreeSet<DomainName>>) -> BTreeSet<DomainName> {
    match served {
        Some(served) if !served.is_empty() => served.clone(),
        Some(_) | None => part.domains.iter().cloned().collect(),
    }
}

/// What a later reading adds on the cycles of a watch that has ended: it proves, and takes no proof back.
fn cycled(work: &mut Work, seen: &Seen, domains: &BTreeSet<DomainName>) {
    let (Some(told), Some(from)) = (&work.cycles, work.soaked_from) else {
        return;
    };
    if matches!(told, Cycles::Seen(_)) {
        return;
    }
    let is = Cycles::of(Some(seen), domains, (from, work.since));
    // Of whom nobody told, nothing more is asked; and what is asked, a look from before the soak that comes late does not answer.
    let answers = match (&is, told) {
        (Cycles::Seen(_), _) => true,
        (Cycles::Untold(_), told) => matches!(told, Cycles::Untold(_)),
        (Cycles::NotSeen(_), _) => false,
    };
    if answers {
        work.cycles = Some(is);
    }
}
