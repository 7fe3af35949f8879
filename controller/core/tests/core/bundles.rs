//! What a bundle says that is made of a plan: until when it is good, for whom, and on what its server must rest.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::Fleet;
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::topology::parse;
use protocol::event::{Event, Failure};
use protocol::facts::{Facts, ProvisioningAgentFacts};
use protocol::key::{PublicKey, SigningKey};
use protocol::signed::{Ending, Manifest};
use protocol::{BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version};

use crate::common;

/// A Monday, 14:13 UTC.
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ID: RolloutId = RolloutId(1);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn name(text: &str) -> TargetId {
    text.parse().unwrap()
}

fn facts(version: Version) -> Facts {
    let agent = ProvisioningAgentFacts {
        version: Some(version),
        ..common::old_agent()
    };
    common::facts(Some(agent), None)
}

struct World {
    fleet: Fleet,
    plan: Plan,
    key: PublicKey,
    told: u64,
}

impl World {
    /// Old agents of one domain at a site, some of them to stay and some to go, and a newer one that is only verified.
    fn new(stay: usize, go: usize, text: &str) -> Self {
        let named = |prefix: &str, count: usize| -> Vec<String> {
            (0..count)
                .map(|number| format!("{prefix}{number}.a.test"))
                .collect()
        };
        let (hosts, retired) = (named("s", stay), named("r", go));
        let topology = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[site.ams]\nzone = \"UTC\"\nreboot = \"never\"\n[agents.a]\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = {hosts:?}\nretired = {retired:?}\n[agents.b]\nsite = \"ams\"\nserves = [\"b.test\"]\nhosts = [\"t0.b.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(topology)]);
        assert!(findings.is_empty(), "{findings:?}");
        let (policy, findings) = policy::parse(&common::document(text));
        assert!(findings.is_empty(), "{findings:?}");
        let key = SigningKey::generate().public();
        let (mut fleet, mut known) = (Fleet::new(), Fleetwide::new());
        for target in topology.targets() {
            let newest = target.as_str().starts_with('t');
            let version = if newest {
                common::AGENT
            } else {
                Version::new(1, 1, 1373, 0)
            };
            let of = Known {
                facts: Some((NOW, facts(version))),
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
        fleet.apply(&common::applied(ID, &plan), Some(&plan), NOW);
        Self {
            fleet,
            plan,
            key,
            told: 0,
        }
    }

    fn bundle(&self, server: &str, phase: usize, now: Timestamp) -> Manifest {
        let key = self.key.fingerprint();
        let manifest = self.fleet.manifest(ID, &name(server), phase, key, now);
        manifest.unwrap()
    }

    /// The first phase of a server that changes something, or that only reads.
    fn phase(&self, server: &str, reads: bool) -> usize {
        let phases = &self.plan.targets[&name(server)].phases;
        phases
            .iter()
            .position(|work| work.is_read_only() == reads)
            .unwrap()
    }

    fn tells(&mut self, server: &str, event: &Event) {
        self.told += 1;
        let record = common::told(&name(server), self.told, NOW, event);
        self.fleet.apply(&record, None, NOW);
    }

    fn reports(&mut self, server: &str, version: Version) {
        self.tells(server, &Event::FactsReported(Box::new(facts(version))));
    }

    fn issues(&mut self, server: &str) -> Generation {
        let target = name(server);
        let generation = self.fleet.next_generation(&target);
        let record = Record::BundleIssued {
            rollout: ID,
            phase: self.plan.targets[&target].phases[0].phase,
            target,
            generation,
            bundle: BundleId(Digest::ZERO),
            expires: NOW.plus(DAY),
        };
        self.fleet.apply(&record, None, NOW);
        generation
    }
}

/// On Mondays, for an hour.
const MONDAYS: &str =
    "[site.ams]\nwindow = { days = [\"Mon\"], from = \"14:00\", to = \"15:00\" }\n";

/// The end of that window so many weeks from now.
fn monday(weeks: u32) -> Timestamp {
    let minutes = Duration::from_secs(46 * 60 + 40);
    NOW.plus(minutes).plus(7 * DAY * weeks)
}

/// A window may be as short as the work on one of them: those that stay and those that go follow each other.
#[test]
fn a_change_at_a_site_is_good_for_as_many_openings_as_servers_follow_each_other() {
    for (stay, go, openings) in [
        (1, 0, 1),
        (2, 0, 2),
        (3, 2, 5),
        (1, 2, 3),
        (6, 2, 8),
        (7, 4, 8),
    ] {
        let world = World::new(stay, go, MONDAYS);
        let place = world.phase("s0.a.test", false);
        let expires = world.bundle("s0.a.test", place, NOW).expires;
        // What one opening does not hold is good for a day from the next one on.
        let least = monday(1).minus(Duration::from_secs(3600)).plus(DAY);
        let last = monday(openings);
        assert_eq!(expires, last.max(least), "{stay} stay, {go} go");
    }
}

#[test]
fn what_only_reads_waits_for_no_opening_and_what_has_no_window_is_good_for_a_day() {
    let world = World::new(3, 2, MONDAYS);
    let place = world.phase("t0.b.test", true);
    let least = monday(1).minus(Duration::from_secs(3600)).plus(DAY);
    assert_eq!(world.bundle("t0.b.test", place, NOW).expires, least);
    let world = World::new(3, 2, "");
    let place = world.phase("s0.a.test", false);
    assert_eq!(world.bundle("s0.a.test", place, NOW).expires, NOW.plus(DAY));
}

/// What begins must find what the plan read. What goes on, or is tried again, finds what it has made itself.
#[test]
fn a_bundle_rests_on_what_the_plan_read_until_something_was_tried() {
    let (old, between) = (Version::new(1, 1, 1373, 0), Version::new(1, 1, 1586, 0));
    let mut world = World::new(2, 0, "");
    let place = world.phase("s0.a.test", false);
    let rests_on = |world: &World| {
        let assumed = world.bundle("s0.a.test", place, NOW).assumed;
        assumed.unwrap().essence
    };
    world.reports("s0.a.test", old);
    assert_eq!(rests_on(&world), facts(old).essence());
    world.reports("s0.a.test", between);
    assert_eq!(rests_on(&world), facts(old).essence(), "nothing was begun");
    let reads = world.phase("t0.b.test", true);
    assert_eq!(world.bundle("t0.b.test", reads, NOW).assumed, None);

    // It was accepted, began and failed: another try finds what that one has left.
    let generation = world.issues("s0.a.test");
    world.tells("s0.a.test", &common::begins(generation, 1));
    world.tells(
        "s0.a.test",
        &Event::StepFailed {
            generation,
            step: StepIndex(0),
            failure: Box::new(Failure::plain("x")),
        },
    );
    world.tells(
        "s0.a.test",
        &Event::RunFinished {
            generation,
            ending: Ending::Failed("x".to_owned()),
            receipt: String::new(),
        },
    );
    let retry = Record::Ordered {
        rollout: ID,
        order: Order::Retry {
            target: Some(name("s0.a.test")),
        },
        by: "root".to_owned(),
    };
    world.fleet.apply(&retry, None, NOW);
    let work = &world.fleet.rollouts()[&ID].work[&name("s0.a.test")];
    assert!(work.tried && !work.has_begun());
    assert_eq!(rests_on(&world), facts(between).essence());

    // One that ended well is begun, and its next phase rests on what is so now.
    let generation = world.issues("s1.a.test");
    world.reports("s1.a.test", between);
    world.tells(
        "s1.a.test",
        &Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        },
    );
    let assumed = world.bundle("s1.a.test", place, NOW).assumed;
    assert_eq!(assumed.unwrap().essence, facts(between).essence());
}
