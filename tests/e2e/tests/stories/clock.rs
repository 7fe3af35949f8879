//! Servers whose clock is wrong by days: nothing is done on their word for the time, and both times are named.

use e2e::rails::Rail;
use e2e::{World, server, serving, text, until};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// A bundle is out of date for the one whose clock is ahead. The other one goes on, and so does the first once its clock is
/// right.
#[test]
fn a_server_whose_clock_is_days_ahead_refuses_its_bundle_and_names_both_times() {
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C)];
    world.enroll(&servers);
    world.add_artifact();
    world.kill_agents();
    world.start_agents(&servers[1..], None);
    world.clock = Some("+3d");
    world.start_agents(&servers[..1], None);
    world.all_report(3);
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    let detail = until("it is refused", || {
        let (state, detail) = world.state(A);
        (state == "refused").then_some(detail)
    });
    for part in ["out of date: valid from", "this target's clock says"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let said = std::fs::read_to_string(world.path("agents.log")).expect("a log");
    assert!(said.contains("this server's clock differs"), "{said}");
    assert!(world.changes(A).is_empty());

    world.kill_agents();
    world.clock = None;
    world.start_agents(&servers, None);
    world.all_report(3);
    let retried = world.entrain(&["retry", "r1"]);
    assert!(retried.status.success(), "{}", text(&retried));
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

/// One whose clock is behind the controller's certificate does not believe it, and says so; nothing is lost meanwhile.
#[test]
fn a_server_whose_clock_is_days_behind_does_not_believe_the_controller() {
    let mut world = World::new();
    let servers = [server(A, &[])];
    world.enroll(&servers);
    world.add_artifact();
    world.kill_agents();
    world.clock = Some("-3d");
    let log = world.path("agents.log");
    std::fs::write(&log, "").expect("a log");
    world.start_agents(&servers, None);
    until("it says so", || {
        let said = std::fs::read_to_string(&log).expect("a log");
        (said.contains("no session with the controller") && said.contains("not valid yet"))
            .then_some(())
    });
    until("its former session is over", || {
        let agents = world.json(&["agents", "--json"]);
        (agents["agents"][0]["connected"] == false).then_some(())
    });

    world.kill_agents();
    world.clock = None;
    world.start_agents(&servers, None);
    world.all_report(1);
    let topology = world.topology(&[A]);
    world.apply(&topology);
    world.give_secrets(1);
    world.all_done();
    world.nothing_lost_or_repeated(&[A]);
}

/// Days ahead it shows a certificate that no server believes yet: they stay away and say why, and nothing begins. When its clock
/// is right again all goes on where it was, though the times of its log go back.
#[test]
fn a_controller_whose_clock_jumps_ahead_in_the_middle_of_a_rollout_is_not_believed_and_loses_nothing()
 {
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C)];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    world.awaits_secret(A);
    world.kill_controller();
    world.controller_clock = Some("+3d");
    world.start_controller();
    until("its agents say why they stay away", || {
        let said = std::fs::read_to_string(world.path("agents.log")).expect("a log");
        (said.contains("no session with the controller") && said.contains("not valid yet"))
            .then_some(())
    });
    let agents = world.json(&["agents", "--json"]);
    let mut rows = agents["agents"].as_array().expect("rows").iter();
    assert!(rows.all(|row| row["connected"] == false), "{agents}");
    assert!(world.changes(B).is_empty(), "its canary is not done");
    let told = world.events();

    world.kill_controller();
    world.controller_clock = None;
    world.start_controller();
    world.all_report(3);
    world.give_secrets(20);
    world.all_done();
    let events = world.events();
    assert!(told.iter().all(|event| events.contains(event)));
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

/// One whose clock is behind believes no agent's certificate: it says whom it refused and why, and begins nothing meanwhile.
#[test]
fn a_controller_whose_clock_jumps_behind_refuses_its_agents_and_says_so() {
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C)];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    world.awaits_secret(A);
    let before = world.changes(A);
    world.kill_controller();
    world.controller_clock = Some("-3d");
    world.start_controller();
    until("it says whom it refused", || {
        let refusals = world.refusals();
        let early = |why: &str| why.contains("not valid yet") || why.contains("NotValidYet");
        refusals.iter().any(|(_, _, why)| early(why)).then_some(())
    });
    assert_eq!(world.changes(A), before, "nothing is begun meanwhile");
    assert!(world.changes(B).is_empty(), "its canary is not done");

    world.kill_controller();
    world.controller_clock = None;
    world.start_controller();
    world.all_report(3);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

