//! What operators say in a simulation, and how often each kind of it was taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use controller_core::fleet::{Fleet, PERMIT_LIFE, Refusal, Rollout};
use controller_core::overrides::{Rule, Standing};
use controller_core::plan::Plan;
use controller_core::record::Order;
use controller_core::tenant::{Configuration, Job, Observation, Organization, Part, Units};
use controller_core::versions::Versions;
use protocol::step::Product;
use protocol::{RolloutId, TargetId, TenantId, Timestamp, Version, limits};
use rehearsal::{Chance, Pace, Rails, World};

use super::{LEFT, SHARED, Watch, counts};
use crate::common::{CONNECT, NEWEST, TENANT};

/// Each kind, by its name.
const KINDS: [&str; 35] = [
    "apply",
    "apply of a plan that is old",
    "apply of a version taken back",
    "pause",
    "resume",
    "resume after a restore",
    "retry",
    "abort",
    "skip",
    "resolve",
    "resolve --off",
    "limits",
    "limits --site",
    "accept",
    "freeze of the fleet",
    "thaw of the fleet",
    "freeze of a server",
    "thaw of a server",
    "override G1",
    "override G2",
    "override G3",
    "override G4",
    "override G7",
    "override G8",
    "override window",
    "override withdrawn",
    "agents revoke",
    "agents revoke --off",
    "agents replace",
    "enroll anew",
    "tenant read",
    "a version taken back",
    "a version good again",
    "backup",
    "restore",
];

/// How often each kind was taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders(BTreeMap<&'static str, u64>);

impl Orders {
    /// One was given, and was taken or refused.
    pub(super) fn given(&mut self, kind: &'static str, taken: bool) -> bool {
        assert!(KINDS.contains(&kind), "{kind}");
        *self.0.entry(kind).or_default() += u64::from(taken);
        taken
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (kind, times) in &other.0 {
            *self.0.entry(kind).or_default() += times;
        }
    }

    /// Each kind with how often it was taken.
    pub(super) fn named(&self) -> Vec<(&'static str, u64)> {
        let times = |kind| self.0.get(kind).copied().unwrap_or_default();
        KINDS.iter().map(|kind| (*kind, times(kind))).collect()
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

const fn overriding(rule: Rule) -> &'static str {
    match rule {
        Rule::G1 => "override G1",
        Rule::G2 => "override G2",
        Rule::G3 => "override G3",
        Rule::G4 => "override G4",
        Rule::G7 => "override G7",
        Rule::G8 => "override G8",
        Rule::Window => "override window",
    }
}

/// A copy of the log, with what whoever watches had read of it.
struct Copy {
    entries: usize,
    told: Fleet,
    rails: Rails,
    pace: Pace,
}

/// Whoever counts against the limit of failures in each rollout.
fn counted(fleet: &Fleet) -> BTreeSet<(RolloutId, TargetId)> {
    let all = fleet.rollouts().iter();
    let of = |(id, rollout): (&RolloutId, &Rollout)| {
        let (id, work) = (*id, rollout.work.iter());
        let counted = work.filter(|(_, work)| counts(work));
        let keys = counted.map(|(target, _)| (id, target.clone()));
        keys.collect::<Vec<_>>()
    };
    all.flat_map(of).collect()
}

/// What operators have said, and what they know.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) orders: Orders,
    /// The tenant is one that people read.
    pub(super) reads: bool,
    /// A domain of it ends.
    ends: bool,
    copy: Option<Copy>,
    restored: bool,
    /// Servers that were said to be off: they may have gone in the middle of their work.
    pub(super) off: BTreeSet<TargetId>,
    /// Servers that were enrolled anew: what their agents were at before was cut off.
    anew: BTreeSet<TargetId>,
    /// Differences of settings that were approved, in whatever life of the log.
    pub(super) approved: BTreeSet<protocol::Digest>,
}

/// Where something happens.
pub(super) struct Place<'a> {
    pub(super) target: TargetId,
    pub(super) rollout: RolloutId,
    pub(super) targets: &'a [TargetId],
    /// Two servers change places: neither goes without the other.
    pub(super) swaps: bool,
}

/// A configuration of a domain, and the status of its job, where it has one.
fn configuration(domain: &str, units: Units, status: Option<&str>) -> Configuration {
    let job = |status: &str| Job {
        template: "AD2AADProvisioning".to_owned(),
        status: status.to_owned(),
        quarantined: status == "Quarantine",
        last_success: None,
    };
    Configuration {
        name: domain.to_owned(),
        jobs: Part::Seen(status.into_iter().map(job).collect()),
        domain: Part::Seen(domain.to_owned()),
        guard: Part::NotSeen(WHY.to_owned()),
        units: Part::Seen(units),
    }
}

