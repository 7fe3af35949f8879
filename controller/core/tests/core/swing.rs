//! A swing upgrade as one plan: what may be planned, in which order it goes, and that it goes on from wherever it stopped.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use controller_core::drift::drift;
use controller_core::facts::Fleetwide;
use controller_core::fleet::{Decision, Fleet, Live, TargetState};
use controller_core::plan::{Afterwards, Inputs, Kind, Plan, Purpose, plan, render, swing, switch};
use controller_core::policy::{self, Policy};
use controller_core::record::{Order, Record};
use controller_core::topology::{Topology, check, parse};
use protocol::event::Event;
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::settings::{ConnectSettings, Setting, SettingsPart};
use protocol::signed::{Ending, Phase};
use protocol::step::{ConnectWork, Step};
use protocol::{BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const OLD: Version = Version::new(2, 5, 190, 0);
const NEW: Version = common::CONNECT;
const ROLLOUT: RolloutId = RolloutId(1);
/// The active server, and the one that becomes it.
const SERVERS: [&str; 2] = ["c1.a.test", "c2.a.test"];
const UPGRADED: &str = "servers = [\"c1.a.test\", \"c2.a.test\"]\n";
const RETIRED: &str = "servers = [\"c2.a.test\"]\nretired = [\"c1.a.test\"]\n";

/// What Connect on a server is: its version, and whether it is staging.
type Is = Option<(Version, bool)>;

const ACTIVE: Is = Some((OLD, false));
const STAGING: Is = Some((OLD, true));
const NEWEST: Is = Some((NEW, true));

fn topology(text: &str) -> Topology {
    let text = format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\n{text}"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    assert!(check(&topology, None).is_empty());
    topology
}

fn facts(is: Is) -> Facts {
    let connect = is.map(|(version, staging)| ConnectFacts {
        version: Some(version),
        service: Some(ServiceState::Running),
        staging: Some(staging),
        cycle_enabled: Some(true),
        suspended: None,
    });
    common::facts(None, connect)
}

fn target(server: &str) -> TargetId {
    server.parse().unwrap()
}

fn inputs<'a>(
    topology: &'a Topology,
    policy: &'a Policy,
    known: &'a Fleetwide,
    artifacts: &'a controller_core::recipe::Artifacts,
) -> Inputs<'a> {
    Inputs::of(topology, policy, known, artifacts, Purpose::Install)
}

/// A fleet of two servers, of which the second swings.
#[derive(Clone)]
struct World {
    fleet: Fleet,
    live: Live,
    generation: Generation,
    topology: Topology,
    is: BTreeMap<TargetId, Is>,
    log: Vec<(Record, Option<Plan>)>,
}