/// Its clock is set by days in the middle of a step. The step's time limit goes on as it was, so that the step ends as it must; what is
/// offered next is out of date for that clock, and refused with both times. When the clock is set right the rest is done.
fn a_clock_is_set_in_a_step(days: &str) {
    const CLOCK: &str = "clock";
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C)];
    world.enroll(&servers);
    world.add_artifact();
    world.kill_agents();
    world.start_agents(&servers[1..], None);
    world.clock_of_agents = Some(CLOCK);
    // Its setup runs for some seconds.
    world.speed = 20;
    world.start_agents(&servers[..1], None);
    world.all_report(3);
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    // A model has done its work before the time of it has passed, in which the step waits. One that still fetches its file is bounded by
    // its bundle's end alone.
    until("its setup runs", || {
        let laid = |change: &String| change.starts_with("install");
        world.changes(A).iter().any(laid).then_some(())
    });
    world.set_clock(CLOCK, days);
    // Whatever it hears has it look at its time limits.
    for order in ["pause", "resume"] {
        let ordered = world.entrain(&[order, "r1"]);
        assert!(ordered.status.success(), "{}", text(&ordered));
    }
    let detail = until("its next bundle is refused", || {
        let (state, detail) = world.state(A);
        assert!(
            state != "failed" && state != "expired",
            "{days}: {state} {detail}"
        );
        (state == "refused").then_some(detail)
    });
    for part in ["out of date: valid from", "this target's clock says"] {
        assert!(detail.contains(part), "{days}: {part}: {detail}");
    }
    assert!(!world.changes(A).is_empty(), "{days}: it is installed");
    assert!(
        world.agents_said().contains("this server's clock was set"),
        "{days}"
    );

    world.set_clock(CLOCK, "+0");
    let retried = world.entrain(&["retry", "r1"]);
    assert!(retried.status.success(), "{}", text(&retried));
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

#[test]
fn a_server_whose_clock_is_set_days_ahead_in_a_step_ends_the_step_and_holds_before_the_next_bundle()
{
    // Further than a bundle is valid in which something waits for a person: fourteen days.
    a_clock_is_set_in_a_step("+20d");
}

#[test]
fn a_server_whose_clock_is_set_days_back_in_a_step_ends_the_step_and_holds_before_the_next_bundle()
{
    a_clock_is_set_in_a_step("-3d");
}

