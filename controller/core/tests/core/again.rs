//! Another try of what failed: it is carried out whatever happens meanwhile, on what the server is by then, within the same limits,
//! and beside no other rollout.

use controller_core::fleet::{Cause, TargetState};
use controller_core::plan::Purpose;
use controller_core::record::{Order, Record};
use protocol::event::Event;
use protocol::facts::Facts;
use protocol::refusal::Refusal;
use protocol::signed::Ending;
use protocol::{StepIndex, Version};

use crate::common;
use crate::estate::{DAY, WIDE, World, agent, begun, bundle, id, name};

const S1: &str = "s1.a.test";
const S2: &str = "s2.a.test";

/// A step has failed, and the agent still looks at the server before its run ends.
#[test]
fn a_retry_that_comes_before_the_end_of_the_run_is_carried_out_when_it_has_ended() {
    for inconclusive in [false, true] {
        for named in [false, true] {
            let mut world = World::upgrading(WIDE);
            world.issues();
            world.works(S1);
            let (word, ending) = if inconclusive {
                world.cannot_tell(S1);
                ("inconclusive", Ending::Inconclusive("is it so?".to_owned()))
            } else {
                world.breaks(S1);
                ("failed", Ending::Failed("it broke".to_owned()))
            };
            assert_eq!(world.word(1, S1), word);
            let target = named.then(|| name(S1));
            assert_eq!(world.order(1, Order::Retry { target }), Ok(()));
            assert!(
                world.row(1, S1).detail.contains("once its run has ended"),
                "{:?}",
                world.row(1, S1)
            );
            assert!(!world.issues().contains(&S1.to_owned()), "its run goes on");
            world.finishes(S1, ending);
            assert_eq!(world.word(1, S1), "pending", "{word}, named {named}");
            assert_eq!(world.issues(), [S1]);
        }
    }
}

#[test]
fn a_retry_is_given_once_and_an_abort_takes_it_away() {
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.works(S1);
    world.breaks(S1);
    world.retry(1, S1).expect("it may be tried again");
    world.order(1, Order::Abort).expect("it may be aborted");
    world.finishes(S1, Ending::Failed("it broke".to_owned()));
    let TargetState::Failed { failure, .. } = &world.work(1, S1).state else {
        panic!("{:?}", world.work(1, S1).state);
    };
    assert_eq!(failure.what, "it broke", "what the step said stays known");

    // One order is one try.
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.works(S1);
    world.breaks(S1);
    world.retry(1, S1).expect("it may be tried again");
    world.finishes(S1, Ending::Failed("it broke".to_owned()));
    assert_eq!(world.issues(), [S1]);
    world.fails(S1);
    assert_eq!(world.word(1, S1), "failed");
}

/// What a step has ended with stays known where its agent is not heard of any more.
#[test]
fn a_step_that_failed_stays_failed_though_the_end_of_its_run_is_not_heard() {
    for replaced in [false, true] {
        for again in [false, true] {
            let mut world = World::upgrading(WIDE);
            world.issues();
            world.works(S1);
            world.breaks(S1);
            if again {
                world.retry(1, S1).expect("it may be tried again");
            }
            if replaced {
                let (target, by) = (name(S1), "root".to_owned());
                world.take(Record::AgentReplaced { target, by });
            } else {
                world.leaves(S1);
                world.now = world.now.plus(3 * DAY);
                world.issues();
            }
            assert!(world.fleet.open(&name(S1)).is_none());
            let word = if again { "pending" } else { "failed" };
            assert_eq!(world.word(1, S1), word, "replaced {replaced}");
        }
    }
}

/// A server that went unknown in the middle of its work, and of which another try was ordered.
fn retried_unknown() -> World {
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.works(S1);
    world.leaves(S1);
    world.now = world.now.plus(3 * DAY);
    world.issues();
    assert_eq!(world.word(1, S1), "unknown");
    world.retry(1, S1).expect("it may be tried again");
    assert_eq!(world.word(1, S1), "pending");
    world
}

#[test]
fn a_retry_of_an_unknown_server_takes_up_the_run_that_it_is_still_at() {
    let first = protocol::Generation(1);
    let mut world = retried_unknown();
    // What it has journaled comes before anything is offered.
    let step = StepIndex(1);
    world.tells(S1, &begun(first, step));
    world.comes(S1);
    assert_eq!(world.word(1, S1), "running");
    assert_eq!(world.issues(), [""; 0], "one run at a time");
    let mut fails = world;
    fails.finishes(S1, Ending::Failed("it broke".to_owned()));
    assert_eq!(
        fails.word(1, S1),
        "pending",
        "it was ordered to be tried again"
    );
    assert_eq!(fails.issues(), [S1]);

    // It goes on from there where the run came to its end after all.
    let mut world = retried_unknown();
    world.tells(S1, &begun(first, step));
    world.comes(S1);
    world.ends(S1);
    assert_eq!((world.word(1, S1), world.work(1, S1).phase), ("pending", 1));
}

