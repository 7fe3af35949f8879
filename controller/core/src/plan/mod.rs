//! The plan: the ordered difference between topology and facts, with a report that says why. Same inputs, same bytes.

mod build;
mod exporting;
mod fit;
mod import;
pub mod lane;
mod last_agent;
mod modes;
mod report;
mod rules;
mod swing;
mod switch;
mod timetable;
pub(crate) mod told;
mod transition;
mod undo;

pub use build::{Inputs, Purpose, plan};
pub(crate) use build::{installs_active, stranger, switched_on};
pub use exporting::Exporting;
pub(crate) use fit::{breaks, holds};
pub use fit::{judge, refuses};
pub(crate) use last_agent::still_configured;
pub use report::{render, render_by};
pub use swing::{Afterwards, swing};
pub use switch::{failover, switch};
pub use timetable::{Appointment, Brings, TOKEN_LIFE, Timetable, timetable};
pub use transition::{eligibility, transition};
pub use undo::undo;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::event::Grade;
use protocol::merkle;
use protocol::signed::{ArtifactRef, Phase, work_leaf};
use protocol::step::{Cloud, ConnectWork, Product, Step};
use protocol::{Digest, DomainName, Fingerprint, PlanId, TargetId, TenantId, Version};
use serde::{Deserialize, Serialize};

use crate::calendar::SiteRule;
use crate::forest::Forests;
use crate::readiness::Standing;
use crate::recipe::PhaseWork;
use crate::tenant::Wants;

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Bring about what the topology says.
    Install,
    /// Read only: verify what is there.
    Verify,
    /// Read only: ask whether each server is ready.
    Preflight,
    /// Ask directories for servers.
    Discover,
    /// Collect logs.
    Support,
    /// Make another Connect server of a tenant the active one.
    Switch,
    /// Bring a staging Connect server to the wanted version, make it the active one, then see to the one before.
    Swing,
    /// Upgrade Entrain's own agents.
    Agents,
    /// Read only: ask whether active Connect servers may move to cloud sync.
    Eligibility,
    /// Move a tenant from Connect to cloud sync.
    Transition,
    /// Put back what Entrain has set of prerequisites.
    Undo,
}

impl Kind {
    /// In a word, as the verb that makes such a plan has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Verify => "verify",
            Self::Preflight => "preflight",
            Self::Discover => "discover",
            Self::Support => "support",
            Self::Switch => "swap",
            Self::Swing => "swing",
            Self::Agents => "agents",
            Self::Eligibility => "eligibility",
            Self::Transition => "transition",
            Self::Undo => "undo",
        }
    }

    /// Whether anything is changed.
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(
            self,
            Self::Install
                | Self::Switch
                | Self::Swing
                | Self::Agents
                | Self::Transition
                | Self::Undo
        )
    }

    /// Whether anything of a product is changed.
    #[must_use]
    pub const fn changes_products(self) -> bool {
        self.changes() && !matches!(self, Self::Agents | Self::Undo)
    }

    /// Whether another Connect server of a tenant becomes the active one.
    #[must_use]
    pub const fn switches(self) -> bool {
        matches!(self, Self::Switch | Self::Swing)
    }
}

/// A phase of a target that begins only when another target has done one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Who waits.
    pub target: TargetId,
    /// With which phase.
    pub phase: Phase,
    /// Where that phase stands in its work, from 0, where several have that name; the first of them where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// For whom.
    pub other: TargetId,
    /// What that one must have done.
    pub done: Phase,
    /// Where that stands in the other one's work, as for `place`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<usize>,
    /// What is not so until then, in a sentence.
    pub why: String,
}

/// A phase of a Connect server that begins only when its settings and another one's are equal, or their difference is approved
/// (guard rail G4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// Who waits.
    pub target: TargetId,
    /// With which phase.
    pub phase: Phase,
    /// Where that phase stands in its work, from 0, where several have that name; the first of them where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// The server that it is compared with.
    pub other: TargetId,
    /// Nobody reads the other one now: what it told last counts, and where it never told, nothing is compared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

