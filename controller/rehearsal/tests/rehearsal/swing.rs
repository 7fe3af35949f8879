//! A swing upgrade as one plan: the whole way in virtual time, on models.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_twin::Fault;
use controller_core::fleet::TargetState;
use controller_core::plan::Afterwards;
use controller_core::record::Order;
use protocol::{TargetId, Timestamp};
use rehearsal::{Ask, ROLLOUT, World, rehearse, render};

use crate::common::{NOW, swung, target};

const ONE: &str = "c1.corp.test";
const TWO: &str = "c2.corp.test";

fn ask(faults: &[(&str, Fault)]) -> Ask {
    let of = |(server, fault): &(&str, Fault)| (target(server), BTreeSet::from([*fault]));
    Ask {
        begin: NOW,
        person: Some(Duration::from_secs(600)),
        faults: faults.iter().map(of).collect(),
        seed: 1,
    }
}

fn after(days: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(days * 86_400))
}

fn state(world: &World, server: &str) -> TargetState {
    let rollout = &world.fleet.rollouts()[&ROLLOUT];
    rollout.work[&target(server)].state.clone()
}

/// Who is active, as it is and not as anybody was told.
fn active(world: &World) -> Vec<TargetId> {
    let both = [ONE, TWO].map(target);
    let active = both
        .into_iter()
        .filter(|one| world.is_active(one) == Some(true));
    active.collect()
}

/// What was done at each wizard, in order.
fn done(world: &World, server: &str) -> Vec<String> {
    let changes = world.changes(&target(server)).iter();
    let wizard = changes.filter(|change| change.contains("wizard"));
    wizard.cloned().collect()
}

