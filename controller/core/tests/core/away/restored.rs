//! A rollout of a log that was put back: what was ordered since the backup is forgotten.

use super::*;

const PLAIN: Order = Order::RESUME;
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
