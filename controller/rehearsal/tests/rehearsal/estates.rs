//! A whole estate in virtual time under faults that chance draws: both cores alone, without network, for as many servers as are
//! asked for. `tests/run sim` asks for 1,000; `SIM_TARGETS=100000 SIM_FROM=SEED` for others. What it costs must not grow with
//! what is looked at, so each rule is held against the server to which something has happened, and all are counted now and then.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use agent_twin::Fault;
use controller_core::facts::Fleetwide;
use controller_core::fleet::{Fleet, RolloutState, TargetState};
use controller_core::plan::Plan;
use controller_core::record::{Order, Record};
use protocol::event::{Event, GmsaObject};
use protocol::{DomainName, Generation, StepIndex, TargetId};
use rehearsal::{Ask, Chance, ROLLOUT, World};

use crate::common::{NOW, OLD, agent, facts, planned, topology};

/// Servers of each domain, in a site of which as many domains share the line.
const SERVERS: u64 = 3;

/// What is wrong with a server now and then; each is mended in the end.
const WRONG: [Fault; 5] = [
    Fault::LogonRightMissing,
    Fault::InstallerBusy,
    Fault::CloudBlocked,
    Fault::RebootPending,
    Fault::DirectoryUnreadable,
];

/// Old agents, three to a domain: all of them are upgraded, which is an outage.
fn estate(targets: u64) -> (Plan, Fleetwide) {
    let mut text = String::new();
    for domain in 0..targets.div_ceil(SERVERS) {
        let hosts = domain * SERVERS..targets.min((domain + 1) * SERVERS);
        let hosts: Vec<String> = hosts
            .map(|host| format!("h{host}.d{domain}.test"))
            .collect();
        let ring = domain % 20;
        writeln!(
            text,
            "[agents.g{domain}]\nlabels = {{ ring = \"{ring}\" }}\nserves = [\"d{domain}.test\"]\nhosts = {hosts:?}\n[domain.\"d{domain}.test\"]\nmin_serving = 1\nallow_outage = true"
        )
        .unwrap();
    }
    let policy = "waves = [{ ring = \"0\" }, { rest = true }]\n[limit]\nfailures = \"40%\"\nin_flight = 500\ncanary = 1\nunreachable = \"2h\"\n";
    planned(&topology(&text), policy, |_| facts(Some(agent(OLD)), None))
}

/// What is watched over the whole course.
struct Watch {
    plan: Plan,
    /// The domain of each server.
    domains: BTreeMap<TargetId, DomainName>,
    /// The same fleet, as the log tells it.
    told: Fleet,
    /// Entries of the log.
    entries: u64,
    generations: BTreeMap<TargetId, Generation>,
    /// Steps that were completed in the newest run of a server.
    completed: BTreeMap<TargetId, (Generation, BTreeSet<StepIndex>)>,
    outage: BTreeSet<TargetId>,
    changing: BTreeMap<GmsaObject, TargetId>,
    happenings: u64,
    /// Servers whose agent is stuck, or whose product has ended by itself.
    troubled: BTreeSet<TargetId>,
    /// Whoever was given up, and may be back at its work beside those that took its place.
    again: BTreeSet<TargetId>,
}

impl Watch {
    fn new(plan: &Plan) -> Self {
        let of = |(domain, part): (&DomainName, &controller_core::plan::DomainPlan)| {
            let servers = part.servers.clone().into_iter();
            let domain = domain.clone();
            servers.map(move |server| (server, domain.clone()))
        };
        Self {
            domains: plan.domains.iter().flat_map(of).collect(),
            plan: plan.clone(),
            told: Fleet::new(),
            entries: 0,
            generations: BTreeMap::new(),
            completed: BTreeMap::new(),
            outage: BTreeSet::new(),
            changing: BTreeMap::new(),
            happenings: 0,
            troubled: BTreeSet::new(),
            again: BTreeSet::new(),
        }
    }

    /// Goes on up to a moment, and looks after each happening at the server that it was about.
    fn until(&mut self, world: &mut World, span: Duration) {
        let end = world.now.plus(span);
        loop {
            // The log is read and thrown away while it is short.
            let next = end.since(world.now).min(Duration::from_secs(60));
            let mut count = 0_u64;
            world.run_until(world.now.plus(next), |world| {
                count += 1;
                if let Some(target) = world.touched() {
                    rules(
                        &self.plan,
                        &self.domains,
                        &mut self.outage,
                        &mut self.changing,
                        world,
                        target,
                    );
                }
            });
            self.happenings += count;
            self.read(world);
            if world.now >= end {
                return;
            }
        }
    }

