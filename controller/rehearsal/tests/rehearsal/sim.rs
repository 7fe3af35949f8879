//! Whole fleets in virtual time under faults that chance draws: agents killed, links cut, the controller restarted, orders
//! given in the middle, servers on which something is wrong. The guard rails are held against what servers *are*, and not
//! against what anybody was told, after every happening. A seed that fails fails again: `SIM_FROM=SEED SIM_SEEDS=1`.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

mod orders;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent_twin::Fault;
use controller_core::drift;
use controller_core::facts::Fleetwide;
use controller_core::fleet::{Cause, Fleet, RolloutState, TargetState, Work};
use controller_core::overrides::Rule;
use controller_core::plan::{Afterwards, Kind, Plan};
use controller_core::record::{Order, Record};
use protocol::event::Event;
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::signed::Phase;
use protocol::{Generation, RolloutId, TargetId, Timestamp};
use rehearsal::{Ask, Asked, Chance, Pace, Paced, ROLLOUT, Rails, World, enough_serve};

use crate::common::{NEWEST, NOW, OLD, agent, facts, planned, swapped, swung, topology};
use orders::{Desk, Orders, Place};

/// A domain that provisioning agents serve and Connect covers too. It is the one whose units the models of Connect tell.
const SHARED: &str = "corp.contoso.com";

/// A domain that nobody is to serve any more.
const LEFT: &str = "left.test";

/// What is wrong with a server now and then; each is mended in the end.
const WRONG: [Fault; 8] = [
    Fault::LogonRightMissing,
    Fault::InstallerBusy,
    Fault::CloudBlocked,
    Fault::RebootPending,
    Fault::GmsaEncryption,
    Fault::SetupWantsRestart,
    Fault::RemovalFails,
    Fault::DirectoryUnreadable,
];

/// What makes a staging server unfit to become active.
const UNFIT: [Fault; 7] = [
    Fault::DeletionsPending,
    Fault::ExportsUnreadable,
    Fault::FullSyncDue,
    Fault::NextCycleFull,
    Fault::CycleOverdue,
    Fault::SettingsDiffer,
    Fault::SettingsUnreadable,
];

/// A topology as chance has it: groups of agents, some of them with servers that go, and a tenant's Connect servers. Tells whether the
/// tenant is one that people read.
fn estate(chance: &mut Chance) -> (Plan, Fleetwide, bool) {
    let rule = match chance.below(3) {
        0 => "never",
        1 => "ask",
        _ => "window",
    };
    let mut text = format!("[site.s]\nzone = \"Europe/Amsterdam\"\nreboot = \"{rule}\"\n");
    let groups = 1 + chance.below(3);
    let chases = chance.once_in(3);
    let connects = chance.below(4);
    // A domain in both tools, and one that nobody is to serve any more.
    let shared = connects > 0 && chance.once_in(3);
    let left = chance.once_in(4);
    // No agent is on any other server yet: whoever stays is known by what it was given here.
    let new = left && chance.once_in(2);
    for group in 0..groups {
        let domain = if shared && group == 0 {
            SHARED.to_owned()
        } else {
            format!("d{group}.test")
        };
        // Every second group serves its neighbor's domain as well.
        let also = if group > u64::from(shared) && chance.once_in(2) {
            format!(", \"d{}.test\"", group - 1)
        } else {
            String::new()
        };
        let hosts = 2 + chance.below(3);
        let names: Vec<String> = (0..hosts).map(|host| format!("h{host}.{domain}")).collect();
        writeln!(
            text,
            "[agents.g{group}]\nlabels = {{ ring = \"{}\" }}\nserves = [\"{domain}\"{also}]\nhosts = {names:?}",
            chance.below(2)
        )
        .unwrap();
        if chance.once_in(3) {
            writeln!(text, "retired = [\"old.{domain}\"]").unwrap();
        }
        if chance.once_in(2) {
            writeln!(text, "site = \"s\"").unwrap();
        }
        // A site has its own proxy; what is tuned is tuned alike wherever a domain is served.
        let mut options = Vec::new();
        if chance.once_in(3) {
            options.push("proxy = \"http://proxy.test:8080\"");
        }
        if chases {
            options.push("referral_chasing = true");
        }
        if !options.is_empty() {
            writeln!(text, "options = {{ {} }}", options.join(", ")).unwrap();
        }
        // One that serves is enough: with more, a server that is skipped could hold all others for good, and rightly so.
        writeln!(text, "[domain.\"{domain}\"]\nmin_serving = 1").unwrap();
        if chance.once_in(3) {
            writeln!(text, "directory = \"ask\"").unwrap();
        }
    }
    if left {
        writeln!(text, "[agents.left]\nserves = [\"{LEFT}\"]\nhosts = []\nretired = [\"old1.{LEFT}\", \"old2.{LEFT}\"]\n[domain.\"{LEFT}\"]\nallow_outage = true").unwrap();
    }
    if connects > 0 {
        let names: Vec<String> = (0..connects)
            .map(|server| format!("c{server}.forest.test"))
            .collect();
        // That Connect takes all of it is said to be meant, and holds it all the same.
        let (forest, meant) = if shared {
            let meant = format!("overlap = {{ \"{SHARED}\" = \"pilot\" }}\n");
            (format!(", \"{SHARED}\""), meant)
        } else {
            Default::default()
        };
        writeln!(
            text,
            "[connect.main]\nforests = [\"forest.test\"{forest}]\nservers = {names:?}\n{meant}[connect.main.settings]",
        )
        .unwrap();
    }
    let policy = format!(
        "waves = [{{ ring = \"0\" }}, {{ rest = true }}]\n[limit]\nfailures = \"{}\"\nin_flight = {}\ncanary = {}\n",
        // A small one binds, and holds all others by few that fail.
        if chance.once_in(2) {
            1 + chance.below(3)
        } else {
            2 + chance.below(8)
        },
        1 + chance.below(6),
        chance.below(2),
    );
    let soak = if chance.once_in(3) {
        "soak = { cloud-sync = \"5 cycles\", connect = \"1 cycle\" }\n"
    } else {
        ""
    };
    // Open but for a minute of each day.
    let site = "[site.s]\nwindow = { days = [\"Mon\", \"Tue\", \"Wed\", \"Thu\", \"Fri\", \"Sat\", \"Sun\"], from = \"00:00\", to = \"23:59\" }\n";
    let most = if chance.once_in(2) {
        format!("max_in_flight = {}\n", 1 + chance.below(3))
    } else {
        String::new()
    };
    let policy = format!("{soak}{policy}{site}{most}");
    let topology = topology(&text);
    // An estate has one active Connect server, or none yet.
    let active = chance.below(connects + 1);
    let installed = chance.once_in(2);
    let mut reported = BTreeMap::new();
    for target in topology.targets() {
        let name = target.as_str();
        let is = if let Some(number) = name.strip_prefix('c').and_then(|rest| rest.chars().next()) {
            let old = ConnectFacts {
                version: Some(protocol::Version::new(2, 5, 79, 0)),
                service: Some(ServiceState::Running),
                staging: Some(number.to_string() != active.to_string()),
                cycle_enabled: Some(true),
                suspended: Some(false),
            };
            facts(None, (installed && active < connects).then_some(old))
        } else {
            let version = match chance.below(4) {
                _ if new => None,
                0 => None,
                1 => Some(NEWEST),
                _ => Some(OLD),
            };
            let version = version.or_else(|| name.starts_with("old").then_some(OLD));
            facts(version.map(agent), None)
        };
        reported.insert(target, is);
    }
    let (plan, known) = planned(&topology, &policy, |target| reported[target].clone());
    // Where there is Connect and none is active, what a tenant shows stops all of it (PF66).
    let someone = !installed || active < connects;
    let reads = someone && (shared || new || chance.once_in(3));
    (plan, known, reads)
}

