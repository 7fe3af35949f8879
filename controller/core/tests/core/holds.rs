//! What holds a server says who holds it, why, and what lifts it; and a bundle is good for as long as is written of it.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use controller_core::fleet::{Decision, Fleet, Live};
use controller_core::plan::Plan;
use controller_core::record::Record;
use protocol::event::{Event, Freeze};
use protocol::key::PublicKey;
use protocol::signed::Phase;
use protocol::{BundleId, Digest, Generation, RolloutId, TargetId, Timestamp, limits};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ROLLOUT: RolloutId = RolloutId(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

struct World {
    fleet: Fleet,
    live: Live,
    plan: Plan,
    target: TargetId,
    key: PublicKey,
}

impl World {
    /// A server without a product, and a rollout that installs one: a person signs in for it.
    fn new() -> Self {
        let (plan, target, key) = common::one_server(NOW);
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: [target.clone()].into(),
                began: NOW,
                ..Live::default()
            },
            plan,
            target,
            key,
        };
        world.take(&common::enrolled(&world.target, key));
        world.take(&common::applied(ROLLOUT, &world.plan));
        world
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, Some(&self.plan), NOW);
    }

    fn hold(&self) -> String {
        let hold = self.fleet.hold(ROLLOUT, &self.target, &self.live, NOW);
        hold.map(|hold| hold.why).unwrap_or_default()
    }

    /// Until when a bundle of that place of the work is good.
    fn expires(&self, place: usize) -> Timestamp {
        let key = self.key.fingerprint();
        let manifest = self.fleet.manifest(ROLLOUT, &self.target, place, key, NOW);
        manifest.unwrap().expires
    }
}

#[test]
fn a_frozen_fleet_says_who_froze_it_why_and_what_lifts_it() {
    let mut world = World::new();
    world.take(&Record::FleetFrozen {
        why: "a domain controller is lost".to_owned(),
        by: "anna".to_owned(),
    });
    assert_eq!(
        world.hold(),
        "anna has frozen the whole fleet (a domain controller is lost); `entrain thaw --all` lifts it"
    );
}

#[test]
fn a_frozen_server_says_who_froze_it_until_when_why_and_what_lifts_it() {
    let mut world = World::new();
    let freeze = Freeze {
        until: NOW.plus(DAY),
        by: "CONTOSO\\bob".to_owned(),
        why: "month's end".to_owned(),
    };
    let record = common::told(&world.target, 1, NOW, &Event::Frozen(freeze));
    world.take(&record);
    assert_eq!(
        world.hold(),
        format!(
            "CONTOSO\\bob has frozen it until {} (month's end); its end lifts it, or `entrain-agent thaw` on that server",
            NOW.plus(DAY)
        )
    );
}

#[test]
fn a_bundle_is_good_for_a_day_and_one_that_waits_for_a_person_for_two_weeks() {
    let world = World::new();
    let part = &world.plan.targets[&world.target];
    let place = |phase| part.phases.iter().position(|work| work.phase == phase);
    assert_eq!(world.expires(place(Phase::Prepare).unwrap()), NOW.plus(DAY));
    assert_eq!(
        world.expires(place(Phase::Register).unwrap()),
        NOW.plus(14 * DAY)
    );
}

/// However a clock may differ, and not before.
#[test]
fn a_silent_server_is_unknown_once_nothing_more_is_to_be_expected_of_its_bundle() {
    let mut world = World::new();
    let expires = world.expires(0);
    world.take(&Record::BundleIssued {
        rollout: ROLLOUT,
        target: world.target.clone(),
        generation: Generation(1),
        phase: Phase::Prepare,
        bundle: BundleId(Digest::ZERO),
        expires,
    });
    world.live.connected.clear();
    let unknown = |at: Timestamp| {
        let decisions = world.fleet.decide(&world.live, at);
        decisions
            .iter()
            .any(|one| matches!(one, Decision::Unknown { .. }))
    };
    let end = expires.plus(limits::CLOCK_TOLERANCE);
    assert!(!unknown(end));
    assert!(unknown(end.plus(Duration::from_millis(1))));
}
