//! What the fleet machine knows.

mod work;

pub use work::{TargetState, VersionsLeft, Work};

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Deref};

use protocol::event::{Finding, Freeze, GmsaChange, GmsaObject, Section};
use protocol::key::PublicKey;
use protocol::settings::ConnectSettings;
use protocol::signed::Phase;
use protocol::step::{Product, Step};
use protocol::{
    Attempt, BundleId, Digest, DomainName, Generation, GmsaName, PlanId, RolloutId, StepIndex,
    TargetId, TenantId, Timestamp,
};

use crate::active::{self, Modes, Verdict};
use crate::answered::{Answers, Attested, attested};
use crate::beyond::{Beyond, Moved};
use crate::doubt::Doubted;
use crate::exported::Exports;
use crate::facts::Fleetwide;
use crate::fleet::abandoned::Abandoned;
use crate::fleet::table::WorkTable;
use crate::overrides::{Overrides, Rule};
use crate::plan::{Behind, Kind, Plan, TargetPlan};
use crate::readiness::Receipts;
use crate::scheduler::{Guided, Schedulers};
use crate::scope::{self, Question};
use crate::settings::Settings;
use crate::taken::Taken;
use crate::tenant::{self, Wants};

/// How a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// Goes on.
    Running,
    /// Starts nothing new.
    Paused,
    /// Starts nothing more; runs end at their next gate.
    Aborted,
}

/// One carrying-out of one plan.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Its plan's id.
    pub plan_id: PlanId,
    /// Its plan.
    pub plan: Plan,
    /// Who ordered it.
    pub by: String,
    /// Change number.
    pub change: Option<String>,
    /// When.
    pub applied: Timestamp,
    /// How many acts that cannot be undone were accepted with it (G10).
    pub irreversible: u32,
    /// When it begins; at once where it is absent.
    pub not_before: Option<Timestamp>,
    /// How it stands.
    pub state: RolloutState,
    /// It is held since the controller was restored: orders that were given since the backup are forgotten. Whoever had aborted by then.
    pub(crate) restored: Option<BTreeSet<TargetId>>,
    /// Differences of settings that somebody has approved for it.
    pub accepted: BTreeSet<Digest>,
    /// What its Connect servers told of their settings since it runs.
    pub(crate) read: BTreeMap<TargetId, ConnectSettings>,
    /// Its targets with work.
    pub work: WorkTable,
    /// Of each target the domains whose service its going out concerns.
    pub(crate) serves: BTreeMap<TargetId, Vec<DomainName>>,
}

impl Rollout {
    /// Every target is at its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !self.work.is_unfinished()
    }

    /// Why nothing may be changed by it: its plan has more that cannot be undone than was accepted when it was applied (G10).
    #[must_use]
    pub fn unaccepted(&self) -> Option<String> {
        let acts = self.plan.irreversible.len();
        (acts > self.irreversible as usize).then(|| {
            format!(
                "{acts} acts of its plan cannot be undone, and {} were accepted when it was applied (G10); abort it, and apply its plan with --irreversible {acts}",
                self.irreversible
            )
        })
    }

    /// Some target may be offered something, now or later.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.work.has_pending()
    }
}

/// A section that some target asked for or is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// In which run.
    pub generation: Generation,
    /// Which step.
    pub step: StepIndex,
    /// Which try.
    pub attempt: Attempt,
    /// What it covers.
    pub section: Section,
    /// Lapse of the leave; absent once the section was entered.
    pub lapses: Option<Timestamp>,
    /// A section that was entered before and is not told left yet: until it is, both are claimed.
    pub earlier: Option<Box<Earlier>>,
}

impl Gate {
    /// The section that was entered, and whose step's it is.
    pub(crate) fn entered(&self) -> Option<(StepIndex, &Section)> {
        match &self.earlier {
            Some(earlier) => Some((earlier.step, &earlier.section)),
            None => self.lapses.is_none().then_some((self.step, &self.section)),
        }
    }

    /// The section that was entered before is left, where it is that step's: what has leave since is as it was given. Gives that section.
    pub(crate) fn leaves_earlier(&mut self, step: StepIndex) -> Option<Section> {
        let earlier = self.earlier.take_if(|earlier| earlier.step == step)?;
        self.section = earlier.leave.0;
        self.lapses = Some(earlier.leave.1);
        Some(earlier.section)
    }
}