/// One target's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPlan {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its enrolled key; absent for a target that is not enrolled.
    pub key: Option<Fingerprint>,
    /// What it was taken to be.
    pub essence: Option<Digest>,
    /// The group or Connect entry that it belongs to: targets of one lane wait for its canary.
    pub lane: String,
    /// Build number of its Windows, as it was reported: each lane has a canary for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<u32>,
    /// Its site, by name; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Domains that its provisioning agent serves.
    pub domains: Vec<DomainName>,
    /// Its work in order; empty when nothing is done.
    pub phases: Vec<PhaseWork>,
    /// How long the product is watched before its last phase, in seconds; 0 where it is not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub soak_seconds: u32,
    /// Why, or why nothing.
    pub why: Vec<String>,
    /// What a person must bring.
    pub people: Vec<String>,
    /// Whether it will be in the way: in its wave, or left out with the reason in `why`.
    pub left_out: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl TargetPlan {
    /// Tells whether it belongs to a lane of that product: on a server with both products, to that of its group.
    #[must_use]
    pub fn is_of(&self, product: Product) -> bool {
        lane::is_of(&self.lane, product)
    }

    /// Leaves out what its work does not rest on: an agent is upgraded whatever the products on its server are by then.
    pub(crate) fn assume(&mut self, purpose: Purpose) {
        if purpose == Purpose::Agents {
            self.essence = None;
        }
    }

    /// Has the product watched for so long once all else is done, and then verified again: that its service was not restarted
    /// meanwhile too. What only reads, and what goes, is not watched.
    pub(crate) fn soak(&mut self, seconds: u32) {
        if seconds == 0 || self.is_read_only() || self.retires() {
            return;
        }
        let Some(proof) = self.phases.last().filter(|last| last.phase == Phase::Prove) else {
            return;
        };
        let mut again = proof.clone();
        again.phase = Phase::Soak;
        for step in &mut again.steps {
            if let Step::VerifyProvisioningAgent(verify) = step {
                verify.soaked_seconds = Some(seconds);
            } else if let Step::VerifyConnect(verify) = step {
                verify.soaked_seconds = Some(seconds);
            }
        }
        self.phases.push(again);
        self.soak_seconds = seconds;
    }

    /// Where a phase stands in its work: at `place`, or where none is given at the first of that name.
    #[must_use]
    pub fn place_of(&self, phase: Phase, place: Option<usize>) -> Option<usize> {
        place.or_else(|| self.phases.iter().position(|work| work.phase == phase))
    }

    /// True when its work makes the server an active Connect server.
    #[must_use]
    pub fn makes_active(&self) -> bool {
        self.guides(ConnectWork::InstallActive) || self.switches_to_active()
    }

    /// True when its work takes a staging Connect server out of staging mode.
    #[must_use]
    pub fn switches_to_active(&self) -> bool {
        self.guides(ConnectWork::SwitchToActive)
    }

    /// True when that phase is the one in which a person takes a staging Connect server out of staging mode.
    #[must_use]
    pub fn switches_to_active_in(&self, phase: usize) -> bool {
        let phase = self.phases.get(phase);
        phase.is_some_and(|phase| guides(phase, ConnectWork::SwitchToActive))
    }

    /// True when that phase is the one in which a person puts an active Connect server into staging mode.
    #[must_use]
    pub fn switches_to_staging_in(&self, phase: usize) -> bool {
        let phase = self.phases.get(phase);
        phase.is_some_and(|phase| guides(phase, ConnectWork::SwitchToStaging))
    }

    /// True when its work puts an active Connect server into staging mode.
    #[must_use]
    pub fn switches_to_staging(&self) -> bool {
        self.guides(ConnectWork::SwitchToStaging)
    }

    /// Where its work puts an active Connect server into staging mode, and what becomes of the server behind that; `None` where
    /// it is left as it is.
    #[must_use]
    pub fn behind_staging(&self) -> Option<(usize, Behind)> {
        let guides = |phase: &PhaseWork| guides(phase, ConnectWork::SwitchToStaging);
        let place = self.phases.iter().position(guides)?;
        let steps = self.phases.iter().skip(place + 1);
        let behind = steps.flat_map(|phase| &phase.steps).find_map(|step| {
            if let Step::GuideConnect(guide) = step {
                Some(Behind::Upgrade(guide.at_least))
            } else if let Step::GuideConnectRemoval(_) = step {
                Some(Behind::Removal)
            } else {
                None
            }
        });
        Some((place, behind?))
    }

    /// True when that phase needs the claim on the tenant's active Connect server. A staging server is looked at while the
    /// other one is still active; an installation is not even prepared.
    #[must_use]
    pub fn claims_active(&self, phase: usize) -> bool {
        let switches = |phase: &PhaseWork| {
            guides(phase, ConnectWork::SwitchToActive) || guides_transition(phase)
        };
        self.guides(ConnectWork::InstallActive) || self.phases.get(phase).is_some_and(switches)
    }

    /// True when a person moves its tenant from Connect to cloud sync there.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.phases.iter().any(guides_transition)
    }

    /// True when that phase is the one in which a person does it.
    #[must_use]
    pub fn moves_in(&self, phase: usize) -> bool {
        self.phases.get(phase).is_some_and(guides_transition)
    }

    /// True when a person installs Connect there.
    #[must_use]
    pub fn installs_connect(&self) -> bool {
        self.guides(ConnectWork::InstallActive) || self.guides(ConnectWork::InstallStaging)
    }

    /// True when a person takes Connect off it.
    #[must_use]
    pub fn removes_connect(&self) -> bool {
        let mut steps = self.phases.iter().flat_map(|phase| &phase.steps);
        steps.any(|step| matches!(step, Step::GuideConnectRemoval(_)))
    }

    /// True when it signs a provisioning agent in to its tenant, which then runs as its gMSA.
    #[must_use]
    pub fn registers(&self) -> bool {
        let mut steps = self.phases.iter().flat_map(|phase| &phase.steps);
        steps.any(|step| {
            matches!(
                step,
                Step::RegisterProvisioningAgent(_) | Step::GuideProvisioningAgent(_)
            )
        })
    }

    fn guides(&self, work: ConnectWork) -> bool {
        self.phases.iter().any(|phase| guides(phase, work))
    }

    /// True when the product shall not be there: no grade is asked for.
    #[must_use]
    pub fn retires(&self) -> bool {
        let mut steps = self.phases.iter().flat_map(|phase| &phase.steps);
        steps.any(|step| {
            matches!(
                step,
                Step::VerifyProvisioningAgentRemoved(_) | Step::VerifyConnectRemoved
            )
        })
    }

    /// The files that it brings onto the server.
    pub fn artifacts(&self) -> impl Iterator<Item = &ArtifactRef> {
        self.phases.iter().flat_map(|phase| &phase.artifacts)
    }

    /// True when a person has the wizard of Connect open in it.
    #[must_use]
    pub fn opens_wizard(&self) -> bool {
        let mut steps = self.phases.iter().flat_map(|phase| &phase.steps);
        steps.any(|step| matches!(step, Step::GuideConnect(_) | Step::GuideConnectRemoval(_)))
    }

    /// True when nothing is changed on the target.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.phases.iter().all(PhaseWork::is_read_only)
    }
}

