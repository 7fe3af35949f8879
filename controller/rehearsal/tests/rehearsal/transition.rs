//! A tenant moves from Connect to cloud sync: the whole way in virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_twin::Fault;
use controller_core::fleet::TargetState;
use rehearsal::{Ask, ROLLOUT, World, rehearse, render};

use crate::common::{NOW, moving, target};

fn ask(faults: &[Fault]) -> Ask {
    let faults: BTreeSet<Fault> = faults.iter().copied().collect();
    Ask {
        begin: NOW,
        person: Some(Duration::from_secs(600)),
        faults: [(target("c1.corp.test"), faults)].into(),
        seed: 1,
    }
}

fn state(world: &World, server: &str) -> TargetState {
    let rollout = &world.fleet.rollouts()[&ROLLOUT];
    rollout.work[&target(server)].state.clone()
}

/// That none is active is meant from the moment on at which the wizard sets staging mode: no happening raises an alarm.
#[test]
fn a_tenant_is_moved_and_none_of_its_servers_is_active_afterwards_as_meant() {
    let (plan, known) = moving();
    let mut world = World::new(&plan, &known, ask(&[]));
    let mut alarms = BTreeSet::new();
    let month = NOW.plus(Duration::from_secs(30 * 86_400));
    world.run_until(month, |world| alarms.extend(world.fleet.alarms(world.now)));
    assert_eq!(alarms, BTreeSet::new());
    for server in ["c1.corp.test", "c2.corp.test", "c3.corp.test"] {
        assert!(
            matches!(state(&world, server), TargetState::Done(_)),
            "{server}: {:?}",
            state(&world, server)
        );
        assert_eq!(world.is_active(&target(server)), Some(false), "{server}");
    }
    let said = world.fleet.transitions();
    assert!(
        said[0].contains("on c1.corp.test for two weeks"),
        "{said:?}"
    );
    let changes = world.changes(&target("c1.corp.test"));
    assert_eq!(changes, ["wizard of Connect: transition to cloud sync"]);
}

#[test]
fn a_rehearsal_tells_that_a_person_does_it_and_that_everything_would_be_done() {
    let (plan, known) = moving();
    let rehearsal = rehearse(&plan, &known, &ask(&[]), 3);
    assert_eq!(rehearsal.course.left, []);
    assert!(render(&rehearsal, &plan).contains("everything would be done"));
}

/// A server that is not eligible is told by its probe before anybody is called; the tenant stays as it is.
#[test]
fn a_tenant_that_is_not_eligible_stays_with_connect() {
    for fault in [Fault::SecondForest, Fault::CustomRules, Fault::DeviceSync] {
        let (plan, known) = moving();
        let mut world = World::new(&plan, &known, ask(&[fault]));
        world.run_until(NOW.plus(Duration::from_secs(30 * 86_400)), |_| {});
        let state = state(&world, "c1.corp.test");
        assert!(matches!(state, TargetState::Failed { .. }), "{state:?}");
        assert_eq!(world.is_active(&target("c1.corp.test")), Some(true));
        assert!(world.fleet.alarms(world.now).is_empty() && world.fleet.transitions().is_empty());
    }
}
