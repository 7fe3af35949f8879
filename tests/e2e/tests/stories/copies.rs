//! A server's disk is put back to a snapshot, or copied, in the middle of a run: at a gate, and while its product is out of service.
//! Whoever has the key is held with an alarm and begins nothing more, the other servers go on, and once an operator has freed the
//! name all comes to its right end.

use std::collections::BTreeSet;

use agent_twin::Profile;
use e2e::rails::Rail;
use e2e::{COPIES, World, program, server, serving, text, until};
use protocol::event::Event;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// Where a disk's snapshot lies.
const SNAPSHOT: &str = "snapshot";

/// Where in its run the first server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It waits for a secret.
    Gate,
    /// Its product is out of service.
    Section,
}

const PLACES: [Place; 2] = [Place::Gate, Place::Section];

/// The first server in a process of its own, in the middle of its run; the others, which serve, in another one, and down just now.
fn in_the_middle(place: Place) -> (World, [Profile; 3]) {
    let mut world = World::new();
    let first = match place {
        Place::Gate => server(A, &[]),
        Place::Section => serving(A),
    };
    let servers = [first, serving(B), serving(C)];
    for some in [&servers[..1], &servers[1..]] {
        // Its setup runs for some seconds; of the others none takes any time.
        let slow = some.len() == 1 && place == Place::Section;
        world.speed = if slow { 20 } else { 0 };
        let join = world.join_file(2);
        world.start_agents(some, Some(&join));
        let count = if some.len() == 1 { 1 } else { 3 };
        world.all_report(count);
    }
    world.add_artifact();
    let topology = world.guarded(&[A, B, C]);
    // Nobody waits for a canary that is held.
    let policy = "[limit]\nfailures = \"50\"\ncanary = 0\nin_flight = 1\n";
    let policy = world.write("policy.toml", policy);
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan");
    let applied = world.entrain(&["apply", plan]);
    assert!(applied.status.success(), "{}", text(&applied));
    match place {
        Place::Gate => world.awaits_secret(A),
        Place::Section => until("it is out of service", || {
            told(&world, A, |event| {
                matches!(event, Event::SectionEntered { .. })
            })
            .then_some(())
        }),
    }
    world.kill_one(1);
    (world, servers)
}

fn told(world: &World, target: &str, wanted: fn(&Event) -> bool) -> bool {
    let events = world.events();
    let mut own = events.iter().filter(|(whose, ..)| whose == target);
    own.any(|(_, _, event)| wanted(event))
}

fn alarms(world: &World) -> Vec<String> {
    let status = world.json(&["status", "--json"]);
    let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
    let alarms = alarms.iter().filter_map(|alarm| alarm.as_str());
    alarms.map(str::to_owned).collect()
}

/// Which steps of which runs its journal says were begun; one that was under way when its agent ended is begun once more.
fn steps_begun(world: &World, folder: &str) -> BTreeSet<String> {
    let journal = std::fs::read(world.path(folder).join(A).join("journal"));
    let journal = journal.expect("a journal");
    let said = String::from_utf8_lossy(&journal);
    let begun = said.split("\"step-begun\"").skip(1);
    let which = |is: &str| {
        let (which, _) = is.split_once(",\"attempt\"").expect("a try of a step");
        which.to_owned()
    };
    begun.map(which).collect()
}

/// No change was made twice on one disk.
fn once(what: &str, changes: &[String]) {
    let once: BTreeSet<&String> = changes.iter().collect();
    assert_eq!(once.len(), changes.len(), "{what}: {changes:?}");
}

/// The first one is held, and stays so; the others come, and are done one after the other.
fn the_others_go_on(world: &mut World, servers: &[Profile]) {
    world.speed = 0;
    world.start_agents(&servers[1..], None);
    let limits = world.entrain(&["limits", "r1", "--in-flight", "2"]);
    assert!(limits.status.success(), "{}", text(&limits));
    world.give_secrets(20);
    until("the others are done", || {
        let done = |name: &str| world.state(name).0 == "done";
        (done(B) && done(C)).then_some(())
    });
}

