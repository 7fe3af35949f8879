//! Waves by domain: the order in which domains are taken stands in the policy.

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::recipe::Artifacts;
use controller_core::topology::{Document, parse};
use protocol::key::SigningKey;
use protocol::{TargetId, Timestamp};

use crate::common;

const TOPOLOGY: &str = r#"
[tenant.main]
id = "3f0c8a4e-0000-0000-0000-000000000000"
[agents.a]
serves = ["a.test", "child.a.test"]
hosts = ["h1.a.test", "h2.a.test"]
[agents.b]
serves = ["b.test"]
hosts = ["h1.b.test"]
[connect.main]
forests = ["c.test"]
servers = ["s1.c.test"]
settings = "express"
"#;

fn document(text: &str) -> Document {
    Document {
        file: "t.toml".to_owned(),
        text: text.to_owned(),
    }
}

fn planned(waves: &str) -> Plan {
    let (topology, findings) = parse(&[document(TOPOLOGY)]);
    assert!(findings.is_empty());
    let (policy, findings) = policy::parse(&document(&format!("waves = {waves}\n")));
    assert!(findings.is_empty(), "{findings:?}");
    let entry = |target: TargetId| {
        let known = Known {
            key: SigningKey::generate().public().fingerprint(),
            facts: Some((Timestamp::from_millis(0), common::facts(None, None))),
        };
        (target, known)
    };
    let known: Fleetwide = topology.targets().into_iter().map(entry).collect();
    plan(Inputs {
        topology: &topology,
        policy: &policy,
        known: &known,
        artifacts: &Artifacts::new(),
        purpose: Purpose::Verify,
    })
}

fn hosts(plan: &Plan) -> Vec<Vec<&str>> {
    let waves = plan.waves.iter();
    waves
        .map(|wave| wave.iter().map(TargetId::as_str).collect())
        .collect()
}

#[test]
fn domains_are_taken_in_the_order_of_the_policy() {
    let plan = planned(
        r#"[{ domains = ["c.test"] }, { domains = ["b.test"] }, { domains = ["child.a.test"] }]"#,
    );
    assert_eq!(
        hosts(&plan),
        [
            vec!["s1.c.test"],
            vec!["h1.b.test"],
            vec!["h1.a.test", "h2.a.test"]
        ]
    );
    assert!(plan.alarms.is_empty());
}

#[test]
fn a_wave_that_takes_nothing_is_found_with_its_place() {
    let (topology, _) = parse(&[document(TOPOLOGY)]);
    let found = |waves: &str| -> Vec<String> {
        let (policy, findings) = policy::parse(&document(&format!("\nwaves = {waves}\n")));
        assert!(findings.is_empty(), "{findings:?}");
        let findings = policy::check(&policy, &topology);
        findings.iter().map(ToString::to_string).collect()
    };
    let told = found(r#"[{ domains = ["a.tset"] }, { ring = "9" }, { rest = true }]"#);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("t.toml:2:10: error") && told[0].contains("\"a.test\"?"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("t.toml:2:36: warning") && told[1].contains("ring"),
        "{told:?}"
    );
    assert!(found(r#"[{ domains = ["c.test"] }, { rest = true }]"#).is_empty());
}

#[test]
fn a_wave_is_one_thing() {
    let both = "waves = [{ ring = \"1\", domains = [\"a.test\"] }]\n";
    let (_, findings) = policy::parse(&document(both));
    assert_eq!(findings.len(), 1);
}
