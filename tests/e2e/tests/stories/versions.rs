//! `entrain status --versions` and guard rail G6 as their user sees them.

use agent_twin::{Installed, Profile};
use e2e::{World, server, text};

const OLD: &str = "sync-01.corp.contoso.com";
const NEW: &str = "sync-02.corp.contoso.com";

fn with_agent(name: &str, version: &str) -> Profile {
    let mut profile = server(name, &[]);
    profile.installed = Installed::ProvisioningAgent {
        version: version.parse().expect("a version"),
        tenant: e2e::TENANT.parse().expect("a tenant"),
    };
    profile
}

#[test]
fn the_worst_version_comes_first_and_data_of_the_vendor_block() {
    let mut world = World::new();
    let servers = [with_agent(NEW, "1.1.2505.0"), with_agent(OLD, "1.1.2102.0")];
    world.enroll(&servers);
    world.add_artifact();
    let topology = world.topology(&[OLD, NEW]);
    let fine = world.entrain(&["check", &topology]);
    assert!(fine.status.success(), "{}", text(&fine));

    // A plan that was made before, and one that was applied while nobody was here.
    let planned = world.json(&["plan", &topology, "--json"]);
    let plan = planned["plan"].as_str().expect("a plan").to_owned();
    world.kill_agents();
    world.apply(&topology);

    // The site's own data take the place of those of the program at the next start; a slip in them is refused with its
    // place.
    let own = world.path("controller/versions.toml");
    std::fs::write(&own, "checked_on = \"2026-13-01\"").expect("a file");
    world.kill_controller();
    let refused = world.entrain(&["serve"]);
    assert!(!refused.status.success());
    let said = text(&refused);
    assert!(
        said.contains("versions.toml") && said.contains("line 1"),
        "{said}"
    );
    let data = r#"
checked_on = "2026-10-06"
[[floor]]
product = "provisioning-agent"
at_least = "1.1.2334.0"
from = "2020-01-01"
effect = "registration stops below it"
source = "vendor's page"
certainty = "vendor"
[[release]]
product = "provisioning-agent"
version = "1.1.2505.0"
recalled = "it was taken back"
source = "vendor's page"
certainty = "vendor"
"#;
    std::fs::write(&own, data).expect("a file");
    world.start_controller();
    world.start_agents(&servers, None);
    world.all_report(2);
    let (state, why) = world.state(OLD);
    assert_eq!(state, "held", "{why}");
    assert!(why.contains("recalled: it was taken back"), "{why}");
    let refused = world.entrain(&["apply", &plan]);
    assert!(!refused.status.success());
    assert!(text(&refused).contains("(G6)"), "{}", text(&refused));
    let seen = world.json(&["status", "--versions", "--json"]);
    let rows = seen["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{seen}");
    assert_eq!(rows[0]["target"], NEW, "recalled is the worst: {seen}");
    assert_eq!(rows[1]["target"], OLD);
    assert!(rows[1]["remarks"][0]["days_left"].as_i64().expect("days") < -2000);
    let said = text(&world.entrain(&["status", "--versions"]));
    for words in [
        "recalled: it was taken back",
        "below 1.1.2334.0",
        "checked on 2026-10-06",
    ] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
    let checked = world.entrain(&["check", &topology]);
    assert_eq!(checked.status.code(), Some(2));
    assert!(text(&checked).contains("(G6)"), "{}", text(&checked));
}

