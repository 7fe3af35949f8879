//! Two servers that change one gMSA object: one after the other, and the second only when its own domain controller shows
//! what the first did (G3).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a story looks for the events that it is about"
)]

use agent_twin::Fault;
use e2e::{TENANT, World, server, text, until};
use protocol::event::Event;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";

fn topology(world: &World) -> String {
    world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[domain.\"corp.contoso.com\"]\ndirectory = \"ask\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\", \"{B}\"]\n"
        ),
    )
}

/// Where the sections of the servers begin and end in the log, in order.
fn sections(world: &World) -> Vec<(String, &'static str)> {
    let word = |event: &Event| match event {
        Event::SectionEntered { section, .. } if section.gmsa.is_some() => Some("entered"),
        Event::SectionLeft { gmsa: Some(_), .. } => Some("left"),
        _ => None,
    };
    let events = world.events().into_iter();
    events
        .filter_map(|(target, _, event)| Some((target, word(&event)?)))
        .collect()
}

#[test]
fn the_second_server_acts_on_what_its_own_controller_shows() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[Fault::ReplicationSlow])]);
    world.add_artifact();
    world.apply(&topology(&world));
    // The token and the domain's credential, for each of two servers.
    world.give_secrets(2);
    world.all_done();
    let seen = sections(&world);
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!((seen[0].1, seen[1].1), ("entered", "left"));
    assert_eq!(seen[0].0, seen[1].0, "one after the other: {seen:?}");
    let changes: Vec<_> = world
        .events()
        .into_iter()
        .filter_map(|(_, _, event)| match event {
            Event::SectionLeft { gmsa, .. } => gmsa,
            _ => None,
        })
        .collect();
    let readers = |at: usize| changes[at].readers.as_ref().map(Vec::len);
    assert_eq!((readers(0), readers(1)), (Some(1), Some(2)), "{changes:?}");
    world.nothing_lost_or_repeated(&[A, B]);
}

#[test]
fn where_the_change_cannot_be_read_a_person_looks_and_attests() {
    let mut world = World::new();
    world.enroll(&[
        server(A, &[Fault::DirectoryUnreadable]),
        server(B, &[Fault::DirectoryUnreadable]),
    ]);
    world.add_artifact();
    world.apply(&topology(&world));
    world.give_secrets(2);
    let second = until("somebody is asked to look", || {
        let tasks = world.json(&["tasks", "--json"]);
        let task = tasks
            .as_array()?
            .iter()
            .find(|task| text_of(task).contains("has reached"))?;
        Some(task["target"].as_str()?.to_owned())
    });
    let left = sections(&world)
        .iter()
        .filter(|(_, word)| *word == "left")
        .count();
    assert_eq!(left, 1, "the second has not acted");
    let attested = world.entrain(&["tasks", "attest", &second]);
    assert!(attested.status.success(), "{}", text(&attested));
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B]);
}

/// Nobody comes to the wizards, so that the first one stays in its section. Its key is revoked, which it hears and does not heed: it
/// finishes what it is in. Nobody else changes the account before somebody says that the server is off.
#[test]
fn what_a_revoked_agent_is_at_stays_its_own_until_somebody_says_that_the_server_is_off() {
    let mut world = World::new();
    world.enroll(&[server(A, &[]), server(B, &[])]);
    world.add_artifact();
    let topology = world.write(
        "wizard.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\nsign_in = \"wizard\"\n[domain.\"corp.contoso.com\"]\ndirectory = \"ask\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\", \"{B}\"]\n"
        ),
    );
    let policy = "[limit]\nfailures = \"50\"\ncanary = 0\nin_flight = 2\n";
    let policy = world.write("policy.toml", policy);
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    let applied = world.entrain(&["apply", planned["plan"].as_str().expect("a plan")]);
    assert!(applied.status.success(), "{}", text(&applied));
    let first = until("one of them is in its section", || {
        let (target, word) = sections(&world).first()?.clone();
        (word == "entered").then_some(target)
    });
    let second = if first == A { B } else { A };
    let busy = format!("{first} changes the same gMSA");
    until("the other one asks for leave", || {
        world.state(second).1.contains(&busy).then_some(())
    });

    let revoked = world.entrain(&["agents", "revoke", &first]);
    assert!(revoked.status.success(), "{}", text(&revoked));
    let word = format!("entrain resolve r1 {first} --off --reason WHY");
    assert!(text(&revoked).contains(&word), "{}", text(&revoked));
    assert!(world.state(&first).1.contains(&word));
    let (state, detail) = until("it is held by that", || {
        let row = world.state(second);
        row.1.contains(&word).then_some(row)
    });
    assert!(
        state == "held" && detail.contains(&busy),
        "{state}: {detail}"
    );
    // What a resolve alone says is what became of its work, and not that nothing goes on there.
    let resolve = ["resolve", "r1", &first, "--reason", "it is rebuilt"];
    let resolved = world.entrain(&resolve);
    assert!(resolved.status.success(), "{}", text(&resolved));
    assert!(world.state(second).1.contains(&busy));
    assert_eq!(sections(&world).len(), 1, "nobody else has begun");

    let off = ["resolve", "r1", &first, "--off", "--reason", "it is off"];
    let said = world.entrain(&off);
    assert!(said.status.success(), "{}", text(&said));
    until("the other one is in its section", || {
        (sections(&world).last()?.0 == second).then_some(())
    });
    drop(world.audit());
}

fn text_of(task: &serde_json::Value) -> String {
    task.to_string()
}
