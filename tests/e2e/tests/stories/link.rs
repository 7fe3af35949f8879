//! Links that lose, double, delay and reorder, that are cut, and whose NAT forgets: real processes, with a relay between.

use std::time::Duration;

use agent_twin::Profile;
use e2e::rails::Rail;
use e2e::relay::{Faults, Way};
use e2e::{TENANT, World, server, serving, text, until};
use protocol::event::Event;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

const CLEAN: Faults = Faults::NONE;

fn prepared(faults: Faults, speed: u32) -> (World, String) {
    let mut world = World::behind_a_relay(faults, 7);
    world.speed = speed;
    world.enroll(&[server(A, &[]), serving(B), serving(C)]);
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    (world, topology)
}

fn welcomes(world: &World) -> usize {
    let said = std::fs::read_to_string(world.path("agents.log")).expect("a log");
    said.matches(" welcomed ").count()
}

fn away(world: &World) -> bool {
    let agents = world.json(&["agents", "list", "--json"]);
    let mut rows = agents["agents"].as_array().expect("rows").iter();
    rows.all(|row| row["connected"] == false)
}

#[test]
fn a_link_that_loses_doubles_and_reorders_changes_nothing_but_the_time() {
    let bad = Faults {
        lost: 80,
        doubled: 80,
        late: 150,
        ..Faults::NONE
    };
    let (mut world, topology) = prepared(bad, 0);
    world.apply(&topology);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
    drop(world.audit());
    let injected = world.relay().injected();
    assert!(
        injected > 100,
        "{injected} faults are too few to say anything"
    );
}

/// Delays up to more than what either side waits before it sends anew: what was taken for lost comes after all.
#[test]
fn a_link_that_delays_by_the_clock_changes_nothing_but_the_time() {
    let slow = Faults {
        lost: 10,
        doubled: 10,
        delayed: 120,
        delay: Duration::from_millis(200),
        ..Faults::NONE
    };
    let (mut world, topology) = prepared(slow, 0);
    world.apply(&topology);
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
    let (delayed, sum) = world.relay().delayed();
    assert!(
        delayed > 50 && sum > Duration::from_secs(2),
        "{delayed} delays of {sum:?} are too few to say anything"
    );
}

#[test]
fn a_nat_that_forgets_costs_each_agent_one_session_and_nothing_else() {
    let (mut world, topology) = prepared(CLEAN, 100);
    let before = welcomes(&world);
    world.apply(&topology);
    world.give_secrets(20);
    until("the canary has begun", || {
        (!world.changes(A).is_empty()).then_some(())
    });
    // A session stays at the address where it began: both sides end it, and the agent dials anew.
    world.relay().rebind();
    until("every agent has dialled anew", || {
        (welcomes(&world) == before + 3).then_some(())
    });
    world.give_secrets(20);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
    assert_eq!(welcomes(&world), before + 3, "one more session each");
}

#[test]
fn a_link_that_is_cut_and_mended_goes_on_where_it_was() {
    let (mut world, topology) = prepared(CLEAN, 100);
    world.apply(&topology);
    world.give_secrets(20);
    until("the canary has begun", || {
        (!world.changes(A).is_empty()).then_some(())
    });
    world.relay().cut();
    // Both sides notice by themselves, and the canary's run goes on as far as it may.
    until("the agents are away", || away(&world).then_some(()));
    let alone = world.events().len();
    world.relay().mend();
    until("they are back", || (!away(&world)).then_some(()));
    // An ask for a secret belongs to a session: whoever waited for one asks again.
    world.give_secrets(20);
    world.all_done();
    assert!(world.events().len() > alone);
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
    drop(world.audit());
}

/// Shorter than either side waits in silence, while a frame is on its way: it comes again, and the session goes on. A cut may be
/// of one direction alone.
#[test]
fn a_link_that_is_cut_for_a_moment_goes_on_in_the_same_session() {
    // Each of three agents keeps its silent link alive by one now and then.
    const HELD_UP: u64 = 4;
    let (mut world, topology) = prepared(CLEAN, 0);
    world.apply(&topology);
    let asks = || {
        let rows = world.json(&["secret", "list", "--json"]);
        rows.as_array().map_or(0, Vec::len)
    };
    until("a secret is asked for", || (asks() == 1).then_some(()));
    let (sessions, dialled) = (welcomes(&world), world.relay().dialled());
    for cut in [&[Way::Up, Way::Down][..], &[Way::Down], &[Way::Up]] {
        let before: Vec<u64> = cut.iter().map(|way| world.relay().cut_off(*way)).collect();
        for way in cut {
            world.relay().cut_one_way(*way);
        }
        // Either order is told to the agent, and answered by what acknowledges it.
        for order in ["pause", "resume"] {
            let ordered = world.entrain(&[order, "r1"]);
            assert!(ordered.status.success(), "{}", text(&ordered));
        }
        until("a frame is held up", || {
            let held_up = |(way, before): (&Way, &u64)| world.relay().cut_off(*way) > *before;
            let most = cut.iter().map(|way| world.relay().cut_off(*way)).max();
            let first = before.iter().max();
            let enough = most
                .zip(first)
                .is_some_and(|(most, first)| most >= first + HELD_UP);
            (enough && cut.iter().zip(&before).any(held_up)).then_some(())
        });
        world.relay().mend();
        assert!(!away(&world), "{cut:?}");
    }
    world.give_secrets(20);
    world.all_done();
    assert_eq!(welcomes(&world), sessions, "nobody began another session");
    assert_eq!(world.relay().dialled(), dialled, "nobody dialled anew");
    world.nothing_lost_or_repeated(&[A, B, C]);
    world.rails_held(&[Rail::G2, Rail::G3]);
}

