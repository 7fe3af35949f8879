//! What a target tells: which word counts for its bundle, its section and its place, and which says nothing of them.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use controller_core::fleet::{Cause, Decision, Fleet, Live, Pulse, TargetState, Unaccepted};
use controller_core::plan::Plan;
use controller_core::record::{Order, Record};
use protocol::event::{Completion, Event, Failure, GmsaObject, Grade, Section};
use protocol::key::{PublicKey, SigningKey};
use protocol::refusal::Refusal;
use protocol::settings::ConnectSettings;
use protocol::signed::Ending;
use protocol::task::TaskText;
use protocol::wire::latest::ControlDown;
use protocol::{
    Attempt, BundleId, Digest, Epoch, Generation, RolloutId, StepIndex, TargetId, Timestamp,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const FIRST: RolloutId = RolloutId(1);
const SECOND: RolloutId = RolloutId(2);
const DAY: Duration = Duration::from_secs(24 * 3600);

struct World {
    fleet: Fleet,
    live: Live,
    plan: Plan,
    target: TargetId,
    key: PublicKey,
    told: u64,
}

impl World {
    /// A server without a product, a rollout that installs one, and its bundle on its way.
    fn new() -> Self {
        let (plan, target, key) = common::one_server(NOW);
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: [target.clone()].into(),
                began: NOW.minus(DAY),
                ..Live::default()
            },
            plan,
            target,
            key,
            told: 0,
        };
        world.take(&common::enrolled(&world.target, key));
        world.take(&common::applied(FIRST, &world.plan));
        world.issue(FIRST);
        world
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, Some(&self.plan), NOW);
    }

    fn order(&mut self, rollout: RolloutId, order: Order) {
        let by = "root".to_owned();
        self.take(&Record::Ordered { rollout, order, by });
    }

    fn issue(&mut self, rollout: RolloutId) -> Generation {
        let generation = self.fleet.next_generation(&self.target);
        let place = self.fleet.rollouts()[&rollout].work[&self.target].phase;
        self.take(&Record::BundleIssued {
            rollout,
            target: self.target.clone(),
            generation,
            phase: self.plan.targets[&self.target].phases[place].phase,
            bundle: bundle(generation),
            expires: NOW.plus(DAY),
        });
        generation
    }

    fn tells(&mut self, event: &Event) {
        self.told += 1;
        let record = common::told(&self.target, self.told, NOW, event);
        self.take(&record);
    }

    /// What its agent hears when it comes back with that bundle.
    fn welcome(&self, newest: Generation) -> Vec<ControlDown> {
        self.fleet.words_of_welcome(&self.target, newest)
    }

    fn accepts(&mut self, generation: Generation, bundle: BundleId) {
        let phase = self.plan.targets[&self.target].phases[0].phase;
        self.tells(&Event::BundleAccepted {
            bundle,
            generation,
            rollout: FIRST,
            phase,
            change: None,
        });
    }

    fn refuses(&mut self, bundle: BundleId, refusal: Refusal) {
        self.tells(&Event::BundleRefused { bundle, refusal });
    }

    fn ends(&mut self, generation: Generation, ending: Ending) {
        self.tells(&Event::RunFinished {
            generation,
            ending,
            receipt: String::new(),
        });
    }

    fn state(&self, rollout: RolloutId) -> &TargetState {
        &self.fleet.rollouts()[&rollout].work[&self.target].state
    }

    /// What becomes of its bundle when it is back and has accepted nothing.
    fn unaccepted(&self) -> Option<Unaccepted> {
        self.fleet
            .unaccepted(&self.target, Generation(0), &Live::default(), NOW)
    }

    fn replayed(&self, records: &[Record]) -> Fleet {
        let mut fleet = Fleet::new();
        for record in records {
            fleet.apply(record, Some(&self.plan), NOW);
        }
        fleet
    }
}

fn bundle(generation: Generation) -> BundleId {
    BundleId(Digest::of(&generation.0.to_be_bytes()))
}

const ONE: Generation = Generation(1);

