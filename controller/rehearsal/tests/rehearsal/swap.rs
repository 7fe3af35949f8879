//! Another Connect server becomes the active one: the whole way in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_twin::Fault;
use controller_core::fleet::{Refusal, TargetState};
use controller_core::record::Order;
use protocol::TargetId;
use protocol::signed::Phase;
use rehearsal::{Ask, ROLLOUT, World, rehearse, render};

use crate::common::{NOW, failed_over, swapped, swapped_at_night, target};

fn ask(faults: &[(&str, Fault)]) -> Ask {
    let of = |(server, fault): &(&str, Fault)| (target(server), BTreeSet::from([*fault]));
    Ask {
        begin: NOW,
        person: Some(Duration::from_secs(600)),
        faults: faults.iter().map(of).collect(),
        seed: 1,
    }
}

/// Who is active after each happening, one entry for each change.
fn course(ask: Ask) -> (World, Vec<Vec<TargetId>>) {
    let (plan, known) = swapped();
    let mut world = World::new(&plan, &known, ask);
    let mut seen: Vec<Vec<TargetId>> = Vec::new();
    world.run_until(NOW.plus(Duration::from_secs(30 * 86_400)), |world| {
        let active = plan.targets.keys();
        let active = active.filter(|one| world.is_active(one) == Some(true));
        let active: Vec<TargetId> = active.cloned().collect();
        if seen.last() != Some(&active) {
            seen.push(active);
        }
    });
    (world, seen)
}

fn state(world: &World, server: &str) -> TargetState {
    let rollout = &world.fleet.rollouts()[&ROLLOUT];
    rollout.work[&target(server)].state.clone()
}

#[test]
fn the_active_server_goes_first_and_the_other_follows_with_none_active_between() {
    let (world, seen) = course(ask(&[]));
    let (one, two) = (target("c1.corp.test"), target("c2.corp.test"));
    assert_eq!(seen, [vec![one], vec![], vec![two]]);
    for server in ["c1.corp.test", "c2.corp.test"] {
        assert!(
            matches!(state(&world, server), TargetState::Done(_)),
            "{server}"
        );
    }
    assert!(world.changes(&target("c3.corp.test")).is_empty());
}

#[test]
fn a_rehearsal_tells_what_people_do_and_in_which_order() {
    let (plan, known) = swapped();
    let rehearsal = rehearse(&plan, &known, &ask(&[]), 3);
    assert_eq!(rehearsal.course.left, []);
    let hands = &rehearsal.course.hands;
    let of: Vec<(&str, bool)> = hands
        .iter()
        .map(|hand| (hand.target.as_str(), hand.what.contains("out of staging")))
        .collect();
    assert_eq!(
        of,
        [("c1.corp.test", false), ("c2.corp.test", true)],
        "{hands:?}"
    );
    assert!(render(&rehearsal, &plan).contains("everything would be done"));
}

/// What the staging server would export is not within the limits, cannot be counted, or is old: the active one is not touched.
#[test]
fn where_the_staging_server_is_not_fit_the_active_one_stays_active() {
    for fault in [
        Fault::DeletionsPending,
        Fault::ExportsUnreadable,
        Fault::FullSyncDue,
        Fault::NextCycleFull,
        Fault::CycleOverdue,
    ] {
        let (world, seen) = course(ask(&[("c2.corp.test", fault)]));
        assert_eq!(seen, [vec![target("c1.corp.test")]], "{fault:?}");
        assert!(
            matches!(state(&world, "c2.corp.test"), TargetState::Failed { .. }),
            "{fault:?}"
        );
        assert_eq!(state(&world, "c1.corp.test"), TargetState::Pending);
        let held = world
            .fleet
            .hold(ROLLOUT, &target("c1.corp.test"), &world.live, world.now);
        let why = held.expect("it is held").why;
        assert!(why.contains("(G4)") && why.contains("retry"), "{why}");
    }
}