    /// What came into the log since: G5, no step twice, and the fold of it.
    fn read(&mut self, world: &mut World) {
        for (at, record) in std::mem::take(&mut world.log) {
            self.entries += 1;
            if let Record::BundleIssued {
                target, generation, ..
            } = &record
            {
                // It has got a place of its own.
                let work = self.told.rollouts().get(&ROLLOUT);
                let work = work.and_then(|rollout| rollout.work.get(target));
                if work.is_some_and(|work| !work.holds_a_place()) {
                    self.again.remove(target);
                }
                let before = self.generations.insert(target.clone(), *generation);
                let grows = before.is_none_or(|before| before < *generation);
                assert!(grows, "G5: {target}");
            } else if let Record::TargetEvent { target, body, .. } = &record {
                let event = Event::from_body(body.as_bytes());
                if let Some(Event::StepCompleted {
                    generation, step, ..
                }) = event
                {
                    let steps = self.completed.entry(target.clone()).or_default();
                    if steps.0 != generation {
                        *steps = (generation, BTreeSet::new());
                    }
                    assert!(steps.1.insert(step), "{target} completed {step:?} twice");
                }
            } else if let Record::PassedOver {
                target,
                away: Some(_),
                ..
            }
            | Record::WentUnknown { target, .. } = &record
            {
                self.again.insert(target.clone());
            }
            self.told.apply(&record, world.plan_of(&record), at);
        }
    }

    /// What failed is tried again.
    fn retry(world: &mut World) {
        drop(world.order(Order::Retry { target: None }));
    }

    /// All of it: counts and limits, nobody is forgotten, and the log tells the same.
    fn count(&self, world: &World) {
        let rollout = &world.fleet.rollouts()[&ROLLOUT];
        let told = &self.told.rollouts()[&ROLLOUT];
        assert!(rollout.work.is_counted_right(), "the counts");
        assert!(world.live.away.is_indexed_right(), "who is away");
        assert_eq!(rollout.state, told.state);
        let (mut under_way, mut bad, mut beyond) = (0, 0, 0);
        for ((target, work), (_, same)) in rollout.work.iter().zip(told.work.iter()) {
            assert_eq!(format!("{work:?}"), format!("{same:?}"), "{target}");
            let passed = work.is_passed_over();
            let begun = work.state != TargetState::Pending || work.holds_a_place();
            let goes_on = !work.state.is_terminal() && begun && !passed;
            under_way += u32::from(goes_on);
            beyond += u32::from(goes_on && self.again.contains(target));
            bad += u32::from(work.state.is_bad() || passed);
        }
        let most = rollout.plan.limits.in_flight + beyond;
        assert!(under_way <= most, "{under_way} of {most} are under way");
        let most = rollout.plan.limits.failures;
        assert!(under_way + bad <= most, "{under_way} and {bad} of {most}");
        assert_eq!(world.fleet.stopped(), self.told.stopped());
    }
}