/// Whoever is in the one section may do what the other one is asked for.
pub(crate) fn covers(is: &Section, wants: &Section) -> bool {
    (is.outage || !wants.outage) && (wants.gmsa.is_none() || wants.gmsa == is.gmsa)
}

/// A section that is claimed beside leave for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Whose it is.
    pub step: StepIndex,
    /// What it covers.
    pub section: Section,
    /// What the leave alone covers, and when it lapses.
    pub leave: (Section, Timestamp),
}

/// A bundle that was issued and whose run has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its rollout.
    pub rollout: RolloutId,
    /// Its generation.
    pub generation: Generation,
    /// Its digest.
    pub bundle: BundleId,
    /// Its phase.
    pub phase: Phase,
    /// When it ends.
    pub expires: Timestamp,
    /// The agent accepted it.
    pub accepted: bool,
    /// The step of which a person said that it is done, and who: an agent that was away hears it when it is back.
    pub attested: Option<(StepIndex, String)>,
    /// Rules that it was issued under override of.
    pub overridden: BTreeSet<Rule>,
    /// Before it was issued, an earlier try may have been on its way out of staging mode, as for [`Work::switching`].
    pub switching: bool,
    /// Before it was issued, its target had no place, as for [`Work::anew`].
    pub anew: bool,
    /// Another try was ordered before its run had ended: it begins then, where the run comes to nothing.
    pub again: bool,
    /// The essence of the facts that it must find; absent where it rests on nothing, or was issued nobody knows when.
    pub assumed: Option<Digest>,
    /// Since when its target stood where it was before it was issued.
    pub since: Timestamp,
}

/// The bundles that are open, by target. Read as the map that it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opens {
    by_target: BTreeMap<TargetId, Open>,
    /// The same by their ends.
    by_end: BTreeSet<(Timestamp, TargetId)>,
}

impl Deref for Opens {
    type Target = BTreeMap<TargetId, Open>;

    fn deref(&self) -> &Self::Target {
        &self.by_target
    }
}

impl Opens {
    pub(crate) fn insert(&mut self, target: &TargetId, open: Open) {
        self.remove(target);
        self.by_end.insert((open.expires, target.clone()));
        self.by_target.insert(target.clone(), open);
    }

    pub(crate) fn remove(&mut self, target: &TargetId) -> Option<Open> {
        let open = self.by_target.remove(target)?;
        self.by_end.remove(&(open.expires, target.clone()));
        Some(open)
    }

    /// Notes something about the bundle of that generation; when it ends is not changed.
    pub(crate) fn note(
        &mut self,
        target: &TargetId,
        generation: Generation,
        note: impl FnOnce(&mut Open),
    ) {
        let open = self.by_target.get_mut(target);
        if let Some(open) = open.filter(|open| open.generation == generation) {
            let expires = open.expires;
            note(open);
            open.expires = expires;
        }
    }

    /// All of them, those that end first before the others.
    pub(crate) fn by_end(&self) -> impl Iterator<Item = (&TargetId, &Open)> {
        let open = |(_, target): &'_ (Timestamp, TargetId)| self.by_target.get_key_value(target);
        self.by_end.iter().filter_map(open)
    }
}

/// The order by which a whole fleet stands still.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stopped {
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
}