/// A person may sit at either wizard only when settings are equal, or their difference is approved.
#[test]
fn where_settings_differ_or_cannot_be_told_nobody_is_asked_to_change_a_mode() {
    let scope = "rules: inbound rule \"In from AD - Sales\" of corp, scope";
    for (fault, says) in [
        (Fault::SettingsDiffer, scope),
        (Fault::SettingsUnreadable, "cannot be told: rules of"),
    ] {
        for server in ["c1.corp.test", "c2.corp.test"] {
            let (plan, known) = swapped();
            let mut world = World::new(&plan, &known, ask(&[(server, fault)]));
            let month = NOW.plus(Duration::from_secs(30 * 86_400));
            world.run_until(month, |_| {});
            let (one, two) = (target("c1.corp.test"), target("c2.corp.test"));
            assert_eq!(world.is_active(&one), Some(true), "{fault:?} on {server}");
            assert_eq!(state(&world, "c1.corp.test"), TargetState::Pending);
            let held = world.fleet.hold(ROLLOUT, &one, &world.live, world.now);
            let why = held.expect("it is held").why;
            assert!(why.contains("(G4)") && why.contains(says), "{why}");
            let difference = world.fleet.differences(ROLLOUT).remove(0);
            let approved = Order::AcceptDifference {
                difference: difference.digest,
                reason: "it is meant".to_owned(),
            };
            world.order(approved).unwrap();
            world.run_until(month.plus(Duration::from_secs(30 * 86_400)), |_| {});
            assert_eq!(world.is_active(&one), Some(false), "{fault:?} on {server}");
            assert_eq!(world.is_active(&two), Some(true), "{fault:?} on {server}");
        }
    }
}

/// It is another one by the time that the first half is done: nobody is active, and nobody becomes it unapproved.
#[test]
fn what_differs_only_when_the_first_half_is_done_holds_the_second() {
    let (plan, known) = swapped();
    let (one, two) = (target("c1.corp.test"), target("c2.corp.test"));
    let mut world = World::new(&plan, &known, ask(&[]));
    let month = NOW.plus(Duration::from_secs(30 * 86_400));
    let mut first = None;
    // The person at the first wizard takes ten minutes: in these somebody edits a rule on the other server.
    world.run_until(NOW.plus(Duration::from_secs(300)), |world| {
        first = world.fleet.open(&one).map(|open| open.phase);
    });
    assert_eq!(first, Some(Phase::Register));
    world.set_faults(&two, BTreeSet::from([Fault::SettingsDiffer]));
    world.run_until(month, |_| {});
    assert_eq!(
        (world.is_active(&one), world.is_active(&two)),
        (Some(false), Some(false))
    );
    let held = world.fleet.hold(ROLLOUT, &two, &world.live, world.now);
    assert!(held.expect("it is held").why.contains("differ in"));
    world.set_faults(&two, BTreeSet::new());
    let again = Order::Retry {
        target: Some(two.clone()),
    };
    world.order(again).unwrap();
    world.run_until(month.plus(Duration::from_secs(30 * 86_400)), |_| {});
    assert_eq!(world.is_active(&two), Some(true));
}

#[test]
fn while_nobody_comes_to_the_active_server_the_other_is_not_asked_for() {
    let (plan, known) = swapped();
    let nobody = Ask {
        person: None,
        ..ask(&[])
    };
    let course = rehearse(&plan, &known, &nobody, 1).course;
    let asked: BTreeSet<&str> = course
        .hands
        .iter()
        .map(|hand| hand.target.as_str())
        .collect();
    assert_eq!(asked, BTreeSet::from(["c1.corp.test"]));
    let left: BTreeMap<&str, &str> = course
        .left
        .iter()
        .map(|left| (left.target.as_str(), left.why.as_str()))
        .collect();
    assert!(left["c2.corp.test"].contains("G1"), "{left:?}");
}

