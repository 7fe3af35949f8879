//! Releases that follow each other work together: a controller with agents of the release before, agents with a controller of the
//! release before, and each of the two on what the other has left on its disk.

use agent_twin::Profile;
use e2e::{Release, World, server, serving, text, until};
use protocol::event::Event;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// A server with an agent that is to be upgraded in place, and one on which there is none yet.
fn servers() -> [Profile; 2] {
    [serving(A), server(B, &[])]
}

/// A whole rollout: an upgrade in place, an installation with a sign-in, leave for the outage, receipts.
fn rolls_out(world: &mut World) {
    world.enroll(&servers());
    world.add_artifact();
    world.give_secrets(1);
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B]);
    let record = world.audit();
    assert!(record.contains("receipt"));
}

/// Looks once more at what is there, by a rollout of its own.
fn verifies(world: &World, topology: &str) {
    let planned = world.json(&["plan", "--verify", topology, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan");
    let applied = world.entrain(&["apply", plan]);
    assert!(applied.status.success(), "{}", text(&applied));
    world.all_done();
}

fn all_are_here(world: &World) {
    until("every agent is here", || {
        let agents = world.json(&["agents", "--json"]);
        let here = agents["agents"].as_array()?.iter();
        (here.filter(|agent| agent["connected"] == true).count() == 2).then_some(())
    });
}

#[test]
fn a_controller_works_with_agents_of_the_release_before() {
    rolls_out(&mut World::of(Release::Ours, Release::Before));
}

#[test]
fn agents_work_with_a_controller_of_the_release_before() {
    rolls_out(&mut World::of(Release::Before, Release::Ours));
}

fn ordered(world: &World, arguments: &[&str]) {
    let done = world.entrain(arguments);
    assert!(done.status.success(), "{arguments:?}: {}", text(&done));
}

/// What an operator orders is heard on the other side: everything stands still, goes on, stands still for one rollout, and ends.
fn hears_orders(world: &mut World) {
    world.enroll(&[B, C].map(|name| server(name, &[])));
    world.add_artifact();
    world.apply(&world.topology(&[B]));
    world.awaits_secret(B);
    let before = world.changes(B);
    ordered(world, &["freeze", "--all", "--why", "sign-ins fail"]);
    let status = text(&world.entrain(&["status"]));
    assert!(status.contains("THE FLEET IS FROZEN"), "{status}");
    ordered(world, &["pause", "r1"]);
    ordered(world, &["thaw", "--all"]);
    // One order is lifted, and the other still stands.
    world.give_secrets(1);
    until("the secret has come", || {
        let came =
            |(_, _, event): &(String, u64, Event)| matches!(event, Event::SecretReceived { .. });
        world.events().iter().any(came).then_some(())
    });
    assert_eq!(world.changes(B), before, "nothing was changed");
    ordered(world, &["resume", "r1"]);
    world.all_done();

    // The other server's run ends where it waits, and nothing is done on it any more.
    world.apply(&world.topology(&[B, C]));
    world.awaits_secret(C);
    let before = world.changes(C);
    ordered(world, &["abort", "r2"]);
    until("it has ended", || {
        (world.state(C).0 == "aborted").then_some(())
    });
    assert_eq!(world.changes(C), before);
    world.nothing_lost_or_repeated(&[B, C]);
    let record = world.audit();
    assert!(record.contains("receipt"));
}

#[test]
fn agents_of_the_release_before_hear_what_is_ordered() {
    hears_orders(&mut World::of(Release::Ours, Release::Before));
}

#[test]
fn a_controller_of_the_release_before_is_heard_when_it_orders_something() {
    hears_orders(&mut World::of(Release::Before, Release::Ours));
}

/// The order of an upgrade on a site: the controller first, then the agents; and the agents back again, as a launcher does it.
#[test]
fn each_goes_on_with_what_the_release_before_has_left_on_its_disk() {
    let mut world = World::of(Release::Before, Release::Before);
    rolls_out(&mut world);
    let topology = world.topology(&[A, B]);
    world.kill_controller();
    world.controller_of = Release::Ours;
    world.start_controller();
    all_are_here(&world);
    verifies(&world, &topology);

    for agents in [Release::Ours, Release::Before, Release::Ours] {
        world.kill_agents();
        world.agents_of = agents;
        world.start_agents(&servers(), None);
        all_are_here(&world);
        verifies(&world, &topology);
    }
    world.nothing_lost_or_repeated(&[A, B]);
    let record = world.audit();
    assert!(record.contains("receipt"));
}

/// What the release before does not know it refuses by name, and nothing else is in its way.
#[test]
fn a_step_that_the_release_before_does_not_know_is_refused_by_its_name() {
    let mut world = World::with_publisher(&[]);
    world.agents_of = Release::Before;
    world.enroll(&[server(A, &[]), server(B, &[])]);
    let added = world.release("publisher", "99.0.0", &e2e::program("standin-next-agent"));
    assert!(added.status.success(), "{}", text(&added));
    let topology = world.topology(&[A, B]);
    let planned = world.json(&["plan", "--agents", &topology, "--json"]);
    let applied = world.entrain(&["apply", planned["plan"].as_str().expect("a plan")]);
    assert!(applied.status.success(), "{}", text(&applied));
    until("it is refused", || {
        let (state, detail) = world.state(A);
        (state == "refused" && detail.contains("upgrade-agent")).then_some(())
    });
}