impl World {
    fn new(text: &str, servers: [Is; 2]) -> Self {
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: SERVERS.iter().map(|one| target(one)).collect(),
                began: NOW,
                ..Live::default()
            },
            generation: Generation(0),
            topology: topology(text),
            is: SERVERS.iter().map(|one| target(one)).zip(servers).collect(),
            log: Vec::new(),
        };
        for server in SERVERS {
            let key = SigningKey::generate().public();
            world.records(common::enrolled(&target(server), key), None);
            world.reports(&target(server));
        }
        world
    }

    fn planned(&self, then: Afterwards, policy: &str) -> Result<Plan, String> {
        let (policy, findings) = policy::parse(&common::document(policy));
        assert!(findings.is_empty(), "{findings:?}");
        let (known, artifacts) = (self.fleet.known(), common::artifacts());
        let inputs = inputs(&self.topology, &policy, known, &artifacts);
        swing(inputs, &target(SERVERS[1]), then)
    }

    /// The same fleet with the plan applied.
    fn begun(text: &str, servers: [Is; 2], then: Afterwards) -> Self {
        let mut world = Self::new(text, servers);
        let plan = world.planned(then, "").unwrap();
        world.records(common::applied(ROLLOUT, &plan), Some(plan));
        world
    }

    fn records(&mut self, record: Record, plan: Option<Plan>) {
        self.fleet.apply(&record, plan.as_ref(), NOW);
        self.log.push((record, plan));
    }

    fn tells(&mut self, target: &TargetId, event: &Event) {
        self.records(common::told(target, 1, NOW, event), None);
    }

    fn reports(&mut self, target: &TargetId) {
        let facts = facts(self.is[target]);
        self.tells(target, &Event::FactsReported(Box::new(facts)));
    }

    fn orders(&mut self, order: Order) -> Result<(), String> {
        self.fleet.may_order(ROLLOUT, &order, &self.live, NOW)?;
        let by = "root".to_owned();
        self.records(
            Record::Ordered {
                rollout: ROLLOUT,
                order,
                by,
            },
            None,
        );
        Ok(())
    }

    fn plan(&self) -> &Plan {
        &self.fleet.rollouts()[&ROLLOUT].plan
    }

    fn at(&self, server: &str) -> usize {
        self.fleet.rollouts()[&ROLLOUT].work[&target(server)].phase
    }

    fn state(&self, server: &str) -> &TargetState {
        &self.fleet.rollouts()[&ROLLOUT].work[&target(server)].state
    }

    fn hold(&self, server: &str) -> String {
        let hold = self.fleet.hold(ROLLOUT, &target(server), &self.live, NOW);
        hold.map(|hold| hold.why).unwrap_or_default()
    }

    /// What may be offered now.
    fn offered(&self) -> Vec<(TargetId, usize)> {
        let decisions = self.fleet.decide(&self.live, NOW).into_iter();
        let issued = decisions.filter_map(|decision| match decision {
            Decision::Issue { target, phase, .. } => Some((target, phase)),
            Decision::Permit { .. }
            | Decision::Degraded { .. }
            | Decision::Unknown { .. }
            | Decision::Away { .. }
            | Decision::PassedOver { .. } => None,
        });
        issued.collect()
    }

    fn issues(&mut self, target: &TargetId, place: usize) -> Generation {
        self.generation = self.generation.next();
        let issued = Record::BundleIssued {
            rollout: ROLLOUT,
            phase: self.plan().targets[target].phases[place].phase,
            target: target.clone(),
            generation: self.generation,
            bundle: BundleId(Digest::ZERO),
            expires: NOW,
        };
        self.records(issued, None);
        self.generation
    }

    fn ends(&mut self, target: &TargetId, generation: Generation, ending: Ending) {
        let finished = Event::RunFinished {
            generation,
            ending,
            receipt: String::new(),
        };
        self.tells(target, &finished);
    }

    /// Carries out a phase that may be offered, against what must be so by then.
    fn runs(&mut self, target: &TargetId, place: usize) {
        let [from, to] = SERVERS.map(self::target);
        let plan = self.plan().clone();
        let steps = &plan.targets[target].phases[place].steps;
        let generation = self.issues(target, place);
        for step in steps {
            let before = self.is[target];
            let after = match step {
                Step::GuideConnect(guide) => match guide.work {
                    ConnectWork::InstallStaging => NEWEST,
                    ConnectWork::UpgradeStaging | ConnectWork::UpgradeActive => {
                        before.map(|(_, staging)| (guide.at_least, staging))
                    }
                    ConnectWork::SwitchToActive | ConnectWork::SwitchToStaging => {
                        before.map(|(version, _)| (version, guide.work.staging()))
                    }
                    ConnectWork::InstallActive => panic!("nobody installs an active one"),
                },
                Step::GuideConnectRemoval(_) => None,
                Step::ReadConnectSettings => {
                    let read = Event::ConnectSettingsRead {
                        generation,
                        step: StepIndex(0),
                        settings: Box::new(settings()),
                    };
                    self.tells(target, &read);
                    continue;
                }
                _ => continue,
            };
            // G1 and G4: the one that becomes active is new, and the other one is staging; the old one is seen to behind that.
            if let Step::GuideConnect(guide) = step
                && guide.work == ConnectWork::SwitchToActive
            {
                assert_eq!(self.is[&from].map(|is| is.1), Some(true), "two are active");
                assert_eq!(before.map(|is| is.0), Some(NEW));
            } else if *target == from && before.is_some_and(|is| is.1) {
                assert_eq!(
                    self.is[&to],
                    Some((NEW, false)),
                    "the old one goes too early"
                );
                assert!(matches!(self.state(SERVERS[1]), TargetState::Done(_)));
            }
            self.is.insert(target.clone(), after);
            self.reports(target);
        }
        self.ends(target, generation, Ending::Completed);
    }

    /// Goes on with what may be offered until nothing may be.
    fn goes_on(&mut self) -> Vec<(TargetId, usize)> {
        let mut course = Vec::new();
        while let Some((target, place)) = self.offered().into_iter().next() {
            self.runs(&target, place);
            course.push((target, place));
            assert!(course.len() < 60, "it goes round");
        }
        course
    }

    /// Each state of the way, from the first to the last.
    fn states(mut self) -> Vec<Self> {
        let mut states = vec![self.clone()];
        while let Some((target, place)) = self.offered().into_iter().next() {
            self.runs(&target, place);
            states.push(self.clone());
        }
        states
    }

    fn again(&self) -> Fleet {
        let mut fleet = Fleet::new();
        for (record, plan) in &self.log {
            let text = serde_json::to_string(record).unwrap();
            // A plan is read back from its bytes.
            let plan = plan.as_ref().map(|plan| {
                let read: Plan = serde_json::from_slice(&plan.to_bytes()).unwrap();
                assert_eq!(read, *plan);
                read
            });
            fleet.apply(&serde_json::from_str(&text).unwrap(), plan.as_ref(), NOW);
        }
        fleet
    }
}