/// All rollouts and all claims of a fleet.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    pub(crate) rollouts: BTreeMap<RolloutId, Rollout>,
    /// Rollouts of which something is not at its end. Each turn asks them alone, whatever lies behind.
    pub(crate) active: BTreeSet<RolloutId>,
    pub(crate) known: Fleetwide,
    pub(crate) open: Opens,
    /// Bundles of targets that went unknown: when one of them speaks again, it is heard.
    pub(crate) lost: BTreeMap<TargetId, Open>,
    /// How each target with Connect told its mode last: staging, active, or not to be read. It outlives the agent.
    pub(crate) modes: Modes,
    pub(crate) generations: BTreeMap<TargetId, Generation>,
    /// Agents that are at a run which nobody here waits for any more: what they are offered meanwhile they refuse.
    pub(crate) at_it: BTreeMap<TargetId, Generation>,
    /// Sections for which leave was given.
    pub(crate) gates: BTreeMap<TargetId, Gate>,
    /// Sections of runs that a person gave up, and that their agents may still be in.
    pub(crate) abandoned: BTreeMap<(TargetId, Generation), Abandoned>,
    /// The last change of each gMSA object.
    pub(crate) changed: BTreeMap<GmsaObject, GmsaChange>,
    /// Why everything stands still, and who ordered it; absent while the fleet goes on.
    pub(crate) stopped: Option<Stopped>,
    /// Servers that their administrators have frozen.
    pub(crate) frozen: BTreeMap<TargetId, Freeze>,
    /// Agents that are not the only one with their key, or not the one that they were.
    pub(crate) doubted: BTreeMap<TargetId, Doubted>,
    /// Rules that operators have set aside.
    pub(crate) overrides: Overrides,
    /// Agents that were not heard of since the controller was restored.
    pub(crate) unmet: BTreeSet<TargetId>,
    /// No rollout is numbered at or below this: after a restore the numbers in between were used by nobody knows whom.
    pub(crate) used: RolloutId,
    /// What tenants and directories showed when they were last asked, and what each Connect server told last of what it
    /// synchronizes; that outlives its agent.
    pub(crate) beyond: Beyond,
    /// What people who signed in were answered of domains.
    pub(crate) answers: Answers,
    /// What each server's newest preflight came to.
    pub(crate) receipts: Receipts,
    /// Keys of those that are enrolled: who signs what they say.
    pub(crate) keys: BTreeMap<TargetId, PublicKey>,
    /// Since when schedulers of Connect stand.
    pub(crate) schedulers: Schedulers,
    /// How long steps have taken.
    pub(crate) taken: Taken,
    /// Sections that are asked for: of this moment, asked again after a restart.
    pub(crate) asked: BTreeMap<TargetId, Gate>,
}

impl Fleet {
    /// A fleet without history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A fleet that knows what tenants, directories and people who signed in showed, and nothing of servers and rollouts.
    #[must_use]
    pub fn what_was_seen(&self) -> Self {
        Self {
            beyond: self.beyond.clone(),
            answers: self.answers.clone(),
            ..Self::default()
        }
    }

    /// What targets last reported.
    #[must_use]
    pub const fn known(&self) -> &Fleetwide {
        &self.known
    }

    /// What somebody must look at now, whatever rollouts do: agents that are doubted, tenants of which not exactly one Connect
    /// server is active (G1), domains that agents were made to serve, whose objects could be in both tools by what was read last (G7),
    /// schedulers of Connect that stand for too long, and wizards at which nobody may go on (G1). Where all is well there is no line.
    #[must_use]
    pub fn alarms(&self, now: Timestamp) -> Vec<String> {
        let doubted = self.doubted.iter();
        let doubted =
            doubted.map(|(target, doubted)| format!("{target}: {}", doubted.sentence(target)));
        let stand = self.schedulers.targets();
        let stand = stand.flat_map(|target| self.scheduler_alarms(target, now));
        let all = doubted.chain(self.tenant_alarms()).chain(stand);
        all.chain(self.stops(now)).collect()
    }

    /// What is an alarm of a server's scheduler: nothing while guided work has its wizard open, and that is told as such.
    fn scheduler_alarms(&self, target: &TargetId, now: Timestamp) -> Vec<String> {
        let guided = |rollout: &Rollout| {
            let part = rollout.plan.targets.get(target);
            part.is_some_and(TargetPlan::opens_wizard)
        };
        let open = self.open.get(target);
        let open = open.and_then(|open| self.rollouts.get(&open.rollout));
        if open.is_some_and(guided) {
            return Vec::new();
        }
        let last = self.rollouts.iter().rev().find_map(|(id, rollout)| {
            let work = rollout.work.get(target).filter(|_| guided(rollout))?;
            work.has_begun().then_some((id, rollout, work))
        });
        let last = match last {
            None => Guided::Never,
            Some((id, rollout, work))
                if work.state.is_bad() || work.state == TargetState::Aborted =>
            {
                Guided::BrokenOff(format!(
                    "where rollout {id} of {} ended as {}",
                    rollout.by,
                    work.state.word()
                ))
            }
            Some((_, _, work)) => Guided::Ended(work.since),
        };
        self.schedulers.alarms(target, &last, now)
    }

