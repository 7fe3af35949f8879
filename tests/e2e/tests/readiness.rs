//! `entrain preflight` as its user sees it: every server is asked, nothing is changed, and the answers are signed.

use agent_twin::{Fault, Installed, Profile};
use e2e::{World, server, text};

const READY: &str = "sync-01.corp.contoso.com";
const SPOILED: &str = "sync-02.corp.contoso.com";
const UNKNOWN: &str = "sync-03.corp.contoso.com";

#[test]
fn every_server_says_whether_it_is_ready_and_who_mends_what() {
    let mut world = World::new();
    let faults = [Fault::VaultDisabled, Fault::NoRecycleBin];
    world.enroll(&[server(READY, &[]), server(SPOILED, &faults)]);
    // No installer is in the store yet: that is no matter for whoever asks whether servers are ready.
    let topology = world.topology(&[READY, SPOILED, UNKNOWN]);
    let asked = world.entrain(&["preflight", &topology, "--json"]);
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked));
    let report: serde_json::Value =
        serde_json::from_slice(&asked.stdout).unwrap_or_else(|_| panic!("{}", text(&asked)));
    let servers = report["servers"].as_array().expect("servers");
    assert_eq!(servers.len(), 2, "{report}");
    let why = report["not_asked"][UNKNOWN].as_str().unwrap_or_default();
    assert!(why.contains("not enrolled"), "{report}");
    assert_eq!(servers[0]["target"], READY);
    assert_eq!(servers[0]["ready"], true);
    assert_eq!(servers[1]["ready"], false);
    let findings = servers[1]["findings"].as_array().expect("findings");
    let found = |id: &str| findings.iter().find(|one| one["id"] == id);
    let vault = found("PF14").expect("PF14 was asked");
    assert_eq!(vault["owner"], "server");
    assert_eq!(vault["read"], "Disabled");
    assert_eq!(found("PF59").expect("PF59 was asked")["owner"], "directory");
    assert!(world.changes(READY).is_empty() && world.changes(SPOILED).is_empty());

    let said = text(&world.entrain(&["preflight", &topology]));
    for words in [
        "sync-01.corp.contoso.com: ready",
        "sync-02.corp.contoso.com: not ready, 1 to mend first",
        "the server's owner: set the service VaultSvc to Manual",
        "the directory's administrator: have the forest's administrator enable it",
        "2 servers answered, 1 are ready",
    ] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
    let record = world.audit();
    assert_eq!(record.matches("run-finished").count(), 4, "signed receipts");

    // Nobody is asked whether Connect may move where there is none: that is no good answer.
    let nobody = world.entrain(&["preflight", "--transition", &topology]);
    assert_eq!(nobody.status.code(), Some(1), "{}", text(&nobody));
    assert!(text(&nobody).contains("there is nobody to ask"));
}

/// `entrain support`: logs are collected where an agent is registered, and whoever asks is told where they lie and what was not
/// collected.
#[test]
fn logs_are_collected_on_their_servers_and_everyone_else_is_named() {
    let mut world = World::new();
    let registered = |name, faults: &[Fault]| Profile {
        installed: Installed::ProvisioningAgent {
            version: protocol::Version::new(1, 1, 2334, 0),
            tenant: e2e::TENANT.parse().expect("an id"),
        },
        ..server(name, faults)
    };
    world.enroll(&[
        registered(READY, &[]),
        registered(SPOILED, &[Fault::ToolsMissing]),
        server(UNKNOWN, &[]),
    ]);
    let topology = world.topology(&[READY, SPOILED, UNKNOWN]);
    let one = world.entrain(&["support", "--server", READY, &topology]);
    assert!(one.status.success(), "{}", text(&one));
    let said = text(&one);
    assert!(
        said.contains("sync-01.corp.contoso.com: C:\\ProgramData\\Entrain\\support"),
        "{said}"
    );
    assert!(
        said.contains("3320 KiB, SHA-256 ") && !said.contains(SPOILED),
        "{said}"
    );

    let all = world.entrain(&["support", &topology, "--json"]);
    assert_eq!(all.status.code(), Some(3), "{}", text(&all));
    let report: serde_json::Value =
        serde_json::from_slice(&all.stdout).unwrap_or_else(|_| panic!("{}", text(&all)));
    assert!(report["collected"][READY].is_string(), "{report}");
    let why = |name: &str| {
        report["not_collected"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        why(SPOILED).contains("AADCloudSyncTools was not loaded"),
        "{report}"
    );
    assert!(
        why(UNKNOWN).contains("no registered provisioning agent"),
        "{report}"
    );
    assert!(
        world.changes(READY).is_empty(),
        "nothing of the product is changed"
    );

    let stranger = world.entrain(&["support", "--server", "s9.corp.contoso.com", &topology]);
    assert!(!stranger.status.success());
    assert!(
        text(&stranger).contains("is no server of this topology"),
        "{}",
        text(&stranger)
    );
}
