//! When the machine asks to be woken: at the next moment at which time alone changes something, and at none that is behind.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use controller_core::fleet::{Decision, Fleet, Live, PERMIT_LIFE, UNREACHABLE_AFTER};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::topology::parse;
use protocol::event::Section;
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, limits,
};

use crate::common;

/// A Monday, 14:13 UTC.
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ID: RolloutId = RolloutId(1);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

struct World {
    fleet: Fleet,
    live: Live,
    plan: Plan,
}

fn name(text: &str) -> TargetId {
    text.parse().unwrap()
}

impl World {
    /// Two old agents at a site, here for long, and nothing offered to them yet.
    fn new(text: &str) -> Self {
        Self::begins(text, None)
    }

    fn begins(text: &str, not_before: Option<Timestamp>) -> Self {
        let topology = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[site.ams]\nzone = \"UTC\"\nreboot = \"never\"\n[agents.a]\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(topology)]);
        assert!(findings.is_empty(), "{findings:?}");
        let (policy, findings) = policy::parse(&common::document(text));
        assert!(findings.is_empty(), "{findings:?}");
        let mut fleet = Fleet::new();
        let (known, enrolled) = common::enroll(&topology, NOW, |_| common::old());
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
        let applied = Record::Applied {
            rollout: ID,
            plan: plan.id(),
            by: "root".to_owned(),
            change: None,
            irreversible: 0,
            not_before,
        };
        fleet.apply(&applied, Some(&plan), NOW);
        let live = Live {
            connected: known.keys().cloned().collect(),
            began: NOW.minus(HOUR),
            ..Live::default()
        };
        Self { fleet, live, plan }
    }

    fn wakes(&self, now: Timestamp) -> Option<Timestamp> {
        self.fleet.poll_timeout(&self.live, now)
    }

    /// A bundle of a target's first phase, until that moment.
    fn issued(&mut self, target: &TargetId, expires: Timestamp) {
        let record = Record::BundleIssued {
            rollout: ID,
            target: target.clone(),
            generation: Generation(1),
            phase: self.plan.targets[target].phases[0].phase,
            bundle: BundleId(Digest::ZERO),
            expires,
        };
        self.fleet.apply(&record, None, NOW);
    }

    fn order(&mut self, order: Order) {
        let by = "root".to_owned();
        let record = Record::Ordered {
            rollout: ID,
            order,
            by,
        };
        self.fleet.apply(&record, None, NOW);
    }

    fn offers(&self, now: Timestamp) -> usize {
        let decisions = self.fleet.decide(&self.live, now);
        let issues = |one: &&Decision| matches!(one, Decision::Issue { .. });
        decisions.iter().filter(issues).count()
    }
}

#[test]
fn while_everybody_is_here_and_may_begin_nothing_is_waited_for() {
    let world = World::new("");
    assert_eq!(world.offers(NOW), 1);
    assert_eq!(world.wakes(NOW), None);
    // Nor is what will be watched, before it is.
    let world = World::new("soak = { cloud-sync = \"5 cycles\", connect = \"1 cycle\" }\n");
    assert_eq!(world.wakes(NOW), None);
}

#[test]
fn whoever_left_just_now_and_waits_for_its_turn_is_waited_for_so_long() {
    let mut world = World::new("");
    let due = NOW.plus(UNREACHABLE_AFTER);
    world.live.left(&name("s1.a.test"), NOW);
    assert_eq!(world.wakes(NOW), Some(due));
    assert_eq!(world.wakes(due.minus(MOMENT)), Some(due));
    assert_eq!(world.wakes(due), None);
    // Whose bundle is open is waited for until that has ended, and whoever waits for nothing is not waited for.
    let mut world = World::new("");
    let target = name("s1.a.test");
    let end = NOW.plus(HOUR).plus(limits::CLOCK_TOLERANCE);
    world.issued(&target, NOW.plus(HOUR));
    world.live.left(&target, NOW);
    assert_eq!(world.wakes(NOW), Some(end));
    world.order(Order::Pause);
    world.live.left(&name("s2.a.test"), NOW);
    assert_eq!(world.wakes(NOW), Some(end), "it begins nothing");
}

#[test]
fn after_a_start_those_that_may_come_are_waited_for_so_long() {
    let mut world = World::new("");
    world.live.began = NOW;
    let due = NOW.plus(UNREACHABLE_AFTER);
    assert_eq!(world.wakes(NOW), Some(due));
    assert_eq!(world.wakes(due), None);
    // Where nobody waits for its turn, nobody is waited for.
    for server in ["s1.a.test", "s2.a.test"] {
        world.issued(&name(server), NOW.plus(HOUR));
    }
    let end = NOW.plus(HOUR).plus(limits::CLOCK_TOLERANCE);
    assert_eq!(world.wakes(NOW), Some(end));
}