#[test]
fn a_bundle_is_accepted_by_its_own_digest_and_stays_so() {
    let mut world = World::new();
    assert_eq!(world.unaccepted(), Some(Unaccepted::Offer(bundle(ONE))));
    // Another bundle of that number was made before a restore.
    world.accepts(ONE, BundleId(Digest::ZERO));
    assert_eq!(world.unaccepted(), Some(Unaccepted::Offer(bundle(ONE))));
    world.accepts(ONE, bundle(ONE));
    assert_eq!(world.unaccepted(), None);
    world.accepts(ONE, BundleId(Digest::ZERO));
    assert_eq!(world.unaccepted(), None, "what is accepted stays so");
    // Newer than what is open, nothing of it is offered again.
    let world = World::new();
    assert_eq!(
        world
            .fleet
            .unaccepted(&world.target, ONE, &Live::default(), NOW),
        None
    );
}

#[test]
fn a_refusal_counts_for_the_bundle_that_is_open_and_not_accepted() {
    let busy = Refusal::Busy {
        open: Generation(9),
    };
    let mut world = World::new();
    world.refuses(BundleId(Digest::ZERO), busy.clone());
    assert_eq!(*world.state(FIRST), TargetState::Offered, "of a replay");
    let over = Refusal::OverLimit("65 steps".to_owned());
    world.refuses(bundle(ONE), over.clone());
    assert_eq!(*world.state(FIRST), TargetState::Refused(over));
    assert!(world.fleet.open(&world.target).is_none());
    // One that is at another run is no failure: its turn comes when that has ended.
    let mut world = World::new();
    world.refuses(bundle(ONE), busy.clone());
    assert_eq!(*world.state(FIRST), TargetState::Pending);
    assert!(world.fleet.open(&world.target).is_none());
    let mut world = World::new();
    world.accepts(ONE, bundle(ONE));
    world.refuses(bundle(ONE), busy);
    assert!(world.fleet.open(&world.target).is_some(), "it is at work");
    assert_eq!(*world.state(FIRST), TargetState::Offered);
}

/// A frozen server is no failure: its turn comes when the freeze is over, unless its rollout has ended meanwhile.
#[test]
fn a_refusal_of_a_frozen_server_is_a_wait_and_after_an_abort_an_end() {
    for (aborted, wanted) in [(false, TargetState::Pending), (true, TargetState::Aborted)] {
        let mut world = World::new();
        if aborted {
            world.order(FIRST, Order::Abort);
        }
        let until = NOW.plus(DAY);
        world.refuses(bundle(ONE), Refusal::Frozen { until });
        assert_eq!(*world.state(FIRST), wanted);
    }
}

#[test]
fn a_step_that_is_completed_leaves_it_at_the_next_one() {
    let mut world = World::new();
    world.tells(&Event::StepCompleted {
        generation: ONE,
        step: StepIndex(1),
        completion: Completion::Applied,
        summary: "installed".to_owned(),
        grade: Some(Grade::Installed),
    });
    let at_next = |state: &TargetState| matches!(state, TargetState::Running { step, .. } if *step == StepIndex(2));
    assert!(at_next(world.state(FIRST)), "{:?}", world.state(FIRST));
}

/// Its try is over and its number used; what was seen, and under what it went, stays with the work.
#[test]
fn another_try_keeps_what_was_seen_and_its_place() {
    let mut world = World::new();
    world.tells(&Event::StepCompleted {
        generation: ONE,
        step: StepIndex(0),
        completion: Completion::Applied,
        summary: String::new(),
        grade: Some(Grade::Installed),
    });
    world.ends(ONE, Ending::Completed);
    let place = world.fleet.rollouts()[&FIRST].work[&world.target].phase;
    assert_eq!(place, 1);
    let generation = world.issue(FIRST);
    world.accepts(generation, bundle(generation));
    world.tells(&common::begins(generation, 1));
    world.tells(&Event::StepFailed {
        generation,
        step: StepIndex(0),
        failure: Box::new(Failure::plain("x")),
    });
    world.ends(generation, Ending::Failed("x".to_owned()));
    let target = Some(world.target.clone());
    world.order(FIRST, Order::Retry { target });
    let work = &world.fleet.rollouts()[&FIRST].work[&world.target];
    assert_eq!(work.state, TargetState::Pending);
    assert_eq!((work.phase, work.grade), (1, Some(Grade::Installed)));
    assert!(work.tried && !work.short && work.said.is_empty());
    assert!(work.has_begun(), "it holds its place");
}