fn settings() -> ConnectSettings {
    let setting = Setting {
        part: SettingsPart::Rules,
        name: "inbound rule \"Sales\"".to_owned(),
        value: "precedence 50".to_owned(),
    };
    ConnectSettings::of(vec![setting], Vec::new())
}

const WAYS: [(&str, [Is; 2], Afterwards); 5] = [
    (UPGRADED, [ACTIVE, STAGING], Afterwards::Upgrade),
    (RETIRED, [ACTIVE, STAGING], Afterwards::Remove),
    (UPGRADED, [ACTIVE, NEWEST], Afterwards::Upgrade),
    (RETIRED, [Some((NEW, false)), NEWEST], Afterwards::Remove),
    (CUSTOM, [ACTIVE, None], Afterwards::Upgrade),
];

const CUSTOM: &str = "servers = [\"c1.a.test\", \"c2.a.test\"]\nsettings = { sign_in = \"password-hash-sync\", import = \"MigratedPolicy.json\" }\n";

#[test]
fn every_way_ends_with_a_new_active_server_and_no_forgotten_one() {
    for (text, servers, then) in WAYS {
        let mut world = World::begun(text, servers, then);
        let course = world.goes_on();
        for server in SERVERS {
            let state = world.state(server);
            assert!(matches!(state, TargetState::Done(_)), "{server}: {state:?}");
        }
        let old = match then {
            Afterwards::Upgrade => NEWEST,
            Afterwards::Remove => None,
        };
        let is: Vec<Is> = world.is.values().copied().collect();
        assert_eq!(is, [old, Some((NEW, false))]);
        assert_eq!(world.fleet.left_behind(), Vec::<String>::new());
        // What the last verification held counts, and not what a server was on the way.
        assert!(drift(&world.fleet).is_empty(), "{:?}", drift(&world.fleet));
        // What the plan tells is what happens, but for what goes beside each other.
        let mut told: Vec<(TargetId, usize)> = world
            .plan()
            .in_order()
            .into_iter()
            .map(|(target, place)| (target.clone(), place))
            .collect();
        let mut course = course;
        told.sort();
        course.sort();
        assert_eq!(course, told, "each phase once, and none left out");
    }
}