/// What was ordered for an hour begins at it, and at any later one.
#[test]
fn a_rollout_that_begins_later_is_asked_then_and_goes_on_from_then() {
    let begins = NOW.plus(HOUR);
    let world = World::begins("", Some(begins));
    let before = begins.minus(MOMENT);
    assert_eq!(
        (world.offers(before), world.wakes(before)),
        (0, Some(begins))
    );
    let shown = |now| world.fleet.view(ID, &world.live, now).unwrap().state;
    assert_eq!(
        (shown(before), shown(begins)),
        ("scheduled".to_owned(), "running".to_owned())
    );
    for now in [begins, begins.plus(MOMENT), begins.plus(HOUR)] {
        assert_eq!((world.offers(now), world.wakes(now)), (1, None), "{now}");
    }
}

#[test]
fn each_bundle_that_is_open_wakes_at_its_end_until_it_was_reached() {
    let mut world = World::new("");
    let (first, second) = (NOW.plus(HOUR), NOW.plus(2 * HOUR));
    world.issued(&name("s1.a.test"), first);
    world.issued(&name("s2.a.test"), second);
    let ended = |expires: Timestamp| expires.plus(limits::CLOCK_TOLERANCE);
    assert_eq!(world.wakes(NOW), Some(ended(first)));
    assert_eq!(world.wakes(ended(first)), Some(ended(second)));
    assert_eq!(
        world.wakes(ended(second)),
        None,
        "they are here, and say it"
    );
}

#[test]
fn leave_that_was_given_wakes_when_it_lapses() {
    let mut world = World::new("");
    let target = name("s1.a.test");
    world.issued(&target, NOW.plus(HOUR));
    let lapses = NOW.plus(PERMIT_LIFE);
    let given = Record::PermitGiven {
        target,
        generation: Generation(1),
        step: StepIndex(0),
        attempt: Attempt(1),
        section: Section {
            outage: true,
            gmsa: None,
        },
        lapses,
        rests_on: Vec::new(),
    };
    world.fleet.apply(&given, None, NOW);
    assert_eq!(world.wakes(NOW), Some(lapses));
    let end = NOW.plus(HOUR).plus(limits::CLOCK_TOLERANCE);
    assert_eq!(world.wakes(lapses), Some(end));
}

#[test]
fn a_site_that_is_closed_wakes_when_it_opens_and_one_that_is_open_lets_begin() {
    let window = |from: &str, to: &str| {
        format!("[site.ams]\nwindow = {{ days = [\"Mon\"], from = \"{from}\", to = \"{to}\" }}\n")
    };
    let world = World::new(&window("20:00", "22:00"));
    let opens = world.plan.sites["ams"].closed(NOW).unwrap().opens.unwrap();
    assert_eq!((world.offers(NOW), world.wakes(NOW)), (0, Some(opens)));
    assert_eq!((world.offers(opens), world.wakes(opens)), (1, None));
    let world = World::new(&window("14:00", "15:00"));
    assert_eq!((world.offers(NOW), world.wakes(NOW)), (1, None));
}

#[test]
fn whoever_a_rollout_waits_for_wakes_it_at_the_end_of_that() {
    let mut world = World::new("[limit]\nunreachable = \"1h\"\n");
    let target = name("s1.a.test");
    world.issued(&target, NOW.plus(5 * HOUR));
    let left = NOW.plus(Duration::from_secs(60));
    world.live.left(&target, left);
    let due = left.plus(HOUR);
    // The log is told of it first. Whoever was here never, since the controller began an hour before, was waited for until now.
    let told = left.plus(UNREACHABLE_AFTER);
    assert_eq!(world.wakes(NOW), Some(told));
    assert_eq!(world.wakes(told), Some(due));
    assert_ne!(world.wakes(due), Some(due));
}

/// Nothing is waited for after an abort, but for those that had no time to come.
#[test]
fn an_abort_wakes_when_those_that_may_come_have_had_the_time() {
    let mut world = World::new("");
    world.issued(&name("s1.a.test"), NOW.plus(5 * HOUR));
    world.live = Live {
        began: NOW,
        ..Live::default()
    };
    world.order(Order::Abort);
    let due = NOW.plus(UNREACHABLE_AFTER);
    assert_eq!(world.wakes(NOW), Some(due));
    let end = NOW.plus(5 * HOUR).plus(limits::CLOCK_TOLERANCE);
    assert_eq!(world.wakes(due), Some(end));
    assert!(matches!(
        world.fleet.decide(&world.live, due).as_slice(),
        [Decision::Unknown { .. }]
    ));
}
