//! A tenant moves from Connect to cloud sync: at Connect's own wizard, which lays the provisioning agent down, registers it, and sets Connect to
//! staging mode. What no server shows, a person says.

use std::path::Path;

use e2e::{TENANT, World, text, until};
use protocol::event::{Completion, Event};

use crate::cloud_sync::{ENTRIES, entries};
use crate::server::{Wine, must};
use crate::wizard::{ACCOUNT, CLOUD_SYNC, DOMAIN, at_the_wizard, ended};
use crate::{TARGET, goes_on};

/// Waits until the one task that is open is that.
fn asked_for(world: &World, title: &str) {
    until(title, || {
        goes_on(world);
        let tasks = world.json(&["tasks", "list", "--json"]);
        let tasks = tasks.as_array()?;
        (tasks.len() == 1 && tasks[0].to_string().contains(title)).then_some(())
    });
}

pub(crate) fn moved(world: &World, wine: &Wine, setup: &Path) {
    assert_eq!(entries(wine), [""; 0]);
    let since = world.events().len();
    let topology = world.path("connect.toml").display().to_string();
    let planned = world.json(&["transition", TARGET, &topology, "--json"]);
    let plan = planned["plan"].as_str().unwrap();
    must(
        world.entrain(&["apply", plan, "--irreversible", "1"]),
        "apply",
    );
    // Of some limits nothing is read under Wine, which has no integrated sign-in to the directory.
    asked_for(world, "look at limits of the move");
    must(world.entrain(&["tasks", "attest", TARGET]), "attest");
    asked_for(world, "from Connect to cloud sync");
    // What the wizard does, one after the other.
    let setup = format!("Z:{}", setup.display()).replace('/', "\\");
    let log = r"C:\standin\connect-wizard.log";
    let silent = [
        "/quiet",
        "/norestart",
        "/log",
        log,
        "ENVIRONMENTNAME=AzureCloud",
    ];
    must(
        wine.run(&[&[setup.as_str()], &silent[..]].concat()),
        "setup",
    );
    let entered = [CLOUD_SYNC, TENANT, ACCOUNT, DOMAIN, "Confirm", "Exit"];
    must(at_the_wizard(wine, &entered), "the registration");
    std::fs::write(wine.drive("ProgramData/AADConnect/staging"), "").unwrap();
    asked_for(world, "say that cloud sync took over");
    must(world.entrain(&["tasks", "attest", TARGET]), "attest");
    until("it is moved, and both are verified", || {
        (goes_on(world) == "done").then_some(())
    });
    let moved = ended(world, since, "guide-transition");
    assert!(
        matches!(moved.as_slice(), [(Completion::SeenDone, said)] if said.contains("Connect is staging")),
        "{moved:?}"
    );
    let verified = |kind: &str| ended(world, since, kind).len();
    assert_eq!(
        (
            verified("verify-connect"),
            verified("verify-provisioning-agent")
        ),
        (1, 1)
    );
    assert_eq!(entries(wine), ENTRIES);
    let fails = |(_, _, event): (String, u64, Event)| matches!(event, Event::StepFailed { .. });
    let failed = world.events().into_iter().skip(since).any(fails);
    assert!(!failed, "{}", text(&world.entrain(&["why", TARGET])));
    drop(world.audit());
}