fn told(world: &World, wanted: fn(&Event) -> bool) -> bool {
    let events = world.events();
    events.iter().any(|(_, _, event)| wanted(event))
}

fn left(event: &Event) -> bool {
    matches!(event, Event::SectionLeft { .. })
}

fn journal(world: &World, target: &str) -> String {
    let path = world.path("agents").join(target).join("journal");
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// The canary of an upgrade is out of service, and the link is cut.
fn cut_off_in_its_section() -> World {
    let mut world = World::behind_a_relay(CLEAN, 7);
    world.speed = 20;
    world.enroll(&[A, B].map(serving));
    world.add_artifact();
    let topology = world.topology(&[A, B]);
    world.apply(&topology);
    let entered = |event: &Event| matches!(event, Event::SectionEntered { .. });
    until("the canary is out of service", || {
        told(&world, entered).then_some(())
    });
    world.relay().cut();
    assert!(!told(&world, left), "it is in its section");
    world
}

#[test]
fn an_agent_that_is_cut_off_in_its_section_finishes_it_and_nobody_else_begins_one() {
    let world = cut_off_in_its_section();
    until("it has finished by itself", || {
        journal(&world, A).contains("run-finished").then_some(())
    });
    assert!(journal(&world, A).contains("section-left"));
    until("the agents are away", || away(&world).then_some(()));
    assert!(!told(&world, left), "nobody has heard of it yet");
    assert!(!journal(&world, B).contains("section-entered"));
    world.relay().mend();
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B]);
    world.rails_held(&[Rail::G2]);
    drop(world.audit());
}

/// The product is out of service until then, and nobody can be asked. What comes behind the section waits for its controller,
/// and an abort that was ordered meanwhile ends it there.
#[test]
fn an_agent_that_is_killed_in_its_section_and_cut_off_finishes_it_and_begins_nothing_more() {
    for aborted in [false, true] {
        let mut world = cut_off_in_its_section();
        world.kill_agents();
        assert!(!journal(&world, A).contains("section-left"));
        world.start_agents(&[A, B].map(serving), None);
        until("it has left its section", || {
            let said = journal(&world, A);
            said.contains("section-left").then_some(())
        });
        assert!(!told(&world, left), "nobody has heard of it yet");
        let entered = journal(&world, A).matches("section-entered").count();
        assert_eq!(entered, 1, "it has asked for no other leave");
        if aborted {
            let done = world.entrain(&["abort", "r1"]);
            assert!(done.status.success(), "{}", text(&done));
        }
        world.relay().mend();
        if aborted {
            until("it has ended", || {
                (world.state(A).0 == "aborted").then_some(())
            });
            assert!(told(&world, left));
            assert!(world.changes(B).is_empty());
        } else {
            world.all_done();
        }
        world.nothing_lost_or_repeated(&[A, B]);
        world.rails_held(&[Rail::G2]);
        drop(world.audit());
    }
}

/// A person is at the wizard that makes a gMSA, and the agent is killed and cut off. What it claims was never free, so it watches on
/// and tells the end; the other server, which changes the same object, comes behind it.
#[test]
fn an_agent_that_is_killed_at_a_wizard_and_cut_off_sees_its_end_and_nobody_else_changes_the_account()
 {
    let attended = |name| Profile {
        person: TENANT.parse().ok(),
        ..server(name, &[])
    };
    let servers = [A, B].map(attended);
    let mut world = World::behind_a_relay(CLEAN, 7);
    // The person takes some seconds.
    world.speed = 20;
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.write(
        "wizard.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\nsign_in = \"wizard\"\n[domain.\"corp.contoso.com\"]\ndirectory = \"ask\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\", \"{B}\"]\n"
        ),
    );
    world.apply(&topology);
    until("the wizard waits for a person", || {
        let said = journal(&world, A);
        let entered = said.contains("section-entered");
        (entered && said.contains("task-opened")).then_some(())
    });
    world.relay().cut();
    world.kill_agents();
    assert!(!journal(&world, A).contains("section-left"));
    world.start_agents(&servers, None);
    until("it has seen the end and left its section", || {
        journal(&world, A).contains("section-left").then_some(())
    });
    assert!(!told(&world, left), "nobody has heard of it yet");
    let entered = journal(&world, A).matches("section-entered").count();
    assert_eq!(entered, 1, "it has asked for no other leave");
    assert!(!journal(&world, B).contains("section-entered"));
    world.relay().mend();
    world.all_done();
    let changes = world.events();
    let changes = changes.iter().filter_map(|(target, _, event)| {
        let changed = matches!(event, Event::SectionLeft { gmsa: Some(_), .. });
        changed.then_some(target.as_str())
    });
    assert_eq!(changes.collect::<Vec<_>>(), [A, B]);
    world.nothing_lost_or_repeated(&[A, B]);
    drop(world.audit());
}

/// Who is stopped in order, as with its server, says that it goes: nobody waits for its silence to tell.
#[test]
fn an_agent_that_is_stopped_says_that_it_goes() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[])]);
    world.stop_agents();
    until("both are away", || away(&world).then_some(()));
    let said = std::fs::read_to_string(world.path("serve.log")).expect("a log");
    let ends = said.lines().filter(|line| line.contains("a session ended"));
    let ends: Vec<&str> = ends.collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(
        ends.iter().all(|line| line.contains("ended in good order")),
        "{ends:?}"
    );
}
