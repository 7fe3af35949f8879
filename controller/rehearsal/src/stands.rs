//! What a controller knows just now of the servers that a plan is about: who is away, who is frozen, what stands in the way.

use std::collections::{BTreeMap, BTreeSet};

use controller_core::fleet::{Fleet, Live, Rollout, RolloutState, Stopped, TargetState};
use controller_core::plan::Plan;
use protocol::{RolloutId, TargetId, TenantId, Timestamp};

/// How many are named; the others are counted.
const NAMED: usize = 5;

/// How the servers of a plan stand when it is rehearsed. Nothing of it is the default: everybody is here, nobody is frozen.
#[derive(Debug, Clone, Default)]
pub struct Stands {
    /// Who is away: it stays away.
    pub away: BTreeSet<TargetId>,
    /// Until when their administrators want nothing done to servers.
    pub frozen: BTreeMap<TargetId, Timestamp>,
    /// By whom and why the whole fleet stands still.
    pub stopped: Option<Stopped>,
    /// Other rollouts, which go on beside it from where they are.
    pub others: Vec<Other>,
    /// The number that the plan would have as a rollout, where a controller knows of it.
    pub number: Option<RolloutId>,
    /// A fleet that knows what tenants and directories showed last, and nothing else.
    pub seen: Fleet,
    /// What is known besides and not carried out on models, a sentence each.
    pub beside: Vec<String>,
}

/// A rollout that goes on beside the plan which is rehearsed.
#[derive(Debug, Clone)]
pub struct Other {
    /// Its number.
    pub id: RolloutId,
    /// Its plan, of each target what is still to be done.
    pub plan: Plan,
    /// It begins later.
    pub not_before: Option<Timestamp>,
    /// It is paused, and stays so.
    pub paused: bool,
    /// Targets that are done, skipped or resolved.
    pub settled: Vec<TargetId>,
    /// Targets that have come to another end, and count as failed.
    pub failed: Vec<TargetId>,
    /// How many are under way.
    pub under_way: usize,
}

impl Other {
    /// What is left to do of a rollout; `None` where it is not carried out on models, since it would not go on by itself or not from
    /// the middle of what it is at.
    fn of(id: RolloutId, rollout: &Rollout) -> Option<Self> {
        // Servers that change places wait for each other's phases, which are not taken apart here.
        let apart = rollout.plan.waits.is_empty() && !rollout.plan.kind.switches();
        if !apart || rollout.state == RolloutState::Aborted {
            return None;
        }
        let mut other = Self {
            id,
            plan: rollout.plan.clone(),
            not_before: rollout.not_before,
            paused: rollout.state == RolloutState::Paused,
            settled: Vec::new(),
            failed: Vec::new(),
            under_way: 0,
        };
        for (target, work) in &rollout.work {
            if work.state.is_settled() {
                other.settled.push(target.clone());
                continue;
            }
            if work.state.is_terminal() {
                other.failed.push(target.clone());
                continue;
            }
            other.under_way += usize::from(work.state != TargetState::Pending);
            if let Some(part) = other.plan.targets.get_mut(target) {
                let done = work.phase.min(part.phases.len());
                part.phases.drain(..done);
            }
        }
        Some(other)
    }

    fn sentence(&self) -> String {
        let still = if self.paused { ", which is paused" } else { "" };
        let many = if self.under_way == 1 { "" } else { "s" };
        let (id, under_way) = (self.id, self.under_way);
        format!("{id}{still} ({under_way} server{many} under way)")
    }
}