/// The active server is off; another takes its place, and it is fenced before anything else when it is back.
#[test]
fn a_server_that_is_off_is_replaced_and_fenced_when_it_is_back() {
    let (plan, known) = failed_over();
    let (old, new) = (target("c1.corp.test"), target("c2.corp.test"));
    let mut world = World::new(&plan, &known, ask(&[]));
    let day = NOW.plus(Duration::from_secs(86_400));
    world.run_until(day, |_| {});
    assert_eq!(world.is_active(&new), Some(true));
    assert!(matches!(
        state(&world, "c2.corp.test"),
        TargetState::Done(_)
    ));
    assert_eq!(state(&world, "c1.corp.test"), TargetState::Pending);
    assert!(!world.is_over(), "the fence stands ready");
    world.arrives(&old);
    world.run_until(day.plus(Duration::from_secs(3600)), |_| {});
    assert_eq!(world.changes(&old), ["disable ADSync"]);
    assert_eq!(world.is_active(&old), Some(false));
    assert!(matches!(
        state(&world, "c1.corp.test"),
        TargetState::Done(_)
    ));
    assert!(world.is_over());
}

/// The active server is lost while a person sits at its wizard: what it was in is ended, and its fence is the first thing that it
/// gets when it is back, in another life of its agent or in the same.
#[test]
fn a_server_that_is_lost_in_a_rollout_is_fenced_first_when_it_is_back() {
    for (ends, killed) in [("abort", true), ("abort", false), ("resolve", true)] {
        let (plan, known) = swapped();
        let (over, _) = failed_over();
        let (old, new) = (target("c1.corp.test"), target("c2.corp.test"));
        let mut world = World::new(&plan, &known, ask(&[]));
        world.run_until(NOW.plus(Duration::from_secs(300)), |_| {});
        let open = world
            .fleet
            .open(&old)
            .cloned()
            .expect("it waits for its person");
        assert_eq!(open.phase, Phase::Register);
        world.leaves(&old);
        if killed {
            world.kill(&old);
        }
        if ends == "resolve" {
            let (target, reason) = (old.clone(), "it burned".to_owned());
            world
                .order(Order::Resolve {
                    target,
                    reason,
                    off: false,
                })
                .unwrap();
        }
        let over = world.planned(&over);
        let refused = world.apply(&over);
        assert!(
            matches!(refused, Err(Refusal::AtWork { rollout: ROLLOUT, ref target }) if *target == new),
            "the other is not over there: {refused:?}"
        );
        world.order(Order::Abort).unwrap();
        // Nor while the one whose place is taken is here.
        let mut back = World::new(&plan, &known, ask(&[]));
        back.order(Order::Abort).unwrap();
        let refused = back.apply(&back.planned(&over));
        assert_eq!(refused, Err(Refusal::OffIsHere(old.clone())));
        let failover = world.apply(&over).unwrap();
        let day = NOW.plus(Duration::from_secs(300));
        world.arrives(&old);
        let mut both = false;
        world.run_until(day.plus(Duration::from_secs(86_400)), |world| {
            both |= world.is_active(&old) == Some(true) && world.is_active(&new) == Some(true);
        });
        assert!(!both, "two were active");
        assert_eq!(world.changes(&old), ["disable ADSync"], "{ends}, {killed}");
        assert_eq!(world.is_active(&new), Some(true));
        let work = &world.fleet.rollouts()[&failover].work;
        let state = work[&old].state.clone();
        assert!(matches!(state, TargetState::Done(_)), "{state:?}");
        let state = world.fleet.rollouts()[&ROLLOUT].work[&old].state.clone();
        assert!(matches!(state, TargetState::Resolved(_)), "{state:?}");
    }
}