fn guides_transition(phase: &PhaseWork) -> bool {
    let mut steps = phase.steps.iter();
    steps.any(|step| matches!(step, Step::GuideTransition(_)))
}

fn guides(phase: &PhaseWork, work: ConnectWork) -> bool {
    let guides = |step: &Step| matches!(step, Step::GuideConnect(guide) if guide.work == work);
    phase.steps.iter().any(guides)
}

/// What is to become of a Connect server that was active, once it is staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// It is upgraded to at least that version.
    Upgrade(Version),
    /// Connect is taken off it.
    Removal,
}

/// A group or a Connect entry: what its servers are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePlan {
    /// Name of its tenant in the topology.
    pub tenant_name: String,
    /// Its tenant.
    pub tenant: TenantId,
    /// The tenant's cloud.
    pub cloud: Cloud,
    /// Domains that are served, or forests that are synchronized, in the topology's order.
    pub covers: Vec<DomainName>,
    /// Of a Connect entry, the servers that the topology knows: its own, and those that are gone for good. One that a directory or the tenant
    /// names beside them is a stranger (guard rail G1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connect: Vec<TargetId>,
}

/// What a plan wants of a tenant, and how the tenant stood to that when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantPart {
    /// What is wanted: what is asked again, with what was read by then, before each phase that changes something.
    pub wants: Wants,
    /// What was seen, by whom and when, and what of it does not pass; a sentence each.
    pub said: Vec<String>,
    /// Whether some of that stops whomever it is about.
    #[serde(default)]
    pub blocks: bool,
}