/// The same estate as two plans on different servers of the same domains: some of the agents' servers are left for the second.
fn split(plan: &Plan, chance: &mut Chance) -> (Plan, Plan) {
    let waits = plan.waits.iter().flat_map(|one| [&one.target, &one.other]);
    let tied: BTreeSet<&TargetId> = waits.collect();
    let second: BTreeSet<TargetId> = plan
        .targets
        .keys()
        .filter(|target| target.as_str().starts_with('h') && !tied.contains(target))
        .filter(|_| chance.once_in(2))
        .cloned()
        .collect();
    let part = |of_second: bool| {
        let mut part = plan.clone();
        let is = |target: &TargetId| second.contains(target) == of_second;
        part.targets.retain(|target, _| is(target));
        for wave in &mut part.waves {
            wave.retain(is);
        }
        part.waves.retain(|wave| !wave.is_empty());
        part
    };
    (part(false), part(true))
}

/// A plan that only verifies what the estate is to be.
fn looks(plan: &Plan) -> Plan {
    let mut looks = plan.clone();
    looks.kind = Kind::Verify;
    for part in looks.targets.values_mut() {
        part.phases
            .retain(|work| work.phase == Phase::Prove && work.is_read_only());
        part.soak_seconds = 0;
    }
    let has = |target: &TargetId| !plan.targets[target].retires();
    for wave in &mut looks.waves {
        wave.retain(has);
    }
    looks
        .targets
        .retain(|target, part| has(target) && !part.phases.is_empty());
    let left = looks.targets.clone();
    for wave in &mut looks.waves {
        wave.retain(|target| left.contains_key(target));
    }
    looks.waves.retain(|wave| !wave.is_empty());
    (looks.waits, looks.compares) = (Vec::new(), Vec::new());
    looks
}

