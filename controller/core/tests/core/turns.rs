//! Whose turn it is: limits of a site, a product that is watched, and turns in the order of the plan.

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Decision, Fleet, Live};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::Record;
use controller_core::topology::parse;
use protocol::event::{Event, Grade};
use protocol::facts::{ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::Ending;
use protocol::{BundleId, Digest, RolloutId, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ID: RolloutId = RolloutId(1);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

struct World {
    fleet: Fleet,
    live: Live,
    now: Timestamp,
    plan: Plan,
    told: u64,
}

impl World {
    /// Agents of an old version, four at a site and two elsewhere, all of them here.
    fn new(text: &str) -> Self {
        Self::of(text, 0, |_| 20348)
    }

    /// The same with canaries, and with the build of Windows that each has.
    fn of(text: &str, canary: u32, build: impl Fn(&TargetId) -> u32) -> Self {
        let topology = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[site.ams]\nzone = \"UTC\"\nreboot = \"never\"\n[agents.a]\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\", \"s3.a.test\", \"s4.a.test\"]\n[agents.b]\nserves = [\"b.test\"]\nhosts = [\"t1.b.test\", \"t2.b.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(topology)]);
        assert!(findings.is_empty(), "{findings:?}");
        let text =
            format!("{text}\n[limit]\nfailures = \"20\"\nin_flight = 20\ncanary = {canary}\n");
        let (policy, findings) = policy::parse(&common::document(text));
        assert!(findings.is_empty(), "{findings:?}");
        let agent = ProvisioningAgentFacts {
            version: Some(Version::new(1, 1, 1373, 0)),
            tenant: TENANT.parse().ok(),
            service: Some(ServiceState::Running),
            account: Some("A\\provAgentgMSA$".to_owned()),
            options: Some(protocol::ServiceOptions::default()),
        };
        let mut fleet = Fleet::new();
        let mut known = Fleetwide::new();
        for target in topology.targets() {
            let key = SigningKey::generate().public();
            let mut facts = common::facts(Some(agent.clone()), None);
            facts.host.build = build(&target);
            let of = Known {
                facts: Some((NOW, facts)),
                ..Known::of(key.fingerprint())
            };
            fleet.apply(&common::enrolled(&target, key), None, NOW);
            known.insert(target, of);
        }
        let plan = plan(Inputs::of(
            &topology,
            &policy,
            &known,
            &common::artifacts(),
            Purpose::Install,
        ));
        let applied = common::applied(ID, &plan);
        fleet.apply(&applied, Some(&plan), NOW);
        let live = Live {
            connected: known.keys().cloned().collect(),
            began: NOW.minus(Duration::from_secs(3600)),
            ..Live::default()
        };
        Self {
            fleet,
            live,
            now: NOW,
            plan,
            told: 0,
        }
    }

    /// Whoever may begin now, in the order in which they do; each is issued its bundle.
    fn issues(&mut self) -> Vec<TargetId> {
        let mut issued = Vec::new();
        for decision in self.fleet.decide(&self.live, self.now) {
            let Decision::Issue { target, phase, .. } = decision else {
                continue;
            };
            let generation = self.fleet.next_generation(&target);
            let record = Record::BundleIssued {
                rollout: ID,
                target: target.clone(),
                generation,
                phase: self.plan.targets[&target].phases[phase].phase,
                bundle: BundleId(Digest::of(target.as_str().as_bytes())),
                expires: self.now.plus(Duration::from_secs(86_400)),
            };
            self.fleet.apply(&record, None, self.now);
            issued.push(target);
        }
        assert!(self.fleet.decide(&self.live, self.now).is_empty());
        issued
    }

    /// A probe of a target's open run cannot tell.
    fn says_inconclusive(&mut self, target: &TargetId) {
        let generation = self.fleet.open(target).expect("it is open").generation;
        let event = Event::StepInconclusive {
            generation,
            step: protocol::StepIndex(0),
            question: "is it so?".to_owned(),
        };
        self.tells(target, &event);
    }

    fn tells(&mut self, target: &TargetId, event: &Event) {
        self.told += 1;
        let record = common::told(target, self.told, self.now, event);
        self.fleet.apply(&record, None, self.now);
    }

    /// The open run of a target comes to its end.
    fn ends(&mut self, target: &TargetId) {
        let generation = self.fleet.open(target).expect("it is open").generation;
        let graded = Event::StepCompleted {
            generation,
            step: protocol::StepIndex(0),
            completion: protocol::event::Completion::AlreadySo,
            summary: String::new(),
            grade: Some(Grade::Registered),
        };
        let ended = Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        };
        for event in [graded, ended] {
            self.tells(target, &event);
        }
    }
}

#[test]
fn what_waits_for_a_person_is_a_task_as_long_as_it_waits() {
    let mut world = World::new("");
    let target = world.issues().remove(0);
    assert!(world.fleet.tasks().is_empty());
    world.says_inconclusive(&target);
    let tasks = world.fleet.tasks();
    assert!(
        matches!(tasks.as_slice(), [task] if task.target == target),
        "{tasks:?}"
    );
}

fn names(targets: &[TargetId]) -> Vec<&str> {
    targets.iter().map(TargetId::as_str).collect()
}

#[test]
fn turns_come_in_the_order_of_the_plan_and_a_site_has_its_own_limit() {
    let mut world = World::new("[site.ams]\nmax_in_flight = 2\n");
    let order: Vec<TargetId> = world.plan.waves.concat();
    assert_eq!(order.len(), 6);
    let first = world.issues();
    // Those of the site beyond its limit are passed, and everybody else has their turn.
    let at_site = |target: &&TargetId| target.as_str().ends_with("a.test");
    let mut room = 2;
    let expected: Vec<TargetId> = order
        .iter()
        .filter(|target| {
            let fits = !at_site(target) || room > 0;
            room -= i32::from(at_site(target) && fits);
            fits
        })
        .cloned()
        .collect();
    assert_eq!(names(&first), names(&expected));
    let here: Vec<TargetId> = first.iter().filter(at_site).cloned().collect();
    assert_eq!(here.len(), 2);
    assert!(world.issues().is_empty());
    // A phase that ends is no place that gets free: its next phase holds it.
    world.ends(&here[0]);
    assert_eq!(names(&world.issues()), [here[0].as_str()]);
    world.ends(&here[0]);
    let next = world.issues();
    assert_eq!(next.len(), 1, "{next:?}");
    assert!(at_site(&&next[0]) && !here.contains(&next[0]));
    let done: BTreeSet<&str> = world.fleet.rollouts()[&ID]
        .work
        .iter()
        .filter(|(_, work)| work.state.word() == "done")
        .map(|(target, _)| target.as_str())
        .collect();
    assert_eq!(done, BTreeSet::from([here[0].as_str()]));
}

#[test]
fn the_machine_asks_to_be_woken_when_a_product_has_been_watched_for_long_enough() {
    let mut world = World::new("soak = { cloud-sync = \"5 cycles\", connect = \"1 cycle\" }\n");
    let all = world.issues();
    assert_eq!(all.len(), 6);
    let (one, other) = (all[0].clone(), all[1].clone());
    let soak = Duration::from_secs(u64::from(world.plan.targets[&one].soak_seconds));
    assert!(!soak.is_zero());
    let ends = |world: &World| world.fleet.poll_timeout(&world.live, world.now);
    // Prepare, and then what proves it: its last phase waits until the product was watched.
    for target in [&one, &other] {
        world.ends(target);
        assert_eq!(names(&world.issues()), [target.as_str()], "not watched yet");
        world.ends(target);
        assert!(world.issues().is_empty());
        world.now = world.now.plus(Duration::from_secs(60));
    }
    let begun = world.now.minus(Duration::from_secs(120));
    assert_eq!(ends(&world), Some(begun.plus(soak)));
    let hold = world.fleet.hold(ID, &one, &world.live, world.now);
    assert!(hold.expect("it is held").why.contains("is watched until"));
    world.now = begun.plus(soak);
    assert_eq!(names(&world.issues()), [one.as_str()]);
    // The next one that is watched, and nothing that lies behind.
    assert_eq!(
        ends(&world),
        Some(begun.plus(soak + Duration::from_secs(60)))
    );
    world.now = world.now.plus(Duration::from_secs(60));
    assert_eq!(world.issues(), [other]);
    world.ends(&one);
    let work = &world.fleet.rollouts()[&ID].work;
    assert_eq!(work[&one].state.word(), "done");
    assert!(work.is_counted_right());
}

/// What holds on one build of Windows says little about another: each has a canary of its own, and holds nobody else.
#[test]
fn each_build_of_windows_in_a_lane_has_its_own_canary() {
    let older = |target: &TargetId| ["s3", "s4"].contains(&&target.as_str()[..2]);
    let build = |target: &TargetId| if older(target) { 14393 } else { 20348 };
    let mut world = World::of("", 1, build);
    let first = world.issues();
    assert_eq!(names(&first), ["s1.a.test", "s3.a.test", "t1.b.test"]);
    let why = |world: &World, name: &str| {
        let target = name.parse().unwrap();
        let hold = world.fleet.hold(ID, &target, &world.live, world.now);
        hold.map(|hold| hold.why).unwrap_or_default()
    };
    for (waits, canary, build) in [
        ("s2.a.test", "s1.a.test", 20348),
        ("s4.a.test", "s3.a.test", 14393),
    ] {
        let why = why(&world, waits);
        let said = format!("the canary {canary} of agents.a on Windows build {build} is offered");
        assert!(why.starts_with(&said), "{why}");
    }
    // One that fails holds those of its own build alone.
    world.says_inconclusive(&first[0]);
    let generation = world.fleet.open(&first[0]).expect("it is open").generation;
    world.tells(
        &first[0],
        &Event::RunFinished {
            generation,
            ending: Ending::Inconclusive("is it so?".to_owned()),
            receipt: String::new(),
        },
    );
    world.ends(&first[1]);
    assert_eq!(names(&world.issues()), ["s3.a.test"], "its next phase");
    world.ends(&first[1]);
    assert_eq!(names(&world.issues()), ["s4.a.test"]);
    assert!(why(&world, "s2.a.test").contains("is inconclusive"));
}