#[test]
fn each_phase_waits_for_the_one_before_and_says_for_what() {
    let mut world = World::begun(UPGRADED, [ACTIVE, STAGING], Afterwards::Upgrade);
    let [from, to] = SERVERS.map(target);
    let phases = |world: &World, server: &TargetId| -> Vec<Phase> {
        let phases = world.plan().targets[server].phases.iter();
        phases.map(|work| work.phase).collect()
    };
    use Phase::{Inspect, Prepare, Prove, Register};
    assert_eq!(
        phases(&world, &to),
        [Prepare, Register, Prove, Prepare, Inspect, Register, Prove]
    );
    assert_eq!(
        phases(&world, &from),
        [Prepare, Register, Prove, Prepare, Register, Prove]
    );
    for place in 0..3 {
        assert_eq!(world.offered(), [(to.clone(), place)]);
        let why = world.hold(SERVERS[0]);
        assert!(
            why.contains("c2.a.test is not seen with the wanted version yet (G4)"),
            "{why}"
        );
        world.runs(&to, place);
    }
    // It is counted and both are read; then the active one goes first.
    assert_eq!(world.offered(), [(to.clone(), 3), (from.clone(), 0)]);
    world.runs(&from, 0);
    let why = world.hold(SERVERS[0]);
    assert!(why.contains("is not counted yet (G4)"), "{why}");
    world.runs(&to, 3);
    let why = world.hold(SERVERS[1]);
    assert!(
        why.contains("c1.a.test is not seen in staging mode yet (G1)"),
        "{why}"
    );
    assert_eq!(world.offered(), [(from.clone(), 1)]);
    assert!(world.fleet.left_behind().is_empty());
    world.runs(&from, 1);
    // From here on the old one is one that may be forgotten.
    let said = world.fleet.left_behind().join("; ");
    for words in [
        "c1.a.test was the active Connect server before c2.a.test",
        "its upgrade to 2.6.92.0 is not seen",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    world.runs(&from, 2);
    let why = world.fleet.why(&from, &world.live, NOW).unwrap().answer;
    assert!(
        why.contains("phase 3 of 6: pending")
            && why.contains("c2.a.test is not verified as the active server yet"),
        "{why}"
    );
    for place in 4..7 {
        assert_eq!(world.offered(), [(to.clone(), place)]);
        world.runs(&to, place);
    }
    for place in 3..6 {
        assert_eq!(
            world.fleet.left_behind().len(),
            usize::from(place < 5),
            "{place}"
        );
        assert_eq!(world.offered(), [(from.clone(), place)]);
        world.runs(&from, place);
    }
    assert!(world.fleet.left_behind().is_empty());
}

/// What was wanted of it is so already, by nobody of the plan: the plan goes on over it.
#[test]
fn a_connect_that_was_upgraded_to_what_is_wanted_before_its_turn_goes_on() {
    let mut world = World::begun(UPGRADED, [ACTIVE, STAGING], Afterwards::Upgrade);
    let to = target(SERVERS[1]);
    world.is.insert(to.clone(), NEWEST);
    world.reports(&to);
    assert_eq!(world.hold(SERVERS[1]), "");
    assert_eq!(world.offered(), [(to, 0)]);
}

/// Neither server comes to its end without the other, so the one that is otherwise than planned is not left out alone.
#[test]
fn whoever_is_otherwise_than_planned_is_planned_anew_with_the_other() {
    let mut world = World::begun(UPGRADED, [ACTIVE, STAGING], Afterwards::Upgrade);
    let to = target(SERVERS[1]);
    let between = Some((Version::new(2, 5, 200, 0), true));
    world.is.insert(to.clone(), between);
    world.reports(&to);
    assert!(world.offered().is_empty());
    let why = world.hold(SERVERS[1]);
    for words in [
        "the version of its Connect is 2.5.200.0 and was 2.5.190.0",
        "entrain abort r1, since others of it wait for this one",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
}

/// A controller that starts anew between any two records knows the same.
#[test]
fn a_replay_is_the_same_in_every_state() {
    for (text, servers, then) in WAYS {
        for world in World::begun(text, servers, then).states() {
            let again = world.again();
            assert_eq!(
                again.decide(&world.live, NOW),
                world.fleet.decide(&world.live, NOW)
            );
            assert_eq!(again.left_behind(), world.fleet.left_behind());
            for server in SERVERS {
                let why = |fleet: &Fleet| fleet.why(&target(server), &world.live, NOW);
                assert_eq!(why(&again), why(&world.fleet));
            }
        }
    }
}

/// An acceptance that came behind a backup names a phase and not its place: it is taken up where its work was.
#[test]
fn an_acceptance_that_is_adopted_is_taken_up_at_its_place() {
    for world in World::begun(UPGRADED, [ACTIVE, STAGING], Afterwards::Upgrade).states() {
        let accepts = |target: &TargetId, place: usize| {
            let mut world = world.clone();
            let accepted = Event::BundleAccepted {
                generation: Generation(100),
                bundle: BundleId(Digest::ZERO),
                rollout: ROLLOUT,
                phase: world.plan().targets[target].phases[place].phase,
                change: None,
            };
            world.tells(target, &accepted);
            assert_eq!(world.at(target.as_str()), place, "{target}");
            assert!(world.fleet.open(target).is_some());
        };
        for (target, place) in world.offered() {
            accepts(&target, place);
        }
        // Settings that are read once more, behind an order that was lost.
        for server in SERVERS {
            let (target, at) = (target(server), world.at(server));
            if let Some(again) = world.plan().reads_again(&target, at) {
                accepts(&target, again);
            }
        }
    }
}

fn orders(server: &str) -> Vec<Order> {
    let target = target(server);
    let reason = || "a reason".to_owned();
    vec![
        Order::Pause,
        Order::Abort,
        Order::Retry {
            target: Some(target.clone()),
        },
        Order::Skip {
            target: target.clone(),
            reason: reason(),
        },
        Order::Resolve {
            target,
            reason: reason(),
            off: false,
        },
    ]
}

/// What a person may order in each state: nothing is ever done out of its order, and there is a way on.
#[test]
fn every_order_in_every_state_leaves_a_way_on() {
    let [from, to] = SERVERS.map(target);
    for (text, servers, then) in WAYS {
        for world in World::begun(text, servers, then).states() {
            for order in SERVERS.iter().flat_map(|server| orders(server)) {
                let mut world = world.clone();
                if world.orders(order.clone()).is_err() {
                    continue;
                }
                // What must hold is held at each phase that is done.
                world.goes_on();
                if order == Order::Pause {
                    assert!(world.offered().is_empty());
                    world
                        .orders(Order::Resume {
                            after_restore: false,
                        })
                        .unwrap();
                    world.goes_on();
                    assert!(matches!(world.state(SERVERS[0]), TargetState::Done(_)));
                    continue;
                }
                let old = world.is[&from].is_some_and(|(version, _)| version < NEW);
                let active = world.is[&to] == Some((NEW, false));
                let kept = then == Afterwards::Remove && world.is[&from].is_some();
                let over = active && !old && !kept;
                drop(world.orders(Order::Abort));
                let (known, artifacts) = (world.fleet.known(), common::artifacts());
                let policy = Policy::default();
                let inputs = inputs(&world.topology, &policy, known, &artifacts);
                let part = &plan(inputs).targets[&from];
                let seen_to = !part.is_read_only();
                let ways = (
                    swing(inputs, &to, then).is_ok(),
                    switch(inputs, &to).is_ok(),
                );
                assert!(
                    over || ways.0 || ways.1 || (active && seen_to),
                    "{order:?}: {:?}, {:?}",
                    world.is,
                    swing(inputs, &to, then)
                );
                // What is not seen to is told, once nobody else is active.
                let switched = world.is[&from].is_some_and(|(_, staging)| staging);
                let told = !world.fleet.left_behind().is_empty();
                let behind = world.plan().targets[&from].behind_staging().is_some();
                assert_eq!(
                    told,
                    switched && behind && (old || kept),
                    "{order:?}: {:?}",
                    world.is
                );
            }
        }
    }
}

/// It fails at any place, is tried again there, and ends all the same; nobody else goes on beyond it meanwhile.
#[test]
fn a_failure_at_any_place_is_tried_again_there() {
    for (text, servers, then) in WAYS {
        for mut world in World::begun(text, servers, then).states() {
            let Some((failed, place)) = world.offered().into_iter().next() else {
                continue;
            };
            let generation = world.issues(&failed, place);
            world.ends(&failed, generation, Ending::Failed("it failed".to_owned()));
            world.goes_on();
            assert!(matches!(
                world.state(failed.as_str()),
                TargetState::Failed { .. }
            ));
            assert_eq!(world.at(failed.as_str()), place);
            let target = Some(failed.clone());
            world.orders(Order::Retry { target }).unwrap();
            world.goes_on();
            for server in SERVERS {
                assert!(
                    matches!(world.state(server), TargetState::Done(_)),
                    "{failed} {place}"
                );
            }
        }
    }
}

#[test]
fn a_difference_of_settings_holds_a_swing_as_it_holds_a_swap() {
    let mut world = World::begun(UPGRADED, [ACTIVE, STAGING], Afterwards::Upgrade);
    let [from, to] = SERVERS.map(target);
    for place in 0..4 {
        world.runs(&to, place);
    }
    // The active one was not read: it is not taken for equal.
    let generation = world.issues(&from, 0);
    world.ends(&from, generation, Ending::Completed);
    assert!(world.offered().is_empty());
    let why = world.hold(SERVERS[0]);
    assert!(why.contains("was not read in this rollout (G4)"), "{why}");
    assert!(
        why.contains("`entrain retry r1 c1.a.test` or `entrain retry r1 c2.a.test`"),
        "{why}"
    );
    let target = Some(from.clone());
    world.orders(Order::Retry { target }).unwrap();
    assert_eq!(world.offered(), [(from, 0)]);
    world.goes_on();
    assert!(matches!(world.state(SERVERS[0]), TargetState::Done(_)));
}

#[test]
fn what_is_no_swing_is_refused_with_the_way_to_go() {
    let newest = Some((NEW, false));
    for (text, servers, then, says) in [
        (
            UPGRADED,
            [newest, NEWEST],
            Afterwards::Upgrade,
            "nothing is to be upgraded; entrain swap c2.a.test",
        ),
        (
            UPGRADED,
            [STAGING, newest],
            Afterwards::Upgrade,
            "is active already",
        ),
        (
            UPGRADED,
            [STAGING, STAGING],
            Afterwards::Upgrade,
            "none goes to staging mode first",
        ),
        (
            UPGRADED,
            [STAGING, None],
            Afterwards::Upgrade,
            "entrain plan installs it",
        ),
        (
            UPGRADED,
            [ACTIVE, Some((NEW, false))],
            Afterwards::Upgrade,
            "is active already",
        ),
        (
            UPGRADED,
            [ACTIVE, STAGING],
            Afterwards::Remove,
            "write it into `retired` instead",
        ),
        (RETIRED, [ACTIVE, STAGING], Afterwards::Upgrade, "--retire"),
        (
            UPGRADED,
            [ACTIVE, None],
            Afterwards::Upgrade,
            "no `settings` are written",
        ),
    ] {
        let why = World::new(text, servers).planned(then, "").unwrap_err();
        assert!(why.contains(says), "{says}: {why}");
    }
    // Whoever has never told what it is may be the active one.
    let three = "servers = [\"c1.a.test\", \"c2.a.test\", \"c3.a.test\"]\n";
    let why = World::new(three, [ACTIVE, STAGING])
        .planned(Afterwards::Upgrade, "")
        .unwrap_err();
    assert!(why.contains("never reported (G1)"), "{why}");
}

#[test]
fn it_is_planned_on_what_is_there_and_watched_before_the_old_one_is_touched() {
    let world = World::new(UPGRADED, [ACTIVE, STAGING]);
    let plan = world
        .planned(Afterwards::Upgrade, "soak = { connect = \"2 cycles\" }\n")
        .unwrap();
    assert_eq!(plan.kind, Kind::Swing);
    for server in SERVERS.map(target) {
        let part = &plan.targets[&server];
        let (_, facts) = world.fleet.known()[&server].facts.as_ref().unwrap();
        assert_eq!(
            part.essence,
            Some(facts.essence()),
            "as it is, not as it will be"
        );
        assert_eq!(part.phases.last().unwrap().phase, Phase::Soak);
    }
    let last = plan.waits.last().unwrap();
    assert_eq!(
        (last.done, last.until, last.place),
        (Phase::Soak, Some(7), Some(3))
    );
    let facts = controller_core::facts::digest(world.fleet.known(), SERVERS.map(target));
    assert_eq!(plan.facts, facts);
    let said = render(&plan);
    for words in [
        "in this order",
        "soak",
        "(a person)",
        "until it is upgraded and seen so `entrain status` says it",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// A phase is named by its place only where its name does not say it: plans of a swap are written as they always were.
#[test]
fn the_plan_of_a_swap_has_the_bytes_that_it_had() {
    let world = World::new(UPGRADED, [Some((NEW, false)), NEWEST]);
    let (known, artifacts, policy) = (world.fleet.known(), common::artifacts(), Policy::default());
    let plan = switch(
        inputs(&world.topology, &policy, known, &artifacts),
        &target(SERVERS[1]),
    );
    let text = String::from_utf8(plan.unwrap().to_bytes()).unwrap();
    assert!(text.contains("\"waits\"") && text.contains("\"compares\""));
    assert!(
        !text.contains("\"place\"") && !text.contains("\"until\""),
        "{text}"
    );
}

/// An installation carries over what the topology says and what is imported, and nothing that nobody names.
#[test]
fn a_new_server_without_an_import_is_warned_of() {
    let with = World::new(CUSTOM, [ACTIVE, None])
        .planned(Afterwards::Upgrade, "")
        .unwrap();
    assert!(
        !with.warnings.iter().any(|one| one.contains("import")),
        "{:?}",
        with.warnings
    );
    let without = "servers = [\"c1.a.test\", \"c2.a.test\"]\nsettings = { sign_in = \"password-hash-sync\" }\n";
    let plan = World::new(without, [ACTIVE, None])
        .planned(Afterwards::Upgrade, "")
        .unwrap();
    assert!(
        plan.warnings
            .iter()
            .any(|one| one.contains("no `import` is written")),
        "{:?}",
        plan.warnings
    );
}

/// Nobody who is enrolled can be off for good: its agent is revoked first, and that alone says nothing of the server.
#[test]
fn an_old_server_that_is_said_to_be_off_for_good_is_forgotten_nowhere() {
    let mut world = World::begun(RETIRED, [ACTIVE, STAGING], Afterwards::Remove);
    let [old, new] = SERVERS.map(target);
    while !matches!(world.state(SERVERS[1]), TargetState::Done(_)) {
        let (target, place) = world.offered().into_iter().next().expect("it goes on");
        world.runs(&target, place);
    }
    let left = |world: &World| world.fleet.left_behind().len();
    assert_eq!(left(&world), 1);
    let by = "root".to_owned();
    let revoked = Record::AgentRevoked {
        target: old.clone(),
        key: world.fleet.known()[&old].key,
        by: by.clone(),
    };
    let off = Record::SaidOff {
        target: old.clone(),
        by,
    };
    world.records(revoked, None);
    assert_eq!(left(&world), 1, "it may run all the same");
    world.records(off, None);
    assert_eq!(left(&world), 0);
    // It is back, with another key, and has told nothing yet.
    let key = SigningKey::generate().public();
    world.records(common::enrolled(&old, key), None);
    assert_eq!(left(&world), 1);
    assert!(world.fleet.known().contains_key(&new));
}

/// What ends it is said by where its work stands.
#[test]
fn of_an_old_server_that_was_left_behind_it_is_said_what_goes_on_with_it() {
    let mut world = World::begun(UPGRADED, [ACTIVE, STAGING], Afterwards::Upgrade);
    let from = target(SERVERS[0]);
    while world.fleet.left_behind().is_empty() {
        let (target, place) = world.offered().into_iter().next().expect("it goes on");
        world.runs(&target, place);
    }
    let ends = |world: &World, words: &str| {
        let said = world.fleet.left_behind().join("; ");
        assert!(said.ends_with(words), "{words}: {said}");
    };
    ends(&world, "; entrain why c1.a.test says where that is");
    let mut skipped = world.clone();
    let skip = Order::Skip {
        target: from.clone(),
        reason: "later".to_owned(),
    };
    skipped.orders(skip).unwrap();
    ends(&skipped, "; it is skipped in r1: entrain plan does it now");
    let mut failed = world.clone();
    let place = failed.at(SERVERS[0]);
    let generation = failed.issues(&from, place);
    failed.ends(&from, generation, Ending::Failed("x".to_owned()));
    ends(&failed, "; it is failed: entrain retry r1 c1.a.test");
    // Its run is under way when the rollout is aborted, and ends at its next gate.
    world.issues(&from, place);
    world.orders(Order::Abort).unwrap();
    ends(&world, "; it is offered in r1: entrain plan does it now");
}