/// Two rollouts have work on it, and its bundle is of the first.
#[test]
fn what_is_under_way_in_one_rollout_is_left_out_of_another() {
    let mut world = World::new();
    world.take(&common::applied(SECOND, &world.plan));
    let skip = |target: &TargetId| Order::Skip {
        target: target.clone(),
        reason: "x".to_owned(),
    };
    let order = skip(&world.target);
    world.order(FIRST, order.clone());
    assert_eq!(*world.state(FIRST), TargetState::Offered, "it is under way");
    world.order(SECOND, order);
    assert_eq!(*world.state(SECOND), TargetState::Skipped("x".to_owned()));
    // So is what a person says of it.
    let resolve = Order::Resolve {
        target: world.target.clone(),
        reason: "scrap".to_owned(),
        off: false,
    };
    world.order(SECOND, resolve.clone());
    assert!(world.fleet.open(&world.target).is_some());
    world.order(FIRST, resolve);
    assert!(world.fleet.open(&world.target).is_none());
    assert_eq!(
        *world.state(FIRST),
        TargetState::Resolved("scrap".to_owned())
    );
}

fn gmsa() -> Section {
    Section {
        outage: false,
        gmsa: Some(GmsaObject {
            domain: "a.test".parse().unwrap(),
            name: None,
        }),
    }
}

/// The log was put back to before its bundle, and its section is known by its word alone.
#[test]
fn a_run_that_is_over_is_in_no_section_also_where_nobody_knows_its_bundle() {
    let other: TargetId = "s2.b.test".parse().unwrap();
    let key = SigningKey::generate().public();
    for (ended, leave) in [(Generation(7), true), (Generation(6), false)] {
        let mut world = World::new();
        world.take(&common::enrolled(&other, key));
        world.live.connected.insert(other.clone());
        let entered = Event::SectionEntered {
            generation: Generation(7),
            step: StepIndex(0),
            section: gmsa(),
        };
        let index = |world: &mut World, event: &Event| {
            world.told += 1;
            let record = common::told(&other, world.told, NOW, event);
            world.take(&record);
        };
        index(&mut world, &entered);
        let (step, attempt) = (StepIndex(0), Attempt(1));
        let target = world.target.clone();
        world.fleet.asks_permit(&target, ONE, step, attempt, gmsa());
        let given = |world: &World| {
            let decisions = world.fleet.decide(&world.live, NOW);
            let permits = |one: &Decision| matches!(one, Decision::Permit { .. });
            decisions.iter().any(permits)
        };
        assert!(!given(&world), "two would change one gMSA");
        let finished = Event::RunFinished {
            generation: ended,
            ending: Ending::Completed,
            receipt: String::new(),
        };
        index(&mut world, &finished);
        assert_eq!(given(&world), leave, "the end of {ended}");
    }
}

/// With a new key it is another agent, and what the old one told is not of it; with its own it is the same.
#[test]
fn what_is_known_of_an_agent_is_of_its_key() {
    let mut world = World::new();
    world.tells(&Event::FactsReported(Box::new(common::facts(None, None))));
    let target = world.target.clone();
    let known = |world: &World| {
        let known = &world.fleet.known()[&target];
        (known.key, known.facts.is_some())
    };
    let (key, other) = (world.key, SigningKey::generate().public());
    world.take(&common::enrolled(&target, key));
    assert_eq!(known(&world), (key.fingerprint(), true));
    world.take(&common::enrolled(&target, other));
    assert_eq!(known(&world), (other.fingerprint(), false));
}

/// What went on after the backup is unknown, and whoever has told it may have told it long ago.
#[test]
fn numbers_that_were_given_since_a_backup_are_given_to_nothing_else() {
    let mut world = World::new();
    let restored = Record::Restored {
        epoch: Epoch(2),
        parent: Epoch(1),
        made: NOW,
        by: "root".to_owned(),
    };
    assert_eq!(world.fleet.next_rollout(), SECOND);
    world.take(&restored);
    assert_eq!(world.fleet.next_rollout(), RolloutId(1002));
    world.take(&restored);
    assert_eq!(
        world.fleet.next_rollout(),
        RolloutId(2002),
        "each leaves as many out"
    );
    let met = Record::Met {
        target: world.target.clone(),
        generation: Generation(5),
    };
    world.take(&met);
    assert_eq!(world.fleet.next_generation(&world.target), Generation(6));
    let met = Record::Met {
        target: world.target.clone(),
        generation: Generation(3),
    };
    world.take(&met);
    assert_eq!(world.fleet.next_generation(&world.target), Generation(6));
    // A log that was put back before anything was applied leaves as many out.
    let fleet = world.replayed(&[restored]);
    assert_eq!(fleet.next_rollout(), RolloutId(1001));
}