impl Stands {
    /// What is known at the moment `now`.
    #[must_use]
    pub fn of(plan: &Plan, fleet: &Fleet, live: &Live, now: Timestamp) -> Self {
        let worked_on = |target: &&TargetId| {
            let part = plan.targets.get(*target);
            part.is_some_and(|part| !part.phases.is_empty())
        };
        let mut beside = Vec::new();
        let mut others = Vec::new();
        let running = fleet.rollouts().iter().filter(|(_, one)| !one.is_over());
        for (id, rollout) in running {
            let same = rollout.plan.kind.changes() && conflicts(plan, rollout);
            match Other::of(*id, rollout).filter(|_| !same) {
                Some(other) => others.push(other),
                None => beside.push(not_rehearsed(&id.to_string(), rollout)),
            }
        }
        let theirs = others.iter().flat_map(|other| &other.plan.waves).flatten();
        let theirs: Vec<&TargetId> = theirs.collect();
        let named = || {
            let own = plan.waves.iter().flatten().filter(worked_on);
            own.chain(theirs.iter().copied())
        };
        let away = named().filter(|target| !live.connected.contains(*target));
        let frozen = named().filter_map(|target| {
            let until = fleet.freeze_of(target)?.until;
            (now < until).then(|| (target.clone(), until))
        });
        if let Some(order) = fleet.stopped() {
            beside.push(format!(
                "{} has frozen the whole fleet ({}): nothing begins before `entrain thaw --all`",
                order.by, order.why
            ));
        }
        if let Some((rollout, target)) = fleet.works_on(plan) {
            beside.push(format!(
                "{rollout} changes {target} and is not over there: `apply` refuses this plan until then"
            ));
        }
        for tenant in plan.tenants.keys() {
            let blocking = fleet.tenant_findings(tenant);
            let blocking = blocking.iter().filter(|finding| finding.blocks());
            beside.extend(blocking.map(|finding| {
                format!(
                    "tenant {tenant}, as it was last read: {} {}: {}",
                    finding.id, finding.what, finding.read
                )
            }));
        }
        Self {
            away: away.cloned().collect(),
            frozen: frozen.collect(),
            stopped: fleet.stopped().cloned(),
            number: Some(fleet.next_rollout()),
            seen: fleet.what_was_seen(),
            others,
            beside,
        }
    }

    /// What is taken for granted of tenants and of other rollouts.
    pub(crate) fn around(&self, plan: &Plan) -> String {
        let read = |tenant: &&TenantId| self.seen.beyond().tenants.contains_key(*tenant);
        let (read, unread): (Vec<&TenantId>, Vec<&TenantId>) = plan.tenants.keys().partition(read);
        let names = |all: &[&TenantId]| {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            all.join(", ")
        };
        let mut said = Vec::new();
        if self.number.is_none() {
            said.push("on the models no tenant holds anything (G7, G8)".to_owned());
        } else {
            if !read.is_empty() {
                said.push(format!(
                    "tenant {} holds what it was last read to hold, all the time (G7, G8, G10)",
                    names(&read)
                ));
            }
            if !unread.is_empty() {
                said.push(format!(
                    "tenant {}, which nobody read, holds a domain in both tools (G7) and nothing else",
                    names(&unread)
                ));
            }
        }
        if self.others.is_empty() {
            said.push("no other rollout runs".to_owned());
        } else {
            let others: Vec<String> = self.others.iter().map(Other::sentence).collect();
            said.push(format!(
                "beside it goes {}: what is under way there begins its phase anew, and so does each watch",
                others.join(", ")
            ));
        }
        said.join("; ")
    }

    /// The sentence that says what was taken for granted of it.
    pub(crate) fn assumed(&self) -> String {
        let names = |all: &mut dyn Iterator<Item = String>| {
            let all: Vec<String> = all.collect();
            let more = all.len().saturating_sub(NAMED);
            let named = all.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
            match more {
                0 => named,
                more => format!("{named} and {more} more"),
            }
        };
        let away = match self.away.len() {
            0 => "everybody is here".to_owned(),
            _ => format!(
                "everybody is here but those who are away now, and stay away: {}",
                names(&mut self.away.iter().map(ToString::to_string))
            ),
        };
        let frozen = match self.frozen.len() {
            0 => "nobody is frozen".to_owned(),
            _ => {
                let mut until = self.frozen.iter();
                let mut until = until
                    .by_ref()
                    .map(|(one, until)| format!("{one} until {until}"));
                format!("frozen: {}", names(&mut until))
            }
        };
        format!("{away}; {frozen}")
    }
}

/// A server that both change, and that is not at its end in the rollout.
fn conflicts(plan: &Plan, rollout: &Rollout) -> bool {
    let changed = plan.targets.iter().filter(|(_, part)| !part.is_read_only());
    let mut works = changed.filter_map(|(target, _)| rollout.work.get(target));
    works.any(|work| !work.state.is_terminal())
}

fn not_rehearsed(id: &str, rollout: &Rollout) -> String {
    let under_way = rollout.work.values();
    let under_way = under_way.filter(|work| !work.state.is_terminal() && !work.is_untouched());
    format!(
        "{id} runs beside it ({} servers under way) and is not rehearsed: what it has out or changes holds others meanwhile (G2, G3)",
        under_way.count()
    )
}