    /// What every tenant's Connect servers told last, against G1, and what is in both tools (G7). Servers are those that some rollout's plan named.
    fn tenant_alarms(&self) -> Vec<String> {
        let mut tenants: BTreeMap<&TenantId, Modes> = BTreeMap::new();
        for (target, part) in self
            .rollouts
            .values()
            .flat_map(|rollout| &rollout.plan.targets)
        {
            let mode = self.modes.get(target);
            if let Some(mode) = mode.filter(|_| part.is_of(Product::Connect)) {
                let modes = tenants.entry(&part.tenant).or_default();
                modes.insert(target.clone(), *mode);
            }
        }
        let look = |(tenant, modes): (&TenantId, Modes)| {
            let none = active::active(&modes).is_empty();
            let moving = self.moving(tenant).filter(|_| none);
            let moved = self.beyond.moved.get(tenant).or(moving.as_ref());
            match active::look_at(tenant.as_str(), &modes, moved) {
                Verdict::Holds => None,
                Verdict::Broken(why) | Verdict::CannotTell(why) => Some(why),
            }
        };
        let mut alarms: Vec<String> = tenants.into_iter().filter_map(look).collect();
        alarms.extend(self.overlaps());
        alarms
    }

    /// What the newest rollout of each tenant wants of it.
    fn wanted(&self) -> BTreeMap<&TenantId, &Wants> {
        let mut newest = BTreeMap::new();
        for rollout in self.rollouts.values() {
            let wants = rollout.plan.tenants.iter();
            newest.extend(wants.map(|(tenant, part)| (tenant, &part.wants)));
        }
        newest
    }

    /// What a tenant that was read answers to the probes of the catalogue, as the newest rollout wants it, else as its agents do.
    #[must_use]
    pub fn tenant_findings(&self, tenant: &TenantId) -> Vec<Finding> {
        let Some(seen) = self.beyond.tenants.get(tenant) else {
            return Vec::new();
        };
        let of_fleet = || Wants::of_fleet(tenant, &self.known);
        let wants = self
            .wanted()
            .get(tenant)
            .map_or_else(of_fleet, |wants| (*wants).clone());
        let found = tenant::findings(&seen.observation, &wants, &self.known, &self.beyond);
        found.into_iter().map(|one| one.finding).collect()
    }

    /// Whether identities of servers that Connect is off for good are left in a tenant that was read (PV39).
    #[must_use]
    pub fn left_over(&self, tenant: &TenantId) -> Vec<Finding> {
        let Some(seen) = self.beyond.tenants.get(tenant) else {
            return Vec::new();
        };
        let wanted = self.wanted();
        let entries = wanted.get(tenant).map(|wants| wants.connect.as_slice());
        tenant::left_over(
            &seen.observation,
            &self.known,
            entries.unwrap_or_default(),
            &self.beyond,
        )
    }

    /// Domains of a tenant whose password hashes are to be synchronized, as the newest rollout wants it (PV13).
    #[must_use]
    pub fn hashes_wanted(&self, tenant: &TenantId) -> BTreeSet<DomainName> {
        let wanted = self.wanted();
        let wants = wanted.get(tenant);
        wants.map(|wants| wants.hashes.clone()).unwrap_or_default()
    }

    /// Domains that agents were made to serve, with units that Connect takes as well (G7). What cannot be told is no alarm: it holds
    /// what would configure the domain.
    fn overlaps(&self) -> Vec<String> {
        let mut served: BTreeSet<&DomainName> = BTreeSet::new();
        for known in self.known.values() {
            served.extend(known.domains.iter().flatten());
        }
        let mut alarms = Vec::new();
        for (tenant, wants) in self.wanted() {
            let seen = self.beyond.tenants.get(tenant);
            for domain in wants.serves.iter().filter(|domain| served.contains(domain)) {
                for entry in wants.shares(&self.beyond.suffixes, domain) {
                    let question = Question {
                        domain,
                        wants,
                        entry,
                        seen: seen.map(|seen| &seen.observation),
                    };
                    let verdict = question.answer(&self.beyond, &self.known, None);
                    if let scope::Verdict::Overlap(words) = verdict {
                        alarms.push(format!(
                            "G7: {domain} of tenant {}: {words}; {}",
                            wants.name,
                            protocol::probe::tenant::PF67.fix
                        ));
                    }
                }
            }
        }
        alarms
    }

