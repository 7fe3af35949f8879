//! Whose turn it is: limits of a site, a product that is watched, and turns in the order of the plan.

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::fleet::{Cause, Decision, Fleet, Live};
use controller_core::plan::{Inputs, Kind, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::topology::parse;
use protocol::event::{Event, Grade};
use protocol::facts::{Facts, ProvisioningAgentFacts, ServiceState};
use protocol::signed::{Ending, Phase};
use protocol::step::{Product, Step};
use protocol::{BundleId, Digest, RolloutId, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const ID: RolloutId = RolloutId(1);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) live: Live,
    pub(crate) now: Timestamp,
    plan: Plan,
    told: u64,
}

impl World {
    /// Agents of an old version, four at a site and two elsewhere, all of them here.
    pub(crate) fn new(text: &str) -> Self {
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
        let mut fleet = Fleet::new();
        let (known, enrolled) = common::enroll(&topology, NOW, |target| {
            let mut facts = common::old();
            facts.host.build = build(target);
            facts
        });
        for record in &enrolled {
            fleet.apply(record, None, NOW);
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
    pub(crate) fn issues(&mut self) -> Vec<TargetId> {
        let mut issued = Vec::new();
        let decisions = self.fleet.decide(&self.live, self.now);
        let among_all = self.fleet.decide_among_all(&self.live, self.now);
        assert_eq!(
            decisions, among_all,
            "whoever is here is all that can go on"
        );
        for decision in decisions {
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

    /// Works until the product of a target is watched, with all that its server is then.
    fn until_it_is_watched(&mut self, target: &TargetId) -> Facts {
        self.issues();
        let phases = &self.plan.targets[target].phases;
        let soak = phases.iter().position(|work| work.phase == Phase::Soak);
        let soak = soak.expect("it is watched");
        let steps = phases[soak].steps.clone();
        for _ in 0..soak {
            self.ends(target);
            self.issues();
        }
        let wanted = steps.iter().find_map(|step| {
            let Step::VerifyProvisioningAgent(verify) = step else {
                return None;
            };
            Some(verify.at_least)
        });
        let agent = ProvisioningAgentFacts {
            version: wanted,
            ..common::old_agent()
        };
        let facts = common::facts(Some(agent), None);
        self.tells(target, &Event::FactsReported(Box::new(facts.clone())));
        assert_eq!(self.word(target), "soaking");
        facts
    }

    /// A server tells its facts, changed in that way.
    fn changes(
        &mut self,
        target: &TargetId,
        facts: &Facts,
        change: impl FnOnce(&mut ProvisioningAgentFacts),
    ) {
        let mut facts = facts.clone();
        change(facts.provisioning_agent.as_mut().expect("it has one"));
        self.tells(target, &Event::FactsReported(Box::new(facts)));
    }

    /// Products that count as failed now, in words; each is recorded.
    fn degrade(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for decision in self.fleet.decide(&self.live, self.now) {
            let Decision::Degraded {
                rollout,
                target,
                why,
            } = decision
            else {
                continue;
            };
            let record = Record::Degraded {
                rollout,
                target,
                why: why.clone(),
            };
            self.fleet.apply(&record, None, self.now);
            assert!(self.fleet.rollouts()[&ID].work.is_counted_right());
            said.push(why);
        }
        said
    }

    fn word(&self, target: &TargetId) -> String {
        let view = self.fleet.view(ID, &self.live, self.now);
        let view = view.expect("the rollout is there");
        let mut rows = view.targets.into_iter();
        rows.find(|row| row.target == *target).expect("it is").state
    }

    fn passes(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
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
    assert!(world.fleet.tasks(world.now).is_empty());
    world.says_inconclusive(&target);
    let tasks = world.fleet.tasks(world.now);
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
    assert_eq!(
        ends(&world),
        Some(begun.plus(soak + Duration::from_secs(60)))
    );
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

const SOAK: &str = "soak = { cloud-sync = \"10 cycles\", connect = \"1 cycle\" }\n";

#[test]
fn a_product_that_stops_while_it_is_watched_has_failed_long_before_the_watch_ends() {
    let mut world = World::of(SOAK, 1, |_| 20348);
    let target: TargetId = "s1.a.test".parse().expect("a name");
    let facts = world.until_it_is_watched(&target);
    let begun = world.now;
    world.passes(60);
    world.changes(&target, &facts, |agent| {
        agent.service = Some(ServiceState::NotRunning);
    });
    // It may be an upgrade by itself: it is said, and given a while.
    assert_eq!(world.degrade(), [""; 0]);
    let hold = world.fleet.hold(ID, &target, &world.live, world.now);
    let hold = hold.expect("it is watched").why;
    assert!(
        hold.contains("its service does not run: it has failed if that is so until"),
        "{hold}"
    );
    let at = world.now.plus(Duration::from_secs(300));
    assert_eq!(world.fleet.poll_timeout(&world.live, world.now), Some(at));
    world.now = at;
    assert_eq!(
        world.degrade(),
        ["while it was watched: its service does not run"]
    );
    assert!(world.now < begun.plus(Duration::from_secs(1200)));
    assert_eq!(world.word(&target), "failed");
    // Its lane waits for it as for any canary that failed.
    world.passes(7200);
    assert!(
        world
            .issues()
            .iter()
            .all(|other| !other.as_str().ends_with("a.test"))
    );
    let other = "s2.a.test".parse().expect("a name");
    let hold = world.fleet.hold(ID, &other, &world.live, world.now);
    let hold = hold.expect("it is held");
    assert!(
        !hold.in_turn && hold.why.contains("the canary s1.a.test"),
        "{hold:?}"
    );
    // Another try proves it first: nobody waits for the end of a watch to hear that nothing was mended.
    let retry = Record::Ordered {
        rollout: ID,
        order: Order::Retry { target: None },
        by: "root".to_owned(),
    };
    world.fleet.apply(&retry, None, world.now);
    assert_eq!(names(&world.issues()), ["s1.a.test"]);
    assert_eq!(
        world.fleet.open(&target).expect("it is open").phase,
        Phase::Prove
    );
    world.ends(&target);
    assert_eq!(world.word(&target), "soaking");
}

#[test]
fn what_passes_and_what_cannot_be_told_is_no_failure() {
    let mut world = World::new(SOAK);
    let target: TargetId = "s1.a.test".parse().expect("a name");
    let facts = world.until_it_is_watched(&target);
    let ends = world.now.plus(Duration::from_secs(1200));
    let stops = |agent: &mut ProvisioningAgentFacts| agent.service = Some(ServiceState::NotRunning);
    world.passes(60);
    world.changes(&target, &facts, stops);
    world.passes(200);
    world.changes(&target, &facts, |_| {});
    world.passes(200);
    assert_eq!(world.degrade(), [""; 0]);
    // Nothing of it could be read.
    let mut unread = facts.clone();
    unread.unread = vec!["the service could not be read".to_owned()];
    world.changes(&target, &unread, |agent| {
        (agent.version, agent.tenant, agent.service) = (None, None, None);
    });
    world.passes(310);
    assert_eq!(world.degrade(), [""; 0]);
    world.changes(&target, &facts, |_| {});
    world.now = ends;
    assert_eq!(
        names(&world.issues()),
        ["s1.a.test"],
        "the watch has gone on"
    );
    // What is said while a run is open is that run's.
    world.changes(&target, &facts, stops);
    world.passes(310);
    assert_eq!(world.degrade(), [""; 0]);
}

#[test]
fn what_no_restart_and_no_upgrade_explains_fails_at_once() {
    type Change = fn(&mut ProvisioningAgentFacts);
    let cases: [(Change, &str); 3] = [
        (
            |agent| agent.service = Some(ServiceState::Disabled),
            "its service is stopped and disabled",
        ),
        (
            |agent| agent.version = Some(Version::new(1, 1, 587, 0)),
            "its version is 1.1.587.0 and was",
        ),
        (
            |agent| agent.tenant = "77aa0000-0000-0000-0000-000000000000".parse().ok(),
            "it is registered with tenant 77aa",
        ),
    ];
    for (change, says) in cases {
        let mut world = World::new(SOAK);
        let target: TargetId = "t1.b.test".parse().expect("a name");
        let facts = world.until_it_is_watched(&target);
        world.changes(&target, &facts, change);
        // Whoever has told it has told it, and need not be here.
        world.live.left(&target, world.now);
        let said = world.degrade();
        assert!(
            matches!(said.as_slice(), [why] if why.contains(says)),
            "{said:?}"
        );
        assert_eq!(world.word(&target), "failed");
    }
}

#[test]
fn a_product_that_upgraded_itself_is_watched_from_then_on() {
    let mut world = World::new(SOAK);
    let target: TargetId = "s1.a.test".parse().expect("a name");
    let facts = world.until_it_is_watched(&target);
    let product = Product::ProvisioningAgent;
    let newer = |agent: &mut ProvisioningAgentFacts| {
        agent.version = Some(Version::new(9, 0, 0, 0));
    };
    world.passes(600);
    world.changes(&target, &facts, |agent| {
        newer(agent);
        agent.service = Some(ServiceState::NotRunning);
    });
    world.passes(100);
    world.tells(&target, &Event::ServiceRestarted { product });
    world.changes(&target, &facts, newer);
    let anew = world.now;
    world.passes(1000);
    assert_eq!(world.degrade(), [""; 0]);
    assert!(
        world.issues().is_empty(),
        "the new one was not watched for long enough"
    );
    world.now = anew.plus(Duration::from_secs(1200));
    assert_eq!(names(&world.issues()), ["s1.a.test"]);
}

#[test]
fn a_service_that_was_started_anew_has_failed_unless_its_version_rose() {
    let mut world = World::new(SOAK);
    let target: TargetId = "s1.a.test".parse().expect("a name");
    let facts = world.until_it_is_watched(&target);
    // That of the other product is nobody's business here.
    let event = |product| Event::ServiceRestarted { product };
    world.tells(&target, &event(Product::Connect));
    world.passes(310);
    assert_eq!(world.degrade(), [""; 0]);
    world.tells(&target, &event(Product::ProvisioningAgent));
    world.changes(&target, &facts, |_| {});
    world.passes(299);
    assert_eq!(world.degrade(), [""; 0]);
    world.passes(1);
    let said = world.degrade();
    assert!(
        matches!(said.as_slice(), [why] if why.contains("started anew")),
        "{said:?}"
    );
}

#[test]
fn whoever_was_away_has_the_time_to_tell_how_it_is_since() {
    let mut world = World::new(SOAK);
    let target: TargetId = "s1.a.test".parse().expect("a name");
    let facts = world.until_it_is_watched(&target);
    world.changes(&target, &facts, |agent| {
        agent.service = Some(ServiceState::NotRunning);
    });
    // Windows restarts: the product stops before the agent does.
    world.live.left(&target, world.now);
    world.passes(600);
    assert_eq!(world.degrade(), [""; 0]);
    world.live.came(target.clone(), world.now);
    world.passes(120);
    assert_eq!(world.degrade(), [""; 0]);
    let due = world.now.plus(Duration::from_secs(180));
    assert_eq!(world.fleet.poll_timeout(&world.live, world.now), Some(due));
    world.changes(&target, &facts, |_| {});
    world.now = due;
    assert_eq!(world.degrade(), [""; 0]);
    assert_eq!(world.word(&target), "soaking");
}

/// A rollout that only reads, beside the one that watches: what is told meanwhile is told once, and counts.
#[test]
fn what_is_told_while_another_rollout_only_reads_is_held_against_the_product() {
    let other = RolloutId(9);
    for service in [false, true] {
        let mut world = World::new(SOAK);
        let target: TargetId = "s1.a.test".parse().expect("a name");
        let facts = world.until_it_is_watched(&target);
        let begun = world.now;
        // The same work's last phase, which verifies and changes nothing, as a rollout of its own.
        let mut reads = world.plan.clone();
        reads.kind = Kind::Verify;
        for part in reads.targets.values_mut() {
            part.phases.retain(|work| work.phase == Phase::Prove);
            part.soak_seconds = 0;
        }
        assert!(reads.targets[&target].is_read_only());
        let applied = common::applied(other, &reads);
        world.fleet.apply(&applied, Some(&reads), world.now);
        let record = Record::BundleIssued {
            rollout: other,
            target: target.clone(),
            generation: world.fleet.next_generation(&target),
            phase: Phase::Prove,
            bundle: BundleId(Digest::of(b"reads")),
            expires: world.now.plus(Duration::from_secs(86_400)),
        };
        world.fleet.apply(&record, None, world.now);
        world.passes(60);
        let said = if service {
            let product = Product::ProvisioningAgent;
            world.tells(&target, &Event::ServiceRestarted { product });
            "started anew"
        } else {
            world.changes(&target, &facts, |agent| {
                agent.service = Some(ServiceState::Disabled);
            });
            "stopped and disabled"
        };
        // It begins no watch anew either.
        world.ends(&target);
        world.passes(300);
        let degraded = world.degrade();
        assert!(
            matches!(degraded.as_slice(), [why] if why.contains(said)),
            "{degraded:?}"
        );
        assert!(world.now < begun.plus(Duration::from_secs(1200)));
    }
}

/// The look at the end tells what nobody told before: it is held against what was proven like everything before it.
#[test]
fn what_the_look_behind_a_watch_tells_is_held_against_what_was_proven() {
    let stops = |agent: &mut ProvisioningAgentFacts| agent.service = Some(ServiceState::NotRunning);
    let sinks = |agent: &mut ProvisioningAgentFacts| agent.version = Some(Version::new(1, 0, 0, 0));
    type Change = fn(&mut ProvisioningAgentFacts);
    let cases: [(Change, &str); 2] = [(stops, "done"), (sinks, "failed")];
    for (change, word) in cases {
        let mut world = World::new(SOAK);
        let target: TargetId = "s1.a.test".parse().expect("a name");
        let facts = world.until_it_is_watched(&target);
        world.passes(1200);
        assert_eq!(names(&world.issues()), ["s1.a.test"]);
        world.changes(&target, &facts, change);
        assert_eq!(world.degrade(), [""; 0], "the run is to end first");
        // What passes is the run's own to judge, which looks at the same service.
        world.ends(&target);
        assert_eq!(world.word(&target), word);
        assert!(world.fleet.rollouts()[&ID].work.is_counted_right());
    }
}

/// What Entrain itself did to it in another rollout was no failure of the product, and is watched from there on; a look is none.
#[test]
fn another_rollout_that_changes_a_product_begins_its_watch_anew_and_one_that_looks_does_not() {
    for changes in [true, false] {
        let mut world = World::new(SOAK);
        let target: TargetId = "s1.a.test".parse().expect("a name");
        world.until_it_is_watched(&target);
        let begun = world.now;
        let mut other = world.plan.clone();
        for part in other.targets.values_mut() {
            part.phases.retain(|phase| phase.is_read_only() != changes);
        }
        let second = RolloutId(2);
        world
            .fleet
            .apply(&common::applied(second, &other), Some(&other), world.now);
        world.passes(600);
        let issued = Record::BundleIssued {
            rollout: second,
            target: target.clone(),
            generation: world.fleet.next_generation(&target),
            phase: other.targets[&target].phases[0].phase,
            bundle: BundleId(Digest::ZERO),
            expires: world.now.plus(Duration::from_secs(86_400)),
        };
        world.fleet.apply(&issued, None, world.now);
        world.ends(&target);
        // The other one has come to its end.
        let skip = Record::Ordered {
            rollout: second,
            order: Order::Abort,
            by: "root".to_owned(),
        };
        world.fleet.apply(&skip, None, world.now);
        let watched = Duration::from_secs(1200);
        let until = if changes { world.now } else { begun }.plus(watched);
        world.now = until.minus(Duration::from_millis(1));
        assert_eq!(world.word(&target), "soaking", "{changes}");
        assert!(!world.issues().contains(&target), "{changes}");
        world.now = until;
        assert!(world.issues().contains(&target), "{changes}");
    }
}

impl World {
    pub(crate) fn holds(&self, target: &str) -> Option<Cause> {
        let target = target.parse().expect("a name");
        let hold = self.fleet.hold(ID, &target, &self.live, self.now);
        hold.map(|hold| hold.cause)
    }

    fn limits(&mut self, in_flight: u32, failures: u32) {
        let order = Order::Limits {
            in_flight: Some(in_flight),
            failures: Some(failures),
            unreachable: None,
        };
        let by = "root".to_owned();
        let record = Record::Ordered {
            rollout: ID,
            order,
            by,
        };
        self.fleet.apply(&record, None, self.now);
    }

    /// It works until it is done.
    pub(crate) fn is_done(&mut self, target: &TargetId) {
        while self.fleet.open(target).is_some() {
            self.ends(target);
            self.issues();
        }
        assert_eq!(self.word(target), "done");
    }

    /// Its run fails.
    fn fails(&mut self, target: &TargetId) {
        let generation = self.fleet.open(target).expect("it is open").generation;
        let ended = Event::RunFinished {
            generation,
            ending: Ending::Failed("x".to_owned()),
            receipt: String::new(),
        };
        self.tells(target, &ended);
    }
}

/// A place is held from the first offer to the end of the last phase, over all decisions.
#[test]
fn as_many_are_under_way_as_may_be_and_each_end_lets_one_more_begin() {
    let mut world = World::new("");
    world.limits(2, 20);
    let first = world.issues();
    assert_eq!(first.len(), 2);
    assert!(world.issues().is_empty());
    let waits = world.plan.waves.concat().into_iter();
    let waits: Vec<TargetId> = waits.filter(|one| !first.contains(one)).collect();
    let hold = world.fleet.hold(ID, &waits[0], &world.live, world.now);
    let hold = hold.expect("it waits");
    assert_eq!(hold.cause, Cause::InFlight);
    assert!(
        hold.why.starts_with("2 of at most 2 are under way"),
        "{hold:?}"
    );
    world.ends(&first[0]);
    assert_eq!(
        world.issues(),
        [first[0].clone()],
        "its next phase holds its place"
    );
    world.is_done(&first[0]);
    let open = |world: &World| -> Vec<TargetId> {
        let all = world.plan.waves.concat().into_iter();
        all.filter(|one| world.fleet.open(one).is_some()).collect()
    };
    assert_eq!(open(&world).len(), 2, "one more has begun");
}

/// What is under way may fail as well: failed and under way together never exceed the limit.
#[test]
fn no_more_begin_than_may_fail_and_none_once_so_many_have() {
    let mut world = World::new("");
    world.limits(20, 3);
    let first = world.issues();
    assert_eq!(first.len(), 3);
    let last = world.plan.waves.concat().pop().expect("six");
    assert_eq!(world.holds(last.as_str()), Some(Cause::MayYetFail));
    world.is_done(&first[0]);
    let second = world.plan.waves.concat()[3].clone();
    assert!(world.fleet.open(&second).is_some(), "one more may fail");
    world.fails(&first[1]);
    assert!(world.issues().is_empty(), "one has, and two may");
    assert_eq!(world.holds(last.as_str()), Some(Cause::MayYetFail));
    world.fails(&first[2]);
    world.fails(&second);
    assert!(world.issues().is_empty());
    assert_eq!(world.holds(last.as_str()), Some(Cause::FailureLimit));
    // What has begun begins no further phase either.
    let mut world = World::new("");
    world.limits(20, 3);
    let first = world.issues();
    world.ends(&first[0]);
    world.limits(20, 1);
    world.fails(&first[1]);
    assert!(world.issues().is_empty());
    assert_eq!(world.holds(first[0].as_str()), Some(Cause::FailureLimit));
    world.limits(20, 2);
    assert_eq!(world.issues(), [first[0].clone()]);
}

/// Where few are here, those alone are looked at: whoever has begun is waited for all the same, here or not.
#[test]
fn whoever_comes_later_waits_for_the_canary_and_the_wave_that_have_begun() {
    let mut world = World::of(
        "waves = [{ domains = [\"a.test\"] }, { rest = true }]\n",
        1,
        |_| 20348,
    );
    let long_ago = world.now.minus(Duration::from_secs(3000));
    for target in world.plan.waves.concat() {
        world.live.left(&target, long_ago);
    }
    assert!(world.issues().is_empty(), "nobody is here");
    let of = |name: &str| -> TargetId { name.parse().expect("a name") };
    let (canary, second, other) = (of("s2.a.test"), of("s3.a.test"), of("t1.b.test"));
    world.live.came(canary.clone(), world.now);
    assert_eq!(
        names(&world.issues()),
        [canary.as_str()],
        "the first that can be reached"
    );
    for later in [&second, &other] {
        world.live.came(later.clone(), world.now);
        assert!(world.issues().is_empty(), "{later}");
    }
    assert_eq!(world.holds("s3.a.test"), Some(Cause::CanaryGoesOn));
    let hold = world.fleet.hold(ID, &other, &world.live, world.now);
    let hold = hold.expect("it waits");
    assert_eq!(hold.cause, Cause::WaveGoesOn);
    let why = "wave 1 is not done: s2.a.test is offered; its end, a retry or a skip lifts it";
    assert_eq!(hold.why, why);
    // It goes away in the middle of its work.
    world.live.left(&canary, world.now);
    world.passes(3000);
    assert!(world.issues().is_empty());
    world.live.came(canary.clone(), world.now);
    world.is_done(&canary);
    assert!(world.fleet.open(&second).is_some(), "its canary is done");
    assert!(world.fleet.open(&other).is_none(), "its wave is not");
    world.is_done(&second);
    assert!(
        world.fleet.open(&other).is_some(),
        "nobody waits for those that are away"
    );
    // One that failed stops those behind it.
    let third = of("s4.a.test");
    world.live.came(third.clone(), world.now);
    assert_eq!(
        names(&world.issues()),
        [third.as_str()],
        "it has its turn when it comes"
    );
    world.fails(&third);
    world.live.came(of("t2.b.test"), world.now);
    world.is_done(&other);
    assert!(world.issues().is_empty());
    assert_eq!(world.holds("t2.b.test"), Some(Cause::WaveStopped));
}

/// What everybody waits for somebody for is held; what goes on anywhere, or has its turn to come, runs.
#[test]
fn a_rollout_is_held_where_nothing_of_it_goes_on_by_itself() {
    let standing = |world: &World| {
        let view = world.fleet.view(ID, &world.live, world.now);
        let view = view.expect("it is there");
        assert!(!view.read_only && !view.aborted);
        (view.state.clone(), view.standing())
    };
    let is = |word: &str| (word.to_owned(), word.to_owned());
    let mut world = World::new("");
    let by = "anna".to_owned();
    let freeze = Record::FleetFrozen {
        why: "x".to_owned(),
        by: by.clone(),
    };
    let thaw = Record::FleetThawed { by };
    world.fleet.apply(&freeze, None, world.now);
    assert_eq!(standing(&world), is("held"), "nobody began");
    world.fleet.apply(&thaw, None, world.now);
    let mut order = world.plan.waves.concat();
    world.limits(1, 20);
    let first = order.remove(0);
    assert_eq!(names(&world.issues()), [first.as_str()]);
    world.fleet.apply(&freeze, None, world.now);
    assert_eq!(standing(&world), is("running"), "one is under way");
    world.ends(&first);
    assert_eq!(standing(&world), is("held"), "it is between two phases");
    world.fleet.apply(&thaw, None, world.now);
    world.issues();
    world.is_done(&first);
    world.fleet.apply(&freeze, None, world.now);
    let second = order.remove(0);
    world.fails(&second);
    assert_eq!(standing(&world), is("held"), "one is done, one has failed");
    world.fleet.apply(&thaw, None, world.now);
    world.limits(1, 1);
    assert_eq!(world.holds(order[0].as_str()), Some(Cause::FailureLimit));
    assert_eq!(standing(&world), is("held"));
    world.limits(1, 20);
    for target in &order {
        world.live.left(target, world.now);
    }
    assert_eq!(standing(&world), is("running"), "they may be back at once");
    world.passes(3000);
    assert_eq!(standing(&world), is("held"), "they are away");
    for target in order.iter().chain([&second]) {
        let order = Order::Skip {
            target: target.clone(),
            reason: "x".to_owned(),
        };
        let by = "root".to_owned();
        let record = Record::Ordered {
            rollout: ID,
            order,
            by,
        };
        world.fleet.apply(&record, None, world.now);
    }
    assert_eq!(standing(&world), is("over"));
}

/// A run that is under way goes on to its next gate; what has not begun is held, and what has ended is as it is.
#[test]
fn a_server_that_is_frozen_says_so_where_that_keeps_it_from_something() {
    let mut world = World::new("");
    let first = world.issues();
    let (at_work, asks, failed) = (&first[0], &first[1], &first[2]);
    let detail = |world: &World, target: &TargetId| {
        let view = world.fleet.view(ID, &world.live, world.now);
        let mut rows = view.expect("it is there").targets.into_iter();
        let row = rows.find(|row| row.target == *target);
        row.expect("it has it").detail
    };
    world.fails(failed);
    let freeze = protocol::event::Freeze {
        until: world.now.plus(Duration::from_secs(3600)),
        by: "bob".to_owned(),
        why: "y".to_owned(),
    };
    for target in [at_work, asks, failed] {
        world.tells(target, &Event::Frozen(freeze.clone()));
    }
    let generation = world.fleet.open(asks).expect("it is open").generation;
    let section = protocol::event::Section {
        outage: false,
        gmsa: None,
    };
    let step = protocol::StepIndex(0);
    world
        .fleet
        .asks_permit(asks, generation, step, protocol::Attempt(1), section);
    let goes_on = "goes on to its next gate: bob has frozen it until";
    assert!(detail(&world, at_work).contains(goes_on));
    let asked = detail(&world, asks);
    assert!(asked.starts_with("bob has frozen it until"), "{asked}");
    assert_eq!(detail(&world, failed), "x");
    world.tells(at_work, &Event::Thawed);
    assert_eq!(detail(&world, at_work), "");
}

#[test]
fn waves_are_counted_from_one_where_they_are_shown() {
    let world = World::new("waves = [{ domains = [\"a.test\"] }, { rest = true }]\n");
    let view = world.fleet.view(ID, &world.live, world.now);
    for row in view.expect("it is there").targets {
        let wave = if row.target.as_str().ends_with("a.test") {
            1
        } else {
            2
        };
        assert_eq!(row.wave, wave, "{}", row.target);
        let why = world.fleet.why(&row.target, &world.live, world.now);
        let answer = why.expect("it is known").answer;
        assert!(answer.starts_with(&format!("r1, wave {wave}, phase 0 of {}", row.phases)));
    }
}

/// A few are back first: whoever may come yet keeps its turn, and those behind it wait as if it were here.
#[test]
fn after_a_start_those_that_have_had_no_time_to_come_are_waited_for() {
    let text = "waves = [{ domains = [\"a.test\"] }, { rest = true }]\n";
    let waits = |server: &str, cause: Cause| {
        let mut world = World::of(text, 1, |_| 20348);
        let target: TargetId = server.parse().expect("a name");
        world.live = Live {
            began: world.now,
            ..Live::default()
        };
        world.live.came(target.clone(), world.now);
        assert!(world.issues().is_empty(), "{server}");
        assert_eq!(world.holds(server), Some(cause));
        world.passes(299);
        assert!(world.issues().is_empty(), "{server}");
        world.passes(1);
        assert_eq!(world.issues(), [target], "nobody else came");
    };
    waits("t1.b.test", Cause::WaveGoesOn);
    waits("s2.a.test", Cause::CanaryGoesOn);
}