/// G2 and G3 on what servers are, where something has happened to one.
fn rules(
    plan: &Plan,
    domains: &BTreeMap<TargetId, DomainName>,
    outage: &mut BTreeSet<TargetId>,
    changing: &mut BTreeMap<GmsaObject, TargetId>,
    world: &World,
    target: &TargetId,
) {
    let section = world.inside(target);
    changing.retain(|_, whose| whose != target);
    if let Some(object) = section.and_then(|section| section.gmsa.as_ref()) {
        let other = changing.insert(object.clone(), target.clone());
        assert_eq!(other, None, "G3: {target} changes it too");
    }
    if !section.is_some_and(|section| section.outage) {
        outage.remove(target);
    } else if outage.insert(target.clone()) {
        let domain = &domains[target];
        let part = &plan.domains[domain];
        let serving = world.serving_beside(target, &part.servers);
        assert!(
            serving >= part.min_serving as usize,
            "G2: {serving} serve {domain} once {target} is out"
        );
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let written = std::env::var(name).ok();
    written.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn an_estate_under_faults_holds_every_rule_and_comes_to_its_end() {
    let (targets, seed) = (number("SIM_TARGETS", 240), number("SIM_FROM", 1));
    let begun = Instant::now();
    let mut chance = Chance::new(seed);
    let (plan, known) = estate(targets);
    let all: Vec<TargetId> = plan.targets.keys().cloned().collect();
    let mut faults: BTreeMap<TargetId, BTreeSet<Fault>> = BTreeMap::new();
    for target in &all {
        if chance.once_in(40) {
            let at = usize::try_from(chance.below(WRONG.len() as u64)).unwrap();
            faults.insert(target.clone(), BTreeSet::from([WRONG[at]]));
        }
    }
    let mut drawn = faults.len();
    let ask = Ask {
        begin: NOW,
        person: Some(Duration::from_secs(60)),
        faults: faults.clone(),
        seed: chance.number(),
    };
    let mut world = World::new(&plan, &known, ask);
    let mut watch = Watch::new(&plan);
    watch.read(&mut world);
    let mut away: BTreeSet<TargetId> = BTreeSet::new();
    let mut restarts = 0;
    // Disturbed for as long as it takes to come to most of them.
    for round in 0..120_u64 {
        watch.until(
            &mut world,
            chance.between(Duration::from_secs(30), Duration::from_secs(1200)),
        );
        drawn += disturb(
            &mut world,
            &mut watch,
            &mut chance,
            (&all, &mut away),
            &mut restarts,
        );
        watch.read(&mut world);
        if round % 12 == 0 {
            watch.count(&world);
        }
    }
    // Then all is mended, everybody is back, and an operator takes care: it must come to its end.
    for target in std::mem::take(&mut away) {
        world.arrives(&target);
    }
    for target in faults.keys().chain(&watch.troubled) {
        world.speaks_again(target);
        world.set_faults(target, BTreeSet::new());
    }
    let is_done = |world: &World| {
        let work = &world.fleet.rollouts()[&ROLLOUT].work;
        work.values()
            .all(|work| matches!(work.state, TargetState::Done(_)))
    };
    for _ in 0..4 * targets {
        drop(world.order(Order::Resume {
            after_restore: false,
        }));
        Watch::retry(&mut world);
        watch.until(&mut world, Duration::from_secs(4 * 3600));
        if world.is_over() && is_done(&world) {
            break;
        }
    }
    watch.count(&world);
    let rollout = &world.fleet.rollouts()[&ROLLOUT];
    let left: Vec<String> = rollout
        .work
        .iter()
        .filter(|(_, work)| !matches!(work.state, TargetState::Done(_)))
        .map(|(target, work)| {
            let hold = world.fleet.hold(ROLLOUT, target, &world.live, world.now);
            format!("{target} {:?} {hold:?}", work.state)
        })
        .take(5)
        .collect();
    assert!(left.is_empty(), "seed {seed}: {left:#?}");
    assert_eq!(rollout.state, RolloutState::Running);
    println!(
        "{targets} servers, seed {seed}: {drawn} faults and orders, {restarts} restarts of the controller, {} happenings with a look at every rule, {} entries of the log, {} simulated hours, all done; {} s",
        watch.happenings,
        watch.entries,
        world.now.since(NOW).as_secs() / 3600,
        begun.elapsed().as_secs()
    );
}

/// Something happens that nobody ordered, or somebody orders something. How many things.
fn disturb(
    world: &mut World,
    watch: &mut Watch,
    chance: &mut Chance,
    (all, away): (&[TargetId], &mut BTreeSet<TargetId>),
    restarts: &mut u32,
) -> usize {
    let some = |chance: &mut Chance| {
        let at = usize::try_from(chance.below(all.len() as u64)).unwrap();
        let count = usize::try_from(1 + chance.below(40)).unwrap();
        &all[at..all.len().min(at + count)]
    };
    match chance.below(14) {
        // A line is cut, or the agents of a site are killed.
        0..=2 => {
            let gone = some(chance);
            for target in gone {
                world.leaves(target);
                away.insert(target.clone());
            }
            gone.len()
        }
        3..=4 => {
            let gone = some(chance);
            for target in gone {
                world.kill(target);
                away.insert(target.clone());
            }
            gone.len()
        }
        5 if chance.once_in(3) => {
            watch.read(world);
            *restarts += 1;
            let told = watch.told.clone();
            let back = all.iter().filter(|target| !away.contains(*target));
            world.restart_with(told, back);
            1
        }
        6 => {
            let paused = world.order(Order::Pause).is_ok();
            let span = chance.between(Duration::from_secs(60), Duration::from_secs(3600));
            watch.until(world, span);
            drop(world.order(Order::Resume {
                after_restore: false,
            }));
            usize::from(paused) + 1
        }
        7 => {
            let limits = Order::Limits {
                in_flight: None,
                failures: None,
                unreachable: Some(3600 * u32::try_from(1 + chance.below(4)).unwrap()),
            };
            let fits = world.order(limits).is_ok();
            usize::from(fits)
        }
        8 => {
            Watch::retry(world);
            1
        }
        // Agents are stuck, and the product of some of them ends by itself.
        12 => {
            let stuck = some(chance);
            for (target, ends) in stuck.iter().zip([true, false].into_iter().cycle()) {
                world.falls_silent(target);
                watch.troubled.insert(target.clone());
                if ends {
                    world.set_faults(target, BTreeSet::from([Fault::ServiceStopped]));
                }
            }
            stuck.len()
        }
        13 => {
            let ended = some(chance);
            for target in ended {
                world.set_faults(target, BTreeSet::from([Fault::ServiceStopped]));
                watch.troubled.insert(target.clone());
            }
            ended.len()
        }
        _ => {
            let back = std::mem::take(away);
            for target in &back {
                world.arrives(target);
            }
            for target in std::mem::take(&mut watch.troubled) {
                world.speaks_again(&target);
                world.set_faults(&target, BTreeSet::new());
            }
            back.len()
        }
    }
}