#[test]
fn a_bundle_that_is_refused_since_the_old_run_goes_on_is_no_failure() {
    let mut world = retried_unknown();
    // It is in the middle of a long step, and has nothing to tell.
    world.comes(S1);
    assert_eq!(world.issues(), [S1]);
    let (old, new) = (protocol::Generation(1), world.generation(S1));
    world.tells(
        S1,
        &Event::BundleRefused {
            bundle: bundle(&name(S1), new),
            refusal: Refusal::Busy { open: old },
        },
    );
    assert_eq!(world.word(1, S1), "offered");
    assert_eq!(world.generation(S1), old, "its run is heard again");
    assert_eq!(world.issues(), [""; 0]);
    world.finishes(S1, Ending::Failed("it broke".to_owned()));
    assert_eq!(world.word(1, S1), "pending");
    // The numbers go on all the same.
    assert_eq!(world.issues(), [S1]);
    assert!(world.generation(S1) > new);
}

/// Whoever went unknown may be at its work still: its retry frees no place among the failures that may be, until it has spoken.
#[test]
fn the_run_before_a_retry_that_may_yet_speak_counts_as_one_that_may_fail() {
    let two = WIDE.replace("failures = \"20\"", "failures = \"2\"");
    let mut world = World::upgrading(&two);
    assert_eq!(world.issues(), [S1, S2]);
    for target in [S1, S2] {
        world.works(target);
    }
    let step = world.changing(S1);
    world.leaves(S1);
    world.now = world.now.plus(3 * DAY);
    world.issues();
    assert_eq!(world.word(1, S1), "unknown");
    world.finishes(S2, Ending::Failed("it broke".to_owned()));
    world.retry(1, S1).expect("it may be tried again");
    // One has failed, and one may yet.
    assert_eq!(world.issues(), [""; 0]);
    let hold = world.hold(1, "s3.a.test");
    assert_eq!(hold.cause, Cause::MayYetFail);
    assert!(
        hold.why
            .contains("1 whose run before the retry may yet speak"),
        "{hold:?}"
    );
    assert!(
        hold.why.contains("s1.a.test is unreachable: away since"),
        "{hold:?}"
    );
    // It speaks: it is at its work, and nothing more was let begin.
    world.comes(S1);
    world.tells(S1, &begun(protocol::Generation(1), step));
    assert_eq!(
        (world.word(1, S1), world.word(1, S2)),
        ("running", "failed")
    );
    assert_eq!(world.issues(), [""; 0], "that makes two");
}

/// What it holds so is its own: it is offered its work when it is back, and others begin when it has taken that up.
#[test]
fn whoever_is_tried_again_takes_the_place_that_it_holds_itself() {
    let one = WIDE.replace("failures = \"20\"", "failures = \"1\"");
    let mut world = World::upgrading(&one);
    assert_eq!(world.issues(), [S1]);
    world.works(S1);
    world.leaves(S1);
    world.now = world.now.plus(3 * DAY);
    world.issues();
    world.retry(1, S1).expect("it may be tried again");
    assert_eq!(world.issues(), [""; 0]);
    world.comes(S1);
    assert_eq!(world.issues(), [S1]);
    world.accepts(S1);
    world.is_done(1, S1);
    assert_eq!(world.word(1, S2), "offered");
}

/// The line of a site and the work of a whole rollout are protected from ten second tries as from ten first ones.
#[test]
fn a_retry_waits_for_a_place_like_whoever_begins() {
    for (policy, most) in [
        (format!("{WIDE}[site.ams]\nmax_in_flight = 1\n"), 1),
        (WIDE.replace("in_flight = 20", "in_flight = 2"), 2),
    ] {
        let mut world = World::new();
        let servers = [S1, S2, "s3.a.test", "s4.a.test"];
        world.applies(1, Purpose::Install, &policy, &servers);
        // Each fails in its second phase.
        while let Some(target) = world.issues().first().cloned() {
            let open = |target: &&str| world.fleet.open(&name(target)).is_some();
            let under_way: Vec<&str> = servers.iter().copied().filter(open).collect();
            assert!(under_way.contains(&target.as_str()));
            for target in under_way {
                if world.work(1, target).phase == 0 {
                    world.accepts(target);
                    world.ends(target);
                } else {
                    world.fails(target);
                }
            }
        }
        for target in servers {
            assert_eq!(
                (world.word(1, target), world.work(1, target).phase),
                ("failed", 1)
            );
        }
        world
            .order(1, Order::Retry { target: None })
            .expect("they may be tried again");
        assert_eq!(world.issues().len(), most, "{policy}");
        let waits = world.hold(1, "s4.a.test");
        assert!(
            waits.why.contains(&format!("of at most {most}")),
            "{waits:?}"
        );
        // And they come one after the other to their end.
        for _ in 0..8 {
            for target in servers {
                if world.fleet.open(&name(target)).is_some() {
                    world.accepts(target);
                    world.ends(target);
                }
            }
            assert!(world.issues().len() <= most);
        }
        assert!(servers.iter().all(|one| world.word(1, one) == "done"));
    }
}

