//! A tenant's only active Connect server leaves its SQL database to new hardware: each plan on the way has work, and none names a way that
//! is refused itself.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be, and looks at some steps alone"
)]

use controller_core::beyond::Beyond;
use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Plan, Purpose, plan, render, switch};
use controller_core::policy::Policy;
use controller_core::recipe::Artifacts;
use controller_core::topology::{Topology, check, parse};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::{ConnectWork, Product, Step};
use protocol::{TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const OLD: &str = "old.a.test";
const NEW: &str = "new.a.test";
const THIRD: &str = "third.a.test";

/// The new server is to have the old one's database; `more` stands among the servers that stay.
fn topology(more: &str) -> Topology {
    let row = if more.is_empty() {
        ""
    } else {
        "\"third.a.test\" = { sql_server = \"sql-09\" }\n"
    };
    let text = format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"{NEW}\"{more}]\nretired = [\"{OLD}\"]\n[connect.main.settings]\nservice_account = \"A\\\\gmsa$\"\n[connect.main.settings.databases]\n\"{NEW}\" = {{ sql_server = \"sql-01\", existing_database = true }}\n\"{OLD}\" = {{ sql_server = \"sql-01\" }}\n{row}"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    assert!(check(&topology, None).is_empty());
    topology
}

fn id(server: &str) -> TargetId {
    server.parse().unwrap()
}

fn there(staging: Option<bool>, version: Version) -> Option<ConnectFacts> {
    Some(ConnectFacts {
        version: Some(version),
        service: Some(ServiceState::Running),
        staging,
        cycle_enabled: Some(true),
        suspended: Some(false),
    })
}

fn is(staging: bool) -> Option<ConnectFacts> {
    there(Some(staging), common::CONNECT)
}

fn known(servers: &[(&str, Option<ConnectFacts>)]) -> Fleetwide {
    let entry = |(server, connect): &(&str, Option<ConnectFacts>)| {
        let known = Known {
            facts: Some((NOW, common::facts(None, connect.clone()))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (id(server), known)
    };
    servers.iter().map(entry).collect()
}

fn planned(more: &str, known: &Fleetwide, artifacts: &Artifacts) -> Plan {
    plan(Inputs::of(
        &topology(more),
        &Policy::default(),
        known,
        artifacts,
        Purpose::Install,
    ))
}

/// What people do at the wizards of a server.
fn wizards(plan: &Plan, server: &str) -> Vec<Option<ConnectWork>> {
    let phases = plan.targets[&id(server)].phases.iter();
    let works = phases
        .flat_map(|phase| &phase.steps)
        .filter_map(|step| match step {
            Step::GuideConnect(guide) => Some(Some(guide.work)),
            Step::GuideConnectRemoval(_) => Some(None),
            _ => None,
        });
    works.collect()
}

const TAKEN_OFF: &[Option<ConnectWork>] = &[None];

#[test]
fn the_only_active_server_goes_where_the_one_that_stays_takes_its_database_over() {
    let artifacts = common::artifacts();
    let plan = planned("", &known(&[(OLD, is(false)), (NEW, None)]), &artifacts);
    assert_eq!(wizards(&plan, OLD), TAKEN_OFF);
    assert!(wizards(&plan, NEW).is_empty());
    assert_eq!(plan.alarms, [""; 0]);
    // Nothing syncs until its successor is there and active, and the act names it.
    assert_eq!(plan.irreversible.len(), 1, "{:?}", plan.irreversible);
    for words in [
        OLD,
        NEW,
        "takes its database over",
        "nothing is synchronized until",
        "entrain swap new.a.test",
    ] {
        assert!(
            plan.irreversible[0].contains(words),
            "{words}: {:?}",
            plan.irreversible
        );
    }
    let report = render(&plan);
    assert!(!report.contains("becomes active first"), "{report}");
    let text = plan.targets[&id(OLD)].phases[0].steps[0]
        .guided_work()
        .unwrap();
    let before = text.pages[0].lines.join("\n");
    assert!(
        !before.contains("the server that stays does them"),
        "{before}"
    );
    assert!(before.contains("new.a.test"), "{before}");

    // Once it is gone, the other one is installed onto what it left.
    let plan = planned("", &known(&[(OLD, None), (NEW, None)]), &artifacts);
    assert_eq!(wizards(&plan, NEW), [Some(ConnectWork::InstallStaging)]);
    assert_eq!(plan.alarms, [""; 0]);
    assert!(plan.irreversible.is_empty());

    // And then a swap makes it active, of which nothing is refused.
    let known = known(&[(OLD, None), (NEW, is(true))]);
    let topology = topology("");
    let policy = Policy::default();
    let inputs = Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install);
    let plan = switch(inputs, &id(NEW)).unwrap();
    assert_eq!(wizards(&plan, NEW), [Some(ConnectWork::SwitchToActive)]);
}

/// By hand it was put into staging mode before: that none is active does not stand against the removal that makes way.
#[test]
fn that_none_is_active_does_not_stand_against_the_removal_that_makes_way() {
    let known = known(&[(OLD, is(true)), (NEW, None)]);
    let plan = planned("", &known, &common::artifacts());
    assert_eq!(wizards(&plan, OLD), TAKEN_OFF);
    assert_eq!(plan.alarms, [""; 0]);
    assert!(
        plan.warnings
            .iter()
            .any(|one| one.contains("no Connect server")),
        "{:?}",
        plan.warnings
    );
    // It exported nothing before.
    assert!(plan.irreversible.is_empty());
}

#[test]
fn where_another_one_has_connect_that_one_becomes_active_first() {
    let more = ", \"third.a.test\"";
    let artifacts = common::artifacts();
    let both = known(&[(OLD, is(false)), (NEW, None), (THIRD, is(true))]);
    let plan = planned(more, &both, &artifacts);
    assert!(wizards(&plan, OLD).is_empty());
    let why = plan.targets[&id(OLD)].why.join("\n");
    assert!(why.contains("entrain swap third.a.test"), "{why}");
    // What is named is not refused.
    let topology = topology(more);
    let policy = Policy::default();
    let inputs = Inputs::of(&topology, &policy, &both, &artifacts, Purpose::Install);
    switch(inputs, &id(THIRD)).unwrap();
    // By hand into staging mode: the removal leaves one that could be active, and that is said as before.
    let staging = known(&[(OLD, is(true)), (NEW, None), (THIRD, is(true))]);
    assert_eq!(planned(more, &staging, &artifacts).alarms.len(), 1);
}

/// Nobody is left without a server for longer than it takes: what would hold its successor afterwards holds it before.
#[test]
fn it_stays_while_its_successor_could_not_be_installed() {
    let artifacts = common::artifacts();
    let newer = Version::new(2, 7, 1, 0);
    let two = |old, new| known(&[(OLD, old), (NEW, new)]);
    let mut never = known(&[(OLD, is(false)), (NEW, None)]);
    never.get_mut(&id(NEW)).unwrap().facts = None;
    let mut bare = artifacts.clone();
    bare.remove(&Product::Connect);
    for (fleet, artifacts, says) in [
        (never, &artifacts, "new.a.test has never reported"),
        (
            known(&[(OLD, is(false))]),
            &artifacts,
            "new.a.test has never reported",
        ),
        (two(is(false), None), &bare, "no installer of Connect"),
        (
            two(there(Some(false), newer), None),
            &artifacts,
            "older than the 2.7.1.0 whose database it is",
        ),
    ] {
        let plan = planned("", &fleet, artifacts);
        assert!(wizards(&plan, OLD).is_empty(), "{says}");
        assert!(plan.irreversible.is_empty(), "{says}");
        let why = plan.targets[&id(OLD)].why.join("\n");
        assert!(
            why.starts_with("held: ") && why.contains(says),
            "{says}: {why}"
        );
    }
}

/// Beside a server that needs nobody's database, nobody has to be without one meanwhile.
#[test]
fn it_stays_where_another_new_server_can_be_there_first() {
    let third = format!(", \"{THIRD}\"");
    let known = known(&[(OLD, is(false)), (NEW, None), (THIRD, None)]);
    let plan = planned(&third, &known, &common::artifacts());
    assert!(wizards(&plan, OLD).is_empty());
    assert_eq!(wizards(&plan, THIRD), [Some(ConnectWork::InstallStaging)]);
    assert!(plan.irreversible.is_empty(), "{:?}", plan.irreversible);
    let why = plan.targets[&id(OLD)].why.join("\n");
    let first = why.find("entrain plan installs Connect on third.a.test");
    let then = why.find("entrain swap third.a.test");
    assert!(first.is_some() && first < then, "{why}");
}

/// One that was fenced has Connect and is not installed: it comes before nobody.
#[test]
fn a_fenced_server_is_nobody_who_could_be_there_first() {
    let third = format!(", \"{THIRD}\"");
    let fenced = ConnectFacts {
        service: Some(ServiceState::Disabled),
        staging: None,
        ..is(false).unwrap()
    };
    let known = known(&[(OLD, is(false)), (NEW, None), (THIRD, Some(fenced))]);
    let plan = planned(&third, &known, &common::artifacts());
    assert_eq!(wizards(&plan, OLD), TAKEN_OFF);
    assert!(wizards(&plan, THIRD).is_empty());
}

/// Where no database is taken over, the one that stays is installed as staging first, and a swap has somebody to make active.
#[test]
fn without_a_database_to_take_over_the_new_one_comes_first() {
    let text = "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"new.a.test\"]\nretired = [\"old.a.test\"]\nsettings = {}\n";
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let known = known(&[(OLD, is(false)), (NEW, None)]);
    let (policy, artifacts) = (Policy::default(), common::artifacts());
    let inputs = Inputs {
        beyond: Beyond::NOTHING,
        ..Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install)
    };
    let plan = plan(inputs);
    assert_eq!(wizards(&plan, NEW), [Some(ConnectWork::InstallStaging)]);
    let why = plan.targets[&id(OLD)].why.join("\n");
    let first = why.find("entrain plan installs Connect on new.a.test");
    let then = why.find("entrain swap new.a.test");
    assert!(first.is_some() && first < then, "{why}");
}