/// What is shown beside the decisions: who is frozen or doubted, who was given up, how its mode was told last.
#[test]
fn what_stands_is_told_as_the_log_has_it() {
    let mut world = World::new();
    let target = world.target.clone();
    assert!(world.fleet.stopped().is_none() && world.fleet.frozen().is_empty());
    world.take(&Record::FleetFrozen {
        why: "x".to_owned(),
        by: "anna".to_owned(),
    });
    let again = world.fleet.may_freeze().unwrap_err();
    assert_eq!(again, "anna froze the fleet before: x");
    assert_eq!(world.fleet.may_thaw(), Ok(()));
    let stopped = world.fleet.stopped().unwrap();
    assert_eq!((stopped.by.as_str(), stopped.since), ("anna", NOW));
    let hold = world.fleet.hold(FIRST, &target, &world.live, NOW);
    assert_eq!(hold, None, "its bundle is on its way");
    world.take(&Record::FleetThawed {
        by: "anna".to_owned(),
    });
    assert!(world.fleet.stopped().is_none());
    assert_eq!(world.fleet.may_freeze(), Ok(()));
    assert!(world.fleet.may_thaw().is_err());
    let freeze = protocol::event::Freeze {
        until: NOW.plus(DAY),
        by: "bob".to_owned(),
        why: "y".to_owned(),
    };
    world.tells(&Event::Frozen(freeze.clone()));
    assert_eq!(world.fleet.frozen().get(&target), Some(&freeze));
    world.tells(&Event::Thawed);
    assert!(world.fleet.frozen().is_empty());

    assert!(world.fleet.settings().is_empty());
    world.tells(&Event::ConnectSettingsRead {
        generation: ONE,
        step: StepIndex(0),
        settings: Box::new(ConnectSettings::of(Vec::new(), Vec::new())),
    });
    assert_eq!(world.fleet.settings()[&target].generation, ONE);

    let resume = ControlDown::Resume { rollout: FIRST };
    assert_eq!(world.welcome(ONE), std::slice::from_ref(&resume));
    let unknown = Record::WentUnknown {
        target: target.clone(),
        generation: ONE,
    };
    world.take(&unknown);
    let two = Generation(2);
    assert_eq!(world.welcome(ONE), [], "it may be heard again");
    assert_eq!(world.welcome(two), [ControlDown::Abort { generation: two }]);
    world.tells(&Event::StepBegun {
        generation: ONE,
        step: StepIndex(0),
        attempt: Attempt(1),
        kind: "preflight".to_owned(),
    });
    assert_eq!(world.welcome(ONE), [resume], "it is heard");
    let row = world.fleet.why(&target, &world.live, NOW).unwrap();
    assert!(
        row.answer.ends_with(": running: preflight"),
        "{}",
        row.answer
    );
    assert_ne!(row.lifts.map(|lifts| lifts.cause), Some(Cause::Away));
}

