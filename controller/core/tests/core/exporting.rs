//! What a plan says of who exports meanwhile: a server that is active and whose cycle is off or suspended exports no objects.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Purpose, plan, render, switch};
use controller_core::policy::Policy;
use controller_core::topology::{Topology, parse};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::{Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const OLD: Version = Version::new(2, 5, 190, 0);

fn topology(settings: &str) -> Topology {
    let text = format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\n{settings}"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    topology
}

/// A server that has Connect: its version, whether it is staging, whether its cycle is enabled and whether it is suspended.
type Has = Option<(Version, bool, Option<bool>, bool)>;

fn known(servers: [Has; 2]) -> Fleetwide {
    let entry = |(server, has): (&str, Has)| {
        let connect = has.map(
            |(version, staging, cycle_enabled, suspended)| ConnectFacts {
                version: Some(version),
                service: Some(ServiceState::Running),
                staging: Some(staging),
                cycle_enabled,
                suspended: Some(suspended),
            },
        );
        let known = Known {
            facts: Some((NOW, common::facts(None, connect))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (server.parse().unwrap(), known)
    };
    ["s1.a.test", "s2.a.test"]
        .into_iter()
        .zip(servers)
        .map(entry)
        .collect()
}

/// What a report says of who exports.
fn meanwhile(report: &str) -> String {
    let (_, rest) = report.split_once("\nexporting meanwhile\n").unwrap();
    rest.split_once("\n\n").unwrap().0.to_owned()
}

fn installs(settings: &str, servers: [Has; 2]) -> String {
    let inputs = (topology(settings), known(servers), common::artifacts());
    let policy = Policy::default();
    let plan = plan(Inputs::of(
        &inputs.0,
        &policy,
        &inputs.1,
        &inputs.2,
        Purpose::Install,
    ));
    meanwhile(&render(&plan))
}

fn active(version: Version, cycle: Option<bool>, suspended: bool) -> Has {
    Some((version, false, cycle, suspended))
}

const NEWEST: Version = common::CONNECT;

#[test]
fn a_server_whose_cycle_is_off_is_not_said_to_export() {
    let custom = "settings = { sign_in = \"password-hash-sync\" }\n";
    let said = installs(custom, [active(NEWEST, Some(false), false), None]);
    assert_eq!(
        said,
        "  connect.main: now s1.a.test is active, and its cycle is off: objects wait\n    while s2.a.test is installed, as staging: objects wait, since the cycle of s1.a.test is off"
    );
    let said = installs(custom, [active(NEWEST, Some(true), true), None]);
    assert_eq!(
        said,
        "  connect.main: now s1.a.test is active, and its scheduler is suspended: objects wait\n    while s2.a.test is installed, as staging: objects wait, since the scheduler of s1.a.test is suspended"
    );
    // What is on, or was not told, is as it was.
    for cycle in [Some(true), None] {
        let said = installs(custom, [active(NEWEST, cycle, false), None]);
        assert!(said.contains("now s1.a.test exports\n"), "{said}");
        assert!(said.contains("s1.a.test goes on exporting"), "{said}");
    }
}

#[test]
fn an_upgrade_behind_which_the_cycle_stays_off_promises_no_export() {
    let old = |cycle| [active(OLD, cycle, false), Some((OLD, true, cycle, false))];
    let said = installs("", old(Some(false)));
    for words in [
        "while s2.a.test is upgraded, as staging: objects wait, since the cycle of s1.a.test is off",
        "while s1.a.test is upgraded objects wait as before, until whoever holds its cycle releases it",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    for words in ["again", "goes on exporting", "s1.a.test exports"] {
        assert!(!said.contains(words), "{words}: {said}");
    }
    let said = installs("", old(Some(true)));
    assert!(said.contains("then it exports again"), "{said}");
}

/// The wizard leaves the cycle off, and a person releases it.
#[test]
fn an_installation_that_leaves_its_cycle_off_exports_once_that_is_released() {
    let settings =
        |start| format!("settings = {{ sign_in = \"password-hash-sync\", start = {start} }}\n");
    let said = installs(&settings(false), [None, None]);
    assert!(
        said.contains("; then, once its cycle is released, it exports"),
        "{said}"
    );
    let said = installs(&settings(true), [None, None]);
    assert!(said.contains("; then it exports"), "{said}");
}

/// The setting lies in the tenant: whoever becomes active has it off as well (product facts 2.12 [P]).
#[test]
fn whoever_becomes_active_with_its_cycle_off_is_not_said_to_export() {
    let swapped = |cycle| {
        let servers = [
            active(NEWEST, cycle, false),
            Some((NEWEST, true, cycle, false)),
        ];
        let inputs = (topology(""), known(servers), common::artifacts());
        let policy = Policy::default();
        let inputs = Inputs::of(&inputs.0, &policy, &inputs.1, &inputs.2, Purpose::Install);
        meanwhile(&render(
            &switch(inputs, &"s2.a.test".parse().unwrap()).unwrap(),
        ))
    };
    let said = swapped(Some(false));
    assert!(
        said.contains("from then on it is the active server, and exports once its cycle is on"),
        "{said}"
    );
    assert!(!said.contains("from then on it exports"), "{said}");
    assert!(swapped(Some(true)).contains("; from then on it exports"));
}
