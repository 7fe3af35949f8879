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
    // A token and the domain's credential, for each.
    world.give_secrets(4);
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
    world.give_secrets(4);
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

fn text_of(task: &serde_json::Value) -> String {
    task.to_string()
}