    /// The servers that were active before a swing, and whose upgrade or removal behind it is not seen to be done: a forgotten
    /// old server goes on overwriting what the new one writes (product facts 2.13 [P], PV39). A sentence each, with what ends it.
    #[must_use]
    pub fn left_behind(&self) -> Vec<String> {
        let swings = self.rollouts.iter();
        let swings = swings.filter(|(_, rollout)| rollout.plan.kind == Kind::Swing);
        swings
            .filter_map(|(id, rollout)| self.left_by(*id, rollout))
            .collect()
    }

    fn left_by(&self, id: RolloutId, rollout: &Rollout) -> Option<String> {
        let mut parts = rollout.plan.targets.iter();
        let (from, (place, behind)) =
            parts.find_map(|(from, part)| Some((from, part.behind_staging()?)))?;
        let mut parts = rollout.plan.targets.iter();
        let (to, _) = parts.find(|(_, part)| part.switches_to_active())?;
        let work = rollout.work.get(from)?;
        let known = self.known.get(from);
        let facts = known.and_then(|known| known.facts.as_ref());
        let connect = facts.map(|(_, facts)| facts.connect.as_ref());
        let seen = match (behind, connect) {
            (_, Some(None)) => true,
            (Behind::Upgrade(wanted), Some(Some(connect))) => {
                connect.version.is_some_and(|version| version >= wanted)
            }
            // Said to be off for good, as nobody who is enrolled can be.
            (_, None) => known.is_none() && !self.modes.contains_key(from),
            (Behind::Removal, Some(Some(_))) => false,
        };
        let mut later = self.rollouts.range((Bound::Excluded(id), Bound::Unbounded));
        let back = later.any(|(_, rollout)| {
            let part = rollout.plan.targets.get(from);
            part.is_some_and(TargetPlan::switches_to_active)
        });
        if work.phase <= place || seen || back {
            return None;
        }
        let what = match behind {
            Behind::Upgrade(wanted) => format!("its upgrade to {wanted}"),
            Behind::Removal => "the removal of Connect from it".to_owned(),
        };
        let ends = match &work.state {
            state if state.is_bad() => format!("it is {}: entrain retry {id} {from}", state.word()),
            state if state.is_terminal() || rollout.state == RolloutState::Aborted => {
                format!("it is {} in {id}: entrain plan does it now", state.word())
            }
            _ => format!("entrain why {from} says where that is"),
        };
        Some(format!(
            "{from} was the active Connect server before {to}, and {what} is not seen to be done: forgotten, it may become active again and overwrite what {to} writes; {ends}"
        ))
    }

    /// Where a person is moving a tenant from Connect to cloud sync just now: none of its servers may be active by then.
    fn moving(&self, tenant: &TenantId) -> Option<Moved> {
        let moves = |(id, rollout): (&RolloutId, &Rollout)| {
            let parts = rollout.plan.targets.iter();
            let mut own = parts.filter(|(_, part)| part.tenant == *tenant);
            own.find_map(|(target, part)| {
                let work = rollout.work.get(target)?;
                let under_way = part.moves_in(work.phase) && work.state.is_under_way();
                under_way.then(|| Moved {
                    rollout: *id,
                    target: target.clone(),
                    at: work.since,
                })
            })
        };
        self.rollouts.iter().rev().find_map(moves)
    }

    /// Tenants that were moved from Connect to cloud sync, in a sentence each.
    #[must_use]
    pub fn transitions(&self) -> Vec<String> {
        let moved = self.beyond.moved.iter();
        moved
            .map(|(tenant, moved)| {
                let jobs = self.beyond.tenants.get(tenant);
                let jobs = jobs.filter(|seen| seen.observation.at > moved.at);
                let jobs = match jobs {
                    Some(seen) => seen.observation.jobs_in_words(),
                    None => "its jobs were not read since (entrain tenant read)".to_owned(),
                };
                format!("{}; {jobs}", moved.sentence(tenant.as_str()))
            })
            .collect()
    }

    /// What tenants and directories showed when they were last asked.
    #[must_use]
    pub const fn beyond(&self) -> &Beyond {
        &self.beyond
    }

    /// How long steps have taken on this fleet.
    #[must_use]
    pub const fn taken(&self) -> &Taken {
        &self.taken
    }