/// What is watched over the whole course.
struct Watch {
    /// The estate.
    plan: Plan,
    /// What each rollout carries out, and the most that were ever let under way in it at once, and fail.
    rollouts: BTreeMap<RolloutId, (Plan, u32, u32)>,
    /// Rules that were set aside, on which servers, and until when.
    overridden: BTreeMap<(Rule, TargetId), Timestamp>,
    /// Who changes a gMSA object, and whether it went to it while G3 was set aside there.
    changing: BTreeMap<TargetId, bool>,
    outage: BTreeSet<TargetId>,
    active_before: usize,
    /// Who was active at the last look.
    active: BTreeSet<TargetId>,
    /// Servers on which something was tried again: a change may come twice there.
    again: BTreeSet<TargetId>,
    /// Servers that were given up in the middle of a run of that number, unknown or passed over: back at their work, they are beside
    /// whoever took their place.
    given_up: BTreeMap<(RolloutId, TargetId), Generation>,
    /// Servers that got their place in a life of the log that a restore has lost, with the number of their next run by the log that is left: what
    /// they tell again comes beside whoever has a place by that.
    told_again: BTreeMap<(RolloutId, TargetId), Generation>,
    /// Servers that were mended: a change that failed while nobody heard of it is made again there.
    mended: BTreeSet<TargetId>,
    checks: u64,
    /// Differences that were asked as somebody became active (G4).
    g4: u64,
    /// Servers of a domain that ends, at a look, that waited for its configuration to be disabled (G10).
    waited: u64,
    /// The fleet as the log tells it, how far that was read, and what was asked of it.
    told: Fleet,
    entries: usize,
    rails: Rails,
    pace: Pace,
    /// How often all views of both were compared.
    views: u64,
}

/// Whether it counts against the limit of failures: it is under way, or has failed.
fn counts(work: &Work) -> bool {
    work.is_in_flight() || work.state.is_bad() || work.is_passed_over()
}

impl Watch {
    fn new(plan: &Plan, world: &World) -> Self {
        Self {
            plan: plan.clone(),
            rollouts: BTreeMap::new(),
            overridden: BTreeMap::new(),
            changing: BTreeMap::new(),
            outage: BTreeSet::new(),
            active_before: active(plan, world),
            active: actives(plan, world),
            again: BTreeSet::new(),
            given_up: BTreeMap::new(),
            told_again: BTreeMap::new(),
            mended: BTreeSet::new(),
            checks: 0,
            g4: 0,
            waited: 0,
            told: Fleet::new(),
            entries: 0,
            rails: Rails::default(),
            pace: Pace::default(),
            views: 0,
        }
    }

    /// What failed is tried again: a change of the first try may come twice there.
    fn tries_again(&mut self, world: &World) {
        for rollout in world.fleet.rollouts().values() {
            let bad = rollout.work.iter().filter(|(_, work)| work.state.is_bad());
            self.again.extend(bad.map(|(target, _)| target.clone()));
        }
    }

    /// A rollout begins.
    fn begins(&mut self, rollout: RolloutId, plan: &Plan) {
        let limits = &plan.limits;
        let most = (plan.clone(), limits.in_flight, limits.failures);
        self.rollouts.insert(rollout, most);
    }

    /// A rule is set aside on a server.
    fn is_aside(&self, rule: Rule, target: &TargetId, now: Timestamp) -> bool {
        let until = self.overridden.get(&(rule, target.clone()));
        until.is_some_and(|until| now < *until)
    }

    /// The controller was put back to an earlier copy of its log: what whoever watches had read by then, and how often it had asked by now.
    fn goes_back(&mut self, entries: usize, told: Fleet, (rails, pace): (Rails, Pace)) {
        let (asked, paced) = (self.rails.asked, self.pace.asked);
        self.told = told;
        self.entries = entries;
        let now = std::mem::replace(&mut self.rails, rails);
        self.rails.recalls_as(&now);
        self.pace = pace;
        (self.rails.asked, self.pace.asked) = (asked, paced);
    }

