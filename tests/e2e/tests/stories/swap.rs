//! Another Connect server becomes the active one, with real processes: counted, switched, seen; killed on the way.

use std::collections::BTreeSet;

use agent_twin::{Fault, Installed, Profile};
use e2e::{TENANT, World, text, until};
use protocol::Version;

const ACTIVE: &str = "fab-sync-01.fabrikam.com";
const NEXT: &str = "fab-sync-02.fabrikam.com";
const THIRD: &str = "fab-sync-03.fabrikam.com";

fn connect(name: &str, staging: bool, faults: &[Fault]) -> Profile {
    Profile {
        target: name.parse().expect("a name"),
        installed: Installed::Connect {
            version: Version::new(2, 6, 92, 0),
            staging,
        },
        person: TENANT.parse().ok(),
        faults: faults.iter().copied().collect::<BTreeSet<_>>(),
    }
}

#[test]
fn the_active_server_is_swapped_once_what_the_other_would_export_is_within_the_limits() {
    let mut world = World::new();
    world.speed = 100;
    let servers = [
        connect(ACTIVE, false, &[]),
        connect(NEXT, true, &[Fault::DeletionsPending]),
        connect(THIRD, true, &[]),
    ];
    world.enroll(&servers);
    world.all_report(servers.len());
    let file = world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"fabrikam.com\"]\nservers = [\"{ACTIVE}\", \"{NEXT}\", \"{THIRD}\"]\nprefer_active = \"{NEXT}\"\npending_exports = {{ add = 5, update = 50 }}\n"
        ),
    );
    let refused = world.entrain(&["swap", ACTIVE, &file]);
    assert!(!refused.status.success());
    assert!(
        text(&refused).contains("is active already"),
        "{}",
        text(&refused)
    );
    let planned = world.json(&["swap", NEXT, &file, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan").to_owned();
    let report = planned["report"].as_str().expect("a report");
    assert!(
        report.contains("make another Connect server the active one"),
        "{report}"
    );
    let applied = world.entrain(&["apply", &plan]);
    assert!(applied.status.success(), "{}", text(&applied));

    // It would delete objects, and none may be: the active server is not touched.
    until("it is not fit", || {
        (world.state(NEXT).0 == "failed").then_some(())
    });
    let why = text(&world.entrain(&["why", NEXT]));
    assert!(why.contains("PV31") && why.contains("7 to delete"), "{why}");
    let held = text(&world.entrain(&["why", ACTIVE]));
    assert!(held.contains("(G4)"), "{held}");
    assert!(world.changes(ACTIVE).is_empty());

    // Mended, but for a rule that is another one there: the active server is not touched either, until that is approved.
    let faults = world.path("agents").join(NEXT).join("faults.json");
    std::fs::write(&faults, "[\"settings-differ\"]").expect("a file");
    let retried = world.entrain(&["retry", "r1", NEXT]);
    assert!(retried.status.success(), "{}", text(&retried));
    until("it is told that the settings differ", || {
        let held = text(&world.entrain(&["why", ACTIVE]));
        held.contains("differ in 2").then_some(())
    });
    let differ = world.entrain(&["diff", NEXT, ACTIVE]);
    assert_eq!(differ.status.code(), Some(2));
    let shown = text(&differ);
    for words in [ACTIVE, NEXT, "OU=Trainees", "In from AD - Sales", "read at"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("Sales and Service"), "{shown}");
    // What the wizards exported is held against each other too, and each server's own id is no difference.
    let exported = world.entrain(&["diff", ACTIVE, NEXT, "--exported"]);
    assert_eq!(exported.status.code(), Some(2), "{}", text(&exported));
    let said = text(&exported);
    for words in [
        "Applied-SynchronizationPolicy-1.JSON",
        "connectors[corp].units[OU=Trainees,DC=corp,DC=contoso,DC=com]",
        "1 id that every installation has of its own",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let alone = world.entrain(&["diff", ACTIVE, "--exported"]);
    assert!(
        text(&alone).contains("one export alone was told"),
        "{}",
        text(&alone)
    );
    let digest = shown
        .lines()
        .find_map(|line| line.strip_prefix("difference "));
    let digest = digest.expect("its digest").to_owned();
    assert!(world.changes(ACTIVE).is_empty());
    let zero = "0".repeat(64);
    let wrong = world.entrain(&["accept", "r1", &zero, "--reason", "meant"]);
    assert!(!wrong.status.success() && text(&wrong).contains(&digest));
    let accepted = world.entrain(&["accept", "r1", &digest, "--reason", "meant"]);
    assert!(accepted.status.success(), "{}", text(&accepted));
    let shown = text(&world.entrain(&["diff", ACTIVE, NEXT]));
    assert!(shown.contains("approved for r1"), "{shown}");

    // The agents are killed while the active one waits for its person, and the controller after it.
    until("a person is asked for", || {
        let (state, _) = world.state(ACTIVE);
        matches!(state.as_str(), "awaiting" | "done").then_some(())
    });
    world.kill_agents();
    world.kill_controller();
    world.start_controller();
    world.start_agents(&servers, None);
    world.all_done();
    world.nothing_lost_or_repeated(&[ACTIVE, NEXT, THIRD]);
    assert_eq!(
        world.changes(ACTIVE),
        ["wizard of Connect: staging mode true"]
    );
    assert_eq!(
        world.changes(NEXT),
        ["wizard of Connect: staging mode false"]
    );
    assert!(world.changes(THIRD).is_empty());
    let record = world.audit();
    assert!(
        record.contains("accept-difference"),
        "who approved is in the log"
    );
}

/// A swing upgrade is one plan: the staging server is upgraded and becomes active, and then the one before is upgraded.
/// Everybody is killed on the way.
#[test]
fn a_swing_upgrades_the_one_swaps_and_upgrades_the_other() {
    let mut world = World::new();
    world.speed = 100;
    let old = |name, staging| Profile {
        installed: Installed::Connect {
            version: Version::new(2, 5, 190, 0),
            staging,
        },
        ..connect(name, staging, &[])
    };
    let servers = [old(ACTIVE, false), old(NEXT, true)];
    world.enroll(&servers);
    world.all_report(servers.len());
    let file = world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"fabrikam.com\"]\nservers = [\"{ACTIVE}\", \"{NEXT}\"]\npending_exports = {{ add = 5, update = 50 }}\n"
        ),
    );
    let msi = world.write("connect.msi", "a stand-in for an installer");
    let added = world.entrain(&[
        "artifact",
        "add",
        &msi,
        "--accept-terms",
        "--model",
        "connect",
        "--version",
        "2.6.92.0",
    ]);
    assert!(added.status.success(), "{}", text(&added));
    // Below the wanted version no swap is planned, and the topology lists nobody as retired.
    let refused = text(&world.entrain(&["swap", NEXT, &file]));
    assert!(
        refused.contains(&format!("entrain swing {NEXT}")),
        "{refused}"
    );
    let refused = text(&world.entrain(&["swing", NEXT, &file, "--retire"]));
    assert!(refused.contains("write it into `retired`"), "{refused}");
    let planned = world.json(&["swing", NEXT, &file, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan").to_owned();
    let report = planned["report"].as_str().expect("a report");
    assert!(report.contains("in this order"), "{report}");
    let applied = world.entrain(&["apply", &plan]);
    assert!(applied.status.success(), "{}", text(&applied));

    until(
        "the new server's upgrade waits for its person, or is behind that",
        || (!world.changes(NEXT).is_empty() || world.state(NEXT).0 == "awaiting").then_some(()),
    );
    assert!(world.changes(ACTIVE).is_empty());
    world.kill_agents();
    world.kill_controller();
    world.start_controller();
    world.start_agents(&servers, None);
    // From the old server's staging mode on it is told that it is not over.
    until("the old one is staging", || {
        (!world.changes(ACTIVE).is_empty()).then_some(())
    });
    world.kill_agents();
    world.kill_controller();
    world.start_controller();
    world.start_agents(&servers, None);
    world.all_done();
    world.nothing_lost_or_repeated(&[ACTIVE, NEXT]);
    assert_eq!(
        world.changes(NEXT),
        ["wizard of Connect", "wizard of Connect: staging mode false"]
    );
    assert_eq!(
        world.changes(ACTIVE),
        ["wizard of Connect: staging mode true", "wizard of Connect"]
    );
    let status = world.json(&["status", "--json"]);
    for none in ["alarms", "left_behind"] {
        assert_eq!(status[none], serde_json::json!([]), "{status}");
    }
}

/// The active server is off. Another takes its place by the word of whoever knows that, and it is stopped when it is back.
#[test]
fn a_server_that_is_off_is_replaced_by_word_and_stopped_when_it_is_back() {
    let mut world = World::new();
    world.speed = 100;
    let servers = [connect(ACTIVE, false, &[]), connect(NEXT, true, &[])];
    world.enroll(&servers);
    let file = world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"fabrikam.com\"]\nservers = [\"{ACTIVE}\", \"{NEXT}\"]\npending_exports = {{ add = 5, update = 50 }}\n"
        ),
    );
    let failover = ["failover", NEXT, "--off", ACTIVE, &file, "--json"];
    let refused = text(&world.entrain(&failover));
    assert!(refused.contains("is connected just now"), "{refused}");
    // Its agent goes without a word; the other's comes back.
    world.kill_agents();
    until("the controller notices", || {
        let agents = world.json(&["agents", "--json"]);
        let mut here = agents["agents"].as_array()?.iter();
        here.all(|agent| agent["connected"] == false).then_some(())
    });
    world.start_agents(&servers[1..], None);
    let planned = world.json(&failover);
    let plan = planned["plan"].as_str().expect("a plan").to_owned();
    for given in [&["apply", &plan][..], &["apply", &plan, "--off", NEXT]] {
        let refused = world.entrain(given);
        assert!(!refused.status.success());
        assert!(
            text(&refused).contains(&format!("gives --off {ACTIVE}")),
            "{}",
            text(&refused)
        );
    }
    let applied = world.entrain(&["apply", &plan, "--off", ACTIVE]);
    assert!(applied.status.success(), "{}", text(&applied));
    until("the other is active", || {
        (world.state(NEXT).0 == "done").then_some(())
    });
    assert_eq!(
        world.changes(NEXT),
        ["wizard of Connect: staging mode false"]
    );
    assert!(world.changes(ACTIVE).is_empty());

    // Days later: it gets its fence before anything else.
    world.start_agents(&servers[..1], None);
    world.all_done();
    assert_eq!(world.changes(ACTIVE), ["disable ADSync"]);
    let agents = world.json(&["agents", "--json"]).to_string();
    assert!(agents.contains("stopped and disabled"), "{agents}");
    let status = world.json(&["status", "--json"]);
    assert_eq!(status["alarms"], serde_json::json!([]), "{status}");
    let record = world.audit();
    assert!(record.contains("said-off"), "who said so is in the log");
}

