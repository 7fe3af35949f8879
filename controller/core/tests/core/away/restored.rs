//! A rollout of a log that was put back: what was ordered since the backup is forgotten.

use controller_core::fleet::Unaccepted;

use super::*;

const PLAIN: Order = Order::Resume {
    after_restore: false,
};
const KNOWING: Order = Order::Resume {
    after_restore: true,
};

fn restore(world: &mut World) {
    world.take(Record::Restored {
        epoch: protocol::Epoch(2),
        parent: protocol::Epoch(1),
        made: world.now,
        by: "root".to_owned(),
    });
}

/// The journal of an agent is here to its end.
fn met(world: &mut World, target: &TargetId) {
    let generation = Generation(world.fleet.next_generation(target).0 - 1);
    world.take(Record::Met {
        target: target.clone(),
        generation,
    });
}

/// The first one is at work when the backup is made.
fn restored() -> (World, TargetId) {
    let mut world = World::new("");
    let first = name("s1.a.test");
    world.decide();
    world.works(&first);
    restore(&mut world);
    assert_eq!(world.standing(), "paused");
    (world, first)
}

fn refused(world: &World, order: &Order) -> String {
    let may = world.fleet.may_order(FIRST, order, &world.live, world.now);
    may.expect_err("it is refused")
}