/// What must hold of a domain while the plan runs (guard rail G2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainPlan {
    /// Servers of provisioning agents that serve it.
    pub servers: Vec<TargetId>,
    /// Those of them that Entrain made serve it, and whose service was running when the plan was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serving: Vec<TargetId>,
    /// Those whose service was running, and of which it is not known what they serve: somebody else registered them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<TargetId>,
    /// How many must keep serving.
    pub min_serving: u32,
    /// Servers that go for good; they are not among those that must keep serving.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<TargetId>,
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Targets under way at once.
    pub in_flight: u32,
    /// Failed, unknown and under way together never exceed this.
    pub failures: u32,
    /// Targets of each lane that go first.
    pub canary: u32,
    /// Seconds for which anybody who is away is waited for; for ever where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<u32>,
}

impl Limits {
    /// How long anybody who is away is waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let seconds = self.unreachable?;
        Some(Duration::from_secs(u64::from(seconds)))
    }
}

/// The ordered difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Format of this document.
    pub format: u32,
    /// What it is for.
    pub kind: Kind,
    /// Digest of the topology.
    pub topology: Digest,
    /// Digest of the policy.
    pub policy: Digest,
    /// Digest of the facts that were read: on other facts the plan is refused.
    pub facts: Digest,
    /// Every target of the topology.
    pub targets: BTreeMap<TargetId, TargetPlan>,
    /// Groups and Connect entries.
    pub lanes: BTreeMap<String, LanePlan>,
    /// Targets with work, wave by wave.
    pub waves: Vec<Vec<TargetId>>,
    /// Domains that are served.
    pub domains: BTreeMap<DomainName, DomainPlan>,
    /// Limits.
    pub limits: Limits,
    /// Grade that a target must reach.
    pub need: Grade,
    /// True when `apply` needs a change number.
    pub change_required: bool,
    /// What stands against the plan as a whole; not empty means that it cannot be applied.
    pub alarms: Vec<String>,
    /// What should be known before it is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What cannot be undone (guard rail G10), a sentence each: `apply` asks for their number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub irreversible: Vec<String>,
    /// Phases that wait for phases of other targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
    /// Phases that begin only when settings are equal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compares: Vec<Compare>,
    /// The active Connect server that is off, as whoever applies the plan must say by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off: Option<TargetId>,
    /// When each site may be changed, and how many of its servers at once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sites: BTreeMap<String, SiteRule>,
    /// What is wanted of each tenant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<TenantId, TenantPart>,
    /// Who answers for each domain, where the topology says it: work for them is shown with their name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub owners: BTreeMap<DomainName, String>,
    /// How each server that is changed stood to its newest preflight when the plan was made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub readiness: BTreeMap<TargetId, Standing>,
    /// What the servers of each Connect entry were when the plan was made: who exports, who stands by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exports: BTreeMap<String, Exporting>,
}