/// The controller's clock is set back by days while it runs. Sessions that stand go on, and what was offered before comes to its end. What
/// is signed from then on is over already by its servers' clocks: refused, with both times. When the clock is right the rest is done,
/// and nothing is lost though the times of the log go back and on again.
#[test]
fn a_controller_whose_clock_is_set_days_back_in_the_middle_of_a_rollout_begins_nothing_more_and_loses_nothing()
 {
    const CLOCK: &str = "clock";
    let mut world = World::new();
    let servers = [server(A, &[]), server(B, &[])];
    world.kill_controller();
    world.clock_of_controller = Some(CLOCK);
    world.start_controller();
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    world.awaits_secret(A);
    world.set_clock(CLOCK, "-3d");
    world.give_secrets(1);
    let detail = until("its next bundle is refused", || {
        let (state, detail) = world.state(A);
        assert!(state != "failed" && state != "expired", "{state} {detail}");
        (state == "refused").then_some(detail)
    });
    for part in ["out of date: valid from", "this target's clock says"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let adds = |change: &String| change.starts_with("add domain");
    assert!(
        world.changes(A).iter().any(adds),
        "what was offered before is done: {:?}",
        world.changes(A)
    );
    assert!(world.changes(B).is_empty(), "its canary is not done");
    let told = world.events();

    world.set_clock(CLOCK, "+0");
    let retried = world.entrain(&["retry", "r1"]);
    assert!(retried.status.success(), "{}", text(&retried));
    world.give_secrets(20);
    world.all_done();
    let events = world.events();
    assert!(told.iter().all(|event| events.contains(event)));
    world.nothing_lost_or_repeated(&[A, B]);
}

/// The row of a target in a rollout.
fn row(world: &World, rollout: usize, target: &str) -> (String, String) {
    let status = world.json(&["status", "--json"]);
    let rows = status["rollouts"][rollout]["targets"].as_array();
    let mut rows = rows.into_iter().flatten();
    let found = rows.find(|row| row["target"] == target).cloned();
    let found = found.unwrap_or_default();
    let field = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    (field("state"), field("detail"))
}

/// The controller's clock is set ahead by days while it runs: for it the hour of a rollout has come that was ordered for tomorrow. Sessions
/// that stand go on, and what was offered before comes to its end. What is signed from then on lies ahead of its servers' clocks: refused,
/// with both times, and nothing is begun. When the clock is right a retry has it all done, each in its own hour.
#[test]
fn a_controller_whose_clock_is_set_days_ahead_in_the_middle_of_a_rollout_begins_nothing_before_its_hour()
 {
    const CLOCK: &str = "clock";
    const OF_AGENTS: &str = "clock-of-agents";
    const D: &str = "sync-04.corp.contoso.com";
    let mut world = World::new();
    let servers = [server(A, &[]), serving(B), serving(C), server(D, &[])];
    world.kill_controller();
    world.clock_of_controller = Some(CLOCK);
    world.clock_of_agents = Some(OF_AGENTS);
    world.start_controller();
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    world.apply(&topology);
    world.awaits_secret(A);
    let planned = world.json(&["plan", &world.topology(&[D]), "--json"]);
    let tomorrow = controller::now().plus(std::time::Duration::from_secs(86_400));
    let plan = planned["plan"].as_str().expect("a plan");
    let later = world.entrain(&["apply", plan, "--at", &tomorrow.to_string()]);
    assert!(text(&later).contains("r2 begins at"), "{}", text(&later));

    world.set_clock(CLOCK, "+3d");
    world.give_secrets(20);
    for (rollout, target) in [(1, D), (0, A)] {
        let detail = until("its next bundle is refused", || {
            let (state, detail) = row(&world, rollout, target);
            assert!(
                state != "failed" && state != "expired",
                "{target}: {state} {detail}"
            );
            (state == "refused").then_some(detail)
        });
        for part in ["out of date: valid from", "this target's clock says"] {
            assert!(detail.contains(part), "{target}: {part}: {detail}");
        }
    }
    let adds = |change: &String| change.starts_with("add domain");
    assert!(
        world.changes(A).iter().any(adds),
        "what was offered before is done: {:?}",
        world.changes(A)
    );
    let nothing = |target: &str| world.changes(target).is_empty();
    assert!(nothing(B) && nothing(C), "their canary is not done");
    assert!(nothing(D), "its hour has not come");
    let told = world.events();

    world.set_clock(CLOCK, "+0");
    for rollout in ["r1", "r2"] {
        let retried = world.entrain(&["retry", rollout]);
        assert!(retried.status.success(), "{}", text(&retried));
    }
    until("the first rollout is done", || {
        let done = |target: &&str| {
            let (state, detail) = row(&world, 0, target);
            assert!(
                !["failed", "refused", "inconclusive"].contains(&state.as_str()),
                "{target}: {state} {detail}"
            );
            state == "done"
        };
        [A, B, C].iter().all(done).then_some(())
    });
    let (state, detail) = row(&world, 1, D);
    assert!(detail.contains("begins at"), "{state}: {detail}");
    assert!(world.changes(D).is_empty(), "its hour has not come");

    // It comes by everybody's clock.
    for clock in [OF_AGENTS, CLOCK] {
        world.set_clock(clock, "+25h");
    }
    world.all_done();
    let events = world.events();
    assert!(told.iter().all(|event| events.contains(event)));
    world.nothing_lost_or_repeated(&[A, B, C, D]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}