/// The name is freed, the server enrolls with a key of its own, and a new plan brings to its end what is left.
fn is_replaced(world: &mut World, servers: &[Profile]) {
    world.kill_agents();
    let replaced = world.entrain(&["agents", "replace", A]);
    assert!(replaced.status.success(), "{}", text(&replaced));
    assert_eq!(alarms(world), [""; 0]);
    let join = world.join_file_of(A);
    let enrolled = std::process::Command::new(program("entrain-agent"))
        .args(["enroll", "--new-key", "--name", A, "--state"])
        .arg(world.path("agents").join(A))
        .arg("--join")
        .arg(&join)
        .output()
        .expect("it runs");
    assert!(enrolled.status.success(), "{}", text(&enrolled));
    world.start_agents(servers, None);
    world.all_report(3);
    until("nothing of the first rollout is left", || {
        let over = world.json(&["status", "--json"])["rollouts"][0]["state"] == "over";
        if !over {
            drop(world.entrain(&["abort", "r1"]));
        }
        over.then_some(())
    });
    // What is left to be done, where anything is; then everybody is looked at once more.
    let topology = world.path("topology.toml").display().to_string();
    for look in [&[][..], &["--verify"]] {
        let planned = world.json(&[&["plan", &topology, "--json"], look].concat());
        let Some(plan) = planned["plan"].as_str() else {
            assert!(look.is_empty(), "{planned}");
            continue;
        };
        let applied = world.entrain(&["apply", plan]);
        assert!(applied.status.success(), "{}", text(&applied));
        world.give_secrets(20);
        world.all_done();
    }
    let product = world.changes(A);
    assert!(
        product.iter().any(|change| change.contains("1.1.2505.0")),
        "{product:?}"
    );
    assert_eq!(alarms(world), [""; 0]);
}

/// The snapshot is of the middle of a run. The original goes on for a while and is lost; what it told since is stored, and the one that
/// comes from the snapshot knows nothing of it.
#[test]
fn a_disk_that_was_put_back_in_the_middle_of_a_run_holds_its_agent() {
    for place in PLACES {
        let (mut world, servers) = in_the_middle(place);
        world.copy_disk(A, SNAPSHOT);
        let before = world.changes_in(SNAPSHOT, A);
        let begun = steps_begun(&world, SNAPSHOT);
        match place {
            Place::Gate => {
                world.give_secrets(1);
                until("it waits for its second secret", || {
                    let received = |event: &Event| matches!(event, Event::SecretReceived { .. });
                    let waits = world.state(A).0 == "awaiting secret";
                    (told(&world, A, received) && waits).then_some(())
                });
            }
            Place::Section => until("it is back in service", || {
                let left = |event: &Event| matches!(event, Event::SectionLeft { .. });
                told(&world, A, left).then_some(())
            }),
        }
        world.kill_agents();
        world.put_disk_back(A, SNAPSHOT);
        assert_eq!(world.changes(A), before, "{place:?}");
        world.start_agents(&servers[..1], None);
        let said = until("the alarm", || alarms(&world).pop());
        assert!(said.contains("a snapshot or a copy of its disk"), "{said}");
        the_others_go_on(&mut world, &servers);
        assert_ne!(world.state(A).0, "done", "{place:?}");
        // What was out of service is brought back, and nothing else is done.
        assert_eq!(steps_begun(&world, "agents"), begun, "{place:?}");
        if place == Place::Gate {
            assert_eq!(world.changes(A), before, "nothing is done");
        } else {
            let now = world.changes(A);
            assert!(now.starts_with(&before), "{before:?}: {now:?}");
            once("put back", &now);
        }
        is_replaced(&mut world, &servers);
        for name in [B, C] {
            once(name, &world.changes(name));
        }
        world.nothing_lost_but_doubted(&[A, B, C], &[A]);
        world.rails_held(&[Rail::G2]);
    }
}

/// Both go on by themselves as far as they may: neither begins anything more.
#[test]
fn of_an_agent_that_was_copied_in_the_middle_of_a_run_neither_goes_on() {
    for place in PLACES {
        let (mut world, servers) = in_the_middle(place);
        let before = world.changes(A);
        world.copy_disk(A, COPIES);
        let begun = steps_begun(&world, COPIES);
        world.start_copied(&servers[..1]);
        let said = until("both were seen", || alarms(&world).pop());
        assert!(said.contains("two agents with its key"), "{said}");
        the_others_go_on(&mut world, &servers);
        assert_ne!(world.state(A).0, "done", "{place:?}");
        let mut stands = 0;
        for (folder, changes) in [
            ("agents", world.changes(A)),
            (COPIES, world.changes_of_copy(A)),
        ] {
            assert!(changes.starts_with(&before), "{place:?}: {changes:?}");
            once(folder, &changes);
            if place == Place::Gate {
                assert_eq!(changes, before, "{folder}: nothing is done");
            }
            let now = steps_begun(&world, folder);
            assert!(now.is_superset(&begun), "{place:?}: {folder}");
            if now == begun {
                stands += 1;
            }
        }
        // Until the second one speaks, whoever speaks first is the only one; nothing goes on in both.
        let least = if place == Place::Gate { 2 } else { 1 };
        assert!(stands >= least, "{place:?}: {stands} stand");
        is_replaced(&mut world, &servers);
        for name in [B, C] {
            once(name, &world.changes(name));
        }
        world.nothing_lost_but_doubted(&[A, B, C], &[A]);
        world.rails_held(&[Rail::G2]);
    }
}