#[test]
fn one_plan_brings_the_new_server_up_swaps_and_sees_to_the_old_one() {
    for (installs, then) in [
        (false, Afterwards::Upgrade),
        (true, Afterwards::Upgrade),
        (false, Afterwards::Remove),
        (true, Afterwards::Remove),
    ] {
        let (plan, known) = swung(installs, then);
        let mut world = World::new(&plan, &known, ask(&[]));
        let mut seen: Vec<Vec<TargetId>> = Vec::new();
        world.run_until(after(30), |world| {
            let active = active(world);
            if seen.last() != Some(&active) {
                seen.push(active);
            }
        });
        assert_eq!(
            seen,
            [vec![target(ONE)], vec![], vec![target(TWO)]],
            "{then:?}"
        );
        for server in [ONE, TWO] {
            let state = state(&world, server);
            assert!(matches!(state, TargetState::Done(_)), "{server}: {state:?}");
        }
        assert_eq!(
            done(&world, TWO),
            ["wizard of Connect", "wizard of Connect: staging mode false"]
        );
        let old = done(&world, ONE);
        assert_eq!(old.first().unwrap(), "wizard of Connect: staging mode true");
        assert_eq!(old.len(), 2, "{old:?}");
        assert_eq!(world.fleet.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn a_rehearsal_tells_the_four_appointments_in_their_order() {
    let (plan, known) = swung(false, Afterwards::Upgrade);
    let rehearsal = rehearse(&plan, &known, &ask(&[]), 3);
    assert_eq!(rehearsal.course.left, []);
    let hands = rehearsal.course.hands.iter();
    let of: Vec<(&str, &str)> = hands
        .map(|hand| (hand.target.as_str(), hand.what.as_str()))
        .collect();
    let words = [
        (TWO, "upgrade Connect Sync"),
        (ONE, "into staging mode"),
        (TWO, "out of staging mode"),
        (ONE, "upgrade Connect Sync"),
    ];
    assert_eq!(of.len(), words.len(), "{of:?}");
    for ((server, what), (whose, says)) in of.iter().zip(words) {
        assert!(*server == whose && what.contains(says), "{of:?}");
    }
    assert!(render(&rehearsal, &plan).contains("everything would be done"));
}

/// Whatever is wrong with the new server before it is active, the old one stays active and is as it was.
#[test]
fn where_the_new_server_is_not_fit_the_old_one_is_not_touched() {
    for fault in [
        Fault::DeletionsPending,
        Fault::FullSyncDue,
        Fault::NextCycleFull,
        Fault::CycleOverdue,
        Fault::SettingsDiffer,
    ] {
        let (plan, known) = swung(false, Afterwards::Upgrade);
        let mut world = World::new(&plan, &known, ask(&[(TWO, fault)]));
        world.run_until(after(30), |_| {});
        assert_eq!(active(&world), [target(ONE)], "{fault:?}");
        assert_eq!(done(&world, ONE), Vec::<String>::new(), "{fault:?}");
        assert_eq!(state(&world, ONE), TargetState::Pending);
        let held = world
            .fleet
            .hold(ROLLOUT, &target(ONE), &world.live, world.now);
        assert!(held.unwrap().why.contains("(G4)"), "{fault:?}");
        // Mended, and tried again: it goes on to the end.
        world.set_faults(&target(TWO), BTreeSet::new());
        let target = Some(target(TWO));
        world.order(Order::Retry { target }).unwrap();
        world.run_until(after(60), |_| {});
        assert!(world.is_over(), "{fault:?}");
        assert_eq!(done(&world, ONE).len(), 2);
    }
}

/// A full synchronization behind the upgrade is waited for before anything is counted and before anybody is asked at the active server's
/// wizard; it needs no retry.
#[test]
fn a_full_synchronization_behind_the_upgrade_is_waited_for_and_nobody_retries() {
    let (plan, known) = swung(false, Afterwards::Upgrade);
    let mut plain = World::new(&plan, &known, ask(&[]));
    plain.run_until(after(30), |_| {});
    let mut world = World::new(&plan, &known, ask(&[(TWO, Fault::FullSyncFollows)]));
    let mut waited = false;
    world.run_until(after(30), |world| {
        let kind = state(world, TWO);
        if matches!(&kind, TargetState::Running { kind, .. } if kind == "await-full-sync") {
            waited = true;
            assert_eq!(done(world, ONE), Vec::<String>::new());
            assert_eq!(state(world, ONE), TargetState::Pending);
        }
    });
    assert!(waited && world.is_over());
    for server in [ONE, TWO] {
        assert!(
            matches!(state(&world, server), TargetState::Done(_)),
            "{server}"
        );
        assert_eq!(done(&world, server), done(&plain, server));
    }
}

/// An upgrade that makes the new server active while the old one is: the wizard's mistake is seen, and nobody goes on.
#[test]
fn an_upgrade_that_activates_the_new_server_stops_everything() {
    let (plan, known) = swung(false, Afterwards::Upgrade);
    let mut world = World::new(&plan, &known, ask(&[(TWO, Fault::UpgradeActivates)]));
    world.run_until(after(30), |_| {});
    assert!(matches!(state(&world, TWO), TargetState::Failed { .. }));
    assert_eq!(done(&world, ONE), Vec::<String>::new());
    assert!(
        world
            .fleet
            .alarms(world.now)
            .iter()
            .any(|alarm| alarm.contains("G1"))
    );
}

/// Both agents are killed and the controller starts anew behind a record of the way, at another one each time: it ends the same, each
/// wizard was asked for once, and nobody was ever the second one.
#[test]
fn a_kill_behind_any_record_changes_nothing() {
    let (plan, known) = swung(false, Afterwards::Remove);
    let quick = || Ask {
        person: Some(Duration::from_secs(60)),
        ..ask(&[])
    };
    let mut plain = World::new(&plan, &known, quick());
    let mut records = vec![plain.log.len()];
    while !plain.is_over() && plain.step() {
        records.push(plain.log.len());
    }
    assert!(plain.is_over());
    records.dedup();
    for at in records.into_iter().step_by(2) {
        let mut world = World::new(&plan, &known, quick());
        let mut killed = false;
        loop {
            if !killed && world.log.len() >= at {
                killed = true;
                let (before, after) = world.restart_controller();
                assert_eq!(before.left_behind(), after.left_behind());
                for server in [ONE, TWO].map(target) {
                    world.kill(&server);
                    world.arrives(&server);
                }
            }
            assert!(active(&world).len() <= 1, "two are active behind {at}");
            if world.is_over() || !world.step() {
                break;
            }
        }
        assert!(killed && world.is_over(), "{at}");
        assert_eq!(active(&world), [target(TWO)], "{at}");
        for server in [ONE, TWO] {
            assert_eq!(done(&world, server), done(&plain, server), "{at}");
        }
    }
}

/// Nobody hears of the old server any more: what is active is new, and the old one is told of until somebody sees to it.
#[test]
fn an_old_server_that_is_left_is_told_of() {
    let (plan, known) = swung(false, Afterwards::Remove);
    let mut world = World::new(&plan, &known, ask(&[]));
    assert!(world.fleet.left_behind().is_empty());
    while active(&world) != [target(TWO)] {
        assert!(world.step());
    }
    world.leaves(&target(ONE));
    world.run_until(after(30), |_| {});
    assert!(matches!(state(&world, TWO), TargetState::Done(_)));
    let said = world.fleet.left_behind().join("; ");
    assert!(
        said.contains("the removal of Connect from it is not seen to be done"),
        "{said}"
    );
    world.arrives(&target(ONE));
    world.run_until(after(60), |_| {});
    assert!(world.is_over() && world.fleet.left_behind().is_empty());
}