    /// Every rule, on what is so.
    fn look(&mut self, world: &World, desk: &Desk) {
        self.checks += 1;
        let mut objects = BTreeSet::new();
        for target in self.plan.targets.keys() {
            let section = world.inside(target);
            if let Some(object) = section.and_then(|section| section.gmsa.as_ref()) {
                let aside = self.is_aside(Rule::G3, target, world.now);
                let aside = *self.changing.entry(target.clone()).or_insert(aside);
                assert!(
                    aside || objects.insert(object),
                    "G3: {target} and another change one gMSA"
                );
            } else {
                self.changing.remove(target);
            }
            let out = section.is_some_and(|section| section.outage);
            if !out {
                self.outage.remove(target);
                continue;
            }
            let aside = self.is_aside(Rule::G2, target, world.now);
            if !self.outage.insert(target.clone()) || aside {
                continue;
            }
            let enough = enough_serve(&self.plan, target, |servers| {
                world.serving_beside(target, servers)
            });
            assert!(enough.is_ok(), "{enough:?}");
        }
        let actives = actives(&self.plan, world);
        if actives.iter().any(|target| !self.active.contains(target)) {
            self.g4 += 1;
            let accepted = &world.fleet.rollouts()[&ROLLOUT].accepted;
            for difference in world.fleet.differences(ROLLOUT) {
                let digest = &difference.digest;
                let approved = accepted.contains(digest) || desk.approved.contains(digest);
                assert!(approved, "G4: active with {}", difference.shortly());
            }
        }
        self.active = actives;
        let now = active(&self.plan, world);
        let aside = self.overridden.keys().filter(|(rule, _)| *rule == Rule::G1);
        let most = self.active_before.max(1) + aside.count();
        assert!(now <= most, "G1: {now} are active");
        assert!(world.live.away.is_indexed_right(), "who is away");
        let mut changed: BTreeSet<&TargetId> = BTreeSet::new();
        for (id, (plan, limit, failures)) in &mut self.rollouts {
            let rollout = &world.fleet.rollouts()[id];
            let work = &rollout.work;
            assert!(work.is_counted_right(), "the counts of {id}");
            for (target, _) in work
                .iter()
                .filter(|(_, work)| work.state == TargetState::Pending)
            {
                let hold = world.fleet.hold(*id, target, &world.live, world.now);
                let Some(hold) = hold else {
                    panic!("{target} may begin in {id}, and nobody lets it");
                };
                self.waited += u64::from(hold.cause == Cause::StillConfigured);
            }
            let reads = |target: &TargetId| plan.targets[target].is_read_only();
            for (target, work) in work {
                let key = (*id, target.clone());
                if work.state == TargetState::Unknown || work.is_passed_over() {
                    // Its newest bundle is the one that it may be at.
                    let next = world.fleet.next_generation(target);
                    self.given_up.insert(key, next);
                    continue;
                }
                // It has got a place anew since, or is at its end.
                let anew = |of: &BTreeMap<_, Generation>| {
                    world.fleet.open(target).is_some_and(|open| {
                        let entered = open.anew || !work.has_begun();
                        let later = |before: &Generation| open.generation >= *before;
                        open.rollout == *id && entered && of.get(&key).is_some_and(later)
                    })
                };
                if anew(&self.given_up) || work.state.is_terminal() {
                    self.given_up.remove(&key);
                }
                if anew(&self.told_again) {
                    self.told_again.remove(&key);
                }
            }
            let going = || {
                work.iter()
                    .filter(|(_, work)| !work.state.is_terminal() && !work.is_untouched())
            };
            let under_way = || work.iter().filter(|(_, work)| work.is_in_flight());
            // Whoever only reads is bound by no limit.
            let beyond = under_way().filter(|(target, _)| {
                let key = (*id, (*target).clone());
                reads(target)
                    || self.given_up.contains_key(&key)
                    || self.told_again.contains_key(&key)
            });
            // What is under way when a limit falls goes on.
            *limit = (*limit).max(rollout.plan.limits.in_flight);
            let most = *limit as usize + beyond.count();
            let now = under_way().count();
            assert!(now <= most, "in_flight of {id}: {now} of {most}");
            *failures = (*failures).max(rollout.plan.limits.failures);
            let told_again = |target: &TargetId| {
                let key = (*id, target.clone());
                self.told_again.contains_key(&key)
            };
            let bound = work
                .iter()
                .filter(|(target, work)| counts(work) && !reads(target) && !told_again(target));
            let count = bound.count();
            assert!(
                count <= *failures as usize,
                "{count} failed or are under way in {id}, of {failures}"
            );
            for (target, _) in going() {
                let twice = !reads(target) && !changed.insert(target);
                assert!(!twice, "two rollouts change {target}");
            }
            let over = rollout.state != RolloutState::Aborted
                || rollout.is_over()
                || work.values().any(|work| !work.state.is_terminal());
            assert!(
                over,
                "{id} was aborted, nothing of it is left, and it is not over"
            );
        }
    }

    /// Takes up what came into the log since: every rail and every limit is asked of each entry.
    fn read(&mut self, world: &World) {
        for (at, record) in &world.log[self.entries..] {
            let held = self.rails.stored(&self.told, record, *at);
            let held = held.and_then(|()| self.pace.stored(&self.told, record, *at));
            assert!(held.is_ok(), "{held:?} by {record:?}");
            self.told.apply(record, world.plan_of(record), *at);
        }
        self.entries = world.log.len();
    }

    /// What is shown of the live fleet is what its log tells.
    fn views_are_the_same(&mut self, world: &World) {
        self.read(world);
        let mut live = world.fleet.clone();
        for target in world.targets() {
            // What is asked for is of the moment, and in no log.
            live.forget_asked(target);
        }
        self.views += 1;
        assert_eq!(views(&live, world), views(&self.told, world));
    }

    /// What the log and the servers must show in the end.
    fn end(&mut self, world: &World) -> (Asked, Paced) {
        self.views_are_the_same(world);
        let ends = self.pace.ends(&self.told);
        assert!(ends.is_ok(), "{ends:?}");
        let mut completed = BTreeSet::new();
        let mut newest: BTreeMap<&TargetId, protocol::Generation> = BTreeMap::new();
        for (_, record) in &world.log {
            if let Record::BundleIssued {
                target, generation, ..
            } = record
            {
                let before = newest.insert(target, *generation);
                assert!(before.is_none_or(|before| before < *generation), "G5");
            }
            let Record::TargetEvent { target, body, .. } = record else {
                continue;
            };
            if let Some(Event::StepCompleted {
                generation, step, ..
            }) = Event::from_body(body.as_bytes())
            {
                let first = completed.insert((target, generation, step));
                assert!(first, "{target} completed step {step:?} twice");
            }
        }
        for target in self
            .plan
            .targets
            .keys()
            .filter(|target| !self.again.contains(*target) && !self.mended.contains(*target))
        {
            // A restart that is owed is made again where nobody knows that it came to its end.
            let again = ["restart ", "owes "];
            let changes = world.changes(target);
            let changes: Vec<&String> = changes
                .iter()
                .filter(|change| {
                    let service = again.iter().any(|start| change.starts_with(start));
                    !service || change.starts_with("restart Windows")
                })
                .collect();
            let once: BTreeSet<&String> = changes.iter().copied().collect();
            assert_eq!(
                once.len(),
                changes.len(),
                "{target} was changed twice: {changes:?}"
            );
        }
        (self.rails.asked, self.pace.asked)
    }
}