/// Why something is not seen of it.
const WHY: &str = "it was not asked for";

/// What somebody reads of the tenant: its configurations, and whether synchronization is on.
fn observation(at: Timestamp, all: Vec<Configuration>, on: bool) -> Observation {
    let tenant: TenantId = TENANT.parse().unwrap();
    Observation {
        configurations: Part::Seen(all),
        organization: Part::Seen(Organization {
            sync_enabled: on,
            last_sync: None,
        }),
        ..Observation::unseen_all(&tenant, at, WHY)
    }
}

fn unit(name: &str) -> Units {
    Units::Named(BTreeSet::from([format!("OU={name},{ROOT}")]))
}

/// The root of the domain in both tools.
const ROOT: &str = "DC=corp,DC=contoso,DC=com";

/// What is known of versions where these are taken back.
fn versions(recalled: &[(Product, Version)]) -> Versions {
    let mut text = "checked_on = \"2026-09-01\"\n".to_owned();
    for (product, version) in recalled {
        let product = match product {
            Product::ProvisioningAgent => "provisioning-agent",
            Product::Connect => "connect",
        };
        writeln!(
            text,
            "[[release]]\nproduct = \"{product}\"\nversion = \"{version}\"\nrecalled = \"it breaks\"\nsource = \"a page\"\ncertainty = \"vendor\""
        )
        .unwrap();
    }
    Versions::parse(&text).expect("it can be read")
}

impl Desk {
    /// Nobody has said anything yet.
    pub(super) fn of(reads: bool, plan: &Plan) -> Self {
        Self {
            reads,
            ends: plan.domains.keys().any(|domain| domain.as_str() == LEFT),
            ..Self::default()
        }
    }

    /// A plan is applied beside the first one: one that is made anew where its servers are other ones than it read, and none where a
    /// version of it is taken back just now. Nothing else is refused of those that are drawn.
    pub(super) fn applies(&mut self, world: &mut World, plan: &Plan) -> Option<RolloutId> {
        let mut applied = world.apply(plan);
        if let Err(Refusal::FactsChanged { .. }) = applied {
            self.orders.given("apply of a plan that is old", true);
            applied = world.apply(&world.planned(plan));
        }
        match applied {
            Ok(rollout) => {
                self.orders.given("apply", true);
                Some(rollout)
            }
            Err(Refusal::Versions(_)) => {
                self.orders.given("apply of a version taken back", true);
                None
            }
            Err(refusal) => panic!("the two have no server in common: {refusal}"),
        }
    }

    /// An order of a rollout.
    pub(super) fn order(&mut self, world: &mut World, rollout: RolloutId, order: Order) -> bool {
        let kind = match &order {
            Order::Pause => "pause",
            Order::Resume {
                after_restore: false,
            } => "resume",
            Order::Resume {
                after_restore: true,
            } => "resume after a restore",
            Order::Abort => "abort",
            Order::Retry { .. } => "retry",
            Order::Skip { .. } => "skip",
            Order::Limits { .. } => "limits",
            Order::SiteLimit { .. } => "limits --site",
            Order::AcceptDifference { difference, .. } => {
                self.approved.insert(*difference);
                "accept"
            }
            Order::Resolve { off: true, .. } => "resolve --off",
            Order::Resolve { off: false, .. } => "resolve",
        };
        let taken = world.order_of(rollout, order).is_ok();
        self.orders.given(kind, taken)
    }

    /// A rule is set aside on a server. Leave of its last moment may still be made use of.
    pub(super) fn overrides(
        &mut self,
        (world, watch): (&mut World, &mut Watch),
        rule: Rule,
        target: &TargetId,
    ) -> bool {
        let taken = world.overrides(rule, target).is_ok();
        // Said once more it lasts no longer.
        let said = world.fleet.override_of(rule, target, world.now);
        if let Some(since) = said.and_then(|said| said.since).filter(|_| taken) {
            let last = limits::OVERRIDE_LIFE + PERMIT_LIFE;
            let key = (rule, target.clone());
            watch.overridden.insert(key, since.plus(last));
        }
        self.orders.given(overriding(rule), taken)
    }

    /// The whole fleet stands still, or goes on.
    pub(super) fn stands_still(&mut self, world: &mut World, still: bool) -> bool {
        let kind = if still {
            "freeze of the fleet"
        } else {
            "thaw of the fleet"
        };
        let taken = world.stands_still(still).is_ok();
        self.orders.given(kind, taken)
    }

