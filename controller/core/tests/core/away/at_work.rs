//! Who may be at work when an order comes, of those whose run nobody waits for any more.

use super::*;

fn said(world: &World) -> String {
    let all = world.fleet.at_work(None, &world.live, world.now);
    let own = world.fleet.at_work(Some(FIRST), &world.live, world.now);
    assert_eq!(all, own, "there is one rollout");
    let of_another = world.fleet.at_work(Some(SECOND), &world.live, world.now);
    assert!(of_another.is_empty(), "{of_another:?}");
    all.sentence()
}

/// The first one is at work and goes away, in its section or behind it, until its bundle has ended.
fn lost(in_a_section: bool) -> (World, TargetId) {
    let mut world = World::new("");
    let first = name("s1.a.test");
    world.decide();
    world.works(&first);
    assert_eq!(said(&world), "1 server at work has been told");
    if !in_a_section {
        let left = Event::SectionLeft {
            generation: world.generation(&first),
            step: STEP,
            gmsa: None,
        };
        world.tells(&first, &left);
    }
    world.leaves(&first);
    assert!(said(&world).starts_with("s1.a.test is away and may still be at work"));
    world.passes(25 * HOUR);
    world.decide();
    assert!(world.fleet.open(&first).is_none());
    assert_eq!(world.row(&first).state, "unknown");
    (world, first)
}

#[test]
fn whoever_went_unknown_may_still_be_at_work() {
    let (mut world, first) = lost(false);
    assert!(said(&world).starts_with("s1.a.test is away and may still be at work"));
    let answer = world
        .fleet
        .answer_to(FIRST, &Order::Pause, &world.live, world.now);
    assert!(answer.contains("s1.a.test is away"), "{answer}");
    world.order(Order::Resolve {
        target: first,
        reason: "it was looked at".to_owned(),
        off: false,
    });
    assert_eq!(said(&world), "no server is at work");
}

/// Who is at work stands in the answer to an order where somebody is, and nothing where nobody is. Whoever went unknown and has a session again
/// hears of it now.
#[test]
fn an_answer_names_who_is_at_work_and_nobody_else() {
    let (mut world, first) = lost(false);
    let answer =
        |world: &World, order: &Order| world.fleet.answer_to(FIRST, order, &world.live, world.now);
    let pause = |more: &str| {
        format!(
            "{FIRST} is paused: nothing new begins in it, and what is under way waits at its next gate{more}; entrain resume {FIRST} lifts it"
        )
    };
    let abort = |more: &str| {
        format!(
            "{FIRST} is aborted: nothing new begins in it, and what is under way ends at its next gate{more}"
        )
    };
    let away = "; s1.a.test is away and may still be at work: it hears of this when it is back";
    assert_eq!(answer(&world, &Order::Pause), pause(away));
    assert_eq!(answer(&world, &Order::Abort), abort(away));
    world.live.came(first, world.now);
    assert_eq!(said(&world), "no server is at work");
    assert_eq!(answer(&world, &Order::Pause), pause(""));
    assert_eq!(answer(&world, &Order::Abort), abort(""));
}

/// It brings its section to its end, whoever ordered what, and whether it is heard or not.
#[test]
fn whoever_may_be_in_a_section_of_a_run_that_was_given_up_is_named_until_that_is_free() {
    const NAMED: &str = "s1.a.test may be in a section of a run that was given up";
    let (mut world, first) = lost(true);
    assert!(said(&world).starts_with(NAMED), "its bundle ended");
    let resolve = |off| Order::Resolve {
        target: first.clone(),
        reason: "it was looked at".to_owned(),
        off,
    };
    world.order(resolve(false));
    assert!(said(&world).starts_with(NAMED), "it was resolved");
    world.live.came(first.clone(), world.now);
    assert!(said(&world).starts_with(NAMED), "it has told of no end");
    world.leaves(&first);
    world.order(resolve(true));
    assert_eq!(said(&world), "no server is at work");

    let (mut world, first) = lost(true);
    world.take(Record::AgentRevoked {
        target: first.clone(),
        key: world.fleet.known()[&first].key,
        by: "root".to_owned(),
    });
    assert!(said(&world).starts_with(NAMED), "its key was revoked");
    world.take(Record::SaidOff {
        target: first,
        by: "root".to_owned(),
    });
    assert_eq!(said(&world), "no server is at work");
}