/// Everything that an operator may be shown of a fleet.
fn views(fleet: &Fleet, world: &World) -> Vec<String> {
    let (live, now) = (&world.live, world.now);
    let mut views = vec![
        format!("{:?}", fleet.alarms(now)),
        format!("{:?}", fleet.tasks(now)),
        format!("{:?}", fleet.overrides(now)),
        format!("{:?}", drift::drifted(fleet)),
    ];
    for id in fleet.rollouts().keys() {
        views.push(format!("{:?}", fleet.view(*id, live, now)));
        views.push(format!("{:?}", fleet.serving(*id, live, now)));
        views.push(format!("{:?}", fleet.differences(*id)));
        let whys = world.targets();
        let whys = whys.map(|target| fleet.why_in(Some(*id), target, live, now));
        views.push(format!("{:?}", whys.collect::<Vec<_>>()));
    }
    let whys = world.targets().map(|target| fleet.why(target, live, now));
    views.push(format!("{:?}", whys.collect::<Vec<_>>()));
    views
}

fn active(plan: &Plan, world: &World) -> usize {
    actives(plan, world).len()
}

fn actives(plan: &Plan, world: &World) -> BTreeSet<TargetId> {
    let is = |target: &&TargetId| world.is_active(target) == Some(true);
    plan.targets.keys().filter(is).cloned().collect()
}

fn same(before: &Fleet, after: &Fleet) {
    assert_eq!(
        format!("{before:?}"),
        format!("{after:?}"),
        "the log tells another fleet"
    );
}

#[derive(Default)]
struct Tally {
    faults: u64,
    orders: Orders,
    /// How often each rule was asked of the logs.
    asked: Asked,
    paced: Paced,
    g4: u64,
    waited: u64,
    views: u64,
    checks: u64,
    seconds: u64,
    done: usize,
    targets: usize,
    /// What the log came to.
    course: u64,
}

/// Every entry of a log, in order and with its time, but for keys, which are made anew, and what is signed or digested with them.
fn course(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (at, record) in &world.log {
        let mut record = serde_json::to_value(record).expect("a record serializes");
        if let Some(body) = record["is"]["body"].as_str() {
            record["is"]["body"] = serde_json::from_str(body).expect("an event is JSON");
        }
        leave_out(&mut record);
        (at.as_millis(), record.to_string()).hash(&mut hasher);
    }
    hasher.finish()
}

fn leave_out(value: &mut serde_json::Value) {
    const SIGNED: [&str; 4] = ["bundle", "key", "plan", "receipt"];
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !SIGNED.contains(&name.as_str()));
        fields.values_mut().for_each(leave_out);
    } else if let Some(items) = value.as_array_mut() {
        items.iter_mut().for_each(leave_out);
    }
}