    /// A server's administrator freezes it, or thaws it.
    pub(super) fn freezes(
        &mut self,
        world: &mut World,
        target: &TargetId,
        until: Option<Timestamp>,
    ) {
        let kind = if until.is_some() {
            "freeze of a server"
        } else {
            "thaw of a server"
        };
        let runs = !world.is_off(target);
        world.freeze(target, until);
        self.orders.given(kind, runs);
    }

    /// The status of the job of a domain that ends, as chance has it; none where it has no configuration.
    pub(super) fn status(&self, chance: &mut Chance) -> Option<&'static str> {
        if !self.ends {
            return None;
        }
        [None, Some("Paused"), Some("Active"), Some("Quarantine")]
            [usize::try_from(chance.below(4)).unwrap()]
    }

    /// Somebody reads the tenant, where anybody does: all is well there, or `wrong` draws what is not of the domain in both tools and of
    /// the tenant's synchronization. A domain that ends has a configuration whose job has that status.
    pub(super) fn reads_tenant(
        &mut self,
        world: &mut World,
        wrong: u64,
        status: Option<&'static str>,
    ) {
        let (units, on) = match wrong {
            1 => (Some(Units::Whole), true),
            2 => (Some(unit("People")), true),
            3 => (Some(unit("Staff")), true),
            4 => (None, false),
            _ => (None, true),
        };
        if self.reads {
            let shared = units.map(|units| configuration(SHARED, units, None));
            let left = status.filter(|_| self.ends);
            let left = left.map(|status| configuration(LEFT, Units::Whole, Some(status)));
            let all = shared.into_iter().chain(left).collect();
            world.reads_tenant(observation(world.now, all, on));
        }
        self.orders.given("tenant read", self.reads);
    }

    /// These versions are taken back from now on, and no others.
    pub(super) fn recalls(
        &mut self,
        (world, watch): (&mut World, &mut Watch),
        recalled: &[(Product, Version)],
    ) {
        // What came before is judged by what was known then.
        watch.read(world);
        watch.rails.recalls(recalled.iter().copied().collect());
        world.versions_are(versions(recalled));
        let kind = if recalled.is_empty() {
            "a version good again"
        } else {
            "a version taken back"
        };
        self.orders.given(kind, true);
    }

    /// Whoever lost its key, or its power, is enrolled anew; what was under way there is over, and is made again where nobody knows
    /// of it.
    pub(super) fn enrolls_anew(
        &mut self,
        (world, watch): (&mut World, &mut Watch),
        target: &TargetId,
    ) {
        let anew = world.enrolls_anew(target);
        if anew {
            watch.again.insert(target.clone());
            self.anew.insert(target.clone());
            // A copy of the log has none of that.
            self.copy = None;
        }
        self.orders.given("enroll anew", anew);
    }

    /// Somebody has looked at those that were enrolled anew: nothing of what their agents were at goes on.
    pub(super) fn has_looked(&mut self, world: &mut World, rollout: RolloutId) {
        for target in self.anew.clone() {
            if world.fleet.frees_alone(rollout, &target, true, world.now) {
                let looked = Order::Resolve {
                    target,
                    reason: "it was looked at".to_owned(),
                    off: true,
                };
                self.order(world, rollout, looked);
            }
        }
    }

    /// Whoever was enrolled anew and fails by what was cut off there is left out: it is planned anew. Of Connect the others may be nothing
    /// without it, and all of it is.
    pub(super) fn leaves_out(&mut self, world: &mut World) {
        let bad: Vec<(RolloutId, TargetId)> = world
            .fleet
            .rollouts()
            .iter()
            .flat_map(|(id, rollout)| {
                let bad = rollout.work.iter().filter(|(_, work)| work.state.is_bad());
                bad.map(|(target, _)| (*id, target.clone()))
            })
            .filter(|(_, target)| self.anew.contains(target))
            .collect();
        for (rollout, target) in bad {
            if target.as_str().starts_with('c') {
                self.order(world, rollout, Order::Abort);
                continue;
            }
            let skip = Order::Skip {
                target,
                reason: "it is planned anew".to_owned(),
            };
            self.order(world, rollout, skip);
        }
    }

    fn loses_its_key(&mut self, kind: &'static str, taken: bool) {
        if self.orders.given(kind, taken) {
            self.copy = None;
        }
    }

    /// The log is copied, or the controller is put back to that copy. Gives the rollouts that are lost with what came since.
    fn copies(
        &mut self,
        (world, watch): (&mut World, &mut Watch),
        chance: &mut Chance,
    ) -> BTreeSet<RolloutId> {
        watch.read(world);
        let Some(copy) = self.copy.take_if(|_| chance.once_in(2)) else {
            if self.copy.is_none() && !self.restored {
                self.copy = Some(Copy {
                    entries: world.log.len(),
                    told: watch.told.clone(),
                    rails: watch.rails.clone(),
                    pace: watch.pace.clone(),
                });
                self.orders.given("backup", true);
            }
            return BTreeSet::new();
        };
        self.restored = true;
        let left = counted(&copy.told);
        let before = counted(&world.fleet).into_iter();
        let lost = before.filter(|key| !left.contains(key));
        // A place that it gets by the log that is left has the next number of that log.
        let next = lost.map(|(id, target)| {
            let next = copy.told.next_generation(&target);
            ((id, target), next)
        });
        watch.told_again.extend(next);
        world.restore(copy.entries);
        self.orders.given("restore", true);
        watch.goes_back(copy.entries, copy.told, (copy.rails, copy.pace));
        let all = world.fleet.rollouts();
        let (kept, lost): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut watch.rollouts)
            .into_iter()
            .partition(|(id, _)| all.contains_key(id));
        watch.rollouts = kept;
        lost.into_keys().collect()
    }

    /// One more happening of those that operators make. Gives the rollouts that are lost by it.
    pub(super) fn says(
        &mut self,
        happens: u64,
        (world, watch): (&mut World, &mut Watch),
        chance: &mut Chance,
        place: Place<'_>,
    ) -> BTreeSet<RolloutId> {
        let Place {
            target,
            rollout,
            targets,
            swaps,
        } = place;
        let tied = (swaps || self.reads) && target.as_str().starts_with('c');
        let reason = || "it is known".to_owned();
        match happens {
            22 if !swaps => {
                let site = "s".to_owned();
                let in_flight = u32::try_from(1 + chance.below(4)).unwrap();
                let limit = Order::SiteLimit { site, in_flight };
                self.order(world, rollout, limit);
            }
            // Any rule, on any server on which it holds something.
            23 => {
                let at = usize::try_from(chance.below(Rule::ALL.len() as u64)).unwrap();
                let from = usize::try_from(chance.below(targets.len() as u64)).unwrap();
                let mut all = targets.iter().cycle().skip(from).take(targets.len());
                all.any(|target| self.overrides((world, watch), Rule::ALL[at], target));
            }
            24 => {
                let all = world.fleet.overrides(world.now);
                let stands = all.iter().find(|one| one.standing == Standing::InForce);
                let taken =
                    stands.is_some_and(|one| world.withdraws(one.rule, &one.target).is_ok());
                self.orders.given("override withdrawn", taken);
            }
            // Servers that change places stand at no site.
            22 | 25 => {
                for difference in world.fleet.differences(rollout) {
                    let approves = Order::AcceptDifference {
                        difference: difference.digest,
                        reason: reason(),
                    };
                    self.order(world, rollout, approves);
                }
            }
            26 => {
                let off = chance.once_in(3) && !tied;
                let taken = world.revokes(&target, off).is_ok();
                if off {
                    self.loses_its_key("agents revoke --off", taken);
                    self.off.extend(taken.then_some(target));
                } else {
                    self.loses_its_key("agents revoke", taken);
                }
            }
            27 => {
                let taken = world.replaces(&target).is_ok();
                self.loses_its_key("agents replace", taken);
            }
            28 => {
                let lost = |target: &&TargetId| world.is_off(target) || world.is_keyless(target);
                if let Some(target) = targets.iter().find(lost) {
                    self.enrolls_anew((world, watch), target);
                }
            }
            // Its power is gone, and whoever knows that says so.
            29 if !tied => {
                world.goes_off(&target);
                self.off.insert(target.clone());
                let resolve = Order::Resolve {
                    target,
                    reason: "it burned down".to_owned(),
                    off: true,
                };
                self.order(world, rollout, resolve);
            }
            30 => {
                let versions = [
                    (Product::ProvisioningAgent, NEWEST),
                    (Product::Connect, CONNECT),
                ];
                let which = usize::try_from(chance.below(2)).unwrap();
                self.recalls((world, watch), &versions[which..=which]);
            }
            31 => self.recalls((world, watch), &[]),
            32 => {
                let wrong = chance.below(6);
                let status = self.status(chance);
                self.reads_tenant(world, wrong, status);
            }
            33 => return self.copies((world, watch), chance),
            _ => {}
        }
        BTreeSet::new()
    }
}