#[test]
fn a_rollout_that_a_restore_holds_goes_on_by_a_word_of_its_own() {
    let (mut world, _) = restored();
    let why = refused(&world, &PLAIN);
    for part in [
        "r1 is held since this controller was restored",
        "abort, skip, resolve, limits, override, freeze",
        "entrain resume r1 --after-restore",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let held = world.row(&name("s2.a.test")).detail;
    assert!(held.contains("entrain resume r1 --after-restore"), "{held}");
    world.order(KNOWING);
    assert_ne!(world.standing(), "paused");
    // From then on it is paused and goes on like every other.
    world.order(Order::Pause);
    world.order(PLAIN);
    world.is_what_the_log_tells();
    // One that was paused when the backup was made may have been aborted since as well.
    world.order(Order::Pause);
    restore(&mut world);
    refused(&world, &PLAIN);
    world.order(KNOWING);
    world.is_what_the_log_tells();
}

#[test]
fn a_rollout_that_was_aborted_since_the_backup_does_not_go_on() {
    let (mut world, first) = restored();
    world.finishes(&first, Ending::Aborted);
    met(&mut world, &first);
    assert_eq!(world.row(&first).state, "aborted");
    for order in [PLAIN, KNOWING] {
        let why = refused(&world, &order);
        for part in [
            "r1 was aborted after the backup",
            "s1.a.test",
            "entrain abort r1",
            "entrain skip r1 TARGET --reason WHY",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
    }
    // It is ended again; or whoever had aborted is left out, and the others go on.
    let may = |world: &World, order| world.fleet.may_order(FIRST, order, &world.live, world.now);
    assert_eq!(may(&world, &Order::Abort), Ok(()));
    world.order(Order::Skip {
        target: first,
        reason: "the rest is to go on".to_owned(),
    });
    refused(&world, &PLAIN);
    world.order(KNOWING);
    assert_ne!(world.standing(), "paused");
    world.is_what_the_log_tells();
}

/// Its operator did not wait for the agents.
#[test]
fn a_rollout_that_went_on_before_its_abort_was_told_is_held_again() {
    let (mut world, first) = restored();
    world.order(KNOWING);
    world.finishes(&first, Ending::Aborted);
    assert_eq!(world.standing(), "paused");
    assert!(world.decide().is_empty(), "nobody begins");
    let why = refused(&world, &KNOWING);
    assert!(why.contains("was aborted after the backup"), "{why}");
    world.is_what_the_log_tells();

    // What this life of the log does itself is no abort of the one before: a fence, say, ends the run that it finds.
    let (mut world, first) = restored();
    world.order(KNOWING);
    met(&mut world, &first);
    world.finishes(&first, Ending::Aborted);
    assert_ne!(world.standing(), "paused");
    // Nor is one that had ended so before the backup was made.
    restore(&mut world);
    world.order(KNOWING);
    world.is_what_the_log_tells();
}

/// In a life of the log that is lost it has accepted the bundle behind the one that is open here, of a rollout that nobody here knows or
/// of another one.
fn passes(world: &mut World, target: &TargetId, rollout: RolloutId) -> (Generation, Generation) {
    let open = world.fleet.open(target).expect("it is open").clone();
    let later = open.generation.next();
    let accepted = Event::BundleAccepted {
        bundle: bundle(target, later),
        generation: later,
        rollout,
        phase: open.phase,
        change: None,
    };
    world.tells(target, &accepted);
    (open.generation, later)
}

/// What the agent has passed it takes up no more, and it does not have it: no word of the controller's would ever end it, and nothing
/// else is begun on that server.
#[test]
fn a_bundle_that_its_agent_has_passed_since_the_backup_is_withdrawn_when_it_is_back() {
    for ends in [true, false] {
        let mut world = World::new("");
        let [first, second] = ["s1.a.test", "s2.a.test"].map(name);
        world.decide();
        world.leaves(&first);
        restore(&mut world);
        let (passed, later) = passes(&mut world, &first, RolloutId(900));
        let entered = Event::SectionEntered {
            generation: later,
            step: STEP,
            section: section(),
        };
        world.tells(&first, &entered);
        if ends {
            let ended = Event::RunFinished {
                generation: later,
                ending: Ending::Completed,
                receipt: String::new(),
            };
            world.tells(&first, &ended);
        }
        for target in world.fleet.known().clone().into_keys() {
            let newest = Generation(u64::from(target == first) * later.0);
            world.take(Record::Met {
                target,
                generation: newest,
            });
        }
        world.live.came(first.clone(), world.now);
        let becomes = |world: &World, newest| {
            world
                .fleet
                .unaccepted(&first, newest, &world.live, world.now)
        };
        assert_eq!(
            becomes(&world, passed),
            None,
            "what it is at is its own to tell"
        );
        let withdrawn = Some(Unaccepted::Withdraw(passed));
        assert_eq!(becomes(&world, later), withdrawn);
        let target = first.clone();
        let generation = passed;
        world.take(Record::Withdrawn { target, generation });
        assert!(world.fleet.open(&first).is_none());
        // The rollout is held since the restore, and nothing of it is out.
        assert_eq!(world.row(&first).state, "held");
        // What it is in by the later one is claimed until it tells that it has left it.
        world.order(KNOWING);
        let generation = world.fleet.next_generation(&second);
        world.take(Record::BundleIssued {
            rollout: FIRST,
            target: second.clone(),
            generation,
            phase: world.plan.targets[&second].phases[0].phase,
            bundle: bundle(&second, generation),
            expires: world.now.plus(24 * HOUR),
        });
        let waits = world.leave(&second, FIRST);
        let for_it = waits.contains("s1.a.test changes the same gMSA");
        assert_eq!(for_it, !ends, "{waits}");
        // An order reaches all of it again.
        world.order(Order::Abort);
        assert_eq!(world.row(&first).state, "aborted");
        world.is_what_the_log_tells();
    }
}

/// Two rollouts of the backup: the one had issued a bundle, and the other one took its server up since.
#[test]
fn a_run_that_is_taken_up_after_a_restore_closes_what_was_open_before() {
    for same in [false, true] {
        let mut world = World::new("");
        let first = name("s1.a.test");
        world.decide();
        world.take(common::applied(SECOND, &world.plan.clone()));
        world.leaves(&first);
        restore(&mut world);
        let of = if same { FIRST } else { SECOND };
        let (_, later) = passes(&mut world, &first, of);
        let open = world.fleet.open(&first).expect("it is taken up");
        assert_eq!((open.rollout, open.generation), (of, later));
        let work = &world.fleet.rollouts()[&FIRST].work[&first];
        let state = if same { "offered" } else { "pending" };
        assert_eq!(work.state.word(), state);
        world.is_what_the_log_tells();
    }
}
