//! What is held against what servers report: the newest rollout that left them as it wanted them, whatever was tried since; and
//! of whom nothing can be said.

use controller_core::drift::{drift, drifted, untold};
use controller_core::plan::{Kind, Purpose};
use controller_core::record::Order;
use protocol::Version;
use protocol::facts::ServiceState;
use protocol::signed::Ending;
use protocol::step::Step;

use crate::common;
use crate::estate::{WIDE, World, agent, name};

const S1: &str = "s1.a.test";

/// It was upgraded, and its service stands still since.
fn stopped() -> World {
    let mut world = World::new();
    world.applies(1, Purpose::Install, WIDE, &[S1]);
    world.is_done(1, S1);
    let mut agent = agent(common::AGENT);
    agent.service = Some(ServiceState::NotRunning);
    world.reports(S1, common::facts(Some(agent), None));
    world
}

fn told(world: &World) -> Vec<(u32, String)> {
    let rows = drift(&world.fleet).into_iter();
    rows.map(|row| (row.rollout.0, format!("{} {}", row.target, row.what)))
        .collect()
}

#[test]
fn what_changed_nothing_hides_no_drift() {
    let service = vec![(1, format!("{S1} service"))];
    let mut world = stopped();
    assert_eq!(told(&world), service);
    // A look that failed.
    world.applies(2, Purpose::Verify, WIDE, &[S1]);
    world.issues();
    world.accepts(S1);
    world.breaks(S1);
    world.finishes(S1, Ending::Failed("it does not run".to_owned()));
    assert_eq!(told(&world), service);
    // A look of another kind.
    let mut asked = world.plan_of(Purpose::Verify, WIDE, &[S1]);
    asked.kind = Kind::Eligibility;
    world.begins(3, &asked);
    world.is_done(3, S1);
    assert_eq!(told(&world), service);
    // Work that was ended, or left out, before anything of it was begun.
    world.applies(4, Purpose::Install, WIDE, &[S1]);
    world.order(4, Order::Abort).expect("it may be aborted");
    world.applies(5, Purpose::Install, WIDE, &[S1]);
    let skip = Order::Skip {
        target: name(S1),
        reason: "later".to_owned(),
    };
    world.order(5, skip).expect("it may be skipped");
    assert_eq!(told(&world), service);
    // A look that found all well is the newest that holds.
    world.applies(6, Purpose::Verify, WIDE, &[S1]);
    world.is_done(6, S1);
    assert_eq!(told(&world), [(6, format!("{S1} service"))]);
}

/// What keeps the agent within its support is drift as well, and a plan brings it back while the agent goes on (PV04).
#[test]
fn an_updater_that_does_not_run_is_told_and_started_by_a_plan() {
    for (state, seen, words) in [
        (
            ServiceState::NotRunning,
            "not running",
            "not running: started",
        ),
        (
            ServiceState::Disabled,
            "disabled",
            "set to start with Windows",
        ),
    ] {
        let mut world = World::new();
        world.applies(1, Purpose::Install, WIDE, &[S1]);
        world.is_done(1, S1);
        let mut agent = agent(common::AGENT);
        agent.updater = Some(state);
        world.reports(S1, common::facts(Some(agent.clone()), None));
        let rows = drift(&world.fleet);
        assert_eq!(rows.len(), 1, "{rows:?}");
        let row = &rows[0];
        assert_eq!(
            (row.what.as_str(), row.seen.as_str()),
            ("service of the updater", seen)
        );
        assert!(
            row.planned && !row.accepted && row.mend.contains("starts it"),
            "{row:?}"
        );
        world.knows(S1, common::facts(Some(agent), None));
        let plan = world.plan_of(Purpose::Install, WIDE, &[S1]);
        let part = &plan.targets[&name(S1)];
        let said = part.why.join("; ");
        assert!(
            said.contains("its updater is") && said.contains(words),
            "{said}"
        );
        let starts = |step: &Step| matches!(step, Step::StartProvisioningAgent(_));
        let phases = part.phases.iter().flat_map(|phase| &phase.steps);
        assert_eq!(phases.filter(|step| starts(step)).count(), 1, "{said}");
    }
}

#[test]
fn of_whom_nothing_is_known_is_said() {
    let silent = |world: &World, target: &str| {
        let all = untold(&world.fleet).into_iter();
        let mut own = all.filter(|one| one.target == name(target));
        own.next().map(|one| one.why)
    };
    let mut world = stopped();
    assert_eq!(silent(&world, S1), None, "it is as it was left, or told");
    let never = silent(&world, "t1.b.test").expect("nobody ever did anything there");
    assert_eq!(never, "no rollout has left it in a known state");
    // It is being changed, and then nobody knows what that has left.
    world.applies(2, Purpose::Install, WIDE, &[S1]);
    assert_eq!(silent(&world, S1).as_deref(), Some("r2 is not over on it"));
    world.issues();
    world.fails(S1);
    let said = silent(&world, S1).expect("it broke off");
    assert!(
        said.contains("r2 has begun to change it and ended as failed"),
        "{said}"
    );
    assert_eq!(told(&world), []);
    // One that failed before it began to change anything has left it as it was.
    let mut world = stopped();
    world.applies(2, Purpose::Install, WIDE, &[S1]);
    world.issues();
    world.accepts(S1);
    world.finishes(S1, Ending::Failed("it is no longer what it was".to_owned()));
    assert_eq!((silent(&world, S1), told(&world).len()), (None, 1));
}

/// Also where the last rollout brought nothing: it has seen which version it left.
#[test]
fn a_product_that_upgraded_itself_is_shown_after_a_rollout_that_only_looked() {
    let mut world = World::new();
    let versions = |world: &World| {
        let rows = drift(&world.fleet).into_iter();
        let own = rows.filter(|row| row.what.starts_with("version"));
        own.map(|row| (row.rollout.0, row.wanted, row.seen, row.accepted))
            .collect::<Vec<_>>()
    };
    // It was newer than what is wanted when it was looked at: that is nobody's doing since.
    let found: Version = "1.1.9000.0".parse().expect("a version");
    assert!(found > common::AGENT);
    world.reports(S1, common::facts(Some(agent(found)), None));
    world.applies(1, Purpose::Verify, WIDE, &[S1]);
    world.is_done(1, S1);
    assert_eq!(versions(&world), []);
    let newer: Version = "1.1.9001.0".parse().expect("a version");
    world.reports(S1, common::facts(Some(agent(newer)), None));
    let row = (1, found.to_string(), newer.to_string(), true);
    assert_eq!(versions(&world), [row]);
    // Whoever looks again has seen it.
    world.applies(2, Purpose::Verify, WIDE, &[S1]);
    world.is_done(2, S1);
    assert_eq!(versions(&world), []);
}

/// That nothing was compared is not the same as that all is as it was left.
#[test]
fn what_is_told_names_how_many_were_compared() {
    let none = drifted(&controller_core::fleet::Fleet::default());
    assert_eq!(
        (none.drift.len(), none.untold.len(), none.compared),
        (0, 0, 0)
    );
    let world = stopped();
    let seen = drifted(&world.fleet);
    assert_eq!(seen.drift.len(), 1);
    assert_eq!(seen.untold, untold(&world.fleet));
    assert_eq!(seen.compared, world.fleet.known().len() - seen.untold.len());
    assert_eq!(seen.compared, 1, "{:?}", seen.untold);
}