/// The run that a fence waits for is in the middle of something. Its own rollout is aborted, or is paused, meanwhile: it is not begun when
/// that run has ended, and after a pause it comes when the rollout goes on.
#[test]
fn a_fence_that_waits_is_not_begun_once_its_rollout_is_aborted_or_paused() {
    let (plan, known) = swapped();
    let (over, _) = failed_over();
    let old = target("c1.corp.test");
    let day = Duration::from_secs(86_400);
    let mut waited = 0;
    for seconds in 1..60 {
        for order in [Order::Abort, Order::Pause] {
            let mut world = World::new(&plan, &known, ask(&[]));
            world.run_until(NOW.plus(Duration::from_secs(seconds)), |_| {});
            if world.fleet.open(&old).is_none() {
                continue;
            }
            world.leaves(&old);
            world.order(Order::Abort).unwrap();
            let failover = world.apply(&world.planned(&over)).unwrap();
            world.arrives(&old);
            world.run_until(world.now.plus(Duration::from_millis(100)), |_| {});
            let open = world.fleet.open(&old).cloned();
            if open.is_none_or(|open| open.rollout != failover || open.accepted) {
                continue;
            }
            waited += 1;
            let aborts = order == Order::Abort;
            world.order_of(failover, order).unwrap();
            world.run_until(world.now.plus(day), |_| {});
            let of_old = |world: &World| world.fleet.rollouts()[&failover].work[&old].state.clone();
            assert_eq!(world.changes(&old), [""; 0], "after {seconds} s");
            if aborts {
                assert_eq!(of_old(&world), TargetState::Aborted);
                assert!(world.is_over());
                continue;
            }
            assert_eq!(of_old(&world), TargetState::Pending);
            world
                .order_of(
                    failover,
                    Order::Resume {
                        after_restore: false,
                    },
                )
                .unwrap();
            world.run_until(world.now.plus(day), |_| {});
            assert_eq!(world.changes(&old), ["disable ADSync"]);
            assert!(matches!(of_old(&world), TargetState::Done(_)));
        }
    }
    assert!(waited > 0, "it never waited");
}

/// It is back too early: nobody is asked to make another active before it is stopped.
#[test]
fn a_server_that_is_back_before_the_other_is_active_is_fenced_first() {
    let (plan, known) = failed_over();
    let (old, new) = (target("c1.corp.test"), target("c2.corp.test"));
    let mut world = World::new(&plan, &known, ask(&[]));
    // The count takes a while; meanwhile it comes back and tells what it is.
    world.run_until(NOW.plus(Duration::from_secs(5)), |_| {});
    world.arrives(&old);
    let mut both = false;
    world.run_until(NOW.plus(Duration::from_secs(86_400)), |world| {
        both |= world.is_active(&old) == Some(true) && world.is_active(&new) == Some(true);
    });
    assert!(!both, "two were active");
    assert_eq!(world.changes(&old), ["disable ADSync"]);
    assert_eq!(world.is_active(&new), Some(true));
}

/// Its first half begins in the window; the second does not wait a week with nobody active, and needs no second place.
#[test]
fn a_swap_that_does_not_end_in_its_window_is_ended_all_the_same() {
    let (plan, known) = swapped_at_night();
    let mut world = World::new(&plan, &known, ask(&[]));
    let rule = plan.sites["ams"].clone();
    let (one, two) = (target("c1.corp.test"), target("c2.corp.test"));
    let (mut asked, mut changed) = (None, Vec::new());
    world.run_until(NOW.plus(Duration::from_secs(30 * 86_400)), |world| {
        let open = world.fleet.open(&one);
        if asked.is_none() && open.is_some_and(|open| open.phase == Phase::Register) {
            asked = Some(rule.closed(world.now).is_none());
        }
        let active = (world.is_active(&one), world.is_active(&two));
        if changed.last().is_none_or(|(_, before)| *before != active) {
            changed.push((world.now, active));
        }
    });
    assert_eq!(asked, Some(true), "the first half begins in the window");
    assert!(world.is_over());
    let none = changed
        .iter()
        .find(|(_, active)| *active == (Some(false), Some(false)));
    let (begins, ends) = (
        none.expect("none is active between").0,
        changed.last().unwrap(),
    );
    assert_eq!(ends.1, (Some(false), Some(true)));
    assert!(
        ends.0.since(begins) < Duration::from_secs(3600),
        "nobody was active for long"
    );
    assert!(rule.closed(ends.0).is_some(), "the window is over by then");
}