/// A site is one place, whoever has work there.
#[test]
fn what_is_under_way_at_a_site_counts_in_all_rollouts() {
    let policy = format!("{WIDE}[site.ams]\nmax_in_flight = 1\n");
    for (first, second) in [(policy.as_str(), policy.as_str()), (WIDE, policy.as_str())] {
        let mut world = World::new();
        world.applies(1, Purpose::Install, first, &[S1]);
        world.applies(2, Purpose::Install, second, &[S2]);
        assert_eq!(world.issues(), [S1], "the line takes one");
        let hold = world.hold(2, S2);
        assert!(
            hold.why
                .contains("1 of at most 1 are under way at site ams"),
            "{hold:?}"
        );
        assert!(hold.why.contains("(1 of them in r1"), "{hold:?}");
        world.is_done(1, S1);
        assert_eq!(world.word(2, S2), "offered");
    }
    // Whoever only looks is no load.
    let mut world = World::new();
    world.applies(1, Purpose::Verify, &policy, &[S1]);
    world.applies(2, Purpose::Install, &policy, &[S2]);
    assert_eq!(world.issues(), [S1, S2]);
}

/// What another rollout has taken over is not taken back beside it.
#[test]
fn a_retry_beside_another_rollout_is_refused_by_its_name() {
    let mut world = World::new();
    world.applies(1, Purpose::Install, WIDE, &[S1, S2]);
    world.issues();
    world.fails(S1);
    world.fails(S2);
    world.applies(2, Purpose::Install, WIDE, &[S1]);
    let refused = world.retry(1, S1).expect_err("it is r2's");
    assert!(refused.contains("r2") && refused.contains(S1), "{refused}");
    let all = Order::Retry { target: None };
    let refused = world
        .order(1, all.clone())
        .expect_err("one of them is r2's");
    assert!(refused.contains("r2") && refused.contains(S1), "{refused}");
    assert_eq!(world.retry(1, S2), Ok(()), "that one is free");
    // One that ended is in nobody's way, until it is tried again itself.
    world.issues();
    world.works(S1);
    world.breaks(S1);
    assert!(world.retry(2, S1).is_ok());
    assert!(world.retry(1, S1).is_err(), "r2 tries it again in a moment");
    world.finishes(S1, Ending::Failed("it broke".to_owned()));
    world.issues();
    world.fails(S1);
    assert_eq!(world.order(1, all), Ok(()));
    assert!(world.retry(2, S1).expect_err("it is r1's").contains("r1"));
}

fn upgraded() -> Facts {
    common::facts(Some(agent(Version::new(1, 1, 2000, 0))), None)
}

fn as_planned() -> Facts {
    common::facts(Some(agent(Version::new(1, 1, 1373, 0))), None)
}

fn assumed(world: &World) -> Option<protocol::Digest> {
    let of = &world.fleet.known()[&name(S1)];
    let manifest = world
        .fleet
        .manifest(id(1), &name(S1), 0, of.key, world.now)
        .expect("it has that phase");
    manifest.assumed.map(|assumed| assumed.essence)
}

#[test]
fn a_retry_carries_no_plan_out_that_was_made_for_another_state() {
    let mut world = World::upgrading(WIDE);
    let planned = assumed(&world);
    world.issues();
    world.accepts(S1);
    // Somebody upgraded it by hand: the agent sees that before its first step, and ends.
    world.reports(S1, upgraded());
    world.finishes(
        S1,
        Ending::Failed("no longer what the plan took it to be".to_owned()),
    );
    assert_eq!(world.issues(), [""; 0], "it waits for a plan of its own");
    assert!(planned.is_some() && assumed(&world) == planned);
    world.reports(S1, as_planned());

    // What it has made itself is what it finds.
    assert_eq!(world.issues(), [S1]);
    world.works(S1);
    world.reports(S1, upgraded());
    world.breaks(S1);
    world.finishes(S1, Ending::Failed("it broke".to_owned()));
    world.retry(1, S1).expect("it may be tried again");
    assert_eq!(assumed(&world), Some(upgraded().essence()));
}

#[test]
fn a_retry_after_the_agent_was_replaced_in_the_middle_finds_what_was_made_before() {
    let mut world = World::upgrading(WIDE);
    world.issues();
    world.works(S1);
    let (target, by) = (name(S1), "root".to_owned());
    world.take(Record::AgentReplaced { target, by });
    world.enrolls(&name(S1));
    world.reports(S1, upgraded());
    world.retry(1, S1).expect("it may be tried again");
    assert_eq!(assumed(&world), Some(upgraded().essence()));
}
