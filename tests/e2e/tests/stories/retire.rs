//! Servers are retired: the agent is taken off once others serve, the last one of a domain only for whoever says so.

use std::collections::BTreeSet;

use agent_twin::{Installed, Profile};
use e2e::{TENANT, World, text, until};
use protocol::Version;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const OLD: &str = "sync-00.corp.contoso.com";

/// A server whose agent serves.
fn serving(name: &str) -> Profile {
    Profile {
        target: name.parse().expect("a name"),
        installed: Installed::ProvisioningAgent {
            version: Version::new(1, 1, 2505, 0),
            tenant: TENANT.parse().expect("a tenant"),
        },
        person: None,
        faults: BTreeSet::new(),
    }
}

fn topology(world: &World, hosts: &[&str], retired: &[&str]) -> String {
    let text = format!(
        "[tenant.main]\nid = \"{TENANT}\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = {hosts:?}\nretired = {retired:?}\n"
    );
    world.write("topology.toml", &text)
}

#[test]
fn a_retired_server_loses_its_agent_and_the_last_of_a_domain_only_by_name() {
    let mut world = World::new();
    world.speed = 100;
    let servers = [serving(A), serving(B), serving(OLD)];
    world.enroll(&servers);
    world.add_artifact();
    let file = topology(&world, &[A, B], &[OLD]);
    // A rehearsal of the same plan says beforehand that all would be done, and touches nobody.
    let planned = world.json(&["plan", &file, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan").to_owned();
    let rehearsed = world.json(&["rehearse", &plan, "--courses", "3", "--json"]);
    assert_eq!(rehearsed["course"]["left"], serde_json::json!([]));
    let fault = format!("removal-fails@{OLD}");
    let said = text(&world.entrain(&["rehearse", &plan, "--fault", &fault]));
    assert!(
        said.contains(&format!("{OLD} failed: taking off")),
        "{said}"
    );
    let unknown = text(&world.entrain(&["rehearse", &plan, "--fault", "x@y.test"]));
    assert!(unknown.contains("there is no fault x"), "{unknown}");
    assert!(world.changes(OLD).is_empty() && world.targets().is_empty());
    world.apply(&file);
    // An agent that is killed while the product is taken off takes nothing off twice.
    until("it is taken off", || {
        let (state, detail) = world.state(OLD);
        (state == "done" || detail.contains("remove")).then_some(())
    });
    world.kill_agents();
    world.start_agents(&servers, None);
    world.all_done();
    world.nothing_lost_or_repeated(&[A, B, OLD]);
    assert_eq!(
        world.changes(OLD),
        ["uninstall Microsoft Entra Provisioning Agent Package"]
    );
    assert!(world.changes(A).is_empty() && world.changes(B).is_empty());
    let why = text(&world.entrain(&["why", OLD]));
    assert!(why.contains("RM05") && why.contains("RM07"), "{why}");

    // Everybody goes: the plan says what that means, and `apply` wants it said.
    let file = topology(&world, &[], &[A, B, OLD]);
    let checked = text(&world.entrain(&["check", &file]));
    assert!(checked.contains("(G10)"), "{checked}");
    let planned = world.json(&["plan", &file, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan");
    for given in [vec![], vec!["--irreversible", "2"]] {
        let refused = world.entrain(&[["apply", plan].as_slice(), &given].concat());
        let said = text(&refused);
        assert!(!refused.status.success());
        assert!(
            said.contains("cannot be undone (G10)") && said.contains("--irreversible 1"),
            "{said}"
        );
    }
    let applied = world.entrain(&["apply", plan, "--irreversible", "1"]);
    assert!(applied.status.success(), "{}", text(&applied));
    world.all_done();
    for gone in [A, B] {
        assert_eq!(world.changes(gone).len(), 1, "{gone}");
    }
    let record = world.audit();
    assert!(
        record.contains("irreversible"),
        "who accepted it is in the log"
    );
    // Nothing in it is beyond undoing any more.
    let planned = world.json(&["plan", &file, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan");
    let refused = text(&world.entrain(&["apply", plan, "--irreversible", "1"]));
    assert!(refused.contains("leave --irreversible out"), "{refused}");
}