    /// What people who signed in were answered of domains.
    #[must_use]
    pub const fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The gMSA that a rollout's preflight asks a target about.
    pub(crate) fn gmsa_of(&self, id: RolloutId, target: &TargetId) -> Option<&GmsaName> {
        let part = self.rollouts.get(&id)?.plan.targets.get(target)?;
        let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
        steps.find_map(|step| {
            if let Step::Preflight(preflight) = step {
                preflight.gmsa.as_ref()
            } else if let Step::VerifyProvisioningAgentRemoved(removed) = step {
                removed.gmsa.as_ref()
            } else {
                None
            }
        })
    }

    /// What people attest of these findings of a rollout's target, whose own account could not be told.
    pub(crate) fn attested(
        &self,
        id: RolloutId,
        target: &TargetId,
        findings: &[Finding],
        now: Timestamp,
    ) -> Vec<Attested> {
        let whose = (target, self.gmsa_of(id, target));
        let all = &self.answers;
        let one = |finding| attested(all, whose, finding, now);
        findings.iter().filter_map(one).collect()
    }

    /// What each server's newest preflight came to.
    #[must_use]
    pub const fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    /// What decides what each Connect server synchronizes, as it told it last.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.beyond.settings
    }

    /// What each Connect server's wizard has exported, as the server told it last.
    #[must_use]
    pub const fn exports(&self) -> &Exports {
        &self.beyond.exports
    }

    /// Tenants of which Connect Sync reported as the active one.
    #[must_use]
    pub fn has_active_connect(&self, tenant: &TenantId) -> bool {
        let parts = self.rollouts.values().flat_map(|one| &one.plan.targets);
        let mut own = parts.filter(|(_, part)| part.tenant == *tenant);
        own.any(|(target, _)| self.modes.get(target) == Some(&Some(false)))
    }

    /// All rollouts.
    #[must_use]
    pub const fn rollouts(&self) -> &BTreeMap<RolloutId, Rollout> {
        &self.rollouts
    }

    /// Rollouts of which something is not at its end.
    pub fn active(&self) -> impl Iterator<Item = (RolloutId, &Rollout)> {
        let rollout = |id: &RolloutId| Some((*id, self.rollouts.get(id)?));
        self.active.iter().filter_map(rollout)
    }

    /// The freeze that a server's administrator has set, as its agent told it.
    #[must_use]
    pub fn freeze_of(&self, target: &TargetId) -> Option<&Freeze> {
        self.frozen.get(target)
    }

    /// The last change of a gMSA object, as whoever changes it next is told.
    #[must_use]
    pub fn last_change(&self, object: &GmsaObject) -> Option<&GmsaChange> {
        self.changed.get(object)
    }

    /// The bundle that is open at a target.
    #[must_use]
    pub fn open(&self, target: &TargetId) -> Option<&Open> {
        self.open.get(target)
    }

    /// Tells whether that bundle's run was given up as unknown: when its agent speaks of it, it is heard.
    #[must_use]
    pub(super) fn is_lost(&self, target: &TargetId, generation: Generation) -> bool {
        let lost = self.lost.get(target);
        lost.is_some_and(|open| open.generation == generation)
    }

    /// How a target with Connect told its mode last; `None` where it told of no Connect.
    #[must_use]
    pub fn last_mode(&self, target: &TargetId) -> Option<Option<bool>> {
        self.modes.get(target).copied()
    }

    /// The number for a target's next bundle.
    #[must_use]
    pub fn next_generation(&self, target: &TargetId) -> Generation {
        self.generations
            .get(target)
            .copied()
            .unwrap_or_default()
            .next()
    }

    /// The number for the next rollout.
    #[must_use]
    pub fn next_rollout(&self) -> RolloutId {
        let last = self.rollouts.keys().next_back().copied();
        last.unwrap_or_default().max(self.used).next()
    }

    /// The order by which everything stands still.
    #[must_use]
    pub const fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// Servers that their administrators have frozen.
    #[must_use]
    pub const fn frozen(&self) -> &BTreeMap<TargetId, Freeze> {
        &self.frozen
    }

    /// Agents that are not the only one with their key, or not the one that they were.
    #[must_use]
    pub const fn doubted(&self) -> &BTreeMap<TargetId, Doubted> {
        &self.doubted
    }

    /// Agents that were not heard of since the controller was restored: what they have done since the backup is unknown.
    #[must_use]
    pub const fn unmet(&self) -> &BTreeSet<TargetId> {
        &self.unmet
    }
}
