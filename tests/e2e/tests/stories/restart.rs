//! Windows waits for a restart on the servers of a rollout: the rule of each site says who restarts them, and the rollout goes
//! on by itself. Processes as they are, on models of servers.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a story stops where something is not as it must be"
)]

use agent_twin::Fault;
use e2e::{TENANT, World, server, text, until};
use protocol::event::Event;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// One server at each of three sites, of which the second is open at all times.
fn topology() -> String {
    let site =
        |name: &str, rule: &str| format!("[site.{name}]\nzone = \"UTC\"\nreboot = \"{rule}\"\n");
    let group = |name: &str, site: &str, host: &str| {
        format!(
            "[agents.{name}]\nsite = \"{site}\"\nserves = [\"corp.contoso.com\"]\nhosts = [\"{host}\"]\n"
        )
    };
    [
        format!("[tenant.main]\nid = \"{TENANT}\"\n"),
        "[domain.\"corp.contoso.com\"]\nmin_serving = 1\nallow_outage = true\n".to_owned(),
        site("ams", "ask") + &site("lon", "window") + &site("par", "never"),
        group("a", "ams", A) + &group("b", "lon", B) + &group("c", "par", C),
    ]
    .concat()
}

fn policy() -> String {
    let days = controller_core::calendar::DAYS;
    format!(
        "[limit]\nfailures = \"50\"\ncanary = 0\n[site.lon]\nwindow = {{ days = {days:?}, from = \"00:00\", to = \"00:00\" }}\n"
    )
}

#[test]
fn the_site_says_who_restarts_windows_and_the_rollout_goes_on_by_itself() {
    let mut world = World::new();
    let mut waits = [A, B, C].map(|name| server(name, &[Fault::RebootPending]));
    // Somebody is at the first one.
    waits[0].person = TENANT.parse().ok();
    world.enroll(&waits);
    world.add_artifact();
    let topology = world.write("topology.toml", &topology());
    let policy = world.write("policy.toml", &policy());
    let planned = world.json(&["plan", &topology, "--policy", &policy, "--json"]);
    let applied = world.entrain(&["apply", planned["plan"].as_str().expect("a plan")]);
    assert!(applied.status.success(), "{}", text(&applied));
    // Nobody may restart the third one: it stops there, before anything is touched.
    until("one stops", || (world.state(C).0 == "failed").then_some(()));
    assert!(text(&world.entrain(&["why", C])).contains("PF19"));
    assert!(world.changes(C).is_empty());
    world.give_secrets(2);
    until("the others are done", || {
        let done = |name: &str| world.state(name).0 == "done";
        (done(A) && done(B)).then_some(())
    });
    let count = |name: &str, what: &str| {
        let changes = world.changes(name);
        changes.iter().filter(|change| *change == what).count()
    };
    assert_eq!(count(A, "restart Windows by hand"), 1);
    assert_eq!(count(B, "restart Windows"), 1);
    assert_eq!(
        count(A, "restart Windows") + count(B, "restart Windows by hand"),
        0
    );
    // Somebody was asked for the first one, by name and with what is to be done; for the second one nobody was.
    let asked: Vec<String> = world
        .events()
        .into_iter()
        .filter_map(|(target, _, event)| match event {
            Event::TaskOpened { text, .. } if text.title.starts_with("restart Windows on ") => {
                Some(target)
            }
            _ => None,
        })
        .collect();
    assert_eq!(asked, [A]);
    world.nothing_lost_or_repeated(&[A, B]);
}