impl Plan {
    /// The plan as it is stored.
    ///
    /// # Panics
    /// Never: its parts serialize.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan serializes")
    }

    /// No server has work: to apply it would do nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waves.iter().all(Vec::is_empty)
    }

    /// The site of a target and what holds there, where something does.
    #[must_use]
    pub fn site_of(&self, target: &TargetId) -> Option<(&str, &SiteRule)> {
        let site = self.targets.get(target)?.site.as_deref()?;
        Some((site, self.sites.get(site)?))
    }

    /// Whether a phase of a target begins only while its site is open: it changes something, and it is no second half of a
    /// swap, which is not left for another night, since nothing is exported until then. What a swap first reads of settings is
    /// read then too: what was read days before the change says little about it.
    #[must_use]
    pub fn needs_open_site(&self, target: &TargetId, phase: usize) -> bool {
        let Some(part) = self.targets.get(target) else {
            return false;
        };
        let Some(work) = part.phases.get(phase) else {
            return false;
        };
        let second = |wait: &Wait| {
            wait.target == *target
                && wait.done == Phase::Register
                && part.place_of(wait.phase, wait.place) == Some(phase)
        };
        if self.waits.iter().any(second) {
            return false;
        }
        let compared = |compare: &Compare| compare.target == *target || compare.other == *target;
        let reads = work.steps.contains(&Step::ReadConnectSettings);
        !work.is_read_only() || (reads && self.compares.iter().any(compared))
    }

    /// The phase before that one, where it read settings that are compared and changed nothing: it may be done again.
    #[must_use]
    pub fn reads_again(&self, target: &TargetId, phase: usize) -> Option<usize> {
        let before = phase.checked_sub(1)?;
        let part = self.targets.get(target)?;
        let work = part.phases.get(before)?;
        let reads = work.steps.contains(&Step::ReadConnectSettings) && work.is_read_only();
        let compared = |compare: &Compare| compare.target == *target || compare.other == *target;
        (reads && self.compares.iter().any(compared)).then_some(before)
    }

    /// The version that it brings Entrain's own agents to.
    #[must_use]
    pub fn release(&self) -> Option<Version> {
        let works = self.targets.values().flat_map(|part| &part.phases);
        let mut steps = works.flat_map(|work| &work.steps);
        steps.find_map(|step| {
            let Step::UpgradeAgent(upgrade) = step else {
                return None;
            };
            Some(upgrade.version)
        })
    }

    /// Whether a phase configures a domain that Connect synchronizes too (guard rail G7), as forests were read by now.
    #[must_use]
    pub fn shares(&self, read: &Forests, tenant: &TenantId, phase: &PhaseWork) -> bool {
        let wants = self.tenants.get(tenant).map(|part| &part.wants);
        let shared = |domain: &DomainName| {
            wants.is_some_and(|wants| wants.shares(read, domain).next().is_some())
        };
        phase.configures().iter().any(shared)
    }

    /// Which phase of a target's work a bundle of that name is, where its work is at `now`: work may have several of one name. It
    /// is the one that is due, or the one before where that is done again; else the next of that name, or the last one before.
    #[must_use]
    pub fn taken_up(&self, target: &TargetId, phase: Phase, now: usize) -> Option<usize> {
        let phases = &self.targets.get(target)?.phases;
        let is = |place: &usize| phases.get(*place).is_some_and(|work| work.phase == phase);
        let again = self.reads_again(target, now).filter(is);
        let due = Some(now).filter(is);
        let later = || (now..phases.len()).find(is);
        let earlier = || (0..now.min(phases.len())).rev().find(is);
        due.or(again).or_else(later).or_else(earlier)
    }

    /// Every phase of every target with work, in an order in which they may be done: a target goes on until it waits for another
    /// one. What would wait for ever is left out.
    #[must_use]
    pub fn in_order(&self) -> Vec<(&TargetId, usize)> {
        let mut done: BTreeMap<&TargetId, usize> = BTreeMap::new();
        let mut order = Vec::new();
        loop {
            let before = order.len();
            for target in self.waves.iter().flatten() {
                let Some(part) = self.targets.get(target) else {
                    continue;
                };
                let mut place = done.get(target).copied().unwrap_or_default();
                while place < part.phases.len() && !self.is_behind(part, target, place, &done) {
                    order.push((target, place));
                    place += 1;
                }
                done.insert(target, place);
            }
            if order.len() == before {
                return order;
            }
        }
    }

    /// Whether a phase waits for one that is not among those that are `done`, so many of each target.
    fn is_behind(
        &self,
        part: &TargetPlan,
        target: &TargetId,
        place: usize,
        done: &BTreeMap<&TargetId, usize>,
    ) -> bool {
        self.waits.iter().any(|wait| {
            let other = self.targets.get(&wait.other);
            let until = other.and_then(|other| other.place_of(wait.done, wait.until));
            let so_far = done.get(&wait.other).copied().unwrap_or_default();
            wait.target == *target
                && part.place_of(wait.phase, wait.place) == Some(place)
                && until.is_some_and(|until| so_far <= until)
        })
    }

    /// The plan's id: the digest of its bytes.
    #[must_use]
    pub fn id(&self) -> PlanId {
        PlanId(Digest::of(&self.to_bytes()))
    }

    /// The Merkle leaves of all work, in the order of targets and phases.
    #[must_use]
    pub fn leaves(&self) -> Vec<Digest> {
        let leaf = |(target, part): (&TargetId, &TargetPlan)| {
            let key = part.key?;
            let leaves = part.phases.iter().map(move |phase| {
                work_leaf(
                    &part.tenant,
                    target,
                    &key,
                    phase.phase,
                    &phase.steps,
                    &phase.artifacts,
                )
            });
            Some(leaves.collect::<Vec<_>>())
        };
        self.targets.iter().filter_map(leaf).flatten().collect()
    }

    /// The root that an approval signs.
    #[must_use]
    pub fn work(&self) -> Digest {
        merkle::root(&self.leaves())
    }
}