/// A run hears how its rollout and the fleet stand, what a person has said of it, and its end where it is closed here.
#[test]
fn what_is_said_to_a_run_is_what_stands_for_it() {
    let mut world = World::new();
    let target = world.target.clone();
    world.accepts(ONE, bundle(ONE));
    let (pause, resume) = (
        ControlDown::Pause { rollout: FIRST },
        ControlDown::Resume { rollout: FIRST },
    );
    let end = ControlDown::Abort { generation: ONE };
    let goes_on = Order::Resume {
        after_restore: false,
    };
    let resolve = |target: &str| Order::Resolve {
        target: target.parse().unwrap(),
        reason: "it is looked at".to_owned(),
        off: false,
    };
    let its = |word: &ControlDown| vec![(target.clone(), word.clone())];
    let words = |world: &World, order: &Order| world.fleet.words_of(FIRST, order, NOW);
    assert_eq!(world.fleet.standing(&target), std::slice::from_ref(&resume));
    assert_eq!(words(&world, &Order::Pause), its(&pause));
    assert_eq!(words(&world, &goes_on), its(&resume));
    assert_eq!(words(&world, &Order::Abort), its(&end));
    assert_eq!(words(&world, &resolve(target.as_str())), its(&end));
    assert_eq!(words(&world, &resolve("s9.a.test")), []);
    assert_eq!(words(&world, &Order::Retry { target: None }), []);
    assert_eq!(world.fleet.words_of(SECOND, &Order::Abort, NOW), []);

    world.take(&Record::FleetFrozen {
        why: "x".to_owned(),
        by: "anna".to_owned(),
    });
    assert_eq!(world.fleet.standing(&target), std::slice::from_ref(&pause));
    assert_eq!(words(&world, &goes_on), [], "everything stands still");
    assert_eq!(world.fleet.words_of_a_standstill(FIRST), []);
    world.take(&Record::FleetThawed {
        by: "anna".to_owned(),
    });
    let ordered = |order: Order| Record::Ordered {
        rollout: FIRST,
        order,
        by: "anna".to_owned(),
    };
    world.take(&ordered(Order::Pause));
    assert_eq!(world.fleet.standing(&target), std::slice::from_ref(&pause));
    assert_eq!(world.fleet.words_of_a_standstill(FIRST), its(&pause));
    world.take(&ordered(goes_on.clone()));

    let step = StepIndex(0);
    world.tells(&Event::TaskOpened {
        generation: ONE,
        step,
        text: Box::new(TaskText {
            title: "look".to_owned(),
            why: String::new(),
            bring: Vec::new(),
            pages: Vec::new(),
            seen_by: String::new(),
        }),
    });
    assert_eq!(world.fleet.may_attest(&target, NOW), Ok((ONE, step)));
    let unknown = world.fleet.may_attest(&"s9.a.test".parse().unwrap(), NOW);
    assert!(unknown.unwrap_err().contains("s9.a.test is not enrolled"));
    world.take(&Record::Attested {
        target: target.clone(),
        generation: ONE,
        step,
        by: "bob".to_owned(),
    });
    let said = ControlDown::Attested {
        generation: ONE,
        step,
        by: "bob".to_owned(),
    };
    assert_eq!(world.welcome(ONE), [resume, said]);
    // After a restore, what is closed here is known once its journal is here.
    world.take(&Record::WentUnknown {
        target: target.clone(),
        generation: ONE,
    });
    world.take(&ordered(resolve(target.as_str())));
    assert_eq!(world.welcome(ONE), std::slice::from_ref(&end));
    world.take(&Record::Restored {
        epoch: Epoch(2),
        parent: Epoch(1),
        made: NOW,
        by: "anna".to_owned(),
    });
    assert_eq!(world.welcome(ONE), []);
    assert_eq!(world.fleet.word_once_met(&target, ONE), Some(end));
}

/// What a server said of its product before it left a section shows nothing of what came of the work there: its next pulse does.
#[test]
fn a_pulse_of_before_the_end_of_a_section_is_forgotten_and_no_other() {
    let mut world = World::new();
    let (target, other): (TargetId, TargetId) =
        (world.target.clone(), "s9.a.test".parse().unwrap());
    let pulse = Pulse {
        serving: true,
        at: NOW,
    };
    for server in [&target, &other] {
        world.live.pulses.insert(server.clone(), pulse);
    }
    let left = Event::SectionLeft {
        generation: Generation(1),
        step: StepIndex(0),
        gmsa: None,
    };
    let entered = Event::SectionEntered {
        generation: Generation(1),
        step: StepIndex(0),
        section: Section {
            outage: true,
            gmsa: None,
        },
    };
    world.live.heard(&target, &entered);
    assert_eq!(world.live.pulses.len(), 2);
    assert!(world.live.to_tell.is_empty());
    world.live.heard(&target, &left);
    assert_eq!(world.live.pulses, [(other, pulse)].into());
    assert_eq!(world.live.to_tell, [(target.clone(), NOW)].into());
    // It says so twice, and has said nothing of its product meanwhile.
    world.live.heard(&target, &left);
    assert_eq!(world.live.to_tell, [(target, NOW)].into());
}