/// Files that somebody put there for an earlier release hide what a newer one knows: that is said at the start, by `doctor`, whether or not the
/// controller answers, and beside the rows that they give.
#[test]
fn a_file_that_is_older_than_the_release_is_told_and_hides_nothing_in_silence() {
    let mut world = World::new();
    let newer = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("checked_on"));
        let day = line.and_then(|line| line.split('"').nth(1));
        day.expect("a day").to_owned()
    };
    let versions = include_str!("../../../../deploy/data/versions.toml");
    let clouds = include_str!("../../../../deploy/data/clouds.toml");
    let older = |text: &str| text.replacen(&newer(text), "2026-01-31", 1);
    let words = |file: &str, text: &str| {
        format!(
            "{file} of 2026-01-31 stands in place of this release's, checked on {}; remove or renew it",
            newer(text)
        )
    };
    let told = [
        words("versions.toml", versions),
        words("clouds.toml", clouds),
    ];
    let says = |world: &World, verbs: &[&str]| {
        let said = text(&world.entrain(verbs));
        told.iter()
            .map(|one| said.contains(one))
            .collect::<Vec<_>>()
    };
    // Its own data, and files that are as new as they are: nothing is said.
    assert_eq!(says(&world, &["doctor"]), [false, false]);
    let (own, own_clouds) = (
        world.path("controller/versions.toml"),
        world.path("controller/clouds.toml"),
    );
    std::fs::write(&own, versions).expect("a file");
    std::fs::write(&own_clouds, clouds).expect("a file");
    world.kill_controller();
    world.start_controller();
    for verbs in [&["doctor"][..], &["status", "--versions"]] {
        assert_eq!(says(&world, verbs), [false, false], "{verbs:?}");
    }
    std::fs::write(&own, older(versions)).expect("a file");
    std::fs::write(&own_clouds, older(clouds)).expect("a file");
    world.kill_controller();
    assert_eq!(says(&world, &["doctor"]), [true, true], "before its start");
    world.start_controller();
    for verbs in [&["doctor"][..], &["status", "--versions"]] {
        assert_eq!(says(&world, verbs), [true, true], "{verbs:?}");
    }
    let json = world.json(&["status", "--versions", "--json"]);
    assert_eq!(json["older"][0], told[0].as_str(), "{json}");
    let log = std::fs::read_to_string(world.path("serve.log")).expect("a log");
    assert!(told.iter().all(|one| log.contains(one)), "{log}");
}

/// A corrected `clouds.toml` in the state folder decides which sign-in a topology may ask for; a slip in it is refused with its place.
#[test]
fn a_site_may_correct_what_is_known_of_a_cloud() {
    let mut world = World::new();
    let topology = world.topology(&[OLD]);
    let written = std::fs::read_to_string(&topology).expect("a topology");
    let government = written.replacen(
        "[tenant.main]",
        "[tenant.main]\ncloud = \"us-government\"\nsign_in = \"token\"",
        1,
    );
    assert_ne!(government, written, "{written}");
    std::fs::write(&topology, government).expect("a file");
    let refused = text(&world.entrain(&["check", &topology]));
    assert!(
        refused.contains("signing in by token does not work in us-government"),
        "{refused}"
    );

    let data = include_str!("../../../../deploy/data/clouds.toml");
    let own = world.path("controller/clouds.toml");
    let slip = data.replacen("works = \"no\"", "works = \"maybe\"", 1);
    std::fs::write(&own, slip).expect("a file");
    world.kill_controller();
    let stopped = world.entrain(&["serve"]);
    assert!(!stopped.status.success());
    let said = text(&stopped);
    assert!(
        said.contains("clouds.toml") && said.contains("line ") && said.contains("maybe"),
        "{said}"
    );

    // Its own value for a setup goes to the agents with the steps: nothing is to be remarked on. What no agent would take is refused.
    let bad = data.replacen("AzureUSGovernment", "Azure US", 1);
    std::fs::write(&own, bad).expect("a file");
    let said = text(&world.entrain(&["serve"]));
    assert!(
        said.contains("environment of us-government") && said.contains("letters and digits"),
        "{said}"
    );
    let corrected = data
        .replacen("works = \"no\"", "works = \"yes\"", 1)
        .replacen("AzureUSGovernment", "AzureGovernment", 1);
    std::fs::write(&own, corrected).expect("a file");
    world.start_controller();
    let said = text(&world.entrain(&["check", &topology]));
    assert!(!said.contains("signing in by token"), "{said}");
    assert!(!said.contains("clouds.toml"), "{said}");

    // A controller that is restored knows it as well.
    let backup = world.path("backup").display().to_string();
    let made = world.entrain(&["backup", &backup]);
    assert!(made.status.success(), "{}", text(&made));
    let kept = std::fs::read(format!("{backup}/clouds.toml")).expect("it is in the backup");
    assert_eq!(kept, std::fs::read(&own).expect("it is there"));
}