fn story(seed: u64) -> Tally {
    let mut chance = Chance::new(seed);
    let swaps = chance.once_in(8);
    let (plan, known, reads) = if swaps {
        let (plan, known) = match chance.below(3) {
            0 => swapped(),
            1 => swung(chance.once_in(2), Afterwards::Upgrade),
            _ => swung(chance.once_in(2), Afterwards::Remove),
        };
        (plan, known, false)
    } else {
        estate(&mut chance)
    };
    let mut desk = Desk::of(reads, &plan);
    // Beside it, later: the rest of the estate, a look at all of it, or nothing.
    let (first, second) = match chance.below(3) {
        0 if !swaps => split(&plan, &mut chance),
        1 => (plan.clone(), looks(&plan)),
        _ => (
            plan.clone(),
            Plan {
                waves: Vec::new(),
                ..looks(&plan)
            },
        ),
    };
    let mut faults: BTreeMap<TargetId, BTreeSet<Fault>> = BTreeMap::new();
    let wrong = |chance: &mut Chance| {
        let wrong: &[Fault] = if swaps { &UNFIT } else { &WRONG };
        let at = usize::try_from(chance.below(wrong.len() as u64)).unwrap();
        wrong[at]
    };
    for target in plan.targets.keys() {
        if chance.once_in(if swaps { 3 } else { 6 }) {
            faults.insert(target.clone(), BTreeSet::from([wrong(&mut chance)]));
        }
    }
    let ask = Ask {
        begin: NOW,
        person: Some(Duration::from_secs(60 + chance.below(1800))),
        faults: faults.clone(),
        seed: chance.number(),
    };
    let mut world = if reads {
        World::with_tenants(&first, &[&plan], &known, ask)
    } else {
        World::beside(&first, &[&plan], &known, ask)
    };
    // Made now, and applied later.
    let mut second = (!second.waves.is_empty()).then(|| world.planned(&second));
    let mut watch = Watch::new(&plan, &world);
    if chance.once_in(2) {
        let status = desk.status(&mut chance);
        desk.reads_tenant(&mut world, 0, status);
    }
    watch.begins(ROLLOUT, &first);
    let mut rollouts = vec![ROLLOUT];
    let targets: Vec<TargetId> = world.targets().cloned().collect();
    let mut away: BTreeSet<TargetId> = BTreeSet::new();
    let mut drawn = faults.len() as u64;
    // What is applied beside the first one, should a restore lose it.
    let beside = second.clone();
    // Disturbed for a while, at moments that chance draws.
    for _ in 0..44 {
        let pause = chance.between(Duration::from_secs(1), Duration::from_secs(240));
        let until = world.now.plus(pause);
        world.run_until(until, |world| watch.look(world, &desk));
        let target = targets[usize::try_from(chance.below(targets.len() as u64)).unwrap()].clone();
        let rollout = rollouts[usize::try_from(chance.below(rollouts.len() as u64)).unwrap()];
        // Whoever is left out before it serves may hold all others of its domain for good, and rightly so (G2).
        // Of two servers that change places neither goes without the other (G4), and of those of a tenant that is read none without the
        // active one (PF66).
        let spared = !swaps && !desk.reads && target.as_str().starts_with('c')
            || world.serving(std::slice::from_ref(&target)) == 1;
        let happens = chance.below(34);
        // A rollout that begins beside the first, and whatever an operator says, is an order; the rest happens.
        drawn += u64::from(matches!(happens, 0..=4 | 16..=21));
        match happens {
            0..=1 => {
                world.kill(&target);
                away.insert(target);
            }
            2..=3 => {
                world.leaves(&target);
                away.insert(target);
            }
            4 => {
                let (before, after) = world.restart_controller();
                same(&before, &after);
                away.clear();
            }
            5 => drop(desk.order(&mut world, rollout, Order::Pause)),
            6 => drop(desk.order(
                &mut world,
                rollout,
                Order::Resume {
                    after_restore: false,
                },
            )),
            7 => {
                world.set_faults(&target, BTreeSet::new());
                let retry = Order::Retry {
                    target: Some(target.clone()),
                };
                if desk.order(&mut world, rollout, retry) {
                    watch.again.insert(target);
                }
            }
            8 if chance.once_in(6) => drop(desk.order(&mut world, rollout, Order::Abort)),
            8 if spared => {
                let skip = Order::Skip {
                    target,
                    reason: "it is left out".to_owned(),
                };
                desk.order(&mut world, rollout, skip);
            }
            9 if spared => {
                let resolve = Order::Resolve {
                    target,
                    reason: "it was rebuilt".to_owned(),
                    off: false,
                };
                desk.order(&mut world, rollout, resolve);
            }
            10 => {
                let limits = Order::Limits {
                    in_flight: u32::try_from(1 + chance.below(8)).ok(),
                    failures: u32::try_from(1 + chance.below(12)).ok(),
                    unreachable: chance.once_in(2).then_some(1800),
                };
                desk.order(&mut world, rollout, limits);
            }
            11 => {
                let hours = 1 + chance.below(3);
                let until = world.now.plus(Duration::from_secs(3600 * hours));
                desk.freezes(&mut world, &target, Some(until));
            }
            12 => desk.freezes(&mut world, &target, None),
            13 => {
                let still = world.fleet.stopped().is_none();
                desk.stands_still(&mut world, still);
            }
            14 if desk.overrides((&mut world, &mut watch), Rule::G2, &target) => {}
            // Its agent is stuck, and its session stays; or its product ends by itself; or both.
            18..=20 => {
                if happens != 19 {
                    world.falls_silent(&target);
                }
                if happens != 18 && target.as_str().starts_with('h') {
                    world.set_faults(&target, BTreeSet::from([Fault::ServiceStopped]));
                    watch.mended.insert(target);
                }
            }
            21 => {
                world.speaks_again(&target);
                world.set_faults(&target, BTreeSet::new());
            }
            16 => {
                let time = chance.between(Duration::from_secs(1), Duration::from_secs(300));
                world.stalls(&target, time);
            }
            14 | 15 => {
                if let Some(plan) = second.take() {
                    match desk.applies(&mut world, &plan) {
                        Some(beside) => {
                            watch.begins(beside, &plan);
                            rollouts.push(beside);
                        }
                        None => second = Some(plan),
                    }
                }
            }
            22.. => {
                let place = Place {
                    target,
                    rollout,
                    targets: &targets,
                    swaps,
                };
                let lost = desk.says(happens, (&mut world, &mut watch), &mut chance, place);
                rollouts.retain(|rollout| !lost.contains(rollout));
                if !lost.is_empty() {
                    second.clone_from(&beside);
                }
            }
            _ => {
                for target in std::mem::take(&mut away) {
                    world.arrives(&target);
                }
            }
        }
        watch.look(&world, &desk);
        watch.views_are_the_same(&world);
    }
    // Then all is mended, everybody is back, and an operator takes care: it must come to its end.
    for target in std::mem::take(&mut away) {
        world.arrives(&target);
    }
    for target in &targets {
        desk.enrolls_anew((&mut world, &mut watch), target);
        world.speaks_again(target);
        world.set_faults(target, BTreeSet::new());
        desk.freezes(&mut world, target, None);
    }
    desk.stands_still(&mut world, false);
    desk.recalls((&mut world, &mut watch), &[]);
    watch.mended.extend(faults.keys().cloned());
    for round in 0..30 {
        // Where a setup has asked for a restart of Windows, a retry waits for somebody who does that (PF19).
        for target in &targets {
            world.restarts_windows(target);
        }
        watch.tries_again(&world);
        // Whoever runs the tenant has disabled what nothing works for any more.
        desk.reads_tenant(&mut world, 0, Some("Paused"));
        // Whoever was aborted before it served, or went off in the middle of its work, leaves the other one of its domain alone, which may
        // never go out of service then: that is for an operator to say, and nothing goes on by itself.
        if round >= 10 && (somebody_was_aborted(&world) || !desk.off.is_empty()) {
            for target in &targets {
                desk.overrides((&mut world, &mut watch), Rule::G2, target);
            }
        }
        // Where a run was cut off for good, its server may be another one than the plan read: that is for a plan of its own.
        if round >= 5 {
            desk.leaves_out(&mut world);
        }
        for rollout in &rollouts {
            let resume = Order::Resume {
                after_restore: true,
            };
            if !desk.order(
                &mut world,
                *rollout,
                Order::Resume {
                    after_restore: false,
                },
            ) && !desk.order(&mut world, *rollout, resume)
                && world.fleet.rollouts()[rollout].state == RolloutState::Paused
            {
                // Somebody tells that it was aborted after the copy that the controller was put back to: it is ended once more.
                desk.order(&mut world, *rollout, Order::Abort);
            }
            desk.order(&mut world, *rollout, Order::Retry { target: None });
            desk.has_looked(&mut world, *rollout);
        }
        // Of settings that differ, one operator approves what he sees, and another has them read again.
        for difference in world.fleet.differences(ROLLOUT) {
            if seed.is_multiple_of(2) {
                let accept = Order::AcceptDifference {
                    difference: difference.digest,
                    reason: "it is meant".to_owned(),
                };
                desk.order(&mut world, ROLLOUT, accept);
                continue;
            }
            for target in [difference.first, difference.second] {
                let retry = Order::Retry {
                    target: Some(target),
                };
                desk.order(&mut world, ROLLOUT, retry);
            }
        }
        let until = world.now.plus(Duration::from_secs(4 * 3600));
        world.run_until(until, |world| watch.look(world, &desk));
        if world.is_over() && !stuck(&world) {
            break;
        }
    }
    assert!(world.is_over(), "it does not end: {}", left(&world));
    assert!(!stuck(&world), "mended, and yet not done: {}", left(&world));
    // Nothing is held for anybody any more.
    let open = targets
        .iter()
        .find(|target| world.fleet.open(target).is_some());
    assert!(
        open.is_none(),
        "a bundle of {open:?} is open behind the end"
    );
    assert_eq!(world.fleet.works_on(&plan), None);
    let (asked, paced) = watch.end(&world);
    let (before, after) = world.restart_controller();
    same(&before, &after);
    let work = &world.fleet.rollouts()[&ROLLOUT].work;
    let done = work
        .values()
        .filter(|work| matches!(work.state, TargetState::Done(_)));
    Tally {
        faults: drawn,
        orders: desk.orders,
        asked,
        paced,
        g4: watch.g4,
        waited: watch.waited,
        views: watch.views,
        checks: watch.checks,
        seconds: world.now.since(NOW).as_secs(),
        done: done.count(),
        targets: work.len(),
        course: course(&world),
    }
}

