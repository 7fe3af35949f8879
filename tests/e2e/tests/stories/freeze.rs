//! A server's administrator freezes it against a rollout, which goes on around it and takes it up when the freeze is over.

use std::path::Path;
use std::process::Command;

use e2e::{World, program, server, text, until};
use protocol::event::Event;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

fn agent(world: &World, target: &str, arguments: &[&str]) {
    let state = world.path("agents").join(target);
    let run = |state: &Path| {
        Command::new(program("entrain-agent"))
            .args(arguments)
            .arg("--state")
            .arg(state)
            .env("USER", "anna")
            .output()
            .expect("it runs")
    };
    let done = run(&state);
    assert!(done.status.success(), "{}", text(&done));
}

fn done(world: &World, target: &str) {
    until("it is done", || {
        (world.state(target).0 == "done").then_some(())
    });
}

#[test]
fn a_frozen_server_is_left_out_until_it_is_thawed() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[]), server(C, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B, C]);
    agent(
        &world,
        B,
        &["freeze", "--until", "8h", "--why", "quarter's end"],
    );
    world.apply(&topology);
    world.give_secrets(2);
    done(&world, A);
    done(&world, C);
    // What was offered before the agent had said it was refused, and counts as no failure.
    let (state, detail) = world.state(B);
    assert!(
        matches!(state.as_str(), "held" | "pending"),
        "{state}: {detail}"
    );
    let why = text(&world.entrain(&["why", B]));
    for part in ["anna", "quarter's end", "thaw"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let agents = text(&world.entrain(&["agents", "list"]));
    assert!(agents.contains("is frozen until"), "{agents}");
    assert!(world.changes(B).is_empty());

    agent(&world, B, &["thaw"]);
    world.give_secrets(1);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    drop(world.audit());
}

#[test]
fn a_run_that_is_under_way_waits_at_its_next_gate() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A]);
    world.apply(&topology);
    world.awaits_secret(A);
    agent(&world, A, &["freeze", "--until", "1d", "--why", "an audit"]);
    until("the operator sees it", || {
        let frozen = |(_, _, event): (String, u64, Event)| matches!(event, Event::Frozen(_));
        world.events().into_iter().any(frozen).then_some(())
    });
    let before = world.changes(A);
    // An operator's resume is no thaw.
    for order in ["pause", "resume"] {
        let ordered = world.entrain(&[order, "r1"]);
        assert!(ordered.status.success(), "{}", text(&ordered));
    }
    world.give_secrets(1);
    until("the secret has come", || {
        let came =
            |(_, _, event): (String, u64, Event)| matches!(event, Event::SecretReceived { .. });
        world.events().into_iter().any(came).then_some(())
    });
    let why = text(&world.entrain(&["why", A]));
    assert!(why.contains("an audit"), "{why}");
    // A restart forgets neither the freeze nor the run.
    world.kill_agents();
    world.start_agents(&[server(A, &[])], None);
    world.all_report(1);
    assert_eq!(world.changes(A), before, "nothing was changed meanwhile");
    agent(&world, A, &["thaw"]);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A]);
}

/// It is looked for where it counts: before a step and before leave is used, and not at the next pulse alone.
#[test]
fn a_freeze_counts_at_the_very_next_gate() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A]);
    world.apply(&topology);
    world.awaits_secret(A);
    agent(&world, A, &["freeze", "--until", "1d", "--why", "an audit"]);
    let before = world.changes(A);
    world.give_secrets(1);
    let is = |of: fn(&Event) -> bool| {
        let events = world.events();
        events.iter().position(|(_, _, event)| of(event))
    };
    until("the freeze is told", || {
        is(|event| matches!(event, Event::Frozen(_)))
    });
    let entered = is(|event| matches!(event, Event::SectionEntered { .. }));
    assert_eq!(entered, None, "no leave was used on a frozen server");
    assert_eq!(world.changes(A), before);
    agent(&world, A, &["thaw"]);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A]);
}

#[test]
fn the_whole_fleet_stands_still_and_goes_on() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    world.awaits_secret(A);
    let order = |arguments: &[&str]| {
        let done = world.entrain(arguments);
        (done.status.success(), text(&done))
    };
    let (_, unasked) = order(&["thaw", "--all"]);
    assert!(unasked.contains("not frozen"), "{unasked}");
    assert!(order(&["freeze", "--all", "--why", "sign-ins fail"]).0);
    let (again, said) = order(&["freeze", "--all", "--why", "x"]);
    assert!(!again && said.contains("sign-ins fail"), "{said}");
    // No order for one rollout changes it, no secret that comes, and no restart of the agents.
    assert!(order(&["resume", "r1"]).0);
    let status = text(&world.entrain(&["status"]));
    assert!(status.contains("THE FLEET IS FROZEN"), "{status}");
    // A rehearsal says what the freeze holds, and goes on as if it were lifted, beside the rollout that is under way.
    let planned = world.json(&["plan", "--verify", &topology, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan");
    let rehearsed = text(&world.entrain(&["rehearse", plan, "--courses", "1"]));
    for words in [
        "HOLDS NOW 2 servers",
        "sign-ins fail",
        "beside it goes r1 (1 server under way)",
    ] {
        assert!(rehearsed.contains(words), "{words}: {rehearsed}");
    }
    let before = world.changes(A);
    world.give_secrets(1);
    until("the secret has come", || {
        let came =
            |(_, _, event): (String, u64, Event)| matches!(event, Event::SecretReceived { .. });
        world.events().into_iter().any(came).then_some(())
    });
    world.kill_agents();
    world.start_agents(&[server(A, &[]), server(B, &[])], None);
    world.all_report(2);
    assert_eq!(world.changes(A), before, "nothing was changed");
    let why = text(&world.entrain(&["why", B]));
    assert!(why.contains("sign-ins fail"), "{why}");
    let thawed = world.entrain(&["thaw", "--all"]);
    assert!(thawed.status.success(), "{}", text(&thawed));
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B]);
    drop(world.audit());
}

#[test]
fn the_limits_of_a_rollout_that_runs_are_changed() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[]), server(C, &[])]);
    world.add_artifact();
    let topology = world.topology(&[A, B, C]);
    world.apply(&topology);
    world.awaits_secret(A);
    for (arguments, why) in [
        (&["limits", "r1"][..], "no limit was given"),
        (&["limits", "r1", "--in-flight", "0"], "pause the rollout"),
        (&["limits", "r7", "--in-flight", "1"], "no rollout"),
    ] {
        let refused = world.entrain(arguments);
        assert!(text(&refused).contains(why), "{}", text(&refused));
    }
    let done = world.entrain(&["limits", "r1", "--in-flight", "1"]);
    assert!(done.status.success(), "{}", text(&done));
    world.give_secrets(1);
    until("one of the others is under way", || {
        let busy = |target: &str| world.state(target).0 == "awaiting secret";
        (busy(B) || busy(C)).then_some(())
    });
    let waits = [B, C].map(|target| world.state(target));
    assert!(
        waits
            .iter()
            .any(|(_, detail)| detail.contains("1 of at most 1")),
        "{waits:?}"
    );
    world.give_secrets(2);
    world.all_done();
}
