//! What holds a server says who holds it, why, and what lifts it; and a bundle is good for as long as is written of it.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use controller_core::fleet::{Cause, Decision, Fleet, Lifter, Lifts, Live, UNREACHABLE_AFTER};
use controller_core::plan::Plan;
use controller_core::record::{Order, Record};
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

    /// The hold is of that cause, and is shown with who lifts it by `why`, among the targets, and as one that waits for the first.
    fn shows(&self, now: Timestamp, cause: Cause, who: &[Lifter]) {
        let hold = self.fleet.hold(ROLLOUT, &self.target, &self.live, now);
        assert_eq!(hold.map(|hold| hold.cause), Some(cause));
        let why = self.fleet.why(&self.target, &self.live, now).unwrap();
        let lifts = why.lifts.unwrap();
        assert_eq!((lifts.cause, lifts.who.as_slice()), (cause, who));
        let view = self.fleet.view(ROLLOUT, &self.live, now).unwrap();
        assert_eq!(view.targets[0].lifts.as_ref(), Some(&lifts));
        let said = format!("1 for {} ({})", lifts.what, who[0].as_str());
        assert_eq!(view.waits_for(), [said]);
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

/// How many causes there are, as whoever reads them by name is told.
fn causes() -> usize {
    let unknown = serde_json::from_str::<Cause>("\"none\"").unwrap_err();
    // The first one named is what was read.
    unknown.to_string().matches('`').count() / 2 - 1
}

#[test]
fn every_cause_says_what_lifts_it_and_who_can() {
    assert_eq!(Cause::ALL.len(), causes(), "the list has them all");
    let mut said = std::collections::BTreeSet::new();
    for cause in Cause::ALL {
        assert!(said.insert(cause), "{cause:?} twice");
        let (what, who) = (cause.lifted_by(), cause.lifters());
        assert!(!what.is_empty() && !who.is_empty(), "{cause:?}");
        // Whoever is sent to an order may give it, and a rule that is set aside is so by those who may.
        let orders = what.contains("entrain ") && !what.contains("entrain tenant");
        assert!(!orders || who.contains(&Lifter::Operator), "{cause:?}");
        let over = what.contains("override ");
        assert_eq!(over, who.contains(&Lifter::Approvers), "{cause:?}");
        let alone = |one: &Lifter| matches!(one, Lifter::Time | Lifter::Work | Lifter::Agent);
        if cause.is_in_turn() {
            assert!(who.first().is_some_and(alone), "{cause:?} comes by itself");
        }
        let lifts = Lifts::from(cause);
        assert_eq!((lifts.what.as_str(), lifts.who.as_slice()), (what, who));
        let said: Vec<&str> = who.iter().map(|one| one.as_str()).collect();
        assert_eq!(lifts.by_whom(), said.join("; "));
    }
    // Each of those who can is said in words of their own.
    let all: std::collections::BTreeSet<Lifter> = Cause::ALL
        .iter()
        .flat_map(|cause| cause.lifters())
        .copied()
        .collect();
    let words: std::collections::BTreeSet<&str> = all.iter().map(|one| one.as_str()).collect();
    assert_eq!(words.len(), all.len());
}

/// `why` and the rows of a rollout say of a hold what the machine decided by.
#[test]
fn what_lifts_a_hold_and_who_can_is_shown_where_it_is_shown() {
    let order = |order| Record::Ordered {
        rollout: ROLLOUT,
        order,
        by: "root".to_owned(),
    };
    let freeze = Freeze {
        until: NOW.plus(DAY),
        by: "CONTOSO\\bob".to_owned(),
        why: "month's end".to_owned(),
    };
    let (plain, frozen) = (World::new(), Event::Frozen(freeze));
    let frozen = common::told(&plain.target, 1, NOW, &frozen);
    let stop = Record::FleetFrozen {
        why: "x".to_owned(),
        by: "anna".to_owned(),
    };
    let revoked = Record::AgentRevoked {
        target: plain.target.clone(),
        key: plain.key.fingerprint(),
        by: "anna".to_owned(),
    };
    let restored = Record::Restored {
        epoch: protocol::Epoch(2),
        parent: protocol::Epoch(1),
        made: NOW,
        by: "anna".to_owned(),
    };
    let resume = order(Order::Resume {
        after_restore: false,
    });
    let operator = &[Lifter::Operator][..];
    let cases: [(&[Record], Cause, &[Lifter]); 6] = [
        (&[stop], Cause::FleetFrozen, operator),
        (&[order(Order::Pause)], Cause::Paused, operator),
        (
            &[frozen],
            Cause::ServerFrozen,
            &[Lifter::ServerAdministrator, Lifter::Time],
        ),
        (
            &[revoked],
            Cause::NotEnrolled,
            &[Lifter::Operator, Lifter::ServerAdministrator],
        ),
        (std::slice::from_ref(&restored), Cause::Paused, operator),
        (
            &[restored.clone(), resume],
            Cause::Unmet,
            &[Lifter::Agent, Lifter::ServerAdministrator],
        ),
    ];
    for (records, cause, who) in cases {
        let mut world = World::new();
        world.target = plain.target.clone();
        for record in records {
            world.take(record);
        }
        world.shows(NOW, cause, who);
    }
    let mut world = World::new();
    world.live.left(&plain.target, NOW);
    let who = [Lifter::Agent, Lifter::ServerAdministrator];
    world.shows(NOW, Cause::LeftJustNow, &who);
    world.shows(NOW.plus(UNREACHABLE_AFTER), Cause::Away, &who);
}