/// Something failed for good where everything was mended. What was aborted may have, and so may a look at what was left out.
fn stuck(world: &World) -> bool {
    let rollouts = world.fleet.rollouts().values();
    let mut going = rollouts
        .filter(|rollout| rollout.state != RolloutState::Aborted && rollout.plan.kind.changes());
    going.any(|rollout| rollout.work.values().any(|work| work.state.is_bad()))
}

fn somebody_was_aborted(world: &World) -> bool {
    let mut rollouts = world.fleet.rollouts().values();
    rollouts.any(|rollout| {
        let mut all = rollout.work.iter();
        all.any(|(_, work)| work.state == TargetState::Aborted)
    })
}

fn left(world: &World) -> String {
    let mut said = String::new();
    let rollouts = world.fleet.rollouts().iter();
    let all = rollouts.flat_map(|(id, rollout)| rollout.work.iter().map(move |one| (id, one)));
    for (id, (target, work)) in all {
        if !matches!(work.state, TargetState::Done(_)) {
            let hold = world.fleet.hold(*id, target, &world.live, world.now);
            writeln!(said, "{id} {target}: {:?} {hold:?}", work.state).unwrap();
            if std::env::var_os("SIM_TRACE").is_some() {
                for (at, record) in &world.log {
                    let text = format!("{record:?}");
                    if text.contains(target.as_str()) && !text.contains("Enrolled")
                        || text.contains("Ordered")
                    {
                        let short: String = text.chars().take(260).collect();
                        writeln!(said, "    {} {short}", at.since(NOW).as_secs()).unwrap();
                    }
                }
            }
        }
    }
    said
}