/// The active server is lost in the middle of an upgrade, while a person sits at its wizard. Whatever was made of that rollout, the
/// failover may be applied, and its fence is the first thing that the server gets: its agent ends the run that it still has open.
#[test]
fn a_server_that_is_lost_in_a_rollout_is_stopped_before_that_goes_on() {
    for ended in ["", "abort", "resolve"] {
        let mut world = World::new();
        world.speed = 100;
        let nobody = Profile {
            installed: Installed::Connect {
                version: Version::new(2, 5, 190, 0),
                staging: false,
            },
            person: None,
            ..connect(ACTIVE, false, &[])
        };
        let servers = [nobody, connect(NEXT, true, &[])];
        world.enroll(&servers);
        world.all_report(servers.len());
        let file = world.write(
            "topology.toml",
            &format!(
                "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"fabrikam.com\"]\nservers = [\"{ACTIVE}\", \"{NEXT}\"]\npending_exports = {{ add = 5, update = 50 }}\n"
            ),
        );
        let msi = world.write("connect.msi", "a stand-in for an installer");
        let given = [
            "--accept-terms",
            "--model",
            "connect",
            "--version",
            "2.6.92.0",
        ];
        let added = world.entrain(&[&["artifact", "add", &msi][..], &given].concat());
        assert!(added.status.success(), "{}", text(&added));
        let planned = world.json(&["plan", &file, "--json"]);
        let plan = planned["plan"].as_str().expect("a plan").to_owned();
        let applied = world.entrain(&["apply", &plan]);
        assert!(applied.status.success(), "{}", text(&applied));
        until(
            "the other is verified, and nobody comes to the wizard",
            || {
                (world.state(ACTIVE).0 == "awaiting person" && world.state(NEXT).0 == "done")
                    .then_some(())
            },
        );

        world.kill_agents();
        until("the controller notices", || {
            let agents = world.json(&["agents", "--json"]);
            let mut here = agents["agents"].as_array()?.iter();
            here.all(|agent| agent["connected"] == false).then_some(())
        });
        world.start_agents(&servers[1..], None);
        let ordered = match ended {
            "abort" => Some(world.entrain(&["abort", "r1"])),
            "resolve" => Some(world.entrain(&["resolve", "r1", ACTIVE, "--reason", "it burned"])),
            _ => None,
        };
        let ordered = ordered.iter().all(|ordered| ordered.status.success());
        assert!(ordered, "{ended}");
        let planned = world.json(&["failover", NEXT, "--off", ACTIVE, &file, "--json"]);
        let plan = planned["plan"].as_str().expect("a plan").to_owned();
        let applied = world.entrain(&["apply", &plan, "--off", ACTIVE]);
        assert!(applied.status.success(), "{ended}: {}", text(&applied));
        until("the other is active", || {
            (world.changes(NEXT) == ["wizard of Connect: staging mode false"]).then_some(())
        });

        world.start_agents(&servers[..1], None);
        world.all_done();
        assert_eq!(world.changes(ACTIVE), ["disable ADSync"], "{ended}");
        world.nothing_lost_or_repeated(&[ACTIVE, NEXT]);
    }
}