/// A third server that fails its verification holds neither the swap nor the fence.
#[test]
fn a_third_server_that_fails_holds_nobody() {
    let faults = [("c3.corp.test", Fault::SchedulerSuspended)];
    let (world, seen) = course(ask(&faults));
    assert_eq!(seen.last(), Some(&vec![target("c2.corp.test")]));
    assert!(matches!(
        state(&world, "c3.corp.test"),
        TargetState::Failed { .. }
    ));
    let (plan, known) = failed_over();
    let faults = [
        ("c2.corp.test", Fault::DeletionsPending),
        ("c3.corp.test", Fault::SchedulerSuspended),
    ];
    let mut world = World::new(&plan, &known, ask(&faults));
    let old = target("c1.corp.test");
    let day = NOW.plus(Duration::from_secs(86_400));
    world.run_until(day, |_| {});
    world.arrives(&old);
    world.run_until(day.plus(Duration::from_secs(3600)), |_| {});
    assert_eq!(world.changes(&old), ["disable ADSync"]);
}

/// With one place the second would hold it while it waits for the first, which waits for that place.
#[test]
fn a_limit_that_would_hold_each_of_two_servers_for_the_other_is_refused() {
    let (plan, known) = swapped();
    let both = u32::try_from(plan.waves.concat().len()).expect("few");
    let mut world = World::new(&plan, &known, ask(&[]));
    let limits = |in_flight, failures| Order::Limits {
        in_flight,
        failures,
        unreachable: None,
    };
    for (in_flight, failures) in [(Some(both - 1), None), (None, Some(both - 1))] {
        let refused = world.order(limits(in_flight, failures));
        assert!(
            refused
                .as_ref()
                .is_err_and(|why| why.contains("change places")),
            "{refused:?}"
        );
    }
    world
        .order(limits(Some(both), Some(both)))
        .expect("that is enough");
    while world.step() && !world.is_over() {}
    assert!(world.is_over());
}

/// The wizard of the one that is to become active is open when somebody makes a third server active by hand: nobody goes on there, what
/// they would say does not count, and when the third one is staging again the work goes on by itself (G1).
#[test]
fn nobody_goes_on_at_an_open_wizard_while_another_server_is_active() {
    let (plan, known) = swapped();
    let (two, three) = (target("c2.corp.test"), target("c3.corp.test"));
    let mut world = World::new(&plan, &known, ask(&[]));
    let at_wizard = |world: &World| {
        let tasks = world.fleet.tasks(world.now);
        tasks.into_iter().find(|task| task.target == two)
    };
    while at_wizard(&world).is_none() {
        assert!(world.step(), "nobody is asked to make it active");
    }
    assert_eq!(at_wizard(&world).expect("it waits").stop, None);
    assert!(world.fleet.may_attest(&two, world.now).is_ok());
    world.sets_mode(&three, false);
    let stop = at_wizard(&world).expect("it waits").stop;
    assert!(
        stop.as_ref()
            .is_some_and(|stop| stop.contains("do not go on")
                && stop.contains("c3.corp.test is the tenant's active")),
        "{stop:?}"
    );
    assert!(world.fleet.may_attest(&two, world.now).is_err());
    // Days go by.
    let days = world.now.plus(Duration::from_secs(5 * 86_400));
    world.run_until(days, |world| {
        assert_ne!(world.is_active(&two), Some(true), "two are active");
    });
    let view = world.fleet.view(ROLLOUT, &world.live, world.now);
    let view = view.expect("it is there");
    assert_eq!(view.state, "held");
    world.sets_mode(&three, true);
    assert_eq!(at_wizard(&world).expect("it waits").stop, None);
    world.run_until(days.plus(Duration::from_secs(86_400)), |_| {});
    assert_eq!(world.is_active(&two), Some(true));
    assert!(matches!(
        state(&world, "c2.corp.test"),
        TargetState::Done(_)
    ));
}