fn number(name: &str, otherwise: u64) -> u64 {
    let written = std::env::var(name).ok();
    written.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// After so many seeds that fail no more are begun.
const MOST_FAILED: usize = 10;

impl Tally {
    fn add(&mut self, other: &Self) {
        self.faults += other.faults;
        self.orders.add(&other.orders);
        self.asked.add(other.asked);
        self.paced.add(other.paced);
        self.g4 += other.g4;
        self.waited += other.waited;
        self.views += other.views;
        self.checks += other.checks;
        self.seconds += other.seconds;
        self.done += other.done;
        self.targets += other.targets;
    }
}

/// Tells these seeds, as many at once as there are cores: a seed's course is its own. Gives the sum of those that hold, which fail, and how
/// many hold. After [`MOST_FAILED`] no more are begun.
fn tell(seeds: std::ops::Range<u64>) -> (Tally, Vec<u64>, u64) {
    let next = AtomicU64::new(seeds.start);
    let told = Mutex::new((Tally::default(), Vec::new(), 0));
    let one_after_another = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            let enough = told.lock().unwrap().1.len() >= MOST_FAILED;
            if seed >= seeds.end || enough {
                return;
            }
            let course = std::panic::catch_unwind(|| story(seed));
            let (sum, failed, holds) = &mut *told.lock().unwrap();
            match course {
                Ok(course) => {
                    sum.add(&course);
                    *holds += 1;
                }
                // One that fails says little of how many do.
                Err(_) => failed.push(seed),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(one_after_another);
        }
    });
    let (sum, mut failed, holds) = told.into_inner().unwrap();
    failed.sort_unstable();
    (sum, failed, holds)
}

#[test]
fn fleets_under_faults_hold_every_rule_and_come_to_their_end() {
    let (from, seeds) = (number("SIM_FROM", 1), number("SIM_SEEDS", 40));
    let (sum, failed, told_of) = tell(from..from + seeds);
    let own = [("G4", sum.g4), ("G10 held by a configuration", sum.waited)];
    let rails = sum.asked.named().into_iter().chain(own);
    let asked: Vec<(&str, u64)> = rails.chain(sum.paced.named()).collect();
    let named: Vec<String> = asked
        .iter()
        .map(|(rule, times)| format!("{rule} {times}"))
        .collect();
    let orders = sum.orders.named();
    let ordered: Vec<String> = orders
        .iter()
        .map(|(kind, times)| format!("{kind} {times}"))
        .collect();
    println!(
        "{told_of} seeds from {from}: {} simulated hours, {} faults, {} orders taken ({}), {} looks at servers, {} comparisons of all views with the log's; asked, how often: {}; {} of {} targets done",
        sum.seconds / 3600,
        sum.faults,
        sum.orders.sum(),
        ordered.join(", "),
        sum.checks,
        sum.views,
        named.join(", "),
        sum.done,
        sum.targets
    );
    assert!(
        failed.is_empty(),
        "{} seeds fail, beside {told_of} that do not: {failed:?}; SIM_FROM=SEED SIM_SEEDS=1 shows one again",
        failed.len()
    );
    // A seed may end in an abort; not half of them do. And a rule that nobody asked for shows nothing.
    assert!(
        seeds < 20 || sum.done > sum.targets / 2,
        "most of it is done"
    );
    // Few of few seeds have a configuration of a domain that ends.
    let least = |name: &str| {
        if name == "G10 of a configuration" {
            200
        } else {
            20
        }
    };
    let mut never = asked.iter().filter(|(_, times)| *times == 0);
    let never = never.find(|(name, _)| seeds >= least(name));
    assert!(never.is_none(), "never asked: {never:?}");
    // Some kinds of orders are rare: few seeds have none of them.
    let never = orders.iter().find(|(_, times)| *times == 0);
    assert!(seeds < 200 || never.is_none(), "never taken: {never:?}");
}

/// The same seed gives the same course, with all that chance draws in it: who journals, orders and decides what, and when.
#[test]
fn a_seed_repeats_exactly() {
    let mut courses = BTreeSet::new();
    let (mut faults, mut orders) = (0, 0);
    for seed in 1..=4 {
        let (first, again) = (story(seed), story(seed));
        assert_eq!(first.course, again.course, "seed {seed}");
        courses.insert(first.course);
        faults += first.faults;
        orders += first.orders.sum();
    }
    assert_eq!(courses.len(), 4, "another seed is another course");
    assert!(
        faults > 20 && orders > 20,
        "{faults} faults, {orders} orders"
    );
}
